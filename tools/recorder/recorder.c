/* libfettle-recorder.so: loaded by LD_PRELOAD in front of a program's allocator, it tells `fettle record` of each allocation
 * and free of at least so many bytes (tools/recorder/shared.h).
 *
 * What     malloc, calloc, realloc, free, posix_memalign, aligned_alloc and memalign go on to whatever allocator comes next
 *          (libc's, or one loaded or linked as a library behind this one); what the program maps by itself, and what
 *          comes from an allocator inside the program, is not seen.
 * Owns     A page that is wiped when the process forks, by which a child finds that it is not recorded, and 16 KiB from which
 *          allocations are served while the next allocator is being looked up.
 * Threads  All of the program's. No lock, no allocation; a wait only while the ring is full.
 *
 * Which frees are told is decided by the usable size of the block, so the program carries no table: a block that was asked
 * for with less than `least_bytes` and has got more is told once too often, and the reader knows no such address.
 */
#include "tools/recorder/shared.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* The allocator behind this one. */
static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    size_t (*malloc_usable_size)(void *);
} next;

struct fork_mark { /* zeros in a forked child */
    struct ftli_record_shared *shared;
};

static struct fork_mark *mark;
static size_t least = SIZE_MAX; /* of what is told; SIZE_MAX: nothing is */
static bool looking_up;

/* initial-exec: reading it never allocates. Both are 0 in a new thread. */
static _Thread_local uint32_t my_thread __attribute__((tls_model("initial-exec"))); /* its number + 1 */
static _Thread_local unsigned depth __attribute__((tls_model("initial-exec"))); /* calls of the allocator under way */

/* ---- before the next allocator is known ---- */

enum { FIRST_BYTES = 16384 };
static _Alignas(16) unsigned char first[FIRST_BYTES];
static size_t first_used; /* one thread: nobody starts a second before malloc is bound */

static bool is_first(const void *block)
{
    return (uintptr_t)block - (uintptr_t)first < FIRST_BYTES;
}

static void *first_malloc(size_t bytes)
{
    size_t at = first_used + 16; /* its size stands before it, for realloc */
    if (bytes > FIRST_BYTES || at + bytes > FIRST_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    memcpy(first + first_used, &bytes, sizeof bytes);
    first_used = (at + bytes + 15) & ~(size_t)15;
    return first + at;
}

static void *first_realloc(void *block, size_t bytes)
{
    size_t old;
    memcpy(&old, (unsigned char *)block - 16, sizeof old);
    void *moved = looking_up ? first_malloc(bytes) : next.malloc(bytes);
    if (moved != NULL) {
        memcpy(moved, block, old < bytes ? old : bytes);
    }
    return moved;
}

#define LOOK_UP(name) *(void **)&next.name = dlsym(RTLD_NEXT, #name)

/* False: this call came out of the look-up itself. */
static bool look_up(void)
{
    if (looking_up) {
        return false;
    }
    looking_up = true;
    LOOK_UP(calloc);
    LOOK_UP(realloc);
    LOOK_UP(free);
    LOOK_UP(posix_memalign);
    LOOK_UP(aligned_alloc);
    LOOK_UP(memalign);
    LOOK_UP(malloc_usable_size);
    LOOK_UP(malloc);
    looking_up = false;
    if (next.malloc == NULL || next.calloc == NULL || next.realloc == NULL || next.free == NULL) {
        static const char why[] = "libfettle-recorder.so: no allocator behind it\n";
        (void)!write(STDERR_FILENO, why, sizeof why - 1);
        _exit(127);
    }
    return true;
}

static inline bool ready(void)
{
    return __builtin_expect(next.malloc != NULL, 1) || look_up();
}

/* ---- telling ---- */

/* The reader is behind: waits for it, up to five seconds without any progress of its, or until it is no more. Not by usleep or nanosleep, at which a
 * thread may be cancelled: malloc is no such place. */
static bool wait_and_put(struct ftli_record_shared *shared, const struct ftli_record_event *event)
{
    enum { STEP_NS = 200000, STEPS = 25000, STEPS_A_LOOK = 100 };
    uint64_t seen = atomic_load_explicit(&shared->head, memory_order_relaxed);
    atomic_fetch_add_explicit(&shared->waits, 1, memory_order_relaxed);
    for (int step = 0; step < STEPS; step++) {
        struct timespec pause = {.tv_nsec = STEP_NS};
        syscall(SYS_nanosleep, &pause, NULL);
        if (ftli_record_put(shared, event)) {
            return true;
        }
        uint64_t head = atomic_load_explicit(&shared->head, memory_order_relaxed);
        if (head != seen) {
            seen = head;
            step = 0;
        }
        bool gone = step % STEPS_A_LOOK == 0 && kill((pid_t)shared->reader, 0) != 0 && errno == ESRCH;
        if (gone || atomic_load_explicit(&shared->stop, memory_order_relaxed) != 0) {
            break;
        }
    }
    return false;
}

__attribute__((noinline)) static void tell(enum ftli_record_kind kind, const void *block, size_t bytes, size_t align)
{
    struct ftli_record_shared *shared = mark->shared;
    if (shared == NULL || atomic_load_explicit(&shared->stop, memory_order_relaxed) != 0) {
        least = SIZE_MAX; /* a forked child, or all that was wanted is there */
        return;
    }
    int kept_errno = errno;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (my_thread == 0) {
        my_thread = (uint32_t)atomic_fetch_add_explicit(&shared->threads, 1, memory_order_relaxed) + 1;
    }
    struct ftli_record_event event = {.time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
                                      .address = (uintptr_t)block,
                                      .bytes = bytes,
                                      .thread = my_thread - 1,
                                      .align_log2 = (uint8_t)__builtin_ctzll(align),
                                      .kind = (uint8_t)kind};
    if (!ftli_record_put(shared, &event) && !wait_and_put(shared, &event)) {
        atomic_fetch_add_explicit(&shared->lost, 1, memory_order_relaxed);
        least = SIZE_MAX; /* nobody reads: the program is not to wait again */
    }
    errno = kept_errno;
}

enum { USUAL_ALIGN = _Alignof(max_align_t) };

static inline void tell_alloc(void *block, size_t bytes, size_t align)
{
    if (bytes >= least && block != NULL && depth == 0) {
        tell(FTLI_RECORD_ALLOC, block, bytes, align);
    }
}

/* The usable size of a block of which a free is to be told, or 0. */
static inline size_t told_bytes(void *block)
{
    if (least == SIZE_MAX || block == NULL || depth != 0) {
        return 0;
    }
    size_t usable = next.malloc_usable_size == NULL ? SIZE_MAX : next.malloc_usable_size(block);
    return usable >= least ? usable : 0;
}

/* ---- what the program calls ----
 * depth: an allocator whose one function calls another through its symbol is told of once. */

EXPORT void *malloc(size_t bytes)
{
    if (!ready()) {
        return first_malloc(bytes);
    }
    depth++;
    void *block = next.malloc(bytes);
    depth--;
    tell_alloc(block, bytes, USUAL_ALIGN);
    return block;
}

EXPORT void *calloc(size_t count, size_t size)
{
    if (!ready()) {
        size_t bytes;
        return __builtin_mul_overflow(count, size, &bytes) ? NULL : first_malloc(bytes); /* never used before: zeros */
    }
    depth++;
    void *block = next.calloc(count, size);
    depth--;
    tell_alloc(block, count * size, USUAL_ALIGN);
    return block;
}

EXPORT void free(void *block)
{
    if (__builtin_expect(is_first(block), 0) || !ready()) {
        return;
    }
    if (told_bytes(block) != 0) {
        tell(FTLI_RECORD_FREE, block, 0, 1);
    }
    next.free(block);
}

EXPORT void *realloc(void *old, size_t bytes)
{
    if (__builtin_expect(is_first(old), 0)) {
        return first_realloc(old, bytes);
    }
    if (!ready()) {
        return first_malloc(bytes);
    }
    size_t old_bytes = told_bytes(old);
    if (old_bytes != 0) {
        tell(FTLI_RECORD_FREE, old, 0, 1);
    }
    depth++;
    void *block = next.realloc(old, bytes);
    depth--;
    if (block != NULL) {
        tell_alloc(block, bytes, USUAL_ALIGN);
    } else if (old_bytes != 0 && bytes != 0) {
        tell_alloc(old, old_bytes, USUAL_ALIGN); /* refused: the old block lives on, in the trace as a new one */
    }
    return block;
}

EXPORT int posix_memalign(void **out, size_t align, size_t bytes)
{
    if (!ready() || next.posix_memalign == NULL) {
        return ENOMEM;
    }
    depth++;
    int result = next.posix_memalign(out, align, bytes);
    depth--;
    if (result == 0) {
        tell_alloc(*out, bytes, align);
    }
    return result;
}

EXPORT void *aligned_alloc(size_t align, size_t bytes)
{
    if (!ready() || next.aligned_alloc == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    depth++;
    void *block = next.aligned_alloc(align, bytes);
    depth--;
    tell_alloc(block, bytes, align == 0 ? 1 : align);
    return block;
}

EXPORT void *memalign(size_t align, size_t bytes)
{
    if (!ready() || next.memalign == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    depth++;
    void *block = next.memalign(align, bytes);
    depth--;
    tell_alloc(block, bytes, align == 0 ? 1 : align);
    return block;
}

/* ---- the beginning ---- */

/* Is it this process that is to be recorded? */
static bool chosen(struct ftli_record_shared *shared)
{
    uint64_t owner = 0, me = (uint64_t)getpid();
    if (shared->program[0] != '\0' && strcmp(shared->program, program_invocation_short_name) == 0) {
        atomic_compare_exchange_strong_explicit(&shared->owner, &owner, me, memory_order_relaxed, memory_order_relaxed);
    }
    return atomic_load_explicit(&shared->owner, memory_order_relaxed) == me;
}

static struct ftli_record_shared *map_shared(const char *path)
{
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) {
        return NULL; /* fettle record has ended, or this process may not: it just runs */
    }
    struct ftli_record_shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    return shared == MAP_FAILED ? NULL : shared;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv(FTLI_RECORD_VARIABLE);
    int kept_errno = errno;
    struct ftli_record_shared *shared = path == NULL || !ready() ? NULL : map_shared(path);
    if (shared == NULL || shared->magic != FTLI_RECORD_MAGIC) {
        errno = kept_errno;
        return;
    }
    struct fork_mark *page = MAP_FAILED;
    if (!chosen(shared)) {
        atomic_fetch_add_explicit(&shared->passed_over, 1, memory_order_relaxed);
    } else {
        page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    /* The children stop by themselves, whether they came from fork or clone; nor do they keep the ring. */
    if (page == MAP_FAILED || madvise(page, sizeof *page, MADV_WIPEONFORK) != 0 ||
        madvise(shared, sizeof *shared, MADV_DONTFORK) != 0) {
        munmap(shared, sizeof *shared);
        errno = kept_errno;
        return;
    }
    mark = page;
    mark->shared = shared;
    /* An exec ended the threads of the program before, maybe while they wrote. */
    atomic_store_explicit(&shared->start_ticket, atomic_load_explicit(&shared->tail, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_fetch_add_explicit(&shared->starts, 1, memory_order_release); /* pairs: record-start */
    tell(FTLI_RECORD_START, NULL, 0, 1);
    least = shared->least_bytes;
    errno = kept_errno;
}
