/* Patterns on generated series of each kind, with noise: a table of what was taken for what, and a floor. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "actors/tracking/pattern.h"
#include "actors/tracking/timeline.h"
#include "runtime/base/random.h"

enum { SERIES = 100 };

static double normal(ftli_random_state *random)
{
    double sum = -6;
    for (unsigned i = 0; i < 12; i++)
        sum += ftli_random_unit(random);
    return sum;
}

static double between(ftli_random_state *random, double least, double most)
{
    return least + (most - least) * ftli_random_unit(random);
}

static unsigned generate(enum ftli_pattern kind, ftli_random_state *random, double *values)
{
    unsigned count = 32 + ftli_random_below(random, 33), next = 0;
    double level = exp(between(random, 5, 25)), noise = between(random, 0.02, 0.08),
           wave = ftli_random_below(random, 3);
    double period = between(random, 5, count / 2.5), phase = ftli_random_unit(random),
           swing = between(random, 0.4, 1.5);
    double grows = between(random, 0.6, 4), factor = between(random, 8, 200), teeth = between(random, 0.7, 1),
           height = 0;
    for (unsigned i = 0; i < count; i++) {
        double at = i / period + phase, part = at - floor(at), along = (double)i / (count - 1), value = level;
        if (kind == FTLI_PATTERN_REPEATING && wave == 0)
            value *= 1 + swing * 0.5 * sin(2 * M_PI * at);
        else if (kind == FTLI_PATTERN_REPEATING && wave == 1)
            value *= 1 + swing * (part < 0.5);
        else if (kind == FTLI_PATTERN_REPEATING)
            value *= 1 + swing * (part < 0.5 ? 2 * part : 2 - 2 * part);
        else if (kind == FTLI_PATTERN_GROWTH)
            value *= 1 + grows * along;
        else if (kind == FTLI_PATTERN_EXPONENTIAL)
            value *= pow(factor, along);
        else if (kind == FTLI_PATTERN_SAWTOOTH) { /* falls at about the period, not just at it */
            if (i >= next) {
                next = i + 5 + (unsigned)(period / 2 * between(random, 0.8, 1.2));
                height = 0;
            }
            height += 1 / (5 + period / 2);
            value *= 0.5 + teeth * 1.5 * height;
        }
        values[i] = value + level * noise * normal(random);
    }
    return count;
}

Test(pattern, each_kind_is_known_through_noise)
{
    unsigned table[FTLI_PATTERNS][FTLI_PATTERNS] = {{0}};
    double values[FTLI_PATTERN_POINTS_MOST], confidence, sure = 0, sure_right = 0;
    for (unsigned kind = FTLI_PATTERN_STABLE; kind < FTLI_PATTERNS; kind++)
        for (uint64_t seed = 1; seed <= SERIES; seed++) {
            ftli_random_state random;
            ftli_random_seed(&random, seed * FTLI_PATTERNS + kind);
            unsigned count = generate((enum ftli_pattern)kind, &random, values);
            enum ftli_pattern found = ftli_pattern_of(values, count, &confidence);
            table[kind][found]++;
            cr_assert(confidence >= 0 && confidence <= 1);
            sure += confidence >= 0.9;
            sure_right += confidence >= 0.9 && found == kind;
        }
    printf("%-20s", "is / is taken for");
    for (unsigned found = 0; found < FTLI_PATTERNS; found++)
        printf("%20s", ftli_pattern_name((enum ftli_pattern)found));
    unsigned right = 0;
    for (unsigned kind = FTLI_PATTERN_STABLE; kind < FTLI_PATTERNS; kind++) {
        printf("\n%-20s", ftli_pattern_name((enum ftli_pattern)kind));
        for (unsigned found = 0; found < FTLI_PATTERNS; found++)
            printf("%20u", table[kind][found]);
        right += table[kind][kind];
    }
    printf("\n%.2f %% right; of the %.0f with a confidence of 0.9 or more %.2f %%\n",
           100.0 * right / (SERIES * (FTLI_PATTERNS - 1)), sure, 100 * sure_right / sure);
    for (unsigned kind = FTLI_PATTERN_STABLE; kind < FTLI_PATTERNS; kind++)
        cr_expect_geq(table[kind][kind], SERIES * 95 / 100, "%s", ftli_pattern_name((enum ftli_pattern)kind));
    cr_expect_geq(sure_right, 0.97 * sure, "a confidence means something");
}

Test(pattern, plain_cases)
{
    double values[80], confidence;
    for (unsigned i = 0; i < 80; i++)
        values[i] = 0;
    cr_expect_eq(ftli_pattern_of(values, 64, &confidence), FTLI_PATTERN_STABLE, "nothing at all");
    cr_expect_eq(ftli_pattern_of(values, FTLI_PATTERN_POINTS_LEAST - 1, &confidence), FTLI_PATTERN_UNKNOWN);
    cr_expect_eq(confidence, 0);
    for (unsigned i = 0; i < 80; i++)
        values[i] = 1000 + 10 * i;
    cr_expect_eq(ftli_pattern_of(values, 80, &confidence), FTLI_PATTERN_GROWTH, "the last 64 of more");
    cr_expect_gt(confidence, 0.9);
    for (unsigned i = 0; i < 80; i++)
        values[i] = 10000 - 100 * i;
    cr_expect_eq(ftli_pattern_of(values, 64, &confidence), FTLI_PATTERN_UNKNOWN, "it falls");
    for (unsigned i = 0; i < 80; i++)
        values[i] = i % 8 * 1e6;
    cr_expect_eq(ftli_pattern_of(values, 64, &confidence), FTLI_PATTERN_SAWTOOTH);
    for (unsigned i = 0; i < 80; i++)
        values[i] = 1e9 * (1 + (i % 10 < 5));
    cr_expect_eq(ftli_pattern_of(values, 64, &confidence), FTLI_PATTERN_REPEATING);
}

Test(timeline, keeps_a_long_time_in_64_points)
{
    static struct ftli_timeline timeline;
    double out[FTLI_TIMELINE_POINTS];
    cr_expect_eq(ftli_timeline_read(&timeline, out), 0);
    for (uint64_t ms = 0; ms < 1000000; ms += 100)
        ftli_timeline_add(&timeline, 5000 + ms, ms);
    unsigned count = ftli_timeline_read(&timeline, out);
    cr_expect(count >= 32 && count <= FTLI_TIMELINE_POINTS, "%u", count);
    cr_expect_eq(timeline.from_ms, 5000);
    for (unsigned i = 0; i < count; i++) {
        double from = (double)(i * timeline.interval_ms), to = from + (double)timeline.interval_ms;
        cr_expect(out[i] >= from && out[i] < to, "point %u of %g is not of its interval", i, out[i]);
    }
    double confidence;
    cr_expect_eq(ftli_pattern_of(out, count, &confidence), FTLI_PATTERN_GROWTH);
    ftli_timeline_add(&timeline, UINT64_C(1) << 40,
                      7); /* after a long pause, as if it had been looked at all the time */
    count = ftli_timeline_read(&timeline, out);
    cr_expect(count >= 32 && out[count - 1] == 7 && out[count - 2] >= 400000);
    ftli_timeline_add(&timeline, 0, 8);
    cr_expect_eq(ftli_timeline_read(&timeline, out), count, "time that goes back changes no length");
}
