#include <criterion/criterion.h>

#include <pthread.h>

#include "runtime/base/clock.h"
#include "runtime/kernel/event.h"

static ftli_event event;
static ftli_atomic_u64 turn;

/* Two threads that wait for each other in turn: a lost wake-up stops both. */
static void *every_other(void *parity)
{
    const uint64_t mine = (uintptr_t)parity;
    for (uint64_t i = mine; i < 20000; i += 2) {
        for (;;) {
            const uint32_t ticket = ftli_event_prepare(&event);
            if (ftli_u64_load_seq_cst(&turn) == i) {
                ftli_event_cancel(&event);
                break;
            }
            if (!ftli_event_wait(&event, ticket, ftli_clock_now_ns() + 60 * FTLI_NS_PER_S))
                return NULL;
        }
        ftli_u64_store_seq_cst(&turn, i + 1);
        (void)ftli_event_signal(&event);
    }
    return &event;
}

Test(event, no_signal_is_lost)
{
    pthread_t other;
    void *result;
    cr_assert_eq(pthread_create(&other, NULL, every_other, (void *)1), 0);
    cr_expect_not_null(every_other((void *)0));
    (void)pthread_join(other, &result);
    cr_expect_not_null(result);
    cr_expect_eq(ftli_u64_load_seq_cst(&turn), 20000);
    cr_expect_eq(ftli_u32_load_seq_cst(&event.waiters), 0);
}

Test(event, a_signal_between_prepare_and_wait_is_seen)
{
    const uint32_t ticket = ftli_event_prepare(&event);
    cr_expect(ftli_event_signal_all(&event));
    cr_expect(ftli_event_wait(&event, ticket, FTLI_NEVER_NS));
    cr_expect_eq(ftli_u32_load_seq_cst(&event.waiters), 0);
}

Test(event, without_a_waiter_a_signal_does_nothing)
{
    cr_expect_not(ftli_event_signal(&event));
    cr_expect_eq(ftli_u32_load_seq_cst(&event.epoch), 0);
}

Test(event, a_deadline_ends_the_wait)
{
    const uint32_t ticket = ftli_event_prepare(&event);
    cr_expect_not(ftli_event_wait(&event, ticket, ftli_clock_now_ns() + FTLI_NS_PER_MS));
    cr_expect_eq(ftli_u32_load_seq_cst(&event.waiters), 0);
}
