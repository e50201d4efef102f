/* A report in the making: tensors of one label, site, scope and cause become one row.
 *
 * Owns      Its groups, until they are turned into a report, which is one block of memory.
 * Threads   One at a time.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_REPORT_H
#define FTLI_ACTORS_LEAK_DETECTION_REPORT_H

#include "actors/leak_detection/walk.h"

struct ftli_leak_group {
    struct ftli_leak_tensor oldest; /* of the group; its label, site, scope and cause are the group's */
    uint64_t count, bytes;
};

struct ftli_leak_groups {
    struct ftli_leak_group *places; /* open-addressed; count 0: empty */
    size_t capacity, used;          /* capacity is 0 or a power of two */
};

int ftli_leak_groups_add(struct ftli_leak_groups *, const struct ftli_leak_tensor *); /* FTL_ENOMEM */
/* Most bytes first. Gives up the groups, whatever the result. FTL_ENOMEM. */
int ftli_leak_groups_report(struct ftli_leak_groups *, const struct ftli_labels *, uint64_t scanned,
                            uint64_t elapsed_ns, ftl_leak_report **out);
void ftli_leak_groups_free(struct ftli_leak_groups *);

#endif
