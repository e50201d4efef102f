/* The outside of an actor: posting, marks, figures. The inside is run.c. */
#include "runtime/kernel/actor.h"

#include <fettle/fettle.h>

#include "runtime/kernel/internal.h"

/* A lane below its mark: the actor runs when the oldest of it has waited long enough. */
static void arm_age(ftli_actor *actor, uint64_t now_ns)
{
    /* pairs: age-due. Armed already: the runner that disarms it looks at the lanes afterwards. */
    if (ftli_u64_load_seq_cst(&actor->age_due_ns) != FTLI_NEVER_NS)
        return;
    if (now_ns == 0)
        now_ns = ftli_kernel_coarse_ns(actor->kernel);
    uint64_t expected = FTLI_NEVER_NS;
    const uint64_t due_ns = ftli_deadline_ns(now_ns, ftli_u64_load_relaxed(&actor->wake_age_ns));
    if (ftli_u64_cas_seq_cst(&actor->age_due_ns, &expected, due_ns))
        ftli_group_note_due(actor->group, due_ns);
}

static inline void push(ftli_actor *actor, unsigned lane, ftli_link *link, uint64_t now_ns)
{
    const uint64_t unseen = ftli_mailbox_push(&actor->mailbox, lane, link, now_ns);
    /* pairs: actor-word. After the push in the total order: the runner that we see here will see the push. */
    if (ftli_u32_load_seq_cst(&actor->word) != 0)
        return;
    if (lane <= FTLI_LANE_HIGH || unseen >= ftli_u32_load_relaxed(&actor->wake_messages))
        (void)ftli_actor_queue(actor, true);
    else
        arm_age(actor, now_ns);
}

void ftli_actor_post_foreign(ftli_actor *actor, unsigned lane, ftli_link *link, uint64_t now_ns)
{
    push(actor, lane, link, now_ns);
}

void ftli_actor_post(ftli_actor *actor, unsigned lane, ftli_link *link)
{
    uint64_t now_ns = 0; /* the clock is read only when somebody needs it: it costs as much as the push */
    if (ftli_link_is_item(link)) {
        if (!ftli_mailbox_is_stamped(&actor->mailbox, lane))
            now_ns = ftli_kernel_coarse_ns(actor->kernel);
    } else {
        now_ns = ftli_kernel_now_ns(actor->kernel);
        ftli_link_message(link)->sent_ns = now_ns;
    }
    push(actor, lane, link, now_ns);
}

#define COARSE_FROM_NS (UINT64_C(20) * 1000 * 1000)

/* Before the due time is armed, so that whoever sees that sees this as well. */
static void raise_longest_delay(ftli_actor *actor, uint64_t delay_ns)
{
    uint64_t found = ftli_u64_load_seq_cst(&actor->longest_delay_ns);
    while (found < delay_ns && !ftli_u64_cas_seq_cst(&actor->longest_delay_ns, &found, delay_ns))
        ;
}

void ftli_actor_run_within(ftli_actor *actor, uint64_t delay_ns)
{
    /* What is armed is due within the longest delay ever asked for: whoever asks for no less needs no clock. */
    if (ftli_u64_load_seq_cst(&actor->tick_due_ns) != FTLI_NEVER_NS && /* pairs: tick-due */
        delay_ns >= ftli_u64_load_seq_cst(&actor->longest_delay_ns))
        return;
    raise_longest_delay(actor, delay_ns);
    uint64_t due_ns = 0; /* the coarse clock may be so far behind that a short delay from it were over already */
    if (delay_ns != 0)
        due_ns = ftli_deadline_ns(delay_ns < COARSE_FROM_NS ? ftli_kernel_now_ns(actor->kernel)
                                                            : ftli_kernel_coarse_ns(actor->kernel),
                                  delay_ns);
    if (ftli_u64_lower_seq_cst(&actor->tick_due_ns, due_ns)) /* pairs: tick-due */
        ftli_group_note_due(actor->group, due_ns);
}

void ftli_actor_wake(ftli_actor *actor)
{
    /* With somebody inside it, that one finds it due when it leaves; queued already, it runs anyway. */
    (void)ftli_u64_lower_seq_cst(&actor->age_due_ns, 0); /* pairs: age-due */
    (void)ftli_actor_queue(actor, true);
}

int ftli_actor_kill(ftli_actor *actor)
{
    uint32_t alive = 0;
    if (ftli_actor_is_down(actor) || (ftli_u32_load_seq_cst(&actor->word) & FTLI_WORD_STOPPED) != 0 ||
        !ftli_u32_cas_seq_cst(&actor->killed, &alive, 1))
        return FTL_EBUSY;
    ftli_actor_wake(actor);
    return FTL_OK;
}

bool ftli_actor_is_restartable(const ftli_actor *actor)
{
    return actor->operations->restartable;
}

void ftli_actor_set_wake(ftli_actor *actor, uint32_t wake_messages, uint64_t wake_age_ns)
{
    if (wake_messages != 0)
        ftli_u32_store_relaxed(&actor->wake_messages, wake_messages);
    if (wake_age_ns != 0)
        ftli_u64_store_relaxed(&actor->wake_age_ns, wake_age_ns);
}

void ftli_actor_set_ignore_priority(ftli_actor *actor, bool ignore)
{
    ftli_u32_store_relaxed(&actor->ignore_priority, ignore);
}

unsigned ftli_actor_help(ftli_actor *actor, unsigned most)
{
    if (ftli_kernel_is_service_thread(actor->kernel) || !ftli_actor_try_take(actor, false))
        return 0;
    const unsigned received = ftli_actor_run(actor, most, false);
    (void)ftli_u64_fetch_add_relaxed(&actor->helped, received);
    return received;
}

uint64_t ftli_actor_due_ns(const ftli_actor *actor)
{
    const uint32_t word = ftli_u32_load_seq_cst(&actor->word);
    if ((word & FTLI_WORD_STOPPED) != 0)
        return FTLI_NEVER_NS;
    if ((word & FTLI_WORD_HELD) != 0) {
        /* With RUNNING still set, whoever is inside notes the due time when it leaves. */
        return (word & FTLI_WORD_RUNNING) != 0 ? FTLI_NEVER_NS : ftli_u64_load_seq_cst(&actor->resume_due_ns);
    }
    if (word != 0)
        return FTLI_NEVER_NS;                                    /* it will run anyway, and who runs it looks again */
    uint64_t due_ns = ftli_u64_load_seq_cst(&actor->age_due_ns); /* pairs: age-due */
    const uint64_t tick_ns = ftli_u64_load_seq_cst(&actor->tick_due_ns);
    const uint64_t timer_ns = ftli_u64_load_seq_cst(&actor->timer_due_ns);
    due_ns = tick_ns < due_ns ? tick_ns : due_ns;
    return timer_ns < due_ns ? timer_ns : due_ns;
}

const char *ftli_actor_name(const ftli_actor *actor)
{
    return actor->name;
}

uint32_t ftli_actor_index(const ftli_actor *actor)
{
    return actor->index;
}

void *ftli_actor_state(const ftli_actor *actor)
{
    return actor->state;
}

ftli_kernel *ftli_actor_kernel(const ftli_actor *actor)
{
    return actor->kernel;
}

static uint32_t phase_of(const ftli_actor *actor)
{
    const uint32_t word = ftli_u32_load_seq_cst(&actor->word);
    if ((word & FTLI_WORD_RUNNING) != 0)
        return FTLI_ACTOR_RUNNING;
    if ((word & FTLI_WORD_STOPPED) != 0)
        return FTLI_ACTOR_STOPPED;
    if ((word & FTLI_WORD_HELD) != 0)
        return ftli_u32_load_acquire(&actor->phase_held);
    return (word & FTLI_WORD_QUEUED) != 0 ? FTLI_ACTOR_QUEUED : FTLI_ACTOR_IDLE;
}

bool ftli_actor_is_down(const ftli_actor *actor)
{
    return phase_of(actor) == FTLI_ACTOR_DOWN;
}

bool ftli_actor_is_degraded(const ftli_actor *actor)
{
    return ftli_u32_load_acquire(&actor->degraded) != 0;
}

void ftli_actor_read(const ftli_actor *actor, ftli_actor_figures *out)
{
    *out = (ftli_actor_figures){.phase = phase_of(actor)};
    for (unsigned i = 0; i < FTLI_LANES; i++) {
        ftli_mailbox_figures(&actor->mailbox, i, &out->lanes[i]);
        const uint64_t oldest = out->lanes[i].oldest_ns;
        if (oldest != 0 && (out->oldest_ns == 0 || oldest < out->oldest_ns))
            out->oldest_ns = oldest;
    }
    out->messages = ftli_u64_load_acquire(&actor->messages);
    out->runs = ftli_u64_load_acquire(&actor->runs);
    out->ticks = ftli_u64_load_acquire(&actor->ticks);
    out->busy_ns = ftli_u64_load_acquire(&actor->busy_ns);
    out->longest_run_ns = ftli_u64_load_acquire(&actor->longest_run_ns);
    out->failures = ftli_u64_load_acquire(&actor->failures);
    out->restarts = ftli_u64_load_acquire(&actor->restarts);
    out->overdue = ftli_u64_load_acquire(&actor->overdue);
    out->alarms = ftli_u64_load_acquire(&actor->alarms);
    out->degraded = ftli_actor_is_degraded(actor);
    out->helped = ftli_u64_load_acquire(&actor->helped);
}
