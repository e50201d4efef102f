/* Tensors: make, share, pin, look at and drop. How to read the comments: fettle.h. */
#ifndef FETTLE_TENSOR_H
#define FETTLE_TENSOR_H

#include <fettle/base.h>
#include <fettle/dtype.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Runs on a service thread, never on a thread that only drops. Where its thread group has `count: 0`: inside the calls
 * that lend their thread, ftl_runtime_run, drain, close and control; inside an ftl_tensor_new that waits only if the
 * cleanup is in the same group. The tensor is no longer alive; ftl_tensor_retain on it fails. May make and drop others.
 * Must not run, drain or close (FTL_EBUSY). Nonzero: try again later, after growing waits; after the deadline
 * (actors.cleanup) the tensor is quarantined: its memory is kept, and counted, and ftl_runtime_control
 * can have it retried. */
typedef int (*ftl_finalizer)(ftl_tensor, void *data, size_t bytes, void *user);
typedef int (*ftl_done_fn)(void *event); /* 1 done, 0 not yet, <0 failed; taken by no call in this version */

typedef struct {
    uint32_t device;      /* index; 0: the topology's first device, the only one in this version */
    bool zero;            /* fill with zero bytes */
    size_t alignment;     /* power of two up to 2 MiB; 0: 64 */
    ftl_scope scope;      /* {0}: this thread's current scope (ftl_scope_swap), if it has one */
    const char *label;    /* what it is: "kv", "logits"; 31 bytes kept; of 4,096 labels at most, then "(other)" */
    ftl_finalizer finalizer;
    void *finalizer_user;
    uint64_t tag;         /* yours: a request number; shown in reports, never a metric label */
    const char *site;     /* FTL_HERE; NULL: none. Must be a string literal (not copied) */
    size_t reserve_bytes; /* not in this version: FTL_ENOTSUP unless 0 */
    int64_t wait_ns;      /* how long exhaustion may hold this call up; 0: the topology's bound; <0: not at all */
    uint64_t reserved[6];
} ftl_tensor_options;

typedef struct {
    ftl_dtype dtype;
    uint32_t ndim, device, references, pins;
    uint32_t flags;       /* FTL_VIEW, ... */
    int64_t shape[FTL_MAX_DIMS], strides[FTL_MAX_DIMS]; /* strides in elements, as in DLPack */
    size_t bytes;         /* what its shape takes */
    size_t alignment;     /* of its address as it is: what was asked for, or more */
    uint64_t age_ns, tag; /* age: to the millisecond */
    ftl_scope scope;      /* {0}: member of none */
    ftl_tensor base;      /* of a view: the tensor whose memory it is, also for a view of a view */
    char label[32], site[64];
    uint64_t reserved[11];
} ftl_tensor_description;
/* FTL_WRAPPED: never set in this version; FTL_IMMOVABLE: always, but for views. */
enum { FTL_VIEW = 1, FTL_WRAPPED = 2, FTL_IMMOVABLE = 4, FTL_PINNED = 8, FTL_HOST_VISIBLE = 16 };

/* Makes a tensor; *out owns its one reference. shape: ndim (0 to 8) counts of elements, outermost first; 0 elements are
 * fine. options: NULL for none. The bytes are whatever was there, unless `zero` asks for 0.
 * [lf] for small tensors from what this thread has cached. Else [w] short, may ask the system for memory; when memory
 * is used up wait_ns at most; when drops have piled up back_pressure.wait at most. On a service thread it never waits
 * for either.
 * FTL_EINVAL   runtime or out NULL; dtype; ndim over 8; shape NULL, negative or over 2^63 - 1 bytes; device; alignment;
 *              reserved
 * FTL_ENOTSUP  reserve_bytes; forked child
 * FTL_ECLOSED  closed or closing, also while it waited
 * FTL_ESTALE   the scope has ended or is of another runtime; that may be this thread's current one
 * FTL_ELIMIT   the device's limit, the topology's `tensors`, the scope's hard_bytes, a quota of the label or the
 *              site, the quarantine's limit
 * FTL_ENOMEM   the system gives no more */
FTL_API FTL_CHECK int ftl_tensor_new(ftl_runtime *, ftl_dtype, uint32_t ndim, const int64_t *shape,
                                     const ftl_tensor_options *, ftl_tensor *out);

/* One reference more, yours to drop. Also turns a weak handle into an owned one. [lf] Signal handler: yes.
 * FTL_ESTALE   gone, or {0}
 * FTL_ECLOSED  its runtime is closed
 * FTL_ELIMIT   1,048,575 references */
FTL_API FTL_CHECK int ftl_tensor_retain(ftl_tensor);

/* Gives up one reference. With the last one the handle is stale at once, and the memory comes back: at once, or through
 * a service thread if there is something to finish (finalizer, links, view, big memory), or at the last unpin. Of {0}:
 * FTL_OK, nothing happens. [lf] Never fails for want of memory, runs nothing of yours, wakes a thread at most. Signal
 * handler: yes.
 * FTL_ESTALE   gone before; counted in stale_handles, and nothing else happens
 * FTL_ECLOSED  its runtime is closed */
FTL_API int ftl_tensor_drop(ftl_tensor);

/* Waits until the tensor of this handle is reclaimed: the stale handle is the ticket of its drop. While somebody still owns
 * a reference or a pin it waits for him too; a drop that it waits for takes the way through the cleanup, at once. By then
 * the finalizer is done, and the figures count it. timeout_ns 0: only look; <0: no limit. In a topology without threads
 * this thread does the work meanwhile. FTL_OK: reclaimed, also long ago, or {0}. [w] timeout_ns
 * FTL_ETIMEDOUT  not yet
 * FTL_EINTERNAL  it is quarantined (ftl_runtime_control, "quarantine" and "retry")
 * FTL_EBUSY      not yet, and from a finalizer or callback, which may only look
 * FTL_ESTALE     there was never such a tensor
 * FTL_ECLOSED    closed; or closing, and not reclaimed yet
 * FTL_ENOTSUP    forked child, and not reclaimed before the fork */
FTL_API FTL_CHECK int ftl_tensor_await(ftl_tensor, int64_t timeout_ns);

/* The address, for as long as you own a reference; makes the tensor immovable for its life (for a view: the tensor it
 * looks into). Prefer pin: it is safe without a reference too. [lf]
 * NULL: stale, {0}, or its runtime is closed; ftl_last_error says so. */
FTL_API void *ftl_tensor_data(ftl_tensor);

/* The address, good until as many unpins, whoever drops the tensor meanwhile, and past ftl_runtime_close (unless the
 * topology says pinned_on_close: refuse). Safe on any handle, owned or weak. Never NULL for a live tensor, also of 0
 * bytes, up to 4,094 pins at once; a view's pins count for the tensor it looks into. [lf]
 * NULL: stale, {0}, its runtime is closed, or 4,094 pins are out; ftl_last_error says which. */
FTL_API void *ftl_tensor_pin(ftl_tensor);

/* Gives one pin back, from any thread, also from a driver's callback. The last one after the last drop lets the memory
 * go. One without a pin is counted in unpins_without_pin and does nothing else, as does one on a stale handle or after
 * close. [lf] Signal handler: yes. */
FTL_API void ftl_tensor_unpin(ftl_tensor);

/* Whether somebody owned a reference at some moment during the call. [wf] Signal handler: yes. */
FTL_API bool ftl_tensor_alive(ftl_tensor);

/* Bytes of its elements, as its shape says; 0 when stale. [wf] Signal handler: yes. */
FTL_API size_t ftl_tensor_bytes(ftl_tensor);

/* Everything about it, as it was during the call. Works on weak handles. [lf]
 * FTL_EINVAL   out NULL
 * FTL_ESTALE   gone, or {0}
 * FTL_ECLOSED  its runtime is closed */
FTL_API FTL_CHECK int ftl_tensor_describe(ftl_tensor, ftl_tensor_description *out);

/* A tensor that looks into another one's memory, from byte_offset after base's first element on; same dtype. strides:
 * in elements, may be 0 or negative; NULL: compact. What it reaches must lie inside the tensor, of which it owns a
 * reference until it is reclaimed; base may be a view itself. *out owns the view's one reference. A view is a member of
 * no scope: drop it yourself, and see ftl_scope_end. [w] short
 * FTL_EINVAL   out NULL; ndim or shape, as for ftl_tensor_new; strides too far; reaches outside
 * FTL_ESTALE   base is gone
 * FTL_ELIMIT   1,048,575 references to base; the topology's `tensors`; a shape of over 2^48 - 1 bytes
 * FTL_ENOMEM   no room to note it
 * FTL_ECLOSED  its runtime is closed
 * FTL_ENOTSUP  forked child */
FTL_API FTL_CHECK int ftl_tensor_view(ftl_tensor base, int64_t byte_offset, uint32_t ndim, const int64_t *shape,
                                      const int64_t *strides /* elements; NULL: compact */, ftl_tensor *out);

/* The parent holds a reference of its own on the child until it is reclaimed or unlinked; yours is still yours. As
 * often as you like for the same two. A ring of links is never reclaimed; leak detection finds one that nothing else
 * holds (FTL_LEAK_CYCLE): unlink one. [w] short
 * FTL_EINVAL   child is the parent, or of another runtime
 * FTL_ESTALE   one of them is gone
 * FTL_ELIMIT   1,048,575 references
 * FTL_ENOMEM   no room to note it
 * FTL_ECLOSED  the parent's runtime is closed
 * FTL_ENOTSUP  forked child */
FTL_API FTL_CHECK int ftl_tensor_link(ftl_tensor parent, ftl_tensor child);

/* Takes one such link away, and drops its reference on the child. [w] short; looks through the parent's links
 * FTL_EINVAL   child is not linked to the parent
 * FTL_ESTALE   the parent is gone
 * FTL_ELIMIT   1,048,575 references to the parent: it is held for a moment
 * FTL_ECLOSED  the parent's runtime is closed
 * FTL_ENOTSUP  forked child */
FTL_API int ftl_tensor_unlink(ftl_tensor parent, ftl_tensor child);

/* Raw bytes, for those who only want an allocator. As ftl_tensor_new with FTL_U8 and one dimension. */
FTL_API FTL_CHECK int ftl_bytes_new(ftl_runtime *, size_t bytes, const ftl_tensor_options *, ftl_tensor *out);

#ifdef __cplusplus
}
#endif
#endif
