/* What the topology says about supervision, as a policy; and what becomes of the news of a runtime's actors. */
#include "actors/port/life.h"
#include "actors/port/routes.h"

_Static_assert((int)FTLI_RECOVERY_CLASSES == (int)FTLI_FAILURE_CLASSES &&
                   (int)FTLI_RECOVERY_TRANSIENT == (int)FTLI_CLASS_TRANSIENT &&
                   (int)FTLI_RECOVERY_RESOURCE == (int)FTLI_CLASS_RESOURCE &&
                   (int)FTLI_RECOVERY_CONFIGURATION == (int)FTLI_CLASS_CONFIGURATION &&
                   (int)FTLI_RECOVERY_CORRUPTION == (int)FTLI_CLASS_CORRUPTION &&
                   (int)FTLI_RECOVERY_FATAL == (int)FTLI_CLASS_FATAL,
               "compose and supervise number the classes alike");

ftli_policy ftli_runtime_policy(const struct ftli_topology *topology)
{
    const struct ftli_topology_supervision *from = &topology->supervision;
    ftli_policy policy = ftli_policy_default();
    policy.strategy = from->strategy;
    policy.restarts = from->restarts;
    policy.within_ns = (uint64_t)from->within_ns;
    policy.backoff.first_ns = (uint64_t)from->backoff.first_ns;
    policy.backoff.most_ns = (uint64_t)from->backoff.most_ns;
    policy.backoff.factor = from->backoff.factor;
    policy.breaker.failures = from->breaker.failures;
    policy.breaker.within_ns = (uint64_t)from->breaker.within_ns;
    policy.breaker.open_ns = (uint64_t)from->breaker.open_ns;
    for (uint32_t class = 0; class < FTLI_FAILURE_CLASSES; class ++) {
        policy.recovery[class].count = topology->recovery[class].count;
        for (uint32_t i = 0; i < topology->recovery[class].count && i < FTLI_STEPS; i++)
            policy.recovery[class].steps[i] = (uint8_t)topology->recovery[class].items[i];
    }
    return policy;
}

static void tell_of_alarm(struct ftl_runtime *runtime, const ftli_news *news, const ftli_actor_figures *figures)
{
    static const char *const lanes[FTLI_LANES] = {"emergency", "high", "normal", "background"};
    struct ftli_event_news event = {.kind = FTL_EVENT_OVERDUE,
                                    .level = 1 + news->lane,
                                    .count = figures->lanes[news->lane].depth,
                                    .subject = ftli_actor_name(news->actor)};
    ftli_events_post(&runtime->events, &event,
                     "actor %s: the oldest of %llu messages in lane %s waits for %.1f ms; its alarm is %.1f ms",
                     event.subject, (unsigned long long)event.count, lanes[news->lane], (double)news->age_ns / 1e6,
                     (double)ftli_kernel_lane_alarm_ns(runtime->kernel, news->lane) / 1e6);
}

static void tell(struct ftl_runtime *runtime, const ftli_news *news)
{
    static const char *const texts[] = {
        [FTLI_NEWS_FAILED] = "a receive failed",
        [FTLI_NEWS_RESTARTED] = "restarted",
        [FTLI_NEWS_DOWN] = "down: it is given up, and its degraded mode applies",
        [FTLI_NEWS_DEGRADED] = "degraded until it has received what failed",
        [FTLI_NEWS_RECOVERED] = "recovered: it has received what failed",
        [FTLI_NEWS_OVERDUE] = "one receive takes longer than the topology's `receive`",
    };
    ftli_actor_figures figures;
    if (!ftli_events_are_wanted(&runtime->events, FTL_EVENT_ACTOR | FTL_EVENT_OVERDUE))
        return;
    ftli_actor_read(news->actor, &figures);
    if (news->kind == FTLI_NEWS_ALARM) {
        tell_of_alarm(runtime, news, &figures);
        return;
    }
    struct ftli_event_news event = {.kind = news->kind == FTLI_NEWS_OVERDUE ? FTL_EVENT_OVERDUE : FTL_EVENT_ACTOR,
                                    .count = figures.restarts,
                                    .subject = ftli_actor_name(news->actor)};
    bool says_why = news->status != FTL_OK && news->kind != FTLI_NEWS_OVERDUE;
    ftli_events_post(&runtime->events, &event, "actor %s: %s%s%s", event.subject, texts[news->kind],
                     says_why ? ": " : "",
                     !says_why                             ? ""
                     : news->status == FTLI_STATUS_CORRUPT ? "its check says that its state is broken"
                                                           : ftl_strerror(news->status));
}

/* An actor is down, and the topology says that there are to be no new tensors without it. The close that follows is the
 * program's. */
void ftli_runtime_on_news(void *user, const ftli_news *news)
{
    struct ftl_runtime *runtime = user;
    tell(runtime, news);
    ftli_routes_on_news(runtime, news);
    uint32_t open = FTLI_RUNTIME_OPEN;
    if (news->kind != FTLI_NEWS_DOWN || runtime->topology->supervision.give_up != FTLI_GIVE_UP_CLOSE ||
        !ftli_u32_cas_acq_rel(&runtime->state, &open, FTLI_RUNTIME_CLOSING))
        return;
    ftli_port_shut_all(runtime);
    ftli_event_signal_all(ftli_allocation_completed(runtime->device)); /* a new that waits for memory gives up */
}
