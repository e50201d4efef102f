/* Totals from samples, without bias, and how far off they may be.
 *
 * What      Each tensor is sampled by itself, with a probability of which it remembers the inverse, its weight (sampling.h). The sum of
 *           weight x value over the sampled ones estimates the sum of values over all: the estimator of Horvitz and Thompson (A Generalization of
 *           Sampling Without Replacement From a Finite Universe, JASA 47, 1952). Its variance, for trials that are
 *           independent, is estimated without bias by the sum of weight x (weight - 1) x value^2 (Saerndal, Swensson and Wretman, Model
 *           Assisted Survey Sampling, 1992, section 3.2).
 *           Rates may change meanwhile, by whatever was sampled before: a tensor's probability was fixed before its turn came, so that the
 *           errors are the differences of a martingale, which neither add to a bias nor depend on each other.
 * Threads   A pure sum: its owner's.
 */
#ifndef FTLI_ACTORS_TRACKING_ESTIMATE_H
#define FTLI_ACTORS_TRACKING_ESTIMATE_H

#include <stdint.h>

struct ftli_estimate {
    double total, variance;
    uint64_t sampled;
};

/* One more sampled tensor; value 1 to count them, its bytes to sum those. code: of its weight, in fortieths. */
void ftli_estimate_add(struct ftli_estimate *, uint32_t weight_code, double value);
/* One that is gone: of sums over what is live, both of whose ends are known, so that nothing is left of it. */
void ftli_estimate_remove(struct ftli_estimate *, uint32_t weight_code, double value);

/* The standard error: the total lies within two of it of the truth in 95 of 100 cases, if a few dozen were sampled. With none sampled it is
 * 0 and says nothing: up to 3 x weight tensors may have been missed (in 95 of 100 cases). */
double ftli_estimate_error(const struct ftli_estimate *);

#endif
