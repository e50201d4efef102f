/* A profile in the format of pprof: profile.proto, whose numbers of fields stand below. */
#include "actors/tracking/profile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/tracking/modules.h"
#include "actors/tracking/profile_inside.h"
#include "actors/tracking/protobuf.h"
#include "tensor/dtype.h"

enum profile_field {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE = 2,
    PROFILE_MAPPING = 3,
    PROFILE_LOCATION = 4,
    PROFILE_FUNCTION = 5,
    PROFILE_STRING_TABLE = 6,
    PROFILE_TIME_NANOS = 9,
    PROFILE_COMMENT = 13,
    PROFILE_DEFAULT_SAMPLE_TYPE = 14,
};
enum value_type_field { VALUE_TYPE_TYPE = 1, VALUE_TYPE_UNIT = 2 };
enum sample_field { SAMPLE_LOCATION = 1, SAMPLE_VALUE = 2, SAMPLE_LABEL = 3 };
enum label_field { LABEL_KEY = 1, LABEL_STRING = 2 };
enum mapping_field {
    MAPPING_ID = 1,
    MAPPING_START = 2,
    MAPPING_LIMIT = 3,
    MAPPING_OFFSET = 4,
    MAPPING_FILENAME = 5,
    MAPPING_BUILD_ID = 6,
};
enum location_field { LOCATION_ID = 1, LOCATION_MAPPING = 2, LOCATION_ADDRESS = 3, LOCATION_LINE = 4 };
enum line_field { LINE_FUNCTION = 1 };
enum function_field { FUNCTION_ID = 1, FUNCTION_NAME = 2, FUNCTION_SYSTEM_NAME = 3 };

enum { VALUES = 4, INUSE_OBJECTS = 0, INUSE_SPACE = 1, ALLOC_OBJECTS = 2, ALLOC_SPACE = 3 };

/* Strings whose numbers are known beforehand; number 0 is the empty one, as the format has it. */
enum fixed_string {
    STRING_EMPTY,
    STRING_INUSE_OBJECTS,
    STRING_INUSE_SPACE,
    STRING_ALLOC_OBJECTS,
    STRING_ALLOC_SPACE,
    STRING_COUNT,
    STRING_BYTES,
    STRING_DEVICE,
    STRING_DTYPE,
    STRING_SCOPE,
    STRING_LABEL,
    STRING_COMMENT,
    STRINGS_FIXED,
};
static const char *const fixed_strings[STRINGS_FIXED] = {
    "",
    "inuse_objects",
    "inuse_space",
    "alloc_objects",
    "alloc_space",
    "count",
    "bytes",
    "device",
    "dtype",
    "scope",
    "label",
    "fettle: in use is exact for sites that the program named, else estimated from samples; alloc is estimated",
};

struct writing {
    const struct ftli_profile_world *world;
    struct ftli_protobuf out, sample, inner, line;
    uint64_t strings; /* so far */
    uint64_t locations, functions, mappings;
    struct ftli_tally by_address; /* mark: the location's number; key: an address, or a site with a name */
    struct ftli_tally by_mapping; /* mark: the mapping's number; key: where it begins */
    bool failed;
    uint64_t dtypes[FTLI_DTYPES], devices[256], labels[FTLI_LABELS_MOST]; /* numbers of strings; 0: not there yet */
};

/* ---- strings ------------------------------------------------------------------------------------------------------------ */

static uint64_t add_string(struct writing *writing, const char *text)
{
    ftli_protobuf_text(&writing->out, PROFILE_STRING_TABLE, text);
    return writing->strings++;
}

static uint64_t string_of(struct writing *writing, uint64_t *number, const char *text)
{
    if (*text == '\0')
        return STRING_EMPTY;
    if (*number == 0)
        *number = add_string(writing, text);
    return *number;
}

static uint64_t string_of_label(struct writing *writing, uint32_t label)
{
    if (label >= FTLI_LABELS_MOST)
        return STRING_EMPTY;
    return string_of(writing, &writing->labels[label], ftli_label_text(writing->world->list.labels, label));
}

/* ---- mappings, functions, locations ----------------------------------------------------------------------------------- */

static uint64_t *place_in(struct writing *writing, struct ftli_tally *tally, uint64_t key)
{
    struct ftli_tally_row *row = ftli_tally_at(tally, key, 0);
    if (row == NULL)
        writing->failed = true;
    return row != NULL ? &row->mark : NULL;
}

static uint64_t mapping_of(struct writing *writing, uint64_t address)
{
    struct ftli_module module;
    char build_id[2 * FTLI_BUILD_ID_MOST + 1] = "";
    if (!ftli_module_of((uintptr_t)address, &module))
        return 0; /* pprof takes a location without a mapping */
    uint64_t *number = place_in(writing, &writing->by_mapping, module.from);
    if (number == NULL || *number != 0)
        return number != NULL ? *number : 0;
    *number = ++writing->mappings;
    for (unsigned i = 0; i < module.build_id_bytes; i++)
        (void)snprintf(build_id + 2 * i, 3, "%02x", module.build_id[i]);
    struct ftli_protobuf *mapping = &writing->inner;
    uint64_t path = add_string(writing, module.path);
    ftli_protobuf_number(mapping, MAPPING_ID, *number);
    ftli_protobuf_number(mapping, MAPPING_START, module.from);
    ftli_protobuf_number(mapping, MAPPING_LIMIT, module.to);
    ftli_protobuf_number(mapping, MAPPING_OFFSET, module.file_offset);
    ftli_protobuf_number(mapping, MAPPING_FILENAME, path);
    ftli_protobuf_number(mapping, MAPPING_BUILD_ID, *build_id == '\0' ? 0 : add_string(writing, build_id));
    ftli_protobuf_message(&writing->out, PROFILE_MAPPING, mapping);
    return *number;
}

static uint64_t function_of(struct writing *writing, const char *name)
{
    struct ftli_protobuf *function = &writing->inner;
    uint64_t number = ++writing->functions, text = add_string(writing, name);
    ftli_protobuf_number(function, FUNCTION_ID, number);
    ftli_protobuf_number(function, FUNCTION_NAME, text);
    ftli_protobuf_number(function, FUNCTION_SYSTEM_NAME, text);
    ftli_protobuf_message(&writing->out, PROFILE_FUNCTION, function);
    return number;
}

static uint64_t location_of_name(struct writing *writing, uint64_t site, const char *name)
{
    uint64_t *number = place_in(writing, &writing->by_address, site | FTLI_PROFILE_TEXT);
    if (number == NULL || *number != 0)
        return number != NULL ? *number : 0;
    *number = ++writing->locations;
    ftli_protobuf_number(&writing->line, LINE_FUNCTION, function_of(writing, name));
    ftli_protobuf_number(&writing->inner, LOCATION_ID, *number);
    ftli_protobuf_message(&writing->inner, LOCATION_LINE, &writing->line);
    ftli_protobuf_message(&writing->out, PROFILE_LOCATION, &writing->inner);
    return *number;
}

/* A return address is that of the instruction after the call: the byte before it is the call's. */
static uint64_t location_of_frame(struct writing *writing, uintptr_t frame)
{
    uint64_t address = frame != 0 ? frame - 1 : 0;
    uint64_t *number = place_in(writing, &writing->by_address, address);
    if (number == NULL || *number != 0)
        return number != NULL ? *number : 0;
    *number = ++writing->locations;
    uint64_t mapping = mapping_of(writing, address);
    ftli_protobuf_number(&writing->inner, LOCATION_ID, *number);
    ftli_protobuf_number(&writing->inner, LOCATION_MAPPING, mapping);
    ftli_protobuf_number(&writing->inner, LOCATION_ADDRESS, address);
    ftli_protobuf_message(&writing->out, PROFILE_LOCATION, &writing->inner);
    return *number;
}

/* The innermost first. */
static unsigned locations_of(struct writing *writing, uint64_t site, uint64_t *locations)
{
    char name[FTLI_PROFILE_NAME_BYTES];
    struct ftli_site_view view;
    if (ftli_profile_name(writing->world, site, name, &view)) {
        locations[0] = location_of_name(writing, site, name);
        return 1;
    }
    for (unsigned i = 0; i < view.count; i++)
        locations[i] = location_of_frame(writing, view.frames[i]);
    return view.count;
}

/* ---- samples ------------------------------------------------------------------------------------------------------------- */

static void put_label(struct writing *writing, enum fixed_string key, uint64_t string)
{
    if (string == STRING_EMPTY)
        return;
    ftli_protobuf_number(&writing->inner, LABEL_KEY, key);
    ftli_protobuf_number(&writing->inner, LABEL_STRING, string);
    ftli_protobuf_message(&writing->sample, SAMPLE_LABEL, &writing->inner);
}

static void put_labels(struct writing *writing, uint64_t key)
{
    const struct ftli_profile_world *world = writing->world;
    struct ftli_profile_labels labels = ftli_profile_labels_of(key);
    put_label(writing, STRING_DEVICE,
              string_of(writing, &writing->devices[labels.device], world->device_name(world->user, labels.device)));
    if (labels.dtype < FTLI_DTYPES && labels.dtype != 0)
        put_label(writing, STRING_DTYPE,
                  string_of(writing, &writing->dtypes[labels.dtype], ftli_dtype_name(labels.dtype)));
    put_label(writing, STRING_SCOPE, string_of_label(writing, labels.scope));
    put_label(writing, STRING_LABEL, string_of_label(writing, labels.label));
}

static void begin_sample(struct writing *writing, uint64_t site, const uint64_t *values)
{
    uint64_t locations[FTLI_SITE_FRAMES_MOST];
    unsigned n = locations_of(writing, site, locations);
    ftli_protobuf_numbers(&writing->sample, SAMPLE_LOCATION, locations, n);
    ftli_protobuf_numbers(&writing->sample, SAMPLE_VALUE, values, VALUES);
}

static void put_row(struct writing *writing, const struct ftli_tally_row *row)
{
    uint64_t count = ftli_profile_whole(row->count), bytes = ftli_profile_whole(row->bytes);
    const uint64_t values[VALUES] = {count, bytes, count, bytes};
    begin_sample(writing, row->key[0], values);
    put_labels(writing, row->key[1]);
    ftli_protobuf_message(&writing->out, PROFILE_SAMPLE, &writing->sample);
}

/* What each site has made and is gone. */
static void put_dropped(struct writing *writing)
{
    const struct ftli_sites *sites = writing->world->list.sites;
    uint32_t end = sites != NULL ? ftli_sites_end(sites) : 0;
    for (uint32_t site = 0; site < end; site++) {
        struct ftli_site_figures figures;
        memset(&figures, 0, sizeof figures);
        ftli_site_figures(sites, site, &figures);
        if (figures.dropped == 0)
            continue;
        const uint64_t values[VALUES] = {0, 0, ftli_profile_whole(figures.dropped),
                                         ftli_profile_whole(figures.dropped_bytes)};
        begin_sample(writing, site, values);
        ftli_protobuf_message(&writing->out, PROFILE_SAMPLE, &writing->sample);
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------------------------- */

static void put_type(struct writing *writing, enum fixed_string type, enum fixed_string unit)
{
    ftli_protobuf_number(&writing->inner, VALUE_TYPE_TYPE, type);
    ftli_protobuf_number(&writing->inner, VALUE_TYPE_UNIT, unit);
    ftli_protobuf_message(&writing->out, PROFILE_SAMPLE_TYPE, &writing->inner);
}

static void begin(struct writing *writing)
{
    const uint64_t comment = STRING_COMMENT;
    for (unsigned i = 0; i < STRINGS_FIXED; i++)
        (void)add_string(writing, fixed_strings[i]);
    put_type(writing, STRING_INUSE_OBJECTS, STRING_COUNT);
    put_type(writing, STRING_INUSE_SPACE, STRING_BYTES);
    put_type(writing, STRING_ALLOC_OBJECTS, STRING_COUNT);
    put_type(writing, STRING_ALLOC_SPACE, STRING_BYTES);
    ftli_protobuf_number(&writing->out, PROFILE_DEFAULT_SAMPLE_TYPE, STRING_INUSE_SPACE);
    ftli_protobuf_number(&writing->out, PROFILE_TIME_NANOS, writing->world->time_ns);
    ftli_protobuf_numbers(&writing->out, PROFILE_COMMENT, &comment, 1);
}

static void forget(struct writing *writing)
{
    ftli_protobuf_free(&writing->out);
    ftli_protobuf_free(&writing->sample);
    ftli_protobuf_free(&writing->inner);
    ftli_protobuf_free(&writing->line);
    ftli_tally_free(&writing->by_address);
    ftli_tally_free(&writing->by_mapping);
    free(writing);
}

static int write_out(const struct ftli_protobuf *out, ftl_write_fn write, void *user)
{
    enum { PIECE_BYTES = 65536 };
    int stopped = 0;
    for (size_t at = 0; at < out->used && stopped == 0; at += PIECE_BYTES) {
        size_t left = out->used - at;
        stopped = write((const char *)out->bytes + at, left < PIECE_BYTES ? left : PIECE_BYTES, user);
    }
    return stopped;
}

int ftli_profile_heap(const struct ftli_profile_world *world, ftl_write_fn write, void *user)
{
    struct ftli_tally rows;
    struct writing *writing = calloc(1, sizeof *writing);
    if (writing == NULL)
        return FTL_ENOMEM;
    writing->world = world;
    int status = ftli_profile_gather(world, true, &rows);
    if (status == FTL_OK) {
        begin(writing);
        for (size_t i = 0; i < rows.used; i++)
            put_row(writing, &rows.rows[i]);
        put_dropped(writing);
        bool failed = writing->failed || writing->out.failed || writing->sample.failed;
        status = failed ? FTL_ENOMEM : FTL_OK;
        ftli_tally_free(&rows);
    }
    if (status == FTL_OK)
        (void)write_out(&writing->out, write, user);
    forget(writing);
    return status;
}
