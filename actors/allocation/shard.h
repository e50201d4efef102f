/* A shard: one heap with its mailbox, under one token. Shard 0 is the device's own: its heap grows by arenas.
 *
 * Owns      Its heap, its bare headers (FREE, without memory), what lies in its mailbox.
 * Threads   Pushing: any. All else: who holds the token.
 * Why       A drop of whole pages pushes and is done; the next new of the shard takes it in first, so the newest
 *           memory is given out again while it is in the cache.
 */
#ifndef FTLI_ACTORS_ALLOCATION_SHARD_H
#define FTLI_ACTORS_ALLOCATION_SHARD_H

#include "actors/allocation/allocation.h"
#include "actors/allocation/depot.h"
#include "actors/allocation/heap.h"
#include "actors/tracking/tracking.h"
#include "runtime/kernel/stack.h"
#include "runtime/kernel/token.h"
#include "tensor/extension.h"

#define FTLI_SHARDS_MOST 128
#define FTLI_REFILL_MOST 64 /* messages that one new takes in: CORE.md section 3, rule 1 */

struct ftli_shard {
    FTLI_ALIGNED(64) ftli_stack mailbox;
    FTLI_ALIGNED(64) ftli_token token;
    uint32_t index;
    ftli_atomic_pointer in_hand; /* taken from the mailbox, not looked at yet; others only ask whether it is NULL */
    ftli_link *bare;
    uint64_t bare_count;
    /* Bytes of blocks of middle and large sizes that the heap has given out, written under the token, and the most that were in
     * tensors when the peak was looked at last: a hint, whoever writes it. */
    ftli_atomic_u64 out_bytes, most_bytes;
    ftli_atomic_u64 free_bytes; /* committed and free, as its last holders noted: a hint for those without the token */
    struct ftli_device *device;
    struct ftli_heap heap;
    struct ftli_counters counters;
    ftli_histogram latencies[FTLI_LANES];
};

struct ftli_device {
    struct ftli_table *table;
    ftli_kernel *kernel;
    ftli_actor *actor; /* whom a tick wakes; NULL until attached */
    struct ftli_allocation_settings settings;
    uint32_t index;
    uint32_t shard_count; /* the device's own included */
    uint64_t limit_bytes, hard_bytes;
    struct ftli_space space;
    struct ftli_depot depot;
    ftli_atomic_pointer tray[FTLI_CLASSES]; /* magazines that the cleanup fills; NULL: none of the class */
    uint8_t capacity[FTLI_CLASSES];         /* of a magazine */
    ftli_atomic_u32 mail;                   /* some shard may have mail: a hint for new; the tick looks at each */
    bool strict;                            /* no membarrier here: need_tick orders its own stores */
    FTLI_ALIGNED(64) ftli_atomic_u64 committed;
    ftli_atomic_u64 cache_bytes; /* what a thread may keep now, at most thread_cache; written by the tick */
    struct ftli_watch {
        ftli_atomic_u64 at_least, below; /* outside of these the actor is woken, once */
        ftli_atomic_pointer actor;
    } watches[FTLI_WATCHERS];
    /* committed grows beyond the larger of these, and a part of the second, only when nothing that is free can go back instead. */
    ftli_atomic_u64 tide, most_used;
    FTLI_ALIGNED(64) ftli_atomic_u32 ticking; /* pairs: tick-again */
    ftli_atomic_u32 ticking_order;
    ftli_event completed;
    struct ftli_shard shards[];
};

/* Takes in up to `most` of what was dropped. Token held. Returns how many. */
unsigned ftli_shard_collect(struct ftli_shard *, unsigned most);
/* Up to n FREE headers with a slot each, from the shard that is free: how many, or a status. Takes and frees tokens. */
int ftli_shard_carve(struct ftli_device *, uint32_t *home, unsigned size_class, struct ftli_header **out, unsigned n);
/* The heaps' trade: called with one shard's token held. */
void ftli_shards_trade(void *shard, size_t bytes);
bool ftli_shards_move(void *shard, struct ftli_granule *to); /* likewise */
bool ftli_shard_is_empty(const struct ftli_shard *);
/* A FREE header without memory; NULL: the table is used up. Token held. */
struct ftli_header *ftli_shard_take_bare(struct ftli_shard *);
void ftli_shard_give_bare(struct ftli_shard *, struct ftli_header *);
/* Up to `most` of them to the table, so that its pages can go back. Token held. Returns how many. */
uint32_t ftli_shard_spare_bare(struct ftli_shard *, uint32_t most);

/* home: the shard's index among the children in the low half, a count of slow news in the high half. */
FTLI_INLINE struct ftli_shard *ftli_shard_child(struct ftli_device *device, uint32_t home)
{
    return &device->shards[1 + (home & 0xffff)];
}

/* Token held. */
FTLI_INLINE void ftli_shard_note_free(struct ftli_shard *shard)
{
    ftli_u64_store_relaxed(&shard->free_bytes, ftli_heap_free_resident_bytes(&shard->heap));
}

/* Token held. */
FTLI_INLINE void ftli_shard_count_out(struct ftli_shard *shard, uint64_t bytes)
{
    ftli_u64_store_relaxed(&shard->out_bytes, ftli_u64_load_relaxed(&shard->out_bytes) + bytes);
}

/* ftli_allocation_need_tick, in line. */
FTLI_INLINE void ftli_shard_need_tick(struct ftli_device *device)
{
    if (FTLI_UNLIKELY(device->strict || ftli_u32_load_seq_cst(&device->ticking) == 0)) /* pairs: tick-again */
        ftli_allocation_need_tick(device);
}

/* More is in tensors than ever, by 1 %: a moment to look at the peak. */
FTLI_INLINE bool ftli_shard_is_most(struct ftli_shard *shard)
{
    uint64_t out = ftli_u64_load_relaxed(&shard->out_bytes);
    uint64_t most = ftli_u64_load_relaxed(&shard->most_bytes);
    if (FTLI_LIKELY((int64_t)out <= (int64_t)(most + most / 128)))
        return false;
    ftli_u64_store_relaxed(&shard->most_bytes, out);
    return true;
}

#endif
