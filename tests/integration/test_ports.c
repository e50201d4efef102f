/* Ports: what idle and dead threads hold comes back, handles cross threads, calls inside calls, two runtimes at once. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "actors/port/port.h"
#include "tests/support/laws.h"

/* ---- idle and dead threads ------------------------------------------------------------------------------------------- */

struct sleeper {
    ftl_runtime *runtime;
    pthread_barrier_t worked, leave;
};

static void work_a_little(ftl_runtime *runtime)
{
    ftl_tensor tensors[200];
    for (unsigned i = 0; i < 200; i++)
        tensors[i] = laws_new(runtime, 64 + 40 * i, NULL);
    for (unsigned i = 0; i < 200; i++)
        EXPECT(ftl_tensor_drop(tensors[i]) == FTL_OK);
}

static void *works_then_sleeps(void *argument)
{
    struct sleeper *sleeper = argument;
    work_a_little(sleeper->runtime);
    (void)pthread_barrier_wait(&sleeper->worked);
    (void)pthread_barrier_wait(&sleeper->leave);
    work_a_little(sleeper->runtime); /* its port is usable again after it was claimed */
    return NULL;
}

Test(ports, what_an_idle_thread_holds_is_taken_back_without_its_help)
{
    struct sleeper sleeper = {.runtime = laws_open(NULL)};
    pthread_t threads[4];
    (void)pthread_barrier_init(&sleeper.worked, NULL, 5);
    (void)pthread_barrier_init(&sleeper.leave, NULL, 5);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, works_then_sleeps, &sleeper), 0);
    (void)pthread_barrier_wait(&sleeper.worked);
    /* this thread never makes anything, and asks only for figures */
    UNTIL(laws_stats(sleeper.runtime).held_bytes == 0);
    (void)pthread_barrier_wait(&sleeper.leave);
    for (unsigned i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
    UNTIL(laws_stats(sleeper.runtime).held_bytes == 0); /* and of dead ones */
    laws_settle(sleeper.runtime);
    laws_close(sleeper.runtime);
}

static void *works(void *argument)
{
    work_a_little(argument);
    return NULL;
}

Test(ports, a_dead_threads_port_serves_the_next)
{
    ftl_runtime *runtime = laws_open(NULL);
    const unsigned rounds = LAWS_SANITIZED ? 30 : 100;
    for (unsigned round = 0; round < rounds; round++) {
        pthread_t threads[8];
        for (unsigned i = 0; i < 8; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, works, runtime), 0);
        for (unsigned i = 0; i < 8; i++)
            (void)pthread_join(threads[i], NULL);
    }
    /* eight at once, and those that the kernel has not wholly ended when the next ask */
    cr_assert_leq(ftli_port_count(), 24, "%u ports after %u threads", ftli_port_count(), 8 * rounds);
    ftl_stats s = laws_stats(runtime);
    cr_assert_eq(s.created, rounds * UINT64_C(8) * 200);
    UNTIL(laws_stats(runtime).held_bytes == 0);
    laws_settle(runtime);
    laws_close(runtime);
}

/* Ended in the middle of its work, without a word. */
static void *ends_holding(void *argument)
{
    ftl_tensor tensor;
    for (unsigned i = 0; i < 50; i++)
        if (EXPECT(ftl_bytes_new(argument, 300, NULL, &tensor) == FTL_OK))
            (void)ftl_tensor_drop(tensor);
    pthread_exit(NULL);
}

Test(ports, what_a_dead_thread_held_comes_back_and_its_counts_stay)
{
    ftl_runtime *runtime = laws_open(NULL);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, ends_holding, runtime), 0);
    (void)pthread_join(thread, NULL);
    UNTIL(laws_stats(runtime).held_bytes == 0);
    cr_assert_eq(laws_stats(runtime).created, 50);
    laws_settle(runtime);
    laws_close(runtime);
}

/* ---- handles that cross threads ---------------------------------------------------------------------------------------- */

enum { QUEUE = 1024 };
struct queue {
    ftl_runtime *runtime;
    _Atomic uint64_t slots[QUEUE]; /* 0: empty */
    atomic_uint next_in, next_out;
    atomic_uint producing;
    unsigned each;
    atomic_ulong mismatches;
};

static void put(struct queue *queue, ftl_tensor tensor)
{
    unsigned at = atomic_fetch_add(&queue->next_in, 1) % QUEUE;
    uint64_t empty = 0;
    while (!atomic_compare_exchange_weak(&queue->slots[at], &empty, tensor.id)) {
        empty = 0;
        sched_yield();
    }
}

static void *produces(void *argument)
{
    static const size_t sizes[] = {1, 64, 700, 4096, 20000, 100000, 1 << 21};
    struct queue *queue = argument;
    for (unsigned i = 0; i < queue->each; i++) {
        size_t bytes = sizes[i % 64 == 63 ? 6 : i % 6];
        ftl_tensor tensor = laws_new(queue->runtime, bytes, NULL);
        unsigned char *data = ftl_tensor_data(tensor);
        if (EXPECT(data != NULL)) {
            data[0] = (unsigned char)(tensor.id >> 24);
            data[bytes - 1] = (unsigned char)(tensor.id >> 24);
        }
        put(queue, tensor);
    }
    atomic_fetch_sub(&queue->producing, 1);
    return NULL;
}

static void *only_drops(void *argument)
{
    struct queue *queue = argument;
    for (;;) {
        bool last = atomic_load(&queue->producing) == 0;
        unsigned at = atomic_load(&queue->next_out) % QUEUE;
        uint64_t id = atomic_exchange(&queue->slots[at], 0);
        if (id == 0) {
            if (last && atomic_load(&queue->next_out) == atomic_load(&queue->next_in))
                return NULL;
            sched_yield();
            continue;
        }
        atomic_fetch_add(&queue->next_out, 1);
        ftl_tensor tensor = {id};
        size_t bytes = ftl_tensor_bytes(tensor);
        const unsigned char *data = ftl_tensor_data(tensor);
        if (EXPECT(data != NULL && bytes != 0))
            EXPECT(data[0] == data[bytes - 1] && data[0] == (unsigned char)(id >> 24));
        EXPECT(ftl_tensor_drop(tensor) == FTL_OK);
        EXPECT(ftl_tensor_drop(tensor) == FTL_ESTALE);
    }
}

Test(ports, sixteen_make_and_one_only_drops)
{
    static struct queue queue;
    queue.runtime = laws_open(NULL);
    queue.each = LAWS_SANITIZED ? 300 : 3000;
    atomic_store(&queue.producing, 16);
    pthread_t threads[17];
    for (unsigned i = 0; i < 16; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, produces, &queue), 0);
    cr_assert_eq(pthread_create(&threads[16], NULL, only_drops, &queue), 0);
    while (atomic_load(&queue.producing) != 0) {
        (void)laws_stats(queue.runtime);
        sched_yield();
    }
    for (unsigned i = 0; i < 17; i++)
        (void)pthread_join(threads[i], NULL);
    laws_settle(queue.runtime);
    ftl_stats s = laws_stats(queue.runtime);
    cr_assert_eq(s.created, UINT64_C(16) * queue.each);
    cr_assert_eq(s.reclaimed, s.created);
    cr_assert_eq(s.stale_handles, s.created);
    laws_close(queue.runtime);
}

/* ---- calls inside calls ------------------------------------------------------------------------------------------------ */

enum { SHARED = 4096 };
static ftl_tensor for_handler[SHARED];
static atomic_uint handled, made_for_handler;
static ftl_tensor pinned_for_handler;
static atomic_ulong handler_drops;

static void on_signal(int number)
{
    int before = errno;
    (void)number;
    errno = 12345;
    unsigned at = atomic_load(&handled);
    if (at < atomic_load(&made_for_handler)) {
        atomic_store(&handled, at + 1);
        ftl_tensor tensor = for_handler[at];
        EXPECT(ftl_tensor_alive(tensor));
        EXPECT(ftl_tensor_bytes(tensor) != 0);
        EXPECT(ftl_tensor_retain(tensor) == FTL_OK);
        EXPECT(ftl_tensor_drop(tensor) == FTL_OK);
        EXPECT(ftl_tensor_drop(tensor) == FTL_OK);
        EXPECT(!ftl_tensor_alive(tensor));
        EXPECT(ftl_tensor_drop(tensor) == FTL_ESTALE);
        atomic_fetch_add(&handler_drops, 1);
        ftl_tensor_unpin(pinned_for_handler);
    }
    EXPECT(errno == 12345);
    errno = before;
}

struct target {
    pthread_t thread;
    atomic_bool over;
};

static void *sends_signals(void *argument)
{
    struct target *target = argument;
    while (!atomic_load(&target->over)) {
        (void)pthread_kill(target->thread, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

static int finalizes_for_handler(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    atomic_fetch_add((atomic_uint *)user, 1);
    return 0;
}

static void listen_to(struct target *target, pthread_t *sender)
{
    struct sigaction action = {.sa_handler = on_signal};
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    cr_assert_eq(pthread_create(sender, NULL, sends_signals, target), 0);
}

static void listen_no_more(struct target *target, pthread_t sender)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    atomic_store(&target->over, true);
    (void)pthread_join(sender, NULL);
    (void)sigaction(SIGUSR1, &action, NULL);
}

/* Small ones, with a finalizer each third, and one that all its pins are taken from in the handler. */
static void stock_up(ftl_runtime *runtime, unsigned wanted, atomic_uint *finalized)
{
    static const size_t sizes[] = {64, 500, 9000, 60000};
    ftl_tensor_options finalizer = {.finalizer = finalizes_for_handler, .finalizer_user = finalized};
    for (unsigned i = 0; i < wanted; i++)
        for_handler[i] = laws_new(runtime, sizes[i % 4], i % 3 == 0 ? &finalizer : NULL);
    pinned_for_handler = laws_new(runtime, 80, NULL);
    for (unsigned i = 0; i < wanted; i++)
        cr_assert_not_null(ftl_tensor_pin(pinned_for_handler));
    atomic_store(&made_for_handler, wanted);
}

static void settle_after_handler(ftl_runtime *runtime, uint64_t created, unsigned wanted, const atomic_uint *finalized)
{
    ftl_tensor_description d;
    cr_assert_eq(ftl_tensor_describe(pinned_for_handler, &d), FTL_OK);
    cr_assert_eq(d.pins, 0);
    cr_assert_eq(ftl_tensor_drop(pinned_for_handler), FTL_OK);
    laws_settle(runtime);
    ftl_stats s = laws_stats(runtime);
    cr_assert_eq(s.created, created);
    cr_assert_eq(s.reclaimed, s.created);
    cr_assert_eq(s.unpins_without_pin, 0);
    cr_assert_eq(atomic_load(finalized), (wanted + 2) / 3);
    laws_close(runtime);
}

static void drop_in_a_handler(const char *overrides)
{
    ftl_runtime *runtime = laws_open(overrides);
    struct target target = {.thread = pthread_self()};
    pthread_t sender;
    atomic_uint finalized = 0;
    static const size_t sizes[] = {64, 500, 9000, 60000};
    const unsigned wanted = LAWS_SANITIZED ? 300 : 2000;
    stock_up(runtime, wanted, &finalized);
    listen_to(&target, &sender);
    uint64_t own = 0;
    uint64_t deadline_ns = ftli_clock_now_ns() + LAWS_PATIENCE_NS;
    while (atomic_load(&handler_drops) < wanted) {
        ftl_tensor tensor = laws_new(runtime, sizes[own % 4], NULL);
        EXPECT(ftl_tensor_drop(tensor) == FTL_OK);
        own++;
        cr_assert_lt(ftli_clock_now_ns(), deadline_ns, "%lu of %u signals", atomic_load(&handler_drops), wanted);
    }
    listen_no_more(&target, sender);
    settle_after_handler(runtime, own + wanted + 1, wanted, &finalized);
}

Test(ports, a_signal_handler_may_drop_inside_of_any_call)
{
    drop_in_a_handler(NULL);
}

Test(ports, a_signal_handler_may_drop_where_every_drop_is_a_message)
{
    drop_in_a_handler("actors.cleanup.policy: message\n");
}

struct first_calls {
    ftl_runtime *runtime;
    atomic_bool there, go, done;
    atomic_uint before; /* what was handled by then */
    unsigned own;
};

static void *makes_its_first_calls(void *argument)
{
    struct first_calls *calls = argument;
    atomic_store(&calls->there, true);
    while (!atomic_load(&calls->go)) /* the signals come, and the handler may have the first call instead */
        sched_yield();
    for (unsigned i = 0; i < calls->own; i++)
        EXPECT(ftl_tensor_drop(laws_new(calls->runtime, 100, NULL)) == FTL_OK);
    unsigned before = atomic_load(&calls->before);
    while (atomic_load(&handled) == before && before < atomic_load(&made_for_handler))
        sched_yield();
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, NULL); /* the sender goes on until it sees the end */
    atomic_store(&calls->done, true);
    return NULL;
}

/* A thread's first call takes it a port, and a handler that comes meanwhile calls too. */
Test(ports, a_signal_handler_may_drop_inside_of_a_threads_first_call)
{
    const unsigned rounds = LAWS_SANITIZED ? 30 : 150;
    ftl_runtime *runtime = laws_open(NULL);
    atomic_uint finalized = 0;
    uint64_t own = 0;
    stock_up(runtime, 1200, &finalized);
    for (unsigned round = 0; round < rounds; round++) {
        struct target target = {.over = false};
        struct first_calls calls = {.runtime = runtime, .own = 5};
        pthread_t thread, sender;
        cr_assert_eq(pthread_create(&thread, NULL, makes_its_first_calls, &calls), 0);
        UNTIL(atomic_load(&calls.there));
        target.thread = thread;
        atomic_store(&calls.before, atomic_load(&handled));
        listen_to(&target, &sender);
        atomic_store(&calls.go, true);
        UNTIL(atomic_load(&calls.done));
        listen_no_more(&target, sender);
        (void)pthread_join(thread, NULL);
        own += calls.own;
    }
    cr_assert_leq(ftli_port_count(), 32, "%u ports", ftli_port_count());
    while (atomic_load(&handled) < 1200) /* what no signal came for */
        on_signal(SIGUSR1);
    settle_after_handler(runtime, own + 1200 + 1, 1200, &finalized);
    expect_nothing_failed();
}

/* ---- two runtimes ------------------------------------------------------------------------------------------------------ */

struct pair {
    ftl_runtime *runtimes[2];
    unsigned rounds, seed;
};

static void *uses_both(void *argument)
{
    const struct pair *pair = argument;
    ftl_tensor kept[2][64];
    memset(kept, 0, sizeof kept);
    uint64_t random = 88172645463325252u + pair->seed;
    for (unsigned i = 0; i < pair->rounds; i++) {
        unsigned which = (unsigned)laws_random(&random) & 1, at = (unsigned)laws_random(&random) % 64;
        ftl_tensor *place = &kept[which][at];
        if (place->id != 0) {
            EXPECT(ftl_tensor_drop(*place) == FTL_OK);
            place->id = 0;
        } else {
            *place = laws_new(pair->runtimes[which], 16 + laws_random(&random) % 3000, NULL);
        }
    }
    for (unsigned which = 0; which < 2; which++)
        for (unsigned at = 0; at < 64; at++)
            EXPECT(ftl_tensor_drop(kept[which][at]) == FTL_OK);
    return NULL;
}

Test(ports, two_runtimes_in_one_process_and_in_one_thread)
{
    struct pair pairs[4];
    pthread_t threads[4];
    ftl_runtime *one = laws_open(NULL), *two = laws_open("actors.tracking.level: debug\n");
    for (unsigned i = 0; i < 4; i++) {
        pairs[i] = (struct pair){{one, two}, LAWS_SANITIZED ? 3000 : 50000, i};
        cr_assert_eq(pthread_create(&threads[i], NULL, uses_both, &pairs[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
    cr_assert_leq(ftli_port_count(), 16, "%u ports", ftli_port_count());
    laws_settle(one);
    laws_settle(two);
    /* the second goes on when the first is closed */
    ftl_tensor left = laws_new(one, 100, NULL), right = laws_new(two, 100, NULL);
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(one, &report), FTL_OK);
    cr_assert_eq(report.leaked, 1);
    ftl_leak_report_free(report.leaks);
    cr_assert_neq(ftl_tensor_drop(left), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(right), FTL_OK);
    work_a_little(two);
    laws_settle(two);
    laws_close(two);
}

Test(ports, a_thread_that_uses_more_runtimes_than_it_has_entries_goes_without_a_port)
{
    ftl_runtime *runtimes[7];
    for (unsigned i = 0; i < 7; i++)
        runtimes[i] = laws_open("actors.telemetry: none\n");
    for (unsigned round = 0; round < 300; round++) {
        ftl_tensor tensors[7];
        for (unsigned i = 0; i < 7; i++)
            tensors[i] = laws_new(runtimes[i], 100 * i, NULL);
        for (unsigned i = 0; i < 7; i++)
            cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    }
    for (unsigned i = 0; i < 7; i++) {
        laws_settle(runtimes[i]);
        cr_assert_eq(laws_stats(runtimes[i]).reclaimed, 300);
        laws_close(runtimes[i]);
    }
}
