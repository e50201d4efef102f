#include "actors/defragmentation/settings.h"

#define MILLISECOND 1e6
#define HOUR        3600e9

static const struct ftli_key defragmentation_keys[] = {
    FTLI_TIME("idle", struct ftli_defragmentation_settings, idle_ns, MILLISECOND, HOUR),
    FTLI_KEYS_END,
};

const struct ftli_actor_schema ftli_defragmentation_schema = {
    .type = "defragmentation",
    .keys = defragmentation_keys,
    .settings_bytes = sizeof(struct ftli_defragmentation_settings),
    .order = 3,
};
