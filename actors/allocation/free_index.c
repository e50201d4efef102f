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

void ftli_free_index_insert_among(struct ftli_free_index *index, struct ftli_page *page, uint32_t number, unsigned bin)
{
    uint64_t at = node_key(page, number);
    uint32_t mine = priority(number);
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
}

void ftli_free_index_remove_among(struct ftli_free_index *index, const struct ftli_page *page, uint32_t number,
                                  unsigned bin)
{
    uint64_t at = node_key(page, number);
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
    bin = ftli_free_index_filled_from(index, bin);
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
