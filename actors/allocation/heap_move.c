/* Moves: a granule that is free and committed gives its memory to another one, of this heap or any of the space. The system
 * hangs its page table, or its huge page, elsewhere: no page is cleared, copied or faulted in. */
#include <string.h>

#include "actors/allocation/heap_inside.h"
#include "runtime/base/os.h"

#define LOOKS         256u  /* of a search: a fresh granule costs as much as some thousand */
#define MOVED_IN_MOST 4096u /* each may cost two of the 65,530 mappings that a process may have */
#define REFUSED       UINT32_MAX

/* A search: how much of it is left, and what was found. */
struct search {
    const struct ftli_heap *heap;
    uint32_t looks;  /* at spans and granules */
    uint32_t number; /* of the span that the granule lies in */
    struct ftli_granule *granule;
};

/* The last granule of the free span that is committed all over. */
static bool search_span(struct search *search, uint32_t number)
{
    const struct ftli_page *head = ftli_heap_page(search->heap, number);
    uint32_t first = (number + FTLI_GRANULE_PAGES - 1) / FTLI_GRANULE_PAGES;
    uint32_t end = (number + head->pages) / FTLI_GRANULE_PAGES;
    search->number = number;
    for (; end > first && search->looks && head->committed >= FTLI_GRANULE_PAGES; search->looks--) {
        search->granule = ftli_space_granule(search->heap->options.space, --end * FTLI_GRANULE_PAGES);
        if (search->granule->committed == FTLI_GRANULE_PAGES) {
            return true;
        }
    }
    return false;
}

/* One in the shorter spans of the index: the longer ones are for those who need them. */
static bool search_index(struct search *search, const struct ftli_free_index *index)
{
    for (unsigned bin = ftli_free_index_bin(FTLI_GRANULE_PAGES); bin < FTLI_BINS; bin++) {
        uint32_t number = index->committed[bin] ? ftli_free_index_next(index, bin, 0) : 0;
        for (; number && search->looks; number = ftli_free_index_next(index, bin, number)) {
            search->looks--;
            if (search_span(search, number)) {
                return true;
            }
        }
    }
    return false;
}

/* May the granule be a target? Each new one costs mappings. */
static bool may_move_to(struct ftli_space *space, const struct ftli_granule *to)
{
    uint32_t targets = ftli_u32_load_relaxed(&space->moved_in);
    return targets != REFUSED && (to->moved_in || targets < MOVED_IN_MOST);
}

static void exchange(struct ftli_granule *from, struct ftli_granule *to)
{
    memset(from->written, 0, sizeof from->written);
    memset(to->written, 0xff, sizeof to->written); /* what is in it is not looked at */
    to->huge = from->huge;                         /* the advice moves along, and stays */
    from->written_pages = from->committed = 0;
    to->written_pages = to->committed = FTLI_GRANULE_PAGES;
}

bool ftli_heap_move_out(struct ftli_heap *heap, struct ftli_granule *to)
{
    struct ftli_space *space = heap->options.space;
    if (!may_move_to(space, to))
        return false;
    struct search search = {.heap = heap, .looks = LOOKS};
    if (!search_index(&search, &heap->whole) && !search_index(&search, &heap->rest)) {
        return false;
    }
    struct ftli_granule *from = search.granule;
    if (!ftli_os_move(from->address, to->address, FTLI_GRANULE_BYTES)) {
        ftli_u32_store_relaxed(&space->moved_in, REFUSED);
        return false;
    }
    if (!to->moved_in) {
        to->moved_in = true;
        (void)ftli_u32_fetch_add_relaxed(&space->moved_in, 1);
    }
    struct ftli_free_span span = ftli_heap_take_free(heap, search.number);
    exchange(from, to);
    heap->committed_pages -= FTLI_GRANULE_PAGES;
    ftli_heap_put_free(heap, span.number, span.pages, span.committed - FTLI_GRANULE_PAGES);
    return true;
}
