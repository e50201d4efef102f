/* Cycles of links: pairs that hold each other, as long as the program holds one of them, and after. */
#include "simulate/world.h"

#include <inttypes.h>

static const char works[] = "a call that may be made is answered with FTL_OK";
enum { NO_SLOT = UINT32_MAX };

static bool did(struct ftli_world *world, int status)
{
    bool refused = (world->options.faults >> FTLI_FAULT_OOM & 1) != 0 && (status == FTL_ELIMIT || status == FTL_ENOMEM);
    return !refused && FTLI_HOLDS(world, works, status == FTL_OK);
}

/* Where a step is refused, what was made goes with the first drops. */
static void make(struct ftli_world *world, struct ftli_world_pair *pair)
{
    ftl_tensor a, b;
    ftli_world_note(world, "makes a pair that hold each other", NO_SLOT, 0);
    if (!did(world, ftl_bytes_new(world->runtime, 500, NULL, &a)))
        return;
    if (did(world, ftl_bytes_new(world->runtime, 70, NULL, &b))) {
        bool linked = did(world, ftl_tensor_link(a, b));
        pair->is_held = linked && did(world, ftl_tensor_link(b, a));
        (void)FTLI_HOLDS(world, works, ftl_tensor_drop(b) == FTL_OK);
    }
    if (!pair->is_held) {
        (void)FTLI_HOLDS(world, works, ftl_tensor_drop(a) == FTL_OK);
        return;
    }
    pair->a = a;
    pair->b = b;
}

static void let_go(struct ftli_world *world, struct ftli_world_pair *pair)
{
    ftli_world_note(world, "drops the last reference of a pair", NO_SLOT, 0);
    (void)FTLI_HOLDS(world, works, ftl_tensor_drop(pair->a) == FTL_OK);
    (void)FTLI_HOLDS(world, "what holds each other is alive", ftl_tensor_alive(pair->a) && ftl_tensor_alive(pair->b));
    pair->is_held = false;
}

static void undo(struct ftli_world *world, struct ftli_world_pair *pair)
{
    ftli_world_note(world, "unlinks a pair", NO_SLOT, 0);
    (void)FTLI_HOLDS(world, works, ftl_tensor_unlink(pair->a, pair->b) == FTL_OK);
    (void)FTLI_HOLDS(world, "an unlinked child that nothing refers to is not alive", !ftl_tensor_alive(pair->b));
    *pair = (struct ftli_world_pair){.is_held = false};
}

/* Those that the program lost, and no others. */
static void look(struct ftli_world *world)
{
    const ftl_leak_options options = {.causes = 1u << FTL_LEAK_CYCLE};
    ftl_leak_report *report;
    uint64_t lost = 0;
    for (unsigned i = 0; i < FTLI_WORLD_PAIRS; i++)
        lost += world->pairs[i].a.id != 0 && !world->pairs[i].is_held ? 2 : 0;
    if (!FTLI_HOLDS(world, works, ftl_leak_scan(world->runtime, &options, &report) == FTL_OK))
        return;
    if (report->leaked != lost)
        ftli_world_broken(world, "cycles that nothing refers to are found, and no others",
                          "%" PRIu64 " tensors are in some, %" PRIu64 " were found", lost, report->leaked);
    ftl_leak_report_free(report);
}

void ftli_world_cycle(struct ftli_world *world)
{
    struct ftli_world_pair *pair = &world->pairs[ftli_world_below(world, FTLI_WORLD_PAIRS)];
    if (pair->a.id == 0)
        make(world, pair);
    else if (pair->is_held)
        let_go(world, pair);
    else
        undo(world, pair);
    look(world);
}

void ftli_world_undo_cycles(struct ftli_world *world)
{
    for (unsigned i = 0; i < FTLI_WORLD_PAIRS; i++) {
        if (world->pairs[i].is_held)
            let_go(world, &world->pairs[i]);
        if (world->pairs[i].a.id != 0)
            undo(world, &world->pairs[i]);
    }
}
