#include <criterion/criterion.h>
#include <math.h>

#include "actors/tracking/tracking.h"

static const struct ftli_tracking_settings standard = {
    .level = FTLI_TRACKING_STANDARD,
    .events = 10000,
    .tier_count = 4,
    .every_one_from_bytes = 1 << 20,
    .tiers = {{1024, 0.1}, {16384, 0.1}, {131072, 0.2}, {1 << 20, 0.5}},
};

static struct ftli_sampling at_level(uint32_t level)
{
    struct ftli_tracking_settings settings = standard;
    struct ftli_sampling sampling;
    settings.level = level;
    ftli_sampling_from(&sampling, &settings);
    return sampling;
}

Test(sampling, none_and_minimal_sample_nothing)
{
    for (uint32_t level = FTLI_TRACKING_NONE; level <= FTLI_TRACKING_MINIMAL; level++) {
        struct ftli_sampling sampling = at_level(level);
        cr_expect_eq(sampling.every_one_from_bytes, UINT64_MAX);
        cr_expect_eq(ftli_sampling_tier(&sampling, 1), (unsigned)FTLI_TRACKING_TIERS);
    }
}

Test(sampling, standard_has_the_tiers_as_given)
{
    struct ftli_sampling sampling = at_level(FTLI_TRACKING_STANDARD);
    cr_expect_eq(sampling.every_one_from_bytes, 1 << 20);
    cr_expect_eq(sampling.period[0], 10);
    cr_expect_eq(sampling.period[2], 5);
    cr_expect_eq(sampling.period[3], 2);
    cr_expect_eq(ftli_sampling_tier(&sampling, 0), 0);
    cr_expect_eq(ftli_sampling_tier(&sampling, 1024), 0);
    cr_expect_eq(ftli_sampling_tier(&sampling, 1025), 1);
    cr_expect_eq(ftli_sampling_tier(&sampling, 1 << 20), 3);
    cr_expect_eq(ftli_sampling_tier(&sampling, (1 << 20) + 1), (unsigned)FTLI_TRACKING_TIERS);
}

Test(sampling, detailed_doubles_up_to_half)
{
    struct ftli_sampling sampling = at_level(FTLI_TRACKING_DETAILED);
    cr_expect_eq(sampling.period[0], 5);
    cr_expect_eq(sampling.period[2], 2); /* 40 %: 2 or 3, half of the time each */
    cr_expect_float_eq((double)sampling.longer[2] / 4294967296.0, 0.5, 1e-6);
    cr_expect_eq(sampling.period[3], 2);
    cr_expect_eq(sampling.longer[3], 0);
}

Test(sampling, detailed_lowers_no_rate)
{
    struct ftli_tracking_settings settings = standard;
    struct ftli_sampling sampling;
    settings.level = FTLI_TRACKING_DETAILED;
    settings.tiers[0].rate = 0.8;
    settings.tiers[1].rate = 1;
    ftli_sampling_from(&sampling, &settings);
    cr_expect_float_eq(1.0 + (double)sampling.longer[0] / 4294967296.0, 1.25, 1e-6);
    cr_expect_eq(sampling.period[1], 1);
    cr_expect_eq(sampling.longer[1], 0);
}

Test(sampling, debug_records_every_tensor)
{
    struct ftli_sampling sampling = at_level(FTLI_TRACKING_DEBUG);
    cr_expect_eq(sampling.every_one_from_bytes, 0);
}

/* Of a million tensors, the number sampled at a rate r lies within 5 standard deviations of the binomial (chance of a false
 * alarm: under 1 in a million); and the gaps are not a rhythm. */
Test(sampling, the_share_sampled_is_the_rate)
{
    static const double rates[] = {1, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.07, 0.01, 0.0003};
    enum { TENSORS = 1000000 };
    for (unsigned r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        for (uint64_t seed = 1; seed <= 5; seed++) {
            struct ftli_tracking_settings settings = standard;
            struct ftli_sampling sampling;
            settings.tiers[0].rate = rates[r];
            ftli_sampling_from(&sampling, &settings);
            uint64_t random = seed, sampled = 0, in_step = 0;
            uint32_t countdown = ftli_sampling_countdown(&sampling, 0, &random);
            for (unsigned i = 0; i < TENSORS; i++) {
                if (--countdown == 0) {
                    sampled++;
                    in_step += i % 10 == 3;
                    countdown = ftli_sampling_countdown(&sampling, 0, &random);
                }
            }
            double expected = TENSORS * rates[r], deviation = sqrt(expected * (1 - rates[r])) + 1;
            cr_expect_lt(fabs((double)sampled - expected), 5 * deviation, "rate %g, seed %lu: %lu sampled", rates[r],
                         (unsigned long)seed, (unsigned long)sampled);
            if (rates[r] <= 0.5)
                cr_expect_lt(fabs((double)in_step - expected / 10), 5 * sqrt(expected / 10) + 1,
                             "rate %g meets every tenth tensor %lu times", rates[r], (unsigned long)in_step);
        }
    }
}

Test(sampling, a_rate_of_0_never_samples)
{
    struct ftli_tracking_settings settings = standard;
    struct ftli_sampling sampling;
    uint64_t random = 1;
    settings.tiers[0].rate = 0;
    ftli_sampling_from(&sampling, &settings);
    cr_expect_eq(ftli_sampling_countdown(&sampling, 0, &random), 0);
}
