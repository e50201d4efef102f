#include "runtime/supervise/policy.h"

#include <fettle/fettle.h>

#include "runtime/base/clock.h"

ftli_policy ftli_policy_default(void)
{
    return (ftli_policy){
        .restarts = 1,
        .within_ns = 5 * FTLI_NS_PER_S,
        .backoff = {.first_ns = FTLI_NS_PER_MS, .most_ns = FTLI_NS_PER_S, .factor = 2},
        .retries = 3,
    };
}

bool ftli_policy_is_valid(const ftli_policy *policy)
{
    const ftli_backoff *b = &policy->backoff;
    /* The comparison of the factor is also false for what is not a number. */
    return policy->within_ns > 0 && policy->restarts <= FTLI_RESTARTS_MOST && b->factor >= 1 && b->factor <= 1000 &&
           b->first_ns > 0 && b->first_ns <= b->most_ns;
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
