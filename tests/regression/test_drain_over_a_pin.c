/* drain and the cleanup kept each other awake as long as a dropped tensor was pinned: each signal of the cleanup was answered by a
 * wake, each wake by a signal. Virtual time did not move at all then; on threads it was two busy processors. */
#include <criterion/criterion.h>

#include "actors/port/runtime.h"
#include "runtime/kernel/simulation.h"

Test(drain_over_a_pin, waits_and_does_not_spin, .timeout = 30)
{
    ftl_runtime *runtime;
    ftl_open_options options = {0};
    ftl_tensor tensor;
    ftli_simulation_figures before, after;
    cr_assert_eq(ftli_runtime_open_as(&options, true, 1, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_bytes_new(runtime, 1000, NULL, &tensor), FTL_OK);
    cr_assert_not_null(ftl_tensor_pin(tensor));
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    ftli_simulation_read(runtime->kernel, &before);
    uint64_t begun_ns = ftli_kernel_now_ns(runtime->kernel);
    cr_assert_eq(ftl_runtime_drain(runtime, 1000000000), FTL_ETIMEDOUT);
    ftli_simulation_read(runtime->kernel, &after);
    cr_assert_geq(ftli_kernel_now_ns(runtime->kernel) - begun_ns, 1000000000);
    /* a slice is 20 ms; what ticks meanwhile is a few dozen steps more */
    cr_assert_lt(after.steps - before.steps, 1000, "%llu steps", (unsigned long long)(after.steps - before.steps));
    ftl_tensor_unpin(tensor);
    cr_assert_eq(ftl_runtime_drain(runtime, 1000000000), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
