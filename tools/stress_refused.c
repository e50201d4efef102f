/* What must be refused, and what may be answered: stale handles, wrong arguments, figures, waits. */
#include "tools/stress.h"

void ftli_stress_use_stale(struct ftli_stress_thread *thread)
{
    if (thread->stale_count == 0) {
        return;
    }
    ftl_tensor stale = thread->stale[ftli_stress_below(thread, thread->stale_count)], view = {7};
    struct ftli_stress_entry *owned = ftli_stress_any_owned(thread);
    ftl_tensor_description d;
    const int64_t one = 1;
    uint64_t which = ftli_stress_below(thread, 10);
    bool refused = true;
    switch (which) {
    case 0:
        refused = ftl_tensor_drop(stale) == FTL_ESTALE;
        break;
    case 1:
        refused = ftl_tensor_retain(stale) == FTL_ESTALE;
        break;
    case 2:
        refused = ftl_tensor_data(stale) == NULL;
        break;
    case 3:
        refused = ftl_tensor_pin(stale) == NULL;
        break;
    case 4:
        refused = ftl_tensor_describe(stale, &d) == FTL_ESTALE;
        break;
    case 5:
        refused = ftl_tensor_view(stale, 0, 1, &one, NULL, &view) == FTL_ESTALE && view.id == 7;
        break;
    case 6: /* of one that nobody ever pinned: a pin that is held over the drop could be taken away so */
        if (thread->never_pinned.id != 0) {
            ftl_tensor_unpin(thread->never_pinned);
            ftli_stress_count(&thread->counts.gone_unpins, 1);
        }
        return;
    case 7:
        refused = ftl_tensor_unlink(stale, stale) == FTL_ESTALE;
        break;
    case 8:
        if (owned == NULL || !ftli_stress_is_mine_alone(owned->record)) {
            return;
        }
        refused = ftl_tensor_link(owned->record->handle, stale) != FTL_OK;
        break;
    default:
        if (ftl_tensor_alive(stale) || ftl_tensor_bytes(stale) != 0) {
            ftli_stress_broken(thread->run, "a stale handle is alive");
        }
        return; /* these two are not counted */
    }
    ftli_stress_count(&thread->counts.stale_calls, 1);
    if (!refused) {
        ftli_stress_broken(thread->run, "a call (%llu) on the stale handle %#llx was not refused",
                           (unsigned long long)which, (unsigned long long)stale.id);
    }
}

/* The stale handle is the ticket of its drop; who owns one waits in vain. */
void ftli_stress_await(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *owned = ftli_stress_any_owned(thread);
    int status;
    switch (ftli_stress_below(thread, 3)) {
    case 0:
        if (owned != NULL && ftl_tensor_await(owned->record->handle, 0) != FTL_ETIMEDOUT) {
            ftli_stress_must(thread, false, owned->record, "ftl_tensor_await says that it is reclaimed, to an owner");
        }
        break;
    case 1: /* whom nobody pins */
        (void)ftli_stress_good(thread, "ftl_tensor_await", ftl_tensor_await(thread->never_pinned, -1));
        break;
    default:
        if (thread->stale_count > 0) {
            ftl_tensor stale = thread->stale[ftli_stress_below(thread, thread->stale_count)];
            status = ftl_tensor_await(stale, (int64_t)ftli_stress_below(thread, 2) * 300000);
            if (status != FTL_ETIMEDOUT && status != FTL_EINTERNAL) { /* pinned, or has to do; quarantined */
                (void)ftli_stress_good(thread, "ftl_tensor_await", status);
            }
        }
        break;
    }
}

void ftli_stress_misuse(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = ftli_stress_any_owned(thread);
    ftl_runtime *runtime = thread->run->runtime;
    ftl_tensor out = {9};
    ftl_scope scope = {9};
    const int64_t negative = -1, one = 1;
    ftl_tensor_options odd = {.alignment = 3}, later = {.reserve_bytes = 1};
    bool good = ftl_bytes_new(runtime, 1, &odd, &out) == FTL_EINVAL &&
                ftl_bytes_new(runtime, 1, &later, &out) == FTL_ENOTSUP &&
                ftl_tensor_new(runtime, 0, 1, &one, NULL, &out) == FTL_EINVAL &&
                ftl_tensor_new(runtime, FTL_U8, 1, &negative, NULL, &out) == FTL_EINVAL &&
                ftl_tensor_new(NULL, FTL_U8, 1, &one, NULL, &out) == FTL_EINVAL &&
                ftl_tensor_drop((ftl_tensor){0}) == FTL_OK && ftl_tensor_pin((ftl_tensor){0}) == NULL &&
                !ftl_tensor_alive((ftl_tensor){0}) && ftl_scope_open(NULL, NULL, &scope) == FTL_EINVAL &&
                ftl_scope_end((ftl_scope){0}, NULL) == FTL_ESTALE && ftl_unsubscribe(runtime, UINT64_MAX) == FTL_ESTALE;
    if (entry != NULL && entry->record->base == NULL) { /* a view's may lie in its root */
        int64_t beyond = (int64_t)entry->record->bytes + 1;
        good = good && ftl_tensor_view(entry->record->handle, beyond, 1, &one, NULL, &out) == FTL_EINVAL &&
               ftl_tensor_link(entry->record->handle, entry->record->handle) == FTL_EINVAL;
    }
    if (!good || out.id != 9 || scope.id != 9) {
        ftli_stress_broken(thread->run, "wrong arguments were not refused as they must be (%s)", ftl_last_error());
    }
}

void ftli_stress_ask(struct ftli_stress_thread *thread)
{
    ftl_stats s;
    uint64_t left;
    int status = FTL_OK;
    switch (ftli_stress_below(thread, 4)) {
    case 0:
        if (ftli_stress_good(thread, "ftl_runtime_stats", ftl_runtime_stats(thread->run->runtime, &s)) &&
            s.created < s.reclaimed + s.quarantined) {
            ftli_stress_broken(thread->run, "more tensors were reclaimed than created");
        }
        break;
    case 1:
        (void)ftli_stress_good(thread, "ftl_runtime_run", ftl_runtime_run(thread->run->runtime, NULL, 100000, &left));
        break;
    default:
        status = ftl_runtime_drain(thread->run->runtime, (int64_t)ftli_stress_below(thread, 3) * 300000);
        break;
    }
    if (status != FTL_OK && status != FTL_ETIMEDOUT) {
        (void)ftli_stress_good(thread, "ftl_runtime_drain", status);
    }
}
