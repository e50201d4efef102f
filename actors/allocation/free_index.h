/* The free spans of a heap, found by length.
 *
 * What       Bins by length: exact ones up to 511 pages, above that eight a doubling; in each bin a treap (Seidel and
 *            Aragon, 1996) ordered by (pages, number), its priorities a hash of the number. A bitmap names the bins that
 *            are not empty. Best fit, lowest number first, is a look at the bitmap and the leftmost node.
 * Owns       Nothing: the nodes are the descriptors of the spans' first pages (pages, committed, left, right).
 * Threads    The heap's owner.
 * Cost       O(log n) in the spans of one bin, which usually holds few.
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

struct ftli_bin {
    uint32_t root;      /* number of a span's first page, 0: the bin is empty */
    uint32_t committed; /* spans in it with committed pages */
};

static_assert(FTLI_BIN_WORDS < 32, "a word names the words of the bitmap");

struct ftli_free_index {
    const struct ftli_space *space;
    uint64_t filled[FTLI_BIN_WORDS]; /* bins that are not empty */
    uint32_t words;                  /* words of `filled` that are not 0 */
    struct ftli_bin bins[FTLI_BINS];
};

unsigned ftli_free_index_bin(uint32_t pages);

/* The span's first descriptor has pages and committed set. */
void ftli_free_index_insert(struct ftli_free_index *, uint32_t number);
void ftli_free_index_remove(struct ftli_free_index *, uint32_t number);

/* The shortest span of at least `pages`, among equals the lowest; 0: none. */
uint32_t ftli_free_index_fit(const struct ftli_free_index *, uint32_t pages);

/* The last span of the bin in the order (pages, number) before that position; 0: none. (UINT32_MAX, ..): the last. */
uint32_t ftli_free_index_before(const struct ftli_free_index *, unsigned bin, uint32_t pages, uint32_t number);

/* The longest free span's pages, 0: none. */
uint32_t ftli_free_index_longest(const struct ftli_free_index *);

#if defined __cplusplus
}
#endif
#endif
