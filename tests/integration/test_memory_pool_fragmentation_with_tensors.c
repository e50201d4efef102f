/* 60 tensors of six sizes, every other dropped, then all; at each point the fragmentation figure is what an independent walk of
 * the heaps' pages finds. */
#include <criterion/criterion.h>

#include "actors/allocation/shard.h"
#include "actors/port/runtime.h"

enum { TENSORS = 60 };

static const size_t sizes[6] = {200, 3000, 15000, 90000, 600000, 2500000};

struct walk {
    uint64_t committed, short_free, slab_pages, used_pages;
};

/* Page by page, by what is written in the descriptors and the bits of written pages alone. */
static bool page_is_committed(const struct ftli_space *space, uint32_t number)
{
    const struct ftli_granule *granule = ftli_space_granule(space, number);
    unsigned at = number % FTLI_GRANULE_PAGES;
    return granule->huge ? granule->committed != 0 : (granule->written[at / 64] >> at % 64 & 1) != 0;
}

static void walk_span(const struct ftli_space *space, uint32_t number, uint32_t pages, uint32_t state,
                      struct walk *walk)
{
    uint64_t committed = 0;
    for (uint32_t i = 0; i < pages; i++)
        committed += page_is_committed(space, number + i);
    walk->committed += committed;
    if (state == FTLI_PAGE_SLAB)
        walk->slab_pages += pages;
    if (state == FTLI_PAGE_USED)
        walk->used_pages += pages;
    if (state == FTLI_PAGE_FREE && pages * FTLI_PAGE_BYTES < (1u << 20))
        walk->short_free += committed * FTLI_PAGE_BYTES;
}

/* Every shard stands still meanwhile. Who holds one token does not wait for another: all, or none and again. */
static void take_all(struct ftli_device *device)
{
    for (uint32_t taken = 0; taken < device->shard_count;) {
        if (ftli_token_try_take(&device->shards[taken].token)) {
            taken++;
            continue;
        }
        while (taken > 0)
            ftli_token_release(&device->shards[--taken].token);
    }
}

static struct walk walk_pages(struct ftli_device *device)
{
    const struct ftli_space *space = &device->space;
    struct walk walk = {0};
    uint32_t number = FTLI_GRANULE_PAGES;
    take_all(device);
    while (number / FTLI_GRANULE_PAGES < space->granules_used && ftli_space_granule(space, number) != NULL) {
        const struct ftli_granule *granule = ftli_space_granule(space, number);
        const struct ftli_page *page = ftli_space_page(space, number);
        if (ftli_heap_owner(space, granule->address) == 0) {
            number += FTLI_GRANULE_PAGES;
            continue;
        }
        cr_assert_neq(page->state, FTLI_PAGE_NONE, "page %u begins no span", number);
        walk_span(space, number, page->pages, page->state, &walk);
        number += page->pages;
    }
    for (uint32_t i = 0; i < device->shard_count; i++)
        ftli_token_release(&device->shards[i].token);
    walk.committed *= FTLI_PAGE_BYTES;
    return walk;
}

/* The walk knows nothing of what lies in this thread's pocket. */
static void empty_pocket(ftl_runtime *runtime)
{
    struct ftli_port *port = ftli_thread.port;
    while (!ftli_port_enter(port)) /* the tick has claimed it */
        ftli_cpu_relax();
    (void)ftli_allocation_empty_pocket(runtime->device, &port->rack);
    ftli_port_leave(port);
    while (ftli_allocation_collect(runtime->device) != 0) /* a block whose shard was held was posted */
        ftli_cpu_relax();
}

/* live_small: bytes of the slots that living tensors lie in. */
static void compare(ftl_runtime *runtime, uint64_t live, uint64_t live_small)
{
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK, "%s", ftl_last_error());
    empty_pocket(runtime);
    char why[200] = "";
    cr_assert_eq(ftli_runtime_audit(runtime, why, sizeof why), FTL_OK, "%s", why);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.live, live);
    cr_assert_eq(stats.pending, 0);
    /* The tick would move slots from racks to slabs between the walk and the stats: it may, so both are read until they are of one
     * moment, which the committed and held bytes before and after tell. */
    for (unsigned tries = 0;; tries++) {
        uint64_t held = stats.held_bytes + ftli_depot_bytes(&runtime->device->depot);
        struct walk walk = walk_pages(runtime->device);
        double figure = stats.fragmentation;
        cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
        if (figure != stats.fragmentation || held != stats.held_bytes + ftli_depot_bytes(&runtime->device->depot)) {
            cr_assert_lt(tries, 1000);
            continue;
        }
        uint64_t slab_free = walk.slab_pages * FTLI_PAGE_BYTES - live_small - held;
        double expected = (double)(walk.short_free + slab_free) / (double)walk.committed;
        cr_assert_float_eq(stats.fragmentation, expected, 1e-9, "says %f; walked %llu short, %llu in slabs of %llu: %f",
                           stats.fragmentation, (unsigned long long)walk.short_free, (unsigned long long)slab_free,
                           (unsigned long long)walk.committed, expected);
        cr_assert_eq(stats.committed_bytes, walk.committed + stats.metadata_bytes);
        return;
    }
}

Test(memory_pool_fragmentation_with_tensors, figure_agrees_with_a_walk_of_the_pages)
{
    ftl_runtime *runtime;
    ftl_tensor tensors[TENSORS];
    uint64_t small = 0;
    /* Without its actor nothing is given back meanwhile. */
    ftl_open_options options = {.overrides = "actors.defragmentation: none\n"};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    for (unsigned i = 0; i < TENSORS; i++) {
        cr_assert_eq(ftl_bytes_new(runtime, sizes[i % 6], NULL, &tensors[i]), FTL_OK, "%s", ftl_last_error());
        small += sizes[i % 6] <= FTLI_CLASS_MAX_BYTES ? ftli_class_bytes(ftli_size_class(sizes[i % 6])) : 0;
    }
    compare(runtime, TENSORS, small);
    /* i / 6 + i: each size loses half of its own */
    uint64_t left = TENSORS;
    for (unsigned i = 0; i < TENSORS; i++) {
        if ((i / 6 + i) % 2 == 0)
            continue;
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
        small -= sizes[i % 6] <= FTLI_CLASS_MAX_BYTES ? ftli_class_bytes(ftli_size_class(sizes[i % 6])) : 0;
        left--;
    }
    cr_assert_eq(left, 30);
    compare(runtime, 30, small);
    ftl_stats half, none;
    cr_assert_eq(ftl_runtime_stats(runtime, &half), FTL_OK);
    cr_assert_gt(half.fragmentation, 0);
    for (unsigned i = 0; i < TENSORS; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), (i / 6 + i) % 2 == 0 ? FTL_OK : FTL_ESTALE);
    compare(runtime, 0, 0);
    cr_assert_eq(ftl_runtime_stats(runtime, &none), FTL_OK);
    cr_assert_eq(none.live_bytes, 0);
    cr_assert_eq(none.slack_bytes, 0);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
