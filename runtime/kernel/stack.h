/* The lock-free list under a lane: ck_stack's push_upmc and batch_pop_upmc, and nothing else of ck.
 *
 * What      Any thread pushes one link; any thread takes all of them at once, newest first.
 * Owns      A link from its push until the take that returns it.
 * Progress  push is lock-free and async-signal-safe and cannot fail; take_all is wait-free.
 * Orders    A push is also a full barrier (a locked instruction on x86-64; the caller adds a sequentially
 *           consistent operation of its own where it relies on that, so that the C11 model agrees).
 * TSan      cannot see ck's inline assembly: its accesses are hidden, and what they order is declared
 * instead.
 */
#ifndef FTLI_RUNTIME_KERNEL_STACK_H
#define FTLI_RUNTIME_KERNEL_STACK_H

#include <ck_stack.h>

#include "runtime/kernel/message.h"

#if defined __has_feature
#if __has_feature(thread_sanitizer)
#define FTLI_TSAN 1
#endif
#endif
#if defined __SANITIZE_THREAD__
#define FTLI_TSAN 1
#endif

#if defined FTLI_TSAN
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
void __tsan_acquire(void *at);
void __tsan_release(void *at);
#define FTLI_TSAN_HIDE_BEGIN() \
    (AnnotateIgnoreReadsBegin(__FILE__, __LINE__), AnnotateIgnoreWritesBegin(__FILE__, __LINE__))
#define FTLI_TSAN_HIDE_END()  (AnnotateIgnoreWritesEnd(__FILE__, __LINE__), AnnotateIgnoreReadsEnd(__FILE__, __LINE__))
#define FTLI_TSAN_RELEASE(at) __tsan_release(at)
#define FTLI_TSAN_ACQUIRE(at) __tsan_acquire(at)
#else
#define FTLI_TSAN_HIDE_BEGIN() ((void)0)
#define FTLI_TSAN_HIDE_END()   ((void)0)
#define FTLI_TSAN_RELEASE(at)  ((void)(at))
#define FTLI_TSAN_ACQUIRE(at)  ((void)(at))
#endif

typedef struct {
    struct ck_stack list; /* zeroed: empty */
} ftli_stack;

_Static_assert(sizeof(ftli_link) == sizeof(struct ck_stack_entry), "a link is a ck_stack entry");
_Static_assert(offsetof(ftli_link, next) == offsetof(struct ck_stack_entry, next), "a link is a ck_stack entry");

FTLI_INLINE void ftli_stack_push(ftli_stack *stack, ftli_link *link)
{
    FTLI_TSAN_RELEASE(link); /* pairs: stack-link, with ftli_stack_next */
    FTLI_TSAN_HIDE_BEGIN();
    ck_stack_push_upmc(&stack->list, (struct ck_stack_entry *)(void *)link);
    FTLI_TSAN_HIDE_END();
}

/* All that was pushed, newest first, or NULL. Walk it by ftli_stack_next only. */
FTLI_INLINE ftli_link *ftli_stack_take_all(ftli_stack *stack)
{
    FTLI_TSAN_HIDE_BEGIN();
    struct ck_stack_entry *first = ck_stack_batch_pop_upmc(&stack->list);
    FTLI_TSAN_HIDE_END();
    return (ftli_link *)(void *)first;
}

/* Makes a link of a taken batch this thread's (what its sender wrote is seen from here on); returns its
 * successor. */
FTLI_INLINE ftli_link *ftli_stack_next(ftli_link *link)
{
    FTLI_TSAN_ACQUIRE(link); /* pairs: stack-link, with ftli_stack_push */
    FTLI_TSAN_HIDE_BEGIN();
    ftli_link *next = link->next;
    FTLI_TSAN_HIDE_END();
    return next;
}

/* A hint, exact for a caller ordered with the pushes it asks about (see the actor word). */
FTLI_INLINE bool ftli_stack_is_empty(const ftli_stack *stack)
{
    FTLI_TSAN_HIDE_BEGIN();
    const bool empty = ck_pr_load_ptr(&stack->list.head) == NULL;
    FTLI_TSAN_HIDE_END();
    return empty;
}

#endif
