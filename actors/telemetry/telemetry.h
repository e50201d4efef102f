/* telemetry's address: the counters, published as JSON at each `every`.
 *
 * What      One message of the topic "stats" on a ZeroMQ PUB socket, through runtime/bridge; json.h says what is in it.
 * Owns      The publisher and the room for a sample, between start and stop.
 * Threads   The operations: who holds the run token. published and failed: any.
 * Absent    Built with FETTLE_TELEMETRY=OFF the struct is here all the same and the operations answer FTL_ENOTSUP
 *           (absent/telemetry.c); no topology can ask for them then.
 */
#ifndef FTLI_ACTORS_TELEMETRY_TELEMETRY_H
#define FTLI_ACTORS_TELEMETRY_TELEMETRY_H

#include "actors/telemetry/sample.h"
#include "actors/telemetry/settings.h"

struct ftli_publisher;

struct ftli_telemetry_world {
    const struct ftli_telemetry_settings *settings;
    const char *runtime; /* its name; lives as long as the actor */
    /* Fills in all of it; at most `most` actors, into a list of its own that lies before. */
    void (*read_sample)(void *user, struct ftli_sample *out, struct ftli_sample_actor *actors, uint32_t most);
    void *user;
};

struct ftli_telemetry {
    struct ftli_telemetry_world world;
    struct ftli_publisher *publisher; /* NULL: publishes nothing */
    struct ftli_sample_actor *actors; /* room for each, and behind them for the text; made by start */
    uint32_t actors_most;
    size_t text_bytes;
    ftli_atomic_u64 published, failed; /* messages handed over, messages that could not be */
    char why[256];                     /* of a start that failed */
};

extern const ftli_actor_operations ftli_telemetry_operations;

void ftli_telemetry_init(struct ftli_telemetry *, const struct ftli_telemetry_world *);
/* Why start failed, a sentence; "" if it did not. */
const char *ftli_telemetry_why(const struct ftli_telemetry *);

#endif
