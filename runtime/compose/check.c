/* What no single key can tell: names that must exist, values that must fit each other. */
#include "runtime/compose/compose.h"
#include "runtime/compose/value.h"

#include <fettle/fettle.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int wrong_at(struct ftli_composer *c, const void *field, const char *key, const char *wrong)
{
    return ftli_report(c->report, ftli_origin_place(&c->binder, field), key, "%s", wrong);
}

/* ---- completeness of the default ------------------------------------------------------------------------ */

static int complete_table(struct ftli_composer *c, const struct ftli_key *keys, const void *base,
                          const struct ftli_path *path)
{
    int status = FTL_OK;
    for (const struct ftli_key *key = keys; key->name != NULL && status == FTL_OK; key++) {
        const struct ftli_path here = {path, key->name};
        size_t offset = key->kind == FTLI_KEY_LIST ? key->count_offset : key->offset;
        if (key->kind == FTLI_KEY_MAP) {
            status = complete_table(c, key->children, base, &here);
        } else if (key->kind != FTLI_KEY_NAMED && ftli_origin_of(&c->binder, (const char *)base + offset) == NULL) {
            status = ftli_report_path(c->report, ftli_bind_place(&c->binder, 0, 0), &here, "is missing");
        }
    }
    return status;
}

int ftli_check_complete(struct ftli_composer *c)
{
    const struct ftli_topology *t = c->topology;
    int status = complete_table(c, ftli_topology_keys, t, NULL);
    const struct ftli_path threads = {NULL, "threads"}, devices = {NULL, "devices"}, actors = {NULL, "actors"};
    for (uint32_t i = 0; i < t->group_count && status == FTL_OK; i++) {
        status = complete_table(c, ftli_group_keys, &t->groups[i], &(struct ftli_path){&threads, t->groups[i].name});
    }
    for (uint32_t i = 0; i < t->device_count && status == FTL_OK; i++) {
        status = complete_table(c, ftli_device_keys, &t->devices[i], &(struct ftli_path){&devices, t->devices[i].name});
    }
    for (uint32_t i = 0; i < t->actor_count && status == FTL_OK; i++) {
        const struct ftli_topology_actor *actor = &t->actors[i];
        const struct ftli_path here = {&actors, actor->name};
        status = complete_table(c, ftli_actor_keys, actor, &here);
        if (status == FTL_OK) {
            status = complete_table(c, actor->schema->keys, actor->settings, &here);
        }
    }
    return status;
}

/* ---- thread groups -------------------------------------------------------------------------------------- */

const struct ftli_removed *ftli_find_removed(const struct ftli_composer *c, const struct ftli_key *section,
                                             const char *name)
{
    for (size_t i = 0; i < c->removed_count; i++) {
        if (c->removed[i].section == section && strcmp(c->removed[i].name, name) == 0) {
            return &c->removed[i];
        }
    }
    return NULL;
}

static int resolve(struct ftli_composer *c, struct ftli_group_reference *group, const char *key)
{
    const struct ftli_key *section = ftli_section("threads");
    group->index = ftli_entries_find(section, c->topology, group->name);
    if (group->index < c->topology->group_count) {
        return FTL_OK;
    }
    const struct ftli_removed *removed = ftli_find_removed(c, section, group->name);
    if (removed != NULL && ftli_origin_is_default(&c->binder, group)) {
        char dotted[FTLI_DOTTED_BYTES];
        (void)snprintf(dotted, sizeof dotted, "threads.%s", group->name);
        return ftli_report(c->report, removed->place, dotted, "cannot be taken out: %s is %s", key, group->name);
    }
    char names[320], wrong[FTLI_WRONG_BYTES + 128];
    ftli_entries_write_names(c, section, names, sizeof names);
    (void)snprintf(wrong, sizeof wrong, "no thread group is called \"%s\"; there are %s", group->name, names);
    const char *guess = ftli_entries_guess(c, section, group->name);
    if (guess != NULL) {
        ftli_append(wrong, sizeof wrong, "; did you mean %s?", guess);
    }
    return wrong_at(c, group, key, wrong);
}

/* The group references among a type's own keys; marks the groups that are used. */
static int resolve_table(struct ftli_composer *c, const struct ftli_key *keys, void *base, const struct ftli_path *path,
                         bool *used)
{
    int status = FTL_OK;
    for (const struct ftli_key *key = keys; key->name != NULL && status == FTL_OK; key++) {
        const struct ftli_path here = {path, key->name};
        if (key->kind == FTLI_KEY_MAP) {
            status = resolve_table(c, key->children, base, &here, used);
        } else if (key->kind == FTLI_KEY_GROUP) {
            struct ftli_group_reference *group = (struct ftli_group_reference *)(void *)((char *)base + key->offset);
            char dotted[FTLI_DOTTED_BYTES];
            ftli_path_write(&here, dotted, sizeof dotted);
            status = resolve(c, group, dotted);
            if (status == FTL_OK) {
                used[group->index] = true;
            }
        }
    }
    return status;
}

int ftli_compose_warn(struct ftli_composer *c, const char *sentence)
{
    struct ftli_topology *t = c->topology;
    char **grown = realloc(t->warnings, (t->warning_count + 1) * sizeof *grown);
    if (grown == NULL) {
        return ftli_report_memory(c->report);
    }
    t->warnings = grown;
    grown[t->warning_count] = strdup(sentence);
    if (grown[t->warning_count] == NULL) {
        return ftli_report_memory(c->report);
    }
    t->warning_count++;
    return FTL_OK;
}

static int warn_of_groups(struct ftli_composer *c, const bool *used)
{
    const struct ftli_topology *t = c->topology;
    bool has_threads = false;
    for (uint32_t i = 0; i < t->group_count; i++) {
        has_threads |= used[i] && t->groups[i].count != 0;
    }
    int status = FTL_OK;
    for (uint32_t i = 0; i < t->group_count && status == FTL_OK; i++) {
        char sentence[160];
        if (!used[i]) {
            (void)snprintf(sentence, sizeof sentence, "thread group %s serves no actor", t->groups[i].name);
            status = ftli_compose_warn(c, sentence);
        } else if (has_threads && t->groups[i].count == 0) {
            (void)snprintf(sentence, sizeof sentence,
                           "thread group %s has no threads: its actors run only inside ftl_runtime_run",
                           t->groups[i].name);
            status = ftli_compose_warn(c, sentence);
        }
    }
    return status;
}

static int check_groups(struct ftli_composer *c)
{
    struct ftli_topology *t = c->topology;
    const struct ftli_path section = {NULL, "actors"};
    bool used[FTLI_GROUPS_MOST] = {false};
    int status = FTL_OK;
    for (uint32_t i = 0; i < t->actor_count && status == FTL_OK; i++) {
        struct ftli_topology_actor *actor = &t->actors[i];
        const struct ftli_path path = {&section, actor->name};
        status = resolve_table(c, ftli_actor_keys, actor, &path, used);
        if (status == FTL_OK) {
            status = resolve_table(c, actor->schema->keys, actor->settings, &path, used);
        }
    }
    return status == FTL_OK ? warn_of_groups(c, used) : status;
}

/* ---- actors --------------------------------------------------------------------------------------------- */

static int check_one_of_a_type(struct ftli_composer *c)
{
    const struct ftli_topology *t = c->topology;
    for (uint32_t i = 0; i < t->actor_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (t->actors[i].schema != t->actors[j].schema || t->actors[i].schema->is_user) {
                continue;
            }
            /* Blame the one that the file brought. */
            bool first = ftli_origin_is_default(&c->binder, &t->actors[i]);
            const struct ftli_topology_actor *blamed = &t->actors[first ? j : i], *other = &t->actors[first ? i : j];
            char key[FTLI_DOTTED_BYTES];
            (void)snprintf(key, sizeof key, "actors.%s", blamed->name);
            return ftli_report(c->report, ftli_origin_place(&c->binder, blamed), key,
                               "is a second actor of type %s; the first is %s, and one runs", blamed->type,
                               other->name);
        }
    }
    return FTL_OK;
}

static void write_mandatory(const struct ftli_composer *c, char *text, size_t text_bytes)
{
    text[0] = '\0';
    for (size_t i = 0; i < c->input->schema_count; i++) {
        if (c->input->schemas[i]->mandatory) {
            ftli_append(text, text_bytes, "%s%s", text[0] == '\0' ? "" : " and ", c->input->schemas[i]->type);
        }
    }
}

static int check_mandatory(struct ftli_composer *c)
{
    for (size_t i = 0; i < c->input->schema_count; i++) {
        const struct ftli_actor_schema *schema = c->input->schemas[i];
        if (!schema->mandatory || ftli_topology_actor(c->topology, schema->type) != NULL) {
            continue;
        }
        struct ftli_place place = {c->binder.sources[FTLI_LAYER_FILE], 0, 0};
        const char *name = schema->type;
        for (size_t j = 0; j < c->removed_count; j++) {
            if (c->removed[j].schema == schema) {
                place = c->removed[j].place;
                name = c->removed[j].name;
            }
        }
        char key[FTLI_DOTTED_BYTES], all[96];
        write_mandatory(c, all, sizeof all);
        (void)snprintf(key, sizeof key, "actors.%s", name);
        return ftli_report(c->report, place, key, "cannot be left out: %s must run", all);
    }
    return FTL_OK;
}

/* The field of a dotted key, "tiers.2.up_to" too; NULL if there is none. */
static const void *find_field(const struct ftli_key *keys, const char *base, const char *dotted)
{
    while (keys->name != NULL) {
        size_t length = strcspn(dotted, ".");
        if (strlen(keys->name) != length || strncmp(keys->name, dotted, length) != 0) {
            keys++;
            continue;
        }
        if (dotted[length] == '\0') {
            return base + (keys->kind == FTLI_KEY_LIST ? keys->count_offset : keys->offset);
        }
        dotted += length + 1;
        if (keys->kind == FTLI_KEY_LIST) {
            unsigned long number = strtoul(dotted, NULL, 10);
            base += keys->offset + keys->stride * (number == 0 ? 0 : number - 1);
            dotted += strcspn(dotted, ".");
            dotted += dotted[0] == '.';
        }
        keys = keys->children;
        if (keys == NULL) {
            return NULL;
        }
    }
    return NULL;
}

static int check_settings(struct ftli_composer *c)
{
    for (uint32_t i = 0; i < c->topology->actor_count; i++) {
        const struct ftli_topology_actor *actor = &c->topology->actors[i];
        struct ftli_complaint complaint = {{0}, {0}};
        if (actor->schema->check == NULL || actor->schema->check(actor->settings, &complaint)) {
            continue;
        }
        char key[FTLI_DOTTED_BYTES];
        (void)snprintf(key, sizeof key, "actors.%s.%s", actor->name, complaint.key);
        const void *field = find_field(actor->schema->keys, actor->settings, complaint.key);
        if (field == NULL || ftli_origin_is_default(&c->binder, field)) {
            field = actor; /* the other of the two was set */
        }
        return wrong_at(c, field, key, complaint.text);
    }
    return FTL_OK;
}

/* ---- numbers -------------------------------------------------------------------------------------------- */

/* Two shares in order; the message stands at the one that the file sets, at the upper if it sets both. */
static int check_order(struct ftli_composer *c, const double *lower, const double *upper, const char *section,
                       const char *lower_name, const char *upper_name, bool may_equal)
{
    if (*lower < *upper || (may_equal && *lower <= *upper)) {
        return FTL_OK;
    }
    bool blame_lower = ftli_origin_is_default(&c->binder, upper) && !ftli_origin_is_default(&c->binder, lower);
    char low[32], high[32], key[FTLI_DOTTED_BYTES];
    ftli_write_share(*lower, low, sizeof low);
    ftli_write_share(*upper, high, sizeof high);
    (void)snprintf(key, sizeof key, "%s.%s", section, blame_lower ? lower_name : upper_name);
    if (blame_lower) {
        return ftli_report(c->report, ftli_origin_place(&c->binder, lower), key, "%s is not below %s, which is %s", low,
                           upper_name, high);
    }
    return ftli_report(c->report, ftli_origin_place(&c->binder, upper), key, "%s is not above %s, which is %s", high,
                       lower_name, low);
}

static int check_levels(struct ftli_composer *c)
{
    static const char *const names[FTLI_PRESSURE_LEVELS] = {"low", "medium", "high", "critical"};
    const double *levels = c->topology->pressure_levels;
    int status = FTL_OK;
    for (size_t i = 1; i < FTLI_PRESSURE_LEVELS && status == FTL_OK; i++) {
        status = check_order(c, &levels[i - 1], &levels[i], "pressure.levels", names[i - 1], names[i], false);
    }
    return status;
}

static int check_devices(struct ftli_composer *c)
{
    const struct ftli_topology *t = c->topology;
    const uint64_t step = 2ULL << 20;
    if (t->device_count == 0) {
        struct ftli_place place = {c->binder.sources[FTLI_LAYER_FILE], 0, 0};
        for (size_t i = 0; i < c->removed_count; i++) {
            place = c->removed[i].section == ftli_section("devices") ? c->removed[i].place : place;
        }
        return ftli_report(c->report, place, "devices", "none is left; expected at least one");
    }
    for (uint32_t i = 0; i < t->device_count; i++) {
        const struct ftli_topology_device *device = &t->devices[i];
        char key[FTLI_DOTTED_BYTES], size[32];
        (void)snprintf(key, sizeof key, "devices.%s", device->name);
        int status = check_order(c, &device->soft, &device->hard, key, "soft", "hard", true);
        if (status != FTL_OK) {
            return status;
        }
        if (device->arena_bytes % step != 0) {
            ftli_write_size(device->arena_bytes, size, sizeof size);
            (void)snprintf(key, sizeof key, "devices.%s.arena", device->name);
            return ftli_report(c->report, ftli_origin_place(&c->binder, &device->arena_bytes), key,
                               "%s is no multiple of 2MiB", size);
        }
    }
    return FTL_OK;
}

static int check_lanes(struct ftli_composer *c)
{
    const uint32_t *shares = c->topology->lane_shares, *blamed = &shares[0];
    uint32_t sum = 0;
    for (size_t i = 0; i < FTLI_LANES; i++) {
        sum += shares[i];
        blamed = ftli_origin_is_default(&c->binder, &shares[i]) ? blamed : &shares[i];
    }
    if (sum == FTLI_LANE_MESSAGES) {
        return FTL_OK;
    }
    return ftli_report(c->report, ftli_origin_place(&c->binder, blamed), "lanes",
                       "the shares add up to %u; they are of %d messages", sum, FTLI_LANE_MESSAGES);
}

static int check_backoff(struct ftli_composer *c)
{
    const struct ftli_backoff *backoff = &c->topology->supervision.backoff;
    if (backoff->first_ns <= backoff->most_ns) {
        return FTL_OK;
    }
    bool blame_first = ftli_origin_is_default(&c->binder, &backoff->most_ns);
    return wrong_at(c, blame_first ? &backoff->first_ns : &backoff->most_ns,
                    blame_first ? "supervision.backoff.first" : "supervision.backoff.most",
                    blame_first ? "is longer than most" : "is shorter than first");
}

/* What stands behind the giving up would never be done. */
static int check_recovery(struct ftli_composer *c)
{
    const struct ftli_key *key = ftli_section("recovery")->children;
    for (; key->name != NULL; key++) {
        const struct ftli_words *steps = (const void *)((const char *)c->topology + key->offset);
        for (uint32_t i = 0; i + 1 < steps->count; i++) {
            if (strcmp(key->words[steps->items[i]], "escalate") == 0) {
                char dotted[FTLI_DOTTED_BYTES];
                (void)snprintf(dotted, sizeof dotted, "recovery.%s", key->name);
                return wrong_at(c, steps, dotted, "nothing comes after escalate");
            }
        }
    }
    return FTL_OK;
}

int ftli_check_topology(struct ftli_composer *c)
{
    int (*const checks[])(struct ftli_composer *) = {check_mandatory, check_one_of_a_type, check_groups, check_settings,
                                                     check_levels,    check_devices,       check_lanes,  check_backoff,
                                                     check_recovery,  ftli_check_routes};
    int status = FTL_OK;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0] && status == FTL_OK; i++) {
        status = checks[i](c);
    }
    return status;
}
