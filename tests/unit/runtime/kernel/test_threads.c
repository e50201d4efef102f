/* Actors on real threads: everything that is posted is received once, no wake-up is lost, an idle thread sleeps. */
#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include <fettle/fettle.h>

#include "runtime/base/os.h"
#include "runtime/base/random.h"
#include "runtime/kernel/kernel.h"

enum { PRODUCERS = 4, EACH = 20000 };

typedef struct {
    ftli_message message;
    uint32_t producer, number;
} parcel;

typedef struct {
    FTLI_ALIGNED(64) uint64_t before[2];
    ftli_link link; /* at 16: an item */
    uint32_t value;
} item;

/* Counts what it gets and signals when `wanted` is reached. */
typedef struct {
    ftli_atomic_u64 received;
    ftli_atomic_u64 wanted;
    ftli_event done;
    uint32_t next[PRODUCERS][FTLI_LANES]; /* the least number that may come next */
    uint64_t items, out_of_order;
    ftli_kernel *kernel;
    bool always_on_service_thread;
    int help_inside; /* what help and wait answered from inside */
} counter;

static void count(counter *c)
{
    (void)ftli_u64_fetch_add_seq_cst(&c->received, 1);
    if (ftli_u64_load_seq_cst(&c->received) == ftli_u64_load_seq_cst(&c->wanted))
        (void)ftli_event_signal_all(&c->done);
}

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    counter *c = state;
    (void)context;
    const parcel *p = (const parcel *)(const void *)message;
    if (!ftli_kernel_is_service_thread(c->kernel))
        c->always_on_service_thread = false;
    if (p->number < c->next[p->producer][message->type])
        c->out_of_order++;
    c->next[p->producer][message->type] = p->number + 1;
    count(c);
    return FTL_OK;
}

static int on_item(void *state, ftli_context *context, unsigned lane, ftli_link *link)
{
    counter *c = state;
    (void)context;
    cr_assert_lt(lane, FTLI_LANES);
    cr_assert(ftli_link_is_item(link));
    c->items++;
    count(c);
    return FTL_OK;
}

static const ftli_actor_operations COUNTER = {.type = "counter", .on_message = on_message, .on_item = on_item};

static ftli_kernel *make(unsigned threads, counter *c, ftli_actor **actor, uint32_t wake_messages, uint64_t age_ns)
{
    const ftli_group_options group = {.name = "service", .count = threads};
    const ftli_kernel_options options = {.name = "test", .groups = &group, .group_count = 1, .seed = 1};
    ftli_kernel *kernel;
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    c->kernel = kernel;
    c->always_on_service_thread = true;
    const ftli_actor_options add = {
        .operations = &COUNTER, .state = c, .group = "service", .wake_messages = wake_messages, .wake_age_ns = age_ns};
    cr_assert_eq(ftli_kernel_add_actor(kernel, "counter", &add, actor), FTL_OK);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    return kernel;
}

static void await(counter *c, uint64_t wanted)
{
    ftli_u64_store_seq_cst(&c->wanted, wanted);
    for (;;) {
        const uint32_t ticket = ftli_event_prepare(&c->done);
        if (ftli_u64_load_seq_cst(&c->received) >= wanted) {
            ftli_event_cancel(&c->done);
            return;
        }
        const int status =
            ftli_kernel_wait(c->kernel, &c->done, ticket, ftli_clock_now_ns() + 60 * FTLI_NS_PER_S, NULL);
        cr_assert_eq(status, FTL_OK, "a wake-up was lost: %lu of %lu received",
                     (unsigned long)ftli_u64_load_seq_cst(&c->received), (unsigned long)wanted);
    }
}

typedef struct {
    ftli_actor *actor;
    uint32_t producer;
    parcel *parcels;
} producer;

static void *produce(void *argument)
{
    const producer *p = argument;
    for (uint32_t i = 0; i < EACH; i++) {
        parcel *sent = &p->parcels[i];
        sent->producer = p->producer;
        sent->number = i;
        sent->message.type = (i * 7 + p->producer) % FTLI_LANES;
        ftli_actor_send(p->actor, sent->message.type, &sent->message);
    }
    return NULL;
}

static void stress(unsigned threads, bool help)
{
    counter *c = calloc(1, sizeof *c);
    ftli_actor *actor;
    ftli_kernel *kernel = make(threads, c, &actor, 10, FTLI_NS_PER_MS);
    pthread_t running[PRODUCERS];
    producer producers[PRODUCERS];
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (producer){actor, i, aligned_alloc(64, EACH * sizeof(parcel))};
        cr_assert_eq(pthread_create(&running[i], NULL, produce, &producers[i]), 0);
    }
    if (help)
        while (ftli_u64_load_seq_cst(&c->received) < PRODUCERS * (uint64_t)EACH / 2)
            (void)ftli_actor_help(actor, 64);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        (void)pthread_join(running[i], NULL);
    await(c, PRODUCERS * (uint64_t)EACH);
    ftli_actor_figures figures;
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_actor_read(actor, &figures);
    cr_expect_eq(ftli_u64_load_seq_cst(&c->received), PRODUCERS * (uint64_t)EACH);
    cr_expect_eq(figures.messages, PRODUCERS * (uint64_t)EACH);
    cr_expect_eq(c->out_of_order, 0, "%lu out of order", (unsigned long)c->out_of_order);
    cr_expect(c->always_on_service_thread);
    for (unsigned i = 0; i < FTLI_LANES; i++) {
        cr_expect_eq(figures.lanes[i].depth, 0);
        cr_expect_eq(figures.lanes[i].pushed, figures.lanes[i].taken);
        cr_expect_gt(figures.lanes[i].high_water, 0);
    }
    cr_expect_eq(figures.phase, FTLI_ACTOR_STOPPED);
    if (help)
        cr_expect_leq(figures.helped, figures.messages);
    ftli_kernel_destroy(kernel);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        free(producers[i].parcels);
    free(c);
}

Test(threads, one_thread_receives_everything_once_and_in_order)
{
    stress(1, false);
}

Test(threads, three_threads_receive_everything_once_and_in_order)
{
    stress(3, false);
}

Test(threads, a_helper_and_the_threads_share_one_token)
{
    stress(2, true);
}

Test(threads, without_threads_waiting_lends_the_thread)
{
    stress(0, true);
}

/* One message at a time, each after the thread may have gone to sleep again: the shape in which wake-ups get lost. */
static void ping(unsigned threads)
{
    enum { ROUNDS = 10000 };
    counter *c = calloc(1, sizeof *c);
    ftli_actor *actor;
    ftli_kernel *kernel = make(threads, c, &actor, 1, 0);
    parcel *p = aligned_alloc(64, 2 * sizeof *p);
    ftli_random_state random;
    ftli_random_seed(&random, 17);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        /* so that the post meets the thread at every point of its way to sleep */
        for (uint32_t pause = ftli_random_below(&random, 100); pause > 0; pause--)
            ftli_cpu_relax();
        p[0] = (parcel){.producer = 0, .number = (uint32_t)i};
        p[1] = (parcel){.producer = 1, .number = (uint32_t)i};
        ftli_actor_send(actor, FTLI_LANE_EMERGENCY, &p[0].message);
        ftli_actor_send(actor, FTLI_LANE_BACKGROUND, &p[1].message);
        /* Looking, not sleeping: the next post must come while the thread is on its way to sleep. */
        const uint64_t deadline_ns = ftli_clock_now_ns() + 60 * FTLI_NS_PER_S;
        while (ftli_u64_load_seq_cst(&c->received) < 2 * (i + 1))
            if (ftli_clock_now_ns() > deadline_ns)
                cr_assert_fail("a wake-up was lost in round %lu", (unsigned long)i);
    }
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
    free(p);
    free(c);
}

Test(threads, no_wake_up_of_a_single_thread_is_lost)
{
    ping(1);
}

Test(threads, no_wake_up_of_two_threads_is_lost)
{
    ping(2);
}

Test(threads, below_the_mark_the_age_wakes)
{
    counter *c = calloc(1, sizeof *c);
    ftli_actor *actor;
    ftli_kernel *kernel = make(1, c, &actor, 1000, FTLI_NS_PER_MS);
    parcel *p = aligned_alloc(64, sizeof *p);
    for (uint64_t i = 0; i < 20; i++) {
        *p = (parcel){.number = (uint32_t)i};
        ftli_actor_send(actor, FTLI_LANE_NORMAL, &p->message);
        await(c, i + 1);
    }
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
    free(p);
    free(c);
}

Test(threads, items_and_messages_share_a_lane)
{
    counter *c = calloc(1, sizeof *c);
    ftli_actor *actor;
    ftli_kernel *kernel = make(1, c, &actor, 10, FTLI_NS_PER_MS);
    item *items = aligned_alloc(64, 100 * sizeof *items);
    parcel *parcels = aligned_alloc(64, 100 * sizeof *parcels);
    for (uint32_t i = 0; i < 100; i++) {
        parcels[i] = (parcel){.number = i, .message.type = FTLI_LANE_HIGH};
        ftli_actor_post(actor, FTLI_LANE_HIGH, &items[i].link);
        ftli_actor_send(actor, FTLI_LANE_HIGH, &parcels[i].message);
    }
    await(c, 200);
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    cr_expect_eq(c->items, 100);
    cr_expect_eq(c->out_of_order, 0);
    ftli_kernel_destroy(kernel);
    free(items);
    free(parcels);
    free(c);
}

static ftli_actor *signalled;
static parcel *from_handler;

static void handler(int number)
{
    (void)number;
    ftli_actor_send(signalled, FTLI_LANE_HIGH, &from_handler->message);
}

Test(threads, a_post_from_a_signal_handler_arrives_and_keeps_errno)
{
    counter *c = calloc(1, sizeof *c);
    ftli_kernel *kernel = make(1, c, &signalled, 10, 0);
    from_handler = aligned_alloc(64, sizeof *from_handler);
    *from_handler = (parcel){.number = 1};
    (void)signal(SIGUSR1, handler);
    errno = 1234;
    (void)raise(SIGUSR1);
    cr_expect_eq(errno, 1234);
    await(c, 1);
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
    free(from_handler);
    free(c);
}

/* ---- sleep -------------------------------------------------------------------------------------------------- */

typedef struct {
    ftli_atomic_u64 cpu_ns; /* of the service thread, as it last saw it */
    ftli_atomic_u64 ticks;
    ftli_event ticked;
} sleeper;

static int sleeper_on_tick(void *state, ftli_context *context)
{
    sleeper *s = state;
    (void)context;
    ftli_u64_store_seq_cst(&s->cpu_ns, ftli_os_thread_cpu_ns());
    (void)ftli_u64_fetch_add_seq_cst(&s->ticks, 1);
    (void)ftli_event_signal_all(&s->ticked);
    return FTL_OK;
}

static int ignore(void *state, ftli_context *context, ftli_message *message)
{
    (void)state, (void)context, (void)message;
    return FTL_OK;
}

static void await_tick(sleeper *s, uint64_t wanted)
{
    for (;;) {
        const uint32_t ticket = ftli_event_prepare(&s->ticked);
        if (ftli_u64_load_seq_cst(&s->ticks) >= wanted) {
            ftli_event_cancel(&s->ticked);
            return;
        }
        cr_assert(ftli_event_wait(&s->ticked, ticket, ftli_clock_now_ns() + 60 * FTLI_NS_PER_S), "a tick was lost");
    }
}

Test(threads, an_idle_thread_sleeps_and_a_timer_armed_from_outside_wakes_it)
{
    static const ftli_actor_operations SLEEPER = {.type = "sleeper", .on_message = ignore, .on_tick = sleeper_on_tick};
    sleeper *s = calloc(1, sizeof *s);
    const ftli_group_options group = {.name = "service", .count = 2};
    const ftli_kernel_options options = {.groups = &group, .group_count = 1};
    const ftli_actor_options add = {.operations = &SLEEPER, .state = s, .group = "service"};
    ftli_kernel *kernel;
    ftli_actor *actor;
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    cr_assert_eq(ftli_kernel_add_actor(kernel, "sleeper", &add, &actor), FTL_OK);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    for (uint64_t i = 1; i <= 200; i++) { /* the thread may be awake, falling asleep, or asleep */
        ftli_actor_run_within(actor, i % 3 == 0 ? 0 : i % 3 == 1 ? FTLI_NS_PER_MS : 100 * FTLI_NS_PER_US);
        await_tick(s, i);
    }
    ftli_actor_run_within(actor, 3600 * FTLI_NS_PER_S);
    ftli_group_figures before, after;
    cr_assert_eq(ftli_kernel_read_group(kernel, "service", &before), FTL_OK);
    cr_expect_eq(before.threads, 2);
    ftli_actor_run_within(actor, 50 * FTLI_NS_PER_MS); /* earlier than what the group sleeps until */
    await_tick(s, 201);
    cr_assert_eq(ftli_kernel_read_group(kernel, "service", &after), FTL_OK);
    /* 50 ms passed, and the threads went to sleep a handful of times, however slow the machine is. */
    cr_expect_leq(after.sleeps - before.sleeps, 12, "%lu sleeps", (unsigned long)(after.sleeps - before.sleeps));
    cr_expect_leq(after.runs - before.runs, 2);
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
    free(s);
}

/* ---- no lane starves ---------------------------------------------------------------------------------------------------- */

enum { URGENT = 100, PATIENT = 100 };

typedef struct {
    ftli_message message;
    uint64_t posted_at, ahead;   /* the poster's: receives once it was in, at most so many before it */
    ftli_atomic_u64 received_at; /* 0: not yet */
} patient;

typedef struct {
    ftli_actor *actor;
    ftli_message urgent[URGENT];
    patient patients[PATIENT];
    ftli_atomic_u64 receives, received;
    ftli_atomic_u32 over;
} ward;

/* The emergency lane is never empty: what comes out goes in again. */
static int on_ward_message(void *state, ftli_context *context, ftli_message *message)
{
    ward *w = state;
    (void)context;
    ftli_u64_add_owner(&w->receives, 1);
    if (message >= w->urgent && message < w->urgent + URGENT) {
        if (ftli_u32_load_acquire(&w->over) == 0)
            ftli_actor_send(w->actor, FTLI_LANE_EMERGENCY, message);
        return FTL_OK;
    }
    patient *p = (patient *)(void *)message;
    ftli_u64_store_release(&p->received_at, ftli_u64_load_relaxed(&w->receives));
    (void)ftli_u64_fetch_add_seq_cst(&w->received, 1);
    return FTL_OK;
}

/* Counted in receives, so however slow the machine is. */
Test(threads, the_background_lane_keeps_its_bound_while_the_emergency_lane_is_full)
{
    static const ftli_actor_operations operations = {.type = "ward", .on_message = on_ward_message};
    static ward w;
    const ftli_group_options group = {.name = "a", .count = 2};
    const ftli_kernel_options options = {.groups = &group, .group_count = 1};
    const ftli_actor_options add = {.operations = &operations, .state = &w, .group = "a"};
    ftli_kernel *kernel;
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    cr_assert_eq(ftli_kernel_add_actor(kernel, "ward", &add, &w.actor), FTL_OK);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    for (unsigned i = 0; i < URGENT; i++)
        ftli_actor_send(w.actor, FTLI_LANE_EMERGENCY, &w.urgent[i]);
    for (uint64_t i = 0; i < PATIENT; i++) {
        patient *p = &w.patients[i];
        p->ahead = i - ftli_u64_load_seq_cst(&w.received);
        ftli_actor_send(w.actor, FTLI_LANE_BACKGROUND, &p->message);
        p->posted_at = ftli_u64_load_seq_cst(&w.receives); /* it was in by then, or earlier */
        if (i % 10 == 9)
            while (ftli_u64_load_seq_cst(&w.received) < i - 5)
                (void)sched_yield();
    }
    while (ftli_u64_load_seq_cst(&w.received) < PATIENT)
        (void)sched_yield();
    ftli_u32_store_release(&w.over, 1);
    for (unsigned i = 0; i < PATIENT; i++) {
        const patient *p = &w.patients[i];
        const uint64_t at = ftli_u64_load_acquire(&p->received_at);
        cr_assert(at <= p->posted_at + 64 * (p->ahead + 1) + 63,
                  "number %u: %lu receives after its post, %lu before it", i, (unsigned long)(at - p->posted_at),
                  (unsigned long)p->ahead);
    }
    cr_assert_eq(ftli_kernel_stop(kernel, FTLI_NEVER_NS), FTL_OK);
    ftli_kernel_destroy(kernel);
}
