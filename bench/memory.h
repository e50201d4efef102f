/* What every workload is written over: make a tensor, reach its memory, drop it. Compiled twice, so that both programs do
 * the same work: BENCH_MEMORY names bench/memory_bare.h (malloc) or bench/memory_fettle.h (the public interface).
 *
 *     int bench_open(const char *policy)      before the first make; 0, or -1 and bench_explain() says why
 *     int bench_close(void)                   after the last drop; -1: a sum is broken
 *     bench_tensor bench_make(size_t bytes)   {0}: it failed
 *     void *bench_data(bench_tensor)          64-byte aligned, the caller's while it holds the tensor
 *     void bench_drop(bench_tensor)           from any thread
 *     const char *bench_explain(void)
 *     bench_variant                           "bare" or "fettle"
 */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t id;
} bench_tensor;

#include BENCH_MEMORY

#endif
