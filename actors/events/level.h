/* Levels of pressure: committed bytes against the limit. A level begins at its mark and ends `hysteresis` below it. Pure. */
#ifndef FTLI_ACTORS_EVENTS_LEVEL_H
#define FTLI_ACTORS_EVENTS_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

enum { FTLI_LEVELS = 5 }; /* none, low, medium, high, critical */

struct ftli_pressure_marks {
    double levels[4], hysteresis, soft; /* shares of the limit */
    uint32_t level;                     /* as it is told; whoever keeps the marks */
    bool over_soft;
};

/* The level that these bytes are, coming from marks->level. */
uint32_t ftli_pressure_level(const struct ftli_pressure_marks *, uint64_t limit_bytes, uint64_t committed_bytes);
/* While at_least <= committed < below marks->level stays what it is. */
void ftli_pressure_bounds(const struct ftli_pressure_marks *, uint64_t limit_bytes, uint64_t *at_least,
                          uint64_t *below);
uint64_t ftli_pressure_bytes(double share, uint64_t limit_bytes);

#endif
