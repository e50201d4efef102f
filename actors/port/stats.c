/* The counters of all blocks as one picture: ftl_stats, and the audit that can fail. */
#include <stdio.h>
#include <string.h>

#include "actors/port/agent.h"
#include "actors/port/life.h"
#include "runtime/base/clock.h"

#define LOOKS_MOST     8
#define LOOK_CYCLES    UINT64_C(100000) /* some 40 us: a look that was not interrupted takes less */
#define COLLECTS_MOST  10000
#define AUDIT_LOOKS    4 /* in a row, with nobody at work */
#define AUDIT_TRIES    8
#define AUDIT_PAUSE_NS (UINT64_C(5) * 1000 * 1000)

/* Over every block of a runtime: ports, shards, the cleanup, the shared one. */
static void each_block(struct ftl_runtime *runtime, void (*add)(struct ftli_totals *, const struct ftli_counters *),
                       struct ftli_totals *totals)
{
    uint32_t count = ftli_port_count();
    for (uint32_t i = 0; i < count; i++) {
        struct ftli_port *port = ftli_port_at(i, runtime->number);
        if (port != NULL)
            add(totals, &port->counters);
    }
    for (unsigned i = 0; i < ftli_allocation_shards(runtime->device); i++)
        add(totals, ftli_allocation_counters(runtime->device, i));
    add(totals, &runtime->cleanup.counters);
    add(totals, &runtime->shared);
}

/* What is born between the first pass and the last is in the sums: live is too much by what a busy program makes meanwhile. So
 * a look during which this thread was interrupted is taken again, and the shortest of a few counts. */
void ftli_runtime_totals(struct ftl_runtime *runtime, struct ftli_totals *totals)
{
    uint64_t shortest = UINT64_MAX;
    for (unsigned tries = 0; tries < LOOKS_MOST && shortest > LOOK_CYCLES; tries++) {
        struct ftli_totals now;
        uint64_t began = ftli_clock_cycles();
        memset(&now, 0, sizeof now);
        each_block(runtime, ftli_totals_add_ends, &now);
        each_block(runtime, ftli_totals_add_drops, &now);
        each_block(runtime, ftli_totals_add_births, &now);
        uint64_t cycles = ftli_clock_cycles() - began;
        if (cycles < shortest) {
            shortest = cycles;
            *totals = now;
        }
    }
}

static uint64_t held_bytes(struct ftl_runtime *runtime)
{
    uint64_t bytes = 0;
    uint32_t count = ftli_port_count();
    for (uint32_t i = 0; i < count; i++) {
        struct ftli_port *port = ftli_port_at(i, runtime->number);
        if (port != NULL)
            bytes += ftli_rack_bytes(&port->rack);
    }
    return bytes;
}

static uint64_t metadata_bytes(struct ftl_runtime *runtime, const struct ftli_device_figures *device)
{
    return device->metadata + ftli_table_committed_bytes(&runtime->table) +
           ftli_scopes_metadata_bytes(&runtime->scopes) + ftli_labels_metadata_bytes(&runtime->labels) +
           ftli_port_metadata_bytes(runtime->number) + ftli_u64_load_relaxed(&runtime->tracking.events_bytes) +
           ftli_sites_used_bytes(runtime->tracking.sites) + ftli_parcels_metadata_bytes(&runtime->cleanup) +
           ftli_quotas_metadata_bytes(&runtime->leak_detection.quotas);
}

static uint32_t pressure_level(const struct ftl_runtime *runtime)
{
    double pressure = ftli_allocation_pressure(runtime->device);
    uint32_t level = 0;
    while (level < FTLI_PRESSURE_LEVELS && pressure >= runtime->topology->pressure_levels[level])
        level++;
    return level;
}

/* The greatest sum of live bytes that was ever looked at, and what was committed then. Looked at here, by the tick and by
 * slow news: what ports hold between looks may be missed (CORE.md section 5). */
static void note_peak(struct ftl_runtime *runtime, uint64_t live_bytes, uint64_t committed)
{
    uint64_t peak = ftli_u64_load_relaxed(&runtime->peak_live_bytes);
    if (live_bytes <= peak || !ftli_token_try_take(&runtime->peak_token))
        return;
    if (live_bytes > ftli_u64_load_relaxed(&runtime->peak_live_bytes)) {
        ftli_u64_store_relaxed(&runtime->peak_live_bytes, live_bytes);
        ftli_u64_store_relaxed(&runtime->committed_at_peak, committed > live_bytes ? committed : live_bytes);
    }
    ftli_token_release(&runtime->peak_token);
}

uint64_t ftli_runtime_look_at_peak(struct ftl_runtime *runtime)
{
    struct ftli_totals t;
    memset(&t, 0, sizeof t);
    /* Births first: so many bytes were live at once, at some moment between the two passes, or more. */
    each_block(runtime, ftli_totals_add_births, &t);
    each_block(runtime, ftli_totals_add_drops, &t);
    uint64_t dropped = t.immediate_bytes + t.deferred_bytes;
    if (dropped < t.created_bytes)
        note_peak(runtime, t.created_bytes - dropped, ftli_allocation_committed(runtime->device));
    return t.created;
}

static void read_tensors(struct ftl_runtime *runtime, const struct ftli_totals *t, ftl_stats *out)
{
    uint64_t deferred = t->deferred[0] + t->deferred[1], completed = t->completed[0] + t->completed[1];
    out->created = t->created;
    out->live = t->created - t->immediate - deferred;
    out->quarantined = t->quarantined_by_parity[0] + t->quarantined_by_parity[1];
    out->pending = deferred - completed - out->quarantined;
    out->reclaimed = t->immediate + completed;
    out->immediate = t->immediate;
    out->deferred = deferred;
    out->stale_handles = t->stale_handles;
    out->unpins_without_pin = t->unpins_without_pin;
    out->restarts = ftli_kernel_restarts(runtime->kernel);
    out->degraded = ftli_kernel_degraded(runtime->kernel);
    out->audits_failed = ftli_u64_load_relaxed(&runtime->audits_failed);
    out->leak_suspects = ftli_leak_detection_suspects(&runtime->leak_detection);
}

/* Each term is measured on its own: live, pending, quarantined and slack by the counters, free memory by the heaps, what is
 * cached by the racks and the depot. While threads run they are read one after the other, so cached is what is left of
 * the sum; at rest the audit compares it with what the racks, the depot and the heaps hold. */
static void read_bytes(struct ftl_runtime *runtime, const struct ftli_totals *t, ftl_stats *out)
{
    struct ftli_device_figures device;
    ftli_allocation_figures(runtime->device, &device);
    uint64_t blocks = t->created_block_bytes - t->immediate_block_bytes - t->completed_block_bytes;
    out->live_bytes = t->created_bytes - t->immediate_bytes - t->deferred_bytes;
    out->quarantined_bytes = t->quarantined_bytes;
    out->pending_bytes = t->deferred_bytes - t->completed_bytes - t->quarantined_bytes;
    out->slack_bytes = blocks - out->live_bytes - out->pending_bytes - out->quarantined_bytes;
    out->metadata_bytes = metadata_bytes(runtime, &device);
    uint64_t memory = device.committed > blocks ? device.committed : blocks;
    out->committed_bytes = memory + out->metadata_bytes;
    out->cached_bytes = memory - blocks;
    out->held_bytes = held_bytes(runtime);
    out->immovable_bytes = out->live_bytes;
    out->limit_bytes = device.limit;
    out->fragmentation = ftli_fragmentation_of(&device);
    (void)ftli_runtime_look_at_peak(runtime);
    out->peak_live_bytes = ftli_u64_load_relaxed(&runtime->peak_live_bytes);
    uint64_t at_peak = ftli_u64_load_relaxed(&runtime->committed_at_peak);
    out->efficiency = at_peak == 0 ? 0 : (double)out->peak_live_bytes / (double)at_peak;
}

static void read_latencies(struct ftl_runtime *runtime, ftl_stats *out)
{
    ftli_histogram_snapshot all;
    memset(&all, 0, sizeof all);
    for (unsigned lane = 0; lane < FTLI_LANES; lane++)
        ftli_allocation_collect_latencies(runtime->device, lane, &all);
    ftli_histogram_collect(&runtime->cleanup.latencies, &all);
    out->reclaim_p50_ns = ftli_histogram_quantile(&all, 0.50);
    out->reclaim_p99_ns = ftli_histogram_quantile(&all, 0.99);
    out->reclaim_max_ns = all.most_ns;
    struct ftli_parcels_sum parcels;
    ftli_parcels_sum(&runtime->cleanup, &parcels);
    uint64_t oldest_ns = ftli_cleanup_oldest_ns(&runtime->cleanup);
    if (parcels.oldest_ns != 0 && (oldest_ns == 0 || parcels.oldest_ns < oldest_ns))
        oldest_ns = parcels.oldest_ns;
    uint64_t now_ns = ftli_kernel_coarse_ns(runtime->kernel);
    out->oldest_pending_ns = oldest_ns != 0 && oldest_ns < now_ns ? now_ns - oldest_ns : 0;
}

void ftli_runtime_read_stats(struct ftl_runtime *runtime, ftl_stats *out)
{
    struct ftli_totals totals;
    struct ftli_tracking_figures tracking;
    memset(out, 0, sizeof *out);
    ftli_runtime_totals(runtime, &totals);
    read_tensors(runtime, &totals, out);
    read_bytes(runtime, &totals, out);
    read_latencies(runtime, out);
    ftli_tracking_read(&runtime->tracking, &tracking);
    out->tracking_time_overhead = tracking.time_overhead;
    out->tracking_memory_overhead = tracking.memory_overhead;
    out->events_lost = tracking.lost + ftli_events_lost(&runtime->events);
    out->pressure = pressure_level(runtime);
}

int ftl_runtime_stats(ftl_runtime *runtime, ftl_stats *out)
{
    if (runtime == NULL || out == NULL)
        return ftli_fail(FTL_EINVAL, runtime == NULL ? "runtime: is NULL" : "out: is NULL");
    if (!ftli_runtime_enter(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed");
    int status = FTL_OK;
    if (ftli_port_is_inherited(runtime))
        status = ftli_fail(FTL_ENOTSUP, "not in a forked child");
    else
        ftli_runtime_read_stats(runtime, out);
    ftli_runtime_leave(runtime);
    return status;
}

/* ---- the audit ----------------------------------------------------------------------------------------------------------- */

static int audit_bytes(struct ftl_runtime *runtime, const struct ftli_totals *t, uint64_t returned_bytes, char *why,
                       size_t why_bytes)
{
    struct ftli_device_figures device;
    ftli_allocation_figures(runtime->device, &device);
    uint64_t blocks = t->created_block_bytes - t->immediate_block_bytes - t->completed_block_bytes;
    uint64_t held = held_bytes(runtime);
    /* used pages are slots and spans; what of the slots is free the heaps know */
    uint64_t out = device.used - device.slab_free;
    uint64_t common = device.depot + returned_bytes;
    if (out != blocks + held + common) {
        (void)snprintf(why, why_bytes,
                       "heaps have given out %llu bytes; counters %llu + held %llu + depot %llu + parcels %llu = "
                       "%llu",
                       (unsigned long long)out, (unsigned long long)blocks, (unsigned long long)held,
                       (unsigned long long)device.depot, (unsigned long long)returned_bytes,
                       (unsigned long long)blocks + held + common);
        return FTL_EINTERNAL;
    }
    if (device.committed != device.used + device.free_committed) {
        (void)snprintf(why, why_bytes, "committed %llu bytes; used %llu + free %llu",
                       (unsigned long long)device.committed, (unsigned long long)device.used,
                       (unsigned long long)device.free_committed);
        return FTL_EINTERNAL;
    }
    return FTL_OK;
}

/* What lies in shards' mailboxes is in nobody's sum: it is taken in, in as many goes as it takes. */
static void collect_all(struct ftl_runtime *runtime)
{
    for (unsigned i = 0; i < COLLECTS_MOST && ftli_allocation_collect(runtime->device) != 0; i++)
        ftli_cpu_relax();
}

static int audit_once(struct ftl_runtime *runtime, struct ftli_totals *totals, char *why, size_t why_bytes)
{
    struct ftli_audit audit;
    collect_all(runtime);
    ftli_runtime_totals(runtime, totals);
    ftli_audit_walk(&runtime->leak_detection, &audit);
    struct ftli_parcels_sum parcels; /* pending too, though their headers are FREE */
    ftli_parcels_sum(&runtime->cleanup, &parcels);
    audit.parcelled = (struct ftli_audit_count){parcels.free_tensors, parcels.free_bytes, parcels.free_block_bytes};
    int status = ftli_audit_compare(&audit, totals, why, why_bytes);
    if (status == FTL_OK)
        status = audit_bytes(runtime, totals, parcels.returned_block_bytes, why, why_bytes);
    if (status == FTL_OK)
        status = ftli_quotas_audit(&runtime->leak_detection.quotas, &runtime->table, &runtime->labels, why, why_bytes);
    if (status == FTL_OK && !ftli_allocation_check(runtime->device, why, why_bytes))
        status = FTL_EINTERNAL;
    return status;
}

static bool rested(struct ftl_runtime *runtime, const struct ftli_totals *before)
{
    struct ftli_totals after;
    ftli_runtime_totals(runtime, &after);
    return after.created == before->created && after.immediate == before->immediate &&
           after.deferred[0] == before->deferred[0] && after.deferred[1] == before->deferred[1] &&
           after.completed[0] == before->completed[0] && after.completed[1] == before->completed[1];
}

/* Whoever is inside a call may have done half of it, and lost its processor there. */
static bool anybody_is_inside(struct ftl_runtime *runtime)
{
    for (uint32_t i = 0, count = ftli_port_count(); i < count; i++) {
        const struct ftli_port *port = ftli_port_at(i, runtime->number);
        if (port != NULL && ftli_u32_load_seq_cst(&port->busy) != 0)
            return true;
    }
    return false;
}

/* The tick may have cached memory in its hands, which is in no sum: a difference must be there at every look. And between two of
 * them somebody may have been at work: what was seen half done once says nothing. */
int ftli_runtime_audit(struct ftl_runtime *runtime, char *why, size_t why_bytes)
{
    unsigned looks = 0; /* in a row that found the same program at rest, and a difference */
    for (unsigned tries = 0; tries < AUDIT_TRIES && looks < AUDIT_LOOKS; tries++) {
        struct ftli_totals totals;
        ftli_event *completed = ftli_allocation_completed(runtime->device);
        uint32_t ticket = ftli_event_prepare(completed);
        bool quiet = !anybody_is_inside(runtime);
        if (audit_once(runtime, &totals, why, why_bytes) == FTL_OK) {
            ftli_event_cancel(completed);
            return FTL_OK;
        }
        quiet = quiet && rested(runtime, &totals) && !anybody_is_inside(runtime);
        looks = quiet ? looks + 1 : 0;
        uint64_t later_ns = ftli_deadline_ns(ftli_kernel_now_ns(runtime->kernel), AUDIT_PAUSE_NS);
        if (ftli_kernel_wait(runtime->kernel, completed, ticket, later_ns, NULL) == FTL_ENOTSUP)
            return FTL_ENOTSUP;
    }
    if (looks < AUDIT_LOOKS)
        return FTL_EBUSY;
    (void)ftli_u64_fetch_add_relaxed(&runtime->audits_failed, 1);
    return FTL_EINTERNAL;
}
