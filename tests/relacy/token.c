/* The token (runtime/kernel/token.[ch]) and the event count (runtime/kernel/event.[ch]).
 *
 * Shipped    all of both files, with one spin instead of a hundred before a sleep (FTLI_TOKEN_SPINS).
 *
 * Properties
 *   T1  one thread at a time has the token, and sees what the one before it did
 *   T2  nobody sleeps for a token that is free
 *   E1  who waits for a condition goes on when it is true: no wake-up is lost, also through an event that forwards
 *
 * planted: token ftli_token_try_take u32_cas_acq_rel release : who takes a free token does not acquire (T1)
 * planted: token ftli_token_take_slow u32_exchange_acq_rel release : who had to wait does not acquire (T1)
 * planted: token ftli_token_release u32_exchange_acq_rel acquire : a release does not release (T1)
 * planted: event ftli_event_prepare u32_fetch_add_seq_cst acq_rel : the announcement is not in the one order of all (E1)
 * planted: event advance u32_load_seq_cst acquire : the look for sleepers is not in it (E1)
 * planted: event is_made u32_load_seq_cst acquire : the waiter's second look is not in it (E1)
 * planted: event make u32_store_seq_cst release : the condition becomes true outside of it (E1)
 * planted: event_forward ftli_event_prepare u32_fetch_add_seq_cst acq_rel : the same, where the event forwards (E1)
 */
#include "runtime/base/clock.h"
#include "runtime/kernel/event.h"
#include "runtime/kernel/token.h"
#include "tests/relacy/machine.h"

static ftli_token one;
static uint64_t counted;

static void begin_token(void)
{
    one = (ftli_token){{0}};
    counted = 0;
    relacy_name(&one, sizeof one, "token");
}

static void count_twice(void)
{
    for (int i = 0; i < 2; i++) {
        ftli_token_take(&one);
        counted++;
        ftli_token_release(&one);
    }
}

static void try_to_count(void)
{
    ftli_token_take(&one);
    counted += 3;
    ftli_token_release(&one);
    if (ftli_token_try_take(&one)) {
        counted--;
        counted++;
        ftli_token_release(&one);
    }
}

static void all_counted(void)
{
    RELACY_CHECK(counted == 4 + 3);
    RELACY_CHECK(ftli_u32_load_relaxed(&one.word) == FTLI_TOKEN_FREE);
}

static relacy_test token = {"token",     3,    begin_token, {count_twice, count_twice, try_to_count},
                            all_counted, 8000, 10000,       0};
RELACY_TEST(token)

/* ---- the event count -------------------------------------------------------------------------------------------------------- */

static ftli_event event, lend;
static ftli_atomic_u32 made;
static uint64_t payload;

static void begin_event(void)
{
    event = lend = (ftli_event){{0}, {0}, {NULL}};
    ftli_u32_store_relaxed(&made, 0);
    payload = 0;
    relacy_name(&event, sizeof event, "event");
    relacy_name(&lend, sizeof lend, "lend");
    relacy_name(&made, sizeof made, "made");
}

/* Both noinline, so that the weakenings find them. */
static FTLI_NOINLINE bool is_made(void)
{
    return ftli_u32_load_seq_cst(&made) != 0;
}

static FTLI_NOINLINE void make(void)
{
    ftli_u32_store_seq_cst(&made, 1);
}

static void wait_for_it(void)
{
    for (;;) {
        uint32_t ticket = ftli_event_prepare(&event);
        if (is_made()) {
            ftli_event_cancel(&event);
            break;
        }
        RELACY_CHECK(ftli_event_wait(&event, ticket, FTLI_NEVER_NS));
    }
    RELACY_CHECK(payload == 1);
}

static void make_and_signal(void)
{
    payload = 1;
    make();
    (void)ftli_event_signal_all(&event);
}

static void nobody_is_left(void)
{
    RELACY_CHECK(ftli_u32_load_relaxed(&event.waiters) == 0);
    RELACY_CHECK(ftli_u32_load_relaxed(&lend.waiters) == 0);
}

static relacy_test event_test = {"event",        3,    begin_event, {wait_for_it, make_and_signal, wait_for_it},
                                 nobody_is_left, 8000, 10000,       0};
RELACY_TEST(event_test)

/* As runtime/kernel/wait.c waits, for a thread that is lent: on another event, to which its own forwards. */
static void wait_elsewhere(void)
{
    for (;;) {
        uint32_t ticket = ftli_event_prepare(&event);
        if (is_made()) {
            ftli_event_cancel(&event);
            break;
        }
        ftli_pointer_store_seq_cst(&event.forward, &lend);
        while (ftli_u32_load_seq_cst(&event.epoch) == ticket) {
            uint32_t lend_ticket = ftli_event_prepare(&lend);
            if (ftli_u32_load_seq_cst(&event.epoch) != ticket)
                ftli_event_cancel(&lend);
            else
                RELACY_CHECK(ftli_event_wait(&lend, lend_ticket, FTLI_NEVER_NS));
        }
        ftli_event_cancel(&event);
    }
    RELACY_CHECK(payload == 1);
}

static relacy_test event_forward = {"event_forward", 2,    begin_event, {wait_elsewhere, make_and_signal},
                                    nobody_is_left,  8000, 10000,       0};
RELACY_TEST(event_forward)
