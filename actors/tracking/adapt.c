#include "actors/tracking/adapt.h"

#include <stdio.h>
#include <string.h>

#include <fettle/fettle.h>

#include "actors/events/events.h"
#include "runtime/base/clock.h"

enum { LEVEL_INFO = 1, LEVEL_WARNING = 2 };

/* ---- rates, out to the ports --------------------------------------------------------------------------------------------- */

static void publish(struct ftli_tracking *tracking)
{
    const struct ftli_controller *controller = &tracking->controller;
    uint32_t level = ftli_u32_load_relaxed(&tracking->level);
    uint32_t codes[FTLI_RATE_LOOK] = {0};
    for (uint32_t tier = 0; tier < controller->tiers; tier++)
        codes[tier] = ftli_weight_code(controller->rates[tier]);
    codes[FTLI_RATE_OF_NONE] = level == FTLI_TRACKING_DEBUG ? FTLI_WEIGHT_ONE : 0;
    uint64_t every_one_from_bytes = level <= FTLI_TRACKING_MINIMAL ? UINT64_MAX
                                    : level == FTLI_TRACKING_DEBUG ? 0
                                                                   : tracking->world.settings->every_one_from_bytes;
    ftli_rates_publish(&tracking->rates, codes, every_one_from_bytes);
    tracking->is_pending = tracking->world.apply_rates != NULL;
}

static void tell_ports(struct ftli_tracking *tracking)
{
    if (tracking->is_pending)
        tracking->is_pending = tracking->world.apply_rates(tracking->world.user) != 0;
}

void ftli_tracking_begin_level(struct ftli_tracking *tracking)
{
    ftli_controller_init(&tracking->controller, tracking->world.settings, ftli_u32_load_relaxed(&tracking->level));
    tracking->controller.target = ftli_tracking_target_at(tracking->target, ftli_u32_load_relaxed(&tracking->level));
    publish(tracking);
}

/* ---- and to the program -------------------------------------------------------------------------------------------------- */

static void write_rates(const struct ftli_tracking *tracking, char *text, size_t bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t tier = 0; tier < tracking->controller.tiers && used < bytes; tier++)
        used += (size_t)snprintf(text + used, bytes - used, "%s%.1f %%", tier == 0 ? "" : ", ",
                                 100 * ftli_weight_rate(ftli_u32_load_relaxed(&tracking->rates.codes[tier])));
}

static void tell_of_rates(struct ftli_tracking *tracking, const char *why)
{
    char rates[80];
    (void)ftli_u64_add_owner(&tracking->rate_changes, 1);
    if (!ftli_events_are_wanted(tracking->world.events, FTL_EVENT_LOG))
        return;
    write_rates(tracking, rates, sizeof rates);
    const struct ftli_event_news news = {.kind = FTL_EVENT_LOG, .level = LEVEL_INFO, .subject = "tracking"};
    ftli_events_post(tracking->world.events, &news,
                     "tracking samples %s of its tiers (%s: it took %.2f %% of the threads' time; target %.2f %%)",
                     rates, why, 100 * tracking->controller.overhead, 100 * tracking->controller.target);
}

/* ---- what it costs ------------------------------------------------------------------------------------------------------- */

static void pause_stacks(struct ftli_tracking *tracking, uint64_t now_ns)
{
    uint64_t pause_ns = (uint64_t)tracking->world.settings->pause_ns;
    if (pause_ns == 0)
        return;
    tracking->paused_until_ns = ftli_deadline_ns(now_ns, pause_ns);
    if (ftli_u32_load_relaxed(&tracking->stacks_paused) != 0)
        return;
    ftli_u32_store_relaxed(&tracking->stacks_paused, 1);
    const struct ftli_event_news news = {.kind = FTL_EVENT_LOG, .level = LEVEL_WARNING, .subject = "tracking"};
    ftli_events_post(tracking->world.events, &news, "tracking takes no stacks for %.0f s", (double)pause_ns / 1e9);
}

static void end_pause(struct ftli_tracking *tracking)
{
    tracking->paused_until_ns = 0;
    ftli_u32_store_relaxed(&tracking->stacks_paused, 0);
    const struct ftli_event_news news = {.kind = FTL_EVENT_LOG, .level = LEVEL_INFO, .subject = "tracking"};
    ftli_events_post(tracking->world.events, &news, "tracking takes stacks again");
}

static void sample_less(struct ftli_tracking *tracking, uint64_t now_ns)
{
    tracking->is_less_wanted = false;
    if (ftli_controller_sample_less(&tracking->controller)) {
        publish(tracking);
        tell_of_rates(tracking, "less, as it was told");
    }
    pause_stacks(tracking, now_ns);
}

static void tell_of_over(struct ftli_tracking *tracking)
{
    ftli_u64_add_owner(&tracking->times_over, 1);
    const struct ftli_event_news news = {.kind = FTL_EVENT_LOG, .level = LEVEL_WARNING, .subject = "tracking"};
    ftli_events_post(tracking->world.events, &news,
                     "tracking is over its target: it took %.2f %% of the threads' time; target %.2f %%",
                     100 * tracking->controller.overhead, 100 * tracking->controller.target);
    ftli_route_happened(tracking->over_target);
}

static void decide(struct ftli_tracking *tracking, const struct ftli_controller_measure *now)
{
    enum ftli_verdict verdict = ftli_controller_look(&tracking->controller, now);
    if (verdict == FTLI_VERDICT_WAIT || verdict == FTLI_VERDICT_KEEP)
        return;
    bool changed = tracking->controller.has_changed;
    if (changed)
        publish(tracking);
    if (verdict == FTLI_VERDICT_OVER && (changed || tracking->paused_until_ns == 0))
        tell_of_over(tracking); /* at the lowest rates: once in a pause */
    if (changed)
        tell_of_rates(tracking, verdict == FTLI_VERDICT_RAISED ? "more" : "less");
}

uint64_t ftli_tracking_adapt(struct ftli_tracking *tracking, uint64_t now_ns)
{
    uint32_t level = ftli_u32_load_relaxed(&tracking->level);
    bool samples = level == FTLI_TRACKING_STANDARD || level == FTLI_TRACKING_DETAILED;
    struct ftli_tracking_load load;
    struct ftli_controller_measure now;
    ftli_tracking_measure(tracking, &load,
                          &now); /* at every level: of a thread that ends it is known what it had at the last look */
    if (samples && tracking->is_less_wanted)
        sample_less(tracking, now_ns);
    else if (samples && tracking->world.adapts)
        decide(tracking, &now);
    if (tracking->paused_until_ns != 0 && now_ns >= tracking->paused_until_ns)
        end_pause(tracking);
    tell_ports(tracking);
    if (tracking->is_pending)
        return FTLI_TRACKING_TICK_NS;
    return tracking->paused_until_ns != 0 ? tracking->paused_until_ns - now_ns : FTLI_NEVER_NS;
}

/* ---- by hand ------------------------------------------------------------------------------------------------------------- */

static void begin_again(struct ftli_tracking *tracking)
{
    struct ftli_tracking_load load;
    struct ftli_controller_measure now;
    ftli_tracking_begin_level(tracking);
    ftli_tracking_measure(tracking, &load, &now);
    ftli_controller_begin(&tracking->controller, &now);
    ftli_u64_store_relaxed(&tracking->begun_spent_ns, now.spent_ns);
    ftli_u64_store_relaxed(&tracking->begun_thread_ns, now.thread_ns);
    tell_ports(tracking);
    if (tracking->paused_until_ns != 0)
        end_pause(tracking);
    if (tracking->is_pending && tracking->actor != NULL)
        ftli_actor_run_within(tracking->actor, FTLI_TRACKING_TICK_NS);
}

int ftli_tracking_set_level(struct ftli_tracking *tracking, uint32_t level, uint32_t *was)
{
    ftli_token_take(&tracking->token);
    int status = level <= FTLI_TRACKING_MINIMAL ? FTL_OK : ftli_tracking_make_ring(tracking);
    if (status == FTL_OK) {
        *was = ftli_u32_load_relaxed(&tracking->level);
        ftli_u32_store_relaxed(&tracking->level, level);
        begin_again(tracking);
    }
    ftli_token_release(&tracking->token);
    if (status == FTL_OK) {
        const struct ftli_event_news news = {.kind = FTL_EVENT_LOG, .level = LEVEL_INFO, .subject = "tracking"};
        ftli_events_post(tracking->world.events, &news, "tracking is at level %s; it was at %s",
                         ftli_tracking_level_name(level), ftli_tracking_level_name(*was));
    }
    return status;
}

void ftli_tracking_set_target(struct ftli_tracking *tracking, double target, double *was)
{
    ftli_token_take(&tracking->token);
    *was = tracking->target;
    tracking->target = target;
    tracking->controller.target = ftli_tracking_target_at(target, ftli_u32_load_relaxed(&tracking->level));
    ftli_token_release(&tracking->token);
}
