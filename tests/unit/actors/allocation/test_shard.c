/* A shard: what was dropped comes back to its heap, and is counted once. */
#include "tests/unit/actors/allocation/device_support.h"

static struct ftli_header *pages(uint64_t bytes)
{
    struct ftli_pages out = {0};
    uint32_t home = 0;
    cr_assert_eq(ftli_allocation_take_pages(device, &home, bytes, 64, &out), FTL_OK);
    return out.header;
}

static struct ftli_shard *shard_of(const struct ftli_header *header)
{
    void *block = (void *)(uintptr_t)ftli_u64_load_relaxed(&header->data);
    return &device->shards[ftli_heap_owner(&device->space, block) - 1];
}

Test(shard, takes_in_what_was_posted_and_counts_the_completion)
{
    open_device(64 * MIB, 2, 64 * KIB);
    struct ftli_header *header = pages(100 * KIB);
    struct ftli_shard *shard = shard_of(header);
    uint32_t generation = ftli_word_generation(ftli_u64_load_relaxed(&header->word));
    cr_assert_eq(ftli_u64_load_relaxed(&shard->out_bytes), 100 * KIB);
    complete(header, FTLI_LANE_HIGH, 1);
    ftli_simulation_jump(kernel, 5000);
    cr_assert_not(ftli_shard_is_empty(shard));
    cr_assert_eq(ftli_shard_collect(shard, 64), 1);
    cr_assert(ftli_shard_is_empty(shard));
    cr_assert_eq(ftli_u64_load_relaxed(&header->word), ftli_word_make(generation + 1, FTLI_FREE));
    cr_assert_eq(ftli_u64_load_relaxed(&shard->counters.completed[1]), 1);
    cr_assert_eq(ftli_u64_load_relaxed(&shard->counters.completed[0]), 0);
    cr_assert_eq(ftli_u64_load_relaxed(&shard->counters.completed_bytes), 100 * KIB);
    cr_assert_eq(ftli_u64_load_relaxed(&shard->counters.completed_block_bytes), 100 * KIB);
    cr_assert_eq(ftli_u64_load_relaxed(&shard->out_bytes), 0);
    ftli_histogram_snapshot latencies;
    memset(&latencies, 0, sizeof latencies);
    ftli_allocation_collect_latencies(device, FTLI_LANE_HIGH, &latencies);
    cr_assert_eq(latencies.total, 1);
    cr_assert_eq(latencies.most_ns, 5000);
    cr_assert_eq(used_bytes(), 0);
    close_device();
}

Test(shard, what_is_given_back_was_counted_before)
{
    struct ftli_header *header;
    open_device(64 * MIB, 2, 64 * KIB);
    cr_assert_eq(ftli_allocation_take_small(device, 5, &header), FTL_OK);
    struct ftli_shard *shard = shard_of(header);
    uint64_t word = ftli_u64_load_relaxed(&header->word);
    give_back(header);
    cr_assert_eq(ftli_shard_collect(shard, 64), 1);
    cr_assert_eq(ftli_u64_load_relaxed(&header->word), word, "its generation was advanced by the drop");
    cr_assert_eq(ftli_u64_load_relaxed(&shard->counters.completed[0]), 0);
    cr_assert_eq(used_bytes(), 0);
    close_device();
}

/* CORE.md section 3, rule 1: one new takes in 64 at most, and the rest stays in hand, in front of what comes later. */
Test(shard, takes_in_as_many_as_it_is_told)
{
    enum { N = 10 };
    struct ftli_header *headers[N];
    open_device(64 * MIB, 1, 64 * KIB);
    for (unsigned i = 0; i < N; i++)
        headers[i] = pages(64 * KIB);
    struct ftli_shard *shard = shard_of(headers[0]);
    for (unsigned i = 0; i < N - 1; i++)
        complete(headers[i], FTLI_LANE_NORMAL, 0);
    cr_assert_eq(ftli_shard_collect(shard, 4), 4);
    cr_assert_not(ftli_shard_is_empty(shard));
    complete(headers[N - 1], FTLI_LANE_NORMAL, 0);
    cr_assert_eq(ftli_shard_collect(shard, 5), 5);
    cr_assert_not(ftli_shard_is_empty(shard));
    cr_assert_eq(ftli_shard_collect(shard, 64), 1);
    cr_assert(ftli_shard_is_empty(shard));
    cr_assert_eq(ftli_shard_collect(shard, 64), 0);
    cr_assert_eq(ftli_u64_load_relaxed(&shard->counters.completed[0]), N);
    close_device();
}

Test(shard, a_slot_in_its_last_generation_is_not_given_out_again)
{
    open_device(64 * MIB, 1, 64 * KIB);
    struct ftli_header *header = pages(64 * KIB);
    struct ftli_shard *shard = shard_of(header);
    uint64_t bare = shard->bare_count;
    ftli_u64_store_relaxed(&header->word, ftli_word_make(FTLI_GENERATION_LAST, FTLI_WORD_SLOW));
    complete(header, FTLI_LANE_NORMAL, 0);
    cr_assert_eq(ftli_shard_collect(shard, 64), 1);
    cr_assert_eq(ftli_word_state(ftli_u64_load_relaxed(&header->word)), FTLI_RETIRED);
    cr_assert_eq(shard->bare_count, bare, "a retired slot among those to give out");
    cr_assert_eq(ftli_u64_load_relaxed(&shard->counters.completed[0]), 1);
    cr_assert_eq(used_bytes(), 0, "its block stayed");
    close_device();
}

Test(shard, an_extension_goes_back_with_its_header)
{
    open_device(64 * MIB, 1, 64 * KIB);
    struct ftli_header *header = pages(64 * KIB);
    uint32_t cold = ftli_cell_take(&table);
    ftli_u32_store_release(&header->cold, cold);
    cr_assert_eq(ftli_u64_load_relaxed(&table.cells_out), 1);
    complete(header, FTLI_LANE_NORMAL, 0);
    (void)ftli_allocation_collect(device);
    cr_assert_eq(ftli_u32_load_relaxed(&header->cold), 0);
    cr_assert_eq(ftli_u64_load_relaxed(&table.cells_out), 0);
    close_device();
}

Test(shard, a_view_has_a_header_and_no_block)
{
    struct ftli_header *view;
    uint32_t home = 0;
    open_device(64 * MIB, 2, 64 * KIB);
    cr_assert_eq(ftli_allocation_take_bare(device, &home, &view), FTL_OK);
    ftli_u64_store_release(&view->data, 4096); /* an offset, not an address */
    ftli_u64_store_release(&view->size, ftli_size_make(1000, FTL_U8, 1));
    cr_assert_eq(ftli_allocation_block_bytes(device, view), 0);
    cr_assert_eq(used_bytes(), 0);
    complete(view, FTLI_LANE_NORMAL, 0);
    cr_assert_eq(ftli_allocation_collect(device), 0);
    cr_assert_eq(ftli_u64_load_relaxed(&device->shards[0].counters.completed[0]), 1);
    cr_assert_eq(ftli_u64_load_relaxed(&device->shards[0].counters.completed_bytes), 0, "its bytes are its root's");
    close_device();
}

Test(shard, a_shard_in_use_is_passed_by)
{
    open_device(64 * MIB, 2, 64 * KIB);
    struct ftli_header *header = pages(64 * KIB);
    struct ftli_shard *shard = shard_of(header);
    ftli_token_take(&shard->token);
    /* A new finds the other one: the busy one has neither mail nor free memory, so there is nothing to wait for. */
    uint32_t home = shard->index - 1;
    struct ftli_header *small;
    struct ftli_header *entries[1];
    cr_assert_eq(ftli_shard_carve(device, &home, 1, entries, 1), 1);
    small = entries[0];
    cr_assert_neq(home, shard->index - 1, "its home is still the busy one");
    cr_assert_neq(shard_of(small), shard);
    complete(header, FTLI_LANE_NORMAL, 0);
    cr_assert_eq(ftli_allocation_collect(device), 1, "it says how many were left to others");
    cr_assert_not(ftli_shard_is_empty(shard));
    ftli_token_release(&shard->token);
    give_back(small);
    cr_assert_eq(ftli_allocation_collect(device), 0);
    cr_assert_eq(used_bytes(), 0);
    close_device();
}
