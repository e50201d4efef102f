/* Shelves in use: a new takes from them, a drop in place lays on them, and what is too much goes back to the heaps. */
#include "actors/allocation/shelf.h"

#include <fettle/fettle.h>

#include "actors/allocation/shard.h"
#include "runtime/base/assert.h"

/* ---- back to the heap. Latch and token held. */

static void give_to_heap(struct ftli_shard *shard, struct ftli_header *header, uint64_t block_bytes)
{
    void *block = (void *)(uintptr_t)ftli_u64_load_relaxed(&header->data);
    int status = ftli_heap_give(&shard->heap, block);
    FTLI_INVARIANT(status == FTL_OK, "block %p on the shelf of shard %u: %d", block, shard->index, status);
    ftli_shard_count_out(shard, -block_bytes);
    ftli_shard_give_bare(shard, header);
}

static void clear_place(struct ftli_shard *shard, unsigned place)
{
    struct ftli_shelf *shelf = &shard->shelf;
    uint64_t block_bytes = ftli_shelf_block_bytes(place), bytes = 0;
    ftli_link *link = ftli_pointer_load_relaxed(&shelf->places[place]);
    ftli_pointer_store_relaxed(&shelf->places[place], NULL);
    while (link != NULL) {
        ftli_link *next = link->next;
        give_to_heap(shard, ftli_header_of_link(link), block_bytes);
        bytes += block_bytes;
        link = next;
    }
    ftli_u64_store_relaxed(&shelf->bytes, ftli_u64_load_relaxed(&shelf->bytes) - bytes);
}

/* The first place from `place` on that holds something; FTLI_SHELF_PLACES: none. */
static unsigned filled_from(struct ftli_shelf *shelf, unsigned place)
{
    while (place < FTLI_SHELF_PLACES) {
        uint64_t bits = shelf->filled[place / 64] >> (place % 64);
        if (bits == 0) {
            place = (place / 64 + 1) * 64;
            continue;
        }
        place += (unsigned)__builtin_ctzll(bits);
        if (ftli_pointer_load_relaxed(&shelf->places[place]) != NULL)
            return place;
        shelf->filled[place / 64] &= ~(UINT64_C(1) << (place % 64));
    }
    return FTLI_SHELF_PLACES;
}

static void clear_all(struct ftli_shard *shard)
{
    for (unsigned place = 1; (place = filled_from(&shard->shelf, place)) < FTLI_SHELF_PLACES; place++)
        clear_place(shard, place);
}

/* What lies under the hand, until `bytes` more have room, or the shelf is theirs alone. */
static void make_room(struct ftli_shard *shard, uint64_t bytes)
{
    struct ftli_shelf *shelf = &shard->shelf;
    for (unsigned rounds = 0;
         ftli_u64_load_relaxed(&shelf->bytes) + bytes > shard->device->shelf_bytes && rounds < 2;) {
        unsigned place = filled_from(shelf, shelf->hand + 1);
        shelf->hand = place < FTLI_SHELF_PLACES ? place : 0;
        if (place < FTLI_SHELF_PLACES)
            clear_place(shard, place);
        else
            rounds++;
    }
}

/* A block that is long enough goes first, alone; else all of them, where they may come to so much when they are merged. */
bool ftli_shard_spare(struct ftli_shard *shard, uint64_t bytes)
{
    struct ftli_shelf *shelf = &shard->shelf;
    if (ftli_u64_load_relaxed(&shelf->bytes) < bytes || !ftli_shelf_try(shelf))
        return false;
    uint64_t pages = bytes >> FTLI_PAGE_SHIFT;
    unsigned place = pages <= FTLI_SHELF_PAGES ? filled_from(shelf, (unsigned)pages) : FTLI_SHELF_PLACES;
    if (place < FTLI_SHELF_PLACES)
        give_to_heap(shard, ftli_shelf_take(shelf, place), ftli_shelf_block_bytes(place));
    else
        clear_all(shard);
    ftli_shelf_shut(shelf);
    return true;
}

bool ftli_shard_clear_shelf(struct ftli_shard *shard)
{
    struct ftli_shelf *shelf = &shard->shelf;
    if (ftli_u64_load_relaxed(&shelf->bytes) == 0 || !ftli_shelf_try(shelf))
        return false;
    clear_all(shard);
    ftli_shelf_shut(shelf);
    return true;
}

void ftli_allocation_clear_shelves(struct ftli_device *device, bool all)
{
    for (uint32_t i = 0; i < device->shard_count; i++) {
        struct ftli_shard *shard = &device->shards[i];
        struct ftli_shelf *shelf = &shard->shelf;
        if (ftli_u64_load_relaxed(&shelf->bytes) == 0 || !ftli_token_try_take(&shard->token))
            continue;
        bool idle = all;
        if (!all && ftli_shelf_try(shelf)) {
            idle = shelf->taken == shelf->taken_at_tick;
            shelf->taken_at_tick = shelf->taken;
            ftli_shelf_shut(shelf);
        }
        if (idle)
            (void)ftli_shard_clear_shelf(shard);
        ftli_token_release(&shard->token);
    }
}

/* ---- new */

static struct ftli_header *take_from(struct ftli_shard *shard, unsigned place, bool *most)
{
    struct ftli_shelf *shelf = &shard->shelf;
    if (ftli_pointer_load_relaxed(&shelf->places[place]) == NULL || !ftli_shelf_try(shelf))
        return NULL;
    struct ftli_header *header = ftli_shelf_take(shelf, place);
    *most = ftli_shard_is_most(shard);
    ftli_shelf_shut(shelf);
    return header;
}

/* The home's shelf first. Then the others': a block comes from another shard when the home had no room, and returns to it; a thread
 * that looked at home only would go to a heap for each block, and find it where it was. */
struct ftli_header *ftli_allocation_take_shelved(struct ftli_device *device, uint32_t *home, unsigned place, bool *most)
{
    if (ftli_shelf_block_bytes(place) >= device->settings.large_bytes || device->shard_count == 1)
        return take_from(&device->shards[0], place, most);
    uint32_t index = *home & 0xffff, children = device->shard_count - 1;
    struct ftli_header *header = take_from(ftli_shard_child(device, index), place, most);
    for (uint32_t i = 1; FTLI_UNLIKELY(header == NULL) && i < children; i++)
        header = take_from(ftli_shard_child(device, (index + i) % children), place, most);
    return header;
}

/* ---- drop */

bool ftli_allocation_shelve(struct ftli_device *device, struct ftli_header *header)
{
    uint64_t bytes = ftli_size_bytes(ftli_u64_load_relaxed(&header->size));
    unsigned place = ftli_shelf_place(ftli_pages_block_bytes(bytes));
    if (place == FTLI_SHELF_NONE)
        return false;
    uint64_t block_bytes = ftli_shelf_block_bytes(place);
    uint32_t owner = ftli_heap_owner(&device->space, (void *)(uintptr_t)ftli_u64_load_relaxed(&header->data));
    struct ftli_shard *shard = &device->shards[owner - 1];
    struct ftli_shelf *shelf = &shard->shelf;
    if (!ftli_shelf_try(shelf))
        return false;
    if (FTLI_UNLIKELY(ftli_u64_load_relaxed(&shelf->bytes) + block_bytes > device->shelf_bytes)) {
        if (ftli_u64_load_relaxed(&shelf->bytes) != 0 && !ftli_token_try_take(&shard->token)) {
            ftli_shelf_shut(shelf);
            return false;
        }
        if (ftli_u64_load_relaxed(&shelf->bytes) != 0) {
            make_room(shard, block_bytes);
            ftli_token_release(&shard->token);
        }
    }
    ftli_shelf_put(shelf, place, header);
    ftli_shelf_shut(shelf);
    ftli_allocation_need_tick(device);
    return true;
}
