/* Passes: each kind of look that the actor takes has its own date and its own share, and comes in slices.
 *
 * What      A pass is asked for, from any thread, by a date; from then on the actor's tick begins it, takes a slice of each pass that
 *           runs, and ends it. Between two runs of one pass lie FTLI_LEAK_SHARE times the time that the first took: 0.1 % of a core.
 * Adding    A line in the enum below, one in the table of leak_detection.c, and a file with its four operations. What the pass
 *           remembers is a struct of its own in struct ftli_leak_detection.
 * Threads   ftli_leak_pass_ask: any, async-signal-safe. The rest: the actor's.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_PASS_H
#define FTLI_ACTORS_LEAK_DETECTION_PASS_H

#include "runtime/base/atomics.h"
#include "runtime/kernel/actor.h"

struct ftli_leak_detection;

enum { FTLI_LEAK_SHARE = 1000 };

enum ftli_leak_pass_kind {
    FTLI_LEAK_PASS_WALK,   /* the table: what outlived its scope or thread, what is pinned, drops past their deadline */
    FTLI_LEAK_PASS_CYCLES, /* of links */
    FTLI_LEAK_PASS_GROWTH, /* the table again, by group: growth.h */
    FTLI_LEAK_PASSES
};

#define FTLI_LEAK_NO_DATE UINT64_MAX

struct ftli_leak_pass_operations {
    /* False: there is nothing to look at; it is asked for again when there is. */
    bool (*begin)(struct ftli_leak_detection *, uint64_t now_ns);
    /* Some of it, well under a millisecond. True: there is more. */
    bool (*slice)(struct ftli_leak_detection *, uint64_t now_ns);
    /* In how long it is to run again if nobody asks; FTLI_LEAK_NO_DATE: only when it is asked for. */
    uint64_t (*end)(struct ftli_leak_detection *, uint64_t now_ns);
    /* The actor was restarted: what was under way is given up. May be NULL. */
    void (*reset)(struct ftli_leak_detection *);
};

struct ftli_leak_pass {
    ftli_atomic_u64 asked;  /* the date, complemented, so that 0 is none. pairs: pass-asked */
    bool runs;              /* this and what follows: the actor's */
    uint64_t busy_ns;       /* of this run */
    uint64_t not_before_ns; /* of the next */
};

/* Begins within this time, unless that is more than its share of a core. Asking again for no sooner costs little. */
void ftli_leak_pass_ask(struct ftli_leak_detection *, enum ftli_leak_pass_kind, uint64_t delay_ns);

/* A tick's work on all passes; the next tick is asked for. */
void ftli_leak_passes_tick(struct ftli_leak_detection *, ftli_context *);
/* After a restart. */
void ftli_leak_passes_start(struct ftli_leak_detection *, ftli_context *);

extern const struct ftli_leak_pass_operations *const ftli_leak_passes[FTLI_LEAK_PASSES];

#endif
