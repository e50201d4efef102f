/* Quotas as new and drop meet them (actors/leak_detection/quota.h). */
#ifndef FTLI_ACTORS_PORT_QUOTA_H
#define FTLI_ACTORS_PORT_QUOTA_H

#include "actors/port/agent.h"

/* Whether a tensor of this label and site is counted. */
FTLI_INLINE bool ftli_quota_counts(const struct ftl_runtime *runtime, uint32_t label, const char *site)
{
    const struct ftli_quotas *quotas = &runtime->leak_detection.quotas;
    return (label != 0 && ftli_quota_is_on(quotas, FTLI_QUOTA_LABEL)) ||
           (site != NULL && ftli_quota_is_on(quotas, FTLI_QUOTA_SITE));
}

/* Counts it in; *flags: for its record. FTL_ELIMIT, said and told, and nothing was counted. */
int ftli_quota_join(struct ftl_runtime *, uint32_t label, const char *site, uint64_t bytes, uint32_t *flags);
/* What was counted in was not made. */
void ftli_quota_withdraw(struct ftl_runtime *, uint32_t flags, uint32_t label, const char *site, uint64_t bytes);
/* A counted tensor has left LIVE, and is the caller's. Async-signal-safe. */
void ftli_quota_leave(struct ftl_runtime *, const struct ftli_header *);

#endif
