/* Estimates from samples lie in their stated intervals as often as they should; and the test that says so sees a bias when there is one. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "actors/tracking/controller.h"
#include "actors/tracking/estimate.h"
#include "actors/tracking/sampling.h"

Test(estimate, of_few)
{
    struct ftli_estimate estimate = {0};
    cr_expect_eq(ftli_estimate_error(&estimate), 0);
    ftli_estimate_add(&estimate, 400, 3);
    cr_expect_float_eq(estimate.total, 30, 1e-12);
    cr_expect_float_eq(estimate.variance, 10 * 9 * 9, 1e-9);
    ftli_estimate_add(&estimate, 40, 5); /* of one that is always sampled nothing is unsure */
    cr_expect_float_eq(estimate.total, 35, 1e-12);
    cr_expect_float_eq(ftli_estimate_error(&estimate), sqrt(810), 1e-9);
    cr_expect_eq(estimate.sampled, 2);
    ftli_estimate_remove(&estimate, 400, 3);
    cr_expect_float_eq(estimate.total, 5, 1e-12);
    cr_expect_eq(ftli_estimate_error(&estimate), 0);
    cr_expect_eq(estimate.sampled, 1);
}

Test(estimate, the_root_is_one)
{
    for (double of = 1e-12; of < 1e30; of *= 3.7) {
        const struct ftli_estimate estimate = {.variance = of};
        cr_assert_float_eq(ftli_estimate_error(&estimate) / sqrt(of), 1, 1e-9, "%g", of);
    }
}

/* ---- the statistical test: many programs, each with seeds of its own */

enum { TRIALS = 500, TENSORS = 12000, SITES = 4, WINDOW = 40 };
#define EXPECTED 0.95
#define WITHIN   1.96 /* standard errors */

enum plant { NOTHING, WRONG_RATE, WEIGHT_OF_NOW, IN_STEP, FORGETS_DEATHS };

struct program {
    enum plant plant;
    bool changes; /* of rates */
    uint64_t random, draw;
    struct ftli_draws draws;
    uint32_t countdown;
    uint64_t seen_bytes;
    double rate;
    struct ftli_estimate count[SITES], bytes[SITES], live[SITES];
    double true_count[SITES], true_bytes[SITES], true_live[SITES];
};

static uint64_t next(struct program *program)
{
    program->random ^= program->random << 13;
    program->random ^= program->random >> 7;
    return program->random ^= program->random << 17;
}

static void use(struct program *program, double rate)
{
    struct ftli_rates rates;
    const uint32_t codes[FTLI_RATE_LOOK] = {ftli_weight_code(rate), 0, 0, 0, 0};
    memset(&rates, 0, sizeof rates);
    ftli_rates_publish(&rates, codes, UINT64_MAX);
    (void)ftli_rates_read(&rates, &program->draws);
    program->rate = rate;
    /* The planted port goes on with what it drew at the old rate, and says the new weight. */
    if (program->plant != WEIGHT_OF_NOW || program->countdown == 0)
        program->countdown = ftli_sampling_countdown(&program->draws, 0, &program->draw);
}

/* The rate follows what was sampled, as the controller's does: after each window up or down, by the bytes that it saw. */
static void adapt(struct program *program)
{
    double rate = (double)program->seen_bytes / WINDOW > 60 ? program->rate * 0.2 : program->rate * 3;
    program->seen_bytes = 0;
    use(program, rate < 0.05 ? 0.05 : rate > 0.5 ? 0.5 : rate);
}

static void sample(struct program *program, unsigned site, uint64_t bytes, bool dies)
{
    uint32_t code = program->draws.codes[0];
    if (program->plant == WRONG_RATE)
        code = code * 26 / 25; /* 4 % off */
    ftli_estimate_add(&program->count[site], code, 1);
    ftli_estimate_add(&program->bytes[site], code, (double)bytes);
    ftli_estimate_add(&program->live[site], code, (double)bytes);
    if (dies && (program->plant != FORGETS_DEATHS || next(program) % 8 != 0))
        ftli_estimate_remove(&program->live[site], code, (double)bytes);
    program->countdown = program->plant == IN_STEP ? 12 : ftli_sampling_countdown(&program->draws, 0, &program->draw);
    program->seen_bytes += bytes;
}

/* Sites take turns in a rhythm, with sizes of their own; one is rare; some tensors die. */
static void run(struct program *program)
{
    use(program, 0.1);
    for (unsigned i = 0; i < TENSORS; i++) {
        unsigned site = i % 12 < 6 ? 0 : i % 12 < 9 ? 1 : i % 12 < 11 ? 2 : 3;
        uint64_t bytes = 64 + next(program) % (500 << site);
        bool dies = next(program) % 3 == 0;
        program->true_count[site]++;
        program->true_bytes[site] += (double)bytes;
        program->true_live[site] += dies ? 0 : (double)bytes;
        if (--program->countdown == 0)
            sample(program, site, bytes, dies);
        if (program->changes && i % WINDOW == WINDOW - 1)
            adapt(program);
    }
}

struct verdict {
    unsigned inside, intervals;
    double z, z_squares; /* of differences in standard errors */
};

static void judge(struct verdict *verdict, const struct ftli_estimate *estimate, double truth)
{
    double error = ftli_estimate_error(estimate);
    double z = error > 0 ? (estimate->total - truth) / error : 9;
    verdict->inside += fabs(z) <= WITHIN;
    verdict->intervals++;
    verdict->z += z;
    verdict->z_squares += z * z;
}

/* Of what kind of sum: count, bytes or live bytes of one site over all trials. The intervals of trials are independent. Binomial: 500 of 0.95
 * have a standard deviation of 0.01. The z of a sum has a mean of 0, and its standard error over 500 trials is 0.045 (a little
 * skewed, since estimate and error belong together: 0.1 is allowed for that). */
static bool is_good(const char *what, unsigned site, const struct verdict *verdict)
{
    double inside = (double)verdict->inside / verdict->intervals, mean = verdict->z / verdict->intervals;
    bool good = inside > EXPECTED - 0.04 && inside < EXPECTED + 0.035 && fabs(mean) < 0.1 + 4 * 0.045;
    if (!good)
        printf("site %u, %s: %.3f of the intervals hold the truth, mean of z %.3f\n", site, what, inside, mean);
    return good;
}

/* True sums against estimated ones, over all trials. */
static bool holds(enum plant plant, bool changes)
{
    static struct program program;
    struct verdict verdicts[3][SITES];
    static const char *const names[3] = {"count", "bytes", "live bytes"};
    double ratio = 0;
    memset(verdicts, 0, sizeof verdicts);
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        memset(&program, 0, sizeof program);
        program.plant = plant;
        program.changes = changes;
        program.random = UINT64_C(0x9e3779b97f4a7c15) * (trial + 1);
        program.draw = UINT64_C(0xd1342543de82ef95) * (trial + 1);
        run(&program);
        double total = 0;
        for (unsigned site = 0; site < SITES; site++) {
            judge(&verdicts[0][site], &program.count[site], program.true_count[site]);
            judge(&verdicts[1][site], &program.bytes[site], program.true_bytes[site]);
            judge(&verdicts[2][site], &program.live[site], program.true_live[site]);
            total += program.count[site].total;
        }
        ratio += total / TENSORS / TRIALS;
    }
    /* Unbiased: the mean of 500 estimates is the truth within 4 of its own standard errors (each some 3 % of it: see the spread). */
    bool good = fabs(ratio - 1) < 4 * 0.04 / sqrt(TRIALS);
    if (!good)
        printf("the mean of the estimates is %.4f of the truth\n", ratio);
    for (unsigned what = 0; what < 3; what++)
        for (unsigned site = 0; site < SITES; site++)
            good &= is_good(names[what], site, &verdicts[what][site]);
    return good;
}

Test(estimate, lies_in_its_interval_as_often_as_it_should)
{
    cr_expect(holds(NOTHING, false));
}

Test(estimate, also_while_rates_follow_what_was_sampled)
{
    cr_expect(holds(NOTHING, true));
}

Test(estimate, a_planted_bias_is_seen)
{
    cr_expect_not(holds(WRONG_RATE, false), "weights of 4 %% too much");
    cr_expect_not(holds(WEIGHT_OF_NOW, true), "weights of another rate than the one that was drawn by");
    cr_expect_not(holds(IN_STEP, false), "samples in step with the program");
    cr_expect_not(holds(FORGETS_DEATHS, false), "deaths that are not subtracted");
}
