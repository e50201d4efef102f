/* "reach estimate": what a search for copies of handles would cost; "reach scan": the search, its findings, and what it did cost. */
#include <string.h>

#include "actors/leak_detection/report.h"
#include "actors/port/control.h"

#define SAY(answer, cost, field) \
    ftli_control_say(answer, "%-26s %llu\n", #field, (unsigned long long)(cost)->field)

static void say_cost(struct ftli_control_answer *answer, const struct ftli_reach_cost *cost)
{
    SAY(answer, cost, pause_ns);
    SAY(answer, cost, fork_ns);
    SAY(answer, cost, private_bytes);
    SAY(answer, cost, huge_bytes);
    SAY(answer, cost, available_bytes);
    SAY(answer, cost, scan_ns);
    SAY(answer, cost, scan_bytes);
}

static int estimate(struct ftl_runtime *runtime, struct ftli_control_answer *answer)
{
    struct ftli_reach_cost cost;
    char why[FTLI_REACH_WHY_BYTES];
    int status = ftli_reach_estimate(&runtime->leak_detection, &cost, why, sizeof why);
    if (status != FTL_OK)
        return ftli_fail(status, "%s", why);
    ftli_control_say(answer, "%s\n", why);
    say_cost(answer, &cost);
    return FTL_OK;
}

static void say_row(struct ftli_control_answer *answer, const ftl_leak_report *report, size_t row)
{
    const ftl_leak *leak = &report->leaks[row];
    ftli_control_say(answer, "%3u %%  %8llu tensors  %12llu bytes  %10.3f s  %s  label \"%s\"  scope \"%s\"  %s: %s\n",
                     leak->certainty, (unsigned long long)leak->count, (unsigned long long)leak->bytes,
                     (double)leak->age_ns / 1e9,
                     leak->certainty == FTLI_REACH_UNREACHABLE ? "unreachable" : "suspected", leak->label, leak->scope,
                     leak->site, ftli_leak_detail_of(report, row)->reason);
}

static int scan(struct ftl_runtime *runtime, struct ftli_control_answer *answer)
{
    const ftl_leak_options options = {.causes = UINT32_C(1) << FTL_LEAK_UNREACHABLE, .reachability = true};
    char why[FTLI_REACH_WHY_BYTES];
    ftl_leak_report *report = NULL;
    int status = ftli_leak_scan_saying(&runtime->leak_detection, &options, &report, why, sizeof why);
    if (status != FTL_OK)
        return ftli_fail(status, "%s", why[0] != '\0' ? why : ftl_strerror(status));
    struct ftli_reach_cost cost;
    ftli_reach_last(&runtime->leak_detection.reach, &cost);
    ftli_control_say(answer, "%llu findings over %llu tensors\n", (unsigned long long)report->count,
                     (unsigned long long)report->scanned);
    for (size_t i = 0; i < report->count; i++)
        say_row(answer, report, i);
    ftli_leak_report_destroy(report);
    say_cost(answer, &cost);
    SAY(answer, &cost, unread_bytes);
    SAY(answer, &cost, without);
    SAY(answer, &cost, threads);
    SAY(answer, &cost, threads_unread);
    return FTL_OK;
}

int ftli_control_reach(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    struct ftli_control_answer answer = {write, user, 0};
    if (strcmp(arguments, "estimate") == 0)
        return estimate(runtime, &answer);
    if (strcmp(arguments, "scan") == 0)
        return scan(runtime, &answer);
    return ftli_fail(FTL_EINVAL, "request: reach: expected estimate or scan");
}
