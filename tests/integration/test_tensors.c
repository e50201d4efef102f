/* The life of tensors through the public interface: shapes, options, handles, bad input. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static ftl_runtime *runtime;

static void open_runtime(void)
{
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_OK, "%s", ftl_last_error());
}

static void close_runtime(void)
{
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.leaked, 0, "%llu leaked", (unsigned long long)report.leaked);
    ftl_leak_report_free(report.leaks);
}

TestSuite(tensors, .init = open_runtime, .fini = close_runtime);

Test(tensors, every_dtype_has_its_bytes)
{
    static const struct {
        ftl_dtype dtype;
        size_t bytes; /* of 9 elements */
    } types[] = {
        {FTL_F64, 72}, {FTL_F32, 36},    {FTL_F16, 18},    {FTL_BF16, 18},   {FTL_I64, 72}, {FTL_I32, 36},
        {FTL_I16, 18}, {FTL_I8, 9},      {FTL_U8, 9},      {FTL_I4, 5},      {FTL_I2, 3},   {FTL_I1, 2},
        {FTL_BOOL, 9}, {FTL_TERNARY, 3}, {FTL_F8_E4M3, 9}, {FTL_F8_E5M2, 9}, {FTL_U16, 18}, {FTL_U32, 36},
        {FTL_U64, 72}, {FTL_U4, 5},      {FTL_F4_E2M1, 5},
    };
    cr_assert_eq(sizeof types / sizeof types[0], 21);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        ftl_tensor tensor;
        ftl_tensor_description d;
        int64_t shape[2] = {3, 3};
        cr_assert_eq(ftl_tensor_new(runtime, types[i].dtype, 2, shape, NULL, &tensor), FTL_OK);
        cr_assert_eq(ftl_tensor_bytes(tensor), types[i].bytes, "dtype %u", types[i].dtype);
        memset(ftl_tensor_data(tensor), 0x5a, types[i].bytes);
        cr_assert_eq(ftl_tensor_describe(tensor, &d), FTL_OK);
        cr_assert_eq(d.dtype, types[i].dtype);
        cr_assert(d.ndim == 2 && d.shape[0] == 3 && d.shape[1] == 3 && d.strides[0] == 3 && d.strides[1] == 1);
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    }
}

Test(tensors, shapes_come_back_as_they_were_given)
{
    srand(7);
    for (unsigned round = 0; round < 2000; round++) {
        uint32_t ndim = (uint32_t)rand() % (FTL_MAX_DIMS + 1);
        int64_t shape[FTL_MAX_DIMS], elements = 1;
        for (uint32_t i = 0; i < ndim; i++) {
            shape[i] = rand() % 4 == 0 ? 1 : rand() % 5;
            elements *= shape[i];
        }
        if (ndim > 0 && elements == 0)
            shape[(uint32_t)rand() % ndim] = (int64_t)rand() << 30; /* large dimensions of an empty tensor */
        elements = 1;
        for (uint32_t i = 0; i < ndim; i++)
            elements = shape[i] == 0 || elements == 0 ? 0 : elements * (shape[i] > 5 ? 0 : shape[i]);
        bool large = false, empty = false;
        for (uint32_t i = 0; i < ndim; i++) {
            large |= shape[i] > 5;
            empty |= shape[i] == 0;
        }
        if (large && !empty)
            continue;
        ftl_tensor tensor;
        ftl_tensor_description d;
        cr_assert_eq(ftl_tensor_new(runtime, FTL_I32, ndim, shape, NULL, &tensor), FTL_OK, "%s", ftl_last_error());
        cr_assert_eq(ftl_tensor_describe(tensor, &d), FTL_OK);
        cr_assert_eq(d.ndim, ndim);
        for (uint32_t i = 0; i < ndim; i++)
            cr_assert_eq(d.shape[i], shape[i], "ndim %u dimension %u: %lld, not %lld", ndim, i, (long long)d.shape[i],
                         (long long)shape[i]);
        cr_assert_eq(d.bytes, (size_t)(empty ? 0 : elements) * 4);
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    }
}

Test(tensors, bad_shapes_are_refused_and_leave_the_output_alone)
{
    ftl_tensor tensor = {42};
    int64_t negative = -1, huge[2] = {INT64_MAX, 2}, nine[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, one = 1;
    cr_assert_eq(ftl_tensor_new(runtime, FTL_F32, 1, &negative, NULL, &tensor), FTL_EINVAL);
    cr_assert_neq(strstr(ftl_last_error(), "negative"), NULL, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_new(runtime, FTL_F64, 2, huge, NULL, &tensor), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_new(runtime, FTL_F32, 9, nine, NULL, &tensor), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_new(runtime, FTL_F32, 1, NULL, NULL, &tensor), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_new(runtime, 0, 1, &one, NULL, &tensor), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_new(runtime, 22, 1, &one, NULL, &tensor), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_new(runtime, UINT32_MAX, 1, &one, NULL, &tensor), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_new(NULL, FTL_F32, 1, &one, NULL, &tensor), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_new(runtime, FTL_F32, 1, &one, NULL, NULL), FTL_EINVAL);
    cr_assert_eq(tensor.id, 42);
}

Test(tensors, zero_elements_and_scalars_are_tensors)
{
    ftl_tensor empty, scalar;
    ftl_tensor_description d;
    int64_t shape[2] = {0, INT64_MAX};
    cr_assert_eq(ftl_tensor_new(runtime, FTL_F64, 2, shape, NULL, &empty), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_bytes(empty), 0);
    cr_assert_not_null(ftl_tensor_data(empty));
    cr_assert_not_null(ftl_tensor_pin(empty));
    ftl_tensor_unpin(empty);
    cr_assert_eq(ftl_tensor_describe(empty, &d), FTL_OK);
    cr_assert_eq(d.shape[1], INT64_MAX);
    cr_assert_eq(ftl_tensor_new(runtime, FTL_F64, 0, NULL, NULL, &scalar), FTL_OK);
    cr_assert_eq(ftl_tensor_bytes(scalar), 8);
    cr_assert_eq(ftl_tensor_drop(empty), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(scalar), FTL_OK);
}

Test(tensors, options_are_kept)
{
    ftl_tensor tensor;
    ftl_tensor_description d;
    int64_t shape[6] = {1, 2, 3, 4, 5, 6};
    ftl_tensor_options options = {.label = "a label that is longer than the 31 bytes that are kept",
                                  .tag = 77,
                                  .site = FTL_HERE,
                                  .zero = true,
                                  .alignment = 4096};
    cr_assert_eq(ftl_tensor_new(runtime, FTL_U8, 6, shape, &options, &tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_describe(tensor, &d), FTL_OK);
    cr_assert_eq(strlen(d.label), 31);
    cr_assert_eq(strncmp(d.label, options.label, 31), 0);
    cr_assert_eq(d.tag, 77);
    cr_assert_neq(strstr(d.site, "test_tensors.c:"), NULL);
    cr_assert_eq(d.shape[5], 6);
    const unsigned char *bytes = ftl_tensor_data(tensor);
    cr_assert_eq((uintptr_t)bytes % 4096, 0);
    for (int i = 0; i < 720; i++)
        cr_assert_eq(bytes[i], 0);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
}

Test(tensors, what_an_earlier_tensor_left_in_the_slot_is_gone)
{
    ftl_tensor tensor;
    ftl_tensor_description d;
    ftl_tensor_options options = {.label = "old", .tag = 1};
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(ftl_bytes_new(runtime, 100, i % 2 == 0 ? &options : NULL, &tensor), FTL_OK);
        cr_assert_eq(ftl_tensor_describe(tensor, &d), FTL_OK);
        cr_assert_str_eq(d.label, i % 2 == 0 ? "old" : "");
        cr_assert_eq(d.tag, i % 2 == 0);
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    }
}

Test(tensors, alignments_of_all_sizes)
{
    for (size_t alignment = 1; alignment <= (size_t)2 << 20; alignment *= 2) {
        for (size_t bytes = 1; bytes < (size_t)4 << 20; bytes = bytes * 3 + 1) {
            ftl_tensor tensor;
            ftl_tensor_options options = {.alignment = alignment};
            cr_assert_eq(ftl_bytes_new(runtime, bytes, &options, &tensor), FTL_OK, "%s", ftl_last_error());
            char *data = ftl_tensor_data(tensor);
            cr_assert_eq((uintptr_t)data % (alignment > 64 ? alignment : 64), 0, "%zu bytes at %zu", bytes, alignment);
            data[0] = data[bytes - 1] = 1;
            cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
        }
    }
}

Test(tensors, bad_options)
{
    ftl_tensor tensor;
    ftl_tensor_options odd = {.alignment = 48}, wide = {.alignment = (size_t)4 << 20}, device = {.device = 1},
                       room = {.reserve_bytes = 4096}, later = {.reserved = {0, 1}}, scope = {.scope = {12345}};
    cr_assert_eq(ftl_bytes_new(runtime, 8, &odd, &tensor), FTL_EINVAL);
    cr_assert_eq(ftl_bytes_new(runtime, 8, &wide, &tensor), FTL_EINVAL);
    cr_assert_eq(ftl_bytes_new(runtime, 8, &device, &tensor), FTL_EINVAL);
    cr_assert_eq(ftl_bytes_new(runtime, 8, &room, &tensor), FTL_ENOTSUP);
    cr_assert_eq(ftl_bytes_new(runtime, 8, &later, &tensor), FTL_EINVAL);
    cr_assert_eq(ftl_bytes_new(runtime, 8, &scope, &tensor), FTL_ESTALE);
}

Test(tensors, handles_beyond_their_last_reference_are_refused)
{
    ftl_tensor tensor, other;
    ftl_tensor_description d;
    cr_assert_eq(ftl_bytes_new(runtime, 64, NULL, &tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_retain(tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert(ftl_tensor_alive(tensor));
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_bytes_new(runtime, 64, NULL, &other), FTL_OK); /* very likely the same slot */
    cr_assert_neq(other.id, tensor.id);
    cr_assert_not(ftl_tensor_alive(tensor));
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_ESTALE);
    cr_assert_eq(ftl_tensor_retain(tensor), FTL_ESTALE);
    cr_assert_eq(ftl_tensor_describe(tensor, &d), FTL_ESTALE);
    cr_assert_null(ftl_tensor_data(tensor));
    cr_assert_null(ftl_tensor_pin(tensor));
    cr_assert_eq(ftl_tensor_bytes(tensor), 0);
    cr_assert(ftl_tensor_alive(other));
    cr_assert_eq(ftl_tensor_drop(other), FTL_OK);
}

Test(tensors, forged_handles_are_refused)
{
    uint64_t state = 1;
    ftl_tensor real;
    cr_assert_eq(ftl_bytes_new(runtime, 64, NULL, &real), FTL_OK);
    for (int i = 0; i < 200000; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ftl_tensor forged = {i % 2 == 0 ? state : real.id ^ (UINT64_C(1) << state % 64)};
        if (forged.id == real.id || forged.id == 0)
            continue;
        cr_assert_not(ftl_tensor_alive(forged));
        cr_assert_eq(ftl_tensor_drop(forged), FTL_ESTALE, "%llx", (unsigned long long)forged.id);
        cr_assert_null(ftl_tensor_pin(forged));
        ftl_tensor_unpin(forged);
    }
    cr_assert_eq(ftl_tensor_drop((ftl_tensor){0}), FTL_OK);
    cr_assert(ftl_tensor_alive(real));
    cr_assert_eq(ftl_tensor_drop(real), FTL_OK);
}

Test(tensors, references_and_pins_have_a_maximum)
{
    ftl_tensor tensor;
    cr_assert_eq(ftl_bytes_new(runtime, 64, NULL, &tensor), FTL_OK);
    for (int i = 1; i < (1 << 20) - 1; i++)
        cr_assert_eq(ftl_tensor_retain(tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_retain(tensor), FTL_ELIMIT);
    for (int i = 0; i < 4094; i++)
        cr_assert_not_null(ftl_tensor_pin(tensor));
    cr_assert_null(ftl_tensor_pin(tensor));
    for (int i = 0; i < (1 << 20) - 1; i++)
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_not(ftl_tensor_alive(tensor));
    for (int i = 0; i < 4094; i++)
        ftl_tensor_unpin(tensor);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
}

Test(tensors, a_pinned_tensor_is_reclaimed_by_its_last_unpin)
{
    ftl_tensor tensor;
    ftl_stats stats;
    cr_assert_eq(ftl_bytes_new(runtime, 1000, NULL, &tensor), FTL_OK);
    char *data = ftl_tensor_pin(tensor);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    memset(data, 1, 1000);
    cr_assert_eq(ftl_runtime_drain(runtime, 1000000), FTL_ETIMEDOUT);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.pending, 1);
    cr_assert_eq(stats.pending_bytes, 1000);
    ftl_tensor_unpin(tensor);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.pending, 0);
    ftl_tensor_unpin(tensor); /* misuse: counted as a stale handle, and nothing else happens */
    cr_assert_eq(ftl_bytes_new(runtime, 1000, NULL, &tensor), FTL_OK);
    ftl_tensor_unpin(tensor);
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.unpins_without_pin, 1);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
}
