/* Parcels: many drops in one message. The pool of them, the way into the mailbox, and what the cleanup does with one. */
#include "actors/cleanup/cleanup.h"

#include <string.h>

#include "actors/cleanup/inside.h"
#include "runtime/base/os.h"

#define AHEAD 8 /* headers of whole pages that are fetched before they are looked at */

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
    pool->parcels[n].index = n + 1;
    return &pool->parcels[n];
}

/* pairs: parcel-head, with give: the sums are 0 again. The count in the head defeats the reuse of an index (ABA). */
struct ftli_parcel *ftli_parcel_take(struct ftli_cleanup *cleanup)
{
    struct ftli_parcels *pool = &cleanup->parcels;
    uint64_t head = ftli_u64_load_acquire(&pool->head);
    struct ftli_parcel *parcel;
    uint64_t desired;
    do {
        if (head >> 32 == 0)
            return fresh(pool);
        parcel = &pool->parcels[(head >> 32) - 1];
        desired = (uint64_t)ftli_u32_load_acquire(&parcel->next) << 32 | (uint32_t)((uint32_t)head + 1);
    } while (!ftli_u64_cas_acq_rel(&pool->head, &head, desired));
    return parcel;
}

void ftli_parcel_give(struct ftli_cleanup *cleanup, struct ftli_parcel *parcel)
{
    struct ftli_parcels *pool = &cleanup->parcels;
    ftli_u32_store_release(&parcel->count, 0);
    uint64_t head = ftli_u64_load_acquire(&pool->head);
    uint64_t desired;
    do {
        ftli_u32_store_release(&parcel->next, (uint32_t)(head >> 32));
        desired = (uint64_t)parcel->index << 32 | (uint32_t)((uint32_t)head + 1);
    } while (!ftli_u64_cas_acq_rel(&pool->head, &head, desired));
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
        if (count != 0 && (out->oldest_ns == 0 || opened_ns < out->oldest_ns))
            out->oldest_ns = opened_ns;
        for (uint32_t k = 0; k < count && k < FTLI_PARCEL_MOST; k++) {
            uint64_t entry = ftli_u64_load_relaxed(&parcel->entries[k]);
            unsigned c = ftli_parcel_entry_class(entry);
            if (c == 0)
                continue; /* its header says DROPPED by itself */
            out->free_tensors++;
            out->free_bytes += ftli_parcel_entry_bytes(entry);
            out->free_block_bytes += ftli_class_bytes(c);
        }
    }
}

/* ---- the sender's side ----------------------------------------------------------------------------------------------- */

static uint64_t sent(const struct ftli_parcel *parcel)
{
    return ((uint64_t)ftli_u32_load_relaxed(&parcel->count) << FTLI_CLEANUP_SENT_SHIFT) + (uint64_t)parcel->room;
}

void ftli_cleanup_send_parcel(struct ftli_cleanup *cleanup, struct ftli_parcel *parcel)
{
    (void)ftli_u64_fetch_add_relaxed(&cleanup->sent, sent(parcel));
    ftli_actor_send(cleanup->actor, FTLI_LANE_NORMAL, &parcel->message);
}

/* ---- the receiver's side --------------------------------------------------------------------------------------------- */

struct completion {
    uint64_t tensors, bytes, block_bytes;
};

static bool is_for_shelf(struct ftli_cleanup *cleanup, const struct ftli_header *header)
{
    uint64_t record = ftli_u64_load_relaxed(&header->record);
    return ftli_cleanup_is_valid(cleanup, header) && (ftli_record_flags(record) & FTLI_HEADER_LARGE) == 0 &&
           ftli_word_generation(ftli_u64_load_relaxed(&header->word)) < FTLI_GENERATION_LAST;
}

/* A middle size or a large one: DROPPED until now. Onto the shelf of its shard, or by message to the shard, which completes it. */
static void complete_middle(struct ftli_cleanup *cleanup, const struct ftli_parcel *parcel, struct ftli_header *header,
                            uint64_t block_bytes, struct completion *sum)
{
    uint64_t bytes = ftli_size_bytes(ftli_u64_load_relaxed(&header->size));
    ftli_word_reclaiming(&header->word);
    if (is_for_shelf(cleanup, header)) {
        (void)ftli_word_reclaim(&header->word);
        if (!ftli_allocation_shelve(cleanup->device, header)) {
            ftli_header_address(header, FTLI_PURPOSE_GIVE_BACK, 0, 0);
            ftli_allocation_post(cleanup->device, header);
        }
        sum->tensors++;
        sum->bytes += bytes;
        sum->block_bytes += block_bytes;
        return;
    }
    ftli_u64_store_release(&header->dimensions_low, ftli_u64_load_relaxed(&parcel->opened_ns));
    ftli_header_address(header, FTLI_PURPOSE_DROP, FTLI_LANE_NORMAL, parcel->parity);
    ftli_cleanup_complete(cleanup, header);
}

static void prefetch(const struct ftli_parcel *parcel, uint32_t k, uint32_t count)
{
    uint64_t entry = k < count ? ftli_u64_load_relaxed(&parcel->entries[k]) : 0;
    if (entry != 0 && ftli_parcel_entry_class(entry) == 0)
        __builtin_prefetch(ftli_parcel_entry_header(entry), 1);
}

void ftli_cleanup_on_parcel(struct ftli_cleanup *cleanup, struct ftli_parcel *parcel, uint64_t now_ns)
{
    uint32_t count = ftli_u32_load_relaxed(&parcel->count);
    struct completion sum = {0, 0, 0};
    uint64_t all_bytes = 0;
    for (uint32_t k = 0; k < AHEAD; k++)
        prefetch(parcel, k, count);
    for (uint32_t k = 0; k < count; k++) {
        uint64_t entry = ftli_u64_load_relaxed(&parcel->entries[k]);
        struct ftli_header *header = ftli_parcel_entry_header(entry);
        unsigned c = ftli_parcel_entry_class(entry);
        prefetch(parcel, k + AHEAD, count);
        if (FTLI_UNLIKELY(c == 0)) {
            uint64_t block_bytes = ftli_allocation_block_bytes(cleanup->device, header);
            all_bytes += block_bytes;
            complete_middle(cleanup, parcel, header, block_bytes, &sum);
            continue;
        }
        sum.tensors++;
        sum.bytes += ftli_parcel_entry_bytes(entry);
        sum.block_bytes += ftli_class_bytes(c);
        ftli_allocation_lay(cleanup->device, c, header);
        all_bytes += ftli_class_bytes(c);
    }
    if (cleanup->settings->validate != FTLI_CLEANUP_VALIDATE_NONE && all_bytes != (uint64_t)parcel->room)
        ftli_u64_add_owner(&cleanup->invalid, 1);
    uint64_t opened_ns = ftli_u64_load_relaxed(&parcel->opened_ns);
    ftli_histogram_record_many(&cleanup->latencies, now_ns > opened_ns ? now_ns - opened_ns : 0, sum.tensors);
    ftli_u64_add_owner(&cleanup->counters.completed_bytes, sum.bytes);
    ftli_u64_add_owner(&cleanup->counters.completed_block_bytes, sum.block_bytes);
    ftli_u64_add_owner(&cleanup->counters.completed[parcel->parity], sum.tensors);
    ftli_u64_add_owner(&cleanup->received, count);
    ftli_u64_add_owner(&cleanup->done, sent(parcel));
    ftli_parcel_give(cleanup, parcel);
    if (sum.tensors != 0)
        ftli_actor_run_within(cleanup->actor, FTLI_PARCEL_REST_NS); /* then what lies in the tray goes on */
}
