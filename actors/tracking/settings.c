#include "actors/tracking/settings.h"

#include <stdio.h>

#include "actors/tracking/tracking.h"

#define MIB        (1024.0 * 1024.0)
#define TIB        (1024.0 * 1024.0 * MIB)
#define RATE_LEAST 0.01 /* a weight of 100 is the greatest that a record has room for */

static const char *const levels[] = {"none", "minimal", "standard", "detailed", "debug", NULL};

static const char *const stacks[] = {"none", "sampled", "all", NULL};

const char *ftli_tracking_level_name(uint32_t level)
{
    return level <= FTLI_TRACKING_DEBUG ? levels[level] : "?";
}

static const struct ftli_key tier_keys[] = {
    FTLI_SIZE("up_to", struct ftli_tracking_tier, up_to_bytes, 1, TIB),
    FTLI_SHARE("rate", struct ftli_tracking_tier, rate),
    FTLI_KEYS_END,
};

static const struct ftli_key adapt_keys[] = {
    FTLI_SHARE("least", struct ftli_tracking_settings, adapt.least),
    FTLI_SHARE("most", struct ftli_tracking_settings, adapt.most),
    FTLI_NUMBER("raise", struct ftli_tracking_settings, adapt.raise, 1, 10),
    FTLI_SHARE("below", struct ftli_tracking_settings, adapt.below),
    FTLI_NUMBER("lower", struct ftli_tracking_settings, adapt.lower, 0.1, 1),
    FTLI_SHARE("above", struct ftli_tracking_settings, adapt.above),
    FTLI_COUNT("window", struct ftli_tracking_settings, adapt.window, 1, 1000000),
    FTLI_KEYS_END,
};

static const struct ftli_key tracking_keys[] = {
    FTLI_CHOICE("level", struct ftli_tracking_settings, level, levels),
    FTLI_SHARE("target", struct ftli_tracking_settings, target),
    FTLI_SIZE("every_one_from", struct ftli_tracking_settings, every_one_from_bytes, 0, 1024 * TIB),
    FTLI_LIST("tiers", struct ftli_tracking_settings, tiers, tier_count, tier_keys),
    FTLI_MAP("adapt", adapt_keys),
    FTLI_COUNT("events", struct ftli_tracking_settings, events, 16, 16777216),
    FTLI_COUNT("sites", struct ftli_tracking_settings, sites, 16, 1048575),
    FTLI_CHOICE("stacks", struct ftli_tracking_settings, stacks, stacks),
    FTLI_TIME("pause", struct ftli_tracking_settings, pause_ns, 0, 3600e9),
    FTLI_KEYS_END,
};

static bool check_tier(const struct ftli_tracking_settings *s, uint32_t i, struct ftli_complaint *complaint)
{
    if (i > 0 && s->tiers[i].up_to_bytes <= s->tiers[i - 1].up_to_bytes) {
        (void)snprintf(complaint->key, sizeof complaint->key, "tiers.%u.up_to", i + 1);
        (void)snprintf(complaint->text, sizeof complaint->text, "is not above the tier before it");
        return false;
    }
    if (s->tiers[i].rate > 0 && s->tiers[i].rate < RATE_LEAST) {
        (void)snprintf(complaint->key, sizeof complaint->key, "tiers.%u.rate", i + 1);
        (void)snprintf(complaint->text, sizeof complaint->text, "is under 1%%; expected 0%%, or 1%% to 100%%");
        return false;
    }
    return true;
}

static bool complain(struct ftli_complaint *complaint, const char *key, const char *text)
{
    (void)snprintf(complaint->key, sizeof complaint->key, "%s", key);
    (void)snprintf(complaint->text, sizeof complaint->text, "%s", text);
    return false;
}

static bool check(const void *settings, struct ftli_complaint *complaint)
{
    const struct ftli_tracking_settings *s = settings;
    for (uint32_t i = 0; i < s->tier_count; i++)
        if (!check_tier(s, i, complaint))
            return false;
    if (s->adapt.least < RATE_LEAST)
        return complain(complaint, "adapt.least", "is under 1%; expected 1% to 100%");
    if (s->adapt.most < s->adapt.least)
        return complain(complaint, "adapt.most", "is under adapt.least");
    if (s->adapt.above < s->adapt.below)
        return complain(complaint, "adapt.above", "is under adapt.below");
    return true;
}

static const char *const events[] = {"over_target", NULL};
static const struct ftli_schema_message messages[] = {
    {"update", FTLI_TRACKING_UPDATE, FTLI_LANE_BACKGROUND},
    {"sample_less", FTLI_TRACKING_SAMPLE_LESS, FTLI_LANE_NORMAL},
    {NULL, 0, 0},
};

const struct ftli_actor_schema ftli_tracking_schema = {
    .type = "tracking",
    .keys = tracking_keys,
    .settings_bytes = sizeof(struct ftli_tracking_settings),
    .order = 2,
    .events = events,
    .messages = messages,
    .check = check,
};
