/* The audit over a real device: every state of a tensor, and every equation broken once. */
#include "leak_support.h"

static struct ftli_device *device;
static struct ftli_totals good;
static struct ftli_audit audit;

static const struct ftli_topology_device topology = {
    .limit_bytes = UINT64_C(1) << 30, .soft = 0.8, .hard = 0.95, .arena_bytes = UINT64_C(64) << 20};
static const struct ftli_allocation_settings allocation = {
    .shards = 1, .magazine = 64, .small_bytes = 32768, .large_bytes = 1 << 20, .thread_cache_bytes = 256 * 1024};

static struct ftli_header *take(uint64_t bytes)
{
    struct ftli_header *header;
    uint32_t home = 0;
    struct ftli_pages pages;
    int status = bytes <= 32768 ? ftli_allocation_take_small(device, ftli_size_class(bytes), &pages.header)
                                : ftli_allocation_take_pages(device, &home, bytes, 64, &pages);
    cr_assert_eq(status, FTL_OK);
    header = pages.header;
    ftli_u64_store_release(&header->size, ftli_size_make(bytes, FTL_U8, 1));
    (void)ftli_word_new(&header->word, FTLI_WORD_SLOW);
    good.created++;
    good.created_bytes += bytes;
    good.created_block_bytes += ftli_allocation_block_bytes(device, header);
    return header;
}

static uint64_t last_drop(struct ftli_header *header, enum ftli_word_result expected)
{
    uint32_t generation = ftli_word_generation(ftli_u64_load_relaxed(&header->word));
    cr_assert_eq(ftli_word_drop(&header->word, generation, true), expected);
    good.deferred[1]++;
    good.deferred_bytes += ftli_size_bytes(ftli_u64_load_relaxed(&header->size));
    good.deferred_block_bytes += ftli_allocation_block_bytes(device, header);
    return generation;
}

/* Two live, one pinned and dropped, one reclaiming, one in quarantine. */
static void open_audit(void)
{
    open_leaks();
    cr_assert_eq(ftli_device_open(&topology, &allocation, &table, kernel, 0, &device), FTL_OK);
    leaks.world.device = device;
    (void)take(1000);
    (void)take(100000);
    struct ftli_header *pinned = take(2000), *reclaiming = take(3000), *quarantined = take(400000);
    uint64_t after;
    uint32_t generation = ftli_word_generation(ftli_u64_load_relaxed(&pinned->word));
    cr_assert_eq(ftli_word_pin(&pinned->word, generation, &after), FTLI_WORD_DONE);
    (void)last_drop(pinned, FTLI_WORD_GUARDED);
    (void)last_drop(reclaiming, FTLI_WORD_POST);
    ftli_word_reclaiming(&reclaiming->word);
    (void)last_drop(quarantined, FTLI_WORD_POST);
    ftli_word_quarantine(&quarantined->word);
    good.quarantined_by_parity[1] = 1;
    good.quarantined_bytes = 400000;
    good.quarantined_block_bytes = ftli_allocation_block_bytes(device, quarantined);
    ftli_audit_walk(&leaks, &audit);
}

static void close_audit(void)
{
    ftli_device_close(device);
    close_leaks();
}

TestSuite(audit, .init = open_audit, .fini = close_audit);

Test(audit, counts_state_by_state)
{
    char why[200] = "";
    cr_expect_eq(audit.live.tensors, 2);
    cr_expect_eq(audit.live.bytes, 101000);
    cr_expect_geq(audit.live.block_bytes, 101000);
    cr_expect_eq(audit.dropped.tensors, 1);
    cr_expect_eq(audit.pinned.tensors, 1);
    cr_expect_eq(audit.pinned.bytes, 2000);
    cr_expect_eq(audit.reclaiming.bytes, 3000);
    cr_expect_eq(audit.quarantined.bytes, 400000);
    cr_expect_eq(audit.unknown, 0);
    cr_expect_eq(ftli_audit_compare(&audit, &good, why, sizeof why), FTL_OK, "%s", why);
}

Test(audit, each_equation_can_fail)
{
    static const struct {
        size_t offset;
        const char *expected;
    } breaks[] = {
        {offsetof(struct ftli_totals, created), "tensors live"},
        {offsetof(struct ftli_totals, created_bytes), "bytes live"},
        {offsetof(struct ftli_totals, created_block_bytes), "block bytes live"},
        {offsetof(struct ftli_totals, immediate), "tensors live"},
        {offsetof(struct ftli_totals, completed), "tensors pending"},
        {offsetof(struct ftli_totals, completed_bytes), "bytes pending"},
        {offsetof(struct ftli_totals, completed_block_bytes), "block bytes pending"},
        {offsetof(struct ftli_totals, quarantined_bytes), "bytes pending"},
    };
    for (unsigned i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
        struct ftli_totals broken = good;
        char why[200] = "";
        ++*(uint64_t *)(void *)((char *)&broken + breaks[i].offset);
        cr_expect_eq(ftli_audit_compare(&audit, &broken, why, sizeof why), FTL_EINTERNAL);
        cr_expect(strstr(why, breaks[i].expected) != NULL, "%s: %s", breaks[i].expected, why);
    }
    struct ftli_totals broken = good;
    char why[200] = "";
    broken.quarantined_by_parity[0]++;
    broken.deferred[0]++;
    broken.created++;
    cr_expect_eq(ftli_audit_compare(&audit, &broken, why, sizeof why), FTL_EINTERNAL);
    cr_expect_str_eq(why, "audit: tensors quarantined: the table has 1, the counters say 2");
}

Test(audit, a_word_in_no_known_state)
{
    char why[200] = "";
    uint32_t slot = 0;
    cr_assert_eq(ftli_table_take_fresh(&table, 1, &slot), 1);
    ftli_u64_store_relaxed(&ftli_table_header(&table, slot)->word, ftli_word_make(1, 7));
    ftli_audit_walk(&leaks, &audit);
    cr_expect_eq(ftli_audit_compare(&audit, &good, why, sizeof why), FTL_EINTERNAL);
    cr_expect_str_eq(why, "audit: slots in no known state: the table has 1, the counters say 0");
}
