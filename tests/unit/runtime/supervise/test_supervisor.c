/* The supervisor's answers, and the kernel acting on them: simulated, so that time is exact. */
#include <criterion/criterion.h>

#include <stdlib.h>

#include <fettle/fettle.h>

#include "runtime/kernel/simulation.h"
#include "runtime/supervise/supervisor.h"

static ftli_supervisor *make(uint32_t restarts, uint64_t within_ns)
{
    ftli_policy policy = ftli_policy_default();
    policy.restarts = restarts;
    policy.within_ns = within_ns;
    policy.retries = 2;
    ftli_supervisor *s;
    cr_assert_eq(ftli_supervisor_create(&policy, &s), FTL_OK);
    return s;
}

static ftli_decision ask(ftli_supervisor *s, bool restartable, int status, uint64_t now_ns)
{
    const ftli_supervision i = ftli_supervisor_interface(s);
    return i.decide(i.self, 3, restartable, status, now_ns);
}

Test(supervisor, a_bad_policy_is_refused)
{
    ftli_policy policy = ftli_policy_default();
    policy.within_ns = 0;
    ftli_supervisor *s = NULL;
    cr_expect_eq(ftli_supervisor_create(&policy, &s), FTL_EINVAL);
    cr_expect_null(s);
}

Test(supervisor, restarts_within_the_window_are_bounded)
{
    ftli_supervisor *s = make(2, 100);
    const ftli_supervision i = ftli_supervisor_interface(s);
    cr_expect_eq(i.decide(i.self, 1, true, FTL_EINTERNAL, 1000).action, FTLI_DECIDE_RESTART);
    cr_expect_eq(i.decide(i.self, 2, true, FTL_EINTERNAL, 1050).action, FTLI_DECIDE_RESTART);
    cr_expect_eq(i.decide(i.self, 3, true, FTL_EINTERNAL, 1099).action, FTLI_DECIDE_DOWN, "counted over all actors");
    cr_expect_eq(i.decide(i.self, 4, true, FTL_EINTERNAL, 1100).action, FTLI_DECIDE_RESTART, "the first is 100 old");
    cr_expect_eq(i.decide(i.self, 5, true, FTL_EINTERNAL, 1149).action, FTLI_DECIDE_DOWN);
    ftli_supervisor_figures figures;
    ftli_supervisor_read(s, &figures);
    cr_expect_eq(figures.restarts, 3);
    cr_expect_eq(figures.given_up, 2);
    ftli_supervisor_destroy(s);
}

Test(supervisor, delays_grow_until_a_success)
{
    ftli_supervisor *s = make(100, 1000000000);
    cr_expect_eq(ask(s, true, FTL_EINTERNAL, 1).delay_ns, FTLI_NS_PER_MS);
    cr_expect_eq(ask(s, true, FTL_EINTERNAL, 1).delay_ns, 2 * FTLI_NS_PER_MS);
    cr_expect_eq(ask(s, true, FTL_EINTERNAL, 1).delay_ns, 4 * FTLI_NS_PER_MS);
    const ftli_supervision i = ftli_supervisor_interface(s);
    i.succeeded(i.self, 3);
    cr_expect_eq(ask(s, true, FTL_EINTERNAL, 1).delay_ns, FTLI_NS_PER_MS);
    ftli_supervisor_destroy(s);
}

Test(supervisor, what_passes_is_tried_again_first)
{
    ftli_supervisor *s = make(5, 100);
    cr_expect_eq(ask(s, true, FTL_EBUSY, 1).action, FTLI_DECIDE_RETRY);
    cr_expect_eq(ask(s, true, FTL_EBUSY, 1).action, FTLI_DECIDE_RETRY);
    cr_expect_eq(ask(s, true, FTL_EBUSY, 1).action, FTLI_DECIDE_RESTART);
    cr_expect_eq(ask(s, true, FTL_EBUSY, 1).action, FTLI_DECIDE_RETRY, "a new state may try again");
    const ftli_supervision i = ftli_supervisor_interface(s);
    i.succeeded(i.self, 3);
    cr_expect_eq(ask(s, false, FTL_ELIMIT, 1).action, FTLI_DECIDE_RETRY | FTLI_DECIDE_DEGRADED);
    for (int n = 0; n < 10; n++)
        cr_expect_eq(ask(s, false, FTL_ELIMIT, 1).action & ~(uint32_t)FTLI_DECIDE_DEGRADED, FTLI_DECIDE_RETRY);
    ftli_supervisor_destroy(s);
}

Test(supervisor, what_cannot_be_restarted_goes_down)
{
    ftli_supervisor *s = make(0, 100);
    cr_expect_eq(ask(s, false, FTL_EINTERNAL, 1).action, FTLI_DECIDE_DOWN);
    cr_expect_eq(ask(s, true, FTL_ECONFIG, 1).action, FTLI_DECIDE_DOWN);
    cr_expect_eq(ask(s, true, FTL_EINTERNAL, 1).action, FTLI_DECIDE_DOWN, "no restart is allowed");
    ftli_supervisor_destroy(s);
}

/* ---- with a kernel ------------------------------------------------------------------------------------------ */

enum { N = 100 };

typedef struct {
    int starts, stops;
    uint32_t next, fail_at, fail_times;
    int fail_start;
    int news[8];
    bool out_of_order;
} fragile;

static int start(void *state, ftli_context *context)
{
    fragile *f = state;
    (void)context;
    if (f->fail_start > 0) {
        f->fail_start--;
        return FTL_EINTERNAL;
    }
    f->starts++;
    return FTL_OK;
}

static void stop(void *state, ftli_context *context)
{
    fragile *f = state;
    (void)context;
    f->stops++;
}

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    fragile *f = state;
    (void)context;
    if (message->type == f->fail_at && f->fail_times > 0) {
        f->fail_times--;
        return FTL_EINTERNAL;
    }
    if (message->type != f->next)
        f->out_of_order = true;
    f->next = message->type + 1;
    return FTL_OK;
}

static const ftli_actor_operations FRAGILE = {
    .type = "fragile", .start = start, .on_message = on_message, .stop = stop, .restartable = true};

static void on_news(void *user, const ftli_news *news)
{
    fragile *f = user;
    cr_assert_str_eq(ftli_actor_name(news->actor), "fragile");
    f->news[news->kind]++;
}

static void run_with(fragile *f, uint32_t restarts, ftli_actor_figures *figures, uint32_t *degraded)
{
    ftli_supervisor *s = make(restarts, 5 * FTLI_NS_PER_S);
    const ftli_group_options group = {.name = "service", .count = 1};
    const ftli_kernel_options options = {.groups = &group,
                                         .group_count = 1,
                                         .supervision = ftli_supervisor_interface(s),
                                         .on_news = on_news,
                                         .user = f,
                                         .seed = 11,
                                         .simulated = true};
    const ftli_actor_options add = {.operations = &FRAGILE, .state = f, .group = "service"};
    ftli_kernel *kernel;
    ftli_actor *actor;
    static ftli_message messages[N];
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    cr_assert_eq(ftli_kernel_add_actor(kernel, "fragile", &add, &actor), FTL_OK);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    f->fail_start = f->fail_start < 0 ? 1 : f->fail_start; /* -1: the first restart's start fails */
    for (uint32_t i = 0; i < N; i++) {
        messages[i].type = i;
        ftli_actor_send(actor, FTLI_LANE_HIGH, &messages[i]);
    }
    cr_assert_eq(ftli_simulation_run_until_idle(kernel, FTLI_NEVER_NS, 0), FTL_OK);
    ftli_actor_read(actor, figures);
    *degraded = ftli_kernel_degraded(kernel);
    cr_expect_eq(ftli_actor_is_down(actor), *degraded != 0);
    cr_expect_eq(ftli_kernel_restarts(kernel), figures->restarts);
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
    ftli_supervisor_destroy(s);
}

Test(supervisor, a_restarted_actor_gets_all_its_mail_in_order)
{
    fragile f = {.fail_at = 40, .fail_times = 1};
    ftli_actor_figures figures;
    uint32_t degraded;
    run_with(&f, 1, &figures, &degraded);
    cr_expect_eq(f.next, N);
    cr_expect_not(f.out_of_order);
    cr_expect_eq(f.starts, 2);
    cr_expect_eq(f.stops, 2);
    cr_expect_eq(figures.messages, N);
    cr_expect_eq(figures.restarts, 1);
    cr_expect_eq(figures.failures, 1);
    cr_expect_eq(degraded, 0);
    cr_expect_eq(f.news[FTLI_NEWS_FAILED], 1);
    cr_expect_eq(f.news[FTLI_NEWS_RESTARTED], 1);
    cr_expect_eq(f.news[FTLI_NEWS_DOWN], 0);
}

Test(supervisor, an_actor_that_keeps_failing_goes_down_and_keeps_its_mail)
{
    fragile f = {.fail_at = 40, .fail_times = 1000};
    ftli_actor_figures figures;
    uint32_t degraded;
    run_with(&f, 3, &figures, &degraded);
    cr_expect_eq(f.next, 40);
    cr_expect_eq(figures.restarts, 3);
    cr_expect_eq(figures.failures, 4);
    cr_expect_eq(figures.phase, FTLI_ACTOR_DOWN);
    cr_expect_eq(figures.lanes[FTLI_LANE_HIGH].depth, N - 40, "nothing is dropped from a mailbox");
    cr_expect_eq(degraded, 1);
    cr_expect_eq(f.starts, 4);
    cr_expect_eq(f.stops, 4);
    cr_expect_eq(f.news[FTLI_NEWS_DOWN], 1);
}

Test(supervisor, a_start_that_fails_is_a_failure_like_any)
{
    fragile f = {.fail_at = 40, .fail_times = 1, .fail_start = -1};
    ftli_actor_figures figures;
    uint32_t degraded;
    run_with(&f, 5, &figures, &degraded);
    cr_expect_eq(f.next, N);
    cr_expect_eq(f.starts, 2);
    cr_expect_eq(figures.failures, 2);
    cr_expect_eq(figures.restarts, 1);
    cr_expect_eq(degraded, 0);
}
