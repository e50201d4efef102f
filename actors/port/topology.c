#include "actors/port/topology.h"

#include "actors/allocation/settings.h"
#include "actors/cleanup/settings.h"
#include "actors/defragmentation/settings.h"
#include "actors/leak_detection/settings.h"
#include "actors/telemetry/settings.h"
#include "actors/tracking/settings.h"
#include "runtime/compose/default_topology.h"

#include <fettle/actor.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if FETTLE_TELEMETRY
#define TELEMETRY ftli_telemetry_schema
#else
/* The type is known, so that files may say `telemetry: none`, and cannot be had. */
static const struct ftli_actor_schema no_telemetry = {.type = "telemetry", .order = 5};
#define TELEMETRY no_telemetry
#endif

/* A type of the program's: its keys are its own business, and stand under `settings`. */
struct user_type {
    struct ftli_actor_schema schema;
    char name[FTLI_NAME_BYTES];
};

static const struct ftli_key user_keys[] = {
    {.name = "settings", .kind = FTLI_KEY_SETTINGS, .offset = 0},
    FTLI_KEYS_END,
};

enum { OURS = 6, USER_ORDER = 1000 };
#define USER_RECEIVE_NS (INT64_C(200) * 1000 * 1000)

static struct user_type *make_types(const ftl_open_options *options)
{
    struct user_type *types = calloc(options->actor_type_count, sizeof *types);
    for (size_t i = 0; types != NULL && i < options->actor_type_count; i++) {
        (void)snprintf(types[i].name, sizeof types[i].name, "%s", options->actor_types[i].name);
        types[i].schema = (struct ftli_actor_schema){.type = types[i].name,
                                                     .keys = user_keys,
                                                     .settings_bytes = sizeof(struct ftli_settings),
                                                     .order = USER_ORDER,
                                                     .is_user = true,
                                                     .threads = "background",
                                                     .receive_ns = USER_RECEIVE_NS};
    }
    return types;
}

static int compose(const struct ftli_compose_input *ours, const ftl_open_options *options, struct ftli_topology **out,
                   char *error, size_t error_bytes)
{
    const struct ftli_actor_schema *all[OURS + FTLI_USER_TYPES_MOST];
    struct ftli_compose_input input = *ours;
    if (options == NULL || options->actor_type_count == 0)
        return ftli_compose(&input, out, error, error_bytes);
    for (size_t i = 0; i < OURS; i++)
        for (size_t k = 0; k < options->actor_type_count; k++)
            if (strcmp(ours->schemas[i]->type, options->actor_types[k].name) == 0) {
                (void)snprintf(error, error_bytes, "actor_types[%zu].name: \"%s\" is one of Fettle's types", k,
                               ours->schemas[i]->type);
                return FTL_EINVAL;
            }
    struct user_type *types = make_types(options);
    if (types == NULL) {
        (void)snprintf(error, error_bytes, "no memory for the program's types of actors");
        return FTL_ENOMEM;
    }
    memcpy(all, ours->schemas, OURS * sizeof all[0]);
    for (size_t i = 0; i < options->actor_type_count; i++)
        all[OURS + i] = &types[i].schema;
    input.schemas = all;
    input.schema_count = OURS + options->actor_type_count;
    int status = ftli_compose(&input, out, error, error_bytes);
    if (status == FTL_OK)
        (*out)->types = types;
    else
        free(types);
    return status;
}

int ftli_topology_load(const ftl_open_options *options, struct ftli_topology **out, char *error, size_t error_bytes)
{
    const struct ftli_actor_schema *const schemas[] = {
        &ftli_allocation_schema,      &ftli_cleanup_schema,        &ftli_tracking_schema,
        &ftli_defragmentation_schema, &ftli_leak_detection_schema, &TELEMETRY,
    };
    _Static_assert(sizeof schemas / sizeof schemas[0] == OURS, "all of ours");
    struct ftli_compose_input input = {
        .default_text = ftli_default_topology,
        .schemas = schemas,
        .schema_count = sizeof schemas / sizeof schemas[0],
    };
    if (options != NULL) {
        if (options->path != NULL && options->text != NULL) {
            (void)snprintf(error, error_bytes, "path and text are both given; a topology is one of them");
            return FTL_EINVAL;
        }
        input.path = options->path;
        input.text = options->text;
        input.text_bytes = options->text_bytes;
        input.overrides = options->overrides;
    }
    return compose(&input, options, out, error, error_bytes);
}

void ftli_topology_free(struct ftli_topology *topology)
{
    ftli_compose_free(topology);
}
