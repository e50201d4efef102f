/* From rates to countdowns. */
#include "actors/tracking/sampling.h"

#include <assert.h>
#include <string.h>

#include "tensor/header.h"

#define DETAILED_MOST 0.5
#define SERIES_MOST   2000 /* enough for the ratio 41, where each term is 0.9 of the one before */

static_assert(FTLI_WEIGHT_MOST < 1 << 12, "a record has 12 bits for it");

const uint32_t ftli_sampling_halvings[65] = {
    16777216, 16401946, 16032406, 15668423, 15309833, 14956478, 14608207, 14264876, 13926348, 13592488, 13263172,
    12938275, 12617683, 12301281, 11988961, 11680621, 11376159, 11075479, 10778489, 10485098, 10195222, 9908776,
    9625680,  9345857,  9069232,  8795733,  8525290,  8257836,  7993304,  7731632,  7472759,  7216625,  6963174,
    6712349,  6464096,  6218364,  5975102,  5734260,  5495791,  5259648,  5025788,  4794165,  4564737,  4337464,
    4112305,  3889222,  3668175,  3449129,  3232048,  3016896,  2803640,  2592247,  2382684,  2174919,  1968923,
    1764665,  1562117,  1361249,  1162035,  964447,   768458,   574044,   381180,   189839,   0,
};

double ftli_sampling_rate_at(double rate, uint32_t level)
{
    if (level <= FTLI_TRACKING_MINIMAL)
        return 0;
    if (level == FTLI_TRACKING_DEBUG)
        return 1;
    if (level != FTLI_TRACKING_DETAILED || rate >= DETAILED_MOST)
        return rate;
    return 2 * rate < DETAILED_MOST ? 2 * rate : DETAILED_MOST;
}

void ftli_sampling_from(struct ftli_sampling *sampling, const struct ftli_tracking_settings *settings)
{
    memset(sampling, 0, sizeof *sampling);
    sampling->every_one_from_bytes = settings->every_one_from_bytes;
    sampling->tiers = settings->tier_count;
    for (uint32_t tier = 0; tier < settings->tier_count; tier++)
        sampling->up_to_bytes[tier] = settings->tiers[tier].up_to_bytes;
}

unsigned ftli_sampling_tier(const struct ftli_sampling *sampling, uint64_t bytes)
{
    for (unsigned tier = 0; tier < sampling->tiers; tier++)
        if (bytes <= sampling->up_to_bytes[tier])
            return tier;
    return FTLI_TRACKING_TIERS;
}

uint32_t ftli_weight_code(double rate)
{
    if (rate <= 0)
        return 0;
    if (rate >= 1)
        return FTLI_WEIGHT_ONE;
    double code = FTLI_WEIGHT_ONE / rate + 0.5;
    return code < FTLI_WEIGHT_MOST ? (uint32_t)code : FTLI_WEIGHT_MOST;
}

/* ln(a / b) is twice the area hyperbolic tangent of (a - b) / (a + b). */
static double logarithm_of_ratio(double a, double b)
{
    double x = (a - b) / (a + b), power = x, sum = 0;
    for (unsigned n = 1; n < SERIES_MOST && power > 1e-17; n += 2) {
        sum += power / n;
        power *= x * x;
    }
    return 2 * sum;
}

static uint64_t scale_of(uint32_t code)
{
    const double ln_2 = 0.69314718055994530942;
    if (code <= FTLI_WEIGHT_ONE)
        return 0; /* each: the countdown is 1 */
    return (uint64_t)(ln_2 / logarithm_of_ratio(code, code - FTLI_WEIGHT_ONE) * (1 << 24) + 0.5);
}

void ftli_rates_publish(struct ftli_rates *rates, const uint32_t codes[FTLI_RATE_LOOK], uint64_t every_one_from_bytes)
{
    for (unsigned tier = 0; tier < FTLI_RATE_LOOK; tier++)
        ftli_u32_store_relaxed(&rates->codes[tier], codes[tier]);
    ftli_u64_store_relaxed(&rates->every_one_from_bytes, every_one_from_bytes);
    ftli_u32_store_release(&rates->epoch, ftli_u32_load_relaxed(&rates->epoch) + 1); /* pairs: rates */
}

uint32_t ftli_rates_read(const struct ftli_rates *rates, struct ftli_draws *out)
{
    uint32_t epoch = ftli_u32_load_acquire(&rates->epoch); /* pairs: rates */
    memset(out, 0, sizeof *out);
    for (unsigned tier = 0; tier < FTLI_RATE_LOOK; tier++) {
        out->codes[tier] = ftli_u32_load_relaxed(&rates->codes[tier]);
        out->scales[tier] = scale_of(out->codes[tier]);
    }
    out->every_one_from_bytes = ftli_u64_load_relaxed(&rates->every_one_from_bytes);
    return epoch;
}
