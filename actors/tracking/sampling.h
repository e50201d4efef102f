/* Which tensors are sampled, and what each stands for.
 *
 * What      Sizes fall into tiers. Of a tier each tensor is sampled with one probability, its rate, whatever became of those before it
 *           (Poisson sampling, in Bernoulli trials): the number of tensors until the next one is geometric, so that a port only counts
 *           down, and may draw anew at any moment without favouring anybody.
 * Weight    1 / rate, in fortieths: of a sampled tensor's record. Rates are chosen so that their weights are whole
 *           fortieths from 1 to 100; so the weight that a tensor remembers is exact, and sums of weights are unbiased estimates
 *           whatever the controller does meanwhile (estimate.h).
 * Threads   Tiers are constants after open. Rates are published by whoever holds tracking's token; each port has a copy, which is
 *           changed behind its shut gate together with its countdowns (actors/port/rates.c).
 */
#ifndef FTLI_ACTORS_TRACKING_SAMPLING_H
#define FTLI_ACTORS_TRACKING_SAMPLING_H

#include "actors/tracking/settings.h"
#include "runtime/base/atomics.h"
#include "tensor/header.h"

/* The sizes of the tiers. */
struct ftli_sampling {
    uint32_t tiers;
    uint64_t up_to_bytes[FTLI_TRACKING_TIERS];
    uint64_t every_one_from_bytes; /* at the levels between minimal and debug */
};
void ftli_sampling_from(struct ftli_sampling *, const struct ftli_tracking_settings *);
/* The tier of a size; FTLI_TRACKING_TIERS: of none. */
unsigned ftli_sampling_tier(const struct ftli_sampling *, uint64_t bytes);

/* What a level makes of a tier's rate: 0 at none and minimal; as given at standard; at detailed twice it, 50 % at most (or as given, if that is
 * more); 1 at debug. */
double ftli_sampling_rate_at(double rate, uint32_t level);

/* The code of the weight nearest to 1 / rate; 0 of a rate of 0. Rates under 1 % are 1 %. */
uint32_t ftli_weight_code(double rate);
FTLI_INLINE double ftli_weight_rate(uint32_t code)
{
    return code == 0 ? 0 : (double)FTLI_WEIGHT_ONE / code;
}

/* Rates by tier, as codes; behind those of the tiers: of the sizes of no tier, and 0 for classes that are looked at one by one. */
enum { FTLI_RATE_OF_NONE = FTLI_TRACKING_TIERS, FTLI_RATE_LOOK = FTLI_TRACKING_TIERS + 1, FTLI_RATES };

/* Published. Whoever reads them while they change may have some of before; then the epoch is of before as well, and he will be told again. */
struct ftli_rates {
    ftli_atomic_u32 codes[FTLI_RATE_LOOK];
    ftli_atomic_u64 every_one_from_bytes; /* UINT64_MAX: not at all */
    ftli_atomic_u32 epoch;                /* changes last. pairs: rates */
};

/* As a port draws by them. */
struct ftli_draws {
    uint64_t every_one_from_bytes;
    uint32_t codes[FTLI_RATES];
    uint64_t scales[FTLI_RATES]; /* tensors for each halving of the chance, times 2^24 */
};

/* By the holder of tracking's token. */
void ftli_rates_publish(struct ftli_rates *, const uint32_t codes[FTLI_RATE_LOOK], uint64_t every_one_from_bytes);
/* Any thread. The epoch that they are of. */
uint32_t ftli_rates_read(const struct ftli_rates *, struct ftli_draws *out);

/* -log2 of 1/2 .. 1 in 64 steps, times 2^24; between them a straight line, off by 0.00005 at most. */
extern const uint32_t ftli_sampling_halvings[65] __attribute__((visibility("hidden")));

/* How many of the tier until the next one that is sampled, that one included; 0: none ever.
 *
 * With u even in (0, 1) and q the rate, 1 + floor(ln u / ln(1 - q)) is geometric with the mean 1 / q. -log2 u is the number of leading
 * zeros of a random word and, of the bits behind the first one, a logarithm from the table; scale is -1 / log2(1 - q).
 * The random numbers are those of a linear congruential generator modulo 2^64 (Knuth's MMIX), whose upper bits are the good ones. */
FTLI_INLINE uint32_t ftli_sampling_countdown(const struct ftli_draws *draws, unsigned tier, uint64_t *random)
{
    if (FTLI_UNLIKELY(draws->codes[tier] == 0))
        return 0;
    uint64_t bits = *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    unsigned zeros = (unsigned)__builtin_clzll(bits | 1);
    uint64_t behind = bits << zeros << 1;
    const uint32_t *step = &ftli_sampling_halvings[behind >> 58];
    uint64_t within = (behind >> 34) & 0xffffff;
    uint64_t halvings = ((uint64_t)zeros << 24) + step[0] - ((step[0] - step[1]) * within >> 24);
    return 1 + (uint32_t)(halvings * draws->scales[tier] >> 48);
}

#endif
