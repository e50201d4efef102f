/* Back-pressure: what a new does when the cleanup is behind. A drop never waits; a new wakes the cleanup, and at last waits for it.
 *
 * Threads   That of the new, inside the runtime; not on a service thread.
 */
#ifndef FTLI_ACTORS_PORT_BACK_PRESSURE_H
#define FTLI_ACTORS_PORT_BACK_PRESSURE_H

#include "actors/port/agent.h"

/* A mask: one slow new in sixteen looks at the backlog, the quick ones of middle sizes counted. */
#define FTLI_LOOKS_EVERY 15

/* Over the mark new wakes the cleanup, over twice the mark it waits. Counts the slow new. False: what ran while it waited has forked, and this is
 * the child. */
bool ftli_press_back(const struct ftli_agent *);
/* Policy message: what was dropped serves before what was not there. A new that finds its magazines empty runs the cleanup itself, if
 * that is worth it and nobody else does: then the memory comes back at once, and hot. True: look again. */
bool ftli_turn_over(struct ftli_port *, unsigned size_class, uint64_t bytes);
/* Whose threads a new may wait for. If it has none of its own it is lent this one, and no other group is: finalizers do not
 * run inside new. */
const char *ftli_cleanup_group(const struct ftl_runtime *);

#endif
