/* System calls without libc, for code that shares its thread's memory or was forked with it: no lock, no errno, no lazy binding.
 *
 * Results   What the kernel answers: -errno on failure.
 */
#ifndef FTLI_RUNTIME_BASE_OS_RAW_H
#define FTLI_RUNTIME_BASE_OS_RAW_H

#include <stdint.h>

#include "runtime/base/atomics.h"

#if !defined __x86_64__ && !defined __aarch64__
#include <errno.h>
#include <unistd.h>
#endif

/* No sanitizer's hooks: what runs beside a thread on that thread's own memory would spoil what they know of it. */
#define FTLI_OS_BARE __attribute__((no_sanitize("address", "thread", "undefined")))

FTLI_INLINE long ftli_raw6(long number, long a, long b, long c, long d, long e, long f)
{
#if defined __x86_64__
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined __aarch64__
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
    long result = syscall(number, a, b, c, d, e, f);
    return result == -1 ? -errno : result;
#endif
}

#define FTLI_RAW0(number)             ftli_raw6(number, 0, 0, 0, 0, 0, 0)
#define FTLI_RAW1(number, a)          ftli_raw6(number, (long)(a), 0, 0, 0, 0, 0)
#define FTLI_RAW2(number, a, b)       ftli_raw6(number, (long)(a), (long)(b), 0, 0, 0, 0)
#define FTLI_RAW3(number, a, b, c)    ftli_raw6(number, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define FTLI_RAW4(number, a, b, c, d) ftli_raw6(number, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define FTLI_RAW6(number, a, b, c, d, e, f) \
    ftli_raw6(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#endif
