/* What a tensor costs beyond its bytes, as the runtime's own account of memory says it: a million live scalars take 64
 * bytes of table and 64 of block each, and no more than the rounding of pages and segments comes on top. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TENSORS = 1000000 };

static ftl_stats stats_of(ftl_runtime *runtime)
{
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK, "%s", ftl_last_error());
    return stats;
}

static double each(uint64_t after, uint64_t before)
{
    return ((double)after - (double)before) / TENSORS;
}

Test(bytes_per_tensor, a_scalar_is_a_header_and_a_block)
{
    ftl_runtime *runtime;
    ftl_tensor *tensors = malloc(TENSORS * sizeof *tensors);
    cr_assert_not_null(tensors);
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_OK, "%s", ftl_last_error());
    unsigned long failures = 0;
    ftl_stats before = stats_of(runtime);
    for (unsigned i = 0; i < TENSORS; i++) {
        failures += ftl_tensor_new(runtime, FTL_F32, 0, NULL, NULL, &tensors[i]) != FTL_OK;
    }
    ftl_stats after = stats_of(runtime);
    for (unsigned i = 0; i < TENSORS; i++) {
        failures += ftl_tensor_drop(tensors[i]) != FTL_OK;
    }
    cr_assert_eq(failures, 0, "%lu calls failed: %s", failures, ftl_last_error());
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK, "%s", ftl_last_error());
    free(tensors);

    double metadata = each(after.metadata_bytes, before.metadata_bytes);
    double block = each(after.live_bytes + after.slack_bytes, before.live_bytes + before.slack_bytes);
    double committed = each(after.committed_bytes, before.committed_bytes);
    printf("a live scalar of 4 bytes: table and page maps %.2f bytes, block %.2f, committed %.2f in all\n", metadata,
           block, committed);
    cr_assert_eq(after.live - before.live, TENSORS);
    cr_assert_eq(after.live_bytes - before.live_bytes, 4 * UINT64_C(1) * TENSORS);
    cr_assert(metadata >= 64 && metadata <= 66, "metadata for each scalar: %f bytes", metadata);
    cr_assert(block >= 64 && block <= 65, "block of each scalar: %f bytes", block);
    cr_assert(committed <= 131, "committed for each scalar: %f bytes", committed);
}
