/* Timers of one actor: a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986) of nodes that callers own.
 *
 * What      A timer is a message that comes back to its actor at a time. Nothing is allocated: the node is
 * part of the struct that the caller embeds. Owns      While armed, the node belongs to the heap; when it is
 * due its message goes through on_message, like any. Threads   Only the thread that runs the actor
 * (ftli_after, ftli_cancel take its context). Order     By time, then by the order of arming: a seed replays
 * exactly.
 */
#ifndef FTLI_RUNTIME_KERNEL_TIMER_H
#define FTLI_RUNTIME_KERNEL_TIMER_H

#include "runtime/kernel/message.h"

#if defined __cplusplus
extern "C" {
#endif

/* Embed it first in a message of yours, or use it as it is; zero it before its first use. message.type is
 * yours. */
typedef struct ftli_timer {
    ftli_message message;
    uint64_t due_ns;
    uint64_t sequence;               /* order among equals */
    struct ftli_timer *child, *next; /* next: the next sibling */
    struct ftli_timer *previous;     /* the left sibling, or the parent of a first child */
    uint32_t state;                  /* FTLI_TIMER_IDLE ... */
} ftli_timer;

enum {
    FTLI_TIMER_IDLE = 0,
    FTLI_TIMER_ARMED = 1, /* in the heap */
    FTLI_TIMER_DUE = 2,   /* its message is on its way to on_message */
};

typedef struct {
    ftli_timer *root;
    uint64_t sequence;
} ftli_timer_heap;

void ftli_timer_arm(ftli_timer_heap *, ftli_timer *, uint64_t due_ns); /* armed already: moves it */
bool ftli_timer_disarm(ftli_timer_heap *, ftli_timer *);               /* whether it was armed */
ftli_timer *ftli_timer_take_due(ftli_timer_heap *, uint64_t now_ns);   /* the first one due, or NULL */
uint64_t ftli_timer_next_ns(const ftli_timer_heap *);                  /* FTLI_NEVER_NS: none */

#if defined __cplusplus
}
#endif
#endif
