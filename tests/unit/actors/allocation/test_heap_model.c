/* The heap against a model that knows every page: random takes, gives, purges and segments moved between two heaps, with a
 * fixed seed. The model is an array over the space's pages and says what the heap must answer. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "actors/allocation/heap.h"
#include "runtime/base/os.h"

#define MIB        ((size_t)1 << 20)
#define PAGES_MOST (1u << 17) /* 512 MiB of addresses */
#define BLOCKS     400u

static uint64_t seed;
static uint32_t random_below(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(((seed >> 32) * n) >> 32);
}

struct block {
    unsigned char *address;
    size_t bytes; /* asked for; 0: not in use */
    unsigned heap;
    unsigned char pattern;
    bool slot;
};

static struct {
    struct ftli_space space;
    struct ftli_heap heaps[2]; /* 0: the device's, 1: a child */
    struct block blocks[BLOCKS];
    unsigned char used[PAGES_MOST];    /* by page number */
    unsigned char written[PAGES_MOST]; /* since the last purge, as far as the model can know */
    size_t charged, limit;
    uint32_t trades_one_in; /* takes that need fresh pages and have others go back first; 0: none */
    bool traded;
    uint32_t moves_one_in; /* granules that need fresh pages and are offered a free one's memory; 0: none */
    unsigned long trades, moves, gave_slab_pages;
    unsigned long taken, refused, placed;
} m;

static bool charge(void *context, size_t bytes)
{
    (void)context;
    if (m.charged + bytes > m.limit) {
        m.refused++;
        return false;
    }
    m.charged += bytes;
    return true;
}

static void uncharge(void *context, size_t bytes)
{
    (void)context;
    cr_assert(bytes <= m.charged, "%zu given back of %zu", bytes, m.charged);
    m.charged -= bytes;
}

static void trade(void *context, size_t bytes)
{
    (void)context;
    if (m.trades_one_in == 0 || random_below(m.trades_one_in) != 0) {
        return;
    }
    m.traded = true;
    m.trades++;
    size_t part = random_below(4) == 0 ? 1 : bytes;
    bool parts = random_below(2) == 0;
    for (unsigned i = 0; i < 2; i++) {
        (void)ftli_heap_trade(&m.heaps[i], part, parts);
    }
}

static bool move(void *context, struct ftli_granule *to)
{
    (void)context;
    if (m.moves_one_in == 0 || random_below(m.moves_one_in) != 0) {
        return false;
    }
    unsigned first = random_below(2);
    if (!ftli_heap_move_out(&m.heaps[first], to) && !ftli_heap_move_out(&m.heaps[!first], to)) {
        return false;
    }
    memset(&m.written[to->number], 1, FTLI_GRANULE_PAGES * sizeof m.written[0]);
    m.traded = true; /* where it was moved from */
    m.moves++;
    return true;
}

static void begin(uint64_t with_seed, size_t huge_from_bytes, size_t limit)
{
    memset(&m, 0, sizeof m);
    seed = with_seed;
    m.limit = limit;
    cr_assert_eq(ftli_space_init(&m.space, 8 * MIB), FTL_OK);
    for (unsigned i = 0; i < 2; i++) {
        struct ftli_heap_options options = {
            .space = &m.space,
            .id = i + 1,
            .grows = i == 0,
            .huge_from_bytes = huge_from_bytes,
            .charge = charge,
            .uncharge = uncharge,
            .trade = trade,
            .move = move,
        };
        cr_assert_eq(ftli_heap_init(&m.heaps[i], &options), FTL_OK);
    }
}

static uint32_t number_of(const void *address)
{
    uint32_t number = ftli_entry_number(ftli_space_entry(&m.space, address), address);
    cr_assert(number < PAGES_MOST, "the model is too small for page %u", number);
    return number;
}

static void check_heaps(const char *when)
{
    char why[300];
    size_t committed = 0;
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(ftli_heap_check(&m.heaps[i], why, sizeof why), "heap %u after %s: %s", i, when, why);
        struct ftli_heap_figures figures;
        ftli_heap_figures(&m.heaps[i], &figures);
        committed += figures.committed_bytes;
        cr_assert_eq(figures.free_committed_bytes, ftli_heap_free_resident_bytes(&m.heaps[i]));
    }
    cr_assert_eq(committed, m.charged, "after %s: committed %zu, charged %zu", when, committed, m.charged);
}

static size_t resident_bytes(unsigned heap)
{
    size_t resident = 0;
    for (uint32_t g = 1; g < m.space.granules_used; g++) {
        unsigned char in[FTLI_GRANULE_PAGES];
        char *address = ftli_space_address(&m.space, g * FTLI_GRANULE_PAGES);
        if (ftli_heap_owner(&m.space, address) == heap + 1) {
            cr_assert_eq(mincore(address, FTLI_GRANULE_BYTES, in), 0);
            for (unsigned i = 0; i < FTLI_GRANULE_PAGES; i++) {
                resident += (in[i] & 1) * FTLI_PAGE_BYTES;
            }
        }
    }
    return resident;
}

/* Descriptors are pages of their own, two a granule. Before the first walk of the heap, which reads them all. */
static void check_metadata(void)
{
    size_t resident = 0;
    for (uint32_t n = FTLI_GRANULE_PAGES; n < m.space.granules_used * FTLI_GRANULE_PAGES; n += FTLI_GRANULE_PAGES) {
        resident += ftli_os_resident_bytes(ftli_space_page(&m.space, n), 2 * FTLI_PAGE_BYTES);
    }
    size_t counted = (size_t)(m.heaps[0].metadata_bytes + m.heaps[1].metadata_bytes);
    cr_assert(resident <= counted, "of the descriptors %zu are resident, %zu counted", resident, counted);
}

/* The shortest that fit among the runs that are committed all over: their length, and whether one of them begins at a page. Of long
 * ones only the lowest counts. 0: there is none. */
static uint32_t expect_fit(unsigned heap, uint32_t pages, bool *begins)
{
    uint32_t best_pages = 0, run = 0, written = 0, end = m.space.granules_used * FTLI_GRANULE_PAGES;
    memset(begins, 0, PAGES_MOST);
    for (uint32_t n = FTLI_GRANULE_PAGES; n <= end; n++) {
        bool here = n < end && !m.used[n] && ftli_heap_owner(&m.space, ftli_space_address(&m.space, n)) == heap + 1;
        if (run && (!here || !ftli_space_joined(&m.space, n, heap + 1))) {
            if (run == written && run >= pages && (best_pages == 0 || run < best_pages)) {
                best_pages = run;
                memset(begins, 0, PAGES_MOST);
                begins[n - run] = true;
            } else if (run == written && run == best_pages && run < FTLI_EXACT_BINS) {
                begins[n - run] = true;
            }
            run = written = 0;
        }
        run += here;
        written += here && m.written[n];
    }
    return best_pages;
}

/* One byte in each page, so that it becomes resident; and the first and last. */
static void fill(struct block *b)
{
    for (size_t at = 0; at < b->bytes; at += FTLI_PAGE_BYTES) {
        b->address[at] = b->pattern;
    }
    b->address[0] = b->pattern;
    b->address[b->bytes - 1] = b->pattern;
}

static void check_filled(const struct block *b)
{
    for (size_t at = 0; at < b->bytes; at += FTLI_PAGE_BYTES) {
        cr_assert_eq(b->address[at], b->pattern, "a block of %zu bytes was overwritten at %zu", b->bytes, at);
    }
    cr_assert_eq(b->address[b->bytes - 1], b->pattern);
}

static void check_zero(const struct block *b)
{
    const uint64_t *words = (const uint64_t *)(const void *)b->address;
    for (size_t at = 0; at < b->bytes / sizeof *words; at++) {
        if (words[at]) {
            cr_assert_fail("said to be zero, is %llx at byte %zu", (unsigned long long)words[at], at * sizeof *words);
        }
    }
}

/* What the OS took reads as zero again; the model learns from the granules which pages that is. */
static void learn(void)
{
    for (uint32_t n = FTLI_GRANULE_PAGES; n < m.space.granules_used * FTLI_GRANULE_PAGES; n += 64) {
        uint64_t written = ftli_space_granule(&m.space, n)->written[n % FTLI_GRANULE_PAGES / 64];
        for (unsigned i = 0; i < 64 && written != UINT64_MAX; i++) {
            m.written[n + i] &= written >> i & 1;
        }
    }
    m.traded = false;
}

static void take_pages(struct block *b, unsigned heap, bool exact_place)
{
    size_t bytes = random_below(8) ? 1 + random_below(200000) : 1 + random_below(4000000);
    size_t alignment = random_below(8) ? 64 : (size_t)1 << random_below(23);
    uint32_t pages = (uint32_t)((bytes + FTLI_PAGE_BYTES - 1) / FTLI_PAGE_BYTES);
    static bool begins[PAGES_MOST];
    uint32_t expected = exact_place && alignment <= FTLI_PAGE_BYTES ? expect_fit(heap, pages, begins) : 0;
    void *out = &m;
    bool zeroed = false;
    int result = ftli_heap_take_pages(&m.heaps[heap], bytes, alignment, &out, &zeroed);
    if (m.traded) {
        learn();
    }
    if (result != FTL_OK) {
        cr_assert(result == FTL_ELIMIT ? m.refused > 0 : result == FTL_ENOMEM && heap == 1, "result %d", result);
        cr_assert_eq(out, &m, "the output was touched");
        cr_assert(result == FTL_ELIMIT || expected == 0, "%u pages fit in %u", pages, expected);
        return;
    }
    *b = (struct block){out, bytes, heap, (unsigned char)(1 + random_below(255)), false};
    uint32_t number = number_of(out);
    cr_assert_eq((uintptr_t)out % (alignment < FTLI_PAGE_BYTES ? FTLI_PAGE_BYTES : alignment), 0);
    cr_assert(expected == 0 || begins[number], "%u pages fit in %u, and not at %u", pages, expected, number);
    m.placed += expected != 0;
    cr_assert_eq(ftli_heap_owner(&m.space, out), heap + 1);
    cr_assert_eq(ftli_heap_block_bytes(&m.space, out), pages * FTLI_PAGE_BYTES);
    for (uint32_t n = number; n < number + pages; n++) {
        cr_assert_not(m.used[n], "page %u is in use twice", n);
        cr_assert_not(zeroed && m.written[n], "page %u was written and is said to be zero", n);
        m.used[n] = m.written[n] = 1;
    }
    if (zeroed) {
        check_zero(b);
    }
    fill(b);
    m.taken++;
}

static void take_slot(struct block *b, unsigned heap)
{
    size_t bytes = 1 + random_below(random_below(3) ? 2000 : FTLI_SLOT_MAX_BYTES);
    unsigned size_class = ftli_size_class(bytes), taken = 0;
    void *out;
    int result = ftli_heap_take_slots(&m.heaps[heap], size_class, &out, 1, &taken);
    if (m.traded) {
        learn();
    }
    if (result != FTL_OK) {
        cr_assert(result == FTL_ELIMIT ? m.refused > 0 : result == FTL_ENOMEM && heap == 1, "result %d", result);
        return;
    }
    cr_assert_eq(taken, 1);
    *b = (struct block){out, bytes, heap, (unsigned char)(1 + random_below(255)), true};
    cr_assert_eq(ftli_heap_block_bytes(&m.space, out), ftli_class_bytes(size_class));
    for (uint32_t n = number_of(out); n <= number_of((char *)out + bytes - 1); n++) {
        m.written[n] = 1;
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        const struct block *other = &m.blocks[i];
        bool apart = other == b || !other->bytes || other->address + other->bytes <= b->address ||
                     b->address + b->bytes <= other->address;
        cr_assert(apart, "a slot overlaps block %u", i);
    }
    fill(b);
}

static void give(struct block *b)
{
    check_filled(b);
    struct ftli_heap *heap = &m.heaps[b->heap];
    int result = b->slot ? ftli_heap_give_slot(heap, b->address) : ftli_heap_give(heap, b->address);
    cr_assert_eq(result, FTL_OK);
    if (!b->slot) {
        uint32_t number = number_of(b->address);
        memset(&m.used[number], 0, (b->bytes + FTLI_PAGE_BYTES - 1) / FTLI_PAGE_BYTES);
    }
    b->bytes = 0;
}

static void purge(unsigned heap)
{
    size_t before = ftli_heap_free_resident_bytes(&m.heaps[heap]), keep = random_below(3) ? random_below(4000000) : 0;
    size_t budget = random_below(2) ? 0 : 1 + random_below(1000000);
    size_t done = ftli_heap_purge(&m.heaps[heap], keep, budget);
    size_t after = ftli_heap_free_resident_bytes(&m.heaps[heap]);
    cr_assert(keep < FTLI_PAGE_BYTES || before - after == done, "%zu before, %zu after, purged %zu", before, after,
              done);
    cr_assert(after >= keep - keep % FTLI_PAGE_BYTES || before < keep, "kept %zu, not %zu", after, keep);
    learn();
}

static void purge_slabs(unsigned heap)
{
    static struct ftli_slab_cursor cursors[2];
    uint64_t before = m.heaps[heap].committed_pages, bytes = cursors[heap].bytes;
    (void)ftli_heap_purge_slabs(&m.heaps[heap], &cursors[heap], 1 + random_below(40), random_below(3) != 0);
    cr_assert_eq((before - m.heaps[heap].committed_pages) << FTLI_PAGE_SHIFT, cursors[heap].bytes - bytes);
    m.gave_slab_pages += before != m.heaps[heap].committed_pages;
    learn();
}

static void move_segments(void)
{
    struct ftli_segment segments[3];
    if (random_below(2)) {
        if (ftli_heap_detach_segment(&m.heaps[0], (1 + random_below(4)) * 2 * MIB, &segments[0]) == FTL_OK) {
            cr_assert_eq(ftli_heap_owner(&m.space, segments[0].address), 0);
            cr_assert_eq(ftli_heap_donate(&m.heaps[1], &segments[0]), FTL_OK);
            cr_assert_eq(ftli_heap_donate(&m.heaps[0], &segments[0]), FTL_EINVAL, "it has an owner");
        }
        return;
    }
    unsigned n = ftli_heap_detach_free_segments(&m.heaps[1], random_below(2) ? 0 : 3 * MIB, segments, 3);
    for (unsigned i = 0; i < n; i++) {
        cr_assert_eq(ftli_heap_donate(&m.heaps[0], &segments[i]), FTL_OK);
    }
}

static void run(unsigned steps, bool slots, unsigned check_every)
{
    for (unsigned step = 0; step < steps; step++) {
        struct block *b = &m.blocks[random_below(step / 2000 % 2 ? BLOCKS : BLOCKS / 4)];
        unsigned heap = random_below(2), what = random_below(1000);
        if (what < 4) {
            purge(heap);
        } else if (what < 10) {
            move_segments();
        } else if (what < 20 && slots) {
            purge_slabs(heap);
        } else if (b->bytes) {
            give(b);
        } else if (slots && random_below(2)) {
            take_slot(b, heap);
        } else {
            take_pages(b, heap, !slots && step % 32 == 0);
        }
        if (step % check_every == 0) {
            check_heaps("a step");
        }
        if (step % 2999 == 0) {
            for (unsigned i = 0; i < 2; i++) {
                size_t resident = resident_bytes(i), committed = (size_t)m.heaps[i].committed_pages * FTLI_PAGE_BYTES;
                cr_assert(resident <= committed, "heap %u: resident %zu, committed %zu", i, resident, committed);
            }
        }
    }
}

static void end(void)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (m.blocks[i].bytes) {
            give(&m.blocks[i]);
        }
    }
    check_heaps("giving all");
    for (unsigned i = 0; i < 2; i++) {
        (void)ftli_heap_purge(&m.heaps[i], 0, 0);
        cr_assert_eq(ftli_heap_free_resident_bytes(&m.heaps[i]), 0);
        cr_assert_eq(resident_bytes(i), 0);
    }
    struct ftli_segment segment;
    while (ftli_heap_detach_free_segments(&m.heaps[1], 0, &segment, 1)) {
        cr_assert_eq(ftli_heap_donate(&m.heaps[0], &segment), FTL_OK);
    }
    check_heaps("purging all");
    cr_assert_eq(m.charged, 0);
    cr_assert_eq(m.heaps[1].granules, 0);
    unsigned runs = 0; /* what is contiguous in memory is one run */
    for (uint32_t n = FTLI_GRANULE_PAGES; n < m.space.granules_used * FTLI_GRANULE_PAGES; n += FTLI_GRANULE_PAGES) {
        runs += !ftli_space_joined(&m.space, n, 1);
    }
    struct ftli_heap_figures figures;
    ftli_heap_figures(&m.heaps[0], &figures);
    cr_assert_eq(figures.free_runs, runs, "%u runs, not %u", (unsigned)figures.free_runs, runs);
    for (unsigned i = 0; i < 2; i++) {
        ftli_heap_fini(&m.heaps[i]);
    }
    ftli_space_fini(&m.space);
}

Test(heap_model, pages_best_fit)
{
    begin(1, 0, SIZE_MAX);
    run(8000, false, 64);
    cr_assert(m.taken > 2000 && m.placed > 50, "%lu taken, %lu where the model said", m.taken, m.placed);
    end();
}

Test(heap_model, pages_and_slots)
{
    begin(2, 0, SIZE_MAX);
    run(100000, true, 2048);
    cr_assert(m.gave_slab_pages > 100, "slabs gave pages back %lu times", m.gave_slab_pages);
    end();
}

Test(heap_model, huge_granules)
{
    begin(3, 8 * MIB, SIZE_MAX);
    run(15000, true, 128);
    end();
}

Test(heap_model, with_a_limit)
{
    begin(4, 16 * MIB, 40 * MIB);
    run(15000, true, 128);
    cr_assert(m.refused > 20, "the limit was met %lu times", m.refused);
    end();
}

Test(heap_model, metadata_covers_the_descriptors)
{
    begin(5, 0, SIZE_MAX);
    run(4000, true, UINT32_MAX);
    check_metadata();
    end();
}

Test(heap_model, metadata_covers_the_descriptors_of_what_was_moved)
{
    begin(10, 0, SIZE_MAX);
    m.moves_one_in = 1;
    run(4000, true, UINT32_MAX);
    cr_assert(m.moves > 5, "%lu moves", m.moves);
    check_metadata();
    end();
}

/* Takes that need fresh pages give others back in the middle of it. */
Test(heap_model, trades)
{
    begin(6, 0, SIZE_MAX);
    m.trades_one_in = 2;
    run(30000, true, 128);
    cr_assert(m.trades > 100, "%lu trades", m.trades);
    end();
}

Test(heap_model, trades_of_huge_granules)
{
    begin(7, 8 * MIB, 60 * MIB);
    m.trades_one_in = 3;
    run(15000, true, 64);
    cr_assert(m.trades > 20, "%lu trades", m.trades);
    end();
}

/* Free granules give their memory to others in the middle of a take. */
Test(heap_model, moves)
{
    begin(8, 0, SIZE_MAX);
    m.moves_one_in = 1;
    run(30000, true, 128);
    cr_assert(m.moves > 20, "%lu moves", m.moves);
    end();
}

Test(heap_model, moves_and_trades_of_huge_granules)
{
    begin(9, 8 * MIB, 60 * MIB);
    m.trades_one_in = 4;
    m.moves_one_in = 2;
    run(15000, true, 64);
    /* Whether a huge page is used is timed (heap_commit.c), so the same seed need not come by the same granules. */
    for (unsigned more = 0; more < 20 && (m.moves <= 5 || m.trades <= 20); more++) {
        run(3000, true, 64);
    }
    cr_assert(m.moves > 5 && m.trades > 20, "%lu moves, %lu trades", m.moves, m.trades);
    end();
}
