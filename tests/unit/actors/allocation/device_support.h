/* A device alone: a table, a kernel in simulated time for its clock, no ports and no actors unless a test adds them. */
#ifndef TEST_DEVICE_SUPPORT_H
#define TEST_DEVICE_SUPPORT_H

#include <criterion/criterion.h>
#include <fettle/fettle.h>
#include <stdlib.h>
#include <string.h>

#include "actors/allocation/shard.h"
#include "runtime/base/random.h"
#include "runtime/kernel/simulation.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

enum { RUNTIME = 17 };

static ftli_kernel *kernel;
static struct ftli_table table;
static struct ftli_device *device;

static inline ftli_decision restart(void *self, uint32_t index, bool restartable, int status, uint64_t now_ns)
{
    (void)self, (void)index, (void)restartable, (void)status, (void)now_ns;
    return (ftli_decision){FTLI_DECIDE_RESTART, 1000000};
}

static inline void open_device_with(uint64_t limit_bytes, const struct ftli_allocation_settings *settings,
                                    uint32_t slots)
{
    const ftli_group_options group = {.name = "service", .count = 1};
    const ftli_kernel_options options = {
        .groups = &group, .group_count = 1, .seed = 3, .simulated = true, .supervision = {.decide = restart}};
    const struct ftli_topology_device as = {
        .limit_bytes = limit_bytes, .soft = 0.8, .hard = 1, .arena_bytes = 16 * MIB};
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    cr_assert_eq(ftli_table_open(&table, RUNTIME, slots), FTL_OK);
    cr_assert_eq(ftli_device_open(&as, settings, &table, kernel, 0, &device), FTL_OK);
}

static inline void open_device(uint64_t limit_bytes, uint32_t shards, uint64_t thread_cache_bytes)
{
    const struct ftli_allocation_settings settings = {.shards = shards,
                                                      .magazine = 64,
                                                      .small_bytes = 32 * KIB,
                                                      .large_bytes = MIB,
                                                      .thread_cache_bytes = thread_cache_bytes};
    open_device_with(limit_bytes, &settings, 1 << 18);
}

static inline void close_device(void)
{
    char why[300] = "";
    cr_expect(ftli_allocation_check(device, why, sizeof why), "%s", why);
    ftli_device_close(device);
    ftli_table_close(&table);
    ftli_kernel_destroy(kernel);
}

/* ---- what a port does with a header of a class, without its counters */

static inline struct ftli_header *take(struct ftli_rack *rack, uint32_t *home, unsigned c)
{
    struct ftli_header *header = ftli_rack_take(rack, c);
    if (header == NULL)
        cr_assert_eq(ftli_allocation_refill(device, rack, home, c, &header), FTL_OK);
    cr_assert_not_null(header);
    cr_assert_eq(ftli_word_state(ftli_u64_load_relaxed(&header->word)), FTLI_FREE);
    cr_assert_eq(ftli_record_class(ftli_u64_load_relaxed(&header->record)), c);
    return header;
}

static inline void give_back(struct ftli_header *header)
{
    ftli_header_address(header, FTLI_PURPOSE_GIVE_BACK, 0, 0);
    ftli_allocation_post(device, header);
}

/* True: it is in the rack; else it was posted. */
static inline bool give(struct ftli_rack *rack, unsigned c, struct ftli_header *header)
{
    if (ftli_rack_give(rack, c, header) || ftli_allocation_stow(device, rack, c, header))
        return true;
    give_back(header);
    return false;
}

/* A tensor of pages goes: its word has left LIVE, and its shard completes it. */
static inline void complete(struct ftli_header *header, unsigned lane, uint32_t parity)
{
    uint64_t word = ftli_u64_load_relaxed(&header->word);
    ftli_u64_store_release(&header->word, ftli_word_make(ftli_word_generation(word), FTLI_RECLAIMING));
    ftli_u64_store_release(&header->dimensions_low, ftli_kernel_now_ns(kernel));
    ftli_header_address(header, FTLI_PURPOSE_RECLAIM, lane, parity);
    ftli_allocation_post(device, header);
}

static inline uint64_t used_bytes(void)
{
    struct ftli_device_figures figures;
    ftli_allocation_figures(device, &figures);
    return figures.used - figures.slab_free;
}

#endif
