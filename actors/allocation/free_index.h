/* The free spans of a heap, found by length.
 *
 * What       Bins by length: exact ones up to 511 pages, each a list, the newest first; above that eight a doubling, each
 *            a treap (Seidel and Aragon, 1996) ordered by (pages, number), its priorities a hash of the number. A bitmap names
 *            the bins that may hold one. Best fit is a look at the bitmap.
 * Owns       Nothing: the nodes are the descriptors of the spans' first pages (pages, committed, left, right).
 * Threads    The heap's owner.
 * Cost       Constant, and few instructions, for the exact bins; else O(log n) in the spans of one bin.
 */
#ifndef FTLI_ACTORS_ALLOCATION_FREE_INDEX_H
#define FTLI_ACTORS_ALLOCATION_FREE_INDEX_H

#include "actors/allocation/arena.h"

#if defined __cplusplus
extern "C" {
#endif

#define FTLI_EXACT_BINS 512u
#define FTLI_BINS       (FTLI_EXACT_BINS + 152u) /* up to FTLI_SPAN_MOST */
#define FTLI_BIN_WORDS  ((FTLI_BINS + 63u) / 64u)

struct ftli_free_index {
    const ftli_atomic_pointer *pages; /* the space's */
    uint64_t filled[FTLI_BIN_WORDS];  /* bins that may hold a span: never one too few */
    uint32_t first[FTLI_BINS];        /* number of a span's first page, the first of a list or the root; 0: empty */
    uint32_t committed[FTLI_BINS];    /* spans in the bin with committed pages */
};

FTLI_INLINE unsigned ftli_free_index_bin(uint32_t pages)
{
    if (FTLI_LIKELY(pages < FTLI_EXACT_BINS)) {
        return pages;
    }
    unsigned doubling = 31u - (unsigned)__builtin_clz(pages);
    return FTLI_EXACT_BINS + (doubling - 9u) * 8u + ((pages >> (doubling - 3u)) & 7u);
}

/* The first bin from `bin` on that holds a span, and its first; 0: none. What is marked and empty is unmarked by the way. */
FTLI_INLINE uint32_t ftli_free_index_from(struct ftli_free_index *index, unsigned *bin)
{
    unsigned word = *bin / 64;
    for (uint64_t bits = index->filled[word] & (~(uint64_t)0 << (*bin % 64));;) {
        while (!bits) {
            if (FTLI_UNLIKELY(++word == FTLI_BIN_WORDS)) {
                return 0;
            }
            bits = index->filled[word];
        }
        *bin = word * 64 + (unsigned)__builtin_ctzll(bits);
        uint32_t number = index->first[*bin];
        if (FTLI_LIKELY(number)) {
            return number;
        }
        index->filled[word] &= ~(bits & -bits);
        bits &= bits - 1;
    }
}

/* The shortest span of at least `pages`, among equals of an exact bin the one that came last, else the lowest; 0: none. */
uint32_t ftli_free_index_fit(struct ftli_free_index *, uint32_t pages);

void ftli_free_index_insert_among(struct ftli_free_index *, struct ftli_page *, uint32_t number, unsigned bin);
void ftli_free_index_remove_among(struct ftli_free_index *, const struct ftli_page *, uint32_t number, unsigned bin);

/* page: of the span's first page, `number`; its tag is written. committed: whether it has committed pages. */
FTLI_INLINE void ftli_free_index_insert(struct ftli_free_index *index, struct ftli_page *page, uint32_t number,
                                        uint32_t pages, bool committed)
{
    unsigned bin = ftli_free_index_bin(pages);
    uint32_t next = index->first[bin];
    index->committed[bin] += committed;
    page->left = 0;
    page->right = next;
    index->first[bin] = number;
    if (next == 0) {
        index->filled[bin / 64] |= (uint64_t)1 << (bin % 64);
    } else if (FTLI_LIKELY(bin < FTLI_EXACT_BINS)) {
        ftli_page_at(index->pages, next)->left = number;
    } else {
        index->first[bin] = next;
        ftli_free_index_insert_among(index, page, number, bin);
    }
}

/* Its removal from a tree of several is a call; all others are a few instructions. */
FTLI_INLINE bool ftli_free_index_is_among(const struct ftli_free_index *index, const struct ftli_page *page,
                                          uint32_t number, uint32_t pages)
{
    return FTLI_UNLIKELY(pages >= FTLI_EXACT_BINS) &&
           ((page->left | page->right) != 0 || index->first[ftli_free_index_bin(pages)] != number);
}

FTLI_INLINE void ftli_free_index_remove(struct ftli_free_index *index, const struct ftli_page *page, uint32_t number,
                                        uint32_t pages, bool committed)
{
    unsigned bin = ftli_free_index_bin(pages);
    index->committed[bin] -= committed;
    if (ftli_free_index_is_among(index, page, number, pages)) {
        ftli_free_index_remove_among(index, page, number, bin);
        return;
    }
    uint32_t before = page->left, next = page->right;
    if (before) {
        ftli_page_at(index->pages, before)->right = next;
    } else {
        index->first[bin] = next;
    }
    if (next) {
        ftli_page_at(index->pages, next)->left = before;
    }
}

/* Takes out what ftli_free_index_fit finds, if that is not in a tree of several; all of the index's spans have committed pages.
 * pages: less than FTLI_EXACT_BINS. 0: it is, or there is none. */
FTLI_INLINE uint32_t ftli_free_index_take_fit(struct ftli_free_index *index, uint32_t pages, struct ftli_page **page)
{
    unsigned bin = pages;
    uint32_t number = ftli_free_index_from(index, &bin);
    if (FTLI_UNLIKELY(number == 0)) {
        return 0;
    }
    *page = ftli_page_at(index->pages, number);
    uint32_t next = (*page)->right;
    if (FTLI_UNLIKELY(bin >= FTLI_EXACT_BINS) && (next | (*page)->left) != 0) {
        return 0;
    }
    index->committed[bin]--;
    index->first[bin] = next;
    if (next) {
        ftli_page_at(index->pages, next)->left = 0;
    } else { /* the bins around it are asked next */
        index->filled[bin / 64] &= ~((uint64_t)1 << (bin % 64));
    }
    return number;
}

/* The spans of a bin one after the other: the first for number 0, then what follows one that is in it; 0: no more. The longest and
 * highest first, but for the exact bins, whose order is that of their list. */
uint32_t ftli_free_index_next(const struct ftli_free_index *, unsigned bin, uint32_t number);

/* The longest free span's pages, 0: none. */
uint32_t ftli_free_index_longest(const struct ftli_free_index *);
uint64_t ftli_free_index_short_pages(const struct ftli_free_index *, uint32_t pages);
uint64_t ftli_free_index_committed(const struct ftli_free_index *); /* spans with committed pages */

#if defined __cplusplus
}
#endif
#endif
