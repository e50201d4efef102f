/* The gauge: pressure for routes. An actor that is woken when committed bytes pass a mark, and tells those whose routes wait for
 * the level. It has no messages; a runtime without a route of pressure has no gauge.
 *
 * Threads   Its operations. Invariants  A level that rises past others tells the routes of these as well; one that falls
 * tells those of `none` only, when it is none.
 */
#ifndef FTLI_ACTORS_EVENTS_GAUGE_H
#define FTLI_ACTORS_EVENTS_GAUGE_H

#include "actors/allocation/allocation.h"
#include "actors/events/level.h"
#include "runtime/kernel/route.h"

struct ftli_gauge {
    struct ftli_device *device;
    struct ftli_pressure_marks marks;
    ftli_route *routes[FTLI_LEVELS]; /* by level; NULL: nobody waits for it */
};

extern const ftli_actor_operations ftli_gauge_operations;

#endif
