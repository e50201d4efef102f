/* The threads of a group: run what is ready or due, sleep when nothing is. */
#include <stdio.h>
#include <stdlib.h>

#include <fettle/fettle.h>

#include "runtime/kernel/internal.h"

/* Sleeps until there is something to look at. Returns whether this thread was the timekeeper meanwhile.
 *
 * The date is written before the announcement, and looked at once more after it: with "never" in between, who changes a due time in that
 * moment would wake this thread, which would be in that moment again, for as long as somebody helps an actor of the group often. */
static bool sleep_until_needed(ftli_group *group)
{
    uint32_t expected = 0;
    uint64_t deadline_ns = FTLI_NEVER_NS;
    const bool keeper = ftli_u32_cas_seq_cst(&group->timekeeper, &expected, 1);
    if (keeper) {
        deadline_ns = ftli_group_next_due_ns(group);
        ftli_u64_store_seq_cst(&group->sleep_until_ns, deadline_ns); /* before the look; pairs: sleep-until */
    }
    const uint32_t ticket = ftli_event_prepare(group->event); /* pairs: event-waiters */
    if (keeper) {
        const uint64_t due_ns = ftli_group_next_due_ns(group); /* later than the date: it is slept until the date */
        if (due_ns < deadline_ns) {
            deadline_ns = due_ns;
            ftli_u64_store_seq_cst(&group->sleep_until_ns, deadline_ns);
        }
    }
    if (ftli_group_has_ready(group) || ftli_u32_load_seq_cst(&group->phase) != FTLI_GROUP_WORK) {
        ftli_event_cancel(group->event);
    } else {
        (void)ftli_u64_fetch_add_relaxed(&group->sleeps, 1);
        (void)ftli_event_wait(group->event, ticket, deadline_ns);
    }
    if (keeper) {
        ftli_u64_store_seq_cst(&group->sleep_until_ns, FTLI_NEVER_NS);
        ftli_u32_store_seq_cst(&group->timekeeper, 0);
    }
    return keeper;
}

/* One that is counted here runs nothing: it looks at the phase again before it would. */
static void rest(ftli_group *group)
{
    (void)ftli_u32_fetch_add_seq_cst(&group->resting, 1); /* pairs: group-rest, stopping */
    (void)ftli_event_signal_all(&group->kernel->stop_event);
    for (;;) {
        const uint32_t ticket = ftli_event_prepare(group->event);
        if (ftli_u32_load_seq_cst(&group->phase) != FTLI_GROUP_REST) {
            ftli_event_cancel(group->event);
            break;
        }
        (void)ftli_event_wait(group->event, ticket, FTLI_NEVER_NS);
    }
    (void)ftli_u32_fetch_add_seq_cst(&group->resting, UINT32_MAX); /* minus one; pairs: group-rest */
}

static bool goes_on(ftli_group *group)
{
    uint32_t phase;
    while ((phase = ftli_u32_load_seq_cst(&group->phase)) == FTLI_GROUP_REST) /* pairs: group-rest */
        rest(group);
    return phase == FTLI_GROUP_WORK;
}

/* In a child that was forked inside of an actor this thread ends, and with it the process. */
static void work(void *argument)
{
    ftli_group *group = argument;
    uint32_t cursor = 0;
    bool was_keeper = false;
    while (goes_on(group)) {
        ftli_group_queue_due(group, ftli_kernel_now_ns(group->kernel));
        ftli_actor *actor = ftli_group_pop(group, &cursor);
        if (actor == NULL) {
            if (group->spin)
                ftli_cpu_relax();
            else
                was_keeper = sleep_until_needed(group);
            continue;
        }
        /* While this thread is busy another must keep the time, or run what else is ready. */
        if (was_keeper || ftli_group_has_ready(group))
            (void)ftli_event_signal(group->event);
        was_keeper = false;
        (void)ftli_actor_run(actor, FTLI_RUN_MOST, true);
        if (FTLI_UNLIKELY(ftli_kernel_is_forked(group->kernel)))
            return;
    }
}

static int start_all(ftli_group *group)
{
    group->threads = calloc(group->count, sizeof *group->threads);
    if (group->threads == NULL)
        return FTL_ENOMEM;
    char name[40];
    (void)snprintf(name, sizeof name, "%s%s%s", group->kernel->name, group->kernel->name[0] != '\0' ? ":" : "",
                   group->name);
    const ftli_os_thread_options options = {
        .name = name, .nice = group->nice, .cpus = group->cpus, .cpu_count = group->cpu_count};
    unsigned started = 0;
    int status = FTL_OK;
    while (status == FTL_OK && started < group->count) {
        status = ftli_os_thread_start(&group->threads[started], &options, work, group);
        if (status == FTL_OK)
            started++;
    }
    ftli_u32_store_release(&group->started, started); /* pairs: group-started */
    if (status != FTL_OK)
        ftli_group_join_threads(group);
    return status;
}

int ftli_group_start_threads(ftli_group *group)
{
    if (group->count == 0 || ftli_u32_load_acquire(&group->started) != 0) /* pairs: group-started */
        return FTL_OK;
    int status = FTL_OK;
    ftli_token_take(&group->start_token);
    if (ftli_u32_load_acquire(&group->kernel->stopping) != 0)
        status = FTL_ECLOSED;
    else if (ftli_u32_load_acquire(&group->started) == 0)
        status = start_all(group);
    ftli_token_release(&group->start_token);
    return status;
}

void ftli_group_turn(ftli_group *group, uint32_t phase)
{
    ftli_u32_store_seq_cst(&group->phase, phase); /* pairs: group-rest */
    (void)ftli_event_signal_all(group->event);
}

bool ftli_group_rests(const ftli_group *group)
{
    return ftli_u32_load_seq_cst(&group->resting) == ftli_u32_load_acquire(&group->started); /* pairs: group-rest */
}

void ftli_group_join_threads(ftli_group *group)
{
    ftli_group_turn(group, FTLI_GROUP_END);
    const uint32_t started = ftli_u32_load_acquire(&group->started);
    for (uint32_t i = 0; i < started; i++)
        ftli_os_thread_join(group->threads[i]);
    ftli_u32_store_release(&group->started, 0);
    free(group->threads);
    group->threads = NULL;
    ftli_u32_store_seq_cst(&group->phase, FTLI_GROUP_WORK); /* a later attempt to start them may succeed */
}
