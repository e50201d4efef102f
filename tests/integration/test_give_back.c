/* Free memory goes back to the OS by itself, the process then rests; and ftl_defragment gives it back at once. */
#include <criterion/criterion.h>

#include "actors/allocation/shard.h"
#include "actors/port/life.h"
#include "runtime/base/os.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIB ((size_t)1 << 20)

enum { LARGE = 80, SMALL = 4000 };

TestSuite(give_back, .timeout = 200); /* the deadline of every wait here */

static ftl_runtime *open_with(const char *overrides)
{
    ftl_runtime *runtime;
    ftl_open_options options = {.overrides = overrides};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    return runtime;
}

/* What the OS says is in memory of all arenas. Their granules stay where they are. */
static size_t resident_bytes(const ftl_runtime *runtime)
{
    const struct ftli_space *space = &runtime->device->space;
    size_t bytes = 0;
    for (uint32_t number = FTLI_GRANULE_PAGES; number / FTLI_GRANULE_PAGES < space->granules_used;
         number += FTLI_GRANULE_PAGES) {
        const struct ftli_granule *granule = ftli_space_granule(space, number);
        if (granule != NULL)
            bytes += ftli_os_resident_bytes(granule->address, FTLI_GRANULE_BYTES);
    }
    return bytes;
}

/* 200 MiB, every byte written: 160 in tensors of 2 MiB, 40 in small ones. Then all are dropped. */
static void fill_and_drop(ftl_runtime *runtime)
{
    static ftl_tensor large[LARGE], small[SMALL];
    for (unsigned i = 0; i < LARGE; i++) {
        cr_assert_eq(ftl_bytes_new(runtime, 2 * MIB, NULL, &large[i]), FTL_OK, "%s", ftl_last_error());
        memset(ftl_tensor_data(large[i]), 1, 2 * MIB);
    }
    for (unsigned i = 0; i < SMALL; i++) {
        cr_assert_eq(ftl_bytes_new(runtime, 10240, NULL, &small[i]), FTL_OK, "%s", ftl_last_error());
        memset(ftl_tensor_data(small[i]), 2, 10240);
    }
    cr_assert_geq(resident_bytes(runtime), 198 * MIB);
    for (unsigned i = 0; i < LARGE; i++)
        cr_assert_eq(ftl_tensor_drop(large[i]), FTL_OK);
    for (unsigned i = 0; i < SMALL; i++)
        cr_assert_eq(ftl_tensor_drop(small[i]), FTL_OK);
}

/* Processor time of all threads of the runtime: their names begin with its own. */
static uint64_t busy_ns(const char *prefix)
{
    uint64_t sum_ns = 0;
    unsigned threads = 0;
    DIR *tasks = opendir("/proc/self/task");
    cr_assert_not_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        char path[300], name[64] = "";
        struct timespec time;
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        if (fgets(name, sizeof name, file) != NULL && strncmp(name, prefix, strlen(prefix)) == 0) {
            clockid_t clock =
                (clockid_t)(~(unsigned)atoi(entry->d_name) << 3 | 6); /* a thread's, as the kernel names it */
            cr_assert_eq(clock_gettime(clock, &time), 0);
            sum_ns += (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
            threads++;
        }
        (void)fclose(file);
    }
    (void)closedir(tasks);
    cr_assert_geq(threads, 2, "of %s", prefix);
    return sum_ns;
}

/* Their time stands still while this thread spends 300 ms of its own: longer than any tick of the library pauses while it ticks.
 * Comes back when that was so. */
static void wait_until_at_rest(const char *prefix)
{
    uint64_t reading_ns = busy_ns(prefix), since_ns = ftli_os_thread_cpu_ns();
    while (ftli_os_thread_cpu_ns() - since_ns < 300000000) {
        uint64_t now_ns = busy_ns(prefix);
        if (now_ns != reading_ns) {
            reading_ns = now_ns;
            since_ns = ftli_os_thread_cpu_ns();
        }
    }
}

Test(give_back, goes_back_without_any_call_and_then_nothing_runs)
{
    ftl_runtime *runtime = open_with("runtime.name: resting\ndevices.cpu: {give_back: 1s, keep: 0B}\n"
                                     "actors.defragmentation.idle: 100ms\n");
    fill_and_drop(runtime);
    while (resident_bytes(runtime) > 4 * MIB)
        sched_yield();
    while (ftli_u32_load_acquire(&runtime->device->ticking) != 0 ||
           ftli_u32_load_acquire(&runtime->defragmentation.ticking) != 0)
        sched_yield();
    wait_until_at_rest("resting:");
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_lt(stats.committed_bytes - stats.metadata_bytes, 4 * MIB);
    cr_assert_eq(stats.held_bytes, 0);
    cr_assert_eq(stats.live + stats.pending, 0);
    cr_assert_geq(ftli_u64_load_acquire(&runtime->defragmentation.given_back_bytes), 190 * MIB);
    /* It goes on as before. */
    fill_and_drop(runtime);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(give_back, what_is_to_be_kept_is_kept)
{
    ftl_runtime *runtime = open_with("devices.cpu: {give_back: 1s, keep: 64MiB}\nactors.defragmentation.idle: 100ms\n");
    fill_and_drop(runtime);
    while (resident_bytes(runtime) > 70 * MIB)
        sched_yield();
    while (ftli_u32_load_acquire(&runtime->defragmentation.ticking) != 0)
        sched_yield();
    cr_assert_geq(resident_bytes(runtime), 56 * MIB);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(give_back, at_once_by_defragment_with_purge)
{
    ftl_runtime *runtime = open_with("devices.cpu.give_back: 24h\n");
    ftl_defragment_options options = {.purge = true, .time_ns = INT64_MAX};
    ftl_defragment_result result;
    ftl_stats stats;
    fill_and_drop(runtime);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_gt(resident_bytes(runtime), 100 * MIB);
    cr_assert_eq(ftl_defragment(runtime, NULL, &result), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(result.released_bytes, 0, "nothing without purge");
    cr_assert_eq(ftl_defragment(runtime, &options, &result), FTL_OK, "%s", ftl_last_error());
    cr_assert_gt(result.released_bytes, 190 * MIB);
    cr_assert_gt(result.slices, 0);
    cr_assert_eq(result.moved + result.moved_bytes, 0, "nothing moves in this version");
    /* what this thread's port holds is its own until the tick takes it */
    cr_assert_lt(resident_bytes(runtime), 4 * MIB);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_lt(stats.committed_bytes - stats.metadata_bytes, 4 * MIB);
    cr_assert_eq(stats.committed_bytes, stats.cached_bytes + stats.metadata_bytes);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(give_back, options_of_defragment_are_checked)
{
    ftl_runtime *runtime = open_with(NULL);
    ftl_defragment_result result = {.moved = 77};
    ftl_defragment_options later = {.reserved = {0, 1}}, device = {.device = 1}, time = {.time_ns = -1},
                           high = {.target = 1.5}, low = {.target = -0.1};
    cr_assert_eq(ftl_defragment(runtime, &later, &result), FTL_EINVAL);
    cr_assert_eq(ftl_defragment(runtime, &device, &result), FTL_EINVAL);
    cr_assert_eq(ftl_defragment(runtime, &time, &result), FTL_EINVAL);
    cr_assert_eq(ftl_defragment(runtime, &high, &result), FTL_EINVAL);
    cr_assert_eq(ftl_defragment(runtime, &low, &result), FTL_EINVAL);
    cr_assert_eq(ftl_defragment(runtime, NULL, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_defragment(NULL, NULL, &result), FTL_EINVAL);
    cr_assert_eq(result.moved, 77);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(ftl_defragment(runtime, NULL, &result), FTL_ECLOSED);
}

/* ---- the table ----------------------------------------------------------------------------------------------------- */

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { TENSORS = 200 * 1000 };
#else
enum { TENSORS = 4 * 1000 * 1000 };
#endif

static size_t resident_headers(const ftl_runtime *runtime)
{
    return ftli_os_resident_bytes(runtime->table.headers, (size_t)ftli_table_fresh(&runtime->table) * 64 / 4096 * 4096);
}

/* Pages of the table that hold only free headers: nothing of them stays, and no handle of before fits what comes after. */
static void fill_the_table(ftl_runtime *runtime, ftl_tensor *tensors)
{
    for (unsigned i = 0; i < TENSORS; i++)
        cr_assert_eq(ftl_bytes_new(runtime, 64, NULL, &tensors[i]), FTL_OK, "%s", ftl_last_error());
    cr_assert_geq(resident_headers(runtime), (size_t)TENSORS * 64);
    for (unsigned i = 0; i < TENSORS; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
}

static void none_is_alive(const ftl_tensor *tensors)
{
    for (unsigned i = 0; i < TENSORS; i++)
        cr_assert_eq(ftl_tensor_alive(tensors[i]), 0, "tensor %u", i);
    for (unsigned i = 0; i < TENSORS; i += 997) {
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_ESTALE);
        cr_assert_null(ftl_tensor_data(tensors[i]));
    }
}

static void check_the_table(ftl_runtime *runtime, ftl_tensor *before, ftl_tensor *after, uint64_t metadata_before)
{
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_expect_leq(resident_headers(runtime), TENSORS * 64 / 200, "%zu bytes of headers are resident",
                  resident_headers(runtime));
    cr_expect_leq(stats.metadata_bytes, metadata_before + (uint64_t)TENSORS * 64 / 20, "metadata %lu, before %lu",
                  (unsigned long)stats.metadata_bytes, (unsigned long)metadata_before);
    cr_expect_eq(stats.live, 0);
    none_is_alive(before);
    fill_the_table(runtime, after);
    none_is_alive(before);
    none_is_alive(after);
    char why[300] = "";
    cr_expect_eq(ftli_runtime_audit(runtime, why, sizeof why), FTL_OK, "%s", why);
}

/* Nobody else looks at the table meanwhile: a walk that is inside of pages while they are given back reads them as zeros, and the
 * system's page of zeros counts as resident here. */
#define NO_WALKS "actors.leak_detection: none\n"

Test(give_back, pages_of_free_headers_at_once)
{
    ftl_runtime *runtime = open_with(NO_WALKS);
    ftl_tensor *tensors = calloc(2 * TENSORS, sizeof *tensors);
    ftl_stats stats;
    ftl_defragment_options options = {.purge = 1, .time_ns = INT64_C(60) * 1000000000};
    ftl_defragment_result result;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    fill_the_table(runtime, tensors);
    for (int calls = 0; calls < 20 && resident_headers(runtime) > TENSORS * 64 / 200; calls++) /* a port may be busy */
        cr_assert_eq(ftl_defragment(runtime, &options, &result), FTL_OK, "%s", ftl_last_error());
    check_the_table(runtime, tensors, tensors + TENSORS, stats.metadata_bytes);
    free(tensors);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(give_back, pages_of_free_headers_by_the_timer)
{
    ftl_runtime *runtime = open_with(NO_WALKS "devices.cpu: {give_back: 400ms, keep: 0B}\n"
                                              "actors.defragmentation.idle: 100ms\n");
    ftl_tensor *tensors = calloc(2 * TENSORS, sizeof *tensors);
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    fill_the_table(runtime, tensors);
    while (resident_headers(runtime) > TENSORS * 64 / 200)
        sched_yield();
    check_the_table(runtime, tensors, tensors + TENSORS, stats.metadata_bytes);
    free(tensors);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
