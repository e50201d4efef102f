/* Every request that the library makes of the system fails once, at its n-th, for every n; and from its n-th on for good. Then calls
 * answer with an error, what was made can be dropped, every drop is completed, and nothing is left behind.
 *
 * How   A child process a n: it arms the failure, drives the whole scenario, disarms, and drives it once more without; what is out
 *       in the end must be what is out without any failure. Threads of the runtime make requests too, so the n-th is not the same
 *       one in each run: all of them fail in some.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fettle/actor.h>
#include <fettle/fettle.h>

#include "tests/exhaustion/inject.h"

enum {
    GOOD = 0,
    BROKEN = 1,
    NOT_REACHED = 2,
    TENSORS = 1500,
    MESSAGES = 50,
    CHILD_SECONDS = 60, /* a deadlock is a failure; it is ended after this */
    AFTER_THE_LAST = 3, /* runs in a row in which there was no n-th request: that was all */
};

static struct {
    ftl_tensor tensors[TENSORS];
    unsigned count;
    unsigned refused;         /* calls that answered with an error */
    unsigned with_finalizers; /* tensors that have one */
} scene;
static atomic_uint finalized, received, heard; /* finalizers that worked, messages, what a route said */

static void broken(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)inject_disarm();
    vfprintf(stderr, format, arguments);
    fprintf(stderr, ": %s\n", ftl_last_error());
    va_end(arguments);
    fflush(stderr);
    _exit(BROKEN);
}

/* An error is one of those that mean exhaustion, and says so. */
static bool made(int status, const char *what)
{
    if (status == FTL_OK)
        return true;
    scene.refused++;
    if (status != FTL_ENOMEM && status != FTL_ELIMIT)
        broken("%s answered %s", what, ftl_strerror(status));
    if (ftl_last_error()[0] == '\0')
        broken("%s says nothing", what);
    return false;
}

static void keep(int status, ftl_tensor tensor, const char *what)
{
    if (made(status, what))
        scene.tensors[scene.count++] = tensor;
}

/* The first time it fails, so that it is tried again. */
static int finalizer(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    unsigned *times = user;
    (void)tensor, (void)data, (void)bytes;
    if ((*times)++ == 0)
        return FTL_EBUSY;
    atomic_fetch_add(&finalized, 1);
    return FTL_OK;
}

static void make_many(ftl_runtime *runtime)
{
    static const size_t sizes[] = {0, 1, 64, 700, 5000, 20000, 50000, 300000};
    for (unsigned i = 0; i < 600; i++) {
        ftl_tensor tensor = {0};
        keep(ftl_bytes_new(runtime, i % 150 == 0 ? 3000000 : sizes[i % 8], NULL, &tensor), tensor, "new");
    }
}

static void make_special(ftl_runtime *runtime)
{
    static unsigned times[20];
    const int64_t shape[8] = {2, 1, 3, 1, 2, 1, 2, 70000};
    for (unsigned i = 0; i < 20; i++) {
        ftl_tensor_options options = {.label = i % 2 == 0 ? "kv" : "logits", .tag = i + 1, .site = FTL_HERE};
        ftl_tensor tensor = {0}, view = {0};
        times[i] = 0;
        if (i % 5 == 0) {
            options.finalizer = finalizer;
            options.finalizer_user = &times[i];
        }
        options.alignment = i % 3 == 0 ? 4096 : 0;
        options.zero = i % 4 == 0;
        int status =
            ftl_tensor_new(runtime, FTL_U8, i % 2 == 0 ? 8 : 1, shape + (i % 2 == 0 ? 0 : 7), &options, &tensor);
        keep(status, tensor, "new with options");
        if (status != FTL_OK)
            continue;
        scene.with_finalizers += options.finalizer != NULL;
        const int64_t part = 1;
        keep(ftl_tensor_view(tensor, 0, 1, &part, NULL, &view), view, "view");
        if (i > 0 && scene.count > 2)
            (void)made(ftl_tensor_link(tensor, scene.tensors[0]), "link");
    }
}

static void use_scopes(ftl_runtime *runtime)
{
    ftl_scope scope = {0};
    ftl_scope_options scope_options = {.label = "request", .soft_bytes = 10000, .deadline_ns = INT64_C(1000000000000)};
    if (!made(ftl_scope_open(runtime, &scope_options, &scope), "scope_open"))
        return;
    for (unsigned i = 0; i < 300; i++) {
        ftl_tensor_options options = {.scope = scope};
        ftl_tensor tensor = {0};
        if (made(ftl_bytes_new(runtime, 100, &options, &tensor), "new in a scope") && i % 7 == 0) {
            if (ftl_scope_keep(scope, tensor) == FTL_OK)
                scene.tensors[scene.count++] = tensor;
        }
    }
    if (ftl_scope_end(scope, NULL) != FTL_OK)
        broken("scope_end");
}

/* Each message is said aloud, and a route tells the other actor; one of them fails the first time it comes. */
static int receive(void *state, const ftl_context *context, ftl_message *message)
{
    (void)state;
    if ((message->flags & FTL_MESSAGE_ROUTED) != 0) {
        atomic_fetch_add(&heard, (unsigned)((ftl_routed *)(void *)message)->count);
        return FTL_OK;
    }
    if (message->type++ == 10)
        return FTL_EBUSY;
    context->log(context, 2, "received");
    atomic_fetch_add(&received, 1);
    return FTL_OK;
}

static const ftl_actor_type types[] = {{.name = "worker", .state_bytes = 100, .receive = receive}};
#define ACTORS                                                                      \
    "actors.worker: {type: worker, threads: service}\nactors.ear: {type: worker}\n" \
    "routes: [{when: worker.warning, tell: ear, do: listen}]\n"

static int ignore_text(const char *text, size_t n, void *user)
{
    (void)text, (void)n, (void)user;
    return 0;
}

static void ignore_event(const ftl_event *event, void *user)
{
    (void)event, (void)user;
}

/* All are received, also by an actor that is restarted meanwhile, and all of it is told. */
static void send_messages(ftl_runtime *runtime)
{
    static ftl_message messages[MESSAGES];
    ftl_actor worker;
    if (ftl_actor_find(runtime, "worker", &worker) != FTL_OK)
        broken("actor_find");
    (void)made(ftl_runtime_control(runtime, "kill worker", ignore_text, NULL), "kill");
    for (unsigned i = 0; i < MESSAGES; i++) {
        messages[i] = (ftl_message){.type = i};
        if (ftl_actor_send(worker, i % 4, &messages[i]) != FTL_OK)
            broken("send");
    }
    while (atomic_load(&received) != MESSAGES || atomic_load(&heard) != MESSAGES)
        (void)sched_yield(); /* if that is never so, the alarm ends it */
}

static void use_actors(ftl_runtime *runtime)
{
    uint64_t all = 0, pressure = 0;
    (void)made(ftl_subscribe(runtime, FTL_EVENT_LOG | FTL_EVENT_ACTOR, ignore_event, NULL, &all), "subscribe");
    (void)made(ftl_pressure_subscribe(runtime, ignore_event, NULL, &pressure), "pressure_subscribe");
    send_messages(runtime);
    if (all != 0 && ftl_unsubscribe(runtime, all) != FTL_OK)
        broken("unsubscribe");
    if (pressure != 0 && ftl_unsubscribe(runtime, pressure) != FTL_OK)
        broken("unsubscribe of pressure");
}

/* Of a drop that is over at once, and of one whose finalizer works at the second time. */
static void await_some(ftl_runtime *runtime)
{
    static unsigned times[6];
    for (unsigned i = 0; i < 6; i++) {
        ftl_tensor_options options = {.finalizer = i % 2 == 0 ? NULL : finalizer, .finalizer_user = &times[i]};
        ftl_tensor tensor;
        times[i] = 0;
        if (!made(ftl_bytes_new(runtime, i < 3 ? 100 : 400000, &options, &tensor), "new to await"))
            continue;
        scene.with_finalizers += options.finalizer != NULL;
        if (ftl_tensor_drop(tensor) != FTL_OK)
            broken("drop before await");
        if (ftl_tensor_await(tensor, -1) != FTL_OK)
            broken("await");
    }
}

static void ask(ftl_runtime *runtime)
{
    static const char *const requests[] = {"stats", "leaks", "topology", "quarantine"};
    ftl_stats stats;
    ftl_leak_report *report = NULL;
    ftl_defragment_options purge = {.purge = true};
    ftl_defragment_result result;
    if (ftl_runtime_stats(runtime, &stats) != FTL_OK)
        broken("stats");
    if (made(ftl_leak_scan(runtime, NULL, &report), "leak_scan"))
        ftl_leak_report_free(report);
    (void)made(ftl_defragment(runtime, &purge, &result), "defragment");
    for (unsigned i = 0; i < sizeof requests / sizeof *requests; i++)
        (void)made(ftl_runtime_control(runtime, requests[i], ignore_text, NULL), requests[i]);
}

static void *drop_half(void *user)
{
    (void)user;
    for (unsigned i = 0; i < scene.count; i += 2) {
        if (ftl_tensor_drop(scene.tensors[i]) != FTL_OK)
            broken("a drop on another thread");
        scene.tensors[i].id = 0;
    }
    return NULL;
}

static void drop_all(void)
{
    pthread_t thread;
    void *pinned = scene.count > 5 ? ftl_tensor_pin(scene.tensors[5]) : NULL;
    ftl_tensor weak = scene.count > 5 ? scene.tensors[5] : (ftl_tensor){0};
    if (pthread_create(&thread, NULL, drop_half, NULL) == 0)
        (void)pthread_join(thread, NULL);
    for (unsigned i = 0; i < scene.count; i++)
        if (scene.tensors[i].id != 0 && ftl_tensor_drop(scene.tensors[i]) != FTL_OK)
            broken("drop %u", i);
    if (pinned != NULL)
        ftl_tensor_unpin(weak);
}

/* What must hold whatever failed. */
static void check(ftl_runtime *runtime)
{
    ftl_stats stats;
    if (ftl_runtime_drain(runtime, -1) != FTL_OK)
        broken("drain");
    if (ftl_runtime_stats(runtime, &stats) != FTL_OK)
        broken("stats after drain");
    if (stats.live != 0 || stats.pending != 0 || stats.created != stats.reclaimed + stats.quarantined ||
        stats.quarantined != 0)
        broken("%llu created, %llu live, %llu pending, %llu reclaimed, %llu quarantined",
               (unsigned long long)stats.created, (unsigned long long)stats.live, (unsigned long long)stats.pending,
               (unsigned long long)stats.reclaimed, (unsigned long long)stats.quarantined);
    if (atomic_load(&finalized) != scene.with_finalizers)
        broken("%u finalizers worked, of %u tensors", atomic_load(&finalized), scene.with_finalizers);
}

static void play(const char *overrides)
{
    ftl_open_options options = {
        .overrides = overrides, .actor_types = types, .actor_type_count = sizeof types / sizeof *types};
    ftl_close_report report;
    ftl_runtime *runtime = NULL;
    memset(&scene, 0, sizeof scene);
    atomic_store(&finalized, 0);
    atomic_store(&received, 0);
    atomic_store(&heard, 0);
    if (!made(ftl_runtime_open_with(&options, &runtime), "open"))
        return;
    make_many(runtime);
    make_special(runtime);
    use_scopes(runtime);
    use_actors(runtime);
    await_some(runtime);
    ask(runtime);
    drop_all();
    check(runtime);
    if (ftl_runtime_close(runtime, &report) != FTL_OK)
        broken("close");
    if (report.leaked != 0 || report.undone != 0 || report.pinned != 0)
        broken("close reports %llu leaked, %llu undone", (unsigned long long)report.leaked,
               (unsigned long long)report.undone);
}

/* The scenario with its n-th request failing, then without. */
static int play_twice(const char *overrides, uint64_t n, bool for_good, struct inject_out *out)
{
    inject_arm(n, for_good);
    play(overrides);
    bool reached = inject_disarm() >= n;
    play(overrides);
    if (scene.refused != 0)
        broken("without any failure %u calls were refused", scene.refused);
    *out = inject_out();
    return reached ? GOOD : NOT_REACHED;
}

static int run_child(const char *overrides, uint64_t n, bool for_good, const struct inject_out *expected,
                     struct inject_out *out)
{
    int ends[2], status;
    struct inject_out seen = {0, 0};
    cr_assert_eq(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    cr_assert_neq(child, -1);
    if (child == 0) {
        alarm(CHILD_SECONDS);
        int result = play_twice(overrides, n, for_good, &seen);
        if (expected != NULL && (seen.blocks > expected->blocks || seen.mapped_bytes > expected->mapped_bytes))
            broken("%lld blocks and %lld mapped bytes are left behind, %lld and %lld without a failure",
                   (long long)seen.blocks, (long long)seen.mapped_bytes, (long long)expected->blocks,
                   (long long)expected->mapped_bytes);
        if (write(ends[1], &seen, sizeof seen) != (ssize_t)sizeof seen)
            broken("the pipe");
        _exit(result);
    }
    close(ends[1]);
    bool told = read(ends[0], &seen, sizeof seen) == (ssize_t)sizeof seen;
    close(ends[0]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status), "request %llu%s: signal %d", (unsigned long long)n,
              for_good ? " and all after it" : "", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    cr_assert(WEXITSTATUS(status) != BROKEN && told, "request %llu%s", (unsigned long long)n,
              for_good ? " and all after it" : "");
    *out = seen;
    return WEXITSTATUS(status);
}

static void fail_each(const char *overrides, bool for_good)
{
    struct inject_out expected, out;
    uint64_t n = 1;
    cr_assert_eq(run_child(overrides, 0, false, NULL, &expected), GOOD);
    for (unsigned beyond = 0; beyond < AFTER_THE_LAST; n++)
        beyond = run_child(overrides, n, for_good, &expected, &out) == NOT_REACHED ? beyond + 1 : 0;
    cr_assert_gt(n, 50, "only %llu requests: is the library linked through them?", (unsigned long long)n);
    printf("%llu requests failed, each %s%s\n", (unsigned long long)n - 1 - AFTER_THE_LAST,
           for_good ? "and all after it" : "once", strstr(overrides, "message") != NULL ? ", policy message" : "");
    fflush(stdout);
}

/* So that a new which finds nothing does not wait long for it, 600 times. */
#define IMPATIENT ACTORS "actors.allocation.wait: 1ms\n"

Test(exhaustion, each_request_fails_once)
{
    fail_each(IMPATIENT, false);
}

Test(exhaustion, each_request_and_all_after_it_fail)
{
    fail_each(IMPATIENT, true);
}

Test(exhaustion, each_request_fails_once_where_every_drop_is_a_message)
{
    fail_each(IMPATIENT "actors.cleanup.policy: message\n", false);
}

Test(exhaustion, each_request_and_all_after_it_fail_where_every_drop_is_a_message)
{
    fail_each(IMPATIENT "actors.cleanup.policy: message\n", true);
}
