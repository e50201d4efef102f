/* An actor: state that one thread at a time touches, reached by messages only.
 *
 * What      The table of operations that an actor is; posting to it; its context, the only world that it
 * sees. Owns      The kernel owns the struct, its mailbox and what is in hand; the caller owns the state.
 * Threads   Operations run on whoever holds the run token: a thread of the actor's group, or one that lends
 * itself. Never two at once; what one run wrote, the next one sees. Posting: any thread, signal handlers too.
 * Progress  ftli_actor_post is lock-free, never fails, keeps errno, makes at most one system call (a wake).
 */
#ifndef FTLI_RUNTIME_KERNEL_ACTOR_H
#define FTLI_RUNTIME_KERNEL_ACTOR_H

#include "runtime/base/clock.h"
#include "runtime/kernel/mailbox.h"
#include "runtime/kernel/timer.h"

typedef struct ftli_actor ftli_actor;
typedef struct ftli_context ftli_context; /* valid during the operation it was given to */

/* Every slot but type and on_message may be NULL. A result that is not FTL_OK means that the receive failed
 * and changed nothing that a second receive of the same message would do twice; supervision decides, and the
 * message comes again (after a restart, if that is the decision). A check that fails then as well makes it a corruption. */
typedef struct ftli_actor_operations {
    const char *type;
    int (*start)(void *state, ftli_context *); /* also after a restart: must bring any state to a good one */
    int (*on_message)(void *state, ftli_context *, ftli_message *); /* FTL_OK: the message is the actor's */
    int (*on_item)(void *state, ftli_context *, unsigned lane, ftli_link *item);
    int (*on_tick)(void *state, ftli_context *);          /* what ftli_actor_run_within asked for */
    void (*after_batch)(void *state, ftli_context *);     /* at the end of each run of up to 64 messages */
    void (*stop)(void *state, ftli_context *);            /* before a restart, and at the kernel's stop */
    int (*check)(const void *state, char *why, size_t n); /* invariants hold: FTL_OK; else why says which fails */
    bool restartable;
} ftli_actor_operations;

typedef struct ftli_actor_options {
    const ftli_actor_operations *operations;
    void *state;
    const char *group;              /* the threads that run it: a name of the kernel's options */
    uint32_t wake_messages;         /* lanes normal and background wake it at so many new ones; 0: 10 */
    uint64_t wake_age_ns;           /* ... or when one is so old; 0: 50 ms */
    uint32_t unordered_lanes;       /* bit per lane: see mailbox.h */
    ftli_item_sent_fn item_sent_ns; /* may be NULL */
    uint64_t receive_ns;            /* the watchdog reports a receive that runs longer; 0: it does not */
    bool foreign;                   /* its links are neither messages nor items of ours: ftli_actor_post_foreign */
} ftli_actor_options;

/* ---- from anywhere
 * ------------------------------------------------------------------------------------------ */

/* CORE.md section 3, rule 7. Lanes emergency and high wake the actor at once, the others as its options say.
 * Also to an actor that is restarting or down: its mail waits. */
void ftli_actor_post(ftli_actor *, unsigned lane, ftli_link *);
/* The same to an actor whose options say foreign: all it receives comes to on_item. The sender writes when it was sent. */
void ftli_actor_post_foreign(ftli_actor *, unsigned lane, ftli_link *, uint64_t now_ns);
FTLI_INLINE void ftli_actor_send(ftli_actor *actor, unsigned lane, ftli_message *message)
{
    ftli_actor_post(actor, lane, &message->link);
}

/* on_tick runs within delay_ns from now. Requests coalesce to the earliest; while one is armed, asking again with the
 * same delay is two loads. Async-signal-safe. 0: as soon as possible. */
void ftli_actor_run_within(ftli_actor *, uint64_t delay_ns);

/* Runs the actor as soon as possible on its group, whatever its lanes' marks say. Async-signal-safe. */
void ftli_actor_wake(ftli_actor *);

/* The marks of lanes normal and background (0: unchanged), from any thread. wake_messages 1: at once. */
void ftli_actor_set_wake(ftli_actor *, uint32_t wake_messages, uint64_t wake_age_ns);

/* Lanes in turn instead of by priority (pressure of 90 % and more), from any thread. */
void ftli_actor_set_ignore_priority(ftli_actor *, bool);

/* Lends the calling thread for up to `most` messages if nobody runs the actor and it is up. Returns how many
 * it received. Not from inside an actor (0 then): a thread that runs an actor only posts. */
unsigned ftli_actor_help(ftli_actor *, unsigned most);

/* Fault injection: its next receive fails before it begins, as if by FTL_EINTERNAL; if nothing is there to be received, the run
 * itself does. FTL_EBUSY: it is down or stopped, or the last kill has not come to it yet. */
int ftli_actor_kill(ftli_actor *);
bool ftli_actor_is_restartable(const ftli_actor *);

bool ftli_actor_has_mail(const ftli_actor *); /* new, not in hand */
const char *ftli_actor_name(const ftli_actor *);
uint32_t ftli_actor_index(const ftli_actor *); /* in the kernel's order of adding */
void *ftli_actor_state(const ftli_actor *);
struct ftli_kernel *ftli_actor_kernel(const ftli_actor *);
bool ftli_actor_is_down(const ftli_actor *);     /* supervision gave it up: its degraded mode applies */
bool ftli_actor_is_degraded(const ftli_actor *); /* down, or set back until it has received what failed */

enum {
    FTLI_ACTOR_IDLE = 0,
    FTLI_ACTOR_QUEUED = 1,
    FTLI_ACTOR_RUNNING = 2,
    FTLI_ACTOR_RESTARTING = 3,
    FTLI_ACTOR_DOWN = 4,
    FTLI_ACTOR_STOPPED = 5
};
typedef struct {
    uint32_t phase; /* FTLI_ACTOR_IDLE ... */
    ftli_lane_figures lanes[FTLI_LANES];
    uint64_t oldest_ns; /* of all lanes; 0: nothing waits */
    uint64_t messages;  /* received with FTL_OK, timers and items included */
    uint64_t runs, ticks, busy_ns;
    uint64_t longest_run_ns;
    uint64_t failures, restarts;
    uint64_t overdue; /* receives that the watchdog reported */
    uint64_t alarms;  /* lanes whose oldest message was past the lane's alarm; each once until it was below again */
    bool degraded;
    uint64_t helped; /* messages received on threads that were lent */
} ftli_actor_figures;
void ftli_actor_read(const ftli_actor *, ftli_actor_figures *out);

/* ---- from inside an operation
 * ---------------------------------------------------------------------------------- */

uint64_t ftli_now_ns(const ftli_context *); /* precise; virtual in simulation */
uint64_t ftli_random(ftli_context *);       /* of the kernel's seed */
/* A restart disarms all timers of the actor, between stop and start. */
/* The timer's message comes to on_message after delay_ns, through no lane. Armed already: moved. Never fails.
 */
void ftli_after(ftli_context *, uint64_t delay_ns, ftli_timer *);
bool ftli_cancel(ftli_context *, ftli_timer *); /* false: was not armed, or its message is already on its way */
ftli_actor *ftli_self(const ftli_context *);

#endif
