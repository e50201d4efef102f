/* Whether a series of floors grows without end: pure statistics, without clocks, tensors or actors.
 *
 * What      A value that is looked at now and then (tensors of a group that are no longer young) becomes a floor for each block of time:
 *           the least that was seen in it. Bursts and teeth that fit into a block leave nothing behind.
 *           A trend keeps the last 24 floors of each of 5 levels; a floor of one level is the least of 4 of the level
 *           below. Each level is judged by itself: quick leaks on the first, slow ones on the later ones.
 * Method    The slope is Theil's and Sen's (Theil 1950, Sen 1968): the median of the slopes of all pairs. Its significance, one-sided:
 *           a) Mann-Kendall (Mann 1945, Kendall 1975), its variance widened by (1 + r1) / (1 - r1), r1 being the lag-one autocorrelation
 *              of what a line or an exponential leaves over, corrected for its bias (Kendall 1954): strong where noise lies on a line;
 *           b) Wilcoxon's signed ranks (1945) of the 23 increments: strong where a count grows by chance, as one that nobody
 *              drains does; and right for a walk at random, which fools a).
 *           p = twice the smaller. The probability is that of Sellke, Bayarri and Berger (2001): with a prior of one
 *           leaking group in two hundred, prior odds / (-e p ln p); at most 0.99. 0.8 is a p of one in twenty thousand.
 *           And it is 0 unless all of these hold: each third grows by itself; the second half's slope is 0.7 of the first one's or
 *           more, and at least half of that of the window before (a warm-up that saturates is neither); the two newest blocks
 *           still rise, unless that they do not can be chance (what was filled is full); the newest floor is above
 *           all floors before the window that later levels remember (of a period the second tooth is no news).
 *           What is reported is the least of the last 6 judgements, so that chance must hold for a quarter of a window.
 * Not told  apart: a rise that lasts longer than a window and was never seen to end, and a leak.
 * Threads   One at a time per trend.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_TREND_H
#define FTLI_ACTORS_LEAK_DETECTION_TREND_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FTLI_TREND_POINTS = 24, /* that are judged together; divisible by 2, 3 and 4 */
    FTLI_TREND_LEVELS = 5,  /* a block of level k is 4^k blocks long */
    FTLI_TREND_FACTOR = 4,
    FTLI_TREND_HELD = 6,    /* judgements in a row that must agree */
    FTLI_TREND_WINDOW = 32, /* blocks: 24, and what it takes to hold, and to be no longer young */
};

/* What all trends of one walk share: blocks that ended, ever. The caller adds 1 once every trend has its floor. */
struct ftli_trend_clock {
    uint64_t blocks;
};

/* All zero: nothing was there so far. */
struct ftli_trend {
    double floors[FTLI_TREND_LEVELS][FTLI_TREND_POINTS]; /* block b of level k at [k][b % 24] */
    uint8_t recent[FTLI_TREND_LEVELS][FTLI_TREND_HELD];  /* percent */
};

/* Block number `clock->blocks` has ended with this floor. */
void ftli_trend_add(struct ftli_trend *, const struct ftli_trend_clock *, double floor);
/* After that: how many levels have a new floor, counted from the first one. 1 to 5. */
unsigned ftli_trend_levels_new(const struct ftli_trend_clock *);

struct ftli_trend_verdict {
    double probability;  /* 0 to 0.99 */
    double slope;        /* per block of level 0 */
    double r;            /* correlation with time */
    double rise;         /* over the window, as the slope says */
    double first;        /* what was there when the window began, not below 0 */
    double acceleration; /* second half's slope / first half's */
};

/* Judges a level that has a new floor, once. False and probability 0: it does not grow, or not for long enough. */
bool ftli_trend_follow(struct ftli_trend *, const struct ftli_trend_clock *, unsigned level,
                       struct ftli_trend_verdict *out);
/* Level 0's newest floor. */
double ftli_trend_newest(const struct ftli_trend *, const struct ftli_trend_clock *);
/* What a level's window has gained from its first floor to its last; 0 before it is full. */
double ftli_trend_gain(const struct ftli_trend *, const struct ftli_trend_clock *, unsigned level);

/* The steps, for tests: n values, oldest first; n at most 24. */
double ftli_trend_slope(const double *values, unsigned n);        /* per step */
double ftli_trend_mann_kendall(const double *values, unsigned n); /* p */
double ftli_trend_signed_ranks(const double *values, unsigned n); /* p, of the n - 1 increments */
double ftli_trend_probability(double p);

#endif
