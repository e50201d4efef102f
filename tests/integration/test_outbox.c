/* Policy message from outside: what lies in a port's outbox is pending, and nothing that a program does leaves it there. */
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/port/runtime.h"
#include "tests/support/laws.h"

#define MESSAGE "actors.cleanup.policy: message\n"
#define SLOWLY  MESSAGE "actors.cleanup.batch: {messages: 65536, age: 60s}\nback_pressure.pending: 1000000\n"

static void must_be_good(ftl_runtime *runtime)
{
    char why[300] = "";
    cr_assert_eq(ftli_runtime_audit(runtime, why, sizeof why), FTL_OK, "%s", why);
}

static void drop_some(ftl_runtime *runtime, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        static const size_t sizes[] = {0, 64, 1000, 5000, 40000, 300000, 2000000};
        ftl_tensor tensor = laws_new(runtime, sizes[i % 7], NULL);
        EXPECT(ftl_tensor_drop(tensor) == FTL_OK);
        EXPECT(!ftl_tensor_alive(tensor));
        EXPECT(ftl_tensor_drop(tensor) == FTL_ESTALE);
    }
}

/* No new between the drops: one would run the cleanup itself before it takes fresh memory. */
static void make_some_then_drop_them(ftl_runtime *runtime, unsigned n)
{
    static ftl_tensor tensors[64];
    for (unsigned i = 0; i < n; i++) {
        static const size_t sizes[] = {0, 64, 1000, 5000, 40000, 300000, 2000000};
        tensors[i] = laws_new(runtime, sizes[i % 7], NULL);
    }
    for (unsigned i = 0; i < n; i++)
        EXPECT(ftl_tensor_drop(tensors[i]) == FTL_OK);
}

Test(outbox, a_drop_is_pending_from_its_return_on)
{
    ftl_runtime *runtime = laws_open(SLOWLY "threads.service.count: 0\n");
    make_some_then_drop_them(runtime, 21);
    ftl_stats stats = laws_stats(runtime);
    cr_assert_eq(stats.live, 0);
    cr_assert_eq(stats.pending, 21);
    cr_assert_eq(stats.deferred, 21);
    cr_assert_eq(stats.reclaimed, 0);
    must_be_good(runtime);
    laws_close(runtime);
}

/* No service thread, so it is the maker that runs the cleanup: what it dropped serves before fresh memory, of any size. */
Test(outbox, a_new_gets_back_what_was_dropped)
{
    static const size_t sizes[] = {64, 1000, 5000, 30000, 100000, 1000000, 3000000};
    ftl_runtime *runtime = laws_open(MESSAGE "threads.service.count: 0\n");
    for (unsigned i = 0; i < 7; i++) {
        uint64_t most = 0;
        for (unsigned n = 0; n < 3000; n++) {
            EXPECT(ftl_tensor_drop(laws_new(runtime, sizes[i], NULL)) == FTL_OK);
            if (n % 100 == 0) {
                ftl_stats stats = laws_stats(runtime);
                most = stats.pending > most ? stats.pending : most;
            }
        }
        cr_assert_leq(most, 300, "%llu of %zu bytes were pending", (unsigned long long)most, sizes[i]);
        must_be_good(runtime); /* what lies in returned parcels is cached */
    }
    ftli_actor_figures figures;
    ftli_actor_read(runtime->cleanup.actor, &figures);
    cr_assert_gt(figures.helped, 0);
    cr_assert_leq(laws_stats(runtime).committed_bytes, 32 << 20);
    laws_close(runtime);
}

/* And what nobody takes back goes to the depot with the next ticks. */
Test(outbox, a_returned_parcel_does_not_stay)
{
    ftl_runtime *runtime = laws_open(MESSAGE);
    struct ftli_parcels_sum sum;
    drop_some(runtime, 5000);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    do
        ftli_parcels_sum(&runtime->cleanup, &sum);
    while (sum.returned_block_bytes != 0); /* the test's time limit ends it */
    must_be_good(runtime);
    laws_close(runtime);
}

/* Law 4, again and again: nothing that returned before drain is left when it returns. */
Test(outbox, drain_takes_what_lies_in_outboxes)
{
    ftl_runtime *runtime = laws_open(SLOWLY);
    for (unsigned round = 0; round < 300; round++) {
        drop_some(runtime, 1 + round % 300);
        cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
        ftl_stats stats = laws_stats(runtime);
        cr_assert_eq(stats.pending, 0, "round %u", round);
        cr_assert_eq(stats.created, stats.reclaimed, "round %u", round);
    }
    must_be_good(runtime);
    laws_close(runtime);
}

struct peer {
    ftl_runtime *runtime;
    atomic_bool stop;
    atomic_ulong done; /* drops that returned */
    unsigned n;
};

static void *drops_without_end(void *argument)
{
    struct peer *peer = argument;
    while (!atomic_load(&peer->stop)) {
        drop_some(peer->runtime, 7);
        atomic_fetch_add(&peer->done, 7);
    }
    return NULL;
}

/* Beside threads that never rest drain has an end, and what they had dropped before it is done. */
Test(outbox, drain_beside_threads_that_drop_all_the_time)
{
    enum { THREADS = 3 };
    static struct peer peers[THREADS];
    pthread_t threads[THREADS];
    ftl_runtime *runtime = laws_open(MESSAGE);
    for (unsigned i = 0; i < THREADS; i++) {
        peers[i].runtime = runtime;
        cr_assert_eq(pthread_create(&threads[i], NULL, drops_without_end, &peers[i]), 0);
    }
    for (unsigned round = 0; round < 30; round++) {
        unsigned long before = 0;
        for (unsigned i = 0; i < THREADS; i++)
            before += atomic_load(&peers[i].done);
        cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
        cr_assert_geq(laws_stats(runtime).reclaimed, before);
    }
    for (unsigned i = 0; i < THREADS; i++)
        atomic_store(&peers[i].stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    laws_settle(runtime);
    must_be_good(runtime);
    laws_close(runtime);
}

static void *drops_and_dies(void *argument)
{
    struct peer *peer = argument;
    drop_some(peer->runtime, peer->n);
    return NULL;
}

/* The last thread is gone, nobody calls: the tick posts what it left, the cleanup completes it. And the next thread goes on with a
 * port in whose outbox something lies. */
Test(outbox, a_thread_dies_with_a_parcel_that_is_not_full)
{
    struct peer peer = {.runtime = laws_open(SLOWLY)};
    for (unsigned round = 0; round < 40; round++) {
        pthread_t thread;
        peer.n = 1 + round;
        cr_assert_eq(pthread_create(&thread, NULL, drops_and_dies, &peer), 0);
        (void)pthread_join(thread, NULL);
    }
    const uint64_t all = 40 * 41 / 2;
    cr_assert_eq(laws_stats(peer.runtime).deferred, all);
    UNTIL(laws_stats(peer.runtime).reclaimed == all); /* no other call is made */
    must_be_good(peer.runtime);
    laws_close(peer.runtime);
}

Test(outbox, close_takes_what_lies_in_outboxes)
{
    for (unsigned round = 0; round < 20; round++) {
        struct peer peer = {.runtime = laws_open(SLOWLY), .n = 30};
        ftl_close_report report;
        pthread_t thread;
        drop_some(peer.runtime, 30);
        cr_assert_eq(pthread_create(&thread, NULL, drops_and_dies, &peer), 0);
        (void)pthread_join(thread, NULL);
        cr_assert_eq(ftl_runtime_close(peer.runtime, &report), FTL_OK);
        cr_assert_eq(report.undone, 0);
        cr_assert_eq(report.leaked, 0);
    }
}

/* Topology embedded: whoever lends a thread completes them. */
Test(outbox, run_takes_what_lies_in_outboxes)
{
    ftl_runtime *runtime =
        laws_open(MESSAGE "threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n");
    make_some_then_drop_them(runtime, 14);
    cr_assert_eq(laws_stats(runtime).pending, 14);
    cr_assert_eq(ftl_runtime_run(runtime, NULL, 0, NULL), FTL_OK);
    while (laws_stats(runtime).pending != 0)
        cr_assert_eq(ftl_runtime_run(runtime, NULL, 1000000, NULL), FTL_OK);
    must_be_good(runtime);
    laws_close(runtime);
}

static ftl_tensor at_signal[64];
static volatile sig_atomic_t signals;

static void on_signal(int number)
{
    (void)number;
    if (signals < 64 && ftl_tensor_drop(at_signal[signals]) == FTL_OK)
        signals++;
}

/* Drops in a signal handler, in the middle of calls or between them. */
Test(outbox, drops_in_a_signal_handler)
{
    ftl_runtime *runtime = laws_open(MESSAGE);
    struct sigaction action = {.sa_handler = on_signal};
    struct itimerval often = {{0, 300}, {0, 300}}, never = {{0, 0}, {0, 0}};
    for (unsigned i = 0; i < 64; i++)
        at_signal[i] = laws_new(runtime, 100 + i, NULL);
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    while (signals < 64)
        drop_some(runtime, 14);
    cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    laws_settle(runtime);
    cr_assert_eq(laws_stats(runtime).live, 0);
    must_be_good(runtime);
    laws_close(runtime);
}

/* Law 10: the child has a copy of what lay in the outbox, and nobody to send it to; the parent's is not hurt. */
Test(outbox, fork_with_a_parcel_that_is_open)
{
    ftl_runtime *runtime = laws_open(SLOWLY);
    ftl_tensor kept = laws_new(runtime, 100, NULL);
    drop_some(runtime, 10);
    pid_t child = fork();
    if (child == 0) {
        bool good = ftl_tensor_alive(kept) && ftl_tensor_drop(kept) == FTL_OK && !ftl_tensor_alive(kept) &&
                    ftl_runtime_drain(runtime, 0) == FTL_ENOTSUP;
        _exit(good ? 0 : 1);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert(ftl_tensor_alive(kept));
    drop_some(runtime, 10);
    cr_assert_eq(ftl_tensor_drop(kept), FTL_OK);
    laws_settle(runtime);
    cr_assert_eq(laws_stats(runtime).reclaimed, 21);
    must_be_good(runtime);
    laws_close(runtime);
}
