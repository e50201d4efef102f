#include "actors/port/routes.h"

#include <stdlib.h>
#include <string.h>

#define GAUGE "Pressure" /* no topology can give the name */

static ftli_actor *find(const struct ftl_runtime *runtime, const char *name)
{
    return ftli_kernel_find(runtime->kernel, name);
}

static void chain(ftli_route **first, ftli_route *route)
{
    route->next = *first;
    *first = route;
}

/* What its event is the news of has a place for it; the kernel's news and logs are looked for when they come. */
static void attach(struct ftl_runtime *runtime, const struct ftli_topology_route *from, ftli_route *route)
{
    if (from->kind == FTLI_ROUTE_PRESSURE)
        chain(&runtime->gauge.routes[from->event], route);
    else if (from->kind == FTLI_ROUTE_OWN && find(runtime, from->source) == runtime->cleanup_actor)
        chain(&runtime->cleanup.completed, route); /* the one event that it has */
    else if (from->kind == FTLI_ROUTE_OWN && find(runtime, from->source) == runtime->tracking_actor)
        chain(&runtime->tracking.over_target, route); /* as well */
    else if (from->kind == FTLI_ROUTE_OWN && find(runtime, from->source) == runtime->leak_detection_actor)
        chain(&runtime->leak_detection.growth.confirmed, route); /* as well */
}

static void make(struct ftl_runtime *runtime, const struct ftli_topology_route *from, ftli_route *route)
{
    route->to = find(runtime, from->tell);
    route->foreign = from->message == NULL;
    if (route->foreign) {
        route->lane = FTLI_LANE_NORMAL;
        route->u.routed.when = from->when;
        route->u.routed.what = from->what;
    } else {
        route->lane = from->message->lane;
        route->u.message.type = from->message->type;
    }
    route->u.message.flags = FTLI_ROUTE_FLAG;
    attach(runtime, from, route);
}

static int add_gauge(struct ftl_runtime *runtime)
{
    const struct ftli_topology *topology = runtime->topology;
    ftli_actor *actor;
    runtime->gauge.device = runtime->device;
    runtime->gauge.marks.hysteresis = topology->pressure_hysteresis;
    memcpy(runtime->gauge.marks.levels, topology->pressure_levels, sizeof runtime->gauge.marks.levels);
    ftli_actor_options options = {.operations = &ftli_gauge_operations,
                                  .state = &runtime->gauge,
                                  .group = ftli_topology_actor(topology, "cleanup")->threads.name};
    return ftli_kernel_add_actor(runtime->kernel, GAUGE, &options, &actor);
}

int ftli_routes_open(struct ftl_runtime *runtime)
{
    const struct ftli_topology *topology = runtime->topology;
    bool needs_gauge = false;
    if (topology->route_count == 0)
        return FTL_OK;
    size_t bytes = topology->route_count * sizeof(ftli_route);
    runtime->routes = aligned_alloc(FTLI_CACHE_LINE, (bytes + FTLI_CACHE_LINE - 1) / FTLI_CACHE_LINE * FTLI_CACHE_LINE);
    if (runtime->routes == NULL)
        return FTL_ENOMEM;
    memset(runtime->routes, 0, bytes);
    for (uint32_t i = 0; i < topology->route_count; i++) {
        if (topology->routes[i].is_void)
            continue;
        make(runtime, &topology->routes[i], &runtime->routes[i]);
        needs_gauge |= topology->routes[i].kind == FTLI_ROUTE_PRESSURE;
    }
    return needs_gauge ? add_gauge(runtime) : FTL_OK;
}

void ftli_routes_close(struct ftl_runtime *runtime)
{
    free(runtime->routes);
    runtime->routes = NULL;
}

static void tell(struct ftl_runtime *runtime, uint32_t kind, uint32_t event, const char *source)
{
    const struct ftli_topology *topology = runtime->topology;
    for (uint32_t i = 0; runtime->routes != NULL && i < topology->route_count; i++) {
        const struct ftli_topology_route *route = &topology->routes[i];
        if (!route->is_void && route->kind == kind && route->event == event && strcmp(route->source, source) == 0)
            ftli_route_happened(&runtime->routes[i]);
    }
}

void ftli_routes_on_news(struct ftl_runtime *runtime, const ftli_news *news)
{
    tell(runtime, FTLI_ROUTE_NEWS, news->kind, ftli_actor_name(news->actor));
}

void ftli_routes_on_log(struct ftl_runtime *runtime, const char *actor, uint32_t level)
{
    tell(runtime, FTLI_ROUTE_LOG, level, actor);
}
