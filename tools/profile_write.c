#include "tools/profile_write.h"

#include <string.h>

/* All but locations, and mappings, goes out as it came in. */

enum { WIRE_NUMBER = 0, WIRE_BYTES = 2, MESSAGE_BYTES = 16384 };

struct message { /* small ones: numbers, and lines of one location */
    unsigned char bytes[MESSAGE_BYTES];
    size_t n;
};

static void put_varint(struct message *out, uint64_t value)
{
    do {
        unsigned char more = value >= 0x80 ? 0x80 : 0;
        if (out->n < sizeof out->bytes)
            out->bytes[out->n++] = (unsigned char)((value & 0x7f) | more);
        value >>= 7;
    } while (value != 0);
}

static void put_number(struct message *out, unsigned field, uint64_t value)
{
    if (value == 0)
        return;
    put_varint(out, field << 3 | WIRE_NUMBER);
    put_varint(out, value);
}

static void put_bytes(struct message *out, unsigned field, const void *bytes, size_t n)
{
    put_varint(out, field << 3 | WIRE_BYTES);
    put_varint(out, n);
    if (n <= sizeof out->bytes - out->n) {
        memcpy(out->bytes + out->n, bytes, n);
        out->n += n;
    }
}

static void write_field(FILE *out, unsigned field, const void *bytes, size_t n)
{
    struct message head = {.n = 0};
    put_varint(&head, field << 3 | WIRE_BYTES);
    put_varint(&head, n);
    (void)fwrite(head.bytes, 1, head.n, out);
    (void)fwrite(bytes, 1, n, out);
}

/* The number of a text that is not the file's. */
static uint64_t string_of(const struct ftli_profile *profile, const char *text)
{
    for (size_t i = profile->own_strings; i < profile->strings.count; i++)
        if (profile->strings.at[i] == text)
            return i;
    return 0;
}

static void write_location(const struct ftli_profile *profile, const struct ftli_profile_location *location, FILE *out)
{
    struct message message = {.n = 0}, line = {.n = 0};
    put_number(&message, 1, location->id);
    put_number(&message, 2, location->mapping == FTLI_PROFILE_NONE ? 0 : profile->mappings.at[location->mapping].id);
    put_number(&message, 3, location->address);
    for (size_t i = 0; i < location->lines; i++) {
        const struct ftli_profile_line *from = &profile->lines.at[location->first_line + i];
        line.n = 0;
        put_number(&line, 1, profile->functions.at[from->function].id);
        put_number(&line, 2, from->line);
        if (message.n + line.n + 16 <= sizeof message.bytes)
            put_bytes(&message, 4, line.bytes, line.n);
    }
    write_field(out, FTLI_PROFILE_LOCATION, message.bytes, message.n);
}

static bool is_named(const struct ftli_profile *profile, size_t mapping)
{
    for (size_t i = 0; i < profile->locations.count; i++)
        if (profile->locations.at[i].mapping == mapping && profile->locations.at[i].lines == 0)
            return false;
    return true;
}

/* has_functions, has_filenames, has_line_numbers, has_inline_frames: fields 7 to 10. */
static void write_mapping(const struct ftli_profile *profile, const struct ftli_profile_field *field, size_t mapping,
                          FILE *out)
{
    struct message more = {.n = 0}, head = {.n = 0};
    for (unsigned i = 7; i <= 10 && is_named(profile, mapping); i++)
        put_number(&more, i, 1);
    put_varint(&head, FTLI_PROFILE_MAPPING << 3 | WIRE_BYTES);
    put_varint(&head, field->n + more.n);
    (void)fwrite(head.bytes, 1, head.n, out);
    (void)fwrite(field->at, 1, field->n, out);
    (void)fwrite(more.bytes, 1, more.n, out);
}

static size_t mapping_of(const struct ftli_profile *profile, const struct ftli_profile_field *field)
{
    const unsigned char *at = field->at;
    struct ftli_profile_field inner;
    bool broken = false;
    while (ftli_profile_next(&at, field->at + field->n, &inner, &broken))
        for (size_t i = 0; inner.number == 1 && i < profile->mappings.count; i++)
            if (profile->mappings.at[i].id == inner.value)
                return i;
    return FTLI_PROFILE_NONE;
}

bool ftli_profile_write(const struct ftli_profile *profile, FILE *out)
{
    const unsigned char *at = profile->bytes, *end = at + profile->byte_count, *from = at;
    struct ftli_profile_field field;
    bool broken = false;
    while (ftli_profile_next(&at, end, &field, &broken)) {
        size_t mapping = field.number == FTLI_PROFILE_MAPPING ? mapping_of(profile, &field) : FTLI_PROFILE_NONE;
        if (mapping != FTLI_PROFILE_NONE)
            write_mapping(profile, &field, mapping, out);
        else if (field.number != FTLI_PROFILE_LOCATION)
            (void)fwrite(from, 1, (size_t)(at - from), out);
        from = at;
    }
    for (size_t i = profile->own_strings; i < profile->strings.count; i++)
        write_field(out, FTLI_PROFILE_STRING, profile->strings.at[i], strlen(profile->strings.at[i]));
    for (size_t i = profile->own_functions; i < profile->functions.count; i++) {
        const struct ftli_profile_function *function = &profile->functions.at[i];
        struct message message = {.n = 0};
        uint64_t name = string_of(profile, function->name);
        put_number(&message, 1, function->id);
        put_number(&message, 2, name);
        put_number(&message, 3, name);
        put_number(&message, 4, string_of(profile, function->file));
        write_field(out, FTLI_PROFILE_FUNCTION, message.bytes, message.n);
    }
    for (size_t i = 0; i < profile->locations.count; i++)
        write_location(profile, &profile->locations.at[i], out);
    return fflush(out) == 0 && !ferror(out);
}
