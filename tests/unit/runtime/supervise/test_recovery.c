/* What is done about a failure: tables of failures in a row, and random ones against a model. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include <fettle/fettle.h>

#include "runtime/base/clock.h"
#include "runtime/base/random.h"
#include "runtime/supervise/policy.h"

/* ---- tables: a letter a failure, an answer each --------------------------------------------------------------------- */

/* Failures: t transient, r resource, c configuration, k corruption, f fatal; '+' a success; '.' a second goes by.
 * Answers: R retry, D degrade, S restart, Q quarantine, E escalate; small where the breaker opens. */
struct row {
    const char *failures, *answers;
    bool restartable;
};

static uint32_t class_of(char letter)
{
    switch (letter) {
    case 't':
        return FTLI_CLASS_TRANSIENT;
    case 'r':
        return FTLI_CLASS_RESOURCE;
    case 'c':
        return FTLI_CLASS_CONFIGURATION;
    case 'k':
        return FTLI_CLASS_CORRUPTION;
    default:
        return FTLI_CLASS_FATAL;
    }
}

static void expect_rows(const ftli_policy *policy, const struct row *rows, size_t count)
{
    static const char answers[FTLI_STEPS + 1] = "RDSQE", opened[FTLI_STEPS + 1] = "rdsqe";
    cr_assert(ftli_policy_is_valid(policy));
    for (size_t i = 0; i < count; i++) {
        uint64_t ring[16] = {0}, now_ns = 1000 * FTLI_NS_PER_S;
        ftli_intensity intensity = {.restart_ns = ring};
        ftli_memory memory = {0};
        char got[64] = "";
        size_t n = 0;
        cr_assert_leq(policy->restarts, 16);
        for (const char *f = rows[i].failures; *f != '\0'; f++) {
            if (*f == '+') {
                ftli_policy_succeeded(&memory);
            } else if (*f == '.') {
                now_ns += FTLI_NS_PER_S;
            } else {
                const ftli_verdict verdict =
                    ftli_policy_decide(policy, &intensity, &memory, rows[i].restartable, class_of(*f), now_ns);
                got[n++] = verdict.opened ? opened[verdict.step] : answers[verdict.step];
            }
        }
        got[n] = '\0';
        cr_expect_str_eq(got, rows[i].answers, "%s: %s, expected %s", rows[i].failures, got, rows[i].answers);
    }
}

Test(recovery, the_steps_of_the_default_in_turn)
{
    static const struct row rows[] = {
        {"f", "S", true},
        {"ff", "SE", true},      /* 1 in 5 s */
        {"f+f", "SE", true},     /* a success does not make a restart undone */
        {"f....f", "SE", true},  /* 4 s later */
        {"f.....f", "SS", true}, /* 5 s later */
        {"f.....f.....f", "SSS", true},
        {"c", "E", true},
        {"k", "Q", true},
        {"kk", "QE", true},
        {"k.....k", "QE", true},  /* once: what comes next in the list is to escalate */
        {"k.....+k", "QQ", true}, /* but it had worked */
        {"kf", "QE", true},       /* a quarantine is a restart */
        {"r", "D", true},
        {"rrrr", "DRRR", true},
        {"rrrrr", "DRRRE", true},
        {"rr+rr", "DRDR", true},
        {"t", "R", true},
        {"ttt", "RRR", true},
        {"tttt", "RRRS", true},
        {"ttt+ttt", "RRRRRR", true},
        {"tttttt", "RRRSRr", true},     /* a new state may try again; five recoveries failed */
        {"tttttttt", "RRRSRrrE", true}, /* its restart would be the second within 5 s */
        {"tfr", "RSD", true},           /* each class has its own list */
        {"tftf", "RSRE", true},
        {"f", "E", false},
        {"k", "E", false},
        {"c", "E", false},
        {"tttttttt", "RRRRRrrr", false}, /* what passes is no reason to do without */
        {"rrrrrrrr", "DRRRRrrr", false},
    };
    const ftli_policy policy = ftli_policy_default();
    expect_rows(&policy, rows, sizeof rows / sizeof rows[0]);
}

Test(recovery, the_breaker_opens_tries_once_and_closes)
{
    ftli_policy policy = ftli_policy_default();
    policy.retries = 100;
    policy.breaker.failures = 3;
    static const struct row rows[] = {
        {"ttt", "RRR", true}, /* the first failure is no recovery that failed */
        {"tttt", "RRRr", true},
        {"ttttt", "RRRrr", true},        /* its one try failed: open again */
        {"tttt+tttt", "RRRrRRRr", true}, /* it closed */
    };
    expect_rows(&policy, rows, sizeof rows / sizeof rows[0]);
    uint64_t ring[1];
    ftli_intensity intensity = {.restart_ns = ring};
    ftli_memory memory = {0};
    ftli_verdict verdict = {0};
    for (unsigned i = 0; i < 4; i++)
        verdict = ftli_policy_decide(&policy, &intensity, &memory, true, FTLI_CLASS_TRANSIENT, 7);
    cr_expect(verdict.opened);
    cr_expect_eq(verdict.delay_ns, 5 * FTLI_NS_PER_S);
    cr_expect_eq(memory.open_until_ns, 7 + 5 * FTLI_NS_PER_S);
    policy.backoff.first_ns = policy.backoff.most_ns = 9 * FTLI_NS_PER_S;
    verdict = ftli_policy_decide(&policy, &intensity, &memory, true, FTLI_CLASS_TRANSIENT, 8);
    cr_expect(verdict.opened);
    cr_expect_eq(verdict.delay_ns, 9 * FTLI_NS_PER_S, "no sooner than the backoff says");
}

Test(recovery, old_failures_do_not_open_the_breaker)
{
    ftli_policy policy = ftli_policy_default();
    policy.retries = 100;
    policy.breaker.failures = 3;
    policy.breaker.within_ns = 10 * FTLI_NS_PER_S;
    static const struct row rows[] = {
        {"t.....t.....t.....t", "RRRR", true}, /* 10 s from the first that failed to the third */
        {"t.....t....t.....t", "RRRr", true},  /* 9 s */
        {"t.....t.....t.....t..t", "RRRRr", true},
    };
    expect_rows(&policy, rows, sizeof rows / sizeof rows[0]);
}

Test(recovery, any_list_is_taken_in_turn)
{
    ftli_policy policy = ftli_policy_default();
    policy.restarts = 2;
    policy.retries = 1;
    policy.breaker.failures = 64;
    policy.recovery[FTLI_CLASS_FATAL] =
        (ftli_recovery){4, {FTLI_STEP_RESTART, FTLI_STEP_RETRY, FTLI_STEP_DEGRADE, FTLI_STEP_ESCALATE}};
    policy.recovery[FTLI_CLASS_CONFIGURATION] = (ftli_recovery){1, {FTLI_STEP_RETRY}};
    static const struct row rows[] = {
        {"fffff", "SSRDE", true},
        {"fff", "RDE", false},
        {"cc", "RE", true}, /* the end of a list is to give up */
        {"c+c", "RR", true},
    };
    expect_rows(&policy, rows, sizeof rows / sizeof rows[0]);
    policy.restarts = 0;
    static const struct row none[] = {{"fff", "RDE", true}, {"k", "E", true}};
    expect_rows(&policy, none, sizeof none / sizeof none[0]);
}

/* ---- random failures against a model ------------------------------------------------------------------------------------ */

/* The model keeps every list written out, and all that ever happened with its time. */
enum { ACTORS = 4, EVENTS = 400, SEQUENCES = 300, WRITTEN_OUT = 64 };

struct model_actor {
    uint32_t left[FTLI_FAILURE_CLASSES][WRITTEN_OUT], count[FTLI_FAILURE_CLASSES];
    uint64_t failed_ns[EVENTS]; /* recoveries, since the last success */
    uint32_t failed, recoveries;
    bool failing, open;
};

struct model {
    const ftli_policy *policy;
    struct model_actor actors[ACTORS];
    uint64_t restart_ns[EVENTS * ACTORS];
    uint32_t restarts;
};

static void write_out(const struct model *model, struct model_actor *actor)
{
    for (uint32_t class = 0; class < FTLI_FAILURE_CLASSES; class ++) {
        const ftli_recovery *recovery = &model->policy->recovery[class];
        actor->count[class] = 0;
        for (uint32_t i = 0; i < recovery->count; i++)
            for (uint32_t n = recovery->steps[i] == FTLI_STEP_RETRY ? model->policy->retries : 1; n != 0; n--)
                actor->left[class][actor->count[class]++] = recovery->steps[i];
    }
}

static void cross_out(struct model_actor *actor, uint32_t class)
{
    actor->count[class]--;
    memmove(actor->left[class], actor->left[class] + 1, actor->count[class] * sizeof actor->left[class][0]);
}

static bool model_may_restart(const struct model *model, uint64_t now_ns)
{
    uint32_t recent = 0;
    for (uint32_t i = 0; i < model->restarts; i++)
        recent += now_ns - model->restart_ns[i] < model->policy->within_ns;
    return recent < model->policy->restarts;
}

static bool model_opens(const struct model *model, struct model_actor *actor, uint64_t now_ns)
{
    uint32_t recent = 0;
    actor->failed_ns[actor->failed++] = now_ns;
    for (uint32_t i = 0; i < actor->failed; i++)
        recent += now_ns - actor->failed_ns[i] < model->policy->breaker.within_ns;
    return actor->open || recent >= model->policy->breaker.failures;
}

static ftli_verdict model_decide(struct model *model, struct model_actor *actor, bool restartable, uint32_t class,
                                 uint64_t now_ns)
{
    ftli_verdict verdict = {.step = FTLI_STEP_ESCALATE};
    while (actor->count[class] != 0) {
        const uint32_t step = actor->left[class][0];
        const bool restarts = step == FTLI_STEP_RESTART || step == FTLI_STEP_QUARANTINE;
        if (restarts && (!restartable || !model_may_restart(model, now_ns))) {
            cross_out(actor, class);
            continue;
        }
        verdict.step = step;
        if (step != FTLI_STEP_RESTART && step != FTLI_STEP_ESCALATE)
            cross_out(actor, class);
        if (restarts)
            model->restart_ns[model->restarts++] = now_ns;
        if (step == FTLI_STEP_RESTART)
            write_out(model, actor);
        break;
    }
    if (verdict.step == FTLI_STEP_ESCALATE && class <= FTLI_CLASS_RESOURCE && !restartable)
        verdict.step = FTLI_STEP_RETRY;
    if (verdict.step != FTLI_STEP_ESCALATE) {
        verdict.delay_ns = ftli_backoff_delay_ns(&model->policy->backoff, actor->recoveries++);
        if (actor->failing && model_opens(model, actor, now_ns)) {
            verdict.opened = actor->open = true;
            if (verdict.delay_ns < model->policy->breaker.open_ns)
                verdict.delay_ns = model->policy->breaker.open_ns;
        }
    }
    actor->failing = true;
    return verdict;
}

static void model_succeeded(const struct model *model, struct model_actor *actor)
{
    actor->failing = actor->open = false;
    actor->failed = actor->recoveries = 0;
    write_out(model, actor);
}

static ftli_policy any_policy(ftli_random_state *random)
{
    ftli_policy policy = ftli_policy_default();
    policy.restarts = ftli_random_below(random, 5);
    policy.within_ns = 1 + ftli_random_below(random, 1000);
    policy.retries = 1 + ftli_random_below(random, 4);
    policy.backoff.first_ns = 1 + ftli_random_below(random, 100);
    policy.backoff.most_ns = policy.backoff.first_ns + ftli_random_below(random, 1000);
    policy.backoff.factor = 1 + ftli_random_below(random, 3);
    policy.breaker.failures = 1 + ftli_random_below(random, 8);
    policy.breaker.within_ns = 1 + ftli_random_below(random, 1000);
    policy.breaker.open_ns = 1 + ftli_random_below(random, 1000);
    for (uint32_t class = 0; class < FTLI_FAILURE_CLASSES; class ++) {
        ftli_recovery *recovery = &policy.recovery[class];
        uint32_t left = (1u << FTLI_STEPS) - 1;
        recovery->count = 1 + ftli_random_below(random, FTLI_STEPS);
        for (uint32_t i = 0; i < recovery->count; i++) {
            uint32_t step = ftli_random_below(random, FTLI_STEPS);
            while ((left >> step & 1) == 0)
                step = (step + 1) % FTLI_STEPS;
            left &= ~(1u << step);
            recovery->steps[i] = (uint8_t)step;
        }
    }
    return policy;
}

Test(recovery, random_failures_are_answered_as_by_the_model)
{
    static struct model model;
    uint64_t steps[FTLI_STEPS] = {0}, opened = 0;
    for (uint64_t seed = 1; seed <= SEQUENCES; seed++) {
        ftli_random_state random;
        ftli_random_seed(&random, seed);
        const ftli_policy policy = any_policy(&random);
        uint64_t ring[8], now_ns = 5;
        ftli_intensity intensity = {.restart_ns = ring};
        ftli_memory memories[ACTORS];
        memset(memories, 0, sizeof memories);
        memset(&model, 0, sizeof model);
        model.policy = &policy;
        for (unsigned i = 0; i < ACTORS; i++)
            write_out(&model, &model.actors[i]);
        cr_assert(ftli_policy_is_valid(&policy));
        for (unsigned event = 0; event < EVENTS; event++) {
            const unsigned i = ftli_random_below(&random, ACTORS);
            now_ns += ftli_random_below(&random, 2) * ftli_random_below(&random, 200);
            if (ftli_random_below(&random, 6) == 0) {
                ftli_policy_succeeded(&memories[i]);
                model_succeeded(&model, &model.actors[i]);
                continue;
            }
            const uint32_t class = ftli_random_below(&random, FTLI_FAILURE_CLASSES);
            const bool restartable = i != 0;
            const ftli_verdict expected = model_decide(&model, &model.actors[i], restartable, class, now_ns);
            const ftli_verdict got = ftli_policy_decide(&policy, &intensity, &memories[i], restartable, class, now_ns);
            cr_assert(got.step == expected.step && got.opened == expected.opened && got.delay_ns == expected.delay_ns,
                      "seed %llu, event %u, class %u: step %u opened %d after %llu, the model: %u, %d, %llu",
                      (unsigned long long)seed, event, class, got.step, got.opened, (unsigned long long)got.delay_ns,
                      expected.step, expected.opened, (unsigned long long)expected.delay_ns);
            steps[got.step]++;
            opened += got.opened;
        }
    }
    for (unsigned step = 0; step < FTLI_STEPS; step++)
        cr_expect_gt(steps[step], SEQUENCES, "step %u was taken %llu times", step, (unsigned long long)steps[step]);
    cr_expect_gt(opened, SEQUENCES);
}
