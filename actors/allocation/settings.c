#include "actors/allocation/settings.h"

#define KIB    1024.0
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)
#define SECOND 1e9

static const struct ftli_key allocation_keys[] = {
    FTLI_COUNT_OR_AUTO("shards", struct ftli_allocation_settings, shards, 1, 256),
    FTLI_SIZE("small", struct ftli_allocation_settings, small_bytes, 64, 32 * KIB),
    FTLI_SIZE("large", struct ftli_allocation_settings, large_bytes, 64 * KIB, 64 * MIB),
    FTLI_COUNT("magazine", struct ftli_allocation_settings, magazine, 2, 256),
    FTLI_SIZE("thread_cache", struct ftli_allocation_settings, thread_cache_bytes, 4 * KIB, GIB),
    FTLI_TIME("wait", struct ftli_allocation_settings, wait_ns, 0, 60 * SECOND),
    FTLI_KEYS_END,
};

const struct ftli_actor_schema ftli_allocation_schema = {
    .type = "allocation",
    .keys = allocation_keys,
    .settings_bytes = sizeof(struct ftli_allocation_settings),
    .mandatory = true,
    .order = 0,
};
