/* Limits: what is refused is refused with the right answer, leaves the out parameter alone and leaks nothing, and what comes
 * after it works. */
#include <stdlib.h>
#include <sys/resource.h>

#include "tests/support/laws.h"

#define MIB ((size_t)1 << 20)

/* Makes tensors of one size until it is refused; how many, and that the refusal is the right one. */
static unsigned fill(ftl_runtime *runtime, size_t bytes, ftl_tensor *tensors, unsigned most, int expected)
{
    for (unsigned i = 0; i < most; i++) {
        ftl_tensor tensor = {4711};
        int status = ftl_bytes_new(runtime, bytes, NULL, &tensor);
        if (status != FTL_OK) {
            cr_assert_eq(status, expected, "%zu bytes, after %u: %s", bytes, i, ftl_strerror(status));
            cr_assert_eq(tensor.id, 4711, "the out parameter was touched");
            cr_assert_neq(ftl_last_error()[0], '\0');
            return i;
        }
        unsigned char *data = ftl_tensor_data(tensor);
        data[0] = (unsigned char)i;
        data[bytes - 1] = (unsigned char)i;
        tensors[i] = tensor;
    }
    return most;
}

static void drop_all(ftl_tensor *tensors, unsigned n, size_t bytes)
{
    for (unsigned i = 0; i < n; i++) {
        const unsigned char *data = ftl_tensor_data(tensors[i]);
        cr_assert(data[0] == (unsigned char)i && data[bytes - 1] == (unsigned char)i, "tensor %u of %zu bytes", i,
                  bytes);
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    }
}

enum { MOST = 1 << 20 };

/* ---- a device's limit --------------------------------------------------------------------------------------------------- */

Test(limits, a_small_device_refuses_and_stays_usable)
{
    static const size_t sizes[] = {1000, 30000, 100000, 700000, 3 << 20, 200, 20 << 20, 4096};
    ftl_runtime *runtime = laws_open("devices.cpu.limit: 64MiB\n");
    ftl_tensor *tensors = calloc(MOST, sizeof *tensors);
    for (unsigned round = 0; round < (LAWS_SANITIZED ? 8 : 16); round++) {
        size_t bytes = sizes[round % 8];
        unsigned n = fill(runtime, bytes, tensors, MOST, FTL_ELIMIT);
        cr_assert_lt(n, MOST);
        cr_assert_leq(n * bytes, 64 * MIB);
        /* nearly all of it could be used, in whatever sizes it was used before */
        cr_assert_gt(n * bytes, 64 * MIB * (bytes > MIB ? 55 : 70) / 100, "round %u: %u of %zu bytes", round, n, bytes);
        ftl_stats s = laws_stats(runtime);
        cr_assert_leq(s.committed_bytes - s.metadata_bytes, 64 * MIB);
        cr_assert_eq(s.live, n);
        cr_assert_eq(s.live_bytes, n * bytes);
        drop_all(tensors, n, bytes);
        cr_assert_eq(laws_stats(runtime).live, 0);
    }
    laws_settle(runtime);
    laws_close(runtime);
    free(tensors);
}

Test(limits, what_could_never_fit_is_refused_at_once)
{
    ftl_runtime *runtime = laws_open("devices.cpu.limit: 64MiB\n");
    ftl_tensor tensor = {4711};
    static const size_t sizes[] = {65 << 20, (size_t)1 << 34, (size_t)1 << 47, (size_t)1 << 62};
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(ftl_bytes_new(runtime, sizes[i], NULL, &tensor), FTL_ELIMIT, "%zu bytes", sizes[i]);
        cr_assert_eq(tensor.id, 4711);
    }
    ftl_tensor_options options = {.alignment = 2 << 20};
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(ftl_bytes_new(runtime, 100, &options, &tensor), FTL_OK, "%s", ftl_last_error());
        cr_assert_eq((uintptr_t)ftl_tensor_data(tensor) % (2 << 20), 0);
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    }
    laws_settle(runtime);
    laws_close(runtime);
}

struct crowd {
    ftl_runtime *runtime;
    unsigned rounds, number;
    atomic_ulong *refused;
};

static void *asks_for_too_much(void *argument)
{
    const struct crowd *crowd = argument;
    uint64_t random = 0xabcdef + crowd->number;
    ftl_tensor kept[64] = {0};
    for (unsigned i = 0; i < crowd->rounds; i++) {
        unsigned at = (unsigned)laws_random(&random) % 64;
        EXPECT(ftl_tensor_drop(kept[at]) == FTL_OK);
        kept[at].id = 0;
        size_t bytes = (size_t)1 << (laws_random(&random) % 22);
        int status = ftl_bytes_new(crowd->runtime, bytes, NULL, &kept[at]);
        EXPECT(status == FTL_OK || (status == FTL_ELIMIT && kept[at].id == 0));
        if (status != FTL_OK)
            atomic_fetch_add(crowd->refused, 1);
        else
            *(unsigned char *)ftl_tensor_data(kept[at]) = 1;
    }
    for (unsigned at = 0; at < 64; at++)
        EXPECT(ftl_tensor_drop(kept[at]) == FTL_OK);
    return NULL;
}

Test(limits, a_crowd_at_the_limit)
{
    ftl_runtime *runtime = laws_open("devices.cpu.limit: 16MiB\nactors.allocation.wait: 1ms\n");
    atomic_ulong refused = 0;
    struct crowd crowds[6];
    pthread_t threads[6];
    for (unsigned i = 0; i < 6; i++) {
        crowds[i] = (struct crowd){runtime, LAWS_SANITIZED ? 1000 : 2000, i, &refused};
        cr_assert_eq(pthread_create(&threads[i], NULL, asks_for_too_much, &crowds[i]), 0);
    }
    for (unsigned i = 0; i < 6; i++)
        (void)pthread_join(threads[i], NULL);
    cr_assert_gt(atomic_load(&refused), 0, "the limit was not reached");
    laws_settle(runtime);
    cr_assert_eq(laws_stats(runtime).live, 0);
    /* all of it is there again */
    ftl_tensor tensor = laws_new(runtime, 10 * MIB, NULL);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    laws_settle(runtime);
    laws_close(runtime);
}

/* ---- the table ---------------------------------------------------------------------------------------------------------- */

Test(limits, all_tensors_used_up)
{
    ftl_runtime *runtime = laws_open("runtime.tensors: 5000\nactors.allocation.shards: 2\n");
    ftl_tensor *tensors = calloc(MOST, sizeof *tensors);
    for (unsigned round = 0; round < 6; round++) {
        size_t bytes = round % 2 == 0 ? 64 : 5000;
        unsigned n = fill(runtime, bytes, tensors, MOST, FTL_ELIMIT);
        cr_assert_leq(n, 5000 + 1024); /* the table grows in steps */
        cr_assert_gt(n, 4000, "%u of 5000", n);
        cr_assert_eq(laws_stats(runtime).live, n);
        /* a view needs a slot too */
        int64_t shape = 1;
        ftl_tensor view = {4711};
        int status = ftl_tensor_view(tensors[0], 0, 1, &shape, NULL, &view);
        cr_assert(status == FTL_OK || (status == FTL_ELIMIT && view.id == 4711), "%s", ftl_strerror(status));
        if (status == FTL_OK)
            cr_assert_eq(ftl_tensor_drop(view), FTL_OK);
        drop_all(tensors, n, bytes);
        cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    }
    laws_settle(runtime);
    laws_close(runtime);
    free(tensors);
}

/* ---- references and pins ------------------------------------------------------------------------------------------------ */

Test(limits, references_and_pins_at_their_most)
{
    ftl_runtime *runtime = laws_open(NULL);
    ftl_tensor tensor = laws_new(runtime, 100, NULL);
    unsigned references = 1, pins = 0;
    while (ftl_tensor_retain(tensor) == FTL_OK)
        references++;
    cr_assert_eq(ftl_tensor_retain(tensor), FTL_ELIMIT);
    cr_assert_eq(references, (1 << 20) - 1);
    while (ftl_tensor_pin(tensor) != NULL)
        pins++;
    cr_assert_eq(pins, 4094);
    for (unsigned i = 0; i < references; i++)
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_ESTALE);
    cr_assert_eq(ftl_runtime_drain(runtime, 0), FTL_ETIMEDOUT);
    for (unsigned i = 0; i < pins; i++)
        ftl_tensor_unpin(tensor);
    ftl_tensor_unpin(tensor);
    laws_settle(runtime);
    cr_assert_eq(laws_stats(runtime).reclaimed, 1);
    laws_close(runtime);
}

/* ---- a scope's limit ---------------------------------------------------------------------------------------------------- */

Test(limits, a_scopes_bytes)
{
    ftl_runtime *runtime = laws_open(NULL);
    ftl_scope_options scoped = {.label = "small", .hard_bytes = 10 * 4096};
    ftl_scope scope;
    ftl_scope_description d;
    cr_assert_eq(ftl_scope_open(runtime, &scoped, &scope), FTL_OK);
    ftl_tensor_options options = {.scope = scope};
    for (unsigned round = 0; round < 5; round++) {
        ftl_tensor tensors[11];
        unsigned n = 0;
        tensors[10].id = 4711;
        while (n < 11 && ftl_bytes_new(runtime, 4096, &options, &tensors[n]) == FTL_OK)
            n++;
        cr_assert_eq(n, 10);
        cr_assert_eq(tensors[10].id, 4711);
        cr_assert_eq(ftl_bytes_new(runtime, 4096, &options, &tensors[10]), FTL_ELIMIT);
        ftl_tensor outside = laws_new(runtime, 4096, NULL); /* nobody else is limited by it */
        cr_assert_eq(ftl_tensor_drop(outside), FTL_OK);
        cr_assert_eq(ftl_scope_stats(scope, &d), FTL_OK);
        cr_assert_eq(d.live, 10);
        cr_assert_eq(d.live_bytes, 40960);
        for (unsigned i = 0; i < n; i++)
            cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    }
    cr_assert_eq(ftl_scope_stats(scope, &d), FTL_OK);
    cr_assert_eq(d.live, 0);
    cr_assert_eq(d.live_bytes, 0);
    uint64_t dropped = 4711;
    cr_assert_eq(ftl_scope_end(scope, &dropped), FTL_OK);
    cr_assert_eq(dropped, 0);
    laws_settle(runtime);
    laws_close(runtime);
}

/* ---- the quarantine ----------------------------------------------------------------------------------------------------- */

static int never(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    (void)user;
    return -1;
}

Test(limits, the_quarantine)
{
    ftl_runtime *runtime = laws_open(
        "actors.cleanup.deadline: 5ms\nactors.cleanup.quarantine_limit: 1MiB\nruntime.drain_on_close: 20ms\n");
    ftl_tensor_options options = {.finalizer = never};
    ftl_tensor tensors[10], more = {4711};
    for (unsigned i = 0; i < 10; i++)
        tensors[i] = laws_new(runtime, 300000, &options);
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    ftl_stats s = laws_stats(runtime);
    cr_assert_eq(s.quarantined, 10);
    cr_assert_eq(s.quarantined_bytes, 3000000);
    cr_assert_eq(s.pending, 0);
    cr_assert_eq(ftl_bytes_new(runtime, 100000, NULL, &more), FTL_ELIMIT);
    cr_assert_eq(more.id, 4711);
    for (unsigned i = 0; i < 10; i++) {
        cr_assert_not(ftl_tensor_alive(tensors[i]));
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_ESTALE);
    }
    laws_settle(runtime);
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.quarantined, 10);
    cr_assert_eq(report.leaked, 0);
    cr_assert_eq(report.undone, 0);
}

/* ---- the system's ------------------------------------------------------------------------------------------------------- */

#if !LAWS_SANITIZED /* they reserve terabytes for themselves */
static void limit_addresses(size_t more_bytes)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%lu", &pages), 1);
    (void)fclose(file);
    struct rlimit limit = {pages * 4096 + more_bytes, pages * 4096 + more_bytes};
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

static void use_with_few_addresses(size_t more_bytes)
{
    ftl_runtime *runtime = NULL;
    ftl_tensor *tensors = calloc(MOST, sizeof *tensors);
    limit_addresses(more_bytes);
    int status = ftl_runtime_open(NULL, &runtime);
    cr_assert(status == FTL_OK || status == FTL_ENOMEM, "%s: %s", ftl_strerror(status), ftl_last_error());
    fprintf(stderr, "%zu MiB of addresses: %s\n", more_bytes / MIB, ftl_strerror(status));
    if (status != FTL_OK) {
        cr_assert_null(runtime);
        free(tensors);
        return;
    }
    static const size_t sizes[] = {3 << 20, 100000, 3 << 20, 500, 200000};
    for (unsigned round = 0; round < 5; round++) {
        unsigned n = 0;
        for (; n < MOST; n++) {
            tensors[n].id = 4711;
            status = ftl_bytes_new(runtime, sizes[round], NULL, &tensors[n]);
            if (status != FTL_OK)
                break;
            memset(ftl_tensor_data(tensors[n]), 1, 1);
        }
        cr_assert(n == MOST || status == FTL_ENOMEM || status == FTL_ELIMIT, "%s", ftl_strerror(status));
        cr_assert(n == MOST || tensors[n].id == 4711);
        for (unsigned i = 0; i < n; i++)
            cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
        laws_settle(runtime);
    }
    laws_close(runtime);
    free(tensors);
}

Test(limits, addresses_8_mib)
{
    use_with_few_addresses(8 * MIB);
}

Test(limits, addresses_64_mib)
{
    use_with_few_addresses(64 * MIB);
}

Test(limits, addresses_300_mib)
{
    use_with_few_addresses(300 * MIB);
}

Test(limits, addresses_2_gib)
{
    use_with_few_addresses(2048 * MIB);
}
#endif
