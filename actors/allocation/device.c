/* A device: its life, its limit, and how a new finds a shard. */
#include "actors/allocation/shard.h"

#include <fettle/fettle.h>

#include "runtime/base/assert.h"
#include "runtime/base/os.h"

#define HUGE_FROM_BYTES (UINT64_C(32) << 20)
#define MAGAZINES_MOST  (UINT32_C(1) << 20)
#define CACHES_SHARE    16
#define CACHE_LEAST     (UINT64_C(256) << 10) /* or this, each */
#define POCKETS_PART    4                     /* of a thread's cache that magazines leave to its pocket */
#define TIDE_LEAST      (UINT64_C(64) << 20)  /* a program that holds less keeps its fragments */
#define MAGAZINE_SHARE  32                    /* a magazine's bytes are this part of a thread's cache at most, */
#define MAGAZINE_BYTES  8192                  /* and this; but for larger blocks: */
#define MAGAZINE_BLOCKS 4                     /* so many, if they come to half of that part at most */

static void set(struct ftli_watch *watch, uint64_t at_least, uint64_t below)
{
    ftli_u64_store_relaxed(&watch->below, below);
    ftli_u64_store_relaxed(&watch->at_least, at_least);
}

static FTLI_NOINLINE void wake_watcher(struct ftli_watch *watch)
{
    set(watch, 0, UINT64_MAX);
    ftli_actor_run_within(ftli_pointer_load_acquire(&watch->actor), 0);
}

/* pairs: committed-watch. Either this look, after the change, sees the marks, or they were set before it and see the change. */
static void look_at_marks(struct ftli_device *device, uint64_t committed)
{
    for (unsigned i = 0; i < FTLI_WATCHERS; i++) {
        struct ftli_watch *watch = &device->watches[i];
        if (FTLI_UNLIKELY(committed >= ftli_u64_load_seq_cst(&watch->below) ||
                          committed < ftli_u64_load_seq_cst(&watch->at_least)))
            wake_watcher(watch);
    }
}

bool ftli_allocation_watch(struct ftli_device *device, unsigned watcher, ftli_actor *actor, uint64_t at_least,
                           uint64_t below)
{
    struct ftli_watch *watch = &device->watches[watcher];
    ftli_pointer_store_release(&watch->actor, actor);
    ftli_u64_store_seq_cst(&watch->at_least, at_least); /* pairs: committed-watch */
    ftli_u64_store_seq_cst(&watch->below, below);
    uint64_t committed = ftli_u64_load_seq_cst(&device->committed);
    if (committed >= at_least && committed < below)
        return true;
    set(watch, 0, UINT64_MAX);
    return false;
}

/* The limit: asked before pages are committed. pairs: committed-bytes, with uncharge. */
static bool charge(void *context, size_t bytes)
{
    struct ftli_device *device = ((struct ftli_shard *)context)->device;
    uint64_t before = ftli_u64_fetch_add_seq_cst(&device->committed, bytes);
    if (FTLI_LIKELY(before + bytes <= device->hard_bytes)) {
        look_at_marks(device, before + bytes);
        if (before + bytes > ftli_u64_load_relaxed(&device->tide))
            ftli_u64_store_relaxed(&device->tide, before + bytes);
        return true;
    }
    (void)ftli_u64_fetch_add_relaxed(&device->committed, -(uint64_t)bytes);
    return false;
}

static void uncharge(void *context, size_t bytes)
{
    struct ftli_device *device = ((struct ftli_shard *)context)->device;
    look_at_marks(device, ftli_u64_fetch_add_seq_cst(&device->committed, -(uint64_t)bytes) - bytes);
}

static void set_capacities(struct ftli_device *device)
{
    uint64_t part = device->settings.thread_cache_bytes / MAGAZINE_SHARE;
    uint64_t most_bytes = part < MAGAZINE_BYTES ? part : MAGAZINE_BYTES;
    for (unsigned c = 1; c < FTLI_CLASSES; c++) {
        uint64_t fits = most_bytes / ftli_class_bytes(c), few = part / 2 / ftli_class_bytes(c);
        uint64_t most = device->settings.magazine < FTLI_MAGAZINE_MOST ? device->settings.magazine : FTLI_MAGAZINE_MOST;
        few = few < MAGAZINE_BLOCKS ? few : MAGAZINE_BLOCKS;
        fits = few > fits ? few : fits;
        device->capacity[c] = (uint8_t)(fits < 1 ? 1 : fits < most ? fits : most);
    }
}

void ftli_allocation_share_caches(struct ftli_device *device, uint64_t threads)
{
    uint64_t share = ftli_u64_load_relaxed(&device->committed) / CACHES_SHARE / (threads != 0 ? threads : 1);
    uint64_t bytes = share > CACHE_LEAST ? share : CACHE_LEAST, most = device->settings.thread_cache_bytes;
    most -= most / POCKETS_PART;
    ftli_u64_store_relaxed(&device->cache_bytes, bytes < most ? bytes : most);
}

static int init_shards(struct ftli_device *device, const struct ftli_topology_device *topology)
{
    for (uint32_t i = 0; i < device->shard_count; i++) {
        struct ftli_shard *shard = &device->shards[i];
        shard->index = i;
        shard->device = device;
        struct ftli_heap_options options = {
            .space = &device->space,
            .id = i + 1,
            .grows = i == 0,
            .huge_from_bytes = topology->huge_pages == FTLI_HUGE_PAGES_ADVISE ? HUGE_FROM_BYTES : 0,
            .charge = charge,
            .uncharge = uncharge,
            .trade = ftli_shards_trade,
            .move = ftli_shards_move,
            .context = shard,
        };
        int status = ftli_heap_init(&shard->heap, &options);
        if (status != FTL_OK)
            return status;
    }
    return FTL_OK;
}

/* Zero pages of the system: what a program does not use of its shards is not resident. */
static size_t device_bytes(uint32_t shards)
{
    size_t bytes = sizeof(struct ftli_device) + shards * sizeof(struct ftli_shard);
    return (bytes + FTLI_PAGE_BYTES - 1) / FTLI_PAGE_BYTES * FTLI_PAGE_BYTES;
}

int ftli_device_open(const struct ftli_topology_device *topology, const struct ftli_allocation_settings *settings,
                     struct ftli_table *table, ftli_kernel *kernel, uint32_t index, struct ftli_device **out)
{
    uint32_t shards = settings->shards != 0 ? settings->shards : 2 * ftli_os_processors();
    shards = shards + 1 < FTLI_SHARDS_MOST ? shards + 1 : FTLI_SHARDS_MOST;
    struct ftli_device *device = ftli_os_reserve(device_bytes(shards), FTLI_PAGE_BYTES);
    if (device == NULL)
        return FTL_ENOMEM;
    device->table = table;
    device->kernel = kernel;
    device->settings = *settings;
    device->index = index;
    device->strict = !ftli_os_membarrier_supported();
    device->shard_count = shards;
    device->limit_bytes = topology->limit_bytes != 0 ? topology->limit_bytes : ftli_os_memory_limit_bytes();
    device->hard_bytes = (uint64_t)((double)device->limit_bytes * topology->hard);
    ftli_u64_store_relaxed(&device->tide, TIDE_LEAST);
    for (unsigned i = 0; i < FTLI_WATCHERS; i++)
        set(&device->watches[i], 0, UINT64_MAX);
    set_capacities(device);
    ftli_allocation_share_caches(device, 1);
    int status = ftli_space_init(&device->space, topology->arena_bytes);
    if (status == FTL_OK)
        status = ftli_depot_init(&device->depot, MAGAZINES_MOST);
    if (status == FTL_OK)
        status = init_shards(device, topology);
    if (status != FTL_OK) {
        ftli_device_close(device);
        return status;
    }
    *out = device;
    return FTL_OK;
}

void ftli_device_close(struct ftli_device *device)
{
    if (device == NULL)
        return;
    for (uint32_t i = 0; i < device->shard_count; i++)
        if (device->shards[i].device != NULL)
            ftli_heap_fini(&device->shards[i].heap);
    ftli_depot_fini(&device->depot);
    ftli_space_fini(&device->space);
    ftli_os_release(device, device_bytes(device->shard_count));
}

void ftli_allocation_own_memory(const struct ftli_device *device,
                                void (*each)(void *user, const void *at, size_t bytes), void *user)
{
    each(user, device, device_bytes(device->shard_count));
    each(user, device->depot.magazines, device->depot.most * sizeof *device->depot.magazines);
}

void ftli_allocation_each_arena(const struct ftli_device *device, void (*each)(void *user, void *at, size_t bytes),
                                void *user)
{
    ftli_space_each(&device->space, each, user);
}

/* ---- the way back -------------------------------------------------------------------------------------------------- */

static void push(struct ftli_device *device, struct ftli_header *header)
{
    uint32_t owner = 1;
    if ((ftli_record_flags(ftli_u64_load_relaxed(&header->record)) & FTLI_HEADER_VIEW) == 0)
        owner = ftli_heap_owner(&device->space, (void *)(uintptr_t)ftli_u64_load_relaxed(&header->data));
    ftli_stack_push(&device->shards[owner - 1].mailbox, &header->u.link);
    if (ftli_u32_load_relaxed(&device->mail) == 0)
        ftli_u32_store_relaxed(&device->mail, 1);
}

void ftli_allocation_post(struct ftli_device *device, struct ftli_header *header)
{
    push(device, header);
    ftli_allocation_need_tick(device);
}

void ftli_allocation_post_reclaim(struct ftli_device *device, struct ftli_header *header)
{
    push(device, header);
    if (FTLI_UNLIKELY(device->actor == NULL))
        return;
    /* Before the tick is armed, not after it, so that one wake does for both; pairs: tick-again. */
    uint32_t expected = 0;
    (void)ftli_u32_cas_seq_cst(&device->ticking, &expected, 1);
    ftli_actor_run_within(device->actor, FTLI_RECLAIM_NS);
}

/* pairs: tick-again. The push before, or the magazine taken, is seen by the tick that cleared the word, or this load sees it
 * cleared: both sides are sequentially consistent. */
void ftli_allocation_need_tick(struct ftli_device *device)
{
    if (FTLI_UNLIKELY(device->strict)) /* the tick has no membarrier to stand for this one */
        (void)ftli_u32_fetch_add_seq_cst(&device->ticking_order, 1);
    if (FTLI_LIKELY(ftli_u32_load_seq_cst(&device->ticking) != 0))
        return;
    uint32_t expected = 0;
    if (device->actor != NULL && ftli_u32_cas_seq_cst(&device->ticking, &expected, 1))
        ftli_actor_run_within(device->actor, FTLI_TICK_NS);
}

void ftli_allocation_abandon(struct ftli_device *device, struct ftli_header *header)
{
    if ((ftli_record_flags(ftli_u64_load_relaxed(&header->record)) & FTLI_HEADER_VIEW) != 0)
        return;
    void *block = (void *)(uintptr_t)ftli_u64_load_relaxed(&header->data);
    struct ftli_shard *shard = &device->shards[ftli_heap_owner(&device->space, block) - 1];
    ftli_token_take(&shard->token);
    (void)ftli_heap_give(&shard->heap, block);
    ftli_token_release(&shard->token);
}

bool ftli_allocation_is_ticking(const struct ftli_device *device)
{
    return ftli_u32_load_relaxed(&device->ticking) != 0;
}
