/* Simulation: the same actors on one thread, in virtual time and a seeded random order. One seed, one
 * history.
 *
 * What      A step runs one randomly chosen ready actor for a random number of messages, or moves time to the
 * next due date. Faults are injected between and instead of receives. Messages are reordered this way, not
 * the instructions inside one call (those are for tests/model). Owns      Nothing; the kernel was created
 * with .simulated and .seed. Threads   The one that drives it; posts come from it as well.
 */
#ifndef FTLI_RUNTIME_KERNEL_SIMULATION_H
#define FTLI_RUNTIME_KERNEL_SIMULATION_H

#include "runtime/kernel/kernel.h"

typedef struct {
    double kill; /* chance before each receive that the actor is killed (as if FTL_EINTERNAL, nothing in hand) */
    double receive_fails; /* chance that a receive is not made and answers `status` instead */
    double late;          /* chance that time moves on although somebody is ready */
    int status;           /* 0: FTL_EINTERNAL */
    uint64_t most_faults; /* 0: no bound */
} ftli_simulation_faults;

typedef struct {
    uint64_t steps, receives, time_moves, kills, failed_receives;
    uint64_t trace; /* a hash of every choice made and every message received: equal histories, equal hashes */
} ftli_simulation_figures;

/* A choice, told as it is made to who watches: of it a readable history is made. */
enum {
    FTLI_CHOICE_RUN = 1,  /* the actor runs; value: messages at most */
    FTLI_CHOICE_TIME = 2, /* time moves; value: to when */
    FTLI_CHOICE_RECEIVE =
        3,                /* lane and link of what the actor receives next; FTLI_LANES and NULL: a timer, or the tick */
    FTLI_CHOICE_KILL = 4, /* the actor is killed instead */
    FTLI_CHOICE_FAIL = 5, /* the receive fails instead */
};
typedef struct {
    uint32_t kind;
    unsigned lane;
    const ftli_actor *actor; /* NULL: time */
    const ftli_link *link;
    uint64_t value;
} ftli_simulation_choice;

/* FTL_OK: a step was made; FTL_ESTALE: nothing is ready and nothing is due, ever; a failing law's status
 * otherwise. */
int ftli_simulation_step(ftli_kernel *);

/* Steps until nothing is ready and nothing is due before until_ns (virtual; FTLI_NEVER_NS: whenever), at most
 * most_steps (0: 1,000,000). FTL_OK: idle; FTL_ETIMEDOUT: the steps are used up; a failing law's status. */
int ftli_simulation_run_until_idle(ftli_kernel *, uint64_t until_ns, uint64_t most_steps);

void ftli_simulation_jump(ftli_kernel *, uint64_t forward_ns); /* the clock moves; what became due is run by steps */
void ftli_simulation_set_faults(ftli_kernel *, const ftli_simulation_faults *);
void ftli_simulation_kill(ftli_kernel *, ftli_actor *); /* at its next receive, once */
/* Actors' own checks run after one step in `every` (1: each, as it begins; 0: never): for long histories. The law is not touched. */
void ftli_simulation_check_every(ftli_kernel *, uint32_t every);
/* Called after every step, when the check of the actor that ran has passed: the laws. Not FTL_OK stops the run with that status. */
void ftli_simulation_set_law(ftli_kernel *, int (*law)(void *user), void *user);
void ftli_simulation_set_watcher(ftli_kernel *, void (*watch)(void *user, const ftli_simulation_choice *), void *user);
const char *ftli_simulation_why(const ftli_kernel *); /* what the last actor's check that failed said */
void ftli_simulation_read(const ftli_kernel *, ftli_simulation_figures *out);

#endif
