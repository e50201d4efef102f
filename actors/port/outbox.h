/* A port's outbox: the drops of policy message on their way to the cleanup, many in one message.
 *
 * What      A small tensor with nothing against it but the policy is FREE when its drop returns, and lies in the port's open
 *           parcel; whole pages lie there DROPPED. A parcel that has room for no more is posted by one push. It is counted as
 *           pending from the drop on, and is completed by the cleanup.
 * Owns      The open parcel, until it is posted.
 * Threads   Behind the port's gate: the owner while busy, or who claimed the port.
 * Waits     No drop waits in a parcel for long: the allocation actor's tick claims ports whose parcel is old, drain claims all;
 *           a thread's death, close, a slow new and the end of a scope post it too.
 * Progress  A drop allocates nothing: without an empty parcel the header is posted on its own.
 */
#ifndef FTLI_ACTORS_PORT_OUTBOX_H
#define FTLI_ACTORS_PORT_OUTBOX_H

#include "actors/port/agent.h"

enum ftli_outbox_result {
    FTLI_OUTBOX_NOTHING, /* it is not its last reference, or no parcel is there: nothing was done */
    FTLI_OUTBOX_POSTED,  /* counted, and in the parcel */
    FTLI_OUTBOX_DROPPED, /* DROPPED by this call, and the caller's to go on with: something stands against it */
};

/* The last reference of a tensor, in one compare-and-swap, if nothing stands against it but that every drop is a message. */
enum ftli_outbox_result ftli_outbox_drop(struct ftli_port *, struct ftli_header *, uint64_t generation_bits);
/* A header that this drop made DROPPED, counted already under the parity: without finalizer, links, or root. May make it FREE.
 * False: it is to be posted on its own. */
bool ftli_outbox_put(const struct ftli_agent *, struct ftli_header *);

/* For claimers, and for who counts: something waits in it; since when, 0: nothing. */
uint64_t ftli_outbox_since_ns(const struct ftli_port *);
/* What lies in the open parcel goes; whether anything did. Behind the gate. */
bool ftli_outbox_post(struct ftli_port *);
/* Of all ports, from inside this thread's, and the cleanup wakes: memory is exhausted. */
void ftli_outbox_hurry(const struct ftli_agent *);
/* This thread's, from inside its own port, if it is older than the tick. */
void ftli_outbox_look(const struct ftli_agent *);

#endif
