/* A series over time in fixed memory: 64 points; when they are used up each two become one, and the next ones come half as often.
 *
 * What      A point is the last value of its interval; of two that become one, the mean. Times that nobody looked at have the value
 *           before: who looks at every change loses nothing by pausing.
 * Threads   One at a time.
 */
#ifndef FTLI_ACTORS_TRACKING_TIMELINE_H
#define FTLI_ACTORS_TRACKING_TIMELINE_H

#include <stdint.h>

#define FTLI_TIMELINE_POINTS   64
#define FTLI_TIMELINE_FIRST_MS 100

struct ftli_timeline {
    uint64_t values[FTLI_TIMELINE_POINTS];
    uint64_t from_ms;     /* of the first point */
    uint64_t interval_ms; /* 0: nothing was added yet */
    uint32_t count;
};

void ftli_timeline_add(struct ftli_timeline *, uint64_t now_ms, uint64_t value);
/* The points as numbers, oldest first; how many. */
unsigned ftli_timeline_read(const struct ftli_timeline *, double out[FTLI_TIMELINE_POINTS]);

#endif
