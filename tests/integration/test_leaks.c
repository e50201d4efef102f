/* The leak scan of a whole runtime, in virtual time: what outlived its scope or its thread, what hangs on a pin, and options. */
#include <criterion/criterion.h>

#include "actors/leak_detection/report.h"
#include "actors/port/runtime.h"
#include "runtime/kernel/simulation.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define SECOND (UINT64_C(1000) * 1000 * 1000)

static ftl_runtime *runtime;

static void open_with(const char *overrides)
{
    ftl_open_options options = {.overrides = overrides};
    cr_assert_eq(ftli_runtime_open_as(&options, true, 1, &runtime), FTL_OK, "%s", ftl_last_error());
}

static ftl_tensor make(ftl_scope scope, size_t bytes, const char *label, const char *site)
{
    ftl_tensor tensor;
    ftl_tensor_options options = {.scope = scope, .label = label, .site = site};
    cr_assert_eq(ftl_bytes_new(runtime, bytes, &options, &tensor), FTL_OK, "%s", ftl_last_error());
    return tensor;
}

static ftl_leak_report *scan(uint32_t causes)
{
    ftl_leak_report *report;
    ftl_leak_options options = {.causes = causes};
    cr_assert_eq(ftl_leak_scan(runtime, &options, &report), FTL_OK, "%s", ftl_last_error());
    return report;
}

static uint64_t leaked(uint32_t causes)
{
    ftl_leak_report *report = scan(causes);
    uint64_t n = report->leaked;
    ftl_leak_report_free(report);
    return n;
}

static void pass(uint64_t seconds)
{
    uint64_t until_ns = ftli_kernel_now_ns(runtime->kernel) + seconds * SECOND;
    cr_assert_eq(ftli_simulation_run_until_idle(runtime->kernel, until_ns, 0), FTL_OK);
    uint64_t now_ns = ftli_kernel_now_ns(runtime->kernel);
    if (now_ns < until_ns) /* nothing was due */
        ftli_simulation_jump(runtime->kernel, until_ns - now_ns);
}

static uint64_t suspects(void)
{
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    return stats.leak_suspects;
}

static void close_runtime(void)
{
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK, "%s", ftl_last_error());
    ftl_leak_report_free(report.leaks);
}

TestSuite(leaks, .timeout = 60);

Test(leaks, outlived_its_scope_after_the_grace)
{
    ftl_scope scope;
    open_with("actors.leak_detection.outlived.scope: 5s\n");
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    ftl_tensor tensor = make(scope, 700, "kv", NULL);
    pass(100);
    cr_assert_eq(leaked(0), 0, "its scope has not ended");
    cr_assert_eq(ftl_tensor_retain(tensor), FTL_OK);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    cr_assert_eq(leaked(0), 0, "under grace");
    pass(4);
    cr_assert_eq(leaked(0), 0, "under grace");
    pass(2);
    ftl_leak_report *report = scan(0);
    cr_assert_eq(report->count, 1);
    cr_assert_eq(report->leaks[0].cause, FTL_LEAK_OUTLIVED_SCOPE);
    cr_assert_eq(report->leaks[0].tensor.id, tensor.id);
    cr_assert_eq(report->leaks[0].bytes, 700);
    cr_assert_geq(report->leaks[0].age_ns, 105 * SECOND);
    ftl_leak_report_free(report);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(leaked(0), 0);
    close_runtime();
}

Test(leaks, the_actor_finds_it_by_itself)
{
    ftl_scope scope;
    open_with("actors.leak_detection.outlived.scope: 5s\n");
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    ftl_tensor tensor = make(scope, 700, "kv", NULL);
    cr_assert_eq(ftl_tensor_retain(tensor), FTL_OK);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    pass(1);
    cr_assert_eq(suspects(), 0);
    pass(30);
    cr_assert_eq(suspects(), 1);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    pass(30);
    cr_assert_eq(suspects(), 0, "and that it is gone");
    close_runtime();
}

Test(leaks, none_means_not_looked_for_and_a_cache_keeps_what_it_likes)
{
    ftl_scope scope, cache;
    ftl_scope_options kind = {.label = "cache", .kind = FTL_SCOPE_CACHE};
    open_with(NULL);
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    cr_assert_eq(ftl_scope_open(runtime, &kind, &cache), FTL_OK);
    ftl_tensor kept = make(cache, 100, "kept", NULL), lost = make(scope, 100, "lost", NULL);
    cr_assert_eq(ftl_tensor_retain(kept), FTL_OK);
    cr_assert_eq(ftl_tensor_retain(lost), FTL_OK);
    cr_assert_eq(ftl_scope_end(cache, NULL), FTL_OK);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    pass(1000);
    ftl_leak_report *report = scan(0);
    cr_assert_eq(report->leaked, 1);
    cr_assert_str_eq(report->leaks[0].label, "lost");
    ftl_leak_report_free(report);
    cr_assert_eq(leaked(1), 1, "the cache's is alive, and nothing more is known");
    cr_assert_eq(leaked(1u | 1u << FTL_LEAK_OUTLIVED_SCOPE), 2);
    close_runtime();
    open_with("actors.leak_detection.outlived.scope: none\n");
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    lost = make(scope, 100, "lost", NULL);
    cr_assert_eq(ftl_tensor_retain(lost), FTL_OK);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    pass(1000);
    cr_assert_eq(leaked(0), 0);
    close_runtime();
}

/* ---- threads */

struct birth {
    ftl_tensor tensors[3];
    bool idle_first;
};

static void *make_and_end(void *argument)
{
    struct birth *birth = argument;
    for (unsigned i = 0; i < 3; i++)
        birth->tensors[i] = make((ftl_scope){0}, 1000 * (i + 1), "thread's", NULL);
    if (birth->idle_first)
        pass(10); /* its port is taken back meanwhile, and the tick rests when it ends */
    return NULL;
}

static void run_thread(struct birth *birth)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, make_and_end, birth), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}

Test(leaks, outlived_its_thread)
{
    struct birth first = {.idle_first = false}, second = {.idle_first = true};
    open_with("actors.leak_detection.outlived.thread: 0s\n");
    ftl_tensor own = make((ftl_scope){0}, 10, "own", NULL);
    cr_assert_eq(leaked(0), 0);
    run_thread(&first);
    ftl_leak_report *report = scan(0);
    cr_assert_eq(report->leaked, 3, "at once, whoever looks");
    cr_assert_eq(report->leaks[0].cause, FTL_LEAK_OUTLIVED_THREAD);
    cr_assert_str_eq(report->leaks[0].label, "thread's");
    cr_assert_eq(report->leaks[0].bytes, 6000);
    ftl_leak_report_free(report);
    run_thread(&second);
    cr_assert_eq(leaked(0), 6);
    cr_assert_eq(ftl_tensor_drop(second.tensors[0]), FTL_OK);
    cr_assert_eq(leaked(0), 5);
    pass(30);
    cr_assert_eq(suspects(), 5, "the actor as well");
    cr_assert(ftl_tensor_alive(own));
    close_runtime();
}

Test(leaks, a_port_that_serves_another_thread_now_does_not_blame_it)
{
    struct birth first = {.idle_first = false}, second = {.idle_first = false};
    open_with("actors.leak_detection.outlived.thread: 0s\n");
    run_thread(&first);
    pass(1); /* the port is vacant, and the next thread takes it */
    pass(1);
    ftl_tensor own = make((ftl_scope){0}, 10, "own", NULL);
    run_thread(&second);
    cr_assert_eq(leaked(0), 6);
    pass(1);
    cr_assert_eq(leaked(0), 6);
    cr_assert(ftl_tensor_alive(own));
    close_runtime();
}

Test(leaks, threads_are_not_looked_for_by_default)
{
    struct birth birth = {.idle_first = false};
    open_with(NULL);
    run_thread(&birth);
    pass(1000);
    cr_assert_eq(leaked(0), 0);
    cr_assert_eq(leaked(1), 3);
    close_runtime();
}

/* ---- pins */

Test(leaks, dropped_but_pinned_for_more_than_ten_seconds)
{
    open_with(NULL);
    ftl_tensor tensor = make((ftl_scope){0}, 5000, "pinned", NULL);
    cr_assert_not_null(ftl_tensor_pin(tensor));
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(leaked(0), 0);
    pass(5);
    cr_assert_eq(leaked(0), 0);
    pass(30); /* the drop told the actor */
    cr_assert_eq(suspects(), 1);
    ftl_leak_report *report = scan(1u << FTL_LEAK_PINNED);
    cr_assert_eq(report->leaked, 1);
    cr_assert_eq(report->leaks[0].cause, FTL_LEAK_PINNED);
    cr_assert_eq(report->leaks[0].tensor.id, tensor.id);
    ftl_leak_report_free(report);
    ftl_tensor_unpin(tensor);
    cr_assert_eq(leaked(0), 0);
    close_runtime();
}

/* ---- rows */

Test(leaks, rows_are_groups_by_label_site_and_cause)
{
    const char *here = FTL_HERE, *there = "elsewhere.c:7";
    open_with(NULL);
    for (unsigned i = 0; i < 10; i++)
        (void)make((ftl_scope){0}, 10, "small", here);
    for (unsigned i = 0; i < 5; i++)
        (void)make((ftl_scope){0}, 10, "small", there);
    for (unsigned i = 0; i < 7; i++)
        (void)make((ftl_scope){0}, 100000, "large", here);
    (void)make((ftl_scope){0}, 1, NULL, NULL);
    ftl_leak_report *report = scan(1);
    cr_assert_eq(report->count, 4);
    cr_assert_eq(report->leaked, 23);
    cr_assert_eq(report->scanned, 23);
    cr_assert_eq(report->leaked_bytes, 700151);
    cr_assert(report->leaks[0].count == 7 && report->leaks[0].bytes == 700000);
    cr_assert(report->leaks[1].count == 10 && report->leaks[1].bytes == 100);
    cr_assert(report->leaks[2].count == 5 && report->leaks[2].bytes == 50);
    cr_assert(report->leaks[3].count == 1 && report->leaks[3].label[0] == '\0' && report->leaks[3].site[0] == '\0');
    cr_assert_str_eq(report->leaks[0].label, "large");
    ftl_leak_report_free(report);
    ftl_close_report closed;
    cr_assert_eq(ftl_runtime_close(runtime, &closed), FTL_OK);
    cr_assert_eq(closed.leaked, 23);
    cr_assert_eq(closed.leaks->count, 4);
    ftl_leak_report_free(closed.leaks);
    ftl_leak_report_free(NULL);
}

/* ---- options */

static int status_of(ftl_leak_options options)
{
    ftl_leak_report *report = NULL;
    int status = ftl_leak_scan(runtime, &options, &report);
    cr_assert_eq(status == FTL_OK, report != NULL);
    ftl_leak_report_free(report);
    return status;
}

Test(leaks, options_are_checked)
{
    ftl_leak_report *report;
    open_with(NULL);
    cr_assert_eq(status_of((ftl_leak_options){.causes = 0}), FTL_OK);
    cr_assert_eq(status_of((ftl_leak_options){.certainty = 100}), FTL_OK);
    cr_assert_eq(status_of((ftl_leak_options){.certainty = 101}), FTL_EINVAL);
    cr_assert_eq(status_of((ftl_leak_options){.causes = 1u << 9}), FTL_EINVAL);
    cr_assert_eq(status_of((ftl_leak_options){.causes = 1u << 31}), FTL_EINVAL);
    cr_assert_eq(status_of((ftl_leak_options){.timeout_ns = -1}), FTL_EINVAL);
    for (unsigned i = 0; i < 5; i++) {
        ftl_leak_options options = {0};
        options.reserved[i] = 1;
        cr_assert_eq(status_of(options), FTL_EINVAL);
    }
    cr_assert_eq(status_of((ftl_leak_options){.reachability = true}), FTL_ENOTSUP);
    static const uint32_t not_here[] = {FTL_LEAK_UNREACHABLE};
    for (unsigned i = 0; i < sizeof not_here / sizeof not_here[0]; i++)
        cr_assert_eq(status_of((ftl_leak_options){.causes = 1u << not_here[i]}), FTL_ENOTSUP);
    cr_assert_eq(ftl_leak_scan(NULL, NULL, &report), FTL_EINVAL);
    cr_assert_eq(ftl_leak_scan(runtime, NULL, NULL), FTL_EINVAL);
    close_runtime();
    cr_assert_eq(ftl_leak_scan(runtime, NULL, &report), FTL_ECLOSED);
}

/* ---- links */

static void link(ftl_tensor parent, ftl_tensor child)
{
    cr_assert_eq(ftl_tensor_link(parent, child), FTL_OK);
}

static void drop(ftl_tensor tensor)
{
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
}

static uint64_t in_cycles(void)
{
    return leaked(1u << FTL_LEAK_CYCLE);
}

/* What held the cycle goes in each way there is; each time the actor finds it by itself. */
Test(leaks, a_cycle_that_nothing_else_refers_to)
{
    open_with(NULL);
    ftl_tensor parent = make((ftl_scope){0}, 1000, "parent", "m.c:1"), mask = make((ftl_scope){0}, 24, "mask", NULL);
    ftl_tensor outside = make((ftl_scope){0}, 8, "outside", NULL), view;
    link(parent, mask);
    link(mask, parent);
    link(outside, parent);
    drop(mask);
    drop(parent);
    pass(60);
    cr_expect_eq(suspects(), 0, "held by a link from outside");
    cr_expect_eq(in_cycles(), 0);
    drop(outside); /* by a cascade */
    pass(20);
    cr_expect_eq(suspects(), 2);
    cr_assert_eq(ftl_tensor_retain(mask), FTL_OK); /* a handle is weak: it can be taken up again */
    pass(20);
    cr_expect_eq(suspects(), 0);
    drop(mask); /* by a drop */
    pass(20);
    cr_expect_eq(suspects(), 2);
    cr_assert_not_null(ftl_tensor_pin(mask));
    cr_expect_eq(in_cycles(), 0, "pinned");
    ftl_tensor_unpin(mask);
    cr_expect_eq(in_cycles(), 2);
    cr_assert_eq(ftl_tensor_unlink(parent, mask), FTL_OK);
    pass(20);
    cr_expect_eq(suspects(), 0);
    ftl_tensor root = make((ftl_scope){0}, 64, "root", NULL);
    cr_assert_eq(ftl_tensor_view(root, 0, 1, (int64_t[]){8}, NULL, &view), FTL_OK);
    link(root, view);
    drop(view);
    drop(root);
    pass(20);
    cr_expect_eq(suspects(), 2, "a view holds its root");
    ftl_leak_report *report = scan(0);
    cr_assert_eq(report->count, 1);
    cr_expect_eq(report->leaks[0].cause, FTL_LEAK_CYCLE);
    cr_expect_eq(report->leaks[0].bytes, 64);
    ftl_leak_report_free(report);
    ftl_close_report closed;
    cr_assert_eq(ftl_runtime_close(runtime, &closed), FTL_OK);
    cr_assert_eq(closed.leaks->count, 1);
    cr_expect_eq(closed.leaks->leaks[0].cause, FTL_LEAK_CYCLE, "and so it is told at close");
    ftl_leak_report_free(closed.leaks);
}

Test(leaks, cycles_none)
{
    open_with("actors.leak_detection.cycles.every: none\n");
    ftl_tensor a = make((ftl_scope){0}, 8, "a", NULL), b = make((ftl_scope){0}, 8, "b", NULL);
    link(a, b);
    link(b, a);
    drop(a);
    drop(b);
    pass(60);
    cr_expect_eq(suspects(), 0);
    cr_expect_eq(in_cycles(), 2, "a scan looks all the same");
    close_runtime();
}

Test(leaks, the_chain_that_holds_it_is_told)
{
    ftl_scope scope;
    open_with(NULL);
    ftl_tensor trainer = make((ftl_scope){0}, 8, "trainer", NULL), optimizer = make((ftl_scope){0}, 8, NULL, NULL);
    cr_assert_eq(ftl_scope_begin(runtime, "step", &scope), FTL_OK);
    ftl_tensor gradient = make(scope, 100, "gradient", NULL);
    link(trainer, optimizer);
    drop(optimizer);
    link(optimizer, gradient);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    ftl_leak_report *report = scan(0);
    cr_assert_eq(report->count, 1);
    cr_expect_eq(report->leaks[0].cause, FTL_LEAK_OUTLIVED_SCOPE);
    char expected[256];
    (void)snprintf(expected, sizeof expected,
                   "held by a link from 0x%016llx (0x%016llx), which is held by a link from trainer (0x%016llx), which "
                   "1 reference of the program holds",
                   (unsigned long long)optimizer.id, (unsigned long long)optimizer.id, (unsigned long long)trainer.id);
    cr_expect_str_eq(ftli_leak_detail_of(report, 0)->reason, expected);
    ftl_leak_report_free(report);
    drop(trainer);
    pass(1);
    cr_expect_eq(leaked(0), 0);
    close_runtime();
}

/* ---- control */

struct text {
    char all[4000];
    size_t n;
};

static int collect(const char *text, size_t n, void *user)
{
    struct text *into = user;
    cr_assert_lt(into->n + n, sizeof into->all);
    memcpy(into->all + into->n, text, n);
    into->n += n;
    return 0;
}

Test(leaks, control_says_what_the_scan_finds)
{
    ftl_scope scope;
    static struct text none, some;
    open_with(NULL);
    cr_assert_eq(ftl_runtime_control(runtime, "leaks", collect, &none), FTL_OK);
    cr_assert_not_null(strstr(none.all, "0 findings"), "%s", none.all);
    cr_assert_eq(ftl_scope_begin(runtime, "chat", &scope), FTL_OK);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(ftl_tensor_retain(make(scope, 100, "logits", "model.c:42")), FTL_OK);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    cr_assert_eq(ftl_runtime_control(runtime, "leaks", collect, &some), FTL_OK);
    static const char *const words[] = {"1 findings",         "logits",    "chat", "model.c:42",
                                        "outlived its scope", "   300 B  "};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        cr_assert_not_null(strstr(some.all, words[i]), "no \"%s\" in: %s", words[i], some.all);
    close_runtime();
}

/* ---- headers that no state machine leads to */

static unsigned faults_told;
static void on_fault(const ftl_event *event, void *user)
{
    (void)user;
    faults_told += event->level == 3 && strstr(event->text, "has no reference") != NULL;
}

Test(leaks, a_damaged_header_is_a_fault)
{
    uint64_t subscription;
    static struct text good, broken;
    open_with(NULL);
    cr_assert_eq(ftl_subscribe(runtime, FTL_EVENT_LOG, on_fault, NULL, &subscription), FTL_OK);
    ftl_tensor tensor = make((ftl_scope){0}, 700, "damaged", "a.c:1");
    struct ftli_header *header = ftli_table_header(&runtime->table, ftli_handle_slot(tensor.id));
    uint64_t word = ftli_u64_load_acquire(&header->word);
    pass(30);
    cr_expect_eq(ftl_runtime_control(runtime, "check", collect, &good), FTL_OK);
    ftli_u64_store_release(&header->word, word & ~FTLI_WORD_REFERENCES);
    for (unsigned i = 0; i < 3; i++) { /* the program works: audits come by themselves */
        ftl_tensor other = make((ftl_scope){0}, 8, NULL, NULL);
        cr_assert_eq(ftl_tensor_drop(other), FTL_OK);
        pass(20);
    }
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_expect_eq(stats.audits_failed, 1);
    cr_expect_eq(stats.leak_suspects, 0);
    cr_expect_eq(faults_told, 1);
    cr_expect_eq(ftl_runtime_control(runtime, "check", collect, &broken), FTL_EINTERNAL);
    cr_expect_not_null(strstr(broken.all, "is live and has no reference"), "%s", broken.all);
    ftl_leak_report *report = scan(0);
    cr_assert_eq(report->count, 1);
    cr_expect_eq(report->leaks[0].cause, FTL_LEAK_UNREFERENCED);
    cr_expect_eq(report->leaks[0].tensor.id, tensor.id);
    cr_expect_str_eq(report->leaks[0].label, "damaged");
    ftl_leak_report_free(report);
    ftli_u64_store_release(&header->word, word);
    drop(tensor);
    close_runtime();
}
