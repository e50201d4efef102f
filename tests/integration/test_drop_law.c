/* Law 5: a drop makes no allocation, maps nothing, and waits for nobody. malloc and its kin, mmap, munmap and the futex call
 * are this program's own: while a thread is inside of a drop they end the process.
 *
 * How       The library is linked into this program, so its calls come here first. What is asked outside of a drop is passed
 *           on. A drop's one system call, the wake, goes through syscall() too, and is counted.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/atomics.h"
#include "tests/support/laws.h"

#define VISIBLE __attribute__((visibility("default")))

static _Thread_local struct {
    bool inside;
    unsigned calls; /* to the system, since it began */
} drop __attribute__((tls_model("initial-exec")));

static void refuse(const char *what)
{
    static const char begin[] = "inside of a drop: ";
    drop.inside = false;
    (void)!write(2, begin, sizeof begin - 1);
    (void)!write(2, what, strlen(what));
    (void)!write(2, "\n", 1);
    abort();
}

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

#define NOT_INSIDE(what)  \
    do {                  \
        if (drop.inside)  \
            refuse(what); \
    } while (0)

#if !LAWS_SANITIZED /* these have their own malloc and mmap, and would not like ours */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

VISIBLE void *malloc(size_t bytes)
{
    NOT_INSIDE("malloc");
    return __libc_malloc(bytes);
}

VISIBLE void *calloc(size_t n, size_t bytes)
{
    NOT_INSIDE("calloc");
    return __libc_calloc(n, bytes);
}

VISIBLE void *realloc(void *block, size_t bytes)
{
    NOT_INSIDE("realloc");
    return __libc_realloc(block, bytes);
}

VISIBLE void *aligned_alloc(size_t alignment, size_t bytes)
{
    NOT_INSIDE("aligned_alloc");
    return __libc_memalign(alignment, bytes);
}

VISIBLE int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    NOT_INSIDE("posix_memalign");
    *out = __libc_memalign(alignment, bytes);
    return *out == NULL ? ENOMEM : 0;
}

VISIBLE void free(void *block)
{
    NOT_INSIDE("free");
    __libc_free(block);
}

VISIBLE void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset)
{
    static void *(*real)(void *, size_t, int, int, int, off_t);
    NOT_INSIDE("mmap");
    if (real == NULL)
        *(void **)&real = next("mmap");
    return real(address, bytes, protection, flags, file, offset);
}

VISIBLE int munmap(void *address, size_t bytes)
{
    static int (*real)(void *, size_t);
    NOT_INSIDE("munmap");
    if (real == NULL)
        *(void **)&real = next("munmap");
    return real(address, bytes);
}

VISIBLE int madvise(void *address, size_t bytes, int advice)
{
    static int (*real)(void *, size_t, int);
    NOT_INSIDE("madvise");
    if (real == NULL)
        *(void **)&real = next("madvise");
    return real(address, bytes, advice);
}

VISIBLE int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
                           void *argument)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    NOT_INSIDE("pthread_create");
    if (real == NULL)
        *(void **)&real = next("pthread_create");
    return real(thread, attributes, function, argument);
}
#endif

/* The library sleeps and wakes through this one. */
VISIBLE long syscall(long number, ...)
{
    static long (*real)(long, ...);
    va_list list;
    long a[6];
    va_start(list, number);
    for (unsigned i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (drop.inside) {
        drop.calls++;
        if (number != SYS_futex)
            refuse("a system call that is no futex");
        int operation = (int)a[1] & FUTEX_CMD_MASK;
        if (operation != FUTEX_WAKE && operation != FUTEX_WAKE_BITSET)
            refuse("a wait");
    }
    if (real == NULL)
        *(void **)&real = next("syscall");
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

VISIBLE int nanosleep(const struct timespec *time, struct timespec *left)
{
    static int (*real)(const struct timespec *, struct timespec *);
    NOT_INSIDE("nanosleep");
    if (real == NULL)
        *(void **)&real = next("nanosleep");
    return real(time, left);
}

VISIBLE int sched_yield(void)
{
    static int (*real)(void);
    NOT_INSIDE("sched_yield");
    if (real == NULL)
        *(void **)&real = next("sched_yield");
    return real();
}

VISIBLE int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    static int (*real)(pthread_mutex_t *);
    NOT_INSIDE("pthread_mutex_lock");
    if (real == NULL)
        *(void **)&real = next("pthread_mutex_lock");
    return real(mutex);
}

/* ---- drops under watch ------------------------------------------------------------------------------------------------- */

static atomic_uint most_calls;

static int watched_drop(ftl_tensor tensor)
{
    drop.calls = 0;
    drop.inside = true;
    int status = ftl_tensor_drop(tensor);
    drop.inside = false;
    unsigned most = atomic_load(&most_calls);
    while (drop.calls > most && !atomic_compare_exchange_weak(&most_calls, &most, drop.calls))
        ;
    EXPECT(drop.calls <= 1);
    return status;
}

static int finalizer(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    EXPECT(!drop.inside); /* user code never runs inside of a drop */
    atomic_fetch_add((atomic_ulong *)user, 1);
    return 0;
}

enum kind { SMALL, MIDDLE, LARGE, EMPTY, PINNED, LINKED, FINALIZED, VIEW, SCOPED, RETAINED, ALIGNED, LABELLED, KINDS };

struct victim {
    ftl_tensor tensor;
    enum kind kind;
    unsigned drops;
};

static atomic_ulong finalized;

static struct victim make_one(ftl_runtime *runtime, enum kind kind, ftl_scope scope, ftl_tensor root)
{
    struct victim victim = {.kind = kind, .drops = kind == RETAINED ? 3 : 1};
    ftl_tensor_options options = {0};
    int64_t shape = 10;
    size_t bytes = 500;
    options.scope = kind == SCOPED ? scope : (ftl_scope){0};
    options.label = kind == LABELLED ? "labelled" : NULL;
    options.finalizer = kind == FINALIZED ? finalizer : NULL;
    options.finalizer_user = &finalized;
    options.alignment = kind == ALIGNED ? 1 << 16 : 0;
    bytes = kind == MIDDLE ? 100000 : kind == LARGE ? 3 << 20 : kind == EMPTY ? 0 : bytes;
    if (kind == VIEW)
        EXPECT(ftl_tensor_view(root, 4, 1, &shape, NULL, &victim.tensor) == FTL_OK);
    else
        victim.tensor = laws_new(runtime, bytes, &options);
    if (kind == PINNED)
        EXPECT(ftl_tensor_pin(victim.tensor) != NULL);
    if (kind == LINKED) {
        ftl_tensor child = laws_new(runtime, 90000, NULL);
        EXPECT(ftl_tensor_link(victim.tensor, child) == FTL_OK);
        EXPECT(watched_drop(child) == FTL_OK);
    }
    for (unsigned i = 1; i < victim.drops; i++)
        EXPECT(ftl_tensor_retain(victim.tensor) == FTL_OK);
    return victim;
}

static void drop_one(struct victim victim)
{
    for (unsigned i = 0; i < victim.drops; i++)
        EXPECT(watched_drop(victim.tensor) == FTL_OK);
    EXPECT(watched_drop(victim.tensor) == FTL_ESTALE);
    if (victim.kind == PINNED) {
        drop.inside = true; /* the same law */
        ftl_tensor_unpin(victim.tensor);
        drop.inside = false;
    }
}

enum { BATCH = 600 };
struct batch {
    ftl_runtime *runtime;
    struct victim victims[BATCH];
};

static void fill(struct batch *batch, ftl_scope scope, ftl_tensor root)
{
    for (unsigned i = 0; i < BATCH; i++)
        batch->victims[i] = make_one(batch->runtime, (enum kind)(i % KINDS), scope, root);
}

/* A thread whose first call in the runtime, and every one after it, is a drop. */
static void *only_drops(void *argument)
{
    const struct batch *batch = argument;
    for (unsigned i = 0; i < BATCH; i++)
        drop_one(batch->victims[i]);
    return NULL;
}

static void run(const char *overrides)
{
    static struct batch batches[4];
    ftl_runtime *runtime = laws_open(overrides);
    ftl_scope scope;
    ftl_tensor root = laws_new(runtime, 1000, NULL);
    cr_assert_eq(ftl_scope_begin(runtime, "law", &scope), FTL_OK);
    for (unsigned round = 0; round < 4; round++) {
        pthread_t threads[3];
        for (unsigned i = 0; i < 4; i++) {
            batches[i].runtime = runtime;
            fill(&batches[i], scope, root);
        }
        for (unsigned i = 0; i < 3; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, only_drops, &batches[i]), 0);
        (void)only_drops(&batches[3]); /* and one that makes as well */
        for (unsigned i = 0; i < 3; i++)
            (void)pthread_join(threads[i], NULL);
    }
    EXPECT(watched_drop(root) == FTL_OK);
    EXPECT(watched_drop((ftl_tensor){0}) == FTL_OK);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    laws_settle(runtime);
    cr_assert_eq(atomic_load(&finalized), 4 * 4 * (BATCH / KINDS));
    cr_assert_eq(laws_stats(runtime).live, 0);
    laws_close(runtime);
    fprintf(stderr, "system calls in one drop, at most: %u\n", atomic_load(&most_calls));
}

Test(drop_law, by_default)
{
    run(NULL);
}

Test(drop_law, where_every_drop_is_a_message)
{
    run("actors.cleanup.policy: message\n");
}

Test(drop_law, where_everything_is_tracked)
{
    run("actors.tracking.level: debug\n");
}

Test(drop_law, without_threads_of_ours)
{
    run("threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n");
}

Test(drop_law, with_a_thread_cache_that_is_always_full)
{
    run("actors.allocation.thread_cache: 4KiB\nactors.allocation.magazine: 2\n");
}

/* The watch itself: what it forbids ends the process. */
#if !LAWS_SANITIZED
Test(drop_law, the_watch_sees_an_allocation, .signal = SIGABRT)
{
    drop.inside = true;
    FTLI_COMPILER_BARRIER(); /* gcc knows that malloc looks at none of a program's variables */
    void *volatile block = malloc(10);
    FTLI_COMPILER_BARRIER();
    drop.inside = false;
    free(block);
}
#endif

Test(drop_law, the_watch_sees_a_wait, .signal = SIGABRT)
{
    static int word = 1;
    const struct timespec none = {0, 1};
    drop.inside = true;
    (void)syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, &none, NULL, 0);
    drop.inside = false;
}
