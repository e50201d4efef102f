/* events' address: news for the program, from any actor to the functions it subscribed.
 *
 * What      A post copies one event into a message of a pool that is made when the runtime opens, and sends it to the actor, which
 *           calls who subscribed that kind, one after the other. The pressure of memory is no message: it is looked at
 *           when committed bytes pass a mark, coalesced to the latest, and told to each subscription once a change.
 * Threads   Posts: any, but not in signal handlers; lock-free, they allocate nothing and wait for nobody. A pool that is used
 *           up loses the event and counts it: who is called too long loses news, and nobody waits for him.
 *           Calls: on a thread of its own, which begins with the first subscription; in a topology whose group of finalizers
 *           has no threads: where those run. Never two at once in one runtime, and never inside new or drop.
 * Owns      The pool, the subscriptions.
 */
#ifndef FTLI_ACTORS_EVENTS_EVENTS_H
#define FTLI_ACTORS_EVENTS_EVENTS_H

#include <fettle/fettle.h>

#include "actors/allocation/allocation.h"
#include "actors/events/gauge.h"
#include "actors/events/level.h"
#include "runtime/kernel/kernel.h"

enum {
    FTLI_EVENTS_MOST = 256, /* that wait at once */
    FTLI_SUBSCRIPTIONS_MOST = 64,
    FTLI_EVENT_SUBJECT_BYTES = 64,
    FTLI_EVENT_TEXT_BYTES = 256,
    FTLI_EVENT_KINDS = 127, /* all of them */
};

struct ftli_event_message {
    ftli_message message;
    ftl_event event;
    ftli_atomic_u32 next; /* in the pool: the index of the next one, from 1; 0: none */
    uint32_t index;       /* its own, from 1 */
    char subject[FTLI_EVENT_SUBJECT_BYTES];
    char text[FTLI_EVENT_TEXT_BYTES];
};

struct ftli_subscription {
    uint64_t id; /* 0: free. Never used again */
    uint32_t kinds;
    uint32_t level; /* of pressure, that it was told last; the actor's */
    uint64_t since_ns;
    ftl_event_fn call;
    void *user;
};

struct ftli_events {
    ftli_kernel *kernel;
    ftli_actor *actor; /* NULL until attached */
    struct ftli_device *device;
    const char *device_name;
    struct ftli_pressure_marks marks;
    struct ftli_event_message *pool; /* FTLI_EVENTS_MOST: a mapping, of which only what was used is resident */
    ftli_atomic_u64 head;            /* index 32 | count 32: the count defeats the reuse of an index (ABA) */
    ftli_atomic_u32 fresh;           /* of the pool: never used from here on */
    ftli_atomic_u32 wanted;          /* kinds that somebody subscribed */
    ftli_atomic_u64 lost;
    uint64_t lost_told; /* the actor's */
    ftli_token token;   /* over the subscriptions; who holds it waits for nobody */
    uint64_t last_id;
    struct ftli_subscription subscriptions[FTLI_SUBSCRIPTIONS_MOST];
    ftli_atomic_u64 calling;    /* the subscription whose function runs; 0: none */
    ftli_atomic_pointer caller; /* the thread that runs it: the address of something of its own */
    ftli_event called;          /* whoever waits for the end of a call */
};

extern const ftli_actor_operations ftli_events_operations;

/* device may be NULL: no pressure. FTL_ENOMEM. */
int ftli_events_init(struct ftli_events *, ftli_kernel *, struct ftli_device *, const char *device_name,
                     const struct ftli_pressure_marks *);
void ftli_events_attach(struct ftli_events *, ftli_actor *);
void ftli_events_fini(struct ftli_events *);

size_t ftli_events_pool_bytes(void); /* of the mapping */

/* ---- posting */
struct ftli_event_news {
    uint32_t kind, level;
    uint64_t bytes, count;
    uint64_t tensor, scope;
    const char *subject; /* copied; may be NULL */
};
/* Nobody wants the kind: nothing happens. events may be NULL. */
void ftli_events_post(struct ftli_events *, const struct ftli_event_news *, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool ftli_events_are_wanted(const struct ftli_events *, uint32_t kind); /* one load */
uint64_t ftli_events_lost(const struct ftli_events *);

/* ---- subscribing, by any thread, in a call as well */
/* FTL_ELIMIT: FTLI_SUBSCRIPTIONS_MOST are there. FTL_ENOMEM: no thread. */
int ftli_events_subscribe(struct ftli_events *, uint32_t kinds, ftl_event_fn, void *user, uint64_t *out);
/* Waits until no call of it runs, but for the one that it is made in. FTL_ESTALE: there is no such one any more. */
int ftli_events_unsubscribe(struct ftli_events *, uint64_t id);

#endif
