/* The depot: stacks of magazines whose heads count, so that the reuse of an index is seen. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>
#include <pthread.h>
#include <sys/resource.h>

#include "actors/allocation/depot.h"
#include "runtime/base/random.h"

enum { MAGAZINES = 64 };

static struct ftli_depot depot;

static struct ftli_magazine *make(unsigned size_class, uint32_t count)
{
    struct ftli_magazine *magazine = ftli_depot_make_empty(&depot);
    cr_assert_not_null(magazine);
    magazine->size_class = size_class;
    magazine->capacity = FTLI_MAGAZINE_MOST;
    ftli_u32_store_relaxed(&magazine->count, count);
    return magazine;
}

Test(depot, keeps_full_ones_by_class_and_empty_ones_apart)
{
    cr_assert_eq(ftli_depot_init(&depot, MAGAZINES), FTL_OK);
    struct ftli_magazine *a = make(3, 5), *b = make(3, 7), *c = make(4, 1), *d = make(3, 0);
    ftli_depot_give(&depot, a, 0);
    ftli_depot_give(&depot, b, 0);
    ftli_depot_give(&depot, c, 0);
    ftli_depot_give(&depot, d, 0);
    cr_assert_eq(ftli_depot_bytes(&depot), 12 * ftli_class_bytes(3) + ftli_class_bytes(4));
    cr_assert_eq(ftli_depot_metadata_bytes(&depot), 5 * sizeof *a, "index 0 is none");
    cr_assert_eq(ftli_depot_take_full(&depot, 3, 0), b, "not the newest");
    cr_assert_eq(ftli_depot_take_full(&depot, 3, 0), a);
    cr_assert_null(ftli_depot_take_full(&depot, 3, 0));
    cr_assert_null(ftli_depot_take_full(&depot, 5, 0));
    cr_assert_eq(ftli_depot_take_full(&depot, 4, 0), c);
    cr_assert_eq(ftli_depot_take_empty(&depot, 0), d);
    cr_assert_null(ftli_depot_take_empty(&depot, 0));
    cr_assert_eq(ftli_depot_bytes(&depot), 0);
    ftli_depot_fini(&depot);
}

Test(depot, makes_as_many_as_were_reserved)
{
    cr_assert_eq(ftli_depot_init(&depot, MAGAZINES), FTL_OK);
    for (unsigned i = 1; i < MAGAZINES; i++) {
        struct ftli_magazine *magazine = ftli_depot_make_empty(&depot);
        cr_assert_not_null(magazine);
        cr_assert_eq(magazine->index, i);
    }
    cr_assert_null(ftli_depot_make_empty(&depot));
    cr_assert_null(ftli_depot_make_empty(&depot));
    ftli_depot_fini(&depot);
    ftli_depot_fini(&depot); /* closes what never opened, too */
}

/* A thread that read a head, and slept while its magazine went out, came back and had its next one taken, must fail: the index
 * is the same, the count is not. */
Test(depot, the_count_tells_a_reused_head_from_an_old_one)
{
    cr_assert_eq(ftli_depot_init(&depot, MAGAZINES), FTL_OK);
    struct ftli_magazine *a = make(2, 1), *b = make(2, 1);
    ftli_depot_give(&depot, b, 0);
    ftli_depot_give(&depot, a, 0);
    uint64_t seen = ftli_u64_load_acquire(&depot.full[0][2].head); /* a, whose next is b */
    uint32_t next = ftli_u32_load_acquire(&a->next);
    cr_assert_eq(next, b->index);
    cr_assert_eq(ftli_depot_take_full(&depot, 2, 0), a);
    cr_assert_eq(ftli_depot_take_full(&depot, 2, 0), b);
    ftli_depot_give(&depot, a, 0);
    uint64_t now = ftli_u64_load_acquire(&depot.full[0][2].head);
    cr_assert_eq(now >> 32, seen >> 32, "the same magazine is on top");
    cr_assert_neq(now, seen, "the head is as it was: a late exchange would link a magazine that is out");
    uint64_t expected = seen;
    cr_assert_not(ftli_u64_cas_acq_rel(&depot.full[0][2].head, &expected, (uint64_t)next << 32 | (uint32_t)(seen + 1)));
    ftli_depot_fini(&depot);
}

Test(depot, remembers_the_least_it_held)
{
    cr_assert_eq(ftli_depot_init(&depot, MAGAZINES), FTL_OK);
    for (unsigned i = 0; i < 4; i++)
        ftli_depot_give(&depot, make(1, 2), 0);
    ftli_u32_store_relaxed(&depot.full[0][1].least, 4);
    struct ftli_magazine *a = ftli_depot_take_full(&depot, 1, 0), *b = ftli_depot_take_full(&depot, 1, 0);
    ftli_depot_give(&depot, a, 0);
    ftli_depot_give(&depot, b, 0);
    cr_assert_eq(ftli_depot_depth(&depot, &depot.full[0][1]), 4);
    cr_assert_eq(ftli_u32_load_relaxed(&depot.full[0][1].least), 2, "two of the four were in use at once");
    ftli_depot_fini(&depot);
}

Test(depot, without_address_space_says_so)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = 1;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    cr_assert_eq(ftli_depot_init(&depot, 1 << 20), FTL_ENOMEM);
}

/* ---- threads ---------------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 20000, SHARED = 12 };

static ftli_atomic_u32 owners[MAGAZINES];
static ftli_atomic_u32 wrong;

/* Takes and gives, sometimes two at a time, so that heads come back with other nexts. A magazine has one owner. */
static void *exchange(void *argument)
{
    ftli_random_state random;
    ftli_random_seed(&random, (uint64_t)(uintptr_t)argument);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct ftli_magazine *got[2];
        unsigned n = 1 + ftli_random_below(&random, 2);
        for (unsigned k = 0; k < n; k++) {
            got[k] = ftli_depot_take_full(&depot, 1, 0);
            if (got[k] != NULL && ftli_u32_fetch_add_relaxed(&owners[got[k]->index], 1) != 0)
                (void)ftli_u32_fetch_add_relaxed(&wrong, 1);
        }
        for (unsigned k = 0; k < n; k++) {
            if (got[k] == NULL)
                continue;
            got[k]->entries[0] = 0; /* what its owner writes, the next owner sees: TSan says if not */
            (void)ftli_u32_fetch_add_relaxed(&owners[got[k]->index], UINT32_MAX);
            ftli_depot_give(&depot, got[k], 0);
        }
    }
    return NULL;
}

Test(depot, four_threads_never_have_one_magazine_twice)
{
    pthread_t threads[THREADS];
    cr_assert_eq(ftli_depot_init(&depot, MAGAZINES), FTL_OK);
    for (unsigned i = 0; i < SHARED; i++)
        ftli_depot_give(&depot, make(1, 3), 0);
    for (uintptr_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, exchange, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_eq(ftli_u32_load_relaxed(&wrong), 0);
    cr_assert_eq(ftli_depot_bytes(&depot), SHARED * 3 * 64);
    unsigned n = 0;
    while (ftli_depot_take_full(&depot, 1, 0) != NULL)
        n++;
    cr_assert_eq(n, SHARED);
    cr_assert_eq(ftli_depot_depth(&depot, &depot.full[0][1]), 0);
    ftli_depot_fini(&depot);
}
