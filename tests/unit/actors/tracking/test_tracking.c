/* The actor in simulation: virtual time, one thread, a seed. */
#include <criterion/criterion.h>
#include <string.h>

#include "actors/tracking/tracking.h"
#include "runtime/base/clock.h"
#include "runtime/kernel/route.h"
#include "runtime/kernel/simulation.h"

static struct ftli_event_ring rings[2];
static struct ftli_tracking_load load;
static struct ftli_tracking_settings settings = {
    .level = FTLI_TRACKING_STANDARD,
    .events = 20,
    .sites = 16,
    .target = 0.02,
    .adapt = {.least = 0.01, .most = 0.5, .raise = 1.2, .lower = 0.8, .below = 0.5, .above = 0.8, .window = 1000},
    .pause_ns = 300000000000,
    .tier_count = 2,
    .every_one_from_bytes = 1 << 20,
    .tiers = {{1024, 0.1}, {1 << 20, 0.5}},
};
static unsigned applied, refused; /* calls of apply_rates; how many of them found a port busy */
static struct ftli_tracking tracking;
static ftli_kernel *kernel;

static uint32_t take_events(void *user, struct ftli_event_record *out, uint32_t n)
{
    (void)user;
    uint32_t taken = 0;
    for (unsigned i = 0; i < 2 && taken < n; i++)
        taken += ftli_event_ring_take(&rings[i], out + taken, n - taken);
    return taken;
}

static void read_load(void *user, struct ftli_tracking_load *out)
{
    (void)user;
    *out = load;
}

static uint32_t apply_rates(void *user)
{
    (void)user;
    applied++;
    if (refused == 0)
        return 0;
    refused--;
    return 1;
}

static ftli_decision restart(void *self, uint32_t index, bool restartable, int status, uint64_t now_ns)
{
    (void)self, (void)index, (void)status, (void)now_ns;
    cr_assert(restartable);
    return (ftli_decision){FTLI_DECIDE_RESTART, 1000000};
}

static void open_tracking(void)
{
    const ftli_group_options group = {.name = "background", .count = 1};
    const ftli_kernel_options options = {
        .groups = &group, .group_count = 1, .seed = 1, .simulated = true, .supervision = {.decide = restart}};
    const struct ftli_tracking_world world = {.settings = &settings,
                                              .take_events = take_events,
                                              .read_load = read_load,
                                              .apply_rates = apply_rates,
                                              .adapts = true};
    ftli_actor *actor;
    cr_assert_eq(ftli_tracking_init(&tracking, &world), 0);
    cr_assert_eq(ftli_kernel_create(&options, &kernel), 0);
    const ftli_actor_options as = {.operations = &ftli_tracking_operations, .state = &tracking, .group = "background"};
    cr_assert_eq(ftli_kernel_add_actor(kernel, "tracking", &as, &actor), 0);
    ftli_tracking_attach(&tracking, actor);
    cr_assert_eq(ftli_kernel_start(kernel), 0);
}

static void close_tracking(void)
{
    cr_expect_eq(ftli_kernel_stop(kernel, 0), 0);
    ftli_kernel_destroy(kernel);
    ftli_tracking_fini(&tracking);
}

static void put(unsigned ring, uint64_t number)
{
    struct ftli_event_record *next = ftli_event_ring_next(&rings[ring]);
    cr_assert_not_null(next);
    *next = (struct ftli_event_record){.record = number, .kind = FTLI_EVENT_CREATED, .thread = ring};
    (void)ftli_event_ring_publish(&rings[ring]);
}

TestSuite(tracking, .init = open_tracking, .fini = close_tracking);

Test(tracking, empties_the_rings_while_events_come_then_sleeps)
{
    for (uint64_t i = 0; i < 7; i++)
        put(i % 2, i);
    ftli_tracking_note(&tracking);
    cr_assert_eq(ftli_simulation_run_until_idle(kernel, FTLI_NEVER_NS, 1000), 0, "it stops by itself");
    ftli_actor_figures actor;
    ftli_actor_read(tracking.actor, &actor);
    cr_expect_eq(actor.ticks, 2, "one that found events, one that found none: %lu", (unsigned long)actor.ticks);
    struct ftli_tracking_figures figures;
    ftli_tracking_read(&tracking, &figures);
    cr_expect_eq(figures.events, 7);
    cr_expect_eq(figures.kept, 7);
}

Test(tracking, keeps_the_last_events)
{
    struct ftli_event_record out[30];
    for (uint64_t i = 0; i < 53; i++) {
        put(0, i);
        if (i % 9 == 0)
            cr_assert_leq(ftli_tracking_events(&tracking, out, 30), 20);
    }
    cr_assert_eq(ftli_tracking_events(&tracking, out, 30), 20);
    for (unsigned i = 0; i < 20; i++)
        cr_expect_eq(out[i].record, 33 + i, "the newest last");
    cr_assert_eq(ftli_tracking_events(&tracking, out, 3), 3);
    cr_expect_eq(out[2].record, 52);
    char why[200];
    cr_expect_eq(ftli_kernel_check(kernel, why, sizeof why), 0);
    tracking.events[5].kind = 9;
    cr_expect_neq(ftli_kernel_check(kernel, why, sizeof why), 0, "a broken record is seen");
    cr_expect(strstr(why, "kind 9") != NULL, "%s", why);
}

Test(tracking, says_what_it_costs)
{
    struct ftli_tracking_figures figures;
    load = (struct ftli_tracking_load){0};
    ftli_tracking_read(&tracking, &figures);
    cr_expect_eq(figures.time_overhead, 0);
    cr_expect_eq(figures.memory_overhead, 0);
    load = (struct ftli_tracking_load){
        .tracking_ns = 30, .thread_ns = 3000, .live = 100, .live_bytes = 120000, .events_lost = 4, .ring_bytes = 1000};
    ftli_tracking_read(&tracking, &figures);
    cr_expect_float_eq(figures.time_overhead, 0.01, 1e-9);
    cr_expect_float_eq(figures.memory_overhead, 0.01, 1e-9);
    cr_expect_eq(figures.header_bytes, 1200);
    cr_expect_eq(figures.lost, 4);
    cr_expect_eq(figures.ring_bytes, 1000 + 4096 + ftli_sites_used_bytes(tracking.sites));
}

Test(tracking, survives_being_killed)
{
    struct ftli_event_record out[20];
    put(0, 1);
    ftli_tracking_note(&tracking);
    static ftli_message any; /* a kill takes the place of a receive */
    ftli_simulation_kill(kernel, tracking.actor);
    ftli_actor_send(tracking.actor, FTLI_LANE_HIGH, &any);
    cr_assert_eq(ftli_simulation_run_until_idle(kernel, FTLI_NEVER_NS, 1000), 0);
    cr_expect_eq(ftli_tracking_events(&tracking, out, 20), 1);
    cr_expect_eq(ftli_kernel_restarts(kernel), 1);
}

Test(tracking, a_level_without_samples_has_no_ring)
{
    struct ftli_tracking quiet;
    struct ftli_tracking_settings minimal = {.level = FTLI_TRACKING_MINIMAL, .events = 20};
    const struct ftli_tracking_world world = {.settings = &minimal, .take_events = take_events, .read_load = read_load};
    struct ftli_event_record out[4];
    cr_assert_eq(ftli_tracking_init(&quiet, &world), 0);
    cr_expect_null(quiet.events);
    cr_expect_eq(ftli_tracking_events(&quiet, out, 4), 0);
    ftli_tracking_note(&quiet);
    ftli_tracking_fini(&quiet);
}

/* ---- rates that follow what it costs */

static void expect_rate(double rate)
{
    struct ftli_tracking_figures figures;
    ftli_tracking_read(&tracking, &figures);
    cr_expect_float_eq(figures.rates[0], rate, 0.001, "%f", figures.rates[0]);
}

/* A tenth of a second in which tracking took so much of the threads' time. */
static void work(double overhead)
{
    load.sampled += 2000;
    load.thread_ns += 100000000;
    load.tracking_ns += (uint64_t)(100e6 * overhead);
    put(0, 1);
    ftli_tracking_note(&tracking);
    uint64_t until_ns = ftli_kernel_now_ns(kernel) + 99000000;
    cr_assert_eq(ftli_simulation_run_until_idle(kernel, until_ns, 1000), 0);
    ftli_simulation_jump(kernel, 2000000);
    (void)ftli_simulation_run_until_idle(kernel, until_ns + 1500000, 1000);
}

static ftli_route route;

static void wire(void)
{
    memset(&route, 0, sizeof route);
    route.to = tracking.actor;
    route.lane = FTLI_LANE_NORMAL;
    route.u.message.type = FTLI_TRACKING_SAMPLE_LESS;
    route.u.message.flags = FTLI_ROUTE_FLAG;
    tracking.over_target = &route;
}

Test(tracking, rates_follow_what_it_costs)
{
    load = (struct ftli_tracking_load){0};
    expect_rate(0.1);
    work(0.005);
    expect_rate(0.12);
    unsigned before = applied;
    work(0.0145);
    expect_rate(0.12);
    cr_expect_eq(applied, before, "nothing changed");
    work(0.019);
    expect_rate(0.096);
    cr_expect_eq(applied, before + 1);
    cr_expect_eq(ftli_u64_load_relaxed(&tracking.rate_changes), 2);
    cr_expect_eq(ftli_u64_load_relaxed(&tracking.times_over), 0);
}

Test(tracking, a_port_that_was_busy_is_asked_again)
{
    load = (struct ftli_tracking_load){0};
    applied = 0;
    refused = 2;
    work(0.005);
    cr_assert_eq(ftli_simulation_run_until_idle(kernel, FTLI_NEVER_NS, 1000), 0);
    cr_expect_eq(applied, 3);
    cr_expect_not(tracking.is_pending);
}

Test(tracking, over_its_target_it_samples_less_and_takes_no_stacks_for_a_while)
{
    load = (struct ftli_tracking_load){0};
    wire();
    work(0.04);
    expect_rate(0.04);
    cr_expect_eq(ftli_u32_load_relaxed(&tracking.stacks_paused), 1);
    cr_expect_eq(ftli_u64_load_relaxed(&tracking.times_over), 1);
    uint64_t paused_ns = ftli_kernel_now_ns(kernel);
    (void)ftli_simulation_run_until_idle(kernel, paused_ns + 299 * FTLI_NS_PER_S, 1000);
    cr_expect_eq(ftli_u32_load_relaxed(&tracking.stacks_paused), 1, "for five minutes");
    (void)ftli_simulation_run_until_idle(kernel, paused_ns + 301 * FTLI_NS_PER_S, 1000);
    cr_expect_eq(ftli_u32_load_relaxed(&tracking.stacks_paused), 0, "and no longer, though nothing happens");
}

Test(tracking, at_the_least_it_says_so_once_in_a_pause)
{
    load = (struct ftli_tracking_load){0};
    wire();
    for (unsigned i = 0; i < 20; i++)
        work(0.9);
    expect_rate(0.01);
    cr_expect_eq(ftli_u64_load_relaxed(&tracking.times_over), 1);
}

Test(tracking, told_by_another_route_it_makes_a_step)
{
    load = (struct ftli_tracking_load){0};
    wire();
    ftli_route_happened(&route);
    (void)ftli_simulation_run_until_idle(kernel, ftli_kernel_now_ns(kernel) + FTLI_NS_PER_S, 1000);
    expect_rate(0.08);
    cr_expect_eq(ftli_u32_load_relaxed(&tracking.stacks_paused), 1);
}

Test(tracking, levels_and_targets_change_while_it_runs)
{
    uint32_t was;
    double target_was;
    load = (struct ftli_tracking_load){.sampled = 10, .tracking_ns = 5000, .thread_ns = 50000};
    cr_assert_eq(ftli_tracking_set_level(&tracking, FTLI_TRACKING_DETAILED, &was), 0);
    cr_expect_eq(was, FTLI_TRACKING_STANDARD);
    expect_rate(0.2);
    load.thread_ns += 1000;
    load.tracking_ns += 30;
    struct ftli_tracking_figures figures;
    ftli_tracking_read(&tracking, &figures);
    cr_expect_float_eq(figures.time_overhead, 0.03, 1e-9, "since the level was set");
    cr_expect_eq(figures.level, FTLI_TRACKING_DETAILED);
    load = (struct ftli_tracking_load){0};
    work(0.07); /* of 10 % */
    expect_rate(0.2);
    ftli_tracking_set_target(&tracking, 0.01, &target_was);
    cr_expect_float_eq(target_was, 0.02, 1e-12);
    work(0.048); /* of 5 % */
    expect_rate(0.16);
    cr_assert_eq(ftli_tracking_set_level(&tracking, FTLI_TRACKING_NONE, &was), 0);
    cr_expect_eq(was, FTLI_TRACKING_DETAILED);
    expect_rate(0);
    cr_expect_eq(ftli_u64_load_relaxed(&tracking.rates.every_one_from_bytes), UINT64_MAX);
    work(0.9);
    expect_rate(0);
    ftli_tracking_read(&tracking, &figures);
    cr_expect_eq(figures.time_overhead, 0);
    cr_assert_eq(ftli_tracking_set_level(&tracking, FTLI_TRACKING_DEBUG, &was), 0);
    expect_rate(1);
    work(0.9);
    expect_rate(1);
    cr_expect_eq(ftli_u64_load_relaxed(&tracking.rates.every_one_from_bytes), 0);
}
