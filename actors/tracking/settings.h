/* What a topology may say about the tracking actor: the values of its keys, and the table that reads them. */
#ifndef FTLI_ACTORS_TRACKING_SETTINGS_H
#define FTLI_ACTORS_TRACKING_SETTINGS_H

#include "runtime/compose/schema.h"

enum {
    FTLI_TRACKING_NONE = 0,
    FTLI_TRACKING_MINIMAL = 1,
    FTLI_TRACKING_STANDARD = 2,
    FTLI_TRACKING_DETAILED = 3,
    FTLI_TRACKING_DEBUG = 4,
};
enum { FTLI_TRACKING_TIERS = 4 };
enum { FTLI_STACKS_NONE = 0, FTLI_STACKS_SAMPLED = 1, FTLI_STACKS_ALL = 2 };
enum { FTLI_TRACKING_DETAILED_TARGETS = 5 }; /* what level detailed may cost, in targets: 10 % by default */

/* Tensors above the tier before and up to up_to_bytes: the share of them that is recorded. */
struct ftli_tracking_tier {
    uint64_t up_to_bytes;
    double rate; /* 0 to 1 */
};

/* How rates follow what tracking costs: controller.h. */
struct ftli_tracking_adapt {
    double least, most;  /* rates, 0 to 1 */
    double raise, lower; /* factors */
    double below, above; /* of the target */
    uint32_t window;     /* sampled events */
};

struct ftli_tracking_settings {
    uint32_t level;
    double target; /* of the threads' time, 0 to 1, at level standard */
    struct ftli_tracking_adapt adapt;
    int64_t pause_ns;                                     /* of stacks and details, when over target */
    uint32_t events;                                      /* kept, a ring */
    uint32_t sites;                                       /* told apart; the rest is one */
    uint32_t stacks;                                      /* FTLI_STACKS_* */
    uint32_t tier_count;                                  /* 1 to 4 */
    uint64_t every_one_from_bytes;                        /* recorded without sampling */
    struct ftli_tracking_tier tiers[FTLI_TRACKING_TIERS]; /* rising */
};

extern const struct ftli_actor_schema ftli_tracking_schema;

#endif
