/* What a telemetry message says beside ftl_stats: supervision, lanes, actors; by name, so that they are written and read in one way
 * everywhere. Constant tables; any thread. */
#ifndef FTLI_TOOLS_STATS_OPERATOR_H
#define FTLI_TOOLS_STATS_OPERATOR_H

#include "tools/json.h"
#include "tools/json_read.h"

#include <stdbool.h>
#include <stdint.h>

enum { /* of all actors together */
       FTLI_SUPERVISION_RETRIES,
       FTLI_SUPERVISION_QUARANTINES,
       FTLI_SUPERVISION_GIVEN_UP,
       FTLI_SUPERVISION_BREAKS,
       FTLI_SUPERVISION_BREAKERS_OPEN,
       FTLI_SUPERVISION_RECEIVES_OVERDUE,
       FTLI_SUPERVISION_DROPS_OVERDUE,
       FTLI_SUPERVISION_SCOPES_OVERDUE,
       FTLI_SUPERVISION_LANE_ALARMS,
       FTLI_SUPERVISION_FIELDS,
};
enum {
    FTLI_LANE_COMPLETED,
    FTLI_LANE_P50_NS,
    FTLI_LANE_P99_NS,
    FTLI_LANE_MAX_NS,
    FTLI_LANE_FIELDS,
};
enum {
    FTLI_ACTOR_DEGRADED,
    FTLI_ACTOR_RESTARTS,
    FTLI_ACTOR_FAILURES,
    FTLI_ACTOR_RECEIVES_OVERDUE,
    FTLI_ACTOR_LANE_ALARMS,
    FTLI_ACTOR_MESSAGES,
    FTLI_ACTOR_BUSY_NS,
    FTLI_ACTOR_EMERGENCY, /* how many wait in each lane */
    FTLI_ACTOR_HIGH,
    FTLI_ACTOR_NORMAL,
    FTLI_ACTOR_BACKGROUND,
    FTLI_ACTOR_OLDEST_NS,
    FTLI_ACTOR_FIELDS,
};
enum { FTLI_STATS_LANES_MOST = 4, FTLI_STATS_ACTORS_MOST = 256 };

struct ftli_stats_operator {
    bool is_there; /* a library that does not send it yet */
    uint32_t lane_count, actor_count;
    uint64_t supervision[FTLI_SUPERVISION_FIELDS];
    struct {
        char name[16];
        uint64_t fields[FTLI_LANE_FIELDS];
    } lanes[FTLI_STATS_LANES_MOST];
    struct {
        char name[32], state[16];
        uint64_t fields[FTLI_ACTOR_FIELDS];
    } actors[FTLI_STATS_ACTORS_MOST];
};

/* Takes one value by its path, "actors.0.restarts". False: it is one of ours, and what it says is no count; why says so. Others are
 * passed over. */
bool ftli_stats_operator_take(struct ftli_stats_operator *, const char *path, enum ftli_json_kind kind,
                              const char *value, char *why, size_t why_size);
/* Into the object that is open; nothing if it is not there. */
void ftli_stats_operator_write(struct ftli_json *json, const struct ftli_stats_operator *);
/* Lines for people; nothing if it is not there. Of the lanes: those that completed some. */
void ftli_stats_operator_print_lanes(const struct ftli_stats_operator *, FILE *out);
void ftli_stats_operator_print(const struct ftli_stats_operator *, FILE *out);

#endif
