/* A shelf: what a shard keeps at hand of middle sizes, above the classes. FREE headers with their blocks, by the exact length of the
 * block in pages.
 *
 * What      A drop lays the header there with its block, the next new of that length takes both: no heap, no message, no clock.
 *           The newest first. When it is full the heap gets back what lies under the hand that goes round the places; when the
 *           heap has no committed room left, when memory is short, and when nobody took from it between two ticks: all.
 * Owns      The headers on it and their blocks, which count as used in the heap and as common among what is cached.
 * Threads   Who holds the latch. It is only ever tried: a new goes on to the next shelf, a drop posts instead. Who holds it takes no
 *           token but by trying. `bytes` and the places are read by anybody, as hints.
 * Invariant bytes = the blocks on it <= the device's shelf bytes, unless it is one block alone.
 */
#ifndef FTLI_ACTORS_ALLOCATION_SHELF_H
#define FTLI_ACTORS_ALLOCATION_SHELF_H

#include "actors/allocation/arena.h"
#include "tensor/header.h"

#define FTLI_SHELF_PAGES  256u /* the longest block */
#define FTLI_SHELF_PLACES (FTLI_SHELF_PAGES + 1)
#define FTLI_SHELF_NONE   0u /* a place that stays empty */

struct ftli_shelf {
    FTLI_ALIGNED(64) ftli_atomic_u32 latch; /* 1: held. pairs: shelf-latch */
    uint32_t hand;                          /* place whose blocks go next when it is full */
    ftli_atomic_u64 bytes;
    uint64_t taken; /* ever; the tick compares */
    uint64_t taken_at_tick;
    uint64_t filled[(FTLI_SHELF_PLACES + 63) / 64]; /* places that may hold something: never one too few */
    ftli_atomic_pointer places[FTLI_SHELF_PLACES];  /* links of headers, the newest first */
};

/* n pages lie at place n. */
FTLI_INLINE unsigned ftli_shelf_place(uint64_t block_bytes)
{
    uint64_t pages = block_bytes >> FTLI_PAGE_SHIFT;
    return pages <= FTLI_SHELF_PAGES ? (unsigned)pages : FTLI_SHELF_NONE;
}

/* Bytes of the blocks at a place. */
FTLI_INLINE uint64_t ftli_shelf_block_bytes(unsigned place)
{
    return (uint64_t)place << FTLI_PAGE_SHIFT;
}

FTLI_INLINE uint64_t ftli_pages_block_bytes(uint64_t bytes)
{
    return bytes == 0 ? FTLI_PAGE_BYTES : (bytes + FTLI_PAGE_BYTES - 1) & ~(uint64_t)(FTLI_PAGE_BYTES - 1);
}

FTLI_INLINE bool ftli_shelf_try(struct ftli_shelf *shelf)
{
    uint32_t open = 0;
    return ftli_u32_load_relaxed(&shelf->latch) == 0 && ftli_u32_cas_acq_rel(&shelf->latch, &open, 1);
}

FTLI_INLINE void ftli_shelf_shut(struct ftli_shelf *shelf)
{
    ftli_u32_store_release(&shelf->latch, 0); /* pairs: shelf-latch */
}

/* The latch is held, in all three. */
FTLI_INLINE struct ftli_header *ftli_shelf_take(struct ftli_shelf *shelf, unsigned place)
{
    ftli_link *link = ftli_pointer_load_relaxed(&shelf->places[place]);
    if (FTLI_UNLIKELY(link == NULL))
        return NULL;
    ftli_pointer_store_relaxed(&shelf->places[place], link->next);
    ftli_u64_store_relaxed(&shelf->bytes, ftli_u64_load_relaxed(&shelf->bytes) - ftli_shelf_block_bytes(place));
    shelf->taken++;
    return ftli_header_of_link(link);
}

FTLI_INLINE void ftli_shelf_put(struct ftli_shelf *shelf, unsigned place, struct ftli_header *header)
{
    shelf->filled[place / 64] |= UINT64_C(1) << (place % 64);
    header->u.link.next = ftli_pointer_load_relaxed(&shelf->places[place]);
    ftli_pointer_store_relaxed(&shelf->places[place], &header->u.link);
    ftli_u64_store_relaxed(&shelf->bytes, ftli_u64_load_relaxed(&shelf->bytes) + ftli_shelf_block_bytes(place));
}

#endif
