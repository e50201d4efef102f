/* "profile heap" and "profile folded". */
#include <string.h>

#include "actors/port/control.h"
#include "runtime/base/clock.h"

static const char *device_name(void *user, uint32_t device)
{
    const struct ftl_runtime *runtime = user;
    return device < runtime->topology->device_count ? runtime->topology->devices[device].name : "";
}

int ftli_control_profile(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    const struct ftli_profile_world world = {
        .list = ftli_runtime_list_world(runtime),
        .time_ns = ftli_clock_read_ns_(CLOCK_REALTIME),
        .device_name = device_name,
        .user = runtime,
    };
    int status;
    if (strcmp(arguments, "heap") == 0)
        status = ftli_profile_heap(&world, write, user);
    else if (strcmp(arguments, "folded") == 0)
        status = ftli_profile_folded(&world, write, user);
    else
        return ftli_fail(FTL_EINVAL, "request: profile: \"%.40s\" is none; heap (pprof), or folded (stacks)",
                         arguments);
    return status == FTL_OK ? FTL_OK : ftli_fail(status, "no memory for the profile");
}
