#include <criterion/criterion.h>

#include <stdlib.h>

#include "runtime/base/histogram.h"
#include "runtime/base/random.h"

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

Test(histogram, an_empty_one_answers_zero)
{
    ftli_histogram_snapshot s = {.total = 0};
    cr_expect_eq(ftli_histogram_quantile(&s, 0.5), 0);
}

Test(histogram, small_values_are_exact)
{
    static ftli_histogram h;
    static ftli_histogram_snapshot s;
    for (uint64_t v = 0; v < 16; v++)
        ftli_histogram_record(&h, v);
    ftli_histogram_collect(&h, &s);
    cr_expect_eq(s.total, 16);
    cr_expect_eq(s.sum_ns, 120);
    for (unsigned v = 0; v < 16; v++)
        cr_expect_eq(ftli_histogram_quantile(&s, v / 16.0), v);
}

Test(histogram, every_value_lies_in_its_bucket_within_a_sixteenth)
{
    ftli_random_state r;
    ftli_random_seed(&r, 7);
    for (int i = 0; i < 20000; i++) {
        const uint64_t v = ftli_random_next(&r) >> (21 + ftli_random_below(&r, 43));
        ftli_histogram h = {.counts = {{0}}};
        ftli_histogram_snapshot s = {.total = 0};
        ftli_histogram_record(&h, v);
        ftli_histogram_record(&h, UINT64_MAX >> 20); /* so that the greatest does not hide the edge */
        ftli_histogram_collect(&h, &s);
        const uint64_t edge = ftli_histogram_quantile(&s, 0);
        cr_assert_geq(edge, v);
        cr_assert_leq(edge - v, v / 16, "%lu for %lu", (unsigned long)edge, (unsigned long)v);
    }
}

Test(histogram, quantiles_are_near_those_of_the_sorted_values)
{
    enum { N = 10000 };
    static ftli_histogram h[2];
    static ftli_histogram_snapshot one, both;
    static uint64_t values[N];
    ftli_random_state r;
    ftli_random_seed(&r, 3);
    for (int i = 0; i < N; i++) {
        values[i] = 50 + (ftli_random_next(&r) >> (30 + ftli_random_below(&r, 20)));
        ftli_histogram_record(&h[i & 1], values[i]);
    }
    ftli_histogram_collect(&h[0], &both);
    ftli_histogram_collect(&h[1], &one);
    ftli_histogram_merge(&one, &both);
    qsort(values, N, sizeof values[0], ascending);
    cr_expect_eq(both.total, N);
    cr_expect_eq(both.most_ns, values[N - 1]);
    cr_expect_eq(ftli_histogram_quantile(&both, 1), values[N - 1]);
    const double asked[] = {0, 0.1, 0.5, 0.9, 0.99, 0.999};
    for (unsigned i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        const uint64_t exact = values[(int)(asked[i] * N)];
        const uint64_t found = ftli_histogram_quantile(&both, asked[i]);
        cr_expect(found >= exact && found - exact <= exact / 16, "p%g: %lu, exactly %lu", asked[i] * 100,
                  (unsigned long)found, (unsigned long)exact);
    }
}

Test(histogram, values_beyond_the_top_share_the_last_bucket)
{
    static ftli_histogram h;
    static ftli_histogram_snapshot s;
    ftli_histogram_record(&h, UINT64_C(1) << 44);
    ftli_histogram_record(&h, UINT64_C(1) << 60);
    ftli_histogram_collect(&h, &s);
    cr_expect_eq(s.counts[FTLI_HISTOGRAM_BUCKETS - 1], 2);
    cr_expect_eq(ftli_histogram_quantile(&s, 0.5), UINT64_C(1) << 60);
}
