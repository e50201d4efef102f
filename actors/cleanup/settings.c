#include "actors/cleanup/settings.h"

#include <stdio.h>

#include "actors/cleanup/cleanup.h"

#define MIB    (1024.0 * 1024.0)
#define TIB    (1024.0 * 1024.0 * MIB)
#define SECOND 1e9
#define HOUR   (3600 * SECOND)

static const char *const policies[] = {"auto", "message", NULL};
static const char *const validations[] = {"none", "sampled", "all", NULL};

static const struct ftli_key batch_keys[] = {
    FTLI_COUNT("messages", struct ftli_cleanup_settings, batch_messages, 1, 65536),
    FTLI_TIME("age", struct ftli_cleanup_settings, batch_age_ns, 0, 60 * SECOND),
    FTLI_KEYS_END,
};

static const struct ftli_key retry_keys[] = {
    FTLI_TIME("first", struct ftli_cleanup_settings, retry_first_ns, 1000, 60 * SECOND),
    FTLI_NUMBER("factor", struct ftli_cleanup_settings, retry_factor, 1, 100),
    FTLI_TIME("most", struct ftli_cleanup_settings, retry_most_ns, 1000, HOUR),
    FTLI_KEYS_END,
};

static const struct ftli_key cleanup_keys[] = {
    FTLI_CHOICE("policy", struct ftli_cleanup_settings, policy, policies),
    FTLI_MAP("batch", batch_keys),
    FTLI_SHARE("at_once_above", struct ftli_cleanup_settings, at_once_above),
    FTLI_SHARE("emergency_above", struct ftli_cleanup_settings, emergency_above),
    FTLI_SIZE("high_lane_from", struct ftli_cleanup_settings, high_lane_from_bytes, 0, TIB),
    FTLI_MAP("retry", retry_keys),
    FTLI_TIME("deadline", struct ftli_cleanup_settings, deadline_ns, 1000, HOUR),
    FTLI_GROUP("finalizers", struct ftli_cleanup_settings, finalizers),
    FTLI_SIZE("quarantine_limit", struct ftli_cleanup_settings, quarantine_limit_bytes, 0, 1024 * TIB),
    FTLI_CHOICE("validate", struct ftli_cleanup_settings, validate, validations),
    FTLI_KEYS_END,
};

static bool check(const void *settings, struct ftli_complaint *complaint)
{
    const struct ftli_cleanup_settings *s = settings;
    if (s->retry_most_ns < s->retry_first_ns) {
        (void)snprintf(complaint->key, sizeof complaint->key, "retry.most");
        (void)snprintf(complaint->text, sizeof complaint->text, "is shorter than retry.first");
        return false;
    }
    if (s->emergency_above < s->at_once_above) {
        (void)snprintf(complaint->key, sizeof complaint->key, "emergency_above");
        (void)snprintf(complaint->text, sizeof complaint->text, "is below at_once_above");
        return false;
    }
    return true;
}

static const char *const events[] = {"completed", NULL};
static const struct ftli_schema_message messages[] = {{"run", FTLI_CLEANUP_RUN, FTLI_LANE_HIGH}, {NULL, 0, 0}};

const struct ftli_actor_schema ftli_cleanup_schema = {
    .type = "cleanup",
    .keys = cleanup_keys,
    .settings_bytes = sizeof(struct ftli_cleanup_settings),
    .mandatory = true,
    .order = 1,
    .events = events,
    .messages = messages,
    .check = check,
};
