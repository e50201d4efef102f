/* The watchdog: sees a receive that is past its deadline. It reports; nobody can end what runs in C.
 *
 * Who     The threads of one group watch over the actors of another, so that one that is stuck is not left to itself. They
 *         look at a date of their group, watch_due_ns, as at any other due time, and are woken for it as for any other.
 * When    Whoever begins a run arms that date, unless it is armed: a load where actors are busy, a wake where all slept.
 * What    One receive, not one run: a watcher remembers how far the actor had come, and reports it when it finds it there
 *         again a deadline later. So it is seen within twice its deadline. A run that turns out to have been one
 *         receive, and too long, is reported at its end if nobody saw it; so it is where there are no threads to look.
 */
#include <fettle/fettle.h>

#include "runtime/kernel/internal.h"

static bool can_watch(const ftli_group *group)
{
    return group->count != 0 && !group->lazy && ftli_u32_load_acquire(&group->actor_count) != 0;
}

/* All its actors are watched themselves: none runs the program's code for as long as that likes. */
static bool is_watched(const ftli_group *group)
{
    for (uint32_t i = 0; i < ftli_u32_load_acquire(&group->actor_count); i++) {
        const ftli_actor *actor = ftli_pointer_load_acquire(&group->actors[i]);
        if (actor->receive_ns == 0)
            return false;
    }
    return true;
}

static ftli_group *watcher_of(ftli_kernel *kernel, unsigned index, bool watched)
{
    for (unsigned k = 1; k < kernel->group_count; k++) {
        ftli_group *other = &kernel->groups[(index + k) % kernel->group_count];
        if (can_watch(other) && (is_watched(other) || !watched))
            return other;
    }
    return NULL;
}

void ftli_watchdog_assign(ftli_kernel *kernel)
{
    for (unsigned i = 0; i < kernel->group_count; i++) {
        ftli_group *group = &kernel->groups[i];
        group->watcher = watcher_of(kernel, i, true);
        if (group->watcher == NULL)
            group->watcher = watcher_of(kernel, i, false);
        if (group->watcher == NULL && group->count > 1 && can_watch(group))
            group->watcher = group;
    }
}

static void report(ftli_actor *actor, uint64_t since_ns)
{
    uint64_t reported_ns = ftli_u64_load_relaxed(&actor->reported_ns);
    if (reported_ns >= since_ns || !ftli_u64_cas_acq_rel(&actor->reported_ns, &reported_ns, since_ns))
        return; /* its watcher, or its own end, was faster */
    (void)ftli_u64_fetch_add_relaxed(&actor->overdue, 1);
    (void)ftli_u64_fetch_add_relaxed(&actor->kernel->overdue, 1);
    ftli_actor_tell(actor, FTLI_NEWS_OVERDUE, FTL_ETIMEDOUT);
}

void ftli_watchdog_enter(ftli_actor *actor, uint64_t now_ns)
{
    ftli_group *watcher = actor->group->watcher;
    /* pairs: watch-due. Before the look at the date: who disarms it looks at the actors after that. */
    ftli_u64_store_seq_cst(&actor->since_ns, now_ns);
    if (watcher == NULL)
        return;
    const uint64_t due_ns = ftli_deadline_ns(now_ns, actor->receive_ns);
    if (ftli_u64_lower_seq_cst(&watcher->watch_due_ns, due_ns))
        ftli_group_note_due(watcher, due_ns);
}

void ftli_watchdog_leave(ftli_actor *actor, uint64_t now_ns, bool one_receive)
{
    const uint64_t since_ns = ftli_u64_load_relaxed(&actor->since_ns);
    ftli_u64_store_release(&actor->since_ns, 0);
    if (one_receive && now_ns - since_ns > actor->receive_ns)
        report(actor, since_ns);
}

/* When to look at it again. */
static uint64_t look_at(ftli_actor *actor, uint64_t now_ns)
{
    const uint64_t since_ns = ftli_u64_load_seq_cst(&actor->since_ns); /* pairs: watch-due */
    if (since_ns == 0)
        return FTLI_NEVER_NS;
    const uint64_t progress = ftli_u64_load_acquire(&actor->messages) + ftli_u64_load_acquire(&actor->ticks);
    if (actor->seen_since_ns != since_ns || actor->seen_progress != progress) {
        actor->seen_since_ns = since_ns;
        actor->seen_progress = progress;
        actor->seen_ns = now_ns;
    } else if (now_ns - actor->seen_ns >= actor->receive_ns) {
        report(actor, since_ns);
    }
    const uint64_t due_ns = ftli_deadline_ns(actor->seen_ns, actor->receive_ns);
    return due_ns > now_ns ? due_ns : ftli_deadline_ns(now_ns, actor->receive_ns);
}

void ftli_watchdog_look(ftli_group *group, uint64_t now_ns)
{
    if (!ftli_token_try_take(&group->watch_token))
        return;                                                  /* another thread of the group does */
    ftli_u64_store_seq_cst(&group->watch_due_ns, FTLI_NEVER_NS); /* before the looks; pairs: watch-due */
    const ftli_kernel *kernel = group->kernel;
    uint64_t next_ns = FTLI_NEVER_NS;
    for (unsigned i = 0; i < ftli_kernel_actor_count(kernel); i++) {
        ftli_actor *actor = ftli_kernel_actor(kernel, i);
        if (actor->receive_ns == 0 || actor->group->watcher != group)
            continue;
        const uint64_t due_ns = look_at(actor, now_ns);
        next_ns = due_ns < next_ns ? due_ns : next_ns;
    }
    (void)ftli_u64_lower_seq_cst(&group->watch_due_ns, next_ns); /* who looks is about to look at all dates */
    ftli_token_release(&group->watch_token);
}
