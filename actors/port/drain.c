/* drain: every deferred drop that returned before it, and what those cascade to, is reclaimed or quarantined.
 *
 * Epochs    Deferred drops are counted by the parity that was current when they were made; a cascade inherits its parent's. drain
 *           turns the parity and waits until the old one's completions are as many as its drops. Completions are summed
 *           first, so equality says that all of them were done when the sum of the drops began. tests/model/drain.pml.
 */
#include "actors/port/agent.h"
#include "actors/port/life.h"

#define SLICE_NS (UINT64_C(20) * 1000 * 1000)

static uint64_t undone(struct ftl_runtime *runtime, uint32_t parity)
{
    struct ftli_totals totals;
    ftli_runtime_totals(runtime, &totals);
    return totals.deferred[parity] - totals.completed[parity] - totals.quarantined_by_parity[parity];
}

/* What waits is taken up now: batches are not waited for, the shards' mailboxes are looked into by this thread. */
static void hurry(struct ftl_runtime *runtime)
{
    ftli_cleanup_hurry(&runtime->cleanup);
    (void)ftli_allocation_collect(runtime->device);
}

static int wait_for(struct ftl_runtime *runtime, uint32_t parity, uint64_t deadline_ns)
{
    ftli_event *completed = ftli_allocation_completed(runtime->device);
    for (;;) {
        uint32_t ticket = ftli_event_prepare(completed);
        hurry(runtime);
        if (undone(runtime, parity) == 0) {
            ftli_event_cancel(completed);
            return FTL_OK;
        }
        uint64_t now_ns = ftli_kernel_now_ns(runtime->kernel);
        uint64_t slice_ns = ftli_deadline_ns(now_ns, SLICE_NS);
        int status =
            ftli_kernel_wait(runtime->kernel, completed, ticket, slice_ns < deadline_ns ? slice_ns : deadline_ns, NULL);
        if (status == FTL_EBUSY)
            return FTL_EBUSY;
        if (ftli_kernel_now_ns(runtime->kernel) >= deadline_ns) {
            hurry(runtime);
            return undone(runtime, parity) == 0 ? FTL_OK : FTL_ETIMEDOUT;
        }
    }
}

int ftli_drain(struct ftl_runtime *runtime, int64_t timeout_ns)
{
    uint64_t now_ns = ftli_kernel_now_ns(runtime->kernel);
    uint64_t deadline_ns = timeout_ns < 0 ? FTLI_NEVER_NS : ftli_deadline_ns(now_ns, (uint64_t)timeout_ns);
    if (timeout_ns == 0) {
        (void)ftli_allocation_collect(runtime->device);
        return undone(runtime, 0) + undone(runtime, 1) == 0 ? FTL_OK : FTL_ETIMEDOUT;
    }
    ftli_token_take(&runtime->draining); /* one drain at a time turns the parity */
    /* The other parity first: a drain that timed out may have left some of it, and it becomes the current one again. */
    uint32_t old = ftli_u32_load_relaxed(&runtime->parity);
    int status = wait_for(runtime, 1 - old, deadline_ns);
    if (status == FTL_OK) {
        ftli_u32_store_seq_cst(&runtime->parity, 1 - old); /* pairs: epoch */
        status = wait_for(runtime, old, deadline_ns);
    }
    ftli_token_release(&runtime->draining);
    return status;
}

int ftl_runtime_drain(ftl_runtime *runtime, int64_t timeout_ns)
{
    if (runtime == NULL)
        return ftli_fail(FTL_EINVAL, "runtime: is NULL");
    if (!ftli_runtime_is_open(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed or closing");
    if (ftli_port_is_inherited(runtime))
        return ftli_fail(FTL_ENOTSUP, "not in a forked child");
    if (ftli_kernel_is_service_thread(runtime->kernel))
        return ftli_fail(FTL_EBUSY, "drain was called from inside a callback");
    int status = ftli_drain(runtime, timeout_ns);
    return status == FTL_ETIMEDOUT ? ftli_fail(status, "drops were still pending when the time was over") : status;
}
