#include "tests/leaks/crowd.h"

#include <math.h>
#include <stdlib.h>

struct crowd *gather(struct world *w)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    if (crowd == NULL)
        abort();
    crowd->w = w;
    return crowd;
}

void invite(struct crowd *crowd, ftl_tensor tensor, double seconds)
{
    if (crowd->count == CROWD_MOST)
        abort();
    crowd->guests[crowd->count].tensor = tensor;
    crowd->guests[crowd->count++].until_s = crowd->now_s + seconds;
}

void go_on(struct crowd *crowd, double seconds)
{
    pass(crowd->w, seconds);
    crowd->now_s += seconds;
    for (unsigned i = 0; i < crowd->count;) {
        if (crowd->guests[i].until_s > crowd->now_s) {
            i++;
            continue;
        }
        drop(crowd->guests[i].tensor);
        crowd->guests[i] = crowd->guests[--crowd->count];
    }
}

void disperse(struct crowd *crowd)
{
    for (unsigned i = 0; i < crowd->count; i++)
        drop(crowd->guests[i].tensor);
    free(crowd);
}

double chance(struct world *w)
{
    return (pick(w, 1u << 24) + 0.5) / (1u << 24);
}

double exponential(struct world *w, double mean)
{
    return -mean * log(chance(w));
}

double pareto(struct world *w, double least, double alpha, double most)
{
    return fmin(most, least * pow(chance(w), -1 / alpha));
}

unsigned zipf(struct world *w, unsigned n)
{
    return (unsigned)(pow(n + 1.0, chance(w)) - 1) % n;
}
