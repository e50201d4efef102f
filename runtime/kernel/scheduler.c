/* Which actor of a group runs next: the ready words, and the due times.
 *
 * Ready   A bit per actor, set by whoever sets QUEUED, cleared by whoever pops. No list, so nothing to corrupt and no
 *         poster to wait for.
 * Due     Each actor publishes its due times; nobody keeps a queue of them. A group has few actors, and a thread looks
 *         at all of them before it runs one and before it sleeps.
 * Sleep   One sleeper of a group, the timekeeper, sleeps until the least due time and says so in sleep_until_ns; the
 *         others sleep until they are signalled. Who makes a due time earlier than that wakes them to look again.
 *         Lost wake-ups cannot be: the sleeper writes until when, announces itself, then looks at the due times again, and
 *         sleeps until the earlier of the two; who changes one does so before it looks for sleepers and at their date. All of it is
 *         in one total order.
 */
#include "runtime/kernel/internal.h"

static ftli_actor *actor_at(const ftli_group *group, uint32_t position)
{
    return ftli_pointer_load_acquire(&group->actors[position]); /* pairs: actor-published */
}

static void wake(ftli_group *group, bool all)
{
    /* Threads that are lent sleep on one event for all groups: which of them serves this one is not known. */
    all = all || group->event != &group->own_event;
    if (all ? ftli_event_signal_all(group->event) : ftli_event_signal(group->event))
        (void)ftli_u64_fetch_add_relaxed(&group->wakes, 1);
}

bool ftli_actor_queue(ftli_actor *actor, bool signal)
{
    uint32_t found = 0;
    if (!ftli_u32_cas_seq_cst(&actor->word, &found, FTLI_WORD_QUEUED)) /* pairs: actor-word */
        return false;
    ftli_group *group = actor->group;
    const uint64_t bit = UINT64_C(1) << (actor->position % 64);
    (void)ftli_u64_fetch_or_seq_cst(&group->ready[actor->position / 64], bit); /* pairs: ready, event-waiters */
    if (signal)
        wake(group, false);
    return true;
}

void ftli_group_note_due(ftli_group *group, uint64_t due_ns)
{
    if (ftli_u32_load_seq_cst(&group->event->waiters) == 0) /* pairs: event-waiters */
        return;
    if (due_ns < ftli_u64_load_seq_cst(&group->sleep_until_ns)) /* pairs: sleep-until */
        wake(group, true);
}

static ftli_actor *pop_from(ftli_group *group, uint32_t index, uint64_t mask, uint32_t *cursor)
{
    ftli_atomic_u64 *word = &group->ready[index];
    uint64_t bits = ftli_u64_load_seq_cst(word) & mask; /* pairs: ready */
    while (bits != 0) {
        const uint64_t bit = bits & (0 - bits);
        bits -= bit;
        if ((ftli_u64_fetch_and_seq_cst(word, ~bit) & bit) == 0)
            continue; /* another thread was faster */
        const uint32_t position = index * 64 + (uint32_t)__builtin_ctzll(bit);
        ftli_actor *actor = actor_at(group, position);
        *cursor = position + 1;
        if (ftli_actor_try_take(actor, true))
            return actor;
        /* A helper is inside it: QUEUED is cleared, and the helper looks again when it leaves. */
    }
    return NULL;
}

ftli_actor *ftli_group_pop(ftli_group *group, uint32_t *cursor)
{
    const uint32_t count = ftli_u32_load_acquire(&group->actor_count);
    if (count == 0)
        return NULL;
    const uint32_t words = (count + 63) / 64;
    const uint32_t start = *cursor % count; /* in turn, so that none starves */
    ftli_actor *actor = pop_from(group, start / 64, UINT64_MAX << (start % 64), cursor);
    for (uint32_t i = 1; actor == NULL && i <= words; i++)
        actor = pop_from(group, (start / 64 + i) % words, UINT64_MAX, cursor);
    return actor;
}

bool ftli_group_has_ready(const ftli_group *group)
{
    const uint32_t count = ftli_u32_load_acquire(&group->actor_count);
    for (uint32_t i = 0; i < (count + 63) / 64; i++)
        if (ftli_u64_load_seq_cst(&group->ready[i]) != 0) /* pairs: ready */
            return true;
    return false;
}

void ftli_group_queue_due(ftli_group *group, uint64_t now_ns)
{
    if (FTLI_UNLIKELY(ftli_u64_load_seq_cst(&group->watch_due_ns) <= now_ns)) /* pairs: watch-due */
        ftli_watchdog_look(group, now_ns);
    const uint32_t count = ftli_u32_load_acquire(&group->actor_count);
    for (uint32_t i = 0; i < count; i++) {
        ftli_actor *actor = actor_at(group, i);
        if (ftli_actor_due_ns(actor) > now_ns)
            continue;
        /* One that was held runs even if nothing is due: it has to start, and to look at its lanes. */
        (void)ftli_actor_resume(actor, now_ns);
        (void)ftli_actor_queue(actor, false);
    }
}

uint64_t ftli_group_next_due_ns(const ftli_group *group)
{
    uint64_t next_ns = ftli_u64_load_seq_cst(&group->watch_due_ns); /* pairs: watch-due */
    const uint32_t count = ftli_u32_load_acquire(&group->actor_count);
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t due_ns = ftli_actor_due_ns(actor_at(group, i));
        if (due_ns < next_ns)
            next_ns = due_ns;
    }
    return next_ns;
}

uint64_t ftli_group_depth(const ftli_group *group)
{
    uint64_t depth = 0;
    const uint32_t count = ftli_u32_load_acquire(&group->actor_count);
    for (uint32_t i = 0; i < count; i++)
        depth += ftli_mailbox_depth(&actor_at(group, i)->mailbox);
    return depth;
}

bool ftli_group_run_one(ftli_group *group, uint32_t *cursor)
{
    if (ftli_kernel_is_forked(group->kernel))
        return false;
    ftli_group_queue_due(group, ftli_kernel_now_ns(group->kernel));
    ftli_actor *actor = ftli_group_pop(group, cursor);
    if (actor == NULL)
        return false;
    (void)ftli_actor_run(actor, FTLI_RUN_MOST, false);
    return true;
}
