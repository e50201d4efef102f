/* Supervision in a whole runtime on real threads, and every topology that ships: opened, used, closed. */
#include <criterion/criterion.h>

#include "actors/port/runtime.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(restart, .timeout = 120);

/* ---- an actor whose receive fails, among the runtime's own */

struct failing {
    ftli_atomic_u64 received, failed, starts, last;
    uint64_t fails_every; /* receive */
    uint64_t seen;
};

struct numbered {
    ftli_message message;
    uint64_t number;
};

static int start(void *state, ftli_context *context)
{
    struct failing *failing = state;
    (void)context;
    ftli_u64_add_owner(&failing->starts, 1);
    return FTL_OK;
}

static int receive(void *state, ftli_context *context, ftli_message *message)
{
    struct failing *failing = state;
    (void)context;
    if (++failing->seen % failing->fails_every == 0) {
        ftli_u64_add_owner(&failing->failed, 1);
        return FTL_EINTERNAL;
    }
    ftli_u64_store_release(&failing->last, ((struct numbered *)(void *)message)->number);
    ftli_u64_add_owner(&failing->received, 1);
    return FTL_OK;
}

static const ftli_actor_operations failing_operations = {
    .type = "failing", .start = start, .on_message = receive, .restartable = true};

static ftl_runtime *open_with(const char *overrides)
{
    ftl_runtime *runtime;
    ftl_open_options options = {.overrides = overrides};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    return runtime;
}

static ftli_actor *add(ftl_runtime *runtime, struct failing *failing)
{
    ftli_actor *actor;
    ftli_actor_options options = {.operations = &failing_operations, .state = failing, .group = "service"};
    cr_assert_eq(ftli_kernel_add_actor(runtime->kernel, "failing", &options, &actor), FTL_OK);
    return actor;
}

static ftl_stats stats_of(ftl_runtime *runtime)
{
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK, "%s", ftl_last_error());
    return stats;
}

/* Finalizers, views, links, pages, small ones; all of them complete. */
static int finalize(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes;
    (void)ftli_u64_fetch_add_relaxed((ftli_atomic_u64 *)user, 1);
    return 0;
}

static ftli_atomic_u64 finalized;

static void use(ftl_runtime *runtime)
{
    enum { N = 300 };
    static ftl_tensor tensors[N];
    uint64_t before = ftli_u64_load_acquire(&finalized), live = stats_of(runtime).live;
    ftl_scope scope;
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    for (unsigned i = 0; i < N; i++) {
        ftl_tensor_options options = {.label = "used", .scope = i % 3 == 0 ? scope : (ftl_scope){0}};
        if (i % 10 == 0) {
            options.finalizer = finalize;
            options.finalizer_user = &finalized;
        }
        cr_assert_eq(ftl_bytes_new(runtime, (size_t)i * 997, &options, &tensors[i]), FTL_OK, "%s", ftl_last_error());
        memset(ftl_tensor_data(tensors[i]), (int)i, (size_t)i * 997);
    }
    ftl_tensor view;
    int64_t n = 100;
    cr_assert_eq(ftl_tensor_view(tensors[1], 500, 1, &n, NULL, &view), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_link(tensors[2], tensors[4]), FTL_OK, "%s", ftl_last_error());
    cr_assert_not_null(ftl_tensor_pin(tensors[5]));
    for (unsigned i = 0; i < N; i++)
        if (i % 3 != 0)
            cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(view), FTL_OK);
    ftl_tensor_unpin(tensors[5]);
    uint64_t dropped;
    cr_assert_eq(ftl_scope_end(scope, &dropped), FTL_OK);
    cr_assert_eq(dropped, N / 3);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK, "%s", ftl_last_error());
    ftl_stats stats = stats_of(runtime);
    cr_assert_eq(stats.live, live);
    cr_assert_eq(stats.pending + stats.quarantined, 0);
    cr_assert_eq(ftli_u64_load_acquire(&finalized) - before, N / 10);
    char why[200] = "";
    cr_assert_eq(ftli_runtime_audit(runtime, why, sizeof why), FTL_OK, "%s", why);
}

Test(restart, mail_comes_again_after_a_restart)
{
    enum { N = 500 };
    static struct numbered mail[N];
    struct failing failing = {.fails_every = 10};
    ftl_runtime *runtime = open_with("supervision: {restarts: 1000, backoff: {first: 1us, most: 10us}}\n");
    ftli_actor *actor = add(runtime, &failing);
    for (unsigned i = 0; i < N; i++) {
        mail[i].number = i + 1;
        ftli_actor_send(actor, FTLI_LANE_HIGH, &mail[i].message);
    }
    use(runtime);
    while (ftli_u64_load_acquire(&failing.received) < N)
        sched_yield();
    uint64_t failed = ftli_u64_load_acquire(&failing.failed);
    cr_assert_geq(failed, N / 10);
    cr_assert_eq(ftli_u64_load_acquire(&failing.received), N, "each once");
    cr_assert_eq(ftli_u64_load_acquire(&failing.last), N, "in order");
    while (stats_of(runtime).restarts < failed)
        sched_yield();
    cr_assert_eq(stats_of(runtime).restarts, failed);
    cr_assert_eq(stats_of(runtime).degraded, 0);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(restart, given_up_after_too_many_and_the_others_go_on)
{
    static struct numbered mail;
    struct failing failing = {.fails_every = 1};
    ftl_runtime *runtime = open_with("supervision: {restarts: 3, within: 24h, backoff: {first: 1us, most: 10us}}\n");
    ftli_actor *actor = add(runtime, &failing);
    ftli_actor_send(actor, FTLI_LANE_HIGH, &mail.message);
    while (!ftli_actor_is_down(actor))
        sched_yield();
    cr_assert_eq(ftli_u64_load_acquire(&failing.failed), 4, "the first, and after each of three restarts");
    ftl_stats stats = stats_of(runtime);
    cr_assert_eq(stats.restarts, 3);
    cr_assert_eq(stats.degraded, UINT32_C(1) << ftli_actor_index(actor));
    use(runtime);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(restart, a_topology_may_allow_as_many_restarts_as_are_remembered)
{
    ftl_runtime *runtime = open_with("supervision.restarts: 10000\n");
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    runtime = open_with("supervision.restarts: 0\n");
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    ftl_open_options options = {.overrides = "supervision.restarts: 10001\n"};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_ECONFIG);
}

/* ---- the topologies that ship */

static unsigned threads_of_process(void)
{
    unsigned n = 0;
    DIR *tasks = opendir("/proc/self/task");
    cr_assert_not_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;)
        n += entry->d_name[0] != '.';
    (void)closedir(tasks);
    return n;
}

static ftl_runtime *open_file(const char *name)
{
    char path[1000];
    const char *folder = getenv("FETTLE_SOURCE_DIR");
    ftl_runtime *runtime;
    (void)snprintf(path, sizeof path, "%s/config/%s.yaml", folder != NULL ? folder : ".", name);
    cr_assert_eq(ftl_runtime_open(path, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_assert_str_eq(runtime->topology->name, name);
    return runtime;
}

static void open_use_close(const char *name)
{
    for (unsigned round = 0; round < 3; round++) {
        ftl_runtime *runtime = open_file(name);
        ftl_close_report report;
        use(runtime);
        use(runtime);
        cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK, "%s", ftl_last_error());
        cr_assert_eq(report.leaked + report.undone + report.pinned + report.quarantined, 0);
    }
}

Test(restart, topology_default)
{
    open_use_close("default");
}

Test(restart, topology_server)
{
    open_use_close("server");
    ftl_runtime *runtime = open_file("server");
    ftl_tensor tensor;
    cr_assert_eq(ftl_bytes_new(runtime, 100, NULL, &tensor), FTL_OK);
    cr_assert_not_null(ftl_tensor_pin(tensor));
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_EBUSY, "pinned_on_close: refuse");
    use(runtime);
    ftl_tensor_unpin(tensor);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK, "%s", ftl_last_error());
}

Test(restart, topology_debug)
{
    open_use_close("debug");
}

Test(restart, topology_embedded_has_no_thread_and_does_everything)
{
    unsigned threads = threads_of_process();
    open_use_close("embedded");
    ftl_runtime *runtime = open_file("embedded");
    ftl_tensor tensor, large;
    uint64_t left, before = ftli_u64_load_acquire(&finalized);
    ftl_tensor_options options = {.finalizer = finalize, .finalizer_user = &finalized};
    cr_assert_eq(threads_of_process(), threads);
    /* by ftl_runtime_run */
    cr_assert_eq(ftl_bytes_new(runtime, 100, &options, &tensor), FTL_OK);
    cr_assert_eq(ftl_bytes_new(runtime, 3000000, NULL, &large), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(large), FTL_OK);
    cr_assert_eq(stats_of(runtime).pending, 2, "nobody else could");
    cr_assert_eq(ftl_runtime_run(runtime, "no such group", 1, &left), FTL_EINVAL);
    while (stats_of(runtime).pending != 0)
        cr_assert_eq(ftl_runtime_run(runtime, NULL, 1000000, &left), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftli_u64_load_acquire(&finalized), before + 1);
    /* by new: the memory of what was dropped serves it, far beyond the limit of the device */
    for (unsigned i = 0; i < 1000; i++) {
        cr_assert_eq(ftl_bytes_new(runtime, 4 << 20, NULL, &tensor), FTL_OK, "%s", ftl_last_error());
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    }
    cr_assert_lt(stats_of(runtime).committed_bytes, 64 << 20);
    /* by drain, and by close */
    cr_assert_eq(ftl_bytes_new(runtime, 100, &options, &tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(ftli_u64_load_acquire(&finalized), before + 2);
    cr_assert_eq(ftl_bytes_new(runtime, 100, &options, &tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.undone + report.leaked, 0);
    cr_assert_eq(ftli_u64_load_acquire(&finalized), before + 3);
    cr_assert_eq(threads_of_process(), threads);
}
