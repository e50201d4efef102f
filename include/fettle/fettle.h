/* Fettle: tensor memory whose drops always complete. This header is all of the interface; it includes, one per concept,
 *
 *   base.h      version, results, handles            scope.h     a request, session or cache, given up by one call
 *   dtype.h     element types                        watch.h     leaks, fragmentation, events
 *   tensor.h    make, share, pin, look, drop         runtime.h   open, figures, drain, close
 *   error.h     what went wrong, in words
 *
 * each of which may be included alone. actor.h, for actors of your own, is included by those who write some. How the comments are to be read is said here, once:
 *
 * Threads    Every function may be called from any thread at any time, from a finalizer and from a callback too, unless
 *            its comment says otherwise. From a signal handler: ftl_tensor_drop, ftl_tensor_retain, ftl_tensor_unpin,
 *            ftl_tensor_alive and ftl_tensor_bytes, and no other.
 * Progress   [wf] wait-free  [lf] lock-free  [w] may wait, for the bound its comment gives.
 *            "[w] short": at most for the few instructions that another thread is inside the allocator or the scope.
 * Answers    FTL_OK, and what is listed. FTL_ENOTSUP (forked child): the parent's runtime, in a child that was forked
 *            and did not exec. There, looking at tensors, retain, pin and drop work on the child's copy of the memory;
 *            a drop marks its tensor gone, and runs nothing. Every answer but FTL_OK leaves a sentence in
 *            ftl_last_error; retain and drop do not, so that a signal handler may call them.
 * Structs    Every public struct has its final size now. Zero means "the default" in every field. `reserved` must be
 *            zero on the way in (else FTL_EINVAL, so that a new option is never ignored in silence by an old library)
 *            and is zero on the way out. What is marked "not in this version" answers FTL_ENOTSUP, or is 0.
 * Outputs    Untouched unless FTL_OK is returned.
 * Text       const char * inputs are copied during the call.
 */
#ifndef FETTLE_FETTLE_H
#define FETTLE_FETTLE_H

#include <fettle/base.h>
#include <fettle/dtype.h>
#include <fettle/error.h>
#include <fettle/runtime.h>
#include <fettle/scope.h>
#include <fettle/tensor.h>
#include <fettle/watch.h>

#endif
