/* What a topology may say about the telemetry actor: the values of its keys, and the table that reads them.
 */
#ifndef FTLI_ACTORS_TELEMETRY_SETTINGS_H
#define FTLI_ACTORS_TELEMETRY_SETTINGS_H

#include "runtime/compose/schema.h"

enum { FTLI_ENDPOINT_BYTES = 128 }; /* the path of a socket has at most 107 characters */

struct ftli_telemetry_settings {
    int64_t every_ns;
    char publish[FTLI_ENDPOINT_BYTES]; /* a ZeroMQ PUB endpoint, ipc://...; empty: none */
    char control[FTLI_ENDPOINT_BYTES]; /* of the control socket: auto, a path or ipc://...; empty: none */
};

extern const struct ftli_actor_schema ftli_telemetry_schema;

#endif
