/* Segments between heaps: whole granules that are free change owner, with what is committed of them. */
#include "actors/allocation/heap_inside.h"

/* Takes whole granules start..start + pages - 1 of a free span out of the heap. */
static struct ftli_segment detach(struct ftli_heap *heap, uint32_t number, uint32_t start, uint32_t pages)
{
    struct ftli_space *space = heap->options.space;
    struct ftli_free_span span = ftli_heap_take_free(heap, number);
    uint32_t committed = ftli_heap_count_committed(heap, start, pages), granules = pages / FTLI_GRANULE_PAGES;
    ftli_heap_carve(heap, span, start, pages, committed);
    heap->granules -= granules;
    heap->committed_pages -= committed;
    for (uint32_t i = 0; i < granules; i++) {
        heap->metadata_bytes -= ftli_granule_metadata_bytes(ftli_space_granule(space, start + i * FTLI_GRANULE_PAGES));
    }
    ftli_space_set_owner(space, start, granules, 0);
    return (struct ftli_segment){ftli_space_address(space, start), (size_t)pages << FTLI_PAGE_SHIFT};
}

int ftli_heap_detach_segment(struct ftli_heap *heap, size_t bytes, struct ftli_segment *out)
{
    size_t pages = bytes >> FTLI_PAGE_SHIFT;
    if (bytes == 0 || bytes % FTLI_GRANULE_BYTES || pages > FTLI_SPAN_MOST / 2) {
        return FTL_EINVAL;
    }
    uint32_t number, start, need;
    int result = ftli_heap_find_or_grow(heap, (uint32_t)pages, FTLI_GRANULE_BYTES, &number, &start, &need);
    if (result == FTL_OK) {
        *out = detach(heap, number, start, (uint32_t)pages);
    }
    return result;
}

static unsigned detach_from_bin(struct ftli_heap *heap, const struct ftli_free_index *index, unsigned bin,
                                uint64_t keep_pages, struct ftli_segment *out, unsigned n)
{
    uint32_t next;
    unsigned done = 0;
    for (uint32_t number = ftli_free_index_next(index, bin, 0); number && done < n; number = next) {
        uint32_t at_pages = ftli_heap_page(heap, number)->pages;
        next = ftli_free_index_next(index, bin, number);
        uint32_t start = (number + FTLI_GRANULE_PAGES - 1) / FTLI_GRANULE_PAGES * FTLI_GRANULE_PAGES;
        uint32_t end = (number + at_pages) / FTLI_GRANULE_PAGES * FTLI_GRANULE_PAGES;
        uint64_t free_pages = ftli_heap_free_pages(heap);
        uint64_t spare = free_pages > keep_pages ? free_pages - keep_pages : 0;
        spare = spare / FTLI_GRANULE_PAGES * FTLI_GRANULE_PAGES;
        if (end > start && spare) {
            uint32_t pages = end - start < spare ? end - start : (uint32_t)spare;
            out[done++] = detach(heap, number, end - pages, pages);
        }
    }
    return done;
}

unsigned ftli_heap_detach_free_segments(struct ftli_heap *heap, size_t keep_bytes, struct ftli_segment *out, unsigned n)
{
    uint64_t keep_pages = (keep_bytes + FTLI_PAGE_BYTES - 1) >> FTLI_PAGE_SHIFT;
    unsigned done = 0;
    if (keep_bytes == 0) {
        ftli_heap_release_spare_slabs(heap);
    }
    const struct ftli_free_index *indices[] = {&heap->whole, &heap->rest};
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned bin = FTLI_BINS; bin-- > FTLI_EXACT_BINS && done < n;) {
            if (indices[i]->first[bin] != 0)
                done += detach_from_bin(heap, indices[i], bin, keep_pages, out + done, n - done);
        }
    }
    return done;
}

int ftli_heap_donate(struct ftli_heap *heap, const struct ftli_segment *segment)
{
    struct ftli_space *space = heap->options.space;
    uint64_t entry = ftli_space_entry(space, segment->address);
    if (!entry || (uintptr_t)segment->address % FTLI_GRANULE_BYTES || segment->bytes == 0 ||
        segment->bytes % FTLI_GRANULE_BYTES) {
        return FTL_EINVAL;
    }
    for (size_t offset = 0; offset < segment->bytes; offset += FTLI_GRANULE_BYTES) {
        entry = ftli_space_entry(space, (const char *)segment->address + offset);
        if (!entry || ftli_entry_owner(entry)) {
            return FTL_EINVAL;
        }
    }
    entry = ftli_space_entry(space, segment->address);
    uint32_t number = ftli_entry_granule(entry)->number, pages = (uint32_t)(segment->bytes >> FTLI_PAGE_SHIFT);
    ftli_space_set_owner(space, number, pages / FTLI_GRANULE_PAGES, heap->options.id);
    uint32_t committed = ftli_heap_count_committed(heap, number, pages);
    for (uint32_t n = number; n < number + pages; n += FTLI_GRANULE_PAGES) {
        const struct ftli_granule *granule = ftli_space_granule(space, n);
        heap->metadata_bytes += ftli_granule_metadata_bytes(granule);
        heap->any_huge |= granule->huge;
    }
    heap->granules += pages / FTLI_GRANULE_PAGES;
    heap->committed_pages += committed;
    ftli_heap_put_free(heap, number, pages, committed);
    return FTL_OK;
}
