/* Errors: their names, and each thread's last sentence. */
#include <stdarg.h>
#include <stdio.h>

#include "actors/port/runtime.h"

static _Thread_local char last_error[512];

const char *ftl_last_error(void)
{
    return last_error;
}

int ftli_fail(int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(last_error, sizeof last_error, format, arguments);
    va_end(arguments);
    return status;
}

const char *ftl_strerror(int status)
{
    static const char *const texts[] = {
        "good",
        "an argument is wrong",
        "the system or device has no more memory",
        "the handle's tensor or scope is gone",
        "busy: pinned, or called from inside a callback that may not",
        "timed out",
        "a limit is reached",
        "the topology is wrong",
        "the device failed",
        "the runtime is closed or closing",
        "not supported: not in this build, not by this device, or not in a forked child",
        "an invariant is broken, or the tensor is quarantined",
    };
    if (status > 0 || status < -(int)(sizeof texts / sizeof texts[0]) + 1)
        return "no such status";
    return texts[-status];
}

uint32_t ftl_version(void)
{
    return (uint32_t)FTL_VERSION_MAJOR << 16 | FTL_VERSION_MINOR << 8 | FTL_VERSION_PATCH;
}
