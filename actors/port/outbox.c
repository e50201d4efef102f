#include "actors/port/outbox.h"

#include "tensor/extension.h"

#define UNPACK_MOST     16
#define UNPACK_LEAST    2
#define RECORD_ID_SHIFT 26 /* from an offset in the table to the number in a record */
#define OLD_NS          (UINT64_C(25) * 1000 * 1000)
#define NOT_IN_PLACE \
    (FTLI_HEADER_LARGE | FTLI_HEADER_FINALIZER | FTLI_HEADER_LINKS | FTLI_HEADER_VIEW | FTLI_HEADER_AWAITED)

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
    ftli_cleanup_send_parcel(&port->owner->cleanup, parcel);
    return true;
}

bool ftli_outbox_post(struct ftli_port *port)
{
    bool any = post(port, 0);
    return post(port, 1) || any;
}

uint64_t ftli_outbox_worth(const struct ftli_port *port)
{
    uint64_t worth = 0;
    for (unsigned parity = 0; parity < 2; parity++) {
        const struct ftli_parcel *parcel = open_parcel(port, parity);
        if (parcel != NULL)
            worth += (uint64_t)(FTLI_PARCEL_ROOM - parcel->room);
    }
    return worth;
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
    parcel->lane = port->rack.lane;
    ftli_u64_store_relaxed(&parcel->bytes, 0);
    parcel->room = FTLI_PARCEL_ROOM;
    ftli_u64_store_relaxed(&parcel->opened_ns, ftli_kernel_now_ns(runtime->kernel));
    ftli_pointer_store_release(&port->parcels[parity], parcel); /* pairs: open-parcel */
    return parcel;
}

/* A parcel that holds something: the tick claims the port when it is old. */
static struct ftli_parcel *ready(struct ftli_port *port, uint32_t parity)
{
    struct ftli_parcel *parcel = open_parcel(port, parity);
    return FTLI_LIKELY(parcel != NULL) ? parcel : open_another(port, parity);
}

/* Whether it is full. */
FTLI_INLINE bool append(struct ftli_parcel *parcel, uint64_t next_id, unsigned c, uint64_t bytes, uint64_t block_bytes)
{
    uint32_t count = ftli_u32_load_relaxed(&parcel->count);
    ftli_u64_store_relaxed(&parcel->entries[count], ftli_parcel_entry(next_id, c));
    ftli_u64_add_owner(&parcel->bytes, bytes);
    ftli_u32_add_owner(&parcel->count, 1);
    return ftli_take_down(&parcel->room, (int64_t)(FTLI_PARCEL_SHARE_BYTES + block_bytes));
}

/* ---- a drop -------------------------------------------------------------------------------------------------------------
 *
 * The order is that of every drop: the word, the counters, the post. What stands against the tensor is looked at when it is ours: a
 * link may have come and gone meanwhile. Then it is made DROPPED, which nobody could tell from FREE, and goes the long way. Rare
 * things are calls at the end, so that no register is saved. */

static FTLI_NOINLINE int post_and_leave(struct ftli_port *port, const struct ftli_parcel *parcel)
{
    (void)post(port, parcel->parity);
    ftli_port_leave(port);
    return FTL_OK;
}

/* Which of two, eight bytes each: so neither is reached by another step. `at` is 8 * the parity throughout. */
FTLI_INLINE size_t parity_at(const struct ftli_port *port)
{
    return (size_t)ftli_drop_parity(port->owner) * sizeof(uint64_t);
}

static struct ftli_parcel *parcel_at(struct ftli_port *port, size_t at)
{
    return ftli_pointer_load_relaxed(FTLI_AT(port->parcels, at));
}

/* Ours and FREE; the handle's generation was not the last. */
FTLI_INLINE int put(struct ftli_port *port, struct ftli_parcel *parcel, uint64_t id, unsigned c, size_t at,
                    uint64_t bytes, uint64_t block_bytes)
{
    ftli_u64_add_owner(&port->counters.deferred_bytes, bytes);
    ftli_u64_add_owner(&port->counters.deferred_block_bytes, block_bytes);
    ftli_u64_add_owner(FTLI_AT(port->counters.deferred, at), 1);
    if (FTLI_UNLIKELY(append(parcel, id + 1, c, bytes, block_bytes)))
        return post_and_leave(port, parcel);
    ftli_port_leave(port);
    return FTL_OK;
}

static int long_way(struct ftli_port *port, struct ftli_header *header, uint64_t id)
{
    ftli_u64_store_release(&header->word,
                           id << FTLI_WORD_GENERATION_SHIFT | FTLI_WORD_SLOW | FTLI_WORD_FIXED | FTLI_DROPPED);
    return ftli_drop_dropped(port, header);
}

/* Ours, and of a middle size. */
static FTLI_NOINLINE int put_pages(struct ftli_port *port, struct ftli_header *header, uint64_t id, size_t at)
{
    uint64_t bytes = ftli_u32_load_relaxed(&header->small_size);
    if (FTLI_UNLIKELY(bytes >= port->owner->cleanup.settings->high_lane_from_bytes))
        return long_way(port, header, id);
    return put(port, parcel_at(port, at), id, 0, at, bytes, ftli_pages_block_bytes(bytes));
}

/* Ours, and its death is recorded, or something stands against it: its number is not its own, for one. A sampled one says something
 * else there. */
static FTLI_NOINLINE int put_marked(struct ftli_port *port, struct ftli_header *header, uint64_t id, size_t at)
{
    uint64_t record = ftli_u64_load_relaxed(&header->record);
    unsigned c = ftli_record_class(record);
    if (FTLI_UNLIKELY(ftli_record_flags(record) != FTLI_HEADER_SAMPLED || ftli_u32_load_relaxed(&header->cold) != 0))
        return long_way(port, header, id);
    ftli_sample_drop(port->owner, port, header);
    if (FTLI_UNLIKELY(c == 0))
        return put_pages(port, header, id, at);
    return put(port, parcel_at(port, at), id, c, at, ftli_u32_load_relaxed(&header->small_size), ftli_class_bytes(c));
}

/* offset: of the header in the table. */
FTLI_INLINE int drop_into(struct ftli_port *port, struct ftli_parcel *parcel, struct ftli_header *header,
                          uint64_t offset, uint64_t id, size_t at)
{
    if (FTLI_UNLIKELY(
            !ftli_word_drop_at_once(&header->word, id << FTLI_WORD_GENERATION_SHIFT, FTLI_WORD_SLOW | FTLI_WORD_FIXED)))
        return ftli_drop_not_posted(port, header, id << FTLI_WORD_GENERATION_SHIFT);
    static_assert(sizeof *header == UINT64_C(1) << (32 - RECORD_ID_SHIFT), "an offset, shifted, is a record's number");
    uint64_t record = ftli_u64_load_relaxed(&header->record);
    unsigned c = ftli_record_class(record);
    /* its number is its own, and it has no flag */
    if (FTLI_UNLIKELY(((record ^ offset << RECORD_ID_SHIFT) & ~UINT64_C(0xffff0000)) != 0 ||
                      !ftli_u32_equals_acquire(&header->cold, 0)))
        return put_marked(port, header, id, at);
    if (FTLI_UNLIKELY(c == 0))
        return put_pages(port, header, id, at);
    return put(port, parcel, id, c, at, ftli_u32_load_relaxed(&header->small_size), ftli_class_bytes(c));
}

/* The first of a parcel fills it, or has the tick come, which claims the port when the parcel is old: a drop makes one system call at
 * most. */
static void note_first(const struct ftl_runtime *runtime, const struct ftli_header *header)
{
    uint64_t bytes = ftli_size_bytes(ftli_u64_load_relaxed(&header->size));
    if (ftli_pages_block_bytes(bytes) + 2 * (uint64_t)FTLI_PARCEL_SHARE_BYTES <= FTLI_PARCEL_BYTES)
        ftli_allocation_need_tick(runtime->device);
}

static FTLI_NOINLINE int drop_first(struct ftli_port *port, struct ftli_header *header, uint64_t id, size_t at)
{
    struct ftl_runtime *runtime = port->owner;
    struct ftli_parcel *parcel =
        runtime->cleanup.every_drop_is_a_message ? open_another(port, (uint32_t)(at / sizeof(uint64_t))) : NULL;
    if (parcel == NULL)
        return ftli_drop_not_posted(port, header, id << FTLI_WORD_GENERATION_SHIFT);
    note_first(runtime, header);
    uint64_t offset = (uint64_t)((char *)header - (char *)ftli_pointer_load_plain(&port->headers));
    return drop_into(port, parcel, header, offset, id, at);
}

int ftli_outbox_drop(uint64_t id)
{
    struct ftli_port *port = ftli_thread.port;
    uint64_t offset = ftli_port_offset(port, id);
    if (FTLI_UNLIKELY(offset >= ftli_u64_load_plain(&port->known_bytes) || !ftli_port_enter_fast(port)))
        return ftli_drop_without_port(id);
    struct ftli_header *header = ftli_port_header_at(port, offset);
    size_t at = parity_at(port);
    struct ftli_parcel *parcel = parcel_at(port, at);
    if (FTLI_UNLIKELY(parcel == NULL))
        return drop_first(port, header, id, at);
    return drop_into(port, parcel, header, offset, id, at);
}

/* What a magazine has no room for, or whole pages: whether these are of the length. */
static FTLI_NOINLINE bool take_back(struct ftli_port *port, uint64_t id, unsigned c, uint64_t wanted_bytes)
{
    struct ftli_device *device = port->owner->device;
    struct ftli_header *header = ftli_port_header(port, id);
    if (c != 0) {
        ftli_allocation_take_back(device, &port->rack, c, header);
        return false;
    }
    bool found = ftli_pages_block_bytes(ftli_size_bytes(ftli_u64_load_relaxed(&header->size))) == wanted_bytes;
    ftli_allocation_pocket(device, &port->rack, header);
    return found;
}

/* What two magazines of the class take, which are empty; of whole pages all that is in a parcel. */
static uint32_t step_of(const struct ftli_rack *rack, unsigned size_class)
{
    ptrdiff_t room = 2 * (rack->end[size_class] - ftli_rack_top(rack, size_class));
    if (size_class == 0 || room > UNPACK_MOST)
        return UNPACK_MOST;
    return room > UNPACK_LEAST ? (uint32_t)room : UNPACK_LEAST;
}

/* The newest first, some at a time: what a new needs now is among the hottest, and magazines are small. */
bool ftli_outbox_unpack(struct ftli_port *port, unsigned size_class, uint64_t bytes, uint32_t lanes)
{
    struct ftl_runtime *runtime = port->owner;
    struct ftli_parcel *parcel = ftli_parcel_take_returned(&runtime->cleanup, port->rack.lane, lanes);
    if (parcel == NULL)
        return false;
    const uint64_t base = ftli_handle_make(runtime->number, 0, 0);
    const uint64_t wanted_bytes = ftli_pages_block_bytes(bytes);
    uint32_t n = ftli_u32_load_relaxed(&parcel->ready), step = step_of(&port->rack, size_class);
    bool found = false;
    while (n != 0 && !found) {
        uint32_t stop = n > step ? n - step : 0;
        while (n != stop) {
            uint64_t rest = ftli_u64_load_relaxed(&parcel->entries[--n]) - base;
            size_t c = rest >> FTLI_HANDLE_RUNTIME_SHIFT;
            uint64_t id = (rest & (ftli_handle_make(1, 0, 0) - 1)) + base;
            if (FTLI_UNLIKELY(c == 0 || !ftli_rack_give_at(&port->rack, c * sizeof id, id)))
                found |= take_back(port, id, (unsigned)c, wanted_bytes);
        }
        found |= size_class != 0 && ftli_rack_newest_at(&port->rack, size_class * sizeof base) != 0;
    }
    ftli_parcel_give_rest(&runtime->cleanup, parcel, n);
    ftli_allocation_need_tick(runtime->device);
    return found;
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
    uint32_t cold = ftli_u32_load_relaxed(&header->cold);
    ftli_u32_store_release(&header->cold, 0);
    if (cold != 0)
        ftli_extension_give(&runtime->table, cold);
    if (parcel->room == FTLI_PARCEL_ROOM)
        note_first(runtime, header);
    ftli_u64_store_release(&header->record, record & ~UINT64_C(0xffff));
    (void)ftli_word_reclaim(&header->word);
    if (append(parcel, ftli_table_handle(&runtime->table, header), c, bytes,
               c != 0 ? ftli_class_bytes(c) : ftli_pages_block_bytes(bytes)))
        (void)post(agent->port, parcel->parity);
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
