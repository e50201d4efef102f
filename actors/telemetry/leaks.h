/* What a leak scan found, as one JSON object, piece by piece:
 *
 *     {"runtime", "process", "scanned", "elapsed_ns", "watched_ns", "leaked", "leaked_bytes",
 *      "findings": [{"cause", "certainty", "count", "bytes", "age_ns", "growth_bytes_per_second", "tensor", "tag", "label", "scope",
 *                    "site", "reason", "fix", "stack"}, ..],
 *      "caches": [{"label", "tensors", "bytes", "age_ns"}, ..]}
 *
 * Pure; any thread. Each piece goes into `out`, of FTLI_TELEMETRY_LEAK_BYTES; 0: it does not fit. Without telemetry in the build all
 * answer 0.
 */
#ifndef FTLI_ACTORS_TELEMETRY_LEAKS_H
#define FTLI_ACTORS_TELEMETRY_LEAKS_H

#include <fettle/fettle.h>

enum { FTLI_TELEMETRY_LEAK_BYTES = 16384 };

struct ftli_telemetry_leaks {
    const char *runtime;
    uint64_t process, scanned, elapsed_ns;
    uint64_t watched_ns; /* since it was opened */
    uint64_t leaked, leaked_bytes;
};
struct ftli_telemetry_leak {
    const ftl_leak *leak;
    const char *cause, *reason, *fix;
    const char *stack; /* "inner < outer", or "" */
};
struct ftli_telemetry_cache {
    const char *label;
    uint64_t tensors, bytes, age_ns;
};

size_t ftli_telemetry_leaks_begin(const struct ftli_telemetry_leaks *, char *out, size_t bytes);
size_t ftli_telemetry_leaks_finding(const struct ftli_telemetry_leak *, bool first, char *out, size_t bytes);
size_t ftli_telemetry_leaks_caches(char *out, size_t bytes); /* between the findings and the caches */
size_t ftli_telemetry_leaks_cache(const struct ftli_telemetry_cache *, bool first, char *out, size_t bytes);
size_t ftli_telemetry_leaks_end(char *out, size_t bytes);

#endif
