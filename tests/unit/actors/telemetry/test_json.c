#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "actors/telemetry/json.h"
#include "actors/telemetry/json_text.h"

static char text[FTLI_TELEMETRY_JSON_BYTES + FTLI_TELEMETRY_JSON_ACTOR_BYTES];

static struct ftli_sample sample_with(const ftl_stats *stats)
{
    return (struct ftli_sample){
        .stats = *stats,
        .lanes = {{.name = "emergency"}, {.name = "high"}, {.name = "normal"}, {.name = "background"}}};
}

static size_t json_of(const char *runtime, uint64_t time_ns, const ftl_stats *stats, size_t bytes)
{
    const struct ftli_sample sample = sample_with(stats);
    return ftli_telemetry_json(runtime, time_ns, &sample, text, bytes);
}

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
    size_t bytes = json_of("server", 12, &stats, sizeof text);
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
    expect_field(",\"degraded\":4294967295,\"retries\":0,");
    expect_field(",\"lane_alarms\":0,\"tracking_level\":0,\"tracking_sampled\":0,");
    expect_field(",\"tracking_rate_4\":0.000000000,\"lanes\":[{\"name\":\"emergency\",\"completed\":0,");
    expect_field("}],\"actors\":[]}");
    /* Each of the 35 eight-byte fields stands there with its own number or share, none twice. */
    unsigned keys = 0;
    for (const char *at = text; (at = strstr(at, "\":")) != NULL; at += 2)
        keys++;
    cr_expect_eq(keys, 35 + 2 + 2 + 9 + 9 + 2 + 4 * 5);
}

Test(telemetry_json, at_its_longest_it_fits)
{
    ftl_stats stats;
    memset(&stats, 0xff, sizeof stats); /* the largest counts; shares that are no numbers */
    static const char name[] = "\"\\\n\t\x7f\x01\"\\\n\t\x7f\x01\"\\\n\t\x7f\x01\"\\\n\t\x7f\x01\"\\\n\t\x7f\x01\"";
    struct ftli_sample sample = sample_with(&stats);
    struct ftli_sample_actor actor;
    memset(&sample.supervision, 0xff, sizeof sample.supervision);
    memset(&sample.tracking, 0xff, sizeof sample.tracking);
    for (unsigned i = 0; i < 4; i++)
        sample.tracking.rates[i] = -999999999.0;
    memset(&actor, 0xff, sizeof actor);
    actor.name = name;
    actor.state = "restarting";
    for (unsigned i = 0; i < FTLI_LANES; i++) {
        const char *lane = sample.lanes[i].name;
        memset(&sample.lanes[i], 0xff, sizeof sample.lanes[i]);
        sample.lanes[i].name = lane;
    }
    size_t alone = ftli_telemetry_json(name, UINT64_MAX, &sample, text, FTLI_TELEMETRY_JSON_BYTES);
    cr_assert_gt(alone, 0);
    sample.actors = &actor;
    sample.actor_count = 1;
    size_t bytes = ftli_telemetry_json(name, UINT64_MAX, &sample, text, sizeof text);
    cr_expect_leq(bytes, alone + FTLI_TELEMETRY_JSON_ACTOR_BYTES);
    expect_field("\"state\":\"restarting\",\"degraded\":18446744073709551615,");
    expect_field("\"background\":18446744073709551615,\"oldest_ns\":18446744073709551615}]}");
    cr_log_info("%zu bytes an actor", bytes - alone);
    cr_assert_gt(bytes, 0);
    expect_field("\"created\":18446744073709551615,");
    expect_field("\"efficiency\":null,");
    expect_field("\\u0022\\u005c\\u000a\\u0009\\u007f\\u0001");
    cr_log_info("%zu of %d bytes", bytes, FTLI_TELEMETRY_JSON_BYTES);
}

Test(telemetry_json, what_does_not_fit_is_not_half_written)
{
    ftl_stats stats = {0};
    size_t needed = json_of("x", 1, &stats, sizeof text);
    cr_expect_eq(json_of("x", 1, &stats, needed), 0);
    cr_expect_eq(json_of("x", 1, &stats, needed + 1), needed);
    for (size_t bytes = 0; bytes < 60; bytes++)
        cr_expect_eq(json_of("x", 1, &stats, bytes), 0);
}

Test(telemetry_json, shares_out_of_reach_are_null)
{
    ftl_stats stats = {.fragmentation = INFINITY, .efficiency = NAN, .tracking_time_overhead = 1e300};
    cr_assert_gt(json_of("x", 1, &stats, sizeof text), 0);
    expect_field("\"fragmentation\":null,");
    expect_field("\"efficiency\":null,");
    expect_field("\"tracking_time_overhead\":null,");
}

/* A label is cut at a byte, and may have been none from the start. */
Test(telemetry_json, what_is_not_utf8_is_replaced)
{
    char bytes[64];
    struct ftli_json_text to = {bytes, bytes + sizeof bytes, false};
    ftli_json_put_text(&to, "caf\xc3\xa9 caf\xc3");
    ftli_json_put_text(&to, "\xff\xe2\x82|\xed\xa0\x80");
    cr_assert_neq(ftli_json_put_end(&to, bytes), 0);
    cr_expect_str_eq(bytes, "\"caf\xc3\xa9 caf\\ufffd\"\"\\ufffd\\ufffd\\ufffd|\\ufffd\\ufffd\\ufffd\"");
}
