/* The depot: full magazines by class, and empty ones.
 *
 * What      Stacks whose head is index and count in 64 bits, so that an exchange is one compare-and-swap and needs no token; the
 *           count advances with every change, which defeats the reuse of an index (ABA). How many magazines and headers a stack
 *           holds is written in its topmost magazine by who pushed it, so the sums cost no further step.
 * Owns      The memory of all magazines: a reservation, type-stable, so that a late reader of `next` is harmless.
 * Threads   Any. Progress: lock-free.
 */
#ifndef FTLI_ACTORS_ALLOCATION_DEPOT_H
#define FTLI_ACTORS_ALLOCATION_DEPOT_H

#include "actors/allocation/magazine.h"

struct ftli_depot_stack {
    FTLI_ALIGNED(64) ftli_atomic_u64 head; /* index 32 | count 32 */
    ftli_atomic_u32 least;                 /* least depth since the trim looked: what nobody needed */
};

/* Magazines lie in the lane of who gave them, and are taken from the taker's own lane first: so a thread gets its own headers
 * and blocks back while they are in its processor's cache. Whoever finds its lane empty takes from the others. */
#define FTLI_DEPOT_LANES 8

struct ftli_depot {
    struct ftli_magazine *magazines;
    uint32_t most; /* reserved */
    ftli_atomic_u32 fresh;
    struct ftli_depot_stack full[FTLI_DEPOT_LANES][FTLI_CLASSES];
    struct ftli_depot_stack empty[FTLI_DEPOT_LANES];
    ftli_atomic_u32 starved; /* a drop found no empty one since the last refill: it makes none itself */
    ftli_atomic_u32 spares;  /* empty ones that a refill sees to; grows with starvation */
};

int ftli_depot_init(struct ftli_depot *, uint32_t magazines); /* FTL_ENOMEM */
void ftli_depot_fini(struct ftli_depot *);

/* NULL: none in any lane. */
struct ftli_magazine *ftli_depot_take_full(struct ftli_depot *, unsigned size_class, uint32_t lane);
struct ftli_magazine *ftli_depot_take_full_from(struct ftli_depot *, unsigned size_class,
                                                uint32_t lane);                  /* of this one */
struct ftli_magazine *ftli_depot_take_empty(struct ftli_depot *, uint32_t lane); /* NULL: none; a drop makes none */
struct ftli_magazine *ftli_depot_make_empty(struct ftli_depot *);                /* NULL: no memory */
/* By what is in it: to the full ones if it holds anything. */
void ftli_depot_give(struct ftli_depot *, struct ftli_magazine *, uint32_t lane);

/* Magazines in a stack. */
uint32_t ftli_depot_depth(const struct ftli_depot *, const struct ftli_depot_stack *);
uint64_t ftli_depot_bytes(const struct ftli_depot *); /* of the blocks in it */
size_t ftli_depot_metadata_bytes(const struct ftli_depot *);

#endif
