#ifndef FTLI_ACTORS_ALLOCATION_OS_MEMORY_H
#define FTLI_ACTORS_ALLOCATION_OS_MEMORY_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <sys/mman.h>
static inline void *ftli_os_reserve(size_t bytes, size_t alignment)
{
    size_t all = bytes + (alignment > 4096 ? alignment : 0);
    char *p = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    size_t front = alignment > 4096 ? (size_t)(-(uintptr_t)p & (alignment - 1)) : 0;
    if (front) {
        munmap(p, front);
    }
    if (all - front - bytes) {
        munmap(p + front + bytes, all - front - bytes);
    }
    return p + front;
}
static inline void *ftli_os_reserve_at(void *wanted, size_t bytes)
{
    void *p = mmap(wanted, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == wanted) {
        return p;
    }
    if (p != MAP_FAILED) {
        munmap(p, bytes);
    }
    return NULL;
}
static inline bool ftli_os_advise_no_huge(void *address, size_t bytes)
{
    return madvise(address, bytes, MADV_NOHUGEPAGE) == 0;
}
static inline void ftli_os_release(void *address, size_t bytes)
{
    munmap(address, bytes);
}
static inline bool ftli_os_discard(void *address, size_t bytes)
{
    return madvise(address, bytes, MADV_DONTNEED) == 0;
}
static inline bool ftli_os_advise_huge(void *address, size_t bytes)
{
    return madvise(address, bytes, MADV_HUGEPAGE) == 0;
}
#endif
