/* Sampled events, as a port makes them: the cost is counted in cycles, on the thread that pays it. */
#include "actors/port/agent.h"
#include "runtime/base/clock.h"
#include "tensor/extension.h"

#define MEASURED_EVERY 32
#define MEASURED_MOST  UINT64_C(20000)

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

/* Some sizes of the class are all recorded: then each is looked at. */
static bool is_looked_at(const struct ftl_runtime *runtime, unsigned c)
{
    return runtime->tier_of_class[c] == FTLI_RATE_LOOK;
}

uint32_t ftli_sample_class_countdown(struct ftli_port *port, unsigned c)
{
    if (is_looked_at(port->owner, c))
        return port->draws.every_one_from_bytes != UINT64_MAX;
    return ftli_sampling_countdown(&port->draws, port->owner->tier_of_class[c], &port->random);
}

static bool is_due(struct ftli_port *port, unsigned tier)
{
    if (--port->tier_countdown[tier] != 0)
        return false;
    uint32_t countdown = ftli_sampling_countdown(&port->draws, tier, &port->random);
    if (countdown == 0)
        return false; /* not sampled: the countdown has come round */
    port->tier_countdown[tier] = countdown;
    return true;
}

/* Looking at the cycle counter costs as much as the rest of it, so of 32 births one is measured, by chance, and of 32 deaths one, by its
 * generation; and stands for all. What is interrupted meanwhile counts as no more than MEASURED_MOST. */
FTLI_INLINE bool is_birth_measured(const struct ftli_port *port)
{
    return (port->random >> 32) % MEASURED_EVERY == 0;
}

FTLI_INLINE bool is_death_measured(uint64_t next_id)
{
    return next_id % MEASURED_EVERY == 0;
}

static void end_measure(struct ftli_port *port, uint64_t began)
{
    uint64_t cycles = ftli_clock_cycles() - began, own = port->owner->clock_cycles;
    cycles = cycles > own ? cycles - own : 0;
    cycles = cycles < MEASURED_MOST ? cycles : MEASURED_MOST;
    ftli_u64_add_owner(&port->counters.tracking_cycles, cycles * MEASURED_EVERY);
}

/* Which thread it was the reader knows. */
FTLI_INLINE void write_birth(struct ftli_event_record *event, const struct ftli_header *header, uint64_t record,
                             uint64_t bytes)
{
    event->record = record;
    event->bytes = bytes;
    event->stamp_ms = ftli_u32_load_relaxed(&header->stamp);
    event->kind = FTLI_EVENT_CREATED;
    event->lived_ms = 0;
}

FTLI_INLINE void write_death(struct ftli_event_record *event, const struct ftli_port *port,
                             const struct ftli_header *header, uint64_t record)
{
    uint32_t now_ms = ftli_u32_load_relaxed(&port->stamp_ms);
    uint32_t born_ms = ftli_u32_load_relaxed(&header->stamp);
    event->record = record;
    event->bytes = ftli_size_bytes(ftli_u64_load_relaxed(&header->size));
    event->stamp_ms = now_ms;
    event->kind = FTLI_EVENT_DROPPED;
    event->lived_ms = now_ms > born_ms ? now_ms - born_ms : 0;
}

/* The end of a sampled life, on behalf of its site. */
FTLI_INLINE void count_death(struct ftl_runtime *runtime, const struct ftli_header *header, uint64_t record,
                             uint32_t now_ms)
{
    uint32_t born_ms = ftli_u32_load_relaxed(&header->stamp);
    ftli_site_died(runtime->tracking.sites, ftli_record_site(record), ftli_record_weight(record),
                   ftli_size_bytes(ftli_u64_load_relaxed(&header->size)), now_ms > born_ms ? now_ms - born_ms : 0);
}

FTLI_INLINE uint64_t mark(struct ftli_port *port, struct ftli_header *header, uint64_t bytes, uint32_t weight,
                          uint32_t site)
{
    uint64_t record = ftli_record_sampled(ftli_u64_load_relaxed(&header->record), weight, site);
    ftli_u64_store_release(&header->record, record);
    ftli_u64_add_owner(&port->counters.sampled, 1);
    ftli_site_born(port->owner->tracking.sites, site, weight, bytes);
    return record;
}

FTLI_ON_NEW static uint32_t stack_of(struct ftli_port *port)
{
    struct ftli_tracking *tracking = &port->owner->tracking;
    switch (tracking->world.settings->stacks) {
    case FTLI_STACKS_NONE:
        return FTLI_SITE_UNKNOWN;
    case FTLI_STACKS_ALL:
        return ftli_stack_site(tracking->sites, NULL);
    default:
        return ftli_u32_load_relaxed(&tracking->stacks_paused) != 0 ? FTLI_SITE_UNKNOWN
                                                                    : ftli_stack_site(tracking->sites, &port->stacks);
    }
}

/* What the program named, or its stack. */
FTLI_ON_NEW static uint32_t site_of(struct ftli_port *port, const struct ftli_header *header)
{
    struct ftl_runtime *runtime = port->owner;
    uint32_t cold = ftli_u32_load_relaxed(&header->cold);
    const char *literal = cold != 0 ? ftli_pointer_load_relaxed(&ftli_extension(&runtime->table, cold)->site) : NULL;
    return literal != NULL ? ftli_site_of_literal(runtime->tracking.sites, literal) : stack_of(port);
}

/* How many events wait in the ring, before one that is number `written`. */
FTLI_INLINE uint32_t waiting_in(const struct ftli_event_ring *ring, uint32_t written)
{
    return written - ftli_u32_load_acquire(&ring->read); /* pairs: event-ring-space */
}

/* Any event. A drop makes one system call at most, and its post may be that: the actor is called by new and by the tick. */
static FTLI_NOINLINE void record_event(struct ftli_port *port, const struct ftli_header *header, uint64_t bytes,
                                       enum ftli_event_kind kind)
{
    uint64_t record = ftli_u64_load_relaxed(&header->record);
    struct ftli_event_record *event = ftli_event_ring_next(&port->ring);
    if (event == NULL)
        return;
    if (kind == FTLI_EVENT_CREATED)
        write_birth(event, header, record, bytes);
    else
        write_death(event, port, header, record);
    if (ftli_event_ring_publish(&port->ring) && kind == FTLI_EVENT_CREATED)
        ftli_tracking_note(&port->owner->tracking);
}

FTLI_ON_NEW static void sample_new(struct ftli_port *port, struct ftli_header *header, uint64_t bytes, uint32_t weight)
{
    uint64_t began = is_birth_measured(port) ? ftli_clock_cycles() : 0;
    (void)mark(port, header, bytes, weight, site_of(port, header));
    record_event(port, header, bytes, FTLI_EVENT_CREATED);
    if (began != 0)
        end_measure(port, began);
}

/* A link or a wait may put its flag in at this moment. */
static void clear(struct ftl_runtime *runtime, struct ftli_header *header, uint64_t record)
{
    uint32_t slot = ftli_table_slot(&runtime->table, header);
    while (!ftli_u64_cas_acq_rel(&header->record, &record, ftli_record_not_sampled(record, slot)))
        ;
}

void ftli_sample_drop(struct ftl_runtime *runtime, struct ftli_port *port, struct ftli_header *header)
{
    uint64_t began = port != NULL && is_death_measured(ftli_word_generation(ftli_u64_load_relaxed(&header->word)))
                         ? ftli_clock_cycles()
                         : 0;
    uint64_t record = ftli_u64_load_relaxed(&header->record);
    uint32_t now_ms = ftli_u32_load_relaxed(port != NULL ? &port->stamp_ms : &runtime->stamp_ms);
    if (port != NULL) /* else there is no ring: its site knows its end, and the table */
        record_event(port, header, 0, FTLI_EVENT_DROPPED);
    count_death(runtime, header, record, now_ms);
    clear(runtime, header, record);
    if (began != 0)
        end_measure(port, began);
}

/* The last of what tracking has to do with it. */
FTLI_INLINE void forget(struct ftli_port *port, struct ftli_header *header, uint64_t next_id, uint64_t record)
{
    count_death(port->owner, header, record, ftli_u32_load_relaxed(&port->stamp_ms));
    ftli_u64_store_release(&header->record, ftli_record_not_sampled(record, ftli_handle_slot(next_id)));
}

FTLI_INLINE int finish_drop(struct ftli_port *port, struct ftli_header *header, uint64_t next_id, uint64_t record)
{
    return ftli_drop_finish(port, header, next_id, ftli_record_class_offset(record),
                            ftli_u32_load_relaxed(&header->small_size));
}

static FTLI_NOINLINE int drop_measured(struct ftli_port *port, struct ftli_header *header, uint64_t next_id,
                                       uint64_t record)
{
    uint64_t began = ftli_clock_cycles();
    record_event(port, header, 0, FTLI_EVENT_DROPPED);
    forget(port, header, next_id, record);
    end_measure(port, began);
    return finish_drop(port, header, next_id, record);
}

int ftli_drop_sampled(struct ftli_port *port, struct ftli_header *header, uint64_t next_id, uint64_t record)
{
    if (FTLI_UNLIKELY(is_death_measured(next_id)))
        return drop_measured(port, header, next_id, record);
    uint32_t written = ftli_u32_load_relaxed(&port->ring.written);
    if (FTLI_UNLIKELY(waiting_in(&port->ring, written) >= FTLI_EVENT_RING)) {
        ftli_u64_add_owner(&port->ring.lost, 1);
    } else {
        write_death(&port->ring.events[written % FTLI_EVENT_RING], port, header, record);
        ftli_u32_store_release(&port->ring.written, written + 1); /* pairs: event-ring */
    }
    forget(port, header, next_id, record);
    return finish_drop(port, header, next_id, record);
}

/* Of one that is sampled. */
static uint32_t weight_of(const struct ftli_port *port, uint64_t bytes)
{
    return bytes >= port->draws.every_one_from_bytes
               ? FTLI_WEIGHT_ONE
               : port->draws.codes[ftli_sampling_tier(&port->owner->sampling, bytes)];
}

/* c is 8 times a class that is not looked at. */
FTLI_INLINE uint32_t weight_of_class(const struct ftli_port *port, size_t c)
{
    return port->draws.codes[port->owner->tier_of_class[c / 8]];
}

/* Some sizes of the class are all recorded: each is shown. */
FTLI_ON_NEW static FTLI_NOINLINE uint64_t look(struct ftli_port *port, struct ftli_header *header, unsigned c,
                                               uint64_t bytes)
{
    const struct ftli_sampling *sampling = &port->owner->sampling;
    port->countdown[c] = 1;
    if (bytes < port->draws.every_one_from_bytes && !is_due(port, ftli_sampling_tier(sampling, bytes)))
        return 0;
    sample_new(port, header, bytes, weight_of(port, bytes));
    return FTLI_WORD_SLOW;
}

/* The countdown of the class begins again. False: no tier of it is sampled, or each is to be looked at. */
FTLI_INLINE bool count_again(struct ftli_port *port, size_t c)
{
    uint32_t countdown = ftli_sampling_countdown(&port->draws, port->owner->tier_of_class[c / 8], &port->random);
    *FTLI_AT(port->countdown, c) = countdown; /* 0: not sampled, and it comes round in 2^64 */
    return FTLI_LIKELY(countdown != 0);
}

FTLI_ON_NEW uint64_t ftli_sample_class(struct ftli_port *port, struct ftli_header *header, unsigned c, uint64_t bytes)
{
    if (!count_again(port, 8 * (size_t)c))
        return is_looked_at(port->owner, c) ? look(port, header, c, bytes) : 0;
    sample_new(port, header, bytes, weight_of_class(port, 8 * (size_t)c));
    return FTLI_WORD_SLOW;
}

FTLI_ON_NEW static FTLI_NOINLINE int new_looked_at(uint64_t id, size_t c, uint64_t bytes, ftl_tensor *out)
{
    struct ftli_port *port = ftli_thread.port;
    struct ftli_header *header = ftli_port_header(port, id);
    uint64_t flags = is_looked_at(port->owner, (unsigned)(c / 8)) ? look(port, header, (unsigned)(c / 8), bytes) : 0;
    return ftli_new_finish(port, header, id, flags, c, bytes, out);
}

FTLI_ON_NEW static FTLI_NOINLINE int new_noted(uint64_t id, size_t c, uint64_t bytes, ftl_tensor *out)
{
    struct ftli_port *port = ftli_thread.port;
    ftli_tracking_note(&port->owner->tracking);
    return ftli_new_finish(port, ftli_port_header(port, id), id, FTLI_WORD_SLOW, c, bytes, out);
}

FTLI_ON_NEW static FTLI_NOINLINE int new_measured(uint64_t id, size_t c, uint64_t bytes, ftl_tensor *out)
{
    struct ftli_port *port = ftli_thread.port;
    uint64_t began = ftli_clock_cycles();
    if (!count_again(port, c))
        return new_looked_at(id, c, bytes, out);
    struct ftli_header *header = ftli_port_header(port, id);
    (void)mark(port, header, bytes, weight_of_class(port, c), stack_of(port));
    record_event(port, header, bytes, FTLI_EVENT_CREATED);
    end_measure(port, began);
    return ftli_new_finish(port, header, id, FTLI_WORD_SLOW, c, bytes, out);
}

/* Of a hundred news one to fifty come here: few registers are saved, what is rare is a call at its end. */
FTLI_ON_NEW int ftli_new_sampled(uint64_t id, size_t c, uint64_t bytes, ftl_tensor *out)
{
    struct ftli_port *port = ftli_thread.port;
    if (FTLI_UNLIKELY(is_birth_measured(port)))
        return new_measured(id, c, bytes, out);
    if (FTLI_UNLIKELY(!count_again(port, c)))
        return new_looked_at(id, c, bytes, out);
    struct ftli_header *header = ftli_port_header(port, id);
    uint64_t record = mark(port, header, bytes, weight_of_class(port, c), stack_of(port));
    uint32_t written = ftli_u32_load_relaxed(&port->ring.written), waiting = waiting_in(&port->ring, written);
    if (FTLI_UNLIKELY(waiting >= FTLI_EVENT_RING)) {
        ftli_u64_add_owner(&port->ring.lost, 1);
        return ftli_new_finish(port, header, id, FTLI_WORD_SLOW, c, bytes, out);
    }
    write_birth(&port->ring.events[written % FTLI_EVENT_RING], header, record, bytes);
    ftli_u32_store_release(&port->ring.written, written + 1); /* pairs: event-ring */
    if (FTLI_UNLIKELY(waiting + 1 == FTLI_EVENT_RING / 2))    /* so the actor should come */
        return new_noted(id, c, bytes, out);
    return ftli_new_finish(port, header, id, FTLI_WORD_SLOW, c, bytes, out);
}

FTLI_ON_NEW uint64_t ftli_sample_other(struct ftli_port *port, struct ftli_header *header, uint64_t bytes)
{
    const struct ftli_sampling *sampling = &port->owner->sampling;
    if (bytes < port->draws.every_one_from_bytes && !is_due(port, ftli_sampling_tier(sampling, bytes)))
        return 0;
    sample_new(port, header, bytes, weight_of(port, bytes));
    return FTLI_WORD_SLOW;
}
