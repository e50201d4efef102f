/* Spare slots: those of a table that nobody has, by the page they lie in, so that whole pages can go back to the OS.
 *
 * What      A page is 4 KiB: 64 slots of 64 bytes. Of each a bitmap of the slots that lie here, and, once the page was given
 *           back, the generation from which its slots go on. Headers and cells have a set each.
 * Owns      The slots given to it, and the descriptors (24 bytes a page, in memory that the table reserves for it).
 * Threads   give, take and retire by any thread. One at a time sweeps: who holds the table's token for it.
 * Progress  Lock-free.
 * Invariant A page's memory goes back only while all of its slots that are not retired are the sweeper's. What it reads as
 *           afterwards, zeros, is no generation that was ever given out; and when it is used again, its slots begin at its floor,
 *           which is above every generation given out in it. So no slot is ever given out twice in one generation.
 */
#ifndef FTLI_TENSOR_SPARE_H
#define FTLI_TENSOR_SPARE_H

#include <stddef.h>

#include "runtime/base/atomics.h"

#define FTLI_SPARE_SLOTS 64u /* of a page */
#define FTLI_SPARE_DEAD  UINT32_MAX

struct ftli_spare_page {
    ftli_atomic_u64 free;    /* bit i: slot i of the page lies here */
    ftli_atomic_u64 retired; /* bit i: slot i is used up for ever */
    ftli_atomic_u32
        floor; /* the least generation of its next life; DEAD: all its slots are used up, and it was given back */
    ftli_atomic_u32 seen; /* the pass that found it whole; 0: taken from since */
};

/* Pages that have something, a bit each, and where to look for one. */
struct ftli_spare_map {
    ftli_atomic_u64 *words;
    ftli_atomic_u32 lowest; /* word at which a look begins: a hint */
    ftli_atomic_u32 count;  /* bits set, about: what is on its way in or out is not exact */
};

struct ftli_spare {
    unsigned char *slots;
    struct ftli_spare_page *pages;
    uint32_t page_count;
    bool generations;              /* its slots are headers */
    ftli_atomic_u32 touched;       /* pages below it have a descriptor that was written */
    ftli_atomic_u32 gone_pages;    /* whose memory went back, the dead ones included */
    struct ftli_spare_map partial; /* pages with free slots */
    struct ftli_spare_map gone;    /* pages that can be used again */
    uint32_t cursor, pass;         /* the sweeper's */
    uint32_t young;                /* likewise: pages found whole in this pass that must be found so again */
};

/* Bytes to reserve for the descriptors of so many slots, a multiple of 4 KiB; init is given them, zeroed. */
size_t ftli_spare_reserve_bytes(uint32_t slots);
void ftli_spare_init(struct ftli_spare *, void *slots, uint32_t count, void *descriptors, bool generations);

/* The slot is nobody's any more. A header's word is FREE, in a generation not given out yet. */
void ftli_spare_give(struct ftli_spare *, uint32_t slot);
/* The slot will never be used again. */
void ftli_spare_retire(struct ftli_spare *, uint32_t slot);
/* Slots of one page: bit i of the mask is slot *first + i. Resident pages first, the lowest of them. 0: there are none. */
uint64_t ftli_spare_take(struct ftli_spare *, uint32_t *first);

/* Looks at up to `most` pages from where the last look ended, and gives back those that were whole at the pass before too, or,
 * with `all`, whole now. */
struct ftli_spare_swept {
    uint32_t pages; /* given back */
    bool done;      /* the pass ended with this look */
    uint32_t young; /* then: pages that the next pass may give back */
};
struct ftli_spare_swept ftli_spare_sweep(struct ftli_spare *, uint32_t most, bool all);

/* True: a walk over the table may pass by the page of this slot: none of its slots is out. */
bool ftli_spare_page_is_idle(const struct ftli_spare *, uint32_t slot);
uint32_t ftli_spare_retired(const struct ftli_spare *); /* slots; walks the descriptors */
size_t ftli_spare_gone_bytes(const struct ftli_spare *);
size_t ftli_spare_metadata_bytes(const struct ftli_spare *); /* of descriptors and maps, as far as they were written */

#endif
