/* Shelves: what was dropped in place is given out again as it is, within the bound, and every byte is somewhere. */
#include "tests/unit/actors/allocation/device_support.h"

static uint32_t home;

static struct ftli_header *make(uint64_t bytes)
{
    struct ftli_pages out = {0};
    unsigned place = ftli_shelf_place(ftli_pages_block_bytes(bytes));
    if (place != FTLI_SHELF_NONE)
        out.header = ftli_allocation_take_shelved(device, &home, place, &out.most);
    if (out.header == NULL)
        cr_assert_eq(ftli_allocation_take_pages(device, &home, bytes, 64, &out), FTL_OK);
    cr_assert_eq(ftli_word_state(ftli_u64_load_relaxed(&out.header->word)), FTLI_FREE);
    ftli_u64_store_release(&out.header->size, ftli_size_make(bytes, 0, 0));
    (void)ftli_word_new(&out.header->word, FTLI_WORD_SLOW);
    return out.header;
}

/* The last drop of it: FREE, and nobody else's. */
static void drop(struct ftli_header *header)
{
    uint32_t generation = ftli_word_generation(ftli_u64_load_relaxed(&header->word));
    cr_assert_eq(ftli_word_drop(&header->word, generation, false), FTLI_WORD_POST);
    ftli_word_reclaiming(&header->word);
    cr_assert(ftli_word_reclaim(&header->word));
}

static void post(struct ftli_header *header)
{
    ftli_header_address(header, FTLI_PURPOSE_GIVE_BACK, 0, 0);
    ftli_allocation_post(device, header);
}

static uint64_t shelved_bytes(void)
{
    struct ftli_device_figures figures;
    ftli_allocation_figures(device, &figures);
    return figures.shelved;
}

static uint64_t block_bytes_of(uint64_t bytes)
{
    return ftli_pages_block_bytes(bytes);
}

static uint64_t walk_bytes(const struct ftli_shelf *shelf)
{
    uint64_t bytes = 0;
    for (unsigned place = 0; place < FTLI_SHELF_PLACES; place++)
        for (const ftli_link *link = ftli_pointer_load_relaxed(&shelf->places[place]); link != NULL;
             link = link->next) {
            bytes += ftli_shelf_block_bytes(place);
            cr_assert(shelf->filled[place / 64] >> (place % 64) & 1, "place %u is not marked", place);
        }
    return bytes;
}

Test(shelf, places_follow_the_sizes)
{
    cr_assert_eq(ftli_shelf_place(ftli_pages_block_bytes(0)), 1);
    cr_assert_eq(ftli_shelf_place(ftli_pages_block_bytes(32 * KIB + 1)), 9);
    cr_assert_eq(ftli_shelf_place(ftli_pages_block_bytes(MIB)), FTLI_SHELF_PLACES - 1);
    cr_assert_eq(ftli_shelf_place(ftli_pages_block_bytes(MIB + 1)), FTLI_SHELF_NONE);
    for (unsigned place = 1; place < FTLI_SHELF_PLACES; place++)
        cr_assert_eq(ftli_shelf_place(ftli_shelf_block_bytes(place)), place);
}

Test(shelf, the_newest_comes_back_with_its_block)
{
    open_device(64 * MIB, 2, 64 * KIB);
    static const uint64_t sizes[] = {5 * KIB, 32 * KIB, 100 * KIB, MIB};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct ftli_header *first = make(sizes[i]), *second = make(sizes[i]);
        uint32_t generation = ftli_word_generation(ftli_u64_load_relaxed(&second->word));
        uint64_t block = ftli_u64_load_relaxed(&second->data), used = used_bytes();
        drop(second);
        cr_assert(ftli_allocation_shelve(device, second));
        cr_assert_eq(ftli_u64_load_relaxed(&second->word), ftli_word_make(generation + 1, FTLI_FREE));
        cr_assert_eq(shelved_bytes(), block_bytes_of(sizes[i]));
        cr_assert_eq(used_bytes(), used, "the heap has it out still");
        cr_assert_eq(make(sizes[i]), second);
        cr_assert_eq(ftli_u64_load_relaxed(&second->data), block);
        cr_assert_eq(shelved_bytes(), 0);
        drop(first);
        drop(second);
        post(first);
        post(second);
        (void)ftli_allocation_collect(device);
    }
    cr_assert_eq(used_bytes(), 0);
    close_device();
}

/* A drop waits for nobody: while the latch is held, or the shelf is full and the token held, it posts; a new goes elsewhere. */
Test(shelf, who_finds_it_held_goes_on)
{
    open_device(64 * MIB, 1, 64 * KIB);
    struct ftli_shard *shard = &device->shards[1];
    struct ftli_header *header = make(100 * KIB), *other;
    drop(header);
    cr_assert(ftli_shelf_try(&shard->shelf));
    uint64_t word = ftli_u64_load_relaxed(&header->word);
    cr_assert_not(ftli_allocation_shelve(device, header));
    cr_assert_eq(ftli_u64_load_relaxed(&header->word), word, "nothing happened");
    other = make(100 * KIB);
    ftli_shelf_shut(&shard->shelf);
    cr_assert(ftli_allocation_shelve(device, header));
    device->shelf_bytes = 100 * KIB;
    drop(other);
    cr_assert(ftli_token_try_take(&shard->token));
    cr_assert_not(ftli_allocation_shelve(device, other), "full, and its heap is in use");
    ftli_token_release(&shard->token);
    cr_assert(ftli_allocation_shelve(device, other), "what lay there makes room");
    cr_assert_eq(shelved_bytes(), 100 * KIB);
    ftli_allocation_clear_shelves(device, true);
    cr_assert_eq(used_bytes(), 0);
    close_device();
}

/* Memory that lies on a shelf is found before more is committed. */
Test(shelf, a_heap_that_has_no_room_asks_its_shelf)
{
    enum { N = 16 };
    struct ftli_header *headers[N];
    open_device(64 * MIB, 1, 64 * KIB);
    device->shelf_bytes = MIB;
    for (unsigned i = 0; i < N; i++)
        headers[i] = make(60 * KIB);
    uint64_t committed = ftli_allocation_committed(device);
    for (unsigned i = 0; i < N; i++) {
        drop(headers[i]);
        cr_assert(ftli_allocation_shelve(device, headers[i]));
    }
    cr_assert_eq(shelved_bytes(), N * 60 * KIB);
    struct ftli_header *shorter = make(50 * KIB);
    cr_assert_eq(shelved_bytes(), (N - 1) * 60 * KIB, "one that is long enough is cut");
    struct ftli_header *longer = make(600 * KIB);
    cr_assert_eq(shelved_bytes(), 0, "all of them, since none alone is long enough");
    cr_assert_eq(ftli_allocation_committed(device), committed);
    drop(shorter);
    drop(longer);
    cr_assert(ftli_allocation_shelve(device, shorter) && ftli_allocation_shelve(device, longer));
    ftli_allocation_relieve(device);
    cr_assert_eq(shelved_bytes(), 0);
    cr_assert_eq(ftli_allocation_committed(device), 0);
    close_device();
}

/* The tick takes what nobody took from between two of them. */
Test(shelf, what_rests_goes_back)
{
    open_device(64 * MIB, 1, 64 * KIB);
    struct ftli_header *header = make(100 * KIB);
    for (unsigned i = 0; i < 3; i++) {
        drop(header);
        cr_assert(ftli_allocation_shelve(device, header));
        cr_assert_eq(make(100 * KIB), header);
        drop(header);
        cr_assert(ftli_allocation_shelve(device, header));
        ftli_allocation_trim(device, 0);
        cr_assert_eq(shelved_bytes(), 100 * KIB, "it was in use since the last look");
        cr_assert_eq(make(100 * KIB), header);
    }
    drop(header);
    cr_assert(ftli_allocation_shelve(device, header));
    ftli_allocation_trim(device, 0);
    ftli_allocation_trim(device, 0);
    cr_assert_eq(shelved_bytes(), 0);
    cr_assert_eq(used_bytes(), 0);
    close_device();
}

static unsigned blocks_on(const struct ftli_shelf *shelf)
{
    unsigned n = 0;
    for (unsigned place = 0; place < FTLI_SHELF_PLACES; place++)
        for (const ftli_link *link = ftli_pointer_load_relaxed(&shelf->places[place]); link != NULL; link = link->next)
            n++;
    return n;
}

/* At random: blocks never overlap, the bound holds, and what the heaps have out is live + shelved + posted. */
static void at_random(uint64_t seed)
{
    enum { N = 200, STEPS = 20000 };
    static struct ftli_header *live[N];
    static uint64_t sizes[N];
    ftli_random_state random;
    ftli_random_seed(&random, seed);
    memset(live, 0, sizeof live);
    open_device(256 * MIB, 2, 64 * KIB);
    uint64_t live_bytes = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)(ftli_random_next(&random) % N);
        home = (uint32_t)(ftli_random_next(&random) % 2);
        if (live[i] == NULL) {
            sizes[i] = 4097 + ftli_random_next(&random) % ((step / 1000 % 2 == 0 ? 64 : 1024) * KIB - 4096);
            live[i] = make(sizes[i]);
            uint64_t *block = (uint64_t *)(uintptr_t)ftli_u64_load_relaxed(&live[i]->data);
            block[0] = block[(sizes[i] - 8) / 8] = (uint64_t)(uintptr_t)live[i];
            live_bytes += block_bytes_of(sizes[i]);
            continue;
        }
        const uint64_t *block = (const uint64_t *)(uintptr_t)ftli_u64_load_relaxed(&live[i]->data);
        cr_assert(block[0] == (uint64_t)(uintptr_t)live[i] && block[(sizes[i] - 8) / 8] == block[0], "step %u", step);
        drop(live[i]);
        if (!ftli_allocation_shelve(device, live[i])) {
            post(live[i]);
            cr_assert_eq(ftli_allocation_collect(device), 0);
        }
        live_bytes -= block_bytes_of(sizes[i]);
        live[i] = NULL;
        if (step % 512 == 0)
            ftli_allocation_trim(device, (unsigned)(ftli_random_next(&random) % 3));
        if (step % 64 != 0)
            continue;
        cr_assert_eq(used_bytes(), live_bytes + shelved_bytes(), "step %u", step);
        for (unsigned s = 0; s < device->shard_count; s++) {
            const struct ftli_shelf *shelf = &device->shards[s].shelf;
            uint64_t bytes = ftli_u64_load_relaxed(&shelf->bytes);
            cr_assert_eq(bytes, walk_bytes(shelf));
            cr_assert(bytes <= device->shelf_bytes || blocks_on(shelf) == 1, "%llu bytes", (unsigned long long)bytes);
        }
    }
    for (unsigned i = 0; i < N; i++)
        if (live[i] != NULL) {
            drop(live[i]);
            cr_assert(ftli_allocation_shelve(device, live[i]));
        }
    ftli_allocation_clear_shelves(device, true);
    cr_assert_eq(used_bytes(), 0);
    close_device();
}

Test(shelf, at_random)
{
    for (uint64_t seed = 1; seed <= 8; seed++)
        at_random(seed);
}
