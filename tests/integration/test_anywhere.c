/* Drops from everywhere: inside finalizers and the functions that hear of events, in the destructors of a thread that ends, by threads that never
 * called anything else, of what others pin, by many at once, and while the program ends. Each is reclaimed once; that is counted. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "actors/port/port.h"
#include "tests/support/laws.h"

TestSuite(anywhere, .timeout = 120);

#if defined \
    __SANITIZE_THREAD__ /* it ends the thread in the last round but one, and knows no threads that begin in a forked child */
#define DESTRUCTOR_ROUNDS 2u
#define CHILDS_THREADS    "threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n"
#else
#define DESTRUCTOR_ROUNDS 4u
#define CHILDS_THREADS    ""
#endif

extern int __cxa_thread_atexit_impl(void (*)(void *), void *,
                                    void *); /* what thread_local destructors of C++ are to libc */

static atomic_ulong made, finalized;

static int counts(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)user;
    int again = ftl_tensor_drop(tensor);
    EXPECT(!ftl_tensor_alive(tensor) && (again == FTL_ESTALE || again == FTL_ECLOSED /* close runs what is left */));
    if (bytes != 0)
        memset(data, 0x5a, bytes);
    atomic_fetch_add(&finalized, 1);
    return 0;
}

/* Its end is counted, whatever its size. */
static ftl_tensor counted(ftl_runtime *runtime, size_t bytes)
{
    ftl_tensor_options options = {.finalizer = counts};
    atomic_fetch_add(&made, 1);
    return laws_new(runtime, bytes, &options);
}

/* One of each way that a drop can take: in place, to a shard, to the cleanup; with something that holds it, or that it holds. */
static void make_and_drop_one_of_each(ftl_runtime *runtime)
{
    static const size_t sizes[] = {16, 3000, 100000, 3 << 20};
    int64_t n = 10;
    for (unsigned i = 0; i < 4; i++)
        EXPECT(ftl_tensor_drop(laws_new(runtime, sizes[i], NULL)) == FTL_OK);
    ftl_tensor base = counted(runtime, 5000), view = {0}, parent = counted(runtime, 16), child = counted(runtime, 16);
    EXPECT(ftl_tensor_view(base, 0, 1, &n, NULL, &view) == FTL_OK);
    EXPECT(ftl_tensor_link(parent, child) == FTL_OK);
    EXPECT(ftl_tensor_pin(base) != NULL);
    EXPECT(ftl_tensor_drop(child) == FTL_OK && ftl_tensor_drop(base) == FTL_OK && ftl_tensor_drop(parent) == FTL_OK);
    ftl_tensor_unpin(base);
    EXPECT(ftl_tensor_drop(view) == FTL_OK && ftl_tensor_drop(view) == FTL_ESTALE);
}

/* What was made is done, and nothing twice: drops that were made inside of finalizers are no part of what a drain waits for. */
static void settle_and_close(ftl_runtime *runtime)
{
    UNTIL(ftl_runtime_drain(runtime, -1) == FTL_OK && laws_stats(runtime).live == 0);
    laws_settle(runtime);
    ftl_stats s = laws_stats(runtime);
    laws_print(&s);
    cr_assert_eq(s.live, 0);
    cr_assert_eq(s.reclaimed, s.created);
    cr_assert_eq(s.unpins_without_pin, 0);
    cr_assert_eq(atomic_load(&finalized), atomic_load(&made));
    laws_close(runtime);
    cr_assert_eq(atomic_load(&finalized), atomic_load(&made));
    expect_nothing_failed();
}

/* ---- inside of finalizers and callbacks ------------------------------------------------------------------------------- */

struct nested {
    ftl_runtime *runtime;
    unsigned depth;
};

static int makes_and_drops(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    static struct nested below[4];
    const struct nested *nested = user;
    make_and_drop_one_of_each(nested->runtime);
    if (nested->depth > 0) {
        below[nested->depth - 1] = (struct nested){nested->runtime, nested->depth - 1};
        ftl_tensor_options options = {.finalizer = makes_and_drops, .finalizer_user = &below[nested->depth - 1]};
        for (unsigned i = 0; i < 3; i++) {
            atomic_fetch_add(&made, 1);
            EXPECT(ftl_tensor_drop(laws_new(nested->runtime, 100, &options)) == FTL_OK);
        }
    }
    return counts(tensor, data, bytes, NULL);
}

static void drop_inside_finalizers(const char *overrides)
{
    struct nested top = {laws_open(overrides), 4};
    ftl_tensor_options options = {.finalizer = makes_and_drops, .finalizer_user = &top};
    atomic_fetch_add(&made, 1);
    cr_assert_eq(ftl_tensor_drop(laws_new(top.runtime, 100, &options)), FTL_OK);
    /* 1 + 3 + 9 + 27 + 81 of these, each with three that it makes */
    UNTIL(ftl_runtime_drain(top.runtime, -1) == FTL_OK && atomic_load(&finalized) == 121 * 4);
    settle_and_close(top.runtime);
}

Test(anywhere, inside_a_finalizer)
{
    drop_inside_finalizers("threads.finalizers.count: 1\n"); /* `below` is one thread's */
}

Test(anywhere, inside_a_finalizer_that_the_program_lends_its_thread)
{
    drop_inside_finalizers("threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n");
}

struct listener {
    ftl_runtime *runtime;
    atomic_uint pressure, limit, quarantine;
};

static void drops_when_told(const ftl_event *event, void *user)
{
    struct listener *listener = user;
    make_and_drop_one_of_each(listener->runtime);
    EXPECT(ftl_runtime_drain(listener->runtime, -1) == FTL_EBUSY);
    EXPECT(ftl_runtime_close(listener->runtime, NULL) == FTL_EBUSY);
    EXPECT(ftl_runtime_run(listener->runtime, NULL, 1000, NULL) == FTL_EBUSY);
    if (event->kind == FTL_EVENT_QUARANTINE) { /* why, and how often it was tried */
        char tries[80];
        snprintf(tries, sizeof tries, "its finalizer failed %llu times, the last time with status -1",
                 (unsigned long long)event->count);
        EXPECT(strstr(event->text, "its deadline is over") != NULL && strstr(event->text, tries) != NULL);
    }
    atomic_fetch_add(event->kind == FTL_EVENT_PRESSURE ? &listener->pressure
                     : event->kind == FTL_EVENT_LIMIT  ? &listener->limit
                                                       : &listener->quarantine,
                     1);
}

static int never_works(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    (void)user;
    return -1;
}

Test(anywhere, inside_of_what_hears_of_events)
{
    struct listener listener = {
        .runtime = laws_open("devices.cpu.limit: 128MiB\nactors.allocation.wait: 0ms\nactors.cleanup.deadline: 1ms\n")};
    ftl_tensor_options bad = {.finalizer = never_works};
    ftl_tensor large, refused;
    uint64_t id, pressure_id;
    cr_assert_eq(
        ftl_subscribe(listener.runtime, FTL_EVENT_LIMIT | FTL_EVENT_QUARANTINE, drops_when_told, &listener, &id),
        FTL_OK);
    cr_assert_eq(ftl_pressure_subscribe(listener.runtime, drops_when_told, &listener, &pressure_id), FTL_OK);
    cr_assert_eq(ftl_bytes_new(listener.runtime, (size_t)100 << 20, NULL, &large), FTL_OK, "%s", ftl_last_error());
    UNTIL(atomic_load(&listener.pressure) != 0);
    for (unsigned i = 1; i <= 5; i++) {
        cr_assert_eq(ftl_bytes_new(listener.runtime, (size_t)100 << 20, NULL, &refused), FTL_ELIMIT);
        cr_assert_eq(ftl_tensor_drop(laws_new(listener.runtime, 100, &bad)), FTL_OK);
        UNTIL(atomic_load(&listener.quarantine) == i);
    }
    cr_assert_eq(ftl_tensor_drop(large), FTL_OK);
    UNTIL(atomic_load(&listener.limit) != 0);
    cr_assert_eq(ftl_unsubscribe(listener.runtime, id), FTL_OK);
    cr_assert_eq(ftl_unsubscribe(listener.runtime, pressure_id), FTL_OK);
    UNTIL(ftl_runtime_drain(listener.runtime, -1) == FTL_OK && atomic_load(&finalized) == atomic_load(&made));
    ftl_stats s = laws_stats(listener.runtime);
    cr_assert_eq(s.quarantined, 5);
    cr_assert_eq(s.reclaimed + s.quarantined, s.created);
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(listener.runtime, &report), FTL_OK);
    cr_assert_eq(report.leaked + report.undone, 0);
    cr_assert_eq(report.quarantined, 5);
    cr_assert_eq(atomic_load(&finalized), atomic_load(&made));
    expect_nothing_failed();
}

/* ---- threads that end, and threads that only drop ----------------------------------------------------------------------- */

static pthread_key_t key;

struct leaving {
    ftl_runtime *runtime;
    ftl_tensor tensors[6], pinned;
    ftl_scope scope;
    unsigned rounds; /* of the key's destructor */
    bool works_before;
};

/* libc calls it again while it leaves a value: the last time nothing of the thread is left but itself. */
static void on_key(void *argument)
{
    struct leaving *leaving = argument;
    unsigned round = leaving->rounds++;
    EXPECT(ftl_tensor_drop(leaving->tensors[2 + round]) == FTL_OK);
    if (round == 0) {
        ftl_tensor_unpin(leaving->pinned);
        EXPECT(ftl_scope_end(leaving->scope, NULL) == FTL_OK);
        EXPECT(ftl_tensor_drop(laws_new(leaving->runtime, 700, NULL)) == FTL_OK);
    }
    if (round + 1 == DESTRUCTOR_ROUNDS)
        for (unsigned i = 2 + DESTRUCTOR_ROUNDS; i < 6; i++)
            EXPECT(ftl_tensor_drop(leaving->tensors[i]) == FTL_OK);
    else
        EXPECT(pthread_setspecific(key, leaving) == 0);
}

static void on_thread_local(void *argument)
{
    struct leaving *leaving = argument;
    EXPECT(ftl_tensor_drop(leaving->tensors[0]) == FTL_OK);
    EXPECT(ftl_tensor_drop(leaving->tensors[1]) == FTL_OK);
    make_and_drop_one_of_each(leaving->runtime);
}

static void *leaves(void *argument)
{
    struct leaving *leaving = argument;
    if (leaving->works_before)
        make_and_drop_one_of_each(leaving->runtime);
    EXPECT(pthread_setspecific(key, leaving) == 0);
    EXPECT(__cxa_thread_atexit_impl(on_thread_local, leaving, &key) == 0);
    if (leaving->works_before)
        pthread_exit(NULL);
    return NULL;
}

static void prepare(struct leaving *leaving, ftl_runtime *runtime, bool works_before)
{
    static const size_t sizes[] = {64, 100000, 64, 3 << 20, 800, 20000};
    *leaving = (struct leaving){.runtime = runtime, .works_before = works_before};
    for (unsigned i = 0; i < 6; i++)
        leaving->tensors[i] = i % 2 == 0 ? counted(runtime, sizes[i]) : laws_new(runtime, sizes[i], NULL);
    leaving->pinned = counted(runtime, 128);
    EXPECT(ftl_tensor_pin(leaving->pinned) != NULL && ftl_tensor_drop(leaving->pinned) == FTL_OK);
    EXPECT(ftl_scope_begin(runtime, "thread", &leaving->scope) == FTL_OK);
    ftl_tensor_options scoped = {.scope = leaving->scope};
    (void)laws_new(runtime, 300, &scoped);
}

static void end_threads(const char *overrides)
{
    enum { AT_ONCE = 4 };
    ftl_runtime *runtime = laws_open(overrides);
    cr_assert_eq(pthread_key_create(&key, on_key), 0);
    for (unsigned round = 0; round < (LAWS_SANITIZED ? 10 : 50); round++) {
        struct leaving leaving[AT_ONCE];
        pthread_t threads[AT_ONCE];
        for (unsigned i = 0; i < AT_ONCE; i++)
            prepare(&leaving[i], runtime, i % 2 == 0);
        for (unsigned i = 0; i < AT_ONCE; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, leaves, &leaving[i]), 0);
        for (unsigned i = 0; i < AT_ONCE; i++) {
            (void)pthread_join(threads[i], NULL);
            cr_assert_eq(leaving[i].rounds, DESTRUCTOR_ROUNDS);
        }
    }
    settle_and_close(runtime);
    (void)pthread_key_delete(key);
}

Test(anywhere, in_the_destructors_of_a_thread)
{
    end_threads(NULL);
}

Test(anywhere, in_the_destructors_of_a_thread_where_every_drop_is_a_message)
{
    end_threads("actors.cleanup.policy: message\n");
}

struct late {
    pthread_barrier_t closed;
    struct leaving leaving;
};

static void on_late(void *argument)
{
    struct late *late = argument;
    for (unsigned i = 0; i < 6; i++) {
        int status = ftl_tensor_drop(late->leaving.tensors[i]);
        EXPECT(status == FTL_ECLOSED || status == FTL_ESTALE);
    }
    ftl_tensor_unpin(late->leaving.pinned);
}

static void *leaves_late(void *argument)
{
    struct late *late = argument;
    make_and_drop_one_of_each(late->leaving.runtime);
    EXPECT(__cxa_thread_atexit_impl(on_late, late, &key) == 0);
    EXPECT(pthread_setspecific(key, late) == 0);
    (void)pthread_barrier_wait(&late->closed);
    (void)pthread_barrier_wait(&late->closed);
    return NULL;
}

/* The runtime is gone when the destructors run, and in the second round another one has its place. */
Test(anywhere, in_the_destructors_of_a_thread_that_outlives_the_runtime)
{
    cr_assert_eq(pthread_key_create(&key, on_late), 0);
    for (unsigned round = 0; round < 2; round++) {
        struct late late;
        pthread_t thread;
        ftl_runtime *next = NULL;
        ftl_close_report report;
        (void)pthread_barrier_init(&late.closed, NULL, 2);
        prepare(&late.leaving, laws_open("runtime.drain_on_close: 10ms\n"), true);
        cr_assert_eq(pthread_create(&thread, NULL, leaves_late, &late), 0);
        (void)pthread_barrier_wait(&late.closed);
        cr_assert_eq(ftl_runtime_close(late.leaving.runtime, &report), FTL_OK, "%s", ftl_last_error());
        cr_assert_eq(report.leaked, 7); /* six, and the scope's */
        cr_assert_eq(report.pinned, 1);
        ftl_leak_report_free(report.leaks);
        if (round == 1)
            next = laws_open(NULL);
        (void)pthread_barrier_wait(&late.closed);
        (void)pthread_join(thread, NULL);
        if (next != NULL) {
            cr_assert_eq(laws_stats(next).stale_handles, 0);
            laws_close(next);
        }
    }
    expect_nothing_failed();
}

static void *drops_one(void *argument)
{
    ftl_tensor *tensor = argument;
    EXPECT(ftl_tensor_drop(*tensor) == FTL_OK); /* its first call, and its last */
    return NULL;
}

static void *makes_some(void *argument)
{
    ftl_tensor *tensors = argument;
    ftl_runtime *runtime = *(ftl_runtime **)(void *)&tensors[8];
    static const size_t sizes[] = {16, 2000, 70000, 2 << 20};
    for (unsigned i = 0; i < 8; i++)
        tensors[i] = i % 2 == 0 ? counted(runtime, sizes[i / 2]) : laws_new(runtime, sizes[i / 2], NULL);
    return NULL;
}

/* Made by a thread that is dead, whose port may serve another by then; dropped by threads that never do anything else. */
Test(anywhere, by_threads_that_only_drop_what_the_dead_have_made)
{
    ftl_runtime *runtime = laws_open(NULL);
    for (unsigned round = 0; round < (LAWS_SANITIZED ? 10 : 60); round++) {
        ftl_tensor tensors[9];
        pthread_t maker, droppers[8];
        memcpy(&tensors[8], &runtime, sizeof runtime);
        cr_assert_eq(pthread_create(&maker, NULL, makes_some, tensors), 0);
        (void)pthread_join(maker, NULL);
        for (unsigned i = 0; i < 8; i++)
            cr_assert_eq(pthread_create(&droppers[i], NULL, drops_one, &tensors[i]), 0);
        for (unsigned i = 0; i < 8; i++)
            (void)pthread_join(droppers[i], NULL);
    }
    settle_and_close(runtime);
}

/* ---- at once ------------------------------------------------------------------------------------------------------------ */

enum { RACERS = 4, RACES = 400 };

struct race {
    ftl_runtime *runtime;
    pthread_barrier_t line;
    ftl_tensor tensors[RACES];
    atomic_ulong wins, losses, pins, missed_pins;
    unsigned races;
};

/* One reference each, and everybody drops it: one of them had it. */
static void *races_to_drop(void *argument)
{
    struct race *race = argument;
    for (unsigned i = 0; i < race->races; i++) {
        if (i % 16 == 0)
            (void)pthread_barrier_wait(&race->line);
        int status = ftl_tensor_drop(race->tensors[i]);
        EXPECT(status == FTL_OK || status == FTL_ESTALE);
        atomic_fetch_add(status == FTL_OK ? &race->wins : &race->losses, 1);
    }
    return NULL;
}

static void *pins_and_looks(void *argument)
{
    struct race *race = argument;
    for (unsigned i = 0; i < race->races; i++) {
        if (i % 16 == 0)
            (void)pthread_barrier_wait(&race->line);
        for (unsigned n = 0; n < 4; n++) {
            const unsigned char *data = ftl_tensor_pin(race->tensors[i]);
            atomic_fetch_add(data != NULL ? &race->pins : &race->missed_pins, 1);
            if (data == NULL)
                continue;
            EXPECT(data[0] == (unsigned char)i &&
                   data[ftl_tensor_bytes(race->tensors[i]) != 0 ? 15 : 0] == (unsigned char)i);
            if (n % 2 == 0)
                EXPECT(ftl_tensor_retain(race->tensors[i]) != FTL_OK || ftl_tensor_drop(race->tensors[i]) == FTL_OK);
            ftl_tensor_unpin(race->tensors[i]);
        }
    }
    return NULL;
}

static void race(const char *overrides, void *(*first)(void *), void *(*others)(void *))
{
    static const size_t sizes[] = {16, 3000, 100000, 2 << 20};
    static struct race race;
    pthread_t threads[RACERS];
    memset(&race, 0, sizeof race);
    race.runtime = laws_open(overrides);
    race.races = LAWS_SANITIZED ? RACES / 4 : RACES;
    (void)pthread_barrier_init(&race.line, NULL, RACERS);
    for (unsigned i = 0; i < race.races; i++) {
        size_t bytes = sizes[i % 16 == 0 ? 3 : i % 3];
        race.tensors[i] = i % 2 == 0 ? counted(race.runtime, bytes) : laws_new(race.runtime, bytes, NULL);
        memset(ftl_tensor_data(race.tensors[i]), (int)i, 16);
    }
    for (unsigned i = 0; i < RACERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, i == 0 ? first : others, &race), 0);
    for (unsigned i = 0; i < RACERS; i++)
        (void)pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&race.wins), race.races);
    fprintf(stderr, "%lu refused drops, %lu pins, %lu that came too late\n", atomic_load(&race.losses),
            atomic_load(&race.pins), atomic_load(&race.missed_pins));
    settle_and_close(race.runtime);
}

Test(anywhere, by_many_threads_at_once_and_one_has_it)
{
    race(NULL, races_to_drop, races_to_drop);
}

Test(anywhere, by_many_threads_at_once_where_every_drop_is_a_message)
{
    race("actors.cleanup.policy: message\n", races_to_drop, races_to_drop);
}

Test(anywhere, while_other_threads_pin)
{
    race(NULL, races_to_drop, pins_and_looks);
}

Test(anywhere, while_other_threads_pin_where_every_drop_is_a_message)
{
    race("actors.cleanup.policy: message\n", races_to_drop, pins_and_looks);
}

/* ---- while the program ends ------------------------------------------------------------------------------------------------ */

enum { GOOD = 77 };

static struct ending {
    ftl_runtime *runtime;
    ftl_tensor tensors[8];
    bool closed, in_callback;
    atomic_bool over;
} ending;

static void say_and_end(int line, const char *what)
{
    fprintf(stderr, "child: line %d: %s\n", line, what);
    _exit(1);
}

#define OR_DIE(condition) ((condition) ? (void)0 : say_and_end(__LINE__, #condition))

/* The last of the program's code: it may drop, and it may close, but not from inside a callback. */
static void at_the_end(void)
{
    for (unsigned i = 0; i < 8; i++) {
        int status = ftl_tensor_drop(ending.tensors[i]);
        OR_DIE(ending.closed ? status == FTL_ECLOSED || status == FTL_ESTALE : status == FTL_OK);
    }
    atomic_store(&ending.over, true);
    if (!ending.closed) {
        int status = ftl_runtime_drain(ending.runtime, -1);
        OR_DIE(status == (ending.in_callback ? FTL_EBUSY : FTL_OK));
        do
            status = ftl_runtime_close(ending.runtime, NULL);
        while (!ending.in_callback && status == FTL_EBUSY);
        OR_DIE(status == (ending.in_callback ? FTL_EBUSY : FTL_OK));
    }
    OR_DIE(atomic_load(&laws_failed_line) == 0);
    _exit(GOOD); /* before what the test's own framework has for its end */
}

static void *keeps_busy(void *argument)
{
    (void)argument;
    while (!atomic_load(&ending.over)) {
        ftl_tensor tensor;
        int status = ftl_bytes_new(ending.runtime, 200, NULL, &tensor);
        if (status == FTL_ECLOSED)
            break;
        OR_DIE(status == FTL_OK);
        status = ftl_tensor_drop(tensor);
        OR_DIE(status == FTL_OK || status == FTL_ECLOSED || status == FTL_ESTALE);
    }
    return NULL;
}

static int exits(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    (void)user;
    ending.in_callback = true;
    exit(5);
}

static void exits_when_told(const ftl_event *event, void *user)
{
    (void)event;
    (void)user;
    ending.in_callback = true;
    exit(5);
}

enum end { END_PLAIN, END_CLOSED, END_IN_FINALIZER, END_IN_EVENT, END_KINDS };

static void end_as(enum end kind)
{
    static const size_t sizes[] = {16, 2000, 70000, 2 << 20};
    pthread_t thread;
    uint64_t id;
    ftl_tensor_options bad = {.finalizer = exits};
    (void)alarm(60);
    OR_DIE(atexit(at_the_end) == 0);
    ftl_open_options options = {.overrides = "devices.cpu.limit: 64MiB\n" CHILDS_THREADS};
    OR_DIE(ftl_runtime_open_with(&options, &ending.runtime) == FTL_OK);
    for (unsigned i = 0; i < 8; i++)
        ending.tensors[i] = laws_new(ending.runtime, sizes[i / 2], NULL);
    if (CHILDS_THREADS[0] == '\0')
        OR_DIE(pthread_create(&thread, NULL, keeps_busy, NULL) == 0);
    switch (kind) {
    case END_CLOSED:
        ending.closed = true;
        while (ftl_runtime_close(ending.runtime, NULL) == FTL_EBUSY)
            ;
        exit(5);
    case END_IN_FINALIZER:
        OR_DIE(ftl_tensor_drop(laws_new(ending.runtime, 100, &bad)) == FTL_OK);
        break;
    case END_IN_EVENT:
        OR_DIE(ftl_pressure_subscribe(ending.runtime, exits_when_told, NULL, &id) == FTL_OK);
        (void)laws_new(ending.runtime, (size_t)45 << 20, NULL);
        break;
    default:
        exit(5);
    }
    for (;;)
        OR_DIE(ftl_runtime_run(ending.runtime, NULL, 1000000, NULL) == FTL_OK);
}

/* exit() while the runtime is open, from anywhere: the handlers of the program's end drop, drain and close. */
Test(anywhere, while_the_program_ends)
{
    for (int kind = END_PLAIN; kind < END_KINDS; kind++) {
        (void)fflush(NULL);
        pid_t child = fork(); /* before this process has a thread */
        cr_assert_geq(child, 0);
        if (child == 0)
            end_as((enum end)kind);
        int status;
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status), "kind %d: ended by signal %d (%d: it hung)", kind, WTERMSIG(status), SIGALRM);
        cr_assert_eq(WEXITSTATUS(status), GOOD, "kind %d: exit %d", kind, WEXITSTATUS(status));
    }
}
