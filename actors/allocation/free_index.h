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

FTLI_INLINE unsigned ftli_free_index_bin(uint32_t pages)
{
    if (FTLI_LIKELY(pages < FTLI_EXACT_BINS)) {
        return pages;
    }
    unsigned doubling = 31u - (unsigned)__builtin_clz(pages);
    return FTLI_EXACT_BINS + (doubling - 9u) * 8u + ((pages >> (doubling - 3u)) & 7u);
}

/* The first bin from `bin` on that is not empty; FTLI_BINS: none. */
FTLI_INLINE unsigned ftli_free_index_filled_from(const struct ftli_free_index *index, unsigned bin)
{
    unsigned word = bin / 64;
    uint64_t bits = word < FTLI_BIN_WORDS ? index->filled[word] >> (bin % 64) : 0;
    if (bits) {
        return bin + (unsigned)__builtin_ctzll(bits);
    }
    uint32_t words = index->words & (~(uint32_t)1 << word);
    if (FTLI_UNLIKELY(!words)) {
        return FTLI_BINS;
    }
    word = (unsigned)__builtin_ctz(words);
    return word * 64 + (unsigned)__builtin_ctzll(index->filled[word]);
}

FTLI_INLINE void ftli_free_index_unmark(struct ftli_free_index *index, unsigned bin)
{
    uint64_t left = index->filled[bin / 64] & ~((uint64_t)1 << (bin % 64));
    index->filled[bin / 64] = left;
    if (!left) {
        index->words &= ~(1u << (bin / 64));
    }
}

void ftli_free_index_insert_among(struct ftli_free_index *, struct ftli_page *, uint32_t number, unsigned bin);
void ftli_free_index_remove_among(struct ftli_free_index *, const struct ftli_page *, uint32_t number, unsigned bin);

/* page: of the span's first page, `number`; it has pages and committed set. */
FTLI_INLINE void ftli_free_index_insert(struct ftli_free_index *index, struct ftli_page *page, uint32_t number)
{
    unsigned bin = ftli_free_index_bin(page->pages);
    index->bins[bin].committed += page->committed != 0;
    if (index->bins[bin].root) {
        ftli_free_index_insert_among(index, page, number, bin);
        return;
    }
    page->left = page->right = 0;
    index->bins[bin].root = number;
    index->filled[bin / 64] |= (uint64_t)1 << (bin % 64);
    index->words |= 1u << (bin / 64);
}

FTLI_INLINE void ftli_free_index_remove(struct ftli_free_index *index, const struct ftli_page *page, uint32_t number)
{
    unsigned bin = ftli_free_index_bin(page->pages);
    index->bins[bin].committed -= page->committed != 0;
    if (index->bins[bin].root != number || page->left || page->right) {
        ftli_free_index_remove_among(index, page, number, bin);
        return;
    }
    index->bins[bin].root = 0;
    ftli_free_index_unmark(index, bin);
}

/* Takes out what ftli_free_index_fit finds, for less than FTLI_EXACT_BINS pages. */
FTLI_INLINE uint32_t ftli_free_index_take_fit(struct ftli_free_index *index, uint32_t pages, struct ftli_page **page)
{
    unsigned bin = ftli_free_index_filled_from(index, pages);
    if (FTLI_UNLIKELY(bin >= FTLI_BINS)) {
        return 0;
    }
    uint32_t *link = &index->bins[bin].root, number = *link;
    struct ftli_page *found = ftli_space_page(index->space, number);
    while (found->left) {
        link = &found->left;
        number = *link;
        found = ftli_space_page(index->space, number);
    }
    *link = found->right;
    index->bins[bin].committed -= found->committed != 0;
    if (!index->bins[bin].root) {
        ftli_free_index_unmark(index, bin);
    }
    *page = found;
    return number;
}

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
