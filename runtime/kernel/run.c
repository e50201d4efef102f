/* The inside of an actor: one run, from the taking of its token to the last look after its release. */
#include <fettle/fettle.h>

#include "runtime/base/assert.h"
#include "runtime/base/plant.h"
#include "runtime/kernel/internal.h"

/* The actor that this thread is inside of. initial-exec: it is read in signal handlers. */
static __thread ftli_actor *inside __attribute__((tls_model("initial-exec")));

bool ftli_kernel_is_service_thread(const ftli_kernel *kernel)
{
    return inside != NULL && inside->kernel == kernel;
}

bool ftli_kernel_is_inside(const void *user)
{
    return inside != NULL && inside->kernel->user == user;
}

/* ---- the token ---------------------------------------------------------------------------------------------- */

bool ftli_actor_try_take(ftli_actor *actor, bool popped)
{
    uint32_t found = ftli_u32_load_relaxed(&actor->word);
    for (;;) {
        const uint32_t rest = popped ? found & ~(uint32_t)FTLI_WORD_QUEUED : found; /* a helper leaves it alone */
        const bool free = (found & (FTLI_WORD_RUNNING | FTLI_WORD_HELD | FTLI_WORD_STOPPED)) == 0;
        if (!free && rest == found)
            return false;
        /* pairs: actor-word; also run-token: what the last run wrote is seen by this one */
        if (ftli_u32_cas_seq_cst(&actor->word, &found, free ? rest | FTLI_WORD_RUNNING : rest))
            return free;
    }
}

static void release(ftli_actor *actor, bool hold)
{
    uint32_t found = ftli_u32_load_relaxed(&actor->word);
    while (!ftli_u32_cas_seq_cst(&actor->word, &found, /* pairs: actor-word, run-token, stopping */
                                 (found & ~(uint32_t)FTLI_WORD_RUNNING) | (hold ? FTLI_WORD_HELD : 0u)))
        ;
    if (FTLI_UNLIKELY(ftli_u32_load_seq_cst(&actor->kernel->stopping) != 0))
        (void)ftli_event_signal_all(&actor->kernel->stop_event);
}

bool ftli_actor_has_mail(const ftli_actor *actor)
{
    for (unsigned i = 0; i < FTLI_LANES; i++)
        if (ftli_mailbox_lane_has_new(&actor->mailbox, i))
            return true;
    return false;
}

static bool lanes_want_a_run(const ftli_actor *actor)
{
    const uint32_t mark = ftli_u32_load_relaxed(&actor->wake_messages);
    for (unsigned i = 0; i < FTLI_LANES; i++)
        if (ftli_mailbox_lane_has_new(&actor->mailbox, i) &&
            (i <= FTLI_LANE_HIGH || ftli_mailbox_unseen(&actor->mailbox, i) >= mark))
            return true;
    return false;
}

/* Posters that saw RUNNING left everything to this look. */
static void look_again(ftli_actor *actor, bool more, bool worker)
{
    const bool held = (ftli_u32_load_seq_cst(&actor->word) & FTLI_WORD_HELD) != 0;
    if (!held && (more || lanes_want_a_run(actor))) {
        (void)ftli_actor_queue(actor, !worker);
        return;
    }
    if (!held && ftli_actor_has_mail(actor)) {
        const uint64_t now_ns = ftli_kernel_now_ns(actor->kernel);
        (void)ftli_u64_lower_seq_cst(&actor->age_due_ns, /* pairs: age-due */
                                     ftli_deadline_ns(now_ns, ftli_u64_load_relaxed(&actor->wake_age_ns)));
    }
    const uint64_t due_ns = ftli_actor_due_ns(actor);
    if (due_ns != FTLI_NEVER_NS)
        ftli_group_note_due(actor->group, due_ns);
}

bool ftli_actor_resume(ftli_actor *actor, uint64_t now_ns)
{
    /* Only once RUNNING is released: the one who failed writes the date before it sets HELD. */
    const uint32_t word = ftli_u32_load_seq_cst(&actor->word);
    if ((word & FTLI_WORD_HELD) == 0 || (word & FTLI_WORD_RUNNING) != 0)
        return false;
    uint64_t due_ns = ftli_u64_load_seq_cst(&actor->resume_due_ns);
    if (due_ns > now_ns || ftli_u32_load_seq_cst(&actor->kernel->stopping) != 0)
        return false;
    if (!ftli_u64_cas_seq_cst(&actor->resume_due_ns, &due_ns, FTLI_NEVER_NS))
        return false; /* another thread of the group does it */
    (void)ftli_u32_fetch_and_seq_cst(&actor->word, ~(uint32_t)FTLI_WORD_HELD);
    return true;
}

/* ---- receiving ------------------------------------------------------------------------------------------------ */

/* Names for what is received and is no link. */
static const void *at_start(const ftli_actor *actor)
{
    return &actor->needs_start;
}

static const void *at_tick(const ftli_actor *actor)
{
    return &actor->tick_due_ns;
}

static void succeeded(ftli_actor *actor, const void *at)
{
    /* Another message than the one that failed says nothing about it. */
    if (FTLI_LIKELY(!actor->failing))
        return;
    if (actor->failed_at == at || (actor->failed_at == NULL && at != at_start(actor)))
        ftli_actor_recovered(actor);
}

/* The first of several that fail stays the one to be received. */
static int failed(ftli_actor *actor, const void *at, int status)
{
    if (!actor->failing)
        actor->failed_at = at;
    return status;
}

static int begin(ftli_actor *actor)
{
    if (!actor->needs_start) {
        succeeded(actor, at_start(actor)); /* what failed there was no message, and the answer was to go on */
        return FTL_OK;
    }
    const ftli_actor_operations *operations = actor->operations;
    const int status = operations->start != NULL ? operations->start(actor->state, &actor->context) : FTL_OK;
    if (status != FTL_OK) {
        ftli_actor_forget_timers(actor); /* the next start makes them new */
        return failed(actor, at_start(actor), status);
    }
    actor->needs_start = false;
    actor->started = true;
    ftli_u64_add_owner(&actor->restarts, 1);
    (void)ftli_u64_fetch_add_relaxed(&actor->kernel->restarts, 1);
    ftli_actor_tell(actor, FTLI_NEWS_RESTARTED, FTL_OK);
    succeeded(actor, at_start(actor));
    ftli_round_started(actor);
    return FTL_OK;
}

/* Whether somebody killed it; once. */
static bool is_killed(ftli_actor *actor)
{
    if (FTLI_LIKELY(ftli_u32_load_relaxed(&actor->killed) == 0))
        return false;
    ftli_u32_store_release(&actor->killed, 0);
    return true;
}

/* What may answer instead of the receive: a kill, or the simulation, which also notes what is received. link NULL: a timer, or
 * the tick. */
static int disturbed(ftli_actor *actor, unsigned lane, const ftli_link *link)
{
    if (FTLI_UNLIKELY(is_killed(actor)))
        return FTL_EINTERNAL;
    return FTLI_UNLIKELY(actor->kernel->simulation != NULL) ? ftli_simulation_receive(actor, lane, link) : FTL_OK;
}

static int tick(ftli_actor *actor, uint64_t now_ns)
{
    if (ftli_u64_load_seq_cst(&actor->tick_due_ns) > now_ns)
        return FTL_OK;
    ftli_u64_store_seq_cst(&actor->tick_due_ns, FTLI_NEVER_NS); /* before the tick: what asks again during it counts */
    if (actor->operations->on_tick == NULL)
        return FTL_OK;
    int status = disturbed(actor, FTLI_LANES, NULL);
    if (status == FTL_OK)
        status = actor->operations->on_tick(actor->state, &actor->context);
    if (status != FTL_OK) {
        (void)ftli_u64_lower_seq_cst(&actor->tick_due_ns, now_ns); /* once more, after the failure */
        return failed(actor, at_tick(actor), status);
    }
    ftli_u64_add_owner(&actor->ticks, 1);
    succeeded(actor, at_tick(actor));
    return FTL_OK;
}

static int receive_timers(ftli_actor *actor, uint64_t now_ns, unsigned most, unsigned *received)
{
    ftli_timer *timer;
    while ((timer = ftli_timer_take_due(&actor->timers, now_ns)) != NULL)
        ftli_actor_append_due(actor, timer);
    while (actor->due_first != NULL && *received < most) {
        ftli_link *link = actor->due_first;
        int status = disturbed(actor, FTLI_LANES, NULL);
        if (status != FTL_OK)
            return failed(actor, link, status);
        timer = (ftli_timer *)(void *)link;
        actor->due_first = link->next;
        if (actor->due_first == NULL)
            actor->due_last = NULL;
        timer->state = FTLI_TIMER_IDLE; /* from here on the actor may arm it again, or free it */
        status = actor->operations->on_message(actor->state, &actor->context, &timer->message);
        if (status != FTL_OK) {
            if (timer->state == FTLI_TIMER_IDLE) { /* else it comes again anyway */
                timer->state = FTLI_TIMER_DUE;
                link->next = actor->due_first;
                actor->due_first = link;
                if (actor->due_last == NULL)
                    actor->due_last = link;
            }
            return failed(actor, link, status);
        }
        ++*received;
        ftli_u64_add_owner(&actor->messages, 1);
        succeeded(actor, link);
    }
    return FTL_OK;
}

static int receive_one(ftli_actor *actor, unsigned lane, ftli_link *link)
{
    const ftli_actor_operations *operations = actor->operations;
    const int status = disturbed(actor, lane, link);
    if (FTLI_UNLIKELY(status != FTL_OK))
        return status;
    if (!ftli_link_is_item(link) && !actor->mailbox.foreign)
        return operations->on_message(actor->state, &actor->context, ftli_link_message(link));
    FTLI_INVARIANT(operations->on_item != NULL, "an item was posted to actor %s", actor->name);
    return operations->on_item(actor->state, &actor->context, lane, link);
}

static int receive_mail(ftli_actor *actor, unsigned most, unsigned *received)
{
    actor->mailbox.ignore_priority = ftli_u32_load_relaxed(&actor->ignore_priority) != 0;
    while (*received < most) {
        unsigned lane;
        ftli_link *link = ftli_mailbox_take(&actor->mailbox, &lane);
        if (link == NULL)
            return FTL_OK;
        const int status = receive_one(actor, lane, link);
        if (FTLI_UNLIKELY(status != FTL_OK)) {
            if (!FTLI_PLANTED(FORGOTTEN_REDELIVERY))
                ftli_mailbox_put_back(&actor->mailbox, lane, link);
            return failed(actor, link, status);
        }
        ++*received;
        ftli_u64_add_owner(&actor->messages, 1);
        succeeded(actor, link);
    }
    return FTL_OK;
}

/* Somebody's look found its invariants broken; this look, under the token, is the one that counts. */
static int examine(ftli_actor *actor)
{
    if (FTLI_LIKELY(ftli_u32_load_relaxed(&actor->suspect) == 0))
        return FTL_OK;
    ftli_u32_store_relaxed(&actor->suspect, 0);
    return ftli_actor_is_corrupt(actor) ? failed(actor, at_start(actor), FTL_EINTERNAL) : FTL_OK;
}

static int receive_all(ftli_actor *actor, uint64_t now_ns, unsigned most, unsigned *received)
{
    int status = begin(actor);
    if (status == FTL_OK)
        status = examine(actor);
    if (status == FTL_OK)
        status = tick(actor, now_ns);
    if (status == FTL_OK)
        status = receive_timers(actor, now_ns, most, received);
    if (status == FTL_OK)
        status = receive_mail(actor, most, received);
    if (status == FTL_OK && *received == 0 && FTLI_UNLIKELY(is_killed(actor)))
        status = failed(actor, at_start(actor), FTL_EINTERNAL);
    const bool ended = FTLI_UNLIKELY(status != FTL_OK) && ftli_kernel_is_forked(actor->kernel);
    if (actor->started && actor->operations->after_batch != NULL && !ended)
        actor->operations->after_batch(actor->state, &actor->context);
    return status;
}

static int receive_watched(ftli_actor *actor, uint64_t now_ns, unsigned most, unsigned *received)
{
    if (actor->receive_ns == 0 && actor->kernel->alarm_look_ns == 0)
        return receive_all(actor, now_ns, most, received);
    ftli_watchdog_enter(actor, now_ns);
    const uint64_t ticks = ftli_u64_load_relaxed(&actor->ticks);
    const int status = receive_all(actor, now_ns, most, received);
    const uint64_t receives = *received + (ftli_u64_load_relaxed(&actor->ticks) - ticks) + (status != FTL_OK);
    ftli_watchdog_leave(actor, ftli_kernel_now_ns(actor->kernel), receives <= 1);
    return status;
}

unsigned ftli_actor_run(ftli_actor *actor, unsigned most, bool worker)
{
    ftli_actor *const outer = inside;
    inside = actor;
    const uint64_t started_ns = ftli_kernel_now_ns(actor->kernel);
    /* pairs: age-due. Before the lanes are looked at: a poster that found it armed is in them. */
    ftli_u64_store_seq_cst(&actor->age_due_ns, FTLI_NEVER_NS);

    ftli_watchdog_look_at_lanes(actor, started_ns);
    unsigned received = 0;
    bool hold = FTLI_UNLIKELY(ftli_u32_load_seq_cst(&actor->round) == FTLI_ROUND_STOPPING); /* pairs: round-turn */
    if (hold) {
        ftli_round_stop(actor);
    } else {
        const int status = receive_watched(actor, started_ns, most, &received);
        hold = FTLI_UNLIKELY(status != FTL_OK);
        if (hold && ftli_kernel_is_forked(actor->kernel)) { /* what other threads hold is held for ever here */
            inside = outer;
            return received;
        }
        if (hold)
            ftli_actor_fail(actor, status);
    }

    const bool more =
        !FTLI_PLANTED(LOST_WAKEUP) && (actor->due_first != NULL || ftli_mailbox_has_in_hand(&actor->mailbox));
    ftli_u64_store_seq_cst(&actor->timer_due_ns, ftli_timer_next_ns(&actor->timers));
    const uint64_t spent_ns = ftli_kernel_now_ns(actor->kernel) - started_ns;
    ftli_u64_add_owner(&actor->runs, 1);
    ftli_u64_add_owner(&actor->busy_ns, spent_ns);
    if (spent_ns > ftli_u64_load_relaxed(&actor->longest_run_ns))
        ftli_u64_store_relaxed(&actor->longest_run_ns, spent_ns);
    (void)ftli_u64_fetch_add_relaxed(&actor->group->busy_ns, spent_ns);
    (void)ftli_u64_fetch_add_relaxed(&actor->group->runs, 1);
    if (FTLI_UNLIKELY(ftli_u32_load_relaxed(&actor->alarmed) != 0)) /* it may be below its alarm by now */
        ftli_watchdog_look_at_lanes(actor, started_ns + spent_ns);
    if (FTLI_UNLIKELY(hold))
        ftli_watchdog_hold(actor, started_ns + spent_ns);
    inside = outer;
    release(actor, hold);
    look_again(actor, more, worker);
    return received;
}

/* ---- first and last -------------------------------------------------------------------------------------------- */

int ftli_actor_first_start(ftli_actor *actor)
{
    ftli_actor *const outer = inside;
    inside = actor;
    const ftli_actor_operations *operations = actor->operations;
    const int status = operations->start != NULL ? operations->start(actor->state, &actor->context) : FTL_OK;
    inside = outer;
    if (status != FTL_OK)
        ftli_actor_forget_timers(actor);
    actor->started = status == FTL_OK;
    ftli_u64_store_seq_cst(&actor->timer_due_ns, ftli_timer_next_ns(&actor->timers));
    return status;
}

void ftli_actor_open(ftli_actor *actor)
{
    (void)ftli_u32_fetch_and_seq_cst(&actor->word, ~(uint32_t)FTLI_WORD_HELD); /* pairs: actor-word, run-token */
    look_again(actor, false, false);
}

void ftli_actor_last_stop(ftli_actor *actor)
{
    ftli_event *event = &actor->kernel->stop_event;
    for (;;) { /* a lent thread may still be inside; it signals when it leaves, because the kernel is stopping */
        const uint32_t ticket = ftli_event_prepare(event);
        const uint32_t before = ftli_u32_fetch_or_seq_cst(&actor->word, FTLI_WORD_STOPPED); /* pairs: stopping */
        if ((before & FTLI_WORD_RUNNING) == 0) {
            ftli_event_cancel(event);
            break;
        }
        (void)ftli_event_wait(event, ticket, FTLI_NEVER_NS);
    }
    ftli_u64_store_seq_cst(&actor->resume_due_ns, FTLI_NEVER_NS);
    if (actor->started) {
        ftli_actor *const outer = inside;
        inside = actor;
        if (actor->operations->stop != NULL)
            actor->operations->stop(actor->state, &actor->context);
        inside = outer;
        actor->started = false;
    }
    ftli_actor_forget_timers(actor);
    ftli_u32_store_release(&actor->phase_held, FTLI_ACTOR_STOPPED);
}

/* ---- the context ------------------------------------------------------------------------------------------------- */

uint64_t ftli_now_ns(const ftli_context *context)
{
    return ftli_kernel_now_ns(context->actor->kernel);
}

uint64_t ftli_random(ftli_context *context)
{
    return ftli_random_next(&context->actor->random);
}

void ftli_after(ftli_context *context, uint64_t delay_ns, ftli_timer *timer)
{
    ftli_actor *actor = context->actor;
    timer->message.sent_ns = ftli_kernel_now_ns(actor->kernel);
    ftli_timer_arm(&actor->timers, timer, ftli_deadline_ns(timer->message.sent_ns, delay_ns));
}

bool ftli_cancel(ftli_context *context, ftli_timer *timer)
{
    return ftli_timer_disarm(&context->actor->timers, timer);
}

ftli_actor *ftli_self(const ftli_context *context)
{
    return context->actor;
}
