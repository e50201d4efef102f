/* What every workload is written over: make a tensor, reach its memory, drop it. Compiled three times, so that all programs
 * do the same work: BENCH_MEMORY names bench/memory_bare.h (malloc alone), bench/memory_equal.h (a counted tensor over
 * malloc) or bench/memory_fettle.h (the public interface).
 *
 *     int bench_open(const char *policy, const char *level)  before the first make; 0, or -1 and bench_explain() says why
 *     void bench_finish(void)                 returns when all work that the drops so far have left is done
 *     int bench_close(void)                   after the last drop; -1: a sum is broken
 *     void bench_look(struct bench_look *)    what the memory says of itself; leaves alone what it does not say
 *     bench_tensor bench_make(size_t bytes)   {0}: it failed
 *     void *bench_data(bench_tensor)          64-byte aligned, the caller's while it holds the tensor
 *     void bench_drop(bench_tensor)           from any thread
 *     const char *bench_explain(void)
 *     bench_variant                           "bare", "equal" or "fettle"
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include "bench/look.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t id;
} bench_tensor;

#include BENCH_MEMORY

#endif
