/* The topology of a seed: what depends on the machine is fixed, and what faults must not end is let go on. */
#include "simulate/world.h"

#include <stdarg.h>
#include <stdio.h>

#include "actors/allocation/settings.h"
#include "actors/port/topology.h"
#include "actors/telemetry/settings.h"

/* Supervision and cleanup, five ways. */
static const char *const variants[] = {
    "supervision.restarts: 10000\nactors.cleanup.deadline: 2s\n",
    "supervision.restarts: 10000\nactors.cleanup: {deadline: 2s, policy: message}\nactors.tracking.level: debug\n",
    "supervision: {restarts: 10000, strategy: one_for_all}\nactors.cleanup.deadline: 2s\n",
    "supervision: {restarts: 10000, strategy: rest_for_one}\nactors.cleanup: {deadline: 2s, policy: message}\n",
    "supervision: {restarts: 10000, breaker: {failures: 1, open: 100ms}}\nactors.cleanup.deadline: 2s\n"
    "recovery: {transient: [degrade, restart], fatal: [quarantine, restart]}\n",
};
enum { VARIANTS = sizeof variants / sizeof *variants };
static const char *const limits[] = {"4GiB", "64MiB", "24MiB"};
enum { LIMITS = sizeof limits / sizeof *limits };

struct text {
    char *at;
    size_t left;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text->at, text->left, format, arguments);
    va_end(arguments);
    if (n > 0 && (size_t)n < text->left) {
        text->at += n;
        text->left -= (size_t)n;
    }
}

/* What the processors, the memory and the sockets of this machine would decide. */
static void fix(const struct ftli_topology *topology, const char *limit, struct text *text)
{
    const struct ftli_topology_actor *allocation = ftli_topology_actor(topology, "allocation");
    const struct ftli_topology_actor *telemetry = ftli_topology_actor(topology, "telemetry");
    if (((const struct ftli_allocation_settings *)allocation->settings)->shards == 0)
        add(text, "actors.%s.shards: 4\n", allocation->name);
    if (topology->devices[0].limit_bytes == 0)
        add(text, "devices.%s.limit: %s\n", topology->devices[0].name, limit);
    if (telemetry != NULL && ((const struct ftli_telemetry_settings *)telemetry->settings)->publish[0] != '\0')
        add(text, "actors.%s.publish: none\n", telemetry->name);
}

int ftli_world_scenario(const struct ftli_world *world, char *overrides, size_t overrides_bytes, char *why,
                        size_t why_bytes)
{
    uint64_t seed = world->result.seed;
    ftl_open_options options = {.path = world->options.topology};
    struct text text = {overrides, overrides_bytes};
    const char *limit = ftli_world_may(world, FTLI_FAULT_OOM) ? limits[seed / VARIANTS % LIMITS] : limits[0];
    struct ftli_topology *topology;
    overrides[0] = '\0';
    if (options.path == NULL) {
        add(&text, "%sactors.allocation.shards: 4\ndevices.cpu: {limit: %s, arena: 4MiB}\n", variants[seed % VARIANTS],
            limit);
        return FTL_OK;
    }
    int status = ftli_topology_load(&options, &topology, why, why_bytes);
    if (status != FTL_OK)
        return status;
    add(&text, "supervision.restarts: 10000\n");
    fix(topology, limit, &text);
    ftli_topology_free(topology);
    return FTL_OK;
}
