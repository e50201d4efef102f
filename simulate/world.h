/* What the files of the simulation share: the program that is played, and its model of what it holds.
 *
 * Invariants  A slot without references is not the program's any more; who else refers to it (a view, a link, a pin) keeps it.
 *             Links and views go towards the higher place only, so there are no cycles.
 */
#ifndef FTLI_SIMULATE_WORLD_H
#define FTLI_SIMULATE_WORLD_H

#include "actors/port/runtime.h"
#include "runtime/base/random.h"
#include "runtime/kernel/simulation.h"
#include "simulate/simulate.h"

enum {
    FTLI_WORLD_OPERATIONS = 150,
    FTLI_WORLD_OPERATIONS_MOST = 10000,
    FTLI_WORLD_SLOTS = 64,
    FTLI_WORLD_SCOPES = 4,
    FTLI_WORLD_GONE = 32,                    /* handles of tensors that are gone, tried again */
    FTLI_WORLD_THREADS = 4,                  /* of the program, at once */
    FTLI_WORLD_SERVICE = FTLI_WORLD_THREADS, /* the thread that runs the actors */
    FTLI_WORLD_PLAYERS,
    FTLI_WORLD_EXITS_MOST = 10,
    FTLI_WORLD_PORTS = FTLI_WORLD_PLAYERS + FTLI_WORLD_EXITS_MOST + 1,
};

struct ftli_world;

struct ftli_world_finalizer {
    struct ftli_world *world;
    uint64_t stamp;  /* what stands in the memory */
    unsigned fails;  /* so often; UINT_MAX: always */
    unsigned stalls; /* steps of others that its call lasts */
    bool calls_back; /* makes and drops a tensor of its own */
    unsigned calls;
    bool done;
};

struct ftli_world_slot {
    ftl_tensor tensor;
    unsigned references, pins;
    size_t bytes;
    uint64_t stamp; /* at both ends of its memory; 0: none, it is a view or too small */
    bool in_scope;  /* the scope's end gives up one of the references */
    bool shared;    /* views or links have references as well */
    bool parent;    /* it is linked to others */
    bool stubborn;  /* its finalizer fails: in quarantine it would keep what it is linked to */
    unsigned root;  /* the place of a view's root, or its own */
    unsigned scope;
};

/* Two that are linked to each other. */
enum { FTLI_WORLD_PAIRS = 3 };
struct ftli_world_pair {
    ftl_tensor a, b; /* a.id 0: none */
    bool is_held;    /* the program has a reference on a */
};

/* What a thread is to the library, kept while another one is played. */
struct ftli_world_thread {
    struct ftli_thread thread;
    struct ftli_scope_cursor cursor;
    bool silent;
};

struct ftli_world_choice {
    uint64_t step, value, time_ns;
    const char *text; /* an actor's name, or what the program does */
    uint32_t slot;
    uint8_t kind, lane, purpose; /* kind 0: the program's */
};

struct ftli_world {
    struct ftli_world_options options;
    struct ftli_world_result result;
    bool prepared;
    ftl_runtime *runtime;
    ftli_random_state random;
    bool faults_stopped;
    uint64_t serial;     /* of tensors, for stamps */
    uint64_t own_drops;  /* made by finalizers */
    uint64_t operation;  /* that is under way */
    uint64_t hard_bytes; /* the device's, while memory is exhausted; 0: it is not */
    unsigned playing;    /* which thread */
    unsigned silent;     /* threads that never call again */
    struct ftli_world_thread threads[FTLI_WORLD_PLAYERS];
    struct ftli_world_slot slots[FTLI_WORLD_SLOTS];
    ftl_scope scopes[FTLI_WORLD_SCOPES];
    struct ftli_world_pair pairs[FTLI_WORLD_PAIRS];
    ftl_tensor gone[FTLI_WORLD_GONE];
    unsigned gone_next;
    struct ftli_world_finalizer *finalizers; /* as many as there may be operations */
    ftli_message *kills;                     /* likewise: a kill takes the place of a receive */
    unsigned finalizer_count, kill_count;
    struct ftli_world_choice history[FTLI_HISTORY_MOST];
    uint64_t choices;
};

FTLI_INLINE unsigned ftli_world_below(struct ftli_world *world, unsigned n)
{
    return ftli_random_below(&world->random, n);
}

/* Whether the fault may be made now. */
FTLI_INLINE bool ftli_world_may(const struct ftli_world *world, enum ftli_fault fault)
{
    return !world->faults_stopped && (world->options.faults >> fault & 1) != 0;
}

/* ---- laws.c */

FTLI_INLINE bool ftli_world_is_broken(const struct ftli_world *world)
{
    return world->result.law[0] != '\0';
}
/* The first that broke is kept. */
__attribute__((format(printf, 3, 4))) void ftli_world_broken(struct ftli_world *, const char *law, const char *format,
                                                             ...);
/* Whether it held; the text is the condition's. */
bool ftli_world_holds(struct ftli_world *, bool condition, const char *law, const char *text);
#define FTLI_HOLDS(world, law, condition) ftli_world_holds((world), (condition), (law), #condition)

int ftli_world_law(void *world);            /* after every step: FTL_OK, or FTL_EINTERNAL when something broke */
void ftli_world_audit(struct ftli_world *); /* at rest */
uint64_t ftli_world_pending(const struct ftli_world *);
void ftli_world_check_slot(struct ftli_world *, const struct ftli_world_slot *);
void ftli_world_check_gone(struct ftli_world *);
void ftli_world_check_end(struct ftli_world *); /* everything was let go of, and is completed */

/* ---- cycles.c */

void ftli_world_cycle(struct ftli_world *); /* makes, loses or undoes a pair; and what is lost is found */
void ftli_world_undo_cycles(struct ftli_world *);

/* ---- threads.c */

int ftli_world_prepare(void); /* once, before the first seed */
void ftli_world_play(struct ftli_world *, unsigned thread);
void ftli_world_begin_threads(struct ftli_world *);
void ftli_world_end_threads(struct ftli_world *); /* after close: their ports are nobody's */
void ftli_world_exit_thread(struct ftli_world *, unsigned thread);
unsigned ftli_world_any_thread(struct ftli_world *); /* that still calls */

/* ---- program.c */

void ftli_world_operate(struct ftli_world *); /* one operation, and some steps after it */
void ftli_world_let_go(struct ftli_world *);  /* of everything */
void ftli_world_steps(struct ftli_world *, unsigned n);
void ftli_world_relieve(struct ftli_world *); /* memory is there again */

/* ---- scenario.c */

/* The overrides of the seed's topology. FTL_OK; or as ftli_topology_load, and why. */
int ftli_world_scenario(const struct ftli_world *, char *overrides, size_t overrides_bytes, char *why,
                        size_t why_bytes);

/* ---- history.c */

void ftli_world_watch(void *world, const ftli_simulation_choice *);
void ftli_world_note(struct ftli_world *, const char *what, unsigned slot, uint64_t value);

#endif
