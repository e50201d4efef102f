/* How much free memory goes back to the OS, and when: a pure plan, fed with figures and times.
 *
 * Equations   keep = bytes, or share * the most that was in use in the last minute; quiet for `give_back`: bytes, or nothing
 *             surplus = free - keep
 *             quiet for `idle`: surplus / what is left of `give_back` since the quiet began
 *             not quiet: what was free during a whole quarter of `give_back`, over the next quarter
 *             over soft: all of what is free, at once
 */
#ifndef FTLI_ACTORS_DEFRAGMENTATION_GIVE_BACK_H
#define FTLI_ACTORS_DEFRAGMENTATION_GIVE_BACK_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/compose/schema.h"

enum { FTLI_GIVE_BACK_SECONDS = 60, FTLI_GIVE_BACK_SAMPLES = 16 };

struct ftli_give_back_rules {
    struct ftli_size_or_share keep;
    uint64_t give_back_ns, idle_ns;
    uint64_t soft_bytes;
    uint64_t tick_ns;
};

/* What the device says now. */
struct ftli_give_back_view {
    uint64_t now_ns;
    uint64_t used_bytes;      /* committed and not free */
    uint64_t free_bytes;      /* free and committed */
    uint64_t committed_bytes; /* of the whole device */
    uint64_t activity;        /* changes when memory is taken or freed */
    double fragmentation;
};

struct ftli_give_back {
    struct ftli_give_back_rules rules;
    bool begun;
    uint64_t most_used[FTLI_GIVE_BACK_SECONDS]; /* of each second, by its number modulo 60 */
    uint64_t second;                            /* number of the last one seen */
    uint64_t heap_bytes;                        /* used and free at the last look */
    uint64_t activity, quiet_since_ns;
    uint64_t period_ends_ns, period_least; /* the running quarter: least that was free in it */
    uint64_t owed_bytes;                   /* what was free during the last quarter, not given back yet */
    uint64_t sample_ns[FTLI_GIVE_BACK_SAMPLES];
    double sample[FTLI_GIVE_BACK_SAMPLES];
    uint32_t samples; /* ever taken */
};

struct ftli_give_back_decision {
    uint64_t purge_bytes; /* now; 0: nothing */
    uint64_t keep_bytes;
    uint64_t again_ns;     /* from now; UINT64_MAX: not until something becomes free */
    bool all;              /* that is all of the surplus: if none of it can go now, asking again is of no use, and */
    uint64_t otherwise_ns; /* this is when to look again */
};

void ftli_give_back_init(struct ftli_give_back *, const struct ftli_give_back_rules *);
void ftli_give_back_decide(struct ftli_give_back *, const struct ftli_give_back_view *,
                           struct ftli_give_back_decision *);
/* What the purge itself changed is no activity of the program's. */
void ftli_give_back_purged(struct ftli_give_back *, uint64_t bytes, uint64_t activity);
/* Slope of the last samples of fragmentation, per second (least squares); 0 with fewer than two. */
double ftli_give_back_trend(const struct ftli_give_back *);

#endif
