/* What "leaks json" of a runtime says, as read here: the rows of a scan, and a difference between two. One thread. */
#ifndef FTLI_TOOLS_LEAKS_READ_H
#define FTLI_TOOLS_LEAKS_READ_H

#include "actors/leak_detection/text.h"

#include <stdbool.h>

struct ftli_leaks_row {
    ftl_leak leak;
    char reason[256], fix[256], stack[1024];
};
struct ftli_leaks_cache {
    char label[32];
    uint64_t tensors, bytes, age_ns;
};
struct ftli_leaks {
    char runtime[32];
    uint64_t process, scanned, elapsed_ns, watched_ns;
    size_t row_count, cache_count, row_room, cache_room;
    struct ftli_leaks_row *rows;
    struct ftli_leaks_cache *caches;
};

/* False: it is not JSON, or not of this kind, or there is no memory; why says which. Free it in both cases. */
bool ftli_leaks_read(const char *text, struct ftli_leaks *out, char *why, size_t why_size);
void ftli_leaks_free(struct ftli_leaks *leaks);

/* Leaves what is more than before: rows of one cause, site, label and scope. Most bytes first again. */
void ftli_leaks_subtract(struct ftli_leaks *leaks, const struct ftli_leaks *before);
/* Takes out the rows of these sites, separated by commas; returns how many. */
size_t ftli_leaks_quiet(struct ftli_leaks *leaks, const char *sites);

#endif
