/* The fields of ftl_stats by name, so that they are written and read in one way everywhere. Constant; any thread. */
#ifndef FTLI_TOOLS_STATS_FIELDS_H
#define FTLI_TOOLS_STATS_FIELDS_H

#include "tools/json.h"
#include "tools/stats_operator.h"

#include <fettle/fettle.h>

#include <stdbool.h>

/* All fields, each under its own name, into the object that is open. */
void ftli_stats_write(struct ftli_json *json, const ftl_stats *stats);

/* What a telemetry message says: the stats, "runtime" (its name) and "time_ns". Keys that this program does not know are
 * passed over: a newer library may send more. False: not JSON, a figure that is none, or one of the two sums' terms is not
 * there; why says which. */
struct ftli_stats_message {
    ftl_stats stats;
    struct ftli_stats_operator sight;
    char runtime[32];
    uint64_t time_ns;
};
bool ftli_stats_read(const char *text, struct ftli_stats_message *out, char *why, size_t why_size);

/* The sums that always hold at rest. */
bool ftli_stats_tensors_exact(const ftl_stats *stats);
bool ftli_stats_bytes_exact(const ftl_stats *stats);
bool ftli_stats_reclaimed_exact(const ftl_stats *stats); /* immediate + deferred: every drop there was */

/* `created 5 = live 1 + pending 0 + reclaimed 4 + quarantined 0` and `committed 800 = live 733 + ... MiB`: the terms are
 * rounded so that what is printed adds up as well. */
void ftli_stats_print_tensors(const ftl_stats *stats, FILE *out);
void ftli_stats_print_bytes(const ftl_stats *stats, FILE *out);

#endif
