/* The header: one cache line that is the tensor, and the message of its drop.
 *
 * Owns        The fields of a LIVE tensor belong to its references (read-only but for the word, scope and cold); those of a slot
 *             in any other state to its one owner: a magazine, a mailbox, the cleanup.
 * Threads     All fields are atomics: stores release, loads acquire. A reader of several fields loads the word again
 *             after them; an unchanged generation and state say that they belong together.
 * Over-written once it is not LIVE: who posts a header writes time and purpose over the dimensions.
 */
#ifndef FTLI_TENSOR_HEADER_H
#define FTLI_TENSOR_HEADER_H

#include <assert.h>
#include <stddef.h>

#include "runtime/base/atomics.h"
#include "runtime/kernel/message.h"
#include "tensor/word.h"

struct ftli_header {
    ftli_atomic_u64 word;
    ftli_atomic_u64 data; /* address of the block; of a view: offset into its root */
    union {
        ftli_link link;      /* not LIVE: the owner's one container */
        ftli_atomic_u64 alt; /* LIVE: the second location, where SEL says so */
    } u;
    union {
        ftli_atomic_u64 size;       /* dtype 6 | ndim 4 | 6 unused | bytes 48 */
        ftli_atomic_u32 small_size; /* its low half: the bytes of a tensor that has a size class */
    };
    ftli_atomic_u64 record; /* id 32 (the slot; SAMPLED: weight 12 | site 20) | size class 8 | device 8 | flags 16 */
    ftli_atomic_u64 dimensions_low;
    union {
        struct {
            ftli_atomic_u32 stamp; /* milliseconds since the runtime opened, coarse */
            ftli_atomic_u32 cold;  /* cell of the extension; 0: none */
            ftli_atomic_u32 dimensions_high;
            ftli_atomic_u32 scope; /* ended 1 | port 11 | slot of the scope 20, 0: none */
        };
        ftli_atomic_u64 birth[2]; /* all four, for new: what a port gives every tensor */
    };
};

static_assert(sizeof(struct ftli_header) == 64, "a header is one cache line");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "small_size is the low half of size");
static_assert(offsetof(struct ftli_header, u) == 16, "a lane tells items from messages by the link's place");

/* What stands against a tensor: why its word carries SLOW, and how its block goes back. */
enum ftli_header_flags {
    FTLI_HEADER_LARGE = 1,       /* longer than middle sizes: its block is posted to the shard of its address */
    FTLI_HEADER_FINALIZER = 2,   /* user code runs before the memory goes back */
    FTLI_HEADER_LINKS = 4,       /* it holds references on others */
    FTLI_HEADER_VIEW = 8,        /* it holds a reference on its root, and no block */
    FTLI_HEADER_SAMPLED = 16,    /* tracking records its death */
    FTLI_HEADER_MESSAGE = 32,    /* policy message: its drop is posted to the cleanup */
    FTLI_HEADER_FINALIZED = 64,  /* its finalizer is done */
    FTLI_HEADER_BIG_SHAPE = 128, /* dimensions or strides lie in the extension */
    FTLI_HEADER_SCOPED = 256,    /* its scope counts it */
    FTLI_HEADER_AWAITED = 512,   /* somebody waits for its end: the cleanup completes it, and wakes him */
    FTLI_HEADER_QUOTA = 3072,    /* two: the quota of its label counts it, and that of its site */
};

FTLI_INLINE struct ftli_header *ftli_header_of_link(ftli_link *link)
{
    return (struct ftli_header *)(void *)((char *)link - offsetof(struct ftli_header, u));
}

FTLI_INLINE uint64_t ftli_record_make(uint32_t id, uint32_t size_class, uint32_t device, uint32_t flags)
{
    return (uint64_t)id << 32 | (uint64_t)size_class << 24 | (uint64_t)device << 16 | flags;
}

FTLI_INLINE uint32_t ftli_record_id(uint64_t record)
{
    return (uint32_t)(record >> 32);
}

FTLI_INLINE uint32_t ftli_record_class(uint64_t record)
{
    return (uint32_t)(record >> 24) & 0xff;
}

/* Eight times the size class. */
FTLI_INLINE size_t ftli_record_class_offset(uint64_t record)
{
    return (size_t)(record >> 21) & 0x7f8;
}

FTLI_INLINE uint32_t ftli_record_device(uint64_t record)
{
    return (uint32_t)(record >> 16) & 0xff;
}

FTLI_INLINE uint32_t ftli_record_flags(uint64_t record)
{
    return (uint32_t)record & 0xffff;
}

/* The id of a sampled tensor says for how many it stands and where it was made; its slot comes back when SAMPLED goes. So what
 * lives can be summed by site at any moment, and a death subtracts what its birth added. The weight is in fortieths: one over the
 * rate, 1 to 100. */
#define FTLI_WEIGHT_ONE        40
#define FTLI_WEIGHT_MOST       4000
#define FTLI_RECORD_SITE       UINT32_C(0xfffff)
#define FTLI_RECORD_SITE_BITS  20
#define FTLI_RECORD_SITE_SHIFT 32
#define FTLI_RECORD_REST       UINT64_C(0xffffffff)

FTLI_INLINE uint64_t ftli_record_sampled(uint64_t record, uint32_t weight, uint32_t site)
{
    return (record & FTLI_RECORD_REST) | FTLI_HEADER_SAMPLED |
           (uint64_t)(weight << FTLI_RECORD_SITE_BITS | site) << FTLI_RECORD_SITE_SHIFT;
}

FTLI_INLINE uint64_t ftli_record_not_sampled(uint64_t record, uint32_t slot)
{
    return (record & FTLI_RECORD_REST & ~(uint64_t)FTLI_HEADER_SAMPLED) | (uint64_t)slot << FTLI_RECORD_SITE_SHIFT;
}

/* 0: not sampled, or its site is not known. */
FTLI_INLINE uint32_t ftli_record_site(uint64_t record)
{
    return (record & FTLI_HEADER_SAMPLED) != 0 ? ftli_record_id(record) & FTLI_RECORD_SITE : 0;
}

/* In fortieths; 0: not sampled. */
FTLI_INLINE uint32_t ftli_record_weight(uint64_t record)
{
    return (record & FTLI_HEADER_SAMPLED) != 0 ? ftli_record_id(record) >> FTLI_RECORD_SITE_BITS : 0;
}

#define FTLI_SIZE_DTYPE_SHIFT 58
#define FTLI_SIZE_NDIM_SHIFT  54

FTLI_INLINE uint64_t ftli_size_make(uint64_t bytes, uint32_t dtype, uint32_t ndim)
{
    return (uint64_t)dtype << FTLI_SIZE_DTYPE_SHIFT | (uint64_t)ndim << FTLI_SIZE_NDIM_SHIFT | bytes;
}

FTLI_INLINE uint64_t ftli_size_bytes(uint64_t size)
{
    return size & ((UINT64_C(1) << 48) - 1);
}

FTLI_INLINE uint32_t ftli_size_dtype(uint64_t size)
{
    return (uint32_t)(size >> FTLI_SIZE_DTYPE_SHIFT);
}

FTLI_INLINE uint32_t ftli_size_ndim(uint64_t size)
{
    return (uint32_t)(size >> FTLI_SIZE_NDIM_SHIFT) & 0xf;
}

/* The bytes that the counters know: a view's belong to its root. */
FTLI_INLINE uint64_t ftli_header_own_bytes(const struct ftli_header *header)
{
    bool view = (ftli_record_flags(ftli_u64_load_acquire(&header->record)) & FTLI_HEADER_VIEW) != 0;
    return view ? 0 : ftli_size_bytes(ftli_u64_load_acquire(&header->size));
}

FTLI_INLINE uint32_t ftli_header_site(const struct ftli_header *header)
{
    return ftli_record_site(ftli_u64_load_acquire(&header->record));
}

/* The scope word of a header: ended 1 | number of the port that made it 11 | slot of the scope 20. Port 0: not known. */
#define FTLI_HEADER_SCOPE_SLOT UINT32_C(0xfffff)
#define FTLI_HEADER_PORTS_MOST 2047
#define FTLI_HEADER_PORT_SHIFT 20

FTLI_INLINE uint32_t ftli_header_scope(const struct ftli_header *header)
{
    return ftli_u32_load_acquire(&header->scope) & FTLI_HEADER_SCOPE_SLOT;
}

FTLI_INLINE uint32_t ftli_header_port(const struct ftli_header *header)
{
    return ftli_u32_load_acquire(&header->scope) >> FTLI_HEADER_PORT_SHIFT & FTLI_HEADER_PORTS_MOST;
}

/* What a posted header is to whom receives it. Written over dimensions_high, the time over dimensions_low. */
enum ftli_purpose {
    FTLI_PURPOSE_DROP = 1,      /* to the cleanup: finish it */
    FTLI_PURPOSE_RECLAIM = 2,   /* to a shard: nothing stands against it any more; a completion is counted there */
    FTLI_PURPOSE_GIVE_BACK = 3, /* to a shard: a FREE header whose block goes back; its drop was completed before */
    FTLI_PURPOSE_FINALIZED = 4, /* back to the cleanup: its finalizer returned 0 */
    FTLI_PURPOSE_FAILED = 5,    /* back to the cleanup: its finalizer returned something else */
    FTLI_PURPOSE_RETRY = 6,     /* to the cleanup: out of the quarantine, as if it were dropped now */
};

FTLI_INLINE void ftli_header_address(struct ftli_header *header, enum ftli_purpose purpose, uint32_t lane,
                                     uint32_t parity)
{
    ftli_u32_store_release(&header->dimensions_high, (uint32_t)purpose | lane << 8 | parity << 16);
}

FTLI_INLINE enum ftli_purpose ftli_header_purpose(const struct ftli_header *header)
{
    return (enum ftli_purpose)(ftli_u32_load_relaxed(&header->dimensions_high) & 0xff);
}

FTLI_INLINE uint32_t ftli_header_lane(const struct ftli_header *header)
{
    return ftli_u32_load_relaxed(&header->dimensions_high) >> 8 & 0xff;
}

FTLI_INLINE uint32_t ftli_header_parity(const struct ftli_header *header)
{
    return ftli_u32_load_relaxed(&header->dimensions_high) >> 16 & 1;
}

#endif
