/* A thread's pocket: the few blocks of middle sizes that it dropped last, in whole pages, above the classes.
 *
 * What      A drop puts the FREE header there, its block attached; the thread's next new of that many pages takes both: no heap, no
 *           token, no atomic step. Sizes are exact, since hoarding them by class would hold several times what is live; so where they
 *           are drawn at random little is found again, and what does not fit goes to the heap at once.
 * Owns      The headers in it and their blocks, which count as used in the heap and as held by the thread.
 * Threads   The rack's owner, or who claimed its port. `bytes` is read by anybody.
 * Invariant bytes = the blocks in it; with what the rack reserves for magazines not more than thread_cache.
 */
#ifndef FTLI_ACTORS_ALLOCATION_POCKET_H
#define FTLI_ACTORS_ALLOCATION_POCKET_H

#include "actors/allocation/arena.h"
#include "tensor/header.h"

#define FTLI_MIDDLE_PAGES 256u /* the longest block of a middle size */
#define FTLI_POCKET_MOST  8u

struct ftli_pocket {
    uint16_t pages[FTLI_POCKET_MOST]; /* of the block in each place; 0: the place is empty */
    uint16_t asked[FTLI_POCKET_MOST]; /* lengths that the thread's news missed last: only these are worth keeping */
    uint32_t hand;                    /* place that goes next when there is no room */
    uint32_t asked_hand;
    uint32_t count; /* of places that are not empty */
    ftli_atomic_u64 bytes;
    struct ftli_header *headers[FTLI_POCKET_MOST];
};

FTLI_INLINE uint64_t ftli_pages_block_bytes(uint64_t bytes)
{
    return bytes == 0 ? FTLI_PAGE_BYTES : (bytes + FTLI_PAGE_BYTES - 1) & ~(uint64_t)(FTLI_PAGE_BYTES - 1);
}

/* Pages of a block of a middle size; 0: it is a large one. */
FTLI_INLINE unsigned ftli_middle_pages(uint64_t block_bytes)
{
    uint64_t pages = block_bytes >> FTLI_PAGE_SHIFT;
    return pages <= FTLI_MIDDLE_PAGES ? (unsigned)pages : 0;
}

/* What lies in a place leaves it. */
FTLI_INLINE struct ftli_header *ftli_pocket_empty(struct ftli_pocket *pocket, unsigned place)
{
    ftli_u64_store_relaxed(&pocket->bytes,
                           ftli_u64_load_relaxed(&pocket->bytes) - ((uint64_t)pocket->pages[place] << FTLI_PAGE_SHIFT));
    pocket->pages[place] = 0;
    pocket->count--;
    return pocket->headers[place];
}

FTLI_INLINE bool ftli_pocket_was_asked(const struct ftli_pocket *pocket, unsigned pages)
{
    for (unsigned i = 0; i < FTLI_POCKET_MOST; i++)
        if (pocket->asked[i] == pages)
            return true;
    return false;
}

/* pages: not 0. NULL: there is none of that length. */
FTLI_INLINE struct ftli_header *ftli_pocket_take(struct ftli_pocket *pocket, unsigned pages)
{
    for (unsigned place = 0; place < FTLI_POCKET_MOST; place++)
        if (pocket->pages[place] == pages)
            return ftli_pocket_empty(pocket, place);
    if (!ftli_pocket_was_asked(pocket, pages))
        pocket->asked[pocket->asked_hand++ % FTLI_POCKET_MOST] = (uint16_t)pages;
    return NULL;
}

#endif
