/* Which keys of a topology do not hold the built-in value. */
#include "runtime/compose/compose.h"
#include "runtime/compose/scalar.h"

#include <fettle/fettle.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t line_of(const struct ftli_composer *c, const void *field)
{
    const struct ftli_origin *origin = ftli_origin_of(&c->binder, field);
    return origin != NULL && origin->layer == FTLI_LAYER_FILE ? origin->line : 0;
}

enum { VALUE_BYTES = 8192 }; /* the longest list of routes, written out */

static void shorten(char *text, size_t text_bytes, const char *from)
{
    (void)snprintf(text, text_bytes, "%s", from);
    if (strlen(from) >= text_bytes) {
        memcpy(text + text_bytes - 3, "..", 3);
    }
}

static int differs(struct ftli_composer *c, const struct ftli_path *path, const char *value, const char *standard,
                   uint32_t line)
{
    struct ftli_topology *t = c->topology;
    struct ftli_difference *grown = realloc(t->differences, (t->difference_count + 1) * sizeof *grown);
    if (grown == NULL) {
        return ftli_report_memory(c->report);
    }
    t->differences = grown;
    struct ftli_difference *difference = &grown[t->difference_count++];
    difference->line = line;
    ftli_path_write(path, difference->key, sizeof difference->key);
    shorten(difference->value, sizeof difference->value, value);
    shorten(difference->standard, sizeof difference->standard, standard);
    return FTL_OK;
}

static int compare_table(struct ftli_composer *c, const struct ftli_key *keys, const void *base, const void *standard,
                         const struct ftli_path *path)
{
    int status = FTL_OK;
    for (const struct ftli_key *key = keys; key->name != NULL && status == FTL_OK; key++) {
        const struct ftli_path here = {path, key->name};
        if (key->kind == FTLI_KEY_MAP) {
            status = compare_table(c, key->children, base, standard, &here);
            continue;
        }
        char value[VALUE_BYTES], built_in[VALUE_BYTES];
        ftli_write_value(key, base, value, sizeof value);
        ftli_write_value(key, standard, built_in, sizeof built_in);
        if (strcmp(value, built_in) != 0) {
            size_t offset = key->kind == FTLI_KEY_LIST ? key->count_offset : key->offset;
            status = differs(c, &here, value, built_in, line_of(c, (const char *)base + offset));
        }
    }
    return status;
}

static int compare_entry(struct ftli_composer *c, const struct ftli_key *section, const char *entry,
                         const char *standard, const struct ftli_path *path)
{
    int status = compare_table(c, section->children, entry, standard, path);
    if (status != FTL_OK || section->children != ftli_actor_keys) {
        return status;
    }
    const struct ftli_topology_actor *actor = (const void *)entry, *built_in = (const void *)standard;
    if (actor->schema != built_in->schema) {
        return differs(c, &(struct ftli_path){path, "type"}, actor->type, built_in->type, actor->line);
    }
    return compare_table(c, actor->schema->keys, actor->settings, built_in->settings, path);
}

static void write_entry(const struct ftli_key *section, const char *entry, char *text, size_t text_bytes)
{
    if (section->children != ftli_actor_keys) {
        ftli_write_map(section->children, entry, text, text_bytes);
        return;
    }
    const struct ftli_topology_actor *actor = (const void *)entry;
    (void)snprintf(text, text_bytes, "{type: %s, threads: %s, ..}", actor->type, actor->threads.name);
}

static int compare_entries(struct ftli_composer *c, const struct ftli_key *section)
{
    const struct ftli_path above = {NULL, section->name};
    const char *entries = ftli_entries_of(section, c->topology), *standard = ftli_entries_of(section, c->standard);
    uint32_t count = ftli_entries_count(section, c->topology), built_in = ftli_entries_count(section, c->standard);
    char text[160];
    int status = FTL_OK;
    for (uint32_t i = 0; i < built_in && status == FTL_OK; i++) {
        const char *entry = standard + i * section->stride;
        const struct ftli_path here = {&above, entry};
        uint32_t index = ftli_entries_find(section, c->topology, entry);
        if (index < count) {
            status = compare_entry(c, section, entries + index * section->stride, entry, &here);
            continue;
        }
        uint32_t line = 0;
        for (size_t j = 0; j < c->removed_count; j++) {
            const struct ftli_removed *removed = &c->removed[j];
            if (removed->section == section && strcmp(removed->name, entry) == 0 &&
                removed->place.source == c->binder.sources[FTLI_LAYER_FILE]) {
                line = removed->place.line;
            }
        }
        write_entry(section, entry, text, sizeof text);
        status = differs(c, &here, "none", text, line);
    }
    for (uint32_t i = 0; i < count && status == FTL_OK; i++) {
        const char *entry = entries + i * section->stride;
        if (ftli_entries_find(section, c->standard, entry) == built_in) {
            write_entry(section, entry, text, sizeof text);
            status = differs(c, &(struct ftli_path){&above, entry}, text, "none", line_of(c, entry));
        }
    }
    return status;
}

int ftli_find_differences(struct ftli_composer *c)
{
    int status = FTL_OK;
    for (const struct ftli_key *key = ftli_topology_keys; key->name != NULL && status == FTL_OK; key++) {
        const struct ftli_key one[] = {*key, FTLI_KEYS_END};
        status = key->kind == FTLI_KEY_NAMED ? compare_entries(c, key)
                                             : compare_table(c, one, c->topology, c->standard, NULL);
    }
    return status;
}
