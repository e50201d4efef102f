#include "actors/telemetry/json.h"

#include "actors/telemetry/json_text.h"

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

static void put_field(struct ftli_json_text *text, const ftl_stats *stats, const struct field *field)
{
    const char *at = (const char *)stats + field->offset;
    uint64_t count;
    uint32_t count32;
    double share;
    ftli_json_put_key(text, field->name);
    switch (field->kind) {
    case COUNT:
        memcpy(&count, at, sizeof count);
        ftli_json_put_count(text, count);
        break;
    case COUNT32:
        memcpy(&count32, at, sizeof count32);
        ftli_json_put_count(text, count32);
        break;
    case SHARE:
        memcpy(&share, at, sizeof share);
        ftli_json_put_share(text, share);
        break;
    }
}

static void put_supervision(struct ftli_json_text *text, const struct ftli_sample_supervision *s)
{
    ftli_json_put_number(text, "retries", s->retries);
    ftli_json_put_number(text, "quarantines", s->quarantines);
    ftli_json_put_number(text, "given_up", s->given_up);
    ftli_json_put_number(text, "breaks", s->breaks);
    ftli_json_put_number(text, "breakers_open", s->breakers_open);
    ftli_json_put_number(text, "receives_overdue", s->receives_overdue);
    ftli_json_put_number(text, "drops_overdue", s->drops_overdue);
    ftli_json_put_number(text, "scopes_overdue", s->scopes_overdue);
    ftli_json_put_number(text, "lane_alarms", s->lane_alarms);
}

static void put_tracking(struct ftli_json_text *text, const struct ftli_sample_tracking *t)
{
    char key[] = "tracking_rate_1";
    ftli_json_put_number(text, "tracking_level", t->level);
    ftli_json_put_number(text, "tracking_sampled", t->sampled);
    ftli_json_put_number(text, "tracking_rate_changes", t->rate_changes);
    ftli_json_put_number(text, "tracking_over_target", t->over_target);
    ftli_json_put_number(text, "tracking_stacks_paused", t->stacks_paused);
    for (unsigned i = 0; i < 4; i++, key[sizeof key - 2]++) {
        ftli_json_put_key(text, key);
        ftli_json_put_share(text, t->rates[i]);
    }
}

/* The next object of a list, which begins with its name. */
static void begin_named(struct ftli_json_text *text, uint32_t index, const char *name)
{
    ftli_json_put(text, ",{\"name\":" + (index == 0), 9 - (index == 0));
    ftli_json_put_text(text, name);
}

static void put_lane(struct ftli_json_text *text, uint32_t index, const struct ftli_sample_lane *lane)
{
    begin_named(text, index, lane->name);
    ftli_json_put_number(text, "completed", lane->completed);
    ftli_json_put_number(text, "reclaim_p50_ns", lane->reclaim_p50_ns);
    ftli_json_put_number(text, "reclaim_p99_ns", lane->reclaim_p99_ns);
    ftli_json_put_number(text, "reclaim_max_ns", lane->reclaim_max_ns);
    ftli_json_put(text, "}", 1);
}

static void put_actor(struct ftli_json_text *text, uint32_t index, const struct ftli_sample_actor *actor,
                      const struct ftli_sample_lane *lanes)
{
    begin_named(text, index, actor->name);
    ftli_json_put_key(text, "state");
    ftli_json_put_text(text, actor->state);
    ftli_json_put_number(text, "degraded", actor->degraded);
    ftli_json_put_number(text, "restarts", actor->restarts);
    ftli_json_put_number(text, "failures", actor->failures);
    ftli_json_put_number(text, "receives_overdue", actor->receives_overdue);
    ftli_json_put_number(text, "lane_alarms", actor->lane_alarms);
    ftli_json_put_number(text, "messages", actor->messages);
    ftli_json_put_number(text, "busy_ns", actor->busy_ns);
    for (unsigned i = 0; i < FTLI_LANES; i++)
        ftli_json_put_number(text, lanes[i].name, actor->depth[i]);
    ftli_json_put_number(text, "oldest_ns", actor->oldest_ns);
    ftli_json_put(text, "}", 1);
}

size_t ftli_telemetry_json(const char *runtime, uint64_t time_ns, const struct ftli_sample *sample, char *out,
                           size_t bytes)
{
    struct ftli_json_text text = {out, out + bytes, bytes == 0};
    ftli_json_put(&text, "{\"runtime\":", 11);
    ftli_json_put_text(&text, runtime);
    ftli_json_put_key(&text, "time_ns");
    ftli_json_put_count(&text, time_ns);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        put_field(&text, &sample->stats, &fields[i]);
    put_supervision(&text, &sample->supervision);
    put_tracking(&text, &sample->tracking);
    ftli_json_put_key(&text, "lanes");
    ftli_json_put(&text, "[", 1);
    for (uint32_t i = 0; i < FTLI_LANES; i++)
        put_lane(&text, i, &sample->lanes[i]);
    ftli_json_put(&text, "],\"actors\":[", 12);
    for (uint32_t i = 0; i < sample->actor_count; i++)
        put_actor(&text, i, &sample->actors[i], sample->lanes);
    ftli_json_put(&text, "]}", 2);
    return ftli_json_put_end(&text, out);
}
