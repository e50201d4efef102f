/* "stats": every figure, one a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/port/control.h"
#include "actors/port/operator.h"

#define SAY_COUNT(answer, stats, field) \
    ftli_control_say(answer, "%-26s %llu\n", #field, (unsigned long long)(stats)->field)
#define SAY_SHARE(answer, stats, field) ftli_control_say(answer, "%-26s %.6f\n", #field, (stats)->field)

/* What no figure of ftl_stats says about supervision. */
static void say_supervision(struct ftl_runtime *runtime, struct ftli_control_answer *answer)
{
    struct ftli_sample_supervision supervision, *s = &supervision;
    ftli_operator_read_supervision(runtime, s);
    SAY_COUNT(answer, s, retries);
    SAY_COUNT(answer, s, quarantines);
    SAY_COUNT(answer, s, given_up);
    SAY_COUNT(answer, s, breaks);
    SAY_COUNT(answer, s, breakers_open);
    SAY_COUNT(answer, s, receives_overdue);
    SAY_COUNT(answer, s, drops_overdue);
    SAY_COUNT(answer, s, scopes_overdue);
    SAY_COUNT(answer, s, lane_alarms);
}

static void say_tracking(struct ftl_runtime *runtime, struct ftli_control_answer *answer)
{
    struct ftli_sample_tracking tracking, *t = &tracking;
    ftli_operator_read_tracking(runtime, t);
    ftli_control_say(answer, "%-26s %llu\n", "tracking_level", (unsigned long long)t->level);
    ftli_control_say(answer, "%-26s %llu\n", "tracking_sampled", (unsigned long long)t->sampled);
    ftli_control_say(answer, "%-26s %llu\n", "tracking_rate_changes", (unsigned long long)t->rate_changes);
    ftli_control_say(answer, "%-26s %llu\n", "tracking_over_target", (unsigned long long)t->over_target);
    ftli_control_say(answer, "%-26s %llu\n", "tracking_stacks_paused", (unsigned long long)t->stacks_paused);
    for (unsigned i = 0; i < FTLI_TRACKING_TIERS; i++)
        ftli_control_say(answer, "tracking_rate_%-12u %.6f\n", i + 1, t->rates[i]);
}

/* list.NAME.FIELD, as in the JSON that telemetry publishes. */
static void say_of(struct ftli_control_answer *answer, const char *list, const char *name, const char *field,
                   uint64_t count)
{
    char key[96];
    (void)snprintf(key, sizeof key, "%s.%s.%s", list, name, field);
    ftli_control_say(answer, "%-40s %llu\n", key, (unsigned long long)count);
}

static void say_lanes(struct ftl_runtime *runtime, struct ftli_control_answer *answer)
{
    for (unsigned i = 0; i < FTLI_LANES; i++) {
        struct ftli_sample_lane lane;
        ftli_operator_read_lane(runtime, i, &lane);
        say_of(answer, "lanes", lane.name, "completed", lane.completed);
        say_of(answer, "lanes", lane.name, "reclaim_p50_ns", lane.reclaim_p50_ns);
        say_of(answer, "lanes", lane.name, "reclaim_p99_ns", lane.reclaim_p99_ns);
        say_of(answer, "lanes", lane.name, "reclaim_max_ns", lane.reclaim_max_ns);
    }
}

static void say_actors(struct ftl_runtime *runtime, struct ftli_control_answer *answer)
{
    static const char *const lanes[FTLI_LANES] = {"emergency", "high", "normal", "background"};
    for (unsigned i = 0; i < ftli_kernel_actor_count(runtime->kernel); i++) {
        struct ftli_sample_actor actor;
        char key[64];
        ftli_operator_read_actor(runtime, i, &actor);
        (void)snprintf(key, sizeof key, "actors.%s.state", actor.name);
        ftli_control_say(answer, "%-40s %s\n", key, actor.state);
        say_of(answer, "actors", actor.name, "degraded", actor.degraded);
        say_of(answer, "actors", actor.name, "restarts", actor.restarts);
        say_of(answer, "actors", actor.name, "failures", actor.failures);
        say_of(answer, "actors", actor.name, "receives_overdue", actor.receives_overdue);
        say_of(answer, "actors", actor.name, "lane_alarms", actor.lane_alarms);
        say_of(answer, "actors", actor.name, "messages", actor.messages);
        say_of(answer, "actors", actor.name, "busy_ns", actor.busy_ns);
        for (unsigned lane = 0; lane < FTLI_LANES; lane++)
            say_of(answer, "actors", actor.name, lanes[lane], actor.depth[lane]);
        say_of(answer, "actors", actor.name, "oldest_ns", actor.oldest_ns);
    }
}

/* What telemetry would publish at this moment. */
static int answer_json(struct ftl_runtime *runtime, struct ftli_control_answer *answer)
{
    uint32_t actors = ftli_kernel_actor_count(runtime->kernel);
    size_t text_bytes = ftli_telemetry_sample_bytes(actors);
    struct ftli_sample sample;
    struct ftli_sample_actor *rows = text_bytes != 0 ? malloc(actors * sizeof *rows + text_bytes) : NULL;
    if (rows == NULL)
        return text_bytes == 0 ? ftli_fail(FTL_ENOTSUP, "stats json: telemetry is not in this build")
                               : ftli_fail(FTL_ENOMEM, "stats json: no memory");
    char *text = (char *)(rows + actors);
    ftli_operator_read_sample(runtime, &sample, rows, actors);
    ftli_control_write(answer, text,
                       ftli_telemetry_describe(runtime->topology->name, ftli_kernel_now_ns(runtime->kernel), &sample,
                                               text, text_bytes));
    free(rows);
    return FTL_OK;
}

int ftli_control_stats(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    struct ftli_control_answer said = {write, user, 0}, *answer = &said;
    if (strcmp(arguments, "json") == 0)
        return answer_json(runtime, answer);
    if (arguments[0] != '\0')
        return ftli_fail(FTL_EINVAL, "request: stats: \"%.40s\" means nothing here; json, or nothing", arguments);
    ftl_stats stats, *s = &stats;
    ftli_runtime_read_stats(runtime, s);
    SAY_COUNT(answer, s, created);
    SAY_COUNT(answer, s, live);
    SAY_COUNT(answer, s, pending);
    SAY_COUNT(answer, s, reclaimed);
    SAY_COUNT(answer, s, quarantined);
    SAY_COUNT(answer, s, immediate);
    SAY_COUNT(answer, s, deferred);
    SAY_COUNT(answer, s, stale_handles);
    SAY_COUNT(answer, s, live_bytes);
    SAY_COUNT(answer, s, pending_bytes);
    SAY_COUNT(answer, s, quarantined_bytes);
    SAY_COUNT(answer, s, cached_bytes);
    SAY_COUNT(answer, s, held_bytes);
    SAY_COUNT(answer, s, slack_bytes);
    SAY_COUNT(answer, s, metadata_bytes);
    SAY_COUNT(answer, s, committed_bytes);
    SAY_COUNT(answer, s, peak_live_bytes);
    SAY_COUNT(answer, s, limit_bytes);
    SAY_SHARE(answer, s, fragmentation);
    SAY_SHARE(answer, s, efficiency);
    SAY_SHARE(answer, s, tracking_time_overhead);
    SAY_SHARE(answer, s, tracking_memory_overhead);
    SAY_COUNT(answer, s, oldest_pending_ns);
    SAY_COUNT(answer, s, reclaim_p50_ns);
    SAY_COUNT(answer, s, reclaim_p99_ns);
    SAY_COUNT(answer, s, reclaim_max_ns);
    SAY_COUNT(answer, s, restarts);
    SAY_COUNT(answer, s, events_lost);
    SAY_COUNT(answer, s, leak_suspects);
    SAY_COUNT(answer, s, audits_failed);
    SAY_COUNT(answer, s, unpins_without_pin);
    SAY_COUNT(answer, s, pressure);
    SAY_COUNT(answer, s, degraded);
    say_supervision(runtime, answer);
    say_tracking(runtime, answer);
    say_lanes(runtime, answer);
    say_actors(runtime, answer);
    return FTL_OK;
}
