/* What the kernel's own files share: the structs behind the opaque names. No file outside runtime/kernel includes it.
 *
 * What      The actor, the group, the kernel, and the functions between actor.c, run.c, failure.c, watchdog.c, scheduler.c,
 *           worker.c, simulation.c.
 * Invariants The actor word (CORE.md section 3, rule 7):
 *             QUEUED   the actor's bit is, or is about to be, in its group's ready words; it is set once at a time
 *             RUNNING  one thread is inside the actor; its owner-only fields are that thread's
 *             HELD     nobody may run it: not started, waiting for its restart, or down
 *             STOPPED  nobody will ever run it again; a flag of its own, because a lent thread may end HELD late
 *           Whoever releases RUNNING looks again at lanes and due times, so a poster that saw RUNNING need do nothing;
 *           whoever ends HELD queues the actor.
 */
#ifndef FTLI_RUNTIME_KERNEL_INTERNAL_H
#define FTLI_RUNTIME_KERNEL_INTERNAL_H

#include "runtime/base/os.h"
#include "runtime/base/random.h"
#include "runtime/kernel/kernel.h"
#include "runtime/kernel/simulation.h"
#include "runtime/kernel/token.h"

enum {
    FTLI_WORD_RUNNING = 1,
    FTLI_WORD_QUEUED = 2,
    FTLI_WORD_HELD = 4,
    FTLI_WORD_STOPPED = 8,
    FTLI_RUN_MOST = 64, /* messages of one run */
    FTLI_READY_WORDS = FTLI_ACTORS_MOST / 64,
};

struct ftli_context {
    ftli_actor *actor;
};

typedef struct ftli_group ftli_group;

struct ftli_actor {
    ftli_mailbox mailbox;

    FTLI_ALIGNED(64) ftli_atomic_u32 word;
    ftli_atomic_u32 wake_messages;
    ftli_atomic_u64 wake_age_ns;
    /* Due times on the kernel's clock, FTLI_NEVER_NS: none. */
    ftli_atomic_u64 age_due_ns;       /* a lane below its mark has waited long enough; armed by posters */
    ftli_atomic_u64 tick_due_ns;      /* on_tick; armed by ftli_actor_run_within */
    ftli_atomic_u64 longest_delay_ns; /* that ftli_actor_run_within was ever given */
    ftli_atomic_u64 timer_due_ns;     /* the first timer; written by the runner */
    ftli_atomic_u64 resume_due_ns;    /* the end of HELD after a failure; written by the runner */

    /* fixed before the actor is published */
    FTLI_ALIGNED(64) ftli_kernel *kernel;
    ftli_group *group;
    const ftli_actor_operations *operations;
    void *state;
    uint32_t index;    /* in the kernel */
    uint32_t position; /* in its group */
    char name[32];
    uint64_t receive_ns; /* the watchdog's; 0: not watched */

    /* the runner's alone */
    FTLI_ALIGNED(64) ftli_context context;
    ftli_timer_heap timers;
    ftli_link *due_first, *due_last; /* timers that are due, by their messages' links */
    ftli_random_state random;
    bool needs_start; /* after a failure, or never started */
    bool failing;     /* something failed, and was not received since */
    bool started;
    const void *failed_at; /* what: a link, the tick or the start (see at_tick, at_start); NULL: whatever comes next */

    /* written by the runner, read by any */
    ftli_atomic_u32 phase_held;      /* FTLI_ACTOR_RESTARTING, _DOWN or _STOPPED while HELD */
    ftli_atomic_u32 ignore_priority; /* written by any */
    ftli_atomic_u32 suspect;         /* written by any: its check failed; its next run looks itself */
    ftli_atomic_u32 killed;          /* written by any: its next receive fails */
    ftli_atomic_u32 degraded;
    ftli_atomic_u32 round; /* FTLI_ROUND_...; written under the kernel's round_token */
    ftli_atomic_u64 messages, runs, ticks, busy_ns, longest_run_ns, failures, restarts, helped;

    /* the watchdog's */
    ftli_atomic_u64 since_ns;    /* of the run that is inside; 0: none */
    ftli_atomic_u64 reported_ns; /* since_ns of the last run that was reported */
    ftli_atomic_u64 overdue;
    uint64_t seen_since_ns, seen_progress, seen_ns; /* under the watching group's watch_token */
    ftli_atomic_u32 alarmed;                        /* a bit per lane: told, and not below since */
    ftli_atomic_u64 alarms;                         /* ever */
};

enum {
    FTLI_GROUP_WORK = 0,
    FTLI_GROUP_REST = 1, /* between two runs, until the phase is another */
    FTLI_GROUP_END = 2,
};

struct ftli_group {
    FTLI_ALIGNED(64) ftli_atomic_u64 ready[FTLI_READY_WORDS]; /* a bit per QUEUED actor, by position */
    FTLI_ALIGNED(64) ftli_event own_event;
    ftli_event *event;              /* own_event; of a group of count 0: the kernel's lend_event */
    ftli_atomic_u64 sleep_until_ns; /* when its sleepers look at due times by themselves; see scheduler.c */
    ftli_atomic_u32 timekeeper;     /* 1: one sleeper has that deadline */
    ftli_atomic_u32 phase;          /* FTLI_GROUP_...: what its threads are to do */
    ftli_atomic_u32 resting;        /* threads that have stopped for FTLI_GROUP_REST */
    ftli_atomic_u32 actor_count;
    ftli_atomic_pointer actors[FTLI_ACTORS_MOST];
    ftli_atomic_u64 watch_due_ns; /* when to look at the actors that this group watches */
    ftli_token watch_token;

    ftli_kernel *kernel;
    ftli_group *watcher; /* whose threads watch over this one's; NULL: there are no other threads */
    char name[16];
    unsigned count;   /* of threads; 0: lent, or simulated */
    bool has_threads; /* by its options, simulated or not */
    int nice;
    unsigned *cpus;
    unsigned cpu_count;
    bool spin, lazy;
    ftli_token start_token; /* guards the creation of the threads */
    ftli_atomic_u32 started;
    ftli_os_thread *threads; /* `started` of them */

    ftli_atomic_u64 busy_ns, runs, sleeps, wakes;
};

struct ftli_simulation {
    ftli_atomic_u64 now_ns; /* virtual; atomic because ftli_kernel_now_ns may be asked by any thread */
    ftli_random_state random;
    struct {
        double kill, receive_fails, late;
        int status;
        uint64_t most_faults, made;
    } faults;
    uint32_t unchecked_most; /* steps between two checks of actors; UINT32_MAX: there are none */
    ftli_actor *victim;      /* of ftli_simulation_kill */
    int (*law)(void *);
    void *law_user;
    void (*watch)(void *, const ftli_simulation_choice *);
    void *watch_user;
    char why[256]; /* the last check that failed */
    struct {
        uint64_t steps, receives, time_moves, kills, failed_receives, trace;
    } figures;
};

struct ftli_kernel {
    char name[16];
    ftli_group groups[FTLI_GROUPS_MOST];
    unsigned group_count;
    ftli_atomic_pointer actors[FTLI_ACTORS_MOST];
    ftli_atomic_u32 actor_count;
    uint32_t shares[FTLI_LANES];
    ftli_supervision supervision;
    void (*on_news)(void *user, const ftli_news *);
    void *user;
    bool (*is_forked)(const void *user);
    uint64_t seed;
    struct ftli_simulation *simulation; /* NULL: threads and the real clock */
    bool started;
    ftli_atomic_u32 stopping;
    ftli_event stop_event; /* signalled by whoever leaves an actor while stopping, and by threads that rest */
    ftli_event lend_event; /* that of all groups of count 0 */
    ftli_atomic_u64 restarts, overdue, alarms;
    uint64_t alarm_ns[FTLI_LANES]; /* 0: none */
    uint64_t alarm_look_ns;        /* how often lanes are looked at while one may be late; 0: they have no alarms */
    ftli_token round_token;        /* around the actors' `round`; who holds it waits for nobody */
    uint64_t round_start_ns;       /* when the actors of a round may start again */
};

/* Lowers the word to value; whether it did. */
FTLI_INLINE bool ftli_u64_lower_seq_cst(ftli_atomic_u64 *word, uint64_t value)
{
    uint64_t found = ftli_u64_load_seq_cst(word);
    while (value < found)
        if (ftli_u64_cas_seq_cst(word, &found, value))
            return true;
    return false;
}

/* ---- actor.c, run.c --------------------------------------------------------------------------------------------- */

bool ftli_actor_try_take(ftli_actor *, bool popped); /* RUNNING; popped: from the ready words, so clears QUEUED */
/* With RUNNING taken; releases it. How many messages were received. worker: the caller looks at its group again. */
unsigned ftli_actor_run(ftli_actor *, unsigned most, bool worker);
int ftli_actor_first_start(ftli_actor *);              /* stays HELD, so that nobody runs it yet */
void ftli_actor_open(ftli_actor *);                    /* ends HELD after the first start */
void ftli_actor_last_stop(ftli_actor *);               /* waits until nobody runs it, holds it, calls stop */
uint64_t ftli_actor_due_ns(const ftli_actor *);        /* the least of what may be scheduled now; FTLI_NEVER_NS */
bool ftli_actor_resume(ftli_actor *, uint64_t now_ns); /* ends HELD if it is time; whether it did */

/* ---- failure.c ---------------------------------------------------------------------------------------------------- */

/* Of a restart of several actors. */
enum {
    FTLI_ROUND_NONE = 0,
    FTLI_ROUND_STOP = 1,     /* is to stop, when those after it have */
    FTLI_ROUND_STOPPING = 2, /* it is its turn */
    FTLI_ROUND_WAITS = 3,    /* has stopped; is to start when those before it have */
    FTLI_ROUND_STARTING = 4, /* it is its turn */
    FTLI_ROUND_LEFT = 5,     /* down: no round takes it in */
};
void ftli_actor_tell(ftli_actor *, uint32_t kind, int status);
void ftli_actor_append_due(ftli_actor *, ftli_timer *);
void ftli_actor_forget_timers(ftli_actor *);
void ftli_actor_fail(ftli_actor *,
                     int status); /* what failed is back where it was. Holds the actor until it is to go on */
bool ftli_actor_is_corrupt(const ftli_actor *); /* its check fails */
void ftli_actor_recovered(ftli_actor *);        /* what failed was received */
void ftli_round_stop(ftli_actor *);             /* its turn: stops, and waits */
void ftli_round_started(ftli_actor *);          /* the next one's turn */

/* ---- watchdog.c ---------------------------------------------------------------------------------------------------- */

void ftli_watchdog_init(ftli_kernel *);
void ftli_watchdog_assign(ftli_kernel *); /* who watches whom; before the threads start */
/* At the begin of a run; and of an actor that is held from here on. */
void ftli_watchdog_look_at_lanes(ftli_actor *, uint64_t now_ns);
void ftli_watchdog_hold(ftli_actor *, uint64_t now_ns);
void ftli_watchdog_enter(ftli_actor *, uint64_t now_ns);
void ftli_watchdog_leave(ftli_actor *, uint64_t now_ns,
                         bool one_receive);             /* one_receive: no more than one took all the time */
void ftli_watchdog_look(ftli_group *, uint64_t now_ns); /* when watch_due_ns has come */

/* ---- scheduler.c ------------------------------------------------------------------------------------------------- */

/* QUEUED and ready, unless RUNNING, QUEUED or HELD; whether it did. signal: wake a sleeper of its group. */
bool ftli_actor_queue(ftli_actor *, bool signal);
void ftli_group_note_due(ftli_group *, uint64_t due_ns);    /* wakes a sleeper that would sleep past it */
ftli_actor *ftli_group_pop(ftli_group *, uint32_t *cursor); /* with RUNNING taken, or NULL */
void ftli_group_queue_due(ftli_group *, uint64_t now_ns);
uint64_t ftli_group_next_due_ns(const ftli_group *);
bool ftli_group_has_ready(const ftli_group *);
uint64_t ftli_group_depth(const ftli_group *);
/* Runs one actor of the group, if one is ready or due. */
bool ftli_group_run_one(ftli_group *, uint32_t *cursor); /* on a thread that is lent */

/* ---- worker.c ------------------------------------------------------------------------------------------------------ */

int ftli_group_start_threads(ftli_group *);
void ftli_group_join_threads(ftli_group *);
void ftli_group_turn(ftli_group *, uint32_t phase);
bool ftli_group_rests(const ftli_group *); /* all of its threads, while the phase is FTLI_GROUP_REST */

/* ---- simulation.c -------------------------------------------------------------------------------------------------- */

int ftli_simulation_create(ftli_kernel *);
void ftli_simulation_destroy(ftli_kernel *);
/* Before a receive: FTL_OK, or the status of an injected fault. lane FTLI_LANES, link NULL: a timer, or the tick. */
int ftli_simulation_receive(ftli_actor *, unsigned lane, const ftli_link *);
int ftli_simulation_wait(ftli_kernel *, ftli_event *, uint32_t ticket, uint64_t deadline_ns);

#endif
