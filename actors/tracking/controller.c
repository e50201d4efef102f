#include "actors/tracking/controller.h"

#include <string.h>

#include "actors/tracking/sampling.h"

#define LESS 0.8

double ftli_tracking_target_at(double target, uint32_t level)
{
    if (level == FTLI_TRACKING_DEBUG)
        return 1;
    double bound = level == FTLI_TRACKING_DETAILED ? FTLI_TRACKING_DETAILED_TARGETS * target : target;
    return bound < 1 ? bound : 1;
}

void ftli_controller_init(struct ftli_controller *controller, const struct ftli_tracking_settings *settings,
                          uint32_t level)
{
    memset(controller, 0, sizeof *controller);
    controller->adapt = settings->adapt;
    controller->target = ftli_tracking_target_at(settings->target, level);
    controller->tiers = settings->tier_count;
    for (uint32_t i = 0; i < settings->tier_count; i++)
        controller->first[i] = controller->rates[i] = controller->measured[i] =
            ftli_sampling_rate_at(settings->tiers[i].rate, level);
}

void ftli_controller_begin(struct ftli_controller *controller, const struct ftli_controller_measure *measure)
{
    controller->last = *measure;
}

static double bounded(const struct ftli_controller *controller, uint32_t tier, double rate)
{
    double first = controller->first[tier];
    double least = first < controller->adapt.least ? first : controller->adapt.least;
    double most = first > controller->adapt.most ? first : controller->adapt.most;
    return rate < least ? least : rate > most ? most : rate;
}

static bool scale(struct ftli_controller *controller, const double from[FTLI_TRACKING_TIERS], double factor)
{
    bool changed = false;
    for (uint32_t i = 0; i < controller->tiers; i++) {
        double rate = bounded(controller, i, from[i] * factor);
        changed |= ftli_weight_code(rate) != ftli_weight_code(controller->rates[i]);
        controller->rates[i] = rate;
    }
    return changed;
}

/* So many events, or so long; and time enough of the threads that a share of it means something. */
static bool is_over(const struct ftli_controller *controller, const struct ftli_controller_measure *measure)
{
    const struct ftli_controller_measure *last = &controller->last;
    if (measure->thread_ns < last->thread_ns + FTLI_CONTROLLER_LEAST_NS || measure->spent_ns < last->spent_ns)
        return false;
    return measure->events - last->events >= controller->adapt.window ||
           measure->now_ns - last->now_ns >= FTLI_CONTROLLER_LONGEST_NS;
}

enum ftli_verdict ftli_controller_look(struct ftli_controller *controller,
                                       const struct ftli_controller_measure *measure)
{
    const struct ftli_tracking_adapt *adapt = &controller->adapt;
    controller->has_changed = false;
    if (!is_over(controller, measure))
        return FTLI_VERDICT_WAIT;
    controller->overhead = (double)(measure->spent_ns - controller->last.spent_ns) /
                           (double)(measure->thread_ns - controller->last.thread_ns);
    controller->last = *measure;
    memcpy(controller->measured, controller->rates, sizeof controller->measured);
    double share = controller->target > 0 ? controller->overhead / controller->target : 2;
    if (share < adapt->below)
        controller->has_changed = scale(controller, controller->rates, adapt->raise);
    else if (share > adapt->above)
        controller->has_changed = scale(controller, controller->rates, adapt->lower);
    if (share > 1)
        return FTLI_VERDICT_OVER;
    if (!controller->has_changed)
        return FTLI_VERDICT_KEEP;
    return share < adapt->below ? FTLI_VERDICT_RAISED : FTLI_VERDICT_LOWERED;
}

bool ftli_controller_sample_less(struct ftli_controller *controller)
{
    if (controller->overhead <= controller->target)
        return scale(controller, controller->rates, controller->adapt.lower);
    return scale(controller, controller->measured, controller->target / controller->overhead * LESS);
}
