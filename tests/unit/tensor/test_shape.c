/* Shapes: bytes, what fits a header, strides, and how far a strided view reaches. */
#include "tensor/shape.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *why;

/* What ftli_shape_bytes answers; *bytes must be untouched on failure. */
static int bytes_of(ftl_dtype dtype, uint32_t ndim, const int64_t *shape, uint64_t *bytes)
{
    *bytes = 12345;
    int status = ftli_shape_bytes(dtype, ndim, shape, bytes, &why);
    cr_assert(status == FTL_OK || *bytes == 12345);
    return status;
}

Test(shape, bytes_are_the_product_times_the_width)
{
    static const struct {
        ftl_dtype dtype;
        uint32_t ndim;
        int64_t shape[FTL_MAX_DIMS];
        uint64_t bytes;
    } cases[] = {
        {FTL_F32, 0, {0}, 4}, /* a scalar */
        {FTL_F64, 1, {10}, 80},
        {FTL_F16, 2, {3, 5}, 30},
        {FTL_I8, 3, {2, 3, 4}, 24},
        {FTL_I4, 1, {3}, 2}, /* 12 bits: two whole bytes */
        {FTL_I1, 1, {9}, 2},
        {FTL_TERNARY, 2, {5, 1}, 2},
        {FTL_BOOL, 8, {1, 1, 2, 1, 1, 2, 1, 1}, 4},
        {FTL_F32, 2, {0, 7}, 0},
        {FTL_F32, 2, {INT64_MAX, 0}, 0}, /* empty, whatever else it says */
        {FTL_F32, 3, {INT64_MAX, INT64_MAX, 0}, 0},
        {FTL_I8, 1, {INT64_MAX}, INT64_MAX},
        {FTL_I1, 1, {INT64_MAX}, UINT64_C(1) << 60},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t bytes;
        cr_assert_eq(bytes_of(cases[i].dtype, cases[i].ndim, cases[i].shape, &bytes), FTL_OK, "case %zu: %s", i, why);
        cr_assert_eq(bytes, cases[i].bytes, "case %zu: %lu", i, (unsigned long)bytes);
    }
}

Test(shape, what_is_no_shape_is_refused_with_its_reason)
{
    static const struct {
        ftl_dtype dtype;
        uint32_t ndim;
        int64_t shape[9];
        const char *why;
    } cases[] = {
        {0, 1, {1}, "dtype"},
        {FTLI_DTYPES, 1, {1}, "dtype"},
        {UINT32_MAX, 1, {1}, "dtype"},
        {FTL_F32, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, "ndim"},
        {FTL_F32, 1, {-1}, "negative"},
        {FTL_F32, 2, {0, -1}, "negative"}, /* empty does not excuse it */
        {FTL_F32, 1, {INT64_MIN}, "negative"},
        {FTL_F64, 1, {INT64_MAX}, "2^63"},
        {FTL_F16, 1, {INT64_C(1) << 62}, "2^63"},
        {FTL_I8, 2, {INT64_MAX, 2}, "2^63"},
        {FTL_I8, 4, {INT64_C(1) << 32, INT64_C(1) << 32, INT64_C(1) << 32, INT64_C(1) << 32}, "2^63"}, /* 2^128: 0? */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t bytes;
        cr_assert_eq(bytes_of(cases[i].dtype, cases[i].ndim, cases[i].shape, &bytes), FTL_EINVAL, "case %zu", i);
        cr_assert_not_null(strstr(why, cases[i].why), "case %zu says \"%s\"", i, why);
    }
    uint64_t bytes;
    cr_assert_eq(bytes_of(FTL_F32, 1, NULL, &bytes), FTL_EINVAL);
    cr_assert_eq(bytes_of(FTL_F32, 0, NULL, &bytes), FTL_OK);
}

Test(shape, a_header_gives_back_what_it_was_given)
{
    static const struct {
        uint32_t ndim;
        int64_t shape[4];
    } cases[] = {
        {0, {0}},
        {1, {INT64_MAX}},
        {2, {UINT32_MAX, 1}},
        {2, {1, UINT32_MAX}},
        {3, {UINT32_MAX, 2, UINT32_MAX}},
        {4, {0xffffff, 0, 0xffffff, 0}},
        {4, {0, 0xffffff, 0, 0xffffff}},
        {4, {0x123456, 0x789abc, 0xdef012, 0x345678}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ftli_header header;
        memset(&header, 0xa5, sizeof header);
        int64_t back[4] = {-1, -1, -1, -1};
        cr_assert(ftli_shape_fits(cases[i].ndim, cases[i].shape), "case %zu", i);
        ftli_shape_pack(&header, cases[i].ndim, cases[i].shape);
        ftli_shape_unpack(&header, cases[i].ndim, back);
        cr_assert_arr_eq(back, cases[i].shape, cases[i].ndim * sizeof *back, "case %zu", i);
    }
}

Test(shape, what_is_one_too_large_for_a_header_does_not_fit)
{
    cr_assert_not(ftli_shape_fits(2, (const int64_t[]){1, INT64_C(1) << 32}));
    cr_assert_not(ftli_shape_fits(3, (const int64_t[]){INT64_C(1) << 32, 1, 1}));
    cr_assert_not(ftli_shape_fits(4, (const int64_t[]){1, 1, 1, 1 << 24}));
    cr_assert_not(ftli_shape_fits(5, (const int64_t[]){1, 1, 1, 1, 1}));
}

Test(shape, compact_strides_are_row_major)
{
    int64_t strides[4];
    ftli_shape_compact_strides(3, (const int64_t[]){4, 3, 2}, strides);
    cr_assert_arr_eq(strides, ((const int64_t[]){6, 2, 1}), 3 * sizeof *strides);
    ftli_shape_compact_strides(3, (const int64_t[]){4, 1, 2}, strides);
    cr_assert_arr_eq(strides, ((const int64_t[]){2, 2, 1}), 3 * sizeof *strides);
    /* Empty: the others may multiply to anything, and must not overflow. */
    ftli_shape_compact_strides(4, (const int64_t[]){0, INT64_MAX, INT64_MAX, INT64_MAX}, strides);
    cr_assert_eq(strides[3], 1);
    cr_assert_eq(strides[2], INT64_MAX);
}

static int extent_of(ftl_dtype dtype, uint32_t ndim, const int64_t *shape, const int64_t *strides, int64_t *lowest,
                     int64_t *end)
{
    *lowest = *end = 777;
    int status = ftli_shape_extent(dtype, ndim, shape, strides, lowest, end);
    cr_assert(status == FTL_OK || (*lowest == 777 && *end == 777));
    return status;
}

Test(shape, an_extent_is_where_the_first_and_last_byte_lie)
{
    int64_t lowest, end;
    cr_assert_eq(extent_of(FTL_F32, 2, (const int64_t[]){3, 4}, (const int64_t[]){4, 1}, &lowest, &end), FTL_OK);
    cr_assert(lowest == 0 && end == 48);
    cr_assert_eq(extent_of(FTL_F32, 2, (const int64_t[]){3, 4}, (const int64_t[]){-4, 1}, &lowest, &end), FTL_OK);
    cr_assert(lowest == -32 && end == 16);
    cr_assert_eq(extent_of(FTL_F32, 1, (const int64_t[]){5}, (const int64_t[]){0}, &lowest, &end), FTL_OK);
    cr_assert(lowest == 0 && end == 4);
    cr_assert_eq(extent_of(FTL_I4, 1, (const int64_t[]){3}, (const int64_t[]){-1}, &lowest, &end), FTL_OK);
    cr_assert(lowest == -1 && end == 1, "%ld to %ld", (long)lowest, (long)end);
    cr_assert_eq(extent_of(FTL_F64, 0, NULL, NULL, &lowest, &end), FTL_OK);
    cr_assert(lowest == 0 && end == 8);
}

Test(shape, an_empty_extent_is_empty_whatever_the_strides)
{
    int64_t lowest, end;
    cr_assert_eq(
        extent_of(FTL_F64, 2, (const int64_t[]){INT64_MAX, 0}, (const int64_t[]){INT64_MAX, INT64_MIN}, &lowest, &end),
        FTL_OK);
    cr_assert(lowest == 0 && end == 0);
}

Test(shape, an_extent_that_no_address_space_has_is_refused)
{
    static const int64_t strides[] = {INT64_MIN, INT64_MAX, 1, -1};
    for (size_t first = 0; first < 4; first++) {
        for (size_t second = 0; second < 2; second++) {
            int64_t lowest, end;
            int64_t shape[8], stride[8];
            for (size_t i = 0; i < 8; i++) {
                shape[i] = INT64_MAX;
                stride[i] = strides[i == 0 ? first : second];
            }
            cr_assert_eq(extent_of(FTL_F64, 8, shape, stride, &lowest, &end), FTL_EINVAL);
        }
    }
    int64_t lowest, end;
    cr_assert_eq(extent_of(FTL_F64, 1, (const int64_t[]){INT64_C(1) << 60}, strides, &lowest, &end), FTL_EINVAL);
    cr_assert_eq(extent_of(FTL_I8, 1, (const int64_t[]){INT64_MAX}, (const int64_t[]){1}, &lowest, &end), FTL_OK);
    cr_assert_eq(end, INT64_MAX);
    cr_assert_eq(extent_of(FTL_I16, 1, (const int64_t[]){INT64_MAX}, (const int64_t[]){1}, &lowest, &end), FTL_EINVAL);
}
