#include <pthread.h>
#include <stdio.h>

#include "actors/leak_detection/report.h"
#include "leak_support.h"

TestSuite(scan, .init = open_leaks, .fini = close_leaks);

static ftl_leak_report *scan(uint32_t causes)
{
    const ftl_leak_options options = {.causes = causes};
    ftl_leak_report *report = NULL;
    cr_assert_eq(ftli_leak_scan(&leaks, &options, &report), FTL_OK);
    return report;
}

Test(scan, dropped_with_the_scope_is_no_leak)
{
    uint64_t scope = open_scope("session", FTL_SCOPE_WORK);
    for (unsigned i = 0; i < 20; i++)
        (void)make(256 * 1024, scope, "kv", "a.c:1");
    cr_expect_eq(end_scope(scope), 20);
    ftl_leak_report *report = scan(0);
    cr_expect_eq(report->count, 0);
    cr_expect_eq(report->leaked, 0);
    cr_expect_eq(report->scanned, 0);
    ftli_leak_report_destroy(report);
}

Test(scan, what_outlived_its_scope_exactly)
{
    uint64_t scope = open_scope("session", FTL_SCOPE_WORK), left[20];
    for (unsigned i = 0; i < 20; i++) {
        left[i] = make(256 * 1024, scope, "kv", "a.c:1");
        retain(left[i]);
        (void)make(1000, scope, "ids", "b.c:2");
        (void)make(77, 0, NULL, NULL);
    }
    ftl_leak_report *report = scan(0);
    cr_expect_eq(report->count, 0, "the scope is open");
    ftli_leak_report_destroy(report);
    cr_expect_eq(end_scope(scope), 40);
    ftli_simulation_jump(kernel, 3 * SECOND);
    report = scan(0);
    cr_assert_eq(report->count, 1);
    cr_expect_eq(report->leaked, 20);
    cr_expect_eq(report->leaked_bytes, 20 * 256 * 1024);
    cr_expect_eq(report->scanned, 40);
    const ftl_leak *row = &report->leaks[0];
    cr_expect_eq(row->count, 20);
    cr_expect_eq(row->bytes, 20 * 256 * 1024);
    cr_expect_eq(row->cause, FTL_LEAK_OUTLIVED_SCOPE);
    cr_expect_eq(row->certainty, 100);
    cr_expect_eq(row->age_ns, 3 * SECOND);
    cr_expect_str_eq(row->label, "kv");
    cr_expect_str_eq(row->scope, "session");
    cr_expect_str_eq(row->site, "a.c:1");
    ftli_leak_report_destroy(report);
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 20);
    for (unsigned i = 0; i < 20; i++)
        drop(NULL, left[i]);
    report = scan(0);
    cr_expect_eq(report->leaked, 0);
    ftli_leak_report_destroy(report);
}

Test(scan, a_cache_is_no_leak_and_grace_is_kept)
{
    uint64_t cache = open_scope("weights", FTL_SCOPE_CACHE), work = open_scope("request", FTL_SCOPE_WORK);
    retain(make(10, cache, NULL, NULL));
    retain(make(10, work, NULL, NULL));
    settings.outlived_scope_ns = 5 * (int64_t)SECOND;
    (void)end_scope(cache);
    (void)end_scope(work);
    ftl_leak_report *report = scan(0);
    cr_expect_eq(report->leaked, 0, "grace");
    ftli_leak_report_destroy(report);
    ftli_simulation_jump(kernel, 5 * SECOND);
    report = scan(0);
    cr_expect_eq(report->leaked, 1);
    cr_expect_str_eq(report->leaks[0].scope, "request");
    ftli_leak_report_destroy(report);
    settings.outlived_scope_ns = FTLI_TIME_NONE;
    report = scan(0);
    cr_expect_eq(report->leaked, 0, "not looked for");
    ftli_leak_report_destroy(report);
}

Test(scan, what_outlived_its_thread)
{
    uint64_t mine = make(10, 0, "x", NULL);
    (void)make(10, 0, "x", NULL);
    ftli_u32_store_release(&header_of(mine)->scope, UINT32_C(1) << FTLI_HEADER_PORT_SHIFT);
    thread_ended_ns = ftli_kernel_now_ns(kernel);
    ftl_leak_report *report = scan(0);
    cr_expect_eq(report->leaked, 0, "none is the default");
    ftli_leak_report_destroy(report);
    settings.outlived_thread_ns = (int64_t)SECOND;
    report = scan(0);
    cr_expect_eq(report->leaked, 0, "grace");
    ftli_leak_report_destroy(report);
    ftli_simulation_jump(kernel, SECOND);
    report = scan(UINT32_C(1) << FTL_LEAK_OUTLIVED_THREAD);
    cr_assert_eq(report->leaked, 1);
    cr_expect_eq(report->leaks[0].tensor.id, mine);
    cr_expect_eq(report->leaks[0].cause, FTL_LEAK_OUTLIVED_THREAD);
    ftli_leak_report_destroy(report);
}

Test(scan, rows_have_most_bytes_first)
{
    for (unsigned i = 0; i < 3000; i++) {
        char label[16];
        (void)snprintf(label, sizeof label, "label %u", i % 1000);
        (void)make(i % 1000 + 1, 0, label, NULL);
    }
    ftl_leak_report *report = scan(1);
    cr_assert_eq(report->count, 1000);
    cr_expect_eq(report->leaked, 3000);
    for (unsigned i = 0; i < 1000; i++) {
        cr_assert_eq(report->leaks[i].bytes, 3 * (1000 - i));
        cr_assert_eq(report->leaks[i].count, 3);
        cr_assert_eq(report->leaks[i].cause, 0);
    }
    cr_expect_str_eq(report->leaks[0].label, "label 999");
    ftli_leak_report_destroy(report);
    report = scan(0);
    cr_expect_eq(report->count, 0, "alive is no leak unless it is asked for");
    ftli_leak_report_destroy(report);
}

Test(scan, a_view_has_no_bytes_of_its_own)
{
    uint64_t root = make(4096, 0, NULL, NULL), view = make(1024, 0, NULL, NULL);
    (void)root;
    ftli_u64_store_release(&header_of(view)->record, ftli_record_make(0, 0, 0, FTLI_HEADER_VIEW));
    ftl_leak_report *report = scan(1);
    cr_expect_eq(report->leaked, 2);
    cr_expect_eq(report->leaked_bytes, 4096);
    ftli_leak_report_destroy(report);
}

Test(scan, pinned_after_10_s_and_not_before)
{
    uint64_t tensor = make(500, 0, "pinned", NULL), after;
    cr_assert_eq(ftli_word_pin(&header_of(tensor)->word, ftli_handle_generation(tensor), &after), FTLI_WORD_DONE);
    drop(NULL, tensor);
    for (unsigned look = 0; look < 2; look++) {
        ftl_leak_report *report = scan(0);
        cr_expect_eq(report->leaked, 0);
        ftli_leak_report_destroy(report);
        ftli_simulation_jump(kernel, 5 * SECOND);
    }
    ftl_leak_report *report = scan(0);
    cr_assert_eq(report->leaked, 1);
    cr_expect_eq(report->leaks[0].cause, FTL_LEAK_PINNED);
    cr_expect_eq(report->leaks[0].tensor.id, tensor);
    cr_expect_str_eq(report->leaks[0].label, "pinned");
    ftli_leak_report_destroy(report);
    cr_expect_eq(leaks.pinned_count, 1);
    cr_assert_eq(ftli_word_unpin(&header_of(tensor)->word, ftli_handle_generation(tensor)), FTLI_WORD_POST);
    report = scan(0);
    cr_expect_eq(report->leaked, 0);
    cr_expect_eq(leaks.pinned_count, 0, "forgotten");
    ftli_leak_report_destroy(report);
}

Test(scan, options)
{
    ftl_leak_report *report = NULL;
    const ftl_leak_options wrong[] = {
        {.certainty = 101}, {.timeout_ns = -1}, {.reserved = {1}}, {.causes = UINT32_C(1) << 9}};
    const ftl_leak_options not_here[] = {{.reachability = true}, {.causes = UINT32_C(1) << FTL_LEAK_UNREACHABLE | 1}};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_eq(ftli_leak_scan(&leaks, &wrong[i], &report), FTL_EINVAL, "%u", i);
    for (unsigned i = 0; i < sizeof not_here / sizeof not_here[0]; i++)
        cr_expect_eq(ftli_leak_scan(&leaks, &not_here[i], &report), FTL_ENOTSUP, "%u", i);
    cr_expect_null(report);
    cr_expect_eq(ftli_leak_scan(&leaks, NULL, &report), FTL_OK);
    ftli_leak_report_destroy(report);
    ftli_leak_report_destroy(NULL);
}

Test(scan, at_close_all_that_is_alive)
{
    ftl_leak_report *report = (ftl_leak_report *)&report;
    cr_expect_eq(ftli_leak_list_alive(&leaks, &report), FTL_OK);
    cr_expect_null(report);
    uint64_t scope = open_scope("session", FTL_SCOPE_WORK), pinned = make(1, 0, NULL, NULL), after;
    retain(make(100, scope, "kv", NULL));
    (void)end_scope(scope);
    (void)make(50, 0, "kv", NULL);
    cr_assert_eq(ftli_word_pin(&header_of(pinned)->word, ftli_handle_generation(pinned), &after), FTLI_WORD_DONE);
    drop(NULL, pinned);
    cr_assert_eq(ftli_leak_list_alive(&leaks, &report), FTL_OK);
    cr_expect_eq(report->leaked, 2, "what is pinned is not alive");
    cr_assert_eq(report->count, 2);
    cr_expect_eq(report->leaks[0].cause, FTL_LEAK_OUTLIVED_SCOPE);
    cr_expect_eq(report->leaks[1].cause, 0);
    ftli_leak_report_destroy(report);
}

/* DROPPED, and posted to nobody. */
Test(scan, a_drop_that_nobody_has_is_unreferenced_once_its_time_is_over)
{
    uint64_t tensor = make(500, 0, NULL, NULL);
    struct ftli_header *header = header_of(tensor);
    cr_assert_eq(ftli_word_drop(&header->word, ftli_handle_generation(tensor), false), FTLI_WORD_POST);
    ftli_u64_store_release(&header->dimensions_low, ftli_kernel_now_ns(kernel));
    ftli_simulation_jump(kernel, 11 * SECOND - 1);
    ftl_leak_report *report = scan(0);
    cr_expect_eq(report->count, 0, "its deadline of 10 s, and a second of grace");
    ftli_leak_report_destroy(report);
    ftli_simulation_jump(kernel, 1);
    report = scan(UINT32_C(1) << FTL_LEAK_UNREFERENCED);
    cr_assert_eq(report->count, 1);
    cr_expect_eq(report->leaks[0].cause, FTL_LEAK_UNREFERENCED);
    cr_expect_eq(report->leaks[0].tensor.id, tensor);
    cr_expect_eq(report->leaks[0].bytes, 500);
    cr_expect_eq(report->leaks[0].age_ns, 11 * SECOND);
    ftli_leak_report_destroy(report);
    ftli_word_reclaiming(&header->word);
    report = scan(0);
    cr_expect_eq(report->count, 0, "the cleanup has it");
    ftli_leak_report_destroy(report);
}

/* A walk beside threads that make and drop: it never reports what is not there. */
static ftli_atomic_u32 stop;

static void *churn(void *user)
{
    uint32_t slot = *(const uint32_t *)user;
    struct ftli_header *header = ftli_table_header(&table, slot);
    while (ftli_u32_load_acquire(&stop) == 0) {
        ftli_u64_store_release(&header->size, ftli_size_make(100, FTL_U8, 1));
        ftli_u64_store_release(&header->record, ftli_record_make(0, 0, 0, 0));
        ftli_u32_store_release(&header->scope, 0);
        uint32_t generation = ftli_word_new(&header->word, 0);
        for (unsigned i = 0; i < 50; i++)
            ftli_cpu_relax();
        if (ftli_word_drop(&header->word, generation, true) != FTLI_WORD_MINE)
            return NULL;
        ftli_u64_store_release(&header->size, ftli_size_make(999999, FTL_U8, 1)); /* what nobody may see */
        ftli_u32_store_release(&header->scope, 5);
    }
    return NULL;
}

Test(scan, beside_others_nothing_torn, .timeout = 60)
{
    pthread_t threads[2];
    uint32_t slots[2];
    cr_assert_eq(ftli_table_take_fresh(&table, 1, &slots[0]), 1);
    cr_assert_eq(ftli_table_take_fresh(&table, 1, &slots[1]), 1);
    uint64_t scope = open_scope("never", FTL_SCOPE_WORK);
    (void)end_scope(scope);
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, churn, &slots[i]), 0);
    uint64_t seen = 0;
    for (unsigned i = 0; i < 20000 || seen == 0; i++) { /* the threads may begin late */
        ftl_leak_report *report = scan(UINT32_C(1) | UINT32_C(1) << FTL_LEAK_OUTLIVED_SCOPE);
        cr_assert_eq(report->leaked_bytes, report->leaked * 100);
        for (size_t k = 0; k < report->count; k++)
            cr_assert_str_eq(report->leaks[k].scope, "");
        seen += report->leaked;
        ftli_leak_report_destroy(report);
    }
    ftli_u32_store_release(&stop, 1);
    for (unsigned i = 0; i < 2; i++)
        (void)pthread_join(threads[i], NULL);
    cr_log_info("seen alive %lu times", (unsigned long)seen);
    cr_expect_gt(seen, 0);
}

/* ---- what is behind the rows --------------------------------------------------------------------------------------- */

Test(scan, a_row_says_why_and_what_to_do)
{
    uint64_t scope = open_scope("session", FTL_SCOPE_WORK);
    retain(make(100, scope, "kv", "a.c:1"));
    (void)end_scope(scope);
    (void)make(50, 0, "here", "b.c:2");
    ftl_leak_report *report = scan(1 | 1 << FTL_LEAK_OUTLIVED_SCOPE);
    cr_assert_eq(report->count, 2);
    const struct ftli_leak_detail *leak = ftli_leak_detail_of(report, 0), *alive = ftli_leak_detail_of(report, 1);
    cr_expect(strstr(leak->reason, "before its scope ended") != NULL, "%s", leak->reason);
    cr_expect(strstr(leak->fix, "FTL_SCOPE_CACHE") != NULL, "%s", leak->fix);
    cr_expect_str_eq(alive->reason, "");
    cr_expect_str_eq(alive->fix, "");
    cr_expect_eq(leak->frame_count, 0);
    ftli_leak_report_destroy(report);
}

Test(scan, findings_of_a_pass_keep_their_words_frames_and_certainty)
{
    static const uintptr_t frames[20] = {0x11, 0x22, 0x33};
    char endless[2 * FTLI_LEAK_REASON_BYTES];
    memset(endless, 'x', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    struct ftli_leak_groups groups = {0};
    struct ftli_leak_finding grows = {.tensor = {.tensor = 7, .cause = FTL_LEAK_GROWTH, .site = "g.c:1"},
                                      .count = 1000,
                                      .bytes = 5000,
                                      .certainty = 83,
                                      .growth_bytes_per_second = 12.5,
                                      .reason = "grows 1 MiB/h",
                                      .frames = frames,
                                      .frame_count = 20};
    struct ftli_leak_finding cycle = {.tensor = {.tensor = 8, .cause = FTL_LEAK_CYCLE, .site = "c.c:1"},
                                      .count = 3,
                                      .bytes = 300,
                                      .certainty = 100,
                                      .reason = endless,
                                      .fix = "unlink one"};
    for (unsigned i = 0; i < 200; i++) { /* the table of groups grows; one pass finds two cycles of one site */
        struct ftli_leak_tensor other = {.tensor = 100 + i, .bytes = 1, .cause = FTL_LEAK_PINNED, .label = i + 1};
        cr_assert_eq(ftli_leak_groups_add(&groups, &other), FTL_OK);
        if (i % 100 == 0)
            cr_assert_eq(ftli_leak_groups_add_finding(&groups, &cycle), FTL_OK);
    }
    cr_assert_eq(ftli_leak_groups_add_finding(&groups, &grows), FTL_OK);
    ftl_leak_report *report = NULL;
    cr_assert_eq(ftli_leak_groups_report(&groups, &labels, 0, 0, 0, &report), FTL_OK);
    cr_assert_eq(report->count, 202);
    const struct ftli_leak_detail *detail = ftli_leak_detail_of(report, 0);
    cr_expect_eq(report->leaks[0].certainty, 83);
    cr_expect_eq(report->leaks[0].growth_bytes_per_second, 12.5);
    cr_expect_str_eq(detail->reason, "grows 1 MiB/h");
    cr_expect_eq(detail->frame_count, FTLI_LEAK_FRAMES);
    cr_expect_eq(detail->frames[2], 0x33);
    detail = ftli_leak_detail_of(report, 1);
    cr_expect_eq(report->leaks[1].count, 6);
    cr_expect_eq(strlen(detail->reason), FTLI_LEAK_REASON_BYTES - 1);
    cr_expect_str_eq(detail->fix, "unlink one");
    cr_expect_str_neq(ftli_leak_detail_of(report, 201)->reason, "");
    ftli_leak_report_destroy(report);
    cr_assert_eq(ftli_leak_groups_add_finding(&groups, &grows), FTL_OK);
    cr_assert_eq(ftli_leak_groups_add_finding(&groups, &cycle), FTL_OK);
    cr_assert_eq(ftli_leak_groups_report(&groups, &labels, 90, 0, 0, &report), FTL_OK);
    cr_expect_eq(report->count, 1, "what is not certain enough is left out");
    cr_expect_eq(report->leaked, 3);
    ftli_leak_report_destroy(report);
}
