/* Sampled events, as a port makes them: the cost is counted in cycles, on the thread that pays it. */
#include "actors/port/agent.h"
#include "runtime/base/clock.h"

#define MEASURED_EVERY 32

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

uint32_t ftli_sample_countdown(struct ftli_port *port, unsigned tier)
{
    const struct ftli_sampling *sampling = &port->owner->sampling;
    if (sampling->every_one_from_bytes == 0)
        return 1; /* every tensor, whatever its tier */
    return tier < FTLI_TRACKING_TIERS ? ftli_sampling_countdown(sampling, tier, &port->random) : 0;
}

/* Some sizes of the class are all recorded: then each is looked at. */
static bool is_looked_at(const struct ftl_runtime *runtime, unsigned c)
{
    return runtime->tier_of_class[c] == FTLI_TIER_LOOK;
}

uint32_t ftli_sample_class_countdown(struct ftli_port *port, unsigned c)
{
    return is_looked_at(port->owner, c) ? 1 : ftli_sample_countdown(port, port->owner->tier_of_class[c]);
}

static bool is_due(struct ftli_port *port, unsigned tier)
{
    if (--port->tier_countdown[tier] != 0)
        return false;
    uint32_t countdown = ftli_sample_countdown(port, tier);
    if (countdown == 0)
        return false; /* not sampled: the countdown has come round */
    port->tier_countdown[tier] = countdown;
    return true;
}

FTLI_INLINE void record_birth(struct ftli_port *port, struct ftli_header *header, uint64_t bytes, uint32_t stamp_ms)
{
    uint64_t record = ftli_u64_load_relaxed(&header->record) | FTLI_HEADER_SAMPLED;
    ftli_u64_store_release(&header->record, record);
    ftli_u64_add_owner(&port->counters.sampled, 1);
    struct ftli_event_record *event = ftli_event_ring_next(&port->ring);
    if (event == NULL)
        return;
    event->record = record;
    event->bytes = bytes;
    event->stamp_ms = stamp_ms;
    event->kind = FTLI_EVENT_CREATED;
    event->lived_ms = 0;
    event->thread = port->index;
    if (FTLI_UNLIKELY(ftli_event_ring_publish(&port->ring)))
        ftli_tracking_note(&port->owner->tracking);
}

/* A drop makes one system call at most, and its post may be that: the actor is called by new and by the tick. */
FTLI_INLINE void record_death(struct ftli_port *port, const struct ftli_header *header)
{
    uint32_t now_ms = ftli_u32_load_relaxed(&port->stamp_ms);
    uint32_t born_ms = ftli_u32_load_relaxed(&header->stamp);
    struct ftli_event_record *event = ftli_event_ring_next(&port->ring);
    if (event == NULL)
        return;
    event->record = ftli_u64_load_relaxed(&header->record);
    event->bytes = ftli_size_bytes(ftli_u64_load_relaxed(&header->size));
    event->stamp_ms = now_ms;
    event->kind = FTLI_EVENT_DROPPED;
    event->lived_ms = now_ms > born_ms ? now_ms - born_ms : 0;
    event->thread = port->index;
    (void)ftli_event_ring_publish(&port->ring);
}

/* Looking at the cycle counter costs as much as the rest of it, so one in MEASURED_EVERY is measured, and stands for all. */
FTLI_INLINE bool is_measured(struct ftli_port *port)
{
    return FTLI_UNLIKELY(port->events++ % MEASURED_EVERY == 0);
}

static void add_cycles(struct ftli_port *port, uint64_t began)
{
    ftli_u64_add_owner(&port->counters.tracking_cycles, (ftli_clock_cycles() - began) * MEASURED_EVERY);
}

static FTLI_NOINLINE void measure_birth(struct ftli_port *port, struct ftli_header *header, uint64_t bytes,
                                        uint32_t stamp_ms)
{
    uint64_t began = ftli_clock_cycles();
    record_birth(port, header, bytes, stamp_ms);
    add_cycles(port, began);
}

static FTLI_NOINLINE void measure_death(struct ftli_port *port, const struct ftli_header *header)
{
    uint64_t began = ftli_clock_cycles();
    record_death(port, header);
    add_cycles(port, began);
}

void ftli_sample_new(struct ftli_port *port, struct ftli_header *header, uint64_t bytes, uint32_t stamp_ms)
{
    if (is_measured(port))
        measure_birth(port, header, bytes, stamp_ms);
    else
        record_birth(port, header, bytes, stamp_ms);
}

void ftli_sample_drop(struct ftli_port *port, const struct ftli_header *header)
{
    if (is_measured(port))
        measure_death(port, header);
    else
        record_death(port, header);
}

int ftli_drop_sampled(struct ftli_port *port, struct ftli_header *header, uint64_t record)
{
    if (is_measured(port))
        measure_death(port, header);
    else
        record_death(port, header);
    ftli_u64_store_release(&header->record, record & ~(uint64_t)FTLI_HEADER_SAMPLED);
    return ftli_drop_finish(port, header, record);
}

/* Some sizes of the class are all recorded: each is shown. */
static FTLI_NOINLINE uint64_t look(struct ftli_port *port, struct ftli_header *header, unsigned c, uint64_t bytes)
{
    const struct ftli_sampling *sampling = &port->owner->sampling;
    port->countdown[c] = 1;
    if (bytes < sampling->every_one_from_bytes && !is_due(port, ftli_sampling_tier(sampling, bytes)))
        return 0;
    ftli_sample_new(port, header, bytes, ftli_u32_load_relaxed(&header->stamp));
    return FTLI_WORD_SLOW;
}

FTLI_INLINE uint64_t sample_class(struct ftli_port *port, struct ftli_header *header, unsigned c, uint64_t bytes)
{
    const struct ftl_runtime *runtime = port->owner;
    unsigned tier = runtime->tier_of_class[c];
    if (FTLI_UNLIKELY(tier >= FTLI_TRACKING_TIERS))
        return tier == FTLI_TIER_LOOK ? look(port, header, c, bytes) : 0;
    uint32_t countdown = ftli_sampling_countdown(&runtime->sampling, tier, &port->random);
    if (FTLI_UNLIKELY(countdown == 0))
        return 0; /* not sampled: the countdown has come round */
    port->countdown[c] = countdown;
    if (is_measured(port))
        measure_birth(port, header, bytes, ftli_u32_load_relaxed(&header->stamp));
    else
        record_birth(port, header, bytes, ftli_u32_load_relaxed(&header->stamp));
    return FTLI_WORD_SLOW;
}

uint64_t ftli_sample_class(struct ftli_port *port, struct ftli_header *header, unsigned c, uint64_t bytes)
{
    return sample_class(port, header, c, bytes);
}

int ftli_new_sampled(struct ftli_port *port, struct ftli_header *header, size_t c, uint64_t bytes, uint64_t flags,
                     ftl_tensor *out)
{
    flags |= sample_class(port, header, (unsigned)(c / 8), bytes);
    return ftli_new_finish(port, header, flags, c, bytes, out);
}

uint64_t ftli_sample_other(struct ftli_port *port, struct ftli_header *header, uint64_t bytes, uint32_t stamp_ms)
{
    const struct ftli_sampling *sampling = &port->owner->sampling;
    if (bytes < sampling->every_one_from_bytes && !is_due(port, ftli_sampling_tier(sampling, bytes)))
        return 0;
    ftli_sample_new(port, header, bytes, stamp_ms);
    return FTLI_WORD_SLOW;
}
