/* The defragmentation actor: reads the device's figures, lets the plan decide, has allocation purge. */
#include "actors/defragmentation/defragmentation.h"

#include <string.h>

#include "runtime/base/clock.h"

#define SLICE_BYTES    (UINT64_C(16) << 20) /* of one purge: a shard's token is held meanwhile */
#define SLICE_PAUSE_NS (UINT64_C(1000) * 1000)
#define SLICE_HEADERS  2048 /* of a shard, while its token is held */
#define SLICE_PAGES    512  /* of the table: read and given back within half a millisecond */
#define SLICE_SLABS    64   /* likewise: their bitmaps read, runs of their pages given back */
#define NEVER_NS       UINT64_MAX

static double ratio(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (double)part / (double)whole;
}

double ftli_fragmentation_of(const struct ftli_device_figures *figures)
{
    return ratio(figures->short_free, figures->committed);
}

/* Differs whenever memory of the device was taken or freed, but for what ports exchange among themselves. */
static uint64_t activity_of(const struct ftli_device_figures *figures)
{
    return (figures->used - figures->slab_free) * 3 + figures->depot * 7;
}

static struct ftli_give_back_view view_of(const struct ftli_defragmentation *defragmentation, uint64_t now_ns)
{
    struct ftli_device_figures figures;
    ftli_allocation_figures(defragmentation->world.device, &figures);
    return (struct ftli_give_back_view){
        .now_ns = now_ns,
        .used_bytes = figures.used,
        .free_bytes = figures.free_committed,
        .committed_bytes = ftli_allocation_committed(defragmentation->world.device),
        .activity = activity_of(&figures),
        .fragmentation = ftli_fragmentation_of(&figures),
    };
}

void ftli_defragmentation_init(struct ftli_defragmentation *defragmentation,
                               const struct ftli_defragmentation_world *world)
{
    memset(defragmentation, 0, sizeof *defragmentation);
    defragmentation->world = *world;
    uint64_t limit = ftli_allocation_limit(world->device);
    const struct ftli_give_back_rules rules = {
        .keep = world->topology->keep,
        .give_back_ns = (uint64_t)world->topology->give_back_ns,
        .idle_ns = world->settings != NULL ? (uint64_t)world->settings->idle_ns : 0,
        .soft_bytes = (uint64_t)(world->topology->soft * (double)limit),
        .tick_ns = FTLI_DEFRAGMENTATION_TICK_NS,
    };
    ftli_give_back_init(&defragmentation->plan, &rules);
    defragmentation->pass = (struct ftli_pass){.quarter_ns = rules.give_back_ns / 4};
}

void ftli_defragmentation_attach(struct ftli_defragmentation *defragmentation, ftli_actor *actor)
{
    defragmentation->actor = actor;
}

void ftli_defragmentation_note(struct ftli_defragmentation *defragmentation)
{
    if (defragmentation->actor == NULL || ftli_u32_load_seq_cst(&defragmentation->ticking) != 0)
        return;
    ftli_u32_store_seq_cst(&defragmentation->ticking, 1); /* pairs: give-back-again */
    ftli_actor_run_within(defragmentation->actor, FTLI_DEFRAGMENTATION_TICK_NS);
}

void ftli_defragmentation_read(struct ftli_defragmentation *defragmentation, struct ftli_defragmentation_figures *out)
{
    struct ftli_device_figures figures;
    ftli_allocation_figures(defragmentation->world.device, &figures);
    uint64_t trend_bits = ftli_u64_load_acquire(&defragmentation->trend_bits);
    struct ftli_defragmentation_figures result = {
        .fragmentation = ftli_fragmentation_of(&figures),
        .efficiency = ratio(figures.used - figures.slab_free, figures.committed),
        .committed_bytes = figures.committed,
        .free_bytes = figures.free_committed + figures.slab_free,
        .largest_free_run_bytes = figures.largest_free_run,
        .short_free_bytes = figures.short_free,
        .given_back_bytes = ftli_u64_load_acquire(&defragmentation->given_back_bytes),
        .purges = ftli_u64_load_acquire(&defragmentation->purges),
    };
    memcpy(&result.trend, &trend_bits, sizeof trend_bits);
    *out = result;
}

/* ---- the actor ----------------------------------------------------------------------------------------------------- */

static uint64_t purge(struct ftli_defragmentation *defragmentation, uint64_t keep_bytes, uint64_t bytes)
{
    uint64_t purged = ftli_allocation_purge(defragmentation->world.device, keep_bytes, bytes);
    if (purged != 0) { /* the actor and callers of defragment_now both count */
        (void)ftli_u64_fetch_add_relaxed(&defragmentation->given_back_bytes, purged);
        (void)ftli_u64_fetch_add_relaxed(&defragmentation->purges, 1);
    }
    return purged;
}

/* One purge as decided; when to come again. */
static uint64_t give_back(struct ftli_defragmentation *defragmentation, uint64_t now_ns)
{
    struct ftli_give_back_decision decision;
    struct ftli_give_back_view view = view_of(defragmentation, now_ns);
    ftli_give_back_decide(&defragmentation->plan, &view, &decision);
    defragmentation->free_bytes = view.free_bytes;
    if (decision.purge_bytes == 0)
        return decision.again_ns;
    uint64_t slice = decision.purge_bytes < SLICE_BYTES ? decision.purge_bytes : SLICE_BYTES;
    uint64_t purged = purge(defragmentation, decision.keep_bytes, slice);
    view = view_of(defragmentation, now_ns);
    ftli_give_back_purged(&defragmentation->plan, purged, view.activity);
    defragmentation->free_bytes = view.free_bytes;
    if (purged == 0)
        return decision.all ? decision.otherwise_ns : decision.again_ns;
    return purged < decision.purge_bytes && slice == SLICE_BYTES ? SLICE_PAUSE_NS : decision.again_ns;
}

/* The plan counts in its own ticks: what comes between them, for a pass, does not ask it. */
static uint64_t go_on_giving_back(struct ftli_defragmentation *defragmentation, uint64_t now_ns)
{
    uint64_t wait_ns = defragmentation->look_ns < FTLI_DEFRAGMENTATION_TICK_NS ? defragmentation->look_ns
                                                                               : FTLI_DEFRAGMENTATION_TICK_NS;
    uint64_t passed_ns = now_ns - defragmentation->looked_ns;
    if (passed_ns < wait_ns)
        return wait_ns - passed_ns;
    defragmentation->looked_ns = now_ns;
    defragmentation->look_ns = give_back(defragmentation, now_ns);
    return defragmentation->look_ns;
}

static void count_given_back(struct ftli_defragmentation *defragmentation, uint64_t bytes)
{
    if (bytes != 0)
        (void)ftli_u64_fetch_add_relaxed(&defragmentation->given_back_bytes, bytes);
}

/* A slice of a pass; true: it was the last. */
static bool pass_slice(struct ftli_defragmentation *defragmentation)
{
    struct ftli_pass *pass = &defragmentation->pass;
    struct ftli_device *device = defragmentation->world.device;
    if (pass->part == FTLI_PASS_GATHER) {
        if (ftli_allocation_gather_headers(device, SLICE_HEADERS))
            pass->part = FTLI_PASS_TABLE;
    } else if (pass->part == FTLI_PASS_TABLE) {
        struct ftli_spare_swept swept = ftli_allocation_give_back_headers(device, SLICE_PAGES, false);
        count_given_back(defragmentation, (uint64_t)swept.pages * FTLI_PAGE_BYTES);
        if (swept.done) {
            pass->again = swept.young != 0;
            pass->part = FTLI_PASS_SLABS;
        }
    } else {
        bool over = ftli_allocation_purge_slabs(device, &pass->slabs, SLICE_SLABS, false);
        count_given_back(defragmentation, pass->slabs.bytes);
        pass->slabs.bytes = 0;
        if (over) {
            pass->again |= pass->slabs.young != 0;
            pass->slabs.young = 0;
            pass->part = FTLI_PASS_GATHER;
            return true;
        }
    }
    return false;
}

/* When to come again. */
static uint64_t go_on_with_pass(struct ftli_defragmentation *defragmentation, uint64_t now_ns)
{
    struct ftli_pass *pass = &defragmentation->pass;
    if (now_ns < pass->next_ns)
        return pass->again ? pass->next_ns - now_ns : NEVER_NS;
    if (!pass_slice(defragmentation))
        return SLICE_PAUSE_NS;
    pass->next_ns = ftli_deadline_ns(now_ns, pass->quarter_ns);
    return pass->again ? pass->quarter_ns : NEVER_NS;
}

/* Goes on while there is something to give back. Before it stops it says so, and looks once more: who freed memory a moment
 * ago may have seen it ticking, and stayed silent. pairs: give-back-again, with ftli_defragmentation_note. */
static int on_tick(void *state, ftli_context *context)
{
    struct ftli_defragmentation *defragmentation = state;
    uint64_t now_ns = ftli_now_ns(context), trend_bits;
    ftli_u64_add_owner(&defragmentation->ticks, 1);
    ftli_u32_store_seq_cst(&defragmentation->ticking, 1);
    uint64_t pass_ns = go_on_with_pass(defragmentation, now_ns);
    uint64_t again_ns = go_on_giving_back(defragmentation, now_ns);
    again_ns = pass_ns < again_ns ? pass_ns : again_ns;
    if (again_ns > FTLI_DEFRAGMENTATION_TICK_NS) {
        ftli_u32_store_seq_cst(&defragmentation->ticking, 0);
        if (ftli_allocation_free_resident_bytes(defragmentation->world.device) > defragmentation->free_bytes) {
            ftli_u32_store_seq_cst(&defragmentation->ticking, 1);
            again_ns = FTLI_DEFRAGMENTATION_TICK_NS;
        }
    }
    double trend = again_ns <= FTLI_DEFRAGMENTATION_TICK_NS ? ftli_give_back_trend(&defragmentation->plan) : 0;
    memcpy(&trend_bits, &trend, sizeof trend_bits);
    ftli_u64_store_release(&defragmentation->trend_bits, trend_bits);
    if (again_ns != NEVER_NS)
        ftli_actor_run_within(ftli_self(context), again_ns);
    return FTL_OK;
}

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    (void)state;
    (void)context;
    (void)message;
    return FTL_OK;
}

/* A restart loses what the plan had seen: it begins a new minute. */
static int start(void *state, ftli_context *context)
{
    struct ftli_defragmentation *defragmentation = state;
    const struct ftli_give_back_rules rules = defragmentation->plan.rules;
    ftli_give_back_init(&defragmentation->plan, &rules);
    defragmentation->pass = (struct ftli_pass){.quarter_ns = rules.give_back_ns / 4};
    defragmentation->look_ns = 0;
    ftli_u32_store_seq_cst(&defragmentation->ticking, 1);
    ftli_actor_run_within(ftli_self(context), FTLI_DEFRAGMENTATION_TICK_NS);
    return FTL_OK;
}

const ftli_actor_operations ftli_defragmentation_operations = {
    .type = "defragmentation",
    .start = start,
    .on_message = on_message,
    .on_tick = on_tick,
    .restartable = true,
};
