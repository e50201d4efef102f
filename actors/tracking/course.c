/* Sites over time, for who asks. */
#include "actors/tracking/timeline.h"
#include "actors/tracking/tracking.h"

#define MS UINT64_C(1000000)

void ftli_tracking_look(struct ftli_tracking *tracking, uint64_t now_ns)
{
    uint32_t next = 0;
    if (tracking->sites == NULL)
        return;
    ftli_token_take(&tracking->token);
    ftli_sites_look(tracking->sites, &next, UINT32_MAX, now_ns / MS);
    ftli_token_release(&tracking->token);
}

enum ftli_pattern ftli_tracking_pattern(struct ftli_tracking *tracking, uint32_t site, double *confidence)
{
    double values[FTLI_TIMELINE_POINTS];
    unsigned count = 0;
    ftli_token_take(&tracking->token);
    const struct ftli_timeline *timeline = ftli_site_timeline(tracking->sites, site);
    if (timeline != NULL)
        count = ftli_timeline_read(timeline, values);
    ftli_token_release(&tracking->token);
    return ftli_pattern_of(values, count, confidence);
}

uint64_t ftli_tracking_since_ms(struct ftli_tracking *tracking, uint32_t site)
{
    ftli_token_take(&tracking->token);
    const struct ftli_timeline *timeline = ftli_site_timeline(tracking->sites, site);
    uint64_t from_ms = timeline != NULL ? timeline->from_ms : 0;
    ftli_token_release(&tracking->token);
    return from_ms;
}
