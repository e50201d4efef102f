/* Values as a file would write them: for the list of what differs from the default. */
#include "runtime/compose/report.h"
#include "runtime/compose/scalar.h"
#include "runtime/compose/value.h"

#include <stdio.h>

static void write_list(const struct ftli_key *key, const void *base, char *text, size_t text_bytes)
{
    uint32_t count = *(const uint32_t *)(const void *)((const char *)base + key->count_offset);
    const char *element = (const char *)base + key->offset;
    if (count == 0) {
        (void)snprintf(text, text_bytes, "none");
        return;
    }
    (void)snprintf(text, text_bytes, "[");
    for (uint32_t i = 0; i < count; i++, element += key->stride) {
        char one[160];
        ftli_write_map(key->children, element, one, sizeof one);
        ftli_append(text, text_bytes, "%s%s", i == 0 ? "" : ", ", one);
    }
    ftli_append(text, text_bytes, "]");
}

void ftli_write_map(const struct ftli_key *keys, const void *base, char *text, size_t text_bytes)
{
    (void)snprintf(text, text_bytes, "{");
    for (const struct ftli_key *key = keys; key->name != NULL; key++) {
        char value[160];
        ftli_write_value(key, base, value, sizeof value);
        ftli_append(text, text_bytes, "%s%s: %s", key == keys ? "" : ", ", key->name, value);
    }
    ftli_append(text, text_bytes, "}");
}

void ftli_write_value(const struct ftli_key *key, const void *base, char *text, size_t text_bytes)
{
    const void *field = (const char *)base + key->offset;
    text[0] = '\0';
    switch (key->kind) {
    case FTLI_KEY_SIZE:
    case FTLI_KEY_SIZE_OR_AUTO:
    case FTLI_KEY_SIZE_OR_NONE:
        if (key->kind != FTLI_KEY_SIZE && *(const uint64_t *)field == 0) {
            ftli_append(text, text_bytes, key->kind == FTLI_KEY_SIZE_OR_AUTO ? "auto" : "none");
        } else {
            ftli_write_size(*(const uint64_t *)field, text, text_bytes);
        }
        return;
    case FTLI_KEY_SIZE_OR_SHARE: {
        const struct ftli_size_or_share *either = field;
        if (either->is_share) {
            ftli_write_share(either->share, text, text_bytes);
        } else {
            ftli_write_size(either->bytes, text, text_bytes);
        }
        return;
    }
    case FTLI_KEY_TIME:
    case FTLI_KEY_TIME_OR_NONE:
        if (*(const int64_t *)field == FTLI_TIME_NONE) {
            ftli_append(text, text_bytes, "none");
        } else {
            ftli_write_time(*(const int64_t *)field, text, text_bytes);
        }
        return;
    case FTLI_KEY_SHARE:
        ftli_write_share(*(const double *)field, text, text_bytes);
        return;
    case FTLI_KEY_NUMBER:
        ftli_write_number(*(const double *)field, text, text_bytes);
        return;
    case FTLI_KEY_COUNT:
    case FTLI_KEY_COUNT_OR_AUTO:
        if (key->kind == FTLI_KEY_COUNT_OR_AUTO && *(const uint32_t *)field == 0) {
            ftli_append(text, text_bytes, "auto");
        } else {
            ftli_append(text, text_bytes, "%u", *(const uint32_t *)field);
        }
        return;
    case FTLI_KEY_INTEGER:
        ftli_append(text, text_bytes, "%d", *(const int32_t *)field);
        return;
    case FTLI_KEY_CHOICE:
        ftli_append(text, text_bytes, "%s", key->words[*(const uint32_t *)field]);
        return;
    case FTLI_KEY_WORDS: {
        const struct ftli_words *words = field;
        for (uint32_t i = 0; i < words->count; i++) {
            ftli_append(text, text_bytes, "%s%s", i == 0 ? "[" : ", ", key->words[words->items[i]]);
        }
        ftli_append(text, text_bytes, "]");
        return;
    }
    case FTLI_KEY_TEXT:
    case FTLI_KEY_TEXT_OR_NONE:
        ftli_append(text, text_bytes, "%s", *(const char *)field == '\0' ? "none" : (const char *)field);
        return;
    case FTLI_KEY_GROUP:
        ftli_append(text, text_bytes, "%s", ((const struct ftli_group_reference *)field)->name);
        return;
    case FTLI_KEY_CPUS:
        ftli_write_cpus(field, text, text_bytes);
        return;
    case FTLI_KEY_MAP:
        ftli_write_map(key->children, base, text, text_bytes);
        return;
    case FTLI_KEY_LIST:
        write_list(key, base, text, text_bytes);
        return;
    case FTLI_KEY_SETTINGS: {
        const struct ftli_settings *settings = field;
        for (uint32_t i = 0; i < settings->count; i++) {
            ftli_append(text, text_bytes, "%s%s: %s", i == 0 ? "{" : ", ", settings->items[i].key,
                        settings->items[i].value);
        }
        ftli_append(text, text_bytes, settings->count == 0 ? "{}" : "}");
        return;
    }
    case FTLI_KEY_NAMED:
        return;
    }
}
