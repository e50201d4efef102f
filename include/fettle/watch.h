/* Looking after memory: leaks, fragmentation, events. How to read the comments: fettle.h. */
#ifndef FETTLE_WATCH_H
#define FETTLE_WATCH_H

#include <fettle/base.h>
#include <fettle/dtype.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- leaks -------------------------------------------------------------------------------------------- */

typedef struct {
    ftl_tensor tensor;               /* the oldest of them; weak */
    uint64_t bytes, age_ns, count;   /* count: how many like it (same site and cause) this row stands for */
    uint32_t cause, certainty;       /* cause 0: alive, no more is known. certainty: percent; 100: proven */
    double growth_bytes_per_second;  /* of GROWTH; else 0. Of the rows of one finding the first has it */
    uint64_t tag;
    char label[32], scope[32], site[64];
    uint64_t reserved[2];
} ftl_leak;
/* Found in this version: UNREFERENCED (a fault: live without a reference, or dropped and in nobody's hands), OUTLIVED_SCOPE,
 * OUTLIVED_THREAD, CYCLE and PINNED, each proven: certainty 100; on request UNREACHABLE, see reachability. GROWTH and
 * SURVIVOR are conclusions from what was seen over time, each with the certainty of its test; docs/design.md says how.
 * GROWTH    the tensors of one label, scope label and site that are no longer young become more and more, steadily, for a window
 *           of the topology's `growth` and longer (or open scopes of one label do, and this is what is in them); the row is
 *           what has come since. Not so: what levels off, comes and goes, or is in a cache scope below its bound. A cache that is above
 *           its bound (soft_bytes, else hard_bytes) for some time is reported as its members, certainty 100.
 * SURVIVOR  they live on, a thousand times longer than 99 of 100 of the same site (options.site). */
enum { FTL_LEAK_UNREFERENCED = 1, FTL_LEAK_OUTLIVED_SCOPE = 2, FTL_LEAK_OUTLIVED_THREAD = 3,
       FTL_LEAK_CYCLE = 4 /* of links; count: all tensors of the cycles whose oldest has this label and site */,
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
    uint32_t certainty;              /* at least, percent; 0: 50 */
    bool reachability;               /* also UNREACHABLE, by a snapshot; what its bit in causes does too */
    int64_t timeout_ns;              /* 0: 10 s, and for a snapshot 60 s and what its memory takes */
    uint64_t reserved[5];
} ftl_leak_options;

/* Looks at every tensor once, on the calling thread, while others make and drop theirs: one that is made or dropped
 * meanwhile may be seen or not. options: NULL for none. *out is yours: ftl_leak_report_free. [w] timeout_ns at most
 * FTL_EINVAL     runtime or out NULL; a cause that there is not; certainty over 100; timeout_ns negative; reserved
 * FTL_ENOTSUP    a cause that is not found in this version; forked child
 * FTL_ETIMEDOUT  the time was over before the walk was
 * FTL_ENOMEM     no memory for the report
 * FTL_ECLOSED    the runtime is closed
 *
 * With reachability, which the topology must allow (actors.leak_detection.reachability: on_demand): the other threads are
 * stopped for a moment, so that their registers can be read, the process is forked without its handlers, and the child looks for copies of
 * handles in its private memory, what tensors hold included, at every offset. What has none, and is not held by a link or a view of what
 * has, nor by an open scope, is a row. certainty 99: two snapshots at least 60 s apart found none, and looked into
 * all; less: suspected. Evidence, not proof: a handle may lie in the kernel, a pipe, shared memory or another process.
 * The program stands still about 70 ns for each small page it has (2 GiB: 37 ms; up to nine times that where no processor is free); a page first written to after that is copied,
 * until the child has ended. As after a debugger's visit a blocked epoll_wait, sigtimedwait or semop may return EINTR. An
 * event FTL_EVENT_LOG says what it cost. A handle in a report that you keep is a copy: free the report before the next.
 * FTL_ENOTSUP    the topology does not allow it, or the system: no clone3, no /proc
 * FTL_ELIMIT     a second copy of the memory would not fit under the limit; too many processes
 * FTL_ENOMEM     no memory for the fork
 * FTL_EBUSY      another one is under way
 * FTL_EINTERNAL  the child was killed */
FTL_API FTL_CHECK int ftl_leak_scan(ftl_runtime *, const ftl_leak_options *, ftl_leak_report **out);

/* Prints it as `fettle leaks` does: a table, then why each row is there and what to do about it; 100 rows at most, and how
 * many more there are. A report without rows, or NULL: nothing. Also after close. Allocates. [w] the writer */
FTL_API void ftl_leak_report_write(const ftl_leak_report *, ftl_write_fn, void *user);

/* Of a scan or of close, once, also after close. NULL: nothing happens. */
FTL_API void ftl_leak_report_free(ftl_leak_report *);

/* ---- every tensor ------------------------------------------------------------------------------------- */

typedef struct {
    ftl_tensor tensor;               /* weak */
    ftl_scope scope;                 /* {0}: member of none */
    ftl_tensor base;                 /* of a view: the tensor whose memory it is */
    uint64_t bytes, age_ns, tag;     /* bytes: what its shape takes, also of a view; age: to the millisecond */
    ftl_dtype dtype;
    uint32_t ndim, device, flags;    /* flags: FTL_VIEW, ... of tensor.h */
    uint32_t references, pins;
    int64_t shape[FTL_MAX_DIMS];     /* the first ndim */
    const char *label, *scope_label; /* "": none. Good until close */
    const char *site;                /* where it was made, as far as that is known; else "". Good during the call */
    uint64_t reserved[6];
} ftl_tensor_row;
typedef struct {                     /* which ones; zero: all */
    uint64_t least_bytes;
    int64_t least_age_ns;
    ftl_scope scope;                 /* members of this one, not of those inside it */
    const char *label;
    uint64_t reserved[6];
} ftl_list_options;
typedef int (*ftl_list_fn)(const ftl_tensor_row *, void *user); /* nonzero: stop. Must not close the runtime */

/* Calls fn for every live tensor, on the calling thread, while others make and drop theirs and nobody is stopped. Exact
 * means: a tensor that is live during the whole call is told exactly once; one that is made or dropped meanwhile is told
 * once or not at all; the fields of a row are always those of one tensor, with references and pins as they were at one
 * moment. So at rest the rows are ftl_stats' live and live_bytes, to which views add none. options: NULL for none.
 * [w] fn, and some 10 ns a tensor
 * FTL_EINVAL   runtime or fn NULL; least_age_ns negative; reserved
 * FTL_ECLOSED  the runtime is closed
 * FTL_ENOTSUP  forked child */
FTL_API FTL_CHECK int ftl_tensor_list(ftl_runtime *, const ftl_list_options *, ftl_list_fn, void *user);

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

/* ---- events -------------------------------------------------------------------------------------------- */

enum { /* kinds of event: a mask for ftl_subscribe */
    FTL_EVENT_PRESSURE = 1,   /* the level changed: level 0 none, 1 low .. 4 critical; bytes: committed. subject: device */
    FTL_EVENT_LIMIT = 2,      /* over a device's soft mark: bytes committed; over a scope's soft_bytes: scope, and the
                               * bytes in it, subject: its label; or a new was refused (FTL_ELIMIT): bytes
                               * asked for, scope if it was its limit; or a label or site passed `quota.warn` of its quota
                               * (bytes: what it holds) or was refused by it, subject: its name. Refusals of a device, of
                               * scopes, of quotas: each tenth of a second once, count: how many it stands for */
    FTL_EVENT_LEAK = 4,       /* more suspects than before: count, bytes of all; tensor: the largest. subject: its site. Or
                               * a site that grows or has survivors is as certain as growth.alarm asks for: once;
                               * tensor: the newest of them */
    FTL_EVENT_QUARANTINE = 8, /* a tensor was given up: tensor, bytes; count: how often its finalizer failed */
    FTL_EVENT_ACTOR = 16,     /* subject: an actor, which failed, restarted, is degraded, recovered or is down; count:
                               * its restarts */
    FTL_EVENT_OVERDUE = 32,   /* subject: an actor. level 0: it is in one receive past its `receive`; or, of "cleanup" and
                               * with a count: drops that nothing pins, past their deadline. level 1 + FTL_LANE_...: the
                               * oldest message of that lane is past the lane's `alarm`, count: how many wait in it; told
                               * once until it is below again. Or scope: one that is open past its deadline, count and bytes
                               * of what is in it, subject: its label */
    FTL_EVENT_LOG = 64,       /* level: 0 debug .. 3 error. subject: who says so */
};
typedef struct {
    uint32_t kind, level;            /* level: of pressure; of the log: 0 debug .. 3 error; of overdue */
    uint64_t time_ns, bytes, count;
    ftl_tensor tensor;
    ftl_scope scope;
    const char *subject, *text;      /* actor, site or device; a sentence. Valid during the call */
    uint64_t reserved[4];
} ftl_event;
/* Called on a service thread of its own, in a topology whose group of finalizers has no threads where those run; one call
 * at a time in a runtime, never inside new, drop, unpin or ftl_scope_end. What takes long belongs elsewhere: when 256
 * events wait, further ones are lost, which ftl_stats.events_lost counts; nothing but other subscriptions is held up.
 * May call everything, unsubscribe too, but drain, close and run (FTL_EBUSY). time_ns: of the monotonic clock. */
typedef void (*ftl_event_fn)(const ftl_event *, void *user);
typedef ftl_event_fn ftl_pressure_fn;

/* From now on fn hears of every event of these kinds, in the order in which they were noticed. The pressure that is
 * there already is told at once if it is not none. ftl_pressure_subscribe: kind FTL_EVENT_PRESSURE alone. A level ends
 * `pressure.hysteresis` below where it began; of changes that follow each other faster than fn is called it hears the
 * last. *subscription is never 0. [w] short; the first one starts a thread
 * FTL_EINVAL   runtime, fn or subscription NULL; kinds 0, or one that there is not
 * FTL_ELIMIT   64 subscriptions are there
 * FTL_ENOMEM   no thread
 * FTL_ECLOSED  closed or closing
 * FTL_ENOTSUP  forked child */
FTL_API FTL_CHECK int ftl_subscribe(ftl_runtime *, uint32_t kinds, ftl_event_fn, void *user, uint64_t *subscription);
FTL_API FTL_CHECK int ftl_pressure_subscribe(ftl_runtime *, ftl_pressure_fn, void *user, uint64_t *subscription);

/* No call of fn runs once this returns, but for the one that it is made in. Close ends all subscriptions in the same way.
 * [w] while a call of fn runs: so not with a lock held that fn takes
 * FTL_EINVAL   runtime NULL
 * FTL_ESTALE   there is no such subscription, or no more
 * FTL_ECLOSED  the runtime is closed
 * FTL_ENOTSUP  forked child */
FTL_API int ftl_unsubscribe(ftl_runtime *, uint64_t subscription);

#ifdef __cplusplus
}
#endif
#endif
