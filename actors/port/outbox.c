#include "actors/port/outbox.h"

#include "tensor/extension.h"

/* A parcel is posted when the bytes of its blocks and a share for each drop reach this: many small tensors, or half a megabyte. */
#define ROOM_BYTES   (INT64_C(1) << 19)
#define SHARE_BYTES  (ROOM_BYTES / FTLI_PARCEL_MOST + 1)
#define OLD_NS       (UINT64_C(25) * 1000 * 1000)
#define NOT_IN_PLACE (FTLI_HEADER_FINALIZER | FTLI_HEADER_LINKS | FTLI_HEADER_VIEW)

static struct ftli_parcel *open_parcel(const struct ftli_port *port, uint32_t parity)
{
    return ftli_pointer_load_relaxed(&port->parcels[parity]);
}

static bool post(struct ftli_port *port, uint32_t parity)
{
    /* An exchange, for close shuts gates for ever, also one behind which the tick is at this moment. */
    struct ftli_parcel *parcel = ftli_pointer_exchange_acq_rel(&port->parcels[parity], NULL);
    if (parcel == NULL)
        return false;
    parcel->room = ROOM_BYTES - parcel->room - (int64_t)ftli_u32_load_relaxed(&parcel->count) * SHARE_BYTES;
    ftli_cleanup_send_parcel(&port->owner->cleanup, parcel);
    return true;
}

bool ftli_outbox_post(struct ftli_port *port)
{
    bool any = post(port, 0);
    return post(port, 1) || any;
}

uint64_t ftli_outbox_since_ns(const struct ftli_port *port)
{
    uint64_t since_ns = 0;
    for (unsigned parity = 0; parity < 2; parity++) {
        const struct ftli_parcel *parcel = ftli_pointer_load_acquire(&port->parcels[parity]); /* pairs: open-parcel */
        uint64_t opened_ns = parcel == NULL ? 0 : ftli_u64_load_relaxed(&parcel->opened_ns);
        if (opened_ns != 0 && (since_ns == 0 || opened_ns < since_ns))
            since_ns = opened_ns;
    }
    return since_ns;
}

/* One of the parity, or NULL: under pressure, or all are on their way. */
static FTLI_NOINLINE struct ftli_parcel *open_another(struct ftli_port *port, uint32_t parity)
{
    struct ftl_runtime *runtime = port->owner;
    if (ftli_cleanup_is_at_once(&runtime->cleanup))
        return NULL;
    struct ftli_parcel *parcel = ftli_parcel_take(&runtime->cleanup);
    if (parcel == NULL)
        return NULL;
    parcel->parity = parity;
    parcel->room = ROOM_BYTES;
    ftli_u64_store_relaxed(&parcel->opened_ns, ftli_kernel_now_ns(runtime->kernel));
    ftli_pointer_store_release(&port->parcels[parity], parcel); /* pairs: open-parcel */
    return parcel;
}

FTLI_INLINE struct ftli_parcel *ready(struct ftli_port *port, uint32_t parity)
{
    struct ftli_parcel *parcel = open_parcel(port, parity);
    return FTLI_LIKELY(parcel != NULL) ? parcel : open_another(port, parity);
}

/* A drop makes one system call at most: it posts, or it has the tick come, which claims the port when the parcel is old. */
static FTLI_NOINLINE void first_or_last(struct ftli_port *port, const struct ftli_parcel *parcel)
{
    if (parcel->room < SHARE_BYTES)
        (void)post(port, parcel->parity);
    else
        ftli_allocation_need_tick(port->owner->device);
}

FTLI_INLINE void append(struct ftli_port *port, struct ftli_parcel *parcel, uint64_t entry, uint64_t block_bytes)
{
    uint32_t count = ftli_u32_load_relaxed(&parcel->count);
    ftli_u64_store_relaxed(&parcel->entries[count], entry);
    ftli_u32_store_release(&parcel->count, count + 1);
    parcel->room -= SHARE_BYTES + (int64_t)block_bytes;
    if (FTLI_UNLIKELY(parcel->room < SHARE_BYTES || count == 0))
        first_or_last(port, parcel);
}

/* The order is that of every drop: the word, the counters, the post. What stands against the tensor is looked at when it is ours: a
 * link may have come and gone meanwhile. Then it is made DROPPED, which nobody could tell from FREE, and goes the long way. */
enum ftli_outbox_result ftli_outbox_drop(struct ftli_port *port, struct ftli_header *header, uint64_t generation_bits)
{
    uint32_t parity = ftli_u32_load_acquire(&port->owner->parity); /* pairs: epoch */
    struct ftli_parcel *parcel = ready(port, parity);
    if (FTLI_UNLIKELY(parcel == NULL ||
                      !ftli_word_drop_at_once(&header->word, generation_bits, FTLI_WORD_SLOW | FTLI_WORD_FIXED)))
        return FTLI_OUTBOX_NOTHING;
    uint64_t record = ftli_u64_load_relaxed(&header->record);
    unsigned c = ftli_record_class(record);
    if (FTLI_UNLIKELY(ftli_record_flags(record) != 0 || c == 0 || ftli_u32_load_relaxed(&header->cold) != 0 ||
                      ftli_record_id(record) !=
                          (uint32_t)(header - (struct ftli_header *)ftli_pointer_load_plain(&port->headers)))) {
        ftli_u64_store_release(&header->word, generation_bits | FTLI_WORD_SLOW | FTLI_WORD_FIXED | FTLI_DROPPED);
        return FTLI_OUTBOX_DROPPED;
    }
    uint64_t bytes = ftli_size_bytes(ftli_u64_load_relaxed(&header->size));
    uint32_t block_bytes = ftli_class_bytes(c);
    ftli_u64_add_owner(&port->counters.deferred_bytes, bytes);
    ftli_u64_add_owner(&port->counters.deferred_block_bytes, block_bytes);
    ftli_u64_add_owner(&port->counters.deferred[parity], 1);
    append(port, parcel, ftli_parcel_entry(header, c, bytes), block_bytes);
    return FTLI_OUTBOX_POSTED;
}

bool ftli_outbox_put(const struct ftli_agent *agent, struct ftli_header *header)
{
    struct ftl_runtime *runtime = agent->runtime;
    uint64_t record = ftli_u64_load_relaxed(&header->record);
    uint64_t bytes = ftli_size_bytes(ftli_u64_load_relaxed(&header->size));
    unsigned c = ftli_record_class(record);
    uint32_t generation = ftli_word_generation(ftli_u64_load_relaxed(&header->word));
    if (agent->port == NULL || (ftli_record_flags(record) & NOT_IN_PLACE) != 0 || generation >= FTLI_GENERATION_LAST ||
        ftli_record_id(record) != ftli_table_slot(&runtime->table, header) ||
        bytes >= runtime->cleanup.settings->high_lane_from_bytes)
        return false;
    struct ftli_parcel *parcel = ready(agent->port, ftli_header_parity(header));
    if (parcel == NULL)
        return false;
    uint64_t block_bytes = ftli_allocation_block_bytes(runtime->device, header);
    uint32_t cold = ftli_u32_load_relaxed(&header->cold);
    ftli_u32_store_release(&header->cold, 0);
    if (cold != 0)
        ftli_extension_give(&runtime->table, cold);
    bool middle = c == 0;
    ftli_u64_store_release(&header->record,
                           (record & ~UINT64_C(0xffff)) | (ftli_record_flags(record) & FTLI_HEADER_LARGE));
    if (!middle)
        (void)ftli_word_reclaim(&header->word);
    append(agent->port, parcel, ftli_parcel_entry(header, middle ? 0 : c, middle ? 0 : bytes), block_bytes);
    return true;
}

void ftli_outbox_look(const struct ftli_agent *agent)
{
    struct ftli_port *port = agent->port;
    if (port == NULL)
        return;
    uint64_t since_ns = ftli_outbox_since_ns(port);
    if (since_ns != 0 && ftli_kernel_coarse_ns(agent->runtime->kernel) > since_ns + OLD_NS)
        (void)ftli_outbox_post(port);
}

void ftli_outbox_hurry(const struct ftli_agent *agent)
{
    if (agent->port != NULL) /* this thread is inside of it: nobody else may claim it */
        (void)ftli_outbox_post(agent->port);
    (void)ftli_port_post_outboxes(agent->runtime, FTLI_NEVER_NS);
    ftli_cleanup_hurry(&agent->runtime->cleanup);
}
