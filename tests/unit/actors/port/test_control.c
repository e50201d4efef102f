/* The language of ftl_runtime_control: each word, and what is none. */
#include "tests/unit/actors/port/port_support.h"

struct text {
    char bytes[16384];
    size_t n;
    unsigned calls, stop_after; /* 0: never */
};

static int take_text(const char *data, size_t n, void *user)
{
    struct text *text = user;
    cr_assert_leq(text->n + n, sizeof text->bytes - 1);
    memcpy(text->bytes + text->n, data, n);
    text->n += n;
    text->bytes[text->n] = '\0';
    return ++text->calls == text->stop_after ? -1 : 0;
}

static int ask(ftl_runtime *runtime, const char *request, struct text *text)
{
    text->n = 0, text->calls = 0;
    text->bytes[0] = '\0';
    return ftl_runtime_control(runtime, request, take_text, text);
}

static struct text text;

static bool says(const char *what)
{
    return strstr(text.bytes, what) != NULL;
}

Test(control, stats_lists_every_figure)
{
    static const char *const words[] = {
        "created",        "live ",          "pending ",        "reclaimed",       "cached_bytes",  "held_bytes",
        "slack_bytes",    "metadata_bytes", "committed_bytes", "peak_live_bytes", "fragmentation", "efficiency",
        "reclaim_p99_ns", "restarts",       "audits_failed",   "pressure",        "degraded",      "retries",
        "given_up",       "breakers_open",  "drops_overdue",   "lane_alarms"};
    ftl_runtime *runtime = open_simulated(NULL);
    ftl_tensor a = new_bytes(runtime, 1000, NULL), b = new_bytes(runtime, 2000, NULL);
    cr_assert_eq(ftl_tensor_drop(a), FTL_OK);
    cr_assert_eq(ask(runtime, "stats", &text), FTL_OK);
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        cr_assert(says(words[i]), "no %s in:\n%s", words[i], text.bytes);
    cr_assert(says("created                    2\n"), "%s", text.bytes);
    cr_assert(says("live_bytes                 2000\n"), "%s", text.bytes);
    cr_assert(says("\nactors.cleanup.state                     idle\n"), "%s", text.bytes);
    cr_assert(says("\nactors.Events.oldest_ns                  0\n"), "%s", text.bytes);
    cr_assert(says("\nlanes.emergency.completed                0\n"), "%s", text.bytes);
    cr_assert_eq(ftl_tensor_drop(b), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(control, check_says_good_or_what_is_broken)
{
    ftl_runtime *runtime = open_simulated(NULL);
    ftl_tensor tensor = new_bytes(runtime, 1000, NULL);
    cr_assert_eq(ask(runtime, "check", &text), FTL_OK);
    cr_assert_str_eq(text.bytes, "good\n");
    (void)ftli_u64_fetch_add_relaxed(&runtime->shared.created_bytes, 5);
    cr_assert_eq(ask(runtime, "check", &text), FTL_EINTERNAL);
    cr_assert(says("broken: audit: bytes live"), "%s", text.bytes);
    cr_assert_not_null(strstr(ftl_last_error(), "the table has 1000, the counters say 1005"), "%s", ftl_last_error());
    (void)ftli_u64_fetch_add_relaxed(&runtime->shared.created_bytes, (uint64_t)-5);
    cr_assert_eq(ask(runtime, "check", &text), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(control, leaks_lists_what_outlived_its_scope_and_what_is_pinned)
{
    ftl_scope scope;
    const ftl_tensor_options options = {.label = "weights"};
    ftl_runtime *runtime = open_simulated(NULL);
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    ftl_scope before = ftl_scope_swap(scope);
    ftl_tensor leak = new_bytes(runtime, 1234, &options);
    (void)ftl_scope_swap(before);
    cr_assert_eq(ftl_tensor_retain(leak), FTL_OK);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    ftl_tensor pinned = new_bytes(runtime, 4321, NULL);
    cr_assert_not_null(ftl_tensor_pin(pinned));
    cr_assert_eq(ftl_tensor_drop(pinned), FTL_OK);
    run_for(runtime, 20 * SECOND);
    cr_assert_eq(ask(runtime, "leaks", &text), FTL_OK);
    cr_assert(says("2 findings over"), "%s", text.bytes);
    cr_assert(says("outlived its scope"), "%s", text.bytes);
    cr_assert(says("weights       request"), "%s", text.bytes);
    cr_assert(says("1  why: they were dropped, but a pin"), "%s", text.bytes);
    cr_assert_eq(ask(runtime, "leaks json", &text), FTL_OK, "%s", ftl_last_error());
    cr_assert(says("\"label\":\"weights\",\"scope\":\"request\""), "%s", text.bytes);
    cr_assert_eq(ask(runtime, "leaks xml", &text), FTL_EINVAL);
    cr_assert_eq(ask(runtime, "stats json ", &text), FTL_EINVAL);
    cr_assert_eq(ask(runtime, "stats json", &text), FTL_OK, "%s", ftl_last_error());
    cr_assert(says("\"leak_suspects\":"), "%s", text.bytes);
    cr_assert_eq(ask(runtime, "leaks", &text), FTL_OK);
    cr_assert(says("pinned for more than 10 s"), "%s", text.bytes);
    ftl_tensor_unpin(pinned);
    cr_assert_eq(ftl_tensor_drop(leak), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(control, topology_lists_threads_actors_and_what_differs)
{
    ftl_runtime *runtime = open_simulated("actors.tracking.level: debug");
    cr_assert_eq(ask(runtime, "topology", &text), FTL_OK);
    cr_assert(says("default  "), "%s", text.bytes);
    cr_assert(says("threads service"), "%s", text.bytes);
    cr_assert(says("actor   cleanup"), "%s", text.bytes);
    cr_assert(says("actor   leak_detection"), "%s", text.bytes);
    cr_assert(says("differs actors.tracking.level: debug (default.yaml: standard)"), "%s", text.bytes);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(control, stops_when_the_writer_says_so)
{
    ftl_runtime *runtime = open_simulated(NULL);
    text.stop_after = 3;
    cr_assert_eq(ask(runtime, "stats", &text), FTL_OK);
    cr_assert_eq(text.calls, 3, "it went on after the writer had said no");
    text.stop_after = 0;
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

static int never_works(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes;
    return *(const bool *)user ? 0 : -77;
}

static void ask_retry(ftl_runtime *runtime, ftl_tensor tensor, int expected)
{
    char request[40];
    (void)snprintf(request, sizeof request, "retry 0x%llx", (unsigned long long)tensor.id);
    cr_assert_eq(ask(runtime, request, &text), expected, "%s: %s", request, ftl_last_error());
}

Test(control, quarantine_lists_what_was_given_up_and_retry_takes_it_out)
{
    ftl_runtime *runtime = open_simulated("actors.cleanup.deadline: 100ms");
    bool works = false;
    char row[40];
    const ftl_tensor_options stuck = {
        .label = "stuck", .tag = 4711, .site = "here.c:12", .finalizer = never_works, .finalizer_user = &works};
    ftl_tensor tensor = new_bytes(runtime, 3000, &stuck), alive = new_bytes(runtime, 10, NULL);
    cr_assert_eq(ask(runtime, "quarantine", &text), FTL_OK);
    cr_assert_str_eq(text.bytes, "0 quarantined, 0 bytes\n");
    ask_retry(runtime, tensor, FTL_EINVAL);
    cr_assert_not_null(strstr(ftl_last_error(), "is alive"));
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    ask_retry(runtime, tensor, FTL_EBUSY);
    run_for(runtime, SECOND);
    cr_assert_eq(ask(runtime, "quarantine", &text), FTL_OK);
    (void)snprintf(row, sizeof row, "0x%016llx", (unsigned long long)tensor.id);
    cr_assert(says(row) && says("3000 bytes ") &&
                  says(" tries  last status -77  label \"stuck\"  tag 4711  here.c:12\n"),
              "%s", text.bytes);
    cr_assert(says("1 quarantined, 3000 bytes\n"));
    works = true;
    ask_retry(runtime, tensor, FTL_OK);
    cr_assert(says(row) && says("1 retried, 3000 bytes\n"), "%s", text.bytes);
    ask_retry(runtime, tensor, FTL_EBUSY);
    cr_assert_not_null(strstr(ftl_last_error(), "being reclaimed"));
    cr_assert_eq(stats_of(runtime).quarantined, 1, "until the cleanup has it");
    run_for(runtime, SECOND);
    ask_retry(runtime, tensor, FTL_ESTALE);
    cr_assert_eq(stats_of(runtime).reclaimed, 1);
    must_agree(runtime);
    cr_assert_eq(ftl_tensor_drop(alive), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(control, retry_of_what_is_no_handle)
{
    static const char *const junk[] = {
        "retry",     "retry ",      "retry 0x",      "retry 12",   "retry 0x12 ",
        "retry 0xg", "retry  all ", "retry 0x1 0x2", "retry -0x1", "retry 0x11111111111111111"};
    static const char *const unknown[] = {"retry 0x0", "retry 0xffffffffffffffff", "retry 0x7f0000000001"};
    ftl_runtime *runtime = open_simulated(NULL);
    for (unsigned i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        cr_assert_eq(ask(runtime, junk[i], &text), FTL_EINVAL, "\"%s\"", junk[i]);
        cr_assert_not_null(strstr(ftl_last_error(), "is no handle"), "%s", ftl_last_error());
        cr_assert_eq(text.n, 0);
    }
    for (unsigned i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        cr_assert_eq(ask(runtime, unknown[i], &text), FTL_ESTALE, "\"%s\"", unknown[i]);
    cr_assert_eq(ask(runtime, "retry all", &text), FTL_OK);
    cr_assert_str_eq(text.bytes, "0 retried, 0 bytes\n");
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(control, what_is_no_word_of_it)
{
    static const char *const none[] = {"", "stat", "statss", "check ", "sett actors.tracking.level debug", "\x01\xff"};
    ftl_runtime *runtime = open_simulated(NULL);
    for (unsigned i = 0; i < sizeof none / sizeof none[0]; i++) {
        cr_assert_eq(ask(runtime, none[i], &text), FTL_ENOTSUP, "\"%s\"", none[i]);
        cr_assert_eq(text.n, 0);
        cr_assert_not_null(
            strstr(ftl_last_error(),
                   "there are stats [json], check, leaks [reach] [json], topology, quarantine, retry HANDLE"));
    }
    char endless[4096];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    cr_assert_eq(ask(runtime, endless, &text), FTL_ENOTSUP);
    cr_assert_eq(ask(NULL, "stats", &text), FTL_EINVAL);
    cr_assert_eq(ask(runtime, NULL, &text), FTL_EINVAL);
    cr_assert_eq(ftl_runtime_control(runtime, "stats", NULL, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(ask(runtime, "stats", &text), FTL_ECLOSED);
}

Test(control, tensors_and_breakdown_say_what_is_live)
{
    ftl_runtime *runtime = open_simulated(NULL);
    const ftl_tensor_options options = {.label = "a \"b\"\n\xff", .site = "x\\y.c:3", .tag = 9};
    const int64_t shape[] = {10, 20};
    ftl_tensor tensor;
    cr_assert_eq(ftl_tensor_new(runtime, FTL_F32, 2, shape, &options, &tensor), FTL_OK);
    cr_assert_eq(ask(runtime, "tensors", &text), FTL_OK);
    cr_expect(says("  f32 [10, 20]  800 bytes  0.000 s  references 1  pins 0  label "), "%s", text.bytes);
    cr_expect(says("  tag 9  x\\y.c:3\n"), "%s", text.bytes);
    cr_expect(says("\n1 tensors, 800 bytes\n"), "%s", text.bytes);
    cr_assert_eq(ask(runtime, "tensors json", &text), FTL_OK);
    cr_expect(says("{\"tensors\": [\n{\"tensor\": \"0x"), "%s", text.bytes);
    cr_expect(says("\"shape\": [10, 20], \"dtype\": \"f32\", \"device\": \"cpu\", \"age_ms\": 0"), "%s", text.bytes);
    cr_expect(says("\"label\": \"a \\\"b\\\"\\u000a\\ufffd\""), "%s", text.bytes);
    cr_expect(says("\"site\": \"x\\\\y.c:3\"}\n], \"count\": 1, \"bytes\": 800}\n"), "%s", text.bytes);
    cr_assert_eq(ask(runtime, "breakdown", &text), FTL_OK);
    cr_expect(says("all                "), "%s", text.bytes);
    cr_expect(says("\nclass    832 "), "%s", text.bytes);
    cr_expect(says("\ndtype    f32 "), "%s", text.bytes);
    cr_assert_eq(ask(runtime, "breakdown json", &text), FTL_OK);
    cr_expect(
        says("{\"count\": 1, \"bytes\": 800,\n\"device\": [\n{\"name\": \"cpu\", \"count\": 1, \"bytes\": 800}],"),
        "%s", text.bytes);
    cr_expect(says("\"scope\": [\n{\"name\": \"-\", \"count\": 1, \"bytes\": 800}]}\n"), "%s", text.bytes);
    cr_expect_eq(ask(runtime, "tensors yaml", &text), FTL_EINVAL);
    cr_expect_eq(ask(runtime, "breakdown 1", &text), FTL_EINVAL);
    text.stop_after = 1;
    cr_expect_eq(ask(runtime, "tensors", &text), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(control, set_changes_levels_and_targets)
{
    ftl_runtime *runtime = open_simulated(NULL);
    cr_assert_eq(ask(runtime, "set actors.tracking.level detailed", &text), FTL_OK, "%s", ftl_last_error());
    cr_expect_str_eq(text.bytes, "actors.tracking.level was standard, is detailed\n");
    cr_assert_eq(ask(runtime, "set  actors.tracking.target   3%", &text), FTL_OK, "%s", ftl_last_error());
    cr_expect_str_eq(text.bytes, "actors.tracking.target was 2%, is 3%\n");
    cr_assert_eq(ask(runtime, "stats", &text), FTL_OK);
    cr_expect(says("\ntracking_level             3\n"), "%s", text.bytes);
    cr_expect(says("\ntracking_rate_1            0.200000\n"), "%s", text.bytes);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(control, set_refuses_what_cannot_be)
{
    static const struct {
        const char *request, *why;
    } rows[] = {
        {"set", "expected a key and a value, such as actors.tracking.level detailed"},
        {"set actors.tracking.level", "expected a key and a value"},
        {"set actors.tracking.level off", "actors.tracking.level: \"off\" means nothing here; say none"},
        {"set actors.tracking.level detaild", "did you mean detailed?"},
        {"set actors.tracking.target 3", "actors.tracking.target: \"3\" is not a share; expected a percentage such as"},
        {"set actors.tracking.target 300%", "actors.tracking.target: "},
        {"set actors.tracking.target 1%\nactors.tracking.level: none", "no plain word"},
        {"set actors.tracking.events 100", "\"actors.tracking.events\" cannot be changed while it runs; what can is "
                                           "actors.tracking.level, actors.tracking.target"},
        {"set nothing at all", "\"nothing\" cannot be changed while it runs"},
    };
    ftl_runtime *runtime = open_simulated(NULL);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(ask(runtime, rows[i].request, &text), FTL_EINVAL, "%s", rows[i].request);
        cr_expect(strstr(ftl_last_error(), rows[i].why) != NULL, "%s: %s", rows[i].request, ftl_last_error());
        cr_expect_eq(text.n, 0);
    }
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    runtime = open_simulated("actors: {tracking: none}\n");
    cr_expect_eq(ask(runtime, "set actors.tracking.level debug", &text), FTL_ENOTSUP);
    cr_expect(strstr(ftl_last_error(), "no tracking") != NULL, "%s", ftl_last_error());
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

static uint64_t sampled_of(ftl_runtime *runtime, unsigned n)
{
    struct ftli_totals before, after;
    ftli_runtime_totals(runtime, &before);
    for (unsigned i = 0; i < n; i++)
        cr_assert_eq(ftl_tensor_drop(new_bytes(runtime, 100, NULL)), FTL_OK);
    ftli_runtime_totals(runtime, &after);
    return after.sampled - before.sampled;
}

/* A port counts down to its next sample: what it counts by is changed at once, whatever it was before. */
Test(control, a_level_that_was_set_is_used_at_once)
{
    ftl_runtime *runtime = open_simulated("actors.tracking.level: none");
    cr_expect_eq(sampled_of(runtime, 1000), 0);
    cr_assert_eq(ask(runtime, "set actors.tracking.level debug", &text), FTL_OK, "%s", ftl_last_error());
    cr_expect_eq(sampled_of(runtime, 1000), 1000);
    cr_assert_eq(ask(runtime, "set actors.tracking.level standard", &text), FTL_OK, "%s", ftl_last_error());
    cr_expect_float_eq((double)sampled_of(runtime, 10000), 1000, 150);
    ftl_tensor sampled[100];
    cr_assert_eq(ask(runtime, "set actors.tracking.level debug", &text), FTL_OK);
    for (unsigned i = 0; i < 100; i++)
        sampled[i] = new_bytes(runtime, 100, NULL);
    cr_assert_eq(ask(runtime, "set actors.tracking.level none", &text), FTL_OK, "%s", ftl_last_error());
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(ftl_tensor_drop(sampled[i]), FTL_OK);
    cr_expect_eq(sampled_of(runtime, 1000), 0);
    cr_assert_eq(ask(runtime, "check", &text), FTL_OK, "%s", text.bytes);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
