/* ftl_stats as one JSON object: the field names of fettle.h, and "runtime" and "time_ns" before them.
 *
 * Pure; any thread. Whatever the program's locale, numbers have a point; what JSON has no word for (not a number) is null.
 */
#ifndef FTLI_ACTORS_TELEMETRY_JSON_H
#define FTLI_ACTORS_TELEMETRY_JSON_H

#include <fettle/fettle.h>

enum { FTLI_TELEMETRY_JSON_BYTES = 4096 }; /* enough for all fields at their longest, and a name of 31 bytes */

/* Bytes written, without the zero behind them; 0: it does not fit. */
size_t ftli_telemetry_json(const char *runtime, uint64_t time_ns, const ftl_stats *, char *out, size_t bytes);

#endif
