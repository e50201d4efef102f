/* Labelled programs: small programs of which it is known whether they leak, and what. Each runs in virtual time with the
 * topology that ftl_runtime_open(NULL) opens, at its default settings.
 *
 * What      A program makes and drops tensors, and lets time pass between. `leak` is the label that each of its leaked tensors
 *           carries; a finding is right if it names that label, and anything else that is reported is a false alarm.
 * Threads   One; programs that are about threads start and join them.
 */
#ifndef FETTLE_TESTS_LEAKS_PROGRAM_H
#define FETTLE_TESTS_LEAKS_PROGRAM_H

#include <fettle/fettle.h>

struct world {
    ftl_runtime *runtime;
    uint64_t random;
};

struct program {
    const char *name; /* what it does */
    const char *kind; /* what it is an example of: a row of the table */
    const char *leak; /* label of what it leaks; NULL: nothing */
    void (*run)(struct world *);
};

extern const struct program leaking_programs[], correct_programs[];
extern const unsigned leaking_program_count, correct_program_count;
/* Written by somebody who had not read the detectors. */
extern const struct program held_out_leaking[], held_out_correct[];
extern const unsigned held_out_leaking_count, held_out_correct_count;

/* ---- what programs are written with; an error ends the test ---- */

enum { MINUTE = 60 };

ftl_tensor make(struct world *, ftl_scope scope, size_t bytes, const char *label, const char *site);
void drop(ftl_tensor);
void retain(ftl_tensor);
void link_to(ftl_tensor parent, ftl_tensor child);
ftl_scope begin(struct world *, const char *label);
void end(ftl_scope);
void pass(struct world *, double seconds);
/* 0 to n - 1, the same for each seed. */
unsigned pick(struct world *, unsigned n);
/* A request as all servers have them: some tensors that die within a second. */
void serve(struct world *, unsigned requests);
/* Runs it on a thread of its own, to its end. */
void on_a_thread(void (*run)(void *), void *user);

#endif
