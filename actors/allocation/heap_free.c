/* Free spans of any kind: tagged, indexed, merged, cut, and found. */
#include "actors/allocation/heap_inside.h"

#define REST_TRIES 32

static uint32_t short_pages(uint32_t pages, uint32_t committed)
{
    return pages < FTLI_RUN_PAGES ? committed : 0;
}

static struct ftli_free_index *index_of(struct ftli_heap *heap, uint32_t pages, uint32_t committed)
{
    return committed == pages ? &heap->whole : &heap->rest;
}

void ftli_heap_add_free(struct ftli_heap *heap, uint32_t number, uint32_t pages, uint32_t committed)
{
    ftli_heap_count_metadata(heap, number); /* may not be resident yet */
    ftli_heap_count_metadata(heap, number + pages - 1);
    ftli_heap_tag_free(index_of(heap, pages, committed), ftli_heap_page(heap, number),
                       ftli_heap_page(heap, number + pages - 1), number, pages, committed);
    if (committed != pages) {
        heap->rest_runs++;
        heap->rest_short += short_pages(pages, committed);
    }
}

struct ftli_free_span ftli_heap_take_free(struct ftli_heap *heap, uint32_t number)
{
    struct ftli_page *head = ftli_heap_page(heap, number);
    uint32_t pages = head->pages, committed = head->committed;
    ftli_free_index_remove(index_of(heap, pages, committed), head, number, pages, committed != 0);
    head->state = FTLI_PAGE_NONE;
    if (pages > 1) {
        ftli_heap_page(heap, number + pages - 1)->state = FTLI_PAGE_NONE;
    }
    if (committed != pages) {
        heap->rest_runs--;
        heap->rest_short -= short_pages(pages, committed);
    }
    return (struct ftli_free_span){number, pages, committed, false};
}

void ftli_heap_put_free(struct ftli_heap *heap, uint32_t number, uint32_t pages, uint32_t committed)
{
    const struct ftli_space *space = heap->options.space;
    uint32_t end = number + pages;
    if (ftli_space_joined(space, number, heap->options.id)) {
        const struct ftli_page *before = ftli_heap_page(heap, number - 1);
        if (before->state == FTLI_PAGE_FREE_TAIL || (before->state == FTLI_PAGE_FREE && before->pages == 1)) {
            number -= before->pages;
            committed += ftli_heap_page(heap, number)->committed;
            ftli_heap_take_free(heap, number);
        }
    }
    if (ftli_space_joined(space, end, heap->options.id)) {
        const struct ftli_page *after = ftli_heap_page(heap, end);
        if (after->state == FTLI_PAGE_FREE) {
            uint32_t first = end;
            end += after->pages;
            committed += after->committed;
            ftli_heap_take_free(heap, first);
        }
    }
    ftli_heap_add_free(heap, number, end - number, committed);
}

void ftli_heap_carve(struct ftli_heap *heap, struct ftli_free_span span, uint32_t start, uint32_t pages,
                     uint32_t committed)
{
    bool full = span.committed == span.pages;
    uint32_t front_pages = start - span.number, back_pages = span.pages - front_pages - pages;
    uint32_t rest = span.committed - committed;
    if (front_pages) {
        uint32_t front = full ? front_pages : ftli_heap_count_committed(heap, span.number, front_pages);
        ftli_heap_add_free(heap, span.number, front_pages, front);
        rest -= front;
    }
    if (back_pages) {
        ftli_heap_add_free(heap, start + pages, back_pages, rest);
    }
}

/* ---- finding ---- */

static uint32_t fits_at(const struct ftli_heap *heap, uint32_t number, uint32_t pages, size_t alignment)
{
    uintptr_t address = (uintptr_t)ftli_space_address(heap->options.space, number);
    size_t skip = (-address & (alignment - 1)) >> FTLI_PAGE_SHIFT;
    return skip + pages <= ftli_heap_page(heap, number)->pages ? number + (uint32_t)skip : 0;
}

/* The best fit of one index, and where in it. */
static uint32_t find_in(const struct ftli_heap *heap, struct ftli_free_index *index, uint32_t pages, size_t alignment,
                        uint32_t *start)
{
    uint32_t number = ftli_free_index_fit(index, pages);
    *start = number;
    if (number && alignment > FTLI_PAGE_BYTES) {
        *start = fits_at(heap, number, pages, alignment);
        if (!*start) {
            number = ftli_free_index_fit(index, pages + (uint32_t)(alignment >> FTLI_PAGE_SHIFT) - 1);
            *start = number ? fits_at(heap, number, pages, alignment) : 0;
        }
    }
    return number;
}

/* Where pages must be committed: a place in a span of `rest`, and how many of it. */
struct place {
    uint32_t number, start, need;
};

static void look_at(const struct ftli_heap *heap, uint32_t number, uint32_t start, uint32_t pages, struct place *best)
{
    uint32_t need = pages - ftli_heap_count_committed(heap, start, pages);
    if (need < best->need) {
        *best = (struct place){number, start, need};
    }
}

/* Of the spans that are not wholly committed, the place where the fewest pages must be: at the beginning or at the end of best
 * fits of growing length, up to REST_TRIES. Each page that is committed afresh is one that the system clears. */
static struct place find_in_rest(struct ftli_heap *heap, uint32_t pages, size_t alignment)
{
    struct place best = {0, 0, UINT32_MAX};
    uint32_t longer = pages;
    for (unsigned tries = 0; tries < REST_TRIES && longer <= FTLI_SPAN_MOST && best.need != 0; tries++) {
        uint32_t start, number = find_in(heap, &heap->rest, longer, alignment, &start);
        if (!number) {
            break;
        }
        const struct ftli_page *head = ftli_heap_page(heap, number);
        look_at(heap, number, start, pages, &best);
        if (best.need != 0 && head->committed != 0 && alignment <= FTLI_PAGE_BYTES) {
            look_at(heap, number, number + head->pages - pages, pages, &best);
        }
        longer = head->pages + 1u;
    }
    return best;
}

static int grow(struct ftli_heap *heap, uint32_t pages, size_t alignment)
{
    size_t bytes = (size_t)pages << FTLI_PAGE_SHIFT;
    uint32_t first, granules;
    if (alignment > FTLI_GRANULE_BYTES) {
        bytes += alignment;
    }
    int result = ftli_space_grow(heap->options.space, bytes, &first, &granules);
    if (result != FTL_OK) {
        return result;
    }
    ftli_space_set_owner(heap->options.space, first, granules, heap->options.id);
    heap->granules += granules;
    ftli_heap_put_free(heap, first, granules * FTLI_GRANULE_PAGES, 0);
    return FTL_OK;
}

/* What is committed serves first, also where a shorter span that is not would do: committed pages are what a heap costs.
 * Then new pages, at last a new arena. */
int ftli_heap_find_or_grow(struct ftli_heap *heap, uint32_t pages, size_t alignment, uint32_t *number, uint32_t *start,
                           uint32_t *need)
{
    *need = 0;
    *number = find_in(heap, &heap->whole, pages, alignment, start);
    if (*number) {
        return FTL_OK;
    }
    struct place place = find_in_rest(heap, pages, alignment);
    if (!place.number) {
        int result = heap->options.grows ? grow(heap, pages, alignment) : FTL_ENOMEM;
        if (result != FTL_OK) {
            return result;
        }
        place = find_in_rest(heap, pages, alignment);
    }
    *number = place.number;
    *start = place.start;
    *need = place.need;
    return FTL_OK;
}
