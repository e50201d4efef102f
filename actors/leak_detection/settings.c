#include "actors/leak_detection/settings.h"

#include "actors/leak_detection/leak_detection.h"

#define HOUR        3600e9
#define TENSOR_MOST 281474976710656.0 /* 2^48 */

static const struct ftli_key unreferenced_keys[] = {
    FTLI_COUNT("every", struct ftli_leak_detection_settings, unreferenced_every, 1, 1e9),
    FTLI_TIME("or", struct ftli_leak_detection_settings, unreferenced_or_ns, 1e6, 24 * HOUR),
    FTLI_TIME("grace", struct ftli_leak_detection_settings, unreferenced_grace_ns, 0, HOUR),
    FTLI_KEYS_END,
};

static const struct ftli_key outlived_keys[] = {
    FTLI_TIME_OR_NONE("scope", struct ftli_leak_detection_settings, outlived_scope_ns, 0, 24 * HOUR),
    FTLI_TIME_OR_NONE("thread", struct ftli_leak_detection_settings, outlived_thread_ns, 0, 24 * HOUR),
    FTLI_KEYS_END,
};

static const struct ftli_key cycles_keys[] = {
    FTLI_TIME_OR_NONE("every", struct ftli_leak_detection_settings, cycles_every_ns, 1e6, 24 * HOUR),
    FTLI_KEYS_END,
};

static const struct ftli_key growth_keys[] = {
    FTLI_TIME_OR_NONE("every", struct ftli_leak_detection_settings, growth_every_ns, 0.01e9, HOUR),
    FTLI_TIME("window", struct ftli_leak_detection_settings, growth_window_ns, 1e9, 24 * HOUR),
    FTLI_SHARE("alarm", struct ftli_leak_detection_settings, growth_alarm),
    FTLI_KEYS_END,
};

static const struct ftli_key quota_keys[] = {
    FTLI_SIZE_OR_NONE("site", struct ftli_leak_detection_settings, quota_site_bytes, 1, TENSOR_MOST),
    FTLI_SIZE_OR_NONE("label", struct ftli_leak_detection_settings, quota_label_bytes, 1, TENSOR_MOST),
    FTLI_SHARE("warn", struct ftli_leak_detection_settings, quota_warn),
    FTLI_KEYS_END,
};

static const char *const mitigations[] = {"none", "overdue_scope", NULL}; /* enum ftli_leak_mitigate */
static const char *const reachability[] = {"none", "on_demand", NULL};

static const struct ftli_key leak_detection_keys[] = {
    FTLI_MAP("unreferenced", unreferenced_keys),
    FTLI_MAP("outlived", outlived_keys),
    FTLI_MAP("cycles", cycles_keys),
    FTLI_MAP("growth", growth_keys),
    FTLI_MAP("quota", quota_keys),
    FTLI_CHOICE("mitigate", struct ftli_leak_detection_settings, mitigate, mitigations),
    FTLI_CHOICE("reachability", struct ftli_leak_detection_settings, reachability, reachability),
    FTLI_KEYS_END,
};

static const struct ftli_schema_message messages[] = {{"recheck", FTLI_LEAK_DETECTION_RECHECK, FTLI_LANE_NORMAL},
                                                      {NULL, 0, 0}};

static const char *const events[] = {"confirmed", NULL}; /* a suspicion passed the alarm */

const struct ftli_actor_schema ftli_leak_detection_schema = {
    .type = "leak_detection",
    .keys = leak_detection_keys,
    .settings_bytes = sizeof(struct ftli_leak_detection_settings),
    .order = 4,
    .events = events,
    .messages = messages,
};
