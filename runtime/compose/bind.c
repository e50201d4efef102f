#include "runtime/compose/bind.h"

#include "runtime/compose/guess.h"
#include "runtime/compose/scalar.h"
#include "runtime/compose/value.h"

#include <fettle/fettle.h>

#include <stdio.h>
#include <string.h>

enum { KEYS_MOST = 32 }; /* of one map, both parts together */

struct ftli_place ftli_bind_place(const struct ftli_binder *binder, uint32_t line, uint32_t column)
{
    return (struct ftli_place){binder->sources[binder->layer], line, column};
}

static struct ftli_place place_of(const struct ftli_binder *binder, const struct ftli_node *node)
{
    return ftli_bind_place(binder, node->line, node->column);
}

static struct ftli_place place_of_key(const struct ftli_binder *binder, const struct ftli_node *node)
{
    return ftli_bind_place(binder, node->key_line, node->key_column);
}

void ftli_write_names(const struct ftli_part *parts, size_t part_count, char *text, size_t text_bytes)
{
    text[0] = '\0';
    for (size_t i = 0; i < part_count; i++) {
        for (const struct ftli_key *key = parts[i].keys; key->name != NULL; key++) {
            ftli_append(text, text_bytes, "%s%s", text[0] == '\0' ? "" : ", ", key->name);
        }
    }
}

int ftli_bind_refused(struct ftli_binder *binder, const struct ftli_node *node, const struct ftli_path *path)
{
    if (node->refused == NULL) {
        return FTL_OK;
    }
    return ftli_report_path(binder->report, place_of(binder, node), path, node->refused);
}

int ftli_bind_expect_map(struct ftli_binder *binder, const struct ftli_node *node, const struct ftli_part *parts,
                         size_t part_count, const struct ftli_path *path)
{
    int status = ftli_bind_refused(binder, node, path);
    if (status != FTL_OK || node->kind == FTLI_NODE_MAP || (node->kind == FTLI_NODE_VALUE && node->text[0] == '\0')) {
        return status;
    }
    char names[192], wrong[FTLI_WRONG_BYTES];
    ftli_write_names(parts, part_count, names, sizeof names);
    if (node->kind == FTLI_NODE_LIST) {
        (void)snprintf(wrong, sizeof wrong, "is a list; expected a map with %s", names);
    } else {
        (void)snprintf(wrong, sizeof wrong, "\"%.40s\" is one value; expected a map with %s", node->text, names);
    }
    return ftli_report_path(binder->report, place_of(binder, node), path, wrong);
}

static int no_such_key(struct ftli_binder *binder, const struct ftli_node *node, const struct ftli_part *parts,
                       size_t part_count, const struct ftli_path *path)
{
    const char *names[KEYS_MOST];
    size_t count = 0;
    for (size_t i = 0; i < part_count; i++) {
        for (const struct ftli_key *key = parts[i].keys; key->name != NULL && count < KEYS_MOST; key++) {
            names[count++] = key->name;
        }
    }
    char listed[256], wrong[FTLI_WRONG_BYTES];
    const char *guess = ftli_guess(node->key, names, count);
    if (guess != NULL) {
        (void)snprintf(wrong, sizeof wrong, "no such key; did you mean %s?", guess);
    } else {
        ftli_write_names(parts, part_count, listed, sizeof listed);
        (void)snprintf(wrong, sizeof wrong, "no such key; there %s %s", count == 1 ? "is" : "are", listed);
    }
    return ftli_report_path(binder->report, place_of_key(binder, node), path, wrong);
}

static int bind_child(struct ftli_binder *binder, const struct ftli_node *node, const struct ftli_part *parts,
                      size_t part_count, uint32_t *seen, const struct ftli_path *path)
{
    const struct ftli_path here = {path, node->key};
    size_t index = 0;
    for (size_t i = 0; i < part_count; i++) {
        for (const struct ftli_key *key = parts[i].keys; key->name != NULL; key++, index++) {
            if (strcmp(key->name, node->key) != 0) {
                continue;
            }
            if (seen[index] != 0) {
                char wrong[64];
                (void)snprintf(wrong, sizeof wrong, "is here twice; first on line %u", seen[index]);
                return ftli_report_path(binder->report, place_of_key(binder, node), &here, wrong);
            }
            seen[index] = node->key_line;
            return ftli_bind_value(binder, node, key, parts[i].base, &here);
        }
    }
    if (node->refused != NULL) {
        return ftli_bind_refused(binder, node, &here);
    }
    return no_such_key(binder, node, parts, part_count, &here);
}

int ftli_bind_map(struct ftli_binder *binder, const struct ftli_node *map, const struct ftli_part *parts,
                  size_t part_count, const struct ftli_path *path)
{
    uint32_t seen[KEYS_MOST] = {0}; /* the line of each key; 0: not seen */
    int status = ftli_bind_expect_map(binder, map, parts, part_count, path);
    for (const struct ftli_node *node = map->first; node != NULL && status == FTL_OK; node = node->next) {
        status = bind_child(binder, node, parts, part_count, seen, path);
    }
    return status;
}

/* A list replaces the list before it: its elements begin as zeros, and each must say everything. */
static int bind_list(struct ftli_binder *binder, const struct ftli_node *list, const struct ftli_key *key, void *base,
                     const struct ftli_path *path)
{
    struct ftli_part element = {key->children, NULL};
    char names[128], wrong[FTLI_WRONG_BYTES], number[16];
    ftli_write_names(&element, 1, names, sizeof names);
    bool none = key->may_be_empty && list->kind == FTLI_NODE_VALUE && strcmp(list->text, "none") == 0;
    if (list->kind != FTLI_NODE_LIST && !none) {
        (void)snprintf(wrong, sizeof wrong, "is no list; expected %s1 to %.0f maps with %s",
                       key->may_be_empty ? "none, or " : "", key->most, names);
        return ftli_report_path(binder->report, place_of(binder, list), path, wrong);
    }
    char *first = (char *)base + key->offset;
    ftli_origin_forget(binder, first, key->stride * (size_t)key->most);
    memset(first, 0, key->stride * (size_t)key->most);
    uint32_t count = 0;
    for (const struct ftli_node *node = list->first; node != NULL; node = node->next, count++) {
        if (count >= (uint32_t)key->most) {
            (void)snprintf(wrong, sizeof wrong, "is too long; at most %.0f", key->most);
            return ftli_report_path(binder->report, place_of(binder, node), path, wrong);
        }
        (void)snprintf(number, sizeof number, "%u", count + 1);
        const struct ftli_path here = {path, number};
        element.base = first + key->stride * count;
        int status = ftli_bind_map(binder, node, &element, 1, &here);
        for (const struct ftli_key *k = key->children; k->name != NULL && status == FTL_OK; k++) {
            if (ftli_origin_of(binder, (char *)element.base + k->offset) == NULL) {
                (void)snprintf(wrong, sizeof wrong, "has no %s; expected a map with %s", k->name, names);
                status = ftli_report_path(binder->report, place_of(binder, node), &here, wrong);
            }
        }
        if (status != FTL_OK) {
            return status;
        }
    }
    if (count == 0 && !key->may_be_empty) {
        (void)snprintf(wrong, sizeof wrong, "is empty; expected 1 to %.0f maps with %s", key->most, names);
        return ftli_report_path(binder->report, place_of(binder, list), path, wrong);
    }
    *(uint32_t *)(void *)((char *)base + key->count_offset) = count;
    return ftli_origin_set(binder, (char *)base + key->count_offset, list->line, list->column);
}

/* Processors may be written as one value or as a list of such. */
static bool read_cpus(const struct ftli_node *node, struct ftli_cpus *out, const struct ftli_node **at, char *wrong,
                      size_t wrong_bytes)
{
    struct ftli_cpus cpus = {.any = false};
    *at = node;
    if (node->kind == FTLI_NODE_VALUE) {
        if (!ftli_read_cpu_list(node->text, &cpus, wrong, wrong_bytes)) {
            return false;
        }
        *out = cpus;
        return true;
    }
    if (node->kind == FTLI_NODE_MAP || node->first == NULL) {
        (void)snprintf(wrong, wrong_bytes, "is %s; expected " FTLI_EXPECTED_CPUS,
                       node->kind == FTLI_NODE_MAP ? "a map" : "empty");
        return false;
    }
    for (const struct ftli_node *item = node->first; item != NULL; item = item->next) {
        *at = item;
        if (item->kind != FTLI_NODE_VALUE || item->refused != NULL) {
            (void)snprintf(wrong, wrong_bytes, "%s",
                           item->refused != NULL ? item->refused : "is no number; expected " FTLI_EXPECTED_CPUS);
            return false;
        }
        if (!ftli_read_cpus(item->text, &cpus, wrong, wrong_bytes)) {
            return false;
        }
    }
    *out = cpus;
    return true;
}

/* A list of words: it replaces the list before it, as a whole. */
static bool read_words(const struct ftli_node *node, const struct ftli_key *key, struct ftli_words *out,
                       const struct ftli_node **at, char *wrong, size_t wrong_bytes)
{
    struct ftli_words words = {0};
    char expected[160];
    ftli_write_expected(key, expected, sizeof expected);
    *at = node;
    if (node->kind != FTLI_NODE_LIST || node->first == NULL) {
        (void)snprintf(wrong, wrong_bytes, "%s; expected %s",
                       node->kind == FTLI_NODE_LIST  ? "is empty"
                       : node->kind == FTLI_NODE_MAP ? "is a map"
                                                     : "is no list",
                       expected);
        return false;
    }
    for (const struct ftli_node *item = node->first; item != NULL; item = item->next) {
        uint32_t word = 0;
        *at = item;
        if (item->kind != FTLI_NODE_VALUE || item->refused != NULL) {
            (void)snprintf(wrong, wrong_bytes, "%s; expected %s", item->refused != NULL ? item->refused : "is no word",
                           expected);
            return false;
        }
        if (!ftli_read_choice(key, item->text, &word, wrong, wrong_bytes)) {
            return false;
        }
        for (uint32_t i = 0; i < words.count; i++) {
            if (words.items[i] == word) {
                (void)snprintf(wrong, wrong_bytes, "%s is here twice", item->text);
                return false;
            }
        }
        words.items[words.count++] = word; /* as many as there are words, at most */
    }
    *out = words;
    return true;
}

static int bind_scalar(struct ftli_binder *binder, const struct ftli_node *node, const struct ftli_key *key, void *base,
                       const struct ftli_path *path)
{
    char wrong[FTLI_WRONG_BYTES];
    const struct ftli_node *at = node;
    void *field = (char *)base + key->offset;
    bool good = false;
    if (key->kind == FTLI_KEY_CPUS) {
        good = read_cpus(node, field, &at, wrong, sizeof wrong);
    } else if (key->kind == FTLI_KEY_WORDS) {
        good = read_words(node, key, field, &at, wrong, sizeof wrong);
    } else if (node->kind != FTLI_NODE_VALUE || node->text[0] == '\0') {
        char expected[192];
        ftli_write_expected(key, expected, sizeof expected);
        (void)snprintf(wrong, sizeof wrong, "%s; expected %s",
                       node->kind == FTLI_NODE_MAP    ? "is a map"
                       : node->kind == FTLI_NODE_LIST ? "is a list"
                                                      : "has no value",
                       expected);
    } else {
        good = ftli_read_scalar(key, node->text, field, wrong, sizeof wrong);
    }
    if (!good) {
        return ftli_report_path(binder->report, place_of(binder, at), path, wrong);
    }
    return ftli_origin_set(binder, field, node->line, node->column);
}

/* One of them. NULL: there is no room; else where it is to go. */
static char *place_of_setting(struct ftli_settings *settings, const char *key)
{
    for (uint32_t i = 0; i < settings->count; i++) {
        if (strcmp(settings->items[i].key, key) == 0) {
            return settings->items[i].value;
        }
    }
    if (settings->count == FTLI_SETTINGS_MOST) {
        return NULL;
    }
    (void)snprintf(settings->items[settings->count].key, FTLI_SETTING_KEY_BYTES, "%s", key);
    return settings->items[settings->count++].value;
}

static int bind_setting(struct ftli_binder *binder, const struct ftli_node *map, const struct ftli_node *node,
                        struct ftli_settings *settings, const struct ftli_path *path)
{
    const struct ftli_path here = {path, node->key};
    char wrong[FTLI_WRONG_BYTES];
    int status = ftli_bind_refused(binder, node, &here);
    if (status != FTL_OK) {
        return status;
    }
    for (const struct ftli_node *other = map->first; other != node; other = other->next) {
        if (strcmp(other->key, node->key) == 0) {
            (void)snprintf(wrong, sizeof wrong, "is here twice; first on line %u", other->key_line);
            return ftli_report_path(binder->report, place_of_key(binder, node), &here, wrong);
        }
    }
    if (node->key[0] == '\0' || strlen(node->key) >= FTLI_SETTING_KEY_BYTES) {
        (void)snprintf(wrong, sizeof wrong, "is no name; expected 1 to %d characters", FTLI_SETTING_KEY_BYTES - 1);
        return ftli_report_path(binder->report, place_of_key(binder, node), &here, wrong);
    }
    if (node->kind != FTLI_NODE_VALUE || strlen(node->text) >= FTLI_SETTING_VALUE_BYTES) {
        (void)snprintf(wrong, sizeof wrong, "%s; expected a value of at most %d characters",
                       node->kind == FTLI_NODE_MAP    ? "is a map"
                       : node->kind == FTLI_NODE_LIST ? "is a list"
                                                      : "is too long",
                       FTLI_SETTING_VALUE_BYTES - 1);
        return ftli_report_path(binder->report, place_of(binder, node), &here, wrong);
    }
    char *value = place_of_setting(settings, node->key);
    if (value == NULL) {
        (void)snprintf(wrong, sizeof wrong, "is one too many; %d are the most", FTLI_SETTINGS_MOST);
        return ftli_report_path(binder->report, place_of_key(binder, node), &here, wrong);
    }
    (void)snprintf(value, FTLI_SETTING_VALUE_BYTES, "%s", node->text);
    return FTL_OK;
}

/* Keys that only the program knows. */
static int bind_settings(struct ftli_binder *binder, const struct ftli_node *map, struct ftli_settings *settings,
                         const struct ftli_path *path)
{
    if (map->kind != FTLI_NODE_MAP && (map->kind == FTLI_NODE_LIST || map->text[0] != '\0')) {
        return ftli_report_path(binder->report, place_of(binder, map), path, "is no map; expected {KEY: VALUE, ..}");
    }
    int status = FTL_OK;
    for (const struct ftli_node *node = map->first; node != NULL && status == FTL_OK; node = node->next) {
        status = bind_setting(binder, map, node, settings, path);
    }
    return status == FTL_OK ? ftli_origin_set(binder, settings, map->line, map->column) : status;
}

int ftli_bind_value(struct ftli_binder *binder, const struct ftli_node *node, const struct ftli_key *key, void *base,
                    const struct ftli_path *path)
{
    int status = ftli_bind_refused(binder, node, path);
    if (status != FTL_OK) {
        return status;
    }
    struct ftli_part part = {key->children, base};
    switch (key->kind) {
    case FTLI_KEY_MAP:
        return ftli_bind_map(binder, node, &part, 1, path);
    case FTLI_KEY_LIST:
        return bind_list(binder, node, key, base, path);
    case FTLI_KEY_SETTINGS:
        return bind_settings(binder, node, (struct ftli_settings *)(void *)((char *)base + key->offset), path);
    case FTLI_KEY_NAMED:
        return binder->bind_named(binder, node, key, base, path);
    default:
        return bind_scalar(binder, node, key, base, path);
    }
}
