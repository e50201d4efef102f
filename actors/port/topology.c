#include "actors/port/topology.h"

#include "actors/allocation/settings.h"
#include "actors/cleanup/settings.h"
#include "actors/defragmentation/settings.h"
#include "actors/leak_detection/settings.h"
#include "actors/telemetry/settings.h"
#include "actors/tracking/settings.h"
#include "runtime/compose/default_topology.h"

#include <stdio.h>

#if FETTLE_TELEMETRY
#define TELEMETRY ftli_telemetry_schema
#else
/* The type is known, so that files may say `telemetry: none`, and cannot be had. */
static const struct ftli_actor_schema no_telemetry = {.type = "telemetry", .order = 5};
#define TELEMETRY no_telemetry
#endif

int ftli_topology_load(const ftl_open_options *options, struct ftli_topology **out, char *error, size_t error_bytes)
{
    const struct ftli_actor_schema *const schemas[] = {
        &ftli_allocation_schema,      &ftli_cleanup_schema,        &ftli_tracking_schema,
        &ftli_defragmentation_schema, &ftli_leak_detection_schema, &TELEMETRY,
    };
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
    return ftli_compose(&input, out, error, error_bytes);
}

void ftli_topology_free(struct ftli_topology *topology)
{
    ftli_compose_free(topology);
}
