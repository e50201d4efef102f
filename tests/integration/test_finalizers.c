/* Finalizers: run once, not on the thread that drops; retried; given up into quarantine with the memory kept. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>

#include "actors/port/runtime.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct seen {
    atomic_int calls, fail_first;
    pthread_t thread;
    ftl_tensor other;
    ftl_runtime *runtime;
    int drain_status, close_status;
};

static int finalizer(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct seen *seen = user;
    seen->thread = pthread_self();
    if (ftl_tensor_alive(tensor) || ftl_tensor_retain(tensor) != FTL_ESTALE)
        return -100;
    memset(data, 0x11, bytes);
    return atomic_fetch_add(&seen->calls, 1) < seen->fail_first ? -1 : 0;
}

static ftl_tensor make(ftl_runtime *runtime, ftl_finalizer function, void *user)
{
    ftl_tensor tensor;
    ftl_tensor_options options = {.finalizer = function, .finalizer_user = user, .label = "stuck"};
    cr_assert_eq(ftl_bytes_new(runtime, 500, &options, &tensor), FTL_OK, "%s", ftl_last_error());
    return tensor;
}

Test(finalizers, run_once_and_elsewhere)
{
    ftl_runtime *runtime;
    struct seen seen = {.calls = 0};
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_OK);
    ftl_tensor tensor = make(runtime, finalizer, &seen);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(seen.calls, 1);
    cr_assert_not(pthread_equal(seen.thread, pthread_self()));
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(seen.calls, 1);
}

Test(finalizers, one_that_fails_is_tried_again)
{
    ftl_runtime *runtime;
    ftl_stats stats;
    struct seen seen = {.fail_first = 5};
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(make(runtime, finalizer, &seen)), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(seen.calls, 6);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.quarantined, 0);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(finalizers, one_that_never_works_is_quarantined_at_its_deadline)
{
    ftl_runtime *runtime;
    ftl_stats stats;
    ftl_tensor more;
    struct seen seen = {.fail_first = 1 << 30};
    ftl_open_options options = {.overrides = "actors.cleanup.deadline: 20ms\nactors.cleanup.quarantine_limit: 400B\n"};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_drop(make(runtime, finalizer, &seen)), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.quarantined, 1);
    cr_assert_eq(stats.quarantined_bytes, 500);
    cr_assert_eq(stats.pending, 0);
    cr_assert_eq(stats.created, stats.live + stats.pending + stats.reclaimed + stats.quarantined);
    cr_assert_eq(stats.committed_bytes, stats.live_bytes + stats.pending_bytes + stats.quarantined_bytes +
                                            stats.cached_bytes + stats.slack_bytes + stats.metadata_bytes);
    cr_assert_geq(seen.calls, 1); /* how often within 20 ms is the machine's affair: below, in virtual time */
    /* over the limit of the quarantine, what takes the slow way is refused */
    cr_assert_eq(ftl_bytes_new(runtime, 100000, NULL, &more), FTL_ELIMIT);
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.quarantined, 1);
    cr_assert_eq(report.leaked, 0);
}

Test(finalizers, the_waits_between_tries_double_and_the_last_try_is_at_the_deadline)
{
    ftl_runtime *runtime;
    ftl_stats stats;
    struct seen seen = {.fail_first = 1 << 30};
    ftl_open_options options = {.overrides = "actors.cleanup.deadline: 20ms\n"};
    cr_assert_eq(ftli_runtime_open_as(&options, true, 1, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_drop(make(runtime, finalizer, &seen)), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK, "%s", ftl_last_error());
    /* at 0, 1, 3, 7, 15 ms, and at the deadline */
    cr_assert_eq(seen.calls, 6, "%d calls", seen.calls);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.quarantined, 1);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

static int busy_finalizer(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct seen *seen = user;
    (void)tensor;
    (void)data;
    (void)bytes;
    seen->drain_status = ftl_runtime_drain(seen->runtime, 0);
    seen->close_status = ftl_runtime_close(seen->runtime, NULL);
    (void)ftl_tensor_drop(seen->other);
    ftl_tensor mine;
    if (ftl_bytes_new(seen->runtime, 64, NULL, &mine) != FTL_OK || ftl_tensor_drop(mine) != FTL_OK)
        return -1;
    atomic_fetch_add(&seen->calls, 1);
    return 0;
}

Test(finalizers, may_make_and_drop_but_not_drain_or_close)
{
    struct seen seen = {.calls = 0};
    cr_assert_eq(ftl_runtime_open(NULL, &seen.runtime), FTL_OK);
    cr_assert_eq(ftl_bytes_new(seen.runtime, 100000, NULL, &seen.other), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(make(seen.runtime, busy_finalizer, &seen)), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(seen.runtime, -1), FTL_OK);
    cr_assert_eq(seen.calls, 1);
    cr_assert_eq(seen.drain_status, FTL_EBUSY);
    cr_assert_eq(seen.close_status, FTL_EBUSY);
    cr_assert_not(ftl_tensor_alive(seen.other));
    cr_assert_eq(ftl_runtime_close(seen.runtime, NULL), FTL_OK);
}

Test(finalizers, without_threads_they_run_when_the_program_lends_its_own)
{
    ftl_runtime *runtime;
    struct seen seen = {.calls = 0};
    uint64_t left;
    ftl_open_options options = {
        .overrides = "threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n"};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_drop(make(runtime, finalizer, &seen)), FTL_OK);
    cr_assert_eq(seen.calls, 0);
    for (int i = 0; i < 1000 && seen.calls == 0; i++)
        cr_assert_eq(ftl_runtime_run(runtime, NULL, 1000000, &left), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(seen.calls, 1);
    cr_assert(pthread_equal(seen.thread, pthread_self()));
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
