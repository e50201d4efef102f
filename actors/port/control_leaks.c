/* "leaks": a scan, one finding a line. */
#include "actors/port/control.h"

static const char *cause_of(uint32_t cause)
{
    switch (cause) {
    case FTL_LEAK_OUTLIVED_SCOPE:
        return "outlived its scope";
    case FTL_LEAK_OUTLIVED_THREAD:
        return "outlived its thread";
    case FTL_LEAK_CYCLE:
        return "in a cycle of links that nothing else refers to";
    case FTL_LEAK_PINNED:
        return "dropped, but pinned for more than 10 s";
    default:
        return "alive";
    }
}

int ftli_control_leaks(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    struct ftli_control_answer said = {write, user, 0}, *answer = &said;
    (void)arguments;
    ftl_leak_report *report;
    int status = ftli_leak_scan(&runtime->leak_detection, NULL, &report);
    if (status != FTL_OK)
        return ftli_fail(status, "the leak scan: %s", ftl_strerror(status));
    ftli_control_say(answer, "%llu findings over %llu tensors\n", (unsigned long long)report->count,
                     (unsigned long long)report->scanned);
    for (size_t i = 0; i < report->count; i++) {
        const ftl_leak *leak = &report->leaks[i];
        ftli_control_say(answer, "%3u %%  %8llu tensors  %12llu bytes  %10.3f s  %s  label \"%s\"  scope \"%s\"  %s\n",
                         leak->certainty, (unsigned long long)leak->count, (unsigned long long)leak->bytes,
                         (double)leak->age_ns / 1e9, cause_of(leak->cause), leak->label, leak->scope, leak->site);
    }
    ftli_leak_report_destroy(report);
    return FTL_OK;
}
