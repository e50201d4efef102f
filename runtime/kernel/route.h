/* A route: one actor's news, another's work. A message that is sent when an event happens, in memory made beforehand.
 *
 * What      ftli_route_happened sends the message, unless it is on its way already: then the event is counted with it. What
 *           happens while it is received sends it once more. So a route has one message in a mailbox at most, and who is
 *           told hears of the latest; none is lost.
 * Threads   happened: any; lock-free, allocates nothing, cannot fail, makes at most one system call (a wake). begin and end:
 *           the receiver, around its work; a receive that fails calls no end, and the message comes again.
 * Owns      Whoever made the route, until the receiver's kernel is gone.
 * Invariant `sent` is 1 from the send to the end of the receive: whoever changes it from 0 to 1 sends.
 */
#ifndef FTLI_RUNTIME_KERNEL_ROUTE_H
#define FTLI_RUNTIME_KERNEL_ROUTE_H

#include <fettle/actor.h>

#include "runtime/kernel/actor.h"

typedef struct ftli_route {
    union {
        ftli_message message; /* to one of ours */
        ftl_routed routed;    /* to one of the program's */
    } u;
    ftli_actor *to;
    uint32_t lane;
    bool foreign;             /* `to` is one of the program's */
    struct ftli_route *next;  /* of the same event */
    ftli_atomic_u64 happened; /* ever */
    uint64_t told;            /* of those, before the receive that runs; the receiver's */
    ftli_atomic_u32 sent;
} ftli_route;

enum { FTLI_ROUTE_FLAG = FTL_MESSAGE_ROUTED }; /* of a route's message */

/* All routes of an event; route may be NULL: there are none. */
void ftli_route_happened(ftli_route *route);

/* The route of a message whose flags say so. */
FTLI_INLINE ftli_route *ftli_route_of(ftli_message *message)
{
    return (ftli_route *)(void *)message;
}

/* By the receiver: how often it has happened by now, for end. */
uint64_t ftli_route_begin(ftli_route *);
void ftli_route_end(ftli_route *, uint64_t seen);

#endif
