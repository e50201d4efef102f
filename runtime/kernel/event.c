#include "runtime/kernel/event.h"

#include <stdint.h>

#include "runtime/base/os.h"

uint32_t ftli_event_prepare(ftli_event *event)
{
    (void)ftli_u32_fetch_add_seq_cst(&event->waiters, 1); /* pairs: event-waiters */
    return ftli_u32_load_seq_cst(&event->epoch);
}

void ftli_event_cancel(ftli_event *event)
{
    (void)ftli_u32_fetch_add_seq_cst(&event->waiters, UINT32_MAX); /* minus one */
}

bool ftli_event_wait(ftli_event *event, uint32_t ticket, uint64_t deadline_ns)
{
    bool in_time = true;
    while (in_time && ftli_u32_load_seq_cst(&event->epoch) == ticket) /* pairs: event-epoch */
        in_time = ftli_os_wait(&event->epoch, ticket, deadline_ns);
    ftli_event_cancel(event);
    return in_time;
}

static bool advance(ftli_event *event, uint32_t most)
{
    /* pairs: event-waiters. The caller's condition became true before this load, in the total order. */
    if (ftli_u32_load_seq_cst(&event->waiters) == 0)
        return false;
    (void)ftli_u32_fetch_add_seq_cst(&event->epoch, 1); /* pairs: event-epoch */
    ftli_os_wake(&event->epoch, most);
    ftli_event *forward = ftli_pointer_load_seq_cst(&event->forward); /* pairs: event-forward */
    if (forward != NULL)
        (void)advance(forward, UINT32_MAX);
    return true;
}

bool ftli_event_signal(ftli_event *event)
{
    return advance(event, 1);
}

bool ftli_event_signal_all(ftli_event *event)
{
    return advance(event, UINT32_MAX);
}
