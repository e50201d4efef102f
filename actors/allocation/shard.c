#include "actors/allocation/shard.h"

#include <fettle/fettle.h>

#include "runtime/base/assert.h"

#define TOP_BIT (UINT64_C(1) << 63)

/* The table is used up, and others have headers to spare. Their tokens are tried, since this shard's is held. */
static void share_bare(struct ftli_shard *shard)
{
    struct ftli_device *device = shard->device;
    for (uint32_t i = 0; i < device->shard_count && shard->bare == NULL; i++) {
        struct ftli_shard *other = &device->shards[i];
        if (other == shard || !ftli_token_try_take(&other->token))
            continue;
        for (uint64_t n = (other->bare_count + 1) / 2; n > 0; n--) {
            ftli_link *link = other->bare;
            other->bare = link->next;
            other->bare_count--;
            ftli_shard_give_bare(shard, ftli_header_of_link(link));
        }
        ftli_token_release(&other->token);
    }
}

struct ftli_header *ftli_shard_take_bare(struct ftli_shard *shard)
{
    struct ftli_table *table = shard->device->table;
    if (shard->bare == NULL) {
        uint32_t first;
        uint64_t slots = ftli_table_take(table, &first);
        for (; slots != 0; slots &= ~(TOP_BIT >> __builtin_clzll(slots))) /* the lowest is given out first */
            ftli_shard_give_bare(shard, ftli_table_header(table, first + 63 - (uint32_t)__builtin_clzll(slots)));
    }
    if (FTLI_UNLIKELY(shard->bare == NULL))
        share_bare(shard);
    if (shard->bare == NULL)
        return NULL;
    struct ftli_header *header = ftli_header_of_link(shard->bare);
    shard->bare = shard->bare->next;
    shard->bare_count--;
    return header;
}

void ftli_shard_give_bare(struct ftli_shard *shard, struct ftli_header *header)
{
    header->u.link.next = shard->bare;
    shard->bare = &header->u.link;
    shard->bare_count++;
}

static void count_completion(struct ftli_shard *shard, const struct ftli_header *header, uint64_t block_bytes,
                             uint64_t now_ns)
{
    uint64_t posted_ns = ftli_u64_load_relaxed(&header->dimensions_low);
    ftli_histogram_record(&shard->latencies[ftli_header_lane(header) % FTLI_LANES],
                          now_ns > posted_ns ? now_ns - posted_ns : 0);
    ftli_u64_add_owner(&shard->counters.completed_bytes, ftli_header_own_bytes(header));
    ftli_u64_add_owner(&shard->counters.completed_block_bytes, block_bytes);
    ftli_u64_add_owner(&shard->counters.completed[ftli_header_parity(header)], 1);
}

/* One header: its block goes back to the heap, and it becomes a bare one in its next generation. A header whose drop was
 * completed before (GIVE_BACK) comes here FREE and only its block is taken. */
static void take_in(struct ftli_shard *shard, struct ftli_header *header, uint64_t now_ns)
{
    void *block = (void *)(uintptr_t)ftli_u64_load_relaxed(&header->data);
    bool owns = (ftli_record_flags(ftli_u64_load_relaxed(&header->record)) & FTLI_HEADER_VIEW) == 0;
    bool completes = ftli_header_purpose(header) != FTLI_PURPOSE_GIVE_BACK;
    uint64_t block_bytes = ftli_allocation_block_bytes(shard->device, header);
    if (owns) {
        if (ftli_record_class(ftli_u64_load_relaxed(&header->record)) == 0)
            ftli_shard_count_out(shard, -block_bytes);
        int status = ftli_heap_give(&shard->heap, block);
        FTLI_INVARIANT(status == FTL_OK, "block %p of shard %u: %d", block, shard->index, status);
    }
    uint32_t cold = ftli_u32_load_relaxed(&header->cold);
    if (cold != 0) {
        ftli_u32_store_release(&header->cold, 0);
        ftli_extension_give(shard->device->table, cold);
    }
    if (!completes) {
        ftli_shard_give_bare(shard, header);
        return;
    }
    count_completion(shard, header, block_bytes, now_ns); /* before the word, which who awaits it reads */
    if (ftli_word_reclaim(&header->word))
        ftli_shard_give_bare(shard, header);
    else
        ftli_table_retire(shard->device->table, header);
}

uint32_t ftli_shard_spare_bare(struct ftli_shard *shard, uint32_t most)
{
    uint32_t n = 0;
    for (; n < most && shard->bare != NULL; n++) {
        ftli_link *link = shard->bare;
        shard->bare = link->next;
        shard->bare_count--;
        ftli_table_give(shard->device->table, ftli_header_of_link(link));
    }
    return n;
}

bool ftli_shard_is_empty(const struct ftli_shard *shard)
{
    return ftli_pointer_load_relaxed(&shard->in_hand) == NULL && ftli_stack_is_empty(&shard->mailbox);
}

unsigned ftli_shard_collect(struct ftli_shard *shard, unsigned most)
{
    unsigned n = 0;
    uint64_t now_ns = 0;
    ftli_link *link = ftli_pointer_load_relaxed(&shard->in_hand);
    while (n < most) {
        if (link == NULL && !ftli_stack_is_empty(&shard->mailbox))
            link = ftli_stack_take_all(&shard->mailbox);
        if (link == NULL)
            break;
        if (now_ns == 0)
            now_ns = ftli_kernel_now_ns(shard->device->kernel);
        ftli_link *next = ftli_stack_next(link);
        take_in(shard, ftli_header_of_link(link), now_ns);
        link = next;
        n++;
    }
    ftli_pointer_store_relaxed(&shard->in_hand, link);
    if (n > 0) {
        ftli_shard_note_free(shard);
        ftli_event_signal_all(&shard->device->completed);
    }
    return n;
}
