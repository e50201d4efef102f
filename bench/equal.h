/* What a careful engineer writes over malloc where Fettle is not at hand: a counted tensor with a shape, and sums that
 * can be checked. The baseline `equal` of the bench; which malloc is LD_PRELOAD's business.
 *
 * What     A header block with dtype, shape and an atomic count of references, and a 64-byte aligned data block, each
 *          malloc's. The size is checked for overflow. Every thread counts what it makes and drops.
 * Threads  A reference may be dropped on any thread. The counters of a thread are written by it alone; they are kept and
 *          go to a later thread when it ends, so that the sums stay right and threads that come and go cost no memory.
 * Not here (Fettle has it): handles that are refused when they are stale, views, scopes, limits, tracking, leak reports.
 */
#ifndef BENCH_EQUAL_H
#define BENCH_EQUAL_H

#include <stdatomic.h>
#include <stdint.h>

enum { EQUAL_MAX_DIMS = 8, EQUAL_ALIGNMENT = 64 };
enum { EQUAL_U8 = 1, EQUAL_F16 = 2, EQUAL_F32 = 4, EQUAL_F64 = 8 }; /* dtypes: their bytes */

struct equal_tensor {
    _Atomic uint32_t references;
    uint16_t dtype, ndim;
    void *data;
    uint64_t bytes;
    int64_t shape[EQUAL_MAX_DIMS]; /* ndim of them are set */
};

struct equal_sums {
    uint64_t created, dropped, created_bytes, dropped_bytes;
};

/* 0, and one reference in *out; -1: a shape that makes no sense or is too large, or no memory. */
int equal_new(uint16_t dtype, uint16_t ndim, const int64_t *shape, struct equal_tensor **out);
void equal_retain(struct equal_tensor *tensor);
/* The last one frees it. */
void equal_drop(struct equal_tensor *tensor);
/* Of all threads, also those that have ended. */
void equal_sum(struct equal_sums *out);

static inline void *equal_data(const struct equal_tensor *tensor)
{
    return tensor->data;
}

#endif
