#include "actors/port/back_pressure.h"

#include "actors/port/outbox.h"

#define PENDING_WAITS   8
#define MESSAGE_TENSORS 2
#define MESSAGE_BYTES   16
#define HELP_SPINS      32
/* Worth of drops: nearly a parcel, for each of them bears its share of what a turn costs. */
#define TURN_BYTES (FTLI_PARCEL_BYTES - (UINT64_C(1) << 16))

const char *ftli_cleanup_group(const struct ftl_runtime *runtime)
{
    return ftli_topology_actor(runtime->topology, "cleanup")->threads.name;
}

/* Where every drop is a message all memory comes back through the cleanup, and what is pending only waits for a processor: the marks
 * are smaller, since a new that waits gives it one, and a new that does not takes memory that is not needed. */
static bool has_more(const struct ftl_runtime *runtime, unsigned times)
{
    const struct ftli_topology_back_pressure *marks = &runtime->topology->back_pressure;
    struct ftli_cleanup_pending pending = ftli_cleanup_read_pending(&runtime->cleanup);
    uint64_t tensors = times * (uint64_t)marks->pending, bytes = times * marks->bytes;
    if (runtime->cleanup.every_drop_is_a_message) {
        tensors /= MESSAGE_TENSORS;
        bytes /= MESSAGE_BYTES;
    }
    return pending.tensors > tensors || pending.bytes > bytes;
}

/* How much more than its marks the cleanup has before it: messages, bytes, or age. */
static bool is_behind(struct ftl_runtime *runtime, unsigned times)
{
    struct ftli_cleanup_backlog backlog;
    if (has_more(runtime, times))
        return true;
    ftli_cleanup_read_backlog(&runtime->cleanup, &backlog);
    uint64_t age_ns = times * (uint64_t)runtime->topology->back_pressure.age_ns;
    return backlog.oldest_ns != 0 && ftli_kernel_coarse_ns(runtime->kernel) > backlog.oldest_ns + age_ns;
}

/* Over the mark new wakes the cleanup, over twice the mark it waits: a drop never does. One slow new in sixteen looks; where every
 * drop is a message each of them at what costs little. */
bool ftli_press_back(const struct ftli_agent *agent)
{
    struct ftl_runtime *runtime = agent->runtime;
    bool looks = (ftli_thread.slow_news++ & FTLI_LOOKS_EVERY) == 0;
    if (runtime->cleanup.every_drop_is_a_message && looks)
        ftli_outbox_look(agent);
    if (!(looks && is_behind(runtime, 1)) && !(runtime->cleanup.every_drop_is_a_message && has_more(runtime, 1)))
        return true;
    ftli_actor_wake(runtime->cleanup.actor);
    if (ftli_kernel_is_service_thread(runtime->kernel))
        return true;
    const char *group = ftli_cleanup_group(runtime);
    ftli_event *completed = ftli_allocation_completed(runtime->device);
    uint64_t wait_ns = (uint64_t)runtime->topology->back_pressure.wait_ns;
    uint64_t deadline_ns = ftli_deadline_ns(ftli_kernel_now_ns(runtime->kernel), wait_ns);
    for (unsigned i = 0; i < PENDING_WAITS; i++) {
        uint32_t ticket = ftli_event_prepare(completed);
        if (!is_behind(runtime, 2)) {
            ftli_event_cancel(completed);
            return true;
        }
        int status = ftli_kernel_wait(runtime->kernel, completed, ticket, deadline_ns, group);
        if (status != FTL_OK)
            return status != FTL_ENOTSUP;
    }
    return true;
}

bool ftli_turn_over(struct ftli_port *port, unsigned size_class, uint64_t bytes)
{
    struct ftl_runtime *runtime = port->owner;
    if (ftli_rack_has_previous(&port->rack, size_class))
        return false;
    if (ftli_outbox_unpack(port, size_class, bytes, 1))
        return true;
    struct ftli_cleanup_pending posted = ftli_cleanup_read_pending(&runtime->cleanup);
    uint64_t worth = ftli_outbox_worth(port) + posted.bytes + posted.tensors * FTLI_PARCEL_SHARE_BYTES;
    bool any = false;
    if (worth >= TURN_BYTES) {
        (void)ftli_outbox_post(port);
        for (unsigned spins = 0; !any && spins < HELP_SPINS; spins++) {
            any = ftli_cleanup_help(&runtime->cleanup);
            if (!any)
                ftli_cpu_relax();
        }
    }
    return ftli_outbox_unpack(port, size_class, bytes, FTLI_PARCEL_LANES);
}
