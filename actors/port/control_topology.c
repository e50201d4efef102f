/* "topology": groups, actors, and what differs from the standard. */
#include "actors/port/control.h"

int ftli_control_topology(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    struct ftli_control_answer said = {write, user, 0}, *answer = &said;
    (void)arguments;
    const struct ftli_topology *topology = runtime->topology;
    ftli_control_say(answer, "%s  %s\n", topology->name, topology->source);
    for (uint32_t i = 0; i < topology->group_count; i++)
        ftli_control_say(answer, "threads %-16s count %u nice %d\n", topology->groups[i].name,
                         topology->groups[i].count, topology->groups[i].nice);
    for (unsigned i = 0; i < ftli_kernel_actor_count(runtime->kernel); i++) {
        static const char *const phases[] = {"idle", "queued", "running", "restarting", "down", "stopped"};
        static const char *const breakers[] = {"", "  breaker open", "  breaker trying"};
        ftli_actor *actor = ftli_kernel_actor(runtime->kernel, i);
        ftli_actor_figures figures;
        ftli_actor_read(actor, &figures);
        uint32_t breaker = ftli_supervisor_breaker(runtime->supervisor, i, ftli_kernel_now_ns(runtime->kernel));
        ftli_control_say(
            answer, "actor   %-16s %-10s messages %llu restarts %llu busy %.3f ms  failures %llu overdue %llu%s%s\n",
            ftli_actor_name(actor), figures.phase < 6 ? phases[figures.phase] : "?",
            (unsigned long long)figures.messages, (unsigned long long)figures.restarts, (double)figures.busy_ns / 1e6,
            (unsigned long long)figures.failures, (unsigned long long)figures.overdue,
            figures.degraded ? "  degraded" : "", breakers[breaker]);
    }
    for (uint32_t i = 0; i < topology->difference_count; i++)
        ftli_control_say(answer, "differs %s: %s (default.yaml: %s)\n", topology->differences[i].key,
                         topology->differences[i].value, topology->differences[i].standard);
    return FTL_OK;
}
