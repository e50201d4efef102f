/* Pressure, for those who subscribed: the level of each change once, and the soft mark. */
#include <stdio.h>

#include "actors/events/inside.h"

static const char *const names[] = {"none", "low", "medium", "high", "critical"};

static uint64_t bytes_of(const struct ftli_events *events, double share)
{
    return ftli_pressure_bytes(share, ftli_allocation_limit(events->device));
}

static bool is_over_soft(const struct ftli_events *events, uint64_t committed)
{
    double mark = events->marks.soft - (events->marks.over_soft ? events->marks.hysteresis : 0);
    return committed >= bytes_of(events, mark);
}

/* When to look again: where the level or the soft mark may change. False: committed bytes are there already. */
static bool watch(struct ftli_events *events)
{
    uint64_t soft = bytes_of(events, events->marks.soft), below, at_least;
    uint64_t soft_end = bytes_of(events, events->marks.soft - events->marks.hysteresis);
    ftli_pressure_bounds(&events->marks, ftli_allocation_limit(events->device), &at_least, &below);
    if (!events->marks.over_soft && soft < below)
        below = soft;
    if (events->marks.over_soft && soft_end > at_least)
        at_least = soft_end;
    return ftli_allocation_watch(events->device, FTLI_WATCHER_EVENTS, events->actor, at_least, below);
}

static void tell_of_soft(struct ftli_events *events, uint64_t committed, uint64_t now_ns)
{
    char text[FTLI_EVENT_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "device %s: %llu bytes are committed, over its soft mark of %llu",
                   events->device_name, (unsigned long long)committed,
                   (unsigned long long)bytes_of(events, events->marks.soft));
    ftl_event event = {.kind = FTL_EVENT_LIMIT, .time_ns = now_ns, .bytes = committed, .count = 1, .text = text};
    event.subject = events->device_name;
    ftli_events_call_all(events, &event);
}

static void tell_of_level(struct ftli_events *events, uint64_t committed, uint64_t now_ns)
{
    char text[FTLI_EVENT_TEXT_BYTES];
    uint32_t level = events->marks.level;
    uint64_t limit = ftli_allocation_limit(events->device);
    (void)snprintf(text, sizeof text, "device %s: pressure %s, %llu of %llu bytes are committed", events->device_name,
                   names[level], (unsigned long long)committed, (unsigned long long)limit);
    ftl_event event = {.kind = FTL_EVENT_PRESSURE, .level = level, .time_ns = now_ns, .bytes = committed, .text = text};
    event.subject = events->device_name;
    ftli_events_call_level(events, &event);
}

/* Watched only while somebody wants to know; the marks are as they were then. */
void ftli_events_look_at_pressure(struct ftli_events *events, uint64_t now_ns)
{
    if (events->device == NULL || !ftli_events_are_wanted(events, FTL_EVENT_PRESSURE | FTL_EVENT_LIMIT))
        return;
    do {
        uint64_t committed = ftli_allocation_committed(events->device);
        bool was_over = events->marks.over_soft;
        events->marks.level = ftli_pressure_level(&events->marks, ftli_allocation_limit(events->device), committed);
        events->marks.over_soft = is_over_soft(events, committed);
        if (events->marks.over_soft && !was_over)
            tell_of_soft(events, committed, now_ns);
        tell_of_level(events, committed, now_ns);
    } while (!watch(events));
}
