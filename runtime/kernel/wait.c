/* Lending a thread to the groups that have none, and waiting for what actors bring about. */
#include <string.h>

#include <fettle/fettle.h>

#include "runtime/kernel/internal.h"

typedef struct {
    ftli_group *groups[FTLI_GROUPS_MOST];
    uint32_t cursors[FTLI_GROUPS_MOST];
    unsigned count;
} lent_groups;

/* The groups of count 0: the named one, or all. */
static lent_groups lendable(ftli_kernel *kernel, const char *name)
{
    lent_groups lent = {.count = 0};
    for (unsigned i = 0; i < kernel->group_count; i++) {
        ftli_group *group = &kernel->groups[i];
        if (group->count == 0 && (name == NULL || strcmp(name, group->name) == 0))
            lent.groups[lent.count++] = group;
    }
    return lent;
}

static bool run_one_each(lent_groups *lent)
{
    bool ran = false;
    for (unsigned i = 0; i < lent->count; i++)
        ran = ftli_group_run_one(lent->groups[i], &lent->cursors[i]) || ran;
    return ran;
}

static bool any_ready(const lent_groups *lent)
{
    for (unsigned i = 0; i < lent->count; i++)
        if (ftli_group_has_ready(lent->groups[i]))
            return true;
    return false;
}

static uint64_t next_due_ns(const lent_groups *lent, uint64_t next_ns)
{
    for (unsigned i = 0; i < lent->count; i++) {
        const uint64_t due_ns = ftli_group_next_due_ns(lent->groups[i]);
        if (due_ns < next_ns)
            next_ns = due_ns;
    }
    return next_ns;
}

int ftli_kernel_run(ftli_kernel *kernel, const char *group, uint64_t budget_ns, uint64_t *left)
{
    if (ftli_kernel_is_service_thread(kernel))
        return FTL_EBUSY;
    lent_groups lent = lendable(kernel, group);
    if (lent.count == 0 && group != NULL)
        return FTL_EINVAL;
    const uint64_t deadline_ns = ftli_deadline_ns(ftli_kernel_now_ns(kernel), budget_ns);
    while (run_one_each(&lent) && ftli_kernel_now_ns(kernel) < deadline_ns)
        ;
    if (ftli_kernel_is_forked(kernel))
        return FTL_ENOTSUP;
    if (left != NULL) {
        *left = 0;
        for (unsigned i = 0; i < lent.count; i++)
            *left += ftli_group_depth(lent.groups[i]);
    }
    return FTL_OK;
}

static int wait_lending(ftli_kernel *kernel, ftli_event *event, uint32_t ticket, uint64_t deadline_ns,
                        lent_groups *lent)
{
    /* This thread sleeps on the lend event, where posts to those groups wake it; the caller's event forwards there. */
    ftli_pointer_store_seq_cst(&event->forward, &kernel->lend_event); /* pairs: event-forward */
    int status = FTL_OK;
    while (ftli_u32_load_seq_cst(&event->epoch) == ticket) { /* pairs: event-epoch */
        if (ftli_kernel_now_ns(kernel) >= deadline_ns) {
            status = FTL_ETIMEDOUT;
            break;
        }
        if (run_one_each(lent))
            continue;
        if (ftli_kernel_is_forked(kernel)) {
            status = FTL_ENOTSUP;
            break;
        }
        const uint32_t lend_ticket = ftli_event_prepare(&kernel->lend_event);
        const uint64_t until_ns = next_due_ns(lent, deadline_ns); /* after prepare, as in worker.c */
        if (any_ready(lent) || ftli_u32_load_seq_cst(&event->epoch) != ticket)
            ftli_event_cancel(&kernel->lend_event);
        else
            (void)ftli_event_wait(&kernel->lend_event, lend_ticket, until_ns);
    }
    ftli_event_cancel(event);
    return status;
}

int ftli_kernel_wait(ftli_kernel *kernel, ftli_event *event, uint32_t ticket, uint64_t deadline_ns, const char *group)
{
    if (ftli_kernel_is_service_thread(kernel)) {
        ftli_event_cancel(event);
        return FTL_EBUSY;
    }
    if (kernel->simulation != NULL)
        return ftli_simulation_wait(kernel, event, ticket, deadline_ns);
    lent_groups lent = lendable(kernel, group);
    if (lent.count != 0)
        return wait_lending(kernel, event, ticket, deadline_ns, &lent);
    return ftli_event_wait(event, ticket, deadline_ns) ? FTL_OK : FTL_ETIMEDOUT;
}
