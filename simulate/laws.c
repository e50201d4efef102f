/* What must hold, whatever was done and whatever failed: CORE.md's laws as far as a program and an audit can see them. */
#include "simulate/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ftli_world_broken(struct ftli_world *world, const char *law, const char *format, ...)
{
    if (ftli_world_is_broken(world))
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->result.why, sizeof world->result.why, format, arguments);
    va_end(arguments);
    snprintf(world->result.law, sizeof world->result.law, "%s", law);
}

bool ftli_world_holds(struct ftli_world *world, bool condition, const char *law, const char *text)
{
    if (FTLI_UNLIKELY(!condition))
        ftli_world_broken(world, law, "operation %" PRIu64 ": not so: %s; the last error: %s", world->operation, text,
                          ftl_last_error());
    return condition;
}

static uint64_t ended(const struct ftli_totals *t, unsigned parity)
{
    return t->completed[parity] + t->quarantined_by_parity[parity];
}

int ftli_world_law(void *user)
{
    static const char law[] = "created >= dropped >= reclaimed + quarantined";
    struct ftli_world *world = user;
    struct ftli_totals t;
    ftli_runtime_totals(world->runtime, &t);
    (void)FTLI_HOLDS(world, law, t.created >= t.immediate + t.deferred[0] + t.deferred[1]);
    (void)FTLI_HOLDS(world, law, t.created_bytes >= t.immediate_bytes + t.deferred_bytes);
    (void)FTLI_HOLDS(world, law, t.deferred_bytes >= t.completed_bytes + t.quarantined_bytes);
    for (unsigned parity = 0; parity < 2; parity++)
        (void)FTLI_HOLDS(world, law, t.deferred[parity] >= ended(&t, parity));
    return ftli_world_is_broken(world) ? FTL_EINTERNAL : FTL_OK;
}

uint64_t ftli_world_pending(const struct ftli_world *world)
{
    struct ftli_totals t;
    ftli_runtime_totals(world->runtime, &t);
    return t.deferred[0] + t.deferred[1] - ended(&t, 0) - ended(&t, 1);
}

void ftli_world_audit(struct ftli_world *world)
{
    char why[300] = "";
    if (ftli_runtime_audit(world->runtime, why, sizeof why) != FTL_OK)
        ftli_world_broken(world, "a walk of the table and the heaps agrees with the counters", "%s", why);
    if (ftli_kernel_check(world->runtime->kernel, why, sizeof why) != FTL_OK)
        ftli_world_broken(world, "the actors' invariants", "%s", why);
}

/* Alive, and its memory is its own. */
void ftli_world_check_slot(struct ftli_world *world, const struct ftli_world_slot *slot)
{
    static const char law[] = "a tensor is alive while it is referred to, and its memory is its own";
    if (slot->references == 0)
        return;
    if (!FTLI_HOLDS(world, law, ftl_tensor_alive(slot->tensor)) || slot->stamp == 0)
        return;
    const char *data = ftl_tensor_pin(slot->tensor);
    if (!FTLI_HOLDS(world, law, data != NULL))
        return;
    (void)FTLI_HOLDS(world, law, memcmp(data, &slot->stamp, sizeof slot->stamp) == 0);
    (void)FTLI_HOLDS(world, law,
                     memcmp(data + slot->bytes - sizeof slot->stamp, &slot->stamp, sizeof slot->stamp) == 0);
    ftl_tensor_unpin(slot->tensor);
}

void ftli_world_check_gone(struct ftli_world *world)
{
    static const char law[] = "a handle beyond its last reference is refused";
    ftl_tensor tensor = world->gone[ftli_world_below(world, FTLI_WORLD_GONE)];
    if (tensor.id == 0)
        return;
    (void)FTLI_HOLDS(world, law, !ftl_tensor_alive(tensor));
    (void)FTLI_HOLDS(world, law, ftl_tensor_pin(tensor) == NULL);
    (void)FTLI_HOLDS(world, law, ftl_tensor_retain(tensor) == FTL_ESTALE);
    (void)FTLI_HOLDS(world, law, ftl_tensor_drop(tensor) == FTL_ESTALE);
}

void ftli_world_check_end(struct ftli_world *world)
{
    static const char law[] = "everything that was let go of is reclaimed, or quarantined with a reason";
    ftl_stats stats;
    uint64_t given_up = 0;
    for (unsigned i = 0; i < world->finalizer_count; i++)
        given_up += world->finalizers[i].calls != 0 && !world->finalizers[i].done;
    ftli_world_audit(world);
    if (!FTLI_HOLDS(world, law, ftl_runtime_stats(world->runtime, &stats) == FTL_OK))
        return;
    if (stats.live != 0 || stats.pending != 0 || stats.quarantined != given_up)
        ftli_world_broken(world, law,
                          "%" PRIu64 " live, %" PRIu64 " pending, %" PRIu64
                          " quarantined; finalizers that never worked: %" PRIu64,
                          stats.live, stats.pending, stats.quarantined, given_up);
    if (stats.degraded != 0)
        ftli_world_broken(world, "once faults stop no actor stays degraded", "degraded: %x", stats.degraded);
}
