#include "actors/leak_detection/settings.h"

#include "actors/leak_detection/leak_detection.h"

#define HOUR 3600e9

static const struct ftli_key outlived_keys[] = {
    FTLI_TIME_OR_NONE("scope", struct ftli_leak_detection_settings, outlived_scope_ns, 0, 24 * HOUR),
    FTLI_TIME_OR_NONE("thread", struct ftli_leak_detection_settings, outlived_thread_ns, 0, 24 * HOUR),
    FTLI_KEYS_END,
};

static const struct ftli_key cycles_keys[] = {
    FTLI_TIME_OR_NONE("every", struct ftli_leak_detection_settings, cycles_every_ns, 1e6, 24 * HOUR),
    FTLI_KEYS_END,
};

static const struct ftli_key leak_detection_keys[] = {
    FTLI_MAP("outlived", outlived_keys),
    FTLI_MAP("cycles", cycles_keys),
    FTLI_KEYS_END,
};

static const struct ftli_schema_message messages[] = {{"recheck", FTLI_LEAK_DETECTION_RECHECK, FTLI_LANE_NORMAL},
                                                      {NULL, 0, 0}};

const struct ftli_actor_schema ftli_leak_detection_schema = {
    .type = "leak_detection",
    .keys = leak_detection_keys,
    .settings_bytes = sizeof(struct ftli_leak_detection_settings),
    .order = 4,
    .messages = messages,
};
