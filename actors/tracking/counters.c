/* Sums of counter blocks. The passes load with acquire what writers store with release: who sees a drop counted sees the
 * tensor's birth counted too, in whichever block it lies, because the handle went from one to the other in between.
 *
 * Slack     is blocks less the tensors' own bytes, so whose bytes are counted must have its block counted: births write the block
 *           first and are read bytes first; ends and drops write the bytes first and are read block first. */
#include "actors/tracking/tracking.h"

#include <assert.h>

#include "actors/allocation/allocation.h"

static_assert(FTLI_COUNTED_CLASSES == FTLI_CLASSES, "a counter for each size class");
static_assert(sizeof(struct ftli_counters) % sizeof(ftli_atomic_u64) == 0, "nothing but counters");

static uint64_t load(const ftli_atomic_u64 *counter)
{
    return ftli_u64_load_acquire(counter);
}

void ftli_totals_add_ends(struct ftli_totals *totals, const struct ftli_counters *counters)
{
    for (unsigned parity = 0; parity < 2; parity++) {
        totals->completed[parity] += load(&counters->completed[parity]);
        totals->quarantined_by_parity[parity] += load(&counters->quarantined_by_parity[parity]);
    }
    totals->completed_block_bytes += load(&counters->completed_block_bytes);
    totals->completed_bytes += load(&counters->completed_bytes);
    totals->quarantined_bytes += load(&counters->quarantined_bytes);
    totals->quarantined_block_bytes += load(&counters->quarantined_block_bytes);
}

void ftli_totals_add_drops(struct ftli_totals *totals, const struct ftli_counters *counters)
{
    for (unsigned c = 0; c < FTLI_COUNTED_CLASSES; c++) {
        uint64_t count = load(&counters->immediate[c]);
        totals->immediate += count;
        totals->immediate_block_bytes += count * ftli_class_bytes(c);
    }
    totals->immediate_block_bytes += load(&counters->immediate_page_bytes);
    totals->immediate_bytes += load(&counters->immediate_bytes);
    totals->deferred[0] += load(&counters->deferred[0]);
    totals->deferred[1] += load(&counters->deferred[1]);
    totals->deferred_bytes += load(&counters->deferred_bytes);
    totals->deferred_block_bytes += load(&counters->deferred_block_bytes);
}

void ftli_totals_add_births(struct ftli_totals *totals, const struct ftli_counters *counters)
{
    totals->created_bytes += load(&counters->created_bytes);
    for (unsigned c = 0; c < FTLI_COUNTED_CLASSES; c++) {
        uint64_t count = load(&counters->created[c]);
        totals->created += count;
        totals->created_block_bytes += count * ftli_class_bytes(c);
    }
    totals->created_block_bytes += load(&counters->created_page_bytes);
    totals->stale_handles += load(&counters->stale_handles);
    totals->unpins_without_pin += load(&counters->unpins_without_pin);
    totals->tracking_cycles += load(&counters->tracking_cycles);
    totals->sampled += load(&counters->sampled);
}

void ftli_counters_move(struct ftli_counters *from, struct ftli_counters *to)
{
    ftli_atomic_u64 *source = (ftli_atomic_u64 *)(void *)from, *target = (ftli_atomic_u64 *)(void *)to;
    for (size_t i = 0; i < sizeof *from / sizeof *source; i++) {
        ftli_u64_add_owner(&target[i], ftli_u64_load_acquire(&source[i]));
        ftli_u64_store_release(&source[i], 0);
    }
}
