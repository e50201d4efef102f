/* What a topology holds by name: thread groups, devices, actors. A file adds to the default's, changes them, takes out. */
#include "runtime/compose/compose.h"
#include "runtime/compose/guess.h"
#include "runtime/compose/scalar.h"

#include <fettle/fettle.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEEN_MOST = 64 }; /* names in one map of a file */

const struct ftli_key *ftli_section(const char *name)
{
    const struct ftli_key *key = ftli_topology_keys;
    while (key->name != NULL && strcmp(key->name, name) != 0) {
        key++;
    }
    return key;
}

static bool holds_actors(const struct ftli_key *section)
{
    return section->children == ftli_actor_keys;
}

char *ftli_entries_of(const struct ftli_key *section, const struct ftli_topology *topology)
{
    return (char *)(uintptr_t)topology + section->offset;
}

static uint32_t *count_of(const struct ftli_key *section, const struct ftli_topology *topology)
{
    return (uint32_t *)(void *)((char *)(uintptr_t)topology + section->count_offset);
}

uint32_t ftli_entries_count(const struct ftli_key *section, const struct ftli_topology *topology)
{
    return *count_of(section, topology);
}

uint32_t ftli_entries_find(const struct ftli_key *section, const struct ftli_topology *topology, const char *name)
{
    const char *entry = ftli_entries_of(section, topology);
    uint32_t count = ftli_entries_count(section, topology), i = 0;
    while (i < count && strcmp(entry + i * section->stride, name) != 0) {
        i++;
    }
    return i;
}

void ftli_entries_write_names(const struct ftli_composer *composer, const struct ftli_key *section, char *text,
                              size_t text_bytes)
{
    const char *entry = ftli_entries_of(section, composer->topology);
    uint32_t count = ftli_entries_count(section, composer->topology);
    text[0] = '\0';
    uint64_t last = 0;
    for (;;) { /* the file's, as they stand there */
        const char *next = NULL;
        uint64_t next_at = UINT64_MAX;
        for (uint32_t i = 0; i < count; i++) {
            const struct ftli_origin *origin = ftli_origin_of(&composer->binder, entry + i * section->stride);
            uint64_t at = origin == NULL ? 0 : ((uint64_t)origin->line << 32) + origin->column;
            if (origin != NULL && origin->layer != FTLI_LAYER_DEFAULT && at > last && at < next_at) {
                next = entry + i * section->stride;
                next_at = at;
            }
        }
        if (next == NULL) {
            break;
        }
        last = next_at;
        ftli_append(text, text_bytes, "%s%s", text[0] == '\0' ? "" : ", ", next);
    }
    for (uint32_t i = 0; i < count; i++) { /* and the rest, in the default's order */
        if (ftli_origin_is_default(&composer->binder, entry + i * section->stride)) {
            ftli_append(text, text_bytes, "%s%s", text[0] == '\0' ? "" : ", ", entry + i * section->stride);
        }
    }
}

const char *ftli_entries_guess(const struct ftli_composer *composer, const struct ftli_key *section, const char *name)
{
    const char *names[FTLI_ACTORS_MOST + FTLI_DEVICES_MOST + FTLI_GROUPS_MOST];
    const char *entry = ftli_entries_of(section, composer->topology);
    uint32_t count = ftli_entries_count(section, composer->topology);
    for (uint32_t i = 0; i < count; i++) {
        names[i] = entry + i * section->stride;
    }
    return ftli_guess(name, names, count);
}

static struct ftli_composer *composer_of(struct ftli_binder *binder)
{
    return binder->user;
}

static const struct ftli_actor_schema *find_schema(const struct ftli_composer *composer, const char *type)
{
    for (size_t i = 0; i < composer->input->schema_count; i++) {
        if (strcmp(composer->input->schemas[i]->type, type) == 0) {
            return composer->input->schemas[i];
        }
    }
    return NULL;
}

/* ---- taking out ----------------------------------------------------------------------------------------- */

static void remember(struct ftli_composer *c, const struct ftli_key *section, const char *name,
                     const struct ftli_actor_schema *schema, struct ftli_place place)
{
    size_t at = 0;
    while (at < c->removed_count && (c->removed[at].section != section || strcmp(c->removed[at].name, name) != 0)) {
        at++;
    }
    if (at == FTLI_REMOVED_MOST) {
        return; /* only a message gets poorer */
    }
    c->removed_count += at == c->removed_count;
    c->removed[at] = (struct ftli_removed){.section = section, .schema = schema, .place = place};
    (void)snprintf(c->removed[at].name, sizeof c->removed[at].name, "%s", name);
}

static int take_out(struct ftli_composer *c, const struct ftli_node *node, const struct ftli_key *section,
                    const struct ftli_path *path)
{
    struct ftli_place place = ftli_bind_place(&c->binder, node->line, node->column);
    uint32_t index = ftli_entries_find(section, c->topology, node->key), *count = count_of(section, c->topology);
    if (index == *count) {
        if (holds_actors(section) && find_schema(c, node->key) != NULL) {
            return FTL_OK; /* a type of ours, which this build or an earlier layer left out */
        }
        char names[256], wrong[FTLI_WRONG_BYTES];
        ftli_entries_write_names(c, section, names, sizeof names);
        (void)snprintf(wrong, sizeof wrong, "is not there to be taken out; there are %s", names);
        const char *guess = ftli_entries_guess(c, section, node->key);
        if (guess != NULL) {
            ftli_append(wrong, sizeof wrong, "; did you mean %s?", guess);
        }
        return ftli_report_path(c->report, ftli_bind_place(&c->binder, node->key_line, node->key_column), path, wrong);
    }
    char *entry = ftli_entries_of(section, c->topology) + index * section->stride;
    const struct ftli_actor_schema *schema = NULL;
    if (holds_actors(section)) {
        struct ftli_topology_actor *actor = (struct ftli_topology_actor *)(void *)entry;
        schema = actor->schema;
        ftli_origin_forget(&c->binder, actor->settings, schema->settings_bytes);
        free(actor->settings);
    }
    remember(c, section, node->key, schema, place);
    size_t behind = (*count - index - 1) * section->stride;
    ftli_origin_forget(&c->binder, entry, section->stride);
    ftli_origin_move(&c->binder, entry + section->stride, behind, section->stride);
    memmove(entry, entry + section->stride, behind);
    memset(entry + behind, 0, section->stride);
    --*count;
    return FTL_OK;
}

/* ---- putting in ----------------------------------------------------------------------------------------- */

static int check_name(struct ftli_composer *c, const struct ftli_node *node, const struct ftli_path *path)
{
    static const char characters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t length = strlen(node->key);
    if (length != 0 && length < FTLI_NAME_BYTES && strspn(node->key, characters) == length) {
        return FTL_OK;
    }
    char wrong[128];
    (void)snprintf(wrong, sizeof wrong, "is no name; expected 1 to %d characters of a-z 0-9 - _", FTLI_NAME_BYTES - 1);
    return ftli_report_path(c->report, ftli_bind_place(&c->binder, node->key_line, node->key_column), path, wrong);
}

/* The settings of an actor of this type begin as the default's. */
static void *new_settings(const struct ftli_composer *c, const struct ftli_actor_schema *schema,
                          struct ftli_topology_actor *actor)
{
    void *settings = calloc(1, schema->settings_bytes);
    if (schema->is_user) {
        (void)snprintf(actor->threads.name, sizeof actor->threads.name, "%s", schema->threads);
        actor->receive_ns = schema->receive_ns;
    }
    for (uint32_t i = 0; settings != NULL && c->standard != NULL && i < c->standard->actor_count; i++) {
        if (c->standard->actors[i].schema == schema) {
            memcpy(settings, c->standard->actors[i].settings, schema->settings_bytes);
            actor->threads = c->standard->actors[i].threads;
            actor->receive_ns = c->standard->actors[i].receive_ns;
        }
    }
    return settings;
}

static int set_schema(struct ftli_composer *c, struct ftli_topology_actor *actor,
                      const struct ftli_actor_schema *schema)
{
    if (actor->schema == schema) {
        return FTL_OK;
    }
    void *settings = new_settings(c, schema, actor);
    if (settings == NULL) {
        return ftli_report_memory(c->report);
    }
    if (actor->schema != NULL) {
        ftli_origin_forget(&c->binder, actor->settings, actor->schema->settings_bytes);
        free(actor->settings);
    }
    actor->schema = schema;
    actor->type = schema->type;
    actor->settings = settings;
    return FTL_OK;
}

/* A new entry begins as the default's first one does: a device as `cpu`, a group as `service`. */
static char *add(struct ftli_composer *c, const struct ftli_key *section, const char *name)
{
    uint32_t *count = count_of(section, c->topology);
    char *entry = ftli_entries_of(section, c->topology) + *count * section->stride;
    ++*count;
    if (c->standard != NULL && !holds_actors(section) && ftli_entries_count(section, c->standard) != 0) {
        memcpy(entry, ftli_entries_of(section, c->standard), section->stride);
    }
    memset(entry, 0, FTLI_NAME_BYTES);
    (void)snprintf(entry, FTLI_NAME_BYTES, "%s", name);
    return entry;
}

static int unknown_type(struct ftli_composer *c, const struct ftli_node *node, const struct ftli_node *type,
                        const struct ftli_path *path)
{
    const char *types[FTLI_ACTORS_MOST];
    char listed[192] = "", wrong[FTLI_WRONG_BYTES];
    size_t count = 0;
    for (; count < c->input->schema_count && count < FTLI_ACTORS_MOST; count++) {
        types[count] = c->input->schemas[count]->type;
        ftli_append(listed, sizeof listed, "%s%s", count == 0 ? "" : ", ", types[count]);
    }
    const char *guess = ftli_guess(type != NULL ? type->text : node->key, types, count);
    if (type == NULL) {
        (void)snprintf(wrong, sizeof wrong, "no such key; %s%s%s", guess == NULL ? "there are " : "did you mean ",
                       guess == NULL ? listed : guess, guess == NULL ? ", or give it one of these as its type" : "?");
        return ftli_report_path(c->report, ftli_bind_place(&c->binder, node->key_line, node->key_column), path, wrong);
    }
    (void)snprintf(wrong, sizeof wrong, "no actor is of type \"%.40s\"; there are %s", type->text, listed);
    if (guess != NULL) {
        ftli_append(wrong, sizeof wrong, "; did you mean %s?", guess);
    }
    const struct ftli_path here = {path, "type"};
    return ftli_report_path(c->report, ftli_bind_place(&c->binder, type->line, type->column), &here, wrong);
}

/* The type decides which table reads the rest, so it is looked for first. */
static int find_type(struct ftli_composer *c, const struct ftli_node *node, uint32_t index,
                     const struct ftli_actor_schema **schema, const struct ftli_path *path)
{
    const struct ftli_node *type = node->first;
    while (type != NULL && (strcmp(type->key, "type") != 0 || type->kind != FTLI_NODE_VALUE || type->refused != NULL)) {
        type = type->next;
    }
    if (type == NULL && index < c->topology->actor_count) {
        *schema = c->topology->actors[index].schema;
        return FTL_OK;
    }
    *schema = find_schema(c, type != NULL ? type->text : node->key);
    if (*schema == NULL) {
        return unknown_type(c, node, type, path);
    }
    if ((*schema)->keys == NULL && c->binder.layer != FTLI_LAYER_DEFAULT) {
        return ftli_report_path(c->report, ftli_bind_place(&c->binder, node->key_line, node->key_column), path,
                                "is not in this build; leave it out, or say none");
    }
    return FTL_OK;
}

static int put_in(struct ftli_composer *c, const struct ftli_node *node, const struct ftli_key *section,
                  const struct ftli_path *path)
{
    const struct ftli_actor_schema *schema = NULL;
    uint32_t index = ftli_entries_find(section, c->topology, node->key);
    bool is_new = index == ftli_entries_count(section, c->topology);
    int status = check_name(c, node, path);
    if (status == FTL_OK && holds_actors(section)) {
        status = find_type(c, node, index, &schema, path);
        if (status == FTL_OK && schema->keys == NULL) {
            return FTL_OK; /* the default names a type that is left out of this build */
        }
    }
    if (status != FTL_OK) {
        return status;
    }
    if (is_new && index >= (uint32_t)section->most) {
        return ftli_report(c->report, ftli_bind_place(&c->binder, node->key_line, node->key_column), section->name,
                           "holds more than %.0f", section->most);
    }
    char *entry = is_new ? add(c, section, node->key) : ftli_entries_of(section, c->topology) + index * section->stride;
    struct ftli_part parts[3] = {{section->children, entry}};
    size_t part_count = 1;
    if (schema != NULL) {
        struct ftli_topology_actor *actor = (struct ftli_topology_actor *)(void *)entry;
        status = set_schema(c, actor, schema);
        if (status != FTL_OK) {
            return status;
        }
        actor->line = c->binder.layer == FTLI_LAYER_FILE ? node->key_line : actor->line;
        parts[0] = (struct ftli_part){ftli_actor_type_keys, c};
        parts[1] = (struct ftli_part){ftli_actor_keys, entry};
        parts[2] = (struct ftli_part){schema->keys, actor->settings};
        part_count = 3;
    }
    status = ftli_origin_set(&c->binder, entry, node->key_line, node->key_column);
    return status == FTL_OK ? ftli_bind_map(&c->binder, node, parts, part_count, path) : status;
}

static int bind_entry(struct ftli_composer *c, const struct ftli_node *node, const struct ftli_key *section,
                      const struct ftli_path *path)
{
    int status = ftli_bind_refused(&c->binder, node, path);
    if (status != FTL_OK || node->kind != FTLI_NODE_VALUE) {
        return status == FTL_OK ? put_in(c, node, section, path) : status;
    }
    if (strcmp(node->text, "none") == 0) {
        return take_out(c, node, section, path);
    }
    if (ftli_other_word(node->text) == FTLI_WORD_NO) {
        char wrong[64];
        (void)snprintf(wrong, sizeof wrong, "\"%s\" means nothing here; say none", node->text);
        return ftli_report_path(c->report, ftli_bind_place(&c->binder, node->line, node->column), path, wrong);
    }
    return put_in(c, node, section, path);
}

int ftli_bind_entries(struct ftli_binder *binder, const struct ftli_node *map, const struct ftli_key *section,
                      void *base, const struct ftli_path *path)
{
    (void)base; /* sections stand in the composer's topology */
    struct ftli_composer *c = composer_of(binder);
    const struct ftli_node *seen[SEEN_MOST];
    size_t count = 0;
    if (map->kind != FTLI_NODE_MAP && (map->kind == FTLI_NODE_LIST || map->text[0] != '\0')) {
        return ftli_report_path(c->report, ftli_bind_place(binder, map->line, map->column), path,
                                "holds things by name; expected a map such as NAME: {..}");
    }
    for (const struct ftli_node *node = map->first; node != NULL; node = node->next) {
        const struct ftli_path here = {path, node->key};
        for (size_t i = 0; i < count; i++) {
            if (strcmp(seen[i]->key, node->key) == 0) {
                char wrong[64];
                (void)snprintf(wrong, sizeof wrong, "is here twice; first on line %u", seen[i]->key_line);
                return ftli_report_path(c->report, ftli_bind_place(binder, node->key_line, node->key_column), &here,
                                        wrong);
            }
        }
        if (count == SEEN_MOST) {
            return ftli_report_path(c->report, ftli_bind_place(binder, node->key_line, node->key_column), path,
                                    "names too many things");
        }
        seen[count++] = node;
        int status = bind_entry(c, node, section, &here);
        if (status != FTL_OK) {
            return status;
        }
    }
    return FTL_OK;
}
