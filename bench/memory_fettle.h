/* The same over Fettle's public interface: default topology, tracking at its default level, everything on. */
#ifndef BENCH_MEMORY_FETTLE_H
#define BENCH_MEMORY_FETTLE_H

#include <fettle/fettle.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char bench_variant[] = "fettle";

extern ftl_runtime *bench_runtime; /* bench/main.c; opened once, before any thread starts */

/* policy: "message" lets every drop post to the cleanup actor; NULL is the default topology as it ships. */
/* level: of tracking; NULL is the default's. */
static inline int bench_open(const char *policy, const char *level)
{
    char overrides[128] = "";
    ftl_open_options options = {.overrides = overrides};
    snprintf(overrides, sizeof overrides, "%s%s%s%s%s",
             policy == NULL ? "" : "actors.cleanup.policy: ", policy == NULL ? "" : policy, policy == NULL ? "" : "\n",
             level == NULL ? "" : "actors.tracking.level: ", level == NULL ? "" : level);
    if (overrides[0] == '\0') {
        options.overrides = NULL;
    }
    return ftl_runtime_open_with(&options, &bench_runtime) == FTL_OK ? 0 : -1;
}

static inline void bench_finish(void)
{
    if (ftl_runtime_drain(bench_runtime, INT64_C(60000000000)) != FTL_OK) {
        fprintf(stderr, "drain: %s\n", ftl_last_error());
    }
}

/* Everything was dropped: the sums must say so. */
static inline int bench_close(void)
{
    ftl_stats stats;
    if (ftl_runtime_drain(bench_runtime, INT64_C(60000000000)) != FTL_OK ||
        ftl_runtime_stats(bench_runtime, &stats) != FTL_OK) {
        fprintf(stderr, "drain: %s\n", ftl_last_error());
        return -1;
    }
    uint64_t sum = stats.live + stats.pending + stats.reclaimed + stats.quarantined;
    if (stats.created != sum || stats.live != 0 || stats.reclaimed != stats.created) {
        fprintf(stderr,
                "a sum is broken: created %" PRIu64 ", live %" PRIu64 ", pending %" PRIu64 ", reclaimed %" PRIu64
                ", quarantined %" PRIu64 "\n",
                stats.created, stats.live, stats.pending, stats.reclaimed, stats.quarantined);
        return -1;
    }
    return ftl_runtime_close(bench_runtime, NULL) == FTL_OK ? 0 : -1;
}

static inline void bench_look(struct bench_look *out)
{
    ftl_stats stats;
    if (ftl_runtime_stats(bench_runtime, &stats) == FTL_OK) {
        out->efficiency = stats.efficiency;
        out->held_bytes = stats.held_bytes;
        out->tracking_time = stats.tracking_time_overhead;
    }
}

static inline const char *bench_explain(void)
{
    return ftl_last_error();
}

static inline bench_tensor bench_make(size_t bytes)
{
    ftl_tensor tensor;
    int result = ftl_bytes_new(bench_runtime, bytes, NULL, &tensor);
    return (bench_tensor){result == FTL_OK ? tensor.id : 0};
}

static inline void *bench_data(bench_tensor tensor)
{
    return ftl_tensor_data((ftl_tensor){tensor.id});
}

static inline void bench_drop(bench_tensor tensor)
{
    ftl_tensor_drop((ftl_tensor){tensor.id});
}

#endif
