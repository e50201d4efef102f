/* The supervisor: remembers each actor's failures and answers the kernel's question by the policy (policy.h).
 *
 * Owns      Its memory of failures. The mail is the kernel's: it is redelivered whatever is decided.
 * Threads   decide, succeeded: the thread that runs the actor (different actors at once; a latch of a few loads and
 *           stores lies around the policy). Figures: any.
 */
#ifndef FTLI_RUNTIME_SUPERVISE_SUPERVISOR_H
#define FTLI_RUNTIME_SUPERVISE_SUPERVISOR_H

#include "runtime/kernel/supervision.h"
#include "runtime/supervise/policy.h"

typedef struct ftli_supervisor ftli_supervisor;

/* FTL_EINVAL: the policy is not valid. FTL_ENOMEM. */
int ftli_supervisor_create(const ftli_policy *, ftli_supervisor **out);
void ftli_supervisor_destroy(ftli_supervisor *); /* after the kernel's */

/* What goes into ftli_kernel_options.supervision. */
ftli_supervision ftli_supervisor_interface(ftli_supervisor *);

typedef struct {
    uint64_t retries;     /* of messages, in place; those that a degraded actor made included */
    uint64_t restarts;    /* decided; quarantines included. With one_for_all a restart of all is one */
    uint64_t quarantines; /* states that were broken, and left alone */
    uint64_t given_up;    /* actors, times */
    uint64_t breaks;      /* times that a breaker opened */
    uint32_t breakers_open;
} ftli_supervisor_figures;
void ftli_supervisor_read(ftli_supervisor *, ftli_supervisor_figures *out);

enum { FTLI_BREAKER_CLOSED = 0, FTLI_BREAKER_OPEN = 1, FTLI_BREAKER_TRYING = 2 /* its time is over; half-open */ };
/* Of the actor at that index, on the kernel's clock. */
uint32_t ftli_supervisor_breaker(ftli_supervisor *, uint32_t index, uint64_t now_ns);

#endif
