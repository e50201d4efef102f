#include "tests/unit/tools/trace_file.h"
#include "tools/plan.h"

#include <stdint.h>

/* Four threads; 0 and 1 free what 2 and 3 made. */
static void load(struct ftli_trace *trace)
{
    struct trace_file file = {0};
    char why[512] = "";
    trace_file_header(&file, 4, 5, 4);
    trace_file_add(&file, "0,0,a,0,10,1\n1,1,a,1,20,2\n2,2,a,2,30,4\n3,3,a,3,40,8\n4,0,f,2,30,4\n5,1,f,3,40,8\n"
                          "6,0,f,0,10,1\n7,2,a,4,50,16\n8,3,f,1,20,2\n");
    trace_file_write(&file, SIZE_MAX);
    cr_assert_eq(ftli_trace_load(file.path, trace, why, sizeof why), 0, "%s", why);
    trace_file_remove(&file);
}

Test(plan, as_recorded)
{
    struct ftli_trace trace;
    struct ftli_plan plan;
    load(&trace);
    cr_assert_eq(ftli_plan_make(&trace, 0, &plan), 0);
    cr_assert_eq(plan.player_count, 4);
    cr_assert_eq(plan.crossing_count, 3);
    cr_assert_eq(plan.players[0].count, 3);
    cr_assert_eq(plan.players[0].steps[1].bytes, 30);
    cr_assert(plan.players[0].steps[1].is_free && plan.players[0].steps[1].crosses);
    cr_assert(plan.players[2].steps[0].crosses && !plan.players[2].steps[0].is_free);
    cr_assert_not(plan.players[0].steps[0].crosses);
    cr_assert_not(plan.players[2].steps[1].crosses, "never freed, so nobody waits for it");
    cr_assert_eq(plan.players[0].steps[1].slot, plan.players[2].steps[0].slot);
    ftli_plan_unmake(&plan);
    ftli_trace_unload(&trace);
}

Test(plan, dealt_onto_fewer)
{
    struct ftli_trace trace;
    struct ftli_plan plan;
    load(&trace);
    for (uint32_t players = 1; players <= 6; players++) {
        uint32_t steps = 0;
        bool seen[64] = {false};
        cr_assert_eq(ftli_plan_make(&trace, players, &plan), 0);
        cr_assert_eq(plan.player_count, players < 4 ? players : 4);
        for (uint32_t i = 0; i < plan.player_count; i++) {
            steps += plan.players[i].count;
            for (uint32_t k = 0; k < plan.players[i].count; k++) {
                const struct ftli_step *step = &plan.players[i].steps[k];
                cr_assert(k == 0 || step[-1].time_ns <= step->time_ns, "out of the file's order");
                cr_assert_lt(step->slot, plan.slot_count);
                if (!step->is_free) {
                    cr_assert_not(seen[step->slot], "a slot for two tensors");
                    seen[step->slot] = true;
                }
            }
        }
        cr_assert_eq(steps, trace.event_count);
        ftli_plan_unmake(&plan);
    }
    cr_assert_eq(ftli_plan_make(&trace, 1, &plan), 0);
    cr_assert_eq(plan.crossing_count, 0, "one player never waits");
    ftli_plan_unmake(&plan);
    cr_assert_eq(ftli_plan_make(&trace, 2, &plan), 0);
    cr_assert_eq(plan.crossing_count, 0, "2 is dealt to 0, 3 to 1: what they free is their own");
    ftli_plan_unmake(&plan);
    ftli_trace_unload(&trace);
}
