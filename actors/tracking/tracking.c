/* The tracking actor: empties the ports' rings into the record of the last events, and says what tracking costs. */
#include "actors/tracking/tracking.h"

#include <stdio.h>
#include <string.h>

#include <fettle/fettle.h>

#include "runtime/base/os.h"
#include "runtime/kernel/route.h"

#define ROUNDS_MOST 4096 /* of one collection: writers that never pause do not hold a reader up for ever */

int ftli_tracking_init(struct ftli_tracking *tracking, const struct ftli_tracking_world *world)
{
    memset(tracking, 0, sizeof *tracking);
    tracking->world = *world;
    if (world->settings->level <= FTLI_TRACKING_MINIMAL)
        return FTL_OK;
    size_t page = ftli_os_page_bytes();
    size_t bytes = (world->settings->events * sizeof *tracking->events + page - 1) / page * page;
    tracking->events = ftli_os_reserve(bytes, page);
    if (tracking->events == NULL)
        return FTL_ENOMEM;
    tracking->events_bytes = bytes;
    tracking->capacity = world->settings->events;
    ftli_stacks_prepare();
    int status = ftli_sites_open(world->settings->sites, &tracking->sites);
    if (status != FTL_OK)
        ftli_tracking_fini(tracking);
    return status;
}

void ftli_tracking_fini(struct ftli_tracking *tracking)
{
    if (tracking->events != NULL)
        ftli_os_release(tracking->events, tracking->events_bytes);
    ftli_sites_close(tracking->sites);
    tracking->events = NULL;
    tracking->sites = NULL;
    tracking->capacity = 0;
}

void ftli_tracking_attach(struct ftli_tracking *tracking, ftli_actor *actor)
{
    tracking->actor = actor;
}

void ftli_tracking_note(struct ftli_tracking *tracking)
{
    if (tracking->actor != NULL && tracking->capacity != 0)
        ftli_actor_run_within(tracking->actor, FTLI_TRACKING_TICK_NS);
}

/* Straight into the ring, up to its end and on from its beginning. The token is held. */
static uint64_t collect(struct ftli_tracking *tracking)
{
    uint64_t collected = 0;
    for (unsigned round = 0; tracking->capacity != 0 && round < ROUNDS_MOST; round++) {
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

void ftli_tracking_read(struct ftli_tracking *tracking, struct ftli_tracking_figures *out)
{
    struct ftli_tracking_load load = {0};
    struct ftli_tracking_figures figures = {0};
    tracking->world.read_load(tracking->world.user, &load);
    figures.events = ftli_u64_load_acquire(&tracking->taken);
    figures.kept = figures.events < tracking->capacity ? figures.events : tracking->capacity;
    figures.lost = load.events_lost;
    figures.header_bytes = load.live * FTLI_TRACKING_HEADER_BYTES;
    figures.ring_bytes = load.ring_bytes + tracking->events_bytes + ftli_sites_used_bytes(tracking->sites);
    if (load.thread_cycles != 0)
        figures.time_overhead = (double)load.tracking_cycles / (double)load.thread_cycles;
    if (load.live_bytes != 0)
        figures.memory_overhead = (double)figures.header_bytes / (double)load.live_bytes;
    if (tracking->actor != NULL) {
        ftli_actor_figures actor;
        ftli_actor_read(tracking->actor, &actor);
        figures.own_busy_ns = actor.busy_ns;
    }
    *out = figures;
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

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    (void)context;
    if (message->flags == FTLI_ROUTE_FLAG && message->type == FTLI_TRACKING_UPDATE)
        on_update(state, ftli_route_of(message));
    return FTL_OK;
}

/* Ends when nothing came: the next event that fills half a ring, or the next pause of the program, arms it again. */
static int on_tick(void *state, ftli_context *context)
{
    struct ftli_tracking *tracking = state;
    uint64_t collected = 1;
    if (ftli_token_try_take(&tracking->token)) {
        collected = collect(tracking);
        ftli_token_release(&tracking->token);
    }
    if (collected != 0)
        ftli_actor_run_within(ftli_self(context), FTLI_TRACKING_TICK_NS);
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
