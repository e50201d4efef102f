/* The atomics layer: every shared word of the library is one of these types, and the order is part of the name.
 *
 * What      Loads, stores, compare-and-swap and a few read-modify-writes over 32 and 64 bit words and pointers.
 * Threads   All functions may be called by any thread; `_owner` ones only by the word's one writer.
 * Progress  Wait-free, but for the weak compare-and-swap's caller, who loops (lock-free).
 * Why       A struct around the word keeps plain accesses out by type, compiles as C++, and lets a checker of
 *           memory orders stand in for this file. There is no standalone fence: ThreadSanitizer does not model it.
 */
#ifndef FTLI_RUNTIME_BASE_ATOMICS_H
#define FTLI_RUNTIME_BASE_ATOMICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FTLI_CACHE_LINE 64
#if defined __cplusplus
#define FTLI_ALIGNED(n) alignas(n)
#else
#define FTLI_ALIGNED(n) _Alignas(n)
#endif

#define FTLI_LIKELY(x)   __builtin_expect(!!(x), 1)
#define FTLI_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define FTLI_NOINLINE    __attribute__((noinline))
#define FTLI_COLD        __attribute__((noinline, cold))
#define FTLI_INLINE      static inline __attribute__((always_inline, unused))

typedef struct {
    uint32_t word;
} ftli_atomic_u32;
typedef struct {
    uint64_t word;
} ftli_atomic_u64;
typedef struct {
    void *word;
} ftli_atomic_pointer;

#define FTLI_DEFINE_ATOMIC(name, type, value)                                                                       \
    FTLI_INLINE value ftli_##name##_load_relaxed(const type *a)                                                     \
    {                                                                                                               \
        return __atomic_load_n(&a->word, __ATOMIC_RELAXED);                                                         \
    }                                                                                                               \
    FTLI_INLINE value ftli_##name##_load_acquire(const type *a)                                                     \
    {                                                                                                               \
        return __atomic_load_n(&a->word, __ATOMIC_ACQUIRE);                                                         \
    }                                                                                                               \
    FTLI_INLINE value ftli_##name##_load_seq_cst(const type *a)                                                     \
    {                                                                                                               \
        return __atomic_load_n(&a->word, __ATOMIC_SEQ_CST);                                                         \
    }                                                                                                               \
    FTLI_INLINE void ftli_##name##_store_relaxed(type *a, value v)                                                  \
    {                                                                                                               \
        __atomic_store_n(&a->word, v, __ATOMIC_RELAXED);                                                            \
    }                                                                                                               \
    FTLI_INLINE void ftli_##name##_store_release(type *a, value v)                                                  \
    {                                                                                                               \
        __atomic_store_n(&a->word, v, __ATOMIC_RELEASE);                                                            \
    }                                                                                                               \
    FTLI_INLINE void ftli_##name##_store_seq_cst(type *a, value v)                                                  \
    {                                                                                                               \
        __atomic_store_n(&a->word, v, __ATOMIC_SEQ_CST);                                                            \
    }                                                                                                               \
    /* On failure *expected becomes what was found. */                                                              \
    FTLI_INLINE bool ftli_##name##_cas_acq_rel(type *a, value *expected, value desired)                             \
    {                                                                                                               \
        return __atomic_compare_exchange_n(&a->word, expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); \
    }                                                                                                               \
    FTLI_INLINE bool ftli_##name##_cas_seq_cst(type *a, value *expected, value desired)                             \
    {                                                                                                               \
        return __atomic_compare_exchange_n(&a->word, expected, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
    }                                                                                                               \
    FTLI_INLINE value ftli_##name##_exchange_acq_rel(type *a, value v)                                              \
    {                                                                                                               \
        return __atomic_exchange_n(&a->word, v, __ATOMIC_ACQ_REL);                                                  \
    }                                                                                                               \
    FTLI_INLINE value ftli_##name##_exchange_seq_cst(type *a, value v)                                              \
    {                                                                                                               \
        return __atomic_exchange_n(&a->word, v, __ATOMIC_SEQ_CST);                                                  \
    }

FTLI_DEFINE_ATOMIC(u32, ftli_atomic_u32, uint32_t)
FTLI_DEFINE_ATOMIC(u64, ftli_atomic_u64, uint64_t)
FTLI_DEFINE_ATOMIC(pointer, ftli_atomic_pointer, void *)

#define FTLI_DEFINE_COUNTER(name, type, value)                                           \
    FTLI_INLINE value ftli_##name##_fetch_add_relaxed(type *a, value v)                  \
    {                                                                                    \
        return __atomic_fetch_add(&a->word, v, __ATOMIC_RELAXED);                        \
    }                                                                                    \
    FTLI_INLINE value ftli_##name##_fetch_add_acq_rel(type *a, value v)                  \
    {                                                                                    \
        return __atomic_fetch_add(&a->word, v, __ATOMIC_ACQ_REL);                        \
    }                                                                                    \
    FTLI_INLINE value ftli_##name##_fetch_add_seq_cst(type *a, value v)                  \
    {                                                                                    \
        return __atomic_fetch_add(&a->word, v, __ATOMIC_SEQ_CST);                        \
    }                                                                                    \
    FTLI_INLINE value ftli_##name##_fetch_or_seq_cst(type *a, value v)                   \
    {                                                                                    \
        return __atomic_fetch_or(&a->word, v, __ATOMIC_SEQ_CST);                         \
    }                                                                                    \
    FTLI_INLINE value ftli_##name##_fetch_or_acq_rel(type *a, value v)                   \
    {                                                                                    \
        return __atomic_fetch_or(&a->word, v, __ATOMIC_ACQ_REL);                         \
    }                                                                                    \
    FTLI_INLINE value ftli_##name##_fetch_and_seq_cst(type *a, value v)                  \
    {                                                                                    \
        return __atomic_fetch_and(&a->word, v, __ATOMIC_SEQ_CST);                        \
    }                                                                                    \
    FTLI_INLINE value ftli_##name##_fetch_and_acq_rel(type *a, value v)                  \
    {                                                                                    \
        return __atomic_fetch_and(&a->word, v, __ATOMIC_ACQ_REL);                        \
    }                                                                                    \
    /* A counter with one writer: a plain addition that readers may load at any time. */ \
    FTLI_INLINE void ftli_##name##_add_owner(type *a, value v)                           \
    {                                                                                    \
        FTLI_ADD_OWNER(name, a, v);                                                      \
    }

/* Where a processor's instruction says in one what the builtins say in two. ThreadSanitizer must see the builtins, and so must what
 * checks the orders (tests/relacy), which defines FTLI_X86 as 0. */
#if defined __has_feature
#if __has_feature(thread_sanitizer) && !defined __SANITIZE_THREAD__
#define __SANITIZE_THREAD__ 1 /* as gcc says it */
#endif
#endif
#if defined FTLI_X86
#elif defined __x86_64__ && !defined __SANITIZE_THREAD__
#define FTLI_X86 1
#else
#define FTLI_X86 0
#endif

/* On x86-64 one instruction with memory: its load and its store are not one step for others, and need not be, since nobody
 * else writes; the clobber makes it a release for the compiler, and every store is one for the processor. */
#if FTLI_X86
#define FTLI_LETTER_u32 "l"
#define FTLI_LETTER_u64 "q"
#define FTLI_ADD_OWNER(name, a, v) \
    __asm__ __volatile__("add" FTLI_LETTER_##name " %1, %0" : "+m"((a)->word) : "re"(v) : "cc", "memory")
#else
#define FTLI_ADD_OWNER(name, a, v) \
    __atomic_store_n(&(a)->word, __atomic_load_n(&(a)->word, __ATOMIC_RELAXED) + (v), __ATOMIC_RELEASE)
#endif

FTLI_DEFINE_COUNTER(u32, ftli_atomic_u32, uint32_t)
FTLI_DEFINE_COUNTER(u64, ftli_atomic_u64, uint64_t)

/* A load that acquires, and its comparison. */
FTLI_INLINE bool ftli_u32_equals_acquire(const ftli_atomic_u32 *a, uint32_t v)
{
#if FTLI_X86
    bool equal;
    __asm__ __volatile__("cmpl %2, %1" : "=@cce"(equal) : "m"(a->word), "re"(v) : "memory");
    return equal;
#else
    return ftli_u32_load_acquire(a) == v;
#endif
}

FTLI_INLINE bool ftli_u64_equals_acquire(const ftli_atomic_u64 *a, uint64_t v)
{
#if FTLI_X86
    bool equal;
    __asm__ __volatile__("cmpq %2, %1" : "=@cce"(equal) : "m"(a->word), "re"(v) : "memory");
    return equal;
#else
    return ftli_u64_load_acquire(a) == v;
#endif
}

/* A word that only the caller's own thread writes while it lives: those that write it before and after are ordered with it by what
 * ThreadSanitizer does not see (a thread's death, told by a robust mutex). Plain, so that an instruction may take it from memory. */
FTLI_INLINE uint64_t ftli_u64_load_plain(const ftli_atomic_u64 *a)
{
#if defined __SANITIZE_THREAD__
    return ftli_u64_load_relaxed(a);
#else
    return a->word;
#endif
}

FTLI_INLINE void *ftli_pointer_load_plain(const ftli_atomic_pointer *a)
{
#if defined __SANITIZE_THREAD__
    return ftli_pointer_load_relaxed(a);
#else
    return a->word;
#endif
}

/* A count of the caller's own, one down. True: it is 0 now. */
FTLI_INLINE bool ftli_count_down(uint64_t *count)
{
#if FTLI_X86
    bool zero;
    __asm__ __volatile__("subq $1, %1" : "=@ccz"(zero), "+m"(*count));
    return zero;
#else
    return --*count == 0;
#endif
}

/* Takes n from what its owner has left, nobody else's; whether it was more than that. */
FTLI_INLINE bool ftli_take_down(int64_t *left, int64_t n)
{
#if FTLI_X86
    bool below;
    __asm__ __volatile__("subq %2, %1" : "=@ccs"(below), "+m"(*left) : "re"(n));
    return below;
#else
    return (*left -= n) < 0;
#endif
}

/* Two words on 16 bytes become those of two others, each by a relaxed load and a store that releases; they are not read or written as
 * one. */
FTLI_INLINE void ftli_u64_copy_two(ftli_atomic_u64 *to, const ftli_atomic_u64 *from)
{
#if FTLI_X86
    struct two {
        uint64_t words[2];
    };
    __asm__ __volatile__("movaps %1, %%xmm0\n\tmovaps %%xmm0, %0"
                         : "=m"(*(struct two *)(void *)to)
                         : "m"(*(const struct two *)(const void *)from)
                         : "xmm0", "memory");
#else
    uint64_t first = ftli_u64_load_relaxed(&from[0]), second = ftli_u64_load_relaxed(&from[1]);
    ftli_u64_store_release(&to[0], first);
    ftli_u64_store_release(&to[1], second);
#endif
}

/* A pointer with one writer moves by so many bytes. */
FTLI_INLINE void ftli_pointer_move_owner(ftli_atomic_pointer *a, ptrdiff_t bytes)
{
#if FTLI_X86
    __asm__ __volatile__("addq %1, %0" : "+m"(a->word) : "re"(bytes) : "cc", "memory");
#else
    ftli_pointer_store_release(a, (char *)ftli_pointer_load_relaxed(a) + bytes);
#endif
}

/* Keeps the compiler, not the processor, from moving accesses across it. */
#define FTLI_COMPILER_BARRIER() __asm__ __volatile__("" ::: "memory")

FTLI_INLINE void ftli_cpu_relax(void)
{
#if defined __x86_64__
    __builtin_ia32_pause();
#endif
}

#endif
