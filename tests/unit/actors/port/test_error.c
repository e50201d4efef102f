/* Names of statuses, and each thread's last sentence. */
#include <pthread.h>

#include "tests/unit/actors/port/port_support.h"

Test(error, every_status_has_a_sentence_of_its_own)
{
    for (int status = FTL_OK; status >= FTL_EINTERNAL; status--) {
        const char *text = ftl_strerror(status);
        cr_assert_not_null(text);
        cr_assert_str_neq(text, "no such status", "status %d", status);
        for (int other = FTL_OK; other > status; other--)
            cr_assert_str_neq(text, ftl_strerror(other), "statuses %d and %d", status, other);
    }
    cr_assert_str_eq(ftl_strerror(1), "no such status");
    cr_assert_str_eq(ftl_strerror(FTL_EINTERNAL - 1), "no such status");
    cr_assert_str_eq(ftl_strerror(INT32_MIN), "no such status");
    cr_assert_str_eq(ftl_strerror(INT32_MAX), "no such status");
}

static void *asks(void *before)
{
    *(bool *)before = ftl_last_error()[0] == '\0';
    (void)ftli_fail(FTL_EINVAL, "of the other thread");
    return NULL;
}

Test(error, each_thread_has_its_last_one)
{
    pthread_t thread;
    bool was_empty = false;
    cr_assert_str_eq(ftl_last_error(), "", "never NULL, also before any");
    cr_assert_eq(ftli_fail(FTL_ELIMIT, "%d of %s", 5, "these"), FTL_ELIMIT);
    cr_assert_eq(pthread_create(&thread, NULL, asks, &was_empty), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert(was_empty);
    cr_assert_str_eq(ftl_last_error(), "5 of these");
}

Test(error, a_sentence_without_end_is_cut)
{
    char endless[2000];
    memset(endless, 'y', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    (void)ftli_fail(FTL_EINVAL, "%s", endless);
    cr_assert_eq(strlen(ftl_last_error()), 511);
}

Test(error, the_version_is_the_headers)
{
    cr_assert_eq(ftl_version() >> 16, FTL_VERSION_MAJOR);
    cr_assert_eq(ftl_version() >> 8 & 0xff, FTL_VERSION_MINOR);
    cr_assert_eq(ftl_version() & 0xff, FTL_VERSION_PATCH);
}
