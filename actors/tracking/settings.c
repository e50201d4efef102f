#include "actors/tracking/settings.h"

#include <stdio.h>

#include "actors/tracking/tracking.h"

#define MIB (1024.0 * 1024.0)
#define TIB (1024.0 * 1024.0 * MIB)

static const char *const levels[] = {"none", "minimal", "standard", "detailed", "debug", NULL};

static const char *const stacks[] = {"none", "sampled", "all", NULL};

static const struct ftli_key tier_keys[] = {
    FTLI_SIZE("up_to", struct ftli_tracking_tier, up_to_bytes, 1, TIB),
    FTLI_SHARE("rate", struct ftli_tracking_tier, rate),
    FTLI_KEYS_END,
};

static const struct ftli_key tracking_keys[] = {
    FTLI_CHOICE("level", struct ftli_tracking_settings, level, levels),
    FTLI_SIZE("every_one_from", struct ftli_tracking_settings, every_one_from_bytes, 0, 1024 * TIB),
    FTLI_LIST("tiers", struct ftli_tracking_settings, tiers, tier_count, tier_keys),
    FTLI_COUNT("events", struct ftli_tracking_settings, events, 16, 16777216),
    FTLI_COUNT("sites", struct ftli_tracking_settings, sites, 16, 1048575),
    FTLI_CHOICE("stacks", struct ftli_tracking_settings, stacks, stacks),
    FTLI_KEYS_END,
};

static bool check(const void *settings, struct ftli_complaint *complaint)
{
    const struct ftli_tracking_settings *s = settings;
    for (uint32_t i = 1; i < s->tier_count; i++) {
        if (s->tiers[i].up_to_bytes <= s->tiers[i - 1].up_to_bytes) {
            (void)snprintf(complaint->key, sizeof complaint->key, "tiers.%u.up_to", i + 1);
            (void)snprintf(complaint->text, sizeof complaint->text, "is not above the tier before it");
            return false;
        }
    }
    return true;
}

static const struct ftli_schema_message messages[] = {{"update", FTLI_TRACKING_UPDATE, FTLI_LANE_BACKGROUND},
                                                      {NULL, 0, 0}};

const struct ftli_actor_schema ftli_tracking_schema = {
    .type = "tracking",
    .keys = tracking_keys,
    .settings_bytes = sizeof(struct ftli_tracking_settings),
    .order = 2,
    .messages = messages,
    .check = check,
};
