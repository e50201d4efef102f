/* A report in the making: tensors of one label, site, scope and cause become one row.
 *
 * Owns      Its groups, until they are turned into a report, which is one block of memory.
 * Threads   One at a time.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_REPORT_H
#define FTLI_ACTORS_LEAK_DETECTION_REPORT_H

#include "actors/leak_detection/walk.h"

enum { FTLI_LEAK_REASON_BYTES = 256 };

/* What a pass has found: a tensor, or several that are one finding (the members of a cycle, a site that grows). */
struct ftli_leak_finding {
    struct ftli_leak_tensor tensor; /* the oldest: its label, site, scope and cause are the row's */
    uint64_t count, bytes;          /* of all of them; under one row those of its findings are added up */
    uint32_t certainty;             /* percent, 1 to 100; the row has the largest of its findings */
    double growth_bytes_per_second;
    const char *reason,
        *fix; /* copied, at most FTLI_LEAK_REASON_BYTES - 1 each; NULL: what is said of its cause. The first one's stay */
    const uintptr_t *frames; /* copied, at most FTLI_LEAK_FRAMES, innermost first. The first one's stay */
    uint32_t frame_count;
};

struct ftli_leak_group {
    struct ftli_leak_tensor oldest; /* of the group; its label, site, scope and cause are the group's */
    uint64_t count, bytes;
    double growth_bytes_per_second;
    uint32_t certainty;
    uint32_t site_number;          /* of the first that was sampled; 0: none was */
    struct ftli_leak_words *words; /* NULL: nothing beyond the cause */
};

struct ftli_leak_groups {
    struct ftli_leak_group *places; /* open-addressed; count 0: empty */
    size_t capacity, used;          /* capacity is 0 or a power of two */
    const struct ftli_sites *sites; /* of site numbers; NULL: none */
};

int ftli_leak_groups_add(struct ftli_leak_groups *,
                         const struct ftli_leak_tensor *); /* proven, one tensor; FTL_ENOMEM */
int ftli_leak_groups_add_finding(struct ftli_leak_groups *, const struct ftli_leak_finding *); /* FTL_ENOMEM */
/* A reason for a group that has none beyond its cause. FTL_ENOMEM: it has none still. */
int ftli_leak_group_explain(struct ftli_leak_group *, const char *reason);
/* Most bytes first; rows of less certainty than this percentage are left out. Gives up the groups, whatever the result. FTL_ENOMEM. */
int ftli_leak_groups_report(struct ftli_leak_groups *, const struct ftli_labels *, uint32_t certainty, uint64_t scanned,
                            uint64_t elapsed_ns, ftl_leak_report **out);
void ftli_leak_groups_free(struct ftli_leak_groups *);

#endif
