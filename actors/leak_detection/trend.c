#include "actors/leak_detection/trend.h"

#include <math.h>
#include <stdlib.h>

enum {
    POINTS = FTLI_TREND_POINTS,
    THIRD = POINTS / 3,
    HALF = POINTS / 2,
    PAIRS = POINTS * (POINTS - 1) / 2,
};
#define PRIOR_ODDS   (1.0 / 199)
#define MOST_CERTAIN 0.99
#define LEAST_WORTH  0.05 /* no more is said of what is less probable */
#define STEADY       0.7  /* of the first half's slope the second has at least so much: what saturates has less */
#define SPARE        0.6  /* standard errors that it may miss that by */
#define SLOWER       0.5  /* of the slope of the window before, at least */
#define LAST         2    /* blocks in which it must rise yet, if that they do not is no chance: */
#define NO_CHANCE    3.0  /* standard deviations */
#define STILL_RISES  0.25 /* of what the slope makes of them */
#define LEAST_RISE   1.0  /* what does not grow by one thing in a window does not grow */
#define ONE_SIDED(z) (0.5 * erfc((z) / 1.4142135623730951))

/* ---- the series ------------------------------------------------------------------------------------------------------ */

void ftli_trend_add(struct ftli_trend *trend, const struct ftli_trend_clock *clock, double floor)
{
    uint64_t block = clock->blocks;
    trend->floors[0][block % POINTS] = floor;
    for (unsigned level = 1; level < FTLI_TREND_LEVELS; level++) {
        const double *below = trend->floors[level - 1];
        if (block % FTLI_TREND_FACTOR != FTLI_TREND_FACTOR - 1)
            return;
        double least = below[block % POINTS];
        for (unsigned i = 1; i < FTLI_TREND_FACTOR; i++)
            least = fmin(least, below[(block - i) % POINTS]);
        block /= FTLI_TREND_FACTOR;
        trend->floors[level][block % POINTS] = least;
    }
}

/* Blocks of a level that have ended, the one that the clock stands at included. */
static uint64_t ended(const struct ftli_trend_clock *clock, unsigned level)
{
    uint64_t blocks = clock->blocks + 1;
    for (unsigned i = 0; i < level; i++)
        blocks /= FTLI_TREND_FACTOR;
    return blocks;
}

unsigned ftli_trend_levels_new(const struct ftli_trend_clock *clock)
{
    unsigned levels = 1;
    for (uint64_t blocks = clock->blocks + 1; levels < FTLI_TREND_LEVELS && blocks % FTLI_TREND_FACTOR == 0; levels++)
        blocks /= FTLI_TREND_FACTOR;
    return levels;
}

double ftli_trend_newest(const struct ftli_trend *trend, const struct ftli_trend_clock *clock)
{
    return trend->floors[0][clock->blocks % POINTS];
}

double ftli_trend_gain(const struct ftli_trend *trend, const struct ftli_trend_clock *clock, unsigned level)
{
    uint64_t blocks = ended(clock, level);
    if (blocks < POINTS)
        return 0;
    return trend->floors[level][(blocks + POINTS - 1) % POINTS] - trend->floors[level][blocks % POINTS];
}

/* The highest floor that later levels remember from before this level's window. */
static double highest_before(const struct ftli_trend *trend, const struct ftli_trend_clock *clock, unsigned level)
{
    double highest = 0;
    unsigned window = POINTS;
    for (unsigned later = level + 1; later < FTLI_TREND_LEVELS; later++) {
        window = (window + FTLI_TREND_FACTOR - 1) / FTLI_TREND_FACTOR;
        uint64_t blocks = ended(clock, later);
        uint64_t known = blocks < POINTS ? blocks : POINTS;
        for (uint64_t back = window + 1; back < known; back++)
            highest = fmax(highest, trend->floors[later][(blocks - 1 - back) % POINTS]);
    }
    return highest;
}

/* ---- the slope ------------------------------------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof *values, ascending);
    return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

double ftli_trend_slope(const double *values, unsigned n)
{
    double slopes[PAIRS];
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = i + 1; k < n; k++)
            slopes[count++] = (values[k] - values[i]) / (double)(k - i);
    return count != 0 ? median(slopes, count) : 0;
}

static double mean_of(const double *values, unsigned n)
{
    double sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += values[i];
    return sum / (double)n;
}

/* Of a line of least squares: *middle is its value at the middle, the result its slope. */
static double line_through(const double *values, unsigned n, double *middle)
{
    double mean = mean_of(values, n), centre = (double)(n - 1) / 2, xy = 0, xx = 0;
    for (unsigned i = 0; i < n; i++) {
        xy += ((double)i - centre) * (values[i] - mean);
        xx += ((double)i - centre) * ((double)i - centre);
    }
    *middle = mean;
    return xy / xx;
}

/* Lag-one autocorrelation of what the line of least squares leaves over, without the bias of a short series: between 0 and
 * 0.95. */
static double autocorrelation(const double *values, unsigned n)
{
    double left[POINTS], mean, slope = line_through(values, n, &mean), square = 0, product = 0;
    for (unsigned i = 0; i < n; i++) {
        left[i] = values[i] - mean - slope * ((double)i - (double)(n - 1) / 2);
        square += left[i] * left[i];
        product += i != 0 ? left[i] * left[i - 1] : 0;
    }
    if (square <= 1e-18 * (mean * mean + 1))
        return 0; /* the line is all there is */
    double r = product / square;
    return fmin(fmax(r + (1 + 4 * r) / (double)n, 0), 0.95);
}

/* ---- significance ----------------------------------------------------------------------------------------------------- */

/* Values that are the same lower the variance (Kendall 1975). */
static double kendall_variance(const double *values, unsigned n)
{
    double variance = (double)n * (n - 1) * (2 * n + 5);
    for (unsigned i = 0; i < n; i++) {
        unsigned same = 1;
        bool first = true;
        for (unsigned k = 0; k < n; k++) {
            first = first && !(k < i && values[k] == values[i]);
            same += k != i && values[k] == values[i];
        }
        if (first && same > 1)
            variance -= (double)same * (same - 1) * (2 * same + 5);
    }
    return variance / 18;
}

double ftli_trend_mann_kendall(const double *values, unsigned n)
{
    double score = 0;
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = i + 1; k < n; k++)
            score += (double)((values[k] > values[i]) - (values[k] < values[i]));
    if (score <= 1)
        return 1;
    double logarithms[POINTS];
    for (unsigned i = 0; i < n; i++)
        logarithms[i] = log1p(fmax(values[i], 0));
    double r = fmin(autocorrelation(values, n), autocorrelation(logarithms, n)); /* a line, or an exponential */
    double variance = kendall_variance(values, n) * (1 + r) / (1 - r);
    return ONE_SIDED((score - 1) / sqrt(variance));
}

struct increment {
    double size;
    bool rises;
};

static int smaller_first(const void *a, const void *b)
{
    const struct increment *x = a, *y = b;
    return (x->size > y->size) - (x->size < y->size);
}

double ftli_trend_signed_ranks(const double *values, unsigned n)
{
    struct increment steps[POINTS];
    unsigned count = 0;
    for (unsigned i = 1; i < n; i++)
        if (values[i] != values[i - 1])
            steps[count++] = (struct increment){fabs(values[i] - values[i - 1]), values[i] > values[i - 1]};
    qsort(steps, count, sizeof *steps, smaller_first);
    double rising = 0;
    for (unsigned i = 0; i < count;) {
        unsigned end = i;
        while (end < count && steps[end].size <= steps[i].size)
            end++;
        double rank = (double)(i + 1 + end) / 2; /* those of one size share the mean of their ranks */
        for (; i < end; i++)
            rising += steps[i].rises ? rank : 0;
    }
    if (count != 0 && rising >= (double)count * (count + 1) / 2)
        return ldexp(1, -(int)count); /* all of them rise: exactly so improbable */
    double m = (double)count, mean = m * (m + 1) / 4, variance = m * (m + 1) * (2 * m + 1) / 24;
    return rising <= mean ? 1 : ONE_SIDED((rising - mean - 0.5) / sqrt(variance));
}

double ftli_trend_probability(double p)
{
    if (p >= 0.36) /* 1 / e: beyond it the bound says nothing */
        return 0;
    double odds = PRIOR_ODDS / (2.718281828459045 * p * -log(p > 1e-300 ? p : 1e-300));
    return fmin(odds / (1 + odds), MOST_CERTAIN);
}

/* ---- the verdict ------------------------------------------------------------------------------------------------------ */

static double correlation(const double *values, unsigned n)
{
    double mean = mean_of(values, n), middle = (double)(n - 1) / 2, xy = 0, xx = 0, yy = 0;
    for (unsigned i = 0; i < n; i++) {
        double x = (double)i - middle, y = values[i] - mean;
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    return yy > 0 ? xy / sqrt(xx * yy) : 0;
}

/* The standard error of a half's slope. How the increments follow each other, about their own line (a curve is no chance), tells
 * chance that stays (a walk: they do not) from chance that goes again (noise: each takes back half of the one before). */
static double error_of_half(const double *values)
{
    enum { STEPS = POINTS - 1 };
    double left[STEPS], square = 0, product = 0, middle;
    for (unsigned i = 0; i < STEPS; i++)
        left[i] = values[i + 1] - values[i];
    double bend = line_through(left, STEPS, &middle);
    for (unsigned i = 0; i < STEPS; i++) {
        left[i] -= middle + bend * ((double)i - (double)(STEPS - 1) / 2);
        square += left[i] * left[i];
        product += i != 0 ? left[i] * left[i - 1] : 0;
    }
    square /= STEPS;
    product /= STEPS - 1;
    double stays = fmax(square + 2 * product, 0), goes = fmax(-product, 0);
    double squares_of_time = (double)HALF * (HALF * HALF - 1) / 12;
    return sqrt(stays / HALF + goes / squares_of_time);
}

static bool is_steady(const double *values, double *acceleration)
{
    for (unsigned begin = 0; begin < POINTS; begin += THIRD)
        if (ftli_trend_slope(values + begin, THIRD) <= 0)
            return false;
    double first = ftli_trend_slope(values, HALF), last = ftli_trend_slope(values + HALF, HALF);
    if (first <= 0 || last < STEADY * first - SPARE * error_of_half(values))
        return false;
    *acceleration = last / first;
    return true;
}

/* The newest blocks have hardly any more, and it would take three standard deviations for that to be chance. */
static bool has_ended(const double *values, double slope)
{
    double expected = slope * LAST, square = 0;
    for (unsigned i = 1; i < POINTS - LAST; i++) {
        double beside = values[i] - values[i - 1] - slope;
        square += beside * beside / (POINTS - LAST - 1);
    }
    return values[POINTS - 1] - values[POINTS - 1 - LAST] < STILL_RISES * expected &&
           expected > NO_CHANCE * sqrt(LAST * square);
}

/* The window before this one rose much faster, as the next level remembers it: a rise that comes to its end. */
static bool was_faster(const struct ftli_trend *trend, const struct ftli_trend_clock *clock, unsigned level,
                       double slope)
{
    enum { BEFORE = POINTS / FTLI_TREND_FACTOR };
    double values[BEFORE];
    if (level + 1 == FTLI_TREND_LEVELS || ended(clock, level + 1) < 2 * BEFORE)
        return false;
    uint64_t oldest = ended(clock, level + 1) - 2 * BEFORE;
    for (unsigned i = 0; i < BEFORE; i++)
        values[i] = trend->floors[level + 1][(oldest + i) % POINTS];
    return slope < SLOWER * ftli_trend_slope(values, BEFORE) / FTLI_TREND_FACTOR;
}

static bool judge(const struct ftli_trend *trend, const struct ftli_trend_clock *clock, unsigned level,
                  struct ftli_trend_verdict *out)
{
    double values[POINTS];
    uint64_t blocks = ended(clock, level);
    *out = (struct ftli_trend_verdict){0};
    if (blocks < POINTS)
        return false;
    for (unsigned i = 0; i < POINTS; i++)
        values[i] = trend->floors[level][(blocks + i) % POINTS];
    if (values[POINTS - 1] < values[0] + LEAST_RISE)
        return false; /* most groups end here */
    double p = 2 * fmin(ftli_trend_signed_ranks(values, POINTS), ftli_trend_mann_kendall(values, POINTS));
    double newest = values[POINTS - 1], probability = ftli_trend_probability(p);
    if (probability < LEAST_WORTH || newest <= highest_before(trend, clock, level))
        return false;
    double slope = ftli_trend_slope(values, POINTS);
    if (slope * (POINTS - 1) < LEAST_RISE || was_faster(trend, clock, level, slope) || has_ended(values, slope) ||
        !is_steady(values, &out->acceleration))
        return false;
    double length = (double)(UINT64_C(1) << (2 * level));
    out->probability = probability;
    out->slope = slope / length;
    out->r = correlation(values, POINTS);
    out->rise = slope * (POINTS - 1);
    out->first = fmax(newest - out->rise, 0);
    return true;
}

bool ftli_trend_follow(struct ftli_trend *trend, const struct ftli_trend_clock *clock, unsigned level,
                       struct ftli_trend_verdict *out)
{
    struct ftli_trend_verdict now;
    bool grows = judge(trend, clock, level, &now);
    uint8_t *recent = trend->recent[level];
    recent[ended(clock, level) % FTLI_TREND_HELD] = (uint8_t)(100 * now.probability);
    uint8_t least = 100;
    for (unsigned i = 0; i < FTLI_TREND_HELD; i++)
        least = recent[i] < least ? recent[i] : least;
    now.probability = (double)least / 100;
    *out = now;
    return grows && least != 0;
}
