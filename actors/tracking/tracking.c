/* The tracking actor: empties the ports' rings into the record of the last events, and says what tracking costs. */
#include "actors/tracking/tracking.h"

#include <stdio.h>
#include <string.h>

#include <fettle/fettle.h>

#include "actors/tracking/adapt.h"
#include "runtime/base/clock.h"
#include "runtime/base/os.h"
#include "runtime/kernel/kernel.h"

#define ROUNDS_MOST 4096 /* of one collection: writers that never pause do not hold a reader up for ever */

int ftli_tracking_make_ring(struct ftli_tracking *tracking)
{
    const struct ftli_tracking_settings *settings = tracking->world.settings;
    if (tracking->events != NULL)
        return FTL_OK;
    size_t page = ftli_os_page_bytes();
    size_t bytes = (settings->events * sizeof *tracking->events + page - 1) / page * page;
    struct ftli_event_record *events = ftli_os_reserve(bytes, page);
    if (events == NULL)
        return FTL_ENOMEM;
    tracking->events = events;
    ftli_u64_store_relaxed(&tracking->events_bytes, bytes);
    ftli_u32_store_release(&tracking->has_ring, 1); /* pairs: tracking-ring */
    return FTL_OK;
}

int ftli_tracking_init(struct ftli_tracking *tracking, const struct ftli_tracking_world *world)
{
    memset(tracking, 0, sizeof *tracking);
    tracking->world = *world;
    tracking->capacity = world->settings->events;
    ftli_stacks_prepare();
    tracking->target = world->settings->target;
    ftli_u32_store_relaxed(&tracking->level, world->settings->level);
    ftli_tracking_begin_level(tracking);
    int status = world->settings->sites == 0 ? FTL_OK : ftli_sites_open(world->settings->sites, &tracking->sites);
    if (status == FTL_OK && world->settings->level > FTLI_TRACKING_MINIMAL)
        status = ftli_tracking_make_ring(tracking);
    if (status != FTL_OK)
        ftli_tracking_fini(tracking);
    return status;
}

void ftli_tracking_fini(struct ftli_tracking *tracking)
{
    if (tracking->events != NULL)
        ftli_os_release(tracking->events, ftli_u64_load_relaxed(&tracking->events_bytes));
    ftli_sites_close(tracking->sites);
    ftli_u32_store_release(&tracking->has_ring, 0);
    tracking->events = NULL;
    tracking->sites = NULL;
}

void ftli_tracking_attach(struct ftli_tracking *tracking, ftli_actor *actor)
{
    tracking->actor = actor;
}

void ftli_tracking_note(struct ftli_tracking *tracking)
{
    if (tracking->actor != NULL && ftli_u32_load_relaxed(&tracking->has_ring) != 0)
        ftli_actor_run_within(tracking->actor, FTLI_TRACKING_TICK_NS);
}

/* Straight into the ring, up to its end and on from its beginning. The token is held. */
static uint64_t collect(struct ftli_tracking *tracking)
{
    uint64_t collected = 0;
    for (unsigned round = 0; tracking->events != NULL && round < ROUNDS_MOST; round++) {
        uint32_t at = (uint32_t)(ftli_u64_load_relaxed(&tracking->taken) % tracking->capacity);
        uint32_t n = tracking->world.take_events(tracking->world.user, tracking->events + at, tracking->capacity - at);
        if (n == 0)
            break;
        ftli_u64_add_owner(&tracking->taken, n);
        collected += n;
    }
    return collected;
}

uint32_t ftli_tracking_events(struct ftli_tracking *tracking, struct ftli_event_record *out, uint32_t n)
{
    ftli_token_take(&tracking->token);
    (void)collect(tracking);
    uint64_t taken = ftli_u64_load_relaxed(&tracking->taken);
    uint64_t kept = taken < tracking->capacity ? taken : tracking->capacity;
    uint32_t count = n < kept ? n : (uint32_t)kept;
    for (uint32_t i = 0; i < count; i++)
        out[i] = tracking->events[(taken - count + i) % tracking->capacity];
    ftli_token_release(&tracking->token);
    return count;
}

void ftli_tracking_measure(struct ftli_tracking *tracking, struct ftli_tracking_load *load,
                           struct ftli_controller_measure *out)
{
    memset(load, 0, sizeof *load);
    tracking->world.read_load(tracking->world.user, load);
    *out = (struct ftli_controller_measure){
        .events = load->sampled, .spent_ns = load->tracking_ns, .thread_ns = load->thread_ns};
    if (tracking->actor == NULL)
        return;
    out->spent_ns += ftli_u64_load_relaxed(&tracking->own_cpu_ns);
    out->now_ns = ftli_kernel_now_ns(ftli_actor_kernel(tracking->actor));
}

void ftli_tracking_read(struct ftli_tracking *tracking, struct ftli_tracking_figures *out)
{
    struct ftli_tracking_load load;
    struct ftli_controller_measure now;
    struct ftli_tracking_figures figures = {0};
    ftli_tracking_measure(tracking, &load, &now);
    figures.events = ftli_u64_load_acquire(&tracking->taken);
    figures.kept = figures.events < tracking->capacity ? figures.events : tracking->capacity;
    figures.lost = load.events_lost;
    figures.header_bytes = load.live * FTLI_TRACKING_HEADER_BYTES;
    figures.ring_bytes =
        load.ring_bytes + ftli_u64_load_relaxed(&tracking->events_bytes) + ftli_sites_used_bytes(tracking->sites);
    figures.own_busy_ns = now.spent_ns - load.tracking_ns;
    figures.sampled = load.sampled;
    uint64_t spent_ns = now.spent_ns - ftli_u64_load_relaxed(&tracking->begun_spent_ns);
    uint64_t thread_ns = now.thread_ns - ftli_u64_load_relaxed(&tracking->begun_thread_ns);
    figures.level = ftli_u32_load_relaxed(&tracking->level);
    if (thread_ns != 0 && thread_ns <= now.thread_ns && spent_ns <= now.spent_ns &&
        figures.level > FTLI_TRACKING_MINIMAL)
        figures.time_overhead = (double)spent_ns / (double)thread_ns;
    if (load.live_bytes != 0)
        figures.memory_overhead = (double)figures.header_bytes / (double)load.live_bytes;
    figures.rate_changes = ftli_u64_load_relaxed(&tracking->rate_changes);
    figures.times_over = ftli_u64_load_relaxed(&tracking->times_over);
    figures.stacks_paused = ftli_u32_load_relaxed(&tracking->stacks_paused);
    for (unsigned tier = 0; tier < FTLI_TRACKING_TIERS; tier++)
        figures.rates[tier] = ftli_weight_rate(ftli_u32_load_relaxed(&tracking->rates.codes[tier]));
    *out = figures;
}

/* What the actor's thread had, and not what passed meanwhile: on a busy machine it waits for others in the midst of its work. In simulation
 * nothing is measured. */
static uint64_t own_cpu_ns(const ftli_context *context)
{
    return ftli_kernel_is_simulated(ftli_actor_kernel(ftli_self(context))) ? 0 : ftli_os_thread_cpu_ns();
}

static void count_own(struct ftli_tracking *tracking, const ftli_context *context, uint64_t began_ns)
{
    ftli_u64_add_owner(&tracking->own_cpu_ns, own_cpu_ns(context) - began_ns);
}

/* Whoever reads the events at this moment empties the rings himself. */
static void on_update(struct ftli_tracking *tracking, ftli_route *route)
{
    uint64_t seen = ftli_route_begin(route);
    if (ftli_token_try_take(&tracking->token)) {
        (void)collect(tracking);
        ftli_token_release(&tracking->token);
    }
    ftli_route_end(route, seen);
}

/* Whoever has the token at this moment leaves it to the next tick. */
static void on_sample_less(struct ftli_tracking *tracking, ftli_context *context, ftli_route *route)
{
    uint64_t seen = ftli_route_begin(route);
    tracking->is_less_wanted = true;
    ftli_actor_run_within(ftli_self(context), 0);
    ftli_route_end(route, seen);
}

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    const uint64_t began_ns = own_cpu_ns(context);
    if (message->flags != FTLI_ROUTE_FLAG)
        return FTL_OK;
    if (message->type == FTLI_TRACKING_UPDATE)
        on_update(state, ftli_route_of(message));
    else if (message->type == FTLI_TRACKING_SAMPLE_LESS)
        on_sample_less(state, context, ftli_route_of(message));
    count_own(state, context, began_ns);
    return FTL_OK;
}

/* Their timelines go on while events come, and a pass that was begun is ended. Whether one is under way. */
static bool look_at_sites(struct ftli_tracking *tracking, bool begins, uint64_t now_ns)
{
    if (tracking->sites == NULL || (!begins && tracking->looked == 0))
        return false;
    ftli_sites_look(tracking->sites, &tracking->looked, FTLI_TRACKING_SITES_A_TICK, now_ns / 1000000);
    return tracking->looked != 0;
}

/* Ends when nothing came: the next event that fills half a ring, or the next pause of the program, arms it again. */
static int on_tick(void *state, ftli_context *context)
{
    struct ftli_tracking *tracking = state;
    const uint64_t began_ns = own_cpu_ns(context);
    uint64_t again_ns = FTLI_TRACKING_TICK_NS;
    if (ftli_token_try_take(&tracking->token)) {
        uint64_t collected = collect(tracking);
        collected += look_at_sites(tracking, collected != 0, ftli_now_ns(context));
        again_ns = ftli_tracking_adapt(tracking, ftli_now_ns(context));
        ftli_token_release(&tracking->token);
        again_ns = collected != 0 && again_ns > FTLI_TRACKING_TICK_NS ? FTLI_TRACKING_TICK_NS : again_ns;
    }
    if (again_ns != FTLI_NEVER_NS)
        ftli_actor_run_within(ftli_self(context), again_ns);
    count_own(tracking, context, began_ns);
    return FTL_OK;
}

/* Of the events that are kept. The token is held: any thread may look, and the actor goes on beside it. */
static int check_kept(const struct ftli_tracking *tracking, char *why, size_t why_bytes)
{
    uint64_t taken = ftli_u64_load_acquire(&tracking->taken);
    uint64_t kept = taken < tracking->capacity ? taken : tracking->capacity;
    for (uint64_t i = taken - kept; i < taken; i++) {
        uint32_t kind = tracking->events[i % tracking->capacity].kind;
        if (kind != FTLI_EVENT_CREATED && kind != FTLI_EVENT_DROPPED) {
            (void)snprintf(why, why_bytes, "tracking: event %llu is of kind %u, neither created nor dropped",
                           (unsigned long long)i, kind);
            return FTL_EINTERNAL;
        }
    }
    return FTL_OK;
}

static int check(const void *state, char *why, size_t why_bytes)
{
    struct ftli_tracking *tracking = (struct ftli_tracking *)(uintptr_t)state;
    ftli_token_take(&tracking->token);
    int status = check_kept(tracking, why, why_bytes);
    ftli_token_release(&tracking->token);
    return status;
}

/* Restartable: what it keeps is whole between any two messages. */
const ftli_actor_operations ftli_tracking_operations = {
    .type = "tracking",
    .on_message = on_message,
    .on_tick = on_tick,
    .check = check,
    .restartable = true,
};
