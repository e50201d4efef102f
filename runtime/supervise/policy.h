/* The supervision policy: what is done about an actor that failed, how fast, and when to give up. Terms mean what
 * Erlang/OTP means by them.
 *
 * What      Plain values, what is remembered of an actor, and pure functions over them. A failure has a class; the class
 *           has a list of steps, taken in turn until the message that failed was received:
 *             retry       the same message again, `retries` times
 *             degrade     the same message again, once; until it is received the actor counts as degraded
 *             restart     stop and start, as often as `restarts` within `within` allow, counted over all actors; the new
 *                         state begins at the head of its lists
 *             quarantine  a restart whose broken state nobody touches any more: its stop is not run. Once
 *             escalate    give up. So does the end of a list
 *           An actor that cannot be restarted passes over restart and quarantine, and is never given up for what passes
 *           (transient, resource): it goes on trying.
 *           The breaker: after `failures` recoveries in a row that failed, within its time, the next one waits for `open`,
 *           and the actor counts as degraded; if that one fails as well, the breaker opens again.
 * Threads   Any; ftli_policy_decide and _succeeded change what they are given: one caller at a time.
 */
#ifndef FTLI_RUNTIME_SUPERVISE_POLICY_H
#define FTLI_RUNTIME_SUPERVISE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/kernel/supervision.h"

typedef struct {
    uint64_t first_ns, most_ns;
    double factor;
} ftli_backoff;

/* CORE.md and api/actor.h: what a status means for recovery. */
enum {
    FTLI_CLASS_TRANSIENT = 0,
    FTLI_CLASS_RESOURCE = 1,
    FTLI_CLASS_CONFIGURATION = 2,
    FTLI_CLASS_CORRUPTION = 3, /* the actor's check failed */
    FTLI_CLASS_FATAL = 4,
    FTLI_FAILURE_CLASSES = 5,
};

enum {
    FTLI_STEP_RETRY = 0,
    FTLI_STEP_DEGRADE = 1,
    FTLI_STEP_RESTART = 2,
    FTLI_STEP_QUARANTINE = 3,
    FTLI_STEP_ESCALATE = 4,
    FTLI_STEPS = 5,
};

enum { FTLI_RESTARTS_MOST = 10000, FTLI_BREAKER_FAILURES_MOST = 64 };

typedef struct {
    uint32_t count;
    uint8_t steps[FTLI_STEPS]; /* FTLI_STEP_... */
} ftli_recovery;

typedef struct {
    uint32_t strategy; /* FTLI_RESTART_..., of supervision.h */
    uint32_t restarts; /* allowed within within_ns; one more gives up. 0: none are. At most FTLI_RESTARTS_MOST */
    uint64_t within_ns;
    ftli_backoff backoff;
    uint32_t retries; /* that one step `retry` makes */
    struct {
        uint32_t failures; /* 1 to FTLI_BREAKER_FAILURES_MOST */
        uint64_t within_ns, open_ns;
    } breaker;
    ftli_recovery recovery[FTLI_FAILURE_CLASSES];
} ftli_policy;

ftli_policy ftli_policy_default(void);          /* as in config/default.yaml */
bool ftli_policy_is_valid(const ftli_policy *); /* factor at least 1, first <= most, within > 0, ... */
uint32_t ftli_policy_class(int status);
uint64_t ftli_backoff_delay_ns(const ftli_backoff *, uint32_t attempt); /* attempt 0: first_ns */

/* ---- memory ------------------------------------------------------------------------------------------------------- */

/* The last restarts of all actors. */
typedef struct {
    uint64_t *restart_ns; /* policy.restarts of them, in a ring; NULL if that is 0 */
    uint64_t restarts;    /* ever */
} ftli_intensity;

/* Of one actor; zeroed: it never failed. */
typedef struct {
    bool failing;                           /* a recovery is under way: nothing was received since the last failure */
    bool open;                              /* the breaker: what comes next is its one try */
    uint32_t attempts;                      /* recoveries since the last success: how far the backoff has grown */
    uint8_t position[FTLI_FAILURE_CLASSES]; /* in the lists, since the last success or restart */
    uint32_t tries[FTLI_FAILURE_CLASSES];   /* of the step there */
    uint32_t failures;                      /* recoveries that failed since the last success */
    uint64_t open_until_ns;
    uint64_t failed_ns[FTLI_BREAKER_FAILURES_MOST]; /* the last breaker.failures of them, in a ring */
} ftli_memory;

typedef struct {
    uint32_t step; /* FTLI_STEP_... */
    bool opened;   /* the breaker: delay_ns is its `open` */
    uint64_t delay_ns;
} ftli_verdict;

ftli_verdict ftli_policy_decide(const ftli_policy *, ftli_intensity *, ftli_memory *, bool restartable, uint32_t class,
                                uint64_t now_ns);
void ftli_policy_succeeded(ftli_memory *);

#endif
