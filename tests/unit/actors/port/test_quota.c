/* Quotas of labels and sites, from new to the end of the tensor; and scopes that are ended past their deadline. */
#include "tests/unit/actors/port/port_support.h"

#include <pthread.h>

#include "actors/port/runtime.h"
#include "runtime/base/atomics.h"

enum { HEARD_MOST = 64 };

static struct {
    unsigned count;
    ftl_event events[HEARD_MOST];
    char subject[HEARD_MOST][80], text[HEARD_MOST][260];
} heard;

static void hear(const ftl_event *event, void *user)
{
    (void)user;
    cr_assert_lt(heard.count, HEARD_MOST);
    heard.events[heard.count] = *event;
    (void)snprintf(heard.subject[heard.count], 80, "%s", event->subject);
    (void)snprintf(heard.text[heard.count++], 260, "%s", event->text);
}

static ftl_runtime *open_and_hear(const char *overrides, uint32_t kinds)
{
    ftl_runtime *runtime = open_simulated(overrides);
    uint64_t id;
    heard.count = 0;
    cr_assert_eq(ftl_subscribe(runtime, kinds, hear, NULL, &id), FTL_OK);
    return runtime;
}

static void must_close(ftl_runtime *runtime)
{
    must_agree(runtime);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK, "%s", ftl_last_error());
}

static void must_be_refused(ftl_runtime *runtime, uint64_t bytes, const ftl_tensor_options *options, const char *why)
{
    ftl_tensor tensor = {4711};
    cr_assert_eq(ftl_bytes_new(runtime, bytes, options, &tensor), FTL_ELIMIT);
    cr_assert_eq(tensor.id, 4711);
    cr_assert_str_eq(ftl_last_error(), why);
    must_agree(runtime);
}

static uint64_t label_bytes(ftl_runtime *runtime, const char *label)
{
    uint32_t number = ftli_label_intern(&runtime->labels, label);
    struct ftli_quota_place place = ftli_quota_place(&runtime->leak_detection.quotas, FTLI_HEADER_QUOTA, number, NULL);
    cr_assert_not_null(place.cells[FTLI_QUOTA_LABEL]);
    return ftli_u64_load_acquire(&place.cells[FTLI_QUOTA_LABEL]->live_bytes);
}

#define DROP(tensor) cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK)

Test(quota, a_label_is_told_of_at_its_mark_and_refused_at_its_quota)
{
    ftl_runtime *runtime = open_and_hear("actors.leak_detection.quota: {label: 10000B, warn: 80%}", FTL_EVENT_LIMIT);
    const ftl_tensor_options kv = {.label = "kv"}, other = {.label = "logits"};
    ftl_tensor tensors[10];
    for (unsigned i = 0; i < 10; i++) {
        tensors[i] = new_bytes(runtime, 1000, &kv);
        run_for(runtime, SECOND);
        cr_assert_eq(heard.count, i < 7 ? 0 : 1, "after %u", i);
    }
    cr_assert_eq(heard.events[0].kind, FTL_EVENT_LIMIT);
    cr_assert_eq(heard.events[0].bytes, 8000);
    cr_assert_str_eq(heard.subject[0], "kv");
    cr_assert_str_eq(heard.text[0], "label \"kv\" holds 8000 bytes, 80 % of its quota of 10000");
    must_be_refused(runtime, 1, &kv, "1 bytes: label \"kv\" holds 10000 bytes of its quota of 10000");
    must_be_refused(runtime, 1 << 20, &other, "1048576 bytes: label \"logits\" holds 0 bytes of its quota of 10000");
    run_for(runtime, SECOND);
    cr_assert_geq(heard.count, 2);
    cr_assert_str_eq(heard.subject[1], "kv");
    cr_assert_str_eq(heard.text[1],
                     "a new of 1 bytes was refused: label \"kv\" holds 10000 bytes of its quota of 10000");
    /* who has another label, or none, is not concerned */
    ftl_tensor free_of_it = new_bytes(runtime, 1 << 20, NULL), logits = new_bytes(runtime, 10000, &other);
    /* below the mark, and an eighth below it: only then is it told of once more */
    unsigned before = heard.count;
    for (unsigned i = 0; i < 3; i++)
        DROP(tensors[i]);
    cr_assert_eq(label_bytes(runtime, "kv"), 7000);
    tensors[0] = new_bytes(runtime, 2000, &kv);
    run_for(runtime, SECOND);
    unsigned limits = 0;
    for (unsigned i = before; i < heard.count; i++)
        limits += strcmp(heard.subject[i], "kv") == 0;
    cr_assert_eq(limits, 0);
    DROP(tensors[0]);
    DROP(tensors[3]);
    DROP(tensors[4]);
    before = heard.count;
    tensors[0] = new_bytes(runtime, 4000, &kv);
    run_for(runtime, SECOND);
    cr_assert_eq(heard.count, before + 1);
    cr_assert_str_eq(heard.text[before], "label \"kv\" holds 9000 bytes, 90 % of its quota of 10000");
    DROP(tensors[0]);
    for (unsigned i = 5; i < 10; i++)
        DROP(tensors[i]);
    DROP(free_of_it);
    DROP(logits);
    cr_assert_eq(label_bytes(runtime, "kv"), 0);
    cr_assert_eq(label_bytes(runtime, "logits"), 0);
    must_close(runtime);
}

Test(quota, a_site_is_its_text_and_a_refusal_leaves_nothing_behind)
{
    ftl_runtime *runtime = open_simulated("actors.leak_detection.quota: {label: 5000B, site: 2000B}");
    char same[] = "model.c:12"; /* another place in memory */
    const ftl_tensor_options here = {.label = "kv", .site = "model.c:12"}, there = {.label = "kv", .site = same};
    ftl_tensor first = new_bytes(runtime, 1500, &here);
    must_be_refused(runtime, 501, &there, "501 bytes: site \"model.c:12\" holds 1500 bytes of its quota of 2000");
    cr_assert_eq(label_bytes(runtime, "kv"), 1500);
    ftl_tensor second = new_bytes(runtime, 500, &there);
    DROP(first);
    DROP(second);
    /* what comes of nothing for another reason */
    ftl_scope scope;
    cr_assert_eq(ftl_scope_open(runtime, &(ftl_scope_options){.hard_bytes = 100}, &scope), FTL_OK);
    ftl_tensor tensor;
    ftl_tensor_options member = here;
    member.scope = scope;
    cr_assert_eq(ftl_bytes_new(runtime, 200, &member, &tensor), FTL_ELIMIT);
    cr_assert_eq(label_bytes(runtime, "kv"), 0);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    cr_assert_eq(ftl_bytes_new(runtime, 200, &member, &tensor), FTL_ESTALE);
    cr_assert_eq(label_bytes(runtime, "kv"), 0);
    must_close(runtime);
    runtime = open_simulated("actors.leak_detection.quota: {label: 1GiB}\ndevices.cpu.limit: 16MiB\n"
                             "actors.allocation.wait: 0ms");
    cr_assert_eq(ftl_bytes_new(runtime, 64 * MIB, &here, &tensor), FTL_ELIMIT);
    cr_assert_eq(label_bytes(runtime, "kv"), 0);
    must_close(runtime);
}

static int works(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes;
    return *(int *)user > 0 ? (*(int *)user)--, FTL_EINVAL : 0;
}

/* Each way in which a tensor may end, each way of carrying a drop. */
static void end_in_all_ways(const char *overrides)
{
    ftl_runtime *runtime = open_simulated(overrides);
    int fails = 1;
    int64_t wide[5] = {1, 1, 1, 1, 64};
    const ftl_tensor_options kv = {.label = "kv"},
                             final = {.label = "kv", .finalizer = works, .finalizer_user = &fails};
    ftl_tensor small = new_bytes(runtime, 100, &kv), middle = new_bytes(runtime, 100 * KIB, &kv),
               large = new_bytes(runtime, 3 * MIB, &kv), finalized = new_bytes(runtime, 7, &final), shaped, view,
               parent = new_bytes(runtime, 11, NULL), child = new_bytes(runtime, 13, &kv),
               pinned = new_bytes(runtime, 17, &kv), held = new_bytes(runtime, 19, &kv),
               none = new_bytes(runtime, 0, &kv);
    cr_assert_eq(ftl_tensor_new(runtime, FTL_U8, 5, wide, &kv, &shaped), FTL_OK);
    cr_assert_eq(ftl_tensor_view(small, 0, 1, &(int64_t){10}, NULL, &view), FTL_OK);
    cr_assert_eq(ftl_tensor_link(parent, child), FTL_OK);
    cr_assert_not_null(ftl_tensor_pin(pinned));
    cr_assert_eq(ftl_tensor_retain(held), FTL_OK);
    ftl_scope scope;
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    (void)new_bytes(runtime, 23, &(ftl_tensor_options){.label = "kv", .scope = scope});
    uint64_t live = 100 + 100 * KIB + 3 * MIB + 7 + 13 + 17 + 19 + 64 + 23;
    cr_assert_eq(label_bytes(runtime, "kv"), live);
    must_agree(runtime);
    ftl_tensor dropped[] = {small, middle, large, finalized, shaped, parent, child, pinned, held, none};
    for (unsigned i = 0; i < sizeof dropped / sizeof dropped[0]; i++)
        DROP(dropped[i]);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(label_bytes(runtime, "kv"), 100 + 19); /* the view's root, and what is held */
    must_agree(runtime);
    DROP(view);
    DROP(held);
    ftl_tensor_unpin(pinned);
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(label_bytes(runtime, "kv"), 0);
    for (unsigned i = 0; i < 100; i++) { /* of headers that were counted, and are not any more */
        ftl_tensor tensor = new_bytes(runtime, 100, NULL);
        cr_assert_eq(ftli_record_flags(ftli_u64_load_acquire(&header_of(tensor)->record)) & FTLI_HEADER_QUOTA, 0);
        DROP(tensor);
    }
    cr_assert_eq(label_bytes(runtime, "kv"), 0);
    run_for(runtime, 10 * SECOND);
    must_close(runtime);
}

Test(quota, whatever_ends_a_tensor_takes_it_out)
{
    end_in_all_ways("actors.leak_detection.quota.label: 1GiB");
    end_in_all_ways("actors.leak_detection.quota: {label: 1GiB, site: 1GiB}\nactors.cleanup.policy: message");
    end_in_all_ways("actors.leak_detection.quota.label: 1GiB\nactors.tracking.level: debug");
}

Test(quota, the_audit_sees_a_sum_that_is_wrong)
{
    ftl_runtime *runtime = open_simulated("actors.leak_detection.quota.label: 1GiB");
    ftl_tensor tensor = new_bytes(runtime, 100, &(ftl_tensor_options){.label = "kv"});
    uint32_t number = ftli_label_intern(&runtime->labels, "kv");
    struct ftli_quota_cell *cell =
        ftli_quota_place(&runtime->leak_detection.quotas, FTLI_HEADER_QUOTA, number, NULL).cells[FTLI_QUOTA_LABEL];
    char why[300];
    ftli_u64_store_relaxed(&cell->live_bytes, 99);
    cr_assert_eq(ftli_quotas_audit(&runtime->leak_detection.quotas, &runtime->table, &runtime->labels, why, sizeof why),
                 FTL_EINTERNAL);
    cr_assert_str_eq(why, "audit: quota of label \"kv\": the table has 100 bytes, the sum says 99");
    ftli_u64_store_relaxed(&cell->live_bytes, 100);
    DROP(tensor);
    must_close(runtime);
}

Test(quota, without_quotas_nothing_is_counted)
{
    ftl_runtime *runtime = open_simulated(NULL);
    ftl_tensor tensor = new_bytes(runtime, 100, &(ftl_tensor_options){.label = "kv", .site = "here"});
    cr_assert_eq(ftli_record_flags(ftli_u64_load_acquire(&header_of(tensor)->record)) & FTLI_HEADER_QUOTA, 0);
    cr_assert_eq(ftli_quotas_metadata_bytes(&runtime->leak_detection.quotas), 0);
    DROP(tensor);
    must_close(runtime);
}

/* ---- while it runs */

static int ignore(const char *text, size_t bytes, void *user)
{
    (void)text, (void)bytes, (void)user;
    return 0;
}

static int set(ftl_runtime *runtime, const char *request)
{
    return ftl_runtime_control(runtime, request, ignore, NULL);
}

Test(quota, it_is_set_changed_and_taken_away_while_it_runs)
{
    ftl_runtime *runtime = open_and_hear(NULL, FTL_EVENT_LIMIT);
    const ftl_tensor_options kv = {.label = "kv", .site = "model.c:12"};
    ftl_tensor before = new_bytes(runtime, 5000, &kv);
    cr_assert_eq(set(runtime, "set actors.leak_detection.quota.label 1K"), FTL_EINVAL);
    cr_assert_eq(set(runtime, "set actors.leak_detection.quota.label 2000B"), FTL_OK, "%s", ftl_last_error());
    ftl_tensor first = new_bytes(runtime, 1500, &kv);
    cr_assert_eq(label_bytes(runtime, "kv"), 1500, "what was made before is not in it");
    must_be_refused(runtime, 501, &kv, "501 bytes: label \"kv\" holds 1500 bytes of its quota of 2000");
    /* the second kind: the first one's tensors are not in its sums, and do not leave them */
    cr_assert_eq(set(runtime, "set actors.leak_detection.quota.site 600B"), FTL_OK);
    ftl_tensor second = new_bytes(runtime, 500, &kv);
    must_agree(runtime);
    DROP(before);
    DROP(first);
    must_be_refused(runtime, 101, &kv, "101 bytes: site \"model.c:12\" holds 500 bytes of its quota of 600");
    cr_assert_eq(set(runtime, "set actors.leak_detection.quota.site none"), FTL_OK);
    cr_assert_eq(set(runtime, "set actors.leak_detection.quota.label 1000B"), FTL_OK, "below what there may be");
    cr_assert_eq(set(runtime, "set actors.leak_detection.quota.warn 60%"), FTL_OK);
    run_for(runtime, SECOND);
    heard.count = 0;
    ftl_tensor third = new_bytes(runtime, 100, &kv);
    run_for(runtime, SECOND);
    cr_assert_eq(heard.count, 1);
    cr_assert_str_eq(heard.text[0], "label \"kv\" holds 600 bytes, 60 % of its quota of 1000");
    DROP(second);
    DROP(third);
    cr_assert_eq(label_bytes(runtime, "kv"), 0);
    must_close(runtime);
    runtime = open_simulated("actors.leak_detection: none");
    cr_assert_eq(set(runtime, "set actors.leak_detection.quota.label 2000B"), FTL_ENOTSUP);
    cr_assert_eq(set(runtime, "set actors.leak_detection.mitigate overdue_scope"), FTL_ENOTSUP);
    must_close(runtime);
}

/* ---- threads */

enum { THREADS = 4, ROUNDS = 4000, QUOTA = 10000, BYTES = 900 };

static struct {
    ftl_runtime *runtime;
    ftli_atomic_u64 live, over, made, refused;
} run;

static void drop_counted(ftl_tensor tensor)
{
    (void)ftli_u64_fetch_add_relaxed(&run.live, 0 - (uint64_t)BYTES); /* before: what is counted is there */
    (void)ftl_tensor_drop(tensor);
}

static void *make_and_drop(void *argument)
{
    ftl_tensor mine[8];
    unsigned held = 0;
    (void)argument;
    const ftl_tensor_options options = {.label = "shared", .site = "threads"};
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (held == 8 || (held > 0 && i % 3 == 0)) {
            drop_counted(mine[--held]);
        } else if (ftl_bytes_new(run.runtime, BYTES, &options, &mine[held]) == FTL_OK) {
            if (ftli_u64_fetch_add_relaxed(&run.live, BYTES) + BYTES > QUOTA)
                (void)ftli_u64_fetch_add_relaxed(&run.over, 1);
            (void)ftli_u64_fetch_add_relaxed(&run.made, 1);
            held++;
        } else {
            (void)ftli_u64_fetch_add_relaxed(&run.refused, 1);
        }
    }
    while (held > 0)
        drop_counted(mine[--held]);
    return NULL;
}

Test(quota, news_at_the_same_time_do_not_exceed_it)
{
    ftl_open_options options = {.overrides = "actors.leak_detection.quota: {label: 10000B, site: 10000B}"};
    pthread_t threads[THREADS];
    cr_assert_eq(ftl_runtime_open_with(&options, &run.runtime), FTL_OK, "%s", ftl_last_error());
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, make_and_drop, NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(ftli_u64_load_acquire(&run.over), 0);
    cr_assert_gt(ftli_u64_load_acquire(&run.made), 0); /* how many is the schedule's */
    cr_assert_eq(label_bytes(run.runtime, "shared"), 0);
    must_close(run.runtime);
}

/* ---- mitigation */

static ftl_scope open_scope(ftl_runtime *runtime, ftl_scope_options options)
{
    ftl_scope scope;
    cr_assert_eq(ftl_scope_open(runtime, &options, &scope), FTL_OK, "%s", ftl_last_error());
    return scope;
}

static void scopes_past_their_deadline(const char *overrides, bool ended)
{
    ftl_runtime *runtime = open_and_hear(overrides, FTL_EVENT_LOG | FTL_EVENT_OVERDUE);
    int fails = 0;
    ftl_scope late = open_scope(runtime, (ftl_scope_options){.label = "request", .tag = 17, .deadline_ns = SECOND}),
              child = open_scope(runtime, (ftl_scope_options){.label = "step", .parent = late}),
              never = open_scope(runtime, (ftl_scope_options){.label = "session"});
    ftl_tensor kept = new_bytes(runtime, 100, &(ftl_tensor_options){.scope = late}),
               lost = new_bytes(runtime, 50,
                                &(ftl_tensor_options){.scope = late, .finalizer = works, .finalizer_user = &fails}),
               in_child = new_bytes(runtime, 25, &(ftl_tensor_options){.scope = child}),
               other = new_bytes(runtime, 12, &(ftl_tensor_options){.scope = never});
    cr_assert_eq(ftl_tensor_retain(kept), FTL_OK);
    heard.count = 0;
    run_for(runtime, SECOND - 20 * MS);
    cr_assert_eq(heard.count, 0);
    cr_assert(ftl_tensor_alive(lost) && ftl_tensor_alive(in_child));
    run_for(runtime, SECOND);
    cr_assert_eq(ftli_leak_detection_scopes_overdue(&runtime->leak_detection), ended ? 0 : 1);
    cr_assert(ftl_tensor_alive(kept) && ftl_tensor_alive(other));
    cr_assert_eq(ftl_tensor_alive(lost), !ended);
    cr_assert_eq(ftl_tensor_alive(in_child), !ended);
    cr_assert_eq(heard.count, ended ? 2 : 1);
    cr_assert_eq(heard.events[0].kind, FTL_EVENT_OVERDUE);
    if (ended) {
        cr_assert_eq(heard.events[1].kind, FTL_EVENT_LOG);
        cr_assert_eq(heard.events[1].level, 2);
        cr_assert_eq(heard.events[1].scope.id, late.id);
        cr_assert_eq(heard.events[1].count, 3);
        cr_assert_eq(heard.events[1].bytes, 150);
        cr_assert_str_eq(heard.subject[1], "leak_detection");
        cr_assert_not_null(strstr(heard.text[1], "scope \"request\" (tag 17) was ended"), "%s", heard.text[1]);
        cr_assert_not_null(strstr(heard.text[1], "2 tensors of 150 bytes were in it, 3 were dropped"), "%s",
                           heard.text[1]);
    }
    cr_assert_eq(ftl_scope_end(late, NULL), ended ? FTL_ESTALE : FTL_OK);
    DROP(kept); /* the reference that the program took */
    cr_assert_not(ftl_tensor_alive(kept));
    cr_assert_eq(ftl_scope_end(never, NULL), FTL_OK);
    run_for(runtime, 10 * SECOND);
    must_close(runtime);
}

Test(mitigate, scopes_are_left_alone_unless_it_is_wanted)
{
    scopes_past_their_deadline(NULL, false);
    scopes_past_their_deadline("actors.leak_detection.mitigate: overdue_scope", true);
    scopes_past_their_deadline("actors.leak_detection.mitigate: overdue_scope\nactors.cleanup.policy: message", true);
}

Test(mitigate, each_of_many_is_ended_and_logged)
{
    ftl_runtime *runtime =
        open_and_hear("actors.leak_detection.mitigate: overdue_scope\nsupervision.restarts: 1000", FTL_EVENT_LOG);
    enum { SCOPES = 40 };
    for (unsigned i = 0; i < SCOPES; i++) {
        ftl_scope scope =
            open_scope(runtime, (ftl_scope_options){.tag = i, .deadline_ns = (int64_t)((1 + i % 5) * MS)});
        (void)new_bytes(runtime, 1000, &(ftl_tensor_options){.scope = scope});
        if (i % 10 == 0)
            ftli_simulation_kill(runtime->kernel, runtime->leak_detection_actor);
        if (i % 4 == 0)
            run_for(runtime, 2 * MS);
    }
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(stats_of(runtime).live, 0);
    unsigned ended = 0;
    for (unsigned i = 0; i < heard.count; i++)
        ended += strstr(heard.text[i], "was ended") != NULL;
    cr_assert_eq(ended, SCOPES);
    must_close(runtime);
}

Test(mitigate, what_is_overdue_when_it_is_set_is_ended_too)
{
    ftl_runtime *runtime = open_and_hear(NULL, FTL_EVENT_LOG);
    ftl_scope scope = open_scope(runtime, (ftl_scope_options){.deadline_ns = SECOND});
    ftl_tensor tensor = new_bytes(runtime, 1000, &(ftl_tensor_options){.scope = scope});
    run_for(runtime, 5 * SECOND);
    cr_assert(ftl_tensor_alive(tensor));
    cr_assert_eq(set(runtime, "set actors.leak_detection.mitigate scopes"), FTL_EINVAL);
    cr_assert_eq(set(runtime, "set actors.leak_detection.mitigate overdue_scope"), FTL_OK, "%s", ftl_last_error());
    run_for(runtime, SECOND);
    cr_assert_not(ftl_tensor_alive(tensor));
    cr_assert_eq(heard.count, 1);
    cr_assert_eq(set(runtime, "set actors.leak_detection.mitigate none"), FTL_OK);
    scope = open_scope(runtime, (ftl_scope_options){.deadline_ns = SECOND});
    run_for(runtime, 5 * SECOND);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    must_close(runtime);
}
