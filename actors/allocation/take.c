/* A new asks for memory: which shard gives it, and what happens when that shard has none.
 *
 * Order     A shard with mail first, so that what was dropped last is given out again, wherever it lies; else the home shard, else
 *           the next that is free. Without room there: any other child that has it. Only then the device grows.
 * Rules     One token at a time; a token is waited for only while none is held. Only new comes here, and only new may wait.
 */
#include "actors/allocation/shard.h"

#include <fettle/fettle.h>

#include "runtime/base/assert.h"

#define SEGMENT_BYTES (UINT64_C(2) << 20)
#define FEEDS_MOST    4
#define MUCH_BYTES    (UINT64_C(64) << 20)
#define HOME_SPINS    8
#define ROTATES_EVERY 16 /* new looks for mail from another shard on */

/* What is asked for: blocks of a class, or one span of pages. */
struct want {
    unsigned size_class, n; /* 0: pages */
    uint64_t bytes;
    size_t alignment;
    void **blocks;
    unsigned taken;
    bool zeroed;
};

static bool is_slots(const struct want *want)
{
    return want->size_class != 0 && ftli_class_is_slots(want->size_class);
}

/* So many free slots are worth a refill. */
static uint32_t slots_least(const struct want *want)
{
    return (want->n + 3u) / 4u;
}

static int take_here(struct ftli_shard *shard, struct want *want)
{
    (void)ftli_shard_collect(shard, FTLI_REFILL_MOST);
    if (is_slots(want)) {
        uint32_t free = ftli_heap_slots_free(&shard->heap, want->size_class);
        unsigned n =
            free >= slots_least(want) && free < want->n ? free : want->n; /* a few less rather than a new slab */
        return ftli_heap_take_slots(&shard->heap, want->size_class, want->blocks, n, &want->taken);
    }
    int status = FTL_OK;
    for (want->taken = 0; want->taken < want->n; want->taken++) {
        status =
            ftli_heap_take_pages(&shard->heap, want->bytes, want->alignment, want->blocks + want->taken, &want->zeroed);
        if (status != FTL_OK)
            break;
    }
    return want->taken > 0 ? FTL_OK : status;
}

static struct ftli_shard *child(struct ftli_device *device, uint32_t index)
{
    FTLI_ASSERT(device->shard_count > 1, "%u shards", device->shard_count);
    return &device->shards[1 + index % (device->shard_count - 1)];
}

static struct ftli_shard *with_mail(struct ftli_device *device, uint32_t home)
{
    if (ftli_u32_load_relaxed(&device->mail) == 0)
        return NULL;
    bool any = false;
    uint32_t from = (home >> 16) % ROTATES_EVERY == 0 ? (home >> 16) / ROTATES_EVERY : home & 0xffff;
    for (uint32_t i = 0; i < device->shard_count - 1; i++) {
        struct ftli_shard *shard = child(device, from + i);
        if (ftli_shard_is_empty(shard))
            continue;
        any = true;
        if (ftli_token_try_take(&shard->token))
            return shard;
    }
    if (!any)
        ftli_u32_store_relaxed(&device->mail, 0);
    return NULL;
}

/* A program without contention keeps one shard busy and the others empty: the home moves only when it is held for longer than a
 * take needs, for what a thread left in another shard waits there until that shard is asked again. */
static struct ftli_shard *acquire(struct ftli_device *device, uint32_t *home)
{
    *home += UINT32_C(1) << 16;
    struct ftli_shard *shard = with_mail(device, *home);
    if (shard != NULL)
        return shard;
    uint32_t index = *home & 0xffff;
    shard = ftli_shard_child(device, index);
    for (unsigned spins = 0; spins < HOME_SPINS; spins++) {
        if (ftli_u32_load_relaxed(&shard->token.word) == FTLI_TOKEN_FREE && ftli_token_try_take(&shard->token))
            return shard;
        ftli_cpu_relax();
    }
    for (uint32_t i = 0; i < device->shard_count - 1; i++) {
        shard = child(device, index + i);
        if (ftli_token_try_take(&shard->token)) {
            *home = (*home & ~UINT32_C(0xffff)) | (shard->index - 1);
            return shard;
        }
    }
    shard = child(device, index);
    ftli_token_take(&shard->token);
    return shard;
}

/* A segment of the device's own heap for the shard. On success its token is held. */
static int feed(struct ftli_device *device, struct ftli_shard *shard)
{
    struct ftli_shard *own = &device->shards[0];
    struct ftli_segment segment;
    ftli_token_take(&own->token);
    (void)ftli_shard_collect(own, FTLI_REFILL_MOST);
    int status = ftli_heap_detach_segment(&own->heap, SEGMENT_BYTES, &segment);
    ftli_token_release(&own->token);
    if (status != FTL_OK)
        return status;
    ftli_token_take(&shard->token);
    status = ftli_heap_donate(&shard->heap, &segment);
    if (status != FTL_OK)
        ftli_token_release(&shard->token);
    return status;
}

static void release(struct ftli_shard *shard)
{
    ftli_shard_note_free(shard);
    ftli_token_release(&shard->token);
}

/* A shard that somebody is inside of, and that has a segment's worth of room, or mail in a program that holds much already: it is
 * worth waiting for, since the alternative is to grow. Its holder may be a thread that lost its processor, and the wait gives it
 * one. A small program grows by a segment instead: a wait is a system call. */
static bool is_worth_waiting_for(const struct ftli_shard *shard, const struct want *want)
{
    if (ftli_u64_load_relaxed(&shard->free_bytes) >= 2 * want->bytes + SEGMENT_BYTES)
        return true;
    return !ftli_shard_is_empty(shard) && ftli_allocation_committed(shard->device) >= MUCH_BYTES;
}

static int take_from_others(struct ftli_device *device, struct ftli_shard **shard, struct want *want)
{
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 1; i < device->shard_count; i++) {
            struct ftli_shard *other = &device->shards[i];
            if (other == *shard)
                continue;
            if (pass == 1 && is_worth_waiting_for(other, want))
                ftli_token_take(&other->token);
            else if (pass == 1 || !ftli_token_try_take(&other->token))
                continue;
            int status = take_here(other, want);
            if (status == FTL_OK) {
                *shard = other;
                return FTL_OK;
            }
            release(other);
        }
    }
    return FTL_ENOMEM;
}

/* Slots that are free in another shard's slabs serve before a new slab: threads change shards, and each would keep its own half
 * empty. The token of `shard` is held; the result's is, and no other. */
static struct ftli_shard *where_slots_are(struct ftli_device *device, struct ftli_shard *shard, const struct want *want)
{
    uint32_t least = slots_least(want);
    if (!is_slots(want) || ftli_heap_slots_free(&shard->heap, want->size_class) >= least ||
        !ftli_shard_is_empty(shard)) /* what waits there is taken in first, and may be just that */
        return shard;
    for (uint32_t i = 1; i < device->shard_count; i++) {
        struct ftli_shard *other = &device->shards[i];
        if (other != shard && ftli_heap_slots_free(&other->heap, want->size_class) >= least &&
            ftli_token_try_take(&other->token)) {
            release(shard);
            return other;
        }
    }
    return shard;
}

/* On FTL_OK *shard is where the memory is from, and its token is held; else no token is. */
static int take_from_children(struct ftli_device *device, uint32_t *home, struct ftli_shard **shard, struct want *want)
{
    *shard = where_slots_are(device, acquire(device, home), want);
    struct ftli_shard *first = *shard;
    int status = take_here(first, want);
    if (status == FTL_OK)
        return FTL_OK;
    release(first);
    if (status == FTL_ENOMEM)
        status = take_from_others(device, shard, want);
    for (unsigned tries = 0; status == FTL_ENOMEM && tries < FEEDS_MOST; tries++) {
        status = feed(device, first);
        if (status != FTL_OK)
            return status;
        status = take_here(first, want);
        if (status != FTL_OK)
            release(first);
    }
    return status;
}

/* Headers for blocks; fewer if the table is used up. Token held. */
static unsigned attach(struct ftli_shard *shard, void *const *blocks, unsigned n, unsigned c, uint32_t flags,
                       struct ftli_header **out)
{
    struct ftli_device *device = shard->device;
    for (unsigned i = 0; i < n; i++) {
        struct ftli_header *header = ftli_shard_take_bare(shard);
        if (header == NULL) {
            for (unsigned left = i; left < n; left++)
                (void)ftli_heap_give(&shard->heap, blocks[left]);
            return i;
        }
        ftli_u64_store_release(&header->data, (uint64_t)(uintptr_t)blocks[i]);
        ftli_u64_store_release(&header->record,
                               ftli_record_make(ftli_table_slot(device->table, header), c, device->index, flags));
        out[i] = header;
    }
    return n;
}

int ftli_shard_carve(struct ftli_device *device, uint32_t *home, unsigned c, struct ftli_header **out, unsigned n)
{
    void *blocks[FTLI_MAGAZINE_MOST];
    struct want want = {.size_class = c, .n = n, .bytes = ftli_class_bytes(c), .alignment = 64, .blocks = blocks};
    struct ftli_shard *shard;
    int status = take_from_children(device, home, &shard, &want);
    if (status != FTL_OK)
        return status;
    unsigned taken = attach(shard, blocks, want.taken, c, 0, out);
    release(shard);
    return taken > 0 ? (int)taken : FTL_ELIMIT;
}

int ftli_allocation_take_small(struct ftli_device *device, unsigned c, struct ftli_header **out)
{
    uint32_t home = 0;
    int taken = ftli_shard_carve(device, &home, c, out, 1);
    ftli_allocation_need_tick(device);
    return taken > 0 ? FTL_OK : taken;
}

static int take_large(struct ftli_device *device, struct ftli_shard **shard, struct want *want)
{
    *shard = &device->shards[0];
    ftli_token_take(&(*shard)->token);
    int status = take_here(*shard, want);
    if (status != FTL_OK)
        ftli_token_release(&(*shard)->token);
    return status;
}

int ftli_allocation_take_pages(struct ftli_device *device, uint32_t *home, uint64_t bytes, size_t alignment,
                               struct ftli_pages *out)
{
    bool large = bytes >= device->settings.large_bytes || alignment > SEGMENT_BYTES / 2 || device->shard_count == 1;
    void *block;
    struct want want = {.n = 1, .bytes = bytes, .alignment = alignment, .blocks = &block};
    struct ftli_shard *shard;
    if (bytes > device->hard_bytes)
        return FTL_ELIMIT; /* it can never be: not even addresses are asked for */
    int status = large ? take_large(device, &shard, &want) : take_from_children(device, home, &shard, &want);
    if (status != FTL_OK)
        return status;
    out->zeroed = want.zeroed;
    uint32_t flags = ftli_middle_pages(ftli_pages_block_bytes(bytes)) == 0 ? FTLI_HEADER_LARGE : 0;
    if (attach(shard, &block, 1, 0, flags, &out->header) == 0) {
        status = FTL_ELIMIT;
    } else {
        ftli_u64_store_release(&out->header->size, ftli_size_make(bytes, 0, 0)); /* says how large its block is */
        ftli_shard_count_out(shard, ftli_pages_block_bytes(bytes));
        out->most = ftli_shard_is_most(shard);
    }
    release(shard);
    ftli_allocation_need_tick(device);
    return status;
}

/* The usual way of a middle size that is not at hand: the home shard is free and has no mail, but a header and a span. False: nothing
 * happened. */
static bool take_at_home(struct ftli_device *device, uint32_t *home, uint64_t block_bytes, struct ftli_pages *out)
{
    struct ftli_shard *shard = ftli_shard_child(device, *home);
    if (ftli_u32_load_relaxed(&device->mail) != 0 || ftli_u32_load_relaxed(&shard->token.word) != FTLI_TOKEN_FREE ||
        !ftli_token_try_take(&shard->token))
        return false;
    void *block;
    if (FTLI_UNLIKELY(shard->bare == NULL || !ftli_shard_is_empty(shard) ||
                      ftli_heap_take_pages(&shard->heap, block_bytes, FTLI_PAGE_BYTES, &block, &out->zeroed) !=
                          FTL_OK)) {
        ftli_token_release(&shard->token);
        return false;
    }
    struct ftli_header *header = ftli_header_of_link(shard->bare);
    shard->bare = shard->bare->next;
    shard->bare_count--;
    ftli_u64_store_release(&header->data, (uint64_t)(uintptr_t)block);
    ftli_u64_store_release(&header->record,
                           ftli_record_make(ftli_table_slot(device->table, header), 0, device->index, 0));
    ftli_u64_store_release(&header->size, ftli_size_make(block_bytes, 0, 0));
    ftli_shard_count_out(shard, block_bytes);
    out->most = ftli_shard_is_most(shard);
    out->header = header;
    release(shard);
    *home += UINT32_C(1) << 16;
    ftli_shard_need_tick(device);
    return true;
}

bool ftli_allocation_take_middle(struct ftli_device *device, uint32_t *home, uint64_t bytes, struct ftli_pages *out)
{
    uint64_t block_bytes = ftli_pages_block_bytes(bytes);
    bool at_home = block_bytes < device->settings.large_bytes && device->shard_count > 1;
    return (FTLI_LIKELY(at_home) && take_at_home(device, home, block_bytes, out)) ||
           ftli_allocation_take_pages(device, home, bytes, 64, out) == FTL_OK;
}

int ftli_allocation_take_bare(struct ftli_device *device, uint32_t *home, struct ftli_header **out)
{
    struct ftli_shard *shard = acquire(device, home);
    struct ftli_header *header = ftli_shard_take_bare(shard);
    ftli_token_release(&shard->token);
    if (header == NULL)
        return FTL_ELIMIT;
    ftli_u64_store_release(
        &header->record, ftli_record_make(ftli_table_slot(device->table, header), 0, device->index, FTLI_HEADER_VIEW));
    *out = header;
    return FTL_OK;
}
