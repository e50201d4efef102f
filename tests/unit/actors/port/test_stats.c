/* The counters as one picture: what holds in every snapshot, and an audit that finds one planted difference. */
#include "actors/allocation/shard.h"
#include "runtime/base/random.h"
#include "tests/support/laws.h"
#include "tests/unit/actors/port/port_support.h"

static int always_fails(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes, (void)user;
    return -1;
}

/* Something in every state that lasts: live small and large, a view, dropped but pinned, quarantined, reclaimed both ways. */
static ftl_runtime *open_with_some_of_all(ftl_tensor *pinned)
{
    const ftl_tensor_options stuck = {.finalizer = always_fails};
    const int64_t shape = 100;
    ftl_tensor view;
    ftl_runtime *runtime = open_simulated("actors.cleanup.deadline: 10ms");
    for (unsigned i = 0; i < 50; i++) {
        ftl_tensor small = new_bytes(runtime, 100 + 37 * i, NULL), large = new_bytes(runtime, 40000 + 9000 * i, NULL);
        if (i % 2 == 0) {
            cr_assert_eq(ftl_tensor_drop(small), FTL_OK);
            cr_assert_eq(ftl_tensor_drop(large), FTL_OK);
        } else if (i == 1) {
            cr_assert_eq(ftl_tensor_view(large, 10, 1, &shape, NULL, &view), FTL_OK);
        }
    }
    *pinned = new_bytes(runtime, 5000, NULL);
    cr_assert_not_null(ftl_tensor_pin(*pinned));
    cr_assert_eq(ftl_tensor_drop(*pinned), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(new_bytes(runtime, 6000, &stuck)), FTL_OK);
    run_for(runtime, 10 * SECOND);
    return runtime;
}

static void close_with_some_of_all(ftl_runtime *runtime, ftl_tensor pinned)
{
    ftl_close_report report;
    ftl_tensor_unpin(pinned);
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.leaked, 51);
    cr_assert_eq(report.quarantined, 1);
    cr_assert_eq(report.undone, 0);
    ftl_leak_report_free(report.leaks);
}

Test(stats, says_where_every_tensor_is)
{
    ftl_tensor pinned;
    ftl_runtime *runtime = open_with_some_of_all(&pinned);
    ftl_stats stats = stats_of(runtime);
    cr_assert_eq(stats.created, 103);
    cr_assert_eq(stats.live, 51);
    cr_assert_eq(stats.pending, 1);
    cr_assert_eq(stats.pending_bytes, 5000);
    cr_assert_eq(stats.quarantined_bytes, 6000);
    cr_assert_eq(stats.reclaimed, 50);
    cr_assert_eq(stats.immediate, 50);
    cr_assert_eq(stats.deferred, 2, "what was pinned, and what is stuck");
    cr_assert_eq(stats.held_bytes, 0, "it was idle for ten seconds");
    cr_assert(laws_sums_hold(&stats));
    cr_assert_leq(stats.reclaim_p50_ns, stats.reclaim_p99_ns);
    cr_assert_leq(stats.reclaim_p99_ns, stats.reclaim_max_ns);
    must_agree(runtime);
    close_with_some_of_all(runtime, pinned);
}

/* One counter is off by one: the audit says which equation does not hold any more, and agrees again when it is mended. */
Test(stats, the_audit_finds_one_planted_difference)
{
#define PLANT(field, expected)                            \
    {                                                     \
        offsetof(struct ftli_counters, field), (expected) \
    }
    static const struct {
        size_t offset;
        const char *expected;
    } plants[] = {
        PLANT(created[5], "tensors live = created"),
        PLANT(created_bytes, " bytes live = created"),
        PLANT(created_page_bytes, "block bytes live = created"),
        PLANT(immediate[5], "tensors live = created"),
        PLANT(immediate_bytes, " bytes live = created"),
        PLANT(immediate_page_bytes, "block bytes live = created"),
        PLANT(deferred[0], "tensors live = created"),
        PLANT(deferred[1], "tensors live = created"),
        PLANT(deferred_bytes, " bytes live = created"),
        PLANT(deferred_block_bytes, "block bytes live = created"),
        PLANT(completed[0], "tensors pending = deferred"),
        PLANT(completed[1], "tensors pending = deferred"),
        PLANT(completed_bytes, " bytes pending = deferred"),
        PLANT(completed_block_bytes, "block bytes pending = deferred"),
        PLANT(quarantined_by_parity[0], "tensors pending = deferred"),
        PLANT(quarantined_by_parity[1], "tensors pending = deferred"),
        PLANT(quarantined_bytes, " bytes pending = deferred"),
        PLANT(quarantined_block_bytes, "block bytes pending = deferred"),
    };
#undef PLANT
    ftl_tensor pinned;
    ftl_runtime *runtime = open_with_some_of_all(&pinned);
    struct ftli_counters *blocks[] = {&runtime->shared, &runtime->cleanup.counters,
                                      &runtime->device->shards[1].counters, &ftli_port_find(runtime->number)->counters};
    uint64_t failed = 0;
    for (unsigned b = 0; b < sizeof blocks / sizeof blocks[0]; b++)
        for (unsigned i = 0; i < sizeof plants / sizeof plants[0]; i++) {
            ftli_atomic_u64 *counter = (ftli_atomic_u64 *)(void *)((char *)blocks[b] + plants[i].offset);
            char why[300] = "";
            ftli_u64_add_owner(counter, 1);
            cr_assert_eq(ftli_runtime_audit(runtime, why, sizeof why), FTL_EINTERNAL, "block %u, plant %u", b, i);
            cr_assert_not_null(strstr(why, plants[i].expected), "wanted \"%s\": %s", plants[i].expected, why);
            ftli_u64_add_owner(counter, UINT64_MAX);
            must_agree(runtime);
            cr_assert_eq(stats_of(runtime).audits_failed, ++failed);
        }
    close_with_some_of_all(runtime, pinned);
}

Test(stats, the_audit_finds_what_the_counters_do_not_know)
{
    ftl_tensor pinned;
    char why[300] = "";
    ftl_runtime *runtime = open_with_some_of_all(&pinned);
    ftli_atomic_u64 *depot = &runtime->device->depot.magazines[0].total; /* what an empty stack sums to */
    (void)ftli_u64_fetch_add_relaxed(depot, 1);
    cr_assert_eq(ftli_runtime_audit(runtime, why, sizeof why), FTL_EINTERNAL);
    cr_assert_not_null(strstr(why, "heaps have given out"), "%s", why);
    (void)ftli_u64_fetch_add_relaxed(depot, UINT64_MAX);
    runtime->device->shards[0].heap.rest_runs++;
    cr_assert_eq(ftli_runtime_audit(runtime, why, sizeof why), FTL_EINTERNAL);
    runtime->device->shards[0].heap.rest_runs--;
    must_agree(runtime);
    close_with_some_of_all(runtime, pinned);
}

Test(stats, laws_hold_at_every_step_of_random_work)
{
    enum { LIVE = 400, STEPS = 6000 };
    static ftl_tensor live[LIVE];
    ftli_random_state random;
    ftli_random_seed(&random, 11);
    ftl_runtime *runtime = open_simulated(NULL);
    unsigned n = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        if (n == 0 || (n < LIVE && ftli_random_chance(&random, 0.52))) {
            live[n++] =
                new_bytes(runtime, ftli_random_below(&random, 1u << (5 + ftli_random_below(&random, 15))), NULL);
        } else {
            unsigned k = ftli_random_below(&random, n);
            cr_assert_eq(ftl_tensor_drop(live[k]), FTL_OK);
            live[k] = live[--n];
        }
        if (ftli_random_below(&random, 50) == 0)
            run_for(runtime, ftli_random_below(&random, 200) * MS);
        if (step % 7 == 0) {
            ftl_stats stats = stats_of(runtime);
            cr_assert_eq(stats.live, n);
            cr_assert(laws_sums_hold(&stats), "step %u", step);
        }
        if (step % 500 == 0)
            must_agree(runtime);
    }
    while (n > 0)
        cr_assert_eq(ftl_tensor_drop(live[--n]), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    must_agree(runtime);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(stats, pressure_is_a_level_of_the_topology)
{
    ftl_runtime *runtime = open_simulated("devices.cpu.limit: 100MiB\ndevices.cpu.hard: 100%");
    static const unsigned mib[] = {50, 62, 82, 91, 96};
    for (unsigned i = 0; i < 5; i++) {
        ftl_tensor tensor = new_bytes(runtime, mib[i] * MIB, NULL);
        cr_assert_eq(stats_of(runtime).pressure, i, "%u MiB of 100", mib[i]);
        cr_assert_eq(stats_of(runtime).limit_bytes, 100 * MIB);
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
        ftli_allocation_relieve(runtime->device);
    }
    cr_assert_eq(stats_of(runtime).peak_live_bytes, 96 * MIB);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(stats, bad_arguments)
{
    ftl_stats stats;
    ftl_runtime *runtime = open_simulated(NULL);
    cr_assert_eq(ftl_runtime_stats(NULL, &stats), FTL_EINVAL);
    cr_assert_eq(ftl_runtime_stats(runtime, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    memset(&stats, 0x77, sizeof stats);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_ECLOSED);
    cr_assert_eq(stats.created, UINT64_C(0x7777777777777777), "the output was touched");
}
