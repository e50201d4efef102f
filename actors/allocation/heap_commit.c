/* Commitment: which pages count as memory, and which are known to be zero. */
#include "actors/allocation/heap_inside.h"
#include "runtime/base/os.h"

#define HUGE_SLOW_NS      UINT64_C(1500000)
#define HUGE_PASSED_LEAST 1024u
#define HUGE_PASSED_MOST  65536u
#define MOVE_FROM         16u /* pages: so many page faults cost more than a move */

static uint32_t count_written(struct ftli_piece piece)
{
    unsigned count = 0;
    for (unsigned w = piece.from / 64; w * 64 < piece.to; w++) {
        uint64_t mask = ftli_word_mask(w, piece.from, piece.to), written = piece.granule->written[w] & mask;
        if (written == ~(uint64_t)0) {
            count += 64;
        } else if (written) {
            count += (unsigned)__builtin_popcountll(written);
        }
    }
    return count;
}

static uint32_t piece_committed(struct ftli_piece piece)
{
    if (piece.granule->huge) {
        return piece.granule->committed ? piece.to - piece.from : 0;
    }
    return ftli_piece_whole(piece) ? piece.granule->committed : count_written(piece);
}

uint32_t ftli_heap_count_committed(const struct ftli_heap *heap, uint32_t number, uint32_t pages)
{
    uint32_t count = 0, end = number + pages;
    while (number < end) {
        struct ftli_piece piece = ftli_heap_piece(heap, number, end);
        count += piece_committed(piece);
        number += piece.to - piece.from;
    }
    return count;
}

bool ftli_heap_all_zero(const struct ftli_heap *heap, uint32_t number, uint32_t pages)
{
    uint32_t end = number + pages;
    while (number < end) {
        struct ftli_piece piece = ftli_heap_piece(heap, number, end);
        for (unsigned w = piece.from / 64; w * 64 < piece.to; w++) {
            if (piece.granule->written[w] & ftli_word_mask(w, piece.from, piece.to)) {
                return false;
            }
        }
        number += piece.to - piece.from;
    }
    return true;
}

static bool lies_in(const struct ftli_granule *granule, const struct ftli_free_span *span)
{
    return granule->number >= span->number && granule->number + FTLI_GRANULE_PAGES <= span->number + span->pages;
}

/* Huge pages were slow to come, and the granule is one of those that go without. */
static bool is_passed_over(struct ftli_space *space)
{
    uint32_t passed = ftli_u32_load_relaxed(&space->huge_passed);
    if (passed) { /* a count that another heap changed at the same time is as good */
        ftli_u32_store_relaxed(&space->huge_passed, passed - 1);
    }
    return passed != 0;
}

/* A granule without a committed page that lies wholly in the free span may become huge: nothing of it is in use, and
 * nobody else's counts change when all of it is committed at once. */
static void advise(struct ftli_heap *heap, struct ftli_granule *granule, const struct ftli_free_span *span)
{
    bool may = heap->options.huge_from_bytes != 0 &&
               heap->committed_pages << FTLI_PAGE_SHIFT >= heap->options.huge_from_bytes && lies_in(granule, span);
    if (granule->committed || (!may && !granule->huge)) {
        return;
    }
    if (is_passed_over(heap->options.space)) {
        granule->huge = granule->huge && !ftli_os_advise_no_huge(granule->address, FTLI_GRANULE_BYTES);
    } else if (!granule->huge && ftli_os_advise_huge(granule->address, FTLI_GRANULE_BYTES)) {
        granule->huge = true;
        heap->any_huge = true;
    }
}

/* Granules of the span that lack pages from..end - 1 are given the memory of free granules elsewhere, if somebody has any. */
static void move_in(struct ftli_heap *heap, struct ftli_free_span *span, uint32_t from, uint32_t end)
{
    const struct ftli_heap_options *options = &heap->options;
    for (uint32_t n = from; n < end;) {
        struct ftli_piece piece = ftli_heap_piece(heap, n, end);
        uint32_t before = piece.granule->committed, lacks = piece.to - piece.from - piece_committed(piece);
        n += piece.to - piece.from;
        if (lacks < MOVE_FROM || !lies_in(piece.granule, span) || !options->move(options->context, piece.granule)) {
            continue;
        }
        if (before && options->uncharge) { /* the rest was charged where it was */
            options->uncharge(options->context, (size_t)before << FTLI_PAGE_SHIFT);
        }
        heap->committed_pages += FTLI_GRANULE_PAGES - before;
        span->committed += FTLI_GRANULE_PAGES - before;
        span->moved_in = true;
        heap->any_huge |= piece.granule->huge;
        ftli_heap_count_metadata(heap, piece.granule->number); /* spans will begin and end anywhere in it */
        ftli_heap_count_metadata(heap, piece.granule->number + FTLI_GRANULE_PAGES - 1);
    }
}

/* A huge page is not always the cheaper one: the system may have to move others to make it, or the host of a virtual machine to
 * find its memory first (4 ms instead of 0.25, and 512 small ones take 1). So one of each commitment is fetched here instead
 * of at its first touch, and timed; where it takes longer than small ones would, small ones are used for a while, and for longer
 * each time. */
static void fetch_huge(struct ftli_space *space, const struct ftli_granule *granule)
{
    uint64_t begun_ns = ftli_os_thread_cpu_ns();
    bool slow =
        ftli_os_populate(granule->address, FTLI_GRANULE_BYTES) && ftli_os_thread_cpu_ns() - begun_ns > HUGE_SLOW_NS;
    uint32_t penalty = slow ? ftli_u32_load_relaxed(&space->huge_penalty) : 0;
    if (slow) {
        penalty = penalty == 0 ? HUGE_PASSED_LEAST : penalty < HUGE_PASSED_MOST ? 2 * penalty : penalty;
        ftli_u32_store_relaxed(&space->huge_passed, penalty);
    }
    ftli_u32_store_relaxed(&space->huge_penalty, penalty);
}

int ftli_heap_charge(struct ftli_heap *heap, uint32_t pages)
{
    const struct ftli_heap_options *options = &heap->options;
    size_t bytes = (size_t)pages << FTLI_PAGE_SHIFT;
    if (options->trade) {
        options->trade(options->context, bytes);
    }
    return !options->charge || options->charge(options->context, bytes) ? FTL_OK : FTL_ELIMIT;
}

void ftli_heap_bring_back(struct ftli_heap *heap, uint32_t number)
{
    struct ftli_granule *granule = ftli_space_granule(heap->options.space, number);
    unsigned page = number % FTLI_GRANULE_PAGES;
    granule->written[page / 64] |= (uint64_t)1 << (page % 64);
    granule->written_pages++;
    granule->committed++;
    heap->committed_pages++;
    heap->gone_pages--;
}

static void count_half(struct ftli_heap *heap, struct ftli_granule *granule, unsigned half)
{
    if (FTLI_UNLIKELY(!(granule->counted & half))) {
        granule->counted = (uint8_t)(granule->counted | half);
        heap->metadata_bytes += FTLI_PAGE_BYTES;
    }
}

/* Pages that are written may be the first and the last of some span: their descriptors count from here on. */
static void write_pages(struct ftli_heap *heap, uint32_t number, uint32_t pages)
{
    uint32_t end = number + pages;
    bool fetched = false;
    while (number < end) {
        struct ftli_piece piece = ftli_heap_piece(heap, number, end);
        struct ftli_granule *granule = piece.granule;
        if (granule->huge && granule->committed == 0 && !fetched) {
            fetch_huge(heap->options.space, granule);
            fetched = true;
        }
        if (granule->written_pages < FTLI_GRANULE_PAGES) {
            unsigned fresh = piece.to - piece.from - count_written(piece);
            for (unsigned w = piece.from / 64; w * 64 < piece.to; w++) {
                granule->written[w] |= ftli_word_mask(w, piece.from, piece.to);
            }
            granule->written_pages = (uint16_t)(granule->written_pages + fresh);
            granule->committed = granule->huge ? FTLI_GRANULE_PAGES : granule->written_pages;
            if (granule->huge || piece.from < FTLI_GRANULE_PAGES / 2) {
                count_half(heap, granule, 1);
            }
            if (granule->huge || piece.to > FTLI_GRANULE_PAGES / 2) {
                count_half(heap, granule, 2);
            }
        }
        number += piece.to - piece.from;
    }
}

bool ftli_heap_write_huge(struct ftli_heap *heap, uint32_t number, uint32_t pages)
{
    struct ftli_piece piece = ftli_heap_piece(heap, number, number + pages);
    if (FTLI_LIKELY(piece.to - piece.from == pages && piece.granule->written_pages == FTLI_GRANULE_PAGES)) {
        return false;
    }
    bool zero = ftli_heap_all_zero(heap, number, pages);
    write_pages(heap, number, pages);
    return zero;
}

int ftli_heap_commit(struct ftli_heap *heap, struct ftli_free_span *span, uint32_t number, uint32_t pages)
{
    uint32_t end = number + pages, need = 0;
    if (heap->options.move) {
        move_in(heap, span, number, end);
    }
    for (uint32_t n = number; n < end;) {
        struct ftli_piece piece = ftli_heap_piece(heap, n, end);
        struct ftli_granule *granule = piece.granule;
        advise(heap, granule, span);
        if (granule->huge) {
            need += granule->committed ? 0 : FTLI_GRANULE_PAGES;
        } else {
            need += piece.to - piece.from - piece_committed(piece);
        }
        n += piece.to - piece.from;
    }
    if (need == 0 && !heap->any_huge) { /* then all are written */
        return FTL_OK;
    }
    if (need && ftli_heap_charge(heap, need) != FTL_OK) { /* the span is in no index: the rest may change meanwhile */
        return FTL_ELIMIT;
    }
    write_pages(heap, number, pages);
    heap->committed_pages += need;
    span->committed += need;
    return FTL_OK;
}

void ftli_heap_count_metadata(struct ftli_heap *heap, uint32_t number)
{
    unsigned half = 1u << (number % FTLI_GRANULE_PAGES / (FTLI_GRANULE_PAGES / 2));
    count_half(heap, ftli_space_granule(heap->options.space, number), half);
}

size_t ftli_granule_metadata_bytes(const struct ftli_granule *granule)
{
    return ((granule->counted & 1u) + (granule->counted >> 1)) * FTLI_PAGE_BYTES;
}
