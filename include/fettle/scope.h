/* Scopes: what a request, session or cache holds, given up by one call. No thread is bound to one.
 * How to read the comments: fettle.h. */
#ifndef FETTLE_SCOPE_H
#define FETTLE_SCOPE_H

#include <fettle/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const char *label;    /* kind of work, of a bounded set: "request", "session" */
    ftl_scope parent;     /* ended before its parent, at the latest */
    uint64_t tag;         /* yours: which request */
    uint64_t soft_bytes;  /* 0: none. Over it: FTL_EVENT_LIMIT, once; again after it was an eighth below */
    uint64_t hard_bytes;  /* 0: none. Over it ftl_tensor_new answers FTL_ELIMIT */
    int64_t deadline_ns;  /* from now; still open then: FTL_EVENT_OVERDUE, once; nothing else happens, unless the topology
                           * says `mitigate: overdue_scope`, which ends it; 0: never */
    uint32_t kind;        /* FTL_SCOPE_WORK, or FTL_SCOPE_CACHE: what lives long in it is no leak */
    uint32_t flags;       /* 0 */
    uint64_t reserved[9];
} ftl_scope_options;
enum { FTL_SCOPE_WORK = 0, FTL_SCOPE_CACHE = 1 };

typedef struct {
    uint64_t created;                /* members ever */
    uint64_t live;                   /* members now */
    uint64_t live_bytes, peak_bytes; /* as their shapes say; of this scope alone, without its children */
    uint64_t age_ns, tag;            /* age: to the millisecond */
    char label[32];
    uint64_t reserved[6];
} ftl_scope_description;

/* As ftl_scope_open with nothing but a label, which may be NULL. Progress and answers are the same. */
FTL_API FTL_CHECK int ftl_scope_begin(ftl_runtime *, const char *label, ftl_scope *out);

/* Opens a scope; options: NULL for none. New tensors that name it, or are made while it is their thread's current one,
 * become members: the scope has the reference that ftl_tensor_new gave you, and gives it up at its end. [lf]
 * FTL_EINVAL   runtime or out NULL; deadline_ns negative; kind; flags; reserved
 * FTL_ENOTSUP  deadline_ns in a topology without leak_detection, which looks after it; forked child
 * FTL_ECLOSED  closed or closing
 * FTL_ESTALE   the parent has ended, or is of another runtime
 * FTL_ELIMIT   too many at once: 1,048,575, less under a limit of address space */
FTL_API FTL_CHECK int ftl_scope_open(ftl_runtime *, const ftl_scope_options *, ftl_scope *out);

/* Makes a scope this thread's current one, for code that cannot be handed one ({0}: none); returns the one before, to
 * put back. A scope is never made current for you, nor taken away when it ends: until you put another in,
 * ftl_tensor_new on this thread then answers FTL_ESTALE. It counts for its own runtime only. [wf] */
FTL_API ftl_scope ftl_scope_swap(ftl_scope);

/* The scope's reference becomes yours: the tensor is no member any more and outlives the scope until you drop it. [lf]
 * FTL_ESTALE   the scope is gone or has given it up; the tensor is gone, or no member of it
 * FTL_ECLOSED  the runtime is closed
 * FTL_ELIMIT   1,048,575 references */
FTL_API FTL_CHECK int ftl_scope_keep(ftl_scope, ftl_tensor);

/* What it holds now. [lf]
 * FTL_EINVAL   out NULL
 * FTL_ESTALE   it has ended
 * FTL_ECLOSED  the runtime is closed */
FTL_API FTL_CHECK int ftl_scope_stats(ftl_scope, ftl_scope_description *out);

/* Ends it, its children first, and gives up the scope's reference on every member that is still there: handles nobody
 * else owns become stale. What others retained, or hold by a view or a link, lives on, and counts as having outlived
 * the scope. Memory that is pinned stays until the unpin. New tensors in it answer FTL_ESTALE. *dropped (may be NULL):
 * references given up. From any thread at any time: ending early is how a request is cancelled. [w] short; its time
 * grows with its members.
 *
 * A member may be dropped before the end, once, as any tensor. But the scope cannot tell the reference that it has from
 * that of somebody else: if you drop a member yourself while a view or a link still holds it, the scope's end gives up
 * that holder's reference, and the memory goes while the holder looks at it. Keep such a tensor first (ftl_scope_keep),
 * or leave its drop to the scope.
 * FTL_ESTALE   it has ended, or {0}
 * FTL_ECLOSED  the runtime is closed
 * FTL_ENOTSUP  forked child */
FTL_API int ftl_scope_end(ftl_scope, uint64_t *dropped);

#ifdef __cplusplus
}
#endif
#endif
