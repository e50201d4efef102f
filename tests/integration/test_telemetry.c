/* What a runtime publishes over its socket, as a listener and as `fettle stat` hear it. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>

#if FETTLE_TELEMETRY

#include "runtime/bridge/subscriber.h"
#include "tests/support/zeromq.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64], why[200];

static void make_folder(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/fettle-telemetry-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
    cr_assert_eq(rmdir(folder), 0, "something is left in %s", folder);
}

TestSuite(telemetry_whole, .init = make_folder, .fini = remove_folder, .timeout = 120);

static int try_open(const char *name, const char *socket, ftl_runtime **runtime)
{
    char overrides[300];
    (void)snprintf(overrides, sizeof overrides,
                   "runtime.name: %s\nactors.telemetry.every: 20ms\nactors.telemetry.publish: ipc://%s/%s\n", name,
                   folder, socket);
    ftl_open_options options = {.overrides = overrides};
    return ftl_runtime_open_with(&options, runtime);
}

static ftl_runtime *open_one(const char *name, const char *socket)
{
    ftl_runtime *runtime;
    cr_assert_eq(try_open(name, socket, &runtime), FTL_OK, "%s", ftl_last_error());
    return runtime;
}

static struct ftli_subscriber *listen_to(const char *socket)
{
    char endpoint[200];
    struct ftli_subscriber *subscriber;
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s/%s", folder, socket);
    cr_assert_eq(ftli_subscriber_open(endpoint, "stats", &subscriber, why, sizeof why), FTL_OK, "%s", why);
    return subscriber;
}

static struct ftli_subscribed hear(struct ftli_subscriber *subscriber)
{
    struct ftli_subscribed got;
    int status = ftli_subscriber_receive(subscriber, UINT64_C(60) * 1000 * 1000 * 1000, &got, why, sizeof why);
    cr_assert_eq(status, FTL_OK, "%s", why);
    return got;
}

/* The first sample may have been written down before this program subscribed; the one after it was not. */
static struct ftli_subscribed hear_of_now(struct ftli_subscriber *subscriber)
{
    (void)hear(subscriber);
    return hear(subscriber);
}

static void expect_count(const char *body, const char *name, uint64_t value)
{
    char text[100];
    (void)snprintf(text, sizeof text, "\"%s\":%" PRIu64, name, value);
    const char *at = strstr(body, text);
    cr_assert(at != NULL && (at[strlen(text)] == ',' || at[strlen(text)] == '}'), "no %s in %s", text, body);
}

Test(telemetry_whole, a_listener_hears_the_fields_of_the_stats)
{
    ftl_runtime *runtime = open_one("heard", "a.sock");
    ftl_tensor tensors[10];
    ftl_stats stats;
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(ftl_bytes_new(runtime, 1000 * i, NULL, &tensors[i]), FTL_OK);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensors[0]), FTL_ESTALE);
    struct ftli_subscriber *subscriber = listen_to("a.sock");
    struct ftli_subscribed got = hear_of_now(subscriber);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_not_null(strstr(got.body, "\"runtime\":\"heard\""), "%s", got.body);
    cr_assert_eq(got.body[0], '{');
    cr_assert_eq(got.body[got.body_bytes - 1], '}');
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"created", 10},
        {"live", 6},
        {"pending", 0},
        {"reclaimed", 4},
        {"quarantined", 0},
        {"immediate", stats.immediate},
        {"deferred", stats.deferred},
        {"stale_handles", 1},
        {"live_bytes", 39000},
        {"pending_bytes", 0},
        {"slack_bytes", stats.slack_bytes},
        {"limit_bytes", stats.limit_bytes},
        {"peak_live_bytes", stats.peak_live_bytes},
        {"restarts", 0},
        {"audits_failed", 0},
        {"degraded", 0},
        {"retries", 0},
        {"given_up", 0},
        {"breakers_open", 0},
        {"drops_overdue", 0},
    };
    for (unsigned i = 0; i < sizeof fields / sizeof fields[0]; i++)
        expect_count(got.body, fields[i].name, fields[i].value);
    static const char *const others[] = {
        "committed_bytes", "cached_bytes",  "metadata_bytes",         "fragmentation", "efficiency", "held_bytes",
        "reclaim_p99_ns",  "leak_suspects", "tracking_time_overhead", "events_lost",   "pressure",   "time_ns"};
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        char key[60];
        (void)snprintf(key, sizeof key, "\"%s\":", others[i]);
        cr_assert_not_null(strstr(got.body, key), "no %s in %s", key, got.body);
    }
    static const char *const actors[] = {"allocation", "cleanup", "finalizer-a", "tracking", "telemetry", "Events"};
    for (unsigned i = 0; i < sizeof actors / sizeof actors[0]; i++) {
        char object[60];
        (void)snprintf(object, sizeof object, "{\"name\":\"%s\",\"state\":\"", actors[i]);
        cr_assert_not_null(strstr(got.body, object), "no %s in %s", object, got.body);
    }
    cr_assert_not_null(strstr(got.body, "\"lanes\":[{\"name\":\"emergency\",\"completed\":0,"), "%s", got.body);
    uint64_t sequence = got.sequence;
    got = hear(subscriber);
    cr_assert_gt(got.sequence, sequence);
    ftli_subscriber_close(subscriber);
    for (unsigned i = 4; i < 10; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(telemetry_whole, two_runtimes_are_told_apart)
{
    ftl_runtime *one = open_one("one", "one.sock"), *two = open_one("two", "two.sock"), *third = NULL;
    ftl_tensor tensor;
    cr_assert_eq(ftl_bytes_new(two, 77, NULL, &tensor), FTL_OK);
    cr_assert_neq(try_open("third", "one.sock", &third), FTL_OK, "somebody publishes there");
    cr_assert_null(third);
    cr_assert_gt(strlen(ftl_last_error()), 10);
    struct ftli_subscriber *of_one = listen_to("one.sock"), *of_two = listen_to("two.sock");
    struct ftli_subscribed got = hear_of_now(of_one);
    cr_assert_not_null(strstr(got.body, "\"runtime\":\"one\""));
    expect_count(got.body, "live", 0);
    got = hear_of_now(of_two);
    cr_assert_not_null(strstr(got.body, "\"runtime\":\"two\""));
    expect_count(got.body, "live_bytes", 77);
    /* One ends; the other is still heard, and its endpoint serves the next. */
    cr_assert_eq(ftl_runtime_close(one, NULL), FTL_OK);
    (void)hear(of_two);
    third = open_one("third", "one.sock");
    got = hear(of_one);
    while (strstr(got.body, "\"runtime\":\"one\"") != NULL) /* what was on its way */
        got = hear(of_one);
    cr_assert_not_null(strstr(got.body, "\"runtime\":\"third\""));
    ftli_subscriber_close(of_one);
    ftli_subscriber_close(of_two);
    cr_assert_eq(ftl_runtime_close(third, NULL), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_close(two, NULL), FTL_OK);
}

/* The command's exit status; what it printed is in `output`. */
static int run_stat(const char *program, const char *arguments, char *output, size_t bytes)
{
    char command[1200];
    (void)snprintf(command, sizeof command, "%s stat %s 2>&1", program, arguments);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    size_t n = fread(output, 1, bytes - 1, pipe);
    output[n] = '\0';
    int status = pclose(pipe);
    cr_assert(WIFEXITED(status), "%s: %s", command, output);
    return WEXITSTATUS(status);
}

Test(telemetry_whole, fettle_stat_prints_it)
{
    char program[600], arguments[300];
    static char output[32000];
    const char *build = getenv("FETTLE_BINARY_DIR");
    (void)snprintf(program, sizeof program, "%s/fettle", build != NULL ? build : ".");
    if (access(program, X_OK) != 0)
        cr_skip_test("this build has no command line");
    (void)snprintf(arguments, sizeof arguments, "ipc://%s/nobody.sock --timeout 50ms", folder);
    cr_assert_eq(run_stat(program, arguments, output, sizeof output), 3, "nobody is there: %s", output);
    cr_assert_eq(run_stat(program, "tcp://somewhere:1", output, sizeof output), 2, "%s", output);
    ftl_runtime *runtime = open_one("printed", "b.sock");
    ftl_tensor tensor;
    cr_assert_eq(ftl_bytes_new(runtime, 4321, NULL, &tensor), FTL_OK);
    (void)snprintf(arguments, sizeof arguments, "ipc://%s/b.sock --timeout 60s", folder);
    cr_assert_eq(run_stat(program, arguments, output, sizeof output), 0, "%s", output);
    cr_assert_not_null(strstr(output, "printed"), "%s", output);
    cr_assert_not_null(strstr(output, "created 1 = live 1"), "%s", output);
    cr_assert_not_null(strstr(output, "\nACTOR            STATE "), "%s", output);
    cr_assert_not_null(strstr(output, "\nleak_detection   "), "%s", output);
    cr_assert_not_null(strstr(output, "\noverdue   receives "), "%s", output);
    (void)snprintf(arguments, sizeof arguments, "ipc://%s/b.sock --timeout 60s --json --count 2", folder);
    cr_assert_eq(run_stat(program, arguments, output, sizeof output), 0, "%s", output);
    cr_assert_not_null(strstr(output, "live_bytes"), "%s", output);
    cr_assert_not_null(strstr(output, "\"name\": \"cleanup\""), "%s", output);
    cr_assert_not_null(strstr(output, "4321"), "%s", output);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

#else

Test(telemetry_whole, is_not_in_this_build)
{
    ftl_runtime *runtime;
    ftl_open_options options = {.overrides = "actors.telemetry.publish: ipc:///tmp/fettle-absent.sock\n"};
    cr_assert_neq(ftl_runtime_open_with(&options, &runtime), FTL_OK);
}

#endif
