/* Actors that keep failing, on real threads, while others post to them: nothing is lost, doubled or reordered. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdlib.h>

#include <fettle/fettle.h>

#include "runtime/base/random.h"
#include "runtime/kernel/kernel.h"
#include "runtime/supervise/supervisor.h"

enum { ACTORS = 3, PRODUCERS = 3, EACH = 3000 };

typedef struct {
    ftli_message message;
    uint32_t producer, number;
} parcel;

typedef struct {
    bool running; /* plain: start and stop must alternate, whatever thread runs them */
    uint32_t next[PRODUCERS];
    uint64_t received, faults, out_of_order, bad_starts;
    ftli_timer timer;
    ftli_random_state random;
} fragile;

static ftli_atomic_u64 total;
static ftli_event done;

static int start(void *state, ftli_context *context)
{
    fragile *f = state;
    f->bad_starts += f->running;
    f->running = true;
    f->timer = (ftli_timer){.due_ns = 0};
    ftli_after(context, FTLI_NS_PER_MS, &f->timer);
    return ftli_random(context) % 8 == 0 && f->received > 0 ? (f->running = false, FTL_EINTERNAL) : FTL_OK;
}

static void stop(void *state, ftli_context *context)
{
    fragile *f = state;
    (void)context;
    f->bad_starts += !f->running;
    f->running = false;
}

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    fragile *f = state;
    if (!f->running)
        f->bad_starts++;
    if (ftli_random_below(&f->random, 50) == 0) {
        f->faults++;
        return ftli_random_below(&f->random, 2) == 0 ? FTL_EBUSY : FTL_EINTERNAL;
    }
    if (message == &f->timer.message) {
        ftli_after(context, FTLI_NS_PER_MS, &f->timer);
        return FTL_OK;
    }
    const parcel *p = (const parcel *)(const void *)message;
    if (p->number < f->next[p->producer])
        f->out_of_order++;
    f->next[p->producer] = p->number + 1;
    f->received++;
    if (ftli_u64_fetch_add_seq_cst(&total, 1) + 1 == (uint64_t)PRODUCERS * EACH)
        (void)ftli_event_signal_all(&done);
    return FTL_OK;
}

static const ftli_actor_operations FRAGILE = {
    .type = "fragile", .start = start, .on_message = on_message, .stop = stop, .restartable = true};

typedef struct {
    ftli_actor **actors;
    uint32_t producer;
    parcel *parcels;
} producer;

static void *produce(void *argument)
{
    const producer *p = argument;
    for (uint32_t i = 0; i < EACH; i++) {
        p->parcels[i] = (parcel){.producer = p->producer, .number = i};
        ftli_actor_send(p->actors[i % ACTORS], FTLI_LANE_HIGH, &p->parcels[i].message);
    }
    return NULL;
}

static void run(unsigned groups, unsigned threads, uint32_t strategy)
{
    static const char *const group_names[ACTORS] = {"a", "b", "c"};
    ftli_policy policy = ftli_policy_default();
    policy.strategy = strategy;
    policy.breaker.open_ns = 100000;
    policy.restarts = FTLI_RESTARTS_MOST;
    policy.within_ns = 1;
    policy.backoff = (ftli_backoff){.first_ns = 1000, .most_ns = 50000, .factor = 2};
    policy.retries = 1;
    ftli_supervisor *supervisor;
    cr_assert_eq(ftli_supervisor_create(&policy, &supervisor), FTL_OK);
    ftli_group_options group[ACTORS];
    for (unsigned i = 0; i < groups; i++)
        group[i] = (ftli_group_options){.name = group_names[i], .count = threads};
    const ftli_kernel_options options = {
        .groups = group, .group_count = groups, .supervision = ftli_supervisor_interface(supervisor), .seed = 4};
    ftli_kernel *kernel;
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    static fragile states[ACTORS];
    static const char *const names[ACTORS] = {"one", "two", "three"};
    ftli_actor *actors[ACTORS];
    for (int i = 0; i < ACTORS; i++) {
        ftli_random_seed(&states[i].random, (uint64_t)i);
        const ftli_actor_options add = {.operations = &FRAGILE,
                                        .state = &states[i],
                                        .group = group_names[(unsigned)i % groups],
                                        .receive_ns = FTLI_NS_PER_S};
        cr_assert_eq(ftli_kernel_add_actor(kernel, names[i], &add, &actors[i]), FTL_OK);
    }
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    pthread_t running[PRODUCERS];
    producer producers[PRODUCERS];
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (producer){actors, i, aligned_alloc(64, EACH * sizeof(parcel))};
        cr_assert_eq(pthread_create(&running[i], NULL, produce, &producers[i]), 0);
    }
    for (;;) {
        const uint32_t ticket = ftli_event_prepare(&done);
        if (ftli_u64_load_seq_cst(&total) == (uint64_t)PRODUCERS * EACH) {
            ftli_event_cancel(&done);
            break;
        }
        const int status =
            ftli_kernel_wait(kernel, &done, ticket, ftli_kernel_now_ns(kernel) + 60 * FTLI_NS_PER_S, NULL);
        cr_assert_eq(status, FTL_OK, "%lu received", (unsigned long)ftli_u64_load_seq_cst(&total));
    }
    for (int i = 0; i < PRODUCERS; i++)
        (void)pthread_join(running[i], NULL);
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);

    uint64_t received = 0, faults = 0, failures = 0;
    for (int i = 0; i < ACTORS; i++) {
        ftli_actor_figures figures;
        ftli_actor_read(actors[i], &figures);
        cr_expect_eq(states[i].out_of_order, 0);
        cr_expect_eq(states[i].bad_starts, 0, "start and stop do not alternate");
        cr_expect_not(states[i].running);
        cr_expect_eq(figures.lanes[FTLI_LANE_HIGH].depth, 0);
        received += states[i].received;
        faults += states[i].faults;
        failures += figures.failures;
    }
    cr_expect_eq(received, (uint64_t)PRODUCERS * EACH);
    cr_expect_gt(faults, 0);
    cr_expect_geq(failures, faults, "starts fail as well");
    ftli_supervisor_figures figures;
    ftli_supervisor_read(supervisor, &figures);
    cr_expect_gt(figures.retries, 0);
    cr_expect_gt(figures.restarts, 0);
    cr_expect_eq(figures.given_up, 0);
    cr_expect_eq(ftli_kernel_degraded(kernel), 0);
    ftli_kernel_destroy(kernel);
    ftli_supervisor_destroy(supervisor);
    for (int i = 0; i < PRODUCERS; i++)
        free(producers[i].parcels);
}

Test(restarts, two_threads_lose_nothing)
{
    run(1, 2, FTLI_RESTART_ONE_FOR_ONE);
}

Test(restarts, one_thread_loses_nothing)
{
    run(1, 1, FTLI_RESTART_ONE_FOR_ONE);
}

Test(restarts, a_lent_thread_loses_nothing)
{
    run(1, 0, FTLI_RESTART_ONE_FOR_ONE);
}

Test(restarts, all_at_once_on_threads_of_their_own)
{
    run(3, 1, FTLI_RESTART_ONE_FOR_ALL);
}

Test(restarts, the_rest_at_once_on_threads_of_their_own)
{
    run(3, 2, FTLI_RESTART_REST_FOR_ONE);
}

Test(restarts, all_at_once_on_one_thread)
{
    run(1, 1, FTLI_RESTART_ONE_FOR_ALL);
}

Test(restarts, all_at_once_on_a_lent_thread)
{
    run(2, 0, FTLI_RESTART_ONE_FOR_ALL);
}
