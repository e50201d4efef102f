/* Looking after memory: leaks, fragmentation; and the shapes of events. How to read the comments: fettle.h. */
#ifndef FETTLE_WATCH_H
#define FETTLE_WATCH_H

#include <fettle/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- leaks -------------------------------------------------------------------------------------------- */

typedef struct {
    ftl_tensor tensor;               /* the oldest of them; weak */
    uint64_t bytes, age_ns, count;   /* count: how many like it (same site and cause) this row stands for */
    uint32_t cause, certainty;       /* cause 0: alive, no more is known. certainty: percent; 100: proven */
    double growth_bytes_per_second;  /* 0 in this version */
    uint64_t tag;
    char label[32], scope[32], site[64];
    uint64_t reserved[2];
} ftl_leak;
/* Found in this version: OUTLIVED_SCOPE, OUTLIVED_THREAD and PINNED, each proven: certainty 100. */
enum { FTL_LEAK_UNREFERENCED = 1, FTL_LEAK_OUTLIVED_SCOPE = 2, FTL_LEAK_OUTLIVED_THREAD = 3, FTL_LEAK_CYCLE = 4,
       FTL_LEAK_GROWTH = 5, FTL_LEAK_UNREACHABLE = 6, FTL_LEAK_SURVIVOR = 7,
       FTL_LEAK_PINNED = 8 /* dropped, and pinned for more than 10 s */ };
typedef struct {
    size_t count;                    /* rows, most bytes first */
    const ftl_leak *leaks;
    uint64_t leaked, leaked_bytes;   /* tensors and bytes in all rows */
    uint64_t scanned, elapsed_ns;    /* tensors looked at; time it took */
    uint64_t reserved[2];
} ftl_leak_report;
typedef struct {
    uint32_t causes;                 /* mask of 1 << cause; 0: all that are found, but alive (1 << 0) */
    uint32_t certainty;              /* at least, percent; every row of this version has 100 */
    bool reachability;               /* not in this version: FTL_ENOTSUP unless false */
    int64_t timeout_ns;              /* 0: 10 s */
    uint64_t reserved[5];
} ftl_leak_options;

/* Looks at every tensor once, on the calling thread, while others make and drop theirs: one that is made or dropped
 * meanwhile may be seen or not. options: NULL for none. *out is yours: ftl_leak_report_free. [w] timeout_ns at most
 * FTL_EINVAL     runtime or out NULL; a cause that there is not; certainty over 100; timeout_ns negative; reserved
 * FTL_ENOTSUP    reachability; a cause that is not found in this version; forked child
 * FTL_ETIMEDOUT  the time was over before the walk was
 * FTL_ENOMEM     no memory for the report
 * FTL_ECLOSED    the runtime is closed */
FTL_API FTL_CHECK int ftl_leak_scan(ftl_runtime *, const ftl_leak_options *, ftl_leak_report **out);

/* Of a scan or of close, once, also after close. NULL: nothing happens. */
FTL_API void ftl_leak_report_free(ftl_leak_report *);

/* ---- fragmentation ------------------------------------------------------------------------------------ */

typedef struct {
    bool purge;                      /* give free pages back to the system; without it the call only measures */
    uint32_t device;                 /* 0 */
    double target;                   /* fragmentation to reach, 0 to 1; 0: 0.2 */
    int64_t time_ns;                 /* in all; looked at every 4 MiB; 0: 1 s */
    uint64_t bytes;                  /* moved at most; 0: no bound. Nothing moves in this version */
    uint64_t reserved[4];
} ftl_defragment_options;
typedef struct {
    double before, after;            /* fragmentation, as in ftl_stats */
    uint64_t moved, moved_bytes;     /* 0 in this version */
    uint64_t released_bytes, slices, longest_slice_ns;
    uint64_t immovable_bytes;        /* what is in use: all of it, in this version */
    uint32_t stopped_by, pad;        /* 0 reached, 1 nothing movable left, 2 time, 3 bytes, 4 the system is busy */
    uint64_t reserved[4];
} ftl_defragment_result;

/* Lowers fragmentation by giving free pages back, on the calling thread; no tensor moves in this version, so stopped_by
 * is 0, 1 or 2. A target that was not reached is FTL_OK too. options: NULL for none, which only measures. [w] time_ns
 * at most, but for the slice of 4 MiB it is in
 * FTL_EINVAL   runtime or out NULL; device; target not within 0 to 1; time_ns negative; reserved
 * FTL_ECLOSED  the runtime is closed
 * FTL_ENOTSUP  forked child */
FTL_API FTL_CHECK int ftl_defragment(ftl_runtime *, const ftl_defragment_options *, ftl_defragment_result *out);

/* ---- events: their form is fixed, none is delivered in this version (ftl_open_options.on_event: FTL_ENOTSUP) ---- */

enum { /* kinds of event: a mask */
    FTL_EVENT_PRESSURE = 1, FTL_EVENT_LIMIT = 2, FTL_EVENT_LEAK = 4, FTL_EVENT_QUARANTINE = 8, FTL_EVENT_ACTOR = 16,
    FTL_EVENT_OVERDUE = 32, FTL_EVENT_LOG = 64,
};
typedef struct {
    uint32_t kind, level;            /* level: of pressure; of the log: 0 debug .. 3 error */
    uint64_t time_ns, bytes, count;
    ftl_tensor tensor;
    ftl_scope scope;
    const char *subject, *text;      /* actor, site or device; a sentence. Valid during the call */
    uint64_t reserved[4];
} ftl_event;
/* On a service thread, without any as finalizers do; must not drain or close. */
typedef void (*ftl_event_fn)(const ftl_event *, void *user);
typedef ftl_event_fn ftl_pressure_fn;

#ifdef __cplusplus
}
#endif
#endif
