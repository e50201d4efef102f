/* Element types: each has a width and a name, and what is no type has neither. */
#include "tensor/dtype.h"

#include <criterion/criterion.h>
#include <string.h>

Test(dtype, widths)
{
    cr_assert_eq(ftli_dtype_bits(FTL_F64), 64);
    cr_assert_eq(ftli_dtype_bits(FTL_BF16), 16);
    cr_assert_eq(ftli_dtype_bits(FTL_BOOL), 8);
    cr_assert_eq(ftli_dtype_bits(FTL_U4), 4);
    cr_assert_eq(ftli_dtype_bits(FTL_TERNARY), 2);
    cr_assert_eq(ftli_dtype_bits(FTL_I1), 1);
}

Test(dtype, names_are_there_and_tell_types_apart)
{
    for (ftl_dtype one = 1; one < FTLI_DTYPES; one++) {
        cr_assert_neq(ftli_dtype_bits(one), 0, "type %u", one);
        cr_assert_str_neq(ftli_dtype_name(one), "unknown", "type %u", one);
        for (ftl_dtype other = 1; other < one; other++)
            cr_assert_str_neq(ftli_dtype_name(one), ftli_dtype_name(other));
    }
}

Test(dtype, no_type)
{
    static const ftl_dtype none[] = {0, FTLI_DTYPES, UINT32_MAX};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(ftli_dtype_bits(none[i]), 0);
        cr_assert_str_eq(ftli_dtype_name(none[i]), "unknown");
    }
}
