/* Spans of pages: taken by best fit, given back, merged. */
#include "actors/allocation/heap.h"

#include <string.h>

#include "actors/allocation/heap_inside.h"

#define REST_TRIES     8
#define ALIGNMENT_MOST ((size_t)1 << 30)

int ftli_heap_init(struct ftli_heap *heap, const struct ftli_heap_options *options)
{
    if (!options->space || options->id == 0 || options->id >= FTLI_HEAPS_MOST) {
        return FTL_EINVAL;
    }
    memset(heap, 0, sizeof *heap);
    heap->options = *options;
    heap->whole.space = heap->rest.space = options->space;
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

/* ---- the index and its tags ---- */

static uint32_t short_pages(uint32_t pages, uint32_t committed)
{
    return pages < FTLI_RUN_PAGES ? committed : 0;
}

static inline void tag(struct ftli_heap *heap, struct ftli_page *head, uint32_t number, uint32_t pages,
                       uint32_t committed)
{
    if (FTLI_LIKELY(pages > 1)) {
        struct ftli_page *tail = ftli_heap_page(heap, number + pages - 1);
        tail->pages = pages & FTLI_PAGES_BITS;
        tail->state = FTLI_PAGE_FREE_TAIL;
    }
    head->pages = pages & FTLI_PAGES_BITS;
    head->state = FTLI_PAGE_FREE;
    head->committed = committed;
    ftli_free_index_insert(committed == pages ? &heap->whole : &heap->rest, head, number);
    heap->merged_short += short_pages(pages, committed);
}

/* A span whose descriptors may not be resident yet. */
static void add_free(struct ftli_heap *heap, uint32_t number, uint32_t pages, uint32_t committed)
{
    ftli_heap_count_metadata(heap, number);
    ftli_heap_count_metadata(heap, number + pages - 1);
    tag(heap, ftli_heap_page(heap, number), number, pages, committed);
    heap->merged_runs++;
}

struct ftli_free_span ftli_heap_take_free(struct ftli_heap *heap, uint32_t number)
{
    struct ftli_page *head = ftli_heap_page(heap, number);
    uint32_t pages = head->pages;
    ftli_free_index_remove(head->committed == pages ? &heap->whole : &heap->rest, head, number);
    head->state = FTLI_PAGE_NONE;
    if (pages > 1) {
        ftli_heap_page(heap, number + pages - 1)->state = FTLI_PAGE_NONE;
    }
    heap->merged_runs--;
    heap->merged_short -= short_pages(pages, head->committed);
    return (struct ftli_free_span){number, pages, head->committed};
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
    add_free(heap, number, end - number, committed);
}

void ftli_heap_carve(struct ftli_heap *heap, struct ftli_free_span span, uint32_t start, uint32_t pages,
                     uint32_t committed)
{
    bool full = span.committed == span.pages;
    uint32_t front_pages = start - span.number, back_pages = span.pages - front_pages - pages;
    uint32_t rest = span.committed - committed;
    if (front_pages) {
        uint32_t front = full ? front_pages : ftli_heap_count_committed(heap, span.number, front_pages);
        add_free(heap, span.number, front_pages, front);
        rest -= front;
    }
    if (back_pages) {
        add_free(heap, start + pages, back_pages, rest);
    }
}

/* ---- spans freed just now, kept whole for a request of their length ---- */

static inline void push_quick(struct ftli_heap *heap, struct ftli_page *page, uint32_t number, uint32_t pages)
{
    page->state = FTLI_PAGE_QUICK;
    page->left = heap->quick[pages];
    heap->quick[pages] = number;
    heap->quick_filled[pages / 64] |= (uint64_t)1 << (pages % 64);
    heap->quick_pages += pages;
}

static inline struct ftli_page *pop_quick(struct ftli_heap *heap, uint32_t number, uint32_t pages)
{
    struct ftli_page *page = ftli_heap_page(heap, number);
    heap->quick[pages] = page->left;
    heap->quick_pages -= pages;
    return page;
}

FTLI_NOINLINE void ftli_heap_flush_quick(struct ftli_heap *heap)
{
    for (unsigned word = 0; word < sizeof heap->quick_filled / sizeof heap->quick_filled[0]; word++) {
        for (uint64_t bits = heap->quick_filled[word]; bits; bits &= bits - 1) {
            uint32_t pages = word * 64 + (uint32_t)__builtin_ctzll(bits);
            for (uint32_t number; (number = heap->quick[pages]) != 0;) {
                pop_quick(heap, number, pages)->state = FTLI_PAGE_NONE;
                ftli_heap_put_free(heap, number, pages, pages);
            }
        }
        heap->quick_filled[word] = 0;
    }
}

/* ---- take and give ---- */

static uint32_t fits_at(const struct ftli_heap *heap, uint32_t number, uint32_t pages, size_t alignment)
{
    uintptr_t address = (uintptr_t)ftli_space_address(heap->options.space, number);
    size_t skip = (-address & (alignment - 1)) >> FTLI_PAGE_SHIFT;
    return skip + pages <= ftli_heap_page(heap, number)->pages ? number + (uint32_t)skip : 0;
}

/* The best fit of one index, and where in it. */
static uint32_t find_in(const struct ftli_heap *heap, const struct ftli_free_index *index, uint32_t pages,
                        size_t alignment, uint32_t *start)
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

/* Of the spans that are not wholly committed, the one where the fewest pages must be: best fits of growing length are
 * looked at, a few. */
static uint32_t find_in_rest(const struct ftli_heap *heap, uint32_t pages, size_t alignment, uint32_t *start)
{
    uint32_t best = 0, best_need = UINT32_MAX, longer = pages;
    for (unsigned tries = 0; tries < REST_TRIES && longer <= FTLI_SPAN_MOST; tries++) {
        uint32_t at, number = find_in(heap, &heap->rest, longer, alignment, &at);
        if (!number) {
            break;
        }
        uint32_t need = pages - ftli_heap_count_committed(heap, at, pages);
        if (need < best_need) {
            best = number;
            best_need = need;
            *start = at;
        }
        if (need == 0) {
            break;
        }
        longer = ftli_heap_page(heap, number)->pages + 1u;
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
 * Then what can be merged, then new pages, at last a new arena. */
int ftli_heap_find_or_grow(struct ftli_heap *heap, uint32_t pages, size_t alignment, uint32_t *number, uint32_t *start)
{
    *number = find_in(heap, &heap->whole, pages, alignment, start);
    if (*number) {
        return FTL_OK;
    }
    bool spared = heap->options.spare && heap->options.spare(heap->options.context, (size_t)pages << FTLI_PAGE_SHIFT);
    if (heap->quick_pages || spared) {
        ftli_heap_flush_quick(heap);
        *number = find_in(heap, &heap->whole, pages, alignment, start);
    }
    if (!*number) {
        *number = find_in_rest(heap, pages, alignment, start);
    }
    if (*number) {
        return FTL_OK;
    }
    int result = heap->options.grows ? grow(heap, pages, alignment) : FTL_ENOMEM;
    if (result == FTL_OK) {
        *number = find_in_rest(heap, pages, alignment, start);
    }
    return result;
}

static inline void use(struct ftli_heap *heap, struct ftli_page *page, uint32_t pages)
{
    page->pages = pages & FTLI_PAGES_BITS;
    page->state = FTLI_PAGE_USED;
    heap->used_pages += pages;
}

static FTLI_NOINLINE int take_found(struct ftli_heap *heap, uint32_t pages, size_t alignment, uint32_t *number,
                                    bool *zeroed)
{
    uint32_t found, start;
    int result = ftli_heap_find_or_grow(heap, pages, alignment, &found, &start);
    if (result != FTL_OK) {
        return result;
    }
    struct ftli_free_span span = ftli_heap_take_free(heap, found);
    bool zero = false;
    if (span.committed != span.pages || heap->any_huge) { /* else every page of it was handed out before */
        zero = ftli_heap_all_zero(heap, start, pages);
        result = ftli_heap_commit(heap, &span, start, pages);
        if (result != FTL_OK) {
            add_free(heap, span.number, span.pages, span.committed);
            return result;
        }
    }
    ftli_heap_carve(heap, span, start, pages, pages);
    use(heap, ftli_heap_page(heap, start), pages);
    *number = start;
    *zeroed = zero;
    return FTL_OK;
}

/* The usual take: out of a span of which every page is committed. What is left of it is tagged where it lies. 0: none. */
static inline uint32_t take_whole(struct ftli_heap *heap, uint32_t pages)
{
    struct ftli_page *page;
    uint32_t number = ftli_free_index_take_fit(&heap->whole, pages, &page);
    if (FTLI_UNLIKELY(!number)) {
        return 0;
    }
    uint32_t found = page->pages;
    heap->merged_short -= short_pages(found, found);
    use(heap, page, pages);
    if (found > pages) {
        uint32_t left = number + pages;
        tag(heap, ftli_heap_page(heap, left), left, found - pages, found - pages);
    } else {
        heap->merged_runs--;
        if (found > 1) {
            ftli_heap_page(heap, number + found - 1)->state = FTLI_PAGE_NONE;
        }
    }
    return number;
}

int ftli_heap_take_span(struct ftli_heap *heap, uint32_t pages, size_t alignment, uint32_t *number, bool *zeroed)
{
    if (FTLI_UNLIKELY(pages >= FTLI_EXACT_BINS || alignment > FTLI_PAGE_BYTES)) {
        return take_found(heap, pages, alignment, number, zeroed);
    }
    if (pages <= FTLI_QUICK_PAGES && FTLI_UNLIKELY(heap->quick[pages])) {
        *number = heap->quick[pages];
        use(heap, pop_quick(heap, *number, pages), pages);
    } else {
        *number = take_whole(heap, pages);
        if (FTLI_UNLIKELY(!*number)) {
            return take_found(heap, pages, alignment, number, zeroed);
        }
    }
    *zeroed = FTLI_UNLIKELY(heap->any_huge) && ftli_heap_write_huge(heap, *number, pages);
    return FTL_OK;
}

static FTLI_NOINLINE void give_merged(struct ftli_heap *heap, struct ftli_page *page, uint32_t number, uint32_t pages)
{
    page->state = FTLI_PAGE_NONE;
    ftli_heap_put_free(heap, number, pages, pages);
}

/* A neighbour leaves the index to be merged. */
static inline void absorb(struct ftli_heap *heap, struct ftli_page *head, uint32_t number)
{
    ftli_free_index_remove(&heap->whole, head, number);
    heap->merged_short -= short_pages(head->pages, head->committed);
    heap->merged_runs--;
    head->state = FTLI_PAGE_NONE;
}

/* The usual give: what lies beside it is in use, or free and wholly committed. */
static inline void give_whole(struct ftli_heap *heap, struct ftli_page *page, uint32_t number, uint32_t pages)
{
    const struct ftli_space *space = heap->options.space;
    uint32_t first = number, end = number + pages;
    struct ftli_page *before = NULL, *head = page, *after = NULL;
    if (ftli_space_joined(space, number, heap->options.id)) {
        before = ftli_heap_page(heap, number - 1);
        if (before->state == FTLI_PAGE_FREE_TAIL || before->state == FTLI_PAGE_FREE) { /* the latter is of one page */
            first = number - before->pages;
            head = ftli_heap_page(heap, first);
        }
    }
    if (ftli_space_joined(space, end, heap->options.id)) {
        after = ftli_heap_page(heap, end);
        after = after->state == FTLI_PAGE_FREE ? after : NULL;
    }
    if (FTLI_UNLIKELY((after && after->committed != after->pages) ||
                      (head != page && head->committed != head->pages))) {
        give_merged(heap, page, number, pages);
        return;
    }
    page->state = FTLI_PAGE_NONE;
    if (head != page) {
        absorb(heap, head, first);
        before->state = FTLI_PAGE_NONE;
    }
    if (after) {
        absorb(heap, after, end);
        end += after->pages;
    }
    tag(heap, head, first, end - first, end - first);
    heap->merged_runs++;
}

static inline void give_used(struct ftli_heap *heap, struct ftli_page *page, uint32_t number, uint32_t pages)
{
    heap->used_pages -= pages;
    if (pages > FTLI_QUICK_PAGES || (size_t)pages << FTLI_PAGE_SHIFT > heap->options.quick_bytes) {
        give_whole(heap, page, number, pages);
        return;
    }
    if ((heap->quick_pages + pages) << FTLI_PAGE_SHIFT > heap->options.quick_bytes) {
        ftli_heap_flush_quick(heap);
    }
    push_quick(heap, page, number, pages);
}

void ftli_heap_give_span(struct ftli_heap *heap, uint32_t number, uint32_t pages)
{
    give_used(heap, ftli_heap_page(heap, number), number, pages);
}

int ftli_heap_take_pages(struct ftli_heap *heap, size_t bytes, size_t alignment, void **out, bool *zeroed)
{
    if (alignment == 0 || (alignment & (alignment - 1)) || alignment > ALIGNMENT_MOST) {
        return FTL_EINVAL;
    }
    size_t pages = (bytes >> FTLI_PAGE_SHIFT) + ((bytes & (FTLI_PAGE_BYTES - 1)) != 0);
    if (pages > FTLI_SPAN_MOST - (ALIGNMENT_MOST >> FTLI_PAGE_SHIFT)) {
        return FTL_ENOMEM;
    }
    uint32_t number;
    int result = ftli_heap_take_span(heap, pages ? (uint32_t)pages : 1, alignment, &number, zeroed);
    if (result == FTL_OK) {
        *out = ftli_space_address(heap->options.space, number);
    }
    return result;
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

static inline int give_checked(struct ftli_heap *heap, struct ftli_page *page, uint32_t number, const void *address)
{
    if (FTLI_UNLIKELY(page->state != FTLI_PAGE_USED || (uintptr_t)address % FTLI_PAGE_BYTES)) {
        return FTL_EINTERNAL;
    }
    give_used(heap, page, number, page->pages);
    return FTL_OK;
}

int ftli_heap_give_pages(struct ftli_heap *heap, void *address)
{
    uint32_t number;
    struct ftli_page *page = owned_page(heap, address, &number);
    return page ? give_checked(heap, page, number, address) : FTL_EINTERNAL;
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
    return page->state == FTLI_PAGE_SLAB ? ftli_heap_give_to_slab(heap, page->slab, address)
                                         : give_checked(heap, page, number, address);
}
