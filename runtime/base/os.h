/* The operating system: the one place of the library that maps memory, waits on futexes and starts threads.
 *
 * What      Address space, futexes with absolute deadlines, membarrier, processors, limits, threads.
 * Owns      Nothing but the process-wide registration for membarrier, made once.
 * Threads   Any. Whatever a drop may reach (ftli_os_wake) is async-signal-safe and keeps errno.
 * Results   Pointers: NULL on failure. bool: whether it was done. Sizes are multiples of the page size unless
 * said.
 */
#ifndef FTLI_RUNTIME_BASE_OS_H
#define FTLI_RUNTIME_BASE_OS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/atomics.h"

#if defined __cplusplus
extern "C" {
#endif

/* ---- address space ----------------------------------------------------------------------------------------
 */

size_t ftli_os_page_bytes(void);

/* Private zero pages, readable and writable, of which none is resident yet. alignment: a power of two. */
void *ftli_os_reserve(size_t bytes, size_t alignment);
/* Zero pages that forked children share with this process; a page's alignment. Given back by release. */
void *ftli_os_reserve_shared(size_t bytes);
/* Private ones again, exactly at `at`, a page's start, if nothing is mapped there; else NULL. */
void *ftli_os_reserve_at(void *at, size_t bytes);
void ftli_os_release(void *at, size_t bytes);

/* The pages' memory goes back; they read as zeros when touched again. */
bool ftli_os_discard(void *at, size_t bytes);

/* The range's pages are there, as if each had been written to. False: the system does not do that; some may be there. */
bool ftli_os_populate(void *at, size_t bytes);

/* What the pages at `from` hold is at `to` afterwards, without a copy, in place of what was there; `from` reads as zeros. Each range that
 * was never a target before may cost two of the process's mappings. False: `from` is as it was, the system does not do that. */
bool ftli_os_move(void *from, void *to, size_t bytes);

/* The memory goes back and the addresses stay ours: they read as zeros and can no longer be written. */
bool ftli_os_zero_and_keep(void *at, size_t bytes);

bool ftli_os_advise_huge(void *at, size_t bytes);
bool ftli_os_advise_no_huge(void *at, size_t bytes);               /* also where the system makes all pages huge */
bool ftli_os_advise_no_fork(void *at, size_t bytes, bool no_fork); /* a forked child does (not) have the range */
bool ftli_os_advise_wipe_on_fork(void *at, size_t bytes);          /* a forked child reads zeros there */

/* Bytes of the range that are in memory now. Walks the range: for tests and audits. */
size_t ftli_os_resident_bytes(const void *at, size_t bytes);

/* ---- futex and membarrier
 * ----------------------------------------------------------------------------------- */

/* Sleeps while *word == expected, at most until deadline_ns of CLOCK_MONOTONIC (FTLI_NEVER_NS: no deadline).
 * False only when the deadline passed; may return early for no reason. Keeps errno. */
bool ftli_os_wait(const ftli_atomic_u32 *word, uint32_t expected, uint64_t deadline_ns);

/* Wakes up to `most` sleepers. Async-signal-safe, keeps errno. */
void ftli_os_wake(const ftli_atomic_u32 *word, uint32_t most);

/* A full memory barrier on every running thread of the process; false: refused here, use sequential
 * consistency. The first call registers the process. */
bool ftli_os_membarrier(void);
bool ftli_os_membarrier_supported(void);

/* ---- the machine
 * ---------------------------------------------------------------------------------------------- */

unsigned ftli_os_processors(void); /* this process may run on; at least 1 */

/* The least memory.max of the cgroup v2 path this process is in, else the physical memory. */
uint64_t ftli_os_memory_limit_bytes(void);
/* RLIMIT_AS; UINT64_MAX: none. */
uint64_t ftli_os_address_limit_bytes(void);
/* What may be used beside what is: of the machine, and below every memory.max of the cgroup v2. */
uint64_t ftli_os_available_bytes(void);
uint64_t ftli_os_cgroup_limit_bytes(const char *root, const char *path); /* UINT64_MAX: none on the way up */
uint64_t ftli_os_memory_bytes(void);                                     /* physical */
uint64_t ftli_os_thread_cpu_ns(void);                                    /* processor time of the calling thread */

/* The system's number of the thread that holds a robust mutex, by any thread; 0: none does, or it cannot be told here. */
uint32_t ftli_os_mutex_owner(const pthread_mutex_t *);
/* Processor time of any thread of this process. False: it is not there (any more). */
bool ftli_os_cpu_ns_of(uint32_t thread_number, uint64_t *out);

/* Fills the buffer with random bytes of the system's, for seeds of what is not simulated. */
void ftli_os_entropy(void *into, size_t bytes);

/* A descriptor that poll sees as readable from the first signal on; -1: the system has none left, errno says why. */
int ftli_os_signal_open(void);
void ftli_os_signal_give(int descriptor); /* any thread; keeps errno */

/* ---- threads
 * ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *name;     /* 15 bytes are kept */
    int nice;             /* 0: unchanged; a refusal is ignored */
    const unsigned *cpus; /* processors it may run on; a refusal is ignored */
    unsigned cpu_count;   /* 0: any */
} ftli_os_thread_options;

typedef struct {
    uint64_t id;
} ftli_os_thread;

/* A thread with every signal blocked. FTL_ENOMEM when the system has no more. */
int ftli_os_thread_start(ftli_os_thread *out, const ftli_os_thread_options *, void (*run)(void *), void *argument);
uint32_t ftli_os_thread_count(void); /* of the process; 0: the system does not say */
void ftli_os_thread_join(ftli_os_thread);
/* The calling thread's stack, from its lowest address to above its highest. May allocate. */
bool ftli_os_stack(uintptr_t *low, uintptr_t *high);
/* From now on files that the calling thread makes are their owner's alone; the process's umask stays as it is. Only for a
 * thread of ours that ends soon: it no longer shares its working directory with the others either. */
bool ftli_os_thread_private_files(void);

#if defined __cplusplus
}
#endif
#endif
