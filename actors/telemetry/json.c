#include "actors/telemetry/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum kind { COUNT, COUNT32, SHARE };

static const struct field {
    const char *name;
    size_t offset;
    enum kind kind;
} fields[] = {
#define COUNT_FIELD(name)                       \
    {                                           \
#name, offsetof(ftl_stats, name), COUNT \
    }
#define COUNT32_FIELD(name)                       \
    {                                             \
#name, offsetof(ftl_stats, name), COUNT32 \
    }
#define SHARE_FIELD(name)                       \
    {                                           \
#name, offsetof(ftl_stats, name), SHARE \
    }
    COUNT_FIELD(created),
    COUNT_FIELD(live),
    COUNT_FIELD(pending),
    COUNT_FIELD(reclaimed),
    COUNT_FIELD(quarantined),
    COUNT_FIELD(immediate),
    COUNT_FIELD(deferred),
    COUNT_FIELD(stale_handles),
    COUNT_FIELD(live_bytes),
    COUNT_FIELD(pending_bytes),
    COUNT_FIELD(cached_bytes),
    COUNT_FIELD(slack_bytes),
    COUNT_FIELD(committed_bytes),
    COUNT_FIELD(peak_live_bytes),
    SHARE_FIELD(fragmentation),
    SHARE_FIELD(efficiency),
    SHARE_FIELD(tracking_time_overhead),
    SHARE_FIELD(tracking_memory_overhead),
    COUNT_FIELD(quarantined_bytes),
    COUNT_FIELD(metadata_bytes),
    COUNT_FIELD(wrapped_bytes),
    COUNT_FIELD(immovable_bytes),
    COUNT_FIELD(limit_bytes),
    COUNT_FIELD(oldest_pending_ns),
    COUNT_FIELD(reclaim_p50_ns),
    COUNT_FIELD(reclaim_p99_ns),
    COUNT_FIELD(reclaim_max_ns),
    COUNT_FIELD(restarts),
    COUNT_FIELD(events_lost),
    COUNT_FIELD(leak_suspects),
    COUNT_FIELD(held_bytes),
    COUNT_FIELD(audits_failed),
    COUNT_FIELD(unpins_without_pin),
    COUNT_FIELD(moves_voided),
    COUNT_FIELD(generation_wraps),
    COUNT32_FIELD(pressure),
    COUNT32_FIELD(degraded),
};

/* Text that grows until it does not fit. */
struct text {
    char *at, *end;
    bool full;
};

static void put(struct text *text, const char *from, size_t n)
{
    if (text->full || (size_t)(text->end - text->at) <= n) {
        text->full = true;
        return;
    }
    memcpy(text->at, from, n);
    text->at += n;
}

static void put_count(struct text *text, uint64_t count)
{
    char digits[24];
    put(text, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count));
}

/* Nine digits behind the point, by integers: printf would take the locale's comma. */
static void put_share(struct text *text, double share)
{
    char digits[40];
    if (!isfinite(share) || fabs(share) >= 1e9) {
        put(text, "null", 4);
        return;
    }
    uint64_t billionths = (uint64_t)(fabs(share) * 1e9 + 0.5);
    put(text, "-", share < 0 && billionths != 0);
    put(text, digits,
        (size_t)snprintf(digits, sizeof digits, "%" PRIu64 ".%09" PRIu64, billionths / 1000000000,
                         billionths % 1000000000));
}

static void put_text(struct text *text, const char *value)
{
    put(text, "\"", 1);
    for (; *value != '\0'; value++) {
        char escaped[8];
        if ((unsigned char)*value < 0x20 || *value == '"' || *value == '\\' || *value == 0x7f)
            put(text, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)(unsigned char)*value));
        else
            put(text, value, 1);
    }
    put(text, "\"", 1);
}

static void put_key(struct text *text, const char *key)
{
    put(text, ",\"", 2);
    put(text, key, strlen(key));
    put(text, "\":", 2);
}

static void put_field(struct text *text, const ftl_stats *stats, const struct field *field)
{
    const char *at = (const char *)stats + field->offset;
    uint64_t count;
    uint32_t count32;
    double share;
    put_key(text, field->name);
    switch (field->kind) {
    case COUNT:
        memcpy(&count, at, sizeof count);
        put_count(text, count);
        break;
    case COUNT32:
        memcpy(&count32, at, sizeof count32);
        put_count(text, count32);
        break;
    case SHARE:
        memcpy(&share, at, sizeof share);
        put_share(text, share);
        break;
    }
}

static void put_number(struct text *text, const char *key, uint64_t count)
{
    put_key(text, key);
    put_count(text, count);
}

static void put_supervision(struct text *text, const struct ftli_sample_supervision *s)
{
    put_number(text, "retries", s->retries);
    put_number(text, "quarantines", s->quarantines);
    put_number(text, "given_up", s->given_up);
    put_number(text, "breaks", s->breaks);
    put_number(text, "breakers_open", s->breakers_open);
    put_number(text, "receives_overdue", s->receives_overdue);
    put_number(text, "drops_overdue", s->drops_overdue);
    put_number(text, "scopes_overdue", s->scopes_overdue);
    put_number(text, "lane_alarms", s->lane_alarms);
}

/* The next object of a list, which begins with its name. */
static void begin_named(struct text *text, uint32_t index, const char *name)
{
    put(text, ",{\"name\":" + (index == 0), 9 - (index == 0));
    put_text(text, name);
}

static void put_lane(struct text *text, uint32_t index, const struct ftli_sample_lane *lane)
{
    begin_named(text, index, lane->name);
    put_number(text, "completed", lane->completed);
    put_number(text, "reclaim_p50_ns", lane->reclaim_p50_ns);
    put_number(text, "reclaim_p99_ns", lane->reclaim_p99_ns);
    put_number(text, "reclaim_max_ns", lane->reclaim_max_ns);
    put(text, "}", 1);
}

static void put_actor(struct text *text, uint32_t index, const struct ftli_sample_actor *actor,
                      const struct ftli_sample_lane *lanes)
{
    begin_named(text, index, actor->name);
    put_key(text, "state");
    put_text(text, actor->state);
    put_number(text, "degraded", actor->degraded);
    put_number(text, "restarts", actor->restarts);
    put_number(text, "failures", actor->failures);
    put_number(text, "receives_overdue", actor->receives_overdue);
    put_number(text, "lane_alarms", actor->lane_alarms);
    put_number(text, "messages", actor->messages);
    put_number(text, "busy_ns", actor->busy_ns);
    for (unsigned i = 0; i < FTLI_LANES; i++)
        put_number(text, lanes[i].name, actor->depth[i]);
    put_number(text, "oldest_ns", actor->oldest_ns);
    put(text, "}", 1);
}

size_t ftli_telemetry_json(const char *runtime, uint64_t time_ns, const struct ftli_sample *sample, char *out,
                           size_t bytes)
{
    struct text text = {out, out + bytes, bytes == 0};
    put(&text, "{\"runtime\":", 11);
    put_text(&text, runtime);
    put_key(&text, "time_ns");
    put_count(&text, time_ns);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        put_field(&text, &sample->stats, &fields[i]);
    put_supervision(&text, &sample->supervision);
    put_key(&text, "lanes");
    put(&text, "[", 1);
    for (uint32_t i = 0; i < FTLI_LANES; i++)
        put_lane(&text, i, &sample->lanes[i]);
    put(&text, "],\"actors\":[", 12);
    for (uint32_t i = 0; i < sample->actor_count; i++)
        put_actor(&text, i, &sample->actors[i], sample->lanes);
    put(&text, "]}", 2);
    if (text.full)
        return 0;
    *text.at = '\0';
    return (size_t)(text.at - out);
}
