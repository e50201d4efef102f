#include "tools/replay_fettle.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct ftli_trace trace = {
    .alloc_count = 100, .free_count = 80, .event_count = 180, .left_bytes = 700000, .peak_live_bytes = 900000};

/* What is seen after a run in which everything held. */
static struct ftli_replay_fettle good(void)
{
    struct ftli_replay_fettle fettle = {.topology = NULL};
    fettle.end = (ftl_stats){.created = 100,
                             .live = 20,
                             .reclaimed = 80,
                             .immediate = 60,
                             .deferred = 20,
                             .live_bytes = 700000,
                             .cached_bytes = 90000,
                             .slack_bytes = 10000,
                             .metadata_bytes = 200000,
                             .committed_bytes = 1000000};
    fettle.settled = fettle.end;
    fettle.report = (ftl_close_report){.leaked = 20, .leaked_bytes = 700000};
    return fettle;
}

static void expect(const struct ftli_replay_fettle *fettle, const char *words)
{
    struct ftli_replay_fault faults[FTLI_REPLAY_MAX_FAULTS];
    uint32_t count = ftli_replay_fettle_judge(fettle, &trace, faults);
    for (uint32_t i = 0; i < count; i++) {
        if (strstr(faults[i].text, words) != NULL) {
            return;
        }
    }
    cr_assert_fail("%u faults, none says \"%s\"; the first: %s", count, words, count == 0 ? "" : faults[0].text);
}

Test(replay_fettle, nothing_is_wrong)
{
    struct ftli_replay_fettle fettle = good();
    struct ftli_replay_fault faults[FTLI_REPLAY_MAX_FAULTS];
    cr_assert_eq(ftli_replay_fettle_judge(&fettle, &trace, faults), 0, "%s", faults[0].text);
}

#define FAULT(name, change, words)                 \
    Test(replay_fettle, name)                      \
    {                                              \
        struct ftli_replay_fettle fettle = good(); \
        change;                                    \
        expect(&fettle, words);                    \
    }

FAULT(created, fettle.end.created++, "created is 101; the trace makes 100")
FAULT(live, fettle.end.live--, "live is 19; the trace leaves 20")
FAULT(live_bytes, fettle.end.live_bytes--, "live bytes is 699,999")
FAULT(sum_of_tensors, fettle.end.reclaimed--, "live + pending + reclaimed + quarantined is 99; created is 100")
FAULT(sum_of_drops, fettle.end.deferred++, "at once + by message is 81; dropped were 80")
FAULT(sum_of_bytes, fettle.end.slack_bytes++, "committed is not the sum of its terms after the last event")
FAULT(sum_given_back, fettle.settled.cached_bytes++, "committed is not the sum of its terms when memory had gone back")
FAULT(pending, fettle.settled.pending = 1, "pending is 1")
FAULT(quarantined, fettle.settled.quarantined = 1, "quarantined is 1")
FAULT(stale, fettle.settled.stale_handles = 3, "stale handles is 3")
FAULT(audit, fettle.settled.audits_failed = 1, "audits failed is 1")
FAULT(drain, fettle.drained = FTL_ETIMEDOUT, "drain: ")
FAULT(scan, fettle.scanned = FTL_EINTERNAL, "the leak scan: ")
FAULT(close, fettle.closed = FTL_EBUSY, "close: ")
FAULT(alive, fettle.report.leaked = 19, "alive at close is 19; the trace leaves 20")
FAULT(alive_bytes, fettle.report.leaked_bytes = 1, "bytes alive at close is 1;")
FAULT(undone, fettle.report.undone = 2, "drops undone at close is 2")
FAULT(efficiency, fettle.settled.efficiency = 1.5, "efficiency 1.50")
