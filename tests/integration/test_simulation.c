/* The actors of a whole runtime in simulation: random calls of a program between steps, kills of what can be restarted, receives
 * that fail, finalizers that fail. The law of the counters holds after every step; once the faults stop every drop completes,
 * and the audit is good. One seed, one history: a failure names its seed. */
#include <criterion/criterion.h>

#include "actors/port/runtime.h"
#include "runtime/base/random.h"
#include "runtime/kernel/simulation.h"

#include <stdlib.h>
#include <string.h>

#if defined __SANITIZE_THREAD__
enum { SEEDS = 40 }; /* one thread: ThreadSanitizer has nothing to find here but time */
#else
enum { SEEDS = 200 };
#endif
enum { OPERATIONS = 150, SLOTS = 64, SCOPES = 4, KILLS_MOST = OPERATIONS, LIVENESS_STEPS = 20000 };

struct finalizer {
    unsigned fails; /* so often; UINT_MAX: always */
    unsigned calls;
    bool done;
};

struct slot {
    ftl_tensor tensor;
    unsigned references, pins;
    size_t bytes;
    bool in_scope; /* the scope's end gives up one of the references */
    bool shared;   /* views or links have references as well */
    bool stubborn; /* its finalizer fails: in quarantine it would keep what it is linked to */
    unsigned root; /* the place of a view's root, or its own */
    unsigned scope;
};

struct world {
    uint64_t seed;
    unsigned operation;
    ftl_runtime *runtime;
    struct slot slots[SLOTS];
    ftl_scope scopes[SCOPES];
    struct finalizer finalizers[OPERATIONS];
    unsigned finalizer_count;
    ftli_message kills[KILLS_MOST];
    unsigned kill_count;
    ftli_random_state random;
    uint64_t trace, receives, restarts;
};

#define EXPECT(world, condition) expect((world), (condition), #condition, __LINE__)

static void expect(const struct world *world, bool condition, const char *text, int line)
{
    cr_assert(condition, "seed %llu, operation %u, line %d: %s: %s", (unsigned long long)world->seed, world->operation,
              line, text, ftl_last_error());
}

static unsigned below(struct world *world, unsigned n)
{
    return ftli_random_below(&world->random, n);
}

/* ---- laws */

/* CORE.md section 5, law 1. */
static int law(void *user)
{
    const struct world *world = user;
    struct ftli_totals t;
    ftli_runtime_totals(world->runtime, &t);
    uint64_t deferred = t.deferred[0] + t.deferred[1];
    uint64_t ended = t.completed[0] + t.completed[1] + t.quarantined_by_parity[0] + t.quarantined_by_parity[1];
    EXPECT(world, t.created >= t.immediate + deferred);
    EXPECT(world, deferred >= ended);
    EXPECT(world, t.created_bytes >= t.immediate_bytes + t.deferred_bytes);
    EXPECT(world, t.deferred_bytes >= t.completed_bytes + t.quarantined_bytes);
    for (unsigned parity = 0; parity < 2; parity++)
        EXPECT(world, t.deferred[parity] >= t.completed[parity] + t.quarantined_by_parity[parity]);
    return FTL_OK;
}

static void audit(const struct world *world)
{
    char why[300] = "";
    int status = ftli_runtime_audit(world->runtime, why, sizeof why);
    cr_assert_eq(status, FTL_OK, "seed %llu, operation %u: %s", (unsigned long long)world->seed, world->operation, why);
    status = ftli_kernel_check(world->runtime->kernel, why, sizeof why);
    cr_assert_eq(status, FTL_OK, "seed %llu, operation %u: %s", (unsigned long long)world->seed, world->operation, why);
}

static void steps(struct world *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int status = ftli_simulation_step(world->runtime->kernel);
        cr_assert(status == FTL_OK || status == FTL_ESTALE, "seed %llu: %s", (unsigned long long)world->seed,
                  ftli_simulation_why(world->runtime->kernel));
    }
}

/* ---- what the program does */

static int finalize(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct finalizer *finalizer = user;
    cr_assert_not(ftl_tensor_alive(tensor));
    cr_assert_not(finalizer->done, "a finalizer that returned 0 was called again");
    memset(data, 0x77, bytes);
    if (finalizer->calls++ < finalizer->fails)
        return -1;
    finalizer->done = true;
    return 0;
}

static struct slot *any_slot(struct world *world)
{
    return &world->slots[below(world, SLOTS)];
}

static size_t any_bytes(struct world *world)
{
    static const unsigned most[4] = {300, 9000, 200000, 3000000};
    return below(world, most[below(world, 4)]);
}

static void make(struct world *world)
{
    struct slot *slot = any_slot(world);
    if (slot->references != 0 || slot->pins != 0)
        return;
    ftl_tensor_options options = {0};
    unsigned scope = below(world, 3 * SCOPES);
    *slot = (struct slot){.references = 1, .bytes = any_bytes(world), .root = (unsigned)(slot - world->slots)};
    if (scope < SCOPES && world->scopes[scope].id != 0) {
        options.scope = world->scopes[scope];
        slot->in_scope = true;
        slot->scope = scope;
    }
    if (below(world, 4) == 0) {
        struct finalizer *finalizer = &world->finalizers[world->finalizer_count++];
        finalizer->fails = below(world, 10) == 0 ? UINT32_MAX : below(world, 4);
        options.finalizer = finalize;
        options.finalizer_user = finalizer;
    }
    options.label = below(world, 2) == 0 ? "label" : NULL;
    options.zero = below(world, 4) == 0;
    bool with_options = below(world, 2) == 0;
    slot->stubborn =
        with_options && options.finalizer != NULL && ((struct finalizer *)options.finalizer_user)->fails != 0;
    EXPECT(world, ftl_bytes_new(world->runtime, slot->bytes, with_options ? &options : NULL, &slot->tensor) == FTL_OK);
    ftl_tensor_description d;
    EXPECT(world, ftl_tensor_describe(slot->tensor, &d) == FTL_OK);
    slot->in_scope = d.scope.id != 0;
    memset(ftl_tensor_data(slot->tensor), (int)(slot - world->slots), slot->bytes);
}

static void drop(struct world *world, struct slot *slot)
{
    /* While others refer to it, a member's first reference is its scope's to give up. */
    if (slot->references == 0 || (slot->references == 1 && slot->in_scope && slot->shared))
        return;
    EXPECT(world, ftl_tensor_drop(slot->tensor) == FTL_OK);
    slot->references--;
    slot->in_scope = slot->in_scope && slot->references != 0;
}

static void pin(struct world *world, struct slot *slot)
{
    if (slot->references == 0)
        return;
    EXPECT(world, ftl_tensor_pin(slot->tensor) != NULL);
    slot->pins++;
}

static void unpin(struct slot *slot)
{
    if (slot->pins == 0)
        return;
    ftl_tensor_unpin(slot->tensor);
    slot->pins--;
}

static void view_or_link(struct world *world)
{
    struct slot *from = any_slot(world), *to = any_slot(world);
    if (from == to || from->references == 0 || from->stubborn)
        return;
    if (to->references != 0) { /* links and views go towards the higher place only, so there is no cycle */
        if (from < to)
            EXPECT(world, ftl_tensor_link(from->tensor, to->tensor) == FTL_OK);
        to->shared = to->shared || from < to;
        return;
    }
    if (to->pins != 0 || to - world->slots >= from->root)
        return;
    int64_t n = (int64_t)(from->bytes / 2);
    from->shared = true;
    *to = (struct slot){.references = 1, .bytes = (size_t)n, .root = from->root};
    EXPECT(world,
           ftl_tensor_view(from->tensor, (int64_t)(from->bytes - from->bytes / 2), 1, &n, NULL, &to->tensor) == FTL_OK);
}

static void scope(struct world *world)
{
    unsigned at = below(world, SCOPES);
    if (world->scopes[at].id == 0) {
        EXPECT(world, ftl_scope_begin(world->runtime, "work", &world->scopes[at]) == FTL_OK);
        return;
    }
    EXPECT(world, ftl_scope_end(world->scopes[at], NULL) == FTL_OK);
    world->scopes[at].id = 0;
    for (unsigned i = 0; i < SLOTS; i++) {
        if (world->slots[i].in_scope && world->slots[i].scope == at) {
            world->slots[i].in_scope = false;
            world->slots[i].references--;
        }
    }
}

static void kill_one(struct world *world)
{
    static const char *const names[] = {"cleanup",         "finalizer-a",    "tracking",
                                        "defragmentation", "leak_detection", "telemetry"};
    ftli_actor *actor = ftli_kernel_find(world->runtime->kernel, names[below(world, 6)]);
    EXPECT(world, actor != NULL);
    ftli_simulation_kill(world->runtime->kernel, actor);
    ftli_actor_send(actor, FTLI_LANE_HIGH,
                    &world->kills[world->kill_count++]); /* a kill takes the place of a receive */
}

static int ignore_text(const char *text, size_t n, void *user)
{
    (void)text, (void)n, (void)user;
    return 0;
}

/* Of whatever lives or lived there: over is only what nobody has any more. */
static void await(struct world *world)
{
    const struct slot *slot = any_slot(world);
    int status = ftl_tensor_await(slot->tensor, below(world, 3) * 5000000);
    EXPECT(world, status == FTL_OK || status == FTL_ETIMEDOUT || status == FTL_EINTERNAL);
    if (slot->references != 0 || slot->pins != 0)
        EXPECT(world, status == FTL_ETIMEDOUT);
    if (status == FTL_OK)
        EXPECT(world, ftl_tensor_await(slot->tensor, 0) == FTL_OK);
}

static void look(struct world *world)
{
    ftl_stats stats;
    ftl_leak_report *report;
    ftl_defragment_result result;
    ftl_defragment_options options = {.purge = true};
    switch (below(world, 8)) {
    case 4:
    case 5:
        await(world);
        break;
    case 6:
        EXPECT(world, ftl_runtime_control(world->runtime, "retry all", ignore_text, NULL) == FTL_OK);
        break;
    case 0:
        EXPECT(world, ftl_runtime_stats(world->runtime, &stats) == FTL_OK);
        EXPECT(world, stats.created == stats.live + stats.pending + stats.reclaimed + stats.quarantined);
        EXPECT(world, stats.committed_bytes == stats.live_bytes + stats.pending_bytes + stats.quarantined_bytes +
                                                   stats.cached_bytes + stats.slack_bytes + stats.metadata_bytes);
        break;
    case 1:
        EXPECT(world, ftl_leak_scan(world->runtime, NULL, &report) == FTL_OK);
        ftl_leak_report_free(report);
        break;
    case 2:
        EXPECT(world, ftl_defragment(world->runtime, &options, &result) == FTL_OK);
        break;
    case 3: {
        int status = ftl_runtime_drain(world->runtime, below(world, 3) * 5000000);
        EXPECT(world, status == FTL_OK || status == FTL_ETIMEDOUT);
        break;
    }
    default:
        audit(world);
    }
}

static void one_operation(struct world *world)
{
    struct slot *slot = any_slot(world);
    switch (below(world, 14)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        make(world);
        break;
    case 5:
    case 6:
        drop(world, slot);
        break;
    case 7:
        if (slot->references != 0) {
            EXPECT(world, ftl_tensor_retain(slot->tensor) == FTL_OK);
            slot->references++;
        }
        break;
    case 8:
        pin(world, slot);
        break;
    case 9:
        unpin(slot);
        break;
    case 10:
        view_or_link(world);
        break;
    case 11:
        scope(world);
        break;
    case 12:
        if (below(world, 2) == 0)
            kill_one(world);
        else
            ftli_simulation_jump(world->runtime->kernel, (uint64_t)below(world, 1000) * 1000000);
        break;
    default:
        look(world);
    }
    (void)law(world);
    if (slot->references != 0)
        EXPECT(world, ftl_tensor_alive(slot->tensor));
}

/* ---- a run */

static void open_world(struct world *world)
{
    static const char *const overrides[5] = {
        "supervision.restarts: 10000\nactors.cleanup.deadline: 2s\n",
        "supervision.restarts: 10000\nactors.cleanup: {deadline: 2s, policy: message}\nactors.tracking.level: debug\n",
        "supervision: {restarts: 10000, strategy: one_for_all}\nactors.cleanup.deadline: 2s\n",
        "supervision: {restarts: 10000, strategy: rest_for_one}\nactors.cleanup: {deadline: 2s, policy: message}\n",
        "supervision: {restarts: 10000, breaker: {failures: 1, open: 100ms}}\nactors.cleanup.deadline: 2s\n"
        "recovery: {transient: [degrade, restart], fatal: [quarantine, restart]}\n",
    };
    const ftli_simulation_faults faults = {.receive_fails = 0.05, .status = FTL_EBUSY, .late = 0.1};
    ftl_open_options options = {.overrides = overrides[world->seed % 5]};
    int status = ftli_runtime_open_as(&options, true, world->seed, &world->runtime);
    cr_assert_eq(status, FTL_OK, "%s", ftl_last_error());
    ftli_simulation_set_law(world->runtime->kernel, law, world);
    ftli_simulation_set_faults(world->runtime->kernel, &faults);
    ftli_random_seed(&world->random, world->seed);
}

static uint64_t pending(const struct world *world)
{
    struct ftli_totals t;
    ftli_runtime_totals(world->runtime, &t);
    return t.deferred[0] + t.deferred[1] - t.completed[0] - t.completed[1] - t.quarantined_by_parity[0] -
           t.quarantined_by_parity[1];
}

/* The faults stop, the program lets go of everything: all drops complete. */
static void let_go(struct world *world)
{
    const ftli_simulation_faults none = {0};
    ftli_simulation_set_faults(world->runtime->kernel, &none);
    for (unsigned i = 0; i < SCOPES; i++)
        while (world->scopes[i].id != 0)
            scope(world);
    for (unsigned i = 0; i < SLOTS; i++) {
        while (world->slots[i].references != 0)
            drop(world, &world->slots[i]);
        while (world->slots[i].pins != 0)
            unpin(&world->slots[i]);
    }
    unsigned left = LIVENESS_STEPS;
    while (pending(world) != 0 && left != 0) {
        steps(world, 1);
        left--;
    }
    cr_assert_eq(pending(world), 0, "seed %llu: %llu drops are not completed after %u steps",
                 (unsigned long long)world->seed, (unsigned long long)pending(world), LIVENESS_STEPS);
}

static void close_world(struct world *world)
{
    ftli_simulation_figures figures;
    ftl_stats stats;
    ftl_close_report report;
    unsigned given_up = 0;
    audit(world);
    EXPECT(world, ftl_runtime_stats(world->runtime, &stats) == FTL_OK);
    cr_assert(stats.live == 0 && stats.pending == 0 && stats.degraded == 0,
              "seed %llu: %llu live, %llu pending, degraded %x", (unsigned long long)world->seed,
              (unsigned long long)stats.live, (unsigned long long)stats.pending, stats.degraded);
    for (unsigned i = 0; i < world->finalizer_count; i++)
        given_up += world->finalizers[i].calls != 0 && !world->finalizers[i].done;
    EXPECT(world, stats.quarantined == given_up);
    ftli_simulation_read(world->runtime->kernel, &figures);
    world->trace = figures.trace;
    world->receives = figures.receives;
    world->restarts = ftli_kernel_restarts(world->runtime->kernel);
    EXPECT(world, ftl_runtime_close(world->runtime, &report) == FTL_OK);
    EXPECT(world, report.leaked == 0 && report.undone == 0 && report.pinned == 0);
}

static struct world world;

static void run(uint64_t seed)
{
    memset(&world, 0, sizeof world);
    world.seed = seed;
    open_world(&world);
    for (; world.operation < OPERATIONS; world.operation++) {
        one_operation(&world);
        steps(&world, below(&world, 6));
    }
    let_go(&world);
    close_world(&world);
}

Test(runtime_simulation, laws_hold_and_every_drop_completes, .timeout = 240)
{
    uint64_t receives = 0, restarts = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(seed);
        receives += world.receives;
        restarts += world.restarts;
    }
    cr_assert_gt(receives, 30 * SEEDS, "%llu receives", (unsigned long long)receives);
    cr_assert_gt(restarts, SEEDS, "%llu restarts", (unsigned long long)restarts);
}

Test(runtime_simulation, one_seed_one_history, .timeout = 240)
{
    uint64_t last = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run(seed);
        uint64_t trace = world.trace, receives = world.receives;
        run(seed);
        cr_assert_eq(world.trace, trace, "seed %llu: %llu receives, then %llu", (unsigned long long)seed,
                     (unsigned long long)receives, (unsigned long long)world.receives);
        cr_assert_neq(trace, last);
        last = trace;
    }
}
