#include "tools/profile_read.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIRE_NUMBER = 0, WIRE_EIGHT_BYTES = 1, WIRE_BYTES = 2, WIRE_FOUR_BYTES = 5 };
#define FILE_BYTES_MOST (UINT64_C(1) << 30)

struct reading {
    struct ftli_profile *profile;
    const char *name;
    char *why; /* "" so far */
};

static bool fault(struct reading *reading, const char *what)
{
    if (reading->why[0] == '\0')
        snprintf(reading->why, FTLI_PROFILE_WHY_BYTES, "%s: %s", reading->name, what);
    return false;
}

/* ---- fields --------------------------------------------------------------------------------------------------------- */

static bool take_number(const unsigned char **at, const unsigned char *end, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && *at < end; shift += 7) {
        unsigned char byte = *(*at)++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    return false;
}

bool ftli_profile_next(const unsigned char **at, const unsigned char *end, struct ftli_profile_field *out, bool *broken)
{
    uint64_t key;
    if (*at == end)
        return false;
    *broken = true;
    if (!take_number(at, end, &key) || key >> 3 == 0 || key >> 3 > 0x1fffffff)
        return false;
    *out = (struct ftli_profile_field){.number = (unsigned)(key >> 3)};
    unsigned wire = (unsigned)key & 7;
    if (wire == WIRE_NUMBER) {
        if (!take_number(at, end, &out->value))
            return false;
    } else if (wire == WIRE_BYTES || wire == WIRE_EIGHT_BYTES || wire == WIRE_FOUR_BYTES) {
        uint64_t n = wire == WIRE_EIGHT_BYTES ? 8 : 4;
        if (wire == WIRE_BYTES && !take_number(at, end, &n))
            return false;
        if (n > (uint64_t)(end - *at))
            return false;
        out->is_bytes = true;
        out->at = *at;
        out->n = (size_t)n;
        *at += n;
    } else {
        return false;
    }
    *broken = false;
    return true;
}

/* Each field of a message, by a callback that answers false for what is wrong. */
typedef bool (*field_fn)(struct reading *reading, const struct ftli_profile_field *field, void *user);

static bool each_field(struct reading *reading, const unsigned char *at, size_t n, field_fn fn, void *user)
{
    const unsigned char *end = at + n;
    struct ftli_profile_field field;
    bool broken = false;
    while (ftli_profile_next(&at, end, &field, &broken))
        if (!fn(reading, &field, user))
            return fault(reading, "is no profile: a field has the wrong kind");
    return !broken || fault(reading, "is no profile, or is cut off: a field does not end where it should");
}

/* ---- arrays --------------------------------------------------------------------------------------------------------- */

static bool make_room(struct reading *reading, void **at, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return true;
    size_t larger = *room == 0 ? 64 : 2 * *room;
    void *moved = realloc(*at, larger * size);
    if (moved == NULL)
        return fault(reading, "no memory for it");
    *at = moved;
    *room = larger;
    return true;
}

#define PUSH(reading, array, ...)                                                                      \
    (make_room(reading, (void **)&(array)->at, &(array)->room, (array)->count, sizeof *(array)->at) && \
     ((array)->at[(array)->count++] = (__VA_ARGS__), true))

/* A number alone, or a packed list of them. */
static bool each_number(struct reading *reading, const struct ftli_profile_field *field,
                        bool (*fn)(struct reading *reading, uint64_t value, void *user), void *user)
{
    if (!field->is_bytes)
        return fn(reading, field->value, user);
    const unsigned char *at = field->at, *end = field->at + field->n;
    while (at < end) {
        uint64_t value;
        if (!take_number(&at, end, &value) || !fn(reading, value, user))
            return false;
    }
    return true;
}

/* ---- strings -------------------------------------------------------------------------------------------------------- */

static bool take_string(struct reading *reading, const struct ftli_profile_field *field, void *user)
{
    char **end = user;
    struct ftli_profile *profile = reading->profile;
    if (field->number != FTLI_PROFILE_STRING)
        return true;
    if (!field->is_bytes)
        return false;
    memcpy(*end, field->at, field->n);
    (*end)[field->n] = '\0';
    if (!PUSH(reading, &profile->strings, *end))
        return false;
    *end += field->n + 1;
    return true;
}

static const char *text_of(struct reading *reading, uint64_t number)
{
    const struct ftli_profile *profile = reading->profile;
    if (number < profile->strings.count)
        return profile->strings.at[number];
    (void)fault(reading, "is no profile: it names a string that it does not have");
    return "";
}

/* ---- the messages ------------------------------------------------------------------------------------------------------- */

struct pair {
    uint64_t first, second;
};

static bool take_pair(struct reading *reading, const struct ftli_profile_field *field, void *user)
{
    struct pair *pair = user;
    (void)reading;
    if (field->number == 1)
        pair->first = field->value;
    else if (field->number == 2)
        pair->second = field->value;
    return !field->is_bytes;
}

static bool take_type(struct reading *reading, const struct ftli_profile_field *field)
{
    struct ftli_profile *profile = reading->profile;
    struct pair pair = {0};
    if (profile->value_count == FTLI_PROFILE_VALUES)
        return fault(reading, "has more than 16 kinds of value");
    if (!each_field(reading, field->at, field->n, take_pair, &pair))
        return false;
    profile->types[profile->value_count] = text_of(reading, pair.first);
    profile->units[profile->value_count++] = text_of(reading, pair.second);
    return true;
}

static bool take_mapping_field(struct reading *reading, const struct ftli_profile_field *field, void *user)
{
    struct ftli_profile_mapping *mapping = user;
    if (field->number == 1)
        mapping->id = field->value;
    else if (field->number == 2)
        mapping->start = field->value;
    else if (field->number == 3)
        mapping->limit = field->value;
    else if (field->number == 4)
        mapping->offset = field->value;
    else if (field->number == 5)
        mapping->path = text_of(reading, field->value);
    else if (field->number == 6)
        mapping->build_id = text_of(reading, field->value);
    return !field->is_bytes;
}

static bool take_function_field(struct reading *reading, const struct ftli_profile_field *field, void *user)
{
    struct ftli_profile_function *function = user;
    if (field->number == 1)
        function->id = field->value;
    else if (field->number == 2)
        function->name = text_of(reading, field->value);
    else if (field->number == 4)
        function->file = text_of(reading, field->value);
    return !field->is_bytes;
}

/* What locations refer to. */
static bool take_first(struct reading *reading, const struct ftli_profile_field *field, void *user)
{
    struct ftli_profile *profile = reading->profile;
    (void)user;
    if (field->number == FTLI_PROFILE_STANDARD_TYPE && !field->is_bytes)
        profile->standard_type = text_of(reading, field->value);
    if (field->number < FTLI_PROFILE_SAMPLE_TYPE || field->number > FTLI_PROFILE_FUNCTION)
        return true;
    if (!field->is_bytes)
        return false;
    if (field->number == FTLI_PROFILE_SAMPLE_TYPE)
        return take_type(reading, field);
    if (field->number == FTLI_PROFILE_MAPPING) {
        struct ftli_profile_mapping mapping = {.path = "", .build_id = ""};
        return each_field(reading, field->at, field->n, take_mapping_field, &mapping) &&
               PUSH(reading, &profile->mappings, mapping);
    }
    if (field->number == FTLI_PROFILE_FUNCTION) {
        struct ftli_profile_function function = {.name = "", .file = ""};
        return each_field(reading, field->at, field->n, take_function_field, &function) &&
               PUSH(reading, &profile->functions, function);
    }
    return true;
}

/* Places by number. Each array is sorted by its ids, which come first in its elements. */
static int by_id(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static size_t place_of(uint64_t id, const void *array, size_t count, size_t size)
{
    if (count == 0)
        return FTLI_PROFILE_NONE;
    const char *found = bsearch(&id, array, count, size, by_id);
    return found == NULL ? FTLI_PROFILE_NONE : (size_t)(found - (const char *)array) / size;
}

static void sort_by_id(void *array, size_t count, size_t size)
{
    if (count != 0)
        qsort(array, count, size, by_id);
}

static bool take_location_field(struct reading *reading, const struct ftli_profile_field *field, void *user)
{
    struct ftli_profile *profile = reading->profile;
    struct ftli_profile_location *location = user;
    if (field->number == 4) {
        struct pair pair = {0};
        if (!field->is_bytes || !each_field(reading, field->at, field->n, take_pair, &pair))
            return false;
        size_t place =
            place_of(pair.first, profile->functions.at, profile->functions.count, sizeof *profile->functions.at);
        if (place == FTLI_PROFILE_NONE)
            return fault(reading, "is no profile: it names a function that it does not have");
        location->lines++;
        return PUSH(reading, &profile->lines, (struct ftli_profile_line){place, pair.second});
    }
    if (field->number == 1)
        location->id = field->value;
    else if (field->number == 2 && field->value != 0) {
        location->mapping =
            place_of(field->value, profile->mappings.at, profile->mappings.count, sizeof *profile->mappings.at);
        if (location->mapping == FTLI_PROFILE_NONE)
            return fault(reading, "is no profile: it names a mapping that it does not have");
    } else if (field->number == 3)
        location->address = field->value;
    return !field->is_bytes;
}

static bool take_location(struct reading *reading, const struct ftli_profile_field *field, void *user)
{
    struct ftli_profile *profile = reading->profile;
    (void)user;
    if (field->number != FTLI_PROFILE_LOCATION)
        return true;
    struct ftli_profile_location location = {.mapping = FTLI_PROFILE_NONE, .first_line = profile->lines.count};
    return each_field(reading, field->at, field->n, take_location_field, &location) &&
           PUSH(reading, &profile->locations, location);
}

struct sampling {
    struct ftli_profile_sample sample;
    unsigned values;
};

static bool take_sample_location(struct reading *reading, uint64_t value, void *user)
{
    struct ftli_profile *profile = reading->profile;
    struct sampling *sampling = user;
    size_t place = place_of(value, profile->locations.at, profile->locations.count, sizeof *profile->locations.at);
    if (place == FTLI_PROFILE_NONE)
        return fault(reading, "is no profile: it names a location that it does not have");
    sampling->sample.locations++;
    return PUSH(reading, &profile->stacks, place);
}

static bool take_sample_value(struct reading *reading, uint64_t value, void *user)
{
    struct sampling *sampling = user;
    if (sampling->values == reading->profile->value_count)
        return fault(reading, "is no profile: a sample has more values than there are types");
    sampling->sample.values[sampling->values++] = (int64_t)value;
    return true;
}

static bool take_sample_field(struct reading *reading, const struct ftli_profile_field *field, void *user)
{
    struct sampling *sampling = user;
    if (field->number == 1)
        return each_number(reading, field, take_sample_location, sampling);
    if (field->number == 2)
        return each_number(reading, field, take_sample_value, sampling);
    if (field->number != 3)
        return true;
    struct pair pair = {0};
    if (!field->is_bytes || !each_field(reading, field->at, field->n, take_pair, &pair))
        return false;
    struct ftli_profile_label label = {text_of(reading, pair.first),
                                       pair.second != 0 ? text_of(reading, pair.second) : NULL};
    sampling->sample.labels++;
    return PUSH(reading, &reading->profile->labels, label);
}

static bool take_sample(struct reading *reading, const struct ftli_profile_field *field, void *user)
{
    struct ftli_profile *profile = reading->profile;
    (void)user;
    if (field->number != FTLI_PROFILE_SAMPLE)
        return true;
    struct sampling sampling = {
        .sample = {.first_location = profile->stacks.count, .first_label = profile->labels.count}};
    if (!each_field(reading, field->at, field->n, take_sample_field, &sampling))
        return false;
    if (sampling.values != profile->value_count)
        return fault(reading, "is no profile: a sample has fewer values than there are types");
    return PUSH(reading, &profile->samples, sampling.sample);
}

static bool read_all(struct reading *reading)
{
    struct ftli_profile *profile = reading->profile;
    const unsigned char *bytes = profile->bytes;
    size_t n = profile->byte_count;
    profile->texts = malloc(n + 1); /* each string has two bytes before it, or more */
    profile->standard_type = "";
    char *end = profile->texts;
    if (profile->texts == NULL)
        return fault(reading, "no memory for it");
    if (n == 0)
        return fault(reading, "is empty");
    if (n > 1 && bytes[0] == 0x1f && bytes[1] == 0x8b)
        return fault(reading, "is compressed; gunzip it first");
    if (!each_field(reading, bytes, n, take_string, &end) || !each_field(reading, bytes, n, take_first, NULL))
        return false;
    sort_by_id(profile->mappings.at, profile->mappings.count, sizeof *profile->mappings.at);
    sort_by_id(profile->functions.at, profile->functions.count, sizeof *profile->functions.at);
    if (!each_field(reading, bytes, n, take_location, NULL))
        return false;
    sort_by_id(profile->locations.at, profile->locations.count, sizeof *profile->locations.at);
    if (profile->value_count == 0 || profile->strings.count == 0)
        return fault(reading, "is no profile: it has no kinds of value");
    profile->own_strings = profile->strings.count;
    profile->own_functions = profile->functions.count;
    return each_field(reading, bytes, n, take_sample, NULL) && reading->why[0] == '\0';
}

bool ftli_profile_take(const char *name, unsigned char *bytes, size_t n, struct ftli_profile *out, char *why)
{
    struct reading reading = {out, name, why};
    memset(out, 0, sizeof *out);
    out->own_strings = SIZE_MAX; /* all are in `texts` */
    out->bytes = bytes;
    out->byte_count = n;
    why[0] = '\0';
    if (read_all(&reading))
        return true;
    ftli_profile_unload(out);
    return false;
}

/* All of a file: pipes too, so in pieces. */
static unsigned char *read_file(struct reading *reading, FILE *file, size_t *n)
{
    unsigned char *bytes = NULL;
    size_t room = 0;
    *n = 0;
    do {
        size_t larger = room == 0 ? 65536 : 2 * room;
        unsigned char *moved = *n < FILE_BYTES_MOST ? realloc(bytes, larger) : NULL;
        if (moved == NULL) {
            (void)fault(reading, *n < FILE_BYTES_MOST ? "no memory for it" : "is over 1 GiB");
            free(bytes);
            return NULL;
        }
        bytes = moved;
        room = larger;
        *n += fread(bytes + *n, 1, room - *n, file);
    } while (*n == room);
    if (ferror(file)) {
        (void)fault(reading, strerror(errno));
        free(bytes);
        return NULL;
    }
    return bytes;
}

bool ftli_profile_load(const char *path, struct ftli_profile *out, char *why)
{
    struct reading reading = {out, path, why};
    why[0] = '\0';
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return fault(&reading, strerror(errno));
    size_t n;
    unsigned char *bytes = read_file(&reading, file, &n);
    (void)fclose(file);
    return bytes != NULL && ftli_profile_take(path, bytes, n, out, why);
}

void ftli_profile_unload(struct ftli_profile *profile)
{
    for (size_t i = profile->own_strings; i < profile->strings.count; i++)
        free((char *)(uintptr_t)profile->strings.at[i]);
    free(profile->bytes);
    free(profile->texts);
    free(profile->strings.at);
    free(profile->mappings.at);
    free(profile->functions.at);
    free(profile->locations.at);
    free(profile->lines.at);
    free(profile->samples.at);
    free(profile->stacks.at);
    free(profile->labels.at);
    memset(profile, 0, sizeof *profile);
}

size_t ftli_profile_type(const struct ftli_profile *profile, const char *name)
{
    for (unsigned i = 0; i < profile->value_count; i++)
        if (strcmp(profile->types[i], name) == 0)
            return i;
    return FTLI_PROFILE_NONE;
}
