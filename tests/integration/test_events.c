/* Events on real threads: unsubscribe waits, close ends all, nobody waits for a slow function; and runtimes without threads. */
#include <criterion/criterion.h>

#include "actors/port/runtime.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(events, .timeout = 120);

static ftl_runtime *open_with(const char *overrides)
{
    ftl_runtime *runtime = NULL;
    ftl_open_options options = {.overrides = overrides};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    return runtime;
}

static void post(ftl_runtime *runtime, uint64_t count)
{
    ftli_events_post(&runtime->events, &(struct ftli_event_news){.kind = FTL_EVENT_LOG, .count = count}, "a test");
}

static void wait_until(const ftli_atomic_u32 *word, uint32_t value)
{
    while (ftli_u32_load_acquire(word) != value)
        (void)sched_yield();
}

/* A function that stays inside until it is let go. */
struct slow {
    ftli_atomic_u32 entered, let_go, left, unsubscribed;
    ftli_atomic_u64 calls;
    ftl_runtime *runtime;
    uint64_t id;
    pthread_t thread;
};

static void stay(const ftl_event *event, void *user)
{
    struct slow *slow = user;
    (void)event;
    ftli_u64_add_owner(&slow->calls, 1);
    slow->thread = pthread_self();
    ftli_u32_store_release(&slow->entered, 1);
    wait_until(&slow->let_go, 1);
    ftli_u32_store_release(&slow->left, 1);
}

static void *unsubscribe(void *argument)
{
    struct slow *slow = argument;
    (void)ftl_unsubscribe(slow->runtime, slow->id);
    ftli_u32_store_release(&slow->unsubscribed, 1 + ftli_u32_load_acquire(&slow->left));
    return NULL;
}

Test(events, unsubscribe_from_another_thread_waits_for_the_call_that_runs)
{
    struct slow slow = {.runtime = open_with(NULL)};
    pthread_t threads[2]; /* the second finds it gone, and waits all the same */
    cr_assert_eq(ftl_subscribe(slow.runtime, FTL_EVENT_LOG, stay, &slow, &slow.id), FTL_OK);
    post(slow.runtime, 1);
    post(slow.runtime, 2);
    wait_until(&slow.entered, 1);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, unsubscribe, &slow), 0);
    wait_until(&slow.runtime->events.called.waiters, 2); /* both are in there */
    cr_assert_eq(ftli_u32_load_acquire(&slow.unsubscribed), 0);
    ftli_u32_store_release(&slow.let_go, 1);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_eq(ftli_u32_load_acquire(&slow.unsubscribed), 2); /* after the call had left */
    cr_assert_eq(ftl_runtime_close(slow.runtime, NULL), FTL_OK);
    cr_assert_eq(ftli_u64_load_acquire(&slow.calls), 1); /* not the second event any more */
    cr_assert_not(pthread_equal(slow.thread, pthread_self()));
}

static int finalizer(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    (void)ftli_u64_fetch_add_relaxed(user, 1);
    return 0;
}

/* While the function stays: drops complete, finalizers run, drain returns, events beyond the pool are lost and counted. */
Test(events, nobody_waits_for_a_slow_function)
{
    struct slow slow = {.runtime = open_with("devices.cpu.limit: 64MiB\nactors.allocation.wait: 0ms")};
    ftli_atomic_u64 finalized = {0};
    ftl_stats stats;
    cr_assert_eq(ftl_subscribe(slow.runtime, 127, stay, &slow, &slow.id), FTL_OK);
    post(slow.runtime, 1);
    wait_until(&slow.entered, 1);
    for (unsigned i = 0; i < 100; i++) {
        ftl_tensor tensor;
        ftl_tensor_options options = {.finalizer = finalizer, .finalizer_user = &finalized};
        cr_assert_eq(ftl_bytes_new(slow.runtime, 60 << 20, NULL, &tensor), FTL_OK); /* pressure, up and down */
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
        cr_assert_eq(ftl_bytes_new(slow.runtime, 100, &options, &tensor), FTL_OK);
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
        cr_assert_eq(ftl_runtime_drain(slow.runtime, -1), FTL_OK);
    }
    cr_assert_eq(ftli_u64_load_acquire(&finalized), 100);
    for (unsigned i = 0; i < 2 * FTLI_EVENTS_MOST; i++)
        post(slow.runtime, i);
    cr_assert_eq(ftl_runtime_stats(slow.runtime, &stats), FTL_OK);
    cr_assert_geq(stats.events_lost, FTLI_EVENTS_MOST);
    cr_assert_eq(ftli_u64_load_acquire(&slow.calls), 1);
    ftli_u32_store_release(&slow.let_go, 1);
    cr_assert_eq(ftl_runtime_close(slow.runtime, NULL), FTL_OK);
    cr_assert_gt(ftli_u64_load_acquire(&slow.calls), 1);
}

/* ---- many threads: who has unsubscribed frees what the function was given */

struct shared {
    ftl_runtime *runtime;
    ftli_atomic_u32 over;
    ftli_atomic_u64 calls, subscriptions;
};

struct mine {
    struct shared *shared;
    uint64_t alive, id, calls;
    bool leaves;
};

static void touch(const ftl_event *event, void *user)
{
    struct mine *mine = user;
    if (mine->alive != 0x600d || event->text == NULL)
        abort();
    mine->calls++;
    (void)ftli_u64_fetch_add_relaxed(&mine->shared->calls, 1);
    if (mine->leaves && mine->calls == 3 && ftl_unsubscribe(mine->shared->runtime, mine->id) != FTL_OK)
        abort();
}

static void *come_and_go(void *argument)
{
    struct shared *shared = argument;
    for (unsigned i = 0; i < 300; i++) {
        struct mine *mine = calloc(1, sizeof *mine);
        *mine = (struct mine){.shared = shared, .alive = 0x600d};
        if (ftl_subscribe(shared->runtime, FTL_EVENT_LOG | FTL_EVENT_ACTOR, touch, mine, &mine->id) != FTL_OK)
            abort();
        for (unsigned n = 0; n < i % 5; n++)
            post(shared->runtime, n);
        if (i % 3 == 0)
            (void)sched_yield();
        if (ftl_unsubscribe(shared->runtime, mine->id) != FTL_OK)
            abort();
        (void)ftli_u64_fetch_add_relaxed(&shared->subscriptions, 1);
        mine->alive = 0;
        free(mine);
    }
    return NULL;
}

static void *keep_posting(void *argument)
{
    struct shared *shared = argument;
    for (uint64_t i = 0; ftli_u32_load_acquire(&shared->over) == 0; i++) {
        post(shared->runtime, i);
        if (i % 64 == 0)
            (void)sched_yield();
    }
    return NULL;
}

Test(events, threads_that_subscribe_unsubscribe_and_post)
{
    struct shared shared = {.runtime = open_with(NULL)};
    struct mine leaver = {.shared = &shared, .alive = 0x600d, .leaves = true};
    pthread_t threads[3], poster;
    cr_assert_eq(ftl_subscribe(shared.runtime, FTL_EVENT_LOG, touch, &leaver, &leaver.id), FTL_OK);
    cr_assert_eq(pthread_create(&poster, NULL, keep_posting, &shared), 0);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, &shared), 0);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    while (ftli_u64_load_acquire(&shared.calls) < 3) /* the leaver's, at least */
        (void)sched_yield();
    ftli_u32_store_release(&shared.over, 1);
    cr_assert_eq(pthread_join(poster, NULL), 0);
    cr_assert_eq(ftl_runtime_close(shared.runtime, NULL), FTL_OK);
    cr_assert_eq(leaver.calls, 3);
    cr_assert_eq(ftli_u64_load_acquire(&shared.subscriptions), 900);
    printf("%llu calls\n", (unsigned long long)ftli_u64_load_acquire(&shared.calls));
}

/* ---- close, and runtimes without threads */

static void count(const ftl_event *event, void *user)
{
    (void)event;
    (void)ftli_u64_fetch_add_relaxed(user, 1);
}

Test(events, what_waits_is_told_by_close_and_nothing_after_it)
{
    ftli_atomic_u64 calls = {0};
    uint64_t id;
    ftl_runtime *runtime = open_with("threads.service.count: 0\nthreads.finalizers.count: 0\n"
                                     "threads.background.count: 0\nactors.telemetry: none");
    cr_assert_eq(ftl_subscribe(runtime, FTL_EVENT_LOG, count, &calls, &id), FTL_OK);
    post(runtime, 1);
    cr_assert_eq(ftli_u64_load_acquire(&calls), 0); /* no thread of ours: not before somebody lends one */
    cr_assert_eq(ftl_runtime_run(runtime, "finalizers", 1000000000, NULL), FTL_OK);
    cr_assert_eq(ftli_u64_load_acquire(&calls), 1);
    post(runtime, 2);
    cr_assert_eq(ftl_runtime_run(runtime, NULL, 1000000000, NULL), FTL_OK);
    cr_assert_eq(ftli_u64_load_acquire(&calls), 2);
    post(runtime, 3);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(ftli_u64_load_acquire(&calls), 3);
    cr_assert_eq(ftl_unsubscribe(runtime, id), FTL_ECLOSED);
}

Test(events, no_thread_before_the_first_subscription)
{
    ftli_atomic_u64 calls = {0};
    ftli_group_figures figures;
    uint64_t id;
    ftl_runtime *runtime = open_with(NULL);
    cr_assert_eq(ftli_kernel_read_group(runtime->kernel, "Events", &figures), FTL_OK);
    cr_assert_eq(figures.threads, 0);
    cr_assert_eq(ftl_pressure_subscribe(runtime, count, &calls, &id), FTL_OK);
    cr_assert_eq(ftli_kernel_read_group(runtime->kernel, "Events", &figures), FTL_OK);
    cr_assert_eq(figures.threads, 1);
    cr_assert_eq(ftl_unsubscribe(runtime, id), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
