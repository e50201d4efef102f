/* Each actor down, in a whole runtime in simulation: what docs/topology.md says a program sees then. And drops past their deadline. */
#include <criterion/criterion.h>

#include "actors/port/runtime.h"
#include "runtime/kernel/simulation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(degraded, .timeout = 120);

static ftl_runtime *open_with(const char *overrides)
{
    ftl_runtime *runtime;
    ftl_open_options options = {.overrides = overrides};
    cr_assert_eq(ftli_runtime_open_as(&options, true, 7, &runtime), FTL_OK, "%s", ftl_last_error());
    return runtime;
}

static void run_for(ftl_runtime *runtime, uint64_t ns)
{
    const uint64_t until_ns = ftli_kernel_now_ns(runtime->kernel) + ns;
    const int status = ftli_simulation_run_until_idle(runtime->kernel, until_ns, 0);
    cr_assert_eq(status, FTL_OK, "%s", ftli_simulation_why(runtime->kernel));
    if (ftli_kernel_now_ns(runtime->kernel) < until_ns)
        ftli_simulation_jump(runtime->kernel, until_ns - ftli_kernel_now_ns(runtime->kernel));
}

static ftl_stats stats_of(ftl_runtime *runtime)
{
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(stats.created, stats.live + stats.pending + stats.reclaimed + stats.quarantined);
    cr_assert_eq(stats.committed_bytes, stats.live_bytes + stats.pending_bytes + stats.quarantined_bytes +
                                            stats.cached_bytes + stats.slack_bytes + stats.metadata_bytes);
    return stats;
}

/* A runtime in which this actor is given up at its first failure, which has happened. */
static ftl_runtime *open_without(const char *name)
{
    static ftli_message message;
    ftl_runtime *runtime = open_with("supervision.restarts: 0\n");
    ftli_actor *actor = ftli_kernel_find(runtime->kernel, name);
    cr_assert_not_null(actor, "%s", name);
    cr_assert_eq(stats_of(runtime).degraded, 0);
    message = (ftli_message){.type = 0};
    ftli_simulation_kill(runtime->kernel, actor); /* in the place of a receive */
    if (strncmp(name, "finalizer", 9) == 0)       /* which has no tick */
        ftli_actor_send(actor, FTLI_LANE_HIGH, &message);
    ftli_actor_run_within(actor, 0);
    run_for(runtime, FTLI_NS_PER_MS);
    cr_assert(ftli_actor_is_down(actor), "%s", name);
    cr_assert_eq(stats_of(runtime).degraded, UINT32_C(1) << ftli_actor_index(actor));
    return runtime;
}

static ftl_tensor make(ftl_runtime *runtime, size_t bytes, const ftl_tensor_options *options)
{
    ftl_tensor tensor;
    cr_assert_eq(ftl_bytes_new(runtime, bytes, options, &tensor), FTL_OK, "%s", ftl_last_error());
    memset(ftl_tensor_data(tensor), 1, bytes);
    return tensor;
}

static int finalize(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes;
    ++*(unsigned *)user;
    return 0;
}

static void close_it(ftl_runtime *runtime, uint64_t undone)
{
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(report.leaked, 0);
    cr_assert_eq(report.undone, undone);
}

/* Small, middle and large ones come and go, and nothing is left. */
static void use(ftl_runtime *runtime)
{
    static const size_t sizes[] = {64, 3000, 40000, 300000, 2000000};
    ftl_tensor tensors[50];
    for (unsigned i = 0; i < 50; i++)
        tensors[i] = make(runtime, sizes[i % 5] + i, NULL);
    for (unsigned i = 0; i < 50; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
}

static char said[16384];

static int take_text(const char *text, size_t n, void *user)
{
    (void)user;
    const size_t have = strlen(said);
    cr_assert_lt(have + n, sizeof said);
    memcpy(said + have, text, n);
    said[have + n] = '\0';
    return 0;
}

static const char *ask(ftl_runtime *runtime, const char *request, int expected)
{
    memset(said, 0, sizeof said);
    cr_assert_eq(ftl_runtime_control(runtime, request, take_text, NULL), expected, "%s", ftl_last_error());
    return said;
}

/* ---- one after the other ---------------------------------------------------------------------------------------------- */

Test(degraded, without_allocation_new_and_drop_work)
{
    ftl_runtime *runtime = open_without("allocation");
    use(runtime);
    cr_assert_eq(ftl_runtime_drain(runtime, 1000000000), FTL_OK, "%s", ftl_last_error());
    const ftl_stats before = stats_of(runtime);
    cr_assert_eq(before.live + before.pending, 0);
    run_for(runtime, 60 * FTLI_NS_PER_S);
    cr_expect_eq(stats_of(runtime).held_bytes, before.held_bytes, "nobody takes it back");
    use(runtime);
    cr_assert_eq(ftl_runtime_drain(runtime, 1000000000), FTL_OK);
    cr_assert_not_null(strstr(ask(runtime, "check", FTL_OK), "good"));
    close_it(runtime, 0);
}

Test(degraded, without_cleanup_what_it_would_finish_stays_pending_and_the_rest_goes_on)
{
    unsigned finalized = 0;
    const ftl_tensor_options options = {.finalizer = finalize, .finalizer_user = &finalized};
    ftl_runtime *runtime = open_without("cleanup");
    ftl_tensor tensor = make(runtime, 1000, &options);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_expect_not(ftl_tensor_alive(tensor));
    use(runtime);
    cr_expect_eq(ftl_runtime_drain(runtime, 3000000000), FTL_ETIMEDOUT);
    const ftl_stats stats = stats_of(runtime);
    cr_expect_eq(stats.live, 0);
    cr_expect_eq(stats.pending, 1, "%llu", (unsigned long long)stats.pending);
    cr_expect_eq(finalized, 0);
    cr_expect_eq(ftl_tensor_drop(tensor), FTL_ESTALE, "it is dropped, and once");
    close_it(runtime, 1);
    cr_expect_eq(finalized, 0, "no memory is freed without its finalizer but by the close, which reports it");
}

Test(degraded, without_a_worker_tensors_with_finalizers_stay_pending)
{
    unsigned finalized = 0;
    const ftl_tensor_options options = {.finalizer = finalize, .finalizer_user = &finalized};
    ftl_runtime *runtime = open_without("finalizer-a");
    cr_assert_eq(ftl_tensor_drop(make(runtime, 1000, &options)), FTL_OK);
    ftl_tensor parent = make(runtime, 100, NULL), child = make(runtime, 100, NULL);
    cr_assert_eq(ftl_tensor_link(parent, child), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(child), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(parent), FTL_OK);
    use(runtime);
    run_for(runtime, FTLI_NS_PER_S);
    cr_expect_eq(stats_of(runtime).pending, 1, "the links are done");
    cr_expect_eq(finalized, 0);
    close_it(runtime, 1);
}

Test(degraded, without_tracking_the_figures_stay_exact)
{
    ftl_runtime *runtime = open_without("tracking");
    for (unsigned i = 0; i < 100000; i++)
        cr_assert_eq(ftl_tensor_drop(make(runtime, 64, NULL)), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, 1000000000), FTL_OK);
    const ftl_stats stats = stats_of(runtime);
    cr_expect_eq(stats.created, 100000);
    cr_expect_eq(stats.reclaimed, 100000);
    cr_expect_gt(stats.events_lost, 0);
    close_it(runtime, 0);
}

Test(degraded, without_defragmentation_free_memory_stays)
{
    ftl_runtime *runtime = open_without("defragmentation");
    for (unsigned i = 0; i < 20; i++)
        use(runtime);
    cr_assert_eq(ftl_runtime_drain(runtime, 1000000000), FTL_OK);
    run_for(runtime, 120 * FTLI_NS_PER_S);
    const uint64_t committed = stats_of(runtime).committed_bytes;
    ftl_defragment_result result;
    const ftl_defragment_options options = {.purge = true};
    cr_assert_eq(ftl_defragment(runtime, &options, &result), FTL_OK);
    cr_expect_lt(stats_of(runtime).committed_bytes, committed, "it was still there");
    close_it(runtime, 0);
}

Test(degraded, without_leak_detection_scans_work)
{
    ftl_runtime *runtime = open_without("leak_detection");
    ftl_scope scope;
    ftl_leak_report *report;
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    const ftl_tensor_options options = {.scope = scope};
    ftl_tensor leak = make(runtime, 5000, &options);
    cr_assert_eq(ftl_tensor_retain(leak), FTL_OK);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    run_for(runtime, 30 * FTLI_NS_PER_S);
    cr_expect_eq(stats_of(runtime).leak_suspects, 0, "nobody looks");
    cr_assert_eq(ftl_leak_scan(runtime, NULL, &report), FTL_OK);
    cr_expect_eq(report->leaked, 1);
    ftl_leak_report_free(report);
    cr_assert_eq(ftl_tensor_drop(leak), FTL_OK);
    cr_assert_not_null(strstr(ask(runtime, "check", FTL_OK), "good"));
    close_it(runtime, 0);
}

#if FETTLE_TELEMETRY
Test(degraded, without_telemetry_all_else_goes_on)
{
    ftl_runtime *runtime = open_without("telemetry");
    use(runtime);
    cr_assert_eq(ftl_runtime_drain(runtime, 1000000000), FTL_OK);
    cr_assert_not_null(strstr(ask(runtime, "stats", FTL_OK), "created"));
    close_it(runtime, 0);
}
#endif

static unsigned heard;

static void hear(const ftl_event *event, void *user)
{
    (void)event, (void)user;
    heard++;
}

Test(degraded, without_events_nobody_hears_of_them_and_all_else_goes_on)
{
    ftl_runtime *runtime = open_without("Events");
    uint64_t subscription;
    cr_assert_eq(ftl_subscribe(runtime, FTL_EVENT_ACTOR | FTL_EVENT_LOG, hear, NULL, &subscription), FTL_OK, "%s",
                 ftl_last_error());
    ftli_actor *actor = ftli_kernel_find(runtime->kernel, "tracking");
    static ftli_message message;
    ftli_simulation_kill(runtime->kernel, actor);
    ftli_actor_send(actor, FTLI_LANE_HIGH, &message);
    run_for(runtime, FTLI_NS_PER_S);
    cr_assert(ftli_actor_is_down(actor));
    use(runtime);
    cr_assert_eq(ftl_runtime_drain(runtime, 1000000000), FTL_OK);
    cr_expect_eq(heard, 0);
    cr_expect_eq(ftl_unsubscribe(runtime, subscription), FTL_OK, "it does not wait for who is down");
    close_it(runtime, 0);
}

/* ---- what is seen of it ---------------------------------------------------------------------------------------------------- */

Test(degraded, control_says_what_supervision_did)
{
    ftl_runtime *runtime = open_without("tracking");
    (void)ask(runtime, "stats", FTL_OK);
    cr_expect_not_null(strstr(said, "given_up                   1\n"), "%s", said);
    cr_expect_not_null(strstr(said, "breakers_open              0\n"), "%s", said);
    cr_expect_not_null(strstr(said, "receives_overdue           0\n"), "%s", said);
    cr_expect_not_null(strstr(said, "drops_overdue              0\n"), "%s", said);
    (void)ask(runtime, "topology", FTL_OK);
    const char *line = strstr(said, "actor   tracking ");
    cr_assert_not_null(line);
    cr_expect_not_null(strstr(line, "down "), "%s", line);
    cr_expect_not_null(strstr(line, "failures 1 overdue 0  degraded\n"), "%s", line);
    close_it(runtime, 0);
}

Test(degraded, control_kills_what_can_be_restarted)
{
    ftl_runtime *runtime = open_with(NULL);
    (void)ask(runtime, "kill", FTL_EINVAL);
    (void)ask(runtime, "kill nobody", FTL_EINVAL);
    cr_expect_str_eq(ftl_last_error(), "request: kill: no actor is called \"nobody\"");
    (void)ask(runtime, "kill allocation", FTL_ENOTSUP);
    cr_expect_str_eq(ask(runtime, "kill tracking", FTL_OK), "tracking fails at its next receive\n");
    (void)ask(runtime, "kill tracking", FTL_EBUSY);
    run_for(runtime, FTLI_NS_PER_S);
    cr_assert_eq(stats_of(runtime).restarts, 1, "also without anything to receive");
    cr_assert_eq(stats_of(runtime).degraded, 0);
    run_for(runtime, 5 * FTLI_NS_PER_S);
    for (unsigned i = 0; i < 2; i++) { /* a restart; a second one within 5 s is one too many */
        (void)ask(runtime, "kill tracking", FTL_OK);
        run_for(runtime, FTLI_NS_PER_S);
    }
    cr_assert_eq(stats_of(runtime).restarts, 2);
    cr_assert_neq(stats_of(runtime).degraded, 0);
    (void)ask(runtime, "kill tracking", FTL_EBUSY);
    use(runtime);
    close_it(runtime, 0);
}

struct news {
    unsigned count, overdue;
    char text[2000];
};

static void note(const ftl_event *event, void *user)
{
    struct news *news = user;
    news->count++;
    news->overdue += event->kind == FTL_EVENT_OVERDUE;
    const size_t n = strlen(news->text);
    (void)snprintf(news->text + n, sizeof news->text - n, "%s\n", event->text);
}

Test(degraded, events_say_what_supervision_did)
{
    static struct news news;
    static ftli_message message;
    uint64_t subscription;
    ftl_runtime *runtime = open_with(NULL);
    ftli_actor *actor = ftli_kernel_find(runtime->kernel, "tracking");
    cr_assert_eq(ftl_subscribe(runtime, FTL_EVENT_ACTOR | FTL_EVENT_OVERDUE, note, &news, &subscription), FTL_OK);
    run_for(runtime, FTLI_NS_PER_MS);
    for (unsigned i = 0; i < 2; i++) { /* a restart; a second one within 5 s is one too many */
        ftli_simulation_kill(runtime->kernel, actor);
        if (i == 0)
            ftli_actor_send(actor, FTLI_LANE_HIGH, &message);
        else
            ftli_actor_run_within(actor, 0);
        run_for(runtime, FTLI_NS_PER_S);
    }
    cr_assert(ftli_actor_is_down(actor));
    const char *restarted = strstr(news.text, "tracking: restarted");
    cr_assert_not_null(restarted, "%s", news.text);
    cr_expect_not_null(strstr(restarted, "tracking: down"), "%s", news.text);
    cr_expect_eq(news.overdue, 0);
    cr_assert_eq(ftl_unsubscribe(runtime, subscription), FTL_OK);
    close_it(runtime, 0);
}

Test(degraded, give_up_close_refuses_new_tensors_and_completes_the_rest)
{
    static ftli_message message;
    ftl_runtime *runtime = open_with("supervision: {restarts: 0, give_up: close}\n");
    ftl_tensor before = make(runtime, 1000, NULL), large = make(runtime, 3000000, NULL), refused;
    ftli_actor *actor = ftli_kernel_find(runtime->kernel, "tracking");
    ftli_simulation_kill(runtime->kernel, actor);
    ftli_actor_send(actor, FTLI_LANE_HIGH, &message);
    run_for(runtime, FTLI_NS_PER_MS);
    cr_assert(ftli_actor_is_down(actor));
    cr_expect_eq(ftl_bytes_new(runtime, 1000, NULL, &refused), FTL_ECLOSED);
    cr_expect_eq(ftl_bytes_new(runtime, 3000000, NULL, &refused), FTL_ECLOSED);
    cr_expect(ftl_tensor_alive(before));
    cr_expect_not_null(ftl_tensor_data(before));
    cr_expect_eq(ftl_tensor_drop(before), FTL_OK);
    cr_expect_eq(ftl_tensor_drop(large), FTL_OK);
    run_for(runtime, FTLI_NS_PER_S);
    const ftl_stats stats = stats_of(runtime);
    cr_expect_eq(stats.live + stats.pending, 0);
    close_it(runtime, 0);
    cr_expect_eq(ftl_runtime_close(runtime, NULL), FTL_ECLOSED);
}

/* ---- drops past their deadline ---------------------------------------------------------------------------------------------- */

Test(degraded, a_drop_past_its_deadline_is_reported)
{
    unsigned finalized = 0;
    const ftl_tensor_options options = {.finalizer = finalize, .finalizer_user = &finalized};
    ftl_runtime *runtime = open_without("cleanup");
    cr_assert_eq(ftl_tensor_drop(make(runtime, 1000, &options)), FTL_OK);
    run_for(runtime, 9 * FTLI_NS_PER_S);
    cr_expect_not_null(strstr(ask(runtime, "check", FTL_OK), "good"), "%s", said);
    cr_expect_not_null(strstr(ask(runtime, "stats", FTL_OK), "drops_overdue              0\n"), "%s", said);
    run_for(runtime, 40 * FTLI_NS_PER_S);
    cr_expect_not_null(strstr(ask(runtime, "stats", FTL_OK), "drops_overdue              1\n"), "%s", said);
    (void)ask(runtime, "check", FTL_EINTERNAL);
    cr_expect_not_null(strstr(said, "broken: drops past their deadline: 1; the oldest, of 1000 bytes, was dropped"),
                       "%s", said);
    close_it(runtime, 1);
}

/* With policy message small drops lie in a parcel, and nothing in the table says that they are pending. */
Test(degraded, a_parcel_past_its_deadline_is_reported)
{
    static ftli_message message;
    ftl_runtime *runtime = open_with("supervision.restarts: 0\nactors.cleanup.policy: message\n");
    ftli_actor *cleanup = ftli_kernel_find(runtime->kernel, "cleanup");
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(ftl_tensor_drop(make(runtime, 1000, NULL)), FTL_OK);
    run_for(runtime, 40 * FTLI_NS_PER_S);
    cr_expect_not_null(strstr(ask(runtime, "check", FTL_OK), "good"), "%s", said);
    ftli_simulation_kill(runtime->kernel, cleanup);
    ftli_actor_send(cleanup, FTLI_LANE_HIGH, &message);
    run_for(runtime, FTLI_NS_PER_MS);
    cr_assert(ftli_actor_is_down(cleanup));
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(ftl_tensor_drop(make(runtime, 1000, NULL)), FTL_OK);
    run_for(runtime, 9 * FTLI_NS_PER_S);
    cr_expect_not_null(strstr(ask(runtime, "check", FTL_OK), "good"), "%s", said);
    run_for(runtime, 40 * FTLI_NS_PER_S);
    cr_expect_not_null(strstr(ask(runtime, "stats", FTL_OK), "drops_overdue              1\n"), "%s", said);
    (void)ask(runtime, "check", FTL_EINTERNAL);
    cr_expect_not_null(strstr(said, "broken: drops past their deadline: 1; the oldest, of 3000 bytes, was dropped"),
                       "%s", said);
    close_it(runtime, 3);
}

Test(degraded, a_drop_that_is_pinned_is_not_overdue)
{
    static const int64_t shape[2] = {1000, 1}; /* read as a time it is 4.3 s */
    ftl_runtime *runtime = open_with(NULL);
    ftl_tensor pinned;
    cr_assert_eq(ftl_tensor_new(runtime, FTL_U8, 2, shape, NULL, &pinned), FTL_OK);
    cr_assert_not_null(ftl_tensor_pin(pinned));
    cr_assert_eq(ftl_tensor_drop(pinned), FTL_OK);
    run_for(runtime, 100 * FTLI_NS_PER_S);
    cr_expect_not_null(strstr(ask(runtime, "check", FTL_OK), "good"), "%s", said);
    cr_expect_not_null(strstr(ask(runtime, "stats", FTL_OK), "drops_overdue              0\n"), "%s", said);
    ftl_tensor_unpin(pinned);
    run_for(runtime, FTLI_NS_PER_S);
    close_it(runtime, 0);
}

Test(degraded, a_finalizer_that_is_tried_until_its_deadline_is_not_overdue)
{
    static const char *const overrides = "actors.cleanup.deadline: 2s\n";
    ftl_runtime *runtime = open_with(overrides);
    unsigned finalized = 0;
    const ftl_tensor_options options = {.finalizer = finalize, .finalizer_user = &finalized};
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(ftl_tensor_drop(make(runtime, 1000, &options)), FTL_OK);
        run_for(runtime, 300 * FTLI_NS_PER_MS);
        cr_assert_eq(ftli_leak_detection_overdue(&runtime->leak_detection), 0);
    }
    cr_expect_eq(finalized, 100);
    close_it(runtime, 0);
}
