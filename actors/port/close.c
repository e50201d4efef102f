/* Closing: new is refused, drops complete, ports are shut, what is alive is listed, the memory goes back. */
#include <string.h>

#include "actors/port/agent.h"
#include "actors/port/life.h"
#include "runtime/base/clock.h"

#define CALLS_END_NS \
    (UINT64_C(1000) * 1000 * 1000) /* a call inside the runtime, or a receive, is over by then, or close is refused */

static const char in_child[] = "not in a forked child";

struct pinned {
    uint64_t tensors, bytes;
};

/* LIVE or DROPPED, with a pointer out. */
static struct pinned count_pinned(struct ftl_runtime *runtime)
{
    struct pinned pinned = {0, 0};
    uint32_t slots = ftli_table_fresh(&runtime->table);
    for (uint32_t slot = 1; slot < slots; slot = ftli_table_next(&runtime->table, slot, slots)) {
        const struct ftli_header *header = ftli_table_header(&runtime->table, slot);
        uint64_t word = ftli_u64_load_acquire(&header->word);
        enum ftli_state state = ftli_word_state(word);
        if ((state == FTLI_LIVE || state == FTLI_DROPPED) && ftli_word_pins(word) != 0) {
            pinned.tensors++;
            pinned.bytes += ftli_header_own_bytes(header);
        }
    }
    return pinned;
}

static void report(struct ftl_runtime *runtime, ftl_close_report *out)
{
    struct ftli_audit audit;
    struct ftli_totals totals;
    struct pinned pinned = count_pinned(runtime);
    ftli_audit_walk(&runtime->leak_detection, &audit);
    ftli_runtime_totals(runtime, &totals);
    memset(out, 0, sizeof *out);
    out->leaked = audit.live.tensors;
    out->leaked_bytes = audit.live.bytes;
    out->pinned = pinned.tensors;
    out->pinned_bytes = pinned.bytes;
    out->quarantined = totals.quarantined_by_parity[0] + totals.quarantined_by_parity[1];
    out->undone =
        totals.deferred[0] + totals.deferred[1] - totals.completed[0] - totals.completed[1] - out->quarantined;
    if (out->leaked != 0 && ftli_leak_list_alive(&runtime->leak_detection, &out->leaks) != FTL_OK)
        out->leaks = NULL;
}

/* With the token `closing`: nobody else is in here. */
static int close_alone(ftl_runtime *runtime, ftl_close_report *own)
{
    uint32_t state = ftli_u32_load_acquire(&runtime->state);
    if (state != FTLI_RUNTIME_OPEN && state != FTLI_RUNTIME_CLOSING)
        return ftli_fail(FTL_ECLOSED, "the runtime is closed");
    if (ftli_kernel_is_service_thread(runtime->kernel))
        return ftli_fail(FTL_EBUSY, "close was called from inside a callback");
    if (runtime->refuse_pinned && state == FTLI_RUNTIME_OPEN && count_pinned(runtime).tensors != 0)
        return ftli_fail(FTL_EBUSY, "tensors are pinned, and the topology says pinned_on_close: refuse");
    ftli_u32_store_seq_cst(&runtime->state, FTLI_RUNTIME_CLOSING);
    ftli_port_shut_all(runtime);
    ftli_event_signal_all(ftli_allocation_completed(runtime->device)); /* a new that waits for memory gives up */
    ftli_event_signal_all(&runtime->cleanup.reclaimed);                /* and who awaits a tensor */
    uint64_t drain_ns = (uint64_t)runtime->topology->drain_on_close_ns;
    (void)ftli_drain(runtime, runtime->topology->drain_on_close_ns, true);
    if (ftli_port_is_inherited(runtime)) /* a finalizer that this thread ran has forked, and this is the child */
        return ftli_fail(FTL_ENOTSUP, "%s", in_child);
    /* The actors first: while one is inside, in a finalizer say, everything goes on as it did. */
    uint64_t rest_ns = drain_ns > CALLS_END_NS ? drain_ns : CALLS_END_NS;
    if (ftli_kernel_rest(runtime->kernel, ftli_deadline_ns(ftli_clock_now_ns(), rest_ns)) != FTL_OK)
        return ftli_fail(FTL_EBUSY, "a finalizer, a callback or an actor is still running");
    if (!ftli_port_close_all(runtime, CALLS_END_NS)) {
        ftli_kernel_resume(runtime->kernel);
        return ftli_fail(FTL_EBUSY, "a thread is inside a call of this runtime");
    }
    if (ftli_kernel_stop(runtime->kernel, drain_ns) == FTL_ENOTSUP)
        return ftli_fail(FTL_ENOTSUP, "%s", in_child);
    (void)ftli_allocation_collect(runtime->device);
    report(runtime, own);
    ftli_port_release_all(runtime);
    if (own->pinned != 0)
        ftli_runtime_tear_down_around_pins(runtime);
    else
        ftli_runtime_tear_down(runtime);
    return FTL_OK;
}

int ftl_runtime_close(ftl_runtime *runtime, ftl_close_report *out)
{
    ftl_close_report own = {0};
    if (runtime == NULL)
        return ftli_fail(FTL_EINVAL, "runtime: is NULL");
    if (ftli_port_is_inherited(runtime))
        return ftli_fail(FTL_ENOTSUP, "%s", in_child);
    if (!ftli_token_try_take(&runtime->closing))
        return ftli_fail(FTL_EBUSY, "another thread closes it");
    int status = close_alone(runtime, &own);
    ftli_token_release(&runtime->closing);
    if (status != FTL_OK)
        return status;
    if (out != NULL)
        *out = own;
    else
        ftl_leak_report_free(own.leaks);
    return FTL_OK;
}
