/* Simulation: one seed, one history; faults; virtual time; and the laws of the kernel under all of them. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include <fettle/fettle.h>

#include "runtime/kernel/simulation.h"

enum { ACTORS = 3, MESSAGES = 200 };

/* Each actor hands a message on to a random other one, until it has made its hops. */
typedef struct {
    ftli_message message;
    uint32_t hops;
} runner;

typedef struct world world;
typedef struct {
    world *world;
    ftli_timer timer;
    uint64_t ticks, timers, starts;
    bool broken;
} node;

struct world {
    ftli_kernel *kernel;
    ftli_actor *actors[ACTORS];
    node nodes[ACTORS];
    runner runners[MESSAGES];
    uint64_t arrived, received, laws;
    ftli_event all_arrived;
    int law_status;
};

static int start(void *state, ftli_context *context)
{
    node *n = state;
    n->starts++;
    n->timer = (ftli_timer){.due_ns = 0}; /* as a start may: a restart has disarmed it */
    ftli_after(context, 3 * FTLI_NS_PER_MS, &n->timer);
    return FTL_OK;
}

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    node *n = state;
    world *w = n->world;
    if (message == &n->timer.message) {
        n->timers++;
        if (w->arrived < MESSAGES)
            ftli_after(context, FTLI_NS_PER_MS + ftli_random(context) % FTLI_NS_PER_MS, &n->timer);
        return FTL_OK;
    }
    runner *r = (runner *)(void *)message;
    w->received++;
    if (r->hops-- == 0) {
        r->hops = 0;
        if (++w->arrived == MESSAGES)
            (void)ftli_event_signal_all(&w->all_arrived);
        return FTL_OK;
    }
    const uint64_t random = ftli_random(context);
    ftli_actor_send(w->actors[random % ACTORS], random >> 32 & 3, message);
    if (random % 16 == 0)
        ftli_actor_run_within(w->actors[(random >> 40) % ACTORS], random >> 50);
    return FTL_OK;
}

static int on_tick(void *state, ftli_context *context)
{
    (void)context;
    ((node *)state)->ticks++;
    return FTL_OK;
}

static int check(const void *state, char *why, size_t n)
{
    if (!((const node *)state)->broken)
        return FTL_OK;
    (void)snprintf(why, n, "broken on purpose");
    return FTL_EINTERNAL;
}

static const ftli_actor_operations NODE = {
    .type = "node", .start = start, .on_message = on_message, .on_tick = on_tick, .check = check, .restartable = true};

static ftli_decision always_restart(void *self, uint32_t index, bool restartable, int status, uint64_t now_ns)
{
    (void)self, (void)index, (void)restartable, (void)status, (void)now_ns;
    return (ftli_decision){FTLI_DECIDE_RESTART, FTLI_NS_PER_MS};
}

static int law(void *user)
{
    world *w = user;
    w->laws++;
    /* Every runner is in exactly one place: arrived, or in a mailbox. */
    uint64_t waiting = 0;
    for (int i = 0; i < ACTORS; i++) {
        ftli_actor_figures figures;
        ftli_actor_read(w->actors[i], &figures);
        for (int lane = 0; lane < FTLI_LANES; lane++)
            waiting += figures.lanes[lane].depth;
    }
    if (waiting + w->arrived != MESSAGES)
        return FTL_EINTERNAL;
    return w->law_status;
}

static world *make(uint64_t seed, bool restarts)
{
    world *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);
    *w = (world){.law_status = FTL_OK};
    const ftli_group_options groups[] = {{.name = "a", .count = 1}, {.name = "b", .count = 2}};
    ftli_kernel_options options = {.groups = groups, .group_count = 2, .seed = seed, .simulated = true};
    if (restarts)
        options.supervision.decide = always_restart;
    cr_assert_eq(ftli_kernel_create(&options, &w->kernel), FTL_OK);
    static const char *const names[ACTORS] = {"one", "two", "three"};
    for (int i = 0; i < ACTORS; i++) {
        w->nodes[i].world = w;
        const ftli_actor_options add = {
            .operations = &NODE, .state = &w->nodes[i], .group = i == 0 ? "a" : "b", .wake_messages = 5};
        cr_assert_eq(ftli_kernel_add_actor(w->kernel, names[i], &add, &w->actors[i]), FTL_OK);
    }
    cr_assert_eq(ftli_kernel_start(w->kernel), FTL_OK);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        w->runners[i] = (runner){.message.type = i, .hops = i % 10};
        ftli_actor_send(w->actors[i % ACTORS], i % FTLI_LANES, &w->runners[i].message);
    }
    ftli_simulation_set_law(w->kernel, law, w);
    return w;
}

static void destroy(world *w)
{
    cr_assert_eq(ftli_kernel_stop(w->kernel, 0), FTL_OK);
    ftli_kernel_destroy(w->kernel);
    free(w);
}

static uint64_t expected_receives(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < MESSAGES; i++)
        sum += i % 10 + 1;
    return sum;
}

static uint64_t history(uint64_t seed)
{
    world *w = make(seed, true);
    const ftli_simulation_faults faults = {.kill = 0.02, .receive_fails = 0.02, .late = 0.1};
    ftli_simulation_set_faults(w->kernel, &faults);
    cr_assert_eq(ftli_simulation_run_until_idle(w->kernel, FTLI_NEVER_NS, 0), FTL_OK);
    ftli_simulation_figures figures;
    ftli_simulation_read(w->kernel, &figures);
    cr_assert_eq(w->arrived, MESSAGES, "seed %lu: %lu arrived", (unsigned long)seed, (unsigned long)w->arrived);
    cr_assert_eq(w->received, expected_receives(), "each hop once, whatever failed");
    cr_assert_gt(figures.kills + figures.failed_receives, 0);
    cr_assert_eq(w->laws, figures.steps);
    cr_assert_eq(w->nodes[0].starts + w->nodes[1].starts + w->nodes[2].starts,
                 ACTORS + ftli_kernel_restarts(w->kernel));
    destroy(w);
    return figures.trace;
}

Test(simulation, one_seed_is_one_history)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        cr_assert_eq(history(seed), history(seed));
    cr_expect_neq(history(1), history(2));
}

Test(simulation, every_seed_delivers_everything_once_under_faults)
{
    for (uint64_t seed = 100; seed < 400; seed++)
        (void)history(seed);
}

Test(simulation, time_moves_only_by_steps)
{
    world *w = make(5, false);
    const uint64_t before = ftli_kernel_now_ns(w->kernel);
    cr_expect(ftli_kernel_is_simulated(w->kernel));
    cr_expect_eq(ftli_kernel_coarse_ns(w->kernel), before);
    cr_assert_eq(ftli_simulation_run_until_idle(w->kernel, before + FTLI_NS_PER_MS, 0), FTL_OK);
    cr_expect_eq(ftli_kernel_now_ns(w->kernel), before + FTLI_NS_PER_MS);
    cr_expect_eq(w->nodes[0].timers, 0, "3 ms have not passed");
    ftli_simulation_jump(w->kernel, 10 * FTLI_NS_PER_MS);
    cr_assert_eq(ftli_simulation_run_until_idle(w->kernel, before + 11 * FTLI_NS_PER_MS, 0), FTL_OK);
    cr_expect_eq(ftli_kernel_now_ns(w->kernel), before + 11 * FTLI_NS_PER_MS);
    cr_expect_gt(w->nodes[0].timers, 0);
    destroy(w);
}

Test(simulation, a_wait_steps_until_it_is_signalled)
{
    world *w = make(6, false);
    const uint32_t ticket = ftli_event_prepare(&w->all_arrived);
    cr_expect_eq(ftli_kernel_wait(w->kernel, &w->all_arrived, ticket, FTLI_NEVER_NS, NULL), FTL_OK);
    cr_expect_eq(w->arrived, MESSAGES);
    destroy(w);
}

Test(simulation, a_wait_for_what_never_comes_ends_at_its_deadline)
{
    world *w = make(7, false);
    ftli_event never = {{0}, {0}, {NULL}};
    const uint64_t deadline = ftli_kernel_now_ns(w->kernel) + FTLI_NS_PER_S;
    uint32_t ticket = ftli_event_prepare(&never);
    cr_expect_eq(ftli_kernel_wait(w->kernel, &never, ticket, deadline, NULL), FTL_ETIMEDOUT);
    cr_expect_eq(ftli_kernel_now_ns(w->kernel), deadline);
    ticket = ftli_event_prepare(&never);
    cr_expect_eq(ftli_kernel_wait(w->kernel, &never, ticket, FTLI_NEVER_NS, NULL), FTL_ETIMEDOUT,
                 "nothing is ready and nothing is due: nobody can signal it");
    cr_expect_eq(ftli_simulation_step(w->kernel), FTL_ESTALE);
    destroy(w);
}

Test(simulation, a_broken_law_stops_the_run)
{
    world *w = make(8, false);
    w->law_status = FTL_EDEVICE;
    cr_expect_eq(ftli_simulation_run_until_idle(w->kernel, FTLI_NEVER_NS, 0), FTL_EDEVICE);
    ftli_simulation_figures figures;
    ftli_simulation_read(w->kernel, &figures);
    cr_expect_eq(figures.steps, 1);
    w->law_status = FTL_OK;
    w->nodes[0].broken = w->nodes[1].broken = w->nodes[2].broken = true;
    char why[100] = "";
    cr_expect_eq(ftli_simulation_run_until_idle(w->kernel, FTLI_NEVER_NS, 0), FTL_EINTERNAL);
    cr_expect_str_eq(ftli_simulation_why(w->kernel), "broken on purpose");
    cr_expect_eq(ftli_kernel_check(w->kernel, why, sizeof why), FTL_EINTERNAL);
    cr_expect_str_eq(why, "broken on purpose");
    destroy(w);
}

Test(simulation, one_actor_is_killed_once)
{
    world *w = make(9, true);
    ftli_simulation_kill(w->kernel, w->actors[1]);
    cr_assert_eq(ftli_simulation_run_until_idle(w->kernel, FTLI_NEVER_NS, 0), FTL_OK);
    cr_expect_eq(w->nodes[0].starts, 1);
    cr_expect_eq(w->nodes[1].starts, 2);
    cr_expect_eq(w->nodes[2].starts, 1);
    cr_expect_eq(w->arrived, MESSAGES);
    destroy(w);
}

Test(simulation, the_steps_and_faults_are_bounded)
{
    world *w = make(10, true);
    const ftli_simulation_faults faults = {.receive_fails = 1, .status = FTL_EBUSY, .most_faults = 7};
    ftli_simulation_set_faults(w->kernel, &faults);
    cr_expect_eq(ftli_simulation_run_until_idle(w->kernel, FTLI_NEVER_NS, 2), FTL_ETIMEDOUT);
    cr_assert_eq(ftli_simulation_run_until_idle(w->kernel, FTLI_NEVER_NS, 0), FTL_OK);
    ftli_simulation_figures figures;
    ftli_simulation_read(w->kernel, &figures);
    cr_expect_eq(figures.failed_receives, 7);
    cr_expect_eq(w->arrived, MESSAGES);
    destroy(w);
}

/* ---- no lane starves ---------------------------------------------------------------------------------------------------- */

enum { URGENT = 150, PATIENT = 60 };

typedef struct {
    ftli_message message;
    uint64_t receives_at_post, ahead;
} patient;

typedef struct {
    ftli_actor *actor;
    ftli_message urgent[URGENT];
    patient patients[PATIENT];
    uint64_t receives, posted, received, late;
    bool over;
} ward;

/* The emergency lane is never empty: what comes out goes in again. Nothing fails: a receive that does has had its lane's turn. */
static int on_ward_message(void *state, ftli_context *context, ftli_message *message)
{
    ward *w = state;
    (void)context;
    w->receives++;
    if (message >= w->urgent && message < w->urgent + URGENT) {
        if (!w->over)
            ftli_actor_send(w->actor, FTLI_LANE_EMERGENCY, message);
        return FTL_OK;
    }
    const patient *p = (const patient *)(const void *)message;
    w->received++;
    if (w->receives - p->receives_at_post > 64 * (p->ahead + 1) + 63)
        w->late++;
    return FTL_OK;
}

static void background_within_its_bound(uint64_t seed, bool faults)
{
    static const ftli_actor_operations operations = {.type = "ward", .on_message = on_ward_message};
    static ward w;
    w = (ward){.over = false};
    const ftli_group_options group = {.name = "a", .count = 1};
    const ftli_kernel_options options = {.groups = &group, .group_count = 1, .seed = seed, .simulated = true};
    const ftli_actor_options add = {.operations = &operations, .state = &w, .group = "a"};
    ftli_kernel *kernel;
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    cr_assert_eq(ftli_kernel_add_actor(kernel, "ward", &add, &w.actor), FTL_OK);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    if (faults)
        ftli_simulation_set_faults(kernel, &(ftli_simulation_faults){.late = 0.2});
    for (unsigned i = 0; i < URGENT; i++)
        ftli_actor_send(w.actor, FTLI_LANE_EMERGENCY, &w.urgent[i]);
    uint64_t random = seed * 0x9e3779b97f4a7c15u | 1;
    for (unsigned step = 0; w.received < PATIENT && step < 100000; step++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        for (uint64_t n = (random >> 33) % 8 == 0 ? (random >> 40) % 7 : 0; n != 0 && w.posted < PATIENT; n--) {
            patient *p = &w.patients[w.posted];
            *p = (patient){.receives_at_post = w.receives, .ahead = w.posted++ - w.received};
            ftli_actor_send(w.actor, FTLI_LANE_BACKGROUND, &p->message);
        }
        cr_assert_eq(ftli_simulation_step(kernel), FTL_OK);
    }
    cr_assert_eq(w.received, PATIENT, "seed %lu: %lu of them", (unsigned long)seed, (unsigned long)w.received);
    cr_assert_eq(w.late, 0, "seed %lu: %lu came later than their bound", (unsigned long)seed, (unsigned long)w.late);
    cr_assert_gt(w.receives, (uint64_t)PATIENT * 32, "the emergency lane was served besides");
    w.over = true;
    cr_assert_eq(ftli_simulation_run_until_idle(kernel, FTLI_NEVER_NS, 0), FTL_OK);
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
}

Test(simulation, the_background_lane_keeps_its_bound_while_the_emergency_lane_is_full)
{
    for (uint64_t seed = 1; seed <= 40; seed++)
        background_within_its_bound(seed, seed % 2 == 0);
}
