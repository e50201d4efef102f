/* What a topology may say about the allocation actor: the values of its keys, and the table that reads them.
 */
#ifndef FTLI_ACTORS_ALLOCATION_SETTINGS_H
#define FTLI_ACTORS_ALLOCATION_SETTINGS_H

#include "runtime/compose/schema.h"

struct ftli_allocation_settings {
    uint32_t shards;             /* 0: auto, two per processor */
    uint32_t magazine;           /* tensors in one at most */
    uint64_t small_bytes;        /* up to here: size classes and magazines */
    uint64_t large_bytes;        /* from here: pages of their own */
    uint64_t thread_cache_bytes; /* most a thread keeps */
    int64_t wait_ns;             /* longest that exhaustion holds up an allocation; 0: not at all */
};

extern const struct ftli_actor_schema ftli_allocation_schema;

#endif
