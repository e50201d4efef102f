/* What the four shipped topologies and small ones of our own become. */
#include "actors/port/topology.h"
#include "tests/unit/runtime/compose/compose_support.h"

#include <criterion/criterion.h>

#include <stdlib.h>

static struct ftli_topology *good(const char *text, const char *overrides)
{
    char error[512];
    struct ftli_topology *topology = test_compose(text, overrides, error, sizeof error);
    cr_assert_not_null(topology, "%s", error);
    return topology;
}

static struct ftli_topology *shipped(const char *name)
{
    char path[1024], error[512];
    const char *root = getenv("FETTLE_SOURCE_DIR");
    (void)snprintf(path, sizeof path, "%s/config/%s", root == NULL ? "." : root, name);
    struct ftli_topology *topology = NULL;
    ftl_open_options options = {.path = path};
    cr_assert_eq(ftli_topology_load(&options, &topology, error, sizeof error), FTL_OK, "%s", error);
    cr_assert_eq(topology->warning_count, 0, "%s: %s", name, topology->warning_count ? topology->warnings[0] : "");
    cr_assert_str_eq(topology->source, path);
    return topology;
}

static const void *settings(const struct ftli_topology *topology, const char *type)
{
    const struct ftli_topology_actor *actor = ftli_topology_actor(topology, type);
    cr_assert_not_null(actor, "no actor of type %s", type);
    return actor->settings;
}

Test(topology, default_values)
{
    struct ftli_topology *t = good(NULL, NULL);
    cr_expect_str_eq(t->source, "default.yaml (built in)");
    cr_expect_str_eq(t->name, "default");
    cr_expect_eq(t->tensors, 67108864);
    cr_expect_eq(t->drain_on_close_ns, 5000000000);
    cr_expect_eq(t->pinned_on_close, FTLI_PINNED_KEEP);
    cr_expect_eq(t->back_pressure.pending, 4096);
    cr_expect_eq(t->back_pressure.bytes, 64 << 20);
    cr_expect_eq(t->back_pressure.age_ns, 50000000);
    cr_expect_eq(t->back_pressure.wait_ns, 1000000);
    cr_expect_eq(t->lane_shares[0], 51);
    cr_expect_eq(t->lane_shares[3], 1);
    cr_expect_eq(t->lane_alarms_ns[0], 10000000);
    cr_expect_eq(t->lane_alarms_ns[1], 50000000);
    cr_expect_eq(t->lane_alarms_ns[2], 250000000);
    cr_expect_eq(t->lane_alarms_ns[3], 5000000000);
    cr_expect_float_eq(t->pressure_levels[1], 0.8, 1e-12);
    cr_expect_eq(t->supervision.restarts, 1);
    cr_expect_eq(t->supervision.within_ns, 5000000000);
    cr_expect_eq(t->supervision.backoff.first_ns, 1000000);
    cr_expect_float_eq(t->supervision.backoff.factor, 2, 0);
    cr_expect_eq(t->supervision.backoff.most_ns, 1000000000);
    const struct {
        uint32_t count, items[3];
    } recovery[FTLI_RECOVERY_CLASSES] = {{2, {0, 2}}, {3, {1, 0, 4}}, {1, {4}}, {2, {3, 4}}, {2, {2, 4}}};
    for (unsigned class = 0; class < FTLI_RECOVERY_CLASSES; class ++) {
        cr_assert_eq(t->recovery[class].count, recovery[class].count);
        for (unsigned i = 0; i < recovery[class].count; i++)
            cr_expect_eq(t->recovery[class].items[i], recovery[class].items[i]);
    }
    cr_expect_eq(t->supervision.breaker.failures, 5);
    cr_expect_eq(t->supervision.breaker.within_ns, 30000000000);
    cr_expect_eq(t->supervision.breaker.open_ns, 5000000000);
    cr_assert_eq(t->route_count, 3);
    cr_expect_str_eq(t->routes[0].when, "pressure.medium");
    cr_expect_str_eq(t->routes[0].tell, "cleanup");
    cr_expect_str_eq(t->routes[0].what, "run");
    cr_expect_eq(t->routes[0].kind, FTLI_ROUTE_PRESSURE);
    cr_expect_eq(t->routes[0].event, 2);
    cr_expect_eq(t->routes[1].kind, FTLI_ROUTE_OWN);
    cr_expect_str_eq(t->routes[1].source, "cleanup");
    cr_expect_eq(t->routes[2].kind, FTLI_ROUTE_OWN);
    cr_expect_str_eq(t->routes[2].source, "tracking");
    cr_expect_not(t->routes[2].is_void);
    cr_expect_eq(ftli_topology_actor(t, "cleanup")->receive_ns, 50000000);
    cr_expect_eq(ftli_topology_actor(t, "defragmentation")->receive_ns, 20000000);
    cr_expect_eq(t->warning_count, 0);
    cr_expect_eq(t->difference_count, 0);
    ftli_compose_free(t);
}

Test(topology, default_groups_and_devices)
{
    struct ftli_topology *t = good(NULL, NULL);
    cr_assert_eq(t->group_count, 3);
    cr_expect_str_eq(t->groups[0].name, "service");
    cr_expect_str_eq(t->groups[2].name, "background");
    cr_expect_eq(t->groups[2].nice, 10);
    cr_expect(t->groups[0].cpus.any);
    cr_assert_eq(t->device_count, 1);
    const struct ftli_topology_device *cpu = &t->devices[0];
    cr_expect_str_eq(cpu->name, "cpu");
    cr_expect_eq(cpu->kind, FTLI_DEVICE_HOST);
    cr_expect_eq(cpu->limit_bytes, 0);
    cr_expect_float_eq(cpu->soft, 0.8, 1e-12);
    cr_expect_float_eq(cpu->hard, 0.95, 1e-12);
    cr_expect_eq(cpu->arena_bytes, 64 << 20);
    cr_expect_eq(cpu->huge_pages, FTLI_HUGE_PAGES_ADVISE);
    cr_expect(cpu->keep.is_share);
    cr_expect_float_eq(cpu->keep.share, 0.1, 1e-12);
    cr_expect_eq(cpu->give_back_ns, 10000000000);
    ftli_compose_free(t);
}

Test(topology, default_actors)
{
    struct ftli_topology *t = good(NULL, NULL);
    static const char *const order[] = {"allocation",      "cleanup",        "tracking",
                                        "defragmentation", "leak_detection", "telemetry"};
    cr_assert_eq(t->actor_count, FETTLE_TELEMETRY ? 6 : 5);
    for (uint32_t i = 0; i < t->actor_count; i++) {
        cr_expect_str_eq(t->actors[i].name, order[i]);
        cr_expect_str_eq(t->actors[i].type, order[i]);
        cr_expect_eq(t->actors[i].threads.index, i < 2 ? 0 : 2);
        cr_expect_eq(t->actors[i].line, 0);
    }
    const struct ftli_allocation_settings *allocation = settings(t, "allocation");
    cr_expect_eq(allocation->shards, 0);
    cr_expect_eq(allocation->small_bytes, 32 << 10);
    cr_expect_eq(allocation->large_bytes, 1 << 20);
    cr_expect_eq(allocation->magazine, 64);
    cr_expect_eq(allocation->thread_cache_bytes, 2 << 20);
    cr_expect_eq(allocation->wait_ns, 10000000);
    const struct ftli_cleanup_settings *cleanup = settings(t, "cleanup");
    cr_expect_eq(cleanup->policy, FTLI_CLEANUP_POLICY_AUTO);
    cr_expect_eq(cleanup->validate, FTLI_CLEANUP_VALIDATE_ALL);
    cr_expect_eq(cleanup->batch_messages, 10);
    cr_expect_eq(cleanup->batch_age_ns, 50000000);
    cr_expect_float_eq(cleanup->emergency_above, 0.95, 1e-12);
    cr_expect_eq(cleanup->high_lane_from_bytes, 16 << 20);
    cr_expect_eq(cleanup->deadline_ns, 10000000000);
    cr_expect_eq(cleanup->finalizers.index, 1);
    cr_expect_eq(cleanup->quarantine_limit_bytes, 256 << 20);
    const struct ftli_tracking_settings *tracking = settings(t, "tracking");
    cr_expect_eq(tracking->level, FTLI_TRACKING_STANDARD);
    cr_expect_eq(tracking->events, 10000);
    cr_assert_eq(tracking->tier_count, 4);
    cr_expect_eq(tracking->tiers[3].up_to_bytes, 1 << 20);
    cr_expect_float_eq(tracking->tiers[3].rate, 0.5, 1e-12);
    cr_expect_float_eq(tracking->target, 0.02, 1e-12);
    cr_expect_float_eq(tracking->adapt.least, 0.01, 1e-12);
    cr_expect_float_eq(tracking->adapt.most, 0.5, 1e-12);
    cr_expect_float_eq(tracking->adapt.raise, 1.2, 1e-12);
    cr_expect_float_eq(tracking->adapt.below, 0.5, 1e-12);
    cr_expect_float_eq(tracking->adapt.lower, 0.8, 1e-12);
    cr_expect_float_eq(tracking->adapt.above, 0.8, 1e-12);
    cr_expect_eq(tracking->adapt.window, 1000);
    cr_expect_eq(tracking->pause_ns, 300000000000);
    const struct ftli_defragmentation_settings *defragmentation = settings(t, "defragmentation");
    cr_expect_eq(defragmentation->idle_ns, 1000000000);
    const struct ftli_leak_detection_settings *leaks = settings(t, "leak_detection");
    cr_expect_eq(leaks->outlived_scope_ns, 0);
    cr_expect_eq(leaks->outlived_thread_ns, FTLI_TIME_NONE);
    cr_expect_eq(leaks->growth_every_ns, 1000000000);
    cr_expect_eq(leaks->growth_window_ns, 600000000000);
    cr_expect_float_eq(leaks->growth_alarm, 0.8, 1e-12);
    cr_expect_eq(leaks->quota_site_bytes, 0);
    cr_expect_eq(leaks->quota_label_bytes, 0);
    cr_expect_float_eq(leaks->quota_warn, 0.8, 1e-12);
    cr_expect_eq(leaks->mitigate, FTLI_LEAK_MITIGATE_NONE);
#if FETTLE_TELEMETRY
    const struct ftli_telemetry_settings *telemetry = settings(t, "telemetry");
    cr_expect_eq(telemetry->every_ns, 1000000000);
    cr_expect_str_eq(telemetry->publish, "");
    cr_expect_str_eq(telemetry->control, "auto");
#endif
    ftli_compose_free(t);
}

/* config/default.yaml is at once a file that a user may copy. */
Test(topology, shipped_default_is_the_built_in_one)
{
    struct ftli_topology *t = shipped("default.yaml");
    cr_expect_eq(t->difference_count, 0);
    ftli_topology_free(t);
}

Test(topology, shipped_server)
{
    struct ftli_topology *t = shipped("server.yaml");
    cr_expect_str_eq(t->name, "server");
    cr_expect_eq(t->groups[0].count, 2);
    cr_expect_eq(t->groups[2].nice, 15);
    cr_expect_eq(t->pinned_on_close, FTLI_PINNED_REFUSE);
    cr_expect_eq(t->devices[0].arena_bytes, 1 << 30);
    cr_expect_eq(((const struct ftli_cleanup_settings *)settings(t, "cleanup"))->batch_messages, 64);
    cr_expect_eq(((const struct ftli_leak_detection_settings *)settings(t, "leak_detection"))->outlived_scope_ns,
                 5000000000);
    cr_expect_eq(t->supervision.restarts, 10);
    ftli_topology_free(t);
}

Test(topology, shipped_embedded)
{
    struct ftli_topology *t = shipped("embedded.yaml");
    for (uint32_t i = 0; i < t->group_count; i++) {
        cr_expect_eq(t->groups[i].count, 0);
    }
    cr_expect_eq(t->devices[0].limit_bytes, 256 << 20);
    cr_expect_eq(t->devices[0].huge_pages, FTLI_HUGE_PAGES_NONE);
    cr_expect_not(t->devices[0].keep.is_share);
    cr_expect_eq(t->devices[0].keep.bytes, 1 << 20);
    cr_expect_null(ftli_topology_actor(t, "telemetry"));
    cr_expect_null(ftli_topology_actor(t, "leak_detection"));
    cr_expect_eq(((const struct ftli_allocation_settings *)settings(t, "allocation"))->wait_ns, 0);
    cr_expect_eq(((const struct ftli_tracking_settings *)settings(t, "tracking"))->events, 256);
    ftli_topology_free(t);
}

Test(topology, shipped_debug)
{
    struct ftli_topology *t = shipped("debug.yaml");
    cr_expect_eq(((const struct ftli_tracking_settings *)settings(t, "tracking"))->level, FTLI_TRACKING_DEBUG);
    cr_expect_eq(((const struct ftli_cleanup_settings *)settings(t, "cleanup"))->validate, FTLI_CLEANUP_VALIDATE_ALL);
    ftli_topology_free(t);
}

Test(topology, entries_are_added_changed_and_taken_out)
{
    struct ftli_topology *t = good("fettle: 1\n"
                                   "threads:\n"
                                   "  finalizers: none\n"
                                   "  io: {cpus: [0-2, 5], nice: -3}\n"
                                   "devices:\n"
                                   "  second: {limit: 1GiB}\n"
                                   "actors:\n"
                                   "  tracking: none\n"
                                   "  watcher: {type: tracking, events: 99, threads: io}\n"
                                   "  cleanup: {finalizers: io}\n",
                                   NULL);
    cr_assert_eq(t->group_count, 3);
    cr_expect_str_eq(t->groups[1].name, "background");
    const struct ftli_topology_group *io = &t->groups[2];
    cr_expect_str_eq(io->name, "io");
    cr_expect_eq(io->count, 1, "begins as the first of the default's");
    cr_expect_eq(io->nice, -3);
    cr_expect_not(io->cpus.any);
    cr_expect_eq(io->cpus.mask[0], 0x27);
    cr_assert_eq(t->device_count, 2);
    cr_expect_str_eq(t->devices[0].name, "cpu");
    cr_expect_str_eq(t->devices[1].name, "second");
    cr_expect_eq(t->devices[1].limit_bytes, 1 << 30);
    cr_expect_eq(t->devices[1].arena_bytes, 64 << 20);
    const struct ftli_topology_actor *watcher = ftli_topology_actor(t, "tracking");
    cr_assert_not_null(watcher);
    cr_expect_str_eq(watcher->name, "watcher");
    cr_expect_eq(watcher->line, 9);
    cr_expect_eq(watcher->threads.index, 2);
    const struct ftli_tracking_settings *tracking = watcher->settings;
    cr_expect_eq(tracking->events, 99);
    cr_expect_eq(tracking->tier_count, 4, "the rest is its type's default");
    cr_expect_eq(((const struct ftli_cleanup_settings *)settings(t, "cleanup"))->finalizers.index, 2);
    cr_expect_eq(ftli_topology_actor(t, "defragmentation")->threads.index, 1);
    cr_expect_eq(watcher, &t->actors[2], "starts where its type does");
    ftli_compose_free(t);
}

Test(topology, an_entry_may_change_its_type)
{
    struct ftli_topology *t = good("fettle: 1\n"
                                   "actors:\n"
                                   "  leak_detection: none\n"
                                   "  tracking: {type: leak_detection, outlived: {scope: 3s}, quota: {site: 1GiB}}\n",
                                   NULL);
    cr_expect_null(ftli_topology_actor(t, "tracking"));
    const struct ftli_leak_detection_settings *leaks = settings(t, "leak_detection");
    cr_expect_eq(leaks->outlived_scope_ns, 3000000000);
    cr_expect_eq(leaks->quota_site_bytes, 1 << 30);
    cr_expect_eq(leaks->quota_label_bytes, 0);
    cr_expect_eq(leaks->outlived_thread_ns, FTLI_TIME_NONE);
    ftli_compose_free(t);
}

Test(topology, a_list_replaces_the_list)
{
    struct ftli_topology *t = good("fettle: 1\nactors: {tracking: {tiers: [{up_to: 4KiB, rate: 12.5%}]}}\n", NULL);
    const struct ftli_tracking_settings *tracking = settings(t, "tracking");
    cr_assert_eq(tracking->tier_count, 1);
    cr_expect_eq(tracking->tiers[0].up_to_bytes, 4096);
    cr_expect_float_eq(tracking->tiers[0].rate, 0.125, 1e-12);
    cr_expect_eq(tracking->tiers[1].up_to_bytes, 0);
    ftli_compose_free(t);
}

Test(topology, routes_of_any_length_differ)
{
    char text[8192] = "fettle: 1\nroutes:\n";
    static const char *const events[] = {"failed", "restarted", "down", "degraded", "recovered", "overdue"};
    static const char *const told[][2] = {{"cleanup", "run"}, {"tracking", "update"}, {"leak_detection", "recheck"}};
    static const char *const actors[] = {"allocation", "cleanup", "tracking", "leak_detection"};
    for (unsigned i = 0; i < FTLI_ROUTES_MOST; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "  - {when: %s.%s, tell: %s, do: %s}\n",
                       actors[i / 18], events[i % 6], told[i % 18 / 6][0], told[i % 18 / 6][1]);
    struct ftli_topology *t = good(text, NULL);
    cr_assert_eq(t->route_count, FTLI_ROUTES_MOST);
    cr_assert_eq(t->difference_count, 1);
    cr_expect_eq(t->differences[0].line, 2 + 1);
    cr_expect_eq(strlen(t->differences[0].value), sizeof t->differences[0].value - 1);
    cr_expect_str_eq(t->differences[0].value + strlen(t->differences[0].value) - 2, "..");
    ftli_compose_free(t);
    for (unsigned i = 0; i < 2; i++) {
        t = good(i == 0 ? "fettle: 1\nroutes: none\n" : "fettle: 1\nroutes: []\n", NULL);
        cr_assert_eq(t->route_count, 0);
        cr_assert_eq(t->difference_count, 1);
        cr_expect_str_eq(t->differences[0].value, "none");
        ftli_compose_free(t);
    }
}

Test(topology, overrides_lie_on_top)
{
    struct ftli_topology *t = good("fettle: 1\nactors: {tracking: {level: none}}\nruntime: {name: mine}\n",
                                   "# for this run\n"
                                   "actors.tracking.level: debug\n"
                                   "\n"
                                   "  actors.cleanup.batch: {messages: 3}\n"
                                   "actors.telemetry: none\n"
                                   "threads.io.count: 2\n"
                                   "actors.tracking.threads: io\n"
                                   "actors.tracking.level: minimal");
    cr_expect_str_eq(t->source, "topology");
    cr_expect_str_eq(t->name, "mine");
    cr_expect_eq(((const struct ftli_tracking_settings *)settings(t, "tracking"))->level, FTLI_TRACKING_MINIMAL);
    cr_expect_eq(((const struct ftli_cleanup_settings *)settings(t, "cleanup"))->batch_messages, 3);
    cr_expect_null(ftli_topology_actor(t, "telemetry"));
    cr_expect_str_eq(t->groups[3].name, "io");
    cr_expect_eq(ftli_topology_actor(t, "tracking")->threads.index, 3);
    ftli_compose_free(t);
}

Test(topology, empty_sections_say_nothing)
{
    struct ftli_topology *t = good("fettle: 1\nthreads:\nactors:\n  tracking:\n  # level: debug\nlanes:\n", NULL);
    cr_expect_eq(t->difference_count, 0);
    ftli_compose_free(t);
}

Test(topology, warnings)
{
    struct ftli_topology *t = good("fettle: 1\nthreads: {idle: {count: 1}, finalizers: {count: 0}}\n", NULL);
    cr_assert_eq(t->warning_count, 2);
    cr_expect_str_eq(t->warnings[0],
                     "thread group finalizers has no threads: its actors run only inside ftl_runtime_run");
    cr_expect_str_eq(t->warnings[1], "thread group idle serves no actor");
    ftli_compose_free(t);
    t = good("fettle: 1\nactors: {tracking: none, defragmentation: none, leak_detection: none, telemetry: none}\n",
             NULL);
    cr_assert_eq(t->warning_count, 1);
    cr_expect_str_eq(t->warnings[0], "thread group background serves no actor");
    ftli_compose_free(t);
}

Test(topology, differences)
{
    struct ftli_topology *t = good("fettle: 1\n"
                                   "runtime: {tensors: 65536}\n"
                                   "threads:\n"
                                   "  service: {cpus: [1, 3-4]}\n"
                                   "  io: {nice: 5}\n"
                                   "actors:\n"
                                   "  leak_detection: none\n"
                                   "  cleanup: {batch: {age: 50ms, messages: 11}, finalizers: io}\n"
                                   "  tracking: {tiers: [{up_to: 1.5KiB, rate: 12.5%}]}\n",
                                   "devices.cpu.keep: 1MiB\n");
    static const struct ftli_difference expected[] = {
        {"runtime.tensors", "65536", "67108864", 2},
        {"threads.service.cpus", "[1, 3-4]", "any", 4},
        {"threads.io", "{count: 1, cpus: any, nice: 5}", "none", 5},
        {"devices.cpu.keep", "1MiB", "10%", 0},
        {"actors.cleanup.batch.messages", "11", "10", 8},
        {"actors.cleanup.finalizers", "io", "finalizers", 8},
        {"actors.tracking.tiers", "[{up_to: 1536B, rate: 12.5%}]",
         "[{up_to: 1KiB, rate: 10%}, {up_to: 16KiB, rate: 10%}, {up_to: 128KiB, rate: 20%}, {up_to: 1MiB, rate: 50%}]",
         9},
        {"actors.leak_detection", "none", "{type: leak_detection, threads: background, ..}", 7},
    };
    size_t count = sizeof expected / sizeof expected[0];
    for (uint32_t i = 0; i < t->difference_count && i < count; i++) {
        const struct ftli_difference *d = &t->differences[i];
        cr_expect_str_eq(d->key, expected[i].key);
        cr_expect_str_eq(d->value, expected[i].value);
        cr_expect_str_eq(d->standard, expected[i].standard);
        cr_expect_eq(d->line, expected[i].line, "%s: line %u", d->key, d->line);
    }
    cr_expect_eq(t->difference_count, count);
    ftli_compose_free(t);
}

Test(topology, types_left_out_of_the_build)
{
    static const struct ftli_actor_schema absent = {.type = "telemetry", .order = 5};
    const struct ftli_actor_schema *schemas[6];
    memcpy(schemas, test_schemas, sizeof schemas);
    schemas[5] = &absent;
    struct ftli_compose_input input = test_input();
    input.schemas = schemas;
    struct ftli_topology *t = NULL;
    char error[256] = "";
    input.text = "fettle: 1\nactors: {telemetry: none}\n";
    input.text_bytes = strlen(input.text);
    cr_assert_eq(ftli_compose(&input, &t, error, sizeof error), FTL_OK, "%s", error);
    cr_expect_eq(t->actor_count, 5);
    ftli_compose_free(t);
    input.text = "fettle: 1\nactors: {telemetry: {every: 2s}}\n";
    input.text_bytes = strlen(input.text);
    cr_assert_eq(ftli_compose(&input, &t, error, sizeof error), FTL_ECONFIG);
    cr_expect_str_eq(error, "topology:2:10: actors.telemetry: is not in this build; leave it out, or say none");
}

/* The default is the ground that everything stands on: one that leaves a key unsaid is refused. */
Test(topology, the_default_must_be_complete)
{
    static char text[65536];
    cr_assert_lt(ftli_default_topology_bytes, sizeof text);
    static const struct {
        const char *line, *expected;
    } cuts[] = {
        {"  tensors:", "default.yaml (built in): runtime.tensors: is missing"},
        {"    deadline:", "default.yaml (built in): actors.cleanup.deadline: is missing"},
        {"    give_back:", "default.yaml (built in): devices.cpu.give_back: is missing"},
        {"    tiers:", NULL},
    };
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        memcpy(text, ftli_default_topology, ftli_default_topology_bytes + 1);
        char *line = strstr(text, cuts[i].line);
        cr_assert_not_null(line);
        memset(line, ' ', strcspn(line, "\n"));
        struct ftli_compose_input input = test_input();
        input.default_text = text;
        struct ftli_topology *t = NULL;
        char error[256] = "";
        cr_assert_eq(ftli_compose(&input, &t, error, sizeof error), FTL_ECONFIG);
        if (cuts[i].expected != NULL) {
            cr_expect_str_eq(error, cuts[i].expected);
        }
    }
}

Test(topology, path_and_text_together)
{
    struct ftli_topology *t = NULL;
    char error[128] = "";
    ftl_open_options options = {.path = "x", .text = "y", .text_bytes = 1};
    cr_expect_eq(ftli_topology_load(&options, &t, error, sizeof error), FTL_EINVAL);
    cr_expect_str_eq(error, "path and text are both given; a topology is one of them");
    cr_expect_eq(ftli_topology_load(NULL, &t, error, sizeof error), FTL_OK);
    ftli_topology_free(t);
    ftli_topology_free(NULL);
}
