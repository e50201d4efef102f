/* The program's own actors on real threads: messages from many threads, to and fro, overdue receives, close. */
#include <criterion/criterion.h>
#include <fettle/actor.h>

#include "actors/port/runtime.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(user_actors, .timeout = 120);

enum { SENDERS = 4, EACH = 5000 };

struct ball {
    ftl_message message;
    uint32_t sender, number, bounces;
};

struct player {
    uint64_t seen, next[SENDERS];
    ftl_actor other;
};

static ftli_atomic_u64 finished, out_of_order, stopped;
static ftl_actor_type types[1];

static int start(void *raw, const ftl_context *context)
{
    (void)raw;
    return context->setting(context, "to") != NULL ? FTL_OK : FTL_ECONFIG;
}

/* Each ball goes to and fro three times, then it is freed. Every hundredth receive fails, before anything has changed. */
static int receive(void *raw, const ftl_context *context, ftl_message *message)
{
    struct player *player = raw;
    struct ball *ball = (struct ball *)(void *)message;
    if (++player->seen % 100 == 0)
        return FTL_EBUSY;
    if (ball->bounces == 0) {
        if (ball->number != player->next[ball->sender])
            (void)ftli_u64_fetch_add_relaxed(&out_of_order, 1);
        player->next[ball->sender] = ball->number + 1;
    }
    if (++ball->bounces == 4) {
        free(ball);
        (void)ftli_u64_fetch_add_relaxed(&finished, 1);
        return FTL_OK;
    }
    ftl_tensor tensor; /* an actor is a thread like others to Fettle */
    if (ftl_bytes_new((ftl_runtime *)(uintptr_t)strtoull(context->setting(context, "runtime"), NULL, 10), 100, NULL,
                      &tensor) == FTL_OK)
        (void)ftl_tensor_drop(tensor);
    return context->send(context, player->other, ball->bounces % 4, message);
}

static int meet(void *raw, const ftl_context *context, ftl_message *message)
{
    struct player *player = raw;
    if (message->type == 1) {
        memcpy(&player->other, message + 1, sizeof player->other);
        free(message);
        return FTL_OK;
    }
    return receive(raw, context, message);
}

static void stop(void *raw, const ftl_context *context)
{
    (void)raw;
    (void)context;
    (void)ftli_u64_fetch_add_relaxed(&stopped, 1);
}

static int check(const void *raw, char *why, size_t n)
{
    const struct player *player = raw;
    (void)snprintf(why, n, "more were numbered than seen");
    uint64_t sum = 0;
    for (unsigned i = 0; i < SENDERS; i++)
        sum += player->next[i];
    return sum <= player->seen ? FTL_OK : FTL_EINTERNAL;
}

struct sender {
    ftl_actor to;
    uint32_t number;
};

static void *send_all(void *argument)
{
    const struct sender *sender = argument;
    for (uint32_t i = 0; i < EACH; i++) {
        struct ball *ball = calloc(1, sizeof *ball);
        *ball = (struct ball){.sender = sender->number, .number = i};
        if (ftl_actor_send(sender->to, FTL_LANE_NORMAL, &ball->message) != FTL_OK)
            abort();
        if (i % 512 == 0)
            (void)sched_yield();
    }
    return NULL;
}

static int ignore(const char *text, size_t n, void *user)
{
    (void)text;
    (void)n;
    (void)user;
    return 0;
}

static void introduce(ftl_actor to, ftl_actor other)
{
    ftl_message *message = calloc(1, sizeof *message + sizeof other);
    message->type = 1;
    memcpy(message + 1, &other, sizeof other);
    cr_assert_eq(ftl_actor_send(to, FTL_LANE_EMERGENCY, message), FTL_OK);
}

Test(user_actors, balls_of_many_threads_go_to_and_fro)
{
    ftl_runtime *runtime;
    ftl_actor one, two;
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    types[0] = (ftl_actor_type){"player", sizeof(struct player), start, meet, stop, check, {0}};
    /* The address of the runtime is only known once it is open: the players learn it from a second layer of the test. */
    ftl_runtime *helper;
    cr_assert_eq(ftl_runtime_open(NULL, &helper), FTL_OK);
    char overrides[400];
    (void)snprintf(overrides, sizeof overrides,
                   "actors.one: {type: player, threads: service, settings: {to: two, runtime: %llu}}\n"
                   "actors.two: {type: player, settings: {to: one, runtime: %llu}}\nsupervision.restarts: 1000",
                   (unsigned long long)(uintptr_t)helper, (unsigned long long)(uintptr_t)helper);
    ftl_open_options options = {.overrides = overrides, .actor_types = types, .actor_type_count = 1};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_actor_find(runtime, "one", &one), FTL_OK);
    cr_assert_eq(ftl_actor_find(runtime, "two", &two), FTL_OK);
    introduce(one, two);
    introduce(two, one);
    for (uint32_t i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){one, i};
        cr_assert_eq(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    for (unsigned i = 0; i < 20; i++) { /* the check is made beside them, never inside a receive */
        int status = ftl_runtime_control(runtime, "check", ignore, NULL);
        cr_assert(status == FTL_OK || status == FTL_EBUSY, "%s", ftl_last_error());
    }
    for (unsigned i = 0; i < SENDERS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    while (ftli_u64_load_acquire(&finished) != SENDERS * EACH)
        (void)sched_yield();
    cr_assert_eq(ftli_u64_load_acquire(&out_of_order), 0);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(ftli_u64_load_acquire(&stopped), 2);
    cr_assert_eq(ftl_actor_send(one, 0, &(ftl_message){0}), FTL_ESTALE);
    cr_assert_eq(ftl_runtime_close(helper, NULL), FTL_OK);
}

/* ---- a receive that takes long */

static ftli_atomic_u32 entered, let_go, told;
static ftl_runtime *inside;
static int inside_status[3];

static int stay(void *raw, const ftl_context *context, ftl_message *message)
{
    (void)raw;
    (void)context;
    (void)message;
    inside_status[0] = ftl_runtime_drain(inside, 0);
    inside_status[1] = ftl_runtime_run(inside, NULL, 1, NULL);
    inside_status[2] = ftl_runtime_close(inside, NULL);
    ftli_u32_store_release(&entered, 1);
    while (ftli_u32_load_acquire(&let_go) == 0)
        (void)sched_yield();
    return FTL_OK;
}

static void hear(const ftl_event *event, void *user)
{
    (void)user;
    if (event->kind == FTL_EVENT_OVERDUE && strcmp(event->subject, "slow") == 0)
        ftli_u32_store_release(&told, 1);
}

Test(user_actors, a_receive_past_its_time_is_told_while_it_lasts)
{
    static ftl_message message;
    ftl_actor slow;
    ftl_actor_type type = {.name = "slow", .receive = stay};
    ftl_open_options options = {.overrides = "actors.slow: {receive: 1ms}",
                                .actor_types = &type,
                                .actor_type_count = 1,
                                .on_event = hear,
                                .on_event_kinds = FTL_EVENT_OVERDUE};
    cr_assert_eq(ftl_runtime_open_with(&options, &inside), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_actor_find(inside, "slow", &slow), FTL_OK);
    cr_assert_eq(ftl_actor_send(slow, FTL_LANE_BACKGROUND, &message), FTL_OK);
    while (ftli_u32_load_acquire(&entered) == 0 || ftli_u32_load_acquire(&told) == 0)
        (void)sched_yield();
    ftli_u32_store_release(&let_go, 1);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(inside_status[i], FTL_EBUSY, "%u", i);
    cr_assert_eq(ftl_runtime_close(inside, NULL), FTL_OK);
}

/* ---- without threads of ours: what waits is received by close */

static int count(void *raw, const ftl_context *context, ftl_message *message)
{
    (void)raw;
    (void)context;
    (void)message;
    (void)ftli_u64_fetch_add_relaxed(&finished, 1);
    return FTL_OK;
}

Test(user_actors, close_receives_what_waits)
{
    static ftl_message messages[200];
    ftl_runtime *runtime;
    ftl_actor counter;
    ftl_actor_type type = {.name = "count", .receive = count};
    ftl_open_options options = {.overrides = "threads.service.count: 0\nthreads.finalizers.count: 0\n"
                                             "threads.background.count: 0\nactors.telemetry: none\nactors.count: {}",
                                .actor_types = &type,
                                .actor_type_count = 1};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_actor_find(runtime, "count", &counter), FTL_OK);
    for (unsigned i = 0; i < 200; i++)
        cr_assert_eq(ftl_actor_send(counter, i % 4, &messages[i]), FTL_OK);
    cr_assert_eq(ftli_u64_load_acquire(&finished), 0);
    cr_assert_eq(ftl_runtime_run(runtime, "background", 0, NULL), FTL_OK);
    cr_assert_gt(ftli_u64_load_acquire(&finished), 0);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(ftli_u64_load_acquire(&finished), 200);
}

/* ---- routes: what many threads say is told, however it coalesces */

static ftli_atomic_u64 told_count, told_times;

static int say(void *raw, const ftl_context *context, ftl_message *message)
{
    (void)raw;
    (void)message;
    context->log(context, 2, "said");
    return FTL_OK;
}

static int hear_of(void *raw, const ftl_context *context, ftl_message *message)
{
    (void)raw;
    (void)context;
    const ftl_routed *routed = (const ftl_routed *)(const void *)message;
    if (ftli_u64_load_relaxed(&told_times) % 50 == 49 && ftli_u64_fetch_add_relaxed(&told_times, 1) != 0)
        return FTL_EBUSY; /* it comes again */
    (void)ftli_u64_fetch_add_relaxed(&told_count, routed->count);
    (void)ftli_u64_fetch_add_relaxed(&told_times, 1);
    return FTL_OK;
}

Test(user_actors, what_is_said_is_told_by_routes)
{
    enum { MESSAGES = 5000 };
    static ftl_message messages[2][MESSAGES];
    ftl_runtime *runtime;
    ftl_actor sayers[2];
    ftl_actor_type both[2] = {{.name = "sayer", .receive = say}, {.name = "hearer", .receive = hear_of}};
    ftl_open_options options = {.overrides = "actors.one: {type: sayer, threads: service}\n"
                                             "actors.two: {type: sayer, threads: finalizers}\n"
                                             "actors.ear: {type: hearer}\nsupervision.restarts: 10000\n"
                                             "routes: [{when: one.warning, tell: ear, do: listen},"
                                             " {when: two.warning, tell: ear, do: listen}]",
                                .actor_types = both,
                                .actor_type_count = 2};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_actor_find(runtime, "one", &sayers[0]), FTL_OK);
    cr_assert_eq(ftl_actor_find(runtime, "two", &sayers[1]), FTL_OK);
    for (unsigned i = 0; i < MESSAGES; i++)
        for (unsigned k = 0; k < 2; k++)
            cr_assert_eq(ftl_actor_send(sayers[k], FTL_LANE_NORMAL, &messages[k][i]), FTL_OK);
    while (ftli_u64_load_acquire(&told_count) != 2 * MESSAGES)
        (void)sched_yield();
    cr_assert_leq(ftli_u64_load_acquire(&told_times), 3 * MESSAGES);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
