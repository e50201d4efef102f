/* The runtime: open, figures, drain, close. How to read the comments: fettle.h. */
#ifndef FETTLE_RUNTIME_H
#define FETTLE_RUNTIME_H

#include <fettle/base.h>
#include <fettle/watch.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- opening ------------------------------------------------------------------------------------------ */

typedef struct {
    const char *path;                /* a file, or */
    const char *text;                /* the text itself; both NULL: config/default.yaml as built in */
    size_t text_bytes;
    const char *overrides;           /* lines "actors.tracking.level: debug" laid over it; NULL: none */
    const struct ftl_actor_type *actor_types;   /* fettle/actor.h; copied */
    size_t actor_type_count;
    const struct ftl_device_type *device_types; /* not in this version: FTL_ENOTSUP unless NULL */
    size_t device_type_count;
    ftl_event_fn on_event;           /* as ftl_subscribe, from the first moment; a failing open tells it why (LOG) */
    void *on_event_user;
    uint32_t on_event_kinds, flags;  /* kinds 0: all; flags: 0 */
    uint64_t reserved[5];
} ftl_open_options;

/* Builds a runtime from a topology: its memory, actors and threads. Several may be open, 4,095 at once; each thread is
 * fast in four of them at once. Threads of ours block every signal. open: from a file; NULL: config/default.yaml as
 * built in. open_text: from n bytes of text. open_with: all options. In a forked child too: the child's own runtime.
 * [w] reads the file and starts threads: milliseconds
 * FTL_EINVAL   out, text or options NULL; path and text both given; flags; reserved; on_event_kinds; what belongs to
 *              on_event without it; actor_types
 * FTL_ENOTSUP  device_types
 * FTL_ECONFIG  the topology, or its file cannot be read: ftl_last_error is one line, file:line:column: key: what was
 *              expected
 * FTL_ENOMEM   no memory, address space or threads
 * FTL_ELIMIT   4,095 runtimes are open
 * If an actor of actor_types answers an error at its start: that one.
 * If the topology has telemetry published, what stood against that too: FTL_EINVAL, FTL_EBUSY (another runtime
 * publishes there), FTL_EDEVICE, FTL_ENOTSUP (no such transport). */
FTL_API FTL_CHECK int ftl_runtime_open(const char *topology, ftl_runtime **out);
FTL_API FTL_CHECK int ftl_runtime_open_text(const char *text, size_t n, ftl_runtime **out);
FTL_API FTL_CHECK int ftl_runtime_open_with(const ftl_open_options *, ftl_runtime **out);

/* ---- while it is open --------------------------------------------------------------------------------- */

/* Lends this thread to the runtime for up to budget_ns, until nothing is left to do: for topologies with `count: 0` and
 * for event loops. threads: the group to serve; NULL: all without threads of their own, FTL_OK if there are none. What
 * has begun is not interrupted; at least one message is worked on. *left (may be NULL): messages that still wait. This
 * is where finalizers and callbacks run in such a topology. [w] budget_ns, and the message it is in
 * FTL_EINVAL   runtime NULL; budget_ns negative; no group of that name has count 0
 * FTL_EBUSY    from a finalizer or callback
 * FTL_ECLOSED  closed or closing
 * FTL_ENOTSUP  forked child */
FTL_API int ftl_runtime_run(ftl_runtime *, const char *threads, int64_t budget_ns, uint64_t *left);

/* Waits until every drop that returned before it, and all that those drop in turn, is reclaimed or quarantined. Drops
 * that wait for a pin count as not reclaimed. timeout_ns 0: only look whether any drop is pending; <0: no limit. In a
 * topology without threads this thread does the work meanwhile. [w] timeout_ns
 * FTL_ETIMEDOUT  some are still pending
 * FTL_EINVAL     runtime NULL
 * FTL_EBUSY      from a finalizer or callback
 * FTL_ECLOSED    closed or closing, also while it waited
 * FTL_ENOTSUP    forked child */
FTL_API FTL_CHECK int ftl_runtime_drain(ftl_runtime *, int64_t timeout_ns);

/* Every operation that returned before the call is in it, none that began after it returned. Counts since open; bytes
 * now. */
typedef struct {
    uint64_t created, live, pending, reclaimed, quarantined; /* created = live + pending + reclaimed + quarantined */
    uint64_t immediate, deferred;    /* drops that the dropping thread finished; that were posted */
    uint64_t stale_handles;          /* calls on handles that were gone */
    uint64_t live_bytes, pending_bytes, cached_bytes, slack_bytes, committed_bytes, peak_live_bytes;
    double fragmentation;            /* free bytes in runs under 1 MiB (free slots too) / committed bytes */
    double efficiency;               /* live / committed at the moment of peak_live_bytes */
    double tracking_time_overhead;   /* what tracking took / what the calling threads had, of processor time */
    double tracking_memory_overhead; /* what tracking holds beyond its fixed rings / live bytes */
    /* added: committed = live + pending + quarantined + cached + slack + metadata, all in bytes */
    uint64_t quarantined_bytes, metadata_bytes, wrapped_bytes /* 0 in this version */, immovable_bytes, limit_bytes;
    uint64_t oldest_pending_ns, reclaim_p50_ns, reclaim_p99_ns, reclaim_max_ns;
    uint64_t restarts;
    uint64_t events_lost;            /* of tracking, and of those that a subscriber was too slow for */
    uint64_t leak_suspects;
    uint64_t held_bytes;             /* the part of cached_bytes that sits in ports, for their threads alone */
    uint64_t audits_failed;          /* must be 0 */
    uint64_t unpins_without_pin;
    uint64_t moves_voided, generation_wraps; /* 0 in this version */
    uint32_t pressure;               /* 0 none, 1 low .. 4 critical */
    uint32_t degraded;               /* bit per actor that is down */
    uint64_t reserved[28];
} ftl_stats;

/* The figures. [lf] microseconds; poll it freely.
 * FTL_EINVAL   runtime or out NULL
 * FTL_ECLOSED  the runtime is closed
 * FTL_ENOTSUP  forked child */
FTL_API FTL_CHECK int ftl_runtime_stats(ftl_runtime *, ftl_stats *out);

/* One request in, lines of text out, through write, on the calling thread; write may stop it (nonzero), and must not
 * close.
 *
 *   stats [json]  one figure of ftl_stats a line; supervision, lanes and actors. json: as telemetry publishes it
 *   check         compares all counters with what is there: "good", or what is broken
 *   leaks [json]  ftl_leak_scan, printed as by ftl_leak_report_write; then the caches, which are not counted. json: all of
 *                 it, for programs
 *   leaks reach [json]   the same, with ftl_leak_options.reachability: the process stands still for a moment
 *   reach estimate   for how long, and what memory and time that takes
 *   topology      groups, actors, and what differs from the standard
 *   quarantine    a tensor that was given up a line: handle, bytes, how often its finalizer was tried and what it
 *                 returned last, label, tag, site; then their sum
 *   retry HANDLE  a tensor of that list, 0x..: its finalizer is tried again, now and as after a drop, up to the
 *                 deadline; ftl_tensor_await waits for what comes of it. Once: who asks too late is refused. retry all:
 *                 whatever is in quarantine
 *   tensors       ftl_tensor_list, one a line, and their sum; tensors json: as a JSON object
 *   breakdown     what is live by device, size class, dtype, label and scope: counts and bytes, each adding up to the
 *                 whole; at rest that is ftl_stats' live and live_bytes. Of scopes the hundred largest, and the others
 *                 as one. breakdown json
 *   profile heap  a heap profile in the format of pprof, not compressed: bytes, not text. inuse_objects, inuse_space,
 *                 alloc_objects, alloc_space by site, with labels device, dtype, scope and label. What is in use is exact
 *                 for sites that the program named (ftl_tensor_options.site), else an estimate from samples
 *   profile folded   the same, bytes in use, as stacks a line for flame graphs
 *   sites [N]     where sampled tensors are made, the N (40) largest first: what is alive, as estimates with their standard
 *                 errors; how many are made a second; within how long half, and 99 of 100, of those that ended did, and
 *                 what is alive for longer; what their bytes look like over time, with a confidence: stable, repeating,
 *                 sawtooth, steady growth, exponential growth
 *   set KEY VALUE   what may be changed while it runs, and is as it was at the next open: actors.tracking.level and .target,
 *                 actors.leak_detection.quota.label, .site and .warn, actors.leak_detection.mitigate; values as in a topology
 *   kill NAME     fault injection: that actor's next receive fails as one that answers FTL_EINTERNAL, and the topology's
 *                 `recovery` and `supervision` say what follows; by default a restart, of which they allow 1 in 5 s
 *
 * [w] check: some 20 ms; leaks: as ftl_leak_scan; tensors, breakdown, profile, sites: a walk
 * FTL_EINVAL     runtime, request or write NULL; stats, leaks, tensors, breakdown: neither json nor nothing; profile:
 *                neither heap nor folded; sites: no number; set: another key, or no such value; retry: no handle, or
 *                of a tensor that is alive; kill: there is no such actor
 * FTL_ENOTSUP    another request; sites, set: the topology has no such actor; stats json, leaks json in a build without
 *                telemetry; kill: an actor that cannot be restarted; forked child
 * FTL_EBUSY      check: tensors came and went at every look; retry: the tensor is being reclaimed; kill: it is
 *                down, or was not yet met by the last kill
 * FTL_ESTALE     retry: there is no such tensor, or no more
 * FTL_EINTERNAL  check: broken
 * FTL_ETIMEDOUT, FTL_ENOMEM  leaks: as ftl_leak_scan; breakdown, profile, sites: FTL_ENOMEM
 * FTL_ECLOSED    the runtime is closed; retry: or closing */
FTL_API FTL_CHECK int ftl_runtime_control(ftl_runtime *, const char *request, ftl_write_fn, void *user);

/* ---- closing ------------------------------------------------------------------------------------------ */

typedef struct {
    uint64_t leaked, leaked_bytes;   /* alive at close; leaks lists them */
    uint64_t pinned, pinned_bytes;   /* left mapped, because a pointer into them is out */
    uint64_t undone, quarantined;    /* drops not completed by the deadline; given up earlier */
    ftl_leak_report *leaks;          /* NULL when leaked is 0, or no memory for it; else yours: ftl_leak_report_free */
    uint64_t reserved[4];
} ftl_close_report;

/* Refuses new tensors, waits for pending drops, stops the actors, reports what is left, and gives all memory back, that
 * of leaked tensors too; only what is pinned stays mapped, for ever. From its begin ftl_tensor_new answers FTL_ECLOSED;
 * after it calls on old handles answer FTL_ECLOSED or FTL_ESTALE: a destructor that runs late is harmless. out: NULL if
 * you do not want the report.
 * [w] the topology's drain_on_close; as long again, 1 s at least, for a finalizer or callback that is running; 1 s for calls
 * under way; drain_on_close once more for what the actors have left, and as long as one finalizer that runs then, on this
 * thread, or the stop of an actor of yours takes
 * FTL_EINVAL   runtime NULL
 * FTL_EBUSY    from a finalizer or callback; another thread closes it; something is pinned, and the topology says
 *              pinned_on_close: refuse. Nothing has changed. Or: a finalizer, a callback, or another thread's call took
 *              longer than is waited for; new tensors stay refused, all else goes on, close it again
 * FTL_ECLOSED  it was closed before
 * FTL_ENOTSUP  forked child */
FTL_API int ftl_runtime_close(ftl_runtime *, ftl_close_report *out);

#ifdef __cplusplus
}
#endif
#endif
