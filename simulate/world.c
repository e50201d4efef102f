/* A seed from its runtime's open to its close. */
#include "simulate/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const ftli_fault_names[FTLI_FAULTS + 1] = {"receive", "restart", "finalizer", "stall", "oom",
                                                       "exit",    "silence", "jump",      NULL};

struct ftli_world *ftli_world_create(void)
{
    struct ftli_world *world = calloc(1, sizeof *world);
    if (world == NULL)
        return NULL;
    world->finalizers = calloc(FTLI_WORLD_OPERATIONS_MOST, sizeof *world->finalizers);
    world->kills = aligned_alloc(FTLI_MESSAGE_ALIGNMENT, FTLI_WORLD_OPERATIONS_MOST * sizeof *world->kills);
    if (world->finalizers != NULL && world->kills != NULL)
        return world;
    ftli_world_destroy(world);
    return NULL;
}

void ftli_world_destroy(struct ftli_world *world)
{
    free(world->finalizers);
    free(world->kills);
    free(world);
}

uint64_t ftli_world_seed(const struct ftli_world *world)
{
    return world->result.seed;
}

uint64_t ftli_world_step(const struct ftli_world *world)
{
    ftli_simulation_figures figures = {0};
    if (world->runtime != NULL)
        ftli_simulation_read(world->runtime->kernel, &figures);
    return world->runtime != NULL ? figures.steps : world->result.steps;
}

static void begin(struct ftli_world *world, const struct ftli_world_options *options, uint64_t seed)
{
    struct ftli_world_finalizer *finalizers = world->finalizers;
    ftli_message *kills = world->kills;
    bool prepared = world->prepared;
    memset(world, 0, sizeof *world);
    world->prepared = prepared;
    world->finalizers = finalizers;
    world->kills = kills;
    world->options = *options;
    if (world->options.operations == 0)
        world->options.operations = FTLI_WORLD_OPERATIONS;
    if (world->options.operations > FTLI_WORLD_OPERATIONS_MOST)
        world->options.operations = FTLI_WORLD_OPERATIONS_MOST;
    memset(kills, 0, world->options.operations * sizeof *kills);
    world->result.seed = seed;
    ftli_random_seed(&world->random, seed);
}

static int open(struct ftli_world *world)
{
    char overrides[1024];
    int status = world->prepared ? FTL_OK : ftli_world_prepare();
    world->prepared = status == FTL_OK;
    if (status == FTL_OK)
        status = ftli_world_scenario(world, overrides, sizeof overrides, world->result.why, sizeof world->result.why);
    if (status != FTL_OK)
        return status;
    ftl_open_options options = {.path = world->options.topology, .overrides = overrides};
    status = ftli_runtime_open_as(&options, true, world->result.seed, &world->runtime);
    if (status != FTL_OK)
        snprintf(world->result.why, sizeof world->result.why, "%s", ftl_last_error());
    return status;
}

static void set_faults(struct ftli_world *world)
{
    ftli_simulation_faults faults = {.late = 0.1};
    if (ftli_world_may(world, FTLI_FAULT_RECEIVE)) {
        faults.receive_fails = 0.05;
        faults.status = FTL_EBUSY; /* transient: of others an actor that cannot be restarted goes down, as it should */
    }
    ftli_simulation_set_faults(world->runtime->kernel, &faults);
}

/* No law is ever broken. */
static void be_safe(struct ftli_world *world)
{
    for (; world->operation < world->options.operations && !ftli_world_is_broken(world); world->operation++)
        ftli_world_operate(world);
}

static uint32_t degraded(const struct ftli_world *world)
{
    return ftli_kernel_degraded(world->runtime->kernel);
}

/* Faults stop, the program lets go of everything. All drops complete. */
static void be_live(struct ftli_world *world)
{
    static const char law[] = "once faults stop every drop completes within 5,000 steps";
    _Static_assert(FTLI_LIVENESS_STEPS == 5000, "the law says so");
    uint64_t steps = 0, step;
    world->faults_stopped = true;
    ftli_world_relieve(world);
    set_faults(world);
    ftli_world_let_go(world);
    while ((ftli_world_pending(world) != 0 || degraded(world) != 0) && !ftli_world_is_broken(world)) {
        step = ftli_world_step(world);
        if (steps == FTLI_LIVENESS_STEPS)
            ftli_world_broken(world, law, "%" PRIu64 " are pending after as many; degraded: %x",
                              ftli_world_pending(world), degraded(world));
        ftli_world_steps(world, 1);
        if (ftli_world_step(world) == step)
            ftli_world_broken(world, law, "%" PRIu64 " are pending, degraded: %x, and nothing is ready or due",
                              ftli_world_pending(world), degraded(world));
        steps++;
    }
    world->result.liveness_steps = steps;
}

static void read_figures(struct ftli_world *world)
{
    struct ftli_world_result *result = &world->result;
    ftli_simulation_figures figures;
    ftli_simulation_read(world->runtime->kernel, &figures);
    uint64_t mixed = result->hash ^ figures.trace;
    result->hash = ftli_splitmix64(&mixed);
    result->operations = world->operation;
    result->steps = figures.steps;
    result->receives = figures.receives;
    result->restarts = ftli_kernel_restarts(world->runtime->kernel);
    result->faults[FTLI_FAULT_RECEIVE] = figures.failed_receives;
    result->faults[FTLI_FAULT_RESTART] = figures.kills;
}

static void close_runtime(struct ftli_world *world)
{
    static const char law[] = "close leaves nothing behind";
    ftl_close_report report = {0};
    int status = ftl_runtime_close(world->runtime, &report);
    if (!FTLI_HOLDS(world, law, status == FTL_OK))
        return;
    world->runtime = NULL;
    (void)FTLI_HOLDS(world, law, report.leaked == 0 && report.undone == 0 && report.pinned == 0);
    ftl_leak_report_free(report.leaks);
}

int ftli_world_run(struct ftli_world *world, const struct ftli_world_options *options, uint64_t seed,
                   struct ftli_world_result *out)
{
    begin(world, options, seed);
    int status = open(world);
    if (status != FTL_OK) {
        *out = world->result;
        return status;
    }
    ftli_world_begin_threads(world);
    ftli_simulation_set_law(world->runtime->kernel, ftli_world_law, world);
    ftli_simulation_set_watcher(world->runtime->kernel, ftli_world_watch, world);
    set_faults(world);
    be_safe(world);
    if (!ftli_world_is_broken(world))
        be_live(world);
    if (!ftli_world_is_broken(world))
        ftli_world_check_end(world);
    read_figures(world);
    if (!ftli_world_is_broken(world)) {
        close_runtime(world);
        ftli_world_end_threads(world);
    }
    *out = world->result;
    return ftli_world_is_broken(world) ? FTL_EINTERNAL : FTL_OK;
}
