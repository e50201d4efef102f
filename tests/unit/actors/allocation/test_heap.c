/* What a heap promises, case by case: merging, slabs, refusals, limits, segments, giving back. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "actors/allocation/heap.h"

#define MIB ((size_t)1 << 20)

static struct ftli_space space;
static struct ftli_heap heap, child;
static size_t charged;
static unsigned long charges, fail_at; /* the fail_at-th charge is refused, counted from 1 */

static bool charge(void *context, size_t bytes)
{
    cr_assert_eq(context, &charged);
    if (++charges == fail_at) {
        return false;
    }
    charged += bytes;
    return true;
}

static void uncharge(void *context, size_t bytes)
{
    cr_assert_eq(context, &charged);
    charged -= bytes;
}

static bool moves; /* free granules of the child give their memory to the heap */

static bool move(void *context, struct ftli_granule *to)
{
    cr_assert_eq(context, &charged);
    return moves && ftli_heap_move_out(&child, to);
}

static void begin(void)
{
    struct ftli_heap_options options = {
        .space = &space,
        .id = 1,
        .grows = true,
        .charge = charge,
        .uncharge = uncharge,
        .move = move,
        .context = &charged,
    };
    cr_assert_eq(ftli_space_init(&space, 64 * MIB), FTL_OK);
    cr_assert_eq(ftli_heap_init(&heap, &options), FTL_OK);
    options.id = 2;
    options.grows = false;
    cr_assert_eq(ftli_heap_init(&child, &options), FTL_OK);
}

static void check(const char *when)
{
    char why[300];
    cr_assert(ftli_heap_check(&heap, why, sizeof why), "%s: %s", when, why);
    cr_assert(ftli_heap_check(&child, why, sizeof why), "%s, child: %s", when, why);
    cr_assert_eq((size_t)(heap.committed_pages + child.committed_pages) * FTLI_PAGE_BYTES, charged);
}

static void end(void)
{
    check("at the end");
    ftli_heap_fini(&heap);
    ftli_heap_fini(&child);
    ftli_space_fini(&space);
}

static char *take(size_t bytes)
{
    void *out = NULL;
    bool zeroed;
    cr_assert_eq(ftli_heap_take_pages(&heap, bytes, 64, &out, &zeroed), FTL_OK);
    return out;
}

Test(heap, neighbours_merge_whatever_the_order)
{
    static const unsigned orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct ftli_heap_figures figures;
    begin();
    for (unsigned o = 0; o < 6; o++) {
        char *blocks[3];
        for (unsigned i = 0; i < 3; i++) {
            blocks[i] = take(40000);
            cr_assert_eq(blocks[i], blocks[0] + i * (size_t)40960);
        }
        for (unsigned i = 0; i < 3; i++) {
            cr_assert_eq(ftli_heap_give_pages(&heap, blocks[orders[o][i]]), FTL_OK);
            check("a give");
        }
        ftli_heap_figures(&heap, &figures);
        cr_assert_eq(figures.free_runs, 1);
    }
    end();
}

Test(heap, the_newest_of_the_shortest_that_fit)
{
    begin();
    char *blocks[9];
    static const size_t pages[9] = {30, 1, 10, 1, 20, 1, 10, 1, 300};
    for (unsigned i = 0; i < 9; i++) {
        blocks[i] = take(pages[i] * FTLI_PAGE_BYTES);
    }
    static const unsigned order[5] = {6, 0, 8, 4, 2};
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(ftli_heap_give(&heap, blocks[order[i]]), FTL_OK);
        check("a give");
    }
    cr_assert_eq(take(8 * FTLI_PAGE_BYTES), blocks[2], "10 pages, and given last of two");
    cr_assert_eq(take(9 * FTLI_PAGE_BYTES), blocks[6]);
    cr_assert_eq(take(2 * FTLI_PAGE_BYTES), blocks[2] + 8 * FTLI_PAGE_BYTES, "what is left of a span is a span");
    cr_assert_eq(take(11 * FTLI_PAGE_BYTES), blocks[4]);
    cr_assert_eq(take(25 * FTLI_PAGE_BYTES), blocks[0]);
    check("taking");
    end();
}

Test(heap, wrong_addresses_change_nothing)
{
    int local;
    void *slots[2];
    unsigned taken;
    begin();
    char *block = take(100000);
    cr_assert_eq(ftli_heap_take_slots(&heap, ftli_size_class(100), slots, 2, &taken), FTL_OK);
    cr_assert_eq(ftli_heap_give(&heap, &local), FTL_EINTERNAL);
    cr_assert_eq(ftli_heap_give(&heap, NULL), FTL_EINTERNAL);
    cr_assert_eq(ftli_heap_give(&heap, block + 4096), FTL_EINTERNAL);
    cr_assert_eq(ftli_heap_give(&heap, block + 64), FTL_EINTERNAL);
    cr_assert_eq(ftli_heap_give(&heap, (char *)slots[0] + 64), FTL_EINTERNAL, "no slot begins there");
    cr_assert_eq(ftli_heap_give_slot(&heap, block), FTL_EINTERNAL);
    cr_assert_eq(ftli_heap_give_pages(&heap, slots[0]), FTL_EINTERNAL);
    cr_assert_eq(ftli_heap_give(&child, block), FTL_EINTERNAL, "it is the other heap's");
    cr_assert_eq(ftli_heap_block_bytes(&space, block + 4096), 0);
    cr_assert_eq(ftli_heap_block_bytes(&space, &local), 0);
    check("wrong addresses");
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(ftli_heap_give(&heap, slots[i]), FTL_OK);
        cr_assert_eq(ftli_heap_give(&heap, slots[i]), FTL_EINTERNAL, "given twice");
    }
    cr_assert_eq(ftli_heap_give(&heap, block), FTL_OK);
    cr_assert_eq(ftli_heap_give(&heap, block), FTL_EINTERNAL, "given twice");
    end();
}

Test(heap, wrong_arguments)
{
    void *out = &space;
    bool zeroed;
    unsigned taken;
    struct ftli_segment segment = {&segment, 2 * MIB};
    struct ftli_heap_options options = {.space = &space, .id = 0};
    begin();
    cr_assert_eq(ftli_heap_init(&child, &options), FTL_EINVAL);
    options = (struct ftli_heap_options){.space = &space, .id = FTLI_HEAPS_MOST};
    cr_assert_eq(ftli_heap_init(&child, &options), FTL_EINVAL);
    cr_assert_eq(ftli_heap_take_pages(&heap, 1, 0, &out, &zeroed), FTL_EINVAL);
    cr_assert_eq(ftli_heap_take_pages(&heap, 1, 3, &out, &zeroed), FTL_EINVAL);
    cr_assert_eq(ftli_heap_take_pages(&heap, 1, (size_t)1 << 31, &out, &zeroed), FTL_EINVAL);
    cr_assert_eq(ftli_heap_take_pages(&heap, SIZE_MAX, 64, &out, &zeroed), FTL_ENOMEM);
    cr_assert_eq(ftli_heap_take_slots(&heap, 0, &out, 1, &taken), FTL_EINVAL);
    cr_assert_eq(ftli_heap_take_slots(&heap, FTLI_SLOT_CLASSES, &out, 1, &taken), FTL_EINVAL);
    cr_assert_eq(ftli_heap_take_slots(&heap, 1, &out, 0, &taken), FTL_EINVAL);
    cr_assert_eq(ftli_heap_detach_segment(&heap, MIB, &segment), FTL_EINVAL);
    cr_assert_eq(ftli_heap_detach_segment(&heap, 0, &segment), FTL_EINVAL);
    cr_assert_eq(ftli_heap_donate(&heap, &segment), FTL_EINVAL, "no arena lies there");
    cr_assert_eq(out, &space, "outputs stay as they were");
    end();
}

Test(heap, no_bytes_and_big_alignments)
{
    void *out;
    bool zeroed;
    begin();
    cr_assert_eq(ftli_heap_take_pages(&heap, 0, 1, &out, &zeroed), FTL_OK);
    cr_assert_eq(ftli_heap_block_bytes(&space, out), FTLI_PAGE_BYTES);
    cr_assert(zeroed, "fresh pages are zero");
    for (size_t alignment = 4096; alignment <= (size_t)1 << 30; alignment *= 2) {
        cr_assert_eq(ftli_heap_take_pages(&heap, 5000, alignment, &out, &zeroed), FTL_OK);
        cr_assert_eq((uintptr_t)out % alignment, 0, "%p at %zu", out, alignment);
        check("an alignment");
    }
    end();
}

Test(heap, slots_of_every_class)
{
    static void *slots[FTLI_SLOT_CLASSES][200];
    unsigned taken;
    begin();
    for (unsigned c = 1; c < FTLI_SLOT_CLASSES; c++) {
        cr_assert_eq(ftli_heap_take_slots(&heap, c, slots[c], 200, &taken), FTL_OK);
        cr_assert_eq(taken, 200);
        for (unsigned i = 0; i < taken; i++) {
            memset(slots[c][i], (int)c, ftli_class_bytes(c));
        }
    }
    check("taking");
    struct ftli_heap_figures figures;
    ftli_heap_figures(&heap, &figures);
    cr_assert(figures.slab_bytes > 0 && figures.slab_free_bytes * 4 < figures.slab_bytes, "%zu of %zu free",
              (size_t)figures.slab_free_bytes, (size_t)figures.slab_bytes);
    for (unsigned c = 1; c < FTLI_SLOT_CLASSES; c++) {
        for (unsigned i = 0; i < 200; i++) {
            const unsigned char *slot = slots[c][i];
            cr_assert(slot[0] == c && slot[ftli_class_bytes(c) - 1] == c, "slot %u of class %u was overwritten", i, c);
            cr_assert_eq(ftli_heap_block_bytes(&space, slot), ftli_class_bytes(c));
        }
        for (unsigned i = 0; i < 200; i++) {
            cr_assert_eq(ftli_heap_give_slot(&heap, slots[c][i * 77 % 200]), FTL_OK);
        }
    }
    check("giving");
    ftli_heap_figures(&heap, &figures);
    cr_assert(figures.slab_bytes <= FTLI_SLOT_CLASSES * (size_t)65536, "one spare a class, not %zu",
              (size_t)figures.slab_bytes);
    (void)ftli_heap_purge(&heap, 0, 0);
    ftli_heap_figures(&heap, &figures);
    cr_assert_eq(figures.slab_bytes, 0, "a purge that keeps nothing releases the spares");
    cr_assert_eq(figures.committed_bytes, 0);
    end();
}

Test(heap, a_class_that_is_little_used_holds_little)
{
    void *slot;
    unsigned taken;
    begin();
    for (unsigned c = 1; c < FTLI_SLOT_CLASSES; c++) {
        uint64_t before = heap.slab_pages;
        cr_assert_eq(ftli_heap_take_slots(&heap, c, &slot, 1, &taken), FTL_OK);
        uint64_t bytes = (heap.slab_pages - before) << FTLI_PAGE_SHIFT, slots = bytes / ftli_class_bytes(c);
        cr_assert(bytes <= 49152, "class %u begins with %zu", c, (size_t)bytes);
        cr_assert((bytes - slots * ftli_class_bytes(c)) * 14 <= bytes, "class %u: %zu of %zu is tail", c,
                  (size_t)(bytes - slots * ftli_class_bytes(c)), (size_t)bytes);
    }
    end();
}

Test(heap, lowest_slab_and_slot_first)
{
    static void *slots[2000], *again[3];
    unsigned taken;
    begin();
    cr_assert_eq(ftli_heap_take_slots(&heap, 4, slots, 2000, &taken), FTL_OK);
    static const unsigned given[3] = {1500, 3, 700};
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(ftli_heap_give_slot(&heap, slots[given[i]]), FTL_OK);
    }
    cr_assert_eq(ftli_heap_take_slots(&heap, 4, again, 3, &taken), FTL_OK);
    cr_assert(again[0] == slots[3] && again[1] == slots[700] && again[2] == slots[1500]);
    end();
}

/* The same little program with every charge in turn refused: what was not refused works, and nothing is lost. */
static unsigned long program(void)
{
    void *blocks[12] = {NULL};
    unsigned taken;
    bool zeroed;
    struct ftli_segment segment;
    begin();
    charges = 0;
    for (unsigned i = 0; i < 4; i++) {
        (void)ftli_heap_take_pages(&heap, 50000 + i * 300000, 64, &blocks[i], &zeroed);
        int result = ftli_heap_take_slots(&heap, 5 * i + 1, &blocks[4 + i], 1, &taken);
        cr_assert(result == FTL_OK || result == FTL_ELIMIT);
    }
    cr_assert_eq(ftli_heap_detach_segment(&heap, 2 * MIB, &segment), FTL_OK);
    cr_assert_eq(ftli_heap_donate(&child, &segment), FTL_OK);
    for (unsigned i = 8; i < 12; i++) {
        (void)ftli_heap_take_pages(&child, 70000, 64, &blocks[i], &zeroed);
        check("a take");
    }
    for (unsigned i = 0; i < 12; i++) {
        if (blocks[i]) {
            cr_assert_eq(ftli_heap_give(i < 8 ? &heap : &child, blocks[i]), FTL_OK);
        }
    }
    check("giving all");
    (void)ftli_heap_purge(&heap, 0, 0);
    (void)ftli_heap_purge(&child, 0, 0);
    cr_assert_eq(charged, 0, "%zu still charged", charged);
    end();
    return charges;
}

/* 90 % of what was made goes at random: what is left costs little more than itself, and can be built upon. */
Test(heap, pages_of_free_slots_alone_go_back)
{
    enum { MANY = 2000 };
    static void *blocks[MANY];
    static unsigned classes[MANY];
    struct ftli_heap_figures figures;
    struct ftli_slab_cursor cursor = {0};
    uint64_t random = 7, live_bytes = 0;
    unsigned taken, low = ftli_size_class(4096);
    begin();
    for (unsigned i = 0; i < MANY; i++) {
        random = random * UINT64_C(6364136223846793005) + 1;
        classes[i] = low + (unsigned)(random >> 33) % (FTLI_SLOT_CLASSES - low);
        cr_assert_eq(ftli_heap_take_slots(&heap, classes[i], &blocks[i], 1, &taken), FTL_OK);
        memset(blocks[i], (int)i, ftli_class_bytes(classes[i]));
    }
    for (unsigned i = 0; i < MANY; i++) {
        if (i % 10 == 3) {
            live_bytes += ftli_class_bytes(classes[i]);
            continue;
        }
        cr_assert_eq(ftli_heap_give_slot(&heap, blocks[i]), FTL_OK);
    }
    (void)ftli_heap_purge(&heap, 0, 0);
    cr_assert(ftli_heap_purge_slabs(&heap, &cursor, UINT32_MAX, false));
    cr_assert_eq(cursor.bytes, 0, "nothing is old yet");
    cr_assert_gt(cursor.young, 0);
    while (!ftli_heap_purge_slabs(&heap, &cursor, 10, false))
        ;
    check("given back");
    ftli_heap_figures(&heap, &figures);
    cr_assert_gt(cursor.bytes, 4 * live_bytes);
    cr_assert_leq(figures.committed_bytes, live_bytes * 13 / 10, "%llu for %llu",
                  (unsigned long long)figures.committed_bytes, (unsigned long long)live_bytes);
    cr_assert_eq(figures.committed_bytes, figures.used_bytes + figures.free_committed_bytes);
    cr_assert_eq(figures.used_bytes - figures.slab_free_bytes, live_bytes);
    cr_assert_eq(charged, figures.committed_bytes);
    for (unsigned i = 0; i < MANY; i++) {
        const unsigned char *bytes = blocks[i];
        if (i % 10 == 3)
            cr_assert(bytes[0] == (unsigned char)i && bytes[ftli_class_bytes(classes[i]) - 1] == (unsigned char)i);
        else
            cr_assert_eq(ftli_heap_take_slots(&heap, classes[i], &blocks[i], 1, &taken), FTL_OK);
    }
    check("taken again");
    for (unsigned i = 0; i < MANY; i++)
        cr_assert_eq(ftli_heap_give_slot(&heap, blocks[i]), FTL_OK);
    (void)ftli_heap_purge(&heap, 0, 0);
    cr_assert_eq(charged, 0);
    end();
}

/* A page that went back is charged when it comes again, and may be refused. */
Test(heap, a_slot_whose_pages_went_back_may_meet_the_limit)
{
    void *blocks[64], *one = blocks;
    unsigned taken, c = ftli_size_class(8192);
    struct ftli_slab_cursor cursor = {0};
    begin();
    cr_assert_eq(ftli_heap_take_slots(&heap, c, blocks, 64, &taken), FTL_OK);
    for (unsigned i = 0; i < taken; i++)
        if (i != 40)
            cr_assert_eq(ftli_heap_give_slot(&heap, blocks[i]), FTL_OK);
    (void)ftli_heap_purge(&heap, 0, 0);
    cr_assert(ftli_heap_purge_slabs(&heap, &cursor, UINT32_MAX, true));
    cr_assert_gt(cursor.bytes, 0);
    size_t before = charged;
    fail_at = charges + 1;
    cr_assert_eq(ftli_heap_take_slots(&heap, c, &one, 1, &taken), FTL_ELIMIT);
    cr_assert_eq(one, blocks, "the output was touched");
    cr_assert_eq(charged, before);
    check("refused");
    fail_at = charges + 3;
    cr_assert_eq(ftli_heap_take_slots(&heap, c, blocks, 40, &taken), FTL_OK);
    cr_assert_eq(taken, 2, "%u", taken);
    cr_assert_eq(charged, before + 2 * 8192);
    end();
}

Test(heap, the_nth_charge_refused)
{
    fail_at = 0;
    unsigned long all = program();
    cr_assert(all >= 10, "%lu charges", all);
    for (unsigned long n = 1; n <= all; n++) {
        fail_at = n;
        (void)program();
    }
}

Test(heap, a_batch_of_slots_cut_short_by_the_limit)
{
    static void *slots[3000];
    unsigned taken = 0;
    begin();
    fail_at = 3;
    cr_assert_eq(ftli_heap_take_slots(&heap, 16, slots, 3000, &taken), FTL_OK, "what there is");
    cr_assert(taken > 0 && taken < 3000, "%u", taken);
    for (unsigned i = 0; i < taken; i++) {
        cr_assert_eq(ftli_heap_give_slot(&heap, slots[i]), FTL_OK);
    }
    fail_at = 0;
    end();
}

Test(heap, no_address_space)
{
    void *out = &space;
    bool zeroed;
    begin();
    char *block = take(MIB);
    struct rlimit before, limit = {(rlim_t)64 << 20, (rlim_t)64 << 20};
    cr_assert_eq(getrlimit(RLIMIT_AS, &before), 0);
    limit.rlim_max = before.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    int result = ftli_heap_take_pages(&heap, 200 * MIB, 64, &out, &zeroed);
    cr_assert_eq(setrlimit(RLIMIT_AS, &before), 0);
    cr_assert_eq(result, FTL_ENOMEM);
    cr_assert_eq(out, &space);
    check("a refusal");
    cr_assert_eq(ftli_heap_give(&heap, block), FTL_OK);
    cr_assert_eq(ftli_heap_give(&heap, take(200 * MIB)), FTL_OK, "later calls work");
    end();
}

Test(heap, a_child_without_room_says_so)
{
    void *out;
    bool zeroed;
    struct ftli_segment segment, back[2];
    begin();
    cr_assert_eq(ftli_heap_take_pages(&child, 1, 64, &out, &zeroed), FTL_ENOMEM);
    cr_assert_eq(ftli_heap_detach_segment(&heap, 6 * MIB, &segment), FTL_OK);
    cr_assert_eq(segment.bytes, 6 * MIB);
    cr_assert_eq((uintptr_t)segment.address % FTLI_GRANULE_BYTES, 0);
    cr_assert_eq(ftli_heap_donate(&child, &segment), FTL_OK);
    cr_assert_eq(ftli_heap_take_pages(&child, 5 * MIB, 64, &out, &zeroed), FTL_OK, "segments' pages are one run");
    cr_assert_eq(ftli_heap_owner(&space, out), 2);
    cr_assert_eq(ftli_heap_detach_free_segments(&child, 0, back, 2), 0, "no granule is wholly free");
    cr_assert_eq(ftli_heap_give(&child, out), FTL_OK);
    cr_assert_eq(ftli_heap_detach_free_segments(&child, 3 * MIB, back, 2), 1);
    cr_assert_eq(back[0].bytes, 2 * MIB, "a granule is beyond what is kept");
    cr_assert_eq(back[0].address, (char *)segment.address + 4 * MIB, "the highest");
    cr_assert_eq(ftli_heap_donate(&heap, &back[0]), FTL_OK);
    check("a segment back");
    end();
}

Test(heap, purge_takes_the_longest_first_and_keeps_what_it_is_told)
{
    begin();
    char *small = take(20 * FTLI_PAGE_BYTES), *between = take(FTLI_PAGE_BYTES), *big = take(5 * MIB);
    char *last = take(FTLI_PAGE_BYTES);
    memset(small, 1, 20 * FTLI_PAGE_BYTES);
    memset(big, 1, 5 * MIB);
    cr_assert_eq(ftli_heap_give(&heap, small), FTL_OK);
    cr_assert_eq(ftli_heap_give(&heap, big), FTL_OK);
    size_t free_bytes = 5 * MIB + 20 * FTLI_PAGE_BYTES;
    cr_assert_eq(ftli_heap_free_resident_bytes(&heap), free_bytes);
    cr_assert_eq(ftli_heap_purge(&heap, free_bytes, 0), 0);
    cr_assert_eq(ftli_heap_purge(&heap, MIB, 2 * MIB), 2 * MIB, "the budget");
    cr_assert(big[3 * MIB - 1] == 1 && big[3 * MIB] == 0, "the upper end goes first");
    cr_assert_eq(ftli_heap_purge(&heap, MIB, 0), free_bytes - 3 * MIB);
    cr_assert_eq(ftli_heap_free_resident_bytes(&heap), MIB);
    cr_assert_eq(small[0], 1, "the short run stays");
    check("a purge");
    cr_assert_eq(ftli_heap_give(&heap, between), FTL_OK);
    cr_assert_eq(ftli_heap_give(&heap, last), FTL_OK);
    cr_assert_eq(ftli_heap_purge(&heap, 0, 0), MIB + 2 * FTLI_PAGE_BYTES);
    cr_assert_eq(charged, 0);
    end();
}

Test(heap, figures_say_what_cannot_serve_a_large_tensor)
{
    void *slot;
    unsigned taken;
    struct ftli_heap_figures figures;
    begin();
    char *blocks[64];
    for (unsigned i = 0; i < 64; i++) {
        blocks[i] = take(100 * 1024);
    }
    cr_assert_eq(ftli_heap_take_slots(&heap, 4, &slot, 1, &taken), FTL_OK);
    for (unsigned i = 0; i < 64; i += 2) {
        cr_assert_eq(ftli_heap_give(&heap, blocks[i]), FTL_OK);
    }
    ftli_heap_figures(&heap, &figures);
    cr_assert_eq(figures.free_runs, 33, "%zu", (size_t)figures.free_runs);
    cr_assert_eq(figures.short_free_bytes, 32 * 100 * 1024 + FTLI_PAGE_BYTES - 256, "%zu",
                 (size_t)figures.short_free_bytes);
    cr_assert_eq(figures.used_bytes, 32 * 100 * 1024 + FTLI_PAGE_BYTES);
    cr_assert_eq(figures.committed_bytes, figures.used_bytes + figures.free_committed_bytes);
    cr_assert_eq(figures.segments_bytes, figures.used_bytes + figures.free_bytes);
    cr_assert_eq(figures.largest_free_run, 64 * MIB - 64 * 100 * 1024 - FTLI_PAGE_BYTES);
    for (unsigned i = 1; i < 64; i += 2) {
        cr_assert_eq(ftli_heap_give(&heap, blocks[i]), FTL_OK);
    }
    ftli_heap_figures(&heap, &figures);
    cr_assert_eq(figures.short_free_bytes, FTLI_PAGE_BYTES - 256, "6.25 MiB in one run can");
    end();
}

/* Each tells of a different damage: the walk is worth what it finds. */
Test(heap, the_walk_finds_damage)
{
    char why[300];
    begin();
    char *a = take(100000), *b = take(100000);
    cr_assert_eq(ftli_heap_give(&heap, a), FTL_OK);
    uint64_t entry = ftli_space_entry(&space, a);
    struct ftli_page *page = ftli_space_page(&space, ftli_entry_number(entry, a));
    struct ftli_page kept = *page;
    page->committed--;
    cr_assert_not(ftli_heap_check(&heap, why, sizeof why));
    cr_assert(strstr(why, "committed"), "%s", why);
    *page = kept;
    page->pages++;
    cr_assert_not(ftli_heap_check(&heap, why, sizeof why));
    *page = kept;
    page[3].state = FTLI_PAGE_USED;
    cr_assert_not(ftli_heap_check(&heap, why, sizeof why));
    cr_assert(strstr(why, "inside"), "%s", why);
    page[3].state = FTLI_PAGE_NONE;
    heap.used_pages++;
    cr_assert_not(ftli_heap_check(&heap, why, sizeof why));
    cr_assert(strstr(why, "used pages"), "%s", why);
    heap.used_pages--;
    ftli_entry_granule(entry)->written[0] ^= 2;
    cr_assert_not(ftli_heap_check(&heap, why, sizeof why));
    ftli_entry_granule(entry)->written[0] ^= 2;
    cr_assert_eq(ftli_heap_give(&heap, b), FTL_OK);
    end();
}

Test(heap, a_free_granule_elsewhere_gives_its_memory_instead_of_fresh_pages)
{
    struct ftli_segment segment;
    void *out;
    bool zeroed;
    begin();
    char *first = take(MIB); /* in use: its granule cannot be a target */
    memset(first, 1, MIB);
    cr_assert_eq(ftli_heap_detach_segment(&heap, 2 * MIB, &segment), FTL_OK);
    cr_assert_eq(ftli_heap_donate(&child, &segment), FTL_OK);
    cr_assert_eq(ftli_heap_take_pages(&child, 2 * MIB, 64, &out, &zeroed), FTL_OK);
    memset(out, 3, 2 * MIB);
    cr_assert_eq(ftli_heap_give(&child, out), FTL_OK);
    size_t before = charged;
    moves = true;
    char *moved = out;
    cr_assert_eq(ftli_heap_take_pages(&heap, 4 * MIB, 2 * MIB, &out, &zeroed), FTL_OK);
    if (((char *)out)[0] != 3) {
        cr_skip("the system does not move pages");
    }
    cr_assert_not(zeroed, "half of it holds what the child had");
    cr_assert_eq(charged, before + 2 * MIB, "one granule moved, one is fresh");
    cr_assert_eq(child.committed_pages, 0);
    cr_assert_eq(moved[0], 0);
    check("a move");
    cr_assert_eq(ftli_heap_give(&heap, out), FTL_OK);
    cr_assert_eq(ftli_heap_give(&heap, first), FTL_OK);
    moves = false;
    cr_assert_eq(ftli_heap_take_pages(&child, 2 * MIB, 64, &out, &zeroed), FTL_OK);
    cr_assert(zeroed && out == moved, "and the child's addresses read as zeros");
    cr_assert_eq(((char *)out)[2 * MIB - 1], 0);
    cr_assert_eq(ftli_heap_give(&child, out), FTL_OK);
    (void)ftli_heap_purge(&heap, 0, 0);
    (void)ftli_heap_purge(&child, 0, 0);
    cr_assert_eq(charged, 0);
    end();
}

Test(heap, small_pages_are_used_while_huge_ones_are_slow_to_come)
{
    bool zeroed;
    void *out;
    begin();
    heap.options.huge_from_bytes = 1;
    (void)take(4 * MIB); /* the first is below the least */
    size_t before = charged;
    ftli_u32_store_relaxed(&space.huge_passed, 1);
    cr_assert_eq(ftli_heap_take_pages(&heap, MIB, 2 * MIB, &out, &zeroed), FTL_OK);
    cr_assert_eq(charged, before + MIB, "passed over: only what was asked for");
    cr_assert_eq(ftli_u32_load_relaxed(&space.huge_passed), 0);
    cr_assert_eq(ftli_heap_take_pages(&heap, MIB, 2 * MIB, &out, &zeroed), FTL_OK);
    if (ftli_space_granule(&space, ftli_entry_number(ftli_space_entry(&space, out), out))->huge) {
        cr_assert_eq(charged, before + 3 * MIB, "all of a huge one");
        cr_assert_eq(ftli_heap_give(&heap, out), FTL_OK);
        (void)ftli_heap_purge(&heap, 0, 0);
        ftli_u32_store_relaxed(&space.huge_passed, 1);
        cr_assert_eq(ftli_heap_take_pages(&heap, MIB, 2 * MIB, &out, &zeroed), FTL_OK);
        cr_assert_eq(charged, before + 2 * MIB, "and one that was huge is small again");
    }
    cr_assert_eq(((char *)out)[MIB - 1], 0);
    end();
}
