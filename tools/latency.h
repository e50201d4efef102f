/* A histogram of times in nanoseconds: 32 steps an octave, so a percentile is off by 3 % at most. The greatest
 * is kept exactly. One thread writes one; they are added up afterwards. */
#ifndef FTLI_TOOLS_LATENCY_H
#define FTLI_TOOLS_LATENCY_H

#include <stdint.h>

enum { FTLI_LATENCY_STEPS = 32, FTLI_LATENCY_BUCKETS = 60 * FTLI_LATENCY_STEPS };

struct ftli_latency {
    uint64_t count;
    uint64_t max_ns;
    uint32_t buckets[FTLI_LATENCY_BUCKETS];
};

struct ftli_latency_summary {
    uint64_t count, p50_ns, p99_ns, p999_ns, max_ns;
};

void ftli_latency_add(struct ftli_latency *latency, uint64_t time_ns);
void ftli_latency_merge(struct ftli_latency *into, const struct ftli_latency *from);

/* The time that a share of all (0 < share <= 1) did not exceed; 0 of an empty one. */
uint64_t ftli_latency_percentile(const struct ftli_latency *latency, double share);
struct ftli_latency_summary ftli_latency_summarise(const struct ftli_latency *latency);

#endif
