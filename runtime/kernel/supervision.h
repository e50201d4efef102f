/* What the kernel asks of supervision: one question, answered by runtime/supervise. The kernel knows no
 * policy.
 *
 * Threads   decide runs on the thread that holds the failed actor's token; it makes no blocking call. Of different actors
 *           at once.
 */
#ifndef FTLI_RUNTIME_KERNEL_SUPERVISION_H
#define FTLI_RUNTIME_KERNEL_SUPERVISION_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FTLI_DECIDE_RETRY = 0,      /* the same message again after delay_ns, the state as it is */
    FTLI_DECIDE_RESTART = 1,    /* stop, and after delay_ns start; then the same message again */
    FTLI_DECIDE_DOWN = 2,       /* given up: its mailbox keeps what it has */
    FTLI_DECIDE_QUARANTINE = 3, /* as restart, but the state is broken: stop is not run over it */
    FTLI_DECIDE_DEGRADED = 16,  /* a flag beside them: the actor counts as degraded until it has received again */
};

/* Who is restarted with an actor that is. Those that cannot be restarted, and those that are down, are left out. All
 * are stopped, the last first, then started, the first first; the order is that in which they were added. */
enum {
    FTLI_RESTART_ONE_FOR_ONE = 0,
    FTLI_RESTART_ONE_FOR_ALL = 1,
    FTLI_RESTART_REST_FOR_ONE = 2, /* those added after it */
};

/* The status that decide is given when the actor's own check failed. */
enum { FTLI_STATUS_CORRUPT = -1000 };

typedef struct {
    uint32_t action; /* FTLI_DECIDE_... */
    uint64_t delay_ns;
} ftli_decision;

typedef struct {
    void *self;
    /* index: the actor's place in the kernel; restartable: its own word; status: of the receive or the start
     */
    ftli_decision (*decide)(void *self, uint32_t index, bool restartable, int status, uint64_t now_ns);
    void (*succeeded)(void *self, uint32_t index); /* the message that failed was received. May be NULL */
    uint32_t strategy;                             /* FTLI_RESTART_... */
} ftli_supervision;

#endif
