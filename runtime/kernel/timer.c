#include "runtime/kernel/timer.h"

#include "runtime/base/clock.h"

static bool before(const ftli_timer *a, const ftli_timer *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->sequence < b->sequence;
}

/* Two heaps without siblings into one; either may be NULL. */
static ftli_timer *meld(ftli_timer *a, ftli_timer *b)
{
    if (a == NULL)
        return b;
    if (b == NULL)
        return a;
    if (before(b, a)) {
        ftli_timer *other = a;
        a = b;
        b = other;
    }
    b->next = a->child;
    if (b->next != NULL)
        b->next->previous = b;
    b->previous = a;
    a->child = b;
    return a;
}

/* The siblings from `first` on, melded in pairs and then from right to left: what makes the heap's bounds hold. */
static ftli_timer *meld_siblings(ftli_timer *first)
{
    ftli_timer *pairs = NULL; /* a list through next, last pair first */
    while (first != NULL) {
        ftli_timer *a = first;
        ftli_timer *b = a->next;
        first = b != NULL ? b->next : NULL;
        a->next = a->previous = NULL;
        if (b != NULL)
            b->next = b->previous = NULL;
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    ftli_timer *root = NULL;
    while (pairs != NULL) {
        ftli_timer *following = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = following;
    }
    return root;
}

static void take_out(ftli_timer_heap *heap, ftli_timer *timer)
{
    ftli_timer *below = meld_siblings(timer->child);
    if (timer == heap->root) {
        heap->root = below;
    } else {
        if (timer->previous->child == timer)
            timer->previous->child = timer->next;
        else
            timer->previous->next = timer->next;
        if (timer->next != NULL)
            timer->next->previous = timer->previous;
        heap->root = meld(heap->root, below);
    }
    timer->child = timer->next = timer->previous = NULL;
}

void ftli_timer_arm(ftli_timer_heap *heap, ftli_timer *timer, uint64_t due_ns)
{
    if (timer->state == FTLI_TIMER_DUE)
        return; /* its message is on its way: the two coalesce */
    if (timer->state == FTLI_TIMER_ARMED)
        take_out(heap, timer);
    timer->state = FTLI_TIMER_ARMED;
    timer->due_ns = due_ns;
    timer->sequence = heap->sequence++;
    timer->child = timer->next = timer->previous = NULL;
    heap->root = meld(heap->root, timer);
}

bool ftli_timer_disarm(ftli_timer_heap *heap, ftli_timer *timer)
{
    if (timer->state != FTLI_TIMER_ARMED)
        return false;
    take_out(heap, timer);
    timer->state = FTLI_TIMER_IDLE;
    return true;
}

ftli_timer *ftli_timer_take_due(ftli_timer_heap *heap, uint64_t now_ns)
{
    ftli_timer *timer = heap->root;
    if (timer == NULL || timer->due_ns > now_ns)
        return NULL;
    take_out(heap, timer);
    timer->state = FTLI_TIMER_DUE;
    return timer;
}

uint64_t ftli_timer_next_ns(const ftli_timer_heap *heap)
{
    return heap->root != NULL ? heap->root->due_ns : FTLI_NEVER_NS;
}
