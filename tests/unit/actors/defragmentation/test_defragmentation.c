/* The actor over a real device, in simulated time. */
#include <criterion/criterion.h>
#include <string.h>

#include "actors/defragmentation/defragmentation.h"
#include "runtime/kernel/simulation.h"

#define MIB    (UINT64_C(1) << 20)
#define SECOND UINT64_C(1000000000)

static const struct ftli_topology_device topology = {.name = "cpu",
                                                     .limit_bytes = 4096 * MIB,
                                                     .soft = 0.8,
                                                     .hard = 0.95,
                                                     .arena_bytes = 64 * MIB,
                                                     .keep = {.is_share = true, .share = 0.1},
                                                     .give_back_ns = 10 * (int64_t)SECOND};
static const struct ftli_allocation_settings allocation = {
    .shards = 2, .magazine = 64, .small_bytes = 32768, .large_bytes = MIB, .thread_cache_bytes = 256 * 1024};
static const struct ftli_defragmentation_settings settings = {.idle_ns = (int64_t)SECOND};

static ftli_kernel *kernel;
static struct ftli_table table;
static struct ftli_device *device;
static struct ftli_defragmentation defragmentation;
static struct ftli_header *taken[64];

static ftli_decision restart(void *self, uint32_t index, bool restartable, int status, uint64_t now_ns)
{
    (void)self, (void)index, (void)status, (void)now_ns;
    cr_assert(restartable);
    return (ftli_decision){FTLI_DECIDE_RESTART, 1000000};
}

static void open_device(void)
{
    const ftli_group_options group = {.name = "background", .count = 1};
    const ftli_kernel_options options = {
        .groups = &group, .group_count = 1, .seed = 3, .simulated = true, .supervision = {.decide = restart}};
    ftli_actor *actor;
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    cr_assert_eq(ftli_table_open(&table, 9, 1 << 16), FTL_OK);
    cr_assert_eq(ftli_device_open(&topology, &allocation, &table, kernel, 0, &device), FTL_OK);
    const struct ftli_defragmentation_world world = {&settings, &topology, device, kernel};
    ftli_defragmentation_init(&defragmentation, &world);
    const ftli_actor_options as = {
        .operations = &ftli_defragmentation_operations, .state = &defragmentation, .group = "background"};
    cr_assert_eq(ftli_kernel_add_actor(kernel, "defragmentation", &as, &actor), FTL_OK);
    ftli_defragmentation_attach(&defragmentation, actor);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
}

static void close_device(void)
{
    cr_expect_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_device_close(device);
    ftli_kernel_destroy(kernel);
    ftli_table_close(&table);
}

TestSuite(defragmentation, .init = open_device, .fini = close_device);

static void take_all(uint64_t bytes)
{
    uint32_t home = 0;
    for (unsigned i = 0; i < 64; i++) {
        struct ftli_pages pages;
        cr_assert_eq(ftli_allocation_take_pages(device, &home, bytes, 64, &pages), FTL_OK);
        taken[i] = pages.header;
    }
}

static void give(unsigned i)
{
    ftli_header_address(taken[i], FTLI_PURPOSE_GIVE_BACK, 0, 0);
    ftli_allocation_post(device, taken[i]);
    taken[i] = NULL;
}

static void give_all(void)
{
    for (unsigned i = 0; i < 64; i++)
        if (taken[i] != NULL)
            give(i);
    cr_assert_eq(ftli_allocation_collect(device), 0);
}

static void run_for(uint64_t ns)
{
    int status = ftli_simulation_run_until_idle(kernel, ftli_kernel_now_ns(kernel) + ns, 100000);
    cr_assert_eq(status, FTL_OK);
}

Test(defragmentation, an_idle_process_gives_its_memory_back_and_sleeps)
{
    take_all(2 * MIB);
    run_for(SECOND);
    give_all();
    cr_expect_geq(ftli_allocation_free_resident_bytes(device), 128 * MIB);
    ftli_defragmentation_note(&defragmentation);
    run_for(SECOND / 2);
    cr_expect_geq(ftli_allocation_free_resident_bytes(device), 128 * MIB, "not at once");
    run_for(9 * SECOND);
    uint64_t left = ftli_allocation_free_resident_bytes(device);
    cr_expect_leq(left, 20 * MIB, "what is kept: a tenth; %lu MiB are left", (unsigned long)(left / MIB));
    cr_expect_gt(left, 12 * MIB);
    run_for(2 * SECOND);
    cr_expect_leq(ftli_allocation_free_resident_bytes(device), 4096, "quiet for so long: nothing is kept");
    run_for(20 * SECOND);
    uint64_t ticks = ftli_u64_load_relaxed(&defragmentation.ticks);
    run_for(3600 * SECOND);
    cr_expect_eq(ftli_u64_load_relaxed(&defragmentation.ticks), ticks, "nothing to do: no tick");
    struct ftli_defragmentation_figures figures;
    ftli_defragmentation_read(&defragmentation, &figures);
    cr_expect_geq(figures.given_back_bytes, 127 * MIB);
    cr_expect_eq(figures.trend, 0);
    char why[200];
    cr_expect(ftli_allocation_check(device, why, sizeof why), "%s", why);
}

Test(defragmentation, notes_wake_it_again)
{
    for (unsigned round = 0; round < 3; round++) {
        take_all(MIB);
        give_all();
        ftli_defragmentation_note(&defragmentation);
        run_for(200 * SECOND);
        cr_expect_leq(ftli_allocation_free_resident_bytes(device), 4096, "round %u", round);
    }
}

Test(defragmentation, figures)
{
    struct ftli_defragmentation_figures figures;
    take_all(256 * 1024);
    ftli_defragmentation_read(&defragmentation, &figures);
    cr_expect_gt(figures.efficiency, 0.8);
    for (unsigned i = 0; i < 64; i += 2)
        give(i);
    cr_assert_eq(ftli_allocation_collect(device), 0);
    ftli_defragmentation_read(&defragmentation, &figures);
    cr_expect_float_eq(figures.fragmentation, (double)figures.short_free_bytes / (double)figures.committed_bytes,
                       1e-12);
    cr_expect_gt(figures.fragmentation, 0.3, "every other quarter MiB is free: %g", figures.fragmentation);
    cr_expect_lt(figures.efficiency, 0.7);
    ftl_defragment_result result;
    const ftl_defragment_options purge = {.purge = true};
    cr_assert_eq(ftli_defragment_now(&defragmentation, NULL, &result), FTL_OK);
    cr_expect_eq(result.released_bytes, 0);
    cr_expect_eq(result.stopped_by, 1, "nothing is movable");
    cr_expect_eq(result.immovable_bytes, 32 * 256 * 1024);
    cr_assert_eq(ftli_defragment_now(&defragmentation, &purge, &result), FTL_OK);
    cr_expect_float_eq(result.before, figures.fragmentation, 1e-12);
    cr_expect_lt(result.after, 0.01);
    cr_expect_geq(result.released_bytes, 32 * 256 * 1024);
    cr_expect_eq(result.stopped_by, 0);
    cr_expect_geq(result.slices, 2);
    give_all();
}

Test(defragmentation, options_that_make_no_sense)
{
    ftl_defragment_result result = {.moved = 77};
    const ftl_defragment_options bad[] = {
        {.target = -0.1}, {.target = 1.5}, {.time_ns = -1}, {.reserved = {0, 0, 0, 1}}};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(ftli_defragment_now(&defragmentation, &bad[i], &result), FTL_EINVAL);
    cr_expect_eq(result.moved, 77, "untouched");
}

Test(defragmentation, survives_being_killed)
{
    take_all(MIB);
    give_all();
    ftli_defragmentation_note(&defragmentation);
    run_for(2 * SECOND);
    static ftli_message any; /* a kill takes the place of a receive */
    ftli_simulation_kill(kernel, defragmentation.actor);
    ftli_actor_send(defragmentation.actor, FTLI_LANE_HIGH, &any);
    run_for(200 * SECOND);
    cr_expect_leq(ftli_allocation_free_resident_bytes(device), 4096);
    cr_expect_eq(ftli_kernel_restarts(kernel), 1);
}
