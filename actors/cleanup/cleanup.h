/* cleanup's address: drops with something to finish, and what became of them.
 *
 * What      A header that is DROPPED without pins is posted to the cleanup, in the lane that its size and the pressure give
 *           it. The cleanup has its finalizer run (on a worker), gives up its links and its root, validates, and sends it
 *           on to the shard of its block, which completes it.
 * Threads   ftli_cleanup_send_drop by any thread, in signal handlers too: it allocates nothing, waits for nobody, cannot fail.
 * States    DROPPED -> RECLAIMING here; -> FREE in the shard; or -> QUARANTINED here, with a report.
 */
#ifndef FTLI_ACTORS_CLEANUP_CLEANUP_H
#define FTLI_ACTORS_CLEANUP_CLEANUP_H

#include "actors/allocation/allocation.h"
#include "actors/cleanup/settings.h"
#include "actors/tracking/tracking.h"

enum { FTLI_FINALIZER_WORKERS_MOST = 16 };

struct ftli_cleanup;

/* One a thread of the finalizers' group: a finalizer that stalls holds up its worker and nobody else. */
struct ftli_finalizer_worker {
    struct ftli_cleanup *cleanup;
    ftli_actor *actor;
    ftli_atomic_u64 calls, failures;
};

struct ftli_cleanup {
    const struct ftli_cleanup_settings *settings;
    struct ftli_table *table;
    struct ftli_device *device;
    ftli_kernel *kernel;
    uint64_t opened_ns;
    ftli_actor *actor;
    bool every_drop_is_a_message; /* policy message */
    uint32_t worker_count;
    struct ftli_finalizer_worker workers[FTLI_FINALIZER_WORKERS_MOST];
    struct ftli_counters counters; /* the actor's: cascades' drops, quarantine */
    /* A reference that a link or a view held, given up by the cleanup; the drop's parity is inherited. */
    void (*drop_reference)(void *user, uint64_t tensor, uint32_t parity);
    void *user;
    /* the actor's alone */
    ftli_link *waiting; /* failed finalizers, unordered; each header's extension says when it is due */
    ftli_link *quarantine;
    uint32_t next_worker;
    bool cascaded; /* in this run */
    /* read by any */
    ftli_atomic_u64 retried, invalid, waiting_count, received;
    ftli_atomic_u64 done_bytes;                  /* of drops that it has sent on or quarantined */
    FTLI_ALIGNED(64) ftli_atomic_u64 sent_bytes; /* of drops posted to it, by their posters */
};

extern const ftli_actor_operations ftli_cleanup_operations;
extern const ftli_actor_operations ftli_finalizer_operations;

void ftli_cleanup_init(struct ftli_cleanup *, const struct ftli_cleanup_settings *);
/* Writes time and purpose over the dimensions (the parity is there already) and posts. */
void ftli_cleanup_send_drop(struct ftli_cleanup *, struct ftli_header *);
/* For the mailbox: when the header was posted. */
uint64_t ftli_cleanup_sent_ns(const ftli_link *item);
/* Waits of failed finalizers are over: the next run tries all of them (drain, close, the end of a test). */
void ftli_cleanup_hurry(struct ftli_cleanup *);
/* Drops that wait in its mailbox. */
struct ftli_cleanup_backlog {
    uint64_t messages, bytes;
    uint64_t oldest_ns; /* when the oldest was posted, on the kernel's clock; 0: none waits */
};
void ftli_cleanup_read_backlog(const struct ftli_cleanup *, struct ftli_cleanup_backlog *out);

#endif
