#include <criterion/criterion.h>

#include "runtime/base/clock.h"
#include "runtime/base/random.h"
#include "runtime/kernel/timer.h"

enum { N = 300 };

Test(timer, they_come_in_the_order_of_their_times)
{
    ftli_timer_heap heap = {.root = NULL};
    static ftli_timer timers[N];
    ftli_random_state r;
    ftli_random_seed(&r, 5);
    for (int i = 0; i < N; i++)
        ftli_timer_arm(&heap, &timers[i], ftli_random_below(&r, 1000));
    uint64_t last = 0;
    for (int i = 0; i < N; i++) {
        const uint64_t next = ftli_timer_next_ns(&heap);
        cr_assert_null(ftli_timer_take_due(&heap, next - 1));
        const ftli_timer *timer = ftli_timer_take_due(&heap, next);
        cr_assert_not_null(timer);
        cr_assert_geq(timer->due_ns, last);
        last = timer->due_ns;
    }
    cr_expect_eq(ftli_timer_next_ns(&heap), FTLI_NEVER_NS);
    cr_expect_null(ftli_timer_take_due(&heap, FTLI_NEVER_NS));
}

Test(timer, equals_come_in_the_order_of_arming)
{
    ftli_timer_heap heap = {.root = NULL};
    static ftli_timer timers[N];
    for (int i = 0; i < N; i++)
        ftli_timer_arm(&heap, &timers[i], 10);
    for (int i = 0; i < N; i++)
        cr_assert_eq(ftli_timer_take_due(&heap, 10), &timers[i]);
}

/* Against a plain array: arm, move, disarm and take at random. */
Test(timer, the_heap_agrees_with_an_array)
{
    ftli_timer_heap heap = {.root = NULL};
    static ftli_timer timers[N];
    bool armed[N] = {false};
    uint64_t due[N] = {0};
    ftli_random_state r;
    ftli_random_seed(&r, 6);
    for (int step = 0; step < 50000; step++) {
        const uint32_t i = ftli_random_below(&r, N);
        const uint32_t what = ftli_random_below(&r, 4);
        if (what < 2) {
            due[i] = ftli_random_below(&r, 100000);
            armed[i] = true;
            ftli_timer_arm(&heap, &timers[i], due[i]);
        } else if (what == 2) {
            cr_assert_eq(ftli_timer_disarm(&heap, &timers[i]), armed[i]);
            armed[i] = false;
        }
        uint64_t least = FTLI_NEVER_NS;
        for (int k = 0; k < N; k++)
            if (armed[k] && due[k] < least)
                least = due[k];
        cr_assert_eq(ftli_timer_next_ns(&heap), least);
        if (what == 3 && least != FTLI_NEVER_NS) {
            ftli_timer *timer = ftli_timer_take_due(&heap, least);
            cr_assert_eq(timer->due_ns, least);
            cr_assert_eq(timer->state, FTLI_TIMER_DUE);
            ftli_timer_arm(&heap, timer, 1);
            cr_assert_eq(timer->state, FTLI_TIMER_DUE, "one that is on its way is not armed a second time");
            cr_assert_not(ftli_timer_disarm(&heap, timer));
            timer->state = FTLI_TIMER_IDLE;
            armed[timer - timers] = false;
        }
    }
}
