/* tracking's address: the counters that everybody keeps, and the record of sampled events.
 *
 * What      A counter block belongs to one writer (a port, a shard, the cleanup) or is shared (bypasses, by
 *           fetch-and-add). Tracking sums the blocks; nothing counts twice, nothing is estimated.
 * Order     A tensor's life writes created, then dropped (immediate or deferred), then completed or quarantined. Readers sum in
 *           the reverse order, so that every snapshot has created >= dropped >= reclaimed + quarantined.
 * Progress  Wait-free for the writers.
 */
#ifndef FTLI_ACTORS_TRACKING_TRACKING_H
#define FTLI_ACTORS_TRACKING_TRACKING_H

#include "actors/tracking/breakdown.h"
#include "actors/tracking/list.h"
#include "actors/tracking/modules.h"
#include "actors/tracking/profile.h"
#include "actors/tracking/controller.h"
#include "actors/tracking/pattern.h"
#include "actors/tracking/sampling.h"
#include "actors/tracking/site.h"
#include "actors/tracking/stack.h"
#include "runtime/kernel/actor.h"
#include "runtime/kernel/route.h"
#include "runtime/kernel/token.h"

struct ftli_events;

#define FTLI_COUNTED_CLASSES 53 /* of allocation's size classes, 0: whole pages, or a view */

/* One writer each. Bytes are those that shapes ask for; block bytes those of the blocks they lie in. */
struct ftli_counters {
    ftli_atomic_u64 created[FTLI_COUNTED_CLASSES];
    ftli_atomic_u64 created_bytes;
    ftli_atomic_u64 created_page_bytes; /* blocks of whole pages */
    ftli_atomic_u64 immediate[FTLI_COUNTED_CLASSES];
    ftli_atomic_u64 immediate_bytes;
    ftli_atomic_u64 immediate_page_bytes; /* blocks of whole pages */
    ftli_atomic_u64 deferred[2];          /* by the parity of drain's epoch */
    ftli_atomic_u64 deferred_bytes;
    ftli_atomic_u64 deferred_block_bytes;
    ftli_atomic_u64 completed[2];
    ftli_atomic_u64 completed_bytes;
    ftli_atomic_u64 completed_block_bytes;
    ftli_atomic_u64 quarantined_by_parity[2];
    ftli_atomic_u64 quarantined_bytes;
    ftli_atomic_u64 quarantined_block_bytes;
    ftli_atomic_u64 stale_handles;
    ftli_atomic_u64 unpins_without_pin;
    ftli_atomic_u64 tracking_cycles; /* spent in tracking's own code on this thread */
    ftli_atomic_u64 sampled;
};

/* A sum of blocks, in plain numbers. */
struct ftli_totals {
    uint64_t created, created_bytes, created_block_bytes;
    uint64_t immediate, immediate_bytes, immediate_block_bytes;
    uint64_t deferred[2], deferred_bytes, deferred_block_bytes;
    uint64_t completed[2], completed_bytes, completed_block_bytes;
    uint64_t quarantined_by_parity[2], quarantined_bytes, quarantined_block_bytes;
    uint64_t stale_handles, unpins_without_pin;
    uint64_t tracking_cycles, sampled;
};

/* The three passes of a snapshot; each runs over all blocks before the next begins. */
void ftli_totals_add_ends(struct ftli_totals *, const struct ftli_counters *);   /* completed, quarantined */
void ftli_totals_add_drops(struct ftli_totals *, const struct ftli_counters *);  /* immediate, deferred */
void ftli_totals_add_births(struct ftli_totals *, const struct ftli_counters *); /* created */

/* A port that is zeroed or recycled gives its counts to another block. Both have no writer meanwhile. */
void ftli_counters_move(struct ftli_counters *from, struct ftli_counters *to);

/* ---- sampled events ---------------------------------------------------------------------------------------------- */

enum ftli_event_kind { FTLI_EVENT_CREATED = 1, FTLI_EVENT_DROPPED = 2 };

/* The packed record of the header, the coarse stamp, and what happened. */
struct ftli_event_record {
    uint64_t
        record; /* weight 12 | site 20 | size class 8 | device 8 | flags 16: ftli_record_site, ftli_record_weight */
    uint64_t bytes;
    uint32_t stamp_ms; /* since the runtime opened */
    uint32_t kind;
    uint32_t lived_ms; /* dropped: how long it lived */
    uint32_t thread;   /* number of the port; who takes it out of its ring says so */
};

#define FTLI_EVENT_RING 256 /* a port's; a power of two */

/* From one port to the tracking actor. Lossy: what does not fit is counted. */
struct ftli_event_ring {
    FTLI_ALIGNED(64) ftli_atomic_u32 written; /* by the port. pairs: event-ring, with the reader's acquire */
    ftli_atomic_u64 lost;
    FTLI_ALIGNED(64) ftli_atomic_u32 read; /* by the actor. pairs: event-ring-space */
    struct ftli_event_record events[FTLI_EVENT_RING];
};

/* Where the next event goes; NULL: there is no room, and the loss is counted. */
FTLI_INLINE struct ftli_event_record *ftli_event_ring_next(struct ftli_event_ring *ring)
{
    uint32_t written = ftli_u32_load_relaxed(&ring->written);
    if (FTLI_UNLIKELY(written - ftli_u32_load_acquire(&ring->read) >= FTLI_EVENT_RING)) { /* pairs: event-ring-space */
        ftli_u64_add_owner(&ring->lost, 1);
        return NULL;
    }
    return &ring->events[written % FTLI_EVENT_RING];
}

/* What was written there is an event. True: with this one the ring is half full, so the actor should come. */
FTLI_INLINE bool ftli_event_ring_publish(struct ftli_event_ring *ring)
{
    uint32_t written = ftli_u32_load_relaxed(&ring->written) + 1;
    ftli_u32_store_release(&ring->written, written); /* pairs: event-ring */
    return written - ftli_u32_load_relaxed(&ring->read) == FTLI_EVENT_RING / 2;
}

/* Up to n events out; by one reader at a time. */
uint32_t ftli_event_ring_take(struct ftli_event_ring *, struct ftli_event_record *out, uint32_t n);

/* ---- the actor ------------------------------------------------------------------------------------------------------
 *
 * Every 100 ms, while events come, the actor empties the ports' rings into its own ring of the last `events` ones, and looks at what
 * tracking costs (controller.h). It is armed by ftli_tracking_note; it stops by itself. A runtime whose level never sampled anything has no ring.
 */

enum { FTLI_TRACKING_UPDATE = 1, FTLI_TRACKING_SAMPLE_LESS = 2 }; /* of routes: the rings are emptied now; adapt.c */
enum { FTLI_TRACKING_SITES_A_TICK = 512 /* that are looked at for their timelines */ };
enum { FTLI_TRACKING_TICK_NS = 100 * 1000 * 1000 };
enum { FTLI_TRACKING_HEADER_BYTES = 12 }; /* what tracking keeps in each tensor's header: record and stamp */

/* What tracking costs the program, and what there is to track. */
struct ftli_tracking_load {
    uint64_t tracking_ns; /* that the ports' threads spent in tracking's code */
    uint64_t thread_ns;   /* processor time of those threads, since each took its port */
    uint64_t sampled;     /* tensors, ever */
    uint64_t live, live_bytes;
    uint64_t events_lost; /* sum over the ports' rings */
    uint64_t ring_bytes;  /* of the ports' rings */
};

struct ftli_tracking_world {
    const struct ftli_tracking_settings *settings; /* lives as long as the actor */
    /* Up to n events out of the ports' rings, one ring after the other; 0: all are empty. One caller at a time. */
    uint32_t (*take_events)(void *user, struct ftli_event_record *out, uint32_t n);
    void (*read_load)(void *user, struct ftli_tracking_load *out);
    void *user;
    /* All ports draw by the rates that are published. How many could not be had, and are to be asked again. NULL: there are none. */
    uint32_t (*apply_rates)(void *user);
    struct ftli_events *events; /* NULL: nobody is told */
    bool adapts;                /* what is measured is time that passes: rates may follow it */
};

struct ftli_tracking {
    struct ftli_tracking_world world;
    struct ftli_sites *sites;      /* NULL: the topology has no tracking */
    ftli_actor *actor;             /* NULL until attached: events are then taken by who reads them */
    struct ftli_rates rates;       /* read by ports */
    ftli_atomic_u32 stacks_paused; /* 1: over target, no stacks are taken for a while, but for those of `stacks: all` */
    ftli_atomic_u32 level;
    ftli_route *over_target;      /* NULL: nobody is told */
    ftli_atomic_u64 rate_changes; /* ever */
    ftli_atomic_u64 times_over;
    ftli_atomic_u32 has_ring; /* something was sampled, or may be */
    uint32_t capacity;
    ftli_token token;                 /* over what follows */
    struct ftli_event_record *events; /* the last `capacity`, event k at k % capacity; NULL: none are kept */
    ftli_atomic_u64 events_bytes;     /* of the mapping */
    ftli_atomic_u64 taken;            /* events ever taken; moved under the token */
    struct ftli_controller controller;
    ftli_atomic_u64 own_cpu_ns;                      /* of the actor; written by it alone */
    ftli_atomic_u64 begun_spent_ns, begun_thread_ns; /* when the level was set; read by any */
    double target;                                   /* as the topology or who set it says */
    uint64_t paused_until_ns;                        /* 0: stacks are taken */
    bool is_less_wanted;                             /* a route said so while somebody had the token */
    bool is_pending;                                 /* some port has other rates still */
    uint32_t looked;                                 /* a pass over the sites has come to here; 0: none is under way */
};

/* The timelines of all sites are brought up to now_ns of the kernel's clock; what one of them looks like. Any thread; waits as
 * ftli_tracking_events does. */
void ftli_tracking_look(struct ftli_tracking *, uint64_t now_ns);
enum ftli_pattern ftli_tracking_pattern(struct ftli_tracking *, uint32_t site, double *confidence);
/* When its first tensor was seen, in milliseconds of the kernel's clock; 0: not yet. */
uint64_t ftli_tracking_since_ms(struct ftli_tracking *, uint32_t site);

extern const ftli_actor_operations ftli_tracking_operations;

int ftli_tracking_init(struct ftli_tracking *, const struct ftli_tracking_world *); /* FTL_ENOMEM */
void ftli_tracking_fini(struct ftli_tracking *);
void ftli_tracking_attach(struct ftli_tracking *, ftli_actor *);
/* A port's ring is half full, or holds something while the program pauses: one load and a look at the clock if the actor is
 * armed. Async-signal-safe. */
void ftli_tracking_note(struct ftli_tracking *);

/* The last n events of those kept, the newest last; what still lies in the ports' rings included. Returns how many.
 * Waits for who reads or empties at the same moment. */
uint32_t ftli_tracking_events(struct ftli_tracking *, struct ftli_event_record *out, uint32_t n);

struct ftli_tracking_figures {
    double
        time_overhead; /* what tracking spent over what the calling threads had, of processor time, since the level was set */
    double memory_overhead; /* bytes in headers / live bytes; 0 without live bytes */
    uint64_t events;        /* ever taken */
    uint64_t kept, lost;
    uint64_t header_bytes; /* 12 a live tensor: all that grows with the program */
    uint64_t ring_bytes;   /* fixed: the actor's and the ports' */
    uint64_t own_busy_ns;  /* of the actor, on service threads, of processor time; in the time overhead */
    uint64_t sampled, rate_changes, times_over;
    uint32_t level, stacks_paused;
    double rates[FTLI_TRACKING_TIERS]; /* in use */
};
/* Any thread; waits for nobody. */
void ftli_tracking_read(struct ftli_tracking *, struct ftli_tracking_figures *out);

/* While it runs, by any thread; waits for who has the token. What was so before, in *was.
 * FTL_ENOMEM: no memory for the ring of events. */
int ftli_tracking_set_level(struct ftli_tracking *, uint32_t level, uint32_t *was);
void ftli_tracking_set_target(struct ftli_tracking *, double target, double *was);
const char *ftli_tracking_level_name(uint32_t level);

#endif
