/* The table: slots and cells are given out once each, used up in the end, and read as zeros after close. */
#include "tensor/table.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/resource.h>

#include "runtime/base/os.h"

enum { RUNTIME = 7, SLOTS = 4096 };

static struct ftli_table table;

static void open_table(void)
{
    cr_assert_eq(ftli_table_open(&table, RUNTIME, SLOTS), FTL_OK);
}

static void close_table(void)
{
    ftli_table_close(&table);
}

TestSuite(table, .init = open_table, .fini = close_table);

Test(table, fresh_slots_are_given_out_once_and_end)
{
    uint32_t expected = 1, first; /* slot 0 never */
    for (;;) {
        uint32_t got = ftli_table_take_fresh(&table, 100, &first);
        if (got == 0)
            break;
        cr_assert_eq(first, expected);
        expected += got;
    }
    cr_assert_eq(expected, table.slots);
    cr_assert_eq(ftli_table_fresh(&table), table.slots);
}

Test(table, a_fresh_slot_is_free_and_neighbours_differ_in_generation)
{
    uint32_t first;
    cr_assert_eq(ftli_table_take_fresh(&table, 64, &first), 64);
    unsigned same = 0;
    for (uint32_t slot = first; slot < first + 64; slot++) {
        uint64_t word = ftli_u64_load_relaxed(&ftli_table_header(&table, slot)->word);
        cr_assert_eq(ftli_word_state(word), FTLI_FREE);
        cr_assert_neq(ftli_word_generation(word), 0);
        if (slot > first)
            same += ftli_word_generation(word) ==
                    ftli_word_generation(ftli_u64_load_relaxed(&ftli_table_header(&table, slot - 1)->word));
    }
    cr_assert_lt(same, 4, "%u of 63 neighbours share a generation", same);
}

Test(table, a_handle_names_its_slot)
{
    uint32_t first;
    cr_assert_eq(ftli_table_take_fresh(&table, 2, &first), 2);
    struct ftli_header *header = ftli_table_header(&table, first + 1);
    uint64_t id = ftli_table_handle(&table, header);
    cr_assert_eq(ftli_handle_runtime(id), RUNTIME);
    cr_assert_eq(ftli_handle_slot(id), first + 1);
    cr_assert_eq(ftli_table_slot(&table, header), first + 1);
    cr_assert_eq(ftli_handle_generation(id), ftli_word_generation(ftli_u64_load_relaxed(&header->word)));
}

Test(table, cells_come_zeroed_last_given_first)
{
    uint32_t one = ftli_cell_take(&table), other = ftli_cell_take(&table);
    cr_assert(one != 0 && other != 0 && one != other);
    memset(ftli_cell(&table, one), 0xff, FTLI_CELL_BYTES);
    ftli_cell_give(&table, other);
    ftli_cell_give(&table, one);
    cr_assert_eq(ftli_u64_load_relaxed(&table.cells_out), 0);
    cr_assert_eq(ftli_cell_take(&table), one);
    static const unsigned char zeros[FTLI_CELL_BYTES];
    cr_assert_arr_eq((unsigned char *)ftli_cell(&table, one), zeros, FTLI_CELL_BYTES);
    cr_assert_eq(ftli_cell_take(&table), other);
    cr_assert_eq(ftli_u64_load_relaxed(&table.cells_out), 2);
}

Test(table, cells_are_used_up_in_the_end)
{
    uint32_t taken = 0, last = 0;
    for (uint32_t cell; (cell = ftli_cell_take(&table)) != 0; last = cell)
        taken++;
    cr_assert_eq(taken, table.slots - 1);
    ftli_cell_give(&table, last);
    cr_assert_eq(ftli_cell_take(&table), last);
    cr_assert_eq(ftli_cell_take(&table), 0);
}

Test(table, what_is_committed_grows_with_what_is_given_out)
{
    size_t before = ftli_table_committed_bytes(&table);
    uint32_t first;
    cr_assert_eq(ftli_table_take_fresh(&table, 2000, &first), 2000);
    size_t after = ftli_table_committed_bytes(&table);
    cr_assert_geq(after, before + 2000 * sizeof(struct ftli_header) - 65536);
    cr_assert_geq(after, 2000 * sizeof(struct ftli_header));
}

Test(table, after_close_every_slot_is_stale)
{
    uint32_t first;
    cr_assert_eq(ftli_table_take_fresh(&table, 10, &first), 10);
    struct ftli_header *header = ftli_table_header(&table, first);
    uint32_t generation = ftli_word_new(&header->word, 0);
    cr_assert(ftli_word_is_live(ftli_u64_load_relaxed(&header->word), generation));
    ftli_table_close(&table);
    cr_assert_eq(ftli_u64_load_relaxed(&header->word), 0);
    open_table(); /* the number's next holder; the last one's addresses are given up */
}

Test(table_bounds, a_wish_for_nothing_is_a_small_table, .init = NULL)
{
    cr_assert_eq(ftli_table_open(&table, RUNTIME, 0), FTL_OK);
    cr_assert_geq(table.slots, 1);
    cr_assert_leq(table.slots, 1U << 16);
    ftli_table_close(&table);
}

static void limit_addresses(rlim_t bytes)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

/* A limit of address space makes a small table, not a failure, and leaves room for the rest. */
Test(table, an_address_limit_makes_it_small)
{
    struct ftli_table small;
    cr_assert_eq(ftli_os_address_limit_bytes(), UINT64_MAX, "the test is run under a limit itself");
    limit_addresses((rlim_t)1 << 50); /* where sanitizers have their own, too */
    cr_assert_eq(ftli_table_open(&small, RUNTIME + 1, 1u << 26), FTL_OK);
    cr_assert_eq(small.slots, 1u << 26);
    ftli_table_close(&small);
    limit_addresses((rlim_t)1 << 20);
    cr_assert_eq(ftli_table_open(&small, RUNTIME + 2, 1u << 26), FTL_ENOMEM);
    cr_assert_null(small.headers);
    limit_addresses(RLIM_INFINITY);
    cr_assert_eq(ftli_table_open(&small, RUNTIME + 2, UINT32_MAX), FTL_OK);
    cr_assert_leq(small.slots, UINT32_C(1) << 28);
    ftli_table_close(&small);
}

/* A number that comes round gives up the addresses of its last holder, headers and cells. */
Test(table, opening_a_number_again_loses_no_addresses)
{
    struct ftli_table again;
    for (unsigned i = 0; i < 300; i++) { /* 16 GiB of slots and as much of cells each time: more than a process has */
        cr_assert_eq(ftli_table_open(&again, RUNTIME + 3, UINT32_C(1) << 28), FTL_OK);
        cr_assert_geq(again.slots, (UINT32_C(1) << 28) - 1024, "open %u found %u slots", i, again.slots);
        ftli_table_close(&again);
    }
}
