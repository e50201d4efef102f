/* A child of a busy process: what it inherited can be looked at and marked, nothing is made in it, a runtime of its own
 * works, and nothing hangs. It says what it found by its exit, and on stderr by one write. */
#include "tools/stress.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILD_SECONDS = 60, OWN_TENSORS = 60 };

#define OR_DIE(condition)                                                                     \
    do {                                                                                      \
        if (!(condition)) {                                                                   \
            static const char text[] = "fettle stress: a forked child: not " #condition "\n"; \
            (void)!write(STDERR_FILENO, text, sizeof text - 1);                               \
            _exit(1);                                                                         \
        }                                                                                     \
    } while (0)

static int nothing(const char *text, size_t n, void *user)
{
    (void)text, (void)n, (void)user;
    return 0;
}

static void use_own_runtime(const char *overrides)
{
    ftl_runtime *own;
    ftl_tensor tensors[OWN_TENSORS];
    ftl_stats s;
    ftl_close_report report;
    ftl_open_options options = {.overrides = overrides};
    OR_DIE(ftl_runtime_open_with(&options, &own) == FTL_OK);
    for (uint32_t i = 0; i < OWN_TENSORS; i++) {
        OR_DIE(ftl_bytes_new(own, (size_t)30 * (i + 1) * (i + 1), NULL, &tensors[i]) == FTL_OK);
        memset(ftl_tensor_data(tensors[i]), 3, 30);
    }
    for (uint32_t i = 0; i < OWN_TENSORS; i++) {
        OR_DIE(ftl_tensor_drop(tensors[i]) == FTL_OK);
    }
    OR_DIE(ftl_runtime_drain(own, -1) == FTL_OK);
    OR_DIE(ftl_runtime_stats(own, &s) == FTL_OK && s.created == OWN_TENSORS && s.reclaimed == OWN_TENSORS);
    OR_DIE(ftl_runtime_control(own, "check", nothing, NULL) == FTL_OK);
    OR_DIE(ftl_runtime_close(own, &report) == FTL_OK && report.leaked == 0);
}

static void look_at_inherited(const struct ftli_stress_entry *entry)
{
    const struct ftli_stress_record *record = entry->record;
    ftl_tensor_description d;
    OR_DIE(ftl_tensor_alive(record->handle));
    OR_DIE(ftl_tensor_bytes(record->handle) == record->bytes);
    OR_DIE(ftl_tensor_describe(record->handle, &d) == FTL_OK && d.bytes == record->bytes);
    const void *address = ftl_tensor_pin(record->handle);
    OR_DIE(address != NULL);
    OR_DIE(record->base != NULL || ftli_stress_intact(record->seed, record->bytes, address, true));
    ftl_tensor_unpin(record->handle);
    OR_DIE(ftl_tensor_retain(record->handle) == FTL_OK);
    OR_DIE(ftl_tensor_drop(record->handle) == FTL_OK);
    if (!atomic_load(&record->loose) && !atomic_load(&record->shared) && entry->scope == 0) {
        for (uint32_t i = 0; i < entry->references; i++) { /* a drop marks */
            OR_DIE(ftl_tensor_drop(record->handle) == FTL_OK);
        }
        OR_DIE(!ftl_tensor_alive(record->handle) && ftl_tensor_drop(record->handle) == FTL_ESTALE);
    }
}

static void make_nothing(ftl_runtime *inherited)
{
    ftl_tensor out = {5};
    ftl_scope scope = {5};
    ftl_stats s;
    OR_DIE(ftl_bytes_new(inherited, 10, NULL, &out) == FTL_ENOTSUP && out.id == 5);
    OR_DIE(ftl_bytes_new(inherited, 1 << 20, NULL, &out) == FTL_ENOTSUP);
    OR_DIE(ftl_scope_begin(inherited, "child", &scope) == FTL_ENOTSUP && scope.id == 5);
    OR_DIE(ftl_runtime_stats(inherited, &s) == FTL_ENOTSUP);
    OR_DIE(ftl_runtime_drain(inherited, -1) == FTL_ENOTSUP);
    OR_DIE(ftl_runtime_control(inherited, "check", nothing, NULL) == FTL_ENOTSUP);
    OR_DIE(ftl_runtime_close(inherited, NULL) == FTL_ENOTSUP);
}

static void be_the_child(struct ftli_stress_thread *thread, int what)
{
    ftl_runtime *inherited = thread->run->runtime;
    (void)alarm(CHILD_SECONDS);
    make_nothing(inherited);
    for (uint32_t i = 0; i < thread->entry_count; i++) {
        if (thread->entries[i].references > 0 || thread->entries[i].scope != 0) {
            look_at_inherited(&thread->entries[i]);
        }
    }
    if (what != FTLI_STRESS_CHILD_LOOKS) {
        use_own_runtime(what == FTLI_STRESS_CHILD_OPENS ? NULL
                                                        : "threads.service.count: 0\nthreads.finalizers.count: 0\n"
                                                          "threads.background.count: 0\n");
        make_nothing(inherited);
    }
    _exit(0);
}

void ftli_stress_fork(struct ftli_stress_thread *thread, int what)
{
    struct ftli_stress *run = thread->run;
    int status = 0;
    pid_t child = fork();
    if (child < 0) {
        return; /* no memory for it: not ours to say */
    }
    if (child == 0) {
        be_the_child(thread, what);
    }
    ftli_stress_count(&thread->counts.faults[5], 1);
    while (waitpid(child, &status, 0) != child) {
        if (errno != EINTR) {
            ftli_stress_broken(run, "waitpid: %s", strerror(errno));
            return;
        }
    }
    if (!WIFEXITED(status)) {
        ftli_stress_broken(run, "a forked child was ended by signal %d%s", WTERMSIG(status),
                           WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    } else if (WEXITSTATUS(status) != 0) {
        ftli_stress_broken(run, "a forked child found something broken: see above");
    }
}
