/* The actor in simulated time, with a real socket: what it publishes is heard. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors/telemetry/telemetry.h"
#include "tests/support/zeromq.h"
#include "runtime/bridge/subscriber.h"
#include "runtime/kernel/simulation.h"

#define SECOND UINT64_C(1000000000)

static char folder[64];
static struct ftli_telemetry_settings settings;
static struct ftli_telemetry telemetry;
static ftli_kernel *kernel;
static ftli_actor *actor;
static uint64_t reads;

static void read_sample(void *user, struct ftli_sample *out, struct ftli_sample_actor *actors, uint32_t most)
{
    (void)user;
    memset(out, 0, sizeof *out);
    out->stats.created = ++reads;
    for (unsigned i = 0; i < FTLI_LANES; i++)
        out->lanes[i].name = "lane";
    cr_assert_eq(most, 1, "room for each actor");
    actors[0] = (struct ftli_sample_actor){.name = "telemetry", .state = "running"};
    out->actors = actors;
    out->actor_count = 1;
}

static ftli_decision restart(void *self, uint32_t index, bool restartable, int status, uint64_t now_ns)
{
    (void)self, (void)index, (void)restartable, (void)status, (void)now_ns;
    return (ftli_decision){FTLI_DECIDE_RESTART, 1000000};
}

static void prepare(void)
{
    const ftli_group_options group = {.name = "background", .count = 1};
    const ftli_kernel_options options = {
        .groups = &group, .group_count = 1, .simulated = true, .supervision = {.decide = restart}};
    const struct ftli_telemetry_world world = {.settings = &settings, .runtime = "server", .read_sample = read_sample};
    const ftli_actor_options as = {
        .operations = &ftli_telemetry_operations, .state = &telemetry, .group = "background"};
    (void)snprintf(folder, sizeof folder, "/tmp/fettle-telemetry-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    settings = (struct ftli_telemetry_settings){.every_ns = (int64_t)SECOND};
    ftli_telemetry_init(&telemetry, &world);
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    cr_assert_eq(ftli_kernel_add_actor(kernel, "telemetry", &as, &actor), FTL_OK);
}

static void clean_up(void)
{
    (void)ftli_kernel_stop(kernel, 0);
    ftli_kernel_destroy(kernel);
    cr_expect_eq(rmdir(folder), 0, "nothing is left in %s", folder);
}

TestSuite(telemetry, .init = prepare, .fini = clean_up, .timeout = 60);

static void publish_to(const char *name)
{
    (void)snprintf(settings.publish, sizeof settings.publish, "ipc://%s/%s", folder, name);
}

static void run_for(uint64_t ns)
{
    cr_assert_eq(ftli_simulation_run_until_idle(kernel, ftli_kernel_now_ns(kernel) + ns, 100000), FTL_OK);
}

Test(telemetry, none_by_default)
{
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    run_for(100 * SECOND);
    cr_expect_eq(reads, 0);
    cr_expect_null(telemetry.publisher);
}

/* A listener needs a moment to be known to a PUB socket: publishes until it hears. */
static struct ftli_subscribed hear(struct ftli_subscriber *subscriber)
{
    struct ftli_subscribed got = {0};
    char why[200] = "";
    int status = FTL_ETIMEDOUT;
    for (unsigned tries = 0; tries < 500 && status == FTL_ETIMEDOUT; tries++) {
        run_for(SECOND);
        status = ftli_subscriber_receive(subscriber, 20 * 1000 * 1000, &got, why, sizeof why);
    }
    cr_assert_eq(status, FTL_OK, "%s", why);
    return got;
}

Test(telemetry, is_heard_and_comes_back_after_being_killed)
{
    static ftli_message any; /* a kill takes the place of a receive */
    struct ftli_subscriber *subscriber;
    char why[200];
    publish_to("stats.sock");
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK, "%s", ftli_telemetry_why(&telemetry));
    cr_assert_eq(ftli_subscriber_open(settings.publish, "stats", &subscriber, why, sizeof why), FTL_OK, "%s", why);
    struct ftli_subscribed got = hear(subscriber);
    cr_expect(strncmp(got.body, "{\"runtime\":\"server\",\"time_ns\":", 30) == 0, "%s", got.body);
    cr_expect_eq(ftli_u64_load_relaxed(&telemetry.failed), 0);
    cr_expect_eq(ftli_u64_load_relaxed(&telemetry.published), reads);
    ftli_simulation_kill(kernel, actor);
    ftli_actor_send(actor, FTLI_LANE_HIGH, &any);
    run_for(SECOND / 2);
    cr_expect_eq(ftli_kernel_restarts(kernel), 1);
    ftli_subscriber_close(subscriber);
    cr_assert_eq(ftli_subscriber_open(settings.publish, "stats", &subscriber, why, sizeof why), FTL_OK, "%s", why);
    (void)hear(subscriber);
    ftli_subscriber_close(subscriber);
}

Test(telemetry, once_each_every)
{
    publish_to("stats.sock");
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK, "%s", ftli_telemetry_why(&telemetry));
    run_for(10 * SECOND + SECOND / 2);
    cr_expect_eq(ftli_u64_load_relaxed(&telemetry.published), 10, "%lu",
                 (unsigned long)ftli_u64_load_relaxed(&telemetry.published));
}

Test(telemetry, an_endpoint_that_cannot_be_had_is_told_at_open)
{
    publish_to("no/such/folder/at/all.sock");
    cr_expect_neq(ftli_kernel_start(kernel), FTL_OK);
    cr_expect_gt(strlen(ftli_telemetry_why(&telemetry)), 10, "%s", ftli_telemetry_why(&telemetry));
}
