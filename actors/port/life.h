/* A runtime's beginning and end, shared between open.c, given.c, close.c and drain.c. */
#ifndef FTLI_ACTORS_PORT_LIFE_H
#define FTLI_ACTORS_PORT_LIFE_H

#include "actors/port/runtime.h"
#include "tensor/registry.h"

/* What its actors work on, from the topology; the kernel is there. FTL_ENOMEM: tear down. given.c. */
int ftli_give_memory(struct ftl_runtime *);
int ftli_give_actors(struct ftl_runtime *, const ftl_open_options *);
/* Everything of a runtime whose actors are stopped, or never ran, goes back. Its state is CLOSED from here on. */
void ftli_runtime_tear_down(struct ftl_runtime *);
/* CORE.md law 4. timeout_ns 0: only look; < 0: no limit. closing: it is close that drains; every other drain ends with
 * FTL_ECLOSED when close has begun. */
int ftli_drain(struct ftl_runtime *, int64_t timeout_ns, bool closing);
/* The topology's `supervision` and `recovery`. */
ftli_policy ftli_runtime_policy(const struct ftli_topology *);
/* Of the kernel: events for who wants to hear of it; and `give_up: close`. */
void ftli_runtime_on_news(void *runtime, const ftli_news *);
/* The tear-down where pointers are out: what is not pinned goes back, the rest stays mapped. */
void ftli_runtime_tear_down_around_pins(struct ftl_runtime *);

#endif
