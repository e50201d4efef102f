/* What a test of this folder is, and what it may ask of the machine that runs it (machine.cpp).
 *
 * What      A test has some threads, what goes before and what comes after them. It is written in C and compiled, as the shipped
 *           sources that it drives are, with the compiler's instrumentation for ThreadSanitizer; but what that
 *           calls is the machine, which asks relacy what each access may see.
 * Finds     A check that fails, two plain accesses to the same address that nothing orders, a deadlock (a lost wake-up is one), a
 *           livelock.
 */
#ifndef FTLI_TESTS_RELACY_MACHINE_H
#define FTLI_TESTS_RELACY_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined __cplusplus
extern "C" {
#endif

enum { RELACY_THREADS_MOST = 3 };

typedef struct relacy_test {
    const char *name;
    unsigned threads;     /* 2 or 3 */
    void (*before)(void); /* all of it is seen by every thread; must make everything new */
    void (*thread[RELACY_THREADS_MOST])(void);
    void (*after)(void);      /* sees all that the threads did; may be NULL */
    unsigned random;          /* schedules tried at random ... */
    unsigned bound;           /* ... and at most so many of those with few switches, in order */
    struct relacy_test *next; /* the machine's */
} relacy_test;

void relacy_add(relacy_test *); /* from a constructor */
#define RELACY_TEST(variable)                                            \
    __attribute__((constructor)) static void relacy_add_##variable(void) \
    {                                                                    \
        relacy_add(&(variable));                                         \
    }

/* False ends the test: it has failed. */
void relacy_checked(bool condition, const char *text, int line);
#define RELACY_CHECK(condition) relacy_checked((condition), #condition, __LINE__)

/* A name for a range of memory, for the history of a failure. */
void relacy_name(const void *at, size_t bytes, const char *name);

/* Another thread may go on here. Every atomic access is such a point, a plain one is not. */
void relacy_step(void);

/* The system's part: a futex and a membarrier, and whether threads are running (false in before and after). */
void relacy_wait(const void *word, uint32_t expected);
void relacy_wake(const void *word, uint32_t most);
void relacy_membarrier(void);
bool relacy_is_running(void);

#if defined __cplusplus
}
#endif
#endif
