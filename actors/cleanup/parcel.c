/* Parcels: many drops in one message. The pool of them, the way into the mailbox, and what the cleanup does with one. */
#include "actors/cleanup/cleanup.h"

#include <string.h>

#include "actors/cleanup/inside.h"
#include "runtime/base/os.h"

/* ---- the pool ---------------------------------------------------------------------------------------------------------- */

void ftli_parcels_open(struct ftli_cleanup *cleanup)
{
    struct ftli_parcels *pool = &cleanup->parcels;
    uint32_t most = FTLI_PARCELS_MOST;
    uint64_t room =
        ftli_os_address_limit_bytes(); /* under such a limit: fewer; without any, each drop is posted on its own */
    while (most > 1 && room / 64 < (uint64_t)most * sizeof(struct ftli_parcel))
        most /= 2;
    pool->parcels = ftli_os_reserve((size_t)most * sizeof(struct ftli_parcel), 4096);
    pool->most = pool->parcels != NULL ? most : 0;
}

void ftli_parcels_close(struct ftli_cleanup *cleanup)
{
    struct ftli_parcels *pool = &cleanup->parcels;
    if (pool->parcels != NULL)
        ftli_os_release(pool->parcels, (size_t)pool->most * sizeof(struct ftli_parcel));
    pool->parcels = NULL;
    pool->most = 0;
}

size_t ftli_parcels_metadata_bytes(const struct ftli_cleanup *cleanup)
{
    return (size_t)ftli_u32_load_relaxed(&cleanup->parcels.fresh) * sizeof(struct ftli_parcel);
}

static struct ftli_parcel *fresh(struct ftli_parcels *pool)
{
    uint32_t n = ftli_u32_load_relaxed(&pool->fresh);
    do {
        if (n >= pool->most)
            return NULL;
    } while (!ftli_u32_cas_acq_rel(&pool->fresh, &n, n + 1));
    pool->parcels[n].index = (uint16_t)(n + 1);
    return &pool->parcels[n];
}

/* pairs: parcel-head, with push. The count in the head defeats the reuse of an index (ABA). */
static struct ftli_parcel *pop(struct ftli_parcels *pool, struct ftli_parcel_stack *stack)
{
    uint64_t head = ftli_u64_load_acquire(&stack->head);
    struct ftli_parcel *parcel;
    uint64_t desired;
    do {
        if (head >> 32 == 0)
            return NULL;
        parcel = &pool->parcels[(head >> 32) - 1];
        desired = (uint64_t)ftli_u32_load_acquire(&parcel->next) << 32 | (uint32_t)((uint32_t)head + 1);
    } while (!ftli_u64_cas_acq_rel(&stack->head, &head, desired));
    return parcel;
}

static void push(struct ftli_parcel_stack *stack, struct ftli_parcel *parcel)
{
    uint64_t head = ftli_u64_load_acquire(&stack->head);
    uint64_t desired;
    do {
        ftli_u32_store_release(&parcel->next, (uint32_t)(head >> 32));
        desired = (uint64_t)parcel->index << 32 | (uint32_t)((uint32_t)head + 1);
    } while (!ftli_u64_cas_acq_rel(&stack->head, &head, desired));
}

struct ftli_parcel *ftli_parcel_take(struct ftli_cleanup *cleanup)
{
    struct ftli_parcel *parcel = pop(&cleanup->parcels, &cleanup->parcels.empty);
    return FTLI_LIKELY(parcel != NULL) ? parcel : fresh(&cleanup->parcels);
}

void ftli_parcel_give(struct ftli_cleanup *cleanup, struct ftli_parcel *parcel)
{
    ftli_u32_store_release(&parcel->count, 0);
    ftli_u32_store_release(&parcel->ready, 0);
    push(&cleanup->parcels.empty, parcel);
}

struct ftli_parcel *ftli_parcel_take_returned(struct ftli_cleanup *cleanup, uint32_t lane, uint32_t lanes)
{
    struct ftli_parcel *parcel = NULL;
    for (uint32_t i = 0; parcel == NULL && i < lanes; i++)
        parcel = pop(&cleanup->parcels, &cleanup->parcels.returned[(lane + i) % FTLI_PARCEL_LANES]);
    return parcel;
}

void ftli_parcel_give_rest(struct ftli_cleanup *cleanup, struct ftli_parcel *parcel, uint32_t left)
{
    ftli_u32_store_release(&parcel->ready, left);
    push(left != 0 ? &cleanup->parcels.returned[parcel->lane % FTLI_PARCEL_LANES] : &cleanup->parcels.empty, parcel);
}

static unsigned class_of(const struct ftli_cleanup *cleanup, uint64_t entry)
{
    return ftli_parcel_entry_class(entry, cleanup->table->runtime);
}

static struct ftli_header *header_of(const struct ftli_cleanup *cleanup, uint64_t entry)
{
    return ftli_table_header(cleanup->table, ftli_handle_slot(entry));
}

static uint64_t block_bytes_of(const struct ftli_cleanup *cleanup, const struct ftli_parcel *parcel, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < count && k < FTLI_PARCEL_MOST; k++) {
        uint64_t entry = ftli_u64_load_relaxed(&parcel->entries[k]);
        unsigned c = class_of(cleanup, entry);
        uint64_t own_bytes = ftli_size_bytes(ftli_u64_load_relaxed(&header_of(cleanup, entry)->size));
        bytes += c != 0 && c < FTLI_CLASSES ? ftli_class_bytes(c) : ftli_pages_block_bytes(own_bytes);
    }
    return bytes;
}

/* Of one that is counted `count` is 0. pairs: parcel-count, with its receiver: who reads 0 sees the counters */
bool ftli_parcels_hold(const struct ftli_cleanup *cleanup, uint64_t next_id)
{
    const struct ftli_parcels *pool = &cleanup->parcels;
    uint64_t base = ftli_handle_make(cleanup->table->runtime, 0, 0), mask = ftli_handle_make(1, 0, 0) - 1;
    uint32_t n = ftli_u32_load_acquire(&pool->fresh);
    for (uint32_t i = 0; i < n && i < pool->most; i++) {
        const struct ftli_parcel *parcel = &pool->parcels[i];
        uint32_t count = ftli_u32_load_acquire(&parcel->count);
        for (uint32_t k = 0; k < count && k < FTLI_PARCEL_MOST; k++)
            if (((ftli_u64_load_relaxed(&parcel->entries[k]) - base) & mask) == next_id - base)
                return true;
    }
    return false;
}

void ftli_parcels_sum(const struct ftli_cleanup *cleanup, struct ftli_parcels_sum *out)
{
    const struct ftli_parcels *pool = &cleanup->parcels;
    uint32_t n = ftli_u32_load_acquire(&pool->fresh);
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < n && i < pool->most; i++) {
        const struct ftli_parcel *parcel = &pool->parcels[i];
        uint32_t count = ftli_u32_load_acquire(&parcel->count);
        uint64_t opened_ns = ftli_u64_load_relaxed(&parcel->opened_ns);
        if (opened_ns != 0 && (out->oldest_ns == 0 || opened_ns < out->oldest_ns))
            out->oldest_ns = opened_ns;
        out->returned_block_bytes += block_bytes_of(cleanup, parcel, ftli_u32_load_acquire(&parcel->ready));
        if (count == 0)
            continue;
        out->free_tensors += count;
        out->free_bytes += ftli_u64_load_relaxed(&parcel->bytes);
        out->free_block_bytes += block_bytes_of(cleanup, parcel, count);
    }
}

/* ---- the sender's side ----------------------------------------------------------------------------------------------- */

static uint64_t block_bytes(const struct ftli_parcel *parcel)
{
    int64_t shares = (int64_t)ftli_u32_load_relaxed(&parcel->count) * FTLI_PARCEL_SHARE_BYTES;
    return (uint64_t)(FTLI_PARCEL_ROOM - parcel->room - shares);
}

static uint64_t sent(const struct ftli_parcel *parcel)
{
    return ((uint64_t)ftli_u32_load_relaxed(&parcel->count) << FTLI_CLEANUP_SENT_SHIFT) + block_bytes(parcel);
}

void ftli_cleanup_send_parcel(struct ftli_cleanup *cleanup, struct ftli_parcel *parcel)
{
    (void)ftli_u64_fetch_add_relaxed(&cleanup->sent, sent(parcel));
    ftli_actor_send(cleanup->actor, FTLI_LANE_NORMAL, &parcel->message);
}

/* ---- the receiver's side --------------------------------------------------------------------------------------------- */

/* All are counted together; their headers, and the entries, are for who takes them. */
void ftli_cleanup_on_parcel(struct ftli_cleanup *cleanup, struct ftli_parcel *parcel, uint64_t now_ns)
{
    uint32_t count = ftli_u32_load_relaxed(&parcel->count);
    uint64_t all_sent = sent(parcel), opened_ns = ftli_u64_load_relaxed(&parcel->opened_ns);
    ftli_histogram_record_many(&cleanup->latencies, now_ns > opened_ns ? now_ns - opened_ns : 0, count);
    ftli_u64_add_owner(&cleanup->counters.completed_bytes, ftli_u64_load_relaxed(&parcel->bytes));
    ftli_u64_add_owner(&cleanup->counters.completed_block_bytes, block_bytes(parcel));
    ftli_u64_add_owner(&cleanup->counters.completed[parcel->parity], count);
    ftli_u64_add_owner(&cleanup->received, count);
    ftli_u64_add_owner(&cleanup->done, all_sent);
    ftli_u64_store_relaxed(&parcel->opened_ns, 0);
    ftli_u32_store_release(&parcel->count, 0); /* pairs: parcel-count */
    ftli_u32_store_release(&parcel->ready, count);
    push(&cleanup->parcels.returned[parcel->lane % FTLI_PARCEL_LANES], parcel);
    ftli_actor_run_within(cleanup->actor, FTLI_PARCEL_REST_NS); /* if nobody takes it */
}

static void put_away(struct ftli_cleanup *cleanup, struct ftli_header *header, unsigned c)
{
    if (c != 0)
        ftli_allocation_lay(cleanup->device, c, header);
    else
        ftli_allocation_return(cleanup->device, header);
}

void ftli_cleanup_unpack_returned(struct ftli_cleanup *cleanup)
{
    for (uint32_t lane = 0; lane < FTLI_PARCEL_LANES; lane++) {
        struct ftli_parcel *parcel;
        while ((parcel = pop(&cleanup->parcels, &cleanup->parcels.returned[lane])) != NULL) {
            uint32_t n = ftli_u32_load_relaxed(&parcel->ready);
            for (uint32_t k = 0; k < n; k++) {
                uint64_t entry = ftli_u64_load_relaxed(&parcel->entries[k]);
                put_away(cleanup, header_of(cleanup, entry), class_of(cleanup, entry));
            }
            ftli_parcel_give(cleanup, parcel);
        }
    }
}
