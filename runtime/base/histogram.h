/* A latency histogram: log-linear buckets, so that each quantile is right to within 1/16 of itself.
 *
 * What      Values below 16 have a bucket each; above, each power of two is cut in 16. Values from 2^44 ns
 * (about 5 hours) on share the last bucket. The greatest value is also kept exactly. Owns      Nothing on the
 * heap: the struct is the whole of it, a zeroed one is empty. Threads   One writer; any thread may take a
 * snapshot at any time. A snapshot's total is the sum of its buckets. Progress  Wait-free.
 */
#ifndef FTLI_RUNTIME_BASE_HISTOGRAM_H
#define FTLI_RUNTIME_BASE_HISTOGRAM_H

#include <stdint.h>

#include "runtime/base/atomics.h"

#if defined __cplusplus
extern "C" {
#endif

enum {
    FTLI_HISTOGRAM_SUB_BITS = 4, /* 2^4 buckets for each power of two */
    FTLI_HISTOGRAM_TOP_BITS = 44,
    FTLI_HISTOGRAM_BUCKETS = (FTLI_HISTOGRAM_TOP_BITS - FTLI_HISTOGRAM_SUB_BITS + 1) << FTLI_HISTOGRAM_SUB_BITS,
};

typedef struct {
    ftli_atomic_u64 counts[FTLI_HISTOGRAM_BUCKETS];
    ftli_atomic_u64 sum_ns;
    ftli_atomic_u64 most_ns;
} ftli_histogram;

/* Zero it, add any number of histograms or snapshots to it, then ask. */
typedef struct {
    uint64_t counts[FTLI_HISTOGRAM_BUCKETS];
    uint64_t total; /* of all counts */
    uint64_t sum_ns;
    uint64_t most_ns;
} ftli_histogram_snapshot;

void ftli_histogram_record(ftli_histogram *, uint64_t value_ns);
void ftli_histogram_record_many(ftli_histogram *, uint64_t value_ns, uint64_t n); /* the same value n times */
void ftli_histogram_collect(const ftli_histogram *, ftli_histogram_snapshot *into);
void ftli_histogram_merge(const ftli_histogram_snapshot *from, ftli_histogram_snapshot *into);

/* The upper edge of the bucket in which the quantile (0 .. 1) lies, at most the greatest value seen; 0 if
 * empty. */
uint64_t ftli_histogram_quantile(const ftli_histogram_snapshot *, double quantile);

#if defined __cplusplus
}
#endif
#endif
