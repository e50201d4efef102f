/* The whole library with 4 bits of generation: slots are used up within the test, and are never given out again. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "runtime/base/random.h"
#include "tests/unit/actors/port/port_support.h"

static_assert(FTLI_GENERATION_BITS == 4, "this program is for the library with used-up slots");

enum { LIVES_MOST = 1024 * 15 };
static ftl_tensor given[LIVES_MOST];

static int nothing(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes, (void)user;
    return 0;
}

/* One tensor of some kind, ended in some way. False: all slots are used up. */
static bool live_once(ftl_runtime *runtime, ftli_random_state *random, ftl_tensor *out)
{
    const ftl_tensor_options with_finalizer = {.finalizer = nothing};
    uint64_t bytes = ftli_random_below(random, 8) == 0 ? 100 * KIB : ftli_random_below(random, 2000);
    int status = ftl_bytes_new(runtime, bytes, ftli_random_below(random, 8) == 0 ? &with_finalizer : NULL, out);
    if (status == FTL_ELIMIT) /* the rest is pending, or held by this thread */
        return false;
    cr_assert_eq(status, FTL_OK, "%s", ftl_last_error());
    bool pinned = ftli_random_below(random, 8) == 0;
    cr_assert(!pinned || ftl_tensor_pin(*out) != NULL);
    cr_assert_eq(ftl_tensor_drop(*out), FTL_OK);
    if (pinned)
        ftl_tensor_unpin(*out);
    return true;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = ((const ftl_tensor *)a)->id, y = ((const ftl_tensor *)b)->id;
    return x < y ? -1 : x > y;
}

Test(used_up, slots_retire_and_no_handle_fits_a_later_life)
{
    ftl_runtime *runtime = open_simulated("runtime.tensors: 1024\nactors.allocation.wait: 0ms");
    ftli_random_state random;
    unsigned n = 0, dry = 0;
    ftli_random_seed(&random, 4);
    while (dry < 3) {
        if (n < LIVES_MOST && live_once(runtime, &random, &given[n])) {
            n++, dry = 0;
        } else {
            dry++;
            run_for(runtime, SECOND);
        }
        if (n % 1000 == 0)
            must_agree(runtime);
    }
    must_agree(runtime);
    /* Of a page that was given back the words read as zeros: what is retired the table knows. */
    uint32_t slots = ftli_table_fresh(&runtime->table), lives = 0, retired = ftli_spare_retired(&runtime->table.spare);
    cr_expect_gt(ftli_spare_gone_bytes(&runtime->table.spare), 0, "pages of used-up slots stay");
    cr_assert_eq(slots, 1024);
    cr_assert_eq(retired, 1023, "%u slots are retired after %u lives", retired, n);
    cr_assert(n > 1023 * 8 && n <= 1023 * 15, "%u lives", n);
    for (unsigned i = 0; i < n; i++) {
        lives += ftl_tensor_alive(given[i]);
        cr_assert_eq(ftl_tensor_retain(given[i]), FTL_ESTALE);
        cr_assert_eq(ftl_tensor_drop(given[i]), FTL_ESTALE);
        cr_assert_null(ftl_tensor_data(given[i]));
    }
    cr_assert_eq(lives, 0);
    qsort(given, n, sizeof given[0], by_id);
    for (unsigned i = 1; i < n; i++)
        cr_assert_neq(given[i].id, given[i - 1].id, "one handle for two tensors");
    ftl_stats stats = stats_of(runtime);
    cr_assert_eq(stats.created, n);
    cr_assert_eq(stats.reclaimed, n);
    cr_assert_eq(stats.pending, 0);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
