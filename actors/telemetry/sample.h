/* What an operator sees of a runtime beside ftl_stats: supervision, its actors, its lanes. One set of names in all places: JSON,
 * `fettle stat`, "stats" of ftl_runtime_control.
 *
 * Threads   Plain numbers; whoever holds it.
 */
#ifndef FTLI_ACTORS_TELEMETRY_SAMPLE_H
#define FTLI_ACTORS_TELEMETRY_SAMPLE_H

#include <fettle/fettle.h>

#include "runtime/kernel/actor.h"

struct ftli_sample_supervision {
    uint64_t retries, quarantines, given_up, breaks, breakers_open; /* of actors' messages, states, breakers */
    uint64_t receives_overdue, drops_overdue, scopes_overdue, lane_alarms;
};

/* Tracking: how many tensors it has sampled, at which rates it does now, and what it thought of its cost. */
struct ftli_sample_tracking {
    uint64_t sampled, rate_changes, over_target, stacks_paused, level;
    double rates[4]; /* by tier; 0 of one that there is not */
};

/* Drops that were completed by message, by the lane they took. */
struct ftli_sample_lane {
    const char *name;
    uint64_t completed, reclaim_p50_ns, reclaim_p99_ns, reclaim_max_ns;
};

struct ftli_sample_actor {
    const char *name, *state; /* idle, queued, running, restarting, down, stopped */
    uint64_t degraded;        /* 1: down, or set back until it has received what failed */
    uint64_t restarts, failures, receives_overdue, lane_alarms, messages, busy_ns;
    uint64_t depth[FTLI_LANES];
    uint64_t oldest_ns; /* how long the oldest message waits; 0: none does */
};

struct ftli_sample {
    ftl_stats stats;
    struct ftli_sample_supervision supervision;
    struct ftli_sample_tracking tracking;
    struct ftli_sample_lane lanes[FTLI_LANES];
    const struct ftli_sample_actor *actors; /* actor_count of them */
    uint32_t actor_count;
};

#endif
