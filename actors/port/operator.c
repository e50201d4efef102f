#include "actors/port/operator.h"

#include <string.h>

void ftli_operator_read_supervision(struct ftl_runtime *runtime, struct ftli_sample_supervision *out)
{
    ftli_supervisor_figures figures;
    ftli_supervisor_read(runtime->supervisor, &figures);
    *out = (struct ftli_sample_supervision){
        .retries = figures.retries,
        .quarantines = figures.quarantines,
        .given_up = figures.given_up,
        .breaks = figures.breaks,
        .breakers_open = figures.breakers_open,
        .receives_overdue = ftli_kernel_overdue(runtime->kernel),
        .drops_overdue = ftli_leak_detection_overdue(&runtime->leak_detection),
        .scopes_overdue = ftli_leak_detection_scopes_overdue(&runtime->leak_detection),
        .lane_alarms = ftli_kernel_alarms(runtime->kernel),
    };
}

void ftli_operator_read_tracking(struct ftl_runtime *runtime, struct ftli_sample_tracking *out)
{
    struct ftli_tracking_figures figures;
    ftli_tracking_read(&runtime->tracking, &figures);
    *out = (struct ftli_sample_tracking){
        .sampled = figures.sampled,
        .rate_changes = figures.rate_changes,
        .over_target = figures.times_over,
        .stacks_paused = figures.stacks_paused,
        .level = figures.level,
    };
    for (unsigned tier = 0; tier < FTLI_TRACKING_TIERS; tier++)
        out->rates[tier] = figures.rates[tier];
}

void ftli_operator_read_lane(struct ftl_runtime *runtime, unsigned lane, struct ftli_sample_lane *out)
{
    static const char *const names[FTLI_LANES] = {"emergency", "high", "normal", "background"};
    ftli_histogram_snapshot all;
    memset(&all, 0, sizeof all);
    ftli_allocation_collect_latencies(runtime->device, lane, &all);
    if (lane == FTLI_LANE_NORMAL) /* the lane of parcels, whose drops the cleanup completes itself */
        ftli_histogram_collect(&runtime->cleanup.latencies, &all);
    *out = (struct ftli_sample_lane){
        .name = names[lane],
        .completed = all.total,
        .reclaim_p50_ns = ftli_histogram_quantile(&all, 0.50),
        .reclaim_p99_ns = ftli_histogram_quantile(&all, 0.99),
        .reclaim_max_ns = all.most_ns,
    };
}

void ftli_operator_read_actor(struct ftl_runtime *runtime, unsigned index, struct ftli_sample_actor *out)
{
    static const char *const states[] = {"idle", "queued", "running", "restarting", "down", "stopped"};
    const ftli_actor *actor = ftli_kernel_actor(runtime->kernel, index);
    const uint64_t now_ns = ftli_kernel_now_ns(runtime->kernel);
    ftli_actor_figures figures;
    ftli_actor_read(actor, &figures);
    *out = (struct ftli_sample_actor){
        .name = ftli_actor_name(actor),
        .state = figures.phase < sizeof states / sizeof states[0] ? states[figures.phase] : "unknown",
        .degraded = figures.degraded,
        .restarts = figures.restarts,
        .failures = figures.failures,
        .receives_overdue = figures.overdue,
        .lane_alarms = figures.alarms,
        .messages = figures.messages,
        .busy_ns = figures.busy_ns,
        .oldest_ns = figures.oldest_ns != 0 && figures.oldest_ns < now_ns ? now_ns - figures.oldest_ns : 0,
    };
    for (unsigned lane = 0; lane < FTLI_LANES; lane++)
        out->depth[lane] = figures.lanes[lane].depth;
}

void ftli_operator_read_sample(void *user, struct ftli_sample *out, struct ftli_sample_actor *actors, uint32_t most)
{
    struct ftl_runtime *runtime = user;
    ftli_runtime_read_stats(runtime, &out->stats);
    ftli_operator_read_supervision(runtime, &out->supervision);
    ftli_operator_read_tracking(runtime, &out->tracking);
    for (unsigned lane = 0; lane < FTLI_LANES; lane++)
        ftli_operator_read_lane(runtime, lane, &out->lanes[lane]);
    out->actors = actors;
    out->actor_count = ftli_kernel_actor_count(runtime->kernel);
    out->actor_count = out->actor_count < most ? out->actor_count : most;
    for (uint32_t i = 0; i < out->actor_count; i++)
        ftli_operator_read_actor(runtime, i, &actors[i]);
}
