/* The leanest tensor a user could write over malloc: one block, a 64-byte header of which only the size is written, the
 * payload behind it. No count of references, no shape, no checks. Which malloc is LD_PRELOAD's business. */
#ifndef BENCH_MEMORY_BARE_H
#define BENCH_MEMORY_BARE_H

#include <stdio.h>
#include <stdlib.h>

static const char bench_variant[] = "bare";

enum { BENCH_HEADER_BYTES = 64 };

static inline int bench_open(const char *policy, const char *level)
{
    (void)level;
    if (policy != NULL) {
        return -1;
    }
    return 0;
}

static inline void bench_finish(void)
{
}

static inline int bench_close(void)
{
    return 0;
}

static inline void bench_look(struct bench_look *out)
{
    (void)out;
}

static inline const char *bench_explain(void)
{
    return "malloc: no memory, or a policy was asked for";
}

static inline bench_tensor bench_make(size_t bytes)
{
    /* A multiple of the alignment, as C11 wants it. */
    size_t room = (bytes + 2 * BENCH_HEADER_BYTES - 1) & ~(size_t)(BENCH_HEADER_BYTES - 1);
    size_t *block = aligned_alloc(BENCH_HEADER_BYTES, room);
    if (block != NULL) {
        *block = bytes;
    }
    return (bench_tensor){(uint64_t)(uintptr_t)block};
}

static inline void *bench_data(bench_tensor tensor)
{
    return (char *)(uintptr_t)tensor.id + BENCH_HEADER_BYTES;
}

static inline void bench_drop(bench_tensor tensor)
{
    free((void *)(uintptr_t)tensor.id);
}

#endif
