/* Close: what it reports, what a call gets that comes too late, and that nothing of a runtime stays behind. */
#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "actors/port/runtime.h"
#include "tests/support/laws.h"

static unsigned entries_of(const char *folder)
{
    unsigned n = 0;
    DIR *directory = opendir(folder);
    cr_assert_not_null(directory);
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        n += entry->d_name[0] != '.';
    (void)closedir(directory);
    return n;
}

static size_t resident_bytes(void)
{
    unsigned long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%lu %lu", &size, &resident), 2);
    (void)fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

TestSuite(close, .timeout = 200);

/* ---- what it reports ---------------------------------------------------------------------------------------------------- */

Test(close, lists_exactly_what_is_alive)
{
    static const size_t sizes[] = {10, 3000, 70000, 3 << 20};
    ftl_runtime *runtime = laws_open(NULL);
    ftl_close_report report;
    uint64_t bytes = 0;
    for (unsigned i = 0; i < 400; i++) {
        ftl_tensor_options options = {.label = i % 10 == 0 ? "kept" : "gone"};
        ftl_tensor tensor = laws_new(runtime, sizes[i % 4] + i, &options);
        if (i % 10 == 0)
            bytes += sizes[i % 4] + i;
        else
            cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    }
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.leaked, 40);
    cr_assert_eq(report.leaked_bytes, bytes, "%llu, not %llu", (unsigned long long)report.leaked_bytes,
                 (unsigned long long)bytes);
    cr_assert_not_null(report.leaks);
    uint64_t listed = 0, listed_bytes = 0;
    for (size_t i = 0; i < report.leaks->count; i++) {
        cr_assert_str_eq(report.leaks->leaks[i].label, "kept");
        listed += report.leaks->leaks[i].count;
        listed_bytes += report.leaks->leaks[i].bytes;
    }
    cr_assert_eq(listed, 40);
    cr_assert_eq(listed_bytes, bytes);
    cr_assert_eq(report.undone, 0);
    cr_assert_eq(report.pinned, 0);
    ftl_leak_report_free(report.leaks);
    expect_nothing_failed();
}

Test(close, keeps_what_is_pinned_readable)
{
    static const size_t sizes[] = {64, 1000, 30000, 500000, 5 << 20};
    ftl_runtime *runtime = laws_open("runtime.drain_on_close: 20ms\n");
    ftl_close_report report;
    ftl_tensor tensors[50];
    unsigned char *data[50] = {0};
    uint64_t pinned_bytes = 0;
    for (unsigned i = 0; i < 50; i++) {
        tensors[i] = laws_new(runtime, sizes[i % 5], NULL);
        if (i % 2 == 0) {
            data[i] = ftl_tensor_pin(tensors[i]);
            cr_assert_not_null(data[i]);
            memset(data[i], (int)i + 1, sizes[i % 5]);
            pinned_bytes += sizes[i % 5];
        }
        if (i % 4 < 2) /* half of the pinned ones are dropped besides */
            cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    }
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.pinned, 25);
    cr_assert_eq(report.pinned_bytes, pinned_bytes);
    ftl_leak_report_free(report.leaks);
    /* something else may not get the memory */
    ftl_runtime *next = laws_open(NULL);
    for (unsigned i = 0; i < 50; i++)
        memset(ftl_tensor_data(laws_new(next, sizes[i % 5], NULL)), 0xff, sizes[i % 5]);
    for (unsigned i = 0; i < 50; i += 2) {
        for (size_t at = 0; at < sizes[i % 5]; at++)
            cr_assert_eq(data[i][at], i + 1, "tensor %u byte %zu", i, at);
        ftl_tensor_unpin(tensors[i]); /* late, and harmless */
    }
    cr_assert_eq(ftl_runtime_close(next, NULL), FTL_OK);
    expect_nothing_failed();
}

Test(close, is_refused_while_something_is_pinned_if_the_topology_says_so)
{
    ftl_runtime *runtime = laws_open("runtime.pinned_on_close: refuse\n");
    ftl_tensor tensor = laws_new(runtime, 1000, NULL), other;
    cr_assert_not_null(ftl_tensor_pin(tensor));
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_EBUSY);
    cr_assert_eq(ftl_bytes_new(runtime, 10, NULL, &other), FTL_OK, "it is still open");
    cr_assert_eq(ftl_tensor_drop(other), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_EBUSY, "dropped, and still pinned");
    ftl_tensor_unpin(tensor);
    laws_close(runtime);
}

/* ---- late calls --------------------------------------------------------------------------------------------------------- */

static bool is_gone(int status)
{
    return status == FTL_ECLOSED || status == FTL_ESTALE;
}

struct late {
    ftl_runtime *runtime;
    ftl_tensor tensors[8];
    ftl_scope scope;
};

static void *calls_late(void *argument)
{
    struct late *late = argument;
    ftl_runtime *runtime = late->runtime;
    ftl_tensor out = {77};
    ftl_stats stats;
    ftl_leak_report *leaks;
    ftl_defragment_result result;
    ftl_scope scope = {77};
    ftl_scope_description scope_description;
    ftl_tensor_description description;
    int64_t shape = 1;
    uint64_t n;
    EXPECT(ftl_bytes_new(runtime, 10, NULL, &out) == FTL_ECLOSED && out.id == 77);
    EXPECT(ftl_bytes_new(runtime, 1 << 20, NULL, &out) == FTL_ECLOSED && out.id == 77);
    EXPECT(ftl_runtime_stats(runtime, &stats) == FTL_ECLOSED);
    EXPECT(ftl_runtime_drain(runtime, 0) == FTL_ECLOSED);
    EXPECT(ftl_runtime_run(runtime, NULL, 1000, &n) == FTL_ECLOSED);
    EXPECT(ftl_runtime_control(runtime, "check", laws_write, NULL) == FTL_ECLOSED);
    EXPECT(ftl_leak_scan(runtime, NULL, &leaks) == FTL_ECLOSED);
    EXPECT(ftl_defragment(runtime, NULL, &result) == FTL_ECLOSED);
    EXPECT(ftl_scope_begin(runtime, "late", &scope) == FTL_ECLOSED && scope.id == 77);
    EXPECT(is_gone(ftl_scope_stats(late->scope, &scope_description)));
    EXPECT(is_gone(ftl_scope_keep(late->scope, late->tensors[0])));
    EXPECT(is_gone(ftl_scope_end(late->scope, &n)));
    EXPECT(ftl_runtime_close(runtime, NULL) == FTL_ECLOSED);
    for (unsigned i = 0; i < 8; i++) {
        ftl_tensor tensor = late->tensors[i];
        EXPECT(!ftl_tensor_alive(tensor));
        EXPECT(ftl_tensor_bytes(tensor) == 0);
        EXPECT(ftl_tensor_data(tensor) == NULL);
        EXPECT(ftl_tensor_pin(tensor) == NULL);
        ftl_tensor_unpin(tensor);
        EXPECT(is_gone(ftl_tensor_retain(tensor)));
        EXPECT(is_gone(ftl_tensor_describe(tensor, &description)));
        EXPECT(is_gone(ftl_tensor_view(tensor, 0, 1, &shape, NULL, &out)) && out.id == 77);
        EXPECT(is_gone(ftl_tensor_link(tensor, late->tensors[(i + 1) % 8])));
        EXPECT(is_gone(ftl_tensor_unlink(tensor, late->tensors[(i + 1) % 8])));
        EXPECT(is_gone(ftl_tensor_drop(tensor)));
    }
    return NULL;
}

static int no_finalizer(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    (void)user;
    return 0;
}

static void prepare_late(struct late *late)
{
    ftl_runtime *runtime = laws_open(NULL);
    int64_t shape = 100;
    ftl_tensor_options options = {.label = "late"}, finalized = {.finalizer = no_finalizer};
    late->runtime = runtime;
    cr_assert_eq(ftl_scope_begin(runtime, "late", &late->scope), FTL_OK);
    ftl_tensor_options scoped = {.scope = late->scope};
    late->tensors[0] = laws_new(runtime, 100, NULL);
    late->tensors[1] = laws_new(runtime, 100000, NULL);
    late->tensors[2] = laws_new(runtime, 5 << 20, &options);
    late->tensors[3] = laws_new(runtime, 100, &finalized);
    late->tensors[4] = laws_new(runtime, 100, &scoped);
    cr_assert_eq(ftl_tensor_view(late->tensors[1], 0, 1, &shape, NULL, &late->tensors[5]), FTL_OK);
    late->tensors[6] = laws_new(runtime, 100, NULL);
    cr_assert_eq(ftl_tensor_link(late->tensors[6], late->tensors[0]), FTL_OK);
    late->tensors[7] = laws_new(runtime, 0, NULL);
}

struct waits {
    pthread_barrier_t used, closed;
    struct late *late;
};

static void *uses_then_calls_late(void *argument)
{
    struct waits *waits = argument;
    EXPECT(ftl_tensor_drop(laws_new(waits->late->runtime, 50, NULL)) == FTL_OK); /* has a port with magazines */
    (void)pthread_barrier_wait(&waits->used);
    (void)pthread_barrier_wait(&waits->closed);
    return calls_late(waits->late);
}

Test(close, late_calls_are_refused_and_harmless)
{
    struct late late;
    struct waits waits = {.late = &late};
    pthread_t user, stranger;
    (void)pthread_barrier_init(&waits.used, NULL, 2);
    (void)pthread_barrier_init(&waits.closed, NULL, 2);
    prepare_late(&late);
    cr_assert_eq(pthread_create(&user, NULL, uses_then_calls_late, &waits), 0);
    (void)pthread_barrier_wait(&waits.used);
    cr_assert_eq(ftl_runtime_close(late.runtime, NULL), FTL_OK);
    (void)calls_late(&late); /* by the thread that closed */
    (void)pthread_barrier_wait(&waits.closed);
    (void)pthread_join(user, NULL); /* by one that had a port */
    cr_assert_eq(pthread_create(&stranger, NULL, calls_late, &late), 0);
    (void)pthread_join(stranger, NULL); /* by one that never had */
    ftl_runtime *next = laws_open(NULL);
    ftl_tensor tensor = laws_new(next, 100, NULL);
    (void)calls_late(&late); /* and with another one open */
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    laws_close(next);
    expect_nothing_failed();
}

/* ---- while threads are inside ------------------------------------------------------------------------------------------- */

struct crowd {
    ftl_runtime *runtime;
    atomic_uint inside;
    atomic_ulong made, dropped, refused_drops;
};

/* Makes and drops until it is told that the runtime is closed. */
static void *makes_until_closed(void *argument)
{
    static const size_t sizes[] = {64, 2000, 40000, 200000, 3 << 20};
    struct crowd *crowd = argument;
    ftl_tensor kept[32] = {0};
    bool counted = false;
    for (unsigned i = 0;; i++) {
        ftl_tensor tensor = {0};
        ftl_tensor_options options = {.label = "crowd"};
        int status = ftl_bytes_new(crowd->runtime, sizes[i % 5], i % 3 == 0 ? &options : NULL, &tensor);
        if (status == FTL_ECLOSED)
            break;
        if (!EXPECT(status == FTL_OK))
            break;
        atomic_fetch_add(&crowd->made, 1);
        /* what close finds alive it takes away: the data may not be touched without a pin, so it is not */
        status = ftl_tensor_drop(kept[i % 32]);
        if (kept[i % 32].id != 0)
            atomic_fetch_add(status == FTL_OK ? &crowd->dropped : &crowd->refused_drops, 1);
        EXPECT(status == FTL_OK || is_gone(status));
        kept[i % 32] = tensor;
        if (!counted && i == 100) {
            counted = true;
            atomic_fetch_add(&crowd->inside, 1);
        }
    }
    for (unsigned i = 0; i < 32; i++)
        if (kept[i].id != 0) {
            int status = ftl_tensor_drop(kept[i]);
            EXPECT(status == FTL_OK || is_gone(status));
            atomic_fetch_add(status == FTL_OK ? &crowd->dropped : &crowd->refused_drops, 1);
        }
    return NULL;
}

static void *drains_until_closed(void *argument)
{
    struct crowd *crowd = argument;
    ftl_stats stats;
    for (;;) {
        int status = ftl_runtime_drain(crowd->runtime, 1000000);
        if (status == FTL_ECLOSED)
            return NULL;
        EXPECT(status == FTL_OK || status == FTL_ETIMEDOUT);
        status = ftl_runtime_stats(crowd->runtime, &stats);
        if (!EXPECT(status == FTL_ECLOSED || (status == FTL_OK && laws_sums_hold(&stats))))
            laws_print(&stats);
    }
}

static void close_with_a_crowd(void)
{
    struct crowd crowd = {.runtime = laws_open(NULL)};
    ftl_close_report report;
    pthread_t threads[6];
    for (unsigned i = 0; i < 6; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, i < 5 ? makes_until_closed : drains_until_closed, &crowd), 0);
    UNTIL(atomic_load(&crowd.inside) == 5 || atomic_load(&laws_failed_line) != 0);
    int status;
    UNTIL((status = ftl_runtime_close(crowd.runtime, &report)) !=
          FTL_EBUSY); /* a stopped thread may be inside for long */
    cr_assert_eq(status, FTL_OK, "%s", ftl_last_error());
    for (unsigned i = 0; i < 6; i++)
        (void)pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&crowd.made), atomic_load(&crowd.dropped) + report.leaked,
                 "made %lu, dropped %lu, alive at close %llu", atomic_load(&crowd.made), atomic_load(&crowd.dropped),
                 (unsigned long long)report.leaked);
    cr_assert_eq(report.leaked, atomic_load(&crowd.refused_drops));
    cr_assert_eq(report.undone, 0);
    ftl_leak_report_free(report.leaks);
    expect_nothing_failed();
}

Test(close, while_threads_are_inside)
{
    for (unsigned round = 0; round < (LAWS_SANITIZED ? 8 : 30); round++)
        close_with_a_crowd();
}

static void *closes(void *argument)
{
    ftl_runtime *runtime = argument;
    int status = ftl_runtime_close(runtime, NULL);
    EXPECT(status == FTL_OK || status == FTL_EBUSY || status == FTL_ECLOSED);
    return status == FTL_OK ? runtime : NULL;
}

Test(close, by_many_threads_happens_once)
{
    for (unsigned round = 0; round < (LAWS_SANITIZED ? 10 : 50); round++) {
        ftl_runtime *runtime = laws_open(round % 2 == 0 ? NULL : "runtime.pinned_on_close: refuse\n");
        pthread_t threads[6];
        unsigned closed = 0;
        for (unsigned i = 0; i < 6; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, closes, runtime), 0);
        for (unsigned i = 0; i < 6; i++) {
            void *result;
            (void)pthread_join(threads[i], &result);
            closed += result != NULL;
        }
        cr_assert_eq(closed, 1);
        cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_ECLOSED);
    }
    expect_nothing_failed();
}

static void *drains_without_limit(void *argument)
{
    EXPECT(ftl_runtime_drain(argument, -1) == FTL_ECLOSED);
    return NULL;
}

/* A drain that waits for a pin for ever ends when close begins, and close comes to its end. */
Test(close, ends_a_drain_that_waits_for_a_pin)
{
    ftl_runtime *runtime = laws_open("runtime.drain_on_close: 10ms\n");
    ftl_tensor tensor = laws_new(runtime, 100, NULL);
    ftl_close_report report;
    pthread_t threads[2];
    unsigned char *data = ftl_tensor_pin(tensor);
    data[99] = 7;
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, drains_without_limit, runtime), 0);
    /* while one waits, another's look and another's limit are answered */
    cr_assert_eq(ftl_runtime_drain(runtime, 0), FTL_ETIMEDOUT);
    cr_assert_eq(ftl_runtime_drain(runtime, 1000000), FTL_ETIMEDOUT);
    int status;
    UNTIL((status = ftl_runtime_close(runtime, &report)) != FTL_EBUSY);
    cr_assert_eq(status, FTL_OK);
    for (unsigned i = 0; i < 2; i++)
        (void)pthread_join(threads[i], NULL);
    cr_assert_eq(report.pinned, 1);
    cr_assert_eq(report.undone, 1);
    cr_assert_eq(data[99], 7);
    expect_nothing_failed();
}

/* ---- nothing stays ------------------------------------------------------------------------------------------------------ */

static void open_use_close(unsigned round)
{
    ftl_runtime *runtime = laws_open(NULL);
    for (unsigned i = 0; i < 20; i++) {
        ftl_tensor tensor = laws_new(runtime, (size_t)1 << (i % 22), NULL);
        memset(ftl_tensor_data(tensor), 1, (size_t)1 << (i % 22));
        if (i != 7 || round % 2 == 0)
            cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    }
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.leaked, round % 2);
    ftl_leak_report_free(report.leaks);
}

Test(close, leaves_no_thread_no_descriptor_and_no_memory)
{
    const unsigned rounds = LAWS_SANITIZED ? 30 : 200;
    for (unsigned i = 0; i < 10; i++) /* the allocator and the first pages */
        open_use_close(i);
    unsigned threads = entries_of("/proc/self/task"), descriptors = entries_of("/proc/self/fd");
    size_t resident = resident_bytes();
    for (unsigned i = 0; i < rounds; i++)
        open_use_close(i);
    cr_assert_eq(entries_of("/proc/self/task"), threads);
    cr_assert_eq(entries_of("/proc/self/fd"), descriptors);
    cr_assert_leq(ftli_port_count(), 16, "%u ports", ftli_port_count());
#if !LAWS_SANITIZED
    size_t grown = resident_bytes() > resident ? resident_bytes() - resident : 0;
    /* a runtime's struct is kept for its number, with page tables besides: not 64 KiB */
    cr_assert_lt(grown, rounds * (size_t)65536, "%zu KiB in %u rounds", grown / 1024, rounds);
#else
    (void)resident;
#endif
    expect_nothing_failed();
}

Test(close, an_open_that_fails_leaves_nothing)
{
    static const char *const bad[] = {"actors.cleanup.batch.age: 10\n",
                                      "no.such.key: 1\n",
                                      "runtime.tensors: 3\n",
                                      "actors.allocation: none\n",
                                      "actors.telemetry.publish: tcp://x\n",
                                      "actors.telemetry.publish: ipc:///no/such/folder/at/all/socket\n"};
    ftl_runtime *runtime = NULL;
    open_use_close(0);
    unsigned threads = entries_of("/proc/self/task"), descriptors = entries_of("/proc/self/fd");
    for (unsigned i = 0; i < 60; i++) {
        ftl_open_options options = {.overrides = bad[i % 6]};
        int status = ftl_runtime_open_with(&options, &runtime);
        cr_assert_neq(status, FTL_OK, "%s", bad[i % 6]);
        cr_assert_null(runtime);
        cr_assert_neq(ftl_last_error()[0], '\0');
    }
    cr_assert_eq(ftl_runtime_open("/no/such/file.yaml", &runtime), FTL_ECONFIG);
    cr_assert_null(runtime);
    cr_assert_eq(entries_of("/proc/self/task"), threads);
    cr_assert_eq(entries_of("/proc/self/fd"), descriptors);
    open_use_close(0);
    expect_nothing_failed();
}

/* ---- what it does not wait for ------------------------------------------------------------------------------------------ */

static void *new_that_waits(void *runtime)
{
    const ftl_tensor_options patient = {.wait_ns = (int64_t)600 * 1000 * 1000 * 1000};
    ftl_tensor tensor = {5};
    EXPECT(ftl_bytes_new(runtime, (size_t)64 << 20, &patient, &tensor) == FTL_ECLOSED);
    EXPECT(tensor.id == 5);
    return NULL;
}

/* The thread is inside of new, early or late in its wait: close never fails because of it. */
Test(close, a_new_that_waits_for_memory_gives_up)
{
    for (unsigned i = 0; i < 3; i++) {
        pthread_t waiter;
        ftl_runtime *runtime = laws_open("devices.cpu.limit: 100MiB\n");
        ftl_tensor most = laws_new(runtime, (size_t)64 << 20, NULL);
        cr_assert_eq(pthread_create(&waiter, NULL, new_that_waits, runtime), 0);
        (void)usleep(i * 20000);
        cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK, "%s", ftl_last_error());
        cr_assert_eq(pthread_join(waiter, NULL), 0);
        cr_assert_eq(ftl_tensor_alive(most), false);
    }
    expect_nothing_failed();
}

/* ---- finalizers and callbacks that do not end --------------------------------------------------------------------------- */

struct stall {
    ftl_runtime *runtime, *other;
    ftl_tensor to_drop; /* by the finalizer, when it is let go */
    atomic_bool entered, go;
    atomic_uint calls;
    int drop_status, close_status;
};

static void wait_to_go(struct stall *stall)
{
    atomic_store(&stall->entered, true);
    while (!atomic_load(&stall->go))
        sched_yield();
}

static int stalls(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct stall *stall = user;
    (void)tensor;
    (void)data;
    (void)bytes;
    atomic_fetch_add(&stall->calls, 1);
    wait_to_go(stall);
    stall->drop_status = ftl_tensor_drop(stall->to_drop);
    return 0;
}

static int counts_calls(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    atomic_fetch_add((atomic_uint *)user, 1);
    return 0;
}

/* It is refused after its time, while all else goes on, and closed when the finalizer has ended: which ran once, as did that of what it
 * dropped last. */
Test(close, is_refused_while_a_finalizer_stalls_and_done_when_it_has_ended)
{
    struct stall stall = {.runtime = laws_open("runtime.drain_on_close: 5ms\nthreads.finalizers.count: 1\n")};
    atomic_uint calls = 0;
    ftl_tensor_options stalling = {.finalizer = stalls, .finalizer_user = &stall};
    ftl_tensor_options counting = {.finalizer = counts_calls, .finalizer_user = &calls};
    ftl_tensor late, refused = {7};
    ftl_close_report report = {.leaked = 77};
    stall.to_drop = laws_new(stall.runtime, 2000, &counting);
    late = laws_new(stall.runtime, 3 << 20, NULL);
    cr_assert_eq(ftl_tensor_drop(laws_new(stall.runtime, 100, &stalling)), FTL_OK);
    UNTIL(atomic_load(&stall.entered));
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(ftl_runtime_close(stall.runtime, &report), FTL_EBUSY);
        cr_assert_eq(report.leaked, 77);
        cr_assert_eq(ftl_bytes_new(stall.runtime, 100, NULL, &refused), FTL_ECLOSED);
        cr_assert_eq(refused.id, 7);
    }
    cr_assert_eq(ftl_tensor_drop(late), FTL_OK, "it goes on");
    UNTIL(laws_stats(stall.runtime).pending == 1);
    atomic_store(&stall.go, true);
    int status;
    UNTIL((status = ftl_runtime_close(stall.runtime, &report)) != FTL_EBUSY);
    cr_assert_eq(status, FTL_OK);
    cr_assert_eq(stall.drop_status, FTL_OK);
    cr_assert_eq(atomic_load(&stall.calls), 1);
    cr_assert_eq(atomic_load(&calls), 1);
    cr_assert_eq(report.leaked + report.undone + report.quarantined, 0);
    expect_nothing_failed();
}

static int closes_the_other(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct stall *stall = user;
    (void)tensor;
    (void)data;
    (void)bytes;
    atomic_fetch_add(&stall->calls, 1);
    wait_to_go(stall);
    stall->close_status = ftl_runtime_close(stall->other, NULL);
    return 0;
}

/* Two runtimes whose finalizers close each other's: one of them has to give way, and both come to their end. */
Test(close, of_two_runtimes_from_inside_of_each_others_finalizers)
{
    struct stall stalls[2] = {{.runtime = laws_open("runtime.drain_on_close: 5ms\n")},
                              {.runtime = laws_open("runtime.drain_on_close: 5ms\n")}};
    unsigned closed = 0;
    for (unsigned i = 0; i < 2; i++) {
        ftl_tensor_options options = {.finalizer = closes_the_other, .finalizer_user = &stalls[i]};
        stalls[i].other = stalls[1 - i].runtime;
        cr_assert_eq(ftl_tensor_drop(laws_new(stalls[i].runtime, 100, &options)), FTL_OK);
    }
    UNTIL(atomic_load(&stalls[0].entered) && atomic_load(&stalls[1].entered));
    for (unsigned i = 0; i < 2; i++)
        atomic_store(&stalls[i].go, true);
    for (unsigned i = 0; i < 2; i++) {
        int status;
        UNTIL((status = ftl_runtime_close(stalls[i].runtime, NULL)) != FTL_EBUSY);
        cr_assert(status == FTL_OK || status == FTL_ECLOSED);
        closed += status == FTL_OK;
    }
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(atomic_load(&stalls[i].calls), 1);
        cr_assert(stalls[i].close_status == FTL_OK || stalls[i].close_status == FTL_EBUSY ||
                  stalls[i].close_status == FTL_ECLOSED);
        closed += stalls[i].close_status == FTL_OK;
    }
    cr_assert_eq(closed, 2, "each is closed once");
    expect_nothing_failed();
}

static int drops_while_it_closes(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct stall *stall = user;
    (void)tensor;
    (void)data;
    (void)bytes;
    atomic_store(&stall->entered, true);
    while (ftli_u32_load_acquire(&stall->runtime->state) < FTLI_RUNTIME_SHUT) /* all others are refused by now */
        sched_yield();
    stall->drop_status = ftl_tensor_drop(stall->to_drop);
    atomic_fetch_add(&stall->calls, 1);
    return 0;
}

static void *runs_it(void *argument)
{
    struct stall *stall = argument;
    while (atomic_load(&stall->calls) == 0)
        if (ftl_runtime_run(stall->runtime, NULL, 1000000, NULL) == FTL_ECLOSED)
            break;
    return NULL;
}

/* Close waits for the thread that runs it, which is inside a call: what it drops meanwhile is done too. */
Test(close, completes_what_a_finalizer_drops_at_the_very_end)
{
    static const char lent[] = "threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n"
                               "runtime.drain_on_close: 1ms\n";
    struct stall stall = {.runtime = laws_open(lent)};
    atomic_uint calls = 0;
    pthread_t thread;
    ftl_tensor_options dropping = {.finalizer = drops_while_it_closes, .finalizer_user = &stall};
    ftl_tensor_options counting = {.finalizer = counts_calls, .finalizer_user = &calls};
    ftl_close_report report;
    stall.to_drop = laws_new(stall.runtime, 2000, &counting);
    cr_assert_eq(ftl_tensor_drop(laws_new(stall.runtime, 100, &dropping)), FTL_OK);
    cr_assert_eq(pthread_create(&thread, NULL, runs_it, &stall), 0);
    UNTIL(atomic_load(&stall.entered));
    int status;
    UNTIL((status = ftl_runtime_close(stall.runtime, &report)) != FTL_EBUSY);
    cr_assert_eq(status, FTL_OK);
    (void)pthread_join(thread, NULL);
    cr_assert_eq(stall.drop_status, FTL_OK);
    cr_assert_eq(atomic_load(&calls), 1);
    cr_assert_eq(report.leaked, 0);
    ftl_leak_report_free(report.leaks);
    expect_nothing_failed();
}
