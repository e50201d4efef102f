#include "tools/latency.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

Test(latency, empty_is_zero)
{
    struct ftli_latency latency = {0};
    struct ftli_latency_summary summary = ftli_latency_summarise(&latency);
    cr_assert(summary.count == 0 && summary.p50_ns == 0 && summary.p999_ns == 0 && summary.max_ns == 0);
}

Test(latency, small_ones_are_exact)
{
    struct ftli_latency latency = {0};
    for (uint64_t i = 1; i <= 63; i++) {
        ftli_latency_add(&latency, i);
    }
    cr_assert_eq(ftli_latency_percentile(&latency, 0.5), 32);
    cr_assert_eq(ftli_latency_percentile(&latency, 1.0), 63);
    cr_assert_eq(latency.max_ns, 63);
}

/* Every percentile of any set is within 3 % of the sorted set's. */
Test(latency, near_the_sorted_set)
{
    enum { COUNT = 20000 };
    uint64_t *all = malloc(COUNT * sizeof *all), state = 42;
    struct ftli_latency *latency = calloc(1, sizeof *latency);
    for (int i = 0; i < COUNT; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        all[i] = (state >> 20) >> (state % 40);
        ftli_latency_add(latency, all[i]);
    }
    qsort(all, COUNT, sizeof *all, compare);
    static const double shares[] = {0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        double exact = (double)all[(size_t)(shares[i] * COUNT + 0.5) - 1];
        double told = (double)ftli_latency_percentile(latency, shares[i]);
        cr_assert(told >= exact * 0.97 - 1 && told <= exact * 1.03 + 1, "p%g: %g, exactly %g", shares[i] * 100, told,
                  exact);
    }
    free(latency);
    free(all);
}

Test(latency, merged_is_the_sum)
{
    struct ftli_latency a = {0}, b = {0};
    ftli_latency_add(&a, 10);
    ftli_latency_add(&b, UINT64_MAX);
    ftli_latency_add(&b, 20);
    ftli_latency_merge(&a, &b);
    cr_assert_eq(a.count, 3);
    cr_assert_eq(a.max_ns, UINT64_MAX);
    cr_assert_eq(ftli_latency_percentile(&a, 0.5), 20);
    cr_assert_geq(ftli_latency_percentile(&a, 1.0), UINT64_MAX / 100 * 97);
}
