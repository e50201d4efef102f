#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "actors/allocation/allocation.h"
#include "actors/tracking/tracking.h"

static struct ftli_totals sum(const struct ftli_counters *blocks, unsigned n)
{
    struct ftli_totals totals = {0};
    for (unsigned i = 0; i < n; i++)
        ftli_totals_add_ends(&totals, &blocks[i]);
    for (unsigned i = 0; i < n; i++)
        ftli_totals_add_drops(&totals, &blocks[i]);
    for (unsigned i = 0; i < n; i++)
        ftli_totals_add_births(&totals, &blocks[i]);
    return totals;
}

Test(counters, block_bytes_come_from_classes)
{
    struct ftli_counters blocks[2] = {0};
    ftli_u64_add_owner(&blocks[0].created[1], 10);
    ftli_u64_add_owner(&blocks[0].created[FTLI_CLASSES - 1], 1);
    ftli_u64_add_owner(&blocks[1].created[0], 2);
    ftli_u64_add_owner(&blocks[1].created_page_bytes, 1 << 20);
    ftli_u64_add_owner(&blocks[1].created_bytes, 123);
    ftli_u64_add_owner(&blocks[1].immediate[1], 4);
    ftli_u64_add_owner(&blocks[1].immediate_bytes, 200);
    struct ftli_totals totals = sum(blocks, 2);
    cr_expect_eq(totals.created, 13);
    cr_expect_eq(totals.created_bytes, 123);
    cr_expect_eq(totals.created_block_bytes, 10 * 64 + FTLI_CLASS_MAX_BYTES + (1 << 20));
    cr_expect_eq(totals.immediate, 4);
    cr_expect_eq(totals.immediate_block_bytes, 4 * 64);
    cr_expect_eq(totals.immediate_bytes, 200);
}

/* Every counter of the block is in the sum or in the fields it is made of: a block of ones says so. */
Test(counters, all_are_summed_and_moved)
{
    struct ftli_counters blocks[2] = {0};
    ftli_atomic_u64 *words = (ftli_atomic_u64 *)(void *)&blocks[0];
    uint64_t class_bytes = 0;
    for (size_t i = 0; i < sizeof blocks[0] / sizeof *words; i++)
        ftli_u64_store_relaxed(&words[i], 1);
    for (unsigned c = 0; c < FTLI_CLASSES; c++)
        class_bytes += ftli_class_bytes(c);
    struct ftli_totals expected = {
        .created = FTLI_CLASSES,
        .created_bytes = 1,
        .created_block_bytes = class_bytes + 1,
        .immediate = FTLI_CLASSES,
        .immediate_bytes = 1,
        .immediate_block_bytes = class_bytes + 1,
        .deferred = {1, 1},
        .deferred_bytes = 1,
        .deferred_block_bytes = 1,
        .completed = {1, 1},
        .completed_bytes = 1,
        .completed_block_bytes = 1,
        .quarantined_by_parity = {1, 1},
        .quarantined_bytes = 1,
        .quarantined_block_bytes = 1,
        .stale_handles = 1,
        .unpins_without_pin = 1,
        .tracking_cycles = 1,
        .sampled = 1,
    };
    struct ftli_totals totals = sum(blocks, 2);
    cr_expect_eq(memcmp(&totals, &expected, sizeof totals), 0);
    ftli_counters_move(&blocks[0], &blocks[1]);
    totals = sum(blocks, 2);
    cr_expect_eq(memcmp(&totals, &expected, sizeof totals), 0, "moved, not lost and not doubled");
    totals = sum(blocks, 1);
    struct ftli_totals zero = {0};
    cr_expect_eq(memcmp(&totals, &zero, sizeof totals), 0);
}

/* ---- the law of snapshots: one thread makes, another drops, a third completes; each its own block ---------------------- */

enum { LIVES = 300000 };
static struct ftli_counters blocks[3];
static ftli_atomic_u64 made, dropped;

static void *drops(void *unused)
{
    (void)unused;
    for (uint64_t i = 0; i < LIVES; i++) {
        while (ftli_u64_load_acquire(&made) <= i)
            ftli_cpu_relax();
        ftli_u64_add_owner(&blocks[1].deferred[i & 1], 1);
        ftli_u64_add_owner(&blocks[1].deferred_bytes, 10);
        ftli_u64_store_release(&dropped, i + 1);
    }
    return NULL;
}

static void *completes(void *unused)
{
    (void)unused;
    for (uint64_t i = 0; i < LIVES; i++) {
        while (ftli_u64_load_acquire(&dropped) <= i)
            ftli_cpu_relax();
        ftli_u64_add_owner(&blocks[2].completed_bytes, 10);
        if (i % 16 == 0)
            ftli_u64_add_owner(&blocks[2].quarantined_by_parity[i & 1], 1);
        else
            ftli_u64_add_owner(&blocks[2].completed[i & 1], 1);
    }
    return NULL;
}

static void *makes(void *unused)
{
    (void)unused;
    for (uint64_t i = 0; i < LIVES; i++) {
        ftli_u64_add_owner(&blocks[0].created[i % 5], 1);
        ftli_u64_add_owner(&blocks[0].created_bytes, 10);
        ftli_u64_store_release(&made, i + 1);
    }
    return NULL;
}

Test(counters, every_snapshot_keeps_the_order_of_a_life, .timeout = 60)
{
    pthread_t threads[3];
    cr_assert_eq(pthread_create(&threads[0], NULL, completes, NULL), 0);
    cr_assert_eq(pthread_create(&threads[1], NULL, drops, NULL), 0);
    cr_assert_eq(pthread_create(&threads[2], NULL, makes, NULL), 0);
    uint64_t snapshots = 0, ended;
    do {
        struct ftli_totals t = sum(blocks, 3);
        uint64_t gone = t.deferred[0] + t.deferred[1];
        ended = t.completed[0] + t.completed[1] + t.quarantined_by_parity[0] + t.quarantined_by_parity[1];
        cr_assert_geq(t.created, gone);
        cr_assert_geq(gone, ended);
        cr_assert_geq(t.created_bytes, t.deferred_bytes);
        cr_assert_geq(t.deferred_bytes, t.completed_bytes);
        snapshots++;
    } while (ended < LIVES);
    for (unsigned i = 0; i < 3; i++)
        (void)pthread_join(threads[i], NULL);
    cr_log_info("%lu snapshots", (unsigned long)snapshots);
}
