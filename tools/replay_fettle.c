#include "tools/replay_fettle.h"

#include "tools/stats_fields.h"
#include "tools/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

static uint64_t fettle_create(void *self, uint64_t bytes, uint64_t align)
{
    struct ftli_replay_fettle *fettle = self;
    ftl_tensor tensor;
    /* A recorded call asked for size and alignment alone, and 64 is what a tensor has without asking. */
    const ftl_tensor_options *options = align > 64 ? &fettle->options[__builtin_ctzll(align)] : NULL;
    return ftl_bytes_new(fettle->runtime, bytes, options, &tensor) == FTL_OK ? tensor.id : 0;
}

/* The recorded programs keep the raw pointer for as long as the tensor lives: that is data, not pin. */
static void *fettle_data(void *self, uint64_t tensor)
{
    (void)self;
    return ftl_tensor_data((ftl_tensor){tensor});
}

static bool fettle_drop(void *self, uint64_t tensor)
{
    (void)self;
    return ftl_tensor_drop((ftl_tensor){tensor}) == FTL_OK;
}

static void fettle_explain(void *self, char *why, size_t why_size)
{
    (void)self;
    snprintf(why, why_size, "%s", ftl_last_error());
}

static int fettle_open(void *self, struct ftli_target *target, char *why, size_t why_size)
{
    struct ftli_replay_fettle *fettle = self;
    ftl_open_options options = {.path = fettle->topology};
    for (uint32_t i = 0; i < sizeof fettle->options / sizeof *fettle->options; i++) {
        fettle->options[i].alignment = i > 6 ? (size_t)1 << i : 0; /* 64 without being asked */
    }
    if (ftl_runtime_open_with(&options, &fettle->runtime) != FTL_OK) {
        snprintf(why, why_size, "%s", ftl_last_error());
        return -1;
    }
    *target = (struct ftli_target){
        .name = "Fettle",
        .self = fettle,
        .create = fettle_create,
        .data = fettle_data,
        .drop = fettle_drop,
        .explain = fettle_explain,
    };
    return 0;
}

static void fettle_sample(void *self)
{
    struct ftli_replay_fettle *fettle = self;
    ftl_stats stats;
    if (ftl_runtime_stats(fettle->runtime, &stats) == FTL_OK && stats.live_bytes >= fettle->peak.live_bytes) {
        fettle->peak = stats;
    }
}

static int stats(struct ftli_replay_fettle *fettle, ftl_stats *out, char *why, size_t why_size)
{
    if (ftl_runtime_stats(fettle->runtime, out) != FTL_OK) {
        snprintf(why, why_size, "ftl_runtime_stats: %s", ftl_last_error());
        return -1;
    }
    return 0;
}

static int fettle_played(void *self, char *why, size_t why_size)
{
    struct ftli_replay_fettle *fettle = self;
    fettle->drained = ftl_runtime_drain(fettle->runtime, 10 * SECOND);
    return stats(fettle, &fettle->end, why, why_size);
}

static int fettle_settled(void *self, char *why, size_t why_size)
{
    struct ftli_replay_fettle *fettle = self;
    ftl_leak_report *leaks = NULL;
    if (fettle->end.live_bytes > fettle->peak.live_bytes) { /* it was over before the first sample */
        fettle->peak = fettle->end;
    }
    if (stats(fettle, &fettle->settled, why, why_size) != 0) {
        return -1;
    }
    fettle->scanned = ftl_leak_scan(fettle->runtime, NULL, &leaks);
    if (fettle->scanned == FTL_OK) {
        fettle->suspects = leaks->leaked;
        fettle->suspect_bytes = leaks->leaked_bytes;
        ftl_leak_report_free(leaks);
    }
    fettle->closed = ftl_runtime_close(fettle->runtime, &fettle->report);
    for (size_t i = 0; fettle->report.leaks != NULL && i < fettle->report.leaks->count && i < FTLI_REPLAY_LEAK_ROWS;
         i++) {
        fettle->leaks[fettle->rows++] = fettle->report.leaks->leaks[i];
    }
    if (fettle->report.leaks != NULL) {
        ftl_leak_report_free(fettle->report.leaks);
    }
    fettle->report.leaks = NULL; /* an address of the child's means nothing to the parent */
    return 0;
}

struct ftli_pass_kind ftli_replay_fettle_kind(struct ftli_replay_fettle *fettle)
{
    return (struct ftli_pass_kind){
        .self = fettle,
        .open = fettle_open,
        .sample = fettle_sample,
        .played = fettle_played,
        .settled = fettle_settled,
    };
}

struct judgement {
    struct ftli_replay_fault *faults;
    uint32_t count;
};

__attribute__((format(printf, 3, 4))) static void must(struct judgement *judgement, bool holds, const char *format, ...)
{
    if (!holds && judgement->count < FTLI_REPLAY_MAX_FAULTS) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(judgement->faults[judgement->count].text, sizeof judgement->faults->text, format, arguments);
        va_end(arguments);
        judgement->count++;
    }
}

static void must_be(struct judgement *judgement, const char *what, uint64_t is, uint64_t expected, const char *because)
{
    must(judgement, is == expected, "%s is %s; %s %s", what, ftli_text_count(is).text, because,
         ftli_text_count(expected).text);
}

uint32_t ftli_replay_fettle_judge(const struct ftli_replay_fettle *fettle, const struct ftli_trace *trace,
                                  struct ftli_replay_fault faults[FTLI_REPLAY_MAX_FAULTS])
{
    struct judgement judgement = {.faults = faults};
    const ftl_stats *end = &fettle->end, *settled = &fettle->settled;
    uint64_t left = trace->alloc_count - trace->free_count;
    must(&judgement, fettle->drained == FTL_OK, "drain: %s", ftl_strerror(fettle->drained));
    must_be(&judgement, "created", end->created, trace->alloc_count, "the trace makes");
    must_be(&judgement, "live", end->live, left, "the trace leaves");
    must_be(&judgement, "live bytes", end->live_bytes, trace->left_bytes, "the trace leaves");
    must_be(&judgement, "live + pending + reclaimed + quarantined",
            end->live + end->pending + end->reclaimed + end->quarantined, end->created, "created is");
    must_be(&judgement, "at once + by message", end->immediate + end->deferred,
            end->pending + end->reclaimed + end->quarantined, "dropped were");
    must(&judgement, ftli_stats_bytes_exact(end), "committed is not the sum of its terms after the last event");
    must(&judgement, ftli_stats_bytes_exact(settled),
         "committed is not the sum of its terms when memory had gone back");
    must(&judgement, settled->efficiency <= 1.0 && settled->fragmentation <= 1.0,
         "efficiency %.2f or fragmentation %.2f is over 1", settled->efficiency, settled->fragmentation);
    must_be(&judgement, "pending", settled->pending, 0, "after a drain it is");
    must_be(&judgement, "quarantined", settled->quarantined, 0, "without a finalizer it is");
    must_be(&judgement, "stale handles", settled->stale_handles, 0, "the trace has");
    must_be(&judgement, "audits failed", settled->audits_failed, 0, "it must be");
    must(&judgement, fettle->scanned == FTL_OK, "the leak scan: %s", ftl_strerror(fettle->scanned));
    must(&judgement, fettle->closed == FTL_OK, "close: %s", ftl_strerror(fettle->closed));
    must_be(&judgement, "alive at close", fettle->report.leaked, left, "the trace leaves");
    must_be(&judgement, "bytes alive at close", fettle->report.leaked_bytes, trace->left_bytes, "the trace leaves");
    must_be(&judgement, "drops undone at close", fettle->report.undone, 0, "it must be");
    return judgement.count;
}
