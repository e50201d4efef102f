/* What a topology may say about the defragmentation actor: the values of its keys, and the table that reads
 * them. */
#ifndef FTLI_ACTORS_DEFRAGMENTATION_SETTINGS_H
#define FTLI_ACTORS_DEFRAGMENTATION_SETTINGS_H

#include "runtime/compose/schema.h"

struct ftli_defragmentation_settings {
    int64_t idle_ns; /* of quiet, before background work */
};

extern const struct ftli_actor_schema ftli_defragmentation_schema;

#endif
