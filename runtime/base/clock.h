/* The clocks, for those who hand time to the actors. Actors themselves ask their context
 * (runtime/kernel/actor.h).
 *
 * What      Nanoseconds of CLOCK_MONOTONIC, precise (about 23 ns a call) or coarse (5 ns, up to 4 ms behind),
 * and the processor's cycle counter. CORE.md's measured costs. Threads   Any; async-signal-safe; keeps errno.
 */
#ifndef FTLI_RUNTIME_BASE_CLOCK_H
#define FTLI_RUNTIME_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "runtime/base/atomics.h"

#define FTLI_NS_PER_US UINT64_C(1000)
#define FTLI_NS_PER_MS UINT64_C(1000000)
#define FTLI_NS_PER_S  UINT64_C(1000000000)
#define FTLI_NEVER_NS  UINT64_MAX /* a deadline that does not come */

FTLI_INLINE uint64_t ftli_clock_read_ns_(clockid_t clock)
{
    struct timespec t = {0, 0};
    (void)clock_gettime(clock, &t); /* cannot fail for these clocks */
    return (uint64_t)t.tv_sec * FTLI_NS_PER_S + (uint64_t)t.tv_nsec;
}

FTLI_INLINE uint64_t ftli_clock_now_ns(void)
{
    return ftli_clock_read_ns_(CLOCK_MONOTONIC);
}

FTLI_INLINE uint64_t ftli_clock_coarse_ns(void)
{
    return ftli_clock_read_ns_(CLOCK_MONOTONIC_COARSE);
}

/* Cycles of this processor's time stamp counter: for measuring short stretches, never for dates. */
FTLI_INLINE uint64_t ftli_clock_cycles(void)
{
#if defined __x86_64__
    return __builtin_ia32_rdtsc();
#else
    return ftli_clock_now_ns();
#endif
}

/* a + b that stops at "never" instead of wrapping. */
FTLI_INLINE uint64_t ftli_deadline_ns(uint64_t now_ns, uint64_t delay_ns)
{
    return delay_ns > FTLI_NEVER_NS - now_ns ? FTLI_NEVER_NS : now_ns + delay_ns;
}

#endif
