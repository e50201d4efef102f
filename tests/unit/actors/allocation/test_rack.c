/* A thread's magazines: whatever is taken and given, what their capacities add up to stays within thread_cache. */
#include "tests/unit/actors/allocation/device_support.h"

#define CACHE_BYTES (64 * KIB)

static const struct ftli_magazine *loaded_of(const struct ftli_rack *rack, unsigned c)
{
    return ftli_pointer_load_relaxed(&rack->loaded[c]);
}

static const struct ftli_magazine *previous_of(const struct ftli_rack *rack, unsigned c)
{
    return ftli_pointer_load_relaxed(&rack->previous[c]);
}

/* What the budget says is out, counted by the magazines that are in. */
static uint64_t reserved_bytes(const struct ftli_rack *rack)
{
    uint64_t bytes = 0;
    for (unsigned c = 1; c < FTLI_CLASSES; c++) {
        const struct ftli_magazine *both[2] = {loaded_of(rack, c), previous_of(rack, c)};
        for (unsigned i = 0; i < 2; i++)
            bytes += (uint64_t)both[i]->capacity * ftli_class_bytes(c);
    }
    return bytes;
}

static void check_rack(const struct ftli_rack *rack)
{
    uint64_t reserved = reserved_bytes(rack), held = ftli_rack_bytes(rack);
    cr_assert(rack->budget_bytes >= 0, "%lld left of the budget", (long long)rack->budget_bytes);
    cr_assert_eq(reserved + (uint64_t)rack->budget_bytes, CACHE_BYTES, "reserved %llu, left %lld",
                 (unsigned long long)reserved, (long long)rack->budget_bytes);
    cr_assert(held <= reserved, "held %llu, reserved %llu", (unsigned long long)held, (unsigned long long)reserved);
    for (unsigned c = 1; c < FTLI_CLASSES; c++) {
        const struct ftli_magazine *loaded = loaded_of(rack, c), *previous = previous_of(rack, c);
        uint64_t *top = ftli_pointer_load_relaxed(&rack->top[c]);
        cr_assert(loaded->entries <= top && top <= loaded->entries + loaded->capacity);
        cr_assert_eq(rack->end[c], loaded->entries + loaded->capacity);
        cr_assert_eq(loaded->floor, 0);
        cr_assert(ftli_u32_load_relaxed(&previous->count) <= previous->capacity);
        cr_assert(loaded != previous || loaded == &ftli_no_magazine, "one magazine in both places of class %u", c);
    }
    cr_assert_eq(ftli_u32_load_relaxed(&ftli_no_magazine.count), 0);
    cr_assert_eq(ftli_no_magazine.capacity, 0);
}

Test(rack, holds_nothing_at_first)
{
    struct ftli_rack rack;
    open_device(64 * MIB, 2, CACHE_BYTES);
    ftli_rack_init(&rack, device);
    check_rack(&rack);
    cr_assert(ftli_rack_is_empty(&rack));
    cr_assert_eq(ftli_rack_bytes(&rack), 0);
    cr_assert_null(ftli_rack_take(&rack, 1));
    cr_assert_not(ftli_rack_give(&rack, 1, NULL), "the magazine that stands for none took something");
    cr_assert_eq(ftli_rack_flush(&rack, device), 0);
    close_device();
}

/* What lies in a magazine is the handle of the next tensor, so that new need not read the header. */
Test(rack, holds_the_handles_of_the_next_tensors)
{
    struct ftli_rack rack;
    uint32_t home = 0;
    open_device(64 * MIB, 2, CACHE_BYTES);
    ftli_rack_init(&rack, device);
    struct ftli_header *header = take(&rack, &home, 1);
    uint64_t newest = ftli_rack_newest_at(&rack, sizeof(uint64_t));
    cr_assert_eq(newest, ftli_table_handle(&table, ftli_entry_header(&table, newest)), "as carved");
    cr_assert(give(&rack, 1, header));
    newest = ftli_rack_newest_at(&rack, sizeof(uint64_t));
    cr_assert_eq(newest, ftli_table_handle(&table, header), "as given");
    cr_assert_eq(ftli_handle_runtime(newest), (uint32_t)RUNTIME);
    cr_assert_neq(ftli_handle_generation(newest), 0);
    cr_assert_eq(ftli_rack_newest_at(&rack, 0), 0, "class 0 has none");
    (void)ftli_rack_flush(&rack, device);
    cr_assert_eq(ftli_rack_newest_at(&rack, sizeof(uint64_t)), 0);
    close_device();
}

Test(rack, gives_back_the_newest_first_and_no_header_twice)
{
    enum { N = 100 };
    struct ftli_rack rack;
    struct ftli_header *headers[N];
    uint32_t home = 0;
    open_device(64 * MIB, 2, CACHE_BYTES);
    ftli_rack_init(&rack, device);
    for (unsigned i = 0; i < N; i++) {
        headers[i] = take(&rack, &home, 1);
        for (unsigned k = 0; k < i; k++) {
            cr_assert_neq(headers[i], headers[k]);
            cr_assert_neq(headers[i]->data.word, headers[k]->data.word);
        }
    }
    cr_assert(give(&rack, 1, headers[40]));
    cr_assert_eq(take(&rack, &home, 1), headers[40]);
    for (unsigned i = 0; i < N; i++)
        (void)give(&rack, 1, headers[i]);
    check_rack(&rack);
    (void)ftli_rack_flush(&rack, device);
    cr_assert(ftli_rack_is_empty(&rack));
    check_rack(&rack);
    ftli_allocation_trim(device, 2);
    cr_assert_eq(ftli_allocation_collect(device), 0);
    cr_assert_eq(used_bytes(), 0, "a slot was lost on the way");
    close_device();
}

/* The bound, over random sequences: news and drops of random classes in runs, with magazines of others coming and going. */
Test(rack, whatever_the_sequence_the_bound_holds)
{
    enum { LIVE = 3000, STEPS = 15000 };
    static struct {
        struct ftli_header *header;
        unsigned c;
    } live[LIVE];
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct ftli_rack rack;
        ftli_random_state random;
        uint32_t home = 0, n = 0, posted = 0, most = 1 + ftli_size_class(32 * KIB) / (unsigned)(1 + seed % 3);
        open_device(512 * MIB, 3, CACHE_BYTES);
        ftli_rack_init(&rack, device);
        ftli_random_seed(&random, seed);
        unsigned c = 1, run = 0, taking = 1;
        for (unsigned i = 0; i < STEPS; i++) {
            if (run == 0) {
                run = 1 + ftli_random_below(&random, 150);
                c = 1 + ftli_random_below(&random, most < FTLI_CLASSES - 1 ? most : FTLI_CLASSES - 1);
                taking = ftli_random_below(&random, 2);
            }
            run--;
            if (n == 0 || (taking && n < LIVE)) {
                live[n].c = c;
                live[n++].header = take(&rack, &home, c);
            } else {
                uint32_t k = ftli_random_below(&random, n);
                posted += !give(&rack, live[k].c, live[k].header);
                live[k] = live[--n];
            }
            if (ftli_random_below(&random, 2000) == 0)
                (void)ftli_rack_flush(&rack, device);
            if (ftli_random_below(&random, 500) == 0) {
                ftli_allocation_trim(device, ftli_random_below(&random, 3));
                (void)ftli_allocation_collect(device);
            }
            check_rack(&rack);
        }
        uint64_t bytes = 0;
        for (uint32_t k = 0; k < n; k++)
            bytes += ftli_class_bytes(live[k].c);
        struct ftli_device_figures figures;
        (void)ftli_allocation_collect(device);
        ftli_allocation_figures(device, &figures);
        cr_assert_eq(figures.used - figures.slab_free, bytes + ftli_rack_bytes(&rack) + figures.depot,
                     "heaps have given out %llu; live %llu, held %llu, depot %llu",
                     (unsigned long long)(figures.used - figures.slab_free), (unsigned long long)bytes,
                     (unsigned long long)ftli_rack_bytes(&rack), (unsigned long long)figures.depot);
        cr_log_info("seed %llu: %u drops posted themselves", (unsigned long long)seed, posted);
        close_device();
    }
}

/* The deepest law of a drop: it makes no magazine, also where there is none to have. */
Test(rack, stow_without_an_empty_magazine_declines)
{
    enum { N = 200 };
    struct ftli_rack rack;
    struct ftli_header *headers[N], *one;
    open_device(64 * MIB, 2, CACHE_BYTES);
    ftli_rack_init(&rack, device);
    for (unsigned i = 0; i < N; i++) /* as calls without a port take them: no magazine is made for these */
        cr_assert_eq(ftli_allocation_take_small(device, 1, &headers[i]), FTL_OK);
    uint32_t fresh = ftli_u32_load_relaxed(&device->depot.fresh);
    cr_assert_null(ftli_depot_take_empty(&device->depot, 0));
    for (unsigned i = 0; i < N; i++)
        cr_assert_not(give(&rack, 1, headers[i]));
    cr_assert_eq(ftli_u32_load_relaxed(&device->depot.fresh), fresh, "a drop made a magazine");
    check_rack(&rack);
    cr_assert(ftli_rack_is_empty(&rack));
    cr_assert_eq(ftli_allocation_collect(device), 0);
    cr_assert_eq(used_bytes(), 0);
    /* With one to have, the next drop takes it. */
    uint32_t home = 0;
    cr_assert_eq(ftli_allocation_take_small(device, 1, &one), FTL_OK);
    struct ftli_magazine *empty = ftli_depot_make_empty(&device->depot);
    cr_assert_not_null(empty);
    ftli_depot_give(&device->depot, empty, 0);
    cr_assert(give(&rack, 1, one));
    cr_assert_eq(take(&rack, &home, 1), one);
    give_back(one);
    close_device();
}

Test(rack, a_cache_too_small_for_the_class_still_serves)
{
    struct ftli_rack rack;
    struct ftli_header *header;
    uint32_t home = 0;
    open_device(64 * MIB, 2, 16 * KIB);
    ftli_rack_init(&rack, device);
    unsigned largest = ftli_size_class(32 * KIB);
    cr_assert_eq(ftli_allocation_refill(device, &rack, &home, largest, &header), FTL_OK);
    cr_assert(ftli_rack_is_empty(&rack), "32 KiB are over the whole cache of 16 KiB");
    cr_assert_not(give(&rack, largest, header));
    cr_assert_eq(rack.budget_bytes, 16 * (int64_t)KIB);
    close_device();
}

Test(rack, a_refill_at_the_limit_says_so_and_holds_nothing)
{
    static struct ftli_header *headers[4096];
    struct ftli_rack rack;
    uint32_t home = 0, n = 0;
    unsigned c = ftli_size_class(4096);
    int status = FTL_OK;
    open_device(4 * MIB, 1, CACHE_BYTES);
    ftli_rack_init(&rack, device);
    while (n < 4096) {
        headers[n] = ftli_rack_take(&rack, c);
        if (headers[n] == NULL && (status = ftli_allocation_refill(device, &rack, &home, c, &headers[n])) != FTL_OK)
            break;
        n++;
    }
    cr_assert_eq(status, FTL_ELIMIT, "%d after %u", status, n);
    cr_assert(n >= 900 && n <= 1024, "%u blocks of 4 KiB in 4 MiB", n);
    check_rack(&rack);
    for (uint32_t i = 0; i < n; i++)
        (void)give(&rack, c, headers[i]);
    check_rack(&rack);
    headers[0] = take(&rack, &home, c);
    (void)give(&rack, c, headers[0]);
    close_device();
}
