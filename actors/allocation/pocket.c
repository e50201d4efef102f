/* A pocket in use: what a drop puts there, and what has no room any more and goes back to its heap. */
#include "actors/allocation/pocket.h"

#include <fettle/fettle.h>

#include "actors/allocation/shard.h"
#include "runtime/base/assert.h"

#define POCKET_SHARE 2                     /* of what a thread may keep now, */
#define POCKET_LEAST (UINT64_C(512) << 10) /* or this, if its magazines leave so much: measured, docs/performance.md */

/* bytes: of its block. */
static void give_back(struct ftli_device *device, struct ftli_header *header, uint64_t bytes)
{
    void *block = (void *)(uintptr_t)ftli_u64_load_relaxed(&header->data);
    struct ftli_shard *shard = &device->shards[ftli_heap_owner(&device->space, block) - 1];
    if (FTLI_UNLIKELY(ftli_u32_load_relaxed(&shard->token.word) != FTLI_TOKEN_FREE ||
                      !ftli_token_try_take(&shard->token))) {
        ftli_header_address(header, FTLI_PURPOSE_GIVE_BACK, 0, 0);
        ftli_allocation_post(device, header);
        return;
    }
    int status = ftli_heap_give(&shard->heap, block);
    FTLI_INVARIANT(status == FTL_OK, "block %p of shard %u: %d", block, shard->index, status);
    ftli_shard_count_out(shard, -bytes);
    ftli_shard_give_bare(shard, header);
    ftli_token_release(&shard->token);
}

void ftli_allocation_return(struct ftli_device *device, struct ftli_header *header)
{
    give_back(device, header, ftli_pages_block_bytes(ftli_size_bytes(ftli_u64_load_relaxed(&header->size))));
}

/* The next one under the hand goes back. There is one. */
static void evict(struct ftli_pocket *pocket, struct ftli_device *device)
{
    uint32_t hand = pocket->hand;
    do
        hand = (hand + 1) % FTLI_POCKET_MOST;
    while (pocket->pages[hand] == 0);
    uint64_t bytes = (uint64_t)pocket->pages[hand] << FTLI_PAGE_SHIFT;
    pocket->hand = hand;
    give_back(device, ftli_pocket_empty(pocket, hand), bytes);
}

/* An empty place, and room for so many bytes, at the cost of what lies there; one block alone may be larger. The rack has room. */
static unsigned make_room(struct ftli_rack *rack, struct ftli_device *device, uint64_t bytes)
{
    struct ftli_pocket *pocket = &rack->pocket;
    uint64_t most = ftli_u64_load_relaxed(&device->cache_bytes) / POCKET_SHARE;
    unsigned place = FTLI_POCKET_MOST;
    most = most > POCKET_LEAST ? most : POCKET_LEAST;
    most = most < (uint64_t)rack->budget_bytes ? most : (uint64_t)rack->budget_bytes;
    while (pocket->count == FTLI_POCKET_MOST ||
           (pocket->count != 0 && ftli_u64_load_relaxed(&pocket->bytes) + bytes > most)) {
        evict(pocket, device);
        place = pocket->hand;
    }
    if (place == FTLI_POCKET_MOST)
        for (place = 0; pocket->pages[place] != 0;)
            place++;
    return place;
}

void ftli_allocation_pocket(struct ftli_device *device, struct ftli_rack *rack, struct ftli_header *header)
{
    struct ftli_pocket *pocket = &rack->pocket;
    uint64_t bytes = ftli_pages_block_bytes(ftli_size_bytes(ftli_u64_load_relaxed(&header->size)));
    unsigned pages = ftli_middle_pages(bytes);
    if (pages == 0 || !ftli_pocket_was_asked(pocket, pages) || bytes > (uint64_t)rack->budget_bytes) {
        give_back(device, header, bytes);
        return;
    }
    unsigned place = make_room(rack, device, bytes);
    pocket->count++;
    pocket->pages[place] = (uint16_t)pages;
    pocket->headers[place] = header;
    ftli_u64_store_relaxed(&pocket->bytes, ftli_u64_load_relaxed(&pocket->bytes) + bytes);
    ftli_shard_need_tick(device);
}

uint64_t ftli_allocation_empty_pocket(struct ftli_device *device, struct ftli_rack *rack)
{
    struct ftli_pocket *pocket = &rack->pocket;
    uint64_t bytes = ftli_u64_load_relaxed(&pocket->bytes);
    while (pocket->count != 0)
        evict(pocket, device);
    return bytes;
}
