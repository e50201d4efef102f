/* The kernel: actors, the groups of threads that run them, and their lives from start to stop.
 *
 * What      create; add actors (in the order in which they start); start; ...; stop; destroy.
 * Owns      Its actors' structs, its groups and their threads. Nothing process-wide: several kernels live
 * side by side. Threads   create, add_actor, start, stop, destroy: one at a time, not from inside an actor.
 * The rest: any. Sleep     A group's threads sleep on an event count until a post or the next due time. An
 * idle kernel uses no CPU. Creation  A group's threads are created by ftli_kernel_start if the group has
 * actors by then; those of a group marked `lazy` by the first ftli_kernel_need. Both are fallible:
 * FTL_ENOMEM. A post never creates a thread.
 */
#ifndef FTLI_RUNTIME_KERNEL_KERNEL_H
#define FTLI_RUNTIME_KERNEL_KERNEL_H

#include "runtime/kernel/actor.h"
#include "runtime/kernel/event.h"
#include "runtime/kernel/supervision.h"

typedef struct ftli_kernel ftli_kernel;

enum { FTLI_GROUPS_MOST = 16, FTLI_ACTORS_MOST = 256 /* in a kernel */ };

typedef struct {
    const char *name; /* also in thread names; 1 to 15 characters */
    unsigned count;   /* threads; 0: the program lends its own (ftli_kernel_run) */
    int nice;
    const unsigned *cpus; /* copied; processors the threads may run on */
    unsigned cpu_count;   /* 0: any */
    bool spin;            /* idle: spin; a thread never sleeps and burns its processor */
    bool lazy;            /* threads at the first ftli_kernel_need */
} ftli_group_options;

enum {
    FTLI_NEWS_FAILED = 1,
    FTLI_NEWS_RESTARTED = 2,
    FTLI_NEWS_DOWN = 3,
    FTLI_NEWS_DEGRADED = 4,  /* until it has received what failed */
    FTLI_NEWS_RECOVERED = 5, /* it has */
    FTLI_NEWS_OVERDUE = 6,   /* one receive is in it for longer than its receive_ns */
    FTLI_NEWS_ALARM = 7,     /* the oldest message of a lane is older than the lane's alarm; once until it is not */
};
typedef struct {
    uint32_t kind;
    int status; /* of the receive that failed; FTLI_STATUS_CORRUPT: the check failed as well */
    uint64_t time_ns;
    ftli_actor *actor;
    uint32_t lane; /* of an alarm */
    uint64_t age_ns;
} ftli_news;

typedef struct {
    const char *name; /* prefix of thread names; may be NULL */
    const ftli_group_options *groups;
    unsigned group_count;
    const uint32_t *lane_shares;  /* FTLI_LANES; NULL: 51, 8, 4, 1 */
    const uint64_t *lane_alarms;  /* FTLI_LANES, in ns; 0: none. NULL: none at all */
    ftli_supervision supervision; /* zeroed: a receive that fails is tried again after 1 ms, for ever */
    /* On the thread that runs the actor, or, of a receive that is overdue, any of ours; posts only. May be NULL. */
    void (*on_news)(void *user, const ftli_news *);
    void *user;
    /* Whether this process is a forked child, in which nothing of the kernel may run. Asked after what may have been code of the
     * program's. May be NULL. */
    bool (*is_forked)(const void *user);
    uint64_t seed;  /* of ftli_random; and of the order, in simulation */
    bool simulated; /* no threads, virtual time: runtime/kernel/simulation.h drives it */
} ftli_kernel_options;

int ftli_kernel_create(const ftli_kernel_options *, ftli_kernel **out);
/* The name must be new to the kernel. After ftli_kernel_start the actor starts at once. */
int ftli_kernel_add_actor(ftli_kernel *, const char *name, const ftli_actor_options *, ftli_actor **out);
/* Runs every actor's start, in order, on the calling thread; then the threads. On failure what started is
 * stopped. */
int ftli_kernel_start(ftli_kernel *);
/* The threads of a lazy actor's group exist from here on. One load if they do. FTL_ENOMEM. Any thread. */
int ftli_kernel_need(ftli_kernel *, ftli_actor *);
/* The threads come to rest between two runs, at the latest by the deadline on the system's clock, and stay so until stop or
 * ftli_kernel_resume; no further ones are started. FTL_ETIMEDOUT: one of them is inside an actor still, and all go on as if nothing had
 * happened. FTL_EBUSY from inside an actor. */
int ftli_kernel_rest(ftli_kernel *, uint64_t deadline_ns);
void ftli_kernel_resume(ftli_kernel *);
/* Ends and joins the threads, runs what still waits on the calling thread (at most drain_ns), then every
 * actor's stop in reverse order. FTL_EBUSY from inside an actor. What is posted afterwards stays in the
 * mailboxes. */
int ftli_kernel_stop(ftli_kernel *, uint64_t drain_ns);
/* After stop, or if start never succeeded. */
void ftli_kernel_destroy(ftli_kernel *);

/* Lends the calling thread to the named group of count 0 (NULL: to all of count 0, in order), until nothing
 * is ready or the budget is over (FTLI_NEVER_NS: none). *left (may be NULL): messages that still wait there.
 * FTL_EINVAL: no such group, or it has threads; FTL_EBUSY: from inside an actor; FTL_ENOTSUP: as ftli_kernel_wait. */
int ftli_kernel_run(ftli_kernel *, const char *group, uint64_t budget_ns, uint64_t *left);

/* Waits for an event of the caller's that an actor signals: sleeps if the kernel has threads; lends the
 * thread to the groups of count 0 named by `group` (NULL: all) meanwhile; steps the simulation if it is one.
 * Takes the ticket of ftli_event_prepare and ends it. FTL_OK: signalled or woken for no reason, look again;
 * FTL_ETIMEDOUT; FTL_EBUSY: from inside an actor, at once; FTL_ENOTSUP: what ran meanwhile has forked, and this is the child.
 * deadline_ns is on the kernel's clock. */
int ftli_kernel_wait(ftli_kernel *, ftli_event *, uint32_t ticket, uint64_t deadline_ns, const char *group);

uint64_t ftli_kernel_now_ns(const ftli_kernel *);
uint64_t ftli_kernel_coarse_ns(const ftli_kernel *);
bool ftli_kernel_is_service_thread(const ftli_kernel *); /* the caller is inside one of this kernel's actors */
bool ftli_kernel_is_inside(const void *user);            /* the same of the kernel that was created with this user */
bool ftli_kernel_is_forked(const ftli_kernel *);
bool ftli_kernel_is_simulated(const ftli_kernel *);
bool ftli_kernel_has_threads(const ftli_kernel *, const char *group); /* the group's count is not 0, simulated or not */
unsigned ftli_kernel_actor_count(const ftli_kernel *);
ftli_actor *ftli_kernel_actor(const ftli_kernel *, unsigned index);
ftli_actor *ftli_kernel_find(const ftli_kernel *, const char *name); /* NULL: none */
/* Bit per actor that is degraded or down, by index; the last bit: all above. */
uint32_t ftli_kernel_degraded(const ftli_kernel *);
uint64_t ftli_kernel_restarts(const ftli_kernel *);
uint64_t ftli_kernel_overdue(const ftli_kernel *);
uint64_t ftli_kernel_alarms(const ftli_kernel *);                       /* of lanes, ever */
uint64_t ftli_kernel_lane_alarm_ns(const ftli_kernel *, unsigned lane); /* 0: none */

/* Runs the check of every actor (at rest, or in simulation): FTL_OK, or the first failing status with its
 * reason. That actor looks itself when it runs next; if its check fails there too, it is a corruption. */
int ftli_kernel_check(const ftli_kernel *, char *why, size_t n);

typedef struct {
    unsigned threads; /* started */
    uint64_t busy_ns, runs, sleeps, wakes /* by posts: system calls */;
} ftli_group_figures;
int ftli_kernel_read_group(const ftli_kernel *, const char *group, ftli_group_figures *out);

#endif
