#include "actors/tracking/estimate.h"

#include "actors/tracking/sampling.h"

static double spread(double weight, double value)
{
    return weight * (weight - 1) * value * value;
}

void ftli_estimate_add(struct ftli_estimate *estimate, uint32_t weight_code, double value)
{
    double weight = (double)weight_code / FTLI_WEIGHT_ONE;
    estimate->total += weight * value;
    estimate->variance += spread(weight, value);
    estimate->sampled++;
}

void ftli_estimate_remove(struct ftli_estimate *estimate, uint32_t weight_code, double value)
{
    double weight = (double)weight_code / FTLI_WEIGHT_ONE;
    estimate->total -= weight * value;
    estimate->variance -= spread(weight, value);
    estimate->sampled--;
}

/* Newton's root: the library is linked without the mathematical one. */
double ftli_estimate_error(const struct ftli_estimate *estimate)
{
    double of = estimate->variance, next = of > 1 ? of : 1, root;
    if (of <= 0)
        return 0;
    do {
        root = next;
        next = (root + of / root) / 2;
    } while (next < root);
    return root;
}
