/* How ports draw by the rates that tracking publishes, and what time their threads have had. */
#include "actors/port/agent.h"
#include "runtime/base/clock.h"
#include "runtime/base/os.h"

void ftli_port_draw(struct ftli_port *port)
{
    uint32_t epoch = ftli_rates_read(&port->owner->tracking.rates, &port->draws);
    for (unsigned tier = 0; tier <= FTLI_TRACKING_TIERS; tier++)
        port->tier_countdown[tier] = ftli_sampling_countdown(&port->draws, tier, &port->random);
    for (unsigned c = 1; c < FTLI_CLASSES; c++)
        port->countdown[c] = ftli_sample_class_countdown(port, c);
    ftli_u32_store_release(&port->rates_epoch, epoch);
}

static bool is_behind(const struct ftli_port *port)
{
    const struct ftl_runtime *runtime = port->owner;
    return runtime != NULL &&
           ftli_u32_load_acquire(&port->rates_epoch) != ftli_u32_load_acquire(&runtime->tracking.rates.epoch);
}

uint32_t ftli_port_draw_all(struct ftl_runtime *runtime)
{
    return ftli_port_visit(runtime, is_behind, ftli_port_draw);
}

void ftli_port_time_begin(struct ftli_port *port)
{
    ftli_u64_store_relaxed(&port->time.seen_ns, 0);
    ftli_u64_store_relaxed(&port->time.from_ns, 0);
    ftli_u64_store_release(&port->time.taken_ns, ftli_clock_now_ns());
}

static uint64_t since_taken_ns(const struct ftli_port *port)
{
    uint64_t now_ns = ftli_clock_now_ns(), taken_ns = ftli_u64_load_acquire(&port->time.taken_ns);
    return now_ns > taken_ns ? now_ns - taken_ns : 0;
}

void ftli_port_time_end(struct ftli_port *port)
{
    uint64_t seen_ns = ftli_u64_load_relaxed(&port->time.seen_ns);
    uint64_t had_ns = seen_ns != 0 ? seen_ns : since_taken_ns(port);
    ftli_u64_store_relaxed(&port->time.seen_ns, 0);
    ftli_u64_store_relaxed(&port->time.before_ns, ftli_u64_load_relaxed(&port->time.before_ns) + had_ns);
}

/* Two that look at once see nearly the same. */
uint64_t ftli_port_time_ns(struct ftli_port *port)
{
    uint64_t before_ns = ftli_u64_load_relaxed(&port->time.before_ns);
    uint64_t from_ns = ftli_u64_load_relaxed(&port->time.from_ns), seen_ns = ftli_u64_load_relaxed(&port->time.seen_ns);
    uint64_t now_ns;
    if (!ftli_os_cpu_ns_of(ftli_os_mutex_owner(&port->life), &now_ns)) {
        bool is_unseen = seen_ns == 0 && ftli_u32_load_acquire(&port->state) == FTLI_PORT_USED;
        return before_ns + (is_unseen ? since_taken_ns(port) : seen_ns);
    }
    if (seen_ns == 0) {
        uint64_t passed_ns = since_taken_ns(port);
        from_ns = now_ns > passed_ns ? now_ns - passed_ns : 0;
        ftli_u64_store_relaxed(&port->time.from_ns, from_ns);
    }
    if (now_ns > from_ns + seen_ns) {
        seen_ns = now_ns - from_ns;
        ftli_u64_store_relaxed(&port->time.seen_ns, seen_ns);
    }
    return before_ns + seen_ns;
}
