/* Pages of which nobody has a slot go back and come again: no slot is ever out twice, or given out twice in one generation. */
#include "tensor/table.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/os.h"
#include "runtime/base/random.h"

enum { RUNTIME = 11, SLOTS = 1 << 14, PAGE = 4096 };

static struct ftli_table table;

static void open_table(void)
{
    cr_assert_eq(ftli_table_open(&table, RUNTIME, SLOTS), FTL_OK);
}

static void close_table(void)
{
    ftli_table_close(&table);
}

TestSuite(spare, .init = open_table, .fini = close_table);

static ftli_atomic_u64 *word_of(uint32_t slot)
{
    return &ftli_table_header(&table, slot)->word;
}

static size_t resident_headers(void)
{
    return ftli_os_resident_bytes(table.headers, (size_t)table.slots * sizeof(struct ftli_header));
}

/* Passes over the whole table; returns pages. */
static uint32_t give_back(bool all, unsigned passes)
{
    uint32_t pages = 0;
    while (passes > 0) {
        struct ftli_spare_swept swept = ftli_table_give_back(&table, 100, all);
        pages += swept.pages;
        passes -= swept.done;
    }
    return pages;
}

/* Every slot of the table, once. */
static uint32_t take_all(void)
{
    static bool seen[SLOTS];
    uint32_t first, taken = 0;
    memset(seen, 0, sizeof seen);
    for (uint64_t slots; (slots = ftli_table_take(&table, &first)) != 0;) {
        for (; slots != 0; slots &= slots - 1) {
            uint32_t slot = first + (uint32_t)__builtin_ctzll(slots);
            cr_assert(slot > 0 && slot < table.slots && !seen[slot], "slot %u", slot);
            seen[slot] = true;
            taken++;
        }
    }
    return taken;
}

Test(spare, what_nobody_has_goes_back_and_reads_as_stale)
{
    cr_assert_eq(take_all(), table.slots - 1);
    cr_assert_geq(resident_headers(), (size_t)table.slots * 64);
    size_t before = ftli_table_committed_bytes(&table);
    uint64_t id = ftli_table_handle(&table, ftli_table_header(&table, 100));
    for (uint32_t slot = 1; slot < table.slots; slot++)
        if (slot != 5000) /* one stays out, and its page with it */
            ftli_table_give(&table, ftli_table_header(&table, slot));
    cr_assert_eq(give_back(true, 1), table.slots / 64 - 1);
    cr_assert_eq(resident_headers(), PAGE);
    cr_assert_leq(ftli_table_committed_bytes(&table), before / 32);
    cr_assert_eq(ftli_u64_load_relaxed(word_of(100)), 0, "handle %lx", (unsigned long)id);
    cr_assert_eq(ftli_word_retain(word_of(100), ftli_handle_generation(id)), FTLI_WORD_STALE);
    cr_assert_eq(take_all(), table.slots - 2);
    cr_assert_neq(ftli_table_handle(&table, ftli_table_header(&table, 100)), id);
}

Test(spare, what_is_young_stays_for_a_pass)
{
    cr_assert_eq(take_all(), table.slots - 1);
    for (uint32_t slot = 1; slot < table.slots; slot++)
        ftli_table_give(&table, ftli_table_header(&table, slot));
    cr_assert_eq(give_back(false, 1), 0);
    uint32_t first;
    cr_assert_neq(ftli_table_take(&table, &first), 0); /* its page was used meanwhile */
    for (uint32_t slot = first == 0 ? 1 : first; slot < (first / 64 + 1) * 64; slot++)
        ftli_table_give(&table, ftli_table_header(&table, slot));
    cr_assert_eq(give_back(false, 1), table.slots / 64 - 1);
    cr_assert_eq(give_back(false, 1), 1);
    cr_assert_eq(resident_headers(), 0);
}

Test(spare, resident_pages_are_used_before_those_that_went_back)
{
    uint32_t first, again;
    cr_assert_eq(take_all(), table.slots - 1);
    for (uint32_t slot = 640; slot < 640 + 64; slot++)
        ftli_table_give(&table, ftli_table_header(&table, slot));
    cr_assert_eq(give_back(true, 1), 1);
    ftli_table_give(&table, ftli_table_header(&table, 9000));
    cr_assert_eq(ftli_table_take(&table, &first), UINT64_C(1) << (9000 % 64));
    cr_assert_eq(first, 9000 / 64 * 64);
    cr_assert_eq(ftli_table_take(&table, &again), ~UINT64_C(0));
    cr_assert_eq(again, 640);
    cr_assert_eq(ftli_table_take(&table, &again), 0);
}

Test(spare, neighbours_differ_in_generation_when_they_begin_again)
{
    cr_assert_eq(take_all(), table.slots - 1);
    for (uint32_t slot = 64; slot < 128; slot++)
        ftli_table_give(&table, ftli_table_header(&table, slot));
    cr_assert_eq(give_back(true, 1), 1);
    uint32_t first, same = 0;
    cr_assert_eq(ftli_table_take(&table, &first), ~UINT64_C(0));
    for (uint32_t slot = first + 1; slot < first + 64; slot++)
        same += ftli_word_generation(ftli_u64_load_relaxed(word_of(slot))) ==
                ftli_word_generation(ftli_u64_load_relaxed(word_of(slot - 1)));
    cr_assert_lt(same, 8, "%u of 63 neighbours share a generation", same);
}

/* One slot far ahead of its page would cost the others their generations. */
Test(spare, a_page_that_would_waste_generations_stays)
{
    cr_assert_eq(take_all(), table.slots - 1);
    for (uint32_t slot = 64; slot < 192; slot++) {
        if (slot == 100)
            ftli_u64_store_release(word_of(slot), ftli_word_make(FTLI_GENERATION_LAST, FTLI_WORD_SLOW));
        ftli_table_give(&table, ftli_table_header(&table, slot));
    }
    cr_assert_eq(give_back(true, 2), 1);
    cr_assert_eq(take_all(), 128);
    cr_assert_eq(ftli_word_generation(ftli_u64_load_relaxed(word_of(100))), FTLI_GENERATION_LAST);
}

Test(spare, a_page_of_used_up_slots_goes_back_for_ever)
{
    cr_assert_eq(take_all(), table.slots - 1);
    for (uint32_t slot = 128; slot < 192; slot++) {
        ftli_u64_store_release(word_of(slot), ftli_word_make(FTLI_GENERATION_LAST, FTLI_RETIRED));
        ftli_table_retire(&table, ftli_table_header(&table, slot));
    }
    size_t before = resident_headers();
    cr_assert_eq(give_back(true, 1), 1);
    cr_assert_eq(give_back(true, 1), 0);
    cr_assert_eq(resident_headers(), before - PAGE);
    cr_assert_eq(take_all(), 0);
    cr_assert_eq(ftli_spare_retired(&table.spare), 64);
    cr_assert_eq(ftli_u64_load_relaxed(word_of(130)), 0);
}

Test(spare, a_walk_passes_by_pages_without_a_slot_out)
{
    uint32_t walked = 0;
    cr_assert_eq(take_all(), table.slots - 1);
    for (uint32_t slot = 64; slot < table.slots; slot++)
        if (slot / 64 != 7 && slot / 64 != 9)
            ftli_table_give(&table, ftli_table_header(&table, slot));
    for (unsigned gone = 0; gone < 2; gone++) {
        walked = 0;
        for (uint32_t slot = 1; slot < table.slots; slot = ftli_table_next(&table, slot, table.slots))
            walked += slot / 64 == 0 || slot / 64 == 7 || slot / 64 == 9 ? 1u : 1000000u;
        cr_assert_eq(walked, 63 + 2 * 64);
        (void)give_back(true, 1);
    }
    cr_assert_eq(resident_headers(), 3 * PAGE, "the walk brought pages back");
}

Test(spare, cells_go_back_too)
{
    uint32_t cells[4096];
    for (unsigned i = 0; i < 4096; i++) {
        cells[i] = ftli_cell_take(&table);
        memset(ftli_cell(&table, cells[i]), 0xff, FTLI_CELL_BYTES);
    }
    size_t before = ftli_table_committed_bytes(&table);
    for (unsigned i = 0; i < 4096; i++)
        ftli_cell_give(&table, cells[i]);
    cr_assert_eq(ftli_cell_gather(&table, 1000), 1000);
    cr_assert_eq(ftli_cell_gather(&table, 10000), 3096);
    (void)give_back(true, 1);
    cr_assert_leq(ftli_os_resident_bytes(table.cells, SLOTS * FTLI_CELL_BYTES),
                  PAGE); /* cell 4096 is of the next page */
    cr_assert_leq(ftli_table_committed_bytes(&table), before / 8);
    static bool seen[SLOTS];
    static const unsigned char zeros[FTLI_CELL_BYTES];
    for (unsigned i = 0; i < 5000; i++) {
        uint32_t cell = ftli_cell_take(&table);
        cr_assert(cell != 0 && !seen[cell]);
        seen[cell] = true;
        cr_assert_arr_eq((unsigned char *)ftli_cell(&table, cell), zeros, FTLI_CELL_BYTES);
    }
}

/* ---- against a model, and with threads ----------------------------------------------------------------------------- */

static uint32_t last_given[SLOTS]; /* generation, by slot */
static ftli_atomic_u32 out[SLOTS];

/* A slot comes out: nobody else has it, and its generation is a new one. Then it lives a few times. */
static void come_out(uint32_t slot, uint32_t lives)
{
    uint32_t none = 0;
    cr_assert(ftli_u32_cas_acq_rel(&out[slot], &none, 1), "slot %u is out twice", slot);
    uint64_t word = ftli_u64_load_acquire(word_of(slot));
    uint32_t generation = ftli_word_generation(word);
    cr_assert_eq(ftli_word_state(word), FTLI_FREE);
    cr_assert_gt(generation, last_given[slot], "slot %u: generation %u again", slot, generation);
    for (uint32_t i = 0; i < lives && generation < FTLI_GENERATION_LAST; i++)
        ftli_u64_store_release(word_of(slot), ftli_word_next_free(generation++));
    last_given[slot] = generation - 1;
}

static void go_back(uint32_t slot)
{
    ftli_u32_store_release(&out[slot], 0);
    ftli_table_give(&table, ftli_table_header(&table, slot));
}

/* Random takes, gives and sweeps; some pages live fast. */
static void live(uint64_t seed, unsigned steps, bool sweeps)
{
    enum { MOST = 4096 };
    ftli_random_state random;
    uint32_t *mine = malloc(MOST * sizeof *mine), count = 0, first;
    ftli_random_seed(&random, seed);
    for (unsigned step = 0; step < steps; step++) {
        bool gives = count + 64 > MOST || ftli_random_below(&random, 400) < 200 + (step / 2000 % 2) * 150;
        if (!gives) {
            for (uint64_t slots = ftli_table_take(&table, &first); slots != 0; slots &= slots - 1) {
                uint32_t slot = first + (uint32_t)__builtin_ctzll(slots);
                come_out(slot, slot % 1000 == 3 ? 20000 : (uint32_t)ftli_random_below(&random, 4));
                mine[count++] = slot;
            }
        }
        for (unsigned n = gives ? 64 : 0; n > 0 && count > 0; n--) {
            uint32_t at = (uint32_t)ftli_random_below(&random, count);
            go_back(mine[at]);
            mine[at] = mine[--count];
        }
        if (sweeps && ftli_random_below(&random, 8) == 0)
            (void)ftli_table_give_back(&table, (uint32_t)ftli_random_below(&random, 400),
                                       ftli_random_below(&random, 2) == 0);
    }
    while (count > 0)
        go_back(mine[--count]);
    free(mine);
}

Test(spare, no_slot_and_generation_is_given_out_twice)
{
    live(1, 40000, true);
    (void)give_back(true, 1);
    cr_assert_leq(resident_headers(), 20 * PAGE); /* fast pages may stay */
    cr_assert_eq(take_all(), table.slots - 1);
}

static void *live_in_thread(void *seed)
{
    live((uint64_t)(uintptr_t)seed, 4000, (uintptr_t)seed % 3 == 0);
    return NULL;
}

Test(spare, nor_by_threads)
{
    pthread_t threads[6];
    for (uintptr_t i = 0; i < 6; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, live_in_thread, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < 6; i++)
        (void)pthread_join(threads[i], NULL);
    (void)give_back(true, 2);
    cr_assert_leq(resident_headers(), 20 * PAGE);
    cr_assert_eq(take_all(), table.slots - 1, "slots were lost");
}
