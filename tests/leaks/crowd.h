/* Tensors that each live for a time of their own: what a server's load looks like from outside.
 *
 * What      invite() hands a tensor over for some seconds; go_on() lets time pass and drops those whose time is over.
 * Owns      the tensors it was handed, until then.
 * Threads   One.
 */
#ifndef FETTLE_TESTS_LEAKS_CROWD_H
#define FETTLE_TESTS_LEAKS_CROWD_H

#include "tests/leaks/program.h"

enum { CROWD_MOST = 4096 };

struct crowd {
    struct world *w;
    double now_s;
    unsigned count;
    struct {
        ftl_tensor tensor;
        double until_s;
    } guests[CROWD_MOST];
};

struct crowd *gather(struct world *);
/* Null tensors and scopes are fine; a crowd that is full ends the test. */
void invite(struct crowd *, ftl_tensor, double seconds);
void go_on(struct crowd *, double seconds);
/* Drops all and frees the crowd. */
void disperse(struct crowd *);

/* More than 0, less than 1. */
double chance(struct world *);
double exponential(struct world *, double mean);
/* Heavy-tailed: half live hardly longer than the least, and a few live for very long. */
double pareto(struct world *, double least, double alpha, double most);
/* 0 to n - 1: 0 often, the last ones almost never. */
unsigned zipf(struct world *, unsigned n);

#endif
