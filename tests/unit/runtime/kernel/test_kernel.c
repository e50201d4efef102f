/* The kernel's life, and what its callers may and may not do. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <fettle/fettle.h>

#include "runtime/base/os.h"
#include "runtime/kernel/kernel.h"

/* Writes down what happens to it. */
typedef struct {
    char name;
    char *diary; /* shared, appended to */
    int fail_start, fail_ticks;
    uint64_t received, ticks, batches;
    ftli_timer timer;
    uint64_t period_ns;
    int busy_stop, busy_run, busy_wait;
    unsigned helped;
    ftli_event *event;
} diarist;

static void write_down(const diarist *d, char what)
{
    char *end = d->diary;
    while (*end != '\0')
        end++;
    end[0] = what;
    end[1] = d->name;
}

static int start(void *state, ftli_context *context)
{
    diarist *d = state;
    (void)context;
    write_down(d, '+');
    return d->fail_start != 0 ? FTL_EDEVICE : FTL_OK;
}

static void stop(void *state, ftli_context *context)
{
    (void)context;
    write_down(state, '-');
}

enum { COUNT = 0, TRY_WHAT_MAY_NOT_BE = 1, ARM = 2, CANCEL = 3, TIMER = 4, SIGNAL = 5 };

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    diarist *d = state;
    ftli_kernel *kernel = ftli_actor_kernel(ftli_self(context));
    d->received++;
    switch (message->type) {
    case TRY_WHAT_MAY_NOT_BE: {
        ftli_event event = {{0}, {0}, {NULL}};
        d->busy_stop = ftli_kernel_stop(kernel, 0);
        d->busy_run = ftli_kernel_run(kernel, NULL, 0, NULL);
        d->busy_wait = ftli_kernel_wait(kernel, &event, ftli_event_prepare(&event), FTLI_NEVER_NS, NULL);
        d->helped = ftli_actor_help(ftli_self(context), 64);
        break;
    }
    case ARM:
        d->timer.message.type = TIMER;
        ftli_after(context, d->period_ns, &d->timer);
        break;
    case CANCEL:
        if (ftli_cancel(context, &d->timer))
            write_down(d, 'c');
        break;
    case TIMER:
        write_down(d, 't');
        break;
    case SIGNAL:
        (void)ftli_event_signal_all(d->event);
        break;
    default:
        break;
    }
    return FTL_OK;
}

static int on_tick(void *state, ftli_context *context)
{
    diarist *d = state;
    (void)context;
    if (d->fail_ticks > 0) {
        d->fail_ticks--;
        return FTL_EBUSY;
    }
    d->ticks++;
    return FTL_OK;
}

static void after_batch(void *state, ftli_context *context)
{
    (void)context;
    ((diarist *)state)->batches++;
}

static const ftli_actor_operations DIARIST = {.type = "diarist",
                                              .start = start,
                                              .on_message = on_message,
                                              .on_tick = on_tick,
                                              .after_batch = after_batch,
                                              .stop = stop};

static ftli_kernel *make(unsigned count, bool lazy)
{
    const ftli_group_options groups[] = {{.name = "service", .count = count, .lazy = lazy},
                                         {.name = "background", .count = 0}};
    const ftli_kernel_options options = {.name = "a-long-kernel-name", .groups = groups, .group_count = 2};
    ftli_kernel *kernel = NULL;
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    return kernel;
}

static ftli_actor *add(ftli_kernel *kernel, const char *name, diarist *d, const char *group)
{
    const ftli_actor_options options = {.operations = &DIARIST, .state = d, .group = group};
    ftli_actor *actor = NULL;
    cr_assert_eq(ftli_kernel_add_actor(kernel, name, &options, &actor), FTL_OK);
    return actor;
}

static void send(ftli_actor *actor, unsigned lane, ftli_message *message, uint32_t type)
{
    *message = (ftli_message){.type = type};
    ftli_actor_send(actor, lane, message);
}

Test(kernel, what_cannot_be_is_refused)
{
    ftli_kernel *kernel = NULL;
    ftli_group_options groups[FTLI_GROUPS_MOST + 1] = {{.name = "a"}, {.name = "a"}};
    ftli_kernel_options options = {.groups = groups, .group_count = 0};
    cr_expect_eq(ftli_kernel_create(&options, &kernel), FTL_EINVAL, "no group");
    options.group_count = 2;
    cr_expect_eq(ftli_kernel_create(&options, &kernel), FTL_EINVAL, "two of one name");
    options.group_count = FTLI_GROUPS_MOST + 1;
    cr_expect_eq(ftli_kernel_create(&options, &kernel), FTL_EINVAL, "too many");
    options.group_count = 1;
    groups[0].name = "a-name-of-16-cha";
    cr_expect_eq(ftli_kernel_create(&options, &kernel), FTL_EINVAL, "a long name");
    groups[0].name = "";
    cr_expect_eq(ftli_kernel_create(&options, &kernel), FTL_EINVAL, "no name");
    groups[0].name = "a";
    const uint32_t shares[] = {1, 1, 1, 1};
    options.lane_shares = shares;
    cr_expect_eq(ftli_kernel_create(&options, &kernel), FTL_EINVAL, "shares");
    cr_expect_null(kernel);

    char diary[64] = "";
    diarist d = {.name = '1', .diary = diary};
    kernel = make(0, false);
    (void)add(kernel, "one", &d, "service");
    ftli_actor *actor = NULL;
    ftli_actor_options wrong = {.operations = &DIARIST, .state = &d, .group = "nowhere"};
    cr_expect_eq(ftli_kernel_add_actor(kernel, "two", &wrong, &actor), FTL_EINVAL, "no such group");
    wrong.group = "service";
    cr_expect_eq(ftli_kernel_add_actor(kernel, "one", &wrong, &actor), FTL_EINVAL, "the name is taken");
    const ftli_actor_operations none = {.type = "none"};
    wrong.operations = &none;
    cr_expect_eq(ftli_kernel_add_actor(kernel, "two", &wrong, &actor), FTL_EINVAL, "cannot receive");
    cr_expect_null(actor);
    cr_expect_eq(ftli_kernel_run(kernel, "nowhere", 0, NULL), FTL_EINVAL);
    ftli_group_figures figures;
    cr_expect_eq(ftli_kernel_read_group(kernel, "nowhere", &figures), FTL_EINVAL);
    cr_expect_null(ftli_kernel_find(kernel, "two"));
    ftli_kernel_destroy(kernel);
}

Test(kernel, actors_start_in_order_and_stop_in_reverse)
{
    char diary[64] = "";
    diarist d[3] = {{.name = '1', .diary = diary}, {.name = '2', .diary = diary}, {.name = '3', .diary = diary}};
    ftli_kernel *kernel = make(1, false);
    (void)add(kernel, "one", &d[0], "service");
    ftli_actor *two = add(kernel, "two", &d[1], "background");
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    cr_expect_eq(ftli_kernel_start(kernel), FTL_EINVAL, "only once");
    ftli_actor *three = add(kernel, "three", &d[2], "service");
    cr_expect_eq(ftli_kernel_actor_count(kernel), 3);
    cr_expect_eq(ftli_kernel_find(kernel, "two"), two);
    cr_expect_str_eq(ftli_actor_name(three), "three");
    cr_expect_eq(ftli_actor_index(three), 2);
    cr_expect_eq(ftli_actor_state(three), &d[2]);
    cr_expect(ftli_kernel_has_threads(kernel, "service"));
    cr_expect_not(ftli_kernel_has_threads(kernel, "background"));
    cr_expect_eq(ftli_kernel_run(kernel, "service", 0, NULL), FTL_EINVAL, "it has threads");
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    cr_expect_str_eq(diary, "+1+2+3-3-2-1");
    ftli_kernel_destroy(kernel);
}

Test(kernel, a_start_that_fails_undoes_those_before)
{
    char diary[64] = "";
    diarist d[3] = {
        {.name = '1', .diary = diary}, {.name = '2', .diary = diary, .fail_start = 1}, {.name = '3', .diary = diary}};
    ftli_kernel *kernel = make(1, false);
    (void)add(kernel, "one", &d[0], "service");
    (void)add(kernel, "two", &d[1], "service");
    (void)add(kernel, "three", &d[2], "service");
    cr_expect_eq(ftli_kernel_start(kernel), FTL_EDEVICE);
    cr_expect_str_eq(diary, "+1+2-1");
    ftli_kernel_destroy(kernel);
}

Test(kernel, mail_may_come_before_the_start_and_stays_after_the_stop)
{
    char diary[64] = "";
    diarist d = {.name = '1', .diary = diary};
    ftli_kernel *kernel = make(1, false);
    ftli_actor *actor = add(kernel, "one", &d, "service");
    ftli_message *m = aligned_alloc(32, 4 * sizeof *m);
    send(actor, FTLI_LANE_HIGH, &m[0], COUNT);
    send(actor, FTLI_LANE_BACKGROUND, &m[1], COUNT);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    cr_assert_eq(ftli_kernel_stop(kernel, FTLI_NEVER_NS), FTL_OK); /* runs what waits, below the mark as well */
    cr_expect_eq(d.received, 2);
    send(actor, FTLI_LANE_HIGH, &m[2], COUNT);
    ftli_actor_run_within(actor, 0);
    ftli_actor_wake(actor);
    ftli_actor_figures figures;
    ftli_actor_read(actor, &figures);
    cr_expect_eq(figures.lanes[FTLI_LANE_HIGH].depth, 1);
    cr_expect_eq(figures.phase, FTLI_ACTOR_STOPPED);
    cr_expect_eq(d.received, 2);
    ftli_kernel_destroy(kernel);
    free(m);
}

Test(kernel, a_lent_thread_runs_what_is_ready_and_what_is_due)
{
    char diary[64] = "";
    diarist d[2] = {{.name = '1', .diary = diary}, {.name = '2', .diary = diary}};
    ftli_kernel *kernel = make(0, false);
    ftli_actor *one = add(kernel, "one", &d[0], "service");
    ftli_actor *two = add(kernel, "two", &d[1], "background");
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    ftli_message *m = aligned_alloc(32, 200 * sizeof *m);
    for (int i = 0; i < 100; i++) {
        send(one, FTLI_LANE_HIGH, &m[2 * i], COUNT);
        send(two, FTLI_LANE_EMERGENCY, &m[2 * i + 1], COUNT);
    }
    ftli_actor_run_within(two, 0);
    uint64_t left = 0;
    cr_assert_eq(ftli_kernel_run(kernel, "service", 0, &left), FTL_OK); /* no budget: one run */
    cr_expect_eq(d[0].received, 64);
    cr_expect_eq(left, 36);
    cr_expect_eq(d[1].received, 0);
    cr_assert_eq(ftli_kernel_run(kernel, NULL, FTLI_NEVER_NS, &left), FTL_OK);
    cr_expect_eq(d[0].received, 100);
    cr_expect_eq(d[0].batches, 2);
    cr_expect_eq(d[1].received, 100);
    cr_expect_eq(d[1].ticks, 1);
    cr_expect_eq(left, 0);
    send(one, FTLI_LANE_NORMAL, &m[0], COUNT); /* below its mark, and not old */
    cr_assert_eq(ftli_kernel_run(kernel, NULL, FTLI_NEVER_NS, &left), FTL_OK);
    cr_expect_eq(left, 1);
    ftli_actor_wake(one);
    cr_assert_eq(ftli_kernel_run(kernel, NULL, FTLI_NEVER_NS, &left), FTL_OK);
    cr_expect_eq(left, 0);
    for (int i = 0; i < 10; i++)
        send(one, FTLI_LANE_NORMAL, &m[i], COUNT);
    cr_assert_eq(ftli_kernel_run(kernel, NULL, FTLI_NEVER_NS, &left), FTL_OK);
    cr_expect_eq(left, 0, "ten are a batch");
    ftli_actor_set_wake(one, 1, 0);
    ftli_actor_set_ignore_priority(one, true);
    send(one, FTLI_LANE_BACKGROUND, &m[0], COUNT);
    cr_assert_eq(ftli_kernel_run(kernel, NULL, FTLI_NEVER_NS, &left), FTL_OK);
    cr_expect_eq(left, 0, "the mark is one now");
    ftli_group_figures figures;
    cr_assert_eq(ftli_kernel_read_group(kernel, "service", &figures), FTL_OK);
    cr_expect_eq(figures.threads, 0);
    cr_expect_gt(figures.runs, 3);
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
    free(m);
}

Test(kernel, from_inside_an_actor_only_posts_are_allowed)
{
    char diary[64] = "";
    diarist d = {.name = '1', .diary = diary, .helped = 99};
    ftli_kernel *kernel = make(0, false);
    ftli_actor *actor = add(kernel, "one", &d, "service");
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    ftli_message *m = aligned_alloc(32, sizeof *m);
    send(actor, FTLI_LANE_HIGH, m, TRY_WHAT_MAY_NOT_BE);
    cr_expect_not(ftli_kernel_is_service_thread(kernel));
    cr_expect_eq(ftli_actor_help(actor, 64), 1);
    cr_expect_eq(d.busy_stop, FTL_EBUSY);
    cr_expect_eq(d.busy_run, FTL_EBUSY);
    cr_expect_eq(d.busy_wait, FTL_EBUSY);
    cr_expect_eq(d.helped, 0);
    cr_expect_not(ftli_kernel_is_service_thread(kernel));
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
    free(m);
}

Test(kernel, a_failed_tick_comes_again)
{
    char diary[64] = "";
    diarist d = {.name = '1', .diary = diary, .fail_ticks = 2};
    ftli_event never = {{0}, {0}, {NULL}};
    ftli_kernel *kernel = make(0, false);
    ftli_actor *actor = add(kernel, "one", &d, "service");
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    ftli_actor_run_within(actor, 0);
    while (d.ticks == 0) /* each attempt 1 ms after the last */
        (void)ftli_kernel_wait(kernel, &never, ftli_event_prepare(&never), ftli_kernel_now_ns(kernel) + FTLI_NS_PER_MS,
                               NULL);
    ftli_actor_figures figures;
    ftli_actor_read(actor, &figures);
    cr_expect_eq(figures.failures, 2);
    cr_expect_eq(figures.ticks, 1);
    cr_expect_str_eq(diary, "+1", "a retry is no restart");
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
}

Test(kernel, timers_come_once_move_and_can_be_cancelled)
{
    char diary[64] = "";
    diarist d = {.name = '1', .diary = diary, .period_ns = 3600 * FTLI_NS_PER_S};
    ftli_event never = {{0}, {0}, {NULL}};
    ftli_kernel *kernel = make(0, false);
    ftli_actor *actor = add(kernel, "one", &d, "service");
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    ftli_message *m = aligned_alloc(32, 4 * sizeof *m);
    send(actor, FTLI_LANE_HIGH, &m[0], ARM);
    send(actor, FTLI_LANE_HIGH, &m[1], CANCEL);
    send(actor, FTLI_LANE_HIGH, &m[2], CANCEL); /* not armed any more */
    cr_assert_eq(ftli_kernel_run(kernel, NULL, FTLI_NEVER_NS, NULL), FTL_OK);
    cr_expect_str_eq(diary, "+1c1");
    send(actor, FTLI_LANE_HIGH, &m[0], ARM);
    cr_assert_eq(ftli_kernel_run(kernel, NULL, FTLI_NEVER_NS, NULL), FTL_OK);
    d.period_ns = FTLI_NS_PER_MS;
    send(actor, FTLI_LANE_HIGH, &m[0], ARM); /* moves it */
    while (d.received < 6)
        (void)ftli_kernel_wait(kernel, &never, ftli_event_prepare(&never), ftli_kernel_now_ns(kernel) + FTLI_NS_PER_MS,
                               NULL);
    cr_expect_str_eq(diary, "+1c1t1");
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
    free(m);
}

Test(kernel, a_lazy_group_has_threads_when_they_are_needed)
{
    char diary[64] = "";
    ftli_event event = {{0}, {0}, {NULL}};
    diarist d = {.name = '1', .diary = diary, .event = &event};
    ftli_kernel *kernel = make(3, true);
    ftli_actor *actor = add(kernel, "one", &d, "service");
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    ftli_group_figures figures;
    cr_assert_eq(ftli_kernel_read_group(kernel, "service", &figures), FTL_OK);
    cr_expect_eq(figures.threads, 0);
    cr_assert_eq(ftli_kernel_need(kernel, actor), FTL_OK);
    cr_assert_eq(ftli_kernel_need(kernel, actor), FTL_OK);
    cr_assert_eq(ftli_kernel_read_group(kernel, "service", &figures), FTL_OK);
    cr_expect_eq(figures.threads, 3);
    ftli_message *m = aligned_alloc(32, sizeof *m);
    const uint32_t ticket = ftli_event_prepare(&event);
    send(actor, FTLI_LANE_HIGH, m, SIGNAL);
    cr_expect(ftli_event_wait(&event, ticket, ftli_clock_now_ns() + 60 * FTLI_NS_PER_S));
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    cr_expect_eq(ftli_kernel_need(kernel, actor), FTL_ECLOSED);
    ftli_kernel_destroy(kernel);
    free(m);
}

Test(kernel, spinning_and_placed_threads_serve_as_well)
{
    char diary[64] = "";
    ftli_event event = {{0}, {0}, {NULL}};
    diarist d = {.name = '1', .diary = diary, .event = &event};
    const unsigned cpus[] = {0, 1, 5000};
    const ftli_group_options group = {
        .name = "service", .count = 1, .nice = 1, .cpus = cpus, .cpu_count = 3, .spin = true};
    const ftli_kernel_options options = {.groups = &group, .group_count = 1};
    ftli_kernel *kernel;
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    ftli_actor *actor = add(kernel, "one", &d, "service");
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    ftli_message *m = aligned_alloc(32, sizeof *m);
    const uint32_t ticket = ftli_event_prepare(&event);
    send(actor, FTLI_LANE_HIGH, m, SIGNAL);
    cr_expect(ftli_event_wait(&event, ticket, ftli_clock_now_ns() + 60 * FTLI_NS_PER_S));
    ftli_group_figures figures;
    cr_assert_eq(ftli_kernel_read_group(kernel, "service", &figures), FTL_OK);
    cr_expect_eq(figures.sleeps, 0);
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
    free(m);
}

/* Two threads that wait lend themselves to the same groups; what one of them needs, the other may run. */
typedef struct {
    ftli_kernel *kernel;
    ftli_actor *actor;
    ftli_event *event;
} waiting;

static void *wait_often(void *argument)
{
    const waiting *w = argument;
    ftli_message *m = aligned_alloc(32, sizeof *m);
    for (int i = 0; i < 3000; i++) {
        const uint32_t ticket = ftli_event_prepare(w->event);
        send(w->actor, i % 2 == 0 ? FTLI_LANE_HIGH : FTLI_LANE_EMERGENCY, m, SIGNAL);
        for (;;) {
            const int status = ftli_kernel_wait(w->kernel, w->event, ticket,
                                                ftli_kernel_now_ns(w->kernel) + 60 * FTLI_NS_PER_S, "service");
            if (status != FTL_OK) {
                free(m);
                return NULL;
            }
            break;
        }
    }
    free(m);
    return argument;
}

Test(kernel, two_waiting_threads_serve_each_other)
{
    static char diaries[2][64];
    ftli_kernel *kernel = make(0, false);
    static ftli_event events[2];
    static diarist d[2];
    waiting w[2];
    pthread_t threads[2];
    static const char *const names[] = {"one", "two"};
    for (int i = 0; i < 2; i++) {
        d[i] = (diarist){.name = '1', .diary = diaries[i], .event = &events[i]};
        w[i] = (waiting){.kernel = kernel, .actor = add(kernel, names[i], &d[i], "service"), .event = &events[i]};
    }
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, wait_often, &w[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *result;
        (void)pthread_join(threads[i], &result);
        cr_expect_not_null(result, "a wait was not ended");
    }
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    cr_expect_eq(d[0].received, 3000);
    cr_expect_eq(d[1].received, 3000);
    ftli_kernel_destroy(kernel);
}

Test(kernel, two_kernels_live_side_by_side)
{
    char diary[2][64] = {"", ""};
    diarist d[2] = {{.name = '1', .diary = diary[0]}, {.name = '2', .diary = diary[1]}};
    ftli_kernel *a = make(1, false), *b = make(0, false);
    (void)add(a, "one", &d[0], "service");
    ftli_actor *in_b = add(b, "one", &d[1], "service");
    cr_assert_eq(ftli_kernel_start(a), FTL_OK);
    cr_assert_eq(ftli_kernel_start(b), FTL_OK);
    ftli_message *m = aligned_alloc(32, sizeof *m);
    send(in_b, FTLI_LANE_HIGH, m, COUNT);
    cr_assert_eq(ftli_kernel_stop(a, FTLI_NEVER_NS), FTL_OK);
    cr_expect_eq(d[1].received, 0);
    cr_assert_eq(ftli_kernel_stop(b, FTLI_NEVER_NS), FTL_OK);
    cr_expect_eq(d[1].received, 1);
    ftli_kernel_destroy(a);
    ftli_kernel_destroy(b);
    free(m);
}
