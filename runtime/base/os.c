#include "runtime/base/os.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"

#if !defined MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* since Linux 5.14 */
#endif

#if defined __has_feature
#if __has_feature(thread_sanitizer)
#define MEMBARRIER_IS_INVISIBLE 1
#endif
#endif
#if defined __SANITIZE_THREAD__
#define MEMBARRIER_IS_INVISIBLE 1
#endif
#if !defined MEMBARRIER_IS_INVISIBLE
#define MEMBARRIER_IS_INVISIBLE 0 /* ThreadSanitizer does not know that membarrier orders anything */
#endif

/* ---- address space ---------------------------------------------------------------------------------------- */

size_t ftli_os_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

void *ftli_os_reserve(size_t bytes, size_t alignment)
{
    const size_t page = ftli_os_page_bytes();
    const size_t extra = alignment > page ? alignment - page : 0;
    if (bytes == 0 || bytes > SIZE_MAX - extra - page)
        return NULL;
    bytes = (bytes + page - 1) & ~(page - 1);
    char *whole = mmap(NULL, bytes + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (whole == MAP_FAILED)
        return NULL;
    if (extra == 0)
        return whole;
    const size_t before = (alignment - (uintptr_t)whole % alignment) % alignment;
    if (before != 0)
        ftli_os_release(whole, before);
    if (extra - before != 0)
        ftli_os_release(whole + before + bytes, extra - before);
    return whole + before;
}

void *ftli_os_reserve_shared(size_t bytes)
{
    void *got = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return got == MAP_FAILED ? NULL : got;
}

void *ftli_os_reserve_at(void *at, size_t bytes)
{
    void *got = mmap(at, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (got != MAP_FAILED && got != at) { /* a kernel before 4.17 takes the address as a wish */
        ftli_os_release(got, bytes);
        return NULL;
    }
    return got == MAP_FAILED ? NULL : got;
}

void ftli_os_release(void *at, size_t bytes)
{
    const size_t page = ftli_os_page_bytes();
    bytes = (bytes + page - 1) & ~(page - 1);
    const int result = munmap(at, bytes);
    /* ENOMEM: the kernel's table of mappings is full and the range could not be cut out; its memory can still go. */
    if (result != 0 && errno == ENOMEM)
        (void)madvise(at, bytes, MADV_DONTNEED);
    else
        FTLI_INVARIANT(result == 0, "munmap of %zu bytes at %p: errno %d", bytes, at, errno);
}

bool ftli_os_discard(void *at, size_t bytes)
{
    return madvise(at, bytes, MADV_DONTNEED) == 0;
}

bool ftli_os_populate(void *at, size_t bytes)
{
    return madvise(at, bytes, MADV_POPULATE_WRITE) == 0;
}

bool ftli_os_move(void *from, void *to, size_t bytes)
{
    if (mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == to)
        return true;
    /* It may have failed after it took away what was at `to`: then there is a hole, and it is closed. Else that is still there. */
    (void)ftli_os_reserve_at(to, bytes);
    return false;
}

bool ftli_os_zero_and_keep(void *at, size_t bytes)
{
    if (mmap(at, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED)
        return true;
    return madvise(at, bytes, MADV_DONTNEED) == 0; /* the kernel's table of mappings is full: zeros all the same */
}

bool ftli_os_advise_huge(void *at, size_t bytes)
{
    return madvise(at, bytes, MADV_HUGEPAGE) == 0;
}

bool ftli_os_advise_no_huge(void *at, size_t bytes)
{
    return madvise(at, bytes, MADV_NOHUGEPAGE) == 0;
}

bool ftli_os_advise_no_fork(void *at, size_t bytes, bool no_fork)
{
    return madvise(at, bytes, no_fork ? MADV_DONTFORK : MADV_DOFORK) == 0;
}

bool ftli_os_advise_wipe_on_fork(void *at, size_t bytes)
{
    return madvise(at, bytes, MADV_WIPEONFORK) == 0;
}

size_t ftli_os_resident_bytes(const void *at, size_t bytes)
{
    enum { CHUNK = 4096 };
    unsigned char present[CHUNK];
    const size_t page = ftli_os_page_bytes();
    size_t pages = (bytes + page - 1) / page;
    uintptr_t cursor = (uintptr_t)at;
    size_t resident = 0;
    while (pages != 0) {
        const size_t n = pages < CHUNK ? pages : CHUNK;
        if (mincore((void *)cursor, n * page, present) != 0)
            return resident;
        for (size_t i = 0; i < n; i++)
            resident += present[i] & 1u;
        cursor += n * page;
        pages -= n;
    }
    return resident * page;
}

/* ---- futex and membarrier ----------------------------------------------------------------------------------- */

bool ftli_os_wait(const ftli_atomic_u32 *word, uint32_t expected, uint64_t deadline_ns)
{
    const int saved = errno;
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / FTLI_NS_PER_S),
                                      .tv_nsec = (long)(deadline_ns % FTLI_NS_PER_S)};
    const long result = syscall(SYS_futex, &word->word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                                deadline_ns == FTLI_NEVER_NS ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY);
    const bool timed_out = result != 0 && errno == ETIMEDOUT;
    errno = saved;
    return !timed_out;
}

void ftli_os_wake(const ftli_atomic_u32 *word, uint32_t most)
{
    const int saved = errno;
    const long count = most < INT_MAX ? (long)most : INT_MAX;
    (void)syscall(SYS_futex, &word->word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
    errno = saved;
}

enum { MEMBARRIER_UNKNOWN = 0, MEMBARRIER_READY = 1, MEMBARRIER_REFUSED = 2 };
static ftli_atomic_u32 membarrier_state; /* the kernel's registration is per process, and so is this */

static long membarrier(int command)
{
    return syscall(SYS_membarrier, command, 0, 0);
}

bool ftli_os_membarrier_supported(void)
{
    uint32_t state = ftli_u32_load_acquire(&membarrier_state);
    if (state == MEMBARRIER_UNKNOWN) {
        const bool ready = !MEMBARRIER_IS_INVISIBLE && membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
        state = ready ? MEMBARRIER_READY : MEMBARRIER_REFUSED;
        ftli_u32_store_release(&membarrier_state, state); /* two first callers write the same */
    }
    return state == MEMBARRIER_READY;
}

bool ftli_os_membarrier(void)
{
    return ftli_os_membarrier_supported() && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

/* ---- the processor ---------------------------------------------------------------------------------------------- */

unsigned ftli_os_processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    const long online = sysconf(_SC_NPROCESSORS_ONLN); /* more processors than the set has room for */
    return online > 0 ? (unsigned)online : 1;
}

uint64_t ftli_os_thread_cpu_ns(void)
{
    return ftli_clock_read_ns_(CLOCK_THREAD_CPUTIME_ID);
}

/* The lock word of a robust mutex is its owner's number and two flags: the kernel, which tells of its death, wants it so (futex(2)). */
uint32_t ftli_os_mutex_owner(const pthread_mutex_t *mutex)
{
#if defined __GLIBC__
    const volatile int *word = &mutex->__data.__lock;
    return (uint32_t)*word & FUTEX_TID_MASK;
#else
    (void)mutex;
    return 0;
#endif
}

/* Linux's clocks of threads: the number's complement, a bit that says thread, and the scheduler's own time (as pthread_getcpuclockid
 * makes them, which wants a pthread_t that may be gone). */
bool ftli_os_cpu_ns_of(uint32_t thread_number, uint64_t *out)
{
    struct timespec t;
    if (thread_number == 0 || clock_gettime((clockid_t)(~thread_number << 3 | 6), &t) != 0)
        return false;
    *out = (uint64_t)t.tv_sec * FTLI_NS_PER_S + (uint64_t)t.tv_nsec;
    return true;
}

void ftli_os_entropy(void *into, size_t bytes)
{
    unsigned char *cursor = into;
    while (bytes != 0) {
        const ssize_t got = getrandom(cursor, bytes < 256 ? bytes : 256, 0);
        if (got <= 0) {
            if (errno == EINTR)
                continue;
            const uint64_t fallback = ftli_clock_now_ns() ^ ftli_clock_cycles(); /* a sandbox refuses getrandom */
            *cursor = (unsigned char)(fallback ^ (fallback >> 8));
            cursor++;
            bytes--;
            continue;
        }
        cursor += got;
        bytes -= (size_t)got;
    }
}

/* ---- a signal that poll sees ----------------------------------------------------------------------------------------- */

int ftli_os_signal_open(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void ftli_os_signal_give(int descriptor)
{
    const uint64_t one = 1;
    int before = errno;
    while (write(descriptor, &one, sizeof one) < 0 && errno == EINTR)
        ;
    errno = before;
}
