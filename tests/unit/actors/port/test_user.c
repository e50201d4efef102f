/* Actors of the program's own, in virtual time: types, settings, messages, timers, failures, invariants. */
#include "tests/unit/actors/port/port_support.h"

#include <fettle/actor.h>
#include <stdlib.h>

#include "runtime/base/random.h"

enum { LOG_MOST = 3000 };

/* What the actor below does is said here, outside of its state, so that a restart leaves it. */
static struct script {
    unsigned starts, stops, received, failures;
    uint32_t types[LOG_MOST];
    uint64_t times[LOG_MOST], sent[LOG_MOST];
    const char *every;
    int start_status;
    bool broken;
    unsigned rearm;
    void (*then)(const ftl_context *, ftl_message *);
} script;

struct state {
    uint64_t magic;
    uint64_t count;
    ftl_message inner;
};

/* A message says how often its receive is to fail, and with what. */
struct order {
    ftl_message message;
    unsigned fails;
    int status;
};

static int start(void *raw, const ftl_context *context)
{
    struct state *state = raw;
    cr_assert_eq(state->magic, 0);
    cr_assert_eq(state->count, 0);
    cr_assert_eq((uintptr_t)raw % 64, 0);
    state->magic = 0xa11ce;
    script.starts++;
    script.every = context->setting(context, "every");
    cr_assert_null(context->setting(context, "no such"));
    cr_assert_null(context->setting(context, NULL));
    return script.start_status;
}

static int receive(void *raw, const ftl_context *context, ftl_message *message)
{
    struct state *state = raw;
    struct order *order = (struct order *)(void *)message;
    cr_assert_eq(state->magic, 0xa11ce);
    if (message->type < 1000000 && order->fails != 0) {
        order->fails--;
        script.failures++;
        return order->status;
    }
    cr_assert_lt(script.received, LOG_MOST);
    script.types[script.received] = message->type;
    script.sent[script.received] = message->sent_ns;
    script.times[script.received++] = context->now_ns(context);
    state->count++;
    if (script.then != NULL)
        script.then(context, message);
    return FTL_OK;
}

static void stop(void *raw, const ftl_context *context)
{
    struct state *state = raw;
    cr_assert_eq(state->magic, 0xa11ce);
    (void)context;
    script.stops++;
}

static int check(const void *raw, char *why, size_t n)
{
    const struct state *state = raw;
    (void)snprintf(why, n, "the script says so, after %llu", (unsigned long long)state->count);
    return script.broken ? FTL_EINTERNAL : FTL_OK;
}

static const ftl_actor_type types[] = {{.name = "scripted",
                                        .state_bytes = sizeof(struct state),
                                        .start = start,
                                        .receive = receive,
                                        .stop = stop,
                                        .check = check}};

static ftl_open_options options_with(const char *overrides)
{
    return (ftl_open_options){.overrides = overrides, .actor_types = types, .actor_type_count = 1};
}

static ftl_runtime *open_users(const char *overrides, uint64_t seed)
{
    ftl_runtime *runtime = NULL;
    const ftl_open_options options = options_with(overrides);
    cr_assert_eq(ftli_runtime_open_as(&options, true, seed, &runtime), FTL_OK, "%s", ftl_last_error());
    return runtime;
}

static ftl_actor find(ftl_runtime *runtime, const char *name)
{
    ftl_actor actor = {0};
    cr_assert_eq(ftl_actor_find(runtime, name, &actor), FTL_OK, "%s", ftl_last_error());
    return actor;
}

static void must_close(ftl_runtime *runtime)
{
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK, "%s", ftl_last_error());
}

Test(user, types_are_checked)
{
    ftl_runtime *runtime = (ftl_runtime *)8;
    ftl_actor_type bad[2] = {types[0], types[0]};
    ftl_open_options options = {.actor_types = bad, .actor_type_count = 2};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_EINVAL); /* twice */
    options.actor_type_count = 1;
    static const char *const names[] = {NULL, "", "Upper", "sixteen-letters-", "cleanup", "telemetry"};
    for (unsigned i = 0; i < 6; i++) {
        bad[0].name = names[i];
        cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_EINVAL, "%u", i);
        cr_assert_not_null(strstr(ftl_last_error(), "actor_types[0]"), "%s", ftl_last_error());
    }
    bad[0] = types[0];
    bad[0].receive = NULL;
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_EINVAL);
    bad[0] = types[0];
    bad[0].reserved[3] = 1;
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_EINVAL);
    bad[0] = types[0];
    bad[0].state_bytes = SIZE_MAX;
    options.overrides = "actors.a: {type: scripted}";
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_ENOMEM);
    options.actor_type_count = 65;
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_EINVAL);
    options.actor_types = NULL;
    options.actor_type_count = 1;
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_EINVAL);
    cr_assert_eq(runtime, (ftl_runtime *)8);
}

static void must_say(const char *overrides, int status, const char *text)
{
    ftl_runtime *runtime = NULL;
    const ftl_open_options options = options_with(overrides);
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), status, "%s: %s", overrides, ftl_last_error());
    cr_assert_not_null(strstr(ftl_last_error(), text), "%s", ftl_last_error());
}

Test(user, the_topology_is_checked)
{
    must_say("actors.a: {type: scriptd}", FTL_ECONFIG, "did you mean scripted?");
    must_say("actors.a: {type: scripted, threads: nobody}", FTL_ECONFIG, "no thread group is called \"nobody\"");
    must_say("actors.a: {type: scripted, setting: {a: 1}}", FTL_ECONFIG, "did you mean settings?");
    must_say("actors.a: {type: scripted, settings: 5}", FTL_ECONFIG, "actors.a.settings: is no map");
    must_say("actors.a: {type: scripted, settings: {b: [1]}}", FTL_ECONFIG, "actors.a.settings.b: is a list");
    must_say("actors.a: {type: scripted, settings: {b: 1, b: 2}}", FTL_ECONFIG, "is here twice");
    must_say("actors.finalizer-a: {type: scripted}", FTL_ECONFIG, "finalizer-a: an actor of Fettle's has this name");
    script.start_status = FTL_ELIMIT;
    must_say("actors.a: {type: scripted}", FTL_ELIMIT, "actors.a: its start failed");
    cr_assert_eq(script.starts, 1);
    cr_assert_eq(script.stops, 0);
}

Test(user, settings_come_from_the_topology_in_layers)
{
    ftl_runtime *runtime = open_users("actors.a: {type: scripted, settings: {every: 100, other: x}}\n"
                                      "actors.a.settings.every: 200 ms, or so\nactors.b: {type: scripted}",
                                      1);
    cr_assert_eq(script.starts, 2); /* two of one type; b was the last */
    cr_assert_null(script.every);
    cr_assert_neq(find(runtime, "a").id, find(runtime, "b").id);
    ftli_simulation_kill(runtime->kernel, ftli_kernel_find(runtime->kernel, "a"));
    static struct order order;
    cr_assert_eq(ftl_actor_send(find(runtime, "a"), FTL_LANE_NORMAL, &order.message), FTL_OK);
    run_for(runtime, SECOND);
    cr_assert_str_eq(script.every, "200 ms, or so");
    cr_assert_eq(script.received, 1);
    must_close(runtime);
    cr_assert_eq(script.stops, 3);
}

Test(user, find_and_send_refuse_what_is_not_there)
{
    ftl_runtime *runtime = open_users("actors.a: {type: scripted}", 1);
    ftl_actor actor = {77};
    static struct order order;
    cr_assert_eq(ftl_actor_find(NULL, "a", &actor), FTL_EINVAL);
    cr_assert_eq(ftl_actor_find(runtime, NULL, &actor), FTL_EINVAL);
    cr_assert_eq(ftl_actor_find(runtime, "a", NULL), FTL_EINVAL);
    cr_assert_eq(ftl_actor_find(runtime, "cleanup", &actor), FTL_EINVAL); /* not the program's */
    cr_assert_eq(actor.id, 77);
    actor = find(runtime, "a");
    cr_assert_eq(ftl_actor_send(actor, FTL_LANE_NORMAL, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_actor_send(actor, 4, &order.message), FTL_EINVAL);
    order.message.flags = 1;
    cr_assert_eq(ftl_actor_send(actor, FTL_LANE_NORMAL, &order.message), FTL_EINVAL);
    order.message.flags = 0;
    for (unsigned bit = 0; bit < 64; bit++)
        cr_assert_neq(ftl_actor_send((ftl_actor){actor.id ^ UINT64_C(1) << bit}, 0, &order.message), FTL_OK, "%u", bit);
    cr_assert_eq(ftl_actor_send((ftl_actor){0}, 0, &order.message), FTL_ESTALE);
    must_close(runtime);
    cr_assert_eq(ftl_actor_send(actor, 0, &order.message), FTL_ESTALE);
    cr_assert_eq(ftl_actor_find(runtime, "a", &actor), FTL_ECLOSED);
    cr_assert_eq(script.received, 0);
    for (unsigned i = 0; i < 3; i++) { /* the same names, other actors */
        ftl_runtime *next = open_users("actors.a: {type: scripted}", 1);
        cr_assert_eq(ftl_actor_send(actor, 0, &order.message), FTL_ESTALE);
        cr_assert_neq(find(next, "a").id, actor.id);
        must_close(next);
    }
}

/* A link's address tells the kernel's own kinds of message apart; a user's may lie anywhere. */
Test(user, messages_may_lie_anywhere)
{
    ftl_runtime *runtime = open_users("actors.a: {type: scripted}", 1);
    static FTLI_ALIGNED(64) unsigned char room[64][64];
    for (unsigned i = 0; i < 64; i++) {
        ftl_message *message = (ftl_message *)(void *)&room[i][i % 5 * 8];
        message->type = 1000000 + i;
        cr_assert_eq(ftl_actor_send(find(runtime, "a"), i % 2 == 0 ? FTL_LANE_HIGH : FTL_LANE_BACKGROUND, message),
                     FTL_OK);
        run_for(runtime, MS);
    }
    cr_assert_eq(script.received, 64);
    for (unsigned i = 0; i < 64; i++) {
        cr_assert_eq(script.types[i], 1000000 + i);
        cr_assert_leq(script.times[i] - script.sent[i], MS); /* every message wakes it, in all lanes */
    }
    must_close(runtime);
}

/* ---- after */

static void again(const ftl_context *context, ftl_message *message)
{
    if (script.rearm-- > 0)
        cr_assert_eq(context->after(context, 10 * (int64_t)MS, message), FTL_OK);
}

static void hold_many(const ftl_context *context, ftl_message *message)
{
    static struct order orders[200];
    ftli_random_state random;
    (void)message;
    script.then = NULL;
    ftli_random_seed(&random, 7);
    cr_assert_eq(context->after(context, -1, &orders[0].message), FTL_EINVAL);
    cr_assert_eq(context->after(context, 1, NULL), FTL_EINVAL);
    for (unsigned i = 0; i < 200; i++) {
        orders[i] = (struct order){.message = {.type = i}, .fails = i % 17 == 0, .status = FTL_EBUSY};
        cr_assert_eq(context->after(context, (int64_t)(ftli_random_next(&random) % 20 * MS), &orders[i].message),
                     FTL_OK);
    }
}

Test(user, after_comes_in_time_and_in_order)
{
    ftl_runtime *runtime = open_users("actors.a: {type: scripted}\nsupervision.restarts: 1000", 1);
    static struct order order = {.message = {.type = 5}};
    script.then = again;
    script.rearm = 5;
    cr_assert_eq(ftl_actor_send(find(runtime, "a"), FTL_LANE_NORMAL, &order.message), FTL_OK);
    run_for(runtime, SECOND);
    cr_assert_eq(script.received, 6);
    for (unsigned i = 1; i < 6; i++)
        cr_assert_eq(script.times[i] - script.times[i - 1], 10 * MS);
    script.received = 0;
    script.then = hold_many;
    order.message.type = 999;
    cr_assert_eq(ftl_actor_send(find(runtime, "a"), FTL_LANE_NORMAL, &order.message), FTL_OK);
    run_for(runtime, 30 * SECOND);
    cr_assert_eq(script.received, 201);
    uint64_t delays[200];
    ftli_random_state random;
    ftli_random_seed(&random, 7);
    for (unsigned i = 0; i < 200; i++)
        delays[i] = ftli_random_next(&random) % 20;
    for (unsigned i = 2; i < 201; i++) { /* by date, and of equals as they were given */
        uint32_t before = script.types[i - 1], now = script.types[i];
        cr_assert(delays[before] < delays[now] || (delays[before] == delays[now] && before < now), "%u: %u, %u", i,
                  before, now);
    }
    cr_assert_eq(script.failures, 12);
    must_close(runtime);
}

/* ---- failures */

static ftl_message outer = {.type = 1000002};

static void hold_two(const ftl_context *context, ftl_message *message)
{
    (void)message;
    script.then = NULL;
    cr_assert_eq(context->after(context, 3 * (int64_t)SECOND, &outer), FTL_OK);
}

Test(user, a_restart_zeroes_the_state_and_keeps_the_mail)
{
    ftl_runtime *runtime = open_users("actors.a: {type: scripted}\nsupervision.restarts: 10", 1);
    ftl_actor actor = find(runtime, "a");
    static struct order hold = {.message = {.type = 1}},
                        fatal = {.message = {.type = 2}, .fails = 1, .status = FTL_EINTERNAL}, later[10];
    script.then = hold_two;
    cr_assert_eq(ftl_actor_send(actor, FTL_LANE_NORMAL, &hold.message), FTL_OK);
    run_for(runtime, MS);
    cr_assert_eq(ftl_actor_send(actor, FTL_LANE_NORMAL, &fatal.message), FTL_OK);
    for (unsigned i = 0; i < 10; i++) {
        later[i].message.type = 10 + i;
        cr_assert_eq(ftl_actor_send(actor, FTL_LANE_NORMAL, &later[i].message), FTL_OK);
    }
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(script.starts, 2); /* start itself asserts that the state is zero */
    cr_assert_eq(script.stops, 1);
    cr_assert_eq(script.received, 13); /* each once, and what `after` held outside of the state came to the new one */
    cr_assert_eq(script.types[0], 1);
    cr_assert_eq(script.types[1], 2);
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(script.types[2 + i], 10 + i);
    cr_assert_eq(script.types[12], 1000002);
    must_close(runtime);
}

/* A message in the state that `after` holds is gone with the state. */
static unsigned inner_received;

static int start_inner(void *raw, const ftl_context *context)
{
    struct state *state = raw;
    script.starts++;
    state->inner.type = 1000003;
    return context->after(context, (int64_t)SECOND, &state->inner);
}

static int receive_inner(void *raw, const ftl_context *context, ftl_message *message)
{
    struct state *state = raw;
    (void)context;
    if (message->type == 1000003) {
        cr_assert_eq(message, &state->inner);
        inner_received++;
        return FTL_OK;
    }
    struct order *order = (struct order *)(void *)message;
    return order->fails-- != 0 ? order->status : FTL_OK;
}

Test(user, a_message_in_the_state_goes_with_it)
{
    static const ftl_actor_type inner = {
        .name = "inner", .state_bytes = sizeof(struct state), .start = start_inner, .receive = receive_inner};
    ftl_runtime *runtime = NULL;
    const ftl_open_options options = {
        .overrides = "actors.inner: {}\nsupervision.restarts: 10", .actor_types = &inner, .actor_type_count = 1};
    cr_assert_eq(ftli_runtime_open_as(&options, true, 3, &runtime), FTL_OK, "%s", ftl_last_error());
    static struct order fatal = {.fails = 1, .status = FTL_EINTERNAL};
    run_for(runtime, 500 * MS);
    cr_assert_eq(ftl_actor_send(find(runtime, "inner"), FTL_LANE_HIGH, &fatal.message), FTL_OK);
    run_for(runtime, 10 * SECOND);
    cr_assert_eq(script.starts, 2);
    cr_assert_eq(inner_received, 1); /* the new one's */
    must_close(runtime);
}

Test(user, while_it_is_down_its_mail_waits)
{
    ftl_runtime *runtime = open_users("actors.a: {type: scripted}\nsupervision.restarts: 0", 1);
    ftl_actor actor = find(runtime, "a");
    static struct order fatal = {.fails = 1, .status = FTL_EINTERNAL}, later;
    cr_assert_eq(ftl_actor_send(actor, FTL_LANE_NORMAL, &fatal.message), FTL_OK);
    run_for(runtime, SECOND);
    cr_assert_neq(stats_of(runtime).degraded, 0);
    cr_assert_eq(ftl_actor_send(actor, FTL_LANE_EMERGENCY, &later.message), FTL_OK);
    run_for(runtime, SECOND);
    cr_assert_eq(script.received, 0);
    ftl_tensor tensor = new_bytes(runtime, 100, NULL); /* Fettle's own actors work */
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    must_close(runtime);
}

Test(user, its_check_is_made_after_each_step_and_by_check)
{
    ftl_runtime *runtime = open_users("actors.a: {type: scripted}", 1);
    char said[400] = "";
    static struct order order;
    cr_assert_eq(ftli_kernel_check(runtime->kernel, said, sizeof said), FTL_OK);
    script.broken = true;
    cr_assert_eq(ftl_actor_send(find(runtime, "a"), FTL_LANE_NORMAL, &order.message), FTL_OK);
    uint64_t until_ns = ftli_kernel_now_ns(runtime->kernel) + SECOND;
    cr_assert_neq(ftli_simulation_run_until_idle(runtime->kernel, until_ns, 0), FTL_OK);
    cr_assert_str_eq(ftli_simulation_why(runtime->kernel), "the script says so, after 1");
    cr_assert_eq(ftli_kernel_check(runtime->kernel, said, sizeof said), FTL_EINTERNAL);
    cr_assert_str_eq(said, "the script says so, after 1");
    script.broken = false;
    must_close(runtime);
}

/* ---- a property: whatever fails, whichever lanes, each message is received once, those of a lane in their order */

static void run_random(uint64_t seed)
{
    enum { MESSAGES = 300 };
    static const int statuses[] = {FTL_EBUSY, FTL_ETIMEDOUT, FTL_ENOMEM, FTL_EINTERNAL, FTL_EDEVICE};
    memset(&script, 0, sizeof script);
    ftl_runtime *runtime =
        open_users("actors.a: {type: scripted}\nsupervision: {restarts: 10000, backoff: {first: 1ms, "
                   "most: 2ms}, breaker: {failures: 64}}\nrecovery.resource: [retry, restart]",
                   seed);
    ftl_actor actor = find(runtime, "a");
    ftli_random_state random;
    ftli_random_seed(&random, seed);
    struct order *orders = calloc(MESSAGES, sizeof *orders);
    uint32_t lanes[MESSAGES];
    for (unsigned i = 0; i < MESSAGES; i++) {
        uint64_t dice = ftli_random_next(&random);
        orders[i].message.type = i;
        orders[i].fails = dice % 10 == 0 ? 1 : 0;
        orders[i].status = statuses[dice / 10 % 5];
        lanes[i] = (uint32_t)(dice >> 20 & 3);
        cr_assert_eq(ftl_actor_send(actor, lanes[i], &orders[i].message), FTL_OK);
        if (dice >> 24 & 1)
            run_for(runtime, (dice >> 32) % (2 * MS));
        if ((dice >> 40) % 50 == 0)
            ftli_simulation_kill(runtime->kernel, ftli_kernel_find(runtime->kernel, "a"));
    }
    run_for(runtime, 600 * SECOND);
    cr_assert_eq(script.received, MESSAGES, "seed %llu: %u received", (unsigned long long)seed, script.received);
    uint32_t next[4] = {0, 0, 0, 0};
    for (unsigned i = 0; i < MESSAGES; i++) {
        uint32_t type = script.types[i], lane = lanes[type];
        while (lanes[next[lane]] != lane)
            next[lane]++;
        cr_assert_eq(type, next[lane]++, "seed %llu", (unsigned long long)seed);
    }
    cr_assert_gt(script.failures, 0);
    must_close(runtime);
    free(orders);
}

Test(user, each_message_is_received_once_whatever_fails, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 25; seed++)
        run_random(seed);
}
