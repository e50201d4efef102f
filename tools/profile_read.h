/* Heap profiles in the format of pprof (profile.proto), read.
 *
 * What      The whole file in memory, its messages as arrays; numbers of strings, functions, mappings and locations are checked, and made
 *           into places in the arrays.
 * Threads   One.
 */
#ifndef FTLI_TOOLS_PROFILE_READ_H
#define FTLI_TOOLS_PROFILE_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FTLI_PROFILE_NONE   SIZE_MAX
#define FTLI_PROFILE_VALUES 16 /* kinds of value at most */

struct ftli_profile_mapping {
    uint64_t id, start, limit, offset;
    const char *path, *build_id;
};

struct ftli_profile_function {
    uint64_t id;
    const char *name, *file;
};

struct ftli_profile_line { /* of an address the innermost first, where calls were inlined */
    size_t function;
    uint64_t line;
};

struct ftli_profile_location {
    uint64_t id, address;
    size_t mapping; /* FTLI_PROFILE_NONE: none */
    size_t first_line, lines;
};

struct ftli_profile_label {
    const char *key, *text; /* text: NULL of a number */
};

struct ftli_profile_sample {
    size_t first_location, locations; /* in `stacks`; the innermost first */
    size_t first_label, labels;
    int64_t values[FTLI_PROFILE_VALUES];
};

/* An array that grows. */
#define FTLI_PROFILE_ARRAY(type) \
    struct {                     \
        type *at;                \
        size_t count, room;      \
    }

struct ftli_profile {
    unsigned char *bytes; /* of the file */
    size_t byte_count;
    char *texts; /* of all strings, each ended by a zero */
    FTLI_PROFILE_ARRAY(const char *) strings;
    FTLI_PROFILE_ARRAY(struct ftli_profile_mapping) mappings;
    FTLI_PROFILE_ARRAY(struct ftli_profile_function) functions;
    FTLI_PROFILE_ARRAY(struct ftli_profile_location) locations;
    FTLI_PROFILE_ARRAY(struct ftli_profile_line) lines;
    FTLI_PROFILE_ARRAY(struct ftli_profile_sample) samples;
    FTLI_PROFILE_ARRAY(size_t) stacks;
    FTLI_PROFILE_ARRAY(struct ftli_profile_label) labels;
    const char *types[FTLI_PROFILE_VALUES], *units[FTLI_PROFILE_VALUES];
    unsigned value_count;
    const char *standard_type;         /* "": none is said */
    size_t own_strings, own_functions; /* from these on they are ours, not the file's */
};

enum { FTLI_PROFILE_WHY_BYTES = 512 };

/* False, and *why (FTLI_PROFILE_WHY_BYTES) is a sentence that begins with the path. */
bool ftli_profile_load(const char *path, struct ftli_profile *out, char *why);
/* The same of bytes that are the profile's from now on, from malloc. */
bool ftli_profile_take(const char *name, unsigned char *bytes, size_t n, struct ftli_profile *out, char *why);
void ftli_profile_unload(struct ftli_profile *);

/* The place of the type of this name; FTLI_PROFILE_NONE. */
size_t ftli_profile_type(const struct ftli_profile *, const char *name);

/* Fields of a message, one after the other. */
struct ftli_profile_field {
    unsigned number;
    bool is_bytes;
    uint64_t value; /* of a number */
    const unsigned char *at;
    size_t n;
};
/* Moves *at on; false: the end, or *broken. */
bool ftli_profile_next(const unsigned char **at, const unsigned char *end, struct ftli_profile_field *out,
                       bool *broken);

enum { /* fields of the outermost message */
       FTLI_PROFILE_SAMPLE_TYPE = 1,
       FTLI_PROFILE_SAMPLE = 2,
       FTLI_PROFILE_MAPPING = 3,
       FTLI_PROFILE_LOCATION = 4,
       FTLI_PROFILE_FUNCTION = 5,
       FTLI_PROFILE_STRING = 6,
       FTLI_PROFILE_STANDARD_TYPE = 14,
};

#endif
