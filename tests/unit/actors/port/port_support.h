/* A whole runtime on one thread, in simulated time: its actors run when a test says so, in the seed's order. */
#ifndef TEST_PORT_SUPPORT_H
#define TEST_PORT_SUPPORT_H

#include <criterion/criterion.h>
#include <fettle/fettle.h>
#include <stdio.h>
#include <string.h>

#include "actors/port/agent.h"
#include "actors/port/life.h"
#include "runtime/kernel/simulation.h"

#define KIB    UINT64_C(1024)
#define MIB    (1024 * KIB)
#define MS     UINT64_C(1000000)
#define SECOND (1000 * MS)

static inline ftl_runtime *open_simulated(const char *overrides)
{
    ftl_runtime *runtime = NULL;
    const ftl_open_options options = {.overrides = overrides};
    cr_assert_eq(ftli_runtime_open_as(&options, true, 42, &runtime), FTL_OK, "%s", ftl_last_error());
    return runtime;
}

static inline void run_for(ftl_runtime *runtime, uint64_t ns)
{
    uint64_t until_ns = ftli_kernel_now_ns(runtime->kernel) + ns;
    cr_assert_eq(ftli_simulation_run_until_idle(runtime->kernel, until_ns, 0), FTL_OK, "%s",
                 ftli_simulation_why(runtime->kernel));
}

static inline ftl_tensor new_bytes(ftl_runtime *runtime, uint64_t bytes, const ftl_tensor_options *options)
{
    ftl_tensor tensor = {0};
    cr_assert_eq(ftl_bytes_new(runtime, bytes, options, &tensor), FTL_OK, "%s", ftl_last_error());
    return tensor;
}

static inline ftl_stats stats_of(ftl_runtime *runtime)
{
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    return stats;
}

static inline void must_agree(ftl_runtime *runtime)
{
    char why[300] = "";
    cr_assert_eq(ftli_runtime_audit(runtime, why, sizeof why), FTL_OK, "%s", why);
}

static inline struct ftli_header *header_of(ftl_tensor tensor)
{
    struct ftli_header *header = ftli_registry_find(tensor.id);
    cr_assert_not_null(header);
    return header;
}

#endif
