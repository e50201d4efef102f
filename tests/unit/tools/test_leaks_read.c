/* What "leaks json" says, as the command line reads it, subtracts it, and prints it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/leaks_read.h"

static char why[128], printed[20000];
static size_t printed_bytes;

#define ROW(cause, site, label, count, bytes)                                                                        \
    "{\"cause\":\"" cause "\",\"certainty\":100,\"count\":" #count ",\"bytes\":" #bytes                              \
    ",\"age_ns\":41000000000,\"growth_bytes_per_second\":0.0,\"tensor\":\"0x00100000010000d6\",\"tag\":7,\"label\":" \
    "\"" label "\",\"scope\":\"s\",\"site\":\"" site                                                                 \
    "\",\"reason\":\"be\\u0063ause \\\"it\\\"\",\"fix\":\"drop it\",\"stack\":\"a < b\",\"later\":[1,{\"x\":2}]}"
#define LIST(rows)                                                                                                    \
    "{\"runtime\":\"server\",\"process\":4242,\"scanned\":18204,\"elapsed_ns\":4000000,\"watched_ns\":9,\"more\":{}," \
    "\"findings\":[" rows "],\"caches\":[{\"label\":\"weights\",\"tensors\":291,\"bytes\":13,\"age_ns\":5}]}\n"

static struct ftli_leaks read_good(const char *text)
{
    struct ftli_leaks leaks;
    cr_assert(ftli_leaks_read(text, &leaks, why, sizeof why), "%s", why);
    return leaks;
}

Test(leaks_read, all_that_is_said)
{
    struct ftli_leaks leaks =
        read_good(LIST(ROW("outlived its scope", "a.c:1", "kv", 20, 5000) "," ROW("grows", "b.c:2", "", 3, 300)));
    cr_assert_str_eq(leaks.runtime, "server");
    cr_assert(leaks.process == 4242 && leaks.scanned == 18204 && leaks.elapsed_ns == 4000000);
    cr_assert_eq(leaks.row_count, 2);
    const struct ftli_leaks_row *row = leaks.rows;
    cr_assert(row->leak.cause == FTL_LEAK_OUTLIVED_SCOPE && row->leak.certainty == 100 && row->leak.count == 20 &&
              row->leak.bytes == 5000 && row->leak.tag == 7 && row->leak.tensor.id == 0x00100000010000d6);
    cr_assert_str_eq(row->leak.site, "a.c:1");
    cr_assert_str_eq(row->reason, "because \"it\"");
    cr_assert_str_eq(row->stack, "a < b");
    cr_assert_eq(leaks.rows[1].leak.cause, FTL_LEAK_GROWTH);
    cr_assert_eq(leaks.cache_count, 1);
    cr_assert_str_eq(leaks.caches[0].label, "weights");
    ftli_leaks_free(&leaks);
}

Test(leaks_read, what_is_none)
{
    static const char *const wrong[] = {"",
                                        "[]",
                                        "{}",
                                        "{\"findings\":3}",
                                        "{\"findings\":[",
                                        "{\"findings\":[{\"count\":-1}]}",
                                        "{\"findings\":[{\"count\":\"x\"}]}",
                                        "{\"findings\":[{\"certainty\":101}]}",
                                        "{\"findings\":[],\"process\":1e99}",
                                        "{\"findings\":[],\"process\":null}"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct ftli_leaks leaks;
        why[0] = '\0';
        cr_expect_not(ftli_leaks_read(wrong[i], &leaks, why, sizeof why), "%s", wrong[i]);
        cr_expect_neq(why[0], '\0', "%s", wrong[i]);
        ftli_leaks_free(&leaks);
    }
}

Test(leaks_read, the_difference_to_a_snapshot)
{
    struct ftli_leaks before = read_good(LIST(ROW("outlived its scope", "a.c:1", "kv", 20, 5000) "," ROW(
                          "outlived its scope", "same.c:1", "", 4, 40) "," ROW("alive", "c.c:1", "", 9, 90))),
                      now = read_good(LIST(ROW("outlived its scope", "same.c:1", "", 4, 40) "," ROW(
                          "cycle of links", "a.c:1", "kv", 2, 100) "," ROW("outlived its scope", "a.c:1", "kv", 25,
                                                                           6250)));
    ftli_leaks_subtract(&now, &before);
    cr_assert_eq(now.row_count, 2);
    cr_assert(now.rows[0].leak.cause == FTL_LEAK_OUTLIVED_SCOPE && now.rows[0].leak.count == 5 &&
              now.rows[0].leak.bytes == 1250);
    cr_assert(now.rows[1].leak.cause == FTL_LEAK_CYCLE && now.rows[1].leak.count == 2);
    cr_assert_eq(ftli_leaks_quiet(&now, "b.c:2,a.c"), 0, "a part of a name is none");
    cr_assert_eq(ftli_leaks_quiet(&now, "b.c:2,a.c:1"), 2);
    cr_assert_eq(now.row_count, 0);
    ftli_leaks_free(&before);
    ftli_leaks_free(&now);
}

static int collect(const char *text, size_t n, void *user)
{
    (void)user;
    cr_assert_lt(printed_bytes + n, sizeof printed);
    memcpy(printed + printed_bytes, text, n);
    printed_bytes += n;
    return 0;
}

Test(leaks_read, the_text_says_each_reason_once)
{
    ftl_leak leaks[FTLI_LEAK_LINES_MOST + 5];
    struct ftli_leak_line lines[FTLI_LEAK_LINES_MOST + 5];
    for (unsigned i = 0; i < FTLI_LEAK_LINES_MOST + 5; i++) {
        leaks[i] = (ftl_leak){.bytes = 5242880,
                              .count = 1904,
                              .age_ns = UINT64_C(11520000000000),
                              .certainty = 83,
                              .cause = FTL_LEAK_GROWTH,
                              .growth_bytes_per_second = 1048576.0 / 3600};
        (void)snprintf(leaks[i].site, sizeof leaks[i].site, "f.c:%u", i + 1);
        lines[i] = (struct ftli_leak_line){&leaks[i], i == 1 ? "another" : "the same", "do it", i == 1 ? "x < y" : ""};
    }
    ftli_leak_text(lines, 0, true, collect, NULL);
    cr_assert_eq(printed_bytes, 0);
    ftli_leak_text(lines, FTLI_LEAK_LINES_MOST + 5, true, collect, NULL);
    cr_assert_not_null(strstr(printed, "  83 %    1,904    5.0 MiB  3 h 12 min  grows 1.0 MiB/h"), "%s", printed);
    cr_assert_not_null(strstr(printed, "... and 5 more rows"), "%s", printed);
    cr_assert_not_null(
        strstr(printed, "\n1, 3, 4, 5, 6, 7, 8, 9, ..  why: the same\n   fix: do it.     quiet it: --expect f.c:1\n"),
        "%s", printed);
    cr_assert_not_null(strstr(printed, "\n2  why: another\n   x < y\n   fix: do it"), "%s", printed);
    cr_assert_null(strstr(strstr(printed, "why: the same") + 1, "why: the same"), "%s", printed);
}

Test(leaks_read, figures)
{
    static const struct {
        uint64_t value;
        const char *bytes, *time;
    } figures[] = {{0, "0 B", "0 ms"},
                   {1023, "1023 B", "0 ms"},
                   {1024, "1.0 KiB", "0 ms"},
                   {UINT64_C(41000000000), "38.2 GiB", "41 s"},
                   {UINT64_C(360000000000), "335.3 GiB", "6 min"},
                   {UINT64_C(11520000000000), "10.5 TiB", "3 h 12 min"},
                   {UINT64_C(260000000000000), "236.5 TiB", "3 d 0 h"}};
    for (unsigned i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        char text[24];
        ftli_leak_text_bytes(figures[i].value, text);
        cr_expect_str_eq(text, figures[i].bytes);
        ftli_leak_text_time(figures[i].value, text);
        cr_expect_str_eq(text, figures[i].time);
    }
    for (uint32_t cause = 1; cause <= FTL_LEAK_PINNED; cause++)
        cr_expect_eq(ftli_leak_cause_of(ftli_leak_cause(cause)), cause);
}
