/* What the tick, drain, the limit and the figures ask of a device: each shard in turn, under its token. */
#include "actors/allocation/shard.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/assert.h"

#define COLLECT_MOST      4096
#define COLLECTS_MOST     64
#define SEGMENTS_AT_ONCE  16
#define FREE_PART         16 /* of what was in use: so much may be free before anything is traded */
#define PARTS_PART        12 /* and so much before it is small pages */
#define TIDE_PART         32
#define CHILD_KEEPS_BYTES (UINT64_C(2) << 20) /* of free granules, between ticks */

uint32_t ftli_allocation_collect(struct ftli_device *device)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < device->shard_count; i++) {
        struct ftli_shard *shard = &device->shards[i];
        if (ftli_shard_is_empty(shard))
            continue;
        if (!ftli_token_try_take(&shard->token)) {
            left++;
            continue;
        }
        (void)ftli_shard_collect(shard, COLLECT_MOST);
        left += !ftli_shard_is_empty(shard);
        ftli_token_release(&shard->token);
    }
    return left;
}

/* A magazine's headers, each to the shard of its block. */
static void open_magazine(struct ftli_device *device, struct ftli_magazine *magazine)
{
    uint32_t count = ftli_u32_load_relaxed(&magazine->count);
    for (uint32_t i = 0; i < count; i++) {
        struct ftli_header *header = ftli_entry_header(device->table, magazine->entries[i]);
        ftli_header_address(header, FTLI_PURPOSE_GIVE_BACK, 0, 0);
        ftli_allocation_post(device, header);
    }
    ftli_u32_store_relaxed(&magazine->count, 0);
    ftli_depot_give(&device->depot, magazine, 0); /* an empty one has no lane */
}

static void trim_stack(struct ftli_device *device, uint32_t lane, unsigned c, unsigned force)
{
    struct ftli_depot_stack *stack = &device->depot.full[lane][c];
    uint32_t depth = ftli_depot_depth(&device->depot, stack);
    uint32_t least = ftli_u32_load_relaxed(&stack->least);
    uint32_t surplus = force == 2 ? depth : force == 1 ? (depth + 1) / 2 : (least < depth ? least : depth);
    for (uint32_t i = 0; i < surplus; i++) {
        struct ftli_magazine *magazine = ftli_depot_take_full_from(&device->depot, c, lane);
        if (magazine == NULL)
            break;
        open_magazine(device, magazine);
    }
    ftli_u32_store_relaxed(&stack->least, ftli_depot_depth(&device->depot, stack));
}

void ftli_allocation_trim(struct ftli_device *device, unsigned force)
{
    for (uint32_t lane = 0; lane < FTLI_DEPOT_LANES; lane++)
        for (unsigned c = 1; c < FTLI_CLASSES; c++)
            trim_stack(device, lane, c, force);
}

/* Segments that a child has wholly free go to the device's own heap, where all sizes may have them. */
static void gather_segments(struct ftli_device *device, uint64_t keep_bytes)
{
    struct ftli_segment segments[SEGMENTS_AT_ONCE];
    struct ftli_shard *own = &device->shards[0];
    for (uint32_t i = 1; i < device->shard_count; i++) {
        struct ftli_shard *shard = &device->shards[i];
        if (!ftli_token_try_take(&shard->token))
            continue;
        unsigned n = ftli_heap_detach_free_segments(&shard->heap, keep_bytes, segments, SEGMENTS_AT_ONCE);
        ftli_token_release(&shard->token);
        if (n == 0)
            continue;
        ftli_token_take(&own->token); /* nothing else is held */
        for (unsigned k = 0; k < n; k++)
            (void)ftli_heap_donate(&own->heap, &segments[k]);
        ftli_token_release(&own->token);
    }
}

void ftli_allocation_gather(struct ftli_device *device)
{
    gather_segments(device, CHILD_KEEPS_BYTES);
}

/* How much of what is committed nobody uses, by what each shard's last holder left word of. */
static uint64_t free_as_noted(const struct ftli_device *device)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < device->shard_count; i++)
        bytes += ftli_u64_load_relaxed(&device->shards[i].free_bytes);
    return bytes;
}

static uint64_t most_used(struct ftli_device *device, uint64_t used)
{
    uint64_t most = ftli_u64_load_relaxed(&device->most_used);
    if (used <= most)
        return most;
    ftli_u64_store_relaxed(&device->most_used, used);
    return used;
}

static uint64_t trade_of_all(struct ftli_shard *own, uint64_t bytes, bool parts)
{
    struct ftli_device *device = own->device;
    uint64_t traded = 0;
    for (uint32_t i = 0; i < device->shard_count && traded < bytes; i++) {
        struct ftli_shard *shard = &device->shards[i];
        if (ftli_u64_load_relaxed(&shard->free_bytes) == 0 || (shard != own && !ftli_token_try_take(&shard->token)))
            continue;
        traded += ftli_heap_trade(&shard->heap, bytes - traded, parts);
        ftli_shard_note_free(shard);
        if (shard != own)
            ftli_token_release(&shard->token);
    }
    return traded;
}

/* Free memory is of no use to a request that it does not fit, and committing more beside it makes the peak. But what goes back may
 * be wanted again, and costs page faults. So a part of the most that was ever in use may lie free: beyond that a heap
 * grows by as much as goes back elsewhere, in whole granules, which come and go at an eighth of the cost; small pages go
 * where more than a larger part is free. And never below what was committed before, since that lowers no peak; there each trade lets
 * the tide rise by a 32nd of it, so that a program whose fragments all come round stops paying some time. */
void ftli_shards_trade(void *context, size_t bytes)
{
    struct ftli_shard *own = context;
    struct ftli_device *device = own->device;
    ftli_shard_note_free(own);
    uint64_t free_bytes = free_as_noted(device), tide = ftli_u64_load_relaxed(&device->tide);
    uint64_t committed = ftli_u64_load_relaxed(&device->committed), wanted = committed + bytes;
    uint64_t most = most_used(device, (committed > free_bytes ? committed - free_bytes : 0) + bytes);
    if (wanted <= tide || wanted <= most + most / FREE_PART)
        return;
    uint64_t over = wanted - most - most / FREE_PART;
    uint64_t traded = trade_of_all(own, over < bytes ? over : bytes, false);
    if (wanted - traded > most + most / PARTS_PART) {
        over = wanted - traded - most - most / PARTS_PART;
        (void)trade_of_all(own, over < bytes ? over : bytes, true);
    }
    ftli_u64_store_relaxed(&device->tide, tide + bytes / TIDE_PART);
}

/* A free granule of this shard, else of one that is not in use, gives its memory where fresh pages would be. */
bool ftli_shards_move(void *context, struct ftli_granule *to)
{
    struct ftli_shard *own = context;
    struct ftli_device *device = own->device;
    bool moved = ftli_heap_move_out(&own->heap, to);
    for (uint32_t i = 0; i < device->shard_count && !moved; i++) {
        struct ftli_shard *shard = &device->shards[i];
        if (shard == own || ftli_u64_load_relaxed(&shard->free_bytes) < FTLI_GRANULE_BYTES ||
            !ftli_token_try_take(&shard->token))
            continue;
        moved = ftli_heap_move_out(&shard->heap, to);
        ftli_shard_note_free(shard);
        ftli_token_release(&shard->token);
    }
    return moved;
}

uint64_t ftli_allocation_free_resident_bytes(struct ftli_device *device)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < device->shard_count; i++) {
        struct ftli_shard *shard = &device->shards[i];
        ftli_token_take(&shard->token);
        bytes += ftli_heap_free_resident_bytes(&shard->heap);
        ftli_token_release(&shard->token);
    }
    return bytes;
}

uint64_t ftli_allocation_purge(struct ftli_device *device, uint64_t keep_bytes, uint64_t budget_bytes)
{
    uint64_t purged = 0;
    gather_segments(device, 0);
    for (uint32_t i = device->shard_count; i-- > 0;) {
        struct ftli_shard *shard = &device->shards[i];
        uint64_t budget_left = budget_bytes == 0 ? 0 : budget_bytes - purged;
        ftli_token_take(&shard->token);
        uint64_t keep_here = i == 0 ? keep_bytes : 0; /* children: what they keep is a part of a segment each */
        purged += ftli_heap_purge(&shard->heap, keep_here, budget_left);
        ftli_token_release(&shard->token);
        if (budget_bytes != 0 && purged >= budget_bytes)
            break;
    }
    return purged;
}

bool ftli_allocation_purge_slabs(struct ftli_device *device, struct ftli_shards_cursor *cursor, uint32_t most, bool all)
{
    struct ftli_shard *shard = &device->shards[cursor->shard];
    struct ftli_slab_cursor slabs = {.size_class = cursor->size_class, .number = cursor->number};
    ftli_token_take(&shard->token);
    bool over = ftli_heap_purge_slabs(&shard->heap, &slabs, most, all);
    ftli_token_release(&shard->token);
    cursor->size_class = slabs.size_class;
    cursor->number = slabs.number;
    cursor->young += slabs.young;
    cursor->bytes += slabs.bytes;
    cursor->shard += over;
    if (cursor->shard < device->shard_count)
        return false;
    cursor->shard = 0;
    return true;
}

bool ftli_allocation_gather_headers(struct ftli_device *device, uint32_t most)
{
    bool all = ftli_cell_gather(device->table, most) < most;
    for (uint32_t i = 0; i < device->shard_count; i++) {
        struct ftli_shard *shard = &device->shards[i];
        ftli_token_take(&shard->token);
        all &= ftli_shard_spare_bare(shard, most) < most;
        ftli_token_release(&shard->token);
    }
    return all;
}

struct ftli_spare_swept ftli_allocation_give_back_headers(struct ftli_device *device, uint32_t most, bool all)
{
    return ftli_table_give_back(device->table, most, all);
}

/* Whoever holds a shard at this moment has its mail in hand, or stands before it: it is waited for. Nothing else is held. */
void ftli_allocation_collect_all(struct ftli_device *device)
{
    for (uint32_t i = 0; i < device->shard_count; i++) {
        struct ftli_shard *shard = &device->shards[i];
        ftli_token_take(&shard->token);
        for (unsigned n = 0; n < COLLECTS_MOST && !ftli_shard_is_empty(shard); n++)
            (void)ftli_shard_collect(shard, COLLECT_MOST);
        ftli_token_release(&shard->token);
    }
}

void ftli_allocation_relieve(struct ftli_device *device)
{
    ftli_allocation_trim(device, 2);
    ftli_allocation_collect_all(device);
    (void)ftli_allocation_purge(device, 0, 0);
}

void ftli_allocation_figures(struct ftli_device *device, struct ftli_device_figures *out)
{
    struct ftli_device_figures sum = {.limit = device->limit_bytes};
    for (uint32_t i = 0; i < device->shard_count; i++) {
        struct ftli_shard *shard = &device->shards[i];
        struct ftli_heap_figures figures;
        ftli_token_take(&shard->token);
        ftli_heap_figures(&shard->heap, &figures);
        ftli_token_release(&shard->token);
        sum.committed += figures.committed_bytes;
        sum.free_committed += figures.free_committed_bytes;
        sum.used += figures.used_bytes;
        sum.slab_free += figures.slab_free_bytes;
        sum.short_free += figures.short_free_bytes;
        sum.free_runs += figures.free_runs;
        sum.metadata += figures.metadata_bytes;
        sum.arenas += figures.segments_bytes;
        if (figures.largest_free_run > sum.largest_free_run)
            sum.largest_free_run = figures.largest_free_run;
    }
    sum.depot = ftli_depot_bytes(&device->depot) + ftli_allocation_tray_bytes(device);
    sum.metadata += ftli_depot_metadata_bytes(&device->depot);
    *out = sum;
}

bool ftli_allocation_check(struct ftli_device *device, char *why, size_t why_bytes)
{
    for (uint32_t i = 0; i < device->shard_count; i++) {
        struct ftli_shard *shard = &device->shards[i];
        ftli_token_take(&shard->token);
        bool good = ftli_heap_check(&shard->heap, why, why_bytes);
        ftli_token_release(&shard->token);
        if (!good)
            return false;
    }
    return true;
}

double ftli_allocation_pressure(const struct ftli_device *device)
{
    return (double)ftli_u64_load_relaxed(&device->committed) / (double)device->limit_bytes;
}

uint64_t ftli_allocation_committed(const struct ftli_device *device)
{
    return ftli_u64_load_relaxed(&device->committed);
}

uint64_t ftli_allocation_limit(const struct ftli_device *device)
{
    return device->limit_bytes;
}

void ftli_allocation_collect_latencies(const struct ftli_device *device, unsigned lane, ftli_histogram_snapshot *into)
{
    for (uint32_t i = 0; i < device->shard_count; i++)
        ftli_histogram_collect(&device->shards[i].latencies[lane], into);
}

unsigned ftli_allocation_shards(const struct ftli_device *device)
{
    return device->shard_count;
}

const struct ftli_counters *ftli_allocation_counters(const struct ftli_device *device, unsigned shard)
{
    return &device->shards[shard].counters;
}

static bool owns_pages(const struct ftli_header *header)
{
    uint64_t record = ftli_u64_load_acquire(&header->record);
    return ftli_record_class(record) == 0 && (ftli_record_flags(record) & FTLI_HEADER_VIEW) == 0;
}

uint64_t ftli_allocation_seen_block_bytes(const struct ftli_header *header)
{
    uint64_t record = ftli_u64_load_acquire(&header->record);
    unsigned c = ftli_record_class(record);
    if (c != 0)
        return ftli_class_bytes(c);
    if ((ftli_record_flags(record) & FTLI_HEADER_VIEW) != 0)
        return 0;
    return ftli_pages_block_bytes(ftli_size_bytes(ftli_u64_load_acquire(&header->size)));
}

uint64_t ftli_allocation_block_bytes(const struct ftli_device *device, const struct ftli_header *header)
{
    uint64_t block_bytes = ftli_allocation_seen_block_bytes(header);
    FTLI_ASSERT(!owns_pages(header) || ftli_word_state(ftli_u64_load_acquire(&header->word)) == FTLI_LIVE ||
                    block_bytes ==
                        ftli_heap_block_bytes(&device->space, (void *)(uintptr_t)ftli_u64_load_acquire(&header->data)),
                "%llu bytes of pages", (unsigned long long)block_bytes);
    return block_bytes;
}

ftli_event *ftli_allocation_completed(struct ftli_device *device)
{
    return &device->completed;
}
