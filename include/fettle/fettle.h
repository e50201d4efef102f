/* Fettle: tensor memory whose drops always complete.            (the interface: names, types and meaning are fixed)
 *
 * Threads    Every function may be called from any thread at any time, unless its comment says otherwise; drop,
 *            retain, unpin and alive from a signal handler too.
 * Progress   [wf] wait-free  [lf] lock-free  [w] may wait, for the bound its comment gives.
 * Structs    Every public struct has its final size now. Zero means "the default" in every field. `reserved`
 *            must be zero on the way in (else FTL_EINVAL, so that a new option is never ignored in silence by
 *            an old library) and is zero on the way out.
 * Outputs    Untouched unless FTL_OK is returned.
 * Text       const char * inputs are copied during the call.
 */
#ifndef FETTLE_FETTLE_H
#define FETTLE_FETTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FTL_VERSION_MAJOR 0
#define FTL_VERSION_MINOR 1
#define FTL_VERSION_PATCH 0

#if defined _WIN32
#define FTL_API
#else
#define FTL_API __attribute__((visibility("default")))
#endif
#define FTL_CHECK __attribute__((warn_unused_result)) /* never on drop, unpin, unlink, end, close: gcc ignores (void) */
#define FTL_STRING_(x) #x
#define FTL_STRING(x) FTL_STRING_(x)
#define FTL_HERE (__FILE__ ":" FTL_STRING(__LINE__)) /* for .site: attribution at no run-time cost */

#ifdef __cplusplus
extern "C" {
#endif

/* ---- values ------------------------------------------------------------------------------------------- */

typedef struct ftl_runtime ftl_runtime;
typedef struct { uint64_t id; } ftl_tensor; /* {0}: the null tensor */
typedef struct { uint64_t id; } ftl_scope;  /* {0}: no scope */

enum { /* int results; the numbers are part of the ABI */
    FTL_OK = 0,
    FTL_EINVAL = -1,     /* an argument is wrong; ftl_last_error says which */
    FTL_ENOMEM = -2,     /* the system or device has no more, after reclaim, trim, compact and retry */
    FTL_ESTALE = -3,     /* the handle's tensor or scope is gone */
    FTL_EBUSY = -4,      /* pinned, or called from inside a callback that may not */
    FTL_ETIMEDOUT = -5,
    FTL_ELIMIT = -6,     /* a limit: device, scope, quota, tensors, references, quarantine */
    FTL_ECONFIG = -7,    /* the topology; ftl_last_error: file:line:column: key: what was expected */
    FTL_EDEVICE = -8,
    FTL_ECLOSED = -9,    /* the runtime is closed or closing */
    FTL_ENOTSUP = -10,   /* not in this build, not by this device, or not in a forked child */
    FTL_EINTERNAL = -11, /* an invariant is broken, or the tensor is quarantined */
};

typedef uint32_t ftl_dtype; /* not an enum type: its size must not depend on compiler flags. 0 is no dtype */
enum {
    FTL_F64 = 1, FTL_F32 = 2, FTL_F16 = 3, FTL_BF16 = 4, FTL_I64 = 5, FTL_I32 = 6, FTL_I16 = 7, FTL_I8 = 8,
    FTL_U8 = 9, FTL_I4 = 10, FTL_I2 = 11, FTL_I1 = 12, FTL_BOOL = 13, FTL_TERNARY = 14,
    FTL_F8_E4M3 = 15, FTL_F8_E5M2 = 16, FTL_U16 = 17, FTL_U32 = 18, FTL_U64 = 19, FTL_U4 = 20, FTL_F4_E2M1 = 21,
};
enum { FTL_MAX_DIMS = 8 };

/* Runs on a service thread (in a topology without any: inside ftl_runtime_run, drain or close), never on a thread
 * that only drops or allocates. The tensor is no longer alive; ftl_tensor_retain on it fails. May drop others. Must not
 * drain or close (FTL_EBUSY). Nonzero: try again later; after the deadline the tensor is quarantined and reported. */
typedef int (*ftl_finalizer)(ftl_tensor, void *data, size_t bytes, void *user);
typedef int (*ftl_done_fn)(void *event);                             /* 1 done, 0 not yet, <0 the device failed */
typedef int (*ftl_write_fn)(const char *text, size_t n, void *user); /* nonzero: stop */

typedef struct {
    uint32_t device;      /* index; 0: the topology's first device */
    bool zero;            /* fill with zero bytes */
    size_t alignment;     /* power of two up to 2 MiB; 0: 64 */
    ftl_scope scope;      /* {0}: this thread's current scope (ftl_scope_swap), if it has one */
    const char *label;    /* what it is, of a bounded set: "kv", "logits"; 31 bytes kept */
    ftl_finalizer finalizer;
    void *finalizer_user;
    uint64_t tag;         /* yours: a request number; shown in reports, never a metric label */
    const char *site;     /* FTL_HERE; NULL: found by sampled stacks. Must be a string literal (not copied) */
    size_t reserve_bytes; /* room for ftl_tensor_resize to grow in place; 0: none */
    int64_t wait_ns;      /* how long exhaustion may hold this call up; 0: the topology's bound; <0: not at all */
    uint64_t reserved[6];
} ftl_tensor_options;

typedef struct {
    ftl_dtype dtype;
    uint32_t ndim, device, references, pins;
    uint32_t flags;       /* FTL_VIEW, ... */
    int64_t shape[FTL_MAX_DIMS], strides[FTL_MAX_DIMS]; /* strides in elements, as in DLPack */
    size_t bytes, alignment;
    uint64_t age_ns, tag;
    ftl_scope scope;
    ftl_tensor base;      /* of a view */
    char label[32], site[64];
    uint64_t reserved[11];
} ftl_tensor_description;
enum { FTL_VIEW = 1, FTL_WRAPPED = 2, FTL_IMMOVABLE = 4, FTL_PINNED = 8, FTL_HOST_VISIBLE = 16 };

typedef struct { /* every operation that returned before the call is in it, none that began after it */
    uint64_t created, live, pending, reclaimed, quarantined; /* created = live + pending + reclaimed + quarantined */
    uint64_t immediate, deferred, stale_handles;
    uint64_t live_bytes, pending_bytes, cached_bytes, slack_bytes, committed_bytes, peak_live_bytes;
    double fragmentation;            /* free bytes in runs under 1 MiB (free slots too) / committed bytes */
    double efficiency;               /* live / committed at the moment of peak_live_bytes */
    double tracking_time_overhead;   /* share of the calling threads' time */
    double tracking_memory_overhead; /* what tracking holds beyond its fixed rings / live bytes */
    /* added: committed = live + pending + quarantined + cached + slack + metadata, all in bytes */
    uint64_t quarantined_bytes, metadata_bytes, wrapped_bytes /* not ours, not committed */, immovable_bytes, limit_bytes;
    uint64_t oldest_pending_ns, reclaim_p50_ns, reclaim_p99_ns, reclaim_max_ns;
    uint64_t restarts, events_lost, leak_suspects;
    uint64_t held_bytes;             /* the part of cached_bytes that sits in ports, for their threads alone */
    uint64_t audits_failed, unpins_without_pin, moves_voided, generation_wraps;   /* the first must be 0 */
    uint32_t pressure;               /* 0 none, 1 low .. 4 critical */
    uint32_t degraded;               /* bit per actor that is down */
    uint64_t reserved[28];
} ftl_stats;

typedef struct {
    const char *label;               /* kind of work, of a bounded set: "request", "session" */
    ftl_scope parent;                /* ended before its parent, at the latest */
    uint64_t tag;                    /* yours: which request */
    uint64_t soft_bytes, hard_bytes; /* 0: none. Over soft: an event. Over hard: FTL_ELIMIT */
    int64_t deadline_ns;             /* still open after this: reported as overdue; 0: never */
    uint32_t kind;                   /* FTL_SCOPE_WORK, or FTL_SCOPE_CACHE: what lives long in it is no leak */
    uint32_t flags;
    uint64_t reserved[9];
} ftl_scope_options;
enum { FTL_SCOPE_WORK = 0, FTL_SCOPE_CACHE = 1 };

typedef struct {
    uint64_t created, live, live_bytes, peak_bytes, age_ns, tag;
    char label[32];
    uint64_t reserved[6];
} ftl_scope_description;

enum { /* kinds of event: a mask for ftl_subscribe */
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
typedef void (*ftl_event_fn)(const ftl_event *, void *user); /* on a service thread, without any as finalizers do; must not drain or close */
typedef ftl_event_fn ftl_pressure_fn;

typedef struct {
    const char *path;                /* a file, or */
    const char *text;                /* the text itself; both NULL: config/default.yaml as built in */
    size_t text_bytes;
    const char *overrides;           /* lines "actors.tracking.level: debug" laid over it; NULL: none */
    const struct ftl_actor_type *actor_types;   /* fettle/actor.h */
    size_t actor_type_count;
    const struct ftl_device_type *device_types; /* fettle/device.h */
    size_t device_type_count;
    ftl_event_fn on_event;           /* from the first moment, so that a failing open can be understood */
    void *on_event_user;
    uint32_t on_event_kinds, flags;
    uint64_t reserved[5];
} ftl_open_options;

typedef struct {
    ftl_tensor tensor;
    uint64_t bytes, age_ns, count;   /* count: how many like it (same site and cause) this row stands for */
    uint32_t cause, certainty;       /* cause 0: alive, nothing more is known. certainty: percent; 100 only for what is proven */
    double growth_bytes_per_second;
    uint64_t tag;
    char label[32], scope[32], site[64];
    uint64_t reserved[2];
} ftl_leak;
enum { FTL_LEAK_UNREFERENCED = 1, FTL_LEAK_OUTLIVED_SCOPE = 2, FTL_LEAK_OUTLIVED_THREAD = 3, FTL_LEAK_CYCLE = 4,
       FTL_LEAK_GROWTH = 5, FTL_LEAK_UNREACHABLE = 6, FTL_LEAK_SURVIVOR = 7, FTL_LEAK_PINNED = 8 /* dropped, pinned > 10 s */ };
typedef struct {
    size_t count;                    /* rows, most bytes first */
    const ftl_leak *leaks;
    uint64_t leaked, leaked_bytes, scanned, elapsed_ns;
    uint64_t reserved[2];
} ftl_leak_report;
typedef struct {
    uint32_t causes;                 /* mask of 1 << cause; 0: all but alive (1 << 0) and unreachable */
    uint32_t certainty;              /* at least, percent; 0: 50 */
    bool reachability;               /* FTL_ENOTSUP unless the topology allows it */
    int64_t timeout_ns;              /* 0: 10 s */
    uint64_t reserved[5];
} ftl_leak_options;

typedef struct {
    bool purge;                      /* give free pages back too */
    uint32_t device;
    double target;                   /* fragmentation to reach; 0: the topology's */
    int64_t time_ns;                 /* in all; 0: 1 s */
    uint64_t bytes;                  /* moved at most; 0: no bound */
    uint64_t reserved[4];
} ftl_defragment_options;
typedef struct {
    double before, after;            /* fragmentation */
    uint64_t moved, moved_bytes, released_bytes, slices, longest_slice_ns, immovable_bytes;
    uint32_t stopped_by, pad;        /* 0 reached, 1 nothing movable left, 2 time, 3 bytes, 4 the system is busy */
    uint64_t reserved[4];
} ftl_defragment_result;

typedef struct {
    uint64_t leaked, leaked_bytes;   /* alive at close; leaks lists them */
    uint64_t pinned, pinned_bytes;   /* left mapped, because a pointer into them is out */
    uint64_t undone, quarantined;    /* drops not completed by the deadline; given up earlier */
    ftl_leak_report *leaks;          /* NULL when leaked is 0; else yours: ftl_leak_report_free */
    uint64_t reserved[4];
} ftl_close_report;

/* ---- the runtime (9) ---------------------------------------------------------------------------------- */

FTL_API uint32_t ftl_version(void); /* major << 16 | minor << 8 | patch, of the library that was loaded */
FTL_API FTL_CHECK int ftl_runtime_open(const char *topology, ftl_runtime **out);
FTL_API FTL_CHECK int ftl_runtime_open_text(const char *text, size_t n, ftl_runtime **out);
FTL_API FTL_CHECK int ftl_runtime_open_with(const ftl_open_options *, ftl_runtime **out);
/* Lends this thread to the runtime for up to budget_ns: for topologies with `count: 0` and for event loops. threads: the
 * group to serve, NULL: any without threads of its own. This is where finalizers and callbacks run in such a topology. */
FTL_API int ftl_runtime_run(ftl_runtime *, const char *threads, int64_t budget_ns, uint64_t *left);
/* [w] timeout_ns 0: only look; <0: no limit. Drops that wait for a pin count as not reclaimed. Not from a callback. */
FTL_API FTL_CHECK int ftl_runtime_drain(ftl_runtime *, int64_t timeout_ns);
FTL_API FTL_CHECK int ftl_runtime_stats(ftl_runtime *, ftl_stats *out); /* [lf] microseconds; poll it freely */
/* The language of the control socket and of `fettle control`: "metrics", "stats", "check", "leaks", "profile heap",
 * "heapmap", "topology", "find 0x7f..", "retry 0x7f..", "set actors.tracking.level detailed". Serves your own /metrics endpoint. */
FTL_API FTL_CHECK int ftl_runtime_control(ftl_runtime *, const char *request, ftl_write_fn, void *user);
/* [w] up to the topology's drain_on_close. From now on new answers FTL_ECLOSED; after it calls on old handles answer
 * FTL_ECLOSED or FTL_ESTALE: a destructor that runs late is harmless. */
FTL_API int ftl_runtime_close(ftl_runtime *, ftl_close_report *out);

/* ---- tensors (17) ------------------------------------------------------------------------------------- */

FTL_API FTL_CHECK int ftl_tensor_new(ftl_runtime *, ftl_dtype, uint32_t ndim, const int64_t *shape,
                                     const ftl_tensor_options *, ftl_tensor *out);
FTL_API FTL_CHECK int ftl_tensor_retain(ftl_tensor); /* [lf] also turns a weak handle into an owned one; or FTL_ESTALE */
FTL_API int ftl_tensor_drop(ftl_tensor);             /* [lf] of {0}: FTL_OK, nothing happens */
/* Only while you own a reference; makes the tensor immovable for its life. Prefer pin. */
FTL_API void *ftl_tensor_data(ftl_tensor);
/* [lf] Safe on any handle, owned or weak; never waits for a move (it cancels it). Never NULL for a live host-visible
 * tensor, also of 0 bytes, below 4,095 pins at once. unpin from any thread, also from a driver's callback. */
FTL_API void *ftl_tensor_pin(ftl_tensor);
FTL_API void ftl_tensor_unpin(ftl_tensor);
FTL_API bool ftl_tensor_alive(ftl_tensor);
FTL_API size_t ftl_tensor_bytes(ftl_tensor); /* 0 when stale */
FTL_API FTL_CHECK int ftl_tensor_describe(ftl_tensor, ftl_tensor_description *out);
FTL_API FTL_CHECK int ftl_tensor_view(ftl_tensor base, int64_t byte_offset, uint32_t ndim, const int64_t *shape,
                                      const int64_t *strides /* elements; NULL: compact */, ftl_tensor *out);
/* The parent holds a reference of its own on the child until it is reclaimed or unlinked. */
FTL_API FTL_CHECK int ftl_tensor_link(ftl_tensor parent, ftl_tensor child);
FTL_API int ftl_tensor_unlink(ftl_tensor parent, ftl_tensor child);

/* ---- scopes (6): a request, session or cache; no thread is bound to one ------------------------------- */

FTL_API FTL_CHECK int ftl_scope_begin(ftl_runtime *, const char *label, ftl_scope *out);
FTL_API FTL_CHECK int ftl_scope_open(ftl_runtime *, const ftl_scope_options *, ftl_scope *out);
/* This thread's current scope, for code that cannot be handed one; returns the one before, to put back. A scope is never
 * made current for you. */
FTL_API ftl_scope ftl_scope_swap(ftl_scope);
FTL_API FTL_CHECK int ftl_scope_keep(ftl_scope, ftl_tensor); /* the scope's reference becomes yours; no member any more */
FTL_API FTL_CHECK int ftl_scope_stats(ftl_scope, ftl_scope_description *out);
/* From any thread, at any time: ending early is how a request is cancelled. Handles made in it become stale, memory that
 * another thread has pinned stays until it unpins, and new tensors in it answer FTL_ESTALE. */
FTL_API int ftl_scope_end(ftl_scope, uint64_t *dropped);

/* ---- looking after it (6) ----------------------------------------------------------------------------- */

FTL_API FTL_CHECK int ftl_leak_scan(ftl_runtime *, const ftl_leak_options *, ftl_leak_report **out);
FTL_API void ftl_leak_report_free(ftl_leak_report *);
FTL_API FTL_CHECK int ftl_defragment(ftl_runtime *, const ftl_defragment_options *, ftl_defragment_result *out);

/* ---- errors (2) --------------------------------------------------------------------------------------- */

FTL_API const char *ftl_strerror(int status);
FTL_API const char *ftl_last_error(void); /* this thread's; valid until its next failing call; never NULL */

/* Raw bytes, for those who only want an allocator. */
static inline int ftl_bytes_new(ftl_runtime *runtime, size_t bytes, const ftl_tensor_options *options, ftl_tensor *out)
{
    int64_t shape = (int64_t)bytes;
    return ftl_tensor_new(runtime, FTL_U8, 1, &shape, options, out);
}

#ifdef __cplusplus
}
#endif
#endif
