/* What the files of the heap share: spans in and out of the index, and commitment. For heap*.c only.
 *
 * Numbers are page numbers of the heap's space. A span passed around as (number, pages) lies in granules of this heap.
 */
#ifndef FTLI_ACTORS_ALLOCATION_HEAP_INSIDE_H
#define FTLI_ACTORS_ALLOCATION_HEAP_INSIDE_H

#include <fettle/fettle.h>

#include "actors/allocation/heap.h"
#include "runtime/base/assert.h"

#if defined __cplusplus
extern "C" {
#endif

#define FTLI_PAGES_BITS 0x0fffffffu

static inline struct ftli_page *ftli_heap_page(const struct ftli_heap *heap, uint32_t number)
{
    return ftli_page_at(heap->whole.pages, number);
}

struct ftli_free_span {
    uint32_t number, pages, committed;
    bool moved_in; /* some of it got the memory of other granules: nothing is known to be zero */
};

static inline uint64_t ftli_heap_free_pages(const struct ftli_heap *heap)
{
    return heap->granules * FTLI_GRANULE_PAGES - heap->used_pages;
}

static inline uint64_t ftli_heap_free_committed_pages(const struct ftli_heap *heap)
{
    return heap->committed_pages + heap->gone_pages - heap->used_pages;
}

/* The part of a span that lies in one granule: pages from..to - 1 of it. */
struct ftli_piece {
    struct ftli_granule *granule;
    unsigned from, to;
};

/* The piece that begins at `number` of the span that ends before `end`. */
static inline struct ftli_piece ftli_heap_piece(const struct ftli_heap *heap, uint32_t number, uint32_t end)
{
    unsigned from = number % FTLI_GRANULE_PAGES;
    uint32_t left = end - number;
    unsigned to = left < FTLI_GRANULE_PAGES - from ? from + left : FTLI_GRANULE_PAGES;
    return (struct ftli_piece){ftli_space_granule(heap->options.space, number), from, to};
}

/* The bits of word `word` of a granule's bitmap that stand for pages from..to - 1. */
static inline uint64_t ftli_word_mask(unsigned word, unsigned from, unsigned to)
{
    unsigned low = from > word * 64 ? from - word * 64 : 0;
    unsigned high = to < word * 64 + 64 ? to - word * 64 : 64;
    FTLI_ASSERT(low < high, "pages %u to %u of word %u", from, to, word);
    return (~(uint64_t)0 >> (64 - (high - low))) << low;
}

static inline bool ftli_piece_whole(struct ftli_piece piece)
{
    return piece.from == 0 && piece.to == FTLI_GRANULE_PAGES;
}

/* ---- heap_free.c: the index and its tags. Totals of pages (used, free, committed) are the callers' business. */
/* Tags and indexes a free span of at most FTLI_SPAN_MOST pages, whose descriptors are counted and whose neighbours are not free. */
static inline void ftli_heap_tag_free(struct ftli_free_index *index, struct ftli_page *head, struct ftli_page *tail,
                                      uint32_t number, uint32_t pages, uint32_t committed)
{
    tail->tag = FTLI_PAGE_TAG(FTLI_PAGE_FREE_TAIL, pages);
    head->tag = FTLI_PAGE_TAG(FTLI_PAGE_FREE, pages); /* of one page it is both */
    head->committed = committed;
    ftli_free_index_insert(index, head, number, pages, committed != 0);
}

static inline void ftli_heap_tag_whole(struct ftli_heap *heap, struct ftli_page *head, struct ftli_page *tail,
                                       uint32_t number, uint32_t pages)
{
    tail->tag = FTLI_PAGE_TAG(FTLI_PAGE_FREE_TAIL, pages);
    head->tag = FTLI_PAGE_TAG(FTLI_PAGE_FREE, pages); /* of one page it is both */
    head->committed = pages;
    ftli_free_index_insert(&heap->whole, head, number, pages, true);
}

void ftli_heap_add_free(struct ftli_heap *, uint32_t number, uint32_t pages, uint32_t committed); /* does not merge */
void ftli_heap_put_free(struct ftli_heap *, uint32_t number, uint32_t pages, uint32_t committed); /* merges */
struct ftli_free_span ftli_heap_take_free(struct ftli_heap *, uint32_t number); /* the one that begins there */
/* Puts back what is left of a span taken out when start..start + pages - 1 of it, of which `committed` are, leave it. */
void ftli_heap_carve(struct ftli_heap *, struct ftli_free_span, uint32_t start, uint32_t pages, uint32_t committed);
/* A free span, where in it `pages` fit at the alignment (bytes), and how many of them are not committed; FTL_ENOMEM. */
int ftli_heap_find_or_grow(struct ftli_heap *, uint32_t pages, size_t alignment, uint32_t *number, uint32_t *start,
                           uint32_t *need);
/* ---- heap.c */
int ftli_heap_take_span(struct ftli_heap *, uint32_t pages, size_t alignment, uint32_t *number, bool *zeroed);
void ftli_heap_give_span(struct ftli_heap *, uint32_t number, uint32_t pages); /* was used, its head is marked so */

/* ---- heap_commit.c */
uint32_t ftli_heap_count_committed(const struct ftli_heap *, uint32_t number, uint32_t pages);
bool ftli_heap_all_zero(const struct ftli_heap *, uint32_t number, uint32_t pages);
/* Makes some pages of a free span usable; its count follows (a huge granule is committed whole, all of it inside the span).
 * FTL_ELIMIT changes nothing. */
int ftli_heap_commit(struct ftli_heap *, struct ftli_free_span *, uint32_t number, uint32_t pages);
/* In a heap with huge granules, whose pages may be committed and not written: these are in use. True: none was written before. */
bool ftli_heap_write_huge(struct ftli_heap *, uint32_t number, uint32_t pages);
/* Leave for so many pages more, after what the device has go back for them. FTL_ELIMIT. */
int ftli_heap_charge(struct ftli_heap *, uint32_t pages);
/* Pages of a slab that went back are used again, and charged. */
void ftli_heap_bring_back(struct ftli_heap *, uint32_t number);
/* The page's descriptor is written: it and its neighbours are resident from now on. */
void ftli_heap_count_metadata(struct ftli_heap *, uint32_t number);
size_t ftli_granule_metadata_bytes(const struct ftli_granule *);

/* ---- heap_purge.c: pages in use whose contents nobody needs; how many went back (none: the system refused). */
uint32_t ftli_heap_discard(struct ftli_heap *, uint32_t number, uint32_t pages);

/* ---- heap_slab.c */
/* A slot back to its slab; FTL_EINTERNAL: no slot in use begins there. */
int ftli_heap_give_to_slab(struct ftli_heap *, struct ftli_slab *, const char *address);
void ftli_heap_release_spare_slabs(struct ftli_heap *);
void ftli_heap_fini_slabs(struct ftli_heap *);
struct ftli_slab_totals {
    uint64_t pages, gone, used_bytes, free_slots, partial;
    uint64_t header_bytes; /* on the way in: of the descriptors; slab headers are added to it */
};
/* The slab whose first page is `number`; then, when all were seen, the trees against the totals. */
bool ftli_heap_check_slab(const struct ftli_heap *, const struct ftli_page *, uint32_t number,
                          struct ftli_slab_totals *, char *why, size_t why_bytes);
bool ftli_heap_check_slab_trees(const struct ftli_heap *, const struct ftli_slab_totals *, char *why, size_t why_bytes);

#if defined __cplusplus
}
#endif
#endif
