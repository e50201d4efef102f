/* Assertions, in two strengths, that say which equation failed and with which values.
 *
 * What      FTLI_INVARIANT is checked in every build: what it guards would corrupt memory if it were false.
 *           FTLI_ASSERT is checked in debug builds only (NDEBUG not defined).
 * Use       FTLI_INVARIANT(pins < most, "pins %u, most %u", pins, most): a format is always given.
 * Threads   Any. A failure prints one line to standard error and aborts.
 */
#ifndef FTLI_RUNTIME_BASE_ASSERT_H
#define FTLI_RUNTIME_BASE_ASSERT_H

#include "runtime/base/atomics.h"

#if defined __cplusplus
extern "C" {
#endif

__attribute__((noreturn, cold, format(printf, 4, 5))) void
ftli_invariant_failed(const char *file, int line, const char *condition, const char *format, ...);

#if defined __cplusplus
}
#endif

#define FTLI_INVARIANT(condition, ...)                                          \
    do {                                                                        \
        if (FTLI_UNLIKELY(!(condition)))                                        \
            ftli_invariant_failed(__FILE__, __LINE__, #condition, __VA_ARGS__); \
    } while (0)

#if defined NDEBUG
#define FTLI_ASSERT(condition, ...)                 \
    do {                                            \
        if (0)                                      \
            FTLI_INVARIANT(condition, __VA_ARGS__); \
    } while (0)
#else
#define FTLI_ASSERT(condition, ...) FTLI_INVARIANT(condition, __VA_ARGS__)
#endif

#endif
