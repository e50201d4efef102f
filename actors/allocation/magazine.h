/* Magazines (Bonwick's term): arrays of headers with their memory still attached, of one size class.
 *
 * What      The message by which small memory moves between threads: a port takes a full one and gives an empty one,
 *           or the reverse, by one compare-and-swap on the depot.
 * Owns      What lies in it: headers that are FREE, each with a block of the magazine's class. A header lies there as the handle that
 *           its next tensor gets, so that who takes it need not read the header, which may be another processor's line.
 * Threads   One owner at a time: a rack's thread (or who claimed its port), or the depot. `top` and count are read by anybody.
 */
#ifndef FTLI_ACTORS_ALLOCATION_MAGAZINE_H
#define FTLI_ACTORS_ALLOCATION_MAGAZINE_H

#include "actors/allocation/pocket.h"
#include "actors/allocation/size_class.h"
#include "tensor/header.h"
#include "tensor/table.h"

#define FTLI_MAGAZINE_MOST 64

struct ftli_magazine {
    FTLI_ALIGNED(64) ftli_atomic_u32 next; /* the depot's: the one below it */
    ftli_atomic_u32 depth;                 /* the depot's: how many from here down */
    ftli_atomic_u64 total;                 /* the depot's: headers in these */
    ftli_atomic_u32 count;                 /* headers in it, while no rack has it loaded */
    uint32_t capacity;
    uint32_t index; /* its own, for the depot's stacks; 0 is no magazine */
    uint32_t size_class;
    uint64_t
        floor; /* 0 for ever: what a take from an empty one finds. Of an entry the generation may be 0: the header knows it */
    uint64_t entries[FTLI_MAGAZINE_MOST];
};

static_assert(sizeof(struct ftli_magazine) == 576, "nine lines");
static_assert(offsetof(struct ftli_magazine, entries) == offsetof(struct ftli_magazine, floor) + sizeof(uint64_t),
              "the floor lies below the first entry");

/* A thread's magazines, two a class: the loaded one, of which only `top` moves, and the previous one. Their capacities are
 * reserved out of `budget_bytes` when they are attached, so what a rack holds is bounded without counting on the hot path: sum of
 * capacity * class bytes <= thread_cache, and no magazine is attached beyond what the device lets a thread keep at the time. */
struct ftli_rack {
    ftli_atomic_pointer top[FTLI_CLASSES]; /* where the loaded one's next entry goes; below it, the newest header */
    uint64_t *end[FTLI_CLASSES];
    ftli_atomic_pointer loaded[FTLI_CLASSES];   /* never NULL: the empty magazine without capacity stands for none */
    ftli_atomic_pointer previous[FTLI_CLASSES]; /* likewise */
    int64_t budget_bytes;                       /* not reserved */
    uint32_t hand;                              /* class that is looked at first when the budget is used up */
    struct ftli_pocket pocket;                  /* of middle sizes; within the same budget */
    uint32_t lane; /* of the depot, by its remainder: where full magazines go, and are looked for first */
    const struct ftli_table *table;
};

/* Capacity 0 and count 0: every take and every stow on it goes the slow way. */
extern struct ftli_magazine ftli_no_magazine;

/* An element of an array of eight bytes each, by its offset: the index is shifted once, or not at all. */
#define FTLI_AT(array, offset) ((__typeof__(&(array)[0]))(void *)((char *)(array) + (offset)))

FTLI_INLINE struct ftli_header *ftli_entry_header(const struct ftli_table *table, uint64_t entry)
{
    return ftli_table_header(table, ftli_handle_slot(entry));
}

FTLI_INLINE uint64_t *ftli_rack_top(const struct ftli_rack *rack, unsigned size_class)
{
    return ftli_pointer_load_relaxed(&rack->top[size_class]);
}

/* offset: 8 * the size class. The newest entry of the class, or 0; it stays. */
FTLI_INLINE uint64_t ftli_rack_newest_at(const struct ftli_rack *rack, size_t offset)
{
    const uint64_t *top = ftli_pointer_load_relaxed(FTLI_AT(rack->top, offset));
    return top[-1];
}

/* It is taken. */
FTLI_INLINE void ftli_rack_pass_at(struct ftli_rack *rack, size_t offset)
{
    ftli_pointer_move_owner(FTLI_AT(rack->top, offset), -(ptrdiff_t)sizeof(uint64_t));
}

/* The newest header of the class, or NULL: refill. */
FTLI_INLINE struct ftli_header *ftli_rack_take(struct ftli_rack *rack, unsigned size_class)
{
    uint64_t entry = ftli_rack_newest_at(rack, size_class * sizeof entry);
    if (entry == 0)
        return NULL;
    ftli_rack_pass_at(rack, size_class * sizeof entry);
    return ftli_entry_header(rack->table, entry);
}

/* False: full; ftli_allocation_stow makes room. */
FTLI_INLINE bool ftli_rack_give_at(struct ftli_rack *rack, size_t offset, uint64_t entry)
{
    uint64_t *top = ftli_pointer_load_relaxed(FTLI_AT(rack->top, offset));
    if (FTLI_UNLIKELY(top == *FTLI_AT(rack->end, offset)))
        return false;
    *top = entry;
    ftli_pointer_move_owner(FTLI_AT(rack->top, offset), sizeof *top);
    return true;
}

FTLI_INLINE bool ftli_rack_give(struct ftli_rack *rack, unsigned size_class, const struct ftli_header *header)
{
    return ftli_rack_top(rack, size_class) != rack->end[size_class] &&
           ftli_rack_give_at(rack, size_class * sizeof(uint64_t), ftli_table_handle(rack->table, header));
}

#endif
