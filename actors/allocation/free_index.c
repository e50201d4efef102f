#include "actors/allocation/free_index.h"

static inline struct ftli_page *node(const struct ftli_free_index *index, uint32_t number)
{
    return ftli_page_at(index->pages, number);
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
    uint32_t *link = &index->first[bin];
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
    uint32_t *link = &index->first[bin];
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

uint32_t ftli_free_index_fit(struct ftli_free_index *index, uint32_t pages)
{
    unsigned bin = ftli_free_index_bin(pages);
    uint64_t at = key(pages, 0);
    if (bin >= FTLI_EXACT_BINS) { /* its spans may be too short */
        uint32_t found = 0;
        for (uint32_t n = index->first[bin]; n;) {
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
        if (++bin == FTLI_BINS) {
            return 0;
        }
    }
    uint32_t n = ftli_free_index_from(index, &bin);
    if (n && bin >= FTLI_EXACT_BINS) {
        for (uint32_t left; (left = node(index, n)->left) != 0;) {
            n = left;
        }
    }
    return n;
}

/* The last of the tree before `at`. */
static uint32_t before(const struct ftli_free_index *index, uint32_t tree, uint64_t at)
{
    uint32_t found = 0;
    while (tree) {
        const struct ftli_page *page = node(index, tree);
        if (node_key(page, tree) < at) {
            found = tree;
            tree = page->right;
        } else {
            tree = page->left;
        }
    }
    return found;
}

uint32_t ftli_free_index_next(const struct ftli_free_index *index, unsigned bin, uint32_t number)
{
    if (bin >= FTLI_EXACT_BINS) {
        return before(index, index->first[bin], number ? node_key(node(index, number), number) : UINT64_MAX);
    }
    return number ? node(index, number)->right : index->first[bin];
}

uint32_t ftli_free_index_longest(const struct ftli_free_index *index)
{
    for (unsigned word = FTLI_BIN_WORDS; word-- > 0;) {
        for (uint64_t bits = index->filled[word]; bits;) {
            unsigned bit = 63u - (unsigned)__builtin_clzll(bits);
            uint32_t number = ftli_free_index_next(index, word * 64 + bit, 0);
            if (number) {
                return node(index, number)->pages;
            }
            bits &= ~((uint64_t)1 << bit);
        }
    }
    return 0;
}

uint64_t ftli_free_index_short_pages(const struct ftli_free_index *index, uint32_t pages)
{
    uint64_t sum = 0;
    for (unsigned word = 0; word < FTLI_EXACT_BINS / 64; word++) {
        for (uint64_t bits = index->filled[word]; bits; bits &= bits - 1) {
            uint32_t bin = word * 64 + (uint32_t)__builtin_ctzll(bits);
            sum += bin < pages ? (uint64_t)bin * index->committed[bin] : 0;
        }
    }
    return sum;
}

uint64_t ftli_free_index_committed(const struct ftli_free_index *index)
{
    uint64_t sum = 0;
    for (unsigned word = 0; word < FTLI_BIN_WORDS; word++) {
        for (uint64_t bits = index->filled[word]; bits; bits &= bits - 1) {
            sum += index->committed[word * 64 + (unsigned)__builtin_ctzll(bits)];
        }
    }
    return sum;
}
