/* The clocks, for those who hand time to the actors. Actors themselves ask their context
 * (runtime/kernel/actor.h).
 *
 * What      Nanoseconds of CLOCK_MONOTONIC, by the processor's counter between two looks at the system's clock, 25 ms apart
 *           (now, some 10 ns a call), from the system (23 ns), or coarse (5 ns, up to 4 ms behind); and the counter itself.
 * Error     now is off by what the system changes its rate within 25 ms, 500 ppm at most, that is 13 us, and by a reading, below 4 us;
 *           so two threads, or two calls around a look, may see it go backwards by that much, and no more. Where the
 *           counter is not invariant, or was found wrong three times, now is the system's clock.
 * Threads   Any; async-signal-safe: nobody waits for who looks, a reader that meets him asks the system. Keeps errno.
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

uint64_t ftli_clock_now_ns(void);

FTLI_INLINE uint64_t ftli_clock_system_ns(void)
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
    return ftli_clock_system_ns();
#endif
}

/* a + b that stops at "never" instead of wrapping. */
FTLI_INLINE uint64_t ftli_deadline_ns(uint64_t now_ns, uint64_t delay_ns)
{
    return delay_ns > FTLI_NEVER_NS - now_ns ? FTLI_NEVER_NS : now_ns + delay_ns;
}

#endif
