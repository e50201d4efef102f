/* What the tests of compose share: all of the library's actors, and a topology from a text. */
#ifndef FTLI_TESTS_UNIT_RUNTIME_COMPOSE_SUPPORT_H
#define FTLI_TESTS_UNIT_RUNTIME_COMPOSE_SUPPORT_H

#include "actors/allocation/settings.h"
#include "actors/cleanup/settings.h"
#include "actors/defragmentation/settings.h"
#include "actors/leak_detection/settings.h"
#include "actors/telemetry/settings.h"
#include "actors/tracking/settings.h"
#include "runtime/compose/default_topology.h"
#include "runtime/compose/topology.h"

#include <fettle/fettle.h>

#include <stdio.h>
#include <string.h>

/* The telemetry actor may be left out of a build, its keys are only known with it. */
#if FETTLE_TELEMETRY
#define TEST_TELEMETRY ftli_telemetry_schema
#else
static const struct ftli_actor_schema test_no_telemetry = {.type = "telemetry", .order = 5};
#define TEST_TELEMETRY test_no_telemetry
#endif

static const struct ftli_actor_schema *const test_schemas[] = {
    &ftli_allocation_schema,      &ftli_cleanup_schema,        &ftli_tracking_schema,
    &ftli_defragmentation_schema, &ftli_leak_detection_schema, &TEST_TELEMETRY,
};

static inline struct ftli_compose_input test_input(void)
{
    return (struct ftli_compose_input){
        .default_text = ftli_default_topology,
        .schemas = test_schemas,
        .schema_count = sizeof test_schemas / sizeof test_schemas[0],
    };
}

/* The topology of a text (NULL: the default) and overrides; on failure NULL and the message. */
static inline struct ftli_topology *test_compose(const char *text, const char *overrides, char *error,
                                                 size_t error_bytes)
{
    struct ftli_topology *topology = NULL;
    struct ftli_compose_input input = test_input();
    input.text = text;
    input.text_bytes = text == NULL ? 0 : strlen(text);
    input.overrides = overrides;
    error[0] = '\0';
    int status = ftli_compose(&input, &topology, error, error_bytes);
    if (status != FTL_OK && error[0] == '\0') {
        (void)snprintf(error, error_bytes, "failed with %d and said nothing", status);
    }
    return topology;
}

#endif
