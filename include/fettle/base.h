/* Version, results and handles: what every other header of Fettle needs. How to read the comments: fettle.h. */
#ifndef FETTLE_BASE_H
#define FETTLE_BASE_H

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

/* After ftl_runtime_close the pointer stays good for calls, which answer FTL_ECLOSED, until 4,095 runtimes more were
 * opened. */
typedef struct ftl_runtime ftl_runtime;

/* A handle is a number: copy, store and compare it as you like. It is owned (a reference is yours, to be dropped once)
 * or weak (none is); which of the two only you know. A handle whose tensor or scope is gone is stale: it is found out
 * by every call and harms nothing, also after its memory is another's. Two handles are equal when they name the same
 * tensor. */
typedef struct { uint64_t id; } ftl_tensor; /* {0}: the null tensor */
typedef struct { uint64_t id; } ftl_scope;  /* {0}: no scope */

enum { /* int results; the numbers are part of the ABI */
    FTL_OK = 0,
    FTL_EINVAL = -1,     /* an argument is wrong; ftl_last_error says which */
    FTL_ENOMEM = -2,     /* the system or device has no more, after reclaim, trim and retry */
    FTL_ESTALE = -3,     /* the handle's tensor or scope is gone */
    FTL_EBUSY = -4,      /* pinned, or called from inside a callback that may not */
    FTL_ETIMEDOUT = -5,
    FTL_ELIMIT = -6,     /* a limit: device, scope, tensors, references, pins, quarantine */
    FTL_ECONFIG = -7,    /* the topology; ftl_last_error: file:line:column: key: what was expected */
    FTL_EDEVICE = -8,
    FTL_ECLOSED = -9,    /* the runtime is closed or closing */
    FTL_ENOTSUP = -10,   /* not in this version or build, not by this device, or not in a forked child */
    FTL_EINTERNAL = -11, /* an invariant is broken, or the tensor is quarantined */
};

typedef int (*ftl_write_fn)(const char *text, size_t n, void *user); /* nonzero: stop */

/* The version of the library that was loaded: major << 16 | minor << 8 | patch. [wf] */
FTL_API uint32_t ftl_version(void);

#ifdef __cplusplus
}
#endif
#endif
