#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "actors/telemetry/json.h"

static char text[FTLI_TELEMETRY_JSON_BYTES];

static void expect_field(const char *expected)
{
    cr_expect(strstr(text, expected) != NULL, "%s is not in %s", expected, text);
}

Test(telemetry_json, every_field_under_its_own_name)
{
    ftl_stats stats;
    memset(&stats, 0, sizeof stats);
    uint64_t *counts = (uint64_t *)(void *)&stats;
    for (size_t i = 0; i < offsetof(ftl_stats, pressure) / 8; i++)
        counts[i] = i + 1;
    stats.fragmentation = 0.25;
    stats.efficiency = 0.9;
    stats.tracking_time_overhead = 1.5e-9;
    stats.tracking_memory_overhead = -0.5;
    stats.pressure = 3;
    stats.degraded = UINT32_MAX;
    size_t bytes = ftli_telemetry_json("server", 12, &stats, text, sizeof text);
    cr_assert_gt(bytes, 0);
    cr_expect_eq(strlen(text), bytes);
    cr_expect(strncmp(text, "{\"runtime\":\"server\",\"time_ns\":12,\"created\":1,", 45) == 0, "%s", text);
    expect_field("\"live\":2,");
    expect_field("\"fragmentation\":0.250000000,");
    expect_field("\"efficiency\":0.900000000,");
    expect_field("\"tracking_time_overhead\":0.000000002,");
    expect_field("\"tracking_memory_overhead\":-0.500000000,");
    expect_field("\"generation_wraps\":35,");
    expect_field("\"pressure\":3,");
    expect_field(",\"degraded\":4294967295}");
    /* Each of the 35 eight-byte fields stands there with its own number or share, none twice. */
    unsigned keys = 0;
    for (const char *at = text; (at = strstr(at, "\":")) != NULL; at += 2)
        keys++;
    cr_expect_eq(keys, 35 + 2 + 2);
}

Test(telemetry_json, at_its_longest_it_fits)
{
    ftl_stats stats;
    memset(&stats, 0xff, sizeof stats); /* the largest counts; shares that are no numbers */
    size_t bytes =
        ftli_telemetry_json("\"\\\n\t\x7f\x01\"\\\n\t\x7f\x01\"\\\n\t\x7f\x01\"\\\n\t\x7f\x01\"\\\n\t\x7f\x01\"",
                            UINT64_MAX, &stats, text, sizeof text);
    cr_assert_gt(bytes, 0);
    expect_field("\"created\":18446744073709551615,");
    expect_field("\"efficiency\":null,");
    expect_field("\\u0022\\u005c\\u000a\\u0009\\u007f\\u0001");
    cr_log_info("%zu of %d bytes", bytes, FTLI_TELEMETRY_JSON_BYTES);
}

Test(telemetry_json, what_does_not_fit_is_not_half_written)
{
    ftl_stats stats = {0};
    size_t needed = ftli_telemetry_json("x", 1, &stats, text, sizeof text);
    cr_expect_eq(ftli_telemetry_json("x", 1, &stats, text, needed), 0);
    cr_expect_eq(ftli_telemetry_json("x", 1, &stats, text, needed + 1), needed);
    for (size_t bytes = 0; bytes < 60; bytes++)
        cr_expect_eq(ftli_telemetry_json("x", 1, &stats, text, bytes), 0);
}

Test(telemetry_json, shares_out_of_reach_are_null)
{
    ftl_stats stats = {.fragmentation = INFINITY, .efficiency = NAN, .tracking_time_overhead = 1e300};
    cr_assert_gt(ftli_telemetry_json("x", 1, &stats, text, sizeof text), 0);
    expect_field("\"fragmentation\":null,");
    expect_field("\"efficiency\":null,");
    expect_field("\"tracking_time_overhead\":null,");
}
