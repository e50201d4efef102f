/* The allocation actor: the tick, which runs while anything is held or waits, and sleeps when nothing does. */
#include "actors/allocation/shard.h"

#include <fettle/fettle.h>

#include "runtime/base/os.h"

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    (void)state;
    (void)context;
    (void)message;
    return FTL_OK;
}

static bool is_quiet(const struct ftli_device *device)
{
    for (uint32_t i = 0; i < device->shard_count; i++)
        if (!ftli_shard_is_empty(&device->shards[i]))
            return false;
    for (uint32_t lane = 0; lane < FTLI_DEPOT_LANES; lane++)
        for (unsigned c = 1; c < FTLI_CLASSES; c++)
            if (ftli_depot_depth(&device->depot, &device->depot.full[lane][c]) != 0)
                return false;
    return true;
}

/* Idle ports give up what they hold, the depot what it has too much of: what nobody needed for a whole tick. */
static void look_after_all(struct ftli_allocation *allocation, uint64_t now_ns)
{
    allocation->looked_ns = now_ns;
    ftli_u64_add_owner(&allocation->ticks, 1);
    allocation->busy = allocation->claim_idle(allocation->user, now_ns);
    ftli_allocation_share_caches(allocation->device, allocation->busy);
    ftli_allocation_trim(allocation->device, 0);
}

/* The shards take in what was dropped; where one was held or had more, again soon, and only that. Ends when nothing is held; the word is cleared first and everything looked at again, so that no drop waits for a tick that
 * does not come. pairs: tick-again, with ftli_allocation_need_tick. */
static int on_tick(void *state, ftli_context *context)
{
    struct ftli_allocation *allocation = state;
    struct ftli_device *device = allocation->device;
    uint64_t now_ns = ftli_now_ns(context);
    bool whole = now_ns - allocation->looked_ns >= FTLI_TICK_NS - FTLI_SOON_NS;
    if (whole)
        look_after_all(allocation, now_ns);
    uint32_t left = ftli_allocation_collect(device);
    if (whole)
        ftli_allocation_gather(device);
    if (allocation->busy == 0 && left == 0 && is_quiet(device)) {
        ftli_u32_store_seq_cst(&device->ticking, 0);
        (void)ftli_os_membarrier(); /* a magazine that was taken before a look at the word is seen here */
        if (FTLI_UNLIKELY(
                device->strict)) /* or so: who added before has all it wrote seen, who adds later sees the word */
            (void)ftli_u32_fetch_add_seq_cst(&device->ticking_order, 1); /* pairs: tick-again */
        if (allocation->claim_idle(allocation->user, now_ns) == 0 && is_quiet(device))
            return FTL_OK;
        uint32_t cleared = 0;
        if (!ftli_u32_cas_seq_cst(&device->ticking, &cleared, 1))
            return FTL_OK; /* somebody needs a tick, and has armed it */
    }
    ftli_actor_run_within(ftli_self(context), left != 0 ? FTLI_SOON_NS : FTLI_TICK_NS);
    return FTL_OK;
}

static int check(const void *state, char *why, size_t why_bytes)
{
    const struct ftli_allocation *allocation = state;
    return ftli_allocation_check(allocation->device, why, why_bytes) ? FTL_OK : FTL_EINTERNAL;
}

/* Not restartable: its state is the memory itself. */
const ftli_actor_operations ftli_allocation_operations = {
    .type = "allocation",
    .on_message = on_message,
    .on_tick = on_tick,
    .check = check,
};

void ftli_allocation_attach(struct ftli_device *device, ftli_actor *actor)
{
    device->actor = actor;
}
