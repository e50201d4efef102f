/* Giving free committed pages back to the OS: the longest runs first (best fit wants them last), from their upper end. */
#include "actors/allocation/heap_inside.h"
#include "runtime/base/os.h"

/* The pages from..to - 1 of one granule are zero and not committed any more. */
static uint32_t forget(struct ftli_heap *heap, struct ftli_piece piece)
{
    uint32_t count = 0;
    for (unsigned w = piece.from / 64; w * 64 < piece.to; w++) {
        uint64_t mask = ftli_word_mask(w, piece.from, piece.to);
        count += (uint32_t)__builtin_popcountll(piece.granule->written[w] & mask);
        piece.granule->written[w] &= ~mask;
    }
    piece.granule->written_pages = (uint16_t)(piece.granule->written_pages - count);
    count = piece.granule->huge ? piece.granule->committed : count;
    piece.granule->committed = (uint16_t)(piece.granule->committed - count);
    heap->committed_pages -= count;
    return count;
}

/* The piece of the span that ends at `end` with at most `most` committed pages in it. */
static struct ftli_piece last_piece(const struct ftli_heap *heap, uint32_t number, uint32_t end, uint64_t most)
{
    uint32_t first = (end - 1) / FTLI_GRANULE_PAGES * FTLI_GRANULE_PAGES;
    struct ftli_piece piece = ftli_heap_piece(heap, first > number ? first : number, end);
    if (piece.granule->huge || most >= FTLI_GRANULE_PAGES) {
        return piece;
    }
    unsigned from = piece.to;
    for (uint64_t count = 0; from > piece.from; from--) {
        count += piece.granule->written[(from - 1) / 64] >> ((from - 1) % 64) & 1;
        if (count > most) {
            break;
        }
    }
    piece.from = from;
    return piece;
}

/* A huge granule of which a part is in use becomes one of small pages, so that the rest can go. All of its pages count as
 * written from here on, which is what they counted as committed before: nobody's sums change. */
static void split_granule(struct ftli_granule *granule)
{
    (void)ftli_os_advise_no_huge(granule->address, FTLI_GRANULE_BYTES);
    for (unsigned w = 0; w < FTLI_GRANULE_PAGES / 64; w++) {
        granule->written[w] = ~(uint64_t)0;
    }
    granule->written_pages = FTLI_GRANULE_PAGES;
    granule->committed = FTLI_GRANULE_PAGES;
    granule->huge = false;
}

uint32_t ftli_heap_discard(struct ftli_heap *heap, uint32_t number, uint32_t pages)
{
    uint32_t end = number + pages, done = 0;
    if (!ftli_os_discard(ftli_space_address(heap->options.space, number), (size_t)pages << FTLI_PAGE_SHIFT)) {
        return 0;
    }
    while (number < end) {
        struct ftli_piece piece = ftli_heap_piece(heap, number, end);
        if (piece.granule->huge) {
            split_granule(piece.granule);
        }
        done += forget(heap, piece);
        number += piece.to - piece.from;
    }
    FTLI_ASSERT(done == pages, "%u of %u pages were committed", done, pages);
    return done;
}

/* What may go: of every run what is whole granules, which come back huge; the small pages of a run and its huge granules; the
 * same with parts of huge granules, which are split. */
enum extent { WHOLE_GRANULES, SMALL_PAGES, PARTS_OF_HUGE };

static bool may_go(const struct ftli_heap *heap, struct ftli_piece piece, enum extent extent, uint64_t most)
{
    if (piece.granule->huge && (!ftli_piece_whole(piece) || most < FTLI_GRANULE_PAGES))
        return false;
    if (extent == WHOLE_GRANULES && !ftli_piece_whole(piece))
        return false;
    return ftli_heap_count_committed(heap, piece.granule->number + piece.from, piece.to - piece.from) != 0;
}

/* Purges about `most` pages of the free span, its upper end first; what it did not reach stays committed. */
static uint64_t purge_span(struct ftli_heap *heap, uint32_t number, uint64_t most, enum extent extent)
{
    struct ftli_free_span span = ftli_heap_take_free(heap, number);
    uint32_t end = span.number + span.pages;
    uint64_t done = 0;
    while (end > span.number && done < most && done < span.committed) {
        struct ftli_piece piece = last_piece(heap, span.number, end, most - done);
        if (extent == PARTS_OF_HUGE && piece.granule->huge && piece.granule->committed && !ftli_piece_whole(piece)) {
            split_granule(piece.granule);
            piece = last_piece(heap, span.number, end, most - done);
        }
        uint32_t first = piece.granule->number + piece.from;
        end = first;
        if (!may_go(heap, piece, extent, most - done)) {
            continue;
        }
        if (!ftli_os_discard(ftli_space_address(heap->options.space, first), (size_t)(piece.to - piece.from)
                                                                                 << FTLI_PAGE_SHIFT)) {
            break;
        }
        done += forget(heap, piece);
    }
    span.committed -= (uint32_t)done;
    ftli_heap_put_free(heap, span.number, span.pages, span.committed);
    return done;
}

static uint64_t purge_bin(struct ftli_heap *heap, const struct ftli_free_index *index, unsigned bin, uint64_t keep,
                          uint64_t budget, enum extent extent)
{
    uint32_t number = ftli_free_index_next(index, bin, 0), next;
    uint64_t done = 0;
    for (; number && index->committed[bin] && ftli_heap_free_committed_pages(heap) > keep && done < budget;
         number = next) {
        const struct ftli_page *head = ftli_heap_page(heap, number);
        next = ftli_free_index_next(index, bin, number); /* what is purged comes back at the front of a list */
        if (head->committed) {
            uint64_t over = ftli_heap_free_committed_pages(heap) - keep;
            done += purge_span(heap, number, over < budget - done ? over : budget - done, extent);
        }
    }
    return done;
}

static uint64_t purge_all(struct ftli_heap *heap, uint64_t keep, uint64_t budget, enum extent extent)
{
    unsigned least = extent == WHOLE_GRANULES ? FTLI_EXACT_BINS : 1; /* the exact ones are of shorter spans */
    uint64_t done = 0;
    for (unsigned bin = FTLI_BINS; bin-- > least && ftli_heap_free_committed_pages(heap) > keep && done < budget;) {
        /* what is purged stays in `rest`, or comes there */
        done += purge_bin(heap, &heap->rest, bin, keep, budget - done, extent);
        if (done < budget) {
            done += purge_bin(heap, &heap->whole, bin, keep, budget - done, extent);
        }
    }
    return done;
}

static size_t purge(struct ftli_heap *heap, uint64_t keep, size_t budget_bytes, enum extent first, enum extent last)
{
    uint64_t budget = budget_bytes ? (budget_bytes + FTLI_PAGE_BYTES - 1) >> FTLI_PAGE_SHIFT : UINT64_MAX;
    uint64_t done = 0;
    budget = budget < FTLI_GRANULE_PAGES ? FTLI_GRANULE_PAGES : budget; /* a huge granule goes whole */
    for (enum extent extent = first; extent <= last && done < budget; extent++) {
        if (extent != PARTS_OF_HUGE || heap->any_huge) {
            done += purge_all(heap, keep, budget - done, extent);
        }
    }
    if (done && heap->options.uncharge) {
        heap->options.uncharge(heap->options.context, (size_t)done << FTLI_PAGE_SHIFT);
    }
    return (size_t)done << FTLI_PAGE_SHIFT;
}

size_t ftli_heap_purge(struct ftli_heap *heap, size_t keep_bytes, size_t budget_bytes)
{
    if (keep_bytes < FTLI_PAGE_BYTES) {
        ftli_heap_release_spare_slabs(heap);
    }
    return purge(heap, keep_bytes >> FTLI_PAGE_SHIFT, budget_bytes, SMALL_PAGES, PARTS_OF_HUGE);
}

size_t ftli_heap_trade(struct ftli_heap *heap, size_t bytes, bool parts)
{
    return purge(heap, 0, bytes, WHOLE_GRANULES, parts ? PARTS_OF_HUGE : WHOLE_GRANULES);
}
