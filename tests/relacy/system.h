/* The system of a test. system_run: the thread that a source under test started last; a thread of the test's is it. */
#ifndef FTLI_TESTS_RELACY_SYSTEM_H
#define FTLI_TESTS_RELACY_SYSTEM_H

#include <stdbool.h>

extern bool system_refuses_membarrier;
extern void (*system_run)(void *);
extern void *system_argument;

#endif
