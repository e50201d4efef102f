/* Events of a whole runtime in virtual time: who is called with what, when, and what is lost. */
#include "tests/unit/actors/port/port_support.h"

#include "actors/port/runtime.h"
#include "runtime/base/random.h"

enum { HEARD_MOST = 600 };

struct heard {
    ftl_runtime *runtime;
    uint64_t id;
    unsigned count;
    ftl_event events[HEARD_MOST];
    char subject[HEARD_MOST][80], text[HEARD_MOST][260];
    void (*then)(struct heard *);
    struct heard *other;
};

static void hear(const ftl_event *event, void *user)
{
    struct heard *heard = user;
    cr_assert_lt(heard->count, HEARD_MOST);
    heard->events[heard->count] = *event;
    (void)snprintf(heard->subject[heard->count], 80, "%s", event->subject);
    (void)snprintf(heard->text[heard->count], 260, "%s", event->text);
    heard->count++;
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(event->reserved[i], 0);
    if (heard->then != NULL)
        heard->then(heard);
}

/* One that is good until the test's process ends, or is freed before: a subscription holds its address, which the leak check does not
 * see once the runtime is closed. */
static struct heard *make_heard(void)
{
    static struct heard *all[4096];
    static unsigned count;
    struct heard *heard = calloc(1, sizeof *heard);
    cr_assert_not_null(heard);
    cr_assert_lt(count, sizeof all / sizeof all[0]);
    all[count++] = heard;
    return heard;
}

static struct heard *subscribe(ftl_runtime *runtime, uint32_t kinds)
{
    struct heard *heard = make_heard();
    heard->runtime = runtime;
    cr_assert_eq(ftl_subscribe(runtime, kinds, hear, heard, &heard->id), FTL_OK, "%s", ftl_last_error());
    cr_assert_neq(heard->id, 0);
    return heard;
}

static void post(ftl_runtime *runtime, uint32_t kind, uint64_t count)
{
    ftli_events_post(&runtime->events, &(struct ftli_event_news){.kind = kind, .count = count, .subject = "test"}, "%u",
                     kind);
}

static void must_close(ftl_runtime *runtime)
{
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK, "%s", ftl_last_error());
}

Test(events, arguments_are_checked)
{
    ftl_runtime *runtime = open_simulated(NULL);
    uint64_t id = 77;
    cr_assert_eq(ftl_subscribe(NULL, 1, hear, NULL, &id), FTL_EINVAL);
    cr_assert_eq(ftl_subscribe(runtime, 0, hear, NULL, &id), FTL_EINVAL);
    cr_assert_eq(ftl_subscribe(runtime, 128, hear, NULL, &id), FTL_EINVAL);
    cr_assert_eq(ftl_subscribe(runtime, 1, NULL, NULL, &id), FTL_EINVAL);
    cr_assert_eq(ftl_subscribe(runtime, 1, hear, NULL, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_pressure_subscribe(runtime, NULL, NULL, &id), FTL_EINVAL);
    cr_assert_eq(id, 77);
    cr_assert_eq(ftl_unsubscribe(NULL, 1), FTL_EINVAL);
    cr_assert_eq(ftl_unsubscribe(runtime, 0), FTL_ESTALE);
    cr_assert_eq(ftl_unsubscribe(runtime, 12345), FTL_ESTALE);
    for (unsigned i = 0; i < FTLI_SUBSCRIPTIONS_MOST; i++)
        cr_assert_eq(ftl_subscribe(runtime, FTL_EVENT_LOG, hear, NULL, &id), FTL_OK);
    uint64_t last = id;
    cr_assert_eq(ftl_subscribe(runtime, FTL_EVENT_LOG, hear, NULL, &id), FTL_ELIMIT);
    cr_assert_eq(id, last);
    cr_assert_eq(ftl_unsubscribe(runtime, last), FTL_OK);
    cr_assert_eq(ftl_unsubscribe(runtime, last), FTL_ESTALE);
    cr_assert_eq(ftl_subscribe(runtime, FTL_EVENT_LOG, hear, NULL, &id), FTL_OK);
    cr_assert_neq(id, last); /* an old subscription is never another's */
    must_close(runtime);
    cr_assert_eq(ftl_subscribe(runtime, 1, hear, NULL, &id), FTL_ECLOSED);
    cr_assert_eq(ftl_unsubscribe(runtime, id), FTL_ECLOSED);
}

/* ---- pressure */

static const char small_device[] = "devices.cpu.limit: 64MiB\ndevices.cpu.arena: 4MiB\ndevices.cpu.hard: 99%\n"
                                   "devices.cpu.soft: 70%\nactors.defragmentation: none\n"
                                   "actors.allocation.wait: 0ms";

static void must_be(const struct heard *heard, unsigned n, const uint32_t *levels)
{
    cr_assert_eq(heard->count, n, "%u events, expected %u", heard->count, n);
    for (unsigned i = 0; i < n; i++) {
        cr_assert_eq(heard->events[i].kind, FTL_EVENT_PRESSURE);
        cr_assert_eq(heard->events[i].level, levels[i], "event %u: level %u, expected %u", i, heard->events[i].level,
                     levels[i]);
        cr_assert_str_eq(heard->subject[i], "cpu");
    }
}

static void give_back(ftl_runtime *runtime)
{
    ftl_defragment_result result;
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(ftl_defragment(runtime, &(ftl_defragment_options){.purge = true, .target = 1e-9}, &result), FTL_OK);
}

Test(events, each_level_of_pressure_is_told_once_and_never_inside_a_new)
{
    static const uint32_t levels[] = {1, 2, 3, 4, 0};
    ftl_runtime *runtime = open_simulated(small_device);
    struct heard *heard = make_heard();
    cr_assert_eq(ftl_pressure_subscribe(runtime, hear, heard, &heard->id), FTL_OK);
    run_for(runtime, SECOND);
    must_be(heard, 0, levels);
    ftl_tensor tensors[31];
    unsigned told = 0;
    for (unsigned i = 0; i < 31; i++) {
        tensors[i] = new_bytes(runtime, 2 * MIB, NULL);
        cr_assert_eq(heard->count, told); /* not inside new */
        run_for(runtime, MS);
        told = heard->count;
        double share = ftli_allocation_pressure(runtime->device);
        unsigned level = share >= 0.95 ? 4 : share >= 0.9 ? 3 : share >= 0.8 ? 2 : share >= 0.6 ? 1 : 0;
        cr_assert_eq(told, level, "%u told at %.3f", told, share);
        cr_assert(level == 0 || heard->events[told - 1].bytes <= ftli_allocation_committed(runtime->device));
    }
    for (unsigned i = 0; i < 31; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    cr_assert_eq(heard->count, 4); /* nor inside drop */
    give_back(runtime);
    run_for(runtime, MS);
    must_be(heard, 5, levels);
    must_close(runtime);
}

Test(events, a_level_ends_below_where_it_began)
{
    char overrides[400];
    (void)snprintf(overrides, sizeof overrides, "%s\npressure.hysteresis: 10%%", small_device);
    ftl_runtime *runtime = open_simulated(overrides);
    struct heard *heard = subscribe(runtime, FTL_EVENT_PRESSURE);
    static const uint32_t levels[] = {1, 0};
    ftl_tensor base = new_bytes(runtime, 34 * MIB, NULL), more = {0};
    run_for(runtime, MS);
    double share = ftli_allocation_pressure(runtime->device);
    cr_assert(share > 0.5 && share < 0.6, "%.3f", share);
    must_be(heard, 0, levels);
    for (unsigned i = 0; i < 5; i++) { /* to and fro over the mark */
        more = new_bytes(runtime, 6 * MIB, NULL);
        run_for(runtime, MS);
        cr_assert_eq(ftl_tensor_drop(more), FTL_OK);
        give_back(runtime);
        run_for(runtime, MS);
        must_be(heard, 1, levels);
    }
    cr_assert_eq(ftl_tensor_drop(base), FTL_OK);
    give_back(runtime);
    run_for(runtime, MS);
    must_be(heard, 2, levels);
    must_close(runtime);
}

Test(events, pressure_is_coalesced_to_the_latest_and_told_to_who_comes_late)
{
    static const uint32_t critical[] = {4}, gone[] = {4, 0};
    ftl_runtime *runtime = open_simulated(small_device);
    struct heard *first = subscribe(runtime, FTL_EVENT_PRESSURE);
    ftl_tensor tensor = new_bytes(runtime, 61 * MIB, NULL); /* through all levels before anybody is called */
    run_for(runtime, MS);
    must_be(first, 1, critical);
    struct heard *late = subscribe(runtime, FTL_EVENT_PRESSURE);
    struct heard *never = subscribe(runtime, FTL_EVENT_LEAK);
    run_for(runtime, MS);
    must_be(first, 1, critical);
    must_be(late, 1, critical);
    cr_assert_eq(ftl_unsubscribe(runtime, first->id), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    give_back(runtime);
    run_for(runtime, MS);
    must_be(first, 1, critical);
    must_be(late, 2, gone);
    cr_assert_eq(never->count, 0);
    must_close(runtime);
}

/* ---- what the other kinds say */

Test(events, limits_soft_and_refused)
{
    ftl_runtime *runtime = open_simulated(small_device);
    struct heard *heard = subscribe(runtime, FTL_EVENT_LIMIT);
    ftl_tensor most = new_bytes(runtime, 50 * MIB, NULL), tensor;
    run_for(runtime, MS);
    cr_assert_eq(heard->count, 1); /* 70 % */
    cr_assert_str_eq(heard->subject[0], "cpu");
    cr_assert_not_null(strstr(heard->text[0], "soft"));
    cr_assert_geq(heard->events[0].bytes, 50 * MIB);
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(ftl_bytes_new(runtime, 20 * MIB, NULL, &tensor), FTL_ELIMIT);
    cr_assert_eq(heard->count, 1); /* not inside new */
    run_for(runtime, 200 * MS);
    cr_assert_eq(heard->count, 2); /* the first at once, nine with the next one */
    cr_assert_eq(heard->events[1].bytes, 20 * MIB);
    cr_assert_eq(heard->events[1].count, 1);
    ftli_simulation_jump(runtime->kernel, 200 * MS);
    cr_assert_eq(ftl_bytes_new(runtime, 21 * MIB, NULL, &tensor), FTL_ELIMIT);
    run_for(runtime, MS);
    cr_assert_eq(heard->count, 3);
    cr_assert_eq(heard->events[2].count, 10);
    ftl_scope scope;
    cr_assert_eq(ftl_scope_open(runtime, &(ftl_scope_options){.hard_bytes = 1000}, &scope), FTL_OK);
    cr_assert_eq(ftl_bytes_new(runtime, 1001, &(ftl_tensor_options){.scope = scope}, &tensor), FTL_ELIMIT);
    run_for(runtime, MS);
    cr_assert_eq(heard->count, 4);
    cr_assert_eq(heard->events[3].scope.id, scope.id);
    cr_assert_eq(heard->events[3].bytes, 1001);
    cr_assert_eq(ftl_tensor_drop(most), FTL_OK);
    must_close(runtime);
}

Test(events, a_leak_is_told_when_there_are_more_than_before)
{
    ftl_runtime *runtime = open_simulated(NULL);
    struct heard *heard = subscribe(runtime, FTL_EVENT_LEAK);
    ftl_tensor kept[2];
    for (unsigned i = 0; i < 2; i++) {
        ftl_scope scope;
        cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
        kept[i] = new_bytes(runtime, 1000 + i,
                            &(ftl_tensor_options){.scope = scope, .label = "kv", .site = "somewhere.c:12"});
        cr_assert_eq(ftl_tensor_retain(kept[i]), FTL_OK);
        cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
        run_for(runtime, 30 * SECOND); /* several walks */
        cr_assert_eq(heard->count, i + 1);
    }
    cr_assert_eq(heard->events[0].count, 1);
    cr_assert_eq(heard->events[0].bytes, 1000);
    cr_assert_eq(heard->events[0].tensor.id, kept[0].id);
    cr_assert_str_eq(heard->subject[0], "somewhere.c:12");
    cr_assert_not_null(strstr(heard->text[0], "kv"), "%s", heard->text[0]);
    cr_assert_eq(heard->events[1].count, 2);
    cr_assert_eq(heard->events[1].bytes, 2001);
    cr_assert_eq(heard->events[1].tensor.id, kept[1].id);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(ftl_tensor_drop(kept[i]), FTL_OK);
    must_close(runtime);
}

static int never_works(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    (void)user;
    return -1;
}

Test(events, a_quarantine_is_told_with_how_often_it_was_tried)
{
    ftl_runtime *runtime = open_simulated("actors.cleanup.deadline: 1s");
    struct heard *heard = subscribe(runtime, FTL_EVENT_QUARANTINE);
    ftl_tensor tensor = new_bytes(runtime, 700, &(ftl_tensor_options){.finalizer = never_works, .site = "stuck.c:1"});
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(heard->count, 1);
    cr_assert_eq(heard->events[0].bytes, 700);
    cr_assert_geq(heard->events[0].count, 3);
    cr_assert_eq(heard->events[0].tensor.id >> 24, tensor.id >> 24); /* its slot */
    cr_assert_str_eq(heard->subject[0], "stuck.c:1");
    cr_assert_eq(stats_of(runtime).quarantined, 1);
    must_close(runtime);
}

static int ignore_text(const char *text, size_t n, void *user)
{
    (void)text, (void)n, (void)user;
    return 0;
}

/* Twice, by who hears of it: from inside the call. */
static void has_it_retried(struct heard *heard)
{
    char request[40];
    uint64_t id = heard->events[heard->count - 1].tensor.id;
    (void)snprintf(request, sizeof request, "retry 0x%llx", (unsigned long long)id);
    if (heard->count <= 2)
        cr_assert_eq(ftl_runtime_control(heard->runtime, request, ignore_text, NULL), FTL_OK, "%s", ftl_last_error());
}

Test(events, each_time_that_a_retry_fails_it_is_told_again)
{
    ftl_runtime *runtime = open_simulated("actors.cleanup.deadline: 1s");
    struct heard *heard = subscribe(runtime, FTL_EVENT_QUARANTINE);
    heard->then = has_it_retried;
    ftl_tensor tensor = new_bytes(runtime, 700, &(ftl_tensor_options){.finalizer = never_works, .site = "stuck.c:1"});
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(heard->count, 3);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(heard->events[i].tensor.id, tensor.id);
        cr_assert(i == 0 || heard->events[i].count > heard->events[i - 1].count, "in all, since its drop");
        cr_assert_str_eq(heard->subject[i], "stuck.c:1");
    }
    cr_assert_eq(stats_of(runtime).quarantined, 1);
    must_agree(runtime);
    must_close(runtime);
}

/* ---- scopes */

static ftl_scope open_scope(ftl_runtime *runtime, const ftl_scope_options *options)
{
    ftl_scope scope = {0};
    cr_assert_eq(ftl_scope_open(runtime, options, &scope), FTL_OK, "%s", ftl_last_error());
    return scope;
}

Test(events, a_scope_over_its_soft_bytes_is_told_once_each_time)
{
    ftl_runtime *runtime = open_simulated(NULL);
    ftl_scope scope =
        open_scope(runtime, &(ftl_scope_options){.label = "request", .tag = 9, .soft_bytes = 1000, .hard_bytes = 2000});
    ftl_tensor_options in = {.scope = scope};
    ftl_tensor first = new_bytes(runtime, 900, &in), tensor;
    struct heard *heard = subscribe(runtime, FTL_EVENT_LIMIT);
    tensor = new_bytes(runtime, 100, &in);
    run_for(runtime, SECOND);
    cr_assert_eq(heard->count, 0, "soft_bytes are allowed");
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    for (unsigned i = 0; i < 5; i++) { /* to and fro over the mark */
        tensor = new_bytes(runtime, 101, &in);
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    }
    run_for(runtime, SECOND);
    cr_assert_eq(heard->count, 1);
    cr_assert_eq(heard->events[0].bytes, 1001);
    cr_assert_eq(heard->events[0].scope.id, scope.id);
    cr_assert_str_eq(heard->subject[0], "request");
    cr_assert_not_null(strstr(heard->text[0], "tag 9"), "%s", heard->text[0]);
    cr_assert_eq(ftl_tensor_drop(first), FTL_OK);
    first = new_bytes(runtime, 800, &in); /* it was an eighth below */
    tensor = new_bytes(runtime, 1200, &in);
    ftl_tensor refused = {0};
    cr_assert_eq(ftl_bytes_new(runtime, 1, &in, &refused), FTL_ELIMIT);
    run_for(runtime, SECOND);
    cr_assert_eq(heard->count, 3);
    cr_assert_eq(heard->events[1].bytes, 2000);
    cr_assert_eq(heard->events[2].bytes, 1, "the refused one");
    cr_assert_eq(heard->events[2].scope.id, scope.id);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    must_close(runtime);
}

static uint64_t scopes_overdue(ftl_runtime *runtime)
{
    return ftli_leak_detection_scopes_overdue(&runtime->leak_detection);
}

Test(events, a_scope_past_its_deadline_is_told_once)
{
    ftl_runtime *runtime = open_simulated(NULL);
    struct heard *heard = subscribe(runtime, FTL_EVENT_OVERDUE);
    uint64_t opened_ns = ftli_kernel_now_ns(runtime->kernel);
    ftl_scope never = open_scope(runtime, &(ftl_scope_options){.label = "never"});
    ftl_scope late = open_scope(runtime, &(ftl_scope_options){.label = "late", .deadline_ns = 3 * (int64_t)SECOND});
    ftl_scope_options one = {.label = "request", .tag = 17, .deadline_ns = (int64_t)SECOND};
    ftl_scope early = open_scope(runtime, &one), in_time = open_scope(runtime, &one);
    one.deadline_ns = INT64_MAX;
    ftl_scope longest = open_scope(runtime, &one);
    (void)new_bytes(runtime, 300, &(ftl_tensor_options){.scope = early});
    run_for(runtime, 900 * MS);
    cr_assert_eq(heard->count, 0);
    cr_assert_eq(ftl_scope_end(in_time, NULL), FTL_OK);
    run_for(runtime, 200 * MS);
    cr_assert_eq(heard->count, 1);
    cr_assert_eq(heard->events[0].scope.id, early.id);
    cr_assert_eq(heard->events[0].count, 1);
    cr_assert_eq(heard->events[0].bytes, 300);
    cr_assert_geq(heard->events[0].time_ns, opened_ns + SECOND);
    cr_assert_leq(heard->events[0].time_ns, opened_ns + SECOND + 10 * MS);
    cr_assert_str_eq(heard->subject[0], "request");
    cr_assert_not_null(strstr(heard->text[0], "tag 17"), "%s", heard->text[0]);
    cr_assert_eq(scopes_overdue(runtime), 1);
    cr_assert_eq(ftl_scope_end(early, NULL), FTL_OK, "it is the program's to end it");
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(heard->count, 2);
    cr_assert_eq(heard->events[1].scope.id, late.id);
    cr_assert_eq(scopes_overdue(runtime), 1);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(ftl_scope_end(i == 0 ? never : i == 1 ? late : longest, NULL), FTL_OK);
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(heard->count, 2);
    must_close(runtime);
}

/* Many at once, of slots that are used again and again; and the actor is killed meanwhile. */
Test(events, each_scope_that_is_late_is_told_of_and_no_other)
{
    enum { SCOPES = 200 };
    ftl_runtime *runtime = open_simulated("supervision.restarts: 1000");
    struct heard *heard = subscribe(runtime, FTL_EVENT_OVERDUE);
    ftli_random_state random;
    unsigned late = 0;
    ftli_random_seed(&random, 7);
    for (unsigned i = 0; i < SCOPES; i++) {
        uint64_t deadline_ms = 1 + ftli_random_below(&random, 50), life_ms = 1 + ftli_random_below(&random, 100);
        ftl_scope scope =
            open_scope(runtime, &(ftl_scope_options){.tag = i, .deadline_ns = (int64_t)(deadline_ms * MS)});
        if (i % 20 == 0)
            ftli_simulation_kill(runtime->kernel, runtime->leak_detection_actor);
        run_for(runtime, life_ms * MS);
        if (life_ms > deadline_ms + 10) /* else it may be either */
            late++;
        bool told = heard->count != 0 && heard->events[heard->count - 1].scope.id == scope.id;
        cr_assert(told || life_ms <= deadline_ms + 10 || i % 20 == 0, "scope %u: %llu ms after %llu", i,
                  (unsigned long long)life_ms, (unsigned long long)deadline_ms);
        cr_assert(!told || life_ms >= deadline_ms);
        cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    }
    cr_assert_gt(late, SCOPES / 4);
    must_close(runtime);
}

Test(events, a_deadline_wants_somebody_who_looks)
{
    ftl_runtime *runtime = open_simulated("actors.leak_detection: none");
    ftl_scope scope = {5};
    cr_assert_eq(ftl_scope_open(runtime, &(ftl_scope_options){.deadline_ns = 1}, &scope), FTL_ENOTSUP);
    cr_assert_eq(ftl_scope_open(runtime, &(ftl_scope_options){.deadline_ns = -1}, &scope), FTL_EINVAL);
    cr_assert_eq(scope.id, 5);
    must_close(runtime);
}

Test(events, an_actor_that_fails_restarts_and_is_given_up)
{
    ftl_runtime *runtime = open_simulated("supervision.restarts: 1");
    struct heard *heard = subscribe(runtime, FTL_EVENT_ACTOR);
    for (unsigned i = 0; i < 2; i++) {
        ftli_simulation_kill(runtime->kernel, runtime->cleanup_actor);
        ftl_tensor tensor = new_bytes(runtime, 100, &(ftl_tensor_options){.finalizer = never_works});
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
        run_for(runtime, 500 * MS);
    }
    cr_assert_geq(heard->count, 4);
    static const char *const says[] = {"failed", "restarted", "recovered", "failed"};
    unsigned n = 0;
    for (unsigned i = 0; i < heard->count; i++) {
        cr_assert_str_eq(heard->subject[i], "cleanup");
        cr_assert_eq(heard->events[i].kind, FTL_EVENT_ACTOR);
        if (n < 4 && strstr(heard->text[i], says[n]) != NULL)
            n++;
    }
    cr_assert_geq(n, 2, "%s; %s", heard->text[0], heard->text[1]);
    cr_assert_not_null(strstr(heard->text[heard->count - 1], "down"), "%s", heard->text[heard->count - 1]);
    cr_assert_eq(heard->events[heard->count - 1].count, 1); /* one restart */
    (void)ftl_runtime_close(runtime, NULL);
}

Test(events, drops_past_their_deadline_are_overdue)
{
    ftl_runtime *runtime = open_simulated("supervision.restarts: 0\nactors.leak_detection.receive: none");
    struct heard *heard = subscribe(runtime, FTL_EVENT_OVERDUE);
    ftli_simulation_kill(runtime->kernel,
                         runtime->cleanup_actor); /* it is given up; who would complete the drop is not there */
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(ftl_tensor_drop(new_bytes(runtime, 100, &(ftl_tensor_options){.finalizer = never_works})), FTL_OK);
    run_for(runtime, 9 * SECOND);
    cr_assert_eq(heard->count, 0);
    run_for(runtime, 50 * SECOND);
    cr_assert_eq(heard->count, 1);
    cr_assert_eq(heard->events[0].count, 2);
    cr_assert_str_eq(heard->subject[0], "cleanup");
    (void)ftl_runtime_close(runtime, NULL);
}

/* ---- open */

Test(events, on_event_hears_from_the_first_moment)
{
    struct heard *heard = make_heard();
    ftl_runtime *runtime = NULL;
    ftl_open_options options = {.overrides = "threads.spare: {count: 1}", .on_event = hear, .on_event_user = heard};
    cr_assert_eq(ftli_runtime_open_as(&options, true, 1, &runtime), FTL_OK, "%s", ftl_last_error());
    run_for(runtime, MS);
    cr_assert_eq(heard->count, 1);
    cr_assert_eq(heard->events[0].kind, FTL_EVENT_LOG);
    cr_assert_eq(heard->events[0].level, 2);
    cr_assert_not_null(strstr(heard->text[0], "spare"), "%s", heard->text[0]);
    post(runtime, FTL_EVENT_OVERDUE, 1); /* kinds 0: all */
    run_for(runtime, MS);
    cr_assert_eq(heard->count, 2);
    must_close(runtime);
}

Test(events, a_failing_open_says_why)
{
    struct heard *heard = make_heard();
    ftl_runtime *runtime = NULL;
    ftl_open_options options = {.overrides = "actors.cleanup.no_such: 1",
                                .on_event = hear,
                                .on_event_user = heard,
                                .on_event_kinds = FTL_EVENT_LOG};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_ECONFIG);
    cr_assert_eq(heard->count, 1);
    cr_assert_eq(heard->events[0].kind, FTL_EVENT_LOG);
    cr_assert_eq(heard->events[0].level, 3);
    cr_assert_str_eq(heard->text[0], ftl_last_error());
    cr_assert_not_null(strstr(heard->text[0], "no_such"));
    options.on_event_kinds = FTL_EVENT_LEAK;
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_ECONFIG);
    cr_assert_eq(heard->count, 1);
}

/* ---- losses */

Test(events, a_slow_subscriber_loses_events_and_they_are_counted)
{
    ftl_runtime *runtime = open_simulated(NULL);
    post(runtime, FTL_EVENT_LOG, 0); /* nobody wants it: not lost, not kept */
    struct heard *heard = subscribe(runtime, FTL_EVENT_LOG);
    uint64_t before = stats_of(runtime).events_lost;
    for (uint64_t i = 0; i < 300; i++)
        post(runtime, FTL_EVENT_LOG, i);
    cr_assert_eq(stats_of(runtime).events_lost - before, 300 - FTLI_EVENTS_MOST);
    run_for(runtime, MS);
    cr_assert_eq(heard->count, FTLI_EVENTS_MOST + 1);
    unsigned next = 0, told = 0;
    for (unsigned i = 0; i < heard->count; i++)
        if (strcmp(heard->subject[i], "events") == 0)
            told += (unsigned)heard->events[i].count;
        else
            cr_assert_eq(heard->events[i].count, next++); /* in order, and the newest are those that are lost */
    cr_assert_eq(next, FTLI_EVENTS_MOST);
    cr_assert_eq(told, 300 - FTLI_EVENTS_MOST);
    post(runtime, FTL_EVENT_LOG, 1000); /* the pool is whole again */
    run_for(runtime, MS);
    cr_assert_eq(heard->events[heard->count - 1].count, 1000);
    must_close(runtime);
}

/* ---- calls inside a call */

static void leave(struct heard *heard)
{
    cr_assert_eq(ftl_unsubscribe(heard->runtime, heard->id), FTL_OK);
    cr_assert_eq(ftl_unsubscribe(heard->runtime, heard->id), FTL_ESTALE);
}

static void put_out(struct heard *heard)
{
    if (heard->other->id == 0)
        return;
    cr_assert_eq(ftl_unsubscribe(heard->runtime, heard->other->id), FTL_OK);
    heard->other->id = 0;
}

static void take_in(struct heard *heard)
{
    if (heard->other == NULL)
        heard->other = subscribe(heard->runtime, FTL_EVENT_LOG);
}

static void use(struct heard *heard)
{
    ftl_tensor tensor = new_bytes(heard->runtime, 5000, NULL);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(heard->runtime, 1), FTL_EBUSY);
    cr_assert_eq(ftl_runtime_run(heard->runtime, NULL, 1, NULL), FTL_EBUSY);
    cr_assert_eq(ftl_runtime_close(heard->runtime, NULL), FTL_EBUSY);
}

Test(events, a_call_may_unsubscribe_itself_and_others_and_subscribe)
{
    ftl_runtime *runtime = open_simulated(NULL);
    struct heard *once = subscribe(runtime, FTL_EVENT_LOG), *killer = subscribe(runtime, FTL_EVENT_LOG),
                 *victim = subscribe(runtime, FTL_EVENT_LOG), *host = subscribe(runtime, FTL_EVENT_LOG),
                 *user = subscribe(runtime, FTL_EVENT_LOG);
    once->then = leave;
    killer->then = put_out;
    killer->other = victim;
    host->then = take_in;
    user->then = use;
    for (unsigned i = 0; i < 3; i++)
        post(runtime, FTL_EVENT_LOG, i);
    run_for(runtime, MS);
    cr_assert_eq(once->count, 1);
    cr_assert_eq(killer->count, 3);
    cr_assert_eq(victim->count, 0); /* it would have been next */
    cr_assert_eq(host->count, 3);
    cr_assert_eq(user->count, 3);
    unsigned before = host->other->count;
    post(runtime, FTL_EVENT_LOG, 4);
    run_for(runtime, MS);
    cr_assert_eq(host->other->count, before + 1);
    must_close(runtime);
}

Test(events, restarts_keep_what_waits)
{
    ftl_runtime *runtime = open_simulated("supervision.restarts: 100");
    struct heard *heard = subscribe(runtime, FTL_EVENT_LOG);
    for (unsigned i = 0; i < 50; i++) {
        post(runtime, FTL_EVENT_LOG, i);
        if (i % 10 == 0)
            ftli_simulation_kill(runtime->kernel, runtime->events_actor);
        if (i % 7 == 0)
            run_for(runtime, 10 * SECOND);
    }
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(heard->count, 50);
    for (unsigned i = 0; i < 50; i++)
        cr_assert_eq(heard->events[i].count, i);
    cr_assert_gt(stats_of(runtime).restarts, 0);
    must_close(runtime);
}

/* ---- against a model: each subscription hears what was posted of its kinds while it was there, less what was lost */

struct modelled {
    struct heard *heard;
    uint32_t kinds;
    unsigned expected;
    uint64_t numbers[HEARD_MOST];
};

static void run_model(uint64_t seed)
{
    ftli_random_state random;
    ftli_random_seed(&random, seed);
    ftl_runtime *runtime = open_simulated(NULL);
    enum { PLACES = 8 };
    struct modelled *model = calloc(PLACES, sizeof *model);
    unsigned waiting = 0, at_first = 0;
    for (uint64_t step = 1; step <= 400; step++) {
        unsigned place = (unsigned)(ftli_random_next(&random) % PLACES);
        uint32_t kind = UINT32_C(1) << ftli_random_next(&random) % 7;
        switch (ftli_random_next(&random) % 8) {
        case 0:
            if (model[place].heard == NULL) {
                run_for(runtime, MS); /* what waits was not posted to it */
                waiting = 0;
                model[place].kinds = (uint32_t)(1 + ftli_random_next(&random) % FTLI_EVENT_KINDS) & ~1u & ~64u;
                if (model[place].kinds == 0)
                    break;
                ftli_simulation_jump(runtime->kernel, 1);
                model[place].heard = subscribe(runtime, model[place].kinds);
                model[place].expected = 0;
            }
            break;
        case 1:
            if (model[place].heard != NULL) {
                run_for(runtime, MS);
                waiting = 0;
                cr_assert_eq(ftl_unsubscribe(runtime, model[place].heard->id), FTL_OK);
                cr_assert_eq(model[place].heard->count, model[place].expected, "seed %llu", (unsigned long long)seed);
                for (unsigned i = 0; i < model[place].expected; i++)
                    cr_assert_eq(model[place].heard->events[i].count, model[place].numbers[i]);
                free(model[place].heard);
                model[place].heard = NULL;
            }
            break;
        case 2:
            run_for(runtime, ftli_random_next(&random) % SECOND);
            waiting = 0;
            break;
        default: {
            bool wanted = false;
            for (unsigned i = 0; i < PLACES; i++)
                wanted |= model[i].heard != NULL && (model[i].kinds & kind) != 0;
            if ((kind & 65u) != 0)
                break;
            post(runtime, kind, step);
            if (!wanted || waiting == FTLI_EVENTS_MOST)
                break;
            waiting++;
            for (unsigned i = 0; i < PLACES; i++)
                if (model[i].heard != NULL && (model[i].kinds & kind) != 0)
                    model[i].numbers[model[i].expected++] = step;
            break;
        }
        }
        (void)at_first;
    }
    run_for(runtime, SECOND);
    for (unsigned i = 0; i < PLACES; i++)
        if (model[i].heard != NULL)
            cr_assert_eq(model[i].heard->count, model[i].expected, "seed %llu", (unsigned long long)seed);
    must_close(runtime);
    free(model);
}

Test(events, subscriptions_agree_with_a_model, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 40; seed++)
        run_model(seed);
}
