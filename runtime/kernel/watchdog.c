/* The watchdog: sees a receive that is past its deadline, and messages that wait for longer than their lane's alarm. It reports;
 * nobody can end what runs in C.
 *
 * Who     The threads of one group watch over the actors of another, so that one that is stuck is not left to itself. They
 *         look at a date of their group, watch_due_ns, as at any other due time, and are woken for it as for any other.
 * When    Whoever begins a run arms that date, unless it is armed: a load where actors are busy, a wake where all slept.
 * What    One receive, not one run: a watcher remembers how far the actor had come, and reports it when it finds it there
 *         again a deadline later. So it is seen within twice its deadline. A run that turns out to have been one
 *         receive, and too long, is reported at its end if nobody saw it; so it is where there are no threads to look.
 * Lanes   Whoever runs an actor looks at its lanes first. The watcher looks at those of all actors that it watches, at the
 *         date at which the oldest message that it knows of will be late; and, while one runs or is held and mail may
 *         come, each ALARM_LOOK_NS. A post arms nothing: its one system call is another's.
 */
#include <fettle/fettle.h>

#include "runtime/kernel/internal.h"

#define ALARM_LOOK_NS (UINT64_C(100) * FTLI_NS_PER_MS)
#define COARSE_NS     (UINT64_C(4) * FTLI_NS_PER_MS) /* posts read the coarse clock, which is so much behind */

void ftli_watchdog_init(ftli_kernel *kernel)
{
    for (unsigned i = 0; i < FTLI_LANES; i++)
        if (kernel->alarm_ns[i] != 0)
            kernel->alarm_look_ns = ALARM_LOOK_NS;
}

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

/* ---- lanes --------------------------------------------------------------------------------------------------------- */

static void sound(ftli_actor *actor, unsigned lane, uint64_t now_ns, uint64_t oldest_ns)
{
    ftli_kernel *kernel = actor->kernel;
    if ((ftli_u32_fetch_or_seq_cst(&actor->alarmed, 1u << lane) & 1u << lane) != 0)
        return; /* told */
    (void)ftli_u64_fetch_add_relaxed(&actor->alarms, 1);
    (void)ftli_u64_fetch_add_relaxed(&kernel->alarms, 1);
    const ftli_news news = {
        .kind = FTLI_NEWS_ALARM, .time_ns = now_ns, .actor = actor, .lane = lane, .age_ns = now_ns - oldest_ns};
    if (kernel->on_news != NULL)
        kernel->on_news(kernel->user, &news);
}

static void look_at_lane(ftli_actor *actor, unsigned lane, uint64_t now_ns, uint64_t *next_ns)
{
    const uint64_t alarm_ns = actor->kernel->alarm_ns[lane];
    ftli_lane_figures figures;
    if (alarm_ns == 0)
        return;
    ftli_mailbox_figures(&actor->mailbox, lane, &figures);
    const uint64_t date_ns = ftli_deadline_ns(figures.oldest_ns, alarm_ns + COARSE_NS);
    if (figures.oldest_ns != 0 && now_ns > date_ns)
        sound(actor, lane, now_ns, figures.oldest_ns);
    else if ((ftli_u32_load_relaxed(&actor->alarmed) & 1u << lane) != 0)
        (void)ftli_u32_fetch_and_seq_cst(&actor->alarmed, ~(1u << lane));
    if (figures.oldest_ns != 0 && now_ns <= date_ns && date_ns < *next_ns)
        *next_ns = date_ns + 1;
}

/* When one of them may be late, of what waits now. */
static uint64_t look_at_lanes(ftli_actor *actor, uint64_t now_ns)
{
    uint64_t next_ns = FTLI_NEVER_NS;
    for (unsigned lane = 0; lane < FTLI_LANES; lane++)
        look_at_lane(actor, lane, now_ns, &next_ns);
    return next_ns;
}

/* Whether a look might find anything: each run asks, and nearly always nothing waits for long. */
static bool is_maybe_late(const ftli_actor *actor, uint64_t now_ns)
{
    bool late = ftli_u32_load_relaxed(&actor->alarmed) != 0;
    for (unsigned lane = 0; lane < FTLI_LANES; lane++) {
        const uint64_t alarm_ns = actor->kernel->alarm_ns[lane];
        const uint64_t oldest_ns = ftli_mailbox_oldest_ns(&actor->mailbox, lane);
        late |= alarm_ns != 0 && oldest_ns != 0 && now_ns > oldest_ns && now_ns - oldest_ns > alarm_ns;
    }
    return late;
}

void ftli_watchdog_look_at_lanes(ftli_actor *actor, uint64_t now_ns)
{
    if (actor->kernel->alarm_look_ns != 0 && FTLI_UNLIKELY(is_maybe_late(actor, now_ns)))
        (void)look_at_lanes(actor, now_ns);
}

static void arm(ftli_group *watcher, uint64_t due_ns)
{
    if (ftli_u64_lower_seq_cst(&watcher->watch_due_ns, due_ns))
        ftli_group_note_due(watcher, due_ns);
}

void ftli_watchdog_hold(ftli_actor *actor, uint64_t now_ns)
{
    const uint64_t look_ns = actor->kernel->alarm_look_ns;
    if (look_ns != 0 && actor->group->watcher != NULL)
        arm(actor->group->watcher, ftli_deadline_ns(now_ns, look_ns));
}

/* ---- receives ------------------------------------------------------------------------------------------------------ */

void ftli_watchdog_enter(ftli_actor *actor, uint64_t now_ns)
{
    ftli_group *watcher = actor->group->watcher;
    /* pairs: watch-due. Before the look at the date: who disarms it looks at the actors after that. */
    ftli_u64_store_seq_cst(&actor->since_ns, now_ns);
    if (watcher == NULL)
        return;
    arm(watcher, ftli_deadline_ns(now_ns, actor->receive_ns != 0 ? actor->receive_ns : actor->kernel->alarm_look_ns));
}

void ftli_watchdog_leave(ftli_actor *actor, uint64_t now_ns, bool one_receive)
{
    const uint64_t since_ns = ftli_u64_load_relaxed(&actor->since_ns);
    ftli_u64_store_release(&actor->since_ns, 0);
    if (one_receive && actor->receive_ns != 0 && now_ns - since_ns > actor->receive_ns)
        report(actor, since_ns);
}

/* When to look at it again. */
static uint64_t look_at(ftli_actor *actor, uint64_t now_ns)
{
    const uint64_t since_ns = ftli_u64_load_seq_cst(&actor->since_ns); /* pairs: watch-due */
    if (since_ns == 0)
        return FTLI_NEVER_NS;
    if (actor->receive_ns == 0)
        return ftli_deadline_ns(now_ns, actor->kernel->alarm_look_ns);
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

static uint64_t look_at_mail(ftli_actor *actor, uint64_t now_ns)
{
    const ftli_kernel *kernel = actor->kernel;
    if (kernel->alarm_look_ns == 0)
        return FTLI_NEVER_NS;
    const uint64_t late_ns = look_at_lanes(actor, now_ns);
    const uint32_t word = ftli_u32_load_seq_cst(&actor->word);
    const bool held = (word & (FTLI_WORD_HELD | FTLI_WORD_STOPPED)) == FTLI_WORD_HELD;
    const uint64_t again_ns = held ? ftli_deadline_ns(now_ns, kernel->alarm_look_ns) : FTLI_NEVER_NS;
    return late_ns < again_ns ? late_ns : again_ns;
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
        if (actor->group->watcher != group)
            continue;
        const uint64_t due_ns = look_at(actor, now_ns);
        next_ns = due_ns < next_ns ? due_ns : next_ns;
        const uint64_t late_ns = look_at_mail(actor, now_ns);
        next_ns = late_ns < next_ns ? late_ns : next_ns;
    }
    (void)ftli_u64_lower_seq_cst(&group->watch_due_ns, next_ns); /* who looks is about to look at all dates */
    ftli_token_release(&group->watch_token);
}
