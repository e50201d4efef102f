/* The public header on its own: sizes that are part of the ABI, and values that callers may keep. */
#include <fettle/fettle.h>

#include <criterion/criterion.h>
#include <string.h>

Test(public_header, handles_are_one_word)
{
    cr_assert_eq(sizeof(ftl_tensor), 8);
    cr_assert_eq(sizeof(ftl_scope), 8);
}

Test(public_header, results_are_distinct_and_negative)
{
    static const int results[] = {FTL_EINVAL,  FTL_ENOMEM,  FTL_ESTALE,  FTL_EBUSY,   FTL_ETIMEDOUT, FTL_ELIMIT,
                                  FTL_ECONFIG, FTL_EDEVICE, FTL_ECLOSED, FTL_ENOTSUP, FTL_EINTERNAL};
    unsigned seen = 0;
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        cr_assert_lt(results[i], FTL_OK);
        cr_assert_eq(seen & (1U << -results[i]), 0, "%d is there twice", results[i]);
        seen |= 1U << -results[i];
    }
}

Test(public_header, here_names_file_and_line)
{
    cr_assert_not_null(strstr(FTL_HERE, "test_public_header.c:"), "%s", FTL_HERE);
}
