/* Magazines (Bonwick's term): arrays of headers with their memory still attached, of one size class.
 *
 * What      The message by which small memory moves between threads: a port takes a full one and gives an empty one,
 *           or the reverse, by one compare-and-swap on the depot.
 * Owns      What lies in it: headers that are FREE, each with a block of the magazine's class.
 * Threads   One owner at a time: a rack's thread (or who claimed its port), or the depot. count is read by anybody.
 */
#ifndef FTLI_ACTORS_ALLOCATION_MAGAZINE_H
#define FTLI_ACTORS_ALLOCATION_MAGAZINE_H

#include "actors/allocation/size_class.h"
#include "tensor/header.h"

#define FTLI_MAGAZINE_MOST 64

struct ftli_magazine {
    FTLI_ALIGNED(64) ftli_atomic_u32 count;
    ftli_atomic_u32 capacity;
    uint32_t index; /* its own, for the depot's stacks; 0 is no magazine */
    uint32_t size_class;
    ftli_atomic_u32 next; /* the depot's */
    uint32_t unused[11];
    struct ftli_header *entries[FTLI_MAGAZINE_MOST];
};

static_assert(sizeof(struct ftli_magazine) == 576, "nine lines");

struct ftli_rack_class {
    ftli_atomic_pointer loaded;   /* never NULL: the empty magazine without capacity stands for none */
    ftli_atomic_pointer previous; /* likewise */
};

/* A thread's magazines, two a class. Their capacities are reserved out of `budget_bytes` when they are attached, so what a
 * rack holds is bounded without counting on the hot path: sum of capacity * class bytes <= thread_cache. */
struct ftli_rack {
    struct ftli_rack_class classes[FTLI_CLASSES];
    int64_t budget_bytes; /* not reserved */
    uint32_t hand;        /* class that is looked at first when the budget is used up */
};

/* Capacity 0 and count 0: every take and every stow on it goes the slow way. */
extern struct ftli_magazine ftli_no_magazine;

FTLI_INLINE struct ftli_magazine *ftli_rack_loaded(const struct ftli_rack *rack, unsigned size_class)
{
    return ftli_pointer_load_relaxed(&rack->classes[size_class].loaded);
}

/* The newest header of the class, or NULL: refill. */
FTLI_INLINE struct ftli_header *ftli_rack_take(struct ftli_rack *rack, unsigned size_class)
{
    struct ftli_magazine *magazine = ftli_rack_loaded(rack, size_class);
    uint32_t count = ftli_u32_load_relaxed(&magazine->count);
    if (FTLI_UNLIKELY(count == 0))
        return NULL;
    ftli_u32_store_relaxed(&magazine->count, count - 1);
    return magazine->entries[count - 1];
}

/* False: full; ftli_allocation_stow makes room. */
FTLI_INLINE bool ftli_rack_give(struct ftli_rack *rack, unsigned size_class, struct ftli_header *header)
{
    struct ftli_magazine *magazine = ftli_rack_loaded(rack, size_class);
    uint32_t count = ftli_u32_load_relaxed(&magazine->count);
    if (FTLI_UNLIKELY(count == ftli_u32_load_relaxed(&magazine->capacity)))
        return false;
    magazine->entries[count] = header;
    ftli_u32_store_relaxed(&magazine->count, count + 1);
    return true;
}

#endif
