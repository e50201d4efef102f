/* Law 10: the forked child of a busy process. What was inherited can be looked at and marked, nothing is made in it, a runtime
 * of the child's own works, and nothing hangs; the parent goes on. */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fettle/actor.h>

#include "tests/support/laws.h"

#if defined __SANITIZE_THREAD__ /* it cannot follow threads that begin in the child of a process with threads */
#define CHILDS_THREADS "threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n"
#else
#define CHILDS_THREADS NULL
#endif

struct busy {
    ftl_runtime *runtime;
    atomic_bool over;
    atomic_ulong rounds;
};

/* Locks, tokens and mailboxes are in every state when the fork comes. */
static void *keeps_busy(void *argument)
{
    static const size_t sizes[] = {64, 3000, 50000, 2 << 20};
    struct busy *busy = argument;
    ftl_scope scope;
    for (unsigned i = 0; !atomic_load(&busy->over); i++) {
        ftl_tensor_options options = {.label = "busy"};
        if (EXPECT(ftl_scope_begin(busy->runtime, "busy", &scope) == FTL_OK))
            options.scope = scope;
        ftl_tensor one = laws_new(busy->runtime, sizes[i % 4], &options), two = laws_new(busy->runtime, 100, NULL),
                   view;
        int64_t shape = 10;
        EXPECT(ftl_tensor_link(two, one) == FTL_OK);
        EXPECT(ftl_tensor_view(two, 0, 1, &shape, NULL, &view) == FTL_OK);
        EXPECT(ftl_scope_end(scope, NULL) == FTL_OK);
        EXPECT(ftl_tensor_drop(two) == FTL_OK);
        EXPECT(ftl_tensor_drop(view) == FTL_OK);
        atomic_fetch_add(&busy->rounds, 1);
    }
    return NULL;
}

#define OR_DIE(condition)                                                  \
    do {                                                                   \
        if (!(condition)) {                                                \
            fprintf(stderr, "child: line %d: %s\n", __LINE__, #condition); \
            _exit(1);                                                      \
        }                                                                  \
    } while (0)

static void use_own_runtime(void)
{
    ftl_runtime *own;
    ftl_tensor tensors[100];
    ftl_stats s;
    ftl_close_report report;
    ftl_open_options options = {.overrides = CHILDS_THREADS};
    OR_DIE(ftl_runtime_open_with(&options, &own) == FTL_OK);
    for (unsigned i = 0; i < 100; i++) {
        OR_DIE(ftl_bytes_new(own, (size_t)100 * (i + 1) * (i + 1), NULL, &tensors[i]) == FTL_OK);
        memset(ftl_tensor_data(tensors[i]), 3, (size_t)100 * (i + 1) * (i + 1));
    }
    for (unsigned i = 0; i < 100; i++)
        OR_DIE(ftl_tensor_drop(tensors[i]) == FTL_OK);
    OR_DIE(ftl_runtime_drain(own, -1) == FTL_OK);
    OR_DIE(ftl_runtime_stats(own, &s) == FTL_OK && laws_sums_hold(&s) && s.created == 100 && s.reclaimed == 100);
    OR_DIE(ftl_runtime_control(own, "check", laws_write, NULL) == FTL_OK);
    OR_DIE(ftl_runtime_close(own, &report) == FTL_OK && report.leaked == 0);
}

struct inherited {
    ftl_runtime *runtime;
    ftl_tensor small, large, shared, view;
    ftl_scope scope;
};

static void be_the_child(const struct inherited *in)
{
    ftl_tensor_description d;
    ftl_tensor out = {5};
    ftl_scope scope = {5};
    ftl_stats s;
    int64_t shape = 1;
    const unsigned char *data = ftl_tensor_data(in->small);
    OR_DIE(data != NULL && data[0] == 1 && data[99] == 1);
    data = ftl_tensor_pin(in->large);
    OR_DIE(data != NULL && data[0] == 2 && data[(4 << 20) - 1] == 2);
    ftl_tensor_unpin(in->large);
    data = ftl_tensor_data(in->view);
    OR_DIE(data != NULL && data[0] == 2);
    OR_DIE(ftl_tensor_alive(in->small) && ftl_tensor_bytes(in->large) == (4 << 20));
    OR_DIE(ftl_tensor_describe(in->large, &d) == FTL_OK && strcmp(d.label, "large") == 0);
    OR_DIE(ftl_bytes_new(in->runtime, 10, NULL, &out) == FTL_ENOTSUP);
    OR_DIE(ftl_bytes_new(in->runtime, 1 << 20, NULL, &out) == FTL_ENOTSUP);
    OR_DIE(ftl_tensor_view(in->large, 0, 1, &shape, NULL, &out) == FTL_ENOTSUP && out.id == 5);
    OR_DIE(ftl_tensor_link(in->small, in->large) == FTL_ENOTSUP);
    OR_DIE(ftl_tensor_unlink(in->small, in->large) == FTL_ENOTSUP);
    OR_DIE(ftl_runtime_drain(in->runtime, -1) == FTL_ENOTSUP);
    OR_DIE(ftl_runtime_drain(in->runtime, 0) == FTL_ENOTSUP);
    OR_DIE(ftl_tensor_await(in->small, -1) == FTL_ENOTSUP);
    OR_DIE(ftl_runtime_run(in->runtime, NULL, 1000, NULL) == FTL_ENOTSUP);
    OR_DIE(ftl_runtime_stats(in->runtime, &s) == FTL_ENOTSUP);
    OR_DIE(ftl_runtime_control(in->runtime, "check", laws_write, NULL) == FTL_ENOTSUP);
    OR_DIE(ftl_runtime_close(in->runtime, NULL) == FTL_ENOTSUP);
    OR_DIE(ftl_scope_begin(in->runtime, "child", &scope) == FTL_ENOTSUP && scope.id == 5);
    OR_DIE(ftl_scope_end(in->scope, NULL) == FTL_ENOTSUP);
    /* a drop marks: the child's handle is stale from then on */
    OR_DIE(ftl_tensor_retain(in->shared) == FTL_OK);
    OR_DIE(ftl_tensor_drop(in->shared) == FTL_OK && ftl_tensor_alive(in->shared));
    OR_DIE(ftl_tensor_drop(in->shared) == FTL_OK && !ftl_tensor_alive(in->shared));
    OR_DIE(ftl_tensor_drop(in->shared) == FTL_ESTALE);
    use_own_runtime();
    /* and with a runtime of its own, its parent's is its parent's still */
    OR_DIE(ftl_bytes_new(in->runtime, 10, NULL, &out) == FTL_ENOTSUP);
    OR_DIE(ftl_tensor_alive(in->small) && ftl_tensor_drop(in->small) == FTL_OK && !ftl_tensor_alive(in->small));
    use_own_runtime();
}

/* A child that hangs is ended, and told from one that was wrong. */
static void fork_and_judge(const struct inherited *in, unsigned round)
{
    (void)fflush(NULL);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        (void)alarm(60);
        if (round % 4 == 3) { /* a grandchild */
            use_own_runtime();
            pid_t next = fork();
            if (next > 0) {
                int status;
                OR_DIE(waitpid(next, &status, 0) == next && WIFEXITED(status));
                _exit(WEXITSTATUS(status));
            }
            (void)alarm(60);
        }
        be_the_child(in);
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status), "round %u: the child was ended by signal %d (%d: it hung)", round, WTERMSIG(status),
              SIGALRM);
    cr_assert_eq(WEXITSTATUS(status), 0, "round %u", round);
}

TestSuite(fork, .timeout = 200);

Test(fork, a_busy_processs_child_works_and_the_parent_goes_on)
{
    struct busy busy = {.runtime = laws_open(NULL)};
    ftl_tensor_options labelled = {.label = "large"};
    struct inherited in = {.runtime = busy.runtime};
    int64_t shape = 100;
    pthread_t threads[3];
    in.small = laws_new(busy.runtime, 100, NULL);
    in.large = laws_new(busy.runtime, 4 << 20, &labelled);
    in.shared = laws_new(busy.runtime, 1000, NULL);
    memset(ftl_tensor_data(in.small), 1, 100);
    memset(ftl_tensor_data(in.large), 2, 4 << 20);
    cr_assert_eq(ftl_tensor_view(in.large, 100, 1, &shape, NULL, &in.view), FTL_OK);
    cr_assert_eq(ftl_scope_begin(busy.runtime, "parent", &in.scope), FTL_OK);
    /* what this thread was in the middle of: a cell of a scope's members that is not full */
    ftl_tensor_options scoped = {.scope = in.scope};
    ftl_tensor member = laws_new(busy.runtime, 10, &scoped);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, keeps_busy, &busy), 0);
    UNTIL(atomic_load(&busy.rounds) > 100);
    for (unsigned round = 0; round < 12; round++) {
        unsigned long before = atomic_load(&busy.rounds);
        fork_and_judge(&in, round);
        UNTIL(atomic_load(&busy.rounds) > before + 10 || atomic_load(&laws_failed_line) != 0);
    }
    atomic_store(&busy.over, true);
    for (unsigned i = 0; i < 3; i++)
        (void)pthread_join(threads[i], NULL);
    /* nothing that the children did is seen here */
    cr_assert(ftl_tensor_alive(in.small) && ftl_tensor_alive(in.shared) && ftl_tensor_alive(member));
    cr_assert_eq(ftl_tensor_drop(in.small), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(in.shared), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(in.large), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(in.view), FTL_OK);
    cr_assert_eq(ftl_scope_end(in.scope, NULL), FTL_OK);
    laws_settle(busy.runtime);
    laws_close(busy.runtime);
}

Test(fork, a_child_of_a_process_that_has_closed_its_runtime)
{
    ftl_runtime *runtime = laws_open(NULL);
    ftl_tensor tensor = laws_new(runtime, 100, NULL);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    laws_close(runtime);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(60);
        ftl_tensor out;
        OR_DIE(ftl_bytes_new(runtime, 10, NULL, &out) == FTL_ECLOSED);
        OR_DIE(ftl_tensor_drop(tensor) != FTL_OK && !ftl_tensor_alive(tensor) && ftl_tensor_data(tensor) == NULL);
        use_own_runtime();
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
}

/* ---- from inside of the program's own code ---------------------------------------------------------------------------- */

enum { ENDED_BY_ITSELF = 33, TENSORS = 20 };

/* Seen by parent and child alike: whatever ran in either is counted here. */
struct counts {
    atomic_uint finalized, forks, told, received;
};

static struct inside {
    struct inherited in;
    struct counts *counts;
    bool returns; /* the child leaves the function that it was forked in */
    bool closing;
    pid_t parent;
} inside;

static void end_by_itself(void)
{
    _exit(ENDED_BY_ITSELF); /* before what the test's framework has for its end */
}

/* Once in each run of the test. */
static void fork_inside(void)
{
    (void)fflush(NULL);
    pid_t child = fork();
    if (!EXPECT(child >= 0))
        return;
    if (child == 0) {
        sigset_t none;
        (void)sigemptyset(&none);
        OR_DIE(pthread_sigmask(SIG_SETMASK, &none, NULL) == 0); /* threads of ours are deaf, to the alarm too */
        (void)alarm(60);
        if (!inside.closing)
            be_the_child(&inside.in);
        pid_t next = fork();
        OR_DIE(next >= 0);
        if (next == 0) {
            (void)alarm(60);
            use_own_runtime();
            OR_DIE(ftl_runtime_drain(inside.in.runtime, -1) == (inside.closing ? FTL_ECLOSED : FTL_ENOTSUP));
            _exit(0);
        }
        int status;
        OR_DIE(waitpid(next, &status, 0) == next && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        if (!inside.returns)
            _exit(ENDED_BY_ITSELF);
        OR_DIE(atexit(end_by_itself) == 0);
        return;
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child);
    if (!EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == ENDED_BY_ITSELF))
        fprintf(stderr, "the child: %s %d (%d: it hung)\n", WIFEXITED(status) ? "exit" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), SIGALRM);
}

static void fork_once(void)
{
    unsigned none = 0;
    if (atomic_compare_exchange_strong(&inside.counts->forks, &none, 1))
        fork_inside();
}

static int forks_at_first(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)user;
    memset(data, 0, bytes);
    atomic_fetch_add(&inside.counts->finalized, 1);
    fork_once();
    return 0;
}

static void forks_when_told(const ftl_event *event, void *user)
{
    (void)event;
    (void)user;
    atomic_fetch_add(&inside.counts->told, 1);
    fork_once();
}

static int forks_when_received(void *state, const ftl_context *context, ftl_message *message)
{
    (void)state;
    (void)context;
    (void)message;
    atomic_fetch_add(&inside.counts->received, 1);
    fork_once();
    return FTL_OK;
}

static void open_inside(const char *overrides, const char *actors, bool returns)
{
    static const ftl_actor_type type = {.name = "forker", .receive = forks_when_received};
    char text[600];
    (void)snprintf(text, sizeof text, "%s%s", overrides, actors);
    ftl_open_options options = {.overrides = text};
    if (actors[0] != '\0') {
        options.actor_types = &type;
        options.actor_type_count = 1;
    }
    ftl_tensor_options labelled = {.label = "large"};
    struct inherited *in = &inside.in;
    int64_t shape = 100;
    inside.returns = returns;
    inside.parent = getpid();
    inside.counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(inside.counts, MAP_FAILED);
    cr_assert_eq(ftl_runtime_open_with(&options, &in->runtime), FTL_OK, "%s", ftl_last_error());
    in->small = laws_new(in->runtime, 100, NULL);
    in->large = laws_new(in->runtime, 4 << 20, &labelled);
    in->shared = laws_new(in->runtime, 1000, NULL);
    memset(ftl_tensor_data(in->small), 1, 100);
    memset(ftl_tensor_data(in->large), 2, 4 << 20);
    cr_assert_eq(ftl_tensor_view(in->large, 100, 1, &shape, NULL, &in->view), FTL_OK);
    cr_assert_eq(ftl_scope_begin(in->runtime, "parent", &in->scope), FTL_OK);
}

static void drop_with_finalizers(void)
{
    ftl_tensor_options options = {.finalizer = forks_at_first};
    for (unsigned i = 0; i < TENSORS; i++)
        EXPECT(ftl_tensor_drop(laws_new(inside.in.runtime, 200, &options)) == FTL_OK);
}

/* The parent went on, and nothing ran twice. */
static void close_inside(void)
{
    struct inherited *in = &inside.in;
    cr_assert_eq(getpid(), inside.parent);
    cr_assert_eq(ftl_runtime_drain(in->runtime, -1), FTL_OK);
    cr_assert_eq(atomic_load(&inside.counts->finalized), TENSORS, "%u calls", atomic_load(&inside.counts->finalized));
    cr_assert_eq(atomic_load(&inside.counts->forks), 1);
    cr_assert_eq(ftl_tensor_drop(in->small), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(in->shared), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(in->large), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(in->view), FTL_OK);
    cr_assert_eq(ftl_scope_end(in->scope, NULL), FTL_OK);
    laws_settle(in->runtime);
    ftl_stats s = laws_stats(in->runtime);
    cr_assert_eq(s.reclaimed, s.created);
    laws_close(in->runtime);
    cr_assert_eq(atomic_load(&inside.counts->finalized), TENSORS);
    expect_nothing_failed();
}

Test(fork, inside_a_finalizer)
{
    for (unsigned returns = LAWS_SANITIZED; returns < 2;
         returns++) { /* one that returns does all that the other does */
        open_inside("", "", returns != 0);
        drop_with_finalizers();
        close_inside();
    }
}

/* The thread is the program's, inside of drain: there the child's drain ends, and the program goes on in it. */
Test(fork, inside_a_finalizer_that_the_program_lends_its_thread)
{
    for (unsigned returns = LAWS_SANITIZED; returns < 2; returns++) {
        open_inside("threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n", "",
                    returns != 0);
        drop_with_finalizers();
        int status = ftl_runtime_drain(inside.in.runtime, -1);
        if (getpid() != inside.parent) {
            OR_DIE(status == FTL_ENOTSUP);
            OR_DIE(ftl_runtime_close(inside.in.runtime, NULL) == FTL_ENOTSUP);
            _exit(ENDED_BY_ITSELF);
        }
        close_inside();
    }
}

Test(fork, inside_of_close)
{
    open_inside("threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n", "", true);
    drop_with_finalizers();
    inside.closing = true;
    ftl_close_report report;
    int status = ftl_runtime_close(inside.in.runtime, &report);
    if (getpid() != inside.parent) {
        OR_DIE(status == FTL_ENOTSUP && ftl_tensor_alive(inside.in.large));
        use_own_runtime();
        _exit(ENDED_BY_ITSELF);
    }
    cr_assert_eq(status, FTL_OK);
    cr_assert_eq(report.leaked, 4);
    cr_assert_eq(report.undone, 0);
    ftl_leak_report_free(report.leaks);
    cr_assert_eq(atomic_load(&inside.counts->finalized), TENSORS);
    expect_nothing_failed();
}

Test(fork, inside_of_what_hears_of_events)
{
    for (unsigned returns = LAWS_SANITIZED; returns < 2; returns++) {
        uint64_t id, again;
        open_inside("devices.cpu.limit: 128MiB\n", "", returns != 0);
        cr_assert_eq(ftl_pressure_subscribe(inside.in.runtime, forks_when_told, NULL, &id), FTL_OK);
        cr_assert_eq(ftl_pressure_subscribe(inside.in.runtime, forks_when_told, NULL, &again), FTL_OK);
        ftl_tensor large = laws_new(inside.in.runtime, (size_t)100 << 20, NULL);
        UNTIL(atomic_load(&inside.counts->told) == 2);
        cr_assert_eq(ftl_unsubscribe(inside.in.runtime, id), FTL_OK);
        cr_assert_eq(ftl_unsubscribe(inside.in.runtime, again), FTL_OK);
        cr_assert_eq(ftl_tensor_drop(large), FTL_OK);
        drop_with_finalizers();
        close_inside();
        cr_assert_eq(atomic_load(&inside.counts->told), 2);
    }
}

Test(fork, inside_an_actor_of_the_program)
{
    for (unsigned returns = LAWS_SANITIZED; returns < 2; returns++) {
        ftl_actor actor;
        ftl_message messages[5] = {{.type = 1}};
        open_inside("", "actors.mine: {type: forker, threads: background}\n", returns != 0);
        cr_assert_eq(ftl_actor_find(inside.in.runtime, "mine", &actor), FTL_OK, "%s", ftl_last_error());
        for (unsigned i = 0; i < 5; i++)
            cr_assert_eq(ftl_actor_send(actor, FTL_LANE_NORMAL, &messages[i]), FTL_OK);
        UNTIL(atomic_load(&inside.counts->received) == 5);
        drop_with_finalizers();
        close_inside();
        cr_assert_eq(atomic_load(&inside.counts->received), 5);
    }
}
