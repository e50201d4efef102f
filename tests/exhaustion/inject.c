#include "tests/exhaustion/inject.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static _Atomic uint64_t calls, fails_at;
static _Atomic bool fails_for_good;
static _Atomic int64_t blocks, mapped_bytes;

void inject_arm(uint64_t n, bool for_good)
{
    atomic_store(&calls, 0);
    atomic_store(&fails_for_good, for_good);
    atomic_store(&fails_at, n);
}

uint64_t inject_disarm(void)
{
    atomic_store(&fails_at, 0);
    return atomic_load(&calls);
}

struct inject_out inject_out(void)
{
    return (struct inject_out){atomic_load(&blocks), atomic_load(&mapped_bytes)};
}

static bool fails(void)
{
    uint64_t n = atomic_fetch_add(&calls, 1) + 1, at = atomic_load(&fails_at);
    return at != 0 && (n == at || (n > at && atomic_load(&fails_for_good)));
}

static void *block(void *made)
{
    if (made != NULL)
        atomic_fetch_add(&blocks, 1);
    return made;
}

static void *refuse(void)
{
    errno = ENOMEM;
    return NULL;
}

/* The names are the linker's. */
#define WRAPS(result, name, ...)       \
    result __real_##name(__VA_ARGS__); \
    result __wrap_##name(__VA_ARGS__); \
    result __wrap_##name(__VA_ARGS__)

WRAPS(void *, malloc, size_t bytes)
{
    return fails() ? refuse() : block(__real_malloc(bytes));
}

WRAPS(void *, calloc, size_t n, size_t bytes)
{
    return fails() ? refuse() : block(__real_calloc(n, bytes));
}

WRAPS(void *, aligned_alloc, size_t alignment, size_t bytes)
{
    return fails() ? refuse() : block(__real_aligned_alloc(alignment, bytes));
}

WRAPS(void *, realloc, void *old, size_t bytes)
{
    if (fails())
        return refuse();
    void *made = __real_realloc(old, bytes);
    return old == NULL ? block(made) : made;
}

WRAPS(char *, strdup, const char *text)
{
    return fails() ? refuse() : block(__real_strdup(text));
}

WRAPS(void, free, void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&blocks, 1);
    __real_free(memory);
}

WRAPS(void *, mmap, void *address, size_t bytes, int protection, int flags, int file, off_t offset)
{
    if (fails()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void *made = __real_mmap(address, bytes, protection, flags, file, offset);
    if (made != MAP_FAILED && (flags & MAP_FIXED) == 0)
        atomic_fetch_add(&mapped_bytes, (int64_t)bytes);
    return made;
}

void *__real_mremap(void *old, size_t old_bytes, size_t bytes, int flags, ...);
void *__wrap_mremap(void *old, size_t old_bytes, size_t bytes, int flags, void *to);
void *__wrap_mremap(void *old, size_t old_bytes, size_t bytes, int flags, void *to)
{
    if (!fails())
        return __real_mremap(old, old_bytes, bytes, flags, to);
    errno = ENOMEM;
    return MAP_FAILED;
}

WRAPS(int, munmap, void *address, size_t bytes)
{
    atomic_fetch_sub(&mapped_bytes, (int64_t)bytes);
    return __real_munmap(address, bytes);
}

WRAPS(int, madvise, void *address, size_t bytes, int advice)
{
    if (!fails())
        return __real_madvise(address, bytes, advice);
    errno = ENOMEM;
    return -1;
}

WRAPS(int, pthread_create, pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *user)
{
    return fails() ? EAGAIN : __real_pthread_create(thread, attributes, start, user);
}
