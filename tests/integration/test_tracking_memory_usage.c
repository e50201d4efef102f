/* What tracking 100 tensors of 1 to 2 KiB costs in memory: under 10 % of their bytes, its fixed rings apart (fettle.h). */
#include <criterion/criterion.h>

#include <stdio.h>

#include "actors/port/runtime.h"

enum { TENSORS = 100 };

struct cost {
    uint64_t bytes;         /* of the tensors */
    uint64_t metadata;      /* by which all metadata grew */
    uint64_t headers;       /* what tracking says it keeps in headers */
    uint64_t rings;         /* by which its rings grew */
    double overhead, share; /* of ftl_stats; of the figures above */
};

static ftl_runtime *open_at(const char *level)
{
    char overrides[100];
    ftl_runtime *runtime;
    (void)snprintf(overrides, sizeof overrides, "actors.tracking.level: %s\n", level);
    ftl_open_options options = {.overrides = overrides};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    return runtime;
}

static struct cost cost_at(const char *level)
{
    ftl_runtime *runtime = open_at(level);
    ftl_tensor tensors[TENSORS], first;
    ftl_stats before, after;
    struct ftli_tracking_figures tracking_before, tracking;
    struct cost cost = {0};
    /* one of each class and a scan of the port first, so that what grows is the tensors' alone */
    cr_assert_eq(ftl_bytes_new(runtime, 1024, NULL, &first), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(first), FTL_OK);
    cr_assert_eq(ftl_runtime_stats(runtime, &before), FTL_OK);
    ftli_tracking_read(&runtime->tracking, &tracking_before);
    for (unsigned i = 0; i < TENSORS; i++) {
        size_t bytes = 1024 + i * 1024 / (TENSORS - 1);
        cr_assert_eq(ftl_bytes_new(runtime, bytes, NULL, &tensors[i]), FTL_OK, "%s", ftl_last_error());
        cost.bytes += bytes;
    }
    cr_assert_eq(ftl_runtime_stats(runtime, &after), FTL_OK);
    ftli_tracking_read(&runtime->tracking, &tracking);
    cr_assert_eq(after.live, TENSORS);
    cr_assert_eq(after.live_bytes, cost.bytes);
    cost.metadata = after.metadata_bytes - before.metadata_bytes;
    cost.headers = tracking.header_bytes;
    cost.rings = tracking.ring_bytes - tracking_before.ring_bytes;
    cost.overhead = after.tracking_memory_overhead;
    cost.share = (double)cost.headers / (double)cost.bytes;
    for (unsigned i = 0; i < TENSORS; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    return cost;
}

Test(tracking_memory_usage, is_under_a_tenth_at_level_detailed)
{
    struct cost cost = cost_at("detailed");
    cr_assert_lt(cost.overhead, 0.10, "%f of %llu bytes", cost.overhead, (unsigned long long)cost.bytes);
    cr_assert_gt(cost.overhead, 0);
    cr_assert_float_eq(cost.overhead, cost.share, 1e-9);
}

Test(tracking_memory_usage, is_the_real_size_of_what_it_keeps)
{
    struct cost cost = cost_at("detailed");
    const struct ftli_header *header = NULL;
    cr_assert_eq(cost.headers, TENSORS * (sizeof header->record + sizeof header->stamp));
    cr_assert_eq(cost.rings, 0, "the rings are fixed: 100 tensors made them grow by %llu bytes",
                 (unsigned long long)cost.rings);
    /* also if all of a header were tracking's */
    cr_assert_lt((double)(TENSORS * sizeof *header) / (double)cost.bytes, 0.10);
}

Test(tracking_memory_usage, adds_nothing_that_grows_beside_what_is_there_without_it)
{
    struct cost with = cost_at("detailed"), without = cost_at("none");
    cr_assert_eq(with.metadata, without.metadata, "%llu bytes of metadata at detailed, %llu at none",
                 (unsigned long long)with.metadata, (unsigned long long)without.metadata);
    cr_assert_lt((double)with.metadata / (double)with.bytes, 0.10, "%llu bytes of metadata for %llu",
                 (unsigned long long)with.metadata, (unsigned long long)with.bytes);
}
