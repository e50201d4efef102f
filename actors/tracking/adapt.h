/* Tracking's rates as they run: what the controller decides is published, ports are told, and the program hears of it.
 *
 * Threads   The holder of tracking's token, but for what tracking.h offers to all.
 */
#ifndef FTLI_ACTORS_TRACKING_ADAPT_H
#define FTLI_ACTORS_TRACKING_ADAPT_H

#include "actors/tracking/tracking.h"

/* By the actor's tick. In how many ns it wants to be called again; FTLI_NEVER_NS: not on its account. */
uint64_t ftli_tracking_adapt(struct ftli_tracking *, uint64_t now_ns);
/* The rates of its level are published; nobody is told. */
void ftli_tracking_begin_level(struct ftli_tracking *);

/* ---- tracking.c */
/* The ring of the last events, if there is none. FTL_ENOMEM. */
int ftli_tracking_make_ring(struct ftli_tracking *);
/* What tracking has cost so far, the actor's own time included. */
void ftli_tracking_measure(struct ftli_tracking *, struct ftli_tracking_load *, struct ftli_controller_measure *out);

#endif
