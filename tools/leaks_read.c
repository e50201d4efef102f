#include "tools/leaks_read.h"

#include "tools/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MOST = 1 << 20 };

struct reading {
    struct ftli_leaks *out;
    bool has_findings, no_memory;
    char wrong[64];
};

/* The character that an escape stands for, and how many it is long. What is not ASCII becomes a question mark. */
static char escaped(const char *from, size_t *length)
{
    static const char escapes[] = "nrtbf", plain[] = "\n\r\t\b\f";
    const char *known = strchr(escapes, from[0]);
    *length = 1;
    if (from[0] == 'u' && strlen(from) > 4) {
        char hex[5] = {from[1], from[2], from[3], from[4], '\0'};
        unsigned long code = strtoul(hex, NULL, 16);
        *length = 5;
        if (code < 0x20 || code >= 0x7f) {
            return '?';
        }
        return (char)code;
    }
    if (known == NULL) {
        return from[0];
    }
    return plain[known - escapes];
}

static void unescape(const char *from, char *to, size_t bytes)
{
    size_t n = 0, length;
    if (to == NULL || bytes == 0) {
        return;
    }
    while (*from != '\0' && n + 1 < bytes) {
        if (from[0] == '\\' && from[1] != '\0') {
            to[n++] = escaped(from + 1, &length);
            from += 1 + length;
        } else {
            to[n++] = *from++;
        }
    }
    to[n] = '\0';
}

static bool take_count(struct reading *reading, const char *key, enum ftli_json_kind kind, const char *value,
                       uint64_t *out)
{
    char *end;
    if (kind == FTLI_JSON_NUMBER && value[0] != '-') {
        *out = strtoull(value, &end, 10);
        if (*end == '\0' || *end == '.') {
            return true;
        }
    }
    snprintf(reading->wrong, sizeof reading->wrong, "%s: is no count", key);
    return false;
}

/* The element `index` of a list, which grows by one at a time. NULL: it does not. */
static void *element(struct reading *reading, void **list, size_t *count, size_t *room, size_t bytes, size_t index)
{
    if (index > *count || index >= LIST_MOST) {
        return NULL;
    }
    if (index == *count && *count == *room) {
        size_t larger = *room == 0 ? 16 : 2 * *room;
        void *more = realloc(*list, larger * bytes);
        if (more == NULL) {
            reading->no_memory = true;
            return NULL;
        }
        *list = more;
        *room = larger;
    }
    if (*list == NULL) {
        return NULL;
    }
    if (index == *count) {
        memset((char *)*list + index * bytes, 0, bytes);
        ++*count;
    }
    return (char *)*list + index * bytes;
}

static bool take_finding(struct reading *reading, struct ftli_leaks_row *row, const char *key, enum ftli_json_kind kind,
                         const char *value)
{
    ftl_leak *leak = &row->leak;
    const struct {
        const char *key;
        char *to;
        size_t bytes;
    } texts[] = {{"label", leak->label, sizeof leak->label}, {"scope", leak->scope, sizeof leak->scope},
                 {"site", leak->site, sizeof leak->site},    {"reason", row->reason, sizeof row->reason},
                 {"fix", row->fix, sizeof row->fix},         {"stack", row->stack, sizeof row->stack}};
    const struct {
        const char *key;
        uint64_t *to;
    } counts[] = {{"count", &leak->count}, {"bytes", &leak->bytes}, {"age_ns", &leak->age_ns}, {"tag", &leak->tag}};
    uint64_t count;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && kind == FTLI_JSON_TEXT; i++) {
        if (strcmp(key, texts[i].key) == 0) {
            unescape(value, texts[i].to, texts[i].bytes);
            return true;
        }
    }
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (strcmp(key, counts[i].key) == 0) {
            return take_count(reading, key, kind, value, counts[i].to);
        }
    }
    if (strcmp(key, "cause") == 0) {
        leak->cause = ftli_leak_cause_of(value);
    } else if (strcmp(key, "tensor") == 0) {
        leak->tensor.id = strtoull(value, NULL, 16);
    } else if (strcmp(key, "growth_bytes_per_second") == 0) {
        leak->growth_bytes_per_second = strtod(value, NULL);
    } else if (strcmp(key, "certainty") == 0) {
        if (!take_count(reading, key, kind, value, &count) || count > 100) {
            return false;
        }
        leak->certainty = (uint32_t)count;
    }
    return true;
}

static bool take_cache(struct reading *reading, struct ftli_leaks_cache *cache, const char *key,
                       enum ftli_json_kind kind, const char *value)
{
    if (strcmp(key, "label") == 0) {
        unescape(value, cache->label, sizeof cache->label);
        return true;
    }
    uint64_t *to = strcmp(key, "tensors") == 0  ? &cache->tensors
                   : strcmp(key, "bytes") == 0  ? &cache->bytes
                   : strcmp(key, "age_ns") == 0 ? &cache->age_ns
                                                : NULL;
    return to == NULL || take_count(reading, key, kind, value, to);
}

/* "findings.3.label" and the like. */
static bool take_element(struct reading *reading, const char *path, enum ftli_json_kind kind, const char *value)
{
    struct ftli_leaks *out = reading->out;
    bool finding = strncmp(path, "findings.", 9) == 0;
    if (out == NULL || (!finding && strncmp(path, "caches.", 7) != 0)) {
        return true;
    }
    char *key;
    size_t index = (size_t)strtoul(path + (finding ? 9 : 7), &key, 10);
    if (*key != '.') {
        return true;
    }
    key++;
    if (finding) {
        void *list = out->rows;
        struct ftli_leaks_row *row = element(reading, &list, &out->row_count, &out->row_room, sizeof *out->rows, index);
        out->rows = list;
        return row != NULL && take_finding(reading, row, key, kind, value);
    }
    void *list = out->caches;
    struct ftli_leaks_cache *cache =
        element(reading, &list, &out->cache_count, &out->cache_room, sizeof *out->caches, index);
    out->caches = list;
    return cache != NULL && take_cache(reading, cache, key, kind, value);
}

static bool take(void *user, const char *path, enum ftli_json_kind kind, const char *value)
{
    struct reading *reading = user;
    struct ftli_leaks *out = reading->out;
    uint64_t *to = strcmp(path, "process") == 0      ? &out->process
                   : strcmp(path, "scanned") == 0    ? &out->scanned
                   : strcmp(path, "elapsed_ns") == 0 ? &out->elapsed_ns
                   : strcmp(path, "watched_ns") == 0 ? &out->watched_ns
                                                     : NULL;
    if (to != NULL) {
        return take_count(reading, path, kind, value, to);
    }
    if (strcmp(path, "runtime") == 0) {
        unescape(value, out->runtime, sizeof out->runtime);
        return true;
    }
    reading->has_findings = reading->has_findings || (strcmp(path, "findings") == 0 && kind == FTLI_JSON_NESTED);
    return take_element(reading, path, kind, value);
}

bool ftli_leaks_read(const char *text, struct ftli_leaks *out, char *why, size_t why_size)
{
    struct reading reading = {.out = out};
    size_t where = 0;
    memset(out, 0, sizeof *out);
    bool read = ftli_json_walk(text, take, &reading, &where);
    if (reading.no_memory) {
        snprintf(why, why_size, "out of memory");
    } else if (reading.wrong[0] != '\0') {
        snprintf(why, why_size, "%s", reading.wrong);
    } else if (!read) {
        snprintf(why, why_size, "is no list of leaks (at byte %zu)", where);
    } else if (!reading.has_findings) {
        snprintf(why, why_size, "is no list of leaks: it has no findings");
    }
    return read && reading.has_findings;
}

void ftli_leaks_free(struct ftli_leaks *leaks)
{
    free(leaks->rows);
    free(leaks->caches);
    memset(leaks, 0, sizeof *leaks);
}

/* ---- what is left of it -------------------------------------------------------------------------------------------- */

static int by_what(const void *a, const void *b)
{
    const ftl_leak *x = &((const struct ftli_leaks_row *)a)->leak, *y = &((const struct ftli_leaks_row *)b)->leak;
    int order = (x->cause > y->cause) - (x->cause < y->cause);
    order = order != 0 ? order : strcmp(x->site, y->site);
    order = order != 0 ? order : strcmp(x->label, y->label);
    return order != 0 ? order : strcmp(x->scope, y->scope);
}

static int most_bytes_first(const void *a, const void *b)
{
    const ftl_leak *x = &((const struct ftli_leaks_row *)a)->leak, *y = &((const struct ftli_leaks_row *)b)->leak;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return x->count != y->count ? (x->count > y->count ? -1 : 1) : by_what(a, b);
}

/* Both in the order of what they are; `before` may have the same thing in several rows, as may `leaks`. */
void ftli_leaks_subtract(struct ftli_leaks *leaks, const struct ftli_leaks *before)
{
    size_t left = 0, at = 0;
    if (leaks->row_count == 0 || before->row_count == 0) {
        return;
    }
    qsort(leaks->rows, leaks->row_count, sizeof *leaks->rows, by_what);
    qsort(before->rows, before->row_count, sizeof *before->rows, by_what);
    for (size_t i = 0; i < leaks->row_count; i++) {
        ftl_leak *leak = &leaks->rows[i].leak;
        while (at < before->row_count && by_what(&before->rows[at], &leaks->rows[i]) < 0) {
            at++;
        }
        bool was = at < before->row_count && by_what(&before->rows[at], &leaks->rows[i]) == 0;
        const ftl_leak *old = was ? &before->rows[at++].leak : NULL;
        if (was && leak->count <= old->count && leak->bytes <= old->bytes) {
            continue;
        }
        if (was) {
            leak->count -= old->count < leak->count ? old->count : leak->count;
            leak->bytes -= old->bytes < leak->bytes ? old->bytes : leak->bytes;
        }
        leaks->rows[left++] = leaks->rows[i];
    }
    leaks->row_count = left;
    qsort(leaks->rows, left, sizeof *leaks->rows, most_bytes_first);
}

static bool is_listed(const char *sites, const char *site)
{
    size_t length = strlen(site);
    for (const char *at = sites; length != 0 && *at != '\0'; at += *at == ',') {
        size_t word = strcspn(at, ",");
        if (word == length && memcmp(at, site, length) == 0) {
            return true;
        }
        at += word;
    }
    return false;
}

size_t ftli_leaks_quiet(struct ftli_leaks *leaks, const char *sites)
{
    size_t left = 0, all = leaks->row_count;
    for (size_t i = 0; i < all; i++) {
        if (!is_listed(sites, leaks->rows[i].leak.site)) {
            leaks->rows[left++] = leaks->rows[i];
        }
    }
    leaks->row_count = left;
    return all - left;
}
