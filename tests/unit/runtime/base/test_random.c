#include <criterion/criterion.h>

#include "runtime/base/random.h"

Test(random, the_same_seed_gives_the_same_numbers)
{
    ftli_random_state a, b, c;
    ftli_random_seed(&a, 42);
    ftli_random_seed(&b, 42);
    ftli_random_seed(&c, 43);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        const uint64_t x = ftli_random_next(&a);
        cr_assert_eq(x, ftli_random_next(&b));
        differs = differs || x != ftli_random_next(&c);
    }
    cr_expect(differs);
}

Test(random, splitmix_gives_its_published_first_number)
{
    uint64_t state = 0;
    cr_expect_eq(ftli_splitmix64(&state), UINT64_C(0xe220a8397b1dcdaf));
}

Test(random, below_covers_its_range_evenly)
{
    enum { N = 10, DRAWS = 100000 };
    ftli_random_state r;
    ftli_random_seed(&r, 1);
    int counts[N] = {0};
    for (int i = 0; i < DRAWS; i++) {
        const uint32_t x = ftli_random_below(&r, N);
        cr_assert_lt(x, N);
        counts[x]++;
    }
    for (int i = 0; i < N; i++)
        cr_expect(counts[i] > DRAWS / N * 9 / 10 && counts[i] < DRAWS / N * 11 / 10, "%d: %d", i, counts[i]);
}

Test(random, chances_come_as_often_as_they_say)
{
    ftli_random_state r;
    ftli_random_seed(&r, 9);
    int hits = 0;
    for (int i = 0; i < 100000; i++) {
        const double x = ftli_random_unit(&r);
        cr_assert(x >= 0 && x < 1);
        hits += ftli_random_chance(&r, 0.25);
        cr_assert_not(ftli_random_chance(&r, 0));
        cr_assert(ftli_random_chance(&r, 1));
    }
    cr_expect(hits > 24000 && hits < 26000, "%d", hits);
}
