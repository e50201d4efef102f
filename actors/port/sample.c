/* Sampled events, as a port makes them: the cost is counted in cycles, on the thread that pays it. */
#include "actors/port/agent.h"
#include "runtime/base/clock.h"

/* Threads come with readings of two clocks, a precise and a coarse one that lags; time goes forward for all of them. */
uint32_t ftli_stamp_raise(struct ftl_runtime *runtime, uint32_t now_ms)
{
    uint32_t seen_ms = ftli_u32_load_relaxed(&runtime->stamp_ms);
    while (now_ms > seen_ms && !ftli_u32_cas_acq_rel(&runtime->stamp_ms, &seen_ms, now_ms))
        ;
    return now_ms > seen_ms ? now_ms : seen_ms;
}

uint32_t ftli_stamp_refresh(struct ftl_runtime *runtime)
{
    return ftli_stamp_raise(runtime, ftli_runtime_ms(runtime));
}

uint32_t ftli_sample_countdown(struct ftli_port *port, const struct ftli_sampling *sampling, unsigned tier)
{
    if (sampling->every_one_from_bytes == 0)
        return 1; /* every tensor, whatever its tier */
    return tier < FTLI_TRACKING_TIERS ? ftli_sampling_countdown(sampling, tier, &port->random) : 0;
}

FTLI_NOINLINE uint64_t ftli_sample_tier(struct ftli_port *port, struct ftli_header *header, uint32_t tier,
                                        uint64_t bytes)
{
    uint32_t countdown = ftli_sample_countdown(port, &port->owner->sampling, tier);
    if (countdown == 0)
        return 0; /* not sampled: the countdown has come round */
    port->countdown[tier] = countdown;
    ftli_sample_new(port, header, bytes, ftli_u32_load_relaxed(&header->stamp));
    return FTLI_WORD_SLOW;
}

void ftli_sample_new(struct ftli_port *port, struct ftli_header *header, uint64_t bytes, uint32_t stamp_ms)
{
    uint64_t began = ftli_clock_cycles();
    uint64_t record = ftli_u64_load_relaxed(&header->record) | FTLI_HEADER_SAMPLED;
    ftli_u64_store_release(&header->record, record);
    struct ftli_event_record event = {
        .record = record, .bytes = bytes, .stamp_ms = stamp_ms, .kind = FTLI_EVENT_CREATED, .thread = port->index};
    if (ftli_event_ring_put(&port->ring, &event))
        ftli_tracking_note(&port->owner->tracking);
    ftli_u64_add_owner(&port->counters.sampled, 1);
    ftli_u64_add_owner(&port->counters.tracking_cycles, ftli_clock_cycles() - began);
}

void ftli_sample_drop(const struct ftli_agent *agent, const struct ftli_header *header)
{
    struct ftli_port *port = agent->port;
    if (port == NULL)
        return; /* a drop outside a port has no ring; its birth was recorded, and the table knows its end */
    uint64_t began = ftli_clock_cycles();
    uint32_t now_ms = ftli_u32_load_relaxed(&agent->runtime->stamp_ms);
    uint32_t born_ms = ftli_u32_load_relaxed(&header->stamp);
    struct ftli_event_record event = {.record = ftli_u64_load_relaxed(&header->record),
                                      .bytes = ftli_size_bytes(ftli_u64_load_relaxed(&header->size)),
                                      .stamp_ms = now_ms,
                                      .kind = FTLI_EVENT_DROPPED,
                                      .lived_ms = now_ms > born_ms ? now_ms - born_ms : 0,
                                      .thread = port->index};
    /* A drop makes one system call at most, and its post may be that: the actor is called by new and by the tick. */
    (void)ftli_event_ring_put(&port->ring, &event);
    ftli_u64_add_owner(&port->counters.tracking_cycles, ftli_clock_cycles() - began);
}
