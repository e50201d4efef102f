#include "tools/stats_operator.h"

#include "tools/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const supervision_names[FTLI_SUPERVISION_FIELDS] = {
    "retries",          "quarantines",   "given_up",       "breaks",      "breakers_open",
    "receives_overdue", "drops_overdue", "scopes_overdue", "lane_alarms",
};
static const char *const lane_names[FTLI_LANE_FIELDS] = {"completed", "reclaim_p50_ns", "reclaim_p99_ns",
                                                         "reclaim_max_ns"};
static const char *const actor_names[FTLI_ACTOR_FIELDS] = {
    "degraded", "restarts",  "failures", "receives_overdue", "lane_alarms", "messages",
    "busy_ns",  "emergency", "high",     "normal",           "background",  "oldest_ns",
};

/* ---- reading --------------------------------------------------------------------------------------------- */

struct taking {
    const char *path, *value;
    enum ftli_json_kind kind;
    char *why;
    size_t why_size;
};

static bool take_count(const struct taking *taking, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long count = strtoull(taking->value, &end, 10);
    if (taking->kind == FTLI_JSON_NUMBER && taking->value[0] != '-' && *end == '\0' && errno == 0) {
        *out = count;
        return true;
    }
    snprintf(taking->why, taking->why_size, "%s: \"%s\" is no count", taking->path, taking->value);
    return false;
}

static bool take_named(const struct taking *taking, const char *name, const char *const *names, size_t count,
                       uint64_t *fields)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0) {
            return take_count(taking, &fields[i]);
        }
    }
    return true;
}

static void take_text(const struct taking *taking, char *out, size_t size)
{
    if (taking->kind == FTLI_JSON_TEXT) {
        snprintf(out, size, "%s", taking->value);
    }
}

/* "actors.12.name": the index, and where the last name begins; false if it is none of this list or beyond its end. */
static bool is_of(const char *path, const char *list, uint32_t most, uint32_t *index, const char **name)
{
    size_t length = strlen(list);
    char *end;
    if (strncmp(path, list, length) != 0 || path[length] != '.') {
        return false;
    }
    unsigned long number = strtoul(path + length + 1, &end, 10);
    if (end == path + length + 1 || *end != '.' || number >= most) {
        return false;
    }
    *index = (uint32_t)number;
    *name = end + 1;
    return true;
}

bool ftli_stats_operator_take(struct ftli_stats_operator *out, const char *path, enum ftli_json_kind kind,
                              const char *value, char *why, size_t why_size)
{
    const struct taking taking = {path, value, kind, why, why_size};
    const char *name;
    uint32_t i;
    if (is_of(path, "lanes", FTLI_STATS_LANES_MOST, &i, &name)) {
        out->lane_count = i < out->lane_count ? out->lane_count : i + 1;
        if (strcmp(name, "name") == 0) {
            take_text(&taking, out->lanes[i].name, sizeof out->lanes[i].name);
        }
        return take_named(&taking, name, lane_names, FTLI_LANE_FIELDS, out->lanes[i].fields);
    }
    if (is_of(path, "actors", FTLI_STATS_ACTORS_MOST, &i, &name)) {
        out->is_there = true;
        out->actor_count = i < out->actor_count ? out->actor_count : i + 1;
        if (strcmp(name, "name") == 0) {
            take_text(&taking, out->actors[i].name, sizeof out->actors[i].name);
        } else if (strcmp(name, "state") == 0) {
            take_text(&taking, out->actors[i].state, sizeof out->actors[i].state);
        }
        return take_named(&taking, name, actor_names, FTLI_ACTOR_FIELDS, out->actors[i].fields);
    }
    return take_named(&taking, path, supervision_names, FTLI_SUPERVISION_FIELDS, out->supervision);
}

/* ---- writing --------------------------------------------------------------------------------------------- */

static void write_fields(struct ftli_json *json, const char *const *names, const uint64_t *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ftli_json_count(json, names[i], fields[i]);
    }
}

void ftli_stats_operator_write(struct ftli_json *json, const struct ftli_stats_operator *from)
{
    if (!from->is_there) {
        return;
    }
    write_fields(json, supervision_names, from->supervision, FTLI_SUPERVISION_FIELDS);
    ftli_json_list(json, "lanes");
    for (uint32_t i = 0; i < from->lane_count; i++) {
        ftli_json_object(json, NULL);
        ftli_json_text(json, "name", from->lanes[i].name);
        write_fields(json, lane_names, from->lanes[i].fields, FTLI_LANE_FIELDS);
        ftli_json_close_object(json);
    }
    ftli_json_close_list(json);
    ftli_json_list(json, "actors");
    for (uint32_t i = 0; i < from->actor_count; i++) {
        ftli_json_object(json, NULL);
        ftli_json_text(json, "name", from->actors[i].name);
        ftli_json_text(json, "state", from->actors[i].state);
        write_fields(json, actor_names, from->actors[i].fields, FTLI_ACTOR_FIELDS);
        ftli_json_close_object(json);
    }
    ftli_json_close_list(json);
}

void ftli_stats_operator_print_lanes(const struct ftli_stats_operator *from, FILE *out)
{
    for (uint32_t i = 0; i < from->lane_count; i++) {
        const uint64_t *fields = from->lanes[i].fields;
        if (fields[FTLI_LANE_COMPLETED] != 0) {
            fprintf(out, "          %-10s %s drops   p50 %s   p99 %s   worst %s\n", from->lanes[i].name,
                    ftli_text_count(fields[FTLI_LANE_COMPLETED]).text, ftli_text_time(fields[FTLI_LANE_P50_NS]).text,
                    ftli_text_time(fields[FTLI_LANE_P99_NS]).text, ftli_text_time(fields[FTLI_LANE_MAX_NS]).text);
        }
    }
}

static void print_actors(const struct ftli_stats_operator *from, FILE *out)
{
    struct ftli_paint paint = ftli_text_paint(out);
    fprintf(out, "\n%-16s %-10s %8s %8s %8s %8s %10s %12s %8s %7s %6s %8s\n", "ACTOR", "STATE", "EMERG", "HIGH",
            "NORMAL", "BACKGR", "OLDEST", "MESSAGES", "FAILURES", "OVERDUE", "ALARMS", "RESTARTS");
    for (uint32_t i = 0; i < from->actor_count; i++) {
        const uint64_t *fields = from->actors[i].fields;
        char oldest[64] = "-";
        bool trouble = fields[FTLI_ACTOR_DEGRADED] != 0 || strcmp(from->actors[i].state, "down") == 0;
        if (fields[FTLI_ACTOR_OLDEST_NS] != 0) {
            snprintf(oldest, sizeof oldest, "%s", ftli_text_time(fields[FTLI_ACTOR_OLDEST_NS]).text);
        }
        fprintf(out, "%s%-16s %-10s %8s %8s %8s %8s %10s %12s %8s %7s %6s %8s%s%s\n", trouble ? paint.red : "",
                from->actors[i].name, from->actors[i].state, ftli_text_count(fields[FTLI_ACTOR_EMERGENCY]).text,
                ftli_text_count(fields[FTLI_ACTOR_HIGH]).text, ftli_text_count(fields[FTLI_ACTOR_NORMAL]).text,
                ftli_text_count(fields[FTLI_ACTOR_BACKGROUND]).text, oldest,
                ftli_text_count(fields[FTLI_ACTOR_MESSAGES]).text, ftli_text_count(fields[FTLI_ACTOR_FAILURES]).text,
                ftli_text_count(fields[FTLI_ACTOR_RECEIVES_OVERDUE]).text,
                ftli_text_count(fields[FTLI_ACTOR_LANE_ALARMS]).text, ftli_text_count(fields[FTLI_ACTOR_RESTARTS]).text,
                fields[FTLI_ACTOR_DEGRADED] != 0 ? "  degraded" : "", trouble ? paint.plain : "");
    }
}

void ftli_stats_operator_print(const struct ftli_stats_operator *from, FILE *out)
{
    const uint64_t *s = from->supervision;
    if (!from->is_there) {
        return;
    }
    fprintf(out, "recovery  retries %s   quarantines %s   given up %s   breakers opened %s, open %s\n",
            ftli_text_count(s[FTLI_SUPERVISION_RETRIES]).text, ftli_text_count(s[FTLI_SUPERVISION_QUARANTINES]).text,
            ftli_text_count(s[FTLI_SUPERVISION_GIVEN_UP]).text, ftli_text_count(s[FTLI_SUPERVISION_BREAKS]).text,
            ftli_text_count(s[FTLI_SUPERVISION_BREAKERS_OPEN]).text);
    fprintf(out, "overdue   receives %s   drops %s   scopes %s   lane alarms %s\n",
            ftli_text_count(s[FTLI_SUPERVISION_RECEIVES_OVERDUE]).text,
            ftli_text_count(s[FTLI_SUPERVISION_DROPS_OVERDUE]).text,
            ftli_text_count(s[FTLI_SUPERVISION_SCOPES_OVERDUE]).text,
            ftli_text_count(s[FTLI_SUPERVISION_LANE_ALARMS]).text);
    print_actors(from, out);
}
