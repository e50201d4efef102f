/* A thread's pocket: what it asks for again and again comes back as it is, within the bound, and every byte is somewhere. */
#include "tests/unit/actors/allocation/device_support.h"

#define CACHE_BYTES (2 * MIB)

static struct ftli_rack rack;
static uint32_t home;

static void open_with(uint64_t thread_cache_bytes, uint32_t shards)
{
    open_device(256 * MIB, shards, thread_cache_bytes);
    ftli_rack_init(&rack, device);
    home = 0;
}

static uint64_t pocket_bytes(void)
{
    uint64_t bytes = 0, count = 0;
    for (unsigned place = 0; place < FTLI_POCKET_MOST; place++) {
        bytes += (uint64_t)rack.pocket.pages[place] * FTLI_PAGE_BYTES;
        count += rack.pocket.pages[place] != 0;
    }
    cr_assert_eq(rack.pocket.count, count);
    cr_assert_eq(ftli_u64_load_relaxed(&rack.pocket.bytes), bytes);
    return bytes;
}

static struct ftli_header *make(uint64_t bytes)
{
    struct ftli_pages out = {0};
    unsigned pages = ftli_middle_pages(ftli_pages_block_bytes(bytes));
    if (pages != 0)
        out.header = ftli_pocket_take(&rack.pocket, pages);
    if (out.header == NULL)
        cr_assert_eq(ftli_allocation_take_pages(device, &home, bytes, 64, &out), FTL_OK);
    cr_assert_eq(ftli_word_state(ftli_u64_load_relaxed(&out.header->word)), FTLI_FREE);
    ftli_u64_store_release(&out.header->size, ftli_size_make(bytes, 0, 0));
    (void)ftli_word_new(&out.header->word, FTLI_WORD_SLOW);
    return out.header;
}

/* The last drop of it: FREE, and this thread's. */
static void drop(struct ftli_header *header)
{
    uint32_t generation = ftli_word_generation(ftli_u64_load_relaxed(&header->word));
    cr_assert_eq(ftli_word_drop(&header->word, generation, false), FTLI_WORD_POST);
    ftli_word_reclaiming(&header->word);
    cr_assert(ftli_word_reclaim(&header->word));
    ftli_allocation_pocket(device, &rack, header);
}

Test(pocket, lengths_follow_the_sizes)
{
    cr_assert_eq(ftli_middle_pages(ftli_pages_block_bytes(0)), 1);
    cr_assert_eq(ftli_middle_pages(ftli_pages_block_bytes(32 * KIB + 1)), 9);
    cr_assert_eq(ftli_middle_pages(ftli_pages_block_bytes(MIB)), FTLI_MIDDLE_PAGES);
    cr_assert_eq(ftli_middle_pages(ftli_pages_block_bytes(MIB + 1)), 0, "a large one");
}

Test(pocket, what_was_dropped_comes_back_with_its_block)
{
    open_with(CACHE_BYTES, 2);
    static const uint64_t sizes[] = {5 * KIB, 32 * KIB, 100 * KIB, MIB};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ftli_header *header = make(sizes[i]);
        uint32_t generation = ftli_word_generation(ftli_u64_load_relaxed(&header->word));
        uint64_t block = ftli_u64_load_relaxed(&header->data), used = used_bytes();
        drop(header);
        cr_assert_eq(ftli_u64_load_relaxed(&header->word), ftli_word_make(generation + 1, FTLI_FREE));
        cr_assert_eq(pocket_bytes(), ftli_pages_block_bytes(sizes[i]));
        cr_assert_eq(ftli_rack_bytes(&rack), pocket_bytes(), "it is held");
        cr_assert_not(ftli_rack_is_empty(&rack));
        cr_assert_eq(used_bytes(), used, "the heap has it out still");
        cr_assert_eq(make(sizes[i]), header);
        cr_assert_eq(ftli_u64_load_relaxed(&header->data), block);
        cr_assert_eq(pocket_bytes(), 0);
        drop(header);
        cr_assert_eq(ftli_rack_flush(&rack, device), ftli_pages_block_bytes(sizes[i]));
        cr_assert(ftli_rack_is_empty(&rack));
        cr_assert_eq(used_bytes(), 0, "it went to its heap");
    }
    close_device();
}

/* A length that this thread did not ask for would lie there for nothing. */
Test(pocket, only_what_was_asked_for_is_kept)
{
    open_with(CACHE_BYTES, 1);
    struct ftli_header *header = make(100 * KIB);
    for (uint64_t pages = 30; pages < 30 + FTLI_POCKET_MOST; pages++) /* and then as many others */
        cr_assert_null(ftli_pocket_take(&rack.pocket, (unsigned)pages));
    drop(header);
    cr_assert_eq(pocket_bytes(), 0);
    cr_assert_eq(used_bytes(), 0);
    header = make(100 * KIB);
    drop(header);
    cr_assert_eq(pocket_bytes(), 100 * KIB);
    (void)ftli_rack_flush(&rack, device);
    close_device();
}

/* A drop waits for nobody: whose heap is in use gets its block by the mailbox. */
Test(pocket, a_heap_in_use_is_posted_to)
{
    open_with(CACHE_BYTES, 1);
    struct ftli_shard *shard = &device->shards[1];
    struct ftli_header *header = make(100 * KIB);
    drop(header);
    cr_assert(ftli_token_try_take(&shard->token));
    (void)ftli_rack_flush(&rack, device);
    cr_assert_eq(pocket_bytes(), 0);
    cr_assert_not(ftli_shard_is_empty(shard));
    ftli_token_release(&shard->token);
    cr_assert_eq(used_bytes(), 100 * KIB);
    cr_assert_eq(ftli_allocation_collect(device), 0);
    cr_assert_eq(used_bytes(), 0);
    close_device();
}

Test(pocket, a_cache_too_small_for_the_block_keeps_none)
{
    open_with(64 * KIB, 1);
    struct ftli_header *header = make(100 * KIB);
    drop(header);
    cr_assert_eq(pocket_bytes(), 0);
    cr_assert_eq(used_bytes(), 0);
    header = make(60 * KIB);
    drop(header);
    cr_assert_eq(pocket_bytes(), 60 * KIB, "one alone may be all of it");
    (void)ftli_rack_flush(&rack, device);
    close_device();
}

static void check_bound(uint64_t thread_cache_bytes)
{
    uint64_t held = ftli_rack_bytes(&rack), free = (uint64_t)rack.budget_bytes;
    cr_assert(rack.budget_bytes >= 0);
    cr_assert(pocket_bytes() <= free, "%llu in the pocket, %llu not reserved", (unsigned long long)pocket_bytes(),
              (unsigned long long)free);
    cr_assert(held <= thread_cache_bytes, "%llu held", (unsigned long long)held);
}

/* At random, beside magazines of all classes: blocks never overlap, the bound holds, and what the heaps have out is live, held, or in
 * the depot. */
static void at_random(uint64_t seed, uint64_t thread_cache_bytes)
{
    enum { N = 100, STEPS = 8000 };
    static struct ftli_header *live[N];
    static uint64_t sizes[N]; /* 0: of a class */
    ftli_random_state random;
    ftli_random_seed(&random, seed);
    memset(live, 0, sizeof live);
    open_with(thread_cache_bytes, 2);
    uint64_t live_bytes = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)(ftli_random_next(&random) % N);
        unsigned c = 1 + i % (FTLI_CLASSES - 1); /* of a place always the same */
        home = (uint32_t)(ftli_random_next(&random) % 2);
        bool small = i % 2 == 0;
        if (live[i] == NULL) {
            sizes[i] = small ? ftli_class_bytes(c) : (9 + ftli_random_next(&random) % 12) * FTLI_PAGE_BYTES;
            live[i] = small ? take(&rack, &home, c) : make(sizes[i]);
            uint64_t *block = (uint64_t *)(uintptr_t)ftli_u64_load_relaxed(&live[i]->data);
            block[0] = block[sizes[i] / 8 - 1] = (uint64_t)(uintptr_t)live[i];
            live_bytes += sizes[i];
        } else {
            const uint64_t *block = (const uint64_t *)(uintptr_t)ftli_u64_load_relaxed(&live[i]->data);
            cr_assert(block[0] == (uint64_t)(uintptr_t)live[i] && block[sizes[i] / 8 - 1] == block[0], "step %u", step);
            if (small)
                (void)give(&rack, c, live[i]);
            else
                drop(live[i]);
            live_bytes -= sizes[i];
            live[i] = NULL;
        }
        check_bound(thread_cache_bytes);
        if (step % 512 == 0)
            ftli_allocation_trim(device, (unsigned)(ftli_random_next(&random) % 3));
        if (step % 64 != 0)
            continue;
        cr_assert_eq(ftli_allocation_collect(device), 0);
        struct ftli_device_figures figures;
        ftli_allocation_figures(device, &figures);
        cr_assert_eq(figures.used - figures.slab_free, live_bytes + ftli_rack_bytes(&rack) + figures.depot, "step %u",
                     step);
    }
    close_device();
}

Test(pocket, at_random)
{
    static const uint64_t caches[] = {4 * KIB, 64 * KIB, 256 * KIB, 2 * MIB};
    for (uint64_t seed = 1; seed <= 8; seed++)
        at_random(seed, caches[seed % 4]);
}
