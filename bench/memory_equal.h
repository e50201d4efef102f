/* The same over what a careful engineer writes over malloc (bench/equal.h). */
#ifndef BENCH_MEMORY_EQUAL_H
#define BENCH_MEMORY_EQUAL_H

#include "bench/equal.h"

#include <inttypes.h>
#include <stdio.h>

static const char bench_variant[] = "equal";

static inline int bench_open(const char *policy, const char *level)
{
    (void)level;
    return policy == NULL ? 0 : -1;
}

static inline void bench_finish(void)
{
}

/* Everything was dropped: the sums must say so. */
static inline int bench_close(void)
{
    struct equal_sums sums;
    equal_sum(&sums);
    if (sums.created != sums.dropped || sums.created_bytes != sums.dropped_bytes) {
        fprintf(stderr,
                "a sum is broken: created %" PRIu64 ", dropped %" PRIu64 "; in bytes %" PRIu64 " and %" PRIu64 "\n",
                sums.created, sums.dropped, sums.created_bytes, sums.dropped_bytes);
        return -1;
    }
    return 0;
}

static inline void bench_look(struct bench_look *out)
{
    (void)out;
}

static inline const char *bench_explain(void)
{
    return "malloc: no memory, or a policy was asked for, or a sum is broken";
}

static inline bench_tensor bench_make(size_t bytes)
{
    int64_t shape = (int64_t)bytes;
    struct equal_tensor *tensor;
    return (bench_tensor){equal_new(EQUAL_U8, 1, &shape, &tensor) == 0 ? (uint64_t)(uintptr_t)tensor : 0};
}

static inline void *bench_data(bench_tensor tensor)
{
    return equal_data((const struct equal_tensor *)(uintptr_t)tensor.id);
}

static inline void bench_drop(bench_tensor tensor)
{
    equal_drop((struct equal_tensor *)(uintptr_t)tensor.id);
}

#endif
