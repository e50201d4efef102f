/* Seeded random numbers: the same seed gives the same numbers on every machine.
 *
 * What      xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64 (Steele, Lea and Flood, 2014).
 * Owns      Nothing; the state is the caller's.
 * Threads   One at a time per state.
 */
#ifndef FTLI_RUNTIME_BASE_RANDOM_H
#define FTLI_RUNTIME_BASE_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/atomics.h"

typedef struct {
    uint64_t s[4]; /* never all zero: seeding sees to it */
} ftli_random_state;

/* Also a good mixer of one word into another. */
FTLI_INLINE uint64_t ftli_splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

FTLI_INLINE void ftli_random_seed(ftli_random_state *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = ftli_splitmix64(&seed);
}

FTLI_INLINE uint64_t ftli_rotate_left_(uint64_t x, unsigned k)
{
    return (x << k) | (x >> (64 - k));
}

FTLI_INLINE uint64_t ftli_random_next(ftli_random_state *r)
{
    const uint64_t result = ftli_rotate_left_(r->s[1] * 5, 7) * 9;
    const uint64_t t = r->s[1] << 17;
    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = ftli_rotate_left_(r->s[3], 45);
    return result;
}

/* 0 .. n - 1 without a division; n must not be 0. The bias is below n / 2^32: use it for n far below that. */
FTLI_INLINE uint32_t ftli_random_below(ftli_random_state *r, uint32_t n)
{
    return (uint32_t)(((ftli_random_next(r) >> 32) * (uint64_t)n) >> 32);
}

/* 0 <= x < 1 */
FTLI_INLINE double ftli_random_unit(ftli_random_state *r)
{
    return (double)(ftli_random_next(r) >> 11) / 9007199254740992.0 /* 2^53 */;
}

FTLI_INLINE bool ftli_random_chance(ftli_random_state *r, double probability)
{
    return ftli_random_unit(r) < probability;
}

#endif
