/* Finalizers: run once, not on the thread that drops; retried; given up into quarantine with the memory kept; retried by an operator.
 * And the ticket of a drop: ftl_tensor_await. */
#include "tests/support/laws.h"

#include "actors/port/runtime.h"
#include "runtime/kernel/simulation.h"
#include "tensor/registry.h"

struct seen {
    atomic_int calls, fail_first;
    pthread_t thread;
    ftl_tensor other;
    ftl_runtime *runtime;
    int drain_status, close_status;
};

static int finalizer(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct seen *seen = user;
    seen->thread = pthread_self();
    if (ftl_tensor_alive(tensor) || ftl_tensor_retain(tensor) != FTL_ESTALE)
        return -100;
    memset(data, 0x11, bytes);
    return atomic_fetch_add(&seen->calls, 1) < seen->fail_first ? -1 : 0;
}

static ftl_tensor make(ftl_runtime *runtime, ftl_finalizer function, void *user)
{
    ftl_tensor tensor;
    ftl_tensor_options options = {.finalizer = function, .finalizer_user = user, .label = "stuck"};
    cr_assert_eq(ftl_bytes_new(runtime, 500, &options, &tensor), FTL_OK, "%s", ftl_last_error());
    return tensor;
}

Test(finalizers, run_once_and_elsewhere)
{
    ftl_runtime *runtime;
    struct seen seen = {.calls = 0};
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_OK);
    ftl_tensor tensor = make(runtime, finalizer, &seen);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(seen.calls, 1);
    cr_assert_not(pthread_equal(seen.thread, pthread_self()));
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(seen.calls, 1);
}

Test(finalizers, one_that_fails_is_tried_again)
{
    ftl_runtime *runtime;
    ftl_stats stats;
    struct seen seen = {.fail_first = 5};
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(make(runtime, finalizer, &seen)), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(seen.calls, 6);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.quarantined, 0);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(finalizers, one_that_never_works_is_quarantined_at_its_deadline)
{
    ftl_runtime *runtime;
    ftl_stats stats;
    ftl_tensor more;
    struct seen seen = {.fail_first = 1 << 30};
    ftl_open_options options = {.overrides = "actors.cleanup.deadline: 20ms\nactors.cleanup.quarantine_limit: 400B\n"};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_drop(make(runtime, finalizer, &seen)), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.quarantined, 1);
    cr_assert_eq(stats.quarantined_bytes, 500);
    cr_assert_eq(stats.pending, 0);
    cr_assert_eq(stats.created, stats.live + stats.pending + stats.reclaimed + stats.quarantined);
    cr_assert_eq(stats.committed_bytes, stats.live_bytes + stats.pending_bytes + stats.quarantined_bytes +
                                            stats.cached_bytes + stats.slack_bytes + stats.metadata_bytes);
    cr_assert_geq(seen.calls, 1); /* how often within 20 ms is the machine's affair: below, in virtual time */
    /* over the limit of the quarantine, what takes the slow way is refused */
    cr_assert_eq(ftl_bytes_new(runtime, 100000, NULL, &more), FTL_ELIMIT);
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.quarantined, 1);
    cr_assert_eq(report.leaked, 0);
}

Test(finalizers, the_waits_between_tries_double_and_the_last_try_is_at_the_deadline)
{
    ftl_runtime *runtime;
    ftl_stats stats;
    struct seen seen = {.fail_first = 1 << 30};
    ftl_open_options options = {.overrides = "actors.cleanup.deadline: 20ms\n"};
    cr_assert_eq(ftli_runtime_open_as(&options, true, 1, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_drop(make(runtime, finalizer, &seen)), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK, "%s", ftl_last_error());
    /* at 0, 1, 3, 7, 15 ms, and at the deadline */
    cr_assert_eq(seen.calls, 6, "%d calls", seen.calls);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.quarantined, 1);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

static int busy_finalizer(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct seen *seen = user;
    (void)tensor;
    (void)data;
    (void)bytes;
    seen->drain_status = ftl_runtime_drain(seen->runtime, 0);
    seen->close_status = ftl_runtime_close(seen->runtime, NULL);
    (void)ftl_tensor_drop(seen->other);
    ftl_tensor mine;
    if (ftl_bytes_new(seen->runtime, 64, NULL, &mine) != FTL_OK || ftl_tensor_drop(mine) != FTL_OK)
        return -1;
    atomic_fetch_add(&seen->calls, 1);
    return 0;
}

Test(finalizers, may_make_and_drop_but_not_drain_or_close)
{
    struct seen seen = {.calls = 0};
    cr_assert_eq(ftl_runtime_open(NULL, &seen.runtime), FTL_OK);
    cr_assert_eq(ftl_bytes_new(seen.runtime, 100000, NULL, &seen.other), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(make(seen.runtime, busy_finalizer, &seen)), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(seen.runtime, -1), FTL_OK);
    cr_assert_eq(seen.calls, 1);
    cr_assert_eq(seen.drain_status, FTL_EBUSY);
    cr_assert_eq(seen.close_status, FTL_EBUSY);
    cr_assert_not(ftl_tensor_alive(seen.other));
    cr_assert_eq(ftl_runtime_close(seen.runtime, NULL), FTL_OK);
}

Test(finalizers, without_threads_they_run_when_the_program_lends_its_own)
{
    ftl_runtime *runtime;
    struct seen seen = {.calls = 0};
    uint64_t left;
    ftl_open_options options = {
        .overrides = "threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n"};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_drop(make(runtime, finalizer, &seen)), FTL_OK);
    cr_assert_eq(seen.calls, 0);
    for (int i = 0; i < 1000 && seen.calls == 0; i++)
        cr_assert_eq(ftl_runtime_run(runtime, NULL, 1000000, &left), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(seen.calls, 1);
    cr_assert(pthread_equal(seen.thread, pthread_self()));
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

/* ---- await ------------------------------------------------------------------------------------------------------------- */

static const char *const policies[] = {"actors.cleanup.policy: auto\n", "actors.cleanup.policy: message\n"};
static const char without_threads[] =
    "threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n";

enum { SMALL = 100, MIDDLE = 100000, LARGE = 3000000 };

/* Dropped with each thing that may stand against it; by the time that await returns the figures count it. */
static void await_each_kind(ftl_runtime *runtime)
{
    struct seen seen = {.fail_first = 2};
    const ftl_tensor_options options[] = {{.label = "plain"},
                                          {.finalizer = finalizer, .finalizer_user = &seen, .label = "finalized"}};
    static const size_t sizes[] = {SMALL, MIDDLE, LARGE};
    for (unsigned i = 0; i < 6; i++) {
        ftl_tensor tensor = laws_new(runtime, sizes[i % 3], i < 3 ? NULL : &options[i % 2]);
        uint64_t reclaimed = laws_stats(runtime).reclaimed;
        cr_assert_eq(ftl_tensor_await(tensor, 0), FTL_ETIMEDOUT, "it is alive");
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
        cr_assert_eq(ftl_tensor_await(tensor, -1), FTL_OK, "%s", ftl_last_error());
        cr_assert_eq(laws_stats(runtime).reclaimed, reclaimed + 1, "kind %u", i);
        cr_assert_eq(ftl_tensor_await(tensor, 0), FTL_OK);
    }
    cr_assert_eq(seen.calls, 4, "two failures, and two that are done");
    ftl_tensor root = laws_new(runtime, SMALL, NULL), parent = laws_new(runtime, SMALL, NULL), view;
    const int64_t shape = 10;
    cr_assert_eq(ftl_tensor_view(root, 0, 1, &shape, NULL, &view), FTL_OK);
    cr_assert_eq(ftl_tensor_link(parent, view), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(view), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(root), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(parent), FTL_OK);
    cr_assert_eq(ftl_tensor_await(root, -1), FTL_OK, "the end of a cascade");
    cr_assert_eq(ftl_tensor_await(view, -1), FTL_OK);
    cr_assert_eq(ftl_tensor_await(parent, -1), FTL_OK);
    laws_settle(runtime);
}

Test(await, returns_when_the_tensor_is_reclaimed_and_counted)
{
    char overrides[400];
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(overrides, sizeof overrides, "%s%s", policies[i % 2], i < 2 ? "" : without_threads);
        ftl_runtime *runtime = laws_open(overrides);
        await_each_kind(runtime);
        laws_close(runtime);
    }
}

Test(await, what_is_no_ticket)
{
    ftl_runtime *runtime = laws_open(NULL);
    ftl_tensor tensor = laws_new(runtime, SMALL, NULL);
    cr_assert_eq(ftl_tensor_await((ftl_tensor){0}, -1), FTL_OK);
    cr_assert_eq(ftl_tensor_await((ftl_tensor){tensor.id + 5}, -1), FTL_ESTALE, "a generation to come");
    cr_assert_eq(ftl_tensor_await((ftl_tensor){tensor.id ^ UINT64_C(1) << 50}, -1), FTL_ESTALE, "no such slot");
    cr_assert_eq(ftl_tensor_await((ftl_tensor){tensor.id ^ UINT64_C(1) << 63}, -1), FTL_ESTALE, "no such runtime");
    cr_assert_eq(ftl_tensor_await(tensor, 1000), FTL_ETIMEDOUT);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_await(tensor, -1), FTL_OK);
    laws_close(runtime);
    cr_assert_eq(ftl_tensor_await(tensor, -1), FTL_ECLOSED);
}

struct awaiter {
    pthread_t thread;
    ftl_tensor tensor;
    atomic_bool began;
    int64_t timeout_ns;
    int status;
};

static void *awaits(void *argument)
{
    struct awaiter *awaiter = argument;
    atomic_store(&awaiter->began, true);
    awaiter->status = ftl_tensor_await(awaiter->tensor, awaiter->timeout_ns);
    return NULL;
}

static void start_awaiting(struct awaiter *awaiter, ftl_tensor tensor)
{
    *awaiter = (struct awaiter){.tensor = tensor, .timeout_ns = -1, .status = 1};
    cr_assert_eq(pthread_create(&awaiter->thread, NULL, awaits, awaiter), 0);
}

/* Somebody waits for it: it is known by the announcement. */
static bool has_waiters(ftl_runtime *runtime, uint32_t n)
{
    return ftli_u32_load_seq_cst(&runtime->cleanup.reclaimed.waiters) >= n;
}

static bool is_awaited(ftl_tensor tensor)
{
    struct ftli_header *header = ftli_registry_find(tensor.id);
    return (ftli_record_flags(ftli_u64_load_acquire(&header->record)) & FTLI_HEADER_AWAITED) != 0;
}

/* Whoever drops it last, and however: at once, from a pin's end, a link's, a scope's. */
Test(await, waits_while_somebody_still_has_it)
{
    for (unsigned policy = 0; policy < 2; policy++) {
        ftl_runtime *runtime = laws_open(policies[policy]);
        struct awaiter awaiters[4];
        ftl_scope scope;
        cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
        ftl_tensor_options scoped = {.scope = scope};
        ftl_tensor plain = laws_new(runtime, SMALL, NULL), pinned = laws_new(runtime, MIDDLE, NULL);
        ftl_tensor member = laws_new(runtime, SMALL, &scoped), large = laws_new(runtime, LARGE, NULL);
        cr_assert_not_null(ftl_tensor_pin(pinned));
        cr_assert_eq(ftl_tensor_drop(pinned), FTL_OK);
        cr_assert_eq(ftl_tensor_retain(plain), FTL_OK);
        start_awaiting(&awaiters[0], plain);
        start_awaiting(&awaiters[1], pinned);
        start_awaiting(&awaiters[2], member);
        start_awaiting(&awaiters[3], large);
        UNTIL(is_awaited(plain) && is_awaited(pinned) && is_awaited(member) && is_awaited(large));
        cr_assert_eq(laws_stats(runtime).live, 3, "one who waits holds nothing");
        cr_assert_eq(ftl_tensor_drop(plain), FTL_OK);
        cr_assert(ftl_tensor_alive(plain));
        cr_assert_eq(ftl_tensor_drop(plain), FTL_OK);
        cr_assert_not(ftl_tensor_alive(plain));
        ftl_tensor_unpin(pinned);
        cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
        cr_assert_eq(ftl_tensor_drop(large), FTL_OK);
        for (unsigned i = 0; i < 4; i++) {
            (void)pthread_join(awaiters[i].thread, NULL);
            cr_assert_eq(awaiters[i].status, FTL_OK, "%u", i);
        }
        laws_settle(runtime);
        laws_close(runtime);
    }
}

/* One makes and drops, another awaits each, at whatever step of the drop that falls. */
struct race {
    ftl_runtime *runtime;
    _Atomic uint64_t offered, awaited, finalized;
    unsigned rounds;
};

enum { WITH_FINALIZER = 7 }; /* every so many rounds */

static int notes_whose(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct race *race = user;
    (void)data;
    (void)bytes;
    atomic_store(&race->finalized, tensor.id);
    return 0;
}

static void *awaits_each(void *argument)
{
    struct race *race = argument;
    uint64_t before = 0;
    for (unsigned i = 0; i < race->rounds; i++) {
        uint64_t id;
        while ((id = atomic_load(&race->offered)) == before)
            sched_yield();
        before = id;
        EXPECT(ftl_tensor_await((ftl_tensor){id}, -1) == FTL_OK);
        EXPECT(!ftl_tensor_alive((ftl_tensor){id}));
        EXPECT(i % WITH_FINALIZER != 0 || atomic_load(&race->finalized) == id);
        atomic_store(&race->awaited, id);
    }
    return NULL;
}

Test(await, never_misses_the_drop)
{
    for (unsigned policy = 0; policy < 2; policy++) {
        struct race race = {.runtime = laws_open(policies[policy]), .rounds = LAWS_SANITIZED ? 300 : 2000};
        static const size_t sizes[] = {SMALL, MIDDLE, LARGE, 0};
        const ftl_tensor_options labelled = {.label = "raced"};
        const ftl_tensor_options finalized = {.finalizer = notes_whose, .finalizer_user = &race};
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, awaits_each, &race), 0);
        for (unsigned i = 0; i < race.rounds; i++) {
            ftl_tensor tensor = laws_new(race.runtime, sizes[i % 4],
                                         i % WITH_FINALIZER == 0 ? &finalized
                                         : i % 3 == 0            ? &labelled
                                                                 : NULL);
            atomic_store(&race.offered, tensor.id);
            for (unsigned k = 0; k < i % 64; k++)
                ftli_cpu_relax();
            if (i % 5 == 0)
                sched_yield();
            cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
            UNTIL(atomic_load(&race.awaited) == tensor.id);
        }
        (void)pthread_join(thread, NULL);
        expect_nothing_failed();
        laws_settle(race.runtime);
        laws_close(race.runtime);
    }
}

/* Many on one tensor; some give up before it is dropped, and their mark does no harm. */
Test(await, by_many_threads_of_one_tensor)
{
    enum { AWAITERS = 8 };
    struct awaiter awaiters[AWAITERS];
    ftl_runtime *runtime = laws_open(NULL);
    ftl_tensor tensor = laws_new(runtime, MIDDLE, NULL);
    for (unsigned i = 0; i < AWAITERS; i++) {
        awaiters[i] = (struct awaiter){.tensor = tensor, .timeout_ns = i % 2 == 0 ? -1 : 1000, .status = 1};
        cr_assert_eq(pthread_create(&awaiters[i].thread, NULL, awaits, &awaiters[i]), 0);
    }
    for (unsigned i = 1; i < AWAITERS; i += 2) {
        (void)pthread_join(awaiters[i].thread, NULL);
        cr_assert_eq(awaiters[i].status, FTL_ETIMEDOUT);
    }
    UNTIL(has_waiters(runtime, AWAITERS / 2));
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    for (unsigned i = 0; i < AWAITERS; i += 2) {
        (void)pthread_join(awaiters[i].thread, NULL);
        cr_assert_eq(awaiters[i].status, FTL_OK);
    }
    cr_assert_eq(laws_stats(runtime).reclaimed, 1);
    laws_settle(runtime);
    laws_close(runtime);
}

static int asks_inside(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct seen *seen = user;
    (void)data;
    (void)bytes;
    seen->drain_status = ftl_tensor_await(tensor, -1);
    seen->close_status = ftl_tensor_await(seen->other, 0);
    atomic_fetch_add(&seen->calls, 1);
    return 0;
}

Test(await, from_inside_a_callback_only_looks)
{
    struct seen seen = {.runtime = laws_open(NULL)};
    seen.other = laws_new(seen.runtime, SMALL, NULL);
    ftl_tensor tensor = make(seen.runtime, asks_inside, &seen);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_await(tensor, -1), FTL_OK);
    cr_assert_eq(seen.calls, 1);
    cr_assert_eq(seen.drain_status, FTL_EBUSY);
    cr_assert_eq(seen.close_status, FTL_ETIMEDOUT);
    cr_assert_eq(ftl_tensor_drop(seen.other), FTL_OK);
    laws_close(seen.runtime);
}

Test(await, close_ends_it)
{
    struct awaiter awaiter;
    ftl_runtime *runtime = laws_open(NULL);
    ftl_tensor tensor = laws_new(runtime, SMALL, NULL);
    ftl_close_report report;
    start_awaiting(&awaiter, tensor);
    UNTIL(is_awaited(tensor) && has_waiters(runtime, 1));
    UNTIL(ftl_runtime_close(runtime, &report) == FTL_OK); /* FTL_EBUSY: no processor for it within a second */
    (void)pthread_join(awaiter.thread, NULL);
    cr_assert_eq(awaiter.status, FTL_ECLOSED);
    cr_assert_eq(report.leaked, 1);
    ftl_leak_report_free(report.leaks);
}

/* The cleanup is restarted again and again while a thread awaits: what is in hand comes back, and the wake-up with it. */
Test(await, over_restarts_of_the_cleanup)
{
    ftl_runtime *runtime;
    struct seen seen = {.fail_first = 1};
    ftl_open_options options = {
        .overrides = "supervision.restarts: 1000\nactors.cleanup.policy: message\nactors.cleanup.deadline: 1h\n"};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        cr_assert_eq(ftli_runtime_open_as(&options, true, seed, &runtime), FTL_OK, "%s", ftl_last_error());
        ftli_simulation_set_faults(runtime->kernel, &(ftli_simulation_faults){.kill = 0.3, .receive_fails = 0.2});
        seen.calls = 0;
        ftl_tensor a = make(runtime, finalizer, &seen), b = laws_new(runtime, MIDDLE, NULL);
        cr_assert_eq(ftl_tensor_drop(a), FTL_OK);
        cr_assert_eq(ftl_tensor_drop(b), FTL_OK);
        int status = ftl_tensor_await(a, INT64_C(30) * 1000 * 1000 * 1000);
        ftli_simulation_set_faults(runtime->kernel, &(ftli_simulation_faults){0});
        if (status == FTL_ETIMEDOUT)
            status = ftl_tensor_await(a, -1);
        cr_assert_eq(status, FTL_OK, "seed %llu: %s", (unsigned long long)seed, ftl_last_error());
        cr_assert_eq(ftl_tensor_await(b, -1), FTL_OK);
        cr_assert_eq(seen.calls, 2, "seed %llu: %d calls", (unsigned long long)seed, seen.calls);
        laws_settle(runtime);
        laws_close(runtime);
    }
}

/* ---- retried by an operator ------------------------------------------------------------------------------------------- */

struct patient {
    atomic_bool works;
    atomic_int calls, done;
};

static int works_when_told(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct patient *patient = user;
    (void)tensor;
    memset(data, 0x22, bytes);
    atomic_fetch_add(&patient->calls, 1);
    if (!atomic_load(&patient->works))
        return -5;
    atomic_fetch_add(&patient->done, 1);
    return 0;
}

enum { PATIENTS = 40, OPERATORS = 3 };

struct ward {
    ftl_runtime *runtime;
    struct patient patients[PATIENTS];
    ftl_tensor tensors[PATIENTS];
    atomic_bool over;
    atomic_int accepted;
};

static int ignore_text(const char *text, size_t n, void *user)
{
    (void)text, (void)n, (void)user;
    return 0;
}

/* Any of them, again and again; and at any time the figures are those of a moment. */
static void *operates(void *argument)
{
    struct ward *ward = argument;
    uint64_t random = (uint64_t)(uintptr_t)&random | 1;
    while (!atomic_load(&ward->over)) {
        char request[40];
        uint64_t i = laws_random(&random) % PATIENTS;
        (void)snprintf(request, sizeof request, "retry 0x%llx", (unsigned long long)ward->tensors[i].id);
        int status = ftl_runtime_control(ward->runtime, request, ignore_text, NULL);
        EXPECT(status == FTL_OK || status == FTL_EBUSY || status == FTL_ESTALE);
        if (status == FTL_OK)
            atomic_fetch_add(&ward->accepted, 1);
        ftl_stats s = laws_stats(ward->runtime);
        EXPECT(s.quarantined <= PATIENTS && s.pending <= PATIENTS && s.quarantined_bytes <= PATIENTS * 500);
    }
    return NULL;
}

Test(retry, by_many_operators_at_once_each_tensor_ends_once)
{
    static struct ward ward;
    pthread_t operators[OPERATORS];
    ward.runtime = laws_open("actors.cleanup.deadline: 1ms\nthreads.finalizers.count: 2\n");
    for (unsigned i = 0; i < PATIENTS; i++) {
        ward.tensors[i] = make(ward.runtime, works_when_told, &ward.patients[i]);
        cr_assert_eq(ftl_tensor_drop(ward.tensors[i]), FTL_OK);
    }
    for (unsigned i = 0; i < PATIENTS; i++)
        cr_assert_eq(ftl_tensor_await(ward.tensors[i], -1), FTL_EINTERNAL);
    cr_assert_eq(laws_stats(ward.runtime).quarantined, PATIENTS);
    for (unsigned i = 0; i < OPERATORS; i++)
        cr_assert_eq(pthread_create(&operators[i], NULL, operates, &ward), 0);
    UNTIL(atomic_load(&ward.accepted) >= 2 * PATIENTS); /* failing again and again */
    for (unsigned i = 0; i < PATIENTS; i++)
        atomic_store(&ward.patients[i].works, true);
    UNTIL(laws_stats(ward.runtime).reclaimed == PATIENTS);
    atomic_store(&ward.over, true);
    for (unsigned i = 0; i < OPERATORS; i++)
        (void)pthread_join(operators[i], NULL);
    expect_nothing_failed();
    for (unsigned i = 0; i < PATIENTS; i++) {
        cr_assert_eq(ftl_tensor_await(ward.tensors[i], 0), FTL_OK);
        cr_assert_eq(ward.patients[i].done, 1, "tensor %u: its finalizer was done %d times", i, ward.patients[i].done);
    }
    laws_settle(ward.runtime);
    cr_assert_eq(laws_stats(ward.runtime).quarantined, 0);
    laws_close(ward.runtime);
}

/* ---- one that does not return ------------------------------------------------------------------------------------------ */

struct gate {
    atomic_bool entered, open;
    atomic_int passed;
};

static int stands_until_told(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct gate *gate = user;
    (void)tensor, (void)data, (void)bytes;
    atomic_store(&gate->entered, true);
    UNTIL(atomic_load(&gate->open));
    return 0;
}

static int passes(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct gate *gate = user;
    (void)tensor, (void)data, (void)bytes;
    atomic_fetch_add(&gate->passed, 1);
    return 0;
}

/* More than the workers can see at once. */
static void all_others_pass(struct gate *gate, ftl_runtime *runtime, const ftl_tensor *before)
{
    enum { OTHERS = 3 * FTLI_FINALIZERS_READY };
    ftl_tensor others[OTHERS];
    for (unsigned i = 0; i < OTHERS; i++)
        others[i] = make(runtime, passes, gate);
    if (before != NULL)
        cr_assert_eq(ftl_tensor_drop(*before), FTL_OK);
    for (unsigned i = 0; i < OTHERS; i++)
        cr_assert_eq(ftl_tensor_drop(others[i]), FTL_OK);
    for (unsigned i = 0; i < OTHERS; i++)
        cr_assert_eq(ftl_tensor_await(others[i], -1), FTL_OK);
    cr_assert_eq(gate->passed, OTHERS);
}

static void one_stands(bool in_a_burst)
{
    static struct gate gate;
    ftl_runtime *runtime = laws_open("threads.finalizers.count: 2\nactors.cleanup.deadline: 1h\n");
    ftl_tensor stands = make(runtime, stands_until_told, &gate);
    if (!in_a_burst) {
        cr_assert_eq(ftl_tensor_drop(stands), FTL_OK);
        UNTIL(atomic_load(&gate.entered));
    }
    all_others_pass(&gate, runtime, in_a_burst ? &stands : NULL);
    UNTIL(atomic_load(&gate.entered));
    ftl_stats stats = laws_stats(runtime);
    cr_assert_eq(stats.pending, 1, "%llu wait", (unsigned long long)stats.pending);
    UNTIL(laws_stats(runtime).oldest_pending_ns > 0);
    atomic_store(&gate.open, true);
    cr_assert_eq(ftl_tensor_await(stands, -1), FTL_OK);
    laws_close(runtime);
}

Test(finalizers, one_that_does_not_return_holds_up_no_other)
{
    one_stands(false);
}

Test(finalizers, one_that_does_not_return_holds_up_no_other_of_its_batch)
{
    one_stands(true);
}

/* In the place of its first receive: what made it receive was for it alone, and is with the other worker all the same. */
Test(finalizers, a_worker_that_goes_down_leaves_all_to_the_other)
{
    struct gate gate = {.passed = 0};
    ftl_runtime *runtime = laws_open("threads.finalizers.count: 2\nsupervision.restarts: 0\n");
    cr_assert_eq(ftl_runtime_control(runtime, "kill finalizer-a", ignore_text, NULL), FTL_OK, "%s", ftl_last_error());
    all_others_pass(&gate, runtime, NULL);
    UNTIL(ftli_actor_is_down(runtime->cleanup.workers[0].actor));
    gate.passed = 0;
    all_others_pass(&gate, runtime, NULL);
    laws_close(runtime);
}
