/* From rates to countdowns. A countdown has the mean 1 / rate, so in the long run the share sampled is the rate (the
 * elementary renewal theorem), with less scatter than a coin thrown for each tensor. */
#include "actors/tracking/tracking.h"

#include <string.h>

#include "tensor/header.h"

#define DETAILED_MOST 0.5
#define PERIOD_MOST   (UINT32_C(1) << 30)

static double rate_at_level(double rate, uint32_t level)
{
    if (level != FTLI_TRACKING_DETAILED || rate >= DETAILED_MOST)
        return rate;
    return 2 * rate < DETAILED_MOST ? 2 * rate : DETAILED_MOST;
}

static void set_rate(struct ftli_sampling *sampling, uint32_t tier, double rate)
{
    if (rate <= 1.0 / PERIOD_MOST)
        return;
    double mean = rate < 1 ? 1 / rate : 1;
    sampling->period[tier] = (uint32_t)mean;
    sampling->longer[tier] = (uint32_t)((mean - (double)sampling->period[tier]) * 4294967295.0);
    double weight = mean * FTLI_WEIGHT_ONE + 0.5;
    sampling->weight[tier] = weight < FTLI_WEIGHT_MOST ? (uint32_t)weight : FTLI_WEIGHT_MOST;
}

void ftli_sampling_from(struct ftli_sampling *sampling, const struct ftli_tracking_settings *settings)
{
    memset(sampling, 0, sizeof *sampling);
    sampling->every_one_from_bytes = UINT64_MAX;
    if (settings->level <= FTLI_TRACKING_MINIMAL)
        return;
    if (settings->level == FTLI_TRACKING_DEBUG) {
        sampling->every_one_from_bytes = 0;
        return;
    }
    sampling->every_one_from_bytes = settings->every_one_from_bytes;
    sampling->tiers = settings->tier_count;
    for (uint32_t tier = 0; tier < settings->tier_count; tier++) {
        sampling->up_to_bytes[tier] = settings->tiers[tier].up_to_bytes;
        set_rate(sampling, tier, rate_at_level(settings->tiers[tier].rate, settings->level));
    }
}

unsigned ftli_sampling_tier(const struct ftli_sampling *sampling, uint64_t bytes)
{
    for (unsigned tier = 0; tier < sampling->tiers; tier++)
        if (bytes <= sampling->up_to_bytes[tier])
            return tier;
    return FTLI_TRACKING_TIERS;
}
