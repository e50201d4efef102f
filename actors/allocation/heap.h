/* A heap: spans of pages, and slabs of slots of one size class inside such spans.
 *
 * What       The device has one heap that grows by arenas; each allocation shard has a child heap that is given segments
 *            (multiples of 2 MiB) of it and gives wholly free ones back. All sizes share a heap's pages: best fit, of
 *            equals the one that became free last; what is free is merged at once.
 * Owns       The granules whose owner is the heap's id: their page descriptors, spans and slabs. No malloc inside.
 * Threads    One owner at a time (who holds the shard's token). ftli_heap_owner and ftli_heap_block_bytes may be called by
 *            any thread that was handed the address.
 * Invariants (ftli_heap_check walks and proves them)
 *            spans tile the heap's granules; no two free spans are neighbours;
 *            committed_bytes = used_bytes + free committed bytes, where a page of a slab that went back is not used; it covers what is resident of the heap's granules.
 * Failure    A give never needs memory and never fails on what was taken; FTL_EINTERNAL means the address is not a block
 *            of this heap, and nothing was changed. Outputs are untouched on failure.
 */
#ifndef FTLI_ACTORS_ALLOCATION_HEAP_H
#define FTLI_ACTORS_ALLOCATION_HEAP_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "actors/allocation/free_index.h"
#include "actors/allocation/size_class.h"

#if defined __cplusplus
extern "C" {
#endif

#define FTLI_HEAPS_MOST 65536u /* ids of one space: 1..65535; 0: nobody */

/* ---- lookups by any thread; the device's address space is arena.h's ftli_space */
uint32_t ftli_heap_owner(const struct ftli_space *, const void *address);     /* id, 0: nobody's */
size_t ftli_heap_block_bytes(const struct ftli_space *, const void *address); /* of a taken span or slot, 0: neither */

/* ---- a heap */
struct ftli_heap_options {
    struct ftli_space *space;
    uint32_t id;            /* 1.. FTLI_HEAPS_MOST - 1, of its own in the space */
    bool grows;             /* takes arenas from the space: the device's heap. A child only gets segments */
    size_t huge_from_bytes; /* committed bytes from which fresh granules are advised huge; 0: never */
    /* Asked before `bytes` more are committed; false: FTL_ELIMIT. NULL: no limit. And told when they are given back. */
    bool (*charge)(void *context, size_t bytes);
    void (*uncharge)(void *context, size_t bytes);
    /* Called before charge, to give back (ftli_heap_trade) what is free elsewhere. NULL: nothing goes. */
    void (*trade)(void *context, size_t bytes);
    /* Asked where a free granule would get fresh pages: true if what a free one elsewhere holds was moved there
     * (ftli_heap_move_out). NULL: never. */
    bool (*move)(void *context, struct ftli_granule *to);
    void *context;
};

struct ftli_heap;
int ftli_heap_init(struct ftli_heap *, const struct ftli_heap_options *); /* FTL_EINVAL */
void ftli_heap_fini(struct ftli_heap *); /* gives its own metadata back; the pages are the space's */

/* ---- pages. bytes is rounded up to 4 KiB (0 counts as 1); alignment is a power of two up to 1 GiB.
 * FTL_EINVAL; FTL_ELIMIT: charge refused; FTL_ENOMEM: no address space, or, in a child, no segment has room: donate one. */
int ftli_heap_take_pages(struct ftli_heap *, size_t bytes, size_t alignment, void **out, bool *zeroed);
int ftli_heap_give_pages(struct ftli_heap *, void *address);

/* ---- slots of one size class. Takes up to n; *taken says how many (FTL_OK when at least one; else as take_pages). */
int ftli_heap_take_slots(struct ftli_heap *, unsigned size_class, void **out, unsigned n, unsigned *taken);
int ftli_heap_give_slot(struct ftli_heap *, void *address);
/* How many slots of the class can be taken without a new slab. By any thread, as a hint. */
uint32_t ftli_heap_slots_free(const struct ftli_heap *, unsigned size_class);

/* Either of the two, told apart by the page's descriptor. */
int ftli_heap_give(struct ftli_heap *, void *address);

/* ---- segments: free, multiples of 2 MiB at 2 MiB boundaries. What is committed in them stays so and moves along. */
struct ftli_segment {
    void *address;
    size_t bytes;
};
/* Out of the heap, owned by nobody until donated. As take_pages, but nothing is committed. */
int ftli_heap_detach_segment(struct ftli_heap *, size_t bytes, struct ftli_segment *out);
/* Up to n segments of wholly free granules beyond keep_bytes of free ones, highest first; how many. */
unsigned ftli_heap_detach_free_segments(struct ftli_heap *, size_t keep_bytes, struct ftli_segment *out, unsigned n);
/* A detached segment becomes the heap's. */
int ftli_heap_donate(struct ftli_heap *, const struct ftli_segment *);

/* ---- giving back to the OS. Free committed pages beyond keep_bytes, longest runs first, highest pages first, at most
 * about budget_bytes in one call (0: no bound). Returns what was given back. */
size_t ftli_heap_purge(struct ftli_heap *, size_t keep_bytes, size_t budget_bytes);
static inline size_t ftli_heap_free_resident_bytes(const struct ftli_heap *); /* free and committed */
/* Pages of slabs that hold free slots alone: those of up to `most` slabs from the cursor on go back if nothing changed in the slab
 * since the pass before, or (all) in any case. Classes of less than 1 KiB are passed by. True: the pass is over, and the cursor
 * is zero again. The pages come back, charged, when a slot in them is taken. */
struct ftli_slab_cursor {
    unsigned size_class;
    uint32_t number; /* of the slab looked at last */
    uint32_t young;  /* slabs so far that the next pass may take something from */
    uint64_t bytes;  /* given back so far */
};
bool ftli_heap_purge_slabs(struct ftli_heap *, struct ftli_slab_cursor *, uint32_t most, bool all);
/* The same for fresh pages elsewhere, also while a span of this heap is in hand: about `bytes`, in whole granules; parts: then
 * of others as well. */
size_t ftli_heap_trade(struct ftli_heap *, size_t bytes, bool parts);

/* All pages of one free, wholly committed granule of the heap go to `to`, a granule of which the caller has all pages free, by
 * a change of the page tables, which costs a hundredth of what fresh pages do; `to` loses what it held. For the caller to count:
 * `to` is committed all over, this heap as much less. False: there is none, or the system does not move. */
bool ftli_heap_move_out(struct ftli_heap *, struct ftli_granule *to);

/* ---- figures: kept incrementally, but for those of free runs */
struct ftli_heap_figures {
    uint64_t committed_bytes; /* used + free_committed */
    uint64_t used_bytes;      /* pages in taken spans and slabs, but for those that went back */
    uint64_t free_bytes;      /* pages in no span, committed or not */
    uint64_t free_committed_bytes;
    uint64_t slab_bytes;       /* pages in slabs, part of used, likewise */
    uint64_t slab_free_bytes;  /* of these: slots free, and tails */
    uint64_t short_free_bytes; /* free committed bytes in runs shorter than 1 MiB, slab_free_bytes included */
    uint64_t largest_free_run; /* bytes */
    uint64_t free_runs;
    uint64_t segments_bytes; /* granules owned: used + free + pages of slabs that went back */
    uint64_t metadata_bytes; /* descriptors and slab headers of this heap */
};
void ftli_heap_figures(const struct ftli_heap *, struct ftli_heap_figures *);

/* Walks everything; true when every invariant holds, else says in `why` which equation failed, with the values. */
bool ftli_heap_check(const struct ftli_heap *, char *why, size_t why_bytes);

/* ---- the inside, here so that an actor's state can hold it by value */
#define FTLI_RUN_PAGES 256u /* a free run of 1 MiB or more can serve a large tensor: the fragmentation figure */
static_assert(FTLI_RUN_PAGES <= FTLI_EXACT_BINS, "shorter runs are summed by their bins");

struct ftli_slab_class {
    struct ftli_slab *partial;  /* the slabs with a free slot, a tree by number */
    struct ftli_slab *spare;    /* the one wholly free slab that is kept; not in `partial` */
    ftli_atomic_u32 slots_free; /* of its slabs, the spare one included; others may read it, as a hint */
    uint64_t pages;
    uint32_t made_lately; /* slabs, halved when spares are released */
};

struct ftli_heap {
    struct ftli_heap_options options;
    uint64_t granules;        /* owned; used + free pages = granules * 512 */
    uint64_t used_pages;      /* in taken spans and slabs */
    uint64_t gone_pages;      /* of them: in slabs, given back */
    uint64_t committed_pages; /* used - gone + free committed */
    uint64_t rest_runs;       /* free runs in `rest` */
    uint64_t rest_short;      /* committed pages of those that are shorter than FTLI_RUN_PAGES */
    uint64_t slab_pages, slab_used_bytes;
    uint64_t metadata_bytes;
    bool any_huge;                  /* some granule is or was advised */
    struct ftli_slab *slabs_unused; /* headers */
    struct ftli_slab_chunk *chunks; /* their memory, newest first */
    struct ftli_slab_class classes[FTLI_SLOT_CLASSES];
    struct ftli_free_index whole; /* free spans of which every page is committed */
    struct ftli_free_index rest;  /* the other free spans */
};

static inline size_t ftli_heap_free_resident_bytes(const struct ftli_heap *heap)
{
    return (size_t)(heap->committed_pages + heap->gone_pages - heap->used_pages) << FTLI_PAGE_SHIFT;
}

#if defined __cplusplus
}
#endif
#endif
