/* The public header on its own: sizes that are part of the ABI, and values that callers may keep. */
#include <fettle/fettle.h>

#include <criterion/criterion.h>
#include <assert.h>
#include <string.h>

/* What a program was compiled with must fit a later library: sizes, and where the new fields would begin. */
#define LAID_OUT(type, size_bytes, reserved_at)                                         \
    static_assert(sizeof(type) == (size_bytes), #type ": its size is part of the ABI"); \
    static_assert(offsetof(type, reserved) == (reserved_at), #type ": its fields are part of the ABI")

LAID_OUT(ftl_tensor_options, 128, 80);
LAID_OUT(ftl_tensor_description, 384, 296);
LAID_OUT(ftl_stats, 512, 288);
LAID_OUT(ftl_scope_options, 128, 56);
LAID_OUT(ftl_scope_description, 128, 80);
LAID_OUT(ftl_event, 96, 64);
LAID_OUT(ftl_open_options, 128, 88);
LAID_OUT(ftl_close_report, 88, 56);
LAID_OUT(ftl_leak, 200, 184);
LAID_OUT(ftl_leak_report, 64, 48);
LAID_OUT(ftl_leak_options, 64, 24);
LAID_OUT(ftl_defragment_options, 64, 32);
LAID_OUT(ftl_defragment_result, 104, 72);

static_assert(sizeof(ftl_dtype) == 4, "no enum: its size does not depend on compiler flags");

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
