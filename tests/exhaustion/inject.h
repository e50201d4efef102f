/* Makes the library's n-th request to the system fail: memory from malloc and its kin, address space, pages given back, threads.
 *
 * What     The linker puts these in place of what the library calls (--wrap, see CMakeLists.txt here); what other libraries call is
 *          theirs. Counts what is out, so that a test can say that nothing leaks.
 * Threads  Any.
 */
#ifndef FTLI_TESTS_EXHAUSTION_INJECT_H
#define FTLI_TESTS_EXHAUSTION_INJECT_H

#include <stdbool.h>
#include <stdint.h>

/* The n-th call from now on fails (the first is 1); for good: and all that follow. n = 0: none does. */
void inject_arm(uint64_t n, bool for_good);
/* Calls since arm; nothing fails any more. */
uint64_t inject_disarm(void);

/* What is out now, of what was asked for through here: blocks, and bytes of mappings. */
struct inject_out {
    int64_t blocks, mapped_bytes;
};
struct inject_out inject_out(void);

#endif
