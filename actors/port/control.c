/* The language of ftl_runtime_control: one line in, text out. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "actors/port/agent.h"
#include "actors/port/life.h"
#include "actors/port/operator.h"
#include "actors/port/quarantine.h"

struct answer {
    ftl_write_fn write;
    void *user;
    int stopped;
};

__attribute__((format(printf, 2, 3))) static void say(struct answer *answer, const char *format, ...)
{
    char line[512];
    va_list arguments;
    if (answer->stopped != 0)
        return;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (n > 0)
        answer->stopped = answer->write(line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1, answer->user);
}

#define SAY_COUNT(answer, stats, field) say(answer, "%-26s %llu\n", #field, (unsigned long long)(stats)->field)
#define SAY_SHARE(answer, stats, field) say(answer, "%-26s %.6f\n", #field, (stats)->field)

/* What no figure of ftl_stats says about supervision. */
static void say_supervision(struct ftl_runtime *runtime, struct answer *answer)
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

/* list.NAME.FIELD, as in the JSON that telemetry publishes. */
static void say_of(struct answer *answer, const char *list, const char *name, const char *field, uint64_t count)
{
    char key[96];
    (void)snprintf(key, sizeof key, "%s.%s.%s", list, name, field);
    say(answer, "%-40s %llu\n", key, (unsigned long long)count);
}

static void say_lanes(struct ftl_runtime *runtime, struct answer *answer)
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

static void say_actors(struct ftl_runtime *runtime, struct answer *answer)
{
    static const char *const lanes[FTLI_LANES] = {"emergency", "high", "normal", "background"};
    for (unsigned i = 0; i < ftli_kernel_actor_count(runtime->kernel); i++) {
        struct ftli_sample_actor actor;
        char key[64];
        ftli_operator_read_actor(runtime, i, &actor);
        (void)snprintf(key, sizeof key, "actors.%s.state", actor.name);
        say(answer, "%-40s %s\n", key, actor.state);
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

static int answer_stats(struct ftl_runtime *runtime, struct answer *answer)
{
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
    say_lanes(runtime, answer);
    say_actors(runtime, answer);
    return FTL_OK;
}

/* CORE.md section 3, rule 9: the walk of the table that finds what no mailbox has. Twice, since once is no evidence. */
static int look_for_overdue(struct ftl_runtime *runtime, char *why, size_t why_bytes)
{
    struct ftli_overdue_list first, again;
    const struct ftli_overdue *oldest = again.rows;
    ftli_overdue_walk(&runtime->leak_detection, NULL, &first);
    if (first.count == 0)
        return FTL_OK;
    ftli_overdue_walk(&runtime->leak_detection, &first, &again);
    for (uint32_t i = 1; i < again.count; i++)
        oldest = again.rows[i].posted_ns < oldest->posted_ns ? &again.rows[i] : oldest;
    if (again.count == 0)
        return FTL_OK;
    (void)snprintf(why, why_bytes, "drops past their deadline: %u%s; the oldest, of %llu bytes, was dropped %.1f s ago",
                   again.count, again.count == FTLI_OVERDUE_MOST ? " or more" : "", (unsigned long long)oldest->bytes,
                   (double)(ftli_kernel_now_ns(runtime->kernel) - oldest->posted_ns) / 1e9);
    return FTL_EINTERNAL;
}

static int answer_check(struct ftl_runtime *runtime, struct answer *answer)
{
    char why[300];
    int status = ftli_runtime_audit(runtime, why, sizeof why);
    if (status == FTL_OK)
        status = ftli_kernel_check(runtime->kernel, why, sizeof why);
    if (status == FTL_OK)
        status = look_for_overdue(runtime, why, sizeof why);
    if (status == FTL_EBUSY) {
        say(answer, "busy: tensors came and went at every look\n");
        return ftli_fail(FTL_EBUSY, "the audit needs a moment in which nothing is made or dropped");
    }
    if (status == FTL_ENOTSUP)
        return ftli_fail(FTL_ENOTSUP, "not in a forked child");
    say(answer, status == FTL_OK ? "good\n" : "broken: %s\n", why);
    return status == FTL_OK ? FTL_OK : ftli_fail(FTL_EINTERNAL, "%s", why);
}

static const char *cause_of(uint32_t cause)
{
    switch (cause) {
    case FTL_LEAK_OUTLIVED_SCOPE:
        return "outlived its scope";
    case FTL_LEAK_OUTLIVED_THREAD:
        return "outlived its thread";
    case FTL_LEAK_PINNED:
        return "dropped, but pinned for more than 10 s";
    default:
        return "alive";
    }
}

static int answer_leaks(struct ftl_runtime *runtime, struct answer *answer)
{
    ftl_leak_report *report;
    int status = ftli_leak_scan(&runtime->leak_detection, NULL, &report);
    if (status != FTL_OK)
        return ftli_fail(status, "the leak scan: %s", ftl_strerror(status));
    say(answer, "%llu findings over %llu tensors\n", (unsigned long long)report->count,
        (unsigned long long)report->scanned);
    for (size_t i = 0; i < report->count; i++) {
        const ftl_leak *leak = &report->leaks[i];
        say(answer, "%3u %%  %8llu tensors  %12llu bytes  %10.3f s  %s  label \"%s\"  scope \"%s\"  %s\n",
            leak->certainty, (unsigned long long)leak->count, (unsigned long long)leak->bytes,
            (double)leak->age_ns / 1e9, cause_of(leak->cause), leak->label, leak->scope, leak->site);
    }
    ftli_leak_report_destroy(report);
    return FTL_OK;
}

static int answer_topology(struct ftl_runtime *runtime, struct answer *answer)
{
    const struct ftli_topology *topology = runtime->topology;
    say(answer, "%s  %s\n", topology->name, topology->source);
    for (uint32_t i = 0; i < topology->group_count; i++)
        say(answer, "threads %-16s count %u nice %d\n", topology->groups[i].name, topology->groups[i].count,
            topology->groups[i].nice);
    for (unsigned i = 0; i < ftli_kernel_actor_count(runtime->kernel); i++) {
        static const char *const phases[] = {"idle", "queued", "running", "restarting", "down", "stopped"};
        static const char *const breakers[] = {"", "  breaker open", "  breaker trying"};
        ftli_actor *actor = ftli_kernel_actor(runtime->kernel, i);
        ftli_actor_figures figures;
        ftli_actor_read(actor, &figures);
        uint32_t breaker = ftli_supervisor_breaker(runtime->supervisor, i, ftli_kernel_now_ns(runtime->kernel));
        say(answer, "actor   %-16s %-10s messages %llu restarts %llu busy %.3f ms  failures %llu overdue %llu%s%s\n",
            ftli_actor_name(actor), figures.phase < 6 ? phases[figures.phase] : "?",
            (unsigned long long)figures.messages, (unsigned long long)figures.restarts, (double)figures.busy_ns / 1e6,
            (unsigned long long)figures.failures, (unsigned long long)figures.overdue,
            figures.degraded ? "  degraded" : "", breakers[breaker]);
    }
    for (uint32_t i = 0; i < topology->difference_count; i++)
        say(answer, "differs %s: %s (default.yaml: %s)\n", topology->differences[i].key, topology->differences[i].value,
            topology->differences[i].standard);
    return FTL_OK;
}

/* Fault injection. What "kill" is followed by: a blank and the actor's name. */
static int answer_kill(struct ftl_runtime *runtime, const char *name, struct answer *answer)
{
    ftli_actor *actor = ftli_kernel_find(runtime->kernel, name + strspn(name, " "));
    if (actor == NULL)
        return ftli_fail(FTL_EINVAL, "request: kill: no actor is called \"%.40s\"", name + strspn(name, " "));
    if (!ftli_actor_is_restartable(actor))
        return ftli_fail(FTL_ENOTSUP, "request: kill: %s cannot be restarted", ftli_actor_name(actor));
    if (ftli_actor_kill(actor) != FTL_OK)
        return ftli_fail(FTL_EBUSY, "request: kill: %s is down, or has not met the last kill yet",
                         ftli_actor_name(actor));
    say(answer, "%s fails at its next receive\n", ftli_actor_name(actor));
    return FTL_OK;
}

static bool is_kill(const char *request)
{
    return strncmp(request, "kill ", 5) == 0 || strcmp(request, "kill") == 0;
}

int ftl_runtime_control(ftl_runtime *runtime, const char *request, ftl_write_fn write, void *user)
{
    static const struct {
        const char *word;
        int (*answer)(struct ftl_runtime *, struct answer *);
    } words[] = {
        {"stats", answer_stats}, {"check", answer_check}, {"leaks", answer_leaks}, {"topology", answer_topology}};
    if (runtime == NULL || request == NULL || write == NULL)
        return ftli_fail(FTL_EINVAL, "%s: is NULL",
                         runtime == NULL   ? "runtime"
                         : request == NULL ? "request"
                                           : "write");
    if (!ftli_runtime_enter(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed");
    int status =
        ftli_port_is_inherited(runtime)
            ? ftli_fail(FTL_ENOTSUP, "not in a forked child")
            : ftli_fail(FTL_ENOTSUP,
                        "request: \"%.40s\" is not known; there are stats, check, leaks, topology, quarantine, "
                        "retry HANDLE, kill ACTOR",
                        request);
    struct answer answer = {write, user, 0};
    for (unsigned i = 0; i < sizeof words / sizeof words[0] && !ftli_port_is_inherited(runtime); i++)
        if (strcmp(request, words[i].word) == 0)
            status = words[i].answer(runtime, &answer);
    if (ftli_quarantine_is_asked(request) && !ftli_port_is_inherited(runtime))
        status = ftli_quarantine_answer(runtime, request, write, user);
    if (is_kill(request) && !ftli_port_is_inherited(runtime))
        status = answer_kill(runtime, request + 4, &answer);
    ftli_runtime_leave(runtime);
    return status;
}
