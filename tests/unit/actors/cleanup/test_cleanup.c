/* The cleanup in simulated time: when a failed finalizer is tried again, when it is given up, what cascades, and what is not
 * allowed to be freed. */
#include "tests/unit/actors/port/port_support.h"

enum { TRIES_MOST = 64 };

struct tries {
    ftl_runtime *runtime;
    unsigned calls, fail_first; /* of the calls */
    uint64_t at_ns[TRIES_MOST];
};

static int fails(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct tries *tries = user;
    (void)tensor, (void)data, (void)bytes;
    if (tries->calls < TRIES_MOST)
        tries->at_ns[tries->calls] = ftli_kernel_now_ns(tries->runtime->kernel);
    return tries->calls++ < tries->fail_first ? -1 : 0;
}

static ftl_tensor doomed(struct tries *tries, uint64_t bytes)
{
    const ftl_tensor_options options = {.finalizer = fails, .finalizer_user = tries};
    return new_bytes(tries->runtime, bytes, &options);
}

static ftl_close_report close_cleanly(ftl_runtime *runtime)
{
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    return report;
}

Test(cleanup, waits_grow_by_the_factor_up_to_the_most)
{
    static const uint64_t expected_ms[] = {2, 6, 18, 20, 20, 20};
    struct tries tries = {.fail_first = 6};
    tries.runtime = open_simulated("actors.cleanup.retry: {first: 2ms, factor: 3, most: 20ms}");
    cr_assert_eq(ftl_tensor_drop(doomed(&tries, 300)), FTL_OK);
    cr_assert_eq(tries.calls, 0, "user code inside a drop");
    run_for(tries.runtime, SECOND);
    cr_assert_eq(tries.calls, 7);
    for (unsigned i = 0; i < 6; i++) {
        uint64_t waited_ns = tries.at_ns[i + 1] - tries.at_ns[i];
        cr_assert(waited_ns >= expected_ms[i] * MS && waited_ns <= (expected_ms[i] + 2) * MS,
                  "wait %u was %.3f ms, not %llu", i, (double)waited_ns / 1e6, (unsigned long long)expected_ms[i]);
    }
    cr_assert_eq(ftli_u64_load_relaxed(&tries.runtime->cleanup.retried), 6);
    cr_assert_eq(ftli_u64_load_relaxed(&tries.runtime->cleanup.waiting_count), 0);
    ftl_stats stats = stats_of(tries.runtime);
    cr_assert_eq(stats.reclaimed, 1);
    cr_assert_eq(stats.quarantined, 0);
    must_agree(tries.runtime);
    (void)close_cleanly(tries.runtime);
}

Test(cleanup, gives_up_after_one_last_try_at_the_deadline)
{
    struct tries tries = {.fail_first = UINT32_MAX};
    tries.runtime = open_simulated("actors.cleanup.retry: {first: 1ms, factor: 2, most: 64ms}\n"
                                   "actors.cleanup.deadline: 100ms\nactors.cleanup.batch: {messages: 1, age: 0ms}");
    ftl_tensor tensor = doomed(&tries, 5000);
    memset(ftl_tensor_data(tensor), 0x5a, 5000);
    const unsigned char *data = ftl_tensor_data(tensor);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    uint64_t dropped_ns = ftli_kernel_now_ns(tries.runtime->kernel);
    run_for(tries.runtime, 10 * SECOND);
    uint64_t last_ns = tries.at_ns[tries.calls - 1] - dropped_ns;
    cr_assert(last_ns >= 100 * MS && last_ns <= 103 * MS, "the last try came after %.3f ms", (double)last_ns / 1e6);
    cr_assert_eq(tries.calls, 8, "at 0 1 3 7 15 31 63 and 100 ms; was %u", tries.calls);
    ftl_stats stats = stats_of(tries.runtime);
    cr_assert_eq(stats.quarantined, 1);
    cr_assert_eq(stats.quarantined_bytes, 5000);
    cr_assert_eq(stats.pending, 0);
    cr_assert_eq(stats.pending_bytes, 0);
    cr_assert_not(ftl_tensor_alive(tensor));
    cr_assert_eq(ftli_word_state(ftli_u64_load_relaxed(&header_of(tensor)->word)), FTLI_QUARANTINED);
    cr_assert_eq(data[4999], 0x5a, "its memory is kept");
    cr_assert_eq(ftl_runtime_drain(tries.runtime, 0), FTL_OK, "what is quarantined is not waited for");
    must_agree(tries.runtime);
    cr_assert_eq(close_cleanly(tries.runtime).quarantined, 1);
}

Test(cleanup, over_its_limit_the_quarantine_refuses_new)
{
    struct tries tries = {.fail_first = UINT32_MAX};
    ftl_tensor tensor;
    tries.runtime = open_simulated("actors.cleanup.deadline: 1ms\nactors.cleanup.quarantine_limit: 64KiB");
    cr_assert_eq(ftl_tensor_drop(doomed(&tries, 60 * KIB)), FTL_OK);
    run_for(tries.runtime, SECOND);
    tensor = new_bytes(tries.runtime, 100 * KIB, NULL);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(doomed(&tries, 60 * KIB)), FTL_OK);
    run_for(tries.runtime, SECOND);
    cr_assert_eq(stats_of(tries.runtime).quarantined, 2);
    tensor.id = 77;
    cr_assert_eq(ftl_bytes_new(tries.runtime, 100 * KIB, NULL, &tensor), FTL_ELIMIT);
    cr_assert_not_null(strstr(ftl_last_error(), "quarantine"), "%s", ftl_last_error());
    cr_assert_eq(tensor.id, 77);
    cr_assert_eq(close_cleanly(tries.runtime).quarantined, 2);
}

static void retry(ftl_runtime *runtime, ftl_tensor tensor)
{
    cr_assert(ftli_cleanup_send_retry(&runtime->cleanup, header_of(tensor), ftli_handle_generation(tensor.id)));
    cr_assert_not(ftli_cleanup_send_retry(&runtime->cleanup, header_of(tensor), ftli_handle_generation(tensor.id)));
}

/* A retry is as a drop made now: the deadline and the waits begin anew. The counts move with it, and the limit lets new in again. */
Test(cleanup, a_retry_begins_anew_and_ends_in_either_way)
{
    struct tries tries = {.fail_first = UINT32_MAX};
    ftl_tensor other = {0};
    tries.runtime = open_simulated("actors.cleanup.retry: {first: 1ms, factor: 2, most: 64ms}\n"
                                   "actors.cleanup.deadline: 100ms\nactors.cleanup.quarantine_limit: 4KiB\n"
                                   "actors.cleanup.batch: {messages: 1, age: 0ms}");
    ftl_tensor tensor = doomed(&tries, 5000);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    run_for(tries.runtime, SECOND);
    cr_assert_eq(tries.calls, 8);
    cr_assert_eq(ftl_bytes_new(tries.runtime, 100 * KIB, NULL, &other), FTL_ELIMIT);
    retry(tries.runtime, tensor);
    cr_assert_eq(ftl_runtime_drain(tries.runtime, 0), FTL_ETIMEDOUT, "an operator's retry is waited for");
    cr_assert_eq(ftl_tensor_await(tensor, 1000 * 1000), FTL_ETIMEDOUT);
    ftl_stats stats = stats_of(tries.runtime);
    cr_assert_eq(stats.quarantined + stats.quarantined_bytes, 0);
    cr_assert_eq(stats.pending_bytes, 5000);
    must_agree(tries.runtime);
    cr_assert_eq(ftl_tensor_await(tensor, -1), FTL_EINTERNAL);
    cr_assert_eq(tries.calls, 16, "as often as the first time; was %u", tries.calls);
    stats = stats_of(tries.runtime);
    cr_assert_eq(stats.quarantined, 1);
    cr_assert_eq(stats.quarantined_bytes, 5000);
    must_agree(tries.runtime);
    tries.fail_first = 18;
    retry(tries.runtime, tensor);
    cr_assert_eq(ftl_tensor_await(tensor, -1), FTL_OK);
    cr_assert_eq(tries.calls, 19);
    stats = stats_of(tries.runtime);
    cr_assert_eq(stats.reclaimed, 1);
    cr_assert_eq(stats.quarantined + stats.quarantined_bytes + stats.pending, 0);
    cr_assert_eq(ftli_cleanup_read_pending(&tries.runtime->cleanup).tensors, 0);
    cr_assert_eq(ftl_bytes_new(tries.runtime, 100 * KIB, NULL, &other), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_drop(other), FTL_OK);
    must_agree(tries.runtime);
    cr_assert_eq(close_cleanly(tries.runtime).quarantined, 0);
}

/* What was broken stays there, however often it is retried; what it held was given up once. */
Test(cleanup, a_retry_of_what_is_not_as_it_must_be_changes_nothing)
{
    ftl_runtime *runtime = open_simulated(NULL);
    ftl_tensor root = new_bytes(runtime, 500, NULL), view;
    const int64_t shape = 10;
    cr_assert_eq(ftl_tensor_view(root, 0, 1, &shape, NULL, &view), FTL_OK);
    cr_assert_eq(ftl_tensor_retain(root), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(view), FTL_OK);
    ftli_u64_store_release(&header_of(view)->record, ftli_u64_load_relaxed(&header_of(view)->record) ^ UINT64_C(1)
                                                                                                           << 40);
    run_for(runtime, SECOND);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(stats_of(runtime).quarantined, 1);
        cr_assert(ftl_tensor_alive(root));
        retry(runtime, view);
        run_for(runtime, SECOND);
    }
    must_agree(runtime);
    ftli_u64_store_release(&header_of(view)->record, /* mended */
                           ftli_u64_load_relaxed(&header_of(view)->record) ^ UINT64_C(1) << 40);
    retry(runtime, view);
    cr_assert_eq(ftl_tensor_await(view, -1), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(root), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(root), FTL_OK);
    must_agree(runtime);
    cr_assert_eq(close_cleanly(runtime).leaked, 0);
}

/* More children than one go takes: the header comes round again, and every child is given up once. */
Test(cleanup, a_wide_cascade_comes_round_again)
{
    enum { CHILDREN = 300 };
    static ftl_tensor children[CHILDREN];
    ftl_runtime *runtime = open_simulated(NULL);
    ftl_tensor parent = new_bytes(runtime, 64, NULL), kept = new_bytes(runtime, 64, NULL);
    for (unsigned i = 0; i < CHILDREN; i++) {
        children[i] = new_bytes(runtime, 64 + i, NULL);
        cr_assert_eq(ftl_tensor_link(parent, children[i]), FTL_OK);
        cr_assert_eq(ftl_tensor_drop(children[i]), FTL_OK);
        cr_assert(ftl_tensor_alive(children[i]));
    }
    cr_assert_eq(ftl_tensor_link(parent, kept), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(parent), FTL_OK);
    run_for(runtime, SECOND);
    for (unsigned i = 0; i < CHILDREN; i++)
        cr_assert_not(ftl_tensor_alive(children[i]), "child %u", i);
    cr_assert(ftl_tensor_alive(kept), "its owner has a reference of its own");
    uint64_t received = ftli_u64_load_relaxed(&runtime->cleanup.received);
    cr_assert_geq(received, 5, "301 children in %llu goes", (unsigned long long)received);
    cr_assert_eq(stats_of(runtime).live, 1);
    must_agree(runtime);
    cr_assert_eq(ftl_tensor_drop(kept), FTL_OK);
    cr_assert_eq(close_cleanly(runtime).leaked, 0);
}

/* ---- validation ---------------------------------------------------------------------------------------------------------- */

static void lose_its_number(struct ftli_header *header)
{
    ftli_u64_store_release(&header->record, ftli_u64_load_relaxed(&header->record) ^ UINT64_C(1) << 40);
}

static void get_a_reference(struct ftli_header *header)
{
    ftli_u64_store_release(&header->word, ftli_u64_load_relaxed(&header->word) + FTLI_WORD_REFERENCE);
}

static void get_a_pin(struct ftli_header *header)
{
    ftli_u64_store_release(&header->word, ftli_u64_load_relaxed(&header->word) + FTLI_WORD_PIN);
}

static void get_another_purpose(struct ftli_header *header)
{
    ftli_header_address(header, (enum ftli_purpose)99, ftli_header_lane(header), ftli_header_parity(header));
}

static int works(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes, (void)user;
    return 0;
}

/* With a finalizer; and because it is larger than what parcels carry. */
Test(cleanup, what_is_not_as_it_must_be_is_quarantined)
{
    static void (*const breaks[])(struct ftli_header *) = {lose_its_number, get_a_reference, get_a_pin,
                                                           get_another_purpose};
    static const ftl_tensor_options finalized = {.finalizer = works};
    for (unsigned i = 0; i < 2 * sizeof breaks / sizeof breaks[0] - 1; i++) {
        bool alone = i % 2 == 0;
        uint64_t bytes = alone ? 700 : 2 * MIB;
        ftl_runtime *runtime = open_simulated("actors.cleanup.policy: message");
        ftl_tensor good = new_bytes(runtime, 500, NULL), bad = new_bytes(runtime, bytes, alone ? &finalized : NULL);
        cr_assert_eq(ftl_tensor_drop(bad), FTL_OK);
        cr_assert_eq(ftl_tensor_drop(good), FTL_OK);
        breaks[i / 2](header_of(bad)); /* while it is on its way to the cleanup, or in its mailbox */
        run_for(runtime, SECOND);
        ftl_stats stats = stats_of(runtime);
        cr_assert_eq(ftli_u64_load_relaxed(&runtime->cleanup.invalid), 1, "break %u", i);
        cr_assert_eq(stats.quarantined, 1);
        cr_assert_eq(stats.quarantined_bytes, bytes);
        cr_assert_eq(stats.reclaimed, 1, "the other one goes on");
        must_agree(runtime);
        cr_assert_eq(close_cleanly(runtime).quarantined, 1);
    }
}

/* It is looked at when it is dropped, while its line is at hand: after that nobody refers to it. */
Test(cleanup, a_tensor_that_is_not_as_it_must_be_never_comes_into_a_parcel)
{
    ftl_runtime *runtime = open_simulated("actors.cleanup.policy: message");
    ftl_tensor good = new_bytes(runtime, 500, NULL), bad = new_bytes(runtime, 70 * KIB, NULL);
    lose_its_number(header_of(bad));
    cr_assert_eq(ftl_tensor_drop(bad), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(good), FTL_OK);
    run_for(runtime, SECOND);
    cr_assert_eq(ftli_u64_load_relaxed(&runtime->cleanup.invalid), 1);
    cr_assert_eq(stats_of(runtime).quarantined, 1);
    cr_assert_eq(stats_of(runtime).reclaimed, 1);
    must_agree(runtime);
    cr_assert_eq(close_cleanly(runtime).quarantined, 1);
}

Test(cleanup, validates_nothing_where_it_is_told_so)
{
    ftl_runtime *runtime = open_simulated("actors.cleanup.policy: message\nactors.cleanup.validate: none");
    ftl_tensor bad = new_bytes(runtime, 70 * KIB, NULL);
    cr_assert_eq(ftl_tensor_drop(bad), FTL_OK);
    get_a_reference(header_of(bad));
    run_for(runtime, SECOND);
    cr_assert_eq(stats_of(runtime).quarantined, 0);
    cr_assert_eq(stats_of(runtime).reclaimed, 1);
    (void)close_cleanly(runtime);
}

/* ---- parcels ------------------------------------------------------------------------------------------------------------- */

static uint64_t lane_depth(const ftl_runtime *runtime, unsigned lane)
{
    ftli_actor_figures figures;
    ftli_actor_read(runtime->cleanup.actor, &figures);
    return figures.lanes[lane].depth;
}

/* Pending from the drop on; posted when the parcel has no room; completed by the cleanup, and given out again by new. */
Test(cleanup, many_drops_are_one_message)
{
    ftl_tensor tensors[FTLI_PARCEL_MOST];
    ftl_runtime *runtime = open_simulated("actors.cleanup.policy: message");
    for (unsigned i = 0; i < FTLI_PARCEL_MOST; i++)
        tensors[i] = new_bytes(runtime, 1 + i % 64, NULL);
    unsigned n = 0;
    while (lane_depth(runtime, FTLI_LANE_NORMAL) == 0) {
        cr_assert_lt(n, FTLI_PARCEL_MOST, "a parcel holds no more");
        cr_assert_eq(ftl_tensor_drop(tensors[n]), FTL_OK);
        cr_assert_eq(ftl_tensor_drop(tensors[n]), FTL_ESTALE);
        cr_assert_eq(stats_of(runtime).pending, ++n);
        must_agree(runtime);
    }
    cr_assert_geq(n, 200);
    cr_assert_eq(lane_depth(runtime, FTLI_LANE_NORMAL), 1);
    struct ftli_cleanup_pending pending = ftli_cleanup_read_pending(&runtime->cleanup);
    cr_assert_eq(pending.tensors, n);
    cr_assert_eq(pending.bytes, n * 64);
    run_for(runtime, SECOND);
    ftl_stats stats = stats_of(runtime);
    cr_assert_eq(stats.reclaimed, n);
    cr_assert_eq(stats.deferred, n);
    cr_assert_eq(stats.pending_bytes, 0);
    cr_assert_leq(stats.reclaim_max_ns, 100 * MS);
    cr_assert_gt(stats.reclaim_p50_ns, 0);
    cr_assert_eq(ftli_cleanup_read_pending(&runtime->cleanup).tensors, 0);
    must_agree(runtime);
    for (; n < FTLI_PARCEL_MOST; n++)
        cr_assert_eq(ftl_tensor_drop(tensors[n]), FTL_OK);
    cr_assert_eq(close_cleanly(runtime).undone, 0);
}

/* One drop, and a thread that goes on with other things: within 100 ms it is completed all the same. */
Test(cleanup, no_drop_waits_in_a_parcel_for_long)
{
    ftl_runtime *runtime = open_simulated("actors.cleanup.policy: message");
    for (unsigned i = 0; i < 20; i++) {
        ftl_tensor tensor = new_bytes(runtime, i % 2 == 0 ? 64 : 100 * KIB, NULL);
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
        for (unsigned k = 0; k < 10; k++) {
            run_for(runtime, 10 * MS);
            tensor = new_bytes(runtime, 128, &(ftl_tensor_options){.label = "busy"});
            cr_assert_eq(ftl_tensor_retain(tensor), FTL_OK);
        }
        cr_assert_eq(stats_of(runtime).pending, 0, "drop %u", i);
    }
    cr_assert_eq(stats_of(runtime).reclaimed, 20);
    cr_assert_leq(stats_of(runtime).reclaim_max_ns, 100 * MS);
    ftl_close_report report = close_cleanly(runtime);
    cr_assert_eq(report.leaked, 200, "what the busy thread made and kept");
    ftl_leak_report_free(report.leaks);
}

/* Without an empty parcel each drop is posted on its own, as without the pool. */
Test(cleanup, without_parcels_each_drop_is_a_message_of_its_own)
{
    ftl_tensor tensors[10];
    ftl_runtime *runtime = open_simulated("actors.cleanup.policy: message");
    uint32_t most = runtime->cleanup.parcels.most;
    cr_assert_geq(most, 64);
    runtime->cleanup.parcels.most = 0;
    for (unsigned i = 0; i < 10; i++)
        tensors[i] = new_bytes(runtime, 100, NULL);
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    cr_assert_eq(lane_depth(runtime, FTLI_LANE_NORMAL), 10);
    must_agree(runtime);
    run_for(runtime, SECOND);
    cr_assert_eq(stats_of(runtime).reclaimed, 10);
    must_agree(runtime);
    runtime->cleanup.parcels.most = most;
    cr_assert_eq(close_cleanly(runtime).undone, 0);
}

/* ---- lanes --------------------------------------------------------------------------------------------------------------- */

Test(cleanup, size_and_pressure_choose_the_lane)
{
    ftl_runtime *runtime = open_simulated("actors.cleanup.policy: message\nactors.cleanup.high_lane_from: 1MiB\n"
                                          "devices.cpu.limit: 100MiB\ndevices.cpu.hard: 100%");
    ftl_tensor small = new_bytes(runtime, 100, NULL), big = new_bytes(runtime, MIB, NULL);
    cr_assert_eq(ftl_tensor_drop(small), FTL_OK);
    cr_assert_eq(ftli_port_post_outboxes(runtime, FTLI_NEVER_NS), 0);
    cr_assert_eq(lane_depth(runtime, FTLI_LANE_NORMAL), 1);
    cr_assert_eq(ftl_tensor_drop(big), FTL_OK);
    cr_assert_eq(lane_depth(runtime, FTLI_LANE_HIGH), 1);
    struct ftli_cleanup_backlog backlog;
    ftli_cleanup_read_backlog(&runtime->cleanup, &backlog);
    cr_assert_eq(backlog.messages, 2);
    cr_assert_eq(backlog.bytes, 128 + MIB, "a parcel counts blocks");
    run_for(runtime, SECOND);
    ftli_cleanup_read_backlog(&runtime->cleanup, &backlog);
    cr_assert_eq(backlog.messages, 0);
    cr_assert_eq(backlog.bytes, 0);
    ftl_tensor most = new_bytes(runtime, 90 * MIB, NULL);
    ftl_tensor second = new_bytes(runtime, 6 * MIB, NULL);
    cr_assert_geq(ftli_allocation_pressure(runtime->device), 0.95);
    cr_assert_eq(ftl_tensor_drop(second), FTL_OK);
    cr_assert_eq(lane_depth(runtime, FTLI_LANE_EMERGENCY), 1);
    cr_assert_eq(ftl_tensor_drop(most), FTL_OK);
    run_for(runtime, SECOND);
    cr_assert_eq(stats_of(runtime).reclaimed, 4);
    must_agree(runtime);
    cr_assert_eq(close_cleanly(runtime).undone, 0);
}

/* ---- restarts ------------------------------------------------------------------------------------------------------------ */

/* Killed while one waits for its next try, and while drops lie in its mailbox: nothing is lost, nothing is done twice. */
Test(cleanup, a_restart_finds_its_work_in_the_headers)
{
    struct tries tries = {.fail_first = 3};
    tries.runtime = open_simulated("actors.cleanup.policy: message\nsupervision.restarts: 100\n"
                                   "actors.cleanup.retry: {first: 5ms, factor: 1, most: 5ms}");
    cr_assert_eq(ftl_tensor_drop(doomed(&tries, 300)), FTL_OK);
    run_for(tries.runtime, 2 * MS);
    cr_assert_eq(ftli_u64_load_relaxed(&tries.runtime->cleanup.waiting_count), 0, "batched: it is not there yet");
    ftli_cleanup_hurry(&tries.runtime->cleanup);
    run_for(tries.runtime, 2 * MS);
    cr_assert_eq(ftli_u64_load_relaxed(&tries.runtime->cleanup.waiting_count), 1);
    for (unsigned i = 0; i < 50; i++)
        cr_assert_eq(ftl_tensor_drop(new_bytes(tries.runtime, 100 + i, NULL)), FTL_OK);
    ftli_simulation_kill(tries.runtime->kernel, tries.runtime->cleanup.actor);
    run_for(tries.runtime, SECOND);
    cr_assert_eq(ftli_kernel_restarts(tries.runtime->kernel), 1);
    cr_assert_eq(tries.calls, 4);
    ftl_stats stats = stats_of(tries.runtime);
    cr_assert_eq(stats.reclaimed, 51);
    cr_assert_eq(stats.restarts, 1);
    cr_assert_eq(stats.pending, 0);
    must_agree(tries.runtime);
    cr_assert_eq(close_cleanly(tries.runtime).leaked, 0);
}

Test(cleanup, many_finalizers_fail_at_random_and_all_end)
{
    enum { N = 200 };
    static struct tries tries[N];
    ftl_runtime *runtime = open_simulated("threads.finalizers: {count: 4}\nactors.cleanup.deadline: 500ms\n"
                                          "actors.cleanup.retry: {first: 1ms, factor: 2, most: 100ms}");
    unsigned hopeless = 0;
    for (unsigned i = 0; i < N; i++) {
        tries[i] = (struct tries){.runtime = runtime, .fail_first = i % 5 == 4 ? UINT32_MAX : i % 5};
        hopeless += i % 5 == 4;
        cr_assert_eq(ftl_tensor_drop(doomed(&tries[i], 64 * (1 + i))), FTL_OK);
        if (i % 16 == 0)
            run_for(runtime, MS);
    }
    run_for(runtime, 5 * SECOND);
    ftl_stats stats = stats_of(runtime);
    cr_assert_eq(stats.quarantined, hopeless);
    cr_assert_eq(stats.reclaimed, N - hopeless);
    for (unsigned i = 0; i < N; i++)
        cr_assert(i % 5 == 4 ? tries[i].calls > 5 : tries[i].calls == i % 5 + 1, "tensor %u: %u calls", i,
                  tries[i].calls);
    must_agree(runtime);
    cr_assert_eq(close_cleanly(runtime).quarantined, hopeless);
}
