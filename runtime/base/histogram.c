#include "runtime/base/histogram.h"

enum { SUB = 1 << FTLI_HISTOGRAM_SUB_BITS };

static unsigned bucket_of(uint64_t value)
{
    if (value < SUB)
        return (unsigned)value;
    if (value >> FTLI_HISTOGRAM_TOP_BITS != 0)
        return FTLI_HISTOGRAM_BUCKETS - 1;
    const unsigned shift = 63 - FTLI_HISTOGRAM_SUB_BITS - (unsigned)__builtin_clzll(value);
    return (shift << FTLI_HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift); /* value >> shift: SUB .. 2 SUB - 1 */
}

/* The greatest value that falls into the bucket. */
static uint64_t upper_edge(unsigned bucket)
{
    if (bucket < SUB)
        return bucket;
    const unsigned shift = (bucket >> FTLI_HISTOGRAM_SUB_BITS) - 1;
    const uint64_t within = SUB + (bucket & (SUB - 1));
    return ((within + 1) << shift) - 1;
}

void ftli_histogram_record(ftli_histogram *h, uint64_t value_ns)
{
    ftli_histogram_record_many(h, value_ns, 1);
}

void ftli_histogram_record_many(ftli_histogram *h, uint64_t value_ns, uint64_t n)
{
    ftli_u64_add_owner(&h->counts[bucket_of(value_ns)], n);
    ftli_u64_add_owner(&h->sum_ns, n * value_ns);
    if (value_ns > ftli_u64_load_relaxed(&h->most_ns))
        ftli_u64_store_relaxed(&h->most_ns, value_ns);
}

void ftli_histogram_collect(const ftli_histogram *h, ftli_histogram_snapshot *into)
{
    for (unsigned i = 0; i < FTLI_HISTOGRAM_BUCKETS; i++) {
        const uint64_t n = ftli_u64_load_acquire(&h->counts[i]); /* pairs: add_owner's release */
        into->counts[i] += n;
        into->total += n;
    }
    into->sum_ns += ftli_u64_load_relaxed(&h->sum_ns);
    const uint64_t most = ftli_u64_load_relaxed(&h->most_ns);
    if (most > into->most_ns)
        into->most_ns = most;
}

void ftli_histogram_merge(const ftli_histogram_snapshot *from, ftli_histogram_snapshot *into)
{
    for (unsigned i = 0; i < FTLI_HISTOGRAM_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
    into->sum_ns += from->sum_ns;
    if (from->most_ns > into->most_ns)
        into->most_ns = from->most_ns;
}

uint64_t ftli_histogram_quantile(const ftli_histogram_snapshot *s, double quantile)
{
    if (s->total == 0)
        return 0;
    uint64_t rank = (uint64_t)(quantile * (double)s->total); /* how many lie below it */
    if (rank >= s->total)
        rank = s->total - 1;
    uint64_t below = 0;
    for (unsigned i = 0; i < FTLI_HISTOGRAM_BUCKETS - 1; i++) {
        below += s->counts[i];
        if (below > rank) {
            const uint64_t edge = upper_edge(i);
            return edge < s->most_ns ? edge : s->most_ns;
        }
    }
    return s->most_ns; /* the open-ended last bucket */
}
