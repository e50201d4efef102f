/* drain: every deferred drop that returned before it, and what those cascade to, is reclaimed or quarantined.
 *
 * Epochs    Deferred drops are counted by the parity that was current when they were made; a cascade inherits its parent's. drain
 *           turns the parity and waits until the old one's completions are as many as its drops. Completions are summed
 *           first, so equality says that all of them were done when the sum of the drops began. tests/model/drain.pml.
 */
#include "actors/port/agent.h"
#include "actors/port/life.h"

#define SLICE_NS (UINT64_C(20) * 1000 * 1000)

/* *done grows with every drop that is completed, in a cascade too, where what is left may stay the same. */
static uint64_t undone(struct ftl_runtime *runtime, uint32_t parity, uint64_t *done)
{
    struct ftli_totals totals;
    /* First: what an operator has retried is counted as quarantined until the cleanup has it, and then as pending. pairs: retrying */
    uint64_t retrying = ftli_u64_load_acquire(&runtime->cleanup.retrying);
    ftli_runtime_totals(runtime, &totals);
    *done = totals.completed[parity] + totals.quarantined_by_parity[parity];
    return totals.deferred[parity] - *done + retrying;
}

/* Drops that lie in ports' outboxes are on nobody's way yet. Looked at again as long as drain waits: a thread may be inside. */
static void post_outboxes(struct ftl_runtime *runtime)
{
    if (runtime->cleanup.every_drop_is_a_message)
        (void)ftli_port_post_outboxes(runtime, FTLI_NEVER_NS);
}

struct wait {
    uint64_t deadline_ns;
    bool closing;
};

/* Until something was completed, or a slice of time is over. FTL_OK: look again. The ticket was taken before the look. */
static int wait_a_little(struct ftl_runtime *runtime, const struct wait *wait, uint32_t ticket)
{
    ftli_event *completed = ftli_allocation_completed(runtime->device);
    uint64_t now_ns = ftli_kernel_now_ns(runtime->kernel);
    if (now_ns >= wait->deadline_ns || (!wait->closing && !ftli_runtime_is_open(runtime))) {
        ftli_event_cancel(completed);
        return now_ns >= wait->deadline_ns ? FTL_ETIMEDOUT : FTL_ECLOSED;
    }
    uint64_t slice_ns = ftli_deadline_ns(now_ns, SLICE_NS);
    int status = ftli_kernel_wait(runtime->kernel, completed, ticket,
                                  slice_ns < wait->deadline_ns ? slice_ns : wait->deadline_ns, NULL);
    return status == FTL_EBUSY || status == FTL_ENOTSUP ? status : FTL_OK;
}

/* This thread looks into the shards' mailboxes each time. The cleanup is hurried, so that its batches are not waited for: at first,
 * after progress (a cascade may have posted more), and each slice; but not whenever it signals, for it signals after each
 * run, and the two would keep each other awake over a tensor that is pinned. */
static int wait_for(struct ftl_runtime *runtime, uint32_t parity, const struct wait *wait)
{
    ftli_event *completed = ftli_allocation_completed(runtime->device);
    uint64_t done, seen = 0, again_ns = 0;
    for (;;) {
        uint32_t ticket = ftli_event_prepare(completed);
        post_outboxes(runtime);
        (void)ftli_allocation_collect(runtime->device);
        if (undone(runtime, parity, &done) == 0) {
            ftli_event_cancel(completed);
            return FTL_OK;
        }
        uint64_t now_ns = ftli_kernel_now_ns(runtime->kernel);
        if (done != seen || now_ns >= again_ns) {
            ftli_cleanup_hurry(&runtime->cleanup);
            seen = done;
            again_ns = ftli_deadline_ns(now_ns, SLICE_NS);
        }
        int status = wait_a_little(runtime, wait, ticket);
        if (status != FTL_OK)
            return status;
    }
}

/* One drain at a time turns the parity. Another's may have no end: whose time is over gives up. */
static int take_turn(struct ftl_runtime *runtime, const struct wait *wait)
{
    ftli_event *completed = ftli_allocation_completed(runtime->device);
    for (;;) {
        uint32_t ticket = ftli_event_prepare(completed);
        if (ftli_token_try_take(&runtime->draining)) {
            ftli_event_cancel(completed);
            return FTL_OK;
        }
        int status = wait_a_little(runtime, wait, ticket);
        if (status != FTL_OK)
            return status;
    }
}

int ftli_drain(struct ftl_runtime *runtime, int64_t timeout_ns, bool closing)
{
    uint64_t now_ns = ftli_kernel_now_ns(runtime->kernel);
    struct wait wait = {timeout_ns < 0 ? FTLI_NEVER_NS : ftli_deadline_ns(now_ns, (uint64_t)timeout_ns), closing};
    if (timeout_ns == 0) {
        post_outboxes(runtime);
        (void)ftli_allocation_collect(runtime->device);
        uint64_t done;
        return undone(runtime, 0, &done) + undone(runtime, 1, &done) == 0 ? FTL_OK : FTL_ETIMEDOUT;
    }
    int status = take_turn(runtime, &wait);
    if (status != FTL_OK)
        return status;
    /* The other parity first: a drain that timed out may have left some of it, and it becomes the current one again. */
    uint32_t old = ftli_u32_load_relaxed(&runtime->parity);
    status = wait_for(runtime, 1 - old, &wait);
    if (status == FTL_OK) {
        ftli_u32_store_seq_cst(&runtime->parity, 1 - old); /* pairs: epoch */
        status = wait_for(runtime, old, &wait);
    }
    ftli_token_release(&runtime->draining);
    ftli_event_signal_all(ftli_allocation_completed(runtime->device)); /* the next in turn */
    return status;
}

int ftl_runtime_drain(ftl_runtime *runtime, int64_t timeout_ns)
{
    if (runtime == NULL)
        return ftli_fail(FTL_EINVAL, "runtime: is NULL");
    if (!ftli_runtime_is_open(runtime) || !ftli_runtime_enter(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed or closing");
    int status = FTL_ENOTSUP;
    if (!ftli_port_is_inherited(runtime))
        status = ftli_kernel_is_service_thread(runtime->kernel) ? FTL_EBUSY : ftli_drain(runtime, timeout_ns, false);
    if (ftli_port_is_inherited(runtime)) /* by now, where a finalizer that this thread ran has forked */
        status = FTL_ENOTSUP;
    ftli_runtime_leave(runtime);
    switch (status) {
    case FTL_OK:
        return FTL_OK;
    case FTL_ENOTSUP:
        return ftli_fail(status, "not in a forked child");
    case FTL_EBUSY:
        return ftli_fail(status, "drain was called from inside a callback");
    case FTL_ECLOSED:
        return ftli_fail(status, "the runtime is closed or closing");
    default:
        return ftli_fail(status, "drops were still pending when the time was over");
    }
}
