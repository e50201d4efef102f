/* Actors of your own, run beside Fettle's: state that one thread at a time touches, reached by messages only. Optional:
 * fettle.h does not include it. How to read the comments: fettle.h. A whole one: examples/custom_actor.c.
 *
 * Types are given at open (ftl_open_options.actor_types, copied, at most 64); the topology names the actors:
 *
 *     actors:
 *       requests: {type: counter, threads: background, receive: 200ms, settings: {every: 100}}
 *
 * Started after Fettle's own in the order of the file, stopped before them in reverse. What receive runs on is the group
 * of threads that the topology says; there it may call everything but drain, close and run (FTL_EBUSY). A receive that
 * answers an error is supervised as the topology's `recovery` and `supervision` say: its message stays the next of its
 * lane, and comes again. In `routes` an actor may be told of events, and be the source of some: its `log` by level
 * (requests.warning) and what becomes of it (requests.restarted). */
#ifndef FETTLE_ACTOR_H
#define FETTLE_ACTOR_H

#include <fettle/base.h>
#include <fettle/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct { uint64_t id; } ftl_actor; /* generational: of an actor that is gone it answers FTL_ESTALE */
enum { FTL_LANE_EMERGENCY = 0, FTL_LANE_HIGH = 1, FTL_LANE_NORMAL = 2, FTL_LANE_BACKGROUND = 3 };

/* Begin your message with it. From send until receive returns FTL_OK it belongs to the runtime; then it is yours again.
 * After close all of them are, received or not. Messages of one sender in one lane come in order; of 64 each lane gets at
 * least its share. A message may lie in the state of its receiver only if `after` alone sends it: a restart zeroes the
 * state, and takes those with it; all others, also those that `after` holds elsewhere, come to the new state. */
typedef struct ftl_message {
    struct ftl_message *next; /* the runtime's, while sent */
    uint64_t sent_ns;         /* the runtime's */
    uint32_t type;            /* yours */
    uint32_t flags;           /* 0 */
} ftl_message;

/* What a route of the topology sends ({when: pressure.high, tell: requests, do: shed}): a message whose flags say
 * FTL_MESSAGE_ROUTED. It is the runtime's, also after receive: not to be kept, freed or sent. One of a route is on its way
 * at most, in lane normal: what happens meanwhile is counted with it, what happens during its receive sends it again. */
enum { FTL_MESSAGE_ROUTED = 1 };
typedef struct ftl_routed {
    ftl_message message; /* type: 0 */
    const char *when;    /* "pressure.high" */
    const char *what;    /* `do`: "shed"; which words there are is the receiver's business */
    uint64_t count;      /* how often it has happened since it was received last */
} ftl_routed;

/* The only world an actor sees, so that it runs unchanged in simulation. Good during start, receive and stop. send:
 * as ftl_actor_send. after: never fails on a message and a delay that are not NULL, not negative; its time grows with
 * how many are held. setting: NULL if there is none; good until close. log: level 0 debug .. 3 error, to those who
 * subscribed FTL_EVENT_LOG. */
typedef struct ftl_context {
    uint64_t (*now_ns)(const struct ftl_context *);
    uint64_t (*random)(const struct ftl_context *);
    int (*send)(const struct ftl_context *, ftl_actor, uint32_t lane, ftl_message *);
    int (*after)(const struct ftl_context *, int64_t delay_ns, ftl_message *); /* to itself */
    const char *(*setting)(const struct ftl_context *, const char *key);       /* from `settings:` in the topology */
    void (*log)(const struct ftl_context *, uint32_t level, const char *text);
    uint64_t reserved[8];
} ftl_context;

typedef struct ftl_actor_type { /* all but name and receive may be NULL or 0 */
    const char *name;   /* `type:` in the topology: 1 to 15 characters of a-z 0-9 - _, of none of Fettle's */
    size_t state_bytes; /* aligned to 64; zeroed before each start */
    int (*start)(void *state, const ftl_context *); /* at open on its thread: an error fails it */
    /* FTL_OK, or an error whose class decides what happens: transient FTL_EBUSY, FTL_ETIMEDOUT;
     * resource FTL_ENOMEM, FTL_ELIMIT; configuration FTL_ECONFIG; corruption: `check` failed; fatal: all others */
    int (*receive)(void *state, const ftl_context *, ftl_message *);
    void (*stop)(void *state, const ftl_context *); /* before a restart too, but not over a state whose check failed */
    /* Invariants: after every simulated step, after a failure, and by "check". Never beside another call of the actor. */
    int (*check)(const void *state, char *why, size_t n);
    uint64_t reserved[4];
} ftl_actor_type;

/* An actor of yours, by its name in the topology. [lf]
 * FTL_EINVAL   runtime, name or out NULL; none of yours is called so
 * FTL_ECLOSED  the runtime is closed
 * FTL_ENOTSUP  forked child */
FTL_API FTL_CHECK int ftl_actor_find(ftl_runtime *, const char *name, ftl_actor *out);
/* [lf] Never allocates, blocks or fails on an actor that exists; while it is down its mail waits.
 * FTL_EINVAL   message NULL, its flags not 0; no such lane
 * FTL_ESTALE   its runtime is closed, or {0}
 * FTL_ENOTSUP  forked child */
FTL_API FTL_CHECK int ftl_actor_send(ftl_actor, uint32_t lane, ftl_message *);

#ifdef __cplusplus
}
#endif
#endif
