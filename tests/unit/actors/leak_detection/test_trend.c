/* Trends on generated series of known kinds: how often a leak is found, and how often what is none is taken for one. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>

#include "actors/leak_detection/trend.h"
#include "runtime/base/random.h"

enum {
    LOOKS = 4 /* in a block, at random moments */,
    LEAKS_FOR = 40,
    OTHERS_FOR = 160 /* blocks, of which a window has 32 */
};
#define ALARM 0.8

struct series {
    ftli_random_state random;
    double size;          /* of what the kind is about */
    double noise;         /* standard deviation of each look */
    double length, phase; /* in blocks; drawn at the beginning */
    double walked;
};

static double normal(struct series *s)
{
    double sum = -6;
    for (unsigned i = 0; i < 12; i++)
        sum += ftli_random_unit(&s->random);
    return sum;
}

static double poisson(struct series *s, double mean)
{
    if (mean > 30)
        return fmax(floor(mean + sqrt(mean) * normal(s) + 0.5), 0);
    double limit = exp(-mean), product = ftli_random_unit(&s->random), count = 0;
    for (; product > limit; count++)
        product *= ftli_random_unit(&s->random);
    return count;
}

static double between(struct series *s, double least, double most) /* evenly on a logarithmic scale */
{
    return least * exp(ftli_random_unit(&s->random) * log(most / least));
}

/* Each gives the value at a time in blocks; `step` is the time since the look before. 1000 is the size of what is there. */
typedef double (*kind_fn)(struct series *, double time, double step);

static double linear(struct series *s, double time, double step)
{
    (void)step;
    return 1000 + s->size * time / FTLI_TREND_POINTS;
}

static double by_chance(struct series *s, double time, double step) /* so many a block of time, at random */
{
    (void)time;
    return s->walked += poisson(s, s->size / FTLI_TREND_POINTS * step);
}

static double exponential(struct series *s, double time, double step)
{
    (void)step;
    return 1000 * exp(s->size * time / FTLI_TREND_POINTS);
}

static double saturating(struct series *s, double time, double step)
{
    (void)step;
    s->length = s->length != 0 ? s->length : between(s, 0.5, 16);
    return 1000 * (1 - exp(-time / s->length));
}

static double filling_by_chance(struct series *s, double time, double step)
{
    s->length = s->length != 0 ? s->length : between(s, 0.5, 16);
    return s->walked += poisson(s, 1000 / s->length * exp(-time / s->length) * step);
}

static double filled_once(struct series *s, double time, double step)
{
    (void)step;
    s->length = s->length != 0 ? s->length : between(s, 0.5, 16);
    return 1000 * fmin(time / s->length, 1);
}

static double filled_in_a_window(struct series *s, double time, double step)
{
    (void)step;
    s->length = s->length != 0 ? s->length : between(s, 16, 27); /* it is over before six judgements agree */
    return 1000 * fmin(time / s->length, 1);
}

static double in_steps(struct series *s, double time, double step)
{
    (void)time;
    if (ftli_random_unit(&s->random) < step / 30)
        s->walked =
            fmax(s->walked + 1000 * ftli_random_unit(&s->random) * (ftli_random_unit(&s->random) < 0.6 ? 1 : -1), 0);
    return 1000 + s->walked;
}

static double sawtooth(struct series *s, double time, double step)
{
    (void)step;
    if (s->length == 0) {
        s->length = between(s, 0.3, 24);
        s->phase = ftli_random_unit(&s->random) * s->length;
    }
    return 1000 * fmod(time + s->phase, s->length) / s->length;
}

static double periodic(struct series *s, double time, double step)
{
    (void)step;
    if (s->length == 0) {
        s->length = between(s, 0.3, 40);
        s->phase = ftli_random_unit(&s->random) * 6.28;
    }
    return 1000 + 500 * sin(6.283185307179586 * time / s->length + s->phase);
}

static double around_a_level(struct series *s, double time, double step) /* Ornstein and Uhlenbeck's */
{
    (void)time;
    s->length = s->length != 0 ? s->length : between(s, 0.3, 8);
    double kept = exp(-step / s->length);
    s->walked = s->walked * kept + sqrt(1 - kept * kept) * normal(s);
    return 1000 + 100 * s->walked;
}

static double long_lived(struct series *s, double time,
                         double step) /* born at one rate, dying at another: in balance */
{
    s->length = s->length != 0 ? s->length : between(s, 0.2, 8);
    s->walked = time < 1 ? 1000 : s->walked;
    s->walked += poisson(s, 1000 * step / s->length) - poisson(s, s->walked * step / s->length);
    return s->walked;
}

static double one_burst(struct series *s, double time, double step)
{
    (void)step;
    if (s->length == 0) {
        s->length = between(s, 1, 32);
        s->phase = 100 * ftli_random_unit(&s->random);
    }
    double x = (time - s->phase) / s->length;
    return 1000 + (x > 0 && x < 1 ? 1000 * sin(3.141592653589793 * x) : 0);
}

static double level(struct series *s, double time, double step)
{
    (void)s, (void)time, (void)step;
    return 1000;
}

static double walk_at_random(struct series *s, double time, double step)
{
    (void)time;
    s->walked += sqrt(step) * normal(s);
    return 1000 + 100 * s->walked;
}

/* True: an alarm at some block before `until`. */
static bool alarms(kind_fn kind, double size, double noise, uint64_t seed, unsigned until)
{
    struct series s = {.size = size, .noise = noise};
    struct ftli_trend trend = {0};
    struct ftli_trend_clock clock = {0};
    double before = 0;
    ftli_random_seed(&s.random, seed);
    for (unsigned block = 0; block < until; block++, clock.blocks++) {
        double floor = INFINITY;
        for (unsigned look = 0; look < LOOKS; look++) {
            double time = block + (look + ftli_random_unit(&s.random)) / LOOKS;
            double seen = kind(&s, time, time - before) + (s.noise != 0 ? s.noise * normal(&s) : 0);
            floor = fmin(floor, fmax(seen, 0));
            before = time;
        }
        ftli_trend_add(&trend, &clock, floor);
        unsigned levels = ftli_trend_levels_new(&clock);
        for (unsigned k = 0; k < levels; k++) {
            struct ftli_trend_verdict verdict;
            if (ftli_trend_follow(&trend, &clock, k, &verdict) && verdict.probability >= ALARM)
                return true;
        }
    }
    return false;
}

static unsigned count(const char *name, kind_fn kind, double size, double noise, unsigned seeds, unsigned until)
{
    unsigned n = 0;
    for (unsigned seed = 1; seed <= seeds; seed++)
        n += alarms(kind, size, noise, seed * UINT64_C(7919) + until, until);
    cr_log_info("%-44s %4u of %4u %6.2f %%", name, n, seeds, 100.0 * n / seeds);
    return n;
}

/* Stated: in one window a leak is found that adds 40 times the noise of a look in three quarters of it, or 300 things by chance, in
 * six windows one of 3 times the noise, or of 30 things. */
Test(trend, leaks_are_found)
{
    enum { SEEDS = 60 };
    static const struct {
        const char *name;
        kind_fn kind;
        double size, noise;
        unsigned until;
    } kinds[] = {
        {"linear, no noise, 1 window", linear, 100, 0, 32},
        {"linear, 100 x noise, 1 window", linear, 1000, 10, 32},
        {"linear, 40 x noise, 1 window", linear, 400, 10, 32},
        {"linear, 20 x noise, 2 windows", linear, 200, 10, 64},
        {"linear, 6 x noise, 3 windows", linear, 60, 10, 96},
        {"linear, 3 x noise, 6 windows", linear, 30, 10, 192},
        {"one a second by chance, 1 window", by_chance, 450, 0, 32},
        {"300 a window by chance, 1 window", by_chance, 300, 0, 32},
        {"30 a window by chance, 6 windows", by_chance, 30, 0, 192},
        {"exponential, e in a window, 1 window", exponential, 1, 10, 32},
        {"exponential, e in 3 windows, 2 windows", exponential, 0.3, 10, 64},
    };
    unsigned found = 0, kinds_count = sizeof kinds / sizeof kinds[0];
    for (unsigned i = 0; i < kinds_count; i++) {
        unsigned n = count(kinds[i].name, kinds[i].kind, kinds[i].size, kinds[i].noise, SEEDS, kinds[i].until);
        cr_expect_geq(n, SEEDS * 97 / 100, "%s: %u", kinds[i].name, n);
        found += n;
    }
    cr_expect_geq(100 * found, 99 * SEEDS * kinds_count, "recall: %u of %u", found, SEEDS * kinds_count);
}

Test(trend, what_is_no_leak_is_not)
{
    enum { SEEDS = 80 };
    static const struct {
        const char *name;
        kind_fn kind;
        double noise;
    } kinds[] = {
        {"warm-up that saturates", saturating, 0},
        {"warm-up that saturates, noise 1 %", saturating, 10},
        {"warm-up that saturates, noise 10 %", saturating, 100},
        {"warm-up by chance", filling_by_chance, 0},
        {"pool filled once", filled_once, 0},
        {"pool filled once, noise 1 %", filled_once, 10},
        {"pool filled in most of a window", filled_in_a_window, 0},
        {"steps up and down", in_steps, 0},
        {"steps up and down, noise 1 %", in_steps, 10},
        {"sawtooth", sawtooth, 0},
        {"sawtooth, noise 1 %", sawtooth, 10},
        {"periodic", periodic, 0},
        {"periodic, noise 1 %", periodic, 10},
        {"walk around a level", around_a_level, 0},
        {"long lives in balance", long_lived, 0},
        {"one burst, noise 1 %", one_burst, 10},
        {"a level with noise", level, 100},
    };
    unsigned wrong = 0, kinds_count = sizeof kinds / sizeof kinds[0];
    for (unsigned i = 0; i < kinds_count; i++) {
        unsigned n = count(kinds[i].name, kinds[i].kind, 0, kinds[i].noise, SEEDS, OTHERS_FOR);
        cr_expect_leq(n, 3, "%s: %u", kinds[i].name, n);
        wrong += n;
    }
    cr_log_info("false alarms: %u of %u, each watched for five windows", wrong, SEEDS * kinds_count);
    cr_expect_lt(100 * wrong, SEEDS * kinds_count, "false alarms: %u of %u", wrong, SEEDS * kinds_count);
    (void)count("a walk at random without a level", walk_at_random, 0, 0, SEEDS, OTHERS_FOR); /* no promise */
}

Test(trend, the_steps)
{
    const double line[] = {1, 3, 5, 7, 9, 11}, odd[] = {1, 3, 500, 7, 9, 11}, flat[] = {4, 4, 4, 4};
    cr_expect_float_eq(ftli_trend_slope(line, 6), 2, 1e-12);
    cr_expect_float_eq(ftli_trend_slope(odd, 6), 2, 0.5, "one that lies does not move it");
    /* S = 15, variance 6 x 5 x 17 / 18; corrected for bias r1 is 0.17 at least */
    cr_expect_float_eq(ftli_trend_mann_kendall(line, 6), 0.5 * erfc(14 / sqrt(6 * 5 * 17 / 18.0) / sqrt(2)), 1e-9);
    cr_expect_float_eq(ftli_trend_mann_kendall(flat, 4), 1, 0);
    cr_expect_float_eq(ftli_trend_signed_ranks(line, 6), 1.0 / 32, 0, "all five increments rise");
    /* 2, 497, -493, 2, 2: those of 2 share rank 2, so W = 11; mean 7.5, variance 13.75 */
    cr_expect_float_eq(ftli_trend_signed_ranks(odd, 6), 0.5 * erfc(3 / sqrt(13.75) / sqrt(2)), 1e-9);
    cr_expect_float_eq(ftli_trend_signed_ranks(flat, 4), 1, 0);
    cr_expect_float_eq(ftli_trend_probability(0.5), 0, 0);
    cr_expect_float_eq(ftli_trend_probability(0), 0.99, 1e-12);
    cr_expect_float_eq(ftli_trend_probability(4.4e-5), 0.8, 0.01);
    cr_expect_lt(ftli_trend_probability(1e-3), 0.3);
}

Test(trend, floors_of_later_levels_are_the_least_of_four)
{
    struct ftli_trend trend = {0};
    struct ftli_trend_clock clock = {0};
    static const double values[] = {5, 3, 9, 7};
    for (unsigned i = 0; i < 16; i++, clock.blocks++) {
        ftli_trend_add(&trend, &clock, values[i % 4] + 10 * (i / 4));
        cr_expect_eq(ftli_trend_levels_new(&clock), i == 15 ? 3 : i % 4 == 3 ? 2 : 1);
        cr_expect_float_eq(ftli_trend_newest(&trend, &clock), values[i % 4] + 10 * (i / 4), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        cr_expect_float_eq(trend.floors[1][i], 3 + 10 * i, 0);
    cr_expect_float_eq(trend.floors[2][0], 3, 0);
}
