/* "check": the counters against what is there. */
#include <stdio.h>

#include "actors/port/control.h"

/* CORE.md section 3, rule 9: the walk of the table that finds what no mailbox has. Twice, since once is no evidence. */
static int look_for_overdue(struct ftl_runtime *runtime, char *why, size_t why_bytes)
{
    struct ftli_overdue_list first, again;
    const struct ftli_overdue *oldest = again.rows;
    ftli_overdue_walk(&runtime->leak_detection, NULL, &first);
    if (first.count == 0)
        return FTL_OK;
    ftli_overdue_walk(&runtime->leak_detection, &first, &again);
    for (uint32_t i = 1; i < again.count; i++)
        oldest = again.rows[i].posted_ns < oldest->posted_ns ? &again.rows[i] : oldest;
    if (again.count == 0)
        return FTL_OK;
    (void)snprintf(why, why_bytes, "drops past their deadline: %u%s; the oldest, of %llu bytes, was dropped %.1f s ago",
                   again.count, again.count == FTLI_OVERDUE_MOST ? " or more" : "", (unsigned long long)oldest->bytes,
                   (double)(ftli_kernel_now_ns(runtime->kernel) - oldest->posted_ns) / 1e9);
    return FTL_EINTERNAL;
}

/* What no audit of sums shows: it is counted as live, and is. */
static int look_for_unreferenced(const struct ftl_runtime *runtime, char *why, size_t why_bytes)
{
    uint64_t tensor = ftli_unreferenced_walk(&runtime->leak_detection);
    if (tensor == 0)
        return FTL_OK;
    (void)snprintf(why, why_bytes, "audit: tensor 0x%016llx is live and has no reference", (unsigned long long)tensor);
    return FTL_EINTERNAL;
}

int ftli_control_check(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    struct ftli_control_answer said = {write, user, 0}, *answer = &said;
    (void)arguments;
    char why[300];
    int status = ftli_runtime_audit(runtime, why, sizeof why);
    if (status == FTL_OK)
        status = ftli_kernel_check(runtime->kernel, why, sizeof why);
    if (status == FTL_OK)
        status = look_for_unreferenced(runtime, why, sizeof why);
    if (status == FTL_OK)
        status = look_for_overdue(runtime, why, sizeof why);
    if (status == FTL_EBUSY) {
        ftli_control_say(answer, "busy: tensors came and went at every look\n");
        return ftli_fail(FTL_EBUSY, "the audit needs a moment in which nothing is made or dropped");
    }
    if (status == FTL_ENOTSUP)
        return ftli_fail(FTL_ENOTSUP, "not in a forked child");
    ftli_control_say(answer, status == FTL_OK ? "good\n" : "broken: %s\n", why);
    return status == FTL_OK ? FTL_OK : ftli_fail(FTL_EINTERNAL, "%s", why);
}
