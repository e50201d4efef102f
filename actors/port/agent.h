/* Who is acting: a thread inside its port, a thread without one, or the cleanup on behalf of a link. */
#ifndef FTLI_ACTORS_PORT_AGENT_H
#define FTLI_ACTORS_PORT_AGENT_H

#include "actors/port/runtime.h"

struct ftli_agent {
    struct ftl_runtime *runtime;
    struct ftli_port *port;         /* NULL: none; nothing is done in place */
    struct ftli_counters *counters; /* the port's, the cleanup's, or the shared ones */
    bool shared;                    /* counters have many writers */
    int parity;                     /* of its drops; -1: drain's current one */
};

FTLI_INLINE void ftli_count(const struct ftli_agent *agent, ftli_atomic_u64 *counter, uint64_t n)
{
    if (FTLI_UNLIKELY(agent->shared))
        (void)ftli_u64_fetch_add_relaxed(counter, n);
    else
        ftli_u64_add_owner(counter, n);
}

/* A call of an application thread begins and ends. With `take`, a thread that has no port takes one. False: the runtime is
 * closed; nothing was entered. */
bool ftli_runtime_enter(struct ftl_runtime *); /* without a port: shared, and only against close */
void ftli_runtime_leave(struct ftl_runtime *);
bool ftli_agent_enter(struct ftli_agent *, struct ftl_runtime *, bool take);
void ftli_agent_leave(const struct ftli_agent *);

/* Gives up one reference. FTL_OK, or FTL_ESTALE. CORE.md section 1. */
int ftli_drop(const struct ftli_agent *, struct ftli_header *, uint32_t generation);
/* An unpin or a guard's end brought a DROPPED header to rest: it is posted. Its drop was counted before. */
void ftli_deliver(struct ftl_runtime *, struct ftli_header *);
/* What a stale handle answers: FTL_ECLOSED of a runtime that is closed, else FTL_ESTALE; counted. */
int ftli_stale(uint64_t id);

/* Sampling: the port's countdown of the tier came to its end. */
uint64_t ftli_sample_tier(struct ftli_port *, struct ftli_header *, uint32_t tier, uint64_t bytes); /* SLOW, or 0 */
/* A port's next countdown of a tier, its first one too; 0: the tier is not sampled. */
uint32_t ftli_sample_countdown(struct ftli_port *, const struct ftli_sampling *, unsigned tier);
void ftli_sample_new(struct ftli_port *, struct ftli_header *, uint64_t bytes, uint32_t stamp_ms);
void ftli_sample_drop(const struct ftli_agent *, const struct ftli_header *);

/* Coarse milliseconds since the runtime opened, refreshed. */
uint32_t ftli_stamp_refresh(struct ftl_runtime *);
uint32_t ftli_stamp_raise(struct ftl_runtime *, uint32_t now_ms); /* never backwards; what it is then */

#endif
