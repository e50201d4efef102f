/* The allocation actor's tick, which stops while nothing is held or waits, against those who need it (tests/model/housekeeping.pml).
 *
 * Shipped    on_tick() of actors/allocation/allocation.c, which is included here as it is; ftli_allocation_need_tick of device.c;
 *            ftli_shard_is_empty of shard.c; ftli_actor_run_within of runtime/kernel/actor.c.
 * Stand-in   what the tick does besides: it takes all that lies in the shard's list and, as the claim of ports does, what a port holds;
 *            the kernel's actor, which is asked to tick, has no thread.
 *
 * Properties
 *   H1  nothing stays in a shard's list while no tick is asked for
 *   H2  nothing stays held in a port while none is
 *   H3  ticking says whether one is
 *
 * planted: tick_fast on_tick membarrier none : the tick looks again before others see that it has stopped (H2)
 * planted: tick_strict ftli_allocation_need_tick u32_fetch_add_seq_cst relaxed : without membarrier: who needs it orders nothing (H1 or H2)
 * planted: tick_strict on_tick u32_fetch_add_seq_cst relaxed : nor does the tick, before it looks again (H1 or H2)
 */
#include <string.h>

#include "actors/allocation/shard.h"
/* The depot's hundreds of stacks hold nothing here: their heads are not looked at. */
#define ftli_depot_depth(depot, stack) ((void)(stack), 0u)
#include "actors/allocation/allocation.c"
#include "runtime/kernel/internal.h"
#include "tests/relacy/machine.h"
#include "tests/relacy/system.h"

static _Alignas(64) char memory[sizeof(struct ftli_device) + sizeof(struct ftli_shard)];
static struct ftli_device *const device = (struct ftli_device *)(void *)memory; /* with one shard */
static struct ftli_allocation allocation;
static ftli_link links[2];
static ftli_atomic_u64 held; /* by a port: written plainly by its owner on x86-64, so relaxed here */
static uint32_t in_hand;
static ftli_kernel kernel;
static ftli_group *const group = &kernel.groups[0];
static ftli_actor actor;

/* The rest of the tick, which does not come to it here. */
void ftli_allocation_gather(struct ftli_device *from)
{
    (void)from;
}

void ftli_allocation_trim(struct ftli_device *from, unsigned force)
{
    (void)from;
    (void)force;
}

uint32_t ftli_allocation_collect(struct ftli_device *from)
{
    for (ftli_link *link = ftli_stack_take_all(&from->shards[0].mailbox); link != NULL; link = ftli_stack_next(link))
        in_hand++;
    return 0;
}

static uint64_t claim_idle(void *user, uint64_t now_ns)
{
    (void)user;
    (void)now_ns;
    return ftli_u64_load_relaxed(&held);
}

static void begin(bool strict)
{
    memset(memory, 0, sizeof memory);
    device->shard_count = 1;
    device->strict = strict;
    system_refuses_membarrier = strict;
    device->actor = &actor;
    memset(&actor, 0, sizeof actor);
    actor.kernel = &kernel;
    actor.group = group;
    actor.context.actor = &actor;
    group->event = &group->own_event;
    ftli_u64_store_relaxed(&actor.tick_due_ns, FTLI_NEVER_NS);
    allocation =
        (struct ftli_allocation){.device = device, .claim_idle = claim_idle, .looked_ns = ftli_kernel_now_ns(&kernel)};
    ftli_u32_store_relaxed(&device->ticking, 1);
    ftli_u64_store_relaxed(&held, 0);
    in_hand = 0;
    relacy_name(&device->ticking, 4, "ticking");
    relacy_name(&held, 8, "held");
    relacy_name(&device->shards[0].mailbox, 8, "list");
}

static void begin_fast(void)
{
    begin(false);
}

static void begin_strict(void)
{
    begin(true);
}

static void tick_once(void)
{
    RELACY_CHECK(on_tick(&allocation, &actor.context) == FTL_OK);
}

static void post_one(void)
{
    ftli_stack_push(&device->shards[0].mailbox, &links[0]);
    ftli_allocation_need_tick(device);
}

static void hold_one(void)
{
    ftli_u64_store_relaxed(&held, 1);
    ftli_allocation_need_tick(device);
}

static void asked_for(void)
{
    const bool ticking = ftli_u32_load_relaxed(&device->ticking) != 0;
    RELACY_CHECK(ticking == (ftli_u64_load_relaxed(&actor.tick_due_ns) != FTLI_NEVER_NS)); /* H3 */
    RELACY_CHECK(ticking || ftli_stack_is_empty(&device->shards[0].mailbox));              /* H1 */
    RELACY_CHECK(ticking || ftli_u64_load_relaxed(&held) == 0);                            /* H2 */
}

static relacy_test fast = {"tick_fast", 3, begin_fast, {tick_once, post_one, hold_one}, asked_for, 6000, 6000, 0};
RELACY_TEST(fast)
static relacy_test strict = {"tick_strict", 3, begin_strict, {tick_once, post_one, hold_one}, asked_for, 6000, 6000, 0};
RELACY_TEST(strict)
