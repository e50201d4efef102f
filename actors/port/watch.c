/* The calls that look after a runtime: leak scan, defragment. */
#include "actors/port/agent.h"
#include "actors/port/life.h"

static int enter(ftl_runtime *runtime, const void *out)
{
    if (runtime == NULL || out == NULL)
        return ftli_fail(FTL_EINVAL, runtime == NULL ? "runtime: is NULL" : "out: is NULL");
    if (!ftli_runtime_enter(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed");
    if (ftli_port_is_inherited(runtime)) {
        ftli_runtime_leave(runtime);
        return ftli_fail(FTL_ENOTSUP, "not in a forked child");
    }
    return FTL_OK;
}

static int say(int status)
{
    switch (status) {
    case FTL_OK:
        return FTL_OK;
    case FTL_EINVAL:
        return ftli_fail(status, "options: a value is out of its range, or reserved is not zero");
    case FTL_ENOTSUP:
        return ftli_fail(status, "options: a cause, reachability or a target that is not in this version");
    case FTL_ETIMEDOUT:
        return ftli_fail(status, "the time was over before the walk");
    default:
        return ftli_fail(status, "%s", ftl_strerror(status));
    }
}

int ftl_leak_scan(ftl_runtime *runtime, const ftl_leak_options *options, ftl_leak_report **out)
{
    int status = enter(runtime, out);
    if (status != FTL_OK)
        return status;
    status = ftli_leak_scan(&runtime->leak_detection, options, out);
    ftli_runtime_leave(runtime);
    return say(status);
}

void ftl_leak_report_free(ftl_leak_report *report)
{
    ftli_leak_report_destroy(report);
}

int ftl_defragment(ftl_runtime *runtime, const ftl_defragment_options *options, ftl_defragment_result *out)
{
    int status = enter(runtime, out);
    if (status != FTL_OK)
        return status;
    if (options != NULL && options->device != 0)
        status = ftli_fail(FTL_EINVAL, "device: there is no device %u", options->device);
    else
        status = say(ftli_defragment_now(&runtime->defragmentation, options, out));
    ftli_runtime_leave(runtime);
    return status;
}
