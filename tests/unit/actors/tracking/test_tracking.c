/* The actor in simulation: virtual time, one thread, a seed. */
#include <criterion/criterion.h>
#include <string.h>

#include "actors/tracking/tracking.h"
#include "runtime/kernel/simulation.h"

static struct ftli_event_ring rings[2];
static struct ftli_tracking_load load;
static struct ftli_tracking_settings settings = {.level = FTLI_TRACKING_STANDARD, .events = 20, .sites = 16};
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
    const struct ftli_tracking_world world = {&settings, take_events, read_load, NULL};
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
    load = (struct ftli_tracking_load){.tracking_cycles = 30,
                                       .thread_cycles = 3000,
                                       .live = 100,
                                       .live_bytes = 120000,
                                       .events_lost = 4,
                                       .ring_bytes = 1000};
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
    const struct ftli_tracking_world world = {&minimal, take_events, read_load, NULL};
    struct ftli_event_record out[4];
    cr_assert_eq(ftli_tracking_init(&quiet, &world), 0);
    cr_expect_null(quiet.events);
    cr_expect_eq(ftli_tracking_events(&quiet, out, 4), 0);
    ftli_tracking_note(&quiet);
    ftli_tracking_fini(&quiet);
}
