/* Spans of pages: taken by best fit, given back, merged. */
#include "actors/allocation/heap.h"

#include <string.h>

#include "actors/allocation/heap_inside.h"

#define ALIGNMENT_MOST ((size_t)1 << 30)

int ftli_heap_init(struct ftli_heap *heap, const struct ftli_heap_options *options)
{
    if (!options->space || options->id == 0 || options->id >= FTLI_HEAPS_MOST) {
        return FTL_EINVAL;
    }
    memset(heap, 0, sizeof *heap);
    heap->options = *options;
    heap->whole.pages = heap->rest.pages = options->space->pages;
    return FTL_OK;
}

void ftli_heap_fini(struct ftli_heap *heap)
{
    ftli_heap_fini_slabs(heap);
    memset(heap, 0, sizeof *heap);
}

/* ---- lookups ---- */

uint32_t ftli_heap_owner(const struct ftli_space *space, const void *address)
{
    return ftli_entry_owner(ftli_space_entry(space, address));
}

/* ---- take and give ---- */

static inline void use(struct ftli_heap *heap, struct ftli_page *page, uint32_t pages)
{
    page->tag = FTLI_PAGE_TAG(FTLI_PAGE_USED, pages);
    heap->used_pages += pages;
}

static FTLI_NOINLINE int take_found(struct ftli_heap *heap, uint32_t pages, size_t alignment, uint32_t *number,
                                    bool *zeroed)
{
    uint32_t found, start, need;
    int result = ftli_heap_find_or_grow(heap, pages, alignment, &found, &start, &need);
    if (result != FTL_OK) {
        return result;
    }
    struct ftli_free_span span = ftli_heap_take_free(heap, found);
    bool zero = false;
    if (need != 0 || heap->any_huge) { /* else every page of it was handed out before */
        zero = ftli_heap_all_zero(heap, start, pages);
        result = ftli_heap_commit(heap, &span, start, pages);
        if (result != FTL_OK) {
            ftli_heap_add_free(heap, span.number, span.pages, span.committed);
            return result;
        }
        zero &= !span.moved_in;
    }
    ftli_heap_carve(heap, span, start, pages, pages);
    use(heap, ftli_heap_page(heap, start), pages);
    *number = start;
    *zeroed = zero;
    return FTL_OK;
}

/* The usual take: out of a span of which every page is committed; what is left of it is tagged where it lies. */
FTLI_INLINE void cut(struct ftli_heap *heap, struct ftli_page *page, uint32_t number, uint32_t pages)
{
    struct ftli_page *left_page, *tail;
    uint32_t found = page->pages, left = number + pages;
    use(heap, page, pages);
    if (FTLI_LIKELY(number % FTLI_GRANULE_PAGES + found <= FTLI_GRANULE_PAGES)) { /* one array of descriptors */
        left_page = page + pages;
        tail = page + found - 1;
    } else {
        left_page = ftli_heap_page(heap, left);
        tail = ftli_heap_page(heap, number + found - 1);
    }
    if (FTLI_LIKELY(found > pages)) {
        ftli_heap_tag_whole(heap, left_page, tail, left, found - pages);
    } else if (found > 1) {
        tail->tag = 0;
    }
}

static int take_any(struct ftli_heap *heap, uint32_t pages, size_t alignment, uint32_t *number, bool *zeroed)
{
    struct ftli_page *page;
    uint32_t whole = pages < FTLI_EXACT_BINS && alignment <= FTLI_PAGE_BYTES
                         ? ftli_free_index_take_fit(&heap->whole, pages, &page)
                         : 0;
    if (whole == 0) {
        return take_found(heap, pages, alignment, number, zeroed); /* it may be out of a long span that is whole, too */
    }
    cut(heap, page, whole, pages);
    *number = whole;
    *zeroed = heap->any_huge && ftli_heap_write_huge(heap, whole, pages);
    return FTL_OK;
}

int ftli_heap_take_span(struct ftli_heap *heap, uint32_t pages, size_t alignment, uint32_t *number, bool *zeroed)
{
    return take_any(heap, pages, alignment, number, zeroed);
}

static FTLI_NOINLINE int take_pages(struct ftli_heap *heap, size_t bytes, size_t alignment, void **out, bool *zeroed)
{
    if (alignment == 0 || (alignment & (alignment - 1)) || alignment > ALIGNMENT_MOST) {
        return FTL_EINVAL;
    }
    size_t pages = (bytes >> FTLI_PAGE_SHIFT) + ((bytes & (FTLI_PAGE_BYTES - 1)) != 0);
    if (pages > FTLI_SPAN_MOST - (ALIGNMENT_MOST >> FTLI_PAGE_SHIFT)) {
        return FTL_ENOMEM;
    }
    pages += pages == 0;
    uint32_t number;
    bool asked = pages < FTLI_EXACT_BINS && alignment <= FTLI_PAGE_BYTES; /* by ftli_heap_take_pages */
    int result = asked ? take_found(heap, (uint32_t)pages, alignment, &number, zeroed)
                       : take_any(heap, (uint32_t)pages, alignment, &number, zeroed);
    if (result == FTL_OK) {
        *out = ftli_space_address(heap->options.space, number);
    }
    return result;
}

int ftli_heap_take_pages(struct ftli_heap *heap, size_t bytes, size_t alignment, void **out, bool *zeroed)
{
    uint32_t pages = (uint32_t)((bytes + FTLI_PAGE_BYTES - 1) >> FTLI_PAGE_SHIFT), number;
    struct ftli_page *page;
    if (FTLI_UNLIKELY(bytes - 1 >= (FTLI_EXACT_BINS - 1) * FTLI_PAGE_BYTES || alignment - 1 >= FTLI_PAGE_BYTES ||
                      (alignment & (alignment - 1)) != 0 ||
                      (number = ftli_free_index_take_fit(&heap->whole, pages, &page)) == 0)) {
        return take_pages(heap, bytes, alignment, out, zeroed);
    }
    *out = ftli_space_address(heap->options.space, number);
    cut(heap, page, number, pages);
    *zeroed = FTLI_UNLIKELY(heap->any_huge) && ftli_heap_write_huge(heap, number, pages);
    return FTL_OK;
}

static FTLI_NOINLINE void give_beside_rest(struct ftli_heap *heap, struct ftli_page *page, uint32_t number,
                                           uint32_t pages)
{
    heap->used_pages -= pages;
    page->tag = 0;
    ftli_heap_put_free(heap, number, pages, pages);
}

/* A page that may lie in another granule; `page`, which is not free, if that is not the neighbour in memory. */
static FTLI_NOINLINE struct ftli_page *across(const struct ftli_heap *heap, struct ftli_page *page, uint32_t number,
                                              uint32_t border)
{
    return ftli_space_joined(heap->options.space, border, heap->options.id) ? ftli_heap_page(heap, number) : page;
}

/* The usual give: what lies beside it is in use, or free and wholly committed, and leaves the index to be merged. calls: also where
 * that is a call; without it no register is saved. */
static FTLI_NOINLINE void give(struct ftli_heap *, struct ftli_page *, uint32_t number, uint32_t pages);
FTLI_INLINE void give_between(struct ftli_heap *heap, struct ftli_page *page, uint32_t number, uint32_t pages,
                              bool calls)
{
    uint32_t place = number % FTLI_GRANULE_PAGES, end = number + pages, less = 0, more = 0;
    struct ftli_page *before = FTLI_LIKELY(place != 0) ? page - 1 : across(heap, page, number - 1, number);
    struct ftli_page *after =
        FTLI_LIKELY(place + pages < FTLI_GRANULE_PAGES) ? page + pages : across(heap, page, end, end);
    struct ftli_page *head = page, *tail;
    if (before->state == FTLI_PAGE_FREE_TAIL || before->state == FTLI_PAGE_FREE) { /* the latter is of one page */
        less = before->pages;
        head = ftli_heap_page(heap, number - less);
        if (FTLI_UNLIKELY(head->committed != less)) {
            give_beside_rest(heap, page, number, pages);
            return;
        }
    }
    if (after->state == FTLI_PAGE_FREE) {
        more = after->pages;
        if (FTLI_UNLIKELY(after->committed != more)) {
            give_beside_rest(heap, page, number, pages);
            return;
        }
    }
    if (!calls && ((less && ftli_free_index_is_among(&heap->whole, head, number - less, less)) ||
                   (more && ftli_free_index_is_among(&heap->whole, after, end, more)))) {
        give(heap, page, number, pages);
        return;
    }
    heap->used_pages -= pages;
    page->tag = 0;
    if (less) {
        ftli_free_index_remove(&heap->whole, head, number - less, less, true);
        before->tag = 0;
    }
    if (more) {
        ftli_free_index_remove(&heap->whole, after, end, more, true);
        after->tag = 0;
        tail = ftli_heap_page(heap, end + more - 1);
    } else {
        tail = FTLI_LIKELY(place + pages <= FTLI_GRANULE_PAGES) ? page + pages - 1 : ftli_heap_page(heap, end - 1);
    }
    ftli_heap_tag_whole(heap, head, tail, number - less, less + pages + more);
}

static FTLI_NOINLINE void give(struct ftli_heap *heap, struct ftli_page *page, uint32_t number, uint32_t pages)
{
    give_between(heap, page, number, pages, true);
}

void ftli_heap_give_span(struct ftli_heap *heap, uint32_t number, uint32_t pages)
{
    give(heap, ftli_heap_page(heap, number), number, pages);
}

/* The descriptor of the page that the address lies in; NULL: not of this heap. */
static inline struct ftli_page *owned_page(const struct ftli_heap *heap, const void *address, uint32_t *number)
{
    uint64_t entry = ftli_space_entry(heap->options.space, address);
    if (FTLI_UNLIKELY(ftli_entry_owner(entry) != heap->options.id)) {
        return NULL;
    }
    *number = ftli_entry_number(entry, address);
    return &ftli_entry_granule(entry)->pages[*number % FTLI_GRANULE_PAGES];
}

static inline bool is_span(const struct ftli_page *page, const void *address)
{
    return page->state == FTLI_PAGE_USED && (uintptr_t)address % FTLI_PAGE_BYTES == 0;
}

int ftli_heap_give_pages(struct ftli_heap *heap, void *address)
{
    uint32_t number;
    struct ftli_page *page = owned_page(heap, address, &number);
    if (page == NULL || !is_span(page, address)) {
        return FTL_EINTERNAL;
    }
    give(heap, page, number, page->pages);
    return FTL_OK;
}

int ftli_heap_give_slot(struct ftli_heap *heap, void *address)
{
    uint32_t number;
    struct ftli_page *page = owned_page(heap, address, &number);
    return page && page->state == FTLI_PAGE_SLAB ? ftli_heap_give_to_slab(heap, page->slab, address) : FTL_EINTERNAL;
}

int ftli_heap_give(struct ftli_heap *heap, void *address)
{
    uint32_t number;
    struct ftli_page *page = owned_page(heap, address, &number);
    if (FTLI_UNLIKELY(!page)) {
        return FTL_EINTERNAL;
    }
    if (FTLI_LIKELY(is_span(page, address))) {
        give_between(heap, page, number, page->pages, false);
        return FTL_OK;
    }
    return page->state == FTLI_PAGE_SLAB ? ftli_heap_give_to_slab(heap, page->slab, address) : FTL_EINTERNAL;
}
