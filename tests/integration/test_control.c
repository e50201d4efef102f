/* The control socket of a runtime as the command line reaches it, in this process and with what a person types. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>

#if FETTLE_TELEMETRY

#include "runtime/base/atomics.h"
#include "runtime/bridge/place.h"
#include "tests/support/zeromq.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], home[80], program[600], output[64000];

/* A home of this test's own; nothing of it is in the user's. */
static void begin(void)
{
    const char *build = getenv("FETTLE_BINARY_DIR");
    (void)snprintf(program, sizeof program, "%s/fettle", build != NULL ? build : ".");
    (void)snprintf(folder, sizeof folder, "/tmp/fettle-control-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(home, sizeof home, "%s/fettle", folder);
    cr_assert_eq(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
}

static void end(void)
{
    (void)rmdir(home);
    cr_assert_eq(rmdir(folder), 0, "something is left in %s", folder);
}

TestSuite(control_socket, .init = begin, .fini = end, .timeout = 120);

static int try_open(const char *name, const char *control, ftl_runtime **runtime)
{
    char overrides[300];
    (void)snprintf(overrides, sizeof overrides, "runtime.name: %s\nactors.telemetry.control: %s\n", name, control);
    ftl_open_options options = {.overrides = overrides};
    return ftl_runtime_open_with(&options, runtime);
}

static ftl_runtime *open_one(const char *name, const char *control)
{
    ftl_runtime *runtime;
    cr_assert_eq(try_open(name, control, &runtime), FTL_OK, "%s", ftl_last_error());
    return runtime;
}

static bool has_program(void)
{
    return access(program, X_OK) == 0;
}

/* `fettle ARGUMENTS`: its exit status; what it printed is in `output`. */
static int run(const char *arguments)
{
    char command[1600];
    (void)snprintf(command, sizeof command, "%s %s 2>&1", program, arguments);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    output[fread(output, 1, sizeof output - 1, pipe)] = '\0';
    int status = pclose(pipe);
    cr_assert(WIFEXITED(status), "%s: %s", command, output);
    return WEXITSTATUS(status);
}

static int run_with(const char *before, const char *whom, const char *after)
{
    char arguments[1200];
    (void)snprintf(arguments, sizeof arguments, "%s %s %s", before, whom, after);
    return run(arguments);
}

static void expect(int got, int wanted, const char *says)
{
    cr_assert_eq(got, wanted, "%d: %s", got, output);
    cr_assert_not_null(strstr(output, says), "no \"%s\" in: %s", says, output);
}

static unsigned sockets(void)
{
    unsigned n = 0;
    DIR *directory = opendir(home);
    for (const struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;)
        n += entry->d_name[0] != '.';
    if (directory != NULL)
        (void)closedir(directory);
    return n;
}

Test(control_socket, fettle_control_asks_what_the_runtime_would_answer)
{
    char pid[24], path[100];
    if (!has_program())
        cr_skip_test("this build has no command line");
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    ftl_runtime *runtime = open_one("asked", "auto");
    ftl_tensor tensor;
    cr_assert_eq(ftl_bytes_new(runtime, 4321, NULL, &tensor), FTL_OK);
    cr_assert_eq(sockets(), 1);
    expect(run_with("control", pid, "stats"), 0, "live_bytes                 4321\n");
    expect(run_with("control", "-", "check"), 0, "good\n");
    expect(run_with("control", "asked", "leaks"), 0, "");
    expect(run_with("control", pid, "retry all"), 0, "0 retried, 0 bytes\n");
    expect(run_with("control", pid, "kill nobody"), 2, "no actor is called");
    expect(run_with("control", pid, "nonsense"), 2, "there are stats [json], check");
    expect(run_with("control", pid, "retry 0x7f0000000001"), 1, "there is no tensor");
    /* five kinds of wrong input, and a few */
    expect(run("control"), 2, "which PID?");
    expect(run_with("control", pid, ""), 2, "which REQUEST?");
    expect(run_with("control", "99999999", "stats"), 3, "no runtime called \"99999999\"");
    expect(run_with("control", "tcp://x", "stats"), 2, "is no process");
    expect(run_with("control", "ipc://nowhere", "stats"), 2, "is no socket");
    expect(run_with("control", "/nowhere/at/all", "stats"), 3, "cannot be reached");
    expect(run_with("control", pid, "stats --loud"), 2, "no option --loud");
    expect(run_with("control", "/etc/passwd", "stats"), 3, "is no socket");
    (void)snprintf(path, sizeof path, "control %s $(printf '%%05000d' 1)", pid);
    expect(run(path), 2, "a request has at most 4095 bytes");
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(sockets(), 0);
    expect(run_with("control", pid, "stats"), 3, "has a control socket in");
}

Test(control_socket, several_runtimes_of_one_process_are_told_apart)
{
    char arguments[200], pid[24];
    struct ftli_home_name name;
    if (!has_program())
        cr_skip_test("this build has no command line");
    (void)snprintf(pid, sizeof pid, "%ld", (long)getpid());
    ftl_runtime *one = open_one("one", "auto"), *two = open_one("two", "auto");
    cr_assert_eq(sockets(), 2);
    expect(run_with("control", pid, "topology"), 3, "which of these 2?");
    expect(run_with("control", "-", "topology"), 3, "which of these 2?");
    expect(run_with("control", "two", "topology"), 0, "two  ");
    DIR *directory = opendir(home);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (!ftli_home_read_name(entry->d_name, &name))
            continue;
        (void)snprintf(arguments, sizeof arguments, "control %lu-%lu topology", name.process, name.number);
        cr_assert_eq(run(arguments), 0, "%s", output);
        cr_assert_eq(strncmp(output, name.runtime, 3), 0, "%s: %s", arguments, output);
    }
    (void)closedir(directory);
    cr_assert_eq(ftl_runtime_close(one, NULL), FTL_OK);
    expect(run_with("control", pid, "topology"), 0, "two  ");
    cr_assert_eq(ftl_runtime_close(two, NULL), FTL_OK);
}

/* Twenty tensors of a session that ended are held by a reference that nobody drops; a cache has three more. */
static void leak_some(ftl_runtime *runtime, ftl_tensor *out, unsigned n)
{
    ftl_scope session;
    const ftl_tensor_options options = {.label = "kv", .site = "src/session.c:164"};
    cr_assert_eq(ftl_scope_begin(runtime, "session", &session), FTL_OK);
    ftl_scope before = ftl_scope_swap(session);
    for (unsigned i = 0; i < n; i++) {
        cr_assert_eq(ftl_bytes_new(runtime, 256 * 1024, &options, &out[i]), FTL_OK);
        cr_assert_eq(ftl_tensor_retain(out[i]), FTL_OK);
    }
    (void)ftl_scope_swap(before);
    cr_assert_eq(ftl_scope_end(session, NULL), FTL_OK);
}

Test(control_socket, fettle_leaks_names_what_is_leaked)
{
    char arguments[300], snapshot[100];
    ftl_tensor left[25];
    ftl_scope cache;
    if (!has_program())
        cr_skip_test("this build has no command line");
    ftl_runtime *runtime = open_one("server", "auto");
    expect(run("leaks"), 0, "no leak among 0 tensors; watched for ");
    const ftl_scope_options options = {.label = "weights", .kind = FTL_SCOPE_CACHE};
    cr_assert_eq(ftl_scope_open(runtime, &options, &cache), FTL_OK);
    ftl_scope before = ftl_scope_swap(cache);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(ftl_bytes_new(runtime, 1 << 20, NULL, &left[i]), FTL_OK);
    (void)ftl_scope_swap(before);
    leak_some(runtime, left, 20);
    (void)snprintf(snapshot, sizeof snapshot, "%s/snapshot", folder);
    (void)snprintf(arguments, sizeof arguments, "leaks server --save %s", snapshot);
    expect(run(arguments), 1, ": 1 finding over 23 tensors, looked at in ");
    expect(1, 1, " 100 %       20    5.0 MiB ");
    expect(1, 1, "outlived its scope  ");
    expect(1, 1, "src/session.c:164               kv            session\n");
    expect(1, 1, "\n1  why: each has a reference that was retained");
    expect(1, 1, "quiet it: --expect src/session.c:164\n");
    expect(1, 1, "weights (3.0 MiB, 3 tensors, ");
    expect(run("leaks --expect a.c:1,src/session.c:164"), 0, "; 1 expected\n");
    (void)snprintf(arguments, sizeof arguments, "leaks --since %s", snapshot);
    expect(run(arguments), 0, "no leak more than in the snapshot among 23 tensors");
    leak_some(runtime, left + 20, 5);
    expect(run(arguments), 1, " 100 %        5    1.2 MiB ");
    expect(run("leaks --json"), 1, "\"count\": 25,");
    (void)unlink(snapshot);
    expect(run(arguments), 2, "No such file");
    expect(run("leaks --since /etc/passwd"), 2, "is no list of leaks");
    expect(run("leaks --save /nowhere/at/all"), 2, "No such file");
    expect(run("leaks server more"), 2, "one too many");
    expect(run("leaks --exspect a"), 2, "did you mean --expect");
    expect(run("leaks 99999999"), 3, "no runtime called");
    for (unsigned i = 0; i < 25; i++)
        cr_assert_eq(ftl_tensor_drop(left[i]), FTL_OK);
    expect(run("leaks server"), 0, "no leak among 3 tensors");
    cr_assert_eq(ftl_scope_end(cache, NULL), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(control_socket, fettle_stat_of_a_process_is_asked_once)
{
    if (!has_program())
        cr_skip_test("this build has no command line");
    ftl_runtime *runtime = open_one("counted", "auto");
    ftl_tensor tensor;
    cr_assert_eq(ftl_bytes_new(runtime, 4321, NULL, &tensor), FTL_OK);
    expect(run("stat counted"), 0, "created 1 = live 1 + pending 0");
    expect(1, 1, "\nleak_detection   ");
    expect(run("stat --json"), 0, "\"live_bytes\": 4321");
    expect(run("stat --count 2"), 2, "give an ENDPOINT");
    expect(run("stat 99999999"), 3, "no runtime called");
    expect(run("stat a/b"), 2, "is no process");
    expect(run("stat counted 5"), 2, "one too many");
    expect(run("stat --jsn"), 2, "did you mean --json");
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

static int keep(const char *text, size_t n, void *user)
{
    (void)user;
    size_t used = strlen(output);
    cr_assert_lt(used + n, sizeof output);
    memcpy(output + used, text, n);
    output[used + n] = '\0';
    return 0;
}

Test(control_socket, the_list_of_close_is_the_same_text)
{
    ftl_tensor left[3];
    ftl_close_report closed;
    ftl_runtime *runtime = open_one("closed", "none");
    leak_some(runtime, left, 3);
    cr_assert_eq(ftl_runtime_close(runtime, &closed), FTL_OK);
    output[0] = '\0';
    ftl_leak_report_write(closed.leaks, keep, NULL);
    expect(1, 1, " 100 %        3  768.0 KiB ");
    expect(1, 1, "\n1  why: each has a reference that was retained");
    cr_assert_null(strstr(output, "--expect"));
    ftl_leak_report_free(closed.leaks);
    ftl_leak_report_write(NULL, keep, NULL);
}

static void note(const ftl_event *event, void *user)
{
    if (strstr(event->text, "no control socket") != NULL)
        (void)snprintf(user, 300, "%s", event->text);
}

Test(control_socket, auto_never_fails_an_open_and_a_path_does)
{
    static char told[300];
    char path[100], name[40];
    struct stat status;
    ftl_runtime *runtime;
    (void)snprintf(path, sizeof path, "%s/my.sock", folder);
    runtime = open_one("here", path);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert_neq(try_open("there", path, &(ftl_runtime *){NULL}), FTL_OK);
    cr_assert_not_null(strstr(ftl_last_error(), "another runtime has it"), "%s", ftl_last_error());
    if (has_program())
        expect(run_with("control", path, "check"), 0, "good\n");
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(access(path, F_OK), -1);
    cr_assert_neq(try_open("there", "/nowhere/at/all/x", &(ftl_runtime *){NULL}), FTL_OK);
    cr_assert_neq(try_open("there", "nowhere", &(ftl_runtime *){NULL}), FTL_OK);
    cr_assert_neq(try_open("there", "tcp://127.0.0.1:1", &(ftl_runtime *){NULL}), FTL_OK);
    /* what lies at both homes cannot be used: it opens, and says why there is no socket */
    (void)snprintf(name, sizeof name, "/tmp/fettle-%lu", (unsigned long)geteuid());
    cr_assert_eq(mkdir(home, 0755), 0);
    ftl_open_options options = {.on_event = note, .on_event_user = told, .on_event_kinds = FTL_EVENT_LOG};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    bool is_elsewhere = access(name, W_OK) == 0; /* the other home was good */
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(sockets(), 0);
    cr_assert(is_elsewhere || told[0] != '\0');
}

Test(control_socket, none_in_a_topology_without_threads_or_where_it_says_none)
{
    static const char *const overrides[] = {"actors.telemetry.control: none\n", "threads.background.count: 0\n"};
    for (unsigned i = 0; i < 2; i++) {
        ftl_runtime *runtime;
        ftl_open_options options = {.overrides = overrides[i]};
        cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
        cr_assert_eq(sockets(), 0, "%s", overrides[i]);
        cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    }
}

static ftli_atomic_u32 stop;

static void *churn(void *runtime)
{
    while (ftli_u32_load_acquire(&stop) == 0) {
        ftl_tensor tensor;
        if (ftl_bytes_new(runtime, 1000, NULL, &tensor) == FTL_OK)
            (void)ftl_tensor_drop(tensor);
    }
    return NULL;
}

Test(control_socket, beside_threads_that_work_a_restart_and_a_close)
{
    pthread_t thread;
    if (!has_program())
        cr_skip_test("this build has no command line");
    ftl_runtime *runtime = open_one("busy", "auto");
    cr_assert_eq(pthread_create(&thread, NULL, churn, runtime), 0);
    expect(run("control busy leaks"), 0, "0 findings");
    expect(run("control busy kill telemetry"), 0, "fails at its next receive");
    int status;
    do /* while it is restarted nobody answers for a moment */
        status = run("control busy stats");
    while (status == 3);
    expect(status, 0, "created");
    ftli_u32_store_release(&stop, 1);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(sockets(), 0);
}

#else

Test(control_socket, is_not_in_this_build)
{
    ftl_runtime *runtime;
    ftl_open_options options = {.overrides = "actors.telemetry.control: auto\n"};
    cr_assert_neq(ftl_runtime_open_with(&options, &runtime), FTL_OK);
}

#endif
