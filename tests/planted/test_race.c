/* A planted bug: two threads count in one plain word. ThreadSanitizer must find it, and ctest must see that. */
#include <criterion/criterion.h>
#include <pthread.h>

static int counter;

static void *count(void *unused)
{
    for (int i = 0; i < 1000; i++)
        counter++;
    return unused;
}

Test(planted, race)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
}
