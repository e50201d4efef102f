/* A device: its limit, its segments, what the tick takes back, and its figures. */
#include <sys/resource.h>

#include "tests/unit/actors/allocation/device_support.h"

static int take_pages(uint64_t bytes, size_t alignment, struct ftli_header **out)
{
    struct ftli_pages pages = {0};
    uint32_t home = 0;
    int status = ftli_allocation_take_pages(device, &home, bytes, alignment, &pages);
    *out = pages.header;
    return status;
}

Test(device, capacities_follow_from_the_cache_and_the_setting)
{
    open_device(64 * MIB, 1, 256 * KIB);
    for (unsigned c = 1; c < FTLI_CLASSES; c++) {
        cr_assert_geq(device->capacity[c], 1);
        cr_assert_leq(device->capacity[c], 64);
        cr_assert(device->capacity[c] == 1 || (uint64_t)device->capacity[c] * ftli_class_bytes(c) <= 256 * KIB / 32);
        cr_assert(c == 1 || device->capacity[c] <= device->capacity[c - 1]);
    }
    cr_assert_eq(device->capacity[1], 64);
    close_device();
}

Test(device, the_limit_answers_and_the_device_stays_usable)
{
    struct ftli_header *headers[64];
    unsigned n = 0;
    int status = FTL_OK;
    open_device(16 * MIB, 2, 64 * KIB);
    while (n < 64 && (status = take_pages(MIB, 64, &headers[n])) == FTL_OK)
        n++;
    cr_assert_eq(status, FTL_ELIMIT);
    cr_assert_eq(n, 16, "%u MiB under a limit of 16", n);
    cr_assert_eq(ftli_allocation_pressure(device), 1.0);
    cr_assert_eq(ftli_allocation_committed(device), 16 * MIB);
    for (unsigned i = 0; i < n; i++)
        complete(headers[i], FTLI_LANE_NORMAL, 0);
    /* Other sizes, from what those left: relieve gives it back to the OS, and the limit has room again. */
    ftli_allocation_relieve(device);
    cr_assert_eq(ftli_allocation_committed(device), 0);
    cr_assert_eq(take_pages(15 * MIB, 64, &headers[0]), FTL_OK);
    complete(headers[0], FTLI_LANE_NORMAL, 0);
    ftli_allocation_relieve(device);
    cr_assert_eq(used_bytes(), 0);
    close_device();
}

Test(device, children_are_fed_segments_and_give_them_back)
{
    enum { N = 40 };
    struct ftli_header *headers[N];
    open_device(256 * MIB, 1, 64 * KIB);
    for (unsigned i = 0; i < N; i++)
        cr_assert_eq(take_pages(512 * KIB, 64, &headers[i]), FTL_OK);
    struct ftli_heap_figures child, own;
    ftli_heap_figures(&device->shards[1].heap, &child);
    ftli_heap_figures(&device->shards[0].heap, &own);
    cr_assert_eq(child.used_bytes, N * 512 * KIB);
    cr_assert_eq(own.used_bytes, 0);
    for (unsigned i = 0; i < N; i++)
        complete(headers[i], FTLI_LANE_NORMAL, 0);
    cr_assert_eq(ftli_allocation_collect(device), 0);
    for (unsigned i = 0; i < 10; i++)
        ftli_allocation_gather(device);
    ftli_heap_figures(&device->shards[1].heap, &child);
    cr_assert_leq(child.segments_bytes, 2 * MIB, "the child kept %llu", (unsigned long long)child.segments_bytes);
    /* What it gave, a large tensor may have. */
    struct ftli_device_figures before, after;
    ftli_allocation_figures(device, &before);
    cr_assert_eq(take_pages(12 * MIB, 64, &headers[0]), FTL_OK);
    ftli_allocation_figures(device, &after);
    cr_assert_eq(after.arenas, before.arenas, "a new arena, while the segments lie free");
    complete(headers[0], FTLI_LANE_NORMAL, 0);
    (void)ftli_allocation_collect(device);
    close_device();
}

Test(device, large_and_strongly_aligned_pages_come_from_the_device_itself)
{
    struct ftli_header *large, *aligned, *middle, *none;
    open_device(64 * MIB, 2, 64 * KIB);
    cr_assert_eq(take_pages(MIB, 64, &large), FTL_OK);
    cr_assert_eq(take_pages(64 * KIB, 2 * MIB, &aligned), FTL_OK);
    cr_assert_eq(take_pages(MIB - 1, 64, &middle), FTL_OK);
    cr_assert_eq(take_pages(0, 64, &none), FTL_OK);
    cr_assert_eq(ftli_u64_load_relaxed(&aligned->data) % (2 * MIB), 0);
    struct ftli_heap_figures own;
    ftli_heap_figures(&device->shards[0].heap, &own);
    cr_assert_eq(own.used_bytes, MIB + 64 * KIB);
    cr_assert_eq(ftli_allocation_block_bytes(device, middle), MIB);
    cr_assert_eq(ftli_allocation_block_bytes(device, none), 4096);
    struct ftli_header *all[] = {large, aligned, middle, none};
    for (unsigned i = 0; i < 4; i++)
        complete(all[i], FTLI_LANE_NORMAL, 0);
    (void)ftli_allocation_collect(device);
    cr_assert_eq(used_bytes(), 0);
    close_device();
}

Test(device, trim_opens_what_nobody_needed)
{
    struct ftli_rack rack;
    static struct ftli_header *headers[600];
    uint32_t home = 0;
    open_device(64 * MIB, 2, 256 * KIB);
    ftli_rack_init(&rack, device);
    for (unsigned i = 0; i < 8; i++) /* for the drops, which make none */
        ftli_depot_give(&device->depot, ftli_depot_make_empty(&device->depot), 0);
    for (unsigned i = 0; i < 600; i++)
        headers[i] = take(&rack, &home, 2);
    for (unsigned i = 0; i < 600; i++)
        (void)give(&rack, 2, headers[i]);
    (void)ftli_rack_flush(&rack, device);
    uint32_t depth = ftli_depot_depth(&device->depot, &device->depot.full[0][2]);
    cr_assert_geq(depth, 4);
    ftli_allocation_trim(device, 0); /* the first look only learns how few there were */
    uint32_t first = ftli_depot_depth(&device->depot, &device->depot.full[0][2]);
    ftli_allocation_trim(device, 1);
    uint32_t half = ftli_depot_depth(&device->depot, &device->depot.full[0][2]);
    cr_assert(half <= first / 2, "%u, then %u", first, half);
    ftli_allocation_trim(device, 0); /* nobody took one since: all that is left goes */
    cr_assert_eq(ftli_depot_depth(&device->depot, &device->depot.full[0][2]), 0);
    cr_assert_eq(ftli_depot_bytes(&device->depot), 0);
    (void)ftli_allocation_collect(device);
    cr_assert_eq(used_bytes(), 0);
    close_device();
}

Test(device, purge_keeps_what_it_is_told_and_stays_near_its_budget)
{
    struct ftli_header *headers[8];
    open_device(256 * MIB, 1, 64 * KIB);
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(take_pages(4 * MIB, 64, &headers[i]), FTL_OK);
    for (unsigned i = 0; i < 8; i++)
        complete(headers[i], FTLI_LANE_NORMAL, 0);
    (void)ftli_allocation_collect(device);
    uint64_t resident = ftli_allocation_free_resident_bytes(device);
    cr_assert_geq(resident, 32 * MIB);
    uint64_t some = ftli_allocation_purge(device, 0, 4 * MIB);
    cr_assert(some >= 4 * MIB && some <= 12 * MIB, "%llu of a budget of 4 MiB", (unsigned long long)some);
    cr_assert_eq(ftli_allocation_free_resident_bytes(device), resident - some);
    (void)ftli_allocation_purge(device, 8 * MIB, 0);
    cr_assert_eq(ftli_allocation_free_resident_bytes(device), 8 * MIB);
    (void)ftli_allocation_purge(device, 0, 0);
    cr_assert_eq(ftli_allocation_free_resident_bytes(device), 0);
    cr_assert_eq(ftli_allocation_committed(device), 0);
    close_device();
}

/* Slots that are free in one shard's slabs serve the threads of another, before it makes a slab of its own. */
Test(device, free_slots_serve_whoever_asks)
{
    struct ftli_header *headers[64], *more[32];
    uint32_t one = 0, other = 1;
    unsigned c = ftli_size_class(1000);
    open_device(64 * MIB, 2, 64 * KIB);
    cr_assert_eq(ftli_shard_carve(device, &one, c, headers, 64), 64);
    void *place;
    bool zeroed;
    struct ftli_segment segment; /* so that the other has room, too */
    cr_assert_eq(ftli_heap_detach_segment(&device->shards[0].heap, 2 * MIB, &segment), FTL_OK);
    cr_assert_eq(ftli_heap_donate(&device->shards[2].heap, &segment), FTL_OK);
    cr_assert_eq(ftli_heap_take_pages(&device->shards[2].heap, 64 * KIB, 64, &place, &zeroed), FTL_OK);
    cr_assert_eq(ftli_heap_give(&device->shards[2].heap, place), FTL_OK);
    uint32_t owner = ftli_heap_owner(&device->space, (void *)(uintptr_t)ftli_u64_load_relaxed(&headers[0]->data));
    for (unsigned i = 0; i < 64; i += 2)
        give_back(headers[i]);
    (void)ftli_allocation_collect(device);
    uint64_t committed = ftli_allocation_committed(device);
    int taken = ftli_shard_carve(device, &other, c, more, 32);
    cr_assert(taken > 0 && taken <= 32, "%d", taken);
    for (int i = 0; i < taken; i++)
        cr_assert_eq(ftli_heap_owner(&device->space, (void *)(uintptr_t)ftli_u64_load_relaxed(&more[i]->data)), owner);
    cr_assert_eq(ftli_allocation_committed(device), committed);
    close_device();
}

/* Holes of one length, and requests of twice that. */
static uint64_t committed_with_holes(unsigned holes)
{
    static struct ftli_header *headers[200], *longer[200];
    for (unsigned i = 0; i < 2 * holes; i++)
        cr_assert_eq(take_pages(MIB, 64, &headers[i]), FTL_OK);
    for (unsigned i = 0; i < 2 * holes; i += 2)
        complete(headers[i], FTLI_LANE_NORMAL, 0);
    (void)ftli_allocation_collect(device);
    for (unsigned i = 0; i < holes; i++)
        cr_assert_eq(take_pages(2 * MIB, 64, &longer[i]), FTL_OK);
    uint64_t committed = ftli_allocation_committed(device);
    cr_assert_eq(used_bytes(), 3 * holes * MIB);
    char why[300] = "";
    cr_assert(ftli_allocation_check(device, why, sizeof why), "%s", why);
    for (unsigned i = 0; i < holes; i++) {
        complete(headers[2 * i + 1], FTLI_LANE_NORMAL, 0);
        complete(longer[i], FTLI_LANE_NORMAL, 0);
    }
    (void)ftli_allocation_collect(device);
    return committed;
}

/* Free memory that does not serve goes back instead of making the peak; a small program keeps it. */
Test(device, beyond_the_tide_it_grows_by_as_much_as_goes_back)
{
    open_device(1024 * MIB, 1, 64 * KIB);
    cr_assert_eq(committed_with_holes(14), 4 * 14 * MIB);
    (void)ftli_allocation_purge(device, 0, 0);
    uint64_t committed = committed_with_holes(90);
    cr_assert_leq(committed, 3 * 90 * MIB + 3 * 90 * MIB / 16, "%llu MiB", (unsigned long long)(committed / MIB));
    close_device();
}

/* What went back and was wanted again: each time it may keep more, and in the end nothing goes back any more. */
Test(device, the_tide_rises_until_nothing_comes_round)
{
    open_device(2048 * MIB, 1, 64 * KIB);
    uint64_t before = 0, committed = committed_with_holes(60);
    unsigned rounds = 0;
    for (; committed != before && rounds < 100; rounds++) {
        before = committed;
        committed = committed_with_holes(60);
    }
    cr_assert_lt(rounds, 100);
    cr_assert_leq(committed, 4 * 60 * MIB);
    close_device();
}

Test(device, an_abandoned_block_goes_back_without_its_mailbox)
{
    struct ftli_header *header, *view;
    uint32_t home = 0;
    open_device(64 * MIB, 2, 64 * KIB);
    cr_assert_eq(take_pages(3 * MIB, 64, &header), FTL_OK);
    cr_assert_eq(ftli_allocation_take_bare(device, &home, &view), FTL_OK);
    ftli_allocation_abandon(device, view);
    cr_assert_eq(used_bytes(), 3 * MIB);
    ftli_allocation_abandon(device, header);
    cr_assert_eq(used_bytes(), 0);
    close_device();
}

Test(device, a_table_that_is_used_up_answers_a_limit)
{
    const struct ftli_allocation_settings settings = {
        .shards = 1, .magazine = 64, .small_bytes = 32 * KIB, .large_bytes = MIB, .thread_cache_bytes = 64 * KIB};
    static struct ftli_header *headers[2048];
    struct ftli_header *one;
    uint32_t n = 0, home = 0;
    int status;
    open_device_with(64 * MIB, &settings, 1024);
    while ((status = ftli_allocation_take_small(device, 1, &headers[n])) == FTL_OK)
        n++;
    cr_assert_eq(status, FTL_ELIMIT);
    cr_assert_eq(n, 1023, "slot 0 is nobody's");
    cr_assert_eq(used_bytes(), n * 64, "the block of the one that failed stayed out");
    cr_assert_eq(ftli_allocation_take_bare(device, &home, &one), FTL_ELIMIT);
    cr_assert_eq(take_pages(MIB, 64, &one), FTL_ELIMIT);
    cr_assert_eq(take_pages(64 * KIB, 64, &one), FTL_ELIMIT);
    cr_assert_eq(used_bytes(), n * 64);
    give_back(headers[--n]);
    cr_assert_eq(ftli_allocation_take_small(device, 3, &headers[n++]), FTL_OK);
    while (n > 0)
        give_back(headers[--n]);
    (void)ftli_allocation_collect(device);
    close_device();
}

/* ---- the tick ------------------------------------------------------------------------------------------------------------ */

static struct ftli_allocation allocation;
static uint64_t held; /* what the ports say that they hold */

static unsigned looks;
static void (*at_second_look)(void); /* of a tick that found nothing: the word says that it rests */

static uint64_t claim_idle(void *user, uint64_t now_ns)
{
    (void)user, (void)now_ns;
    looks++;
    if (at_second_look != NULL && !ftli_allocation_is_ticking(device)) {
        void (*act)(void) = at_second_look;
        at_second_look = NULL;
        act();
    }
    return held;
}

static void start_tick(void)
{
    ftli_actor *actor;
    allocation = (struct ftli_allocation){.device = device, .claim_idle = claim_idle};
    const ftli_actor_options as = {.operations = &ftli_allocation_operations, .state = &allocation, .group = "service"};
    cr_assert_eq(ftli_kernel_add_actor(kernel, "allocation", &as, &actor), FTL_OK);
    ftli_allocation_attach(device, actor);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
}

static void run_for(uint64_t ns)
{
    cr_assert_eq(ftli_simulation_run_until_idle(kernel, ftli_kernel_now_ns(kernel) + ns, 0), FTL_OK, "%s",
                 ftli_simulation_why(kernel));
}

Test(tick, runs_while_something_is_held_and_then_sleeps)
{
    struct ftli_header *header;
    open_device(64 * MIB, 2, 64 * KIB);
    start_tick();
    cr_assert_not(ftli_allocation_is_ticking(device));
    cr_assert_eq(take_pages(64 * KIB, 64, &header), FTL_OK);
    cr_assert(ftli_allocation_is_ticking(device));
    held = 1;
    run_for(UINT64_C(1000000000));
    uint64_t ticks = ftli_u64_load_relaxed(&allocation.ticks);
    cr_assert(ticks >= 38 && ticks <= 42, "%llu ticks of 25 ms in a second", (unsigned long long)ticks);
    held = 0;
    run_for(UINT64_C(1000000000));
    cr_assert_not(ftli_allocation_is_ticking(device));
    uint64_t rested = ftli_u64_load_relaxed(&allocation.ticks);
    cr_assert_leq(rested, ticks + 2);
    run_for(UINT64_C(100) * 1000000000);
    cr_assert_eq(ftli_u64_load_relaxed(&allocation.ticks), rested, "it ticks although nothing is held");
    /* A drop that comes later has it begin again, and is taken in. */
    complete(header, FTLI_LANE_NORMAL, 0);
    cr_assert(ftli_allocation_is_ticking(device));
    run_for(UINT64_C(1000000000));
    cr_assert_eq(used_bytes(), 0);
    cr_assert_not(ftli_allocation_is_ticking(device));
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    close_device();
}

static struct ftli_header *late;

static void a_magazine_turns_up(void)
{
    held = 1;
}

static void a_drop_arrives(void)
{
    complete(late, FTLI_LANE_NORMAL, 0);
}

/* Between the last look and the rest: what was held before the word was cleared, and what is posted after. */
Test(tick, does_not_rest_while_something_comes)
{
    open_device(64 * MIB, 2, 64 * KIB);
    start_tick();
    at_second_look = a_magazine_turns_up;
    cr_assert_eq(take_pages(64 * KIB, 64, &late), FTL_OK);
    run_for(100 * UINT64_C(1000000));
    cr_assert(ftli_allocation_is_ticking(device), "it rests, and a port holds something");
    held = 0;
    run_for(100 * UINT64_C(1000000));
    cr_assert_not(ftli_allocation_is_ticking(device));
    at_second_look = a_drop_arrives;
    ftli_allocation_need_tick(device);
    run_for(100 * UINT64_C(1000000));
    cr_assert_null(at_second_look);
    cr_assert_eq(used_bytes(), 0, "the drop was left lying");
    cr_assert_not(ftli_allocation_is_ticking(device));
    cr_assert_geq(looks, 4);
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    close_device();
}

Test(tick, takes_back_what_the_depot_has_too_much_of)
{
    struct ftli_rack rack;
    static struct ftli_header *headers[400];
    uint32_t home = 0;
    open_device(64 * MIB, 2, 256 * KIB);
    start_tick();
    ftli_rack_init(&rack, device);
    for (unsigned i = 0; i < 400; i++)
        headers[i] = take(&rack, &home, 4);
    for (unsigned i = 0; i < 400; i++)
        (void)give(&rack, 4, headers[i]);
    (void)ftli_rack_flush(&rack, device);
    cr_assert_neq(ftli_depot_bytes(&device->depot), 0);
    run_for(UINT64_C(1000000000));
    cr_assert_eq(ftli_depot_bytes(&device->depot), 0);
    cr_assert_eq(used_bytes(), 0);
    cr_assert_not(ftli_allocation_is_ticking(device));
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    close_device();
}

Test(tick, a_broken_heap_is_found_by_the_actors_check)
{
    struct ftli_header *header;
    char why[300] = "";
    open_device(64 * MIB, 1, 64 * KIB);
    start_tick();
    cr_assert_eq(take_pages(64 * KIB, 64, &header), FTL_OK);
    cr_assert_eq(ftli_kernel_check(kernel, why, sizeof why), FTL_OK);
    device->shards[1].heap.used_pages++;
    cr_assert_eq(ftli_kernel_check(kernel, why, sizeof why), FTL_EINTERNAL);
    cr_assert_neq(why[0], '\0');
    device->shards[1].heap.used_pages--;
    give_back(header);
    run_for(UINT64_C(1000000000));
    cr_assert_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    close_device();
}

/* ---- no memory ------------------------------------------------------------------------------------------------------------ */

/* No address space also means that the stack does not grow: so it has grown before. */
static FTLI_NOINLINE char grow_stack(void)
{
    volatile char room[256 * 1024];
    for (size_t i = 0; i < sizeof room; i += 1024)
        room[i] = (char)i;
    return room[1024];
}

Test(device, without_address_space_it_does_not_open)
{
    const struct ftli_allocation_settings settings = {
        .shards = 1, .magazine = 64, .small_bytes = 32 * KIB, .large_bytes = MIB, .thread_cache_bytes = 64 * KIB};
    const struct ftli_topology_device as = {.limit_bytes = 64 * MIB, .hard = 1, .arena_bytes = 16 * MIB};
    struct rlimit limit;
    open_device(64 * MIB, 1, 64 * KIB);
    struct ftli_device *first = device, *second = NULL;
    (void)grow_stack();
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 1;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    int status = ftli_device_open(&as, &settings, &table, kernel, 1, &second);
    limit.rlim_cur = before;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    cr_assert_eq(status, FTL_ENOMEM);
    cr_assert_null(second);
    ftli_device_close(NULL);
    device = first;
    close_device();
}
