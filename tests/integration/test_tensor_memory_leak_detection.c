/* 20 tensors dropped in a scope: no leak. 20 that were retained and never dropped: exactly those 20 are reported, with label,
 * size and scope, by the scan and by close. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>

#include <stdio.h>
#include <string.h>

enum { TENSORS = 20 };

static ftl_runtime *runtime;

static void open_runtime(void)
{
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_OK, "%s", ftl_last_error());
}

TestSuite(tensor_memory_leak_detection, .init = open_runtime);

static size_t bytes_of(unsigned i)
{
    return 500 + (size_t)i * 3000; /* small ones and whole pages */
}

static void label_of(unsigned i, char label[32])
{
    (void)snprintf(label, 32, "weights %02u", i);
}

static void make(ftl_scope scope, ftl_tensor tensors[TENSORS])
{
    for (unsigned i = 0; i < TENSORS; i++) {
        char label[32];
        label_of(i, label);
        ftl_tensor_options options = {.scope = scope, .label = label, .tag = i + 1, .site = FTL_HERE};
        cr_assert_eq(ftl_bytes_new(runtime, bytes_of(i), &options, &tensors[i]), FTL_OK, "%s", ftl_last_error());
    }
}

static void expect_no_leak(void)
{
    ftl_leak_report *report;
    cr_assert_eq(ftl_leak_scan(runtime, NULL, &report), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(report->count, 0);
    cr_assert_eq(report->leaked, 0);
    cr_assert_eq(report->leaked_bytes, 0);
    ftl_leak_report_free(report);
}

/* Each row is one of ours, and each of ours is one row. */
static void expect_exactly(const ftl_leak_report *report, const ftl_tensor tensors[TENSORS])
{
    unsigned seen[TENSORS] = {0};
    uint64_t bytes = 0;
    cr_assert_eq(report->count, TENSORS);
    cr_assert_eq(report->leaked, TENSORS);
    for (size_t row = 0; row < report->count; row++) {
        const ftl_leak *leak = &report->leaks[row];
        unsigned i = 0;
        while (i < TENSORS && tensors[i].id != leak->tensor.id)
            i++;
        cr_assert_lt(i, TENSORS, "row %zu is none of ours", row);
        char label[32];
        label_of(i, label);
        seen[i]++;
        bytes += leak->bytes;
        cr_assert_eq(leak->bytes, bytes_of(i));
        cr_assert_str_eq(leak->label, label);
        cr_assert_str_eq(leak->scope, "request");
        cr_assert_not_null(strstr(leak->site, "test_tensor_memory_leak_detection.c:"), "%s", leak->site);
        cr_assert_eq(leak->tag, i + 1);
        cr_assert_eq(leak->count, 1);
        cr_assert_eq(leak->cause, FTL_LEAK_OUTLIVED_SCOPE);
        cr_assert_eq(leak->certainty, 100);
        if (row > 0)
            cr_assert_leq(leak->bytes, report->leaks[row - 1].bytes, "most bytes first");
    }
    for (unsigned i = 0; i < TENSORS; i++)
        cr_assert_eq(seen[i], 1);
    cr_assert_eq(report->leaked_bytes, bytes);
}

Test(tensor_memory_leak_detection, dropped_in_a_scope)
{
    ftl_scope scope;
    ftl_tensor tensors[TENSORS];
    ftl_close_report closed;
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    make(scope, tensors);
    expect_no_leak(); /* alive in a scope that has not ended */
    for (unsigned i = 0; i < TENSORS; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    expect_no_leak();
    cr_assert_eq(ftl_runtime_close(runtime, &closed), FTL_OK);
    cr_assert_eq(closed.leaked, 0);
    cr_assert_eq(closed.leaked_bytes, 0);
    cr_assert_null(closed.leaks);
}

Test(tensor_memory_leak_detection, dropped_by_the_end_of_their_scope)
{
    ftl_scope scope;
    ftl_tensor tensors[TENSORS];
    uint64_t dropped;
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    make(scope, tensors);
    cr_assert_eq(ftl_scope_end(scope, &dropped), FTL_OK);
    cr_assert_eq(dropped, TENSORS);
    expect_no_leak();
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(tensor_memory_leak_detection, retained_and_never_dropped)
{
    ftl_scope scope, other;
    ftl_tensor tensors[TENSORS], good[TENSORS];
    ftl_leak_report *report;
    ftl_close_report closed;
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    cr_assert_eq(ftl_scope_begin(runtime, "other", &other), FTL_OK);
    make(scope, tensors);
    make(other, good);
    for (unsigned i = 0; i < TENSORS; i++)
        cr_assert_eq(ftl_tensor_retain(tensors[i]), FTL_OK);
    cr_assert_eq(ftl_scope_end(other, NULL), FTL_OK);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    cr_assert_eq(ftl_leak_scan(runtime, NULL, &report), FTL_OK, "%s", ftl_last_error());
    expect_exactly(report, tensors);
    cr_assert_eq(report->scanned, TENSORS);
    ftl_leak_report_free(report);
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.leak_suspects, TENSORS);
    cr_assert_eq(ftl_runtime_close(runtime, &closed), FTL_OK);
    cr_assert_eq(closed.leaked, TENSORS);
    cr_assert_not_null(closed.leaks);
    expect_exactly(closed.leaks, tensors);
    cr_assert_eq(closed.leaked_bytes, closed.leaks->leaked_bytes);
    ftl_leak_report_free(closed.leaks);
}

Test(tensor_memory_leak_detection, found_is_found_no_more_once_it_is_dropped)
{
    ftl_scope scope;
    ftl_tensor tensors[TENSORS];
    ftl_leak_report *report;
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    make(scope, tensors);
    for (unsigned i = 0; i < TENSORS; i++)
        cr_assert_eq(ftl_tensor_retain(tensors[i]), FTL_OK);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    for (unsigned i = 0; i < TENSORS; i++) {
        cr_assert_eq(ftl_leak_scan(runtime, NULL, &report), FTL_OK, "%s", ftl_last_error());
        cr_assert_eq(report->leaked, TENSORS - i);
        ftl_leak_report_free(report);
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    }
    expect_no_leak();
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
