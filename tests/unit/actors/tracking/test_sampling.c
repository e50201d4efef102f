/* From rates to countdowns, and from what tracking costs to rates. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "actors/tracking/controller.h"
#include "actors/tracking/sampling.h"

static const struct ftli_tracking_settings standard = {
    .level = FTLI_TRACKING_STANDARD,
    .events = 10000,
    .target = 0.02,
    .adapt = {.least = 0.01, .most = 0.5, .raise = 1.2, .lower = 0.8, .below = 0.5, .above = 0.8, .window = 1000},
    .tier_count = 4,
    .every_one_from_bytes = 1 << 20,
    .tiers = {{1024, 0.1}, {16384, 0.1}, {131072, 0.2}, {1 << 20, 0.5}},
};

/* ---- tiers and levels */

Test(sampling, sizes_have_tiers)
{
    struct ftli_sampling sampling;
    ftli_sampling_from(&sampling, &standard);
    cr_expect_eq(sampling.every_one_from_bytes, 1 << 20);
    cr_expect_eq(ftli_sampling_tier(&sampling, 0), 0);
    cr_expect_eq(ftli_sampling_tier(&sampling, 1024), 0);
    cr_expect_eq(ftli_sampling_tier(&sampling, 1025), 1);
    cr_expect_eq(ftli_sampling_tier(&sampling, 1 << 20), 3);
    cr_expect_eq(ftli_sampling_tier(&sampling, (1 << 20) + 1), (unsigned)FTLI_TRACKING_TIERS);
}

Test(sampling, levels_make_rates)
{
    static const struct {
        double rate, at[5];
    } rows[] = {
        {0.1, {0, 0, 0.1, 0.2, 1}}, {0.3, {0, 0, 0.3, 0.5, 1}}, {0.8, {0, 0, 0.8, 0.8, 1}}, {0, {0, 0, 0, 0, 1}}};
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (uint32_t level = 0; level < 5; level++)
            cr_expect_float_eq(ftli_sampling_rate_at(rows[i].rate, level), rows[i].at[level], 1e-12, "%g at %u",
                               rows[i].rate, level);
}

Test(sampling, weights_are_fortieths)
{
    cr_expect_eq(ftli_weight_code(0), 0);
    cr_expect_eq(ftli_weight_code(1), 40);
    cr_expect_eq(ftli_weight_code(2), 40);
    cr_expect_eq(ftli_weight_code(0.5), 80);
    cr_expect_eq(ftli_weight_code(0.1), 400);
    cr_expect_eq(ftli_weight_code(0.01), 4000);
    cr_expect_eq(ftli_weight_code(0.001), 4000);
    cr_expect_eq(ftli_weight_rate(0), 0);
    for (uint32_t code = 40; code <= 4000; code++)
        cr_assert_eq(ftli_weight_code(ftli_weight_rate(code)), code);
}

/* ---- countdowns */

static struct ftli_draws draws_of(uint32_t code)
{
    struct ftli_rates rates;
    struct ftli_draws draws;
    const uint32_t codes[FTLI_RATE_LOOK] = {code, 0, 0, 0, 0};
    memset(&rates, 0, sizeof rates);
    ftli_rates_publish(&rates, codes, UINT64_MAX);
    cr_assert_eq(ftli_rates_read(&rates, &draws), 1);
    return draws;
}

Test(sampling, the_table_is_a_logarithm)
{
    for (unsigned i = 0; i <= 64; i++)
        cr_expect_lt(fabs((1 - log2(1 + i / 64.0)) * 16777216 - ftli_sampling_halvings[i]), 0.51, "%u", i);
}

Test(sampling, scales_are_what_makes_a_mean_of_one_over_the_rate)
{
    for (uint32_t code = 41; code <= 4000; code++) {
        struct ftli_draws draws = draws_of(code);
        double scale = -1 / log2(1 - 40.0 / code);
        cr_assert_lt(fabs((double)draws.scales[0] / 16777216 - scale), 1e-6, "%u", code);
    }
}

/* Of the countdowns, k happens with the chance q (1 - q)^(k - 1): the mean, the variance, and each of the first few, within 5 standard
 * deviations (chance of a false alarm: under 1 in a million each). */
Test(sampling, countdowns_are_geometric)
{
    static const uint32_t codes[] = {40, 41, 44, 57, 80, 133, 200, 400, 1000, 4000};
    enum { DRAWS = 200000, FIRST = 8 };
    for (unsigned r = 0; r < sizeof codes / sizeof codes[0]; r++) {
        struct ftli_draws draws = draws_of(codes[r]);
        uint64_t random = 7 + r, seen[FIRST + 1] = {0};
        double sum = 0, squares = 0, q = 40.0 / codes[r], mean = 1 / q, variance = (1 - q) / (q * q);
        for (unsigned i = 0; i < DRAWS; i++) {
            uint32_t k = ftli_sampling_countdown(&draws, 0, &random);
            cr_assert_gt(k, 0);
            sum += k;
            squares += (k - mean) * (k - mean);
            seen[k <= FIRST ? k : 0]++;
        }
        cr_expect_lt(fabs(sum / DRAWS - mean), 5 * sqrt(variance / DRAWS) + 1e-9, "code %u: mean %f", codes[r],
                     sum / DRAWS);
        cr_expect_lt(fabs(squares / DRAWS - variance),
                     5 * sqrt(9 * variance * variance / DRAWS + variance / DRAWS) + 1e-9, "code %u: variance %f",
                     codes[r], squares / DRAWS);
        for (unsigned k = 1; k <= FIRST; k++) {
            double expected = DRAWS * q * pow(1 - q, k - 1);
            cr_expect_lt(fabs((double)seen[k] - expected), 5 * sqrt(expected) + 1, "code %u: %u came %lu times, not %f",
                         codes[r], k, (unsigned long)seen[k], expected);
        }
    }
}

Test(sampling, no_rate_no_sample)
{
    struct ftli_draws draws = draws_of(400);
    uint64_t random = 1;
    cr_expect_eq(ftli_sampling_countdown(&draws, 1, &random), 0);
    cr_expect_eq(ftli_sampling_countdown(&draws, FTLI_RATE_LOOK, &random), 0);
}

/* ---- the controller */

static const uint64_t ms = 1000 * 1000;

struct story {
    struct ftli_controller controller;
    struct ftli_controller_measure at;
};

static struct story begin(const struct ftli_tracking_settings *settings, uint32_t level)
{
    struct story story = {.at = {.events = 5, .spent_ns = 7, .thread_ns = 11, .now_ns = 13}};
    ftli_controller_init(&story.controller, settings, level);
    ftli_controller_begin(&story.controller, &story.at);
    return story;
}

/* A window in which tracking took so much of the threads' time. */
static enum ftli_verdict window(struct story *story, double overhead, uint64_t events)
{
    story->at.events += events;
    story->at.thread_ns += 100 * ms;
    story->at.spent_ns += (uint64_t)(100e6 * overhead);
    story->at.now_ns += 100 * ms;
    return ftli_controller_look(&story->controller, &story->at);
}

static void expect_rates(const struct story *story, double a, double b, double c, double d)
{
    const double expected[4] = {a, b, c, d};
    for (unsigned i = 0; i < 4; i++)
        cr_expect_float_eq(story->controller.rates[i], expected[i], 1e-9, "tier %u: %f", i, story->controller.rates[i]);
}

Test(controller, raises_under_half_of_the_target_up_to_the_most)
{
    struct story story = begin(&standard, FTLI_TRACKING_STANDARD);
    cr_expect_eq(window(&story, 0.0099, 1000), FTLI_VERDICT_RAISED);
    expect_rates(&story, 0.12, 0.12, 0.24, 0.5);
    for (unsigned i = 0; i < 8; i++)
        cr_expect_eq(window(&story, 0.001, 1000), FTLI_VERDICT_RAISED);
    expect_rates(&story, 0.5, 0.5, 0.5, 0.5);
    cr_expect_eq(window(&story, 0, 1000), FTLI_VERDICT_KEEP);
    cr_expect_not(story.controller.has_changed);
}

Test(controller, keeps_between_half_and_four_fifths)
{
    struct story story = begin(&standard, FTLI_TRACKING_STANDARD);
    cr_expect_eq(window(&story, 0.0101, 1000), FTLI_VERDICT_KEEP);
    cr_expect_eq(window(&story, 0.0159, 1000), FTLI_VERDICT_KEEP);
    expect_rates(&story, 0.1, 0.1, 0.2, 0.5);
}

Test(controller, lowers_above_four_fifths_down_to_the_least)
{
    struct story story = begin(&standard, FTLI_TRACKING_STANDARD);
    cr_expect_eq(window(&story, 0.0165, 1000), FTLI_VERDICT_LOWERED);
    expect_rates(&story, 0.08, 0.08, 0.16, 0.4);
    for (unsigned i = 0; i < 30; i++)
        (void)window(&story, 0.0199, 1000);
    expect_rates(&story, 0.01, 0.01, 0.01, 0.01);
    cr_expect_eq(window(&story, 0.0199, 1000), FTLI_VERDICT_KEEP);
}

Test(controller, over_the_target_it_goes_to_four_fifths_of_it_when_told)
{
    struct story story = begin(&standard, FTLI_TRACKING_STANDARD);
    cr_expect_eq(window(&story, 0.04, 1000), FTLI_VERDICT_OVER);
    expect_rates(&story, 0.08, 0.08, 0.16, 0.4); /* a step down in any case */
    cr_expect(ftli_controller_sample_less(&story.controller));
    expect_rates(&story, 0.04, 0.04, 0.08, 0.2); /* target / overhead x 0.8 of what it was measured with */
    cr_expect_eq(window(&story, 0.9, 1000), FTLI_VERDICT_OVER);
    cr_expect(ftli_controller_sample_less(&story.controller));
    expect_rates(&story, 0.01, 0.01, 0.01, 0.01);
    cr_expect_eq(window(&story, 0.9, 1000), FTLI_VERDICT_OVER, "it says so also at the least");
    cr_expect_not(story.controller.has_changed);
    cr_expect_not(ftli_controller_sample_less(&story.controller));
}

Test(controller, told_so_without_being_over_it_makes_a_step)
{
    struct story story = begin(&standard, FTLI_TRACKING_STANDARD);
    cr_expect(ftli_controller_sample_less(&story.controller));
    expect_rates(&story, 0.08, 0.08, 0.16, 0.4);
}

Test(controller, waits_for_a_window)
{
    struct story story = begin(&standard, FTLI_TRACKING_STANDARD);
    cr_expect_eq(window(&story, 0, 999), FTLI_VERDICT_WAIT);
    cr_expect_eq(window(&story, 0, 1), FTLI_VERDICT_RAISED, "1000 in two looks");
    for (unsigned i = 0; i < 9; i++)
        cr_expect_eq(window(&story, 0, 1), FTLI_VERDICT_WAIT);
    cr_expect_eq(window(&story, 0, 1), FTLI_VERDICT_RAISED, "a second is a window too");
    story.at.events += 5000;
    story.at.thread_ns += ms - 1;
    cr_expect_eq(ftli_controller_look(&story.controller, &story.at), FTLI_VERDICT_WAIT, "too little time to share");
    story.at.spent_ns = 0;
    story.at.thread_ns += ms;
    cr_expect_eq(ftli_controller_look(&story.controller, &story.at), FTLI_VERDICT_WAIT, "sums that went back");
}

Test(controller, rates_that_were_put_outside_stay_outside)
{
    struct ftli_tracking_settings settings = standard;
    settings.adapt.least = 0.05;
    settings.tiers[0].rate = 0;
    settings.tiers[1].rate = 0.02;
    settings.tiers[3].rate = 0.9;
    struct story story = begin(&settings, FTLI_TRACKING_STANDARD);
    for (unsigned i = 0; i < 30; i++)
        (void)window(&story, 0.0199, 1000);
    expect_rates(&story, 0, 0.02, 0.05, 0.05);
    for (unsigned i = 0; i < 30; i++)
        (void)window(&story, 0, 1000);
    expect_rates(&story, 0, 0.5, 0.5, 0.9);
}

Test(controller, each_level_has_its_target)
{
    struct story story = begin(&standard, FTLI_TRACKING_DETAILED);
    expect_rates(&story, 0.2, 0.2, 0.4, 0.5);
    cr_expect_float_eq(story.controller.target, 0.1, 1e-12);
    cr_expect_eq(window(&story, 0.07, 1000), FTLI_VERDICT_KEEP);
    cr_expect_float_eq(ftli_tracking_target_at(0.5, FTLI_TRACKING_DETAILED), 1, 0);
    cr_expect_float_eq(ftli_tracking_target_at(0.02, FTLI_TRACKING_DEBUG), 1, 0);
}
