/* Figures, and the validity walk: every page of every granule against the tags, the index and the counters. */
#include <stdio.h>

#include "actors/allocation/heap_inside.h"

static uint64_t short_pages(const struct ftli_heap *heap)
{
    return heap->rest_short + ftli_free_index_short_pages(&heap->whole, FTLI_RUN_PAGES);
}

static uint64_t free_runs(const struct ftli_heap *heap)
{
    return heap->rest_runs + ftli_free_index_committed(&heap->whole);
}

void ftli_heap_figures(const struct ftli_heap *heap, struct ftli_heap_figures *out)
{
    uint64_t slab_bytes = (heap->slab_pages - heap->gone_pages) << FTLI_PAGE_SHIFT,
             slab_free_bytes = slab_bytes - heap->slab_used_bytes;
    uint32_t whole = ftli_free_index_longest(&heap->whole), longest = ftli_free_index_longest(&heap->rest);
    longest = whole > longest ? whole : longest;
    *out = (struct ftli_heap_figures){
        .committed_bytes = heap->committed_pages << FTLI_PAGE_SHIFT,
        .used_bytes = (heap->used_pages - heap->gone_pages) << FTLI_PAGE_SHIFT,
        .free_bytes = ftli_heap_free_pages(heap) << FTLI_PAGE_SHIFT,
        .free_committed_bytes = ftli_heap_free_committed_pages(heap) << FTLI_PAGE_SHIFT,
        .slab_bytes = slab_bytes,
        .slab_free_bytes = slab_free_bytes,
        .short_free_bytes = (short_pages(heap) << FTLI_PAGE_SHIFT) + slab_free_bytes,
        .largest_free_run = (uint64_t)longest << FTLI_PAGE_SHIFT,
        .free_runs = free_runs(heap),
        .segments_bytes = heap->granules << FTLI_GRANULE_SHIFT,
        .metadata_bytes = heap->metadata_bytes,
    };
}

/* ---- the walk ---- */

struct walk {
    const struct ftli_heap *heap;
    char *why;
    size_t why_bytes;
    uint64_t granules, used, free, committed, free_committed, short_committed;
    uint64_t in_index; /* spans */
    struct ftli_slab_totals slabs;
    bool after_free; /* the span before is free and merged */
};

#define FAIL(walk, ...) (snprintf((walk)->why, (walk)->why_bytes, __VA_ARGS__), false)

static bool equal(struct walk *w, const char *what, uint64_t counted, uint64_t walked)
{
    return counted == walked ||
           FAIL(w, "%s: counted %llu, walked %llu", what, (unsigned long long)counted, (unsigned long long)walked);
}

static bool check_granule(struct walk *w, const struct ftli_granule *granule)
{
    unsigned written = 0;
    for (unsigned i = 0; i < FTLI_GRANULE_PAGES / 64; i++) {
        written += (unsigned)__builtin_popcountll(granule->written[i]);
    }
    bool counts = granule->written_pages == written;
    bool right = granule->huge ? granule->committed == FTLI_GRANULE_PAGES || (granule->committed == 0 && written == 0)
                               : granule->committed == written;
    w->granules++;
    w->committed += granule->committed;
    w->slabs.header_bytes += ftli_granule_metadata_bytes(granule);
    return (right && counts) || FAIL(w, "granule of page %u: committed %u, written %u = %u, huge %d", granule->number,
                                     granule->committed, granule->written_pages, written, granule->huge);
}

static bool in_index(const struct ftli_heap *heap, uint32_t number, uint32_t pages, uint32_t committed)
{
    const struct ftli_free_index *index = committed == pages ? &heap->whole : &heap->rest;
    unsigned bin = ftli_free_index_bin(pages);
    uint32_t before = bin < FTLI_EXACT_BINS ? ftli_heap_page(heap, number)->left : 0;
    for (uint32_t n = before ? before : ftli_free_index_next(index, bin, 0); n;
         n = ftli_free_index_next(index, bin, n)) {
        if (n == number) {
            return true;
        }
    }
    return false;
}

/* A run that can be given out: in the index, and its neighbours are not. */
static bool check_free(struct walk *w, uint32_t number, const struct ftli_page *head)
{
    const struct ftli_heap *heap = w->heap;
    uint32_t pages = head->pages, committed = ftli_heap_count_committed(heap, number, pages);
    const struct ftli_page *tail = ftli_heap_page(heap, number + pages - 1);
    if (pages > 1 && (tail->state != FTLI_PAGE_FREE_TAIL || tail->pages != pages)) {
        return FAIL(w, "free span at page %u: %u pages, its tail says state %u, %u pages", number, pages, tail->state,
                    tail->pages);
    }
    if (head->committed != committed || !in_index(heap, number, pages, committed)) {
        return FAIL(w, "free span at page %u: committed says %u, is %u; indexed %d", number, head->committed, committed,
                    in_index(heap, number, pages, committed));
    }
    if (w->after_free) {
        return FAIL(w, "free span at page %u was not merged with the one before it", number);
    }
    w->in_index++;
    w->short_committed += pages < FTLI_RUN_PAGES ? committed : 0;
    w->free += pages;
    w->free_committed += committed;
    return true;
}

static bool check_used(struct walk *w, uint32_t number, const struct ftli_page *head)
{
    uint32_t committed = ftli_heap_count_committed(w->heap, number, head->pages);
    w->used += head->pages;
    if (head->state == FTLI_PAGE_SLAB) {
        return ftli_heap_check_slab(w->heap, head, number, &w->slabs, w->why, w->why_bytes);
    }
    return committed == head->pages ||
           FAIL(w, "used span at page %u: %u pages, committed %u", number, head->pages, committed);
}

/* One span, which must lie wholly in the heap and have nothing tagged inside. */
static bool check_span(struct walk *w, uint32_t number, uint32_t *pages)
{
    const struct ftli_heap *heap = w->heap;
    const struct ftli_page *head = ftli_heap_page(heap, number);
    bool free = head->state == FTLI_PAGE_FREE;
    uint32_t length = head->pages;
    if (length == 0 || !(free || head->state == FTLI_PAGE_USED || head->state == FTLI_PAGE_SLAB)) {
        return FAIL(w, "page %u begins no span: state %u, %u pages", number, head->state, head->pages);
    }
    for (uint32_t i = 1; i < length; i++) {
        if (!ftli_space_joined(heap->options.space, number + i, heap->options.id)) {
            return FAIL(w, "span at page %u: %u pages leave the heap after %u", number, head->pages, i);
        }
        unsigned state = ftli_heap_page(heap, number + i)->state;
        bool tail = head->state == FTLI_PAGE_FREE && i == length - 1;
        if (state != FTLI_PAGE_NONE && !tail && head->state != FTLI_PAGE_SLAB) {
            return FAIL(w, "span at page %u, state %u: page %u inside has state %u", number, head->state, i, state);
        }
    }
    *pages = length;
    if (!(free ? check_free(w, number, head) : check_used(w, number, head))) {
        return false;
    }
    w->after_free = head->state == FTLI_PAGE_FREE;
    return true;
}

static bool check_spans(struct walk *w)
{
    const struct ftli_space *space = w->heap->options.space;
    uint32_t number = FTLI_GRANULE_PAGES, granules_seen = 0;
    for (;;) {
        /* A span may end inside a granule or begin one: granules are checked as the walk enters them. */
        uint32_t index = number / FTLI_GRANULE_PAGES;
        const struct ftli_granule *granule = index < space->granules_most ? ftli_space_granule(space, number) : NULL;
        if (!granule) {
            return true;
        }
        if (ftli_heap_owner(space, granule->address) != w->heap->options.id) {
            number = (index + 1) * FTLI_GRANULE_PAGES;
            w->after_free = false;
            continue;
        }
        if (!ftli_space_joined(space, number, w->heap->options.id)) {
            w->after_free = false;
        }
        uint32_t pages;
        if (!check_span(w, number, &pages)) {
            return false;
        }
        uint32_t first = number % FTLI_GRANULE_PAGES ? index + 1 : index;
        for (uint32_t i = first > granules_seen ? first : granules_seen; i * FTLI_GRANULE_PAGES < number + pages; i++) {
            if (!check_granule(w, ftli_space_granule(space, i * FTLI_GRANULE_PAGES))) {
                return false;
            }
            granules_seen = i + 1;
        }
        number += pages;
    }
}

static bool check_bins(struct walk *w, const struct ftli_free_index *index, uint64_t *spans)
{
    for (unsigned bin = 1; bin < FTLI_BINS; bin++) {
        uint32_t number = 0, committed = 0, seen = 0, left = 0;
        while ((number = ftli_free_index_next(index, bin, number)) != 0) {
            const struct ftli_page *page = ftli_heap_page(w->heap, number);
            if (ftli_free_index_bin(page->pages) != bin || (bin < FTLI_EXACT_BINS && page->left != left)) {
                return FAIL(w, "bin %u: the span at page %u has %u pages, and after %u it says %u", bin, number,
                            page->pages, left, page->left);
            }
            left = number;
            committed += page->committed != 0;
            seen++;
        }
        bool filled = index->filled[bin / 64] >> (bin % 64) & 1;
        if (committed != index->committed[bin] || (seen != 0 && !filled)) {
            return FAIL(w, "bin %u: %u committed spans counted, %u walked; %u spans, marked %d", bin,
                        index->committed[bin], committed, seen, filled);
        }
        *spans += seen;
    }
    return true;
}

bool ftli_heap_check(const struct ftli_heap *heap, char *why, size_t why_bytes)
{
    struct walk w = {.heap = heap, .why = why, .why_bytes = why_bytes};
    uint64_t spans = 0;
    if (!check_spans(&w) || !check_bins(&w, &heap->whole, &spans) || !check_bins(&w, &heap->rest, &spans)) {
        return false;
    }
    return equal(&w, "spans in the indices", spans, w.in_index) &&
           equal(&w, "free runs", free_runs(heap), w.in_index) && equal(&w, "granules", heap->granules, w.granules) &&
           equal(&w, "used pages", heap->used_pages, w.used) &&
           equal(&w, "free pages", ftli_heap_free_pages(heap), w.free) &&
           equal(&w, "committed pages", heap->committed_pages, w.committed) &&
           equal(&w, "pages of slabs that went back", heap->gone_pages, w.slabs.gone) &&
           equal(&w, "committed = used + free committed", w.committed, w.used - w.slabs.gone + w.free_committed) &&
           equal(&w, "committed pages in short runs", short_pages(heap), w.short_committed) &&
           ftli_heap_check_slab_trees(heap, &w.slabs, why, why_bytes);
}
