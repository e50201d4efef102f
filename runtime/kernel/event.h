/* An event count: sleep until a condition that others make true, without a lock and without losing a wake-up.
 *
 * What      waiter:    ticket = prepare; look at the condition; true: cancel, false: wait(ticket), and again
 *           signaller: make the condition true by a sequentially consistent operation; signal
 * Why       Either the waiter's look sees the condition, or the signaller sees the waiter: both orders of
 *           "announce, look" and "make true, look for sleepers" are in one total order.
 * Threads   Any. signal is async-signal-safe, keeps errno, and makes one system call only if somebody sleeps.
 * Life      An event outlives its signallers: it is part of something that lasts, never of a waiter's stack.
 * Init      A zeroed event is ready. Inside a kernel wait through ftli_kernel_wait, which simulation
 * understands.
 */
#ifndef FTLI_RUNTIME_KERNEL_EVENT_H
#define FTLI_RUNTIME_KERNEL_EVENT_H

#include "runtime/base/atomics.h"

#if defined __cplusplus
extern "C" {
#endif

typedef struct {
    ftli_atomic_u32 epoch;       /* advances with every signal that found a waiter */
    ftli_atomic_u32 waiters;     /* between prepare and the end of wait or cancel */
    ftli_atomic_pointer forward; /* an event on which this one's waiters sleep instead (ftli_kernel_wait), or NULL */
} ftli_event;

/* Announces a waiter; every prepare is followed by exactly one wait or cancel. */
uint32_t ftli_event_prepare(ftli_event *);
void ftli_event_cancel(ftli_event *);

/* False only when the deadline (CLOCK_MONOTONIC; FTLI_NEVER_NS: none) passed without a signal. */
bool ftli_event_wait(ftli_event *, uint32_t ticket, uint64_t deadline_ns);

bool ftli_event_signal(ftli_event *);     /* wakes one; whether anybody waited */
bool ftli_event_signal_all(ftli_event *); /* wakes all */

#if defined __cplusplus
}
#endif
#endif
