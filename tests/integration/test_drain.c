/* Law 4: drain returns FTL_OK only when every deferred drop that returned before it, and what it cascades to, is done. */
#include "actors/port/runtime.h"
#include "runtime/base/os.h"
#include "tests/support/laws.h"

/* ---- a model counter per thread ---------------------------------------------------------------------------------------- */

enum { THREADS = 6 };

struct worker {
    ftl_runtime *runtime;
    unsigned number, rounds;
    uint64_t dropped;       /* finalized tensors whose drop has returned */
    atomic_ulong finalized; /* by our finalizer */
};

static int counts(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    atomic_fetch_add((atomic_ulong *)user, 1);
    return 0;
}

/* The first try of each fails. */
static int counts_at_the_second_try(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    unsigned char *tries = data;
    return tries[0]++ == 0 ? -1 : counts(tensor, data, bytes, user);
}

static ftl_tensor new_counted(struct worker *worker, size_t bytes, bool twice)
{
    ftl_tensor_options options = {
        .finalizer = twice ? counts_at_the_second_try : counts, .finalizer_user = &worker->finalized, .zero = true};
    return laws_new(worker->runtime, bytes, &options);
}

/* A parent, its children, and theirs: only the parent is dropped last. */
static void drop_a_family(struct worker *worker, uint64_t *random)
{
    ftl_tensor parent = new_counted(worker, 100, false);
    unsigned children = 1 + (unsigned)laws_random(random) % 5;
    for (unsigned i = 0; i < children; i++) {
        ftl_tensor child = new_counted(worker, 200000, false), grandchild = new_counted(worker, 60, false);
        EXPECT(ftl_tensor_link(parent, child) == FTL_OK);
        EXPECT(ftl_tensor_link(child, grandchild) == FTL_OK);
        EXPECT(ftl_tensor_drop(grandchild) == FTL_OK);
        EXPECT(ftl_tensor_drop(child) == FTL_OK);
    }
    EXPECT(ftl_tensor_drop(parent) == FTL_OK);
    worker->dropped += 1 + 2 * (uint64_t)children;
}

static void *drops_and_drains(void *argument)
{
    struct worker *worker = argument;
    uint64_t random = 0x9e3779b97f4a7c15u + worker->number;
    for (unsigned round = 0; round < worker->rounds; round++) {
        unsigned n = (unsigned)laws_random(&random) % 20;
        for (unsigned i = 0; i < n; i++) {
            uint64_t dice = laws_random(&random) % 8;
            if (dice == 0) {
                drop_a_family(worker, &random);
                continue;
            }
            ftl_tensor tensor = new_counted(worker, dice == 1 ? 300000 : 100 * dice, dice == 2 && i == 0);
            if (dice == 3) { /* dropped while it is pinned, done at the unpin */
                EXPECT(ftl_tensor_pin(tensor) != NULL);
                EXPECT(ftl_tensor_drop(tensor) == FTL_OK);
                ftl_tensor_unpin(tensor);
            } else {
                EXPECT(ftl_tensor_drop(tensor) == FTL_OK);
            }
            worker->dropped++;
        }
        int64_t limits[] = {-1, 1000, 20 * 1000 * 1000, 0};
        int status = ftl_runtime_drain(worker->runtime, limits[laws_random(&random) % 4]);
        EXPECT(status == FTL_OK || status == FTL_ETIMEDOUT);
        uint64_t finalized = atomic_load(&worker->finalized);
        EXPECT(finalized <= worker->dropped);
        if (status == FTL_OK && !EXPECT(finalized == worker->dropped))
            fprintf(stderr, "thread %u round %u: %llu of %llu done after drain\n", worker->number, round,
                    (unsigned long long)finalized, (unsigned long long)worker->dropped);
    }
    return NULL;
}

static void run_workers(const char *overrides, unsigned rounds)
{
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];
    ftl_runtime *runtime = laws_open(overrides);
    uint64_t dropped = 0;
    memset(workers, 0, sizeof workers);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].runtime = runtime;
        workers[i].number = i;
        workers[i].rounds = rounds;
        cr_assert_eq(pthread_create(&threads[i], NULL, drops_and_drains, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    laws_settle(runtime);
    for (unsigned i = 0; i < THREADS; i++) {
        cr_assert_eq(atomic_load(&workers[i].finalized), workers[i].dropped);
        dropped += workers[i].dropped;
    }
    ftl_stats s = laws_stats(runtime);
    cr_assert_eq(s.reclaimed, dropped);
    cr_assert_eq(s.deferred, dropped);
    laws_close(runtime);
}

Test(drain, after_it_what_this_thread_had_dropped_is_done)
{
    run_workers(NULL, LAWS_SANITIZED ? 15 : 100);
}

Test(drain, the_same_without_threads_of_ours)
{
    run_workers("threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n",
                LAWS_SANITIZED ? 10 : 50);
}

Test(drain, the_same_with_more_threads_of_ours)
{
    run_workers("threads.service.count: 3\nthreads.finalizers.count: 4\n", LAWS_SANITIZED ? 10 : 50);
}

/* ---- cascades ---------------------------------------------------------------------------------------------------------- */

/* Ten million where the library is built as it ships and the machine has room for them, 2.5 GB. */
static unsigned chain_length(void)
{
#if LAWS_SANITIZED
    return 100000;
#elif defined NDEBUG
    return ftli_os_memory_limit_bytes() >= UINT64_C(8) << 30 ? 10000000 : 1000000;
#else
    return 1000000;
#endif
}

Test(drain, a_chain_of_millions_of_links_is_reclaimed_without_a_deep_stack, .timeout = 200)
{
    const unsigned length = chain_length();
    ftl_runtime *runtime = laws_open(NULL);
    ftl_tensor first = laws_new(runtime, 16, NULL), last = first;
    for (unsigned i = 1; i < length; i++) {
        ftl_tensor next = laws_new(runtime, 16, NULL);
        EXPECT(ftl_tensor_link(last, next) == FTL_OK);
        if (last.id != first.id)
            EXPECT(ftl_tensor_drop(last) == FTL_OK);
        last = next;
    }
    EXPECT(ftl_tensor_drop(last) == FTL_OK);
    cr_assert_eq(laws_stats(runtime).live, length);
    cr_assert_eq(ftl_tensor_drop(first), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(laws_stats(runtime).live, 0);
    laws_settle(runtime);
    laws_close(runtime);
}

Test(drain, a_parent_of_many_children_is_reclaimed_in_pieces)
{
    ftl_runtime *runtime = laws_open(NULL);
    ftl_tensor parent = laws_new(runtime, 16, NULL);
    for (unsigned i = 0; i < 20000; i++) {
        ftl_tensor child = laws_new(runtime, i % 100 == 0 ? 100000 : 16, NULL);
        EXPECT(ftl_tensor_link(parent, child) == FTL_OK);
        EXPECT(ftl_tensor_drop(child) == FTL_OK);
    }
    cr_assert_eq(ftl_tensor_drop(parent), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(laws_stats(runtime).reclaimed, 20001);
    laws_settle(runtime);
    laws_close(runtime);
}

/* A ring of links keeps itself alive: nobody breaks it, drain does not wait for it, close lists it. */
Test(drain, a_cycle_stays_alive_and_is_reported)
{
    ftl_runtime *runtime = laws_open(NULL);
    ftl_close_report report;
    ftl_tensor ring[5];
    for (unsigned i = 0; i < 5; i++)
        ring[i] = laws_new(runtime, 1000, NULL);
    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(ftl_tensor_link(ring[i], ring[(i + 1) % 5]), FTL_OK);
    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(ftl_tensor_drop(ring[i]), FTL_OK);
    laws_settle(runtime);
    cr_assert_eq(laws_stats(runtime).live, 5);
    cr_assert(ftl_tensor_alive(ring[2]));
    /* who has a weak handle may break it */
    cr_assert_eq(ftl_tensor_unlink(ring[4], ring[0]), FTL_OK);
    laws_settle(runtime);
    cr_assert_eq(laws_stats(runtime).live, 0);
    for (unsigned i = 0; i < 3; i++)
        ring[i] = laws_new(runtime, 1000, NULL);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(ftl_tensor_link(ring[i], ring[(i + 1) % 3]), FTL_OK);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(ftl_tensor_drop(ring[i]), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.leaked, 3);
    cr_assert_eq(report.undone, 0);
    ftl_leak_report_free(report.leaks);
}

/* ---- time limits ------------------------------------------------------------------------------------------------------- */

Test(drain, waits_for_a_pin_until_its_limit_and_is_exact_afterwards)
{
    ftl_runtime *runtime = laws_open(NULL);
    ftl_tensor pinned = laws_new(runtime, 100, NULL), other = laws_new(runtime, 100000, NULL);
    cr_assert_not_null(ftl_tensor_pin(pinned));
    cr_assert_eq(ftl_tensor_drop(pinned), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(other), FTL_OK);
    for (unsigned i = 0; i < 5; i++) { /* whichever parity it is in */
        cr_assert_eq(ftl_runtime_drain(runtime, 0), FTL_ETIMEDOUT);
        cr_assert_eq(ftl_runtime_drain(runtime, 3000000), FTL_ETIMEDOUT);
        ftl_tensor more = laws_new(runtime, 100000, NULL);
        cr_assert_eq(ftl_tensor_drop(more), FTL_OK);
    }
    UNTIL(laws_stats(runtime).pending == 1);
    ftl_tensor_unpin(pinned);
    laws_settle(runtime);
    cr_assert_eq(ftl_runtime_drain(runtime, 0), FTL_OK);
    laws_close(runtime);
}

struct gate {
    atomic_bool open, entered;
};

static int waits_at_the_gate(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct gate *gate = user;
    (void)tensor;
    (void)data;
    (void)bytes;
    atomic_store(&gate->entered, true);
    while (!atomic_load(&gate->open))
        sched_yield();
    return 0;
}

/* A finalizer that is stuck holds up itself, and who waits for it; nobody else's drops. */
Test(drain, a_stuck_finalizer_stops_only_its_own)
{
    ftl_runtime *runtime = laws_open("threads.finalizers.count: 2\n");
    struct gate gate = {.open = false};
    ftl_tensor_options options = {.finalizer = waits_at_the_gate, .finalizer_user = &gate};
    cr_assert_eq(ftl_tensor_drop(laws_new(runtime, 100, &options)), FTL_OK);
    UNTIL(atomic_load(&gate.entered));
    for (unsigned i = 0; i < 2000; i++) {
        ftl_tensor parent = laws_new(runtime, 100, NULL), child = laws_new(runtime, 100000, NULL);
        EXPECT(ftl_tensor_link(parent, child) == FTL_OK);
        EXPECT(ftl_tensor_drop(child) == FTL_OK);
        EXPECT(ftl_tensor_drop(parent) == FTL_OK);
    }
    UNTIL(laws_stats(runtime).pending == 1);
    cr_assert_eq(ftl_runtime_drain(runtime, 5000000), FTL_ETIMEDOUT);
    atomic_store(&gate.open, true);
    laws_settle(runtime);
    laws_close(runtime);
}

/* ---- what a finalizer drops ---------------------------------------------------------------------------------------------- */

struct dropper {
    ftl_runtime *runtime;
    ftl_tensor other;
    uint32_t parity; /* of its own drop */
    uint64_t counted[2];
    int drained;
};

/* Once the drain has turned to the next epoch. */
static int drops_another(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct dropper *dropper = user;
    struct ftli_totals before, after;
    (void)tensor;
    (void)data;
    (void)bytes;
    while (ftli_u32_load_acquire(&dropper->runtime->parity) == dropper->parity)
        sched_yield();
    ftli_runtime_totals(dropper->runtime, &before);
    EXPECT(ftl_tensor_drop(dropper->other) == FTL_OK);
    ftli_runtime_totals(dropper->runtime, &after);
    for (unsigned i = 0; i < 2; i++)
        dropper->counted[i] = after.deferred[i] - before.deferred[i];
    return 0;
}

static void *drains(void *argument)
{
    struct dropper *dropper = argument;
    dropper->drained = ftl_runtime_drain(dropper->runtime, -1);
    return NULL;
}

/* Its drops are in the epoch of its tensor, as a cascade's: the drain that waits for the tensor waits for them too. */
static void drop_in_a_finalizer(const char *topology, bool with_finalizer)
{
    ftl_runtime *runtime = laws_open(topology);
    atomic_ulong finalized = 0;
    ftl_tensor_options counted = {.finalizer = counts, .finalizer_user = &finalized};
    struct dropper dropper = {.runtime = runtime, .drained = FTL_EINVAL};
    ftl_tensor_options options = {.finalizer = drops_another, .finalizer_user = &dropper};
    pthread_t thread;
    dropper.other = laws_new(runtime, 100, with_finalizer ? &counted : NULL);
    dropper.parity = ftli_u32_load_acquire(&runtime->parity);
    cr_assert_eq(ftl_tensor_drop(laws_new(runtime, 100, &options)), FTL_OK);
    cr_assert_eq(pthread_create(&thread, NULL, drains, &dropper), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(dropper.drained, FTL_OK);
    cr_assert_eq(dropper.counted[dropper.parity], 1, "it is in the epoch that is drained");
    cr_assert_eq(dropper.counted[1 - dropper.parity], 0);
    cr_assert_eq(laws_stats(runtime).pending, 0);
    laws_close(runtime);
}

Test(drain, what_a_finalizer_drops_is_waited_for)
{
    drop_in_a_finalizer(NULL, true);
}

Test(drain, what_a_finalizer_drops_by_message_is_waited_for)
{
    drop_in_a_finalizer("actors.cleanup.policy: message\n", false);
}
