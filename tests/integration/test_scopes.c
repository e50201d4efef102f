/* Scopes: what is made in one is given up by one call, from any thread. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

static ftl_runtime *runtime;

static void open_runtime(void)
{
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_OK, "%s", ftl_last_error());
}

static void close_runtime(void)
{
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.leaked, 0);
}

TestSuite(scopes, .init = open_runtime, .fini = close_runtime);

static ftl_tensor in_scope(ftl_scope scope, size_t bytes)
{
    ftl_tensor tensor;
    ftl_tensor_options options = {.scope = scope};
    cr_assert_eq(ftl_bytes_new(runtime, bytes, &options, &tensor), FTL_OK, "%s", ftl_last_error());
    return tensor;
}

Test(scopes, end_gives_up_one_reference_of_each_member)
{
    enum { N = 1000 };
    ftl_scope scope;
    ftl_tensor tensors[N];
    uint64_t dropped;
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    for (int i = 0; i < N; i++)
        tensors[i] = in_scope(scope, (size_t)i * 100);
    cr_assert_eq(ftl_tensor_drop(tensors[1]), FTL_OK); /* gone before: nothing is given up for it */
    cr_assert_eq(ftl_tensor_retain(tensors[2]), FTL_OK);
    cr_assert_eq(ftl_scope_keep(scope, tensors[3]), FTL_OK);
    cr_assert_eq(ftl_scope_keep(scope, tensors[3]), FTL_ESTALE);
    ftl_scope_description d;
    cr_assert_eq(ftl_scope_stats(scope, &d), FTL_OK);
    cr_assert_eq(d.created, N);
    cr_assert_eq(d.live, N - 2);
    cr_assert_str_eq(d.label, "request");
    cr_assert_eq(ftl_scope_end(scope, &dropped), FTL_OK);
    cr_assert_eq(dropped, N - 2);
    for (int i = 0; i < N; i++)
        cr_assert_eq(ftl_tensor_alive(tensors[i]), i == 2 || i == 3, "tensor %d", i);
    cr_assert_eq(ftl_tensor_drop(tensors[2]), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensors[3]), FTL_OK);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_ESTALE);
    cr_assert_eq(ftl_scope_stats(scope, &d), FTL_ESTALE);
}

Test(scopes, current_scope_parents_and_limits)
{
    ftl_scope parent, child;
    ftl_tensor tensor, other;
    uint64_t dropped;
    ftl_scope_options options = {.label = "session", .hard_bytes = 1000};
    cr_assert_eq(ftl_scope_open(runtime, &options, &parent), FTL_OK);
    options.parent = parent;
    cr_assert_eq(ftl_scope_open(runtime, &options, &child), FTL_OK);
    cr_assert_eq(ftl_scope_swap(child).id, 0);
    cr_assert_eq(ftl_bytes_new(runtime, 600, NULL, &tensor), FTL_OK);
    cr_assert_eq(ftl_bytes_new(runtime, 600, NULL, &other), FTL_ELIMIT);
    cr_assert_eq(ftl_scope_swap((ftl_scope){0}).id, child.id);
    ftl_tensor_description d;
    cr_assert_eq(ftl_tensor_describe(tensor, &d), FTL_OK);
    cr_assert_eq(d.scope.id, child.id);
    cr_assert_eq(ftl_scope_end(parent, &dropped), FTL_OK);
    cr_assert_not(ftl_tensor_alive(tensor));
    ftl_tensor_options in_child = {.scope = child};
    cr_assert_eq(ftl_bytes_new(runtime, 8, &in_child, &tensor), FTL_ESTALE);
    cr_assert_eq(ftl_scope_open(runtime, &options, &child), FTL_ESTALE);
}

Test(scopes, bad_input)
{
    ftl_scope scope;
    ftl_scope_options late = {.deadline_ns = -1}, kind = {.kind = 2}, later = {.reserved = {1}};
    ftl_scope_description d;
    cr_assert_eq(ftl_scope_begin(NULL, "x", &scope), FTL_EINVAL);
    cr_assert_eq(ftl_scope_begin(runtime, "x", NULL), FTL_EINVAL);
    cr_assert_eq(ftl_scope_open(runtime, &late, &scope), FTL_EINVAL);
    cr_assert_eq(ftl_scope_open(runtime, &kind, &scope), FTL_EINVAL);
    cr_assert_eq(ftl_scope_open(runtime, &later, &scope), FTL_EINVAL);
    cr_assert_eq(ftl_scope_end((ftl_scope){0}, NULL), FTL_ESTALE);
    cr_assert_eq(ftl_scope_end((ftl_scope){UINT64_C(0x7ff0000000000001)}, NULL), FTL_ESTALE);
    cr_assert_eq(ftl_scope_stats((ftl_scope){0}, &d), FTL_ESTALE);
    cr_assert_eq(ftl_scope_keep((ftl_scope){0}, (ftl_tensor){0}), FTL_ESTALE);
}

/* What is refused takes no room, not even for a moment: those who ask for too much do not keep others out. */
enum { MEMBERS = 1000, MEMBER_BYTES = 64, RUSHING = 3 };

struct rush {
    ftl_scope scope;
    size_t bytes;
    uint64_t made;
    atomic_uint *ready;
};

static void *makes_until_it_is_full(void *argument)
{
    struct rush *rush = argument;
    ftl_tensor_options options = {.scope = rush->scope};
    ftl_tensor tensor;
    atomic_fetch_add(rush->ready, 1);
    while (atomic_load(rush->ready) < RUSHING)
        sched_yield();
    while (ftl_bytes_new(runtime, rush->bytes, &options, &tensor) == FTL_OK)
        rush->made++;
    atomic_fetch_add(rush->ready, 1);
    return NULL;
}

/* Until the others have what they can get. */
static void *asks_for_too_much(void *argument)
{
    struct rush *rush = argument;
    ftl_tensor_options options = {.scope = rush->scope};
    ftl_tensor tensor;
    atomic_fetch_add(rush->ready, 1);
    while (atomic_load(rush->ready) < RUSHING + RUSHING - 1)
        rush->made += ftl_bytes_new(runtime, rush->bytes, &options, &tensor) == FTL_OK;
    return NULL;
}

static void fill_a_scope(void)
{
    struct rush rushes[RUSHING];
    pthread_t threads[RUSHING];
    atomic_uint ready = 0;
    ftl_scope_options options = {.hard_bytes = MEMBERS * MEMBER_BYTES};
    ftl_scope scope;
    uint64_t made = 0, dropped;
    cr_assert_eq(ftl_scope_open(runtime, &options, &scope), FTL_OK);
    (void)in_scope(scope, MEMBER_BYTES); /* so that the large ones never fit */
    for (unsigned i = 0; i < RUSHING; i++) {
        rushes[i] = (struct rush){scope, i == 0 ? MEMBERS * MEMBER_BYTES : MEMBER_BYTES, 0, &ready};
        pthread_create(&threads[i], NULL, i == 0 ? asks_for_too_much : makes_until_it_is_full, &rushes[i]);
    }
    for (unsigned i = 0; i < RUSHING; i++) {
        pthread_join(threads[i], NULL);
        made += rushes[i].made;
    }
    cr_assert_eq(rushes[0].made, 0);
    cr_assert_eq(made, MEMBERS - 1, "%llu were made", (unsigned long long)made);
    cr_assert_eq(ftl_scope_end(scope, &dropped), FTL_OK);
    cr_assert_eq(dropped, MEMBERS);
}

Test(scopes, hard_bytes_are_there_to_the_last_byte)
{
    for (unsigned round = 0; round < 20; round++)
        fill_a_scope();
}

struct race {
    ftl_scope scope;
    unsigned seed;
    uint64_t made, refused;
};

static void *make_until_it_ends(void *argument)
{
    struct race *race = argument;
    ftl_tensor_options options = {.scope = race->scope};
    for (;;) {
        ftl_tensor tensor;
        int status = ftl_bytes_new(runtime, (size_t)rand_r(&race->seed) % 3000, &options, &tensor);
        if (status == FTL_ESTALE)
            break;
        cr_assert_eq(status, FTL_OK, "%s", ftl_last_error());
        race->made++;
        if (rand_r(&race->seed) % 3 == 0)
            (void)ftl_tensor_drop(tensor); /* may be stale: the scope may have ended */
    }
    return NULL;
}

Test(scopes, ended_while_threads_make_tensors_in_it)
{
    for (unsigned round = 0; round < 50; round++) {
        struct race races[4];
        pthread_t threads[4];
        ftl_scope scope;
        cr_assert_eq(ftl_scope_begin(runtime, "race", &scope), FTL_OK);
        for (unsigned i = 0; i < 4; i++) {
            races[i] = (struct race){scope, round * 4 + i, 0, 0};
            pthread_create(&threads[i], NULL, make_until_it_ends, &races[i]);
        }
        ftl_scope_description d = {0};
        while (d.created < 500)
            cr_assert_eq(ftl_scope_stats(scope, &d), FTL_OK);
        cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
        for (unsigned i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
    }
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.live, 0, "%llu alive after all scopes ended", (unsigned long long)stats.live);
    cr_assert_gt(stats.created, 20000);
}
