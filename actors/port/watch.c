/* The calls that look after a runtime: leak scan, defragment, events. */
#include "runtime/base/clock.h"

#include "actors/port/agent.h"
#include "actors/port/life.h"

static int enter(ftl_runtime *runtime, const void *out)
{
    if (runtime == NULL || out == NULL)
        return ftli_fail(FTL_EINVAL, runtime == NULL ? "runtime: is NULL" : "out: is NULL");
    if (!ftli_runtime_enter(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed");
    if (ftli_port_is_inherited(runtime)) {
        ftli_runtime_leave(runtime);
        return ftli_fail(FTL_ENOTSUP, "not in a forked child");
    }
    return FTL_OK;
}

static int say(int status)
{
    switch (status) {
    case FTL_OK:
        return FTL_OK;
    case FTL_EINVAL:
        return ftli_fail(status, "options: a value is out of its range, or reserved is not zero");
    case FTL_ENOTSUP:
        return ftli_fail(status, "options: a cause or a target that is not in this version");
    case FTL_ETIMEDOUT:
        return ftli_fail(status, "the time was over before the walk");
    default:
        return ftli_fail(status, "%s", ftl_strerror(status));
    }
}

int ftl_leak_scan(ftl_runtime *runtime, const ftl_leak_options *options, ftl_leak_report **out)
{
    int status = enter(runtime, out);
    if (status != FTL_OK)
        return status;
    char why[FTLI_REACH_WHY_BYTES];
    status = ftli_leak_scan_saying(&runtime->leak_detection, options, out, why, sizeof why);
    ftli_runtime_leave(runtime);
    return status != FTL_OK && why[0] != '\0' ? ftli_fail(status, "%s", why) : say(status);
}

void ftl_leak_report_free(ftl_leak_report *report)
{
    ftli_leak_report_destroy(report);
}

int ftl_defragment(ftl_runtime *runtime, const ftl_defragment_options *options, ftl_defragment_result *out)
{
    int status = enter(runtime, out);
    if (status != FTL_OK)
        return status;
    if (options != NULL && options->device != 0)
        status = ftli_fail(FTL_EINVAL, "device: there is no device %u", options->device);
    else
        status = say(ftli_defragment_now(&runtime->defragmentation, options, out));
    ftli_runtime_leave(runtime);
    return status;
}

/* ---- events ------------------------------------------------------------------------------------------------------------ */

int ftl_subscribe(ftl_runtime *runtime, uint32_t kinds, ftl_event_fn call, void *user, uint64_t *subscription)
{
    if (call == NULL || subscription == NULL)
        return ftli_fail(FTL_EINVAL, call == NULL ? "fn: is NULL" : "subscription: is NULL");
    if (kinds == 0 || (kinds & ~(uint32_t)FTLI_EVENT_KINDS) != 0)
        return ftli_fail(FTL_EINVAL, kinds == 0 ? "kinds: is 0" : "kinds: there is no such kind");
    int status = enter(runtime, subscription);
    if (status != FTL_OK)
        return status;
    if (!ftli_runtime_is_open(runtime))
        status = ftli_fail(FTL_ECLOSED, "the runtime is closing");
    else
        status = ftli_events_subscribe(&runtime->events, kinds, call, user, subscription);
    ftli_runtime_leave(runtime);
    if (status == FTL_ELIMIT)
        return ftli_fail(status, "64 subscriptions at once are the most");
    return status == FTL_ENOMEM ? ftli_fail(status, "no thread for the calls") : status;
}

int ftl_pressure_subscribe(ftl_runtime *runtime, ftl_pressure_fn call, void *user, uint64_t *subscription)
{
    return ftl_subscribe(runtime, FTL_EVENT_PRESSURE, call, user, subscription);
}

int ftl_unsubscribe(ftl_runtime *runtime, uint64_t subscription)
{
    int status = enter(runtime, &subscription);
    if (status != FTL_OK)
        return status;
    status = ftli_events_unsubscribe(&runtime->events, subscription);
    ftli_runtime_leave(runtime);
    return status == FTL_ESTALE ? ftli_fail(status, "there is no such subscription") : status;
}

#define REFUSALS_APART_NS (UINT64_C(100) * 1000 * 1000)

static void refused(struct ftl_runtime *runtime, struct ftli_refusals *refusals, uint64_t bytes, uint64_t scope,
                    const char *subject, const char *why)
{
    if (!ftli_events_are_wanted(&runtime->events, FTL_EVENT_LIMIT))
        return;
    (void)ftli_u64_fetch_add_relaxed(&refusals->count, 1);
    uint64_t now_ns = ftli_kernel_now_ns(runtime->kernel), told_ns = ftli_u64_load_relaxed(&refusals->told_ns);
    if ((told_ns != 0 && now_ns < ftli_deadline_ns(told_ns, REFUSALS_APART_NS)) ||
        !ftli_u64_cas_acq_rel(&refusals->told_ns, &told_ns, now_ns))
        return; /* counted with the next one */
    struct ftli_event_news news = {.kind = FTL_EVENT_LIMIT,
                                   .bytes = bytes,
                                   .count = ftli_u64_exchange_acq_rel(&refusals->count, 0),
                                   .scope = scope,
                                   .subject = subject};
    ftli_events_post(&runtime->events, &news, "a new of %llu bytes was refused: %s", (unsigned long long)bytes, why);
}

void ftli_runtime_refused(struct ftl_runtime *runtime, uint64_t bytes, uint64_t scope, const char *why)
{
    refused(runtime, &runtime->refusals[scope != 0], bytes, scope,
            scope != 0 ? "scope" : runtime->topology->devices[0].name, why);
}

void ftli_runtime_refused_by_quota(struct ftl_runtime *runtime, uint64_t bytes, const char *name, const char *why)
{
    refused(runtime, &runtime->refusals[2], bytes, 0, name, why);
}

void ftli_runtime_look_at_soft(struct ftl_runtime *runtime, uint64_t id)
{
    uint64_t live_bytes;
    if (!ftli_events_are_wanted(&runtime->events, FTL_EVENT_LIMIT) ||
        !ftli_scope_passed_soft(&runtime->scopes, id, &live_bytes))
        return;
    const struct ftli_scope *scope = ftli_scope_find(&runtime->scopes, id);
    const char *label = ftli_label_text(&runtime->labels, ftli_u32_load_acquire(&scope->label));
    struct ftli_event_news news = {
        .kind = FTL_EVENT_LIMIT, .bytes = live_bytes, .count = 1, .scope = id, .subject = label};
    ftli_events_post(&runtime->events, &news, "scope \"%s\" (tag %llu) holds %llu bytes, over its soft_bytes of %llu",
                     label, (unsigned long long)ftli_u64_load_acquire(&scope->tag), (unsigned long long)live_bytes,
                     (unsigned long long)ftli_u64_load_acquire(&scope->soft_bytes));
}
