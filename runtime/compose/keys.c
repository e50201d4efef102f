/* The sections of a topology, key by key. What is said here is what a file may say; docs/topology.md explains it. */
#include "runtime/compose/compose.h"

#include <stdio.h>
#include <string.h>

#define KIB         1024.0
#define MIB         (1024 * KIB)
#define TIB         (1024 * 1024 * MIB)
#define MICROSECOND 1e3
#define MILLISECOND 1e6
#define SECOND      1e9
#define HOUR        (3600 * SECOND)

#define SLOTS_MOST 268435455.0 /* 28 bits of a handle, and slot 0 is nobody's */

static bool accept_name(const char *text, char *wrong, size_t wrong_bytes)
{
    size_t length = strlen(text);
    if (length != 0 && length < FTLI_NAME_BYTES && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length) {
        return true;
    }
    (void)snprintf(wrong, wrong_bytes, "\"%.40s\" is no name; expected 1 to %d characters of a-z 0-9 -", text,
                   FTLI_NAME_BYTES - 1);
    return false;
}

static const char *const pinned_words[] = {"keep", "refuse", NULL};
static const char *const kind_words[] = {"host", NULL};
static const char *const huge_page_words[] = {"none", "advise", NULL};
static const char *const strategy_words[] = {"one_for_one", "one_for_all", "rest_for_one", NULL};
static const char *const give_up_words[] = {"degrade", "close", NULL};
static const char *const step_words[] = {"retry", "degrade", "restart", "quarantine", "escalate", NULL};

static const struct ftli_key runtime_keys[] = {
    FTLI_TEXT("name", struct ftli_topology, name, accept_name),
    FTLI_COUNT("tensors", struct ftli_topology, tensors, 1024, SLOTS_MOST),
    FTLI_TIME("drain_on_close", struct ftli_topology, drain_on_close_ns, 0, HOUR),
    FTLI_CHOICE("pinned_on_close", struct ftli_topology, pinned_on_close, pinned_words),
    FTLI_KEYS_END,
};

const struct ftli_key ftli_group_keys[] = {
    FTLI_COUNT("count", struct ftli_topology_group, count, 0, 64),
    FTLI_CPUS("cpus", struct ftli_topology_group, cpus),
    FTLI_INTEGER("nice", struct ftli_topology_group, nice, -20, 19),
    FTLI_KEYS_END,
};

static const struct ftli_key back_pressure_keys[] = {
    FTLI_COUNT("pending", struct ftli_topology, back_pressure.pending, 1, SLOTS_MOST),
    FTLI_SIZE("bytes", struct ftli_topology, back_pressure.bytes, 4 * KIB, 1024 * TIB),
    FTLI_TIME("age", struct ftli_topology, back_pressure.age_ns, MICROSECOND, HOUR),
    FTLI_TIME("wait", struct ftli_topology, back_pressure.wait_ns, 0, 60 * SECOND),
    FTLI_KEYS_END,
};

#define LANE(lane, index)                                                                         \
    static const struct ftli_key lane##_keys[] = {                                                \
        FTLI_COUNT("share", struct ftli_topology, lane_shares[index], 1, FTLI_LANE_MESSAGES - 3), \
        FTLI_TIME_OR_NONE("alarm", struct ftli_topology, lane_alarms_ns[index], MILLISECOND, HOUR), FTLI_KEYS_END}
LANE(emergency, 0);
LANE(high, 1);
LANE(normal, 2);
LANE(background, 3);

static const struct ftli_key lane_keys[] = {
    FTLI_MAP("emergency", emergency_keys),
    FTLI_MAP("high", high_keys),
    FTLI_MAP("normal", normal_keys),
    FTLI_MAP("background", background_keys),
    FTLI_KEYS_END,
};

const struct ftli_key ftli_device_keys[] = {
    FTLI_CHOICE("kind", struct ftli_topology_device, kind, kind_words),
    FTLI_SIZE_OR_AUTO("limit", struct ftli_topology_device, limit_bytes, MIB, 1024 * TIB),
    FTLI_SHARE("soft", struct ftli_topology_device, soft),
    FTLI_SHARE("hard", struct ftli_topology_device, hard),
    FTLI_SIZE("arena", struct ftli_topology_device, arena_bytes, 2 * MIB, TIB),
    FTLI_CHOICE("huge_pages", struct ftli_topology_device, huge_pages, huge_page_words),
    FTLI_SIZE_OR_SHARE("keep", struct ftli_topology_device, keep),
    FTLI_TIME("give_back", struct ftli_topology_device, give_back_ns, MILLISECOND, 24 * HOUR),
    FTLI_KEYS_END,
};

static const struct ftli_key level_keys[] = {
    FTLI_SHARE("low", struct ftli_topology, pressure_levels[0]),
    FTLI_SHARE("medium", struct ftli_topology, pressure_levels[1]),
    FTLI_SHARE("high", struct ftli_topology, pressure_levels[2]),
    FTLI_SHARE("critical", struct ftli_topology, pressure_levels[3]),
    FTLI_KEYS_END,
};

static const struct ftli_key pressure_keys[] = {
    FTLI_MAP("levels", level_keys),
    FTLI_SHARE("hysteresis", struct ftli_topology, pressure_hysteresis),
    FTLI_KEYS_END,
};

const struct ftli_key ftli_actor_keys[] = {
    FTLI_GROUP("threads", struct ftli_topology_actor, threads),
    FTLI_TIME_OR_NONE("receive", struct ftli_topology_actor, receive_ns, MILLISECOND, HOUR),
    FTLI_KEYS_END,
};

const struct ftli_key ftli_actor_type_keys[] = {
    FTLI_TEXT("type", struct ftli_composer, type, NULL),
    FTLI_KEYS_END,
};

static const struct ftli_key backoff_keys[] = {
    FTLI_TIME("first", struct ftli_topology, supervision.backoff.first_ns, MICROSECOND, HOUR),
    FTLI_NUMBER("factor", struct ftli_topology, supervision.backoff.factor, 1, 100),
    FTLI_TIME("most", struct ftli_topology, supervision.backoff.most_ns, MICROSECOND, HOUR),
    FTLI_KEYS_END,
};

static const struct ftli_key breaker_keys[] = {
    FTLI_COUNT("failures", struct ftli_topology, supervision.breaker.failures, 1, 64),
    FTLI_TIME("within", struct ftli_topology, supervision.breaker.within_ns, MILLISECOND, 24 * HOUR),
    FTLI_TIME("open", struct ftli_topology, supervision.breaker.open_ns, MILLISECOND, HOUR),
    FTLI_KEYS_END,
};

static const struct ftli_key recovery_keys[] = {
    FTLI_WORDS("transient", struct ftli_topology, recovery[FTLI_RECOVERY_TRANSIENT], step_words),
    FTLI_WORDS("resource", struct ftli_topology, recovery[FTLI_RECOVERY_RESOURCE], step_words),
    FTLI_WORDS("configuration", struct ftli_topology, recovery[FTLI_RECOVERY_CONFIGURATION], step_words),
    FTLI_WORDS("corruption", struct ftli_topology, recovery[FTLI_RECOVERY_CORRUPTION], step_words),
    FTLI_WORDS("fatal", struct ftli_topology, recovery[FTLI_RECOVERY_FATAL], step_words),
    FTLI_KEYS_END,
};

static const struct ftli_key supervision_keys[] = {
    FTLI_CHOICE("strategy", struct ftli_topology, supervision.strategy, strategy_words),
    FTLI_COUNT("restarts", struct ftli_topology, supervision.restarts, 0, 10000),
    FTLI_TIME("within", struct ftli_topology, supervision.within_ns, MILLISECOND, 24 * HOUR),
    FTLI_MAP("backoff", backoff_keys),
    FTLI_MAP("breaker", breaker_keys),
    FTLI_CHOICE("give_up", struct ftli_topology, supervision.give_up, give_up_words),
    FTLI_KEYS_END,
};

static const struct ftli_key route_keys[] = {
    FTLI_TEXT("when", struct ftli_topology_route, when, NULL),
    FTLI_TEXT("tell", struct ftli_topology_route, tell, NULL),
    FTLI_TEXT("do", struct ftli_topology_route, what, NULL),
    FTLI_KEYS_END,
};

#define NAMED(section, array, length, most_entries, table)                                                    \
    {                                                                                                         \
        .name = (section), .kind = FTLI_KEY_NAMED, .offset = offsetof(struct ftli_topology, array),           \
        .most = (most_entries), .children = (table), .stride = sizeof(((struct ftli_topology *)0)->array[0]), \
        .count_offset = offsetof(struct ftli_topology, length)                                                \
    }

const struct ftli_key ftli_topology_keys[] = {
    FTLI_COUNT("fettle", struct ftli_topology, grammar, 1, 1),
    FTLI_MAP("runtime", runtime_keys),
    NAMED("threads", groups, group_count, FTLI_GROUPS_MOST, ftli_group_keys),
    FTLI_MAP("back_pressure", back_pressure_keys),
    FTLI_MAP("lanes", lane_keys),
    NAMED("devices", devices, device_count, FTLI_DEVICES_MOST, ftli_device_keys),
    FTLI_MAP("pressure", pressure_keys),
    NAMED("actors", actors, actor_count, FTLI_ACTORS_MOST, ftli_actor_keys),
    FTLI_MAP("supervision", supervision_keys),
    FTLI_MAP("recovery", recovery_keys),
    FTLI_LIST_OR_NONE("routes", struct ftli_topology, routes, route_count, route_keys),
    FTLI_KEYS_END,
};

/* Entries are found by their first field. */
_Static_assert(offsetof(struct ftli_topology_group, name) == 0, "a group begins with its name");
_Static_assert(offsetof(struct ftli_topology_device, name) == 0, "a device begins with its name");
_Static_assert(offsetof(struct ftli_topology_actor, name) == 0, "an actor begins with its name");
