#include "actors/tracking/pattern.h"

#include <math.h>
#include <stdbool.h>

#define STABLE_RANGE 0.05 /* of the mean: less is nothing */
#define GROWTH_LEAST 0.15 /* of the mean, over the whole series */
#define FACTOR_LEAST 4.0  /* an exponential that grows by less in the whole series is a line */
#define FACTORS      30   /* each half as much again as the one before */
#define BINS_MOST    12
#define PERIOD_STEP  0.125
#define FALL_LEAST   0.4 /* of the range: what is sudden, and ends a ramp */
#define RAMPS_MOST   16
#define WEIGHTLESS   1e9

struct series {
    const double *values;
    unsigned count;
    double mean, least, most;
    double floor; /* of a residual: what is explained better than this is explained */
};

const char *ftli_pattern_name(enum ftli_pattern pattern)
{
    static const char *const names[FTLI_PATTERNS] = {"unknown",  "stable",        "repeating",
                                                     "sawtooth", "steady growth", "exponential growth"};
    return names[pattern];
}

/* Of a fit with so many parameters: less is better. */
static double criterion(const struct series *series, double squares, double parameters)
{
    double n = series->count, variance = squares / n + series->floor * series->floor;
    return n * log(variance) + parameters * log(n);
}

struct line {
    double slope, squares;
};

/* values = level + slope * at. */
static struct line fit(const struct series *series, const double *at)
{
    double n = series->count, sum = 0, products = 0, spread = 0;
    for (unsigned i = 0; i < series->count; i++)
        sum += at[i];
    for (unsigned i = 0; i < series->count; i++) {
        products += (at[i] - sum / n) * (series->values[i] - series->mean);
        spread += (at[i] - sum / n) * (at[i] - sum / n);
    }
    struct line line = {spread > 0 ? products / spread : 0, 0};
    for (unsigned i = 0; i < series->count; i++) {
        double rest = series->values[i] - series->mean - line.slope * (at[i] - sum / n);
        line.squares += rest * rest;
    }
    return line;
}

static double of_line(const struct series *series, double *rise)
{
    double at[FTLI_PATTERN_POINTS_MOST];
    for (unsigned i = 0; i < series->count; i++)
        at[i] = i;
    struct line line = fit(series, at);
    *rise = line.slope * (series->count - 1);
    return criterion(series, line.squares, 2);
}

static double of_exponential(const struct series *series)
{
    double best = WEIGHTLESS, at[FTLI_PATTERN_POINTS_MOST];
    for (unsigned k = 0; k < FACTORS; k++) {
        double step = (log(FACTOR_LEAST) + k * log(1.5)) / (series->count - 1);
        for (unsigned i = 0; i < series->count; i++)
            at[i] = exp(step * i);
        struct line line = fit(series, at);
        double here = criterion(series, line.squares, 3);
        if (line.slope > 0 && here < best)
            best = here;
    }
    return best;
}

/* The wave is what the points of each part of the period have in common. */
struct wave {
    double criterion;
    unsigned bins;
    double means[BINS_MOST];
};

static void fold(const struct series *series, double period, struct wave *best)
{
    struct wave wave = {.bins = period < BINS_MOST ? (unsigned)period : BINS_MOST};
    double counts[BINS_MOST] = {0}, squares = 0;
    unsigned bin[FTLI_PATTERN_POINTS_MOST];
    for (unsigned i = 0; i < series->count; i++) {
        double phase = i / period - floor(i / period);
        bin[i] = (unsigned)(phase * wave.bins);
        bin[i] = bin[i] < wave.bins ? bin[i] : wave.bins - 1;
        wave.means[bin[i]] += series->values[i];
        counts[bin[i]]++;
    }
    for (unsigned b = 0; b < wave.bins; b++) {
        if (counts[b] < 2)
            return;
        wave.means[b] /= counts[b];
    }
    for (unsigned i = 0; i < series->count; i++) {
        double rest = series->values[i] - wave.means[bin[i]];
        squares += rest * rest;
    }
    wave.criterion = criterion(series, squares, wave.bins + 1);
    if (wave.criterion < best->criterion)
        *best = wave;
}

/* A sine that the folded bins are too coarse for. */
static double of_sine(const struct series *series, double period)
{
    double cc = 0, ss = 0, cs = 0, yc = 0, ys = 0, squares = 0;
    for (unsigned i = 0; i < series->count; i++) {
        double c = cos(2 * M_PI * i / period), s = sin(2 * M_PI * i / period), y = series->values[i] - series->mean;
        cc += c * c, ss += s * s, cs += c * s, yc += y * c, ys += y * s;
    }
    double determinant = cc * ss - cs * cs;
    if (determinant <= 1e-9)
        return WEIGHTLESS;
    double a = (yc * ss - ys * cs) / determinant, b = (ys * cc - yc * cs) / determinant;
    for (unsigned i = 0; i < series->count; i++) {
        double rest =
            series->values[i] - series->mean - a * cos(2 * M_PI * i / period) - b * sin(2 * M_PI * i / period);
        squares += rest * rest;
    }
    return criterion(series, squares, 4);
}

/* A sawtooth rises nearly everywhere and falls at one place. */
static bool is_tooth(const struct wave *wave)
{
    double range = 0, fall = 0, low = wave->means[0], high = wave->means[0];
    unsigned rises = 0;
    for (unsigned b = 0; b < wave->bins; b++) {
        double next = wave->means[(b + 1) % wave->bins], step = next - wave->means[b];
        fall = step < fall ? step : fall;
        rises += step > 0;
        low = fmin(low, next);
        high = fmax(high, next);
    }
    range = high - low;
    return wave->bins >= 4 && -fall > 0.6 * range && rises + 2 >= wave->bins;
}

static double of_wave(const struct series *series, bool *tooth)
{
    struct wave wave = {.criterion = WEIGHTLESS};
    double sine = WEIGHTLESS;
    unsigned periods = (unsigned)((series->count / 2.0 - 3) / PERIOD_STEP) + 1;
    for (unsigned k = 0; k < periods; k++) {
        double period = 3 + k * PERIOD_STEP;
        fold(series, period, &wave);
        sine = fmin(sine, of_sine(series, period));
    }
    *tooth = wave.criterion < sine && is_tooth(&wave);
    return fmin(wave.criterion, sine) + 2 * log(series->count / (2 * PERIOD_STEP)); /* as many were tried */
}

/* Ramps of one slope between sudden falls; two at least, that is two falls. */
static double of_ramps(const struct series *series)
{
    unsigned starts[RAMPS_MOST + 1], ramps = 1;
    double products = 0, spread = 0, squares = 0, range = series->most - series->least;
    starts[0] = 0;
    for (unsigned i = 1; i < series->count; i++) {
        if (series->values[i] - series->values[i - 1] > -FALL_LEAST * range)
            continue;
        if (ramps == RAMPS_MOST)
            return WEIGHTLESS;
        starts[ramps++] = i;
    }
    if (ramps < 3)
        return WEIGHTLESS;
    starts[ramps] = series->count;
    for (int pass = 0; pass < 2; pass++) {
        double slope = spread > 0 ? products / spread : 0;
        for (unsigned r = 0; r < ramps; r++) {
            double n = starts[r + 1] - starts[r], mean = 0, middle = (n - 1) / 2;
            for (unsigned i = starts[r]; i < starts[r + 1]; i++)
                mean += series->values[i] / n;
            for (unsigned i = starts[r]; i < starts[r + 1]; i++) {
                double at = i - starts[r] - middle, y = series->values[i] - mean;
                products += pass == 0 ? at * y : 0;
                spread += pass == 0 ? at * at : 0;
                squares += pass == 1 ? (y - slope * at) * (y - slope * at) : 0;
            }
        }
    }
    return products <= 0 ? WEIGHTLESS : criterion(series, squares, 2 * ramps + 1);
}

static struct series look_at(const double *values, unsigned count)
{
    struct series series = {values, count, 0, values[0], values[0], 0};
    for (unsigned i = 0; i < count; i++) {
        series.mean += values[i] / count;
        series.least = fmin(series.least, values[i]);
        series.most = fmax(series.most, values[i]);
    }
    series.floor = 0.005 * (series.most - series.least) + 1e-12;
    return series;
}

enum ftli_pattern ftli_pattern_of(const double *values, unsigned count, double *confidence)
{
    *confidence = 0;
    if (count < FTLI_PATTERN_POINTS_LEAST)
        return FTLI_PATTERN_UNKNOWN;
    if (count > FTLI_PATTERN_POINTS_MOST) {
        values += count - FTLI_PATTERN_POINTS_MOST;
        count = FTLI_PATTERN_POINTS_MOST;
    }
    struct series series = look_at(values, count);
    double range = series.most - series.least, rise, level = 0;
    if (range <= STABLE_RANGE * fabs(series.mean)) {
        *confidence = 1 - range / (2 * STABLE_RANGE * fabs(series.mean) + 1e-300);
        return FTLI_PATTERN_STABLE;
    }
    for (unsigned i = 0; i < count; i++)
        level += (values[i] - series.mean) * (values[i] - series.mean);
    double of[FTLI_PATTERNS] = {WEIGHTLESS, criterion(&series, level, 1), 0, 0, 0, 0};
    bool tooth;
    double line = of_line(&series, &rise), wave = of_wave(&series, &tooth);
    of[FTLI_PATTERN_GROWTH] = line;
    of[FTLI_PATTERN_EXPONENTIAL] = rise > 0 ? of_exponential(&series) : WEIGHTLESS;
    of[FTLI_PATTERN_SAWTOOTH] = fmin(of_ramps(&series), tooth ? wave : WEIGHTLESS);
    of[FTLI_PATTERN_REPEATING] = tooth ? WEIGHTLESS : wave;
    unsigned best = FTLI_PATTERN_STABLE;
    for (unsigned i = FTLI_PATTERN_STABLE; i < FTLI_PATTERNS; i++)
        best = of[i] < of[best] ? i : best;
    double weights = 0;
    for (unsigned i = FTLI_PATTERN_STABLE; i < FTLI_PATTERNS; i++)
        weights += exp((of[best] - of[i]) / 2);
    *confidence = 1 / weights;
    if (best == FTLI_PATTERN_GROWTH && rise < 0)
        return FTLI_PATTERN_UNKNOWN;
    if (best == FTLI_PATTERN_GROWTH && rise < GROWTH_LEAST * fabs(series.mean))
        return FTLI_PATTERN_STABLE;
    return (enum ftli_pattern)best;
}
