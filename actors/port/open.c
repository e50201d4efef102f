/* Opening a runtime: the topology becomes a kernel with its actors. */
#include <stdlib.h>
#include <string.h>

#include "actors/port/agent.h"
#include "actors/port/life.h"
#include "actors/port/operator.h"
#include "actors/port/routes.h"
#include "actors/port/topology.h"
#include "actors/port/user.h"
#include "runtime/base/clock.h"
#include "runtime/base/os.h"

/* By number; an entry is made once and kept for ever. */
static ftli_atomic_pointer runtimes[FTLI_RUNTIMES];
static ftli_atomic_u32 next_number;

struct ftl_runtime *ftli_runtime_of(uint32_t number)
{
    return ftli_pointer_load_acquire(&runtimes[number]);
}

uint32_t ftli_runtime_ms(const struct ftl_runtime *runtime)
{
    uint64_t now_ns = ftli_kernel_coarse_ns(runtime->kernel);
    return now_ns > runtime->opened_ns ? (uint32_t)((now_ns - runtime->opened_ns) / 1000000) : 0;
}

/* The numbers go round, so that none is used again before 4,095 opens. FTL_ENOMEM; FTL_ELIMIT: all are in use. */
static int take_number(struct ftl_runtime **out)
{
    for (unsigned tries = 0; tries < FTLI_RUNTIMES; tries++) {
        uint32_t number = 1 + ftli_u32_fetch_add_relaxed(&next_number, 1) % (FTLI_RUNTIMES - 1);
        struct ftl_runtime *runtime = ftli_runtime_of(number);
        if (runtime == NULL) {
            runtime = aligned_alloc(FTLI_CACHE_LINE, (sizeof *runtime + 63) / 64 * 64);
            if (runtime == NULL)
                return FTL_ENOMEM;
            memset(runtime, 0, sizeof *runtime);
            runtime->number = number;
            void *expected = NULL;
            if (!ftli_pointer_cas_acq_rel(&runtimes[number], &expected, runtime)) {
                free(runtime);
                continue;
            }
            *out = runtime;
            return FTL_OK;
        }
        uint32_t closed = FTLI_RUNTIME_CLOSED;
        if (ftli_u32_cas_acq_rel(&runtime->state, &closed, FTLI_RUNTIME_NONE)) {
            memset(runtime, 0, sizeof *runtime);
            runtime->number = number;
            *out = runtime;
            return FTL_OK;
        }
    }
    return FTL_ELIMIT;
}

/* ---- building ------------------------------------------------------------------------------------------------------------ */

struct groups {
    ftli_group_options options[FTLI_GROUPS_MOST + 1];
    unsigned cpus[FTLI_GROUPS_MOST][FTLI_CPUS_MOST];
};

static unsigned list_cpus(const struct ftli_cpus *cpus, unsigned *out)
{
    unsigned n = 0;
    for (unsigned cpu = 0; cpu < FTLI_CPUS_MOST && !cpus->any; cpu++)
        if ((cpus->mask[cpu / 64] >> cpu % 64 & 1) != 0)
            out[n++] = cpu;
    return n;
}

static void fill_groups(const struct ftli_topology *topology, struct groups *groups)
{
    memset(groups, 0, sizeof *groups);
    for (uint32_t i = 0; i < topology->group_count; i++) {
        const struct ftli_topology_group *group = &topology->groups[i];
        groups->options[i] = (ftli_group_options){.name = group->name,
                                                  .count = group->count,
                                                  .nice = group->nice,
                                                  .cpus = groups->cpus[i],
                                                  .cpu_count = list_cpus(&group->cpus, groups->cpus[i])};
    }
}

/* A thread of its own, of a name that no topology can give, from the first subscription on: a function of the program's that
 * takes long holds up nobody. Where finalizers have no threads, and where there is no room for the group, it is theirs. */
#define GROUP_OF_EVENTS "Events"

static const char *group_of_events(const struct ftli_topology *topology, const struct ftli_cleanup_settings *cleanup)
{
    const struct ftli_topology_group *finalizers = &topology->groups[cleanup->finalizers.index];
    return finalizers->count != 0 && topology->group_count < FTLI_GROUPS_MOST ? GROUP_OF_EVENTS : finalizers->name;
}

/* How many groups there are then. */
static unsigned add_group_of_events(const struct ftli_topology *topology, struct groups *groups)
{
    groups->options[topology->group_count] = (ftli_group_options){.name = GROUP_OF_EVENTS, .count = 1, .lazy = true};
    return topology->group_count + (topology->group_count < FTLI_GROUPS_MOST);
}

static bool is_forked(const void *user)
{
    return ftli_port_is_inherited(user);
}

static int open_kernel(struct ftl_runtime *runtime, bool simulated, uint64_t seed)
{
    const struct ftli_topology *topology = runtime->topology;
    const ftli_policy policy = ftli_runtime_policy(topology);
    int status = ftli_supervisor_create(&policy, &runtime->supervisor);
    if (status != FTL_OK)
        return status;
    struct groups *groups = malloc(sizeof *groups);
    if (groups == NULL)
        return FTL_ENOMEM;
    fill_groups(topology, groups);
    unsigned group_count = add_group_of_events(topology, groups);
    uint64_t alarms[FTLI_LANES];
    for (unsigned i = 0; i < FTLI_LANES; i++)
        alarms[i] = topology->lane_alarms_ns[i] != FTLI_TIME_NONE ? (uint64_t)topology->lane_alarms_ns[i] : 0;
    ftli_kernel_options options = {
        .name = topology->name,
        .groups = groups->options,
        .group_count = group_count,
        .lane_shares = topology->lane_shares,
        .lane_alarms = alarms,
        .supervision = ftli_supervisor_interface(runtime->supervisor),
        .on_news = ftli_runtime_on_news,
        .user = runtime,
        .is_forked = is_forked,
        .seed = seed,
        .simulated = simulated,
    };
    status = ftli_kernel_create(&options, &runtime->kernel);
    free(groups);
    return status;
}

static int add(struct ftl_runtime *runtime, const char *type, const ftli_actor_operations *operations, void *state,
               ftli_actor **out)
{
    const struct ftli_topology_actor *actor = ftli_topology_actor(runtime->topology, type);
    if (actor == NULL)
        return FTL_OK;
    ftli_actor_options options = {.operations = operations, .state = state, .group = actor->threads.name};
    if (actor->receive_ns != FTLI_TIME_NONE)
        options.receive_ns = (uint64_t)actor->receive_ns;
    if (operations == &ftli_cleanup_operations) {
        options.wake_messages = runtime->cleanup.settings->batch_messages;
        options.wake_age_ns = (uint64_t)runtime->cleanup.settings->batch_age_ns;
        options.item_sent_ns = ftli_cleanup_sent_ns;
    }
    return ftli_kernel_add_actor(runtime->kernel, actor->name, &options, out);
}

static int add_finalizers(struct ftl_runtime *runtime)
{
    struct ftli_cleanup *cleanup = &runtime->cleanup;
    const struct ftli_topology_group *group = &runtime->topology->groups[cleanup->settings->finalizers.index];
    uint32_t workers = group->count == 0 ? 1 : group->count;
    workers = workers < FTLI_FINALIZER_WORKERS_MOST ? workers : FTLI_FINALIZER_WORKERS_MOST;
    for (uint32_t i = 0; i < workers; i++) {
        char name[24] = "finalizer-";
        name[10] = (char)('a' + i);
        ftli_actor *actor;
        ftli_actor_options options = {
            .operations = &ftli_finalizer_operations, .state = &cleanup->workers[i], .group = group->name};
        int status = ftli_kernel_add_actor(runtime->kernel, name, &options, &actor);
        if (status != FTL_OK)
            return status;
        ftli_finalizers_attach(cleanup, &cleanup->workers[i], actor);
        cleanup->worker_count = i + 1;
    }
    return FTL_OK;
}

static int add_events(struct ftl_runtime *runtime)
{
    ftli_actor_options options = {.operations = &ftli_events_operations,
                                  .state = &runtime->events,
                                  .group = group_of_events(runtime->topology, runtime->cleanup.settings)};
    return ftli_kernel_add_actor(runtime->kernel, GROUP_OF_EVENTS, &options, &runtime->events_actor);
}

static int add_actors(struct ftl_runtime *runtime)
{
    int status =
        add(runtime, "allocation", &ftli_allocation_operations, &runtime->allocation, &runtime->allocation_actor);
    if (status == FTL_OK)
        status = add(runtime, "cleanup", &ftli_cleanup_operations, &runtime->cleanup, &runtime->cleanup_actor);
    runtime->cleanup.actor = runtime->cleanup_actor;
    if (status == FTL_OK)
        status = add_finalizers(runtime);
    if (status == FTL_OK)
        status = add(runtime, "tracking", &ftli_tracking_operations, &runtime->tracking, &runtime->tracking_actor);
    if (status == FTL_OK)
        status = add(runtime, "defragmentation", &ftli_defragmentation_operations, &runtime->defragmentation,
                     &runtime->defragmentation_actor);
    if (status == FTL_OK)
        status = add(runtime, "leak_detection", &ftli_leak_detection_operations, &runtime->leak_detection,
                     &runtime->leak_detection_actor);
    if (status == FTL_OK)
        status = add(runtime, "telemetry", &ftli_telemetry_operations, &runtime->telemetry, &runtime->telemetry_actor);
    if (status == FTL_OK)
        status = add_events(runtime);
    if (status != FTL_OK)
        return status;
    ftli_allocation_attach(runtime->device, runtime->allocation_actor);
    ftli_events_attach(&runtime->events, runtime->events_actor);
    if (runtime->tracking_actor != NULL)
        ftli_tracking_attach(&runtime->tracking, runtime->tracking_actor);
    if (runtime->defragmentation_actor != NULL)
        ftli_defragmentation_attach(&runtime->defragmentation, runtime->defragmentation_actor);
    if (runtime->leak_detection_actor != NULL)
        ftli_leak_detection_attach(&runtime->leak_detection, runtime->leak_detection_actor);
    return FTL_OK;
}

/* Who subscribed with the open hears of the topology's warnings, on a thread of ours. */
static int start_events(struct ftl_runtime *runtime, const ftl_open_options *options)
{
    const struct ftli_topology *topology = runtime->topology;
    if (options->on_event == NULL)
        return FTL_OK;
    if (ftli_kernel_need(runtime->kernel, runtime->events_actor) != FTL_OK) {
        (void)ftli_kernel_stop(runtime->kernel, 0);
        return ftli_fail(FTL_ENOMEM, "no thread for the calls of on_event");
    }
    for (uint32_t i = 0; i < topology->warning_count; i++)
        ftli_events_post(&runtime->events, &(struct ftli_event_news){FTL_EVENT_LOG, 2, .subject = "topology"}, "%s",
                         topology->warnings[i]);
    ftli_actor_run_within(runtime->events_actor, 0);
    return FTL_OK;
}

/* The least of a few: the others were interrupted, or found the processor asleep. */
static uint32_t cycles_of_a_look(void)
{
    uint64_t least = UINT32_MAX;
    for (unsigned i = 0; i < 16; i++) {
        uint64_t began = ftli_clock_cycles(), cycles = ftli_clock_cycles() - began;
        least = cycles < least ? cycles : least;
    }
    return (uint32_t)least;
}

static int build(struct ftl_runtime *runtime, const ftl_open_options *open_options, bool simulated, uint64_t seed)
{
    runtime->process_epoch = ftli_port_process_epoch();
    int status = open_kernel(runtime, simulated, seed);
    if (status == FTL_OK) {
        runtime->opened_ns = ftli_kernel_now_ns(runtime->kernel);
        runtime->opened_system_ns = ftli_clock_system_ns();
        runtime->opened_cycles = ftli_clock_cycles();
        runtime->clock_cycles = cycles_of_a_look();
        status = ftli_give_memory(runtime);
    }
    if (status != FTL_OK)
        return ftli_fail(status, "the runtime: no memory or address space");
    status = ftli_give_actors(runtime, open_options);
    if (status == FTL_OK)
        status = add_actors(runtime);
    if (status != FTL_OK)
        return ftli_fail(status, "the runtime's actors: no memory");
    status = ftli_users_add(runtime, open_options);
    if (status != FTL_OK)
        return status;
    status = ftli_routes_open(runtime);
    if (status != FTL_OK)
        return ftli_fail(status, "routes: no memory, or too many actors");
    runtime->refuse_pinned = runtime->topology->pinned_on_close == FTLI_PINNED_REFUSE;
    status = ftli_kernel_start(runtime->kernel);
    if (status != FTL_OK && ftli_users_not_started(runtime) != NULL)
        return ftli_fail(status, "actors.%s: its start failed: %s", ftli_users_not_started(runtime),
                         ftl_strerror(status));
    if (status != FTL_OK)
        return ftli_fail(status, "%s",
                         ftli_telemetry_why(&runtime->telemetry)[0] != '\0'
                             ? ftli_telemetry_why(&runtime->telemetry)
                             : "the runtime's threads could not be started");
    return start_events(runtime, open_options);
}

void ftli_runtime_tear_down(struct ftl_runtime *runtime)
{
    ftli_u32_store_release(&runtime->state, FTLI_RUNTIME_CLOSED);
    ftli_leak_detection_fini(&runtime->leak_detection);
    ftli_tracking_fini(&runtime->tracking);
    ftli_events_fini(&runtime->events);
    ftli_device_close(runtime->device);
    ftli_parcels_close(&runtime->cleanup);
    ftli_scopes_fini(&runtime->scopes);
    if (runtime->table.headers != NULL)
        ftli_table_close(&runtime->table);
    ftli_labels_fini(&runtime->labels);
    if (runtime->kernel != NULL)
        ftli_kernel_destroy(runtime->kernel);
    ftli_users_destroy(runtime);
    ftli_routes_close(runtime);
    if (runtime->supervisor != NULL)
        ftli_supervisor_destroy(runtime->supervisor);
    ftli_topology_free(runtime->topology);
    runtime->device = NULL;
    runtime->kernel = NULL;
    runtime->supervisor = NULL;
    runtime->topology = NULL;
}

/* What is not pinned gives its memory back first; the space, and the device that says what is where, stay for ever. */
void ftli_runtime_tear_down_around_pins(struct ftl_runtime *runtime)
{
    uint32_t slots = ftli_table_fresh(&runtime->table);
    for (uint32_t slot = 1; slot < slots; slot = ftli_table_next(&runtime->table, slot, slots)) {
        struct ftli_header *header = ftli_table_header(&runtime->table, slot);
        uint64_t word = ftli_u64_load_acquire(&header->word);
        enum ftli_state state = ftli_word_state(word);
        bool out = (state == FTLI_LIVE || state == FTLI_DROPPED) && ftli_word_pins(word) != 0;
        if (!out && state != FTLI_FREE && state != FTLI_RETIRED)
            ftli_allocation_abandon(runtime->device, header);
    }
    ftli_allocation_relieve(runtime->device);
    runtime->kept = runtime->device;
    runtime->device = NULL;
    ftli_runtime_tear_down(runtime);
}

/* ---- the calls ----------------------------------------------------------------------------------------------------------- */

static int check_open_options(const ftl_open_options *options)
{
    for (unsigned i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++)
        if (options->reserved[i] != 0)
            return ftli_fail(FTL_EINVAL, "reserved: must be zero");
    if (options->flags != 0)
        return ftli_fail(FTL_EINVAL, "flags: must be zero");
    if (options->device_types != NULL || options->device_type_count != 0)
        return ftli_fail(FTL_ENOTSUP, "device_types: devices of your own are not in this version");
    if (options->on_event == NULL && (options->on_event_user != NULL || options->on_event_kinds != 0))
        return ftli_fail(FTL_EINVAL, "on_event: is NULL, and its user or kinds are not");
    if ((options->on_event_kinds & ~(uint32_t)FTLI_EVENT_KINDS) != 0)
        return ftli_fail(FTL_EINVAL, "on_event_kinds: there is no such kind");
    if (options->path != NULL && options->text != NULL)
        return ftli_fail(FTL_EINVAL, "path and text: give one of the two");
    return ftli_users_check_types(options);
}

/* Why an open failed, on the thread that it was called on: there is nothing of ours that could do it. */
static void tell_of_failure(const ftl_open_options *options)
{
    uint32_t kinds = options->on_event_kinds != 0 ? options->on_event_kinds : FTLI_EVENT_KINDS;
    if (options->on_event == NULL || (kinds & FTL_EVENT_LOG) == 0)
        return;
    ftl_event event = {.kind = FTL_EVENT_LOG, .level = 3, .subject = "open", .text = ftl_last_error()};
    event.time_ns = ftli_clock_now_ns();
    options->on_event(&event, options->on_event_user);
}

static int open_checked(const ftl_open_options *options, bool simulated, uint64_t seed, ftl_runtime **out)
{
    char error[400];
    if (ftli_port_prepare() != FTL_OK)
        return ftli_fail(FTL_ENOMEM, "the ports: no address space");
    struct ftli_topology *topology = NULL;
    int status = ftli_topology_load(options, &topology, error, sizeof error);
    if (status != FTL_OK)
        return ftli_fail(status, "%s", error);
    struct ftl_runtime *runtime;
    status = take_number(&runtime);
    if (status != FTL_OK) {
        ftli_topology_free(topology);
        return ftli_fail(status, status == FTL_ELIMIT ? "4,095 runtimes at once are the most" : "no memory");
    }
    runtime->topology = topology;
    status = build(runtime, options, simulated, seed);
    if (status != FTL_OK) {
        ftli_runtime_tear_down(runtime);
        return status;
    }
    ftli_u32_store_release(&runtime->state, FTLI_RUNTIME_OPEN);
    *out = runtime;
    return FTL_OK;
}

int ftli_runtime_open_as(const ftl_open_options *options, bool simulated, uint64_t seed, ftl_runtime **out)
{
    if (out == NULL || options == NULL)
        return ftli_fail(FTL_EINVAL, out == NULL ? "out: is NULL" : "options: is NULL");
    int status = check_open_options(options);
    if (status != FTL_OK)
        return status;
    status = open_checked(options, simulated, seed, out);
    if (status != FTL_OK)
        tell_of_failure(options);
    return status;
}

int ftl_runtime_open_with(const ftl_open_options *options, ftl_runtime **out)
{
    uint64_t seed;
    ftli_os_entropy(&seed, sizeof seed);
    return ftli_runtime_open_as(options, false, seed, out);
}

int ftl_runtime_open(const char *topology, ftl_runtime **out)
{
    ftl_open_options options = {.path = topology};
    return ftl_runtime_open_with(&options, out);
}

int ftl_runtime_open_text(const char *text, size_t n, ftl_runtime **out)
{
    ftl_open_options options = {.text = text, .text_bytes = n};
    if (text == NULL)
        return ftli_fail(FTL_EINVAL, "text: is NULL");
    return ftl_runtime_open_with(&options, out);
}

int ftl_runtime_run(ftl_runtime *runtime, const char *threads, int64_t budget_ns, uint64_t *left)
{
    if (runtime == NULL || budget_ns < 0)
        return ftli_fail(FTL_EINVAL, runtime == NULL ? "runtime: is NULL" : "budget_ns: is negative");
    if (!ftli_runtime_is_open(runtime) || !ftli_runtime_enter(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed or closing");
    int status = FTL_ENOTSUP;
    if (!ftli_port_is_inherited(runtime) && runtime->cleanup.every_drop_is_a_message)
        (void)ftli_port_post_outboxes(runtime, FTLI_NEVER_NS);
    if (!ftli_port_is_inherited(runtime))
        status = ftli_kernel_run(runtime->kernel, threads, (uint64_t)budget_ns, left);
    ftli_runtime_leave(runtime);
    if (status == FTL_ENOTSUP)
        return ftli_fail(status, "not in a forked child");
    if (status == FTL_EINVAL)
        return ftli_fail(status, "threads: no group of that name has count 0");
    return status == FTL_EBUSY ? ftli_fail(status, "called from inside a callback") : status;
}
