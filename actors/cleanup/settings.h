/* What a topology may say about the cleanup actor: the values of its keys, and the table that reads them. */
#ifndef FTLI_ACTORS_CLEANUP_SETTINGS_H
#define FTLI_ACTORS_CLEANUP_SETTINGS_H

#include "runtime/compose/schema.h"

enum { FTLI_CLEANUP_POLICY_AUTO = 0, FTLI_CLEANUP_POLICY_MESSAGE = 1 };
enum { FTLI_CLEANUP_VALIDATE_NONE = 0, FTLI_CLEANUP_VALIDATE_SAMPLED = 1, FTLI_CLEANUP_VALIDATE_ALL = 2 };

struct ftli_cleanup_settings {
    uint32_t policy;         /* auto: at once if nothing stands against it; message: all are posted */
    uint32_t validate;       /* which completions: state, counters, memory */
    uint32_t batch_messages; /* batched work runs at either */
    int64_t batch_age_ns;
    double at_once_above;          /* pressure, 0 to 1: no waiting for batches */
    double emergency_above;        /* pressure, 0 to 1: drops take the emergency lane */
    uint64_t high_lane_from_bytes; /* drops of this size take the high lane */
    int64_t retry_first_ns, retry_most_ns;
    double retry_factor;
    int64_t deadline_ns; /* then emergency cleanup, then quarantine */
    struct ftli_group_reference finalizers;
    uint64_t quarantine_limit_bytes; /* over it new answers FTL_ELIMIT */
};

extern const struct ftli_actor_schema ftli_cleanup_schema;

#endif
