/* telemetry's address: the counters, published as JSON at each `every`; and the control socket.
 *
 * What      One message of the topic "stats" on a ZeroMQ PUB socket, through runtime/bridge; json.h says what is in it. Requests of
 *           this user's other processes are answered by the runtime as ftl_runtime_control does, on the bridge's own thread: what takes
 *           long holds up no actor.
 * Owns      The publisher, the responder and the room for a sample, between start and stop.
 * Threads   The operations: who holds the run token. published and failed: any.
 * Absent    Built with FETTLE_TELEMETRY=OFF the struct is here all the same and the operations answer FTL_ENOTSUP
 *           (absent/telemetry.c); no topology can ask for them then.
 */
#ifndef FTLI_ACTORS_TELEMETRY_TELEMETRY_H
#define FTLI_ACTORS_TELEMETRY_TELEMETRY_H

#include "actors/events/events.h"
#include "actors/telemetry/leaks.h"
#include "actors/telemetry/sample.h"
#include "actors/telemetry/settings.h"

struct ftli_publisher;
struct ftli_responder;

struct ftli_telemetry_world {
    const struct ftli_telemetry_settings *settings;
    const char *runtime; /* its name; lives as long as the actor */
    /* Fills in all of it; at most `most` actors, into a list of its own that lies before. */
    void (*read_sample)(void *user, struct ftli_sample *out, struct ftli_sample_actor *actors, uint32_t most);
    /* A request of the control socket, on its thread: text through write; the status, and why if it is not FTL_OK. */
    int (*answer)(void *user, const char *request, ftl_write_fn write, void *to, char *why, size_t why_size);
    bool (*is_ending)(const void *user); /* the runtime closes: nobody waits for slow readers any more */
    void *user;
    unsigned number;            /* of the runtime in this process */
    bool has_threads;           /* its group; else there is no control socket unless it is asked for by its path */
    struct ftli_events *events; /* who hears why there is none; may be NULL */
};

struct ftli_telemetry {
    struct ftli_telemetry_world world;
    struct ftli_publisher *publisher; /* NULL: publishes nothing */
    struct ftli_responder *responder; /* NULL: no control socket */
    struct ftli_sample_actor *actors; /* room for each, and behind them for the text; made by start */
    uint32_t actors_most;
    size_t text_bytes;
    ftli_atomic_u64 published, failed; /* messages handed over, messages that could not be */
    char why[256];                     /* of a start that failed */
};

extern const ftli_actor_operations ftli_telemetry_operations;

void ftli_telemetry_init(struct ftli_telemetry *, const struct ftli_telemetry_world *);
/* A sample as what is published says it, in that many bytes; 0: without telemetry in the build. Any thread. */
size_t ftli_telemetry_sample_bytes(uint32_t actors);
size_t ftli_telemetry_describe(const char *runtime, uint64_t time_ns, const struct ftli_sample *, char *out,
                               size_t bytes);
/* Why start failed, a sentence; "" if it did not. */
const char *ftli_telemetry_why(const struct ftli_telemetry *);

#endif
