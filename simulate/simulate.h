/* Simulation of a whole runtime: a random program over the real actors, faults, and the laws after every step.
 *
 * What      One seed is one history: which of the program's threads calls what, which actor runs next and for how long, when
 *           time moves, what fails. While there are faults no law may break (safety); then the faults stop, the program
 *           lets go of all it has, and every drop is completed within FTLI_LIVENESS_STEPS steps (liveness).
 * Owns      A world owns its runtime while a seed runs, and nothing between seeds.
 * Threads   One world a process, and one thread: the program's threads are played by it.
 * After a law is broken the runtime is left as it is, and the process is good for nothing but to say so.
 */
#ifndef FTLI_SIMULATE_SIMULATE_H
#define FTLI_SIMULATE_SIMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ftli_fault {
    FTLI_FAULT_RECEIVE,   /* a receive fails, and is supervised */
    FTLI_FAULT_RESTART,   /* an actor is killed between two messages */
    FTLI_FAULT_FINALIZER, /* a finalizer fails, some times or for ever */
    FTLI_FAULT_STALL,     /* a finalizer does not return for a while; the others go on */
    FTLI_FAULT_OOM,       /* memory is exhausted for a while; some seeds have a low limit besides */
    FTLI_FAULT_EXIT,      /* a thread exits, with what its port holds */
    FTLI_FAULT_SILENCE,   /* a thread never calls again */
    FTLI_FAULT_JUMP,      /* the clock jumps */
    FTLI_FAULTS
};
extern const char *const ftli_fault_names[FTLI_FAULTS + 1]; /* ends with NULL */
#define FTLI_FAULTS_ALL ((UINT32_C(1) << FTLI_FAULTS) - 1)

enum {
    FTLI_LIVENESS_STEPS = 5000, /* K: once faults stopped */
    FTLI_HISTORY_MOST = 256,    /* choices that are kept */
};

struct ftli_world_options {
    const char *topology; /* a file; NULL: the built-in default, varied by the seed */
    uint32_t faults;      /* bit per fault */
    uint32_t operations;  /* of the program; 0: 150 */
};

struct ftli_world_result {
    uint64_t seed;
    uint64_t operations, steps, receives, restarts;
    uint64_t faults[FTLI_FAULTS]; /* injected, by kind */
    uint64_t liveness_steps;      /* until the last drop was completed */
    uint64_t hash;                /* of all choices: equal histories, equal hashes */
    char law[80];                 /* the one that broke; empty: none did */
    char why[400];                /* with which values; or why the runtime did not open */
};

struct ftli_world;

/* NULL: no memory. */
struct ftli_world *ftli_world_create(void);
void ftli_world_destroy(struct ftli_world *);

/* FTL_OK: all laws held. FTL_EINTERNAL: one broke, law and why say which. Others: the runtime did not open, why says why. */
int ftli_world_run(struct ftli_world *, const struct ftli_world_options *, uint64_t seed, struct ftli_world_result *);

/* Of the seed that runs, or ran last. For one that dies on the way: callable in a handler of the signal. */
uint64_t ftli_world_seed(const struct ftli_world *);
uint64_t ftli_world_step(const struct ftli_world *);
/* The last `most` choices, the oldest first: a line each. */
void ftli_world_history(const struct ftli_world *, unsigned most, void (*line)(void *user, const char *text),
                        void *user);

#endif
