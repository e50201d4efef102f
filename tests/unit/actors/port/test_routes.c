/* Routes, in virtual time: what is told of what, how often, after failures too; and that none of it goes round for ever. */
#include "tests/unit/actors/port/port_support.h"

#include <fettle/actor.h>
#include <stdlib.h>

#include "runtime/base/random.h"

enum { TOLD_MOST = 4000 };

/* A message of the program's own says what is to be logged; a routed "look" fails as often as `script.fails` says. */
struct order {
    ftl_message message;
    unsigned logs, level;
};

static struct script {
    unsigned starts, received, fails, told;
    char when[TOLD_MOST][32], what[TOLD_MOST][32];
    uint64_t counts[TOLD_MOST], count;
    void (*then)(const ftl_context *);
} script;

static void log_some(const ftl_context *context, const struct order *order)
{
    for (unsigned i = 0; i < order->logs; i++)
        context->log(context, order->level, "said");
}

static int receive(void *raw, const ftl_context *context, ftl_message *message)
{
    (void)raw;
    if (message->flags != FTL_MESSAGE_ROUTED) {
        script.received++;
        log_some(context, (const struct order *)(const void *)message);
        return FTL_OK;
    }
    const ftl_routed *routed = (const ftl_routed *)(const void *)message;
    if (script.fails != 0 && strcmp(routed->what, "look") == 0) {
        script.fails--;
        return FTL_EINTERNAL;
    }
    cr_assert_eq(message->type, 0);
    cr_assert_lt(script.told, TOLD_MOST);
    (void)snprintf(script.when[script.told], 32, "%s", routed->when);
    (void)snprintf(script.what[script.told], 32, "%s", routed->what);
    script.counts[script.told++] = routed->count;
    script.count += routed->count;
    void (*then)(const ftl_context *) = script.then;
    script.then = NULL;
    if (then != NULL)
        then(context);
    return FTL_OK;
}

static int start(void *raw, const ftl_context *context)
{
    (void)raw;
    (void)context;
    script.starts++;
    return FTL_OK;
}

static const ftl_actor_type types[] = {{.name = "scripted", .start = start, .receive = receive}};

static int try_open(const char *overrides, uint64_t seed, ftl_runtime **out)
{
    const ftl_open_options options = {.overrides = overrides, .actor_types = types, .actor_type_count = 1};
    return ftli_runtime_open_as(&options, true, seed, out);
}

static ftl_runtime *open_with(const char *overrides)
{
    ftl_runtime *runtime = NULL;
    cr_assert_eq(try_open(overrides, 5, &runtime), FTL_OK, "%s", ftl_last_error());
    return runtime;
}

static void must_close(ftl_runtime *runtime)
{
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK, "%s", ftl_last_error());
}

static void send_order(ftl_runtime *runtime, const char *name, struct order *order)
{
    ftl_actor actor;
    cr_assert_eq(ftl_actor_find(runtime, name, &actor), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_actor_send(actor, FTL_LANE_NORMAL, &order->message), FTL_OK);
}

static void must_be_told(unsigned place, const char *when, const char *what, uint64_t count)
{
    cr_assert_lt(place, script.told, "%u of %u", place, script.told);
    cr_expect_str_eq(script.when[place], when);
    cr_expect_str_eq(script.what[place], what);
    cr_expect_eq(script.counts[place], count, "%llu times", (unsigned long long)script.counts[place]);
}

static const char small_device[] = "devices.cpu.limit: 64MiB\ndevices.cpu.arena: 2MiB\ndevices.cpu.huge_pages: none\n"
                                   "devices.cpu.hard: 100%\nactors.a: {type: scripted}\n";

static const char *with(const char *first, const char *second)
{
    static char text[2048];
    (void)snprintf(text, sizeof text, "%s%s", first, second);
    return text;
}

Test(routes, each_level_of_pressure_is_told_as_it_is_reached)
{
    ftl_runtime *runtime = open_with(with(
        small_device, "routes: [{when: pressure.none, tell: a, do: relax}, {when: pressure.medium, tell: a, do: shed},"
                      " {when: pressure.high, tell: a, do: shed-more}]"));
    ftl_tensor tensors[30];
    run_for(runtime, SECOND);
    cr_assert_eq(script.told, 0);
    for (unsigned i = 0; i < 30; i++)
        tensors[i] = new_bytes(runtime, 2 * MIB, NULL);
    cr_assert_eq(script.told, 0, "not inside new");
    run_for(runtime, MS);
    cr_assert_eq(script.told, 2, "low has no route; medium was passed, high is there");
    for (unsigned i = 0; i < 2; i++) /* in any order */
        must_be_told(i, strcmp(script.what[i], "shed") == 0 ? "pressure.medium" : "pressure.high", script.what[i], 1);
    cr_assert_str_neq(script.what[0], script.what[1]);
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(script.told, 2, "once");
    for (unsigned i = 0; i < 30; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    ftl_defragment_result result;
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(ftl_defragment(runtime, &(ftl_defragment_options){.purge = true, .target = 1e-9}, &result), FTL_OK);
    run_for(runtime, MS);
    cr_assert_eq(script.told, 3);
    must_be_told(2, "pressure.none", "relax", 1);
    must_close(runtime);
}

/* The cleanup would wait a minute for its batch. */
Test(routes, the_cleanup_runs_when_it_is_told)
{
    static struct order order = {.logs = 1, .level = 2}, info = {.logs = 1, .level = 1};
    ftl_runtime *runtime = open_with("actors.a: {type: scripted}\nactors.b: {type: scripted}\n"
                                     "actors.cleanup: {batch: {messages: 1000, age: 60s}}\n"
                                     "routes: [{when: a.warning, tell: cleanup, do: run},"
                                     " {when: cleanup.completed, tell: b, do: look}]");
    ftl_tensor parent = new_bytes(runtime, 100, NULL), child = new_bytes(runtime, 100, NULL);
    cr_assert_eq(ftl_tensor_link(parent, child), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(child), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(parent), FTL_OK);
    run_for(runtime, SECOND);
    cr_assert_eq(stats_of(runtime).pending, 1);
    send_order(runtime, "a", &info); /* another level */
    run_for(runtime, SECOND);
    cr_assert_eq(stats_of(runtime).pending, 1);
    cr_assert_eq(script.told, 0);
    send_order(runtime, "a", &order);
    run_for(runtime, SECOND);
    cr_assert_eq(stats_of(runtime).pending, 0);
    cr_assert_geq(script.told, 1);
    must_be_told(0, "cleanup.completed", "look", 1);
    const unsigned told = script.told;
    send_order(runtime, "a", &order); /* it runs, and has nothing to complete */
    run_for(runtime, SECOND);
    cr_assert_eq(script.told, told);
    must_close(runtime);
}

Test(routes, tracking_empties_the_rings_and_leak_detection_walks)
{
    static struct order order = {.logs = 1, .level = 3};
    ftl_runtime *runtime = open_with("actors.a: {type: scripted}\nactors.tracking.level: debug\n"
                                     "routes: [{when: a.error, tell: tracking, do: update},"
                                     " {when: a.error, tell: leak_detection, do: recheck}]");
    run_for(runtime, SECOND);
    ftl_tensor tensor = new_bytes(runtime, 100, NULL);
    const uint64_t walks = ftli_u64_load_acquire(&runtime->leak_detection.walks);
    cr_assert_eq(ftli_u64_load_acquire(&runtime->tracking.taken), 0);
    send_order(runtime, "a", &order);
    run_for(runtime, 60 * MS); /* before a tick that the tensor itself would lead to */
    cr_assert_eq(ftli_u64_load_acquire(&runtime->tracking.taken), 1);
    run_for(runtime, SECOND);
    cr_assert_eq(ftli_u64_load_acquire(&runtime->leak_detection.walks), walks + 1);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    must_close(runtime);
}

/* ---- how often --------------------------------------------------------------------------------------------------------- */

static ftl_actor other;
static struct order again = {.logs = 2, .level = 2};

static void make_more(const ftl_context *context)
{
    cr_assert_eq(context->send(context, other, FTL_LANE_NORMAL, &again.message), FTL_OK);
}

Test(routes, what_happens_meanwhile_is_counted_and_none_is_lost)
{
    static struct order order = {.logs = 7, .level = 2};
    ftl_runtime *runtime = open_with("actors.a: {type: scripted}\nactors.b: {type: scripted}\n"
                                     "routes: [{when: a.warning, tell: b, do: look}]");
    send_order(runtime, "a", &order);
    run_for(runtime, SECOND);
    cr_assert_eq(script.told, 1);
    must_be_told(0, "a.warning", "look", 7);
    cr_assert_eq(ftl_actor_find(runtime, "a", &other), FTL_OK);
    script.then = make_more; /* while it is received: it comes once more */
    send_order(runtime, "a", &order);
    run_for(runtime, SECOND);
    cr_assert_eq(script.told, 3);
    must_be_told(1, "a.warning", "look", 7);
    must_be_told(2, "a.warning", "look", 2);
    must_close(runtime);
}

Test(routes, a_failed_receive_has_it_again_after_a_restart)
{
    static struct order order = {.logs = 3, .level = 2}, later = {.logs = 2, .level = 2};
    ftl_runtime *runtime =
        open_with("actors.a: {type: scripted}\nactors.b: {type: scripted}\nsupervision.restarts: 100\n"
                  "routes: [{when: a.warning, tell: b, do: look}, {when: b.restarted, tell: b, do: rise},"
                  " {when: b.failed, tell: a, do: hear}]");
    script.fails = 2;
    send_order(runtime, "a", &order);
    run_for(runtime, 100 * FTLI_NS_PER_US); /* it has failed, and waits for its restart */
    cr_assert_eq(script.fails, 1, "%u left", script.fails);
    send_order(runtime, "a", &later);
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(script.starts, 4, "two actors, two restarts");
    uint64_t looked = 0, rose = 0, heard = 0;
    for (unsigned i = 0; i < script.told; i++) {
        looked += strcmp(script.what[i], "look") == 0 ? script.counts[i] : 0;
        rose += strcmp(script.what[i], "rise") == 0 ? script.counts[i] : 0;
        heard += strcmp(script.what[i], "hear") == 0 ? script.counts[i] : 0;
    }
    cr_expect_eq(looked, 5);
    cr_expect_eq(rose, 2);
    cr_expect_eq(heard, 2);
    must_close(runtime);
}

/* Whatever is killed and fails, in any order: what was said was told. */
Test(routes, none_is_lost_whatever_fails, .timeout = 120)
{
    static struct order orders[100];
    for (uint64_t seed = 1; seed <= 30; seed++) {
        ftl_runtime *runtime = NULL;
        memset(&script, 0, sizeof script);
        cr_assert_eq(try_open("actors.a: {type: scripted}\nactors.b: {type: scripted, threads: service}\n"
                              "supervision: {restarts: 10000, breaker: {failures: 64}}\n"
                              "recovery: {fatal: [restart]}\n"
                              "routes: [{when: a.warning, tell: b, do: look}]",
                              seed, &runtime),
                     FTL_OK, "%s", ftl_last_error());
        const ftli_simulation_faults faults = {.kill = 0.1, .receive_fails = 0.1, .late = 0.2, .most_faults = 60};
        ftli_random_state random;
        ftli_random_seed(&random, seed);
        ftli_simulation_set_faults(runtime->kernel, &faults);
        uint64_t said = 0;
        for (unsigned i = 0; i < 100; i++) {
            orders[i] = (struct order){.logs = (unsigned)(ftli_random_next(&random) % 4), .level = 2};
            said += orders[i].logs;
            send_order(runtime, "a", &orders[i]);
            run_for(runtime, ftli_random_next(&random) % (2 * MS));
        }
        run_for(runtime, 3600 * SECOND);
        cr_assert_eq(script.received, 100, "seed %llu", (unsigned long long)seed);
        cr_assert_eq(script.count, said, "seed %llu: %llu of %llu", (unsigned long long)seed,
                     (unsigned long long)script.count, (unsigned long long)said);
        must_close(runtime);
    }
}

/* ---- what is refused, and what is void ---------------------------------------------------------------------------------- */

Test(routes, a_ring_through_the_program_is_refused)
{
    static const struct {
        const char *routes, *expected;
    } cases[] = {
        {"routes: [{when: a.warning, tell: a, do: x}]",
         "overrides:3:17: routes.1: feeds itself: a.warning > a x; nothing says that this ends"},
        {"routes: [{when: a.warning, tell: b, do: x}, {when: cleanup.completed, tell: tracking, do: update}, {when: "
         "b.info, tell: a, do: y}]",
         "overrides:3:17: routes.1: feeds itself: a.warning > b x, b.info > a y; nothing says that this ends"},
        {"routes: [{when: cleanup.completed, tell: a, do: x}, {when: a.debug, tell: cleanup, do: run}]",
         "overrides:3:17: routes.1: feeds itself: cleanup.completed > a x, a.debug > cleanup run; nothing says "
         "that this ends"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char overrides[512];
        ftl_runtime *runtime = NULL;
        (void)snprintf(overrides, sizeof overrides, "actors.a: {type: scripted}\nactors.b: {type: scripted}\n%s",
                       cases[i].routes);
        cr_assert_eq(try_open(overrides, 1, &runtime), FTL_ECONFIG);
        cr_expect_str_eq(ftl_last_error(), cases[i].expected);
    }
}

Test(routes, what_no_ring_can_be_is_accepted)
{
    ftl_runtime *runtime =
        open_with("actors.a: {type: scripted}\nactors.b: {type: scripted}\n"
                  "routes: [{when: a.warning, tell: b, do: x}, {when: a.info, tell: b, do: x},"
                  " {when: b.down, tell: a, do: y}, {when: b.info, tell: cleanup, do: run},"
                  " {when: cleanup.completed, tell: tracking, do: update}, {when: a.restarted, tell: a, do: z}]");
    must_close(runtime);
}

Test(routes, what_was_taken_out_makes_routes_void)
{
    static struct order order = {.logs = 1, .level = 2};
    ftl_runtime *runtime =
        open_with("actors.a: {type: scripted}\nactors.tracking: none\nactors.leak_detection: none\n"
                  "routes: [{when: cleanup.completed, tell: tracking, do: update},"
                  " {when: leak_detection.failed, tell: cleanup, do: run}, {when: a.warning, tell: cleanup, do: run}]");
    const struct ftli_topology *topology = runtime->topology;
    cr_assert_eq(topology->route_count, 3);
    cr_expect(topology->routes[0].is_void && topology->routes[1].is_void && !topology->routes[2].is_void);
    cr_assert_eq(topology->warning_count, 2);
    cr_expect_str_eq(topology->warnings[0], "route cleanup.completed > tracking update is void: there is no tracking");
    cr_expect_str_eq(topology->warnings[1],
                     "route leak_detection.failed > cleanup run is void: there is no leak_detection");
    cr_expect_null(ftli_kernel_find(runtime->kernel, "Pressure"), "nobody asks for it");
    send_order(runtime, "a", &order);
    run_for(runtime, SECOND);
    must_close(runtime);
}

Test(routes, without_any_nothing_is_there)
{
    ftl_runtime *runtime = open_with("routes: none");
    cr_expect_eq(runtime->topology->route_count, 0);
    cr_expect_null(runtime->cleanup.completed);
    cr_expect_null(ftli_kernel_find(runtime->kernel, "Pressure"));
    must_close(runtime);
}
