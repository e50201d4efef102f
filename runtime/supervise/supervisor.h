/* The supervisor: remembers each actor's failures and answers the kernel's question by the policy.
 *
 * What      one_for_one: an actor that fails is restarted alone, after a growing delay; more than
 * policy.restarts within policy.within_ns, or an actor that is not restartable, is given up and runs in its
 * degraded mode. Transient failures (FTL_EBUSY, FTL_ETIMEDOUT) and failures of resources (FTL_ENOMEM,
 * FTL_ELIMIT) are first tried again in place. Owns      Its memory of failures. The mail is the kernel's: it
 * is redelivered whatever is decided. Threads   decide: the thread that runs the failed actor (different
 * actors at once). Figures: any.
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
    uint64_t retries, restarts, given_up;
} ftli_supervisor_figures;
void ftli_supervisor_read(const ftli_supervisor *, ftli_supervisor_figures *out);

#endif
