/* ftl_tensor_list: a walk on the calling thread. */
#include "actors/port/agent.h"
#include "actors/port/life.h"

static int check_options(const ftl_list_options *options)
{
    if (options->least_age_ns < 0)
        return ftli_fail(FTL_EINVAL, "least_age_ns: is negative");
    for (unsigned i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++)
        if (options->reserved[i] != 0)
            return ftli_fail(FTL_EINVAL, "reserved: must be zero");
    return FTL_OK;
}

struct ftli_list_world ftli_runtime_list_world(const struct ftl_runtime *runtime)
{
    return (struct ftli_list_world){&runtime->table, &runtime->scopes, &runtime->labels, runtime->tracking.sites};
}

int ftl_tensor_list(ftl_runtime *runtime, const ftl_list_options *options, ftl_list_fn fn, void *user)
{
    const ftl_list_options all = {0};
    if (runtime == NULL || fn == NULL)
        return ftli_fail(FTL_EINVAL, "%s: is NULL", runtime == NULL ? "runtime" : "fn");
    if (options == NULL)
        options = &all;
    int status = check_options(options);
    if (status != FTL_OK)
        return status;
    if (!ftli_runtime_enter(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed");
    if (ftli_port_is_inherited(runtime)) {
        status = ftli_fail(FTL_ENOTSUP, "not in a forked child");
    } else {
        struct ftli_list_world world = ftli_runtime_list_world(runtime);
        ftli_list_rows(&world, options, ftli_runtime_ms(runtime), fn, user);
    }
    ftli_runtime_leave(runtime);
    return status;
}
