/* Arenas: a device's address space, and what is known of each page of it.
 *
 * What       A space reserves arenas (multiples of 2 MiB granules) and numbers their pages: a page's number leads to its
 *            descriptor and back to its address, an address to its granule and to the heap that owns it, all in O(1).
 *            Lower numbers were reserved earlier; "lowest first" everywhere means lowest page number.
 * Owns       The arenas, the descriptors, and the map from address to granule. All of it goes back to the OS in fini.
 * Threads    One thread at a time grows a space (the holder of the device heap's token). The lookups may be done by any
 *            thread for an address that was handed to it. A granule's descriptors belong to the heap that owns it.
 * Invariants The granule found for an address lies at that address rounded down to 2 MiB.
 *            Granules of neighbouring numbers need not be neighbours in memory: ftli_space_joined tells.
 */
#ifndef FTLI_ACTORS_ALLOCATION_ARENA_H
#define FTLI_ACTORS_ALLOCATION_ARENA_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/atomics.h"

#if defined __cplusplus
extern "C" {
#endif

#define FTLI_PAGE_SHIFT    12
#define FTLI_PAGE_BYTES    ((size_t)1 << FTLI_PAGE_SHIFT)
#define FTLI_GRANULE_SHIFT 21
#define FTLI_GRANULE_BYTES ((size_t)1 << FTLI_GRANULE_SHIFT)
#define FTLI_GRANULE_PAGES 512u
#define FTLI_SPAN_MOST     ((1u << 28) - 1) /* pages: 1 TiB */

enum ftli_page_state {
    FTLI_PAGE_NONE = 0,  /* inside a span, or of no heap */
    FTLI_PAGE_FREE,      /* first page of a free span in the index */
    FTLI_PAGE_FREE_TAIL, /* last page of a free span of two pages or more */
    FTLI_PAGE_USED,      /* first page of a span that was taken */
    FTLI_PAGE_SLAB,      /* any page of a slab */
};

/* What is known of a page. */
struct ftli_page {
    union {
        struct {
            uint32_t pages : 28; /* of the span: in its first page, in the last of a free one, in all of a slab's */
            uint32_t state : 4;
        };
        uint32_t tag; /* both, written at once: FTLI_PAGE_TAG */
    };
    uint32_t committed; /* FREE: how many of its pages are committed */
    union {
        struct {
            uint32_t left, right; /* FREE: the index's tree. Numbers, 0: none */
        };
        struct ftli_slab *slab; /* SLAB */
    };
};
static_assert(sizeof(struct ftli_page) == 16, "a descriptor costs 0.4 % of its page");
#define FTLI_PAGE_TAG(state, pages) ((uint32_t)(state) << 28 | (uint32_t)(pages)) /* bit fields begin at the low bits */

/* 2 MiB: the unit of ownership and of huge pages. */
struct ftli_granule {
    uint64_t written[FTLI_GRANULE_PAGES / 64]; /* pages handed out since they were last purged: not known to be zero */
    char *address;
    struct ftli_page *pages; /* its descriptors: two pages of metadata, resident as they are written */
    uint32_t number;         /* of its first page */
    uint16_t committed;      /* pages: as many as are written; if huge all or none */
    uint16_t written_pages;
    bool huge;       /* advised: committed and purged only whole */
    bool moved_in;   /* was the target of a move: a mapping of its own */
    uint8_t counted; /* bit i: the i-th page of its descriptors is in metadata_bytes */
    uint64_t unused[4];
};
static_assert(sizeof(struct ftli_granule) == 128, "two cache lines");
static_assert(sizeof(struct ftli_page) * FTLI_GRANULE_PAGES == 2 * FTLI_PAGE_BYTES, "see `counted`");

struct ftli_arena;

#define FTLI_MAP_SLOTS 8192u /* of the root and of each leaf: 2^13 * 2^13 granules of 2^21 bytes: 47 bits */

struct ftli_space {
    ftli_atomic_pointer *root;     /* address >> 34 -> leaf of FTLI_MAP_SLOTS entries */
    ftli_atomic_pointer *granules; /* number >> 9 -> granule; [0] is NULL */
    ftli_atomic_pointer *pages;    /* number >> 9 -> its descriptors */
    struct ftli_arena *arenas;     /* newest first */
    size_t arena_bytes;            /* step of growth */
    size_t reserved_bytes;         /* sum of the arenas */
    size_t metadata_bytes;         /* what may be resident of the map, the tables and the granules */
    uint32_t granules_used;        /* numbers given out so far; 0 is never used */
    uint32_t granules_most;
    ftli_atomic_u32 huge_passed;  /* granules to pass over before the next is made huge */
    ftli_atomic_u32 huge_penalty; /* how many were to be passed over the last time; 0: huge pages come fast */
    ftli_atomic_u32 moved_in;     /* granules that are; 0xffffffff: the system does not move */
};

int ftli_space_init(struct ftli_space *, size_t arena_bytes); /* a multiple of 2 MiB; FTL_EINVAL, FTL_ENOMEM */
/* Of every arena, newest first, while nobody makes one. */
void ftli_space_each(const struct ftli_space *, void (*each)(void *user, void *at, size_t bytes), void *user);
void ftli_space_fini(struct ftli_space *); /* all arenas and descriptors back to the OS */

/* A new arena of at least `bytes` (at most FTLI_SPAN_MOST pages), owned by nobody yet. FTL_ENOMEM. */
int ftli_space_grow(struct ftli_space *, size_t bytes, uint32_t *first, uint32_t *granules);

/* The granules from number `first` change owner; called by who owns them, or found them owned by nobody. */
void ftli_space_set_owner(struct ftli_space *, uint32_t first, uint32_t granules, uint32_t owner);

/* ---- lookups */

/* An entry of the map: the granule's address and, in the top 16 bits, its owner. 0: no arena lies there. */
FTLI_INLINE uint64_t ftli_space_entry(const struct ftli_space *space, const void *address)
{
    uintptr_t a = (uintptr_t)address;
    if (FTLI_UNLIKELY(a >> 47)) {
        return 0;
    }
    /* pairs: map-leaf */
    const ftli_atomic_u64 *leaf = (const ftli_atomic_u64 *)ftli_pointer_load_acquire(&space->root[a >> 34]);
    if (FTLI_UNLIKELY(!leaf)) {
        return 0;
    }
    /* pairs: map-entry */
    return ftli_u64_load_acquire(&leaf[(a >> FTLI_GRANULE_SHIFT) & (FTLI_MAP_SLOTS - 1)]);
}

FTLI_INLINE uint32_t ftli_entry_owner(uint64_t entry)
{
    return (uint32_t)(entry >> 48);
}

FTLI_INLINE struct ftli_granule *ftli_entry_granule(uint64_t entry)
{
    return (struct ftli_granule *)(uintptr_t)(entry << 16 >> 16);
}

FTLI_INLINE struct ftli_granule *ftli_space_granule(const struct ftli_space *space, uint32_t number)
{
    /* pairs: granule-table */
    return (struct ftli_granule *)ftli_pointer_load_acquire(&space->granules[number / FTLI_GRANULE_PAGES]);
}

/* table: the space's `pages`. */
FTLI_INLINE struct ftli_page *ftli_page_at(const ftli_atomic_pointer *table, uint32_t number)
{
    /* pairs: granule-table */
    struct ftli_page *pages = (struct ftli_page *)ftli_pointer_load_acquire(&table[number / FTLI_GRANULE_PAGES]);
    return &pages[number % FTLI_GRANULE_PAGES];
}

FTLI_INLINE struct ftli_page *ftli_space_page(const struct ftli_space *space, uint32_t number)
{
    return ftli_page_at(space->pages, number);
}

FTLI_INLINE char *ftli_space_address(const struct ftli_space *space, uint32_t number)
{
    return ftli_space_granule(space, number)->address + ((size_t)(number % FTLI_GRANULE_PAGES) << FTLI_PAGE_SHIFT);
}

/* The number of the page that `address` lies in, when `entry` is the map's for it. */
FTLI_INLINE uint32_t ftli_entry_number(uint64_t entry, const void *address)
{
    uintptr_t inside = (uintptr_t)address & (FTLI_GRANULE_BYTES - 1);
    return ftli_entry_granule(entry)->number + (uint32_t)(inside >> FTLI_PAGE_SHIFT);
}

/* True if the pages number - 1 and number are neighbours in memory as well, and both of `owner`. */
bool ftli_space_joined_slow(const struct ftli_space *, uint32_t number, uint32_t owner);
FTLI_INLINE bool ftli_space_joined(const struct ftli_space *space, uint32_t number, uint32_t owner)
{
    return FTLI_LIKELY(number % FTLI_GRANULE_PAGES != 0) || ftli_space_joined_slow(space, number, owner);
}

#if defined __cplusplus
}
#endif
#endif
