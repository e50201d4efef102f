/* What a memory says of itself, if it does. */
#ifndef BENCH_LOOK_H
#define BENCH_LOOK_H

#include <stdint.h>

struct bench_look {
    double efficiency;    /* live over committed bytes, when most were live; below 0: it does not say */
    uint64_t held_bytes;  /* free, and kept for single threads; UINT64_MAX: it does not say */
    double tracking_time; /* the share of time that it takes; below 0: it does not say */
};
static const struct bench_look bench_look_nothing = {.efficiency = -1, .held_bytes = UINT64_MAX, .tracking_time = -1};

#endif
