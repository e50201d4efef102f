#include "actors/events/gauge.h"

#include <fettle/fettle.h>

static void change(struct ftli_gauge *gauge, uint32_t level)
{
    uint32_t before = gauge->marks.level;
    gauge->marks.level = level;
    for (uint32_t i = before + 1; i <= level; i++)
        ftli_route_happened(gauge->routes[i]);
    if (level == 0 && before != 0)
        ftli_route_happened(gauge->routes[0]);
}

static bool watch(const struct ftli_gauge *gauge, ftli_actor *actor)
{
    uint64_t at_least, below;
    ftli_pressure_bounds(&gauge->marks, ftli_allocation_limit(gauge->device), &at_least, &below);
    return ftli_allocation_watch(gauge->device, FTLI_WATCHER_ROUTES, actor, at_least, below);
}

/* Also its start: what it knows is one level, which a restart does not spoil. */
static int look(void *state, ftli_context *context)
{
    struct ftli_gauge *gauge = state;
    do
        change(gauge, ftli_pressure_level(&gauge->marks, ftli_allocation_limit(gauge->device),
                                          ftli_allocation_committed(gauge->device)));
    while (!watch(gauge, ftli_self(context)));
    return FTL_OK;
}

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    (void)state;
    (void)context;
    (void)message;
    return FTL_OK;
}

const ftli_actor_operations ftli_gauge_operations = {
    .type = "gauge",
    .start = look,
    .on_message = on_message,
    .on_tick = look,
    .restartable = true,
};
