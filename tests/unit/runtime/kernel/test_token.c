#include <criterion/criterion.h>

#include <pthread.h>

#include "runtime/kernel/token.h"

enum { THREADS = 4, ROUNDS = 20000 };

static ftli_token token;
static uint64_t guarded; /* plain: ThreadSanitizer sees it if two are inside */

static void *count_up(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        ftli_token_take(&token);
        guarded++;
        ftli_token_release(&token);
    }
    return unused;
}

Test(token, one_thread_at_a_time_is_inside)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    cr_expect_eq(guarded, (uint64_t)THREADS * ROUNDS);
    cr_expect(ftli_token_try_take(&token), "it is free at the end");
}

Test(token, a_held_one_is_refused)
{
    cr_assert(ftli_token_try_take(&token));
    cr_expect_not(ftli_token_try_take(&token));
    ftli_token_release(&token);
    cr_expect(ftli_token_try_take(&token));
}
