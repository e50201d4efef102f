/* Restarts of several actors, quarantine, degraded actors and the breaker, by the kernel in simulation. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fettle/fettle.h>

#include "runtime/base/random.h"
#include "runtime/kernel/simulation.h"
#include "runtime/supervise/supervisor.h"

enum { ACTORS = 4, MAIL = 40, LOG = 4000, NEWS = 8, SPARE = 500 };

struct world;
struct one {
    struct world *world;
    char name;
    bool running, corrupt, broken; /* broken: its check fails */
    int fails, fail_status;        /* so many receives of `fail_at` */
    uint32_t fail_at, next, starts, stops, received, out_of_order;
    unsigned fail_starts;
    double faults; /* of any receive or start, any class */
};

struct world {
    uint32_t strategy;
    ftli_supervisor *supervisor;
    ftli_kernel *kernel;
    ftli_actor *actors[ACTORS];
    struct one ones[ACTORS];
    ftli_message mail[ACTORS][MAIL];
    char log[LOG]; /* "A+" started, "a-" stopped */
    unsigned news[ACTORS][NEWS];
    bool interrupts; /* who fails gets another message first */
    ftli_message spare[SPARE];
    unsigned spare_count;
    unsigned wrong; /* starts of what runs, receives of what does not, .. */
    ftli_random_state random;
};

static void note(struct world *world, char name, char what)
{
    const size_t n = strlen(world->log);
    if (n + 2 < LOG) {
        world->log[n] = name;
        world->log[n + 1] = what;
    }
}

static int any_fault(struct one *one)
{
    static const int statuses[] = {FTL_EBUSY, FTL_ENOMEM, FTL_EINTERNAL, FTL_ETIMEDOUT, FTL_EDEVICE};
    if (one->faults == 0 || !ftli_random_chance(&one->world->random, one->faults))
        return FTL_OK;
    return statuses[ftli_random_below(&one->world->random, 5)];
}

static int start(void *state, ftli_context *context)
{
    struct one *one = state;
    (void)context;
    one->world->wrong += one->running;
    if (one->fail_starts != 0 && one->starts != 0) {
        one->fail_starts--;
        return FTL_EINTERNAL;
    }
    if (one->starts != 0) {
        const int status = any_fault(one);
        if (status != FTL_OK)
            return status;
    }
    /* Whoever stands before it in the order and is not down has started. */
    for (unsigned i = 0;
         one->starts != 0 && one->world->strategy != FTLI_RESTART_ONE_FOR_ONE && &one->world->ones[i] != one; i++)
        one->world->wrong += !one->world->ones[i].running && !ftli_actor_is_down(one->world->actors[i]);
    one->running = true;
    one->broken = false;
    one->starts++;
    note(one->world, one->name, '+');
    return FTL_OK;
}

static void stop(void *state, ftli_context *context)
{
    struct one *one = state;
    (void)context;
    one->world->wrong += !one->running;
    one->world->wrong += one->broken;
    one->running = false;
    one->stops++;
    note(one->world, one->name, '-');
}

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    struct one *one = state;
    (void)context;
    one->world->wrong += !one->running;
    if (message->type == UINT32_MAX - 1)
        return FTL_OK;
    if (message->type == one->fail_at && one->fails > 0) {
        one->fails--;
        one->broken = one->corrupt;
        if (one->broken)
            one->running = false; /* no stop comes */
        return one->fail_status;
    }
    const int status = any_fault(one);
    if (status != FTL_OK)
        return status;
    one->out_of_order += message->type != one->next;
    one->next = message->type + 1;
    one->received++;
    return FTL_OK;
}

static int check(const void *state, char *why, size_t n)
{
    (void)snprintf(why, n, "broken on purpose");
    return ((const struct one *)state)->broken ? FTL_EINTERNAL : FTL_OK;
}

static const ftli_actor_operations RESTARTABLE = {
    .type = "one", .start = start, .on_message = on_message, .stop = stop, .check = check, .restartable = true};
static const ftli_actor_operations KEPT = {
    .type = "kept", .start = start, .on_message = on_message, .stop = stop, .check = check};

static void on_news(void *user, const ftli_news *news)
{
    struct world *world = user;
    world->news[ftli_actor_index(news->actor)][news->kind]++;
    if (news->kind == FTLI_NEWS_FAILED && world->spare_count < SPARE && world->interrupts) {
        ftli_message *message = &world->spare[world->spare_count++];
        message->type = UINT32_MAX - 1;
        ftli_actor_send(news->actor, FTLI_LANE_EMERGENCY, message);
    }
}

/* Actors a, b, c, d on two groups; the first cannot be restarted if it is kept. */
static struct world *make(const ftli_policy *policy, uint64_t seed, bool kept)
{
    struct world *world = aligned_alloc(64, (sizeof *world + 63) / 64 * 64);
    cr_assert_not_null(world);
    memset(world, 0, sizeof *world);
    world->strategy = policy->strategy;
    ftli_random_seed(&world->random, seed);
    cr_assert_eq(ftli_supervisor_create(policy, &world->supervisor), FTL_OK);
    const ftli_group_options groups[] = {{.name = "x", .count = 1}, {.name = "y", .count = 1}};
    const ftli_kernel_options options = {.groups = groups,
                                         .group_count = 2,
                                         .supervision = ftli_supervisor_interface(world->supervisor),
                                         .on_news = on_news,
                                         .user = world,
                                         .seed = seed,
                                         .simulated = true};
    cr_assert_eq(ftli_kernel_create(&options, &world->kernel), FTL_OK);
    for (unsigned i = 0; i < ACTORS; i++) {
        static const char *const names[ACTORS] = {"a", "b", "c", "d"};
        struct one *one = &world->ones[i];
        *one = (struct one){.world = world, .name = names[i][0], .fail_at = UINT32_MAX, .fail_status = FTL_EINTERNAL};
        const ftli_actor_options add = {
            .operations = kept && i == 0 ? &KEPT : &RESTARTABLE, .state = one, .group = i % 2 == 0 ? "x" : "y"};
        cr_assert_eq(ftli_kernel_add_actor(world->kernel, names[i], &add, &world->actors[i]), FTL_OK);
    }
    cr_assert_eq(ftli_kernel_start(world->kernel), FTL_OK);
    cr_assert_str_eq(world->log, "a+b+c+d+");
    memset(world->log, 0, sizeof world->log);
    return world;
}

static void send(struct world *world)
{
    for (uint32_t n = 0; n < MAIL; n++) {
        for (unsigned i = 0; i < ACTORS; i++) {
            world->mail[i][n].type = n;
            ftli_actor_send(world->actors[i], FTLI_LANE_HIGH, &world->mail[i][n]);
        }
    }
}

static void run(struct world *world)
{
    const int status = ftli_simulation_run_until_idle(world->kernel, FTLI_NEVER_NS, 0);
    cr_assert_eq(status, FTL_OK, "%d: %s", status, ftli_simulation_why(world->kernel));
}

static void expect_all_received(const struct world *world)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        cr_expect_eq(world->ones[i].received, MAIL, "%c received %u", world->ones[i].name, world->ones[i].received);
        cr_expect_eq(world->ones[i].out_of_order, 0, "%c", world->ones[i].name);
    }
    cr_expect_eq(world->wrong, 0);
    cr_expect_eq(ftli_kernel_degraded(world->kernel), 0);
}

static void end(struct world *world)
{
    cr_assert_eq(ftli_kernel_stop(world->kernel, 0), FTL_OK);
    ftli_kernel_destroy(world->kernel);
    ftli_supervisor_destroy(world->supervisor);
    free(world);
}

/* One failure of `who` at its 20th message; what was stopped and started, and nobody lost a message. */
static void expect_restarts(uint32_t strategy, unsigned who, bool kept, const char *expected)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        ftli_policy policy = ftli_policy_default();
        policy.strategy = strategy;
        struct world *world = make(&policy, seed, kept);
        world->ones[who].fail_at = 20;
        world->ones[who].fails = 1;
        send(world);
        run(world);
        cr_expect_str_eq(world->log, expected, "seed %llu: %s, expected %s", (unsigned long long)seed, world->log,
                         expected);
        expect_all_received(world);
        ftli_supervisor_figures figures;
        ftli_supervisor_read(world->supervisor, &figures);
        cr_expect_eq(figures.restarts, 1, "a restart of several counts once");
        cr_expect_eq(ftli_kernel_restarts(world->kernel), strlen(expected) / 4);
        end(world);
    }
}

Test(strategies, one_for_one_restarts_the_one)
{
    expect_restarts(FTLI_RESTART_ONE_FOR_ONE, 1, false, "b-b+");
}

Test(strategies, one_for_all_restarts_all_the_last_stops_first)
{
    expect_restarts(FTLI_RESTART_ONE_FOR_ALL, 1, false, "b-d-c-a-a+b+c+d+");
    expect_restarts(FTLI_RESTART_ONE_FOR_ALL, 0, false, "a-d-c-b-a+b+c+d+");
}

Test(strategies, rest_for_one_restarts_it_and_those_after_it)
{
    expect_restarts(FTLI_RESTART_REST_FOR_ONE, 1, false, "b-d-c-b+c+d+");
    expect_restarts(FTLI_RESTART_REST_FOR_ONE, 0, false, "a-d-c-b-a+b+c+d+");
    expect_restarts(FTLI_RESTART_REST_FOR_ONE, 3, false, "d-d+");
}

Test(strategies, what_cannot_be_restarted_is_left_out)
{
    expect_restarts(FTLI_RESTART_ONE_FOR_ALL, 2, true, "c-d-b-b+c+d+");
}

Test(strategies, a_start_that_fails_in_a_round_begins_it_again)
{
    ftli_policy policy = ftli_policy_default();
    policy.strategy = FTLI_RESTART_REST_FOR_ONE;
    policy.restarts = 3;
    struct world *world = make(&policy, 5, false);
    world->ones[1].fail_at = 20;
    world->ones[1].fails = 1;
    world->ones[2].fail_starts = 1;
    send(world);
    run(world);
    cr_expect_str_eq(world->log, "b-d-c-b+c+d+", "%s: d had not started yet, b is before c", world->log);
    expect_all_received(world);
    end(world);
    world = make(&policy, 5, false);
    world->ones[0].fail_at = 20;
    world->ones[0].fails = 1;
    world->ones[3].fail_starts = 1;
    world->ones[2].fail_starts = 1;
    send(world);
    run(world);
    cr_expect_str_eq(world->log, "a-d-c-b-a+b+c+d+", "%s", world->log);
    expect_all_received(world);
    end(world);
}

Test(strategies, one_that_is_given_up_in_a_round_leaves_it)
{
    ftli_policy policy = ftli_policy_default();
    policy.strategy = FTLI_RESTART_ONE_FOR_ALL;
    struct world *world = make(&policy, 9, false);
    world->ones[1].fail_at = 20;
    world->ones[1].fails = 1;
    world->ones[2].fail_starts = 100;
    send(world);
    run(world);
    cr_expect(ftli_actor_is_down(world->actors[2]));
    cr_expect_eq(ftli_kernel_degraded(world->kernel), 4);
    cr_expect_str_eq(world->log, "b-d-c-a-a+b+d+", "%s", world->log);
    for (unsigned i = 0; i < ACTORS; i++)
        cr_expect_eq(world->ones[i].received == MAIL, i != 2);
    cr_expect_eq(world->news[2][FTLI_NEWS_DOWN], 1);
    cr_expect_eq(world->wrong, 0);
    ftli_actor_figures figures;
    ftli_actor_read(world->actors[2], &figures);
    cr_expect_eq(figures.lanes[FTLI_LANE_HIGH].depth, MAIL - world->ones[2].received, "its mail is kept");
    end(world);
}

/* What is received in between says nothing about the message that failed. */
Test(strategies, other_messages_do_not_end_the_failure_of_one)
{
    ftli_policy policy = ftli_policy_default();
    policy.breaker.failures = 64;
    struct world *world = make(&policy, 9, false);
    world->interrupts = true;
    world->ones[1].fail_at = 20;
    world->ones[1].fails = 400;
    world->ones[1].fail_status = FTL_EBUSY;
    send(world);
    run(world);
    cr_expect(ftli_actor_is_down(world->actors[1]), "%d left", world->ones[1].fails);
    cr_expect_eq(world->news[1][FTLI_NEWS_FAILED], 8, "three retries, a restart, three retries, and one too many: %u",
                 world->news[1][FTLI_NEWS_FAILED]);
    end(world);
}

/* ---- corruption ---------------------------------------------------------------------------------------------------------- */

Test(strategies, a_broken_state_is_not_stopped)
{
    ftli_policy policy = ftli_policy_default();
    struct world *world = make(&policy, 3, false);
    world->ones[1].fail_at = 20;
    world->ones[1].fails = 1;
    world->ones[1].fail_status = FTL_EBUSY; /* whatever it says: its check fails */
    world->ones[1].corrupt = true;
    send(world);
    run(world);
    cr_expect_str_eq(world->log, "b+", "%s", world->log);
    expect_all_received(world);
    ftli_supervisor_figures figures;
    ftli_supervisor_read(world->supervisor, &figures);
    cr_expect_eq(figures.quarantines, 1);
    cr_expect_eq(figures.retries, 0);
    end(world);
}

Test(strategies, a_check_from_outside_begins_the_recovery)
{
    ftli_policy policy = ftli_policy_default();
    struct world *world = make(&policy, 3, false);
    char why[64];
    cr_expect_eq(ftli_kernel_check(world->kernel, why, sizeof why), FTL_OK);
    world->ones[2].broken = true;
    world->ones[2].running = false; /* no stop comes */
    cr_expect_eq(ftli_kernel_check(world->kernel, why, sizeof why), FTL_EINTERNAL);
    cr_expect_str_eq(why, "broken on purpose");
    run(world);
    cr_expect_str_eq(world->log, "c+", "%s", world->log);
    cr_expect_eq(ftli_kernel_check(world->kernel, why, sizeof why), FTL_OK);
    ftli_supervisor_figures figures;
    ftli_supervisor_read(world->supervisor, &figures);
    cr_expect_eq(figures.quarantines, 1);
    send(world);
    run(world);
    expect_all_received(world);
    end(world);
}

/* ---- degraded, and the breaker ------------------------------------------------------------------------------------------- */

Test(strategies, short_of_a_resource_it_is_degraded_until_it_has_received)
{
    ftli_policy policy = ftli_policy_default();
    struct world *world = make(&policy, 3, false);
    world->ones[1].fail_at = 20;
    world->ones[1].fails = 3;
    world->ones[1].fail_status = FTL_ENOMEM;
    send(world);
    while (world->ones[1].fails != 0)
        cr_assert_eq(ftli_simulation_step(world->kernel), FTL_OK);
    cr_expect_eq(ftli_kernel_degraded(world->kernel), 2);
    cr_expect_not(ftli_actor_is_down(world->actors[1]));
    run(world);
    expect_all_received(world);
    cr_expect_eq(world->news[1][FTLI_NEWS_DEGRADED], 1);
    cr_expect_eq(world->news[1][FTLI_NEWS_RECOVERED], 1);
    cr_expect_eq(world->news[1][FTLI_NEWS_FAILED], 3);
    cr_expect_str_eq(world->log, "", "nothing was restarted");
    end(world);
}

Test(strategies, the_breaker_keeps_a_recovery_that_keeps_failing_from_being_tried)
{
    ftli_policy policy = ftli_policy_default();
    policy.retries = 1000;
    struct world *world = make(&policy, 3, false);
    struct one *one = &world->ones[1];
    one->fail_at = 20;
    one->fails = 100;
    one->fail_status = FTL_EBUSY;
    const uint64_t began_ns = ftli_kernel_now_ns(world->kernel);
    send(world);
    while (one->fails > 94) /* six failures, five of them recoveries */
        cr_assert_eq(ftli_simulation_step(world->kernel), FTL_OK);
    ftli_supervisor_figures figures;
    ftli_supervisor_read(world->supervisor, &figures);
    cr_expect_eq(figures.breakers_open, 1);
    cr_expect_eq(figures.breaks, 1);
    const uint64_t now_ns = ftli_kernel_now_ns(world->kernel);
    cr_expect_lt(now_ns - began_ns, FTLI_NS_PER_S);
    cr_expect_eq(ftli_supervisor_breaker(world->supervisor, 1, now_ns), FTLI_BREAKER_OPEN);
    cr_expect_eq(ftli_supervisor_breaker(world->supervisor, 2, now_ns), FTLI_BREAKER_CLOSED);
    cr_expect_eq(ftli_kernel_degraded(world->kernel), 2);
    while (one->fails > 84) /* ten more tries */
        cr_assert_eq(ftli_simulation_step(world->kernel), FTL_OK);
    cr_expect_geq(ftli_kernel_now_ns(world->kernel) - began_ns, 50 * FTLI_NS_PER_S, "one in 5 s");
    one->fails = 0; /* what it lacked is back */
    run(world);
    expect_all_received(world);
    ftli_supervisor_read(world->supervisor, &figures);
    cr_expect_eq(figures.breakers_open, 0);
    cr_expect_eq(ftli_supervisor_breaker(world->supervisor, 1, ftli_kernel_now_ns(world->kernel)), FTLI_BREAKER_CLOSED);
    end(world);
}

/* ---- random -------------------------------------------------------------------------------------------------------------- */

/* Any failures at any time, in any strategy: start and stop alternate, mail comes once and in order; who is not down when
 * the faults stop has received all of it. */
Test(strategies, random_failures_lose_and_double_nothing)
{
    uint64_t restarts = 0, given_up = 0;
    for (uint64_t seed = 1; seed <= 600; seed++) {
        ftli_random_state random;
        ftli_random_seed(&random, seed);
        ftli_policy policy = ftli_policy_default();
        policy.strategy = (uint32_t)(seed % 3);
        policy.restarts = ftli_random_below(&random, 2) == 0 ? 1 + ftli_random_below(&random, 4) : 10000;
        policy.breaker.failures = 1 + ftli_random_below(&random, 6);
        const bool kept = ftli_random_below(&random, 3) == 0;
        struct world *world = make(&policy, seed, kept);
        for (unsigned i = kept; i < ACTORS; i++)
            world->ones[i].faults = 0.02 * ftli_random_below(&random, 10);
        send(world);
        const int status = ftli_simulation_run_until_idle(world->kernel, FTLI_NEVER_NS, 1000);
        cr_assert(status == FTL_OK || status == FTL_ETIMEDOUT, "seed %llu: %d", (unsigned long long)seed, status);
        for (unsigned i = 0; i < ACTORS; i++)
            world->ones[i].faults = 0;
        run(world);
        cr_assert_eq(world->wrong, 0, "seed %llu: %s", (unsigned long long)seed, world->log);
        for (unsigned i = 0; i < ACTORS; i++) {
            const struct one *one = &world->ones[i];
            ftli_actor_figures figures;
            ftli_actor_read(world->actors[i], &figures);
            const bool down = ftli_actor_is_down(world->actors[i]);
            cr_assert_eq(one->out_of_order, 0, "seed %llu, %c", (unsigned long long)seed, one->name);
            cr_assert_eq(one->received + figures.lanes[FTLI_LANE_HIGH].depth, MAIL, "seed %llu, %c",
                         (unsigned long long)seed, one->name);
            cr_assert(down || one->received == MAIL, "seed %llu, %c: %u received, phase %u, restarts %s",
                      (unsigned long long)seed, one->name, one->received, figures.phase, world->log);
            cr_assert_eq(down, one->running == false, "seed %llu, %c", (unsigned long long)seed, one->name);
            cr_assert_eq(figures.degraded, down, "seed %llu, %c", (unsigned long long)seed, one->name);
            given_up += down;
        }
        restarts += ftli_kernel_restarts(world->kernel);
        end(world);
    }
    cr_expect_gt(restarts, 1000);
    cr_expect_gt(given_up, 50);
}
