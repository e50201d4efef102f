#include "actors/port/quota.h"

#include <stdio.h>

#include "tensor/extension.h"

static const char *const kinds[FTLI_QUOTA_KINDS] = {"label", "site"};

static const char *name_of(const struct ftl_runtime *runtime, enum ftli_quota_kind kind, uint32_t label,
                           const char *site)
{
    return kind == FTLI_QUOTA_LABEL ? ftli_label_text(&runtime->labels, label) : site;
}

static void tell_of_mark(struct ftl_runtime *runtime, enum ftli_quota_kind kind, const char *name, uint64_t live_bytes)
{
    uint64_t quota = ftli_quota_bytes(&runtime->leak_detection.quotas, kind);
    struct ftli_event_news news = {.kind = FTL_EVENT_LIMIT, .bytes = live_bytes, .count = 1, .subject = name};
    ftli_events_post(&runtime->events, &news, "%s \"%s\" holds %llu bytes, %.0f %% of its quota of %llu", kinds[kind],
                     name, (unsigned long long)live_bytes, (double)live_bytes * 100 / (double)quota,
                     (unsigned long long)quota);
}

static int refuse(struct ftl_runtime *runtime, enum ftli_quota_kind kind, const char *name, uint64_t live_bytes,
                  uint64_t bytes)
{
    char why[160];
    uint64_t quota = ftli_quota_bytes(&runtime->leak_detection.quotas, kind);
    (void)snprintf(why, sizeof why, "%s \"%.40s\" holds %llu bytes of its quota of %llu", kinds[kind], name,
                   (unsigned long long)live_bytes, (unsigned long long)quota);
    ftli_runtime_refused_by_quota(runtime, bytes, name, why);
    return ftli_fail(FTL_ELIMIT, "%llu bytes: %s", (unsigned long long)bytes, why);
}

int ftli_quota_join(struct ftl_runtime *runtime, uint32_t label, const char *site, uint64_t bytes, uint32_t *flags)
{
    struct ftli_quotas *quotas = &runtime->leak_detection.quotas;
    struct ftli_quota_answer answer;
    struct ftli_quota_place place = ftli_quota_place(quotas, FTLI_HEADER_QUOTA, label, site);
    bool taken = ftli_quota_take(quotas, place, bytes, &answer);
    if (!taken)
        return refuse(runtime, answer.refused, name_of(runtime, answer.refused, label, site),
                      answer.live_bytes[answer.refused], bytes);
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
        if (answer.passed[kind])
            tell_of_mark(runtime, (enum ftli_quota_kind)kind, name_of(runtime, (enum ftli_quota_kind)kind, label, site),
                         answer.live_bytes[kind]);
    *flags = ftli_quota_flags(&place);
    return FTL_OK;
}

void ftli_quota_withdraw(struct ftl_runtime *runtime, uint32_t flags, uint32_t label, const char *site, uint64_t bytes)
{
    struct ftli_quotas *quotas = &runtime->leak_detection.quotas;
    ftli_quota_give(quotas, ftli_quota_place(quotas, flags, label, site), bytes);
}

void ftli_quota_leave(struct ftl_runtime *runtime, const struct ftli_header *header)
{
    uint32_t cold = ftli_u32_load_relaxed(&header->cold);
    const struct ftli_extension *extension = ftli_extension(&runtime->table, cold);
    ftli_quota_withdraw(runtime, ftli_record_flags(ftli_u64_load_relaxed(&header->record)),
                        ftli_u32_load_relaxed(&extension->label), ftli_pointer_load_relaxed(&extension->site),
                        ftli_size_bytes(ftli_u64_load_relaxed(&header->size)));
}
