#include "actors/allocation/free_index.h"

static inline struct ftli_page *node(const struct ftli_free_index *index, uint32_t number)
{
    return ftli_space_page(index->space, number);
}

static inline uint32_t priority(uint32_t number)
{
    uint32_t x = number * 0x9e3779b1u;
    return (x ^ (x >> 15)) * 0x85ebca77u;
}

static inline uint64_t key(uint32_t pages, uint32_t number)
{
    return (uint64_t)pages << 32 | number;
}

static inline uint64_t node_key(const struct ftli_page *page, uint32_t number)
{
    return key(page->pages, number);
}

unsigned ftli_free_index_bin(uint32_t pages)
{
    if (pages < FTLI_EXACT_BINS) {
        return pages;
    }
    unsigned doubling = 31u - (unsigned)__builtin_clz(pages);
    return FTLI_EXACT_BINS + (doubling - 9u) * 8u + ((pages >> (doubling - 3u)) & 7u);
}

/* Cuts the tree into what comes before `at` and what comes after. */
static void split(const struct ftli_free_index *index, uint32_t tree, uint64_t at, uint32_t *before, uint32_t *after)
{
    while (tree) {
        struct ftli_page *page = node(index, tree);
        if (node_key(page, tree) < at) {
            *before = tree;
            before = &page->right;
            tree = page->right;
        } else {
            *after = tree;
            after = &page->left;
            tree = page->left;
        }
    }
    *before = 0;
    *after = 0;
}

void ftli_free_index_insert(struct ftli_free_index *index, uint32_t number)
{
    struct ftli_page *page = node(index, number);
    unsigned bin = ftli_free_index_bin(page->pages);
    uint64_t at = node_key(page, number);
    uint32_t mine = priority(number);
    index->bins[bin].committed += page->committed != 0;
    uint32_t *link = &index->bins[bin].root;
    while (*link && priority(*link) > mine) {
        struct ftli_page *other = node(index, *link);
        link = node_key(other, *link) < at ? &other->right : &other->left;
    }
    if (*link) {
        split(index, *link, at, &page->left, &page->right);
    } else {
        page->left = page->right = 0;
    }
    *link = number;
    index->filled[bin / 64] |= (uint64_t)1 << (bin % 64);
    index->words |= 1u << (bin / 64);
}

void ftli_free_index_remove(struct ftli_free_index *index, uint32_t number)
{
    struct ftli_page *page = node(index, number);
    unsigned bin = ftli_free_index_bin(page->pages);
    uint64_t at = node_key(page, number);
    index->bins[bin].committed -= page->committed != 0;
    uint32_t *link = &index->bins[bin].root;
    while (*link != number) {
        struct ftli_page *other = node(index, *link);
        link = node_key(other, *link) < at ? &other->right : &other->left;
    }
    uint32_t left = page->left, right = page->right;
    while (left && right) { /* joins the two subtrees where the node was */
        if (priority(left) > priority(right)) {
            *link = left;
            link = &node(index, left)->right;
            left = *link;
        } else {
            *link = right;
            link = &node(index, right)->left;
            right = *link;
        }
    }
    *link = left ? left : right;
    if (!index->bins[bin].root) {
        index->filled[bin / 64] &= ~((uint64_t)1 << (bin % 64));
        index->words &= index->filled[bin / 64] ? ~0u : ~(1u << (bin / 64));
    }
}

/* The first bin from `bin` on that is not empty; FTLI_BINS: none. */
static unsigned filled_from(const struct ftli_free_index *index, unsigned bin)
{
    unsigned word = bin / 64;
    uint64_t bits = word < FTLI_BIN_WORDS ? index->filled[word] & (~(uint64_t)0 << (bin % 64)) : 0;
    if (!bits) {
        uint32_t words = index->words & (~(uint32_t)0 << word << 1);
        if (!words) {
            return FTLI_BINS;
        }
        word = (unsigned)__builtin_ctz(words);
        bits = index->filled[word];
    }
    return word * 64 + (unsigned)__builtin_ctzll(bits);
}

uint32_t ftli_free_index_fit(const struct ftli_free_index *index, uint32_t pages)
{
    unsigned bin = ftli_free_index_bin(pages);
    uint64_t at = key(pages, 0);
    if (bin >= FTLI_EXACT_BINS) { /* its spans may be too short */
        uint32_t found = 0;
        for (uint32_t n = index->bins[bin].root; n;) {
            const struct ftli_page *page = node(index, n);
            if (node_key(page, n) >= at) {
                found = n;
                n = page->left;
            } else {
                n = page->right;
            }
        }
        if (found) {
            return found;
        }
        bin++;
    }
    bin = filled_from(index, bin);
    if (bin >= FTLI_BINS) {
        return 0;
    }
    uint32_t n = index->bins[bin].root;
    for (uint32_t left; (left = node(index, n)->left) != 0;) {
        n = left;
    }
    return n;
}

uint32_t ftli_free_index_before(const struct ftli_free_index *index, unsigned bin, uint32_t pages, uint32_t number)
{
    uint64_t at = key(pages, number);
    uint32_t found = 0;
    for (uint32_t n = index->bins[bin].root; n;) {
        const struct ftli_page *page = node(index, n);
        if (node_key(page, n) < at) {
            found = n;
            n = page->right;
        } else {
            n = page->left;
        }
    }
    return found;
}

uint32_t ftli_free_index_longest(const struct ftli_free_index *index)
{
    if (!index->words) {
        return 0;
    }
    unsigned word = 31u - (unsigned)__builtin_clz(index->words);
    unsigned bin = word * 64 + 63u - (unsigned)__builtin_clzll(index->filled[word]);
    return node(index, ftli_free_index_before(index, bin, UINT32_MAX, 0))->pages;
}
