/* A runtime as its actors are put together: the one place that names all of them.
 *
 * Owns      Everything of one ftl_runtime. The struct itself is type-stable and kept for its number, so that a call
 *           that comes after close finds it CLOSED.
 * Threads   Written by open and close; `state`, `parity` and `bypassing` are atomics; the actors' states are theirs.
 */
#ifndef FTLI_ACTORS_PORT_RUNTIME_H
#define FTLI_ACTORS_PORT_RUNTIME_H

#include "actors/allocation/allocation.h"
#include "actors/cleanup/cleanup.h"
#include "actors/defragmentation/defragmentation.h"
#include "actors/events/events.h"
#include "actors/leak_detection/leak_detection.h"
#include "actors/port/port.h"
#include "actors/telemetry/telemetry.h"
#include "actors/tracking/tracking.h"
#include "runtime/compose/topology.h"
#include "runtime/kernel/foreign.h"
#include "runtime/supervise/supervisor.h"
#include "tensor/label.h"
#include "tensor/scope.h"

enum ftli_runtime_state {
    FTLI_RUNTIME_NONE = 0,
    FTLI_RUNTIME_OPEN = 1,
    FTLI_RUNTIME_CLOSING = 2, /* new is refused */
    FTLI_RUNTIME_SHUT = 3,    /* nobody comes in any more; the last calls end */
    FTLI_RUNTIME_CLOSED = 4,
};

/* News that were refused, for who subscribed; told a tenth of a second apart. */
struct ftli_refusals {
    ftli_atomic_u64 count; /* since the last that was told */
    ftli_atomic_u64 told_ns;
};

struct ftl_runtime {
    uint32_t number;
    uint32_t process_epoch; /* of the process that opened it */
    ftli_atomic_u32 state;
    ftli_atomic_u64 bypassing; /* calls inside that have no port */
    ftli_event left;           /* signalled by the last of them to leave, while it closes */
    ftli_atomic_u32 parity;    /* of drain's epoch, 0 or 1 */
    ftli_token draining, closing, peak_token;
    struct ftli_topology *topology;
    ftli_kernel *kernel;
    uint64_t opened_ns;
    uint64_t opened_cycles, opened_system_ns; /* both at once: how many cycles are a nanosecond */
    uint32_t clock_cycles;                    /* that a look at the counter takes itself */
    ftli_atomic_u32 stamp_ms;                 /* coarse time since open; moved by the tick and by slow paths */
    struct ftli_table table;
    struct ftli_device *device;
    struct ftli_device *kept; /* after close: pointers into it are out */
    const struct ftli_allocation_settings *allocation_settings;
    struct ftli_counters shared; /* of calls without a port: fetch-and-add */
    ftli_atomic_u64 peak_live_bytes;
    ftli_atomic_u64 committed_at_peak;
    ftli_atomic_u64 audits_failed;
    struct ftli_labels labels;
    struct ftli_scopes scopes;
    struct ftli_sampling sampling;
    uint8_t tier_of_class[FTLI_COUNTED_CLASSES]; /* FTLI_RATE_LOOK: some sizes of it are recorded each */
    bool refuse_pinned;
    struct ftli_allocation allocation;
    struct ftli_cleanup cleanup;
    struct ftli_tracking tracking;
    struct ftli_defragmentation defragmentation;
    struct ftli_leak_detection leak_detection;
    struct ftli_telemetry telemetry;
    struct ftli_events events;
    struct ftli_gauge gauge;
    ftli_route *routes;               /* as many as the topology has; void ones unused */
    struct ftli_refusals refusals[3]; /* of the device, of scopes, of quotas */
    ftli_supervisor *supervisor;
    ftli_actor *allocation_actor, *cleanup_actor, *tracking_actor, *defragmentation_actor, *leak_detection_actor,
        *telemetry_actor; /* NULL: not in the topology */
    ftli_actor *events_actor;
    struct {
        ftli_atomic_u32 opened; /* which open it is: the generation of their ids */
        uint32_t count;
        ftli_foreign **actors;
    } users; /* the program's own actors */
};

/* By number; NULL: none was opened. The struct may be of a closed one. */
struct ftl_runtime *ftli_runtime_of(uint32_t number);
FTLI_INLINE bool ftli_runtime_is_open(const struct ftl_runtime *runtime)
{
    return ftli_u32_load_acquire(&runtime->state) == FTLI_RUNTIME_OPEN;
}

/* Milliseconds since it opened, coarse. */
uint32_t ftli_runtime_ms(const struct ftl_runtime *);

/* simulated: no threads, virtual time, the seed's order (runtime/kernel/simulation.h): for tests. */
int ftli_runtime_open_as(const ftl_open_options *, bool simulated, uint64_t seed, ftl_runtime **out);

/* Sums over all counter blocks, in the order that keeps the laws. */
void ftli_runtime_totals(struct ftl_runtime *, struct ftli_totals *);
/* Moves the peak of live bytes, if this is one. Returns how many tensors were created, ever. */
uint64_t ftli_runtime_look_at_peak(struct ftl_runtime *);
/* All of ftl_stats. Also what telemetry publishes. */
void ftli_runtime_read_stats(struct ftl_runtime *, ftl_stats *out);
/* CORE.md section 5: at rest, a walk of the table and of the heaps against the counters. FTL_EINTERNAL and why; FTL_EBUSY: they
 * differ, but tensors came and went at every look, so that nothing can be said. */
int ftli_runtime_audit(struct ftl_runtime *, char *why, size_t why_bytes);

/* Where tracking's walks find every tensor. */
struct ftli_list_world ftli_runtime_list_world(const struct ftl_runtime *);

/* A new was refused with FTL_ELIMIT: those who subscribed are told. scope 0: by the device. */
void ftli_runtime_refused(struct ftl_runtime *, uint64_t bytes, uint64_t scope, const char *why);
/* The same, by the quota of this label or site. */
void ftli_runtime_refused_by_quota(struct ftl_runtime *, uint64_t bytes, const char *name, const char *why);

/* A member came into the scope: if that brought it over its soft_bytes, those who subscribed are told. */
void ftli_runtime_look_at_soft(struct ftl_runtime *, uint64_t scope);

/* Where this thread puts the members of scopes. */
struct ftli_scope_cursor *ftli_thread_cursor(const struct ftl_runtime *);

/* The thread's last error: a sentence; returns status. */
int ftli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

#endif
