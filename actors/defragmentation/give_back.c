#include "actors/defragmentation/give_back.h"

#include <string.h>

#define SECOND_NS  UINT64_C(1000000000)
#define NEVER_NS   UINT64_MAX
#define PAGE_BYTES UINT64_C(4096)

void ftli_give_back_init(struct ftli_give_back *plan, const struct ftli_give_back_rules *rules)
{
    memset(plan, 0, sizeof *plan);
    plan->rules = *rules;
}

/* ---- the last minute's peak ---------------------------------------------------------------------------------------- */

/* Nobody looks while nothing is free. Pages are committed when no free ones serve, so if more is committed than at the last
 * look, about all of it was in use at some time between the two. */
static void see_used(struct ftli_give_back *plan, const struct ftli_give_back_view *view)
{
    uint64_t second = view->now_ns / SECOND_NS, passed = plan->begun ? second - plan->second : FTLI_GIVE_BACK_SECONDS;
    uint64_t heap_bytes = view->used_bytes + view->free_bytes;
    uint64_t most = heap_bytes > plan->heap_bytes ? heap_bytes : view->used_bytes;
    for (uint64_t i = 0; i < passed && i < FTLI_GIVE_BACK_SECONDS; i++)
        plan->most_used[(second - i) % FTLI_GIVE_BACK_SECONDS] = view->used_bytes;
    if (plan->most_used[second % FTLI_GIVE_BACK_SECONDS] < most)
        plan->most_used[second % FTLI_GIVE_BACK_SECONDS] = most;
    plan->second = second;
    plan->heap_bytes = heap_bytes;
}

static uint64_t peak_of(const struct ftli_give_back *plan)
{
    uint64_t most = 0;
    for (unsigned i = 0; i < FTLI_GIVE_BACK_SECONDS; i++)
        if (plan->most_used[i] > most)
            most = plan->most_used[i];
    return most;
}

/* When the peak's last second leaves the window, the peak becomes less. */
static uint64_t peak_ends_ns(const struct ftli_give_back *plan, uint64_t now_ns, uint64_t used_bytes)
{
    uint64_t most = peak_of(plan);
    if (most <= used_bytes)
        return NEVER_NS;
    uint64_t ago = 0; /* of the newest second that had it */
    while (plan->most_used[(plan->second + FTLI_GIVE_BACK_SECONDS - ago) % FTLI_GIVE_BACK_SECONDS] != most)
        ago++;
    return (plan->second + FTLI_GIVE_BACK_SECONDS - ago) * SECOND_NS - now_ns;
}

/* ---- trend --------------------------------------------------------------------------------------------------------- */

static void see_fragmentation(struct ftli_give_back *plan, uint64_t now_ns, double fragmentation)
{
    uint32_t at = plan->samples++ % FTLI_GIVE_BACK_SAMPLES;
    plan->sample_ns[at] = now_ns;
    plan->sample[at] = fragmentation;
}

double ftli_give_back_trend(const struct ftli_give_back *plan)
{
    uint32_t n = plan->samples < FTLI_GIVE_BACK_SAMPLES ? plan->samples : FTLI_GIVE_BACK_SAMPLES;
    if (n < 2)
        return 0;
    double mean_x = 0, mean_y = 0, xy = 0, xx = 0;
    uint64_t origin = plan->sample_ns[0]; /* any of them: differences stay small */
    for (uint32_t i = 0; i < n; i++) {
        mean_x += (double)(int64_t)(plan->sample_ns[i] - origin) / (double)SECOND_NS / n;
        mean_y += plan->sample[i] / n;
    }
    for (uint32_t i = 0; i < n; i++) {
        double x = (double)(int64_t)(plan->sample_ns[i] - origin) / (double)SECOND_NS - mean_x;
        xy += x * (plan->sample[i] - mean_y);
        xx += x * x;
    }
    return xx > 0 ? xy / xx : 0;
}

/* ---- the decision -------------------------------------------------------------------------------------------------- */

/* What lay free during a whole quarter of the time is owed in the next one, however busy the program is. */
static void see_free(struct ftli_give_back *plan, uint64_t now_ns, uint64_t free_bytes)
{
    uint64_t quarter_ns = plan->rules.give_back_ns / 4;
    if (!plan->begun) {
        plan->period_least = free_bytes;
        plan->period_ends_ns = now_ns + quarter_ns;
    }
    if (free_bytes < plan->period_least)
        plan->period_least = free_bytes;
    if (now_ns >= plan->period_ends_ns) {
        plan->owed_bytes = plan->period_least;
        plan->period_least = free_bytes;
        plan->period_ends_ns = now_ns + quarter_ns;
    }
}

/* A share of the bytes, so that all are gone when the time is over. */
static uint64_t share(uint64_t bytes, uint64_t left_ns, uint64_t tick_ns)
{
    if (left_ns <= tick_ns)
        return bytes;
    uint64_t part = (uint64_t)((double)bytes * (double)tick_ns / (double)left_ns) + PAGE_BYTES;
    return part < bytes ? part : bytes;
}

static uint64_t due(const struct ftli_give_back *plan, const struct ftli_give_back_view *view, uint64_t surplus)
{
    uint64_t quiet_ns = view->now_ns - plan->quiet_since_ns, give_back_ns = plan->rules.give_back_ns;
    if (quiet_ns >= plan->rules.idle_ns)
        return share(surplus, quiet_ns < give_back_ns ? give_back_ns - quiet_ns : 0, plan->rules.tick_ns);
    uint64_t owed = plan->owed_bytes < surplus ? plan->owed_bytes : surplus;
    return share(owed, plan->period_ends_ns - view->now_ns, plan->rules.tick_ns);
}

/* A share is kept for a program that comes back to its peak: who was quiet for so long has no use of it. A size is a size.
 * *falls_ns: from now, when it becomes less. */
static uint64_t keep_of(const struct ftli_give_back *plan, const struct ftli_give_back_view *view, uint64_t *falls_ns)
{
    const struct ftli_give_back_rules *rules = &plan->rules;
    uint64_t quiet_ns = view->now_ns - plan->quiet_since_ns;
    *falls_ns = NEVER_NS;
    if (!rules->keep.is_share)
        return rules->keep.bytes;
    if (quiet_ns >= rules->give_back_ns)
        return 0;
    uint64_t peak_ends = peak_ends_ns(plan, view->now_ns, view->used_bytes), rest_ns = rules->give_back_ns - quiet_ns;
    *falls_ns = peak_ends < rest_ns ? peak_ends : rest_ns;
    return (uint64_t)(rules->keep.share * (double)peak_of(plan));
}

void ftli_give_back_decide(struct ftli_give_back *plan, const struct ftli_give_back_view *view,
                           struct ftli_give_back_decision *out)
{
    const struct ftli_give_back_rules *rules = &plan->rules;
    if (!plan->begun || view->activity != plan->activity) {
        plan->activity = view->activity;
        plan->quiet_since_ns = view->now_ns;
    }
    see_used(plan, view);
    see_free(plan, view->now_ns, view->free_bytes);
    see_fragmentation(plan, view->now_ns, view->fragmentation);
    plan->begun = true;
    uint64_t falls_ns, keep = keep_of(plan, view, &falls_ns);
    struct ftli_give_back_decision decision = {.keep_bytes = keep, .again_ns = falls_ns, .otherwise_ns = falls_ns};
    if (view->free_bytes <= PAGE_BYTES) {
        decision.again_ns = NEVER_NS;
    } else if (view->committed_bytes > rules->soft_bytes) {
        decision.keep_bytes = 0;
        decision.purge_bytes = view->free_bytes;
        decision.again_ns = rules->tick_ns;
    } else if (view->free_bytes > keep + PAGE_BYTES) {
        decision.purge_bytes = due(plan, view, view->free_bytes - keep);
        decision.again_ns = rules->tick_ns;
    }
    decision.all = decision.purge_bytes + decision.keep_bytes >= view->free_bytes;
    *out = decision;
}

void ftli_give_back_purged(struct ftli_give_back *plan, uint64_t bytes, uint64_t activity)
{
    plan->activity = activity;
    plan->heap_bytes = bytes < plan->heap_bytes ? plan->heap_bytes - bytes : 0;
    plan->owed_bytes = bytes < plan->owed_bytes ? plan->owed_bytes - bytes : 0;
    plan->period_least = bytes < plan->period_least ? plan->period_least - bytes : 0;
}
