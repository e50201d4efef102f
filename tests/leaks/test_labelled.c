/* Recall and false alarms over all labelled programs, at the default settings, as a table by kind. Each runs with several seeds, in
 * virtual time; what is reported is what ftl_leak_scan says every five minutes and at the end, and the events. */
#include <criterion/criterion.h>

#include "actors/port/runtime.h"
#include "runtime/base/random.h"
#include "runtime/kernel/simulation.h"
#include "tests/leaks/program.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)

enum { RECALL_LEAST = 99 }; /* percent */
enum { SEEDS = 3 };
enum { SCAN_EVERY_S = 5 * MINUTE, KINDS_MOST = 64 };
enum { REPORTED = FTL_EVENT_LEAK | FTL_EVENT_QUARANTINE | FTL_EVENT_OVERDUE };

/* What was reported of a program. */
static struct run {
    struct world world;
    const struct program *program;
    uint64_t next_scan_ns;
    bool found;
    unsigned false_alarms;
    char first_false_alarm[200];
    char how[64]; /* it was found */
} run;

static void report(bool right, const char *how, const char *label, const char *text)
{
    if (right && !run.found) {
        run.found = true;
        (void)snprintf(run.how, sizeof run.how, "%s", how);
    }
    if (!right && run.false_alarms++ == 0)
        (void)snprintf(run.first_false_alarm, sizeof run.first_false_alarm, "%s: \"%s\" %s", how, label, text);
}

static bool is_right(const char *label)
{
    return run.program->leak != NULL && strcmp(label, run.program->leak) == 0;
}

static void on_event(const ftl_event *event, void *user)
{
    ftl_tensor_description about = {.ndim = 0};
    (void)user;
    bool named = ftl_tensor_describe(event->tensor, &about) == FTL_OK;
    const char *text = event->text != NULL ? event->text : "";
    const char *leak = run.program->leak;
    bool right = named ? is_right(about.label) : leak != NULL && leak[0] != '\0' && strstr(text, leak) != NULL;
    report(right, "event", named ? about.label : "", text);
}

static const char *cause_name(uint32_t cause)
{
    static const char *const names[] = {"alive",  "unreferenced", "outlived scope", "outlived thread", "cycle",
                                        "growth", "unreachable",  "survivor",       "pinned"};
    return cause < sizeof names / sizeof names[0] ? names[cause] : "?";
}

static void scan(void)
{
    ftl_leak_report *leaks;
    cr_assert_eq(ftl_leak_scan(run.world.runtime, NULL, &leaks), FTL_OK, "%s", ftl_last_error());
    for (size_t i = 0; i < leaks->count; i++) {
        const ftl_leak *leak = &leaks->leaks[i];
        char text[120];
        (void)snprintf(text, sizeof text, "%u %%, %llu tensors", leak->certainty, (unsigned long long)leak->count);
        report(is_right(leak->label), cause_name(leak->cause), leak->label, text);
    }
    ftl_leak_report_free(leaks);
}

/* ---- what programs are written with ---------------------------------------------------------------------------------------- */

static uint64_t now_ns(const struct world *w)
{
    return ftli_kernel_now_ns(w->runtime->kernel);
}

ftl_tensor make(struct world *w, ftl_scope scope, size_t bytes, const char *label, const char *site)
{
    ftl_tensor tensor;
    ftl_tensor_options options = {.scope = scope, .label = label, .site = site};
    cr_assert_eq(ftl_bytes_new(w->runtime, bytes, &options, &tensor), FTL_OK, "%s", ftl_last_error());
    return tensor;
}

void drop(ftl_tensor tensor)
{
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
}

void retain(ftl_tensor tensor)
{
    cr_assert_eq(ftl_tensor_retain(tensor), FTL_OK);
}

void link_to(ftl_tensor parent, ftl_tensor child)
{
    cr_assert_eq(ftl_tensor_link(parent, child), FTL_OK, "%s", ftl_last_error());
}

ftl_scope begin(struct world *w, const char *label)
{
    ftl_scope scope;
    cr_assert_eq(ftl_scope_begin(w->runtime, label, &scope), FTL_OK, "%s", ftl_last_error());
    return scope;
}

void end(ftl_scope scope)
{
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
}

static void pass_until(const struct world *w, uint64_t until_ns)
{
    cr_assert_eq(ftli_simulation_run_until_idle(w->runtime->kernel, until_ns, 0), FTL_OK);
    if (now_ns(w) < until_ns) /* nothing was due */
        ftli_simulation_jump(w->runtime->kernel, until_ns - now_ns(w));
}

void pass(struct world *w, double seconds)
{
    uint64_t until_ns = now_ns(w) + (uint64_t)(seconds * (double)SECOND);
    while (run.next_scan_ns <= until_ns) {
        pass_until(w, run.next_scan_ns);
        scan();
        run.next_scan_ns += SCAN_EVERY_S * SECOND;
    }
    pass_until(w, until_ns);
}

unsigned pick(struct world *w, unsigned n)
{
    return (unsigned)(ftli_splitmix64(&w->random) % n);
}

/* They are kept until the next ones come: most live for a second. */
void serve(struct world *w, unsigned requests)
{
    for (unsigned i = 0; i < requests; i++) {
        ftl_scope request = begin(w, "request");
        for (unsigned j = 0; j < 4; j++)
            (void)make(w, request, 512u << pick(w, 6), "request", FTL_HERE);
        end(request);
    }
}

struct errand {
    void (*run)(void *);
    void *user;
};

static void *do_errand(void *user)
{
    const struct errand *errand = user;
    errand->run(errand->user);
    return NULL;
}

void on_a_thread(void (*what)(void *), void *user)
{
    pthread_t thread;
    struct errand errand = {what, user};
    cr_assert_eq(pthread_create(&thread, NULL, do_errand, &errand), 0);
    pthread_join(thread, NULL);
}

/* ---- the table --------------------------------------------------------------------------------------------------------------- */

struct row {
    const char *kind;
    unsigned programs, runs, right, false_alarms; /* right: found, or rightly silent; runs with a false alarm */
};

static struct row *row_of(struct row *rows, const char *kind)
{
    struct row *row = rows;
    while (row->kind != NULL && strcmp(row->kind, kind) != 0)
        row++;
    row->kind = kind;
    return row;
}

static void run_program(const struct program *program, uint64_t seed)
{
    ftl_open_options options = {.on_event = on_event, .on_event_kinds = REPORTED};
    ftl_close_report closing;
    run = (struct run){.program = program, .world.random = seed};
    cr_assert_eq(ftli_runtime_open_as(&options, true, seed, &run.world.runtime), FTL_OK, "%s", ftl_last_error());
    ftli_simulation_check_every(run.world.runtime->kernel, 1000);
    run.next_scan_ns = now_ns(&run.world) + SCAN_EVERY_S * SECOND;
    program->run(&run.world);
    scan();
    (void)ftl_runtime_close(run.world.runtime, &closing);
    ftl_leak_report_free(closing.leaks);
}

static void run_all(const struct program *programs, unsigned count, struct row *rows)
{
    for (unsigned i = 0; i < count; i++) {
        struct row *row = row_of(rows, programs[i].kind);
        row->programs++;
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            run_program(&programs[i], seed);
            bool leaks = programs[i].leak != NULL;
            row->runs++;
            row->right += leaks ? run.found : run.false_alarms == 0;
            row->false_alarms += run.false_alarms != 0;
            if (leaks && !run.found)
                printf("  missed   %s (seed %llu)\n", programs[i].name, (unsigned long long)seed);
            if (run.false_alarms != 0)
                printf("  false    %s (seed %llu): %u, %s\n", programs[i].name, (unsigned long long)seed,
                       run.false_alarms, run.first_false_alarm);
        }
    }
}

static struct row print(const char *title, const char *what, const struct row *rows)
{
    struct row sum = {.kind = "all"};
    printf("\n  %-22s programs   runs  %s  false alarms\n", title, what);
    for (const struct row *row = rows; row->kind != NULL; row++) {
        printf("  %-22s %8u %6u %6u %13u\n", row->kind, row->programs, row->runs, row->right, row->false_alarms);
        sum.programs += row->programs;
        sum.runs += row->runs;
        sum.right += row->right;
        sum.false_alarms += row->false_alarms;
    }
    printf("  %-22s %8u %6u %6u %13u\n", sum.kind, sum.programs, sum.runs, sum.right, sum.false_alarms);
    return sum;
}

Test(leaks, labelled_programs, .timeout = 200)
{
    static struct row leaking[KINDS_MOST], correct[KINDS_MOST];
    setvbuf(stdout, NULL, _IOLBF, 0);
    run_all(leaking_programs, leaking_program_count, leaking);
    run_all(correct_programs, correct_program_count, correct);
    static struct row held_leaking[KINDS_MOST], held_correct[KINDS_MOST];
    run_all(held_out_leaking, held_out_leaking_count, held_leaking);
    run_all(held_out_correct, held_out_correct_count, held_correct);
    struct row leaks = print("leaking", " found", leaking);
    struct row others = print("correct", "silent", correct);
    struct row held_leaks = print("held out, leaking", " found", held_leaking);
    struct row held_others = print("held out, correct", "silent", held_correct);
    unsigned runs = leaks.runs + others.runs, false_alarms = leaks.false_alarms + others.false_alarms;
    printf("\n  recall %.1f %%, false alarms %.1f %%, over %u programs\n", 100.0 * leaks.right / leaks.runs,
           100.0 * false_alarms / runs, leaks.programs + others.programs);
    (void)held_leaks, (void)held_others;
    cr_assert_geq(leaks.programs, 20);
    cr_assert_geq(others.programs, 20);
    cr_assert_geq(leaks.right, RECALL_LEAST * leaks.runs / 100, "recall: %u of %u", leaks.right, leaks.runs);
    cr_assert_lt(100 * false_alarms, runs, "false alarms in %u of %u", false_alarms, runs);
}
