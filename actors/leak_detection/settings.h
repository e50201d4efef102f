/* What a topology may say about the leak detection actor: the values of its keys, and the table that reads
 * them. */
#ifndef FTLI_ACTORS_LEAK_DETECTION_SETTINGS_H
#define FTLI_ACTORS_LEAK_DETECTION_SETTINGS_H

#include "runtime/compose/schema.h"

enum ftli_leak_mitigate {
    FTLI_LEAK_MITIGATE_NONE = 0,
    FTLI_LEAK_MITIGATE_OVERDUE_SCOPE = 1, /* scopes that are open past their deadline are ended */
};

enum ftli_reachability { FTLI_REACHABILITY_NONE = 0, FTLI_REACHABILITY_ON_DEMAND = 1 };

struct ftli_leak_detection_settings {
    int64_t outlived_scope_ns;     /* grace after the scope's end; FTLI_TIME_NONE: not looked for */
    int64_t outlived_thread_ns;    /* the same, after the thread's end */
    uint32_t unreferenced_every;   /* allocations after which an audit follows soon */
    int64_t unreferenced_or_ns;    /* and after how long it follows fewer */
    int64_t unreferenced_grace_ns; /* how long a broken header must have been seen; what a drop may be late */
    int64_t cycles_every_ns;       /* looks for cycles of links, while there are links; FTLI_TIME_NONE: none */
    uint64_t quota_site_bytes;     /* that tensors of one site may be together, live; 0: none */
    uint64_t quota_label_bytes;    /* the same, of one label */
    double quota_warn;             /* the share of a quota at which an event is told */
    uint32_t mitigate;
    uint32_t reachability;    /* enum ftli_reachability */
    int64_t growth_every_ns;  /* a walk for growth and survivors; FTLI_TIME_NONE: not looked for */
    int64_t growth_window_ns; /* what grows for as long is told apart from what does not */
    double growth_alarm;      /* probability, 0 to 1, from which on it is an event */
};

extern const struct ftli_actor_schema ftli_leak_detection_schema;

#endif
