/* What the actors are given: memory, settings, and the few calls by which they reach the runtime around them. */
#include <stdio.h>
#include <string.h>

#include "actors/port/agent.h"
#include "actors/port/life.h"
#include "actors/port/operator.h"
#include "runtime/base/clock.h"
#include "runtime/base/plant.h"

/* ---- calls ------------------------------------------------------------------------------------------------------------- */

static void drop_reference(void *user, uint64_t tensor, uint32_t parity)
{
    struct ftl_runtime *runtime = user;
    struct ftli_header *header = ftli_registry_find(tensor);
    int inherited = FTLI_PLANTED(WRONG_EPOCH) ? -1 : (int)parity;
    struct ftli_agent agent = {runtime, NULL, &runtime->cleanup.counters, false, inherited};
    if (header == NULL)
        return;
    (void)ftli_drop(&agent, header, ftli_handle_generation(tensor));
    /* What held it is gone, and it lives on: what it is in may hang on itself alone from here on. */
    if (ftli_word_is_live(ftli_u64_load_acquire(&header->word), ftli_handle_generation(tensor)) &&
        (ftli_record_flags(ftli_u64_load_acquire(&header->record)) & (FTLI_HEADER_LINKS | FTLI_HEADER_VIEW)) != 0)
        ftli_leak_detection_note_link(&runtime->leak_detection, tensor);
}

static int finalize(void *user, uint32_t parity, const struct ftli_finalizer_call *call)
{
    const struct ftl_runtime *runtime = user;
    uint32_t before = ftli_thread.inherits; /* a lent thread may be in another one */
    ftli_thread.inherits = runtime->number << 2 | 2 | parity;
    int status = call->finalizer(call->tensor, call->data, call->bytes, call->user);
    ftli_thread.inherits = before;
    return status;
}

static uint32_t take_events(void *user, struct ftli_event_record *out, uint32_t n)
{
    struct ftl_runtime *runtime = user;
    uint32_t taken = 0;
    for (uint32_t i = 0; i < ftli_port_count() && taken < n; i++) {
        struct ftli_port *port = ftli_port_at(i, runtime->number);
        uint32_t more = port != NULL ? ftli_event_ring_take(&port->ring, out + taken, n - taken) : 0;
        for (; more > 0; more--)
            out[taken++].thread = i;
    }
    return taken;
}

/* What the brackets do not see of a sampled tensor's birth and death: two branches that were predicted otherwise, calls, the draw. Measured
 * as the difference between levels (bench/tracking), at 2.8 GHz. */
#define UNSEEN_CYCLES UINT64_C(20)

static uint64_t cycles_in_ns(const struct ftl_runtime *runtime, uint64_t cycles)
{
    uint64_t ns = ftli_clock_system_ns() - runtime->opened_system_ns;
    uint64_t counted = ftli_clock_cycles() - runtime->opened_cycles;
    return counted == 0 ? 0 : (uint64_t)((double)cycles * (double)ns / (double)counted);
}

static void read_load(void *user, struct ftli_tracking_load *out)
{
    struct ftl_runtime *runtime = user;
    struct ftli_totals totals;
    memset(out, 0, sizeof *out);
    ftli_runtime_totals(runtime, &totals);
    out->sampled = totals.sampled;
    out->tracking_ns = cycles_in_ns(runtime, totals.tracking_cycles + totals.sampled * UNSEEN_CYCLES);
    out->live = totals.created - totals.immediate - totals.deferred[0] - totals.deferred[1];
    out->live_bytes = totals.created_bytes - totals.immediate_bytes - totals.deferred_bytes;
    for (uint32_t i = 0; i < ftli_port_count(); i++) {
        struct ftli_port *port = ftli_port_at(i, runtime->number);
        if (port == NULL)
            continue;
        out->thread_ns += ftli_port_time_ns(port);
        out->events_lost += ftli_u64_load_relaxed(&port->ring.lost);
        out->ring_bytes += sizeof port->ring;
    }
}

static uint32_t apply_rates(void *user)
{
    return ftli_port_draw_all(user);
}

static enum ftli_thread_fate thread_ended(void *user, uint32_t number, uint64_t born_ns, uint64_t *ended_ns)
{
    struct ftl_runtime *runtime = user;
    struct ftli_port *port = ftli_port_at(number - 1, runtime->number);
    if (port == NULL)
        return FTLI_THREAD_UNKNOWN;
    uint64_t ended = ftli_port_thread_ended_ns(port, runtime);
    if (ended == 0 || born_ns > ended)
        return FTLI_THREAD_UNKNOWN;
    *ended_ns = ended;
    return FTLI_THREAD_ENDED;
}

static bool late_parcels(void *user, uint64_t before_ns, struct ftli_overdue_list *out)
{
    const struct ftl_runtime *runtime = user;
    const struct ftli_parcels *pool = &runtime->cleanup.parcels;
    bool under_way = false;
    for (uint32_t i = 0; i < ftli_u32_load_acquire(&pool->fresh) && i < pool->most; i++) {
        const struct ftli_parcel *parcel = &pool->parcels[i];
        uint64_t opened_ns = ftli_u64_load_acquire(&parcel->opened_ns);
        if (opened_ns == 0 || ftli_u32_load_acquire(&parcel->count) == 0)
            continue;
        under_way = true;
        struct ftli_overdue row = {i + 1, opened_ns, ftli_u64_load_relaxed(&parcel->bytes)};
        if (opened_ns < before_ns)
            ftli_overdue_add(out, &row);
    }
    return under_way;
}

static int answer(void *user, const char *request, ftl_write_fn write, void *to, char *why, size_t why_size)
{
    int status = ftl_runtime_control(user, request, write, to);
    if (status != FTL_OK)
        (void)snprintf(why, why_size, "%s", ftl_last_error());
    return status;
}

static bool is_ending(const void *user)
{
    return !ftli_runtime_is_open(user);
}

static int end_scope(void *user, uint64_t scope, uint64_t *dropped)
{
    (void)user;
    return ftl_scope_end((ftl_scope){scope}, dropped);
}

struct own {
    struct ftli_reach_range *ranges;
    uint32_t count, most;
};

static void add_own(void *user, const void *at, size_t bytes)
{
    struct own *own = user;
    if (at != NULL && bytes != 0 && own->count < own->most)
        own->ranges[own->count++] = (struct ftli_reach_range){(uintptr_t)at, (uintptr_t)at + bytes};
}

/* Where handles of tensors lie that say nothing about the program: ports are none of it, a child finds zeros there. */
static uint32_t own_memory(void *user, struct ftli_reach_range *out, uint32_t most)
{
    struct ftl_runtime *runtime = user;
    struct own own = {out, 0, most};
    add_own(&own, runtime, sizeof *runtime);
    add_own(&own, runtime->table.headers, ftli_table_reserved_bytes(&runtime->table));
    add_own(&own, runtime->scopes.scopes, (size_t)runtime->scopes.slots * sizeof *runtime->scopes.scopes);
    add_own(&own, runtime->leak_detection.pinned, FTLI_LEAK_PINNED_MOST * sizeof *runtime->leak_detection.pinned);
    add_own(&own, runtime->leak_detection.growth.groups.groups, runtime->leak_detection.growth.groups.bytes);
    if (ftli_u32_load_acquire(&runtime->tracking.has_ring) != 0) /* pairs: tracking-ring */
        add_own(&own, runtime->tracking.events, ftli_u64_load_relaxed(&runtime->tracking.events_bytes));
    add_own(&own, runtime->events.pool, ftli_events_pool_bytes());
    ftli_allocation_own_memory(runtime->device, add_own, &own);
    return own.count;
}

/* The tick's view of the ports; what else is looked at while a program works hangs on it. */
static uint64_t claim_idle(void *user, uint64_t now_ns)
{
    struct ftl_runtime *runtime = user;
    uint64_t working = ftli_port_claim_idle(runtime, now_ns);
    /* A drop that is past its deadline may be in no mailbox that would tell. */
    if (ftli_cleanup_read_pending(&runtime->cleanup).tensors != 0)
        ftli_leak_detection_look_within(&runtime->leak_detection, (uint64_t)runtime->cleanup.settings->deadline_ns);
    ftli_leak_detection_audit_within(&runtime->leak_detection, ftli_runtime_look_at_peak(runtime));
    if (working != 0)
        ftli_growth_note(&runtime->leak_detection);
    ftli_defragmentation_note(&runtime->defragmentation);
    ftli_tracking_note(&runtime->tracking);
    return working;
}

/* ---- the actors ---------------------------------------------------------------------------------------------------------- */

static const void *settings_of(const struct ftl_runtime *runtime, const char *type)
{
    const struct ftli_topology_actor *actor = ftli_topology_actor(runtime->topology, type);
    return actor == NULL ? NULL : actor->settings;
}

static bool has_threads(const struct ftl_runtime *runtime, const char *type)
{
    const struct ftli_topology_actor *actor = ftli_topology_actor(runtime->topology, type);
    return actor != NULL && runtime->topology->groups[actor->threads.index].count != 0;
}

int ftli_give_memory(struct ftl_runtime *runtime)
{
    runtime->allocation_settings = settings_of(runtime, "allocation");
    int status = ftli_table_open(&runtime->table, runtime->number, runtime->topology->tensors);
    if (status == FTL_OK)
        status = ftli_labels_init(&runtime->labels);
    if (status == FTL_OK)
        status = ftli_scopes_init(&runtime->scopes, &runtime->table);
    if (status == FTL_OK)
        status = ftli_device_open(&runtime->topology->devices[0], runtime->allocation_settings, &runtime->table,
                                  runtime->kernel, 0, &runtime->device);
    return status;
}

static void init_allocation_and_cleanup(struct ftl_runtime *runtime)
{
    runtime->allocation =
        (struct ftli_allocation){.device = runtime->device, .claim_idle = claim_idle, .user = runtime};
    ftli_cleanup_init(&runtime->cleanup, settings_of(runtime, "cleanup"));
    runtime->cleanup.table = &runtime->table;
    ftli_cleanup_attach_device(&runtime->cleanup, runtime->device);
    runtime->cleanup.kernel = runtime->kernel;
    runtime->cleanup.opened_ns = runtime->opened_ns;
    runtime->cleanup.drop_reference = drop_reference;
    runtime->cleanup.finalize = finalize;
    runtime->cleanup.user = runtime;
    if (runtime->cleanup.every_drop_is_a_message)
        ftli_parcels_open(&runtime->cleanup);
}

static int init_events(struct ftl_runtime *runtime, const ftl_open_options *options)
{
    const struct ftli_topology *topology = runtime->topology;
    struct ftli_pressure_marks marks = {.hysteresis = topology->pressure_hysteresis, .soft = topology->devices[0].soft};
    memcpy(marks.levels, topology->pressure_levels, sizeof marks.levels);
    int status =
        ftli_events_init(&runtime->events, runtime->kernel, runtime->device, topology->devices[0].name, &marks);
    uint64_t subscription; /* it ends with the runtime */
    uint32_t kinds = options->on_event_kinds != 0 ? options->on_event_kinds : FTLI_EVENT_KINDS;
    if (status == FTL_OK && options->on_event != NULL)
        status =
            ftli_events_subscribe(&runtime->events, kinds, options->on_event, options->on_event_user, &subscription);
    runtime->cleanup.events = &runtime->events;
    runtime->cleanup.labels = &runtime->labels;
    return status;
}

static int init_watchers(struct ftl_runtime *runtime)
{
    static const struct ftli_tracking_settings no_tracking = {.level = FTLI_TRACKING_NONE};
    const struct ftli_tracking_settings *settings = settings_of(runtime, "tracking");
    if (settings == NULL)
        settings = &no_tracking;
    ftli_sampling_from(&runtime->sampling, settings);
    for (unsigned c = 0; c < FTLI_COUNTED_CLASSES; c++)
        runtime->tier_of_class[c] = (uint8_t)(ftli_class_bytes(c) >= runtime->sampling.every_one_from_bytes
                                                  ? FTLI_RATE_LOOK
                                                  : ftli_sampling_tier(&runtime->sampling, ftli_class_bytes(c)));
    struct ftli_tracking_world tracking = {.settings = settings,
                                           .take_events = take_events,
                                           .read_load = read_load,
                                           .user = runtime,
                                           .apply_rates = apply_rates,
                                           .events = &runtime->events,
                                           .adapts = !ftli_kernel_is_simulated(runtime->kernel)};
    int status = ftli_tracking_init(&runtime->tracking, &tracking);
    struct ftli_defragmentation_world defragmentation = {.settings = settings_of(runtime, "defragmentation"),
                                                         .topology = &runtime->topology->devices[0],
                                                         .device = runtime->device,
                                                         .kernel = runtime->kernel};
    ftli_defragmentation_init(&runtime->defragmentation, &defragmentation);
    struct ftli_leak_detection_world leaks = {.settings = settings_of(runtime, "leak_detection"),
                                              .table = &runtime->table,
                                              .scopes = &runtime->scopes,
                                              .labels = &runtime->labels,
                                              .device = runtime->device,
                                              .kernel = runtime->kernel,
                                              .opened_ns = runtime->opened_ns,
                                              .thread_ended = thread_ended,
                                              .user = runtime,
                                              .drop_deadline_ns = (uint64_t)runtime->cleanup.settings->deadline_ns,
                                              .events = &runtime->events,
                                              .sites = runtime->tracking.sites,
                                              .late_parcels = late_parcels,
                                              .end_scope = end_scope,
                                              .own_memory = own_memory,
                                              .audits_failed = &runtime->audits_failed};
    if (status == FTL_OK)
        status = ftli_leak_detection_init(&runtime->leak_detection, &leaks);
    struct ftli_telemetry_world telemetry = {.settings = settings_of(runtime, "telemetry"),
                                             .runtime = runtime->topology->name,
                                             .read_sample = ftli_operator_read_sample,
                                             .answer = answer,
                                             .is_ending = is_ending,
                                             .user = runtime,
                                             .number = runtime->number,
                                             .has_threads = has_threads(runtime, "telemetry"),
                                             .events = &runtime->events};
    ftli_telemetry_init(&runtime->telemetry, &telemetry);
    return status;
}

int ftli_give_actors(struct ftl_runtime *runtime, const ftl_open_options *options)
{
    init_allocation_and_cleanup(runtime);
    int status = init_events(runtime, options);
    return status == FTL_OK ? init_watchers(runtime) : status;
}
