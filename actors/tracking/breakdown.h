/* What is live by device, size class, dtype, label and scope: exact counts and bytes, of one walk (list.h).
 *
 * Invariant  Each of the five adds up to `all`. Bytes are those that ftl_stats counts: none of a view.
 * Owns       Its rows, from malloc; ftli_breakdown_free.
 */
#ifndef FTLI_ACTORS_TRACKING_BREAKDOWN_H
#define FTLI_ACTORS_TRACKING_BREAKDOWN_H

#include "actors/tracking/list.h"
#include "actors/tracking/tally.h"

struct ftli_breakdown_sum {
    uint64_t count, bytes;
};

enum { FTLI_BREAKDOWN_DEVICES = 256, FTLI_BREAKDOWN_CLASSES = 256, FTLI_BREAKDOWN_DTYPES = 64 };

struct ftli_breakdown {
    struct ftli_breakdown_sum all;
    struct ftli_breakdown_sum devices[FTLI_BREAKDOWN_DEVICES];
    struct ftli_breakdown_sum classes[FTLI_BREAKDOWN_CLASSES]; /* 0: whole pages, and views */
    struct ftli_breakdown_sum dtypes[FTLI_BREAKDOWN_DTYPES];
    struct ftli_breakdown_sum labels[FTLI_LABELS_MOST]; /* by number; 0: none */
    struct ftli_tally scopes; /* most bytes first; key[0]: the scope's handle, 0: of none; mark: its label's number */
};

/* FTL_ENOMEM */
int ftli_breakdown_make(const struct ftli_list_world *, struct ftli_breakdown **out);
void ftli_breakdown_free(struct ftli_breakdown *);

#endif
