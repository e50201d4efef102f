/* What the kernel asks of supervision: one question, answered by runtime/supervise. The kernel knows no
 * policy.
 *
 * Threads   decide runs on the thread that holds the failed actor's token; it makes no blocking call.
 */
#ifndef FTLI_RUNTIME_KERNEL_SUPERVISION_H
#define FTLI_RUNTIME_KERNEL_SUPERVISION_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FTLI_DECIDE_RETRY = 0,   /* the same message again after delay_ns, the state as it is */
    FTLI_DECIDE_RESTART = 1, /* stop, and after delay_ns start; then the same message again */
    FTLI_DECIDE_DOWN = 2,    /* given up: its mailbox keeps what it has */
};

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
} ftli_supervision;

#endif
