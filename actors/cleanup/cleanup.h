/* cleanup's address: drops with something to finish, and what became of them.
 *
 * What      A header that is DROPPED without pins is posted to the cleanup, in the lane that its size and the pressure give
 *           it. The cleanup has its finalizer run (on a worker), gives up its links and its root, validates, and sends it
 *           on to the shard of its block, which completes it.
 * Threads   ftli_cleanup_send_drop by any thread, in signal handlers too: it allocates nothing, waits for nobody, cannot fail.
 * States    DROPPED -> RECLAIMING here; -> FREE in the shard; or -> QUARANTINED here, with a report. An operator's retry:
 *           QUARANTINED -> RECLAIMING by whom he asks, and back to here.
 */
#ifndef FTLI_ACTORS_CLEANUP_CLEANUP_H
#define FTLI_ACTORS_CLEANUP_CLEANUP_H

#include "actors/allocation/allocation.h"
#include "actors/cleanup/settings.h"
#include "actors/events/events.h"
#include "actors/tracking/tracking.h"
#include "runtime/kernel/route.h"
#include "tensor/label.h"

enum { FTLI_FINALIZER_WORKERS_MOST = 16, FTLI_CLEANUP_SENT_SHIFT = 40 };

/* Messages of routes, and the events that they may name (settings.c). */
enum { FTLI_CLEANUP_RUN = 1 }; /* what waits, for a batch too, is worked off now */

struct ftli_cleanup;

/* One a thread of the finalizers' group: a finalizer that stalls holds up its worker and nobody else. */
struct ftli_finalizer_worker {
    ftli_route called; /* headers are there to be taken */
    struct ftli_cleanup *cleanup;
    ftli_actor *actor;
    ftli_atomic_u64 calls, failures;
    ftli_atomic_u64 posted_ns; /* of the header whose finalizer runs; 0: none runs */
};

/* Headers whose finalizers are to be called (finalizers.c): the cleanup lays them out in order, whichever worker is free takes the next. */
enum { FTLI_FINALIZERS_READY = 64 };
struct ftli_finalizers {
    ftli_link *first, *last;                /* the cleanup's alone: what the ring has no room for yet */
    FTLI_ALIGNED(64) ftli_atomic_u64 dealt; /* ever; the cleanup's. pairs: finalizers-dealt */
    ftli_atomic_pointer ready[FTLI_FINALIZERS_READY];
    FTLI_ALIGNED(64) ftli_atomic_u64 taken; /* ever; by any worker. pairs: finalizers-taken */
};

/* ---- parcels: policy message ------------------------------------------------------------------------------------------
 *
 * A message that carries many drops of one port: tensors that are FREE already, in their next generation, and belong to the parcel.
 * Each entry is the handle of the header's next tensor plus, where the runtime's number lies, the size class (0: whole
 * pages), and what the cleanup must know of all of them is summed, so that it touches neither header nor entry. When it has counted the parcel that goes
 * back with its tensors: a new of the same lane takes it, lays them into its magazines and its pocket, and gives it to the pool.
 * Owned by: a port (while it fills it), the mailbox, the cleanup, a lane of returned ones, the port that unpacks it, the pool.
 */
enum {
    FTLI_PARCEL_MOST = 240,
    FTLI_PARCELS_MOST = 4096,
    FTLI_PARCEL_REST_NS = 25 * 1000 * 1000,
    FTLI_PARCEL_LANES = 8,
    FTLI_PARCEL_BYTES = 1 << 19, /* posted when the bytes of its blocks and a share for each drop reach this */
    FTLI_PARCEL_SHARE_BYTES = FTLI_PARCEL_BYTES / FTLI_PARCEL_MOST + 1,
    FTLI_PARCEL_ROOM = FTLI_PARCEL_BYTES - FTLI_PARCEL_SHARE_BYTES, /* less than another's share is left: full */
};

struct ftli_finalizer_call {
    ftl_finalizer finalizer;
    ftl_tensor tensor;
    void *data;
    size_t bytes;
    void *user;
};

struct ftli_parcel {
    ftli_message message;
    ftli_atomic_u32 count; /* 0 when they are counted as completed */
    int64_t room;          /* below 0: it is to be posted */
    ftli_atomic_u64 bytes; /* that their shapes ask for */
    ftli_atomic_u64 opened_ns;
    uint32_t parity;       /* of drain's epoch: of all its drops */
    uint32_t lane;         /* where it is returned */
    ftli_atomic_u32 ready; /* how many are to be taken, when it was returned */
    ftli_atomic_u32 next;  /* a stack's */
    uint32_t index;        /* its own, from 1 */
    uint32_t unused[11];
    ftli_atomic_u64 entries[FTLI_PARCEL_MOST];
};

/* next_id: the handle of its next tensor. */
FTLI_INLINE uint64_t ftli_parcel_entry(uint64_t next_id, unsigned size_class)
{
    return next_id + ((uint64_t)size_class << FTLI_HANDLE_RUNTIME_SHIFT);
}

FTLI_INLINE unsigned ftli_parcel_entry_class(uint64_t entry, uint32_t runtime)
{
    return (unsigned)((entry - ftli_handle_make(runtime, 0, 0)) >> FTLI_HANDLE_RUNTIME_SHIFT);
}

#if !defined __cplusplus
static_assert(sizeof(struct ftli_parcel) == 2048, "32 lines");
static_assert(FTLI_CLASSES <= 64, "an entry holds the class");
#endif

struct ftli_parcel_stack {
    FTLI_ALIGNED(64) ftli_atomic_u64 head; /* index 32 | count 32 */
};

struct ftli_parcels {
    struct ftli_parcel *parcels; /* NULL: policy auto, or no address space */
    uint32_t most;
    ftli_atomic_u32 fresh;
    struct ftli_parcel_stack empty;
    struct ftli_parcel_stack returned[FTLI_PARCEL_LANES];
};

/* At rest: what parcels carry whose headers do not say that they are pending. */
struct ftli_parcels_sum {
    uint64_t free_tensors, free_bytes, free_block_bytes;
    uint64_t oldest_ns;            /* 0: none */
    uint64_t returned_block_bytes; /* not pending any more */
};

struct ftli_cleanup {
    const struct ftli_cleanup_settings *settings;
    struct ftli_table *table;
    struct ftli_device *device;
    ftli_kernel *kernel;
    uint64_t opened_ns;
    ftli_actor *actor;
    bool every_drop_is_a_message;            /* policy message */
    uint64_t at_once_bytes, emergency_bytes; /* committed: the shares of the limit that the topology gives */
    uint32_t worker_count;
    struct ftli_finalizer_worker workers[FTLI_FINALIZER_WORKERS_MOST];
    struct ftli_finalizers finalizers;
    struct ftli_counters counters; /* the actor's: cascades' drops, quarantine */
    /* A reference that a link or a view held, given up by the cleanup; the drop's parity is inherited. */
    void (*drop_reference)(void *user, uint64_t tensor, uint32_t parity);
    /* Makes the call; the drops in it inherit the parity as well. NULL: nobody counts drops. */
    int (*finalize)(void *user, uint32_t parity, const struct ftli_finalizer_call *);
    void *user;
    struct ftli_events *events;       /* who hears of a quarantine; may be NULL */
    const struct ftli_labels *labels; /* of whose tensors it tells */
    ftli_route *completed;            /* a run completed some; NULL: nobody is told */
    /* the actor's alone */
    ftli_link *waiting; /* failed finalizers, unordered; each header's extension says when it is due */
    bool cascaded;      /* in this run */
    uint64_t done_told; /* `done` as of the last run that told of it */
    /* read by any */
    ftli_atomic_u64 retried, invalid, waiting_count, received;
    ftli_atomic_u64 retrying; /* sent by operators and still counted as quarantined: drain waits for them */
    ftli_atomic_u64 passes;   /* runs of the actor. pairs: await-pass */
    ftli_event reclaimed;     /* signalled after each: who awaits one tensor looks again */
    ftli_atomic_u64 done;     /* of what was sent: what it has sent on, completed or quarantined */
    ftli_histogram latencies; /* of what it completed itself */
    struct ftli_parcels parcels;
    /* Drops posted to it, by their posters: tensors 24 | bytes 40, and so is the difference to `done`, whatever overflowed. */
    FTLI_ALIGNED(64) ftli_atomic_u64 sent;
};

extern const ftli_actor_operations ftli_cleanup_operations;
extern const ftli_actor_operations ftli_finalizer_operations;

/* A worker whose actor there is: from here on it may be called. */
void ftli_finalizers_attach(struct ftli_cleanup *, struct ftli_finalizer_worker *, ftli_actor *);

void ftli_cleanup_init(struct ftli_cleanup *, const struct ftli_cleanup_settings *);
/* After init: whose memory it gives back. */
void ftli_cleanup_attach_device(struct ftli_cleanup *, struct ftli_device *);
/* Writes time and purpose over the dimensions (the parity is there already) and posts. */
void ftli_cleanup_send_drop(struct ftli_cleanup *, struct ftli_header *);

void ftli_parcels_open(struct ftli_cleanup *); /* reserves addresses; without any there are no parcels */
void ftli_parcels_close(struct ftli_cleanup *);
size_t ftli_parcels_metadata_bytes(const struct ftli_cleanup *);
void ftli_parcels_sum(const struct ftli_cleanup *, struct ftli_parcels_sum *out);
/* An empty one, or NULL. Lock-free, allocates nothing. */
struct ftli_parcel *ftli_parcel_take(struct ftli_cleanup *);
void ftli_parcel_give(struct ftli_cleanup *, struct ftli_parcel *);
/* One that was returned to the lane, or to one of the next lanes, so many in all; NULL: none. The caller takes some of the `ready` ones, the last
 * first, and gives it back with what is left. */
struct ftli_parcel *ftli_parcel_take_returned(struct ftli_cleanup *, uint32_t lane, uint32_t lanes);
void ftli_parcel_give_rest(struct ftli_cleanup *, struct ftli_parcel *, uint32_t left);
/* From here on it may be gone. */
void ftli_cleanup_send_parcel(struct ftli_cleanup *, struct ftli_parcel *);
/* Pressure is so that nothing waits for others. */
bool ftli_cleanup_is_at_once(const struct ftli_cleanup *);

/* Has a quarantined tensor begin again. False: it is not in quarantine (any more), and nothing happened. Any thread, not in signal
 * handlers. */
bool ftli_cleanup_send_retry(struct ftli_cleanup *, struct ftli_header *, uint32_t generation);

/* A parcel that is not counted yet holds this tensor, named by the handle of its header's next one. Reads them all. */
bool ftli_parcels_hold(const struct ftli_cleanup *, uint64_t next_id);
/* For the mailbox: when the header was posted. */
uint64_t ftli_cleanup_sent_ns(const ftli_link *item);
/* Runs the cleanup on this thread, for a few messages, if nobody else does: a new that would else take fresh memory. False: somebody
 * runs it, or nothing waits. */
bool ftli_cleanup_help(struct ftli_cleanup *);
/* Waits of failed finalizers are over: the next run tries all of them (drain, close, the end of a test). */
void ftli_cleanup_hurry(struct ftli_cleanup *);
/* Drops that were posted and not done: two loads. */
struct ftli_cleanup_pending {
    uint64_t tensors, bytes;
};
FTLI_INLINE struct ftli_cleanup_pending ftli_cleanup_read_pending(const struct ftli_cleanup *cleanup)
{
    uint64_t done = ftli_u64_load_acquire(&cleanup->done); /* first: what is done was sent */
    uint64_t left = ftli_u64_load_acquire(&cleanup->sent) - done;
    return (struct ftli_cleanup_pending){left >> FTLI_CLEANUP_SENT_SHIFT,
                                         left & ((UINT64_C(1) << FTLI_CLEANUP_SENT_SHIFT) - 1)};
}
/* The same, and since when. */
struct ftli_cleanup_backlog {
    uint64_t messages, bytes;
    uint64_t oldest_ns; /* when the oldest was posted, on the kernel's clock; 0: none waits */
};
void ftli_cleanup_read_backlog(const struct ftli_cleanup *, struct ftli_cleanup_backlog *out);
/* When the oldest was posted that waits for the cleanup or for a finalizer's worker, or whose finalizer runs; 0: none. */
uint64_t ftli_cleanup_oldest_ns(const struct ftli_cleanup *);

#endif
