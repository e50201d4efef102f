/* The program that is played: what its threads do with tensors, and what is done to it. */
#include "simulate/world.h"

#include <string.h>

#include "actors/allocation/shard.h"

enum { NO_SLOT = UINT32_MAX };
static const char works[] = "a call that may be made is answered with FTL_OK";
static const char drain_law[] = "drain answers FTL_OK only when every drop before it is completed";

void ftli_world_steps(struct ftli_world *world, unsigned n)
{
    unsigned playing = world->playing;
    ftli_world_play(world, FTLI_WORLD_SERVICE);
    for (unsigned i = 0; i < n && !ftli_world_is_broken(world); i++) {
        int status = ftli_simulation_step(world->runtime->kernel);
        if (status == FTL_ESTALE)
            break;
        if (status != FTL_OK)
            ftli_world_broken(world, "the actors' invariants", "%s", ftli_simulation_why(world->runtime->kernel));
    }
    ftli_world_play(world, playing);
}

/* ---- memory is exhausted: no page more is committed */

static void exhaust(struct ftli_world *world)
{
    struct ftli_device *device = world->runtime->device;
    world->hard_bytes = device->hard_bytes;
    device->hard_bytes = ftli_u64_load_relaxed(&device->committed);
    world->result.faults[FTLI_FAULT_OOM]++;
    ftli_world_note(world, "memory is exhausted", NO_SLOT, device->hard_bytes);
}

void ftli_world_relieve(struct ftli_world *world)
{
    if (world->hard_bytes == 0)
        return;
    world->runtime->device->hard_bytes = world->hard_bytes;
    world->hard_bytes = 0;
    ftli_world_note(world, "memory is there again", NO_SLOT, 0);
}

/* Whether the call made something: it may be refused for want of memory only. */
static bool made(struct ftli_world *world, int status)
{
    bool refused = (world->options.faults >> FTLI_FAULT_OOM & 1) != 0 && (status == FTL_ELIMIT || status == FTL_ENOMEM);
    return refused ? false : FTLI_HOLDS(world, works, status == FTL_OK);
}

/* ---- finalizers */

/* Its worker is held up: the other actors go on meanwhile. */
static void stall(struct ftli_world *world, unsigned steps)
{
    world->result.faults[FTLI_FAULT_STALL]++;
    ftli_world_note(world, "a finalizer stalls", NO_SLOT, steps);
    ftli_world_steps(world, steps);
}

static void call_back(struct ftli_world *world)
{
    ftl_tensor tensor;
    (void)FTLI_HOLDS(world, "drain from a finalizer is refused", ftl_runtime_drain(world->runtime, 0) == FTL_EBUSY);
    if (!made(world, ftl_bytes_new(world->runtime, 100, NULL, &tensor)))
        return;
    world->own_drops++;
    (void)FTLI_HOLDS(world, works, ftl_tensor_drop(tensor) == FTL_OK);
}

static int finalize(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct ftli_world_finalizer *finalizer = user;
    struct ftli_world *world = finalizer->world;
    (void)FTLI_HOLDS(world, "a tensor whose finalizer runs is not alive", !ftl_tensor_alive(tensor));
    (void)FTLI_HOLDS(world, "a finalizer that returned 0 is not called again", !finalizer->done);
    if (finalizer->stamp != 0)
        (void)FTLI_HOLDS(world, "memory is its tensor's until the finalizer is done",
                         memcmp(data, &finalizer->stamp, 8) == 0 &&
                             memcmp((char *)data + bytes - 8, &finalizer->stamp, 8) == 0);
    if (finalizer->stalls != 0 && ftli_world_may(world, FTLI_FAULT_STALL))
        stall(world, finalizer->stalls);
    if (finalizer->calls_back)
        call_back(world);
    if (finalizer->calls++ < finalizer->fails) {
        world->result.faults[FTLI_FAULT_FINALIZER]++;
        return -1;
    }
    finalizer->done = true;
    return 0;
}

static struct ftli_world_finalizer *any_finalizer(struct ftli_world *world)
{
    struct ftli_world_finalizer *finalizer = &world->finalizers[world->finalizer_count++];
    *finalizer = (struct ftli_world_finalizer){.world = world, .calls_back = ftli_world_below(world, 4) == 0};
    if (ftli_world_may(world, FTLI_FAULT_FINALIZER))
        finalizer->fails = ftli_world_below(world, 10) == 0 ? UINT32_MAX : ftli_world_below(world, 4);
    if (ftli_world_may(world, FTLI_FAULT_STALL) && ftli_world_below(world, 2) == 0)
        finalizer->stalls = 1 + ftli_world_below(world, 30);
    return finalizer;
}

/* ---- tensors */

static struct ftli_world_slot *any_slot(struct ftli_world *world)
{
    return &world->slots[ftli_world_below(world, FTLI_WORLD_SLOTS)];
}

static unsigned place(const struct ftli_world *world, const struct ftli_world_slot *slot)
{
    return (unsigned)(slot - world->slots);
}

static size_t any_bytes(struct ftli_world *world)
{
    static const unsigned most[4] = {300, 9000, 200000, 3000000};
    return ftli_world_below(world, most[ftli_world_below(world, 4)]);
}

/* At both ends; the rest is not touched, so that a large tensor costs two pages. */
static void write_stamp(struct ftli_world *world, struct ftli_world_slot *slot)
{
    char *data = ftli_world_below(world, 2) == 0 ? ftl_tensor_data(slot->tensor) : ftl_tensor_pin(slot->tensor);
    ftl_tensor_description d = {0};
    if (!FTLI_HOLDS(world, works, data != NULL && ftl_tensor_describe(slot->tensor, &d) == FTL_OK))
        return;
    slot->in_scope = d.scope.id != 0;
    if (slot->bytes >= 16) {
        slot->stamp = ++world->serial * UINT64_C(0x9e3779b97f4a7c15) | 1;
        memcpy(data, &slot->stamp, sizeof slot->stamp);
        memcpy(data + slot->bytes - sizeof slot->stamp, &slot->stamp, sizeof slot->stamp);
    }
    if (d.pins != 0)
        ftl_tensor_unpin(slot->tensor);
}

static void make(struct ftli_world *world)
{
    struct ftli_world_slot *slot = any_slot(world);
    if (slot->references != 0 || slot->pins != 0)
        return;
    ftl_tensor_options options = {0};
    unsigned scope = ftli_world_below(world, 3 * FTLI_WORLD_SCOPES);
    struct ftli_world_finalizer *finalizer = NULL;
    *slot = (struct ftli_world_slot){.bytes = any_bytes(world), .root = place(world, slot)};
    if (scope < FTLI_WORLD_SCOPES && world->scopes[scope].id != 0) {
        options.scope = world->scopes[scope];
        slot->scope = scope;
    }
    bool with_options = ftli_world_below(world, 2) == 0;
    if (with_options && ftli_world_below(world, 4) == 0) {
        finalizer = any_finalizer(world);
        options.finalizer = finalize;
        options.finalizer_user = finalizer;
    }
    options.label = ftli_world_below(world, 2) == 0 ? "label" : NULL;
    options.zero = ftli_world_below(world, 4) == 0;
    slot->stubborn = finalizer != NULL && finalizer->fails != 0;
    ftli_world_note(world, finalizer != NULL ? "makes, with a finalizer," : "makes", place(world, slot), slot->bytes);
    if (!made(world, ftl_bytes_new(world->runtime, slot->bytes, with_options ? &options : NULL, &slot->tensor)))
        return;
    slot->references = 1;
    write_stamp(world, slot);
    if (finalizer != NULL)
        finalizer->stamp = slot->stamp;
}

static void drop(struct ftli_world *world, struct ftli_world_slot *slot)
{
    /* While others refer to it, a member's first reference is its scope's to give up. */
    if (slot->references == 0 || (slot->references == 1 && slot->in_scope && slot->shared))
        return;
    ftli_world_note(world, "drops", place(world, slot), slot->references);
    ftli_world_check_slot(world, slot);
    (void)FTLI_HOLDS(world, works, ftl_tensor_drop(slot->tensor) == FTL_OK);
    slot->references--;
    slot->in_scope = slot->in_scope && slot->references != 0;
    if (slot->references == 0 && !slot->shared) {
        (void)FTLI_HOLDS(world, "after the drop of the last reference it is not alive",
                         !ftl_tensor_alive(slot->tensor));
        world->gone[world->gone_next++ % FTLI_WORLD_GONE] = slot->tensor;
    }
}

static void retain(struct ftli_world *world, struct ftli_world_slot *slot)
{
    if (slot->references == 0)
        return;
    ftli_world_note(world, "retains", place(world, slot), slot->references);
    (void)FTLI_HOLDS(world, works, ftl_tensor_retain(slot->tensor) == FTL_OK);
    slot->references++;
}

static void pin(struct ftli_world *world, struct ftli_world_slot *slot)
{
    if (slot->references == 0)
        return;
    ftli_world_note(world, "pins", place(world, slot), slot->pins);
    (void)FTLI_HOLDS(world, works, ftl_tensor_pin(slot->tensor) != NULL);
    slot->pins++;
}

static void unpin(struct ftli_world *world, struct ftli_world_slot *slot)
{
    if (slot->pins == 0)
        return;
    ftli_world_note(world, "unpins", place(world, slot), slot->pins);
    ftl_tensor_unpin(slot->tensor);
    slot->pins--;
}

static void view_or_link(struct ftli_world *world)
{
    struct ftli_world_slot *from = any_slot(world), *to = any_slot(world);
    if (from == to || from->references == 0 || from->stubborn)
        return;
    if (to->references != 0) { /* links and views go towards the higher place only, so there is no cycle */
        if (from > to)
            return;
        ftli_world_note(world, "links from", place(world, from), place(world, to));
        if (!made(world, ftl_tensor_link(from->tensor, to->tensor)))
            return;
        to->shared = from->parent = true;
        if (ftli_world_below(world, 2) == 0)
            drop(world, to); /* from here on it is the parent's alone */
        return;
    }
    if (to->pins != 0 || place(world, to) >= from->root)
        return;
    int64_t n = (int64_t)(from->bytes / 2);
    ftl_tensor view;
    ftli_world_note(world, "makes a view of", place(world, from), place(world, to));
    if (!made(world, ftl_tensor_view(from->tensor, (int64_t)(from->bytes - from->bytes / 2), 1, &n, NULL, &view)))
        return;
    from->shared = true;
    *to = (struct ftli_world_slot){.tensor = view, .references = 1, .bytes = (size_t)n, .root = from->root};
}

static void scope(struct ftli_world *world, unsigned at)
{
    ftl_scope *it = &world->scopes[at];
    if (it->id == 0) {
        ftli_world_note(world, "begins a scope", NO_SLOT, at);
        (void)made(world, ftl_scope_begin(world->runtime, "work", it));
        return;
    }
    ftli_world_note(world, "ends a scope", NO_SLOT, at);
    (void)FTLI_HOLDS(world, works, ftl_scope_end(*it, NULL) == FTL_OK);
    it->id = 0;
    for (unsigned i = 0; i < FTLI_WORLD_SLOTS; i++) {
        if (world->slots[i].in_scope && world->slots[i].scope == at) {
            world->slots[i].in_scope = false;
            world->slots[i].references--;
        }
    }
}

/* ---- faults that are no receive's */

static void kill_one(struct ftli_world *world)
{
    ftli_kernel *kernel = world->runtime->kernel;
    ftli_actor *actor = ftli_kernel_actor(kernel, ftli_world_below(world, ftli_kernel_actor_count(kernel)));
    if (actor == world->runtime->allocation_actor) /* whose state is the memory itself: not restartable */
        return;
    ftli_world_note(world, "an actor is to be killed", NO_SLOT, ftli_actor_index(actor));
    ftli_simulation_kill(kernel, actor);
    ftli_actor_send(actor, FTLI_LANE_HIGH, &world->kills[world->kill_count++]);
}

static void jump(struct ftli_world *world)
{
    static const unsigned most_ms[4] = {10, 100, 1000, 15000};
    uint64_t ms = ftli_world_below(world, most_ms[ftli_world_below(world, 4)]);
    world->result.faults[FTLI_FAULT_JUMP]++;
    ftli_simulation_jump(world->runtime->kernel, ms * 1000000);
}

static void disturb(struct ftli_world *world)
{
    enum ftli_fault fault = (enum ftli_fault)ftli_world_below(world, FTLI_FAULTS);
    if (!ftli_world_may(world, fault))
        return;
    switch (fault) {
    case FTLI_FAULT_RESTART:
        kill_one(world);
        break;
    case FTLI_FAULT_JUMP:
        jump(world);
        break;
    case FTLI_FAULT_OOM:
        if (world->hard_bytes == 0)
            exhaust(world);
        break;
    case FTLI_FAULT_EXIT:
        if (world->result.faults[fault] == FTLI_WORLD_EXITS_MOST)
            break;
        world->result.faults[fault]++;
        ftli_world_note(world, "exits", NO_SLOT, 0);
        ftli_world_exit_thread(world, world->playing);
        break;
    case FTLI_FAULT_SILENCE:
        if (world->silent + 2 > FTLI_WORLD_THREADS)
            break;
        world->result.faults[fault]++;
        ftli_world_note(world, "will never call again", NO_SLOT, 0);
        world->threads[world->playing].silent = true;
        world->silent++;
        break;
    default: /* the others are made where a receive or a finalizer is */
        break;
    }
}

/* ---- questions */

/* A cascade is under way then. */
static void drop_a_parent(struct ftli_world *world)
{
    for (unsigned i = 0; i < FTLI_WORLD_SLOTS; i++) {
        if (world->slots[i].parent && world->slots[i].references == 1 && world->slots[i].pins == 0) {
            drop(world, &world->slots[i]);
            return;
        }
    }
}

/* So that half of the drains find nothing that hangs on a pin. */
static void unpin_dropped(struct ftli_world *world)
{
    for (unsigned i = 0; i < FTLI_WORLD_SLOTS; i++)
        while (world->slots[i].references == 0 && world->slots[i].pins != 0)
            unpin(world, &world->slots[i]);
}

static void drain(struct ftli_world *world)
{
    static const int64_t timeouts_ns[4] = {0, 5000000, 20000000, 100000000};
    int64_t timeout_ns = timeouts_ns[ftli_world_below(world, 4)];
    uint64_t own_drops = world->own_drops;
    if (ftli_world_below(world, 2) == 0)
        unpin_dropped(world);
    if (ftli_world_below(world, 2) == 0)
        drop_a_parent(world);
    ftli_world_note(world, "drains", NO_SLOT, (uint64_t)timeout_ns);
    int status = ftl_runtime_drain(world->runtime, timeout_ns);
    (void)FTLI_HOLDS(world, works, status == FTL_OK || status == FTL_ETIMEDOUT);
    if (status == FTL_OK && own_drops == world->own_drops) /* else finalizers made drops after it had begun */
        (void)FTLI_HOLDS(world, drain_law, ftli_world_pending(world) == 0);
}

static int ignore_text(const char *text, size_t n, void *user)
{
    (void)text, (void)n, (void)user;
    return 0;
}

static void retry_all(struct ftli_world *world)
{
    ftli_world_note(world, "has all in quarantine retried", NO_SLOT, 0);
    (void)FTLI_HOLDS(world, works, ftl_runtime_control(world->runtime, "retry all", ignore_text, NULL) == FTL_OK);
}

/* Of whatever lives or lived there: over is only what nobody has any more. */
static void await(struct ftli_world *world)
{
    static const char law[] = "await answers FTL_OK when the tensor is gone, for good, and not before";
    const struct ftli_world_slot *slot = any_slot(world);
    ftli_world_note(world, "awaits the end of", place(world, slot), slot->references);
    int status = ftl_tensor_await(slot->tensor, ftli_world_below(world, 3) * 5000000);
    (void)FTLI_HOLDS(world, law, status == FTL_OK || status == FTL_ETIMEDOUT || status == FTL_EINTERNAL);
    if (slot->references != 0 || slot->pins != 0)
        (void)FTLI_HOLDS(world, law, status == FTL_ETIMEDOUT);
    if (status == FTL_OK)
        (void)FTLI_HOLDS(world, law, ftl_tensor_await(slot->tensor, 0) == FTL_OK);
}

static void look(struct ftli_world *world)
{
    ftl_stats s;
    ftl_leak_report *report;
    ftl_defragment_result result;
    ftl_defragment_options options = {.purge = true};
    switch (ftli_world_below(world, 10)) {
    case 0:
        (void)FTLI_HOLDS(world, works, ftl_runtime_stats(world->runtime, &s) == FTL_OK);
        (void)FTLI_HOLDS(world, "created = live + pending + reclaimed + quarantined",
                         s.created == s.live + s.pending + s.reclaimed + s.quarantined);
        (void)FTLI_HOLDS(world, "committed = live + pending + quarantined + cached + slack + metadata",
                         s.committed_bytes == s.live_bytes + s.pending_bytes + s.quarantined_bytes + s.cached_bytes +
                                                  s.slack_bytes + s.metadata_bytes);
        break;
    case 1:
        (void)FTLI_HOLDS(world, works, ftl_leak_scan(world->runtime, NULL, &report) == FTL_OK);
        ftl_leak_report_free(report);
        break;
    case 2:
        ftli_world_note(world, "defragments", NO_SLOT, 0);
        (void)FTLI_HOLDS(world, works, ftl_defragment(world->runtime, &options, &result) == FTL_OK);
        break;
    case 3:
        ftli_world_check_gone(world);
        break;
    case 4:
    case 5:
        await(world);
        break;
    case 6:
        retry_all(world);
        break;
    case 7:
    case 8:
        ftli_world_cycle(world);
        break;
    default:
        ftli_world_audit(world);
    }
}

/* ---- one after the other */

void ftli_world_operate(struct ftli_world *world)
{
    ftli_world_play(world, ftli_world_any_thread(world));
    if (world->hard_bytes != 0 && ftli_world_below(world, 5) == 0)
        ftli_world_relieve(world);
    struct ftli_world_slot *slot = any_slot(world);
    static void (*const slot_operations[])(struct ftli_world *, struct ftli_world_slot *) = {drop, drop, retain, pin,
                                                                                             unpin};
    unsigned what = ftli_world_below(world, 18);
    if (what < 5)
        slot_operations[what](world, slot);
    else if (what < 10)
        make(world);
    else if (what < 13)
        view_or_link(world);
    else if (what == 13)
        scope(world, ftli_world_below(world, FTLI_WORLD_SCOPES));
    else if (what < 16)
        disturb(world);
    else if (what == 16)
        drain(world);
    else
        look(world);
    ftli_world_check_slot(world, slot);
    (void)ftli_world_law(world);
    ftli_world_steps(world, ftli_world_below(world, 6));
}

void ftli_world_let_go(struct ftli_world *world)
{
    ftli_world_play(world, ftli_world_any_thread(world));
    ftli_world_undo_cycles(world);
    for (unsigned i = 0; i < FTLI_WORLD_SCOPES; i++)
        if (world->scopes[i].id != 0)
            scope(world, i);
    for (unsigned i = 0; i < FTLI_WORLD_SLOTS; i++) {
        while (world->slots[i].references != 0 && !ftli_world_is_broken(world))
            drop(world, &world->slots[i]);
        while (world->slots[i].pins != 0)
            unpin(world, &world->slots[i]);
    }
}
