/* Tracking in a whole runtime: counters that are exact, rates as the levels say, the ring of the last events, and its cost. */
#include <criterion/criterion.h>

#include "actors/allocation/size_class.h"
#include "actors/port/runtime.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(tracking_whole, .timeout = 200);

static ftl_runtime *open_at(const char *level)
{
    char overrides[200];
    ftl_runtime *runtime;
    (void)snprintf(
        overrides, sizeof overrides,
        "actors.tracking.level: %s\nactors.tracking.target: 100%%\nactors.tracking.adapt: {raise: 1, lower: 1}\n",
        level);
    ftl_open_options options = {.overrides = overrides};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    return runtime;
}

/* ---- counters */

struct by_class {
    uint64_t created[FTLI_COUNTED_CLASSES], immediate[FTLI_COUNTED_CLASSES];
};

static void add(struct by_class *sum, const struct ftli_counters *counters)
{
    for (unsigned c = 0; c < FTLI_COUNTED_CLASSES; c++) {
        sum->created[c] += ftli_u64_load_relaxed(&counters->created[c]);
        sum->immediate[c] += ftli_u64_load_relaxed(&counters->immediate[c]);
    }
}

static struct by_class sum_by_class(ftl_runtime *runtime)
{
    struct by_class sum = {0};
    for (uint32_t i = 0; i < ftli_port_count(); i++)
        if (ftli_port_at(i, runtime->number) != NULL)
            add(&sum, &ftli_port_at(i, runtime->number)->counters);
    add(&sum, &runtime->shared);
    return sum;
}

struct worker {
    ftl_runtime *runtime;
    unsigned seed;
    struct by_class model;
    uint64_t created, created_bytes, dropped, dropped_bytes, stale;
    bool failed;
};

enum { HELD = 200, OPERATIONS = 20000 };

static void note_new(struct worker *worker, size_t bytes)
{
    worker->model.created[bytes <= FTLI_CLASS_MAX_BYTES ? ftli_size_class(bytes) : 0]++;
    worker->created++;
    worker->created_bytes += bytes;
}

static void note_drop(struct worker *worker, size_t bytes)
{
    worker->model.immediate[bytes <= FTLI_CLASS_MAX_BYTES ? ftli_size_class(bytes) : 0]++;
    worker->dropped++;
    worker->dropped_bytes += bytes;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    ftl_tensor held[HELD] = {{0}};
    size_t bytes[HELD] = {0};
    for (unsigned i = 0; i < OPERATIONS && !worker->failed; i++) {
        unsigned at = (unsigned)rand_r(&worker->seed) % HELD;
        if (held[at].id == 0) {
            bytes[at] = (size_t)rand_r(&worker->seed) % (rand_r(&worker->seed) % 8 == 0 ? 200000 : 3000);
            worker->failed = ftl_bytes_new(worker->runtime, bytes[at], NULL, &held[at]) != FTL_OK;
            note_new(worker, bytes[at]);
            continue;
        }
        worker->failed = ftl_tensor_drop(held[at]) != FTL_OK;
        note_drop(worker, bytes[at]);
        if (i % 100 == 0) {
            worker->failed = worker->failed || ftl_tensor_drop(held[at]) != FTL_ESTALE;
            worker->stale++;
        }
        held[at].id = 0;
    }
    for (unsigned at = 0; at < HELD / 2; at++) {
        if (held[at].id == 0)
            continue;
        worker->failed = worker->failed || ftl_tensor_drop(held[at]) != FTL_OK;
        note_drop(worker, bytes[at]);
    }
    return NULL;
}

static void count_exactly(const char *level)
{
    enum { THREADS = 6 };
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];
    ftl_runtime *runtime = open_at(level);
    struct worker sum = {0};
    for (unsigned t = 0; t < THREADS; t++) {
        workers[t] = (struct worker){.runtime = runtime, .seed = t + 1};
        cr_assert_eq(pthread_create(&threads[t], NULL, work, &workers[t]), 0);
    }
    for (unsigned t = 0; t < THREADS; t++) {
        cr_assert_eq(pthread_join(threads[t], NULL), 0);
        cr_assert_not(workers[t].failed);
        sum.created += workers[t].created;
        sum.created_bytes += workers[t].created_bytes;
        sum.dropped += workers[t].dropped;
        sum.dropped_bytes += workers[t].dropped_bytes;
        sum.stale += workers[t].stale;
        for (unsigned c = 0; c < FTLI_COUNTED_CLASSES; c++) {
            sum.model.created[c] += workers[t].model.created[c];
            sum.model.immediate[c] += workers[t].model.immediate[c];
        }
    }
    /* Exact at once: every operation returned before. */
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.created, sum.created);
    cr_assert_eq(stats.live, sum.created - sum.dropped);
    cr_assert_eq(stats.live_bytes, sum.created_bytes - sum.dropped_bytes);
    cr_assert_eq(stats.immediate + stats.deferred, sum.dropped);
    cr_assert_eq(stats.stale_handles, sum.stale);
    struct by_class counted = sum_by_class(runtime);
    uint64_t in_place = 0;
    for (unsigned c = 0; c < FTLI_COUNTED_CLASSES; c++) {
        cr_assert_eq(counted.created[c], sum.model.created[c], "class %u", c);
        /* a call that found its port claimed by the tick drops by message */
        cr_assert_leq(counted.immediate[c], sum.model.immediate[c], "class %u", c);
        in_place += counted.immediate[c];
    }
    cr_assert_eq(stats.immediate, in_place);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.reclaimed, sum.dropped);
    cr_assert_eq(stats.pending + stats.quarantined, 0);
    char why[200] = "";
    cr_assert_eq(ftli_runtime_audit(runtime, why, sizeof why), FTL_OK, "%s", why);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(tracking_whole, counters_are_exact_after_random_work_of_several_threads)
{
    count_exactly("standard");
}

Test(tracking_whole, counters_are_as_exact_at_level_none)
{
    count_exactly("none");
}

Test(tracking_whole, counters_are_as_exact_at_level_debug)
{
    count_exactly("debug");
}

/* ---- rates */

static uint64_t sampled(ftl_runtime *runtime)
{
    struct ftli_totals totals;
    ftli_runtime_totals(runtime, &totals);
    return totals.sampled;
}

static void make_and_drop(ftl_runtime *runtime, size_t bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        ftl_tensor tensor;
        cr_assert_eq(ftl_bytes_new(runtime, bytes, NULL, &tensor), FTL_OK, "%s", ftl_last_error());
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    }
}

static void expect_rates(const char *level, const double rates[5])
{
    static const size_t sizes[5] = {500, 9000, 100000, 800000, 3000000};
    static const unsigned counts[5] = {20000, 20000, 5000, 2000, 200};
    ftl_runtime *runtime = open_at(level);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t before = sampled(runtime);
        make_and_drop(runtime, sizes[i], counts[i]);
        double rate = (double)(sampled(runtime) - before) / counts[i];
        if (rates[i] == 0 || rates[i] == 1)
            cr_expect_float_eq(rate, rates[i], 0, "%s: %zu bytes: %f", level, sizes[i], rate);
        else
            cr_expect_float_eq(rate, rates[i], 0.1 * rates[i], "%s: %zu bytes: %f", level, sizes[i], rate);
    }
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(tracking_whole, each_level_samples_at_its_rates)
{
    expect_rates("none", (double[5]){0, 0, 0, 0, 0});
    expect_rates("minimal", (double[5]){0, 0, 0, 0, 0});
    expect_rates("standard", (double[5]){0.1, 0.1, 0.2, 0.5, 1});
    expect_rates("detailed", (double[5]){0.2, 0.2, 0.4, 0.5, 1});
    expect_rates("debug", (double[5]){1, 1, 1, 1, 1});
}

Test(tracking_whole, recorded_without_sampling_from_a_small_size_on)
{
    ftl_runtime *runtime;
    ftl_open_options options = {.overrides =
                                    "actors.tracking.every_one_from: 2KiB\n"
                                    "actors.tracking.target: 100%\nactors.tracking.adapt: {raise: 1, lower: 1}\n"
                                    "actors.tracking.tiers: [{up_to: 1KiB, rate: 10%}]\n"};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    make_and_drop(runtime, 1500, 1000);
    cr_assert_eq(sampled(runtime), 0, "of no tier");
    make_and_drop(runtime, 2047, 1000);
    cr_assert_eq(sampled(runtime), 0);
    make_and_drop(runtime, 2048, 1000);
    cr_assert_eq(sampled(runtime), 1000);
    make_and_drop(runtime, 1024, 20000);
    cr_assert_float_eq((double)(sampled(runtime) - 1000) / 20000, 0.1, 0.01);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

/* ---- the ring of the last events */

Test(tracking_whole, keeps_the_last_10000_events_in_order)
{
    static struct ftli_event_record events[12000];
    ftl_runtime *runtime = open_at("debug");
    for (unsigned i = 0; i < 8000; i++) {
        make_and_drop(runtime, i, 1);
        if (i % 50 == 0)
            (void)ftli_tracking_events(&runtime->tracking, events, 0); /* before a port's ring is full */
    }
    cr_assert_eq(ftli_tracking_events(&runtime->tracking, events, 12000), 10000);
    for (unsigned i = 0; i < 10000; i++) {
        cr_assert_eq(events[i].kind, i % 2 == 0 ? FTLI_EVENT_CREATED : FTLI_EVENT_DROPPED, "event %u", i);
        cr_assert_eq(events[i].bytes, 3000 + i / 2, "event %u is of %llu bytes", i,
                     (unsigned long long)events[i].bytes);
        if (i % 2 == 1)
            cr_assert_eq(ftli_record_id(events[i].record), ftli_record_id(events[i - 1].record));
        if (i > 0)
            cr_assert_geq(events[i].stamp_ms, events[i - 1].stamp_ms, "time goes forward");
        cr_assert_leq(events[i].lived_ms, events[i].stamp_ms, "and no life is longer than the runtime's");
    }
    struct ftli_tracking_figures figures;
    ftli_tracking_read(&runtime->tracking, &figures);
    cr_assert_eq(figures.events, 16000);
    cr_assert_eq(figures.kept, 10000);
    cr_assert_eq(figures.lost, 0);
    cr_assert_eq(ftli_tracking_events(&runtime->tracking, events, 3), 3);
    cr_assert_eq(events[2].bytes, 7999);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(tracking_whole, what_is_lost_is_counted_and_what_is_kept_is_fetched_by_itself)
{
    ftl_runtime *runtime = open_at("debug");
    struct ftli_tracking_figures figures;
    make_and_drop(runtime, 64, 5000);
    do { /* the actor comes because a ring was half full */
        ftli_tracking_read(&runtime->tracking, &figures);
        sched_yield();
    } while (figures.events + figures.lost < 10000);
    cr_assert_eq(figures.events + figures.lost, 10000);
    cr_assert_geq(figures.events, FTLI_EVENT_RING);
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.events_lost, figures.lost);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

/* ---- its cost */

Test(tracking_whole, its_cost_is_measured)
{
    ftl_runtime *runtime = open_at("debug");
    ftl_tensor tensor;
    ftl_stats stats;
    make_and_drop(runtime, 64, 10000);
    cr_assert_eq(ftl_bytes_new(runtime, 1200, NULL, &tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert(stats.tracking_time_overhead > 0 && stats.tracking_time_overhead < 1, "%f", stats.tracking_time_overhead);
    cr_assert_float_eq(stats.tracking_memory_overhead, 12.0 / 1200, 1e-12);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(tracking_whole, at_level_none_there_is_nothing_to_pay_for)
{
    ftl_runtime *runtime = open_at("none");
    ftl_stats stats;
    struct ftli_tracking_figures figures;
    make_and_drop(runtime, 64, 10000);
    make_and_drop(runtime, 2 << 20, 100);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.tracking_time_overhead, 0);
    cr_assert_eq(stats.events_lost, 0);
    ftli_tracking_read(&runtime->tracking, &figures);
    cr_assert_eq(figures.events, 0);
    cr_assert_eq(ftli_u64_load_relaxed(&runtime->tracking.events_bytes), 0, "no ring");
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

/* ---- sites */

enum { PLACES = 6 };
static const char *const places[PLACES] = {NULL, "place 1", "place 2", "place 3", "place 4", "place 5"};

/* Of what is alive in the table: weights and bytes by site. */
struct by_site {
    uint64_t weight[64], bytes[64], tensors;
};

static struct by_site walk(ftl_runtime *runtime)
{
    struct by_site sum = {.tensors = 0};
    uint32_t end = ftli_table_fresh(&runtime->table);
    for (uint32_t slot = 1; slot < end; slot = ftli_table_next(&runtime->table, slot, end)) {
        const struct ftli_header *header = ftli_table_header(&runtime->table, slot);
        if (ftli_word_state(ftli_u64_load_acquire(&header->word)) != FTLI_LIVE)
            continue;
        uint64_t record = ftli_u64_load_acquire(&header->record);
        uint32_t site = ftli_record_site(record), weight = ftli_record_weight(record);
        cr_assert_lt(site, 64);
        if (weight == 0)
            cr_assert_eq(ftli_record_id(record), slot, "not sampled: its number is its own");
        sum.tensors += weight != 0;
        sum.weight[site] += weight;
        sum.bytes[site] += weight * ftli_size_bytes(ftli_u64_load_acquire(&header->size));
    }
    return sum;
}

static uint64_t expect_sites_agree(ftl_runtime *runtime)
{
    struct by_site sum = walk(runtime);
    for (uint32_t site = 0; site < 64; site++) {
        struct ftli_site_figures figures;
        ftli_site_figures(runtime->tracking.sites, site, &figures);
        cr_assert_eq(figures.created - figures.dropped, sum.weight[site], "site %u: %llu in figures, %llu in the table",
                     site, (unsigned long long)(figures.created - figures.dropped),
                     (unsigned long long)sum.weight[site]);
        cr_assert_eq(figures.created_bytes - figures.dropped_bytes, sum.bytes[site], "site %u", site);
    }
    return sum.tensors;
}

static int never_mind(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes, (void)user;
    return 0;
}

/* Every way in which a sampled tensor ends: in place, posted, by a finalizer, a link, a scope's end, under a pin, awaited. */
static void *live_and_die(void *argument)
{
    struct worker *worker = argument;
    ftl_tensor held[HELD] = {{0}};
    for (unsigned i = 0; i < 3000; i++) {
        unsigned at = (unsigned)rand_r(&worker->seed) % HELD, kind = (unsigned)rand_r(&worker->seed) % 8;
        ftl_tensor_options options = {.site = places[i % PLACES], .finalizer = kind == 1 ? never_mind : NULL};
        ftl_scope scope = {0};
        if (kind == 2)
            worker->failed |= ftl_scope_begin(worker->runtime, NULL, &scope) != FTL_OK;
        options.scope = scope;
        if (held[at].id != 0) {
            if (kind == 3)
                (void)ftl_tensor_pin(held[at]);
            worker->failed |= ftl_tensor_drop(held[at]) != FTL_OK;
            if (kind == 3)
                ftl_tensor_unpin(held[at]);
            else if (kind == 4)
                worker->stale += ftl_tensor_await(held[at], 0) != FTL_OK;
        }
        size_t bytes = (size_t)rand_r(&worker->seed) % (i % 16 == 0 ? 300000 : 3000);
        bool plain = kind > 4;
        worker->failed |= ftl_bytes_new(worker->runtime, bytes, plain ? NULL : &options, &held[at]) != FTL_OK;
        unsigned child = (unsigned)rand_r(&worker->seed) % HELD;
        if (kind == 0 && child != at && held[child].id != 0 && ftl_tensor_link(held[at], held[child]) == FTL_OK &&
            ftl_tensor_drop(held[child]) == FTL_OK)
            held[child].id = 0;
        if (scope.id != 0) {
            worker->failed |= ftl_scope_end(scope, NULL) != FTL_OK;
            held[at].id = 0;
        }
    }
    return NULL; /* what it holds lives on */
}

static void sites_agree(const char *overrides)
{
    enum { THREADS = 4 };
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];
    ftl_runtime *runtime;
    ftl_open_options options = {.overrides = overrides};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    for (unsigned t = 0; t < THREADS; t++) {
        workers[t] = (struct worker){.runtime = runtime, .seed = t + 1};
        cr_assert_eq(pthread_create(&threads[t], NULL, live_and_die, &workers[t]), 0);
    }
    for (unsigned t = 0; t < THREADS; t++) {
        cr_assert_eq(pthread_join(threads[t], NULL), 0);
        cr_assert_not(workers[t].failed);
        (void)ftli_actor_kill(runtime->tracking_actor); /* it restarts; the sites are not its */
    }
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_gt(expect_sites_agree(runtime), 0);
    char why[200] = "";
    cr_assert_eq(ftli_runtime_audit(runtime, why, sizeof why), FTL_OK, "%s", why);
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.quarantined, 0, "headers get their slots back");
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(tracking_whole, what_a_site_made_less_what_it_dropped_is_what_the_table_holds)
{
    sites_agree("");
}

Test(tracking_whole, at_level_debug_each_tensor_is_in_the_figures_of_its_site)
{
    sites_agree("actors.tracking.level: debug\n");
}

Test(tracking_whole, sites_agree_where_every_drop_is_a_message)
{
    sites_agree("actors.tracking.level: detailed\nactors.cleanup.policy: message\n");
}

/* ---- "sites" */

struct said {
    char text[16384];
    size_t n;
};

static int hear(const char *bytes, size_t n, void *user)
{
    struct said *said = user;
    cr_assert_lt(said->n + n, sizeof said->text);
    memcpy(said->text + said->n, bytes, n);
    said->n += n;
    said->text[said->n] = '\0';
    return 0;
}

static const char *row_of(const struct said *said, const char *site)
{
    const char *at = strstr(said->text, site);
    cr_assert(at != NULL, "%s", said->text);
    while (at > said->text && at[-1] != '\n')
        at--;
    return at;
}

Test(tracking_whole, sites_are_listed_the_largest_first)
{
    static struct said said;
    ftl_runtime *runtime = open_at("debug");
    const ftl_tensor_options small = {.site = "small.c:1"}, large = {.site = "large.c:2"}, gone = {.site = "gone.c:3"};
    ftl_tensor tensor;
    for (unsigned i = 0; i < 70; i++) {
        cr_assert_eq(ftl_bytes_new(runtime, 100, &small, &tensor), FTL_OK);
        if (i % 7 != 0)
            cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
        cr_assert_eq(ftl_bytes_new(runtime, 5000, &gone, &tensor), FTL_OK);
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    }
    cr_assert_eq(ftl_bytes_new(runtime, 50000, &large, &tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_control(runtime, "sites", hear, &said), FTL_OK, "%s", ftl_last_error());
    cr_expect_eq(strncmp(said.text, "3 sites, 0 tensors", 18), 0, "%s", said.text);
    double objects = -1, error = -1, bytes = -1;
    cr_assert_eq(sscanf(row_of(&said, "small.c:1"), "%lf ±%lf %lf", &objects, &error, &bytes), 3);
    cr_expect(objects == 10 && error == 0 && bytes == 1000, "each one is sampled: %s", said.text);
    cr_assert_eq(sscanf(row_of(&said, "large.c:2"), "%lf ±%lf %lf", &objects, &error, &bytes), 3);
    cr_expect(objects == 1 && bytes == 50000);
    cr_assert_eq(sscanf(row_of(&said, "gone.c:3"), "%lf ±%lf %lf", &objects, &error, &bytes), 3);
    cr_expect(objects == 0 && bytes == 0);
    cr_expect(row_of(&said, "large.c:2") < row_of(&said, "small.c:1"));
    cr_expect(row_of(&said, "small.c:1") < row_of(&said, "gone.c:3"));
    said.n = 0;
    cr_assert_eq(ftl_runtime_control(runtime, "sites 1", hear, &said), FTL_OK);
    cr_expect(strstr(said.text, "large.c:2\nand 2 more\n") != NULL, "%s", said.text);
    cr_expect_eq(ftl_runtime_control(runtime, "sites many", hear, &said), FTL_EINVAL);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    runtime = open_at("none");
    said.n = 0;
    cr_expect_eq(ftl_runtime_control(runtime, "sites", hear, &said), FTL_OK);
    cr_expect_eq(strncmp(said.text, "0 sites", 7), 0, "%s", said.text);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

/* Estimates of a rate: within five standard errors, on ten runs of other tensors. */
Test(tracking_whole, what_sites_estimate_is_near_what_is_alive)
{
    enum { ALIVE = 5000 };
    static struct said said;
    ftl_runtime *runtime = open_at("standard");
    const ftl_tensor_options here = {.site = "here.c:9"};
    for (unsigned round = 1; round <= 10; round++) {
        for (unsigned i = 0; i < ALIVE / 10; i++) {
            ftl_tensor tensor;
            cr_assert_eq(ftl_bytes_new(runtime, 200, &here, &tensor), FTL_OK);
        }
        double objects = 0, error = 0, bytes = 0;
        said.n = 0;
        cr_assert_eq(ftl_runtime_control(runtime, "sites", hear, &said), FTL_OK);
        cr_assert_eq(sscanf(row_of(&said, "here.c:9"), "%lf ±%lf %lf", &objects, &error, &bytes), 3);
        double alive = round * (ALIVE / 10);
        cr_expect(objects - alive < 5 * error + 1 && alive - objects < 5 * error + 1, "%g, really %g", objects, alive);
        cr_expect_float_eq(bytes, 200 * objects, 200, "%g bytes of %g", bytes, objects);
    }
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
