/* The clock: what it says is CLOCK_MONOTONIC, for any thread, also for a handler that interrupts whoever looks. */
#include "runtime/base/clock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#define BOUND_NS (100 * FTLI_NS_PER_US) /* stated: 17 us; a wrong rate or anchor is off by more soon */
#define LONG_NS  (300 * FTLI_NS_PER_MS) /* a dozen anchors */

struct reader {
    pthread_t thread;
    uint64_t reads, furthest_ns, backwards_ns;
};

static void *read_for_long(void *user)
{
    struct reader *reader = user;
    uint64_t end_ns = ftli_clock_system_ns() + LONG_NS, before_ns, last_ns = 0;
    do {
        before_ns = ftli_clock_system_ns();
        uint64_t now_ns = ftli_clock_now_ns();
        uint64_t after_ns = ftli_clock_system_ns();
        uint64_t off_ns = now_ns < before_ns ? before_ns - now_ns : now_ns > after_ns ? now_ns - after_ns : 0;
        if (off_ns > reader->furthest_ns)
            reader->furthest_ns = off_ns;
        if (now_ns < last_ns && last_ns - now_ns > reader->backwards_ns)
            reader->backwards_ns = last_ns - now_ns;
        last_ns = now_ns;
        reader->reads++;
    } while (before_ns < end_ns);
    return NULL;
}

Test(clock, is_the_systems_for_all_threads)
{
    enum { N = 8 };
    static struct reader readers[N];
    for (unsigned i = 0; i < N; i++)
        cr_assert_eq(pthread_create(&readers[i].thread, NULL, read_for_long, &readers[i]), 0);
    for (unsigned i = 0; i < N; i++) {
        cr_assert_eq(pthread_join(readers[i].thread, NULL), 0);
        cr_assert_gt(readers[i].reads, 1);
        cr_assert_lt(readers[i].furthest_ns, BOUND_NS, "off by %llu ns", (unsigned long long)readers[i].furthest_ns);
        cr_assert_lt(readers[i].backwards_ns, BOUND_NS, "backwards by %llu",
                     (unsigned long long)readers[i].backwards_ns);
    }
}

static ftli_atomic_u64 handled, handler_off_ns;

static void on_alarm(int number)
{
    (void)number;
    uint64_t before_ns = ftli_clock_system_ns(), now_ns = ftli_clock_now_ns(), after_ns = ftli_clock_system_ns();
    uint64_t off_ns = now_ns < before_ns ? before_ns - now_ns : now_ns > after_ns ? now_ns - after_ns : 0;
    if (off_ns > ftli_u64_load_relaxed(&handler_off_ns))
        ftli_u64_store_relaxed(&handler_off_ns, off_ns);
    ftli_u64_add_owner(&handled, 1);
}

Test(clock, in_a_handler_waits_for_nobody)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    const struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    static struct reader reader;
    (void)read_for_long(&reader);
    cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    cr_assert_gt(ftli_u64_load_relaxed(&handled), 0);
    cr_assert_lt(ftli_u64_load_relaxed(&handler_off_ns), BOUND_NS);
    cr_assert_lt(reader.furthest_ns, BOUND_NS, "off by %llu ns", (unsigned long long)reader.furthest_ns);
}
