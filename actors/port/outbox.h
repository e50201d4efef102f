/* A port's outbox: the drops of policy message on their way to the cleanup, many in one message.
 *
 * What      A tensor that is not large, with nothing against it but the policy, is FREE when its drop returns, and lies in the port's
 *           open parcel. A parcel that has room for no more is posted by one push. It is counted as pending from the drop on, and is
 *           completed by the cleanup, which returns the parcel: a new lays what is in it into its magazines.
 * Owns      The open parcel, until it is posted.
 * Threads   Behind the port's gate: the owner while busy, or who claimed the port.
 * Waits     No drop waits in a parcel for long: the allocation actor's tick claims ports whose parcel is old, drain claims all;
 *           a thread's death, close, a slow new and the end of a scope post it too.
 * Progress  A drop allocates nothing: without an empty parcel the header is posted on its own.
 */
#ifndef FTLI_ACTORS_PORT_OUTBOX_H
#define FTLI_ACTORS_PORT_OUTBOX_H

#include "actors/port/agent.h"

/* Policy message, or not by the thread's own port: all of a drop. In one compare-and-swap, if nothing stands against the tensor but
 * that every drop is a message. */
int ftli_outbox_drop(uint64_t id);
/* A header that this drop made DROPPED, counted already under the parity: neither large nor with finalizer, links, or root. Makes it FREE.
 * False: it is to be posted on its own. */
bool ftli_outbox_put(const struct ftli_agent *, struct ftli_header *);

/* What lies in it, in bytes: of blocks, and a share of a parcel for each drop. Behind the gate. */
uint64_t ftli_outbox_worth(const struct ftli_port *);
/* Of a parcel that the cleanup has counted some go into this port's rack. False: there was none of the class, or (class
 * 0) of that length. Inside new. */
bool ftli_outbox_unpack(struct ftli_port *, unsigned size_class, uint64_t bytes, uint32_t lanes);
/* For claimers, and for who counts: something waits in it; since when, 0: nothing. */
uint64_t ftli_outbox_since_ns(const struct ftli_port *);
/* What lies in the open parcel goes; whether anything did. Behind the gate. */
bool ftli_outbox_post(struct ftli_port *);
/* Of all ports, from inside this thread's, and the cleanup wakes: memory is exhausted. */
void ftli_outbox_hurry(const struct ftli_agent *);
/* This thread's, from inside its own port, if it is older than the tick. */
void ftli_outbox_look(const struct ftli_agent *);

#endif
