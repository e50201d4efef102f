/* A stand-in for Concurrency Kit's ck_stack.h, of which runtime/kernel/stack.h uses push_upmc and batch_pop_upmc.
 *
 * ck's are inline assembly, which neither the compiler's instrumentation nor relacy sees. These do what ck's source says, step by step,
 * with the weakest orders of C11 that its fences stand for: ck_pr_fence_store before the compare-and-swap that publishes is a
 * release, ck_pr_fence_load after the fetch-and-store that takes is an acquire, ck_pr_load_ptr is a relaxed load.
 */
#ifndef FTLI_TESTS_RELACY_CK_STACK_H
#define FTLI_TESTS_RELACY_CK_STACK_H

#include <stdbool.h>
#include <stddef.h>

struct ck_stack_entry {
    struct ck_stack_entry *next;
};

struct ck_stack {
    struct ck_stack_entry *head;
    char *generation;
};

#define ck_pr_load_ptr(at) __atomic_load_n((at), __ATOMIC_RELAXED)

static inline void ck_stack_push_upmc(struct ck_stack *target, struct ck_stack_entry *entry)
{
    struct ck_stack_entry *stack = ck_pr_load_ptr(&target->head);
    do
        entry->next = stack;
    while (!__atomic_compare_exchange_n(&target->head, &stack, entry, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static inline struct ck_stack_entry *ck_stack_batch_pop_upmc(struct ck_stack *target)
{
    return __atomic_exchange_n(&target->head, NULL, __ATOMIC_ACQUIRE);
}

#endif
