/* A sample as one JSON object: the field names of fettle.h, "runtime" and "time_ns" before them; then supervision and tracking, and two
 * lists of objects, "lanes" and "actors", under the names of sample.h (the depths of an actor's lanes under the lanes').
 *
 * Pure; any thread. Whatever the program's locale, numbers have a point; what JSON has no word for (not a number) is null.
 */
#ifndef FTLI_ACTORS_TELEMETRY_JSON_H
#define FTLI_ACTORS_TELEMETRY_JSON_H

#include "actors/telemetry/sample.h"

enum {
    FTLI_TELEMETRY_JSON_BYTES = 5632,     /* enough for all fields at their longest, and a name of 31 bytes; */
    FTLI_TELEMETRY_JSON_ACTOR_BYTES = 640 /* and so much more an actor, of a name of 31 bytes */
};

/* Bytes written, without the zero behind them; 0: it does not fit. */
size_t ftli_telemetry_json(const char *runtime, uint64_t time_ns, const struct ftli_sample *, char *out, size_t bytes);

#endif
