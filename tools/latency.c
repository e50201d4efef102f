#include "tools/latency.h"

/* Up to 2 * STEPS a bucket a nanosecond; above, STEPS buckets for each doubling. */
static uint32_t bucket_of(uint64_t time_ns)
{
    if (time_ns < 2 * FTLI_LATENCY_STEPS) {
        return (uint32_t)time_ns;
    }
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(time_ns) - 5u; /* 1 for 64..127 */
    return octave * FTLI_LATENCY_STEPS + (uint32_t)(time_ns >> octave);
}

static uint64_t middle_of(uint32_t bucket)
{
    if (bucket < 2 * FTLI_LATENCY_STEPS) {
        return bucket;
    }
    uint32_t octave = bucket / FTLI_LATENCY_STEPS - 1;
    uint64_t low = (uint64_t)(bucket - octave * FTLI_LATENCY_STEPS) << octave;
    return low + (UINT64_C(1) << octave) / 2;
}

_Static_assert(FTLI_LATENCY_STEPS == 32, "bucket_of counts on 5 bits");
_Static_assert(FTLI_LATENCY_BUCKETS >= 59 * 32 + 32, "2^64 - 1 falls into bucket 58 * 32 + 63");

void ftli_latency_add(struct ftli_latency *latency, uint64_t time_ns)
{
    latency->count++;
    latency->buckets[bucket_of(time_ns)]++;
    if (time_ns > latency->max_ns) {
        latency->max_ns = time_ns;
    }
}

void ftli_latency_merge(struct ftli_latency *into, const struct ftli_latency *from)
{
    into->count += from->count;
    for (uint32_t i = 0; i < FTLI_LATENCY_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
    if (from->max_ns > into->max_ns) {
        into->max_ns = from->max_ns;
    }
}

uint64_t ftli_latency_percentile(const struct ftli_latency *latency, double share)
{
    if (latency->count == 0) {
        return 0;
    }
    double wanted = share * (double)latency->count;
    uint64_t passed = 0;
    for (uint32_t i = 0; i < FTLI_LATENCY_BUCKETS; i++) {
        passed += latency->buckets[i];
        if (latency->buckets[i] != 0 && (double)passed >= wanted) {
            uint64_t middle = middle_of(i);
            return middle < latency->max_ns ? middle : latency->max_ns;
        }
    }
    return latency->max_ns;
}

struct ftli_latency_summary ftli_latency_summarise(const struct ftli_latency *latency)
{
    return (struct ftli_latency_summary){
        .count = latency->count,
        .p50_ns = ftli_latency_percentile(latency, 0.5),
        .p99_ns = ftli_latency_percentile(latency, 0.99),
        .p999_ns = ftli_latency_percentile(latency, 0.999),
        .max_ns = latency->max_ns,
    };
}
