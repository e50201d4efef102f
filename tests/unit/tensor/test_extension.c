/* The extension: a parent's children are a bag that grows by cells and gives all of them back. */
#include "tensor/extension.h"

#include <criterion/criterion.h>

enum { RUNTIME = 9, SLOTS = 1024 };

static struct ftli_table table;
static uint32_t cold;

static struct ftli_extension *opened(void)
{
    cr_assert_eq(ftli_table_open(&table, RUNTIME, SLOTS), FTL_OK);
    cold = ftli_cell_take(&table);
    return ftli_extension(&table, cold);
}

static void all_went_back(void)
{
    ftli_extension_give(&table, cold);
    cr_assert_eq(ftli_u64_load_relaxed(&table.cells_out), 0);
    ftli_table_close(&table);
}

Test(extension, what_was_added_can_be_taken)
{
    struct ftli_extension *extension = opened();
    uint64_t sum = 0, taken = 0;
    for (uint64_t child = 1; child <= 20; child++)
        cr_assert_eq(ftli_extension_add_child(&table, extension, child), FTL_OK);
    for (uint64_t child; (child = ftli_extension_take_child(&table, extension)) != 0; taken++)
        sum += child;
    cr_assert_eq(taken, 20);
    cr_assert_eq(sum, 210);
    all_went_back();
}

Test(extension, a_child_is_there_as_often_as_it_was_added)
{
    struct ftli_extension *extension = opened();
    cr_assert_not(ftli_extension_remove_child(&table, extension, 5));
    for (int i = 0; i < 2; i++)
        cr_assert_eq(ftli_extension_add_child(&table, extension, 5), FTL_OK);
    cr_assert_eq(ftli_extension_add_child(&table, extension, 6), FTL_OK);
    cr_assert(ftli_extension_remove_child(&table, extension, 5));
    cr_assert(ftli_extension_remove_child(&table, extension, 5));
    cr_assert_not(ftli_extension_remove_child(&table, extension, 5));
    cr_assert_eq(ftli_extension_take_child(&table, extension), 6);
    cr_assert_eq(ftli_extension_take_child(&table, extension), 0);
    all_went_back();
}

Test(extension, a_child_of_an_older_cell_is_found)
{
    struct ftli_extension *extension = opened();
    for (uint64_t child = 1; child <= 30; child++)
        cr_assert_eq(ftli_extension_add_child(&table, extension, child), FTL_OK);
    for (uint64_t child = 1; child <= 30; child += 2)
        cr_assert(ftli_extension_remove_child(&table, extension, child), "child %lu", (unsigned long)child);
    uint64_t left = 0;
    for (uint64_t child; (child = ftli_extension_take_child(&table, extension)) != 0; left++)
        cr_assert_eq(child % 2, 0);
    cr_assert_eq(left, 15);
    all_went_back();
}

Test(extension, shape_and_strides_go_back_with_it)
{
    struct ftli_extension *extension = opened();
    ftli_u32_store_release(&extension->shape, ftli_cell_take(&table));
    ftli_u32_store_release(&extension->strides, ftli_cell_take(&table));
    cr_assert_eq(ftli_u64_load_relaxed(&table.cells_out), 3);
    all_went_back();
}

Test(extension, without_cells_a_child_is_refused_and_nothing_was_added)
{
    struct ftli_extension *extension = opened();
    uint32_t last = 0;
    for (uint32_t cell; (cell = ftli_cell_take(&table)) != 0;)
        last = cell;
    cr_assert_eq(ftli_extension_add_child(&table, extension, 1), FTL_ENOMEM);
    cr_assert_eq(ftli_extension_take_child(&table, extension), 0);
    ftli_cell_give(&table, last);
    for (uint64_t child = 1; child <= 7; child++) /* one cell holds seven, and the last six need no cell of their own */
        cr_assert_eq(ftli_extension_add_child(&table, extension, child), FTL_OK);
    cr_assert_eq(ftli_extension_add_child(&table, extension, 8), FTL_ENOMEM);
    ftli_table_close(&table);
}
