#include <criterion/criterion.h>

#include <math.h>

#include <fettle/fettle.h>

#include "runtime/base/clock.h"
#include "runtime/supervise/policy.h"

Test(policy, the_default_is_that_of_the_topology)
{
    const ftli_policy policy = ftli_policy_default();
    cr_expect(ftli_policy_is_valid(&policy));
    cr_expect_eq(policy.restarts, 1);
    cr_expect_eq(policy.within_ns, 5 * FTLI_NS_PER_S);
    cr_expect_eq(policy.backoff.first_ns, FTLI_NS_PER_MS);
    cr_expect_eq(policy.backoff.most_ns, FTLI_NS_PER_S);
}

Test(policy, what_makes_no_sense_is_not_valid)
{
    ftli_policy policy = ftli_policy_default();
    policy.within_ns = 0;
    cr_expect_not(ftli_policy_is_valid(&policy));
    policy = ftli_policy_default();
    policy.restarts = FTLI_RESTARTS_MOST + 1;
    cr_expect_not(ftli_policy_is_valid(&policy));
    policy = ftli_policy_default();
    policy.backoff.factor = 0.5;
    cr_expect_not(ftli_policy_is_valid(&policy));
    policy.backoff.factor = (double)NAN;
    cr_expect_not(ftli_policy_is_valid(&policy));
    policy = ftli_policy_default();
    policy.backoff.first_ns = 0;
    cr_expect_not(ftli_policy_is_valid(&policy));
    policy = ftli_policy_default();
    policy.backoff.first_ns = policy.backoff.most_ns + 1;
    cr_expect_not(ftli_policy_is_valid(&policy));
    policy = ftli_policy_default();
    policy.strategy = FTLI_RESTART_REST_FOR_ONE + 1;
    cr_expect_not(ftli_policy_is_valid(&policy));
    policy = ftli_policy_default();
    policy.breaker.failures = 0;
    cr_expect_not(ftli_policy_is_valid(&policy));
    policy.breaker.failures = FTLI_BREAKER_FAILURES_MOST + 1;
    cr_expect_not(ftli_policy_is_valid(&policy));
    policy = ftli_policy_default();
    policy.recovery[FTLI_CLASS_FATAL].count = 0;
    cr_expect_not(ftli_policy_is_valid(&policy));
    policy = ftli_policy_default();
    policy.recovery[FTLI_CLASS_FATAL].steps[0] = FTLI_STEPS;
    cr_expect_not(ftli_policy_is_valid(&policy));
}

Test(policy, every_status_has_a_class)
{
    cr_expect_eq(ftli_policy_class(FTL_EBUSY), FTLI_CLASS_TRANSIENT);
    cr_expect_eq(ftli_policy_class(FTL_ETIMEDOUT), FTLI_CLASS_TRANSIENT);
    cr_expect_eq(ftli_policy_class(FTL_ENOMEM), FTLI_CLASS_RESOURCE);
    cr_expect_eq(ftli_policy_class(FTL_ELIMIT), FTLI_CLASS_RESOURCE);
    cr_expect_eq(ftli_policy_class(FTL_ECONFIG), FTLI_CLASS_CONFIGURATION);
    cr_expect_eq(ftli_policy_class(FTL_EINTERNAL), FTLI_CLASS_FATAL);
    cr_expect_eq(ftli_policy_class(FTL_EINVAL), FTLI_CLASS_FATAL);
    cr_expect_eq(ftli_policy_class(FTLI_STATUS_CORRUPT), FTLI_CLASS_CORRUPTION);
    cr_expect_eq(ftli_policy_class(12345), FTLI_CLASS_FATAL);
}

Test(policy, backoff_grows_by_its_factor_up_to_its_most)
{
    const ftli_backoff backoff = {.first_ns = 1000, .most_ns = 10000, .factor = 3};
    cr_expect_eq(ftli_backoff_delay_ns(&backoff, 0), 1000);
    cr_expect_eq(ftli_backoff_delay_ns(&backoff, 1), 3000);
    cr_expect_eq(ftli_backoff_delay_ns(&backoff, 2), 9000);
    cr_expect_eq(ftli_backoff_delay_ns(&backoff, 3), 10000);
    cr_expect_eq(ftli_backoff_delay_ns(&backoff, UINT32_MAX), 10000);
    const ftli_backoff steady = {.first_ns = 1000, .most_ns = 10000, .factor = 1};
    cr_expect_eq(ftli_backoff_delay_ns(&steady, UINT32_MAX), 1000);
}
