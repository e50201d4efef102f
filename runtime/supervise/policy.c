#include "runtime/supervise/policy.h"

#include <string.h>

#include <fettle/fettle.h>

#include "runtime/base/clock.h"

ftli_policy ftli_policy_default(void)
{
    return (ftli_policy){
        .strategy = FTLI_RESTART_ONE_FOR_ONE,
        .restarts = 1,
        .within_ns = 5 * FTLI_NS_PER_S,
        .backoff = {.first_ns = FTLI_NS_PER_MS, .most_ns = FTLI_NS_PER_S, .factor = 2},
        .retries = 3,
        .breaker = {.failures = 5, .within_ns = 30 * FTLI_NS_PER_S, .open_ns = 5 * FTLI_NS_PER_S},
        .recovery =
            {
                [FTLI_CLASS_TRANSIENT] = {2, {FTLI_STEP_RETRY, FTLI_STEP_RESTART}},
                [FTLI_CLASS_RESOURCE] = {3, {FTLI_STEP_DEGRADE, FTLI_STEP_RETRY, FTLI_STEP_ESCALATE}},
                [FTLI_CLASS_CONFIGURATION] = {1, {FTLI_STEP_ESCALATE}},
                [FTLI_CLASS_CORRUPTION] = {2, {FTLI_STEP_QUARANTINE, FTLI_STEP_ESCALATE}},
                [FTLI_CLASS_FATAL] = {2, {FTLI_STEP_RESTART, FTLI_STEP_ESCALATE}},
            },
    };
}

static bool recovery_is_valid(const ftli_recovery *recovery)
{
    bool valid = recovery->count >= 1 && recovery->count <= FTLI_STEPS;
    for (uint32_t i = 0; valid && i < recovery->count; i++)
        valid = recovery->steps[i] < FTLI_STEPS;
    return valid;
}

bool ftli_policy_is_valid(const ftli_policy *policy)
{
    const ftli_backoff *b = &policy->backoff;
    bool valid = true;
    for (uint32_t class = 0; class < FTLI_FAILURE_CLASSES; class ++)
        valid = valid && recovery_is_valid(&policy->recovery[class]);
    /* The comparison of the factor is also false for what is not a number. */
    return valid && policy->strategy <= FTLI_RESTART_REST_FOR_ONE && policy->within_ns > 0 &&
           policy->restarts <= FTLI_RESTARTS_MOST && b->factor >= 1 && b->factor <= 1000 && b->first_ns > 0 &&
           b->first_ns <= b->most_ns && policy->breaker.failures >= 1 &&
           policy->breaker.failures <= FTLI_BREAKER_FAILURES_MOST && policy->breaker.within_ns > 0 &&
           policy->breaker.open_ns > 0;
}

uint32_t ftli_policy_class(int status)
{
    switch (status) {
    case FTL_EBUSY:
    case FTL_ETIMEDOUT:
        return FTLI_CLASS_TRANSIENT;
    case FTL_ENOMEM:
    case FTL_ELIMIT:
        return FTLI_CLASS_RESOURCE;
    case FTL_ECONFIG:
        return FTLI_CLASS_CONFIGURATION;
    case FTLI_STATUS_CORRUPT:
        return FTLI_CLASS_CORRUPTION;
    default:
        return FTLI_CLASS_FATAL;
    }
}

uint64_t ftli_backoff_delay_ns(const ftli_backoff *backoff, uint32_t attempt)
{
    double delay_ns = (double)backoff->first_ns;
    const double most_ns = (double)backoff->most_ns;
    for (uint32_t i = 0; i < attempt && delay_ns < most_ns && backoff->factor > 1; i++)
        delay_ns *= backoff->factor;
    return delay_ns < most_ns ? (uint64_t)delay_ns : backoff->most_ns;
}

/* ---- which step ------------------------------------------------------------------------------------------------------ */

/* One more would be more than policy.restarts within policy.within_ns, if the oldest of the last so many is too young. */
static bool may_restart(const ftli_policy *policy, const ftli_intensity *intensity, uint64_t now_ns)
{
    const uint32_t most = policy->restarts;
    if (most == 0 || intensity->restarts < most)
        return most != 0;
    return now_ns - intensity->restart_ns[intensity->restarts % most] >= policy->within_ns;
}

/* Whether the step at the head of the list may be taken once more. */
static bool is_left(const ftli_policy *policy, const ftli_intensity *intensity, uint32_t step, uint32_t tries,
                    bool restartable, uint64_t now_ns)
{
    switch (step) {
    case FTLI_STEP_RETRY:
        return tries < policy->retries;
    case FTLI_STEP_DEGRADE:
        return tries == 0;
    case FTLI_STEP_RESTART:
        return restartable && may_restart(policy, intensity, now_ns);
    case FTLI_STEP_QUARANTINE:
        return restartable && tries == 0 && may_restart(policy, intensity, now_ns);
    default:
        return true;
    }
}

static uint32_t next_step(const ftli_policy *policy, const ftli_intensity *intensity, ftli_memory *m, bool restartable,
                          uint32_t class, uint64_t now_ns)
{
    const ftli_recovery *recovery = &policy->recovery[class];
    const bool passes = class == FTLI_CLASS_TRANSIENT || class == FTLI_CLASS_RESOURCE;
    uint32_t step = FTLI_STEP_ESCALATE;
    for (; m->position[class] < recovery->count; m->position[class]++, m->tries[class] = 0) {
        step = recovery->steps[m->position[class]];
        if (is_left(policy, intensity, step, m->tries[class], restartable, now_ns))
            break;
        step = FTLI_STEP_ESCALATE;
    }
    /* What passes is no reason to do without an actor that nothing can replace. */
    return step == FTLI_STEP_ESCALATE && passes && !restartable ? FTLI_STEP_RETRY : step;
}

static void note_restart(const ftli_policy *policy, ftli_intensity *intensity, ftli_memory *m, uint32_t step,
                         uint64_t now_ns)
{
    intensity->restart_ns[intensity->restarts++ % policy->restarts] = now_ns;
    if (step != FTLI_STEP_RESTART)
        return;
    memset(m->position, 0, sizeof m->position); /* a new state may try again */
    memset(m->tries, 0, sizeof m->tries);
}

/* ---- the breaker --------------------------------------------------------------------------------------------------------- */

/* A recovery failed. Whether the breaker opens. */
static bool opens(const ftli_policy *policy, ftli_memory *m, uint64_t now_ns)
{
    const uint32_t most = policy->breaker.failures;
    const uint64_t oldest_ns = m->failed_ns[(m->failures + 1) % most]; /* of the last `most`, this one among them */
    m->failed_ns[m->failures++ % most] = now_ns;
    return m->open || (m->failures >= most && (most == 1 || now_ns - oldest_ns < policy->breaker.within_ns));
}

ftli_verdict ftli_policy_decide(const ftli_policy *policy, ftli_intensity *intensity, ftli_memory *m, bool restartable,
                                uint32_t class, uint64_t now_ns)
{
    const bool was_failing = m->failing;
    ftli_verdict verdict = {.step = next_step(policy, intensity, m, restartable, class, now_ns)};
    m->failing = true;
    if (verdict.step == FTLI_STEP_ESCALATE)
        return verdict;
    m->tries[class]++;
    if (verdict.step == FTLI_STEP_RESTART || verdict.step == FTLI_STEP_QUARANTINE)
        note_restart(policy, intensity, m, verdict.step, now_ns);
    verdict.delay_ns = ftli_backoff_delay_ns(&policy->backoff, m->attempts++);
    if (was_failing && opens(policy, m, now_ns)) {
        verdict.opened = m->open = true;
        if (verdict.delay_ns < policy->breaker.open_ns)
            verdict.delay_ns = policy->breaker.open_ns;
        m->open_until_ns = now_ns + verdict.delay_ns;
    }
    return verdict;
}

void ftli_policy_succeeded(ftli_memory *m)
{
    m->failing = m->open = false;
    m->attempts = m->failures = 0;
    memset(m->position, 0, sizeof m->position);
    memset(m->tries, 0, sizeof m->tries);
}
