#include "actors/tracking/timeline.h"

static void halve(struct ftli_timeline *timeline)
{
    uint32_t pairs = timeline->count / 2;
    for (uint32_t i = 0; i < pairs; i++) {
        uint64_t a = timeline->values[2 * i], b = timeline->values[2 * i + 1];
        timeline->values[i] = a / 2 + b / 2 + (a & b & 1);
    }
    if (timeline->count % 2 != 0)
        timeline->values[pairs] = timeline->values[timeline->count - 1];
    timeline->count = pairs + timeline->count % 2;
    timeline->interval_ms *= 2;
}

void ftli_timeline_add(struct ftli_timeline *timeline, uint64_t now_ms, uint64_t value)
{
    if (timeline->interval_ms == 0) {
        timeline->interval_ms = FTLI_TIMELINE_FIRST_MS;
        timeline->from_ms = now_ms;
    }
    uint64_t since_ms = now_ms > timeline->from_ms ? now_ms - timeline->from_ms : 0;
    while (since_ms / timeline->interval_ms >= FTLI_TIMELINE_POINTS)
        halve(timeline);
    uint32_t at = (uint32_t)(since_ms / timeline->interval_ms);
    uint64_t last = timeline->count == 0 ? value : timeline->values[timeline->count - 1];
    for (uint32_t i = timeline->count; i < at; i++)
        timeline->values[i] = last;
    timeline->values[at] = value;
    timeline->count = at + 1 > timeline->count ? at + 1 : timeline->count;
}

unsigned ftli_timeline_read(const struct ftli_timeline *timeline, double out[FTLI_TIMELINE_POINTS])
{
    for (uint32_t i = 0; i < timeline->count; i++)
        out[i] = (double)timeline->values[i];
    return timeline->count;
}
