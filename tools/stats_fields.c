#include "tools/stats_fields.h"

#include "tools/json_read.h"
#include "tools/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum kind { COUNT, COUNT32, SHARE };

static const struct field {
    const char *name;
    size_t offset;
    enum kind kind;
    bool needed; /* a term of one of the two sums */
} fields[] = {
#define FIELD(name, kind, needed)                      \
    {                                                  \
#name, offsetof(ftl_stats, name), kind, needed \
    }
    FIELD(created, COUNT, true),
    FIELD(live, COUNT, true),
    FIELD(pending, COUNT, true),
    FIELD(reclaimed, COUNT, true),
    FIELD(quarantined, COUNT, true),
    FIELD(immediate, COUNT, false),
    FIELD(deferred, COUNT, false),
    FIELD(stale_handles, COUNT, false),
    FIELD(live_bytes, COUNT, true),
    FIELD(pending_bytes, COUNT, true),
    FIELD(cached_bytes, COUNT, true),
    FIELD(slack_bytes, COUNT, true),
    FIELD(committed_bytes, COUNT, true),
    FIELD(peak_live_bytes, COUNT, false),
    FIELD(fragmentation, SHARE, false),
    FIELD(efficiency, SHARE, false),
    FIELD(tracking_time_overhead, SHARE, false),
    FIELD(tracking_memory_overhead, SHARE, false),
    FIELD(quarantined_bytes, COUNT, true),
    FIELD(metadata_bytes, COUNT, true),
    FIELD(wrapped_bytes, COUNT, false),
    FIELD(immovable_bytes, COUNT, false),
    FIELD(limit_bytes, COUNT, false),
    FIELD(oldest_pending_ns, COUNT, false),
    FIELD(reclaim_p50_ns, COUNT, false),
    FIELD(reclaim_p99_ns, COUNT, false),
    FIELD(reclaim_max_ns, COUNT, false),
    FIELD(restarts, COUNT, false),
    FIELD(events_lost, COUNT, false),
    FIELD(leak_suspects, COUNT, false),
    FIELD(held_bytes, COUNT, false),
    FIELD(audits_failed, COUNT, false),
    FIELD(unpins_without_pin, COUNT, false),
    FIELD(moves_voided, COUNT, false),
    FIELD(generation_wraps, COUNT, false),
    FIELD(pressure, COUNT32, false),
    FIELD(degraded, COUNT32, false),
#undef FIELD
};
enum { FIELDS = sizeof fields / sizeof *fields };
_Static_assert(FIELDS < 64, "a bit for each in one word");

void ftli_stats_write(struct ftli_json *json, const ftl_stats *stats)
{
    for (size_t i = 0; i < FIELDS; i++) {
        const char *at = (const char *)stats + fields[i].offset;
        uint64_t count = 0;
        uint32_t count32 = 0;
        double share = 0;
        switch (fields[i].kind) {
        case COUNT:
            memcpy(&count, at, sizeof count);
            ftli_json_count(json, fields[i].name, count);
            break;
        case COUNT32:
            memcpy(&count32, at, sizeof count32);
            ftli_json_count(json, fields[i].name, count32);
            break;
        case SHARE:
            memcpy(&share, at, sizeof share);
            ftli_json_number(json, fields[i].name, share);
            break;
        }
    }
}

struct reading {
    struct ftli_stats_message *out;
    uint64_t seen;
    char *why;
    size_t why_size;
};

static bool count_of(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] != '-' && *end == '\0' && end != text && errno == 0;
}

static bool take_field(struct reading *reading, const struct field *field, enum ftli_json_kind kind, const char *value)
{
    char *at = (char *)&reading->out->stats + field->offset;
    uint64_t count = 0;
    if (kind == FTLI_JSON_NUMBER && field->kind == SHARE) {
        double share = strtod(value, NULL);
        memcpy(at, &share, sizeof share);
        return true;
    }
    if (kind == FTLI_JSON_NULL && field->kind == SHARE) {
        return true; /* of nothing: left at 0 */
    }
    if (kind != FTLI_JSON_NUMBER || !count_of(value, &count) || (field->kind == COUNT32 && count > UINT32_MAX)) {
        snprintf(reading->why, reading->why_size, "%s: \"%s\" is no count", field->name, value);
        return false;
    }
    uint32_t count32 = (uint32_t)count;
    if (field->kind == COUNT32) {
        memcpy(at, &count32, sizeof count32);
    } else {
        memcpy(at, &count, sizeof count);
    }
    return true;
}

static bool take_member(void *user, const char *key, enum ftli_json_kind kind, const char *value)
{
    struct reading *reading = user;
    if (strcmp(key, "runtime") == 0 && kind == FTLI_JSON_TEXT) {
        snprintf(reading->out->runtime, sizeof reading->out->runtime, "%.31s", value);
    } else if (strcmp(key, "time_ns") == 0) {
        return kind == FTLI_JSON_NUMBER && count_of(value, &reading->out->time_ns);
    }
    for (size_t i = 0; i < FIELDS; i++) {
        if (strcmp(key, fields[i].name) == 0) {
            reading->seen |= UINT64_C(1) << i;
            return take_field(reading, &fields[i], kind, value);
        }
    }
    return ftli_stats_operator_take(&reading->out->sight, key, kind, value, reading->why, reading->why_size);
}

bool ftli_stats_read(const char *text, struct ftli_stats_message *out, char *why, size_t why_size)
{
    struct ftli_stats_message message = {.runtime = ""};
    struct reading reading = {.out = &message, .why = why, .why_size = why_size};
    size_t where = 0;
    why[0] = '\0';
    if (!ftli_json_walk(text, take_member, &reading, &where)) {
        if (why[0] == '\0') {
            snprintf(why, why_size, "not the JSON that was expected, from its byte %zu on", where);
        }
        return false;
    }
    for (size_t i = 0; i < FIELDS; i++) {
        if (fields[i].needed && (reading.seen & UINT64_C(1) << i) == 0) {
            snprintf(why, why_size, "%s is missing", fields[i].name);
            return false;
        }
    }
    *out = message;
    return true;
}

bool ftli_stats_tensors_exact(const ftl_stats *stats)
{
    return stats->created == stats->live + stats->pending + stats->reclaimed + stats->quarantined;
}

bool ftli_stats_bytes_exact(const ftl_stats *stats)
{
    return stats->committed_bytes == stats->live_bytes + stats->pending_bytes + stats->quarantined_bytes +
                                         stats->cached_bytes + stats->slack_bytes + stats->metadata_bytes;
}

bool ftli_stats_reclaimed_exact(const ftl_stats *stats)
{
    return stats->immediate + stats->deferred == stats->pending + stats->reclaimed + stats->quarantined;
}

void ftli_stats_print_tensors(const ftl_stats *stats, FILE *out)
{
    fprintf(out, "created %s = live %s + pending %s + reclaimed %s + quarantined %s",
            ftli_text_count(stats->created).text, ftli_text_count(stats->live).text,
            ftli_text_count(stats->pending).text, ftli_text_count(stats->reclaimed).text,
            ftli_text_count(stats->quarantined).text);
}

void ftli_stats_print_bytes(const ftl_stats *stats, FILE *out)
{
    static const char *const names[] = {"live", "pending", "quarantined", "cached", "slack", "metadata"};
    const uint64_t terms[] = {stats->live_bytes,   stats->pending_bytes, stats->quarantined_bytes,
                              stats->cached_bytes, stats->slack_bytes,   stats->metadata_bytes};
    enum { TERMS = 6 };
    /* In MiB from 100 MiB on, in KiB below. The terms are rounded, and an exact sum is the sum of what is printed: a unit or
     * two off its own rounding, but a reader who adds up finds it right. */
    unsigned shift = stats->committed_bytes >= (UINT64_C(100) << 20) ? 20 : 10;
    uint64_t half = UINT64_C(1) << (shift - 1), whole[TERMS], sum = 0;
    for (int i = 0; i < TERMS; i++) {
        whole[i] = (terms[i] + half) >> shift;
        sum += whole[i];
    }
    uint64_t total = ftli_stats_bytes_exact(stats) ? sum : (stats->committed_bytes + half) >> shift;
    fprintf(out, "committed %s =", ftli_text_count(total).text);
    for (int i = 0; i < TERMS; i++) {
        fprintf(out, "%s %s %s", i == 0 ? "" : " +", names[i], ftli_text_count(whole[i]).text);
    }
    fprintf(out, " %s", shift == 20 ? "MiB" : "KiB");
}
