/* After a receive that failed: the question, the answer, and restarts of several actors together.
 *
 * Round   With one_for_all and rest_for_one several actors are stopped, the last first, and then started, the first first.
 *         Each does it itself, under its own token, on a thread of its own group; what is handed on is the turn, a word of
 *         each actor (`round`). A round that a second failure finds under way takes in those that have started already.
 *         Nobody waits for anybody: who is inside a long receive has its turn when it leaves.
 */
#include <fettle/fettle.h>

#include "runtime/kernel/internal.h"

void ftli_actor_tell(ftli_actor *actor, uint32_t kind, int status)
{
    ftli_kernel *kernel = actor->kernel;
    if (kernel->on_news == NULL)
        return;
    const ftli_news news = {.kind = kind, .status = status, .time_ns = ftli_kernel_now_ns(kernel), .actor = actor};
    kernel->on_news(kernel->user, &news);
}

/* ---- timers -------------------------------------------------------------------------------------------------------- */

void ftli_actor_append_due(ftli_actor *actor, ftli_timer *timer)
{
    timer->message.link.next = NULL;
    if (actor->due_last == NULL)
        actor->due_first = &timer->message.link;
    else
        actor->due_last->next = &timer->message.link;
    actor->due_last = &timer->message.link;
}

/* Timers live in the state; a restart makes the state new, so they go first. */
void ftli_actor_forget_timers(ftli_actor *actor)
{
    ftli_timer *timer;
    while ((timer = ftli_timer_take_due(&actor->timers, FTLI_NEVER_NS)) != NULL)
        ftli_actor_append_due(actor, timer);
    for (ftli_link *link = actor->due_first; link != NULL;) {
        ftli_link *next = link->next;
        if (actor->failed_at == link)
            actor->failed_at = NULL; /* it does not come again */
        ((ftli_timer *)(void *)link)->state = FTLI_TIMER_IDLE;
        link = next;
    }
    actor->due_first = actor->due_last = NULL;
}

/* ---- rounds -------------------------------------------------------------------------------------------------------- */

static bool is_in(const ftli_actor *actor, uint32_t round)
{
    return ftli_u32_load_relaxed(&actor->round) == round;
}

static void give_turn(ftli_actor *actor, uint32_t round, uint64_t when_ns)
{
    ftli_u32_store_seq_cst(&actor->round, round); /* before the dates; pairs: round-turn */
    (void)ftli_u64_lower_seq_cst(&actor->resume_due_ns, when_ns);
    if (round == FTLI_ROUND_STOPPING)
        ftli_actor_wake(actor); /* unless it is held */
    ftli_group_note_due(actor->group, when_ns);
}

/* With the round token. */
static void next_turn(ftli_kernel *kernel)
{
    const unsigned count = ftli_kernel_actor_count(kernel);
    for (unsigned i = count; i-- > 0;) {
        ftli_actor *actor = ftli_kernel_actor(kernel, i);
        if (is_in(actor, FTLI_ROUND_STOPPING))
            return;
        if (is_in(actor, FTLI_ROUND_STOP)) {
            give_turn(actor, FTLI_ROUND_STOPPING, 0);
            return;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        ftli_actor *actor = ftli_kernel_actor(kernel, i);
        if (is_in(actor, FTLI_ROUND_STARTING))
            return;
        if (is_in(actor, FTLI_ROUND_WAITS)) {
            give_turn(actor, FTLI_ROUND_STARTING, kernel->round_start_ns);
            return;
        }
    }
}

/* With the round token: a turn that was given before is void, and with it the date that came with it. */
static void enter(ftli_actor *actor, uint32_t round)
{
    ftli_u64_store_seq_cst(&actor->resume_due_ns, FTLI_NEVER_NS);
    ftli_u32_store_relaxed(&actor->round, round);
}

/* The actor has stopped; those that its strategy names stop too, and all start again from start_ns on. */
static void begin_round(ftli_actor *failed, uint64_t start_ns)
{
    ftli_kernel *kernel = failed->kernel;
    const bool all = kernel->supervision.strategy == FTLI_RESTART_ONE_FOR_ALL;
    ftli_token_take(&kernel->round_token);
    if (kernel->round_start_ns < start_ns)
        kernel->round_start_ns = start_ns;
    for (unsigned i = all ? 0 : failed->index; i < ftli_kernel_actor_count(kernel); i++) {
        ftli_actor *actor = ftli_kernel_actor(kernel, i);
        if (actor != failed && actor->operations->restartable &&
            (is_in(actor, FTLI_ROUND_NONE) || is_in(actor, FTLI_ROUND_STARTING)))
            ftli_u32_store_relaxed(&actor->round, FTLI_ROUND_STOP);
    }
    enter(failed, FTLI_ROUND_WAITS);
    next_turn(kernel);
    ftli_token_release(&kernel->round_token);
}

static void change_round(ftli_actor *actor, uint32_t to)
{
    ftli_token_take(&actor->kernel->round_token);
    enter(actor, to);
    next_turn(actor->kernel);
    ftli_token_release(&actor->kernel->round_token);
}

void ftli_round_started(ftli_actor *actor)
{
    ftli_kernel *kernel = actor->kernel;
    if (kernel->supervision.strategy == FTLI_RESTART_ONE_FOR_ONE)
        return;
    ftli_token_take(&kernel->round_token);
    if (is_in(actor, FTLI_ROUND_STARTING)) { /* else it is to stop again */
        ftli_u32_store_relaxed(&actor->round, FTLI_ROUND_NONE);
        next_turn(kernel);
    }
    ftli_token_release(&kernel->round_token);
}

/* ---- failure ------------------------------------------------------------------------------------------------------- */

static void set_aside(ftli_actor *actor, bool with_stop)
{
    if (!actor->started)
        return;
    if (with_stop && actor->operations->stop != NULL)
        actor->operations->stop(actor->state, &actor->context);
    ftli_actor_forget_timers(actor);
    actor->started = false;
    actor->needs_start = true;
}

/* HELD is set when the actor is left; until then nobody resumes it. */
static void hold_until(ftli_actor *actor, uint64_t resume_ns, uint32_t phase)
{
    ftli_u64_store_seq_cst(&actor->resume_due_ns, resume_ns);
    ftli_u32_store_release(&actor->phase_held, phase);
}

void ftli_round_stop(ftli_actor *actor)
{
    set_aside(actor, true);
    ftli_u32_store_release(&actor->phase_held, FTLI_ACTOR_RESTARTING);
    change_round(actor, FTLI_ROUND_WAITS); /* its next turn gives it a date */
}

static void set_degraded(ftli_actor *actor, bool degraded, int status)
{
    if (ftli_actor_is_degraded(actor) == degraded)
        return;
    ftli_u32_store_release(&actor->degraded, degraded);
    ftli_actor_tell(actor, degraded ? FTLI_NEWS_DEGRADED : FTLI_NEWS_RECOVERED, status);
}

static ftli_decision ask(ftli_actor *actor, int status, uint64_t now_ns)
{
    const ftli_supervision *supervision = &actor->kernel->supervision;
    const bool restartable = actor->operations->restartable;
    ftli_decision decision = {FTLI_DECIDE_RETRY, FTLI_NS_PER_MS};
    if (supervision->decide != NULL)
        decision = supervision->decide(supervision->self, actor->index, restartable, status, now_ns);
    const uint32_t action = decision.action & ~(uint32_t)FTLI_DECIDE_DEGRADED;
    if ((action == FTLI_DECIDE_RESTART || action == FTLI_DECIDE_QUARANTINE) && !restartable)
        decision.action = FTLI_DECIDE_DOWN;
    return decision;
}

bool ftli_actor_is_corrupt(const ftli_actor *actor)
{
    char why[256];
    return actor->started && actor->operations->check != NULL &&
           actor->operations->check(actor->state, why, sizeof why) != FTL_OK;
}

static void go_down(ftli_actor *actor, int status)
{
    if (actor->kernel->supervision.strategy != FTLI_RESTART_ONE_FOR_ONE)
        change_round(actor, FTLI_ROUND_LEFT);
    hold_until(actor, FTLI_NEVER_NS, FTLI_ACTOR_DOWN); /* after the last turn that it may have been given */
    ftli_u32_store_release(&actor->degraded, 1);
    ftli_actor_tell(actor, FTLI_NEWS_DOWN, status);
}

void ftli_actor_fail(ftli_actor *actor, int status)
{
    const uint64_t now_ns = ftli_kernel_now_ns(actor->kernel);
    ftli_u64_add_owner(&actor->failures, 1);
    actor->failing = true;
    if (ftli_actor_is_corrupt(actor))
        status = FTLI_STATUS_CORRUPT;
    const ftli_decision decision = ask(actor, status, now_ns);
    const uint32_t action = decision.action & ~(uint32_t)FTLI_DECIDE_DEGRADED;
    const uint64_t resume_ns = ftli_deadline_ns(now_ns, decision.delay_ns);
    ftli_actor_tell(actor, FTLI_NEWS_FAILED, status);
    if (action != FTLI_DECIDE_RETRY)
        set_aside(actor,
                  action == FTLI_DECIDE_RESTART || (action == FTLI_DECIDE_DOWN && status != FTLI_STATUS_CORRUPT));
    if (action == FTLI_DECIDE_DOWN) {
        go_down(actor, status);
        return;
    }
    if ((decision.action & FTLI_DECIDE_DEGRADED) != 0)
        set_degraded(actor, true, status);
    if (action != FTLI_DECIDE_RETRY && actor->kernel->supervision.strategy != FTLI_RESTART_ONE_FOR_ONE) {
        ftli_u32_store_release(&actor->phase_held, FTLI_ACTOR_RESTARTING);
        begin_round(actor, resume_ns); /* its turn comes, with a date */
        return;
    }
    hold_until(actor, resume_ns, FTLI_ACTOR_RESTARTING);
    /* pairs: round-turn. Its turn to stop may have come before the date was written. */
    if (ftli_u32_load_seq_cst(&actor->round) == FTLI_ROUND_STOPPING)
        (void)ftli_u64_lower_seq_cst(&actor->resume_due_ns, 0);
}

void ftli_actor_recovered(ftli_actor *actor)
{
    actor->failing = false;
    actor->failed_at = NULL;
    set_degraded(actor, false, FTL_OK);
    const ftli_supervision *supervision = &actor->kernel->supervision;
    if (supervision->succeeded != NULL)
        supervision->succeeded(supervision->self, actor->index);
}
