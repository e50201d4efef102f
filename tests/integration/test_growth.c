/* Growth, survivors and caches above their bounds in a whole runtime, in virtual time, at the default settings; and the words that
 * they are told in. The labelled programs (tests/leaks) say how often that is right. */
#include <criterion/criterion.h>

#include "actors/leak_detection/report.h"
#include "actors/leak_detection/signature.h"
#include "actors/port/runtime.h"
#include "runtime/kernel/route.h"
#include "runtime/kernel/simulation.h"

#include <stdio.h>
#include <string.h>

#define SECOND (UINT64_C(1000) * 1000 * 1000)
#define WINDOW 600

static ftl_runtime *runtime;
static unsigned events;
static uint64_t first_event_ns;
static char event_text[256];

static void on_event(const ftl_event *event, void *user)
{
    (void)user;
    if (events++ == 0) {
        first_event_ns = event->time_ns;
        (void)snprintf(event_text, sizeof event_text, "%s", event->text);
    }
}

static void open_with(const char *overrides)
{
    ftl_open_options options = {.overrides = overrides, .on_event = on_event, .on_event_kinds = FTL_EVENT_LEAK};
    events = 0;
    cr_assert_eq(ftli_runtime_open_as(&options, true, 1, &runtime), FTL_OK, "%s", ftl_last_error());
    ftli_simulation_check_every(runtime->kernel, 1000);
}

static void close_runtime(void)
{
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK, "%s", ftl_last_error());
    ftl_leak_report_free(report.leaks);
}

static uint64_t now_ns(void)
{
    return ftli_kernel_now_ns(runtime->kernel);
}

static void pass(uint64_t seconds)
{
    uint64_t until_ns = now_ns() + seconds * SECOND;
    cr_assert_eq(ftli_simulation_run_until_idle(runtime->kernel, until_ns, 0), FTL_OK);
    if (now_ns() < until_ns)
        ftli_simulation_jump(runtime->kernel, until_ns - now_ns());
}

static ftl_tensor make(ftl_scope scope, size_t bytes, const char *label, const char *site)
{
    ftl_tensor tensor;
    ftl_tensor_options options = {.scope = scope, .label = label, .site = site};
    cr_assert_eq(ftl_bytes_new(runtime, bytes, &options, &tensor), FTL_OK, "%s", ftl_last_error());
    return tensor;
}

static uint64_t suspects(void)
{
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    return stats.leak_suspects;
}

static ftl_leak_report *scan(uint32_t certainty)
{
    ftl_leak_report *report;
    ftl_leak_options options = {.certainty = certainty};
    cr_assert_eq(ftl_leak_scan(runtime, &options, &report), FTL_OK, "%s", ftl_last_error());
    return report;
}

TestSuite(growth, .timeout = 120);

Test(growth, one_tensor_a_second_within_its_window)
{
    open_with("routes: [{when: leak_detection.confirmed, tell: cleanup, do: run}]\n");
    uint64_t begun_ns = now_ns();
    for (unsigned second = 0; second < 2 * WINDOW; second++) {
        ftl_tensor served = make((ftl_scope){0}, 4096, "served", "b.c:2");
        (void)make((ftl_scope){0}, 1000, "lost", "a.c:1");
        pass(1);
        cr_assert_eq(ftl_tensor_drop(served), FTL_OK);
    }
    cr_assert_eq(events, 1, "told once: %u", events);
    cr_expect_leq((first_event_ns - begun_ns) / SECOND, WINDOW);
    cr_expect_not_null(strstr(event_text, "\"lost\""), "%s", event_text);
    cr_expect_not_null(strstr(event_text, "MiB/h"), "%s", event_text);
    cr_expect_eq(ftli_u64_load_relaxed(&runtime->routes[0].happened), 1);
    ftl_leak_report *report = scan(0);
    cr_assert_eq(report->count, 1);
    const ftl_leak *row = &report->leaks[0];
    cr_expect_eq(row->cause, FTL_LEAK_GROWTH);
    cr_expect_geq(row->certainty, 95);
    cr_expect_str_eq(row->label, "lost");
    cr_expect_str_eq(row->site, "a.c:1");
    cr_expect_float_eq(row->growth_bytes_per_second, 1000, 20);
    cr_expect_geq(row->count, 400);
    cr_expect_leq(row->count, 2 * WINDOW - WINDOW / 20);
    cr_expect_eq(row->bytes, 1000 * row->count);
    cr_expect_leq(suspects(), row->count);
    cr_expect_geq(suspects() + 25, row->count, "as of the last walk, and what was known before: %lu",
                  (unsigned long)suspects());
    const struct ftli_leak_detail *detail = ftli_leak_detail_of(report, 0);
    cr_log_info("%s; %s", detail->reason, detail->fix);
    cr_expect_not_null(strstr(detail->reason, "grows 3.4 MiB/h"), "%s", detail->reason);
    ftl_leak_report_free(report);
    close_runtime();
}

Test(growth, what_levels_off_or_has_an_owner_is_none)
{
    open_with(NULL);
    ftl_scope cache, session;
    ftl_scope_options options = {.label = "cache", .kind = FTL_SCOPE_CACHE, .soft_bytes = 64 << 20};
    cr_assert_eq(ftl_scope_open(runtime, &options, &cache), FTL_OK);
    cr_assert_eq(ftl_scope_begin(runtime, "session", &session), FTL_OK);
    for (unsigned second = 0; second < 3 * WINDOW; second++) {
        if (second < WINDOW / 4)
            (void)make((ftl_scope){0}, 500, "warm-up", "w.c:1");
        (void)make(cache, 4096, "entry", "c.c:1");
        (void)make(session, 2000, "kv", "s.c:1");
        pass(1);
    }
    ftl_leak_report *report = scan(0);
    cr_expect_eq(report->count, 0);
    ftl_leak_report_free(report);
    cr_expect_eq(events, 0, "%s", event_text);
    cr_expect_eq(suspects(), 0);
    cr_assert_eq(ftl_scope_end(session, NULL), FTL_OK);
    cr_assert_eq(ftl_scope_end(cache, NULL), FTL_OK);
    close_runtime();
}

Test(growth, a_cache_above_its_bound)
{
    open_with(NULL);
    ftl_scope cache;
    ftl_scope_options options = {.label = "cache", .kind = FTL_SCOPE_CACHE, .soft_bytes = 100 * 4096};
    cr_assert_eq(ftl_scope_open(runtime, &options, &cache), FTL_OK);
    for (unsigned second = 0; second < 240; second++) {
        (void)make(cache, 4096, "entry", "c.c:1");
        pass(1);
    }
    ftl_leak_report *report = scan(0);
    cr_assert_eq(report->count, 1);
    cr_expect_eq(report->leaks[0].certainty, 100);
    cr_expect_eq(report->leaks[0].count, 240);
    cr_expect_float_eq(report->leaks[0].growth_bytes_per_second, 4096, 100);
    cr_expect_not_null(strstr(ftli_leak_detail_of(report, 0)->reason, "its bound is 400 KiB"), "%s",
                       ftli_leak_detail_of(report, 0)->reason);
    ftl_leak_report_free(report);
    cr_expect_eq(events, 1);
    cr_assert_eq(ftl_scope_end(cache, NULL), FTL_OK);
    pass(60);
    close_runtime();
}

Test(growth, survivors)
{
    open_with(NULL);
    for (unsigned second = 0; second < 3 * WINDOW / 2; second++) {
        for (unsigned i = 0; i < 10; i++) {
            ftl_tensor token = make((ftl_scope){0}, 512, "token", "t.c:1");
            if (second < 60 || second >= 65 || i != 3)
                cr_assert_eq(ftl_tensor_drop(token), FTL_OK);
        }
        pass(1);
    }
    cr_expect_eq(events, 1, "%s", event_text);
    ftl_leak_report *report = scan(80);
    cr_assert_eq(report->count, 1);
    cr_expect_eq(report->leaks[0].cause, FTL_LEAK_SURVIVOR);
    cr_expect_eq(report->leaks[0].count, 5);
    cr_expect_eq(report->leaks[0].certainty, 85, "6 of 7: %u", report->leaks[0].certainty);
    ftl_leak_report_free(report);
    report = scan(90);
    cr_expect_eq(report->count, 0);
    ftl_leak_report_free(report);
    close_runtime();
}

Test(growth, an_idle_program_is_not_walked)
{
    ftli_actor_figures before, after;
    open_with(NULL);
    for (unsigned i = 0; i < 100; i++)
        (void)make((ftl_scope){0}, 512, "kept", NULL);
    pass(WINDOW);
    ftli_actor_read(runtime->leak_detection_actor, &before);
    pass(10 * WINDOW);
    ftli_actor_read(runtime->leak_detection_actor, &after);
    cr_expect_leq(after.ticks - before.ticks, 1);
    close_runtime();
}

Test(growth, the_words)
{
    char reason[256], fix[256], rate[40];
    struct ftli_leak_facts facts = {.grows = true,
                                    .bytes_per_second = 14.9 * 1048576 / 3600,
                                    .count_per_second = 0.25,
                                    .r = 0.98,
                                    .acceleration = 1,
                                    .watched_seconds = 450,
                                    .old = 100,
                                    .references = 1};
    cr_expect_eq(ftli_signature_of(&facts), FTLI_SIGNATURE_GROWTH);
    ftli_signature_words(FTLI_SIGNATURE_GROWTH, &facts, reason, sizeof reason, fix, sizeof fix);
    cr_expect_str_eq(reason, "grows 14.9 MiB/h (900 an hour), steadily for 8 min, r 0.98");
    cr_expect_neq(fix[0], '\0');
    facts.count_per_second = 28;
    ftli_signature_words(FTLI_SIGNATURE_GROWTH, &facts, reason, sizeof reason, fix, sizeof fix);
    cr_expect_str_eq(reason, "grows 14.9 MiB/h (100800 an hour), steadily for 8 min, r 0.98");
    facts.count_per_second = 0.25;
    facts.dead = 1;
    cr_expect_eq(ftli_signature_of(&facts), FTLI_SIGNATURE_FORGOTTEN);
    facts.dead = 3000;
    facts.typical_ms = 16;
    cr_expect_eq(ftli_signature_of(&facts), FTLI_SIGNATURE_ERROR_PATH);
    ftli_signature_words(FTLI_SIGNATURE_ERROR_PATH, &facts, reason, sizeof reason, fix, sizeof fix);
    cr_expect_not_null(strstr(reason, "99 of 100 of its site die within 16 ms, but 3.2 % stay"), "%s", reason);
    facts.references = 2;
    cr_expect_eq(ftli_signature_of(&facts), FTLI_SIGNATURE_RETAINED);
    facts.references_young = 2;
    facts.grows = false;
    cr_expect_eq(ftli_signature_of(&facts), FTLI_SIGNATURE_SURVIVORS);
    facts.scopes = true;
    cr_expect_eq(ftli_signature_of(&facts), FTLI_SIGNATURE_SCOPES);
    facts.bound_bytes = 1;
    cr_expect_eq(ftli_signature_of(&facts), FTLI_SIGNATURE_CACHE);
    ftli_signature_rate(3 * 1048576.0, rate, sizeof rate);
    cr_expect_str_eq(rate, "3.0 MiB/s");
    ftli_signature_rate(0.01, rate, sizeof rate);
    cr_expect_str_eq(rate, "36 B/h");
}
