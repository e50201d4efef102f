/* The watchdog: a receive past its deadline is reported once, while it runs if there is a thread to see it, and no other. */
#include <criterion/criterion.h>

#include <sched.h>
#include <string.h>

#include <fettle/fettle.h>

#include "runtime/kernel/simulation.h"

TestSuite(watchdog, .timeout = 60);

static const uint64_t DEADLINE_NS = FTLI_NS_PER_MS;

/* ---- on threads: receives that last until the test lets them go ----------------------------------------------------- */

struct slow {
    ftli_atomic_u32 let_go, inside, received;
};

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    struct slow *slow = state;
    (void)context;
    ftli_u32_store_release(&slow->inside, 1);
    while (message->type != 0 && ftli_u32_load_acquire(&slow->let_go) == 0)
        (void)sched_yield();
    (void)ftli_u32_fetch_add_acq_rel(&slow->received, 1);
    return FTL_OK;
}

static const ftli_actor_operations SLOW = {.type = "slow", .on_message = on_message};

static struct {
    ftli_atomic_u32 overdue, others;
} heard;

static void on_news(void *user, const ftli_news *news)
{
    (void)user;
    (void)ftli_u32_fetch_add_acq_rel(news->kind == FTLI_NEWS_OVERDUE ? &heard.overdue : &heard.others, 1);
}

static ftli_kernel *kernel_of(const ftli_group_options *groups, unsigned count, bool simulated)
{
    const ftli_kernel_options options = {
        .groups = groups, .group_count = count, .on_news = on_news, .seed = 1, .simulated = simulated};
    ftli_kernel *kernel;
    memset(&heard, 0, sizeof heard);
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    return kernel;
}

static ftli_actor *add(ftli_kernel *kernel, const char *name, const char *group, struct slow *slow, uint64_t receive_ns)
{
    const ftli_actor_options options = {.operations = &SLOW, .state = slow, .group = group, .receive_ns = receive_ns};
    ftli_actor *actor;
    cr_assert_eq(ftli_kernel_add_actor(kernel, name, &options, &actor), FTL_OK);
    return actor;
}

static void expect_seen(const ftli_group_options *groups, unsigned count, const char *watcher)
{
    static ftli_message stuck, after;
    struct slow slow = {.let_go = {0}}, other = {.let_go = {0}};
    ftli_kernel *kernel = kernel_of(groups, count, false);
    ftli_actor *actor = add(kernel, "slow", groups[0].name, &slow, DEADLINE_NS);
    (void)add(kernel, "other", watcher, &other, 0);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    stuck = (ftli_message){.type = 1};
    after = (ftli_message){.type = 0};
    ftli_actor_send(actor, FTLI_LANE_HIGH, &stuck);
    while (ftli_kernel_overdue(kernel) == 0) /* it is inside, and stays there */
        (void)sched_yield();
    cr_expect_eq(ftli_u32_load_acquire(&slow.received), 0);
    ftli_u32_store_release(&slow.let_go, 1);
    while (ftli_u32_load_acquire(&slow.received) == 0)
        (void)sched_yield();
    ftli_actor_send(actor, FTLI_LANE_HIGH, &after);
    while (ftli_u32_load_acquire(&slow.received) != 2)
        (void)sched_yield();
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_actor_figures figures;
    ftli_actor_read(actor, &figures);
    cr_expect_geq(figures.overdue, 1, "more if the machine held up the second one as well");
    cr_expect_leq(figures.overdue, 2);
    cr_expect_eq(ftli_kernel_overdue(kernel), figures.overdue);
    cr_expect_eq(ftli_u32_load_acquire(&heard.overdue), figures.overdue);
    cr_expect_eq(ftli_u32_load_acquire(&heard.others), 0);
    ftli_kernel_destroy(kernel);
}

Test(watchdog, another_group_sees_a_receive_that_does_not_end)
{
    const ftli_group_options groups[] = {{.name = "a", .count = 1}, {.name = "b", .count = 1}};
    expect_seen(groups, 2, "b");
}

Test(watchdog, the_groups_other_thread_sees_it)
{
    const ftli_group_options groups[] = {{.name = "a", .count = 2}};
    expect_seen(groups, 1, "a");
}

/* Two actors do not come back: one of a group that is watched, and one that may take as long as it likes. */
Test(watchdog, who_may_take_long_is_no_watcher_if_there_is_another)
{
    const ftli_group_options groups[] = {
        {.name = "a", .count = 1}, {.name = "long", .count = 1}, {.name = "b", .count = 1}};
    static ftli_message stuck[2];
    struct slow slow = {.let_go = {0}}, any_time = {.let_go = {0}}, other = {.let_go = {0}};
    ftli_kernel *kernel = kernel_of(groups, 3, false);
    ftli_actor *actor = add(kernel, "slow", "a", &slow, DEADLINE_NS);
    ftli_actor *user = add(kernel, "any_time", "long", &any_time, 0);
    (void)add(kernel, "other", "b", &other, DEADLINE_NS);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    stuck[0] = stuck[1] = (ftli_message){.type = 1};
    ftli_actor_send(user, FTLI_LANE_HIGH, &stuck[0]);
    while (ftli_u32_load_acquire(&any_time.inside) == 0)
        (void)sched_yield();
    ftli_actor_send(actor, FTLI_LANE_HIGH, &stuck[1]);
    while (ftli_kernel_overdue(kernel) == 0)
        (void)sched_yield();
    ftli_u32_store_release(&slow.let_go, 1);
    ftli_u32_store_release(&any_time.let_go, 1);
    cr_assert_eq(ftli_kernel_stop(kernel, FTLI_NS_PER_S), FTL_OK);
    ftli_actor_figures figures;
    ftli_actor_read(user, &figures);
    cr_expect_eq(figures.overdue, 0, "it is not watched");
    ftli_kernel_destroy(kernel);
}

Test(watchdog, a_group_that_is_lent_is_watched_by_threads)
{
    const ftli_group_options groups[] = {{.name = "lent", .count = 0}, {.name = "b", .count = 1}};
    struct slow slow = {.let_go = {0}}, other = {.let_go = {0}};
    static ftli_message stuck;
    ftli_kernel *kernel = kernel_of(groups, 2, false);
    ftli_actor *actor = add(kernel, "other", "b", &other, DEADLINE_NS);
    (void)add(kernel, "slow", "lent", &slow, DEADLINE_NS);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    stuck = (ftli_message){.type = 1};
    ftli_actor_send(actor, FTLI_LANE_HIGH, &stuck);
    while (ftli_u32_load_acquire(&other.inside) == 0)
        (void)sched_yield();
    ftli_u32_store_release(&other.let_go, 1); /* nobody can see it but its own end */
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    cr_expect_leq(ftli_kernel_overdue(kernel), 1);
    ftli_kernel_destroy(kernel);
}

/* ---- simulated: receives for which time goes on ---------------------------------------------------------------------- */

struct timed {
    uint64_t takes_ns;
    unsigned received, ticks;
    uint64_t tick_takes_ns;
};

static int on_timed(void *state, ftli_context *context, ftli_message *message)
{
    struct timed *timed = state;
    (void)message;
    ftli_simulation_jump(ftli_actor_kernel(ftli_self(context)), timed->takes_ns);
    timed->received++;
    return FTL_OK;
}

static int on_tick(void *state, ftli_context *context)
{
    struct timed *timed = state;
    ftli_simulation_jump(ftli_actor_kernel(ftli_self(context)), timed->tick_takes_ns);
    timed->ticks++;
    return FTL_OK;
}

static const ftli_actor_operations TIMED = {.type = "timed", .on_message = on_timed, .on_tick = on_tick};

static uint64_t overdue_of(struct timed *timed, unsigned messages, uint64_t receive_ns, bool tick)
{
    static ftli_message mail[64];
    const ftli_group_options group = {.name = "a", .count = 1};
    const ftli_actor_options options = {.operations = &TIMED, .state = timed, .group = "a", .receive_ns = receive_ns};
    ftli_kernel *kernel = kernel_of(&group, 1, true);
    ftli_actor *actor;
    cr_assert_eq(ftli_kernel_add_actor(kernel, "timed", &options, &actor), FTL_OK);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    memset(mail, 0, sizeof mail);
    for (unsigned i = 0; i < messages; i++)
        ftli_actor_send(actor, FTLI_LANE_HIGH, &mail[i]);
    if (tick)
        ftli_actor_run_within(actor, 0);
    cr_assert_eq(ftli_simulation_run_until_idle(kernel, FTLI_NEVER_NS, 0), FTL_OK);
    const uint64_t overdue = ftli_kernel_overdue(kernel);
    cr_expect_eq(timed->received, messages);
    cr_expect_eq(timed->ticks, tick);
    cr_expect_eq(ftli_u32_load_acquire(&heard.overdue), overdue);
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
    return overdue;
}

Test(watchdog, a_receive_that_was_too_long_is_reported_at_its_end)
{
    struct timed timed = {.takes_ns = DEADLINE_NS + 1};
    cr_expect_eq(overdue_of(&timed, 1, DEADLINE_NS, false), 1);
    timed = (struct timed){.takes_ns = DEADLINE_NS};
    cr_expect_eq(overdue_of(&timed, 1, DEADLINE_NS, false), 0, "not past it");
    timed = (struct timed){.takes_ns = 1000 * DEADLINE_NS};
    cr_expect_eq(overdue_of(&timed, 1, 0, false), 0, "not watched");
    timed = (struct timed){.tick_takes_ns = DEADLINE_NS + 1};
    cr_expect_eq(overdue_of(&timed, 0, DEADLINE_NS, true), 1, "a tick");
}

Test(watchdog, many_short_receives_are_no_long_one)
{
    struct timed timed = {.takes_ns = DEADLINE_NS / 2};
    cr_expect_eq(overdue_of(&timed, 60, DEADLINE_NS, false), 0);
}

/* ---- lanes ------------------------------------------------------------------------------------------------------------ */

static struct {
    ftli_atomic_u32 count, lane;
    ftli_atomic_u64 age_ns;
} alarmed;

static void on_alarm(void *user, const ftli_news *news)
{
    (void)user;
    if (news->kind != FTLI_NEWS_ALARM)
        return;
    ftli_u32_store_relaxed(&alarmed.lane, news->lane);
    ftli_u64_store_relaxed(&alarmed.age_ns, news->age_ns);
    (void)ftli_u32_fetch_add_acq_rel(&alarmed.count, 1);
}

static ftli_decision give_up(void *self, uint32_t index, bool restartable, int status, uint64_t now_ns)
{
    (void)self, (void)index, (void)restartable, (void)status, (void)now_ns;
    return (ftli_decision){FTLI_DECIDE_DOWN, 0};
}

static ftli_kernel *kernel_with_alarms(const ftli_group_options *groups, unsigned count, bool simulated)
{
    static const uint64_t alarms[FTLI_LANES] = {10 * FTLI_NS_PER_MS, 50 * FTLI_NS_PER_MS, 0, 0};
    const ftli_kernel_options options = {.groups = groups,
                                         .group_count = count,
                                         .on_news = on_alarm,
                                         .lane_alarms = alarms,
                                         .supervision = {.decide = give_up},
                                         .simulated = simulated};
    ftli_kernel *kernel;
    memset(&alarmed, 0, sizeof alarmed);
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    return kernel;
}

/* Sends `count` messages, lets the time go by before anybody receives them, and says how many alarms there were by then. */
static unsigned alarms_after(ftli_kernel *kernel, ftli_actor *actor, unsigned lane, unsigned count, uint64_t ns)
{
    static ftli_message mail[8];
    memset(mail, 0, sizeof mail);
    for (unsigned i = 0; i < count; i++)
        ftli_actor_send(actor, lane, &mail[i]);
    ftli_simulation_jump(kernel, ns);
    cr_assert_eq(ftli_simulation_run_until_idle(kernel, FTLI_NEVER_NS, 0), FTL_OK);
    cr_expect_eq(ftli_kernel_alarms(kernel), ftli_u32_load_acquire(&alarmed.count));
    return ftli_u32_load_acquire(&alarmed.count);
}

Test(watchdog, a_lane_past_its_alarm_is_told_once_until_it_is_below)
{
    const ftli_group_options group = {.name = "a", .count = 1};
    struct timed timed = {.takes_ns = FTLI_NS_PER_MS};
    const ftli_actor_options options = {.operations = &TIMED, .state = &timed, .group = "a"};
    ftli_kernel *kernel = kernel_with_alarms(&group, 1, true);
    ftli_actor *actor;
    cr_assert_eq(ftli_kernel_add_actor(kernel, "timed", &options, &actor), FTL_OK);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    cr_expect_eq(alarms_after(kernel, actor, FTLI_LANE_HIGH, 1, 49 * FTLI_NS_PER_MS), 0);
    cr_expect_eq(alarms_after(kernel, actor, FTLI_LANE_NORMAL, 1, 1000 * FTLI_NS_PER_S), 0, "it has none");
    cr_expect_eq(alarms_after(kernel, actor, FTLI_LANE_HIGH, 8, 60 * FTLI_NS_PER_MS), 1, "all eight are late");
    cr_expect_eq(ftli_u32_load_relaxed(&alarmed.lane), FTLI_LANE_HIGH);
    cr_expect_eq(ftli_u64_load_relaxed(&alarmed.age_ns), 60 * FTLI_NS_PER_MS);
    cr_expect_eq(alarms_after(kernel, actor, FTLI_LANE_HIGH, 1, 60 * FTLI_NS_PER_MS), 2, "once more");
    cr_expect_eq(alarms_after(kernel, actor, FTLI_LANE_EMERGENCY, 1, 20 * FTLI_NS_PER_MS), 3);
    cr_expect_eq(alarms_after(kernel, actor, FTLI_LANE_HIGH, 0, 3600 * FTLI_NS_PER_S), 3, "nothing waits");
    ftli_actor_figures figures;
    ftli_actor_read(actor, &figures);
    cr_expect_eq(figures.alarms, 3);
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
}

Test(watchdog, a_lane_behind_a_receive_that_does_not_end_is_seen)
{
    const ftli_group_options groups[] = {{.name = "a", .count = 1}, {.name = "b", .count = 1}};
    static ftli_message stuck, urgent;
    struct slow slow = {.let_go = {0}}, other = {.let_go = {0}};
    ftli_kernel *kernel = kernel_with_alarms(groups, 2, false);
    ftli_actor *actor = add(kernel, "slow", "a", &slow, 0), *behind = add(kernel, "behind", "a", &other, 0);
    (void)add(kernel, "other", "b", &other, 0);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    stuck = (ftli_message){.type = 1};
    ftli_actor_send(actor, FTLI_LANE_NORMAL, &stuck);
    while (ftli_u32_load_acquire(&slow.inside) == 0) {
        ftli_actor_wake(actor); /* it would wait for nine more */
        (void)sched_yield();
    }
    urgent = (ftli_message){.type = 0};
    ftli_actor_send(behind, FTLI_LANE_EMERGENCY, &urgent); /* the group's thread is not free */
    while (ftli_u32_load_acquire(&alarmed.count) == 0)
        (void)sched_yield();
    cr_expect_eq(ftli_u32_load_relaxed(&alarmed.lane), FTLI_LANE_EMERGENCY);
    cr_expect_gt(ftli_u64_load_relaxed(&alarmed.age_ns), 10 * FTLI_NS_PER_MS);
    ftli_u32_store_release(&slow.let_go, 1);
    cr_assert_eq(ftli_kernel_stop(kernel, FTLI_NS_PER_S), FTL_OK);
    cr_expect_eq(ftli_kernel_alarms(kernel), 1);
    ftli_kernel_destroy(kernel);
}

static int fail(void *state, ftli_context *context, ftli_message *message)
{
    (void)state, (void)context, (void)message;
    return FTL_EINTERNAL;
}

Test(watchdog, a_lane_of_an_actor_that_is_down_is_seen)
{
    static const ftli_actor_operations FAILS = {.type = "fails", .on_message = fail, .restartable = true};
    const ftli_group_options groups[] = {{.name = "a", .count = 1}, {.name = "b", .count = 1}};
    static ftli_message last, late;
    struct slow other = {.let_go = {0}};
    ftli_kernel *kernel = kernel_with_alarms(groups, 2, false);
    const ftli_actor_options options = {.operations = &FAILS, .group = "a"};
    ftli_actor *actor;
    cr_assert_eq(ftli_kernel_add_actor(kernel, "fails", &options, &actor), FTL_OK);
    (void)add(kernel, "other", "b", &other, 0);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
    memset(&last, 0, sizeof last);
    memset(&late, 0, sizeof late);
    ftli_actor_send(actor, FTLI_LANE_HIGH, &last);
    while (!ftli_actor_is_down(actor))
        (void)sched_yield();
    ftli_actor_send(actor, FTLI_LANE_EMERGENCY, &late);
    while (ftli_u32_load_acquire(&alarmed.count) != 2) /* both wait from now on */
        (void)sched_yield();
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    cr_expect_eq(ftli_kernel_alarms(kernel), 2);
    ftli_kernel_destroy(kernel);
}
