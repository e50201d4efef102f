/* "reach estimate": what a search for copies of handles would cost, before "leaks reach" makes one. */
#include "actors/port/control.h"

#include <string.h>

#define SAY(answer, cost, field) ftli_control_say(answer, "%-26s %llu\n", #field, (unsigned long long)(cost)->field)

static int estimate(struct ftl_runtime *runtime, struct ftli_control_answer *answer)
{
    struct ftli_reach_cost cost;
    char why[FTLI_REACH_WHY_BYTES];
    int status = ftli_reach_estimate(&runtime->leak_detection, &cost, why, sizeof why);
    if (status != FTL_OK)
        return ftli_fail(status, "%s", why);
    ftli_control_say(answer, "%s\n", why);
    SAY(answer, &cost, pause_ns);
    SAY(answer, &cost, private_bytes);
    SAY(answer, &cost, huge_bytes);
    SAY(answer, &cost, available_bytes);
    SAY(answer, &cost, scan_ns);
    SAY(answer, &cost, scan_bytes);
    return FTL_OK;
}

int ftli_control_reach(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    struct ftli_control_answer answer = {write, user, 0};
    if (strcmp(arguments, "estimate") == 0)
        return estimate(runtime, &answer);
    return ftli_fail(FTL_EINVAL, "request: reach: \"%.40s\" means nothing here; estimate", arguments);
}
