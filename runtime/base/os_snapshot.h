/* A snapshot of this process: a forked child that reads its own copy of all memory, while the process goes on.
 *
 * What      Stopping the other threads for a moment and reading their registers; a child without locks; its walk over what it
 *           inherited. Made for the leak detection's search for copies of handles (CORE.md section 6).
 * Threads   The calls of the parent: one snapshot at a time, the caller sees to it. What the child runs makes raw system calls
 *           alone: another thread may have held any lock of libc when it was forked.
 * Disturbs  Stopping makes a blocked epoll_wait, sigtimedwait, semop or receive with a time limit return EINTR, as a debugger's visit
 *           or SIGCONT does; other system calls go on by themselves. A signal that comes meanwhile is delivered afterwards.
 */
#ifndef FTLI_RUNTIME_BASE_OS_SNAPSHOT_H
#define FTLI_RUNTIME_BASE_OS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/atomics.h"

#if defined __cplusplus
extern "C" {
#endif

/* ---- the other threads ------------------------------------------------------------------------------------------------ */

enum { FTLI_OS_THREADS_MOST = 4096, FTLI_OS_GENERAL_BYTES = 512, FTLI_OS_VECTOR_BYTES = 3520 };

struct ftli_os_registers {
    int32_t thread, state, signal, unused;
    uint32_t general_bytes, vector_bytes; /* 0: they were not read */
    unsigned char general[FTLI_OS_GENERAL_BYTES];
    unsigned char vector[FTLI_OS_VECTOR_BYTES]; /* as far as they fit */
};

/* In a shared mapping of the caller's, zeroed. */
struct ftli_os_stop {
    ftli_atomic_u32 phase; /* pairs: os-stop */
    int32_t process, caller;
    int32_t tracer, tracer_fd;
    int32_t refused;      /* errno of the thread that could not be looked at; 0: none */
    uint32_t count, most; /* of threads; the caller is none of them */
    uint32_t unread;      /* threads whose registers are not here */
    bool asked_for_leave; /* the program's setting of PR_SET_PTRACER is overwritten */
    uint64_t begun_ns, stopped_ns;
    uint64_t signals; /* of the caller, as they were blocked before */
    FTLI_ALIGNED(64) unsigned char stack[32768];
    struct ftli_os_registers threads[];
};

FTLI_INLINE size_t ftli_os_stop_bytes(uint32_t threads)
{
    return sizeof(struct ftli_os_stop) + threads * sizeof(struct ftli_os_registers);
}

/* All threads but the calling one stand still, and their registers are in `stop`: true. False: they run; the system does not allow it,
 * or one did not stop within 500 ms; refused and unread say more. Either way resume follows, soon, and between the two the caller
 * makes no call of libc that may take a lock. */
bool ftli_os_stop_threads(struct ftli_os_stop *, uint32_t most);
/* False: they did not stand still all the time. */
bool ftli_os_resume_threads(struct ftli_os_stop *);

/* ---- the child -------------------------------------------------------------------------------------------------------- */

typedef struct {
    int process, descriptor;
} ftli_os_child;

/* Runs child(argument, stack) in a copy of this process in which the calling thread is alone; it ends when that returns. stack: from here up
 * lie the frames of who called, and the registers that they own. The child has no descriptor and no signal, and dies with this thread;
 * its end raises no signal and no wait() of the program sees it. FTL_OK, or the errno. */
int ftli_os_fork(void (*child)(void *argument, uintptr_t stack), void *argument, ftli_os_child *out);

enum ftli_os_end { FTLI_OS_ENDED = 0, FTLI_OS_KILLED = 1, FTLI_OS_LATE = 2 /* and was killed for it */ };
enum ftli_os_end ftli_os_child_end(ftli_os_child *, uint64_t timeout_ns);

/* The calling thread's own stack, as pthreads knows it; false: not known. */
bool ftli_os_own_stack(uintptr_t *low, uintptr_t *high);

/* ---- in the child: its own memory ------------------------------------------------------------------------------------- */

enum { FTLI_OS_RUNS = 256 };
struct ftli_os_run {
    uintptr_t start, end;
};

/* A walk over the private pages that were written to; mappings that are shared, of devices, or of files and as in the file, are
 * none of it. Runs come in ascending order. */
struct ftli_os_self {
    int maps, pages;
    int failed;                /* errno, when a walk ended early */
    bool by_entries;           /* the kernel has no PAGEMAP_SCAN (before 6.7) */
    bool ended, is_readable;   /* of the mapping in hand */
    uint64_t unreadable_bytes; /* private pages that nobody may read now: PROT_NONE */
    uintptr_t position, end;   /* of the mapping in hand */
    uint32_t run_count, run_next;
    size_t text_used, text_at;
    struct ftli_os_run runs[FTLI_OS_RUNS];
    uint64_t entries[3 * FTLI_OS_RUNS];
    char text[4096], line[256];
};

bool ftli_os_self_open(struct ftli_os_self *);
bool ftli_os_self_next(struct ftli_os_self *, struct ftli_os_run *);
/* How many bytes could be read from `at` on; never faults. */
size_t ftli_os_self_read(uintptr_t at, void *into, size_t bytes);
uint64_t ftli_os_self_now_ns(void);
void ftli_os_self_kill(void); /* for tests: as if somebody had */

/* ---- what it costs ---------------------------------------------------------------------------------------------------- */

struct ftli_os_resident {
    uint64_t private_bytes, huge_bytes; /* anonymous ones, in memory or swapped out; of them in huge pages */
    uint64_t swapped_bytes;
};
/* Walks the page tables. False: the system does not say. */
bool ftli_os_resident(struct ftli_os_resident *);

#if defined __cplusplus
}
#endif
#endif
