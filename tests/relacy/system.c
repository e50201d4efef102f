/* What the sources under test ask of the system: a futex and a membarrier of the machine's, a clock that stands still, threads that
 * the test runs itself, memory that is one array. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/os.h"
#include "tests/relacy/machine.h"
#include "tests/relacy/system.h"

enum { NOW_NS = 1000000 };

void (*system_run)(void *);
void *system_argument;
bool system_refuses_membarrier;

uint64_t ftli_clock_now_ns(void)
{
    return NOW_NS;
}

/* Stands in the C library's place: the coarse clock is read inline. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    (void)clock;
    *out = (struct timespec){0, NOW_NS};
    return 0;
}

bool ftli_os_wait(const ftli_atomic_u32 *word, uint32_t expected, uint64_t deadline_ns)
{
    if (deadline_ns <= NOW_NS)
        return false; /* a later one never comes: nothing here may need it to */
    relacy_wait(word, expected);
    return true;
}

void ftli_os_wake(const ftli_atomic_u32 *word, uint32_t most)
{
    relacy_wake(word, most);
}

bool ftli_os_membarrier(void)
{
    if (!system_refuses_membarrier)
        relacy_membarrier();
    return !system_refuses_membarrier;
}

int ftli_os_thread_start(ftli_os_thread *out, const ftli_os_thread_options *options, void (*run)(void *),
                         void *argument)
{
    (void)options;
    out->id = 1;
    system_run = run;
    system_argument = argument;
    return 0;
}

/* Who joins goes on at once: relacy ends a run when all its threads have ended, and says if one does not. */
void ftli_os_thread_join(ftli_os_thread thread)
{
    (void)thread;
}

void *ftli_os_reserve(size_t bytes, size_t alignment)
{
    static _Alignas(4096) char memory[1 << 16];
    return bytes <= sizeof memory && alignment <= 4096 ? memory : NULL;
}

void ftli_os_release(void *at, size_t bytes)
{
    (void)at;
    (void)bytes;
}

uint64_t ftli_os_address_limit_bytes(void)
{
    return UINT64_MAX;
}

void ftli_invariant_failed(const char *file, int line, const char *condition, const char *format, ...)
{
    (void)file;
    (void)format;
    relacy_checked(false, condition, line);
    abort(); /* not reached */
}
