/* Opening, lending a thread, and looking after a runtime: what is refused, and with which words. */
#include <sys/resource.h>

#include "tests/support/laws.h"
#include "tests/unit/actors/port/port_support.h"

static int says_nothing(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes, (void)user;
    return 0;
}

static void on_event(const ftl_event *event, void *user)
{
    (void)event, (void)user;
}

static void must_refuse(const ftl_open_options *options, int status, const char *word)
{
    ftl_runtime *runtime = (ftl_runtime *)8;
    cr_assert_eq(ftl_runtime_open_with(options, &runtime), status, "%s", word);
    cr_assert_eq(runtime, (ftl_runtime *)8, "the output was touched");
    cr_assert_not_null(strstr(ftl_last_error(), word), "%s: %s", word, ftl_last_error());
}

Test(open, options_are_checked)
{
    ftl_runtime *runtime;
    for (unsigned i = 0; i < 5; i++) {
        ftl_open_options options = {0};
        options.reserved[i] = 1;
        must_refuse(&options, FTL_EINVAL, "reserved");
    }
    must_refuse(&(ftl_open_options){.flags = 1}, FTL_EINVAL, "flags");
    must_refuse(&(ftl_open_options){.actor_type_count = 1}, FTL_EINVAL, "actor_types");
    must_refuse(&(ftl_open_options){.device_type_count = 1}, FTL_ENOTSUP, "device_types");
    must_refuse(&(ftl_open_options){.on_event = on_event, .on_event_kinds = 128}, FTL_EINVAL, "on_event_kinds");
    must_refuse(&(ftl_open_options){.on_event_kinds = 1}, FTL_EINVAL, "on_event");
    must_refuse(&(ftl_open_options){.path = "a", .text = "b", .text_bytes = 1}, FTL_EINVAL, "path and text");
    must_refuse(NULL, FTL_EINVAL, "options");
    cr_assert_eq(ftl_runtime_open_with(&(ftl_open_options){0}, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_runtime_open(NULL, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_runtime_open_text(NULL, 0, &runtime), FTL_EINVAL);
}

Test(open, text_is_a_topology)
{
    static const char text[] = "fettle: 1\nruntime: {name: mine}\nthreads: {service: {cpus: [0]}}\n";
    ftl_runtime *runtime;
    cr_assert_eq(ftl_runtime_open_text(text, sizeof text - 1, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_assert_str_eq(runtime->topology->name, "mine");
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(open, all_optional_actors_may_be_left_out)
{
    char text[64];
    ftl_runtime *runtime = open_simulated("actors.tracking: none\nactors.defragmentation: none\n"
                                          "actors.leak_detection: none\nactors.telemetry: none");
    ftl_tensor tensor = new_bytes(runtime, 100, NULL), large = new_bytes(runtime, 3 * MIB, NULL);
    ftl_leak_report *report;
    cr_assert_eq(ftl_leak_scan(runtime, NULL, &report), FTL_OK);
    ftl_leak_report_free(report);
    cr_assert_not_null(ftl_tensor_pin(large));
    cr_assert_eq(ftl_tensor_drop(large), FTL_OK);
    ftl_tensor_unpin(large);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(stats_of(runtime).live, 0);
    cr_assert_eq(stats_of(runtime).tracking_time_overhead, 0);
    must_agree(runtime);
    (void)snprintf(text, sizeof text, "%u", ftli_kernel_actor_count(runtime->kernel));
    cr_assert_str_eq(text, "5", "allocation, cleanup, a worker, events and the gauge");
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(open, a_thread_is_lent_to_groups_without_threads)
{
    static const char none[] = "threads: {service: {count: 0}, finalizers: {count: 0}, background: {count: 0}}";
    const ftl_tensor_options options = {.finalizer = says_nothing};
    ftl_runtime *runtime = open_simulated(none);
    uint64_t left = 77;
    cr_assert_eq(ftl_runtime_run(NULL, NULL, 0, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_runtime_run(runtime, NULL, -1, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_runtime_run(runtime, "nobody", 0, &left), FTL_EINVAL);
    cr_assert_eq(left, 77);
    cr_assert_eq(ftl_tensor_drop(new_bytes(runtime, 100, &options)), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, SECOND), FTL_OK);
    cr_assert_eq(stats_of(runtime).pending, 0);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(ftl_runtime_run(runtime, NULL, 0, NULL), FTL_ECLOSED);
    cr_assert_eq(ftl_runtime_drain(runtime, 0), FTL_ECLOSED);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_ECLOSED);
    cr_assert_eq(ftl_runtime_drain(NULL, 0), FTL_EINVAL);
    cr_assert_eq(ftl_runtime_close(NULL, NULL), FTL_EINVAL);
}

/* A runtime's number comes round after 4,095 opens; handles of its first holder stay refused. */
Test(open, numbers_come_round)
{
    static const char small[] = "runtime.tensors: 1024\nactors.allocation.shards: 1\nactors.tracking: none\n"
                                "actors.defragmentation: none\nactors.leak_detection: none\nactors.telemetry: none";
    ftl_runtime *runtime = open_simulated(small);
    uint32_t first = runtime->number;
    const unsigned opens = LAWS_SANITIZED ? 200 : FTLI_RUNTIMES - 2; /* a sanitizer is slow to give addresses back */
    ftl_tensor old = new_bytes(runtime, 10, NULL);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    for (unsigned i = 0; i < opens; i++) {
        runtime = open_simulated(small);
        cr_assert_neq(runtime->number, first, "after %u opens", i + 1);
        cr_assert_neq(runtime->number, 0);
        cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    }
    cr_assert_eq(ftl_tensor_drop(old), FTL_ECLOSED);
    if (LAWS_SANITIZED)
        return;
    runtime = open_simulated(small);
    cr_assert_eq(runtime->number, first);
    cr_assert_eq(ftl_tensor_drop(old), FTL_ESTALE);
    cr_assert_not(ftl_tensor_alive(old));
    ftl_tensor tensor = new_bytes(runtime, 10, NULL);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

/* A process with little address space has a smaller table and works. */
Test(open, under_an_address_limit)
{
    if (LAWS_SANITIZED)
        cr_skip_test("a sanitizer needs more than any limit");
    static const uint64_t limits_mib[] = {2500, 3500, 5000, 9000, 17000, 70000};
    for (unsigned i = 0; i < sizeof limits_mib / sizeof limits_mib[0]; i++) {
        struct rlimit limit;
        cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
        limit.rlim_cur = limits_mib[i] * MIB;
        cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
        ftl_runtime *runtime;
        cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_OK, "%llu MiB: %s", (unsigned long long)limits_mib[i],
                     ftl_last_error());
        ftl_tensor tensor = new_bytes(runtime, 20 * MIB, NULL);
        memset(ftl_tensor_data(tensor), 1, 20 * MIB);
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
        cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    }
}

Test(watch, bad_arguments)
{
    ftl_leak_report *report = (ftl_leak_report *)8;
    ftl_defragment_result result;
    ftl_runtime *runtime = open_simulated(NULL);
    cr_assert_eq(ftl_leak_scan(NULL, NULL, &report), FTL_EINVAL);
    cr_assert_eq(ftl_leak_scan(runtime, NULL, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_leak_scan(runtime, &(ftl_leak_options){.certainty = 101}, &report), FTL_EINVAL);
    cr_assert_eq(ftl_leak_scan(runtime, &(ftl_leak_options){.reachability = true}, &report), FTL_ENOTSUP);
    cr_assert_eq(report, (ftl_leak_report *)8, "the output was touched");
    cr_assert_eq(ftl_defragment(runtime, NULL, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_defragment(NULL, NULL, &result), FTL_EINVAL);
    cr_assert_eq(ftl_defragment(runtime, &(ftl_defragment_options){.device = 1}, &result), FTL_EINVAL);
    cr_assert_eq(ftl_defragment(runtime, &(ftl_defragment_options){.reserved = {1}}, &result), FTL_EINVAL);
    cr_assert_eq(ftl_defragment(runtime, NULL, &result), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(ftl_leak_scan(runtime, NULL, &report), FTL_ECLOSED);
    cr_assert_eq(ftl_defragment(runtime, NULL, &result), FTL_ECLOSED);
    ftl_leak_report_free(NULL);
}

/* More slots than a walk takes in one go, and no time. */
Test(watch, a_scan_ends_when_its_time_is_over)
{
    enum { N = 20000 };
    static ftl_tensor tensors[N];
    const ftl_leak_options hasty = {.causes = 1, .certainty = 1, .timeout_ns = 1};
    ftl_leak_report *report = NULL;
    ftl_runtime *runtime;
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_OK);
    for (unsigned i = 0; i < N; i++)
        tensors[i] = new_bytes(runtime, 8, NULL);
    cr_assert_eq(ftl_leak_scan(runtime, &hasty, &report), FTL_ETIMEDOUT);
    cr_assert_null(report);
    cr_assert_not_null(strstr(ftl_last_error(), "time was over"), "%s", ftl_last_error());
    for (unsigned i = 0; i < N; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
