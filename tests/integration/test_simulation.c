/* A whole runtime in simulation: fixed seeds and fresh ones hold all laws under all faults; each fault is really made; one seed is
 * one history. A failure names its seed: `fettle simulate --seeds N..N` repeats it. That seeds find bugs: tests/simulation. */
#include <criterion/criterion.h>

#include "runtime/base/os.h"
#include "simulate/simulate.h"

#include <fettle/fettle.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined __SANITIZE_ADDRESS__
enum { SEEDS = 30, FRESH = 10 };
#elif defined __OPTIMIZE__
enum { SEEDS = 150, FRESH = 50 };
#else
enum { SEEDS = 75, FRESH = 25 };
#endif

static void print(void *text, const char *line)
{
    size_t used = strlen(text);
    snprintf((char *)text + used, 8000 - used, "\n%s", line);
}

static void run(struct ftli_world *world, const struct ftli_world_options *options, uint64_t seed,
                struct ftli_world_result *result)
{
    static char history[8000];
    history[0] = '\0';
    int status = ftli_world_run(world, options, seed, result);
    if (status == FTL_EINTERNAL)
        ftli_world_history(world, 40, print, history);
    cr_assert_eq(status, FTL_OK, "seed %llu, step %llu: %s: %s%s", (unsigned long long)seed,
                 (unsigned long long)result->steps, result->law, result->why, history);
}

Test(runtime_simulation, laws_hold_and_every_drop_completes, .timeout = 240)
{
    const struct ftli_world_options options = {.faults = FTLI_FAULTS_ALL};
    struct ftli_world *world = ftli_world_create();
    struct ftli_world_result result, sum = {0};
    uint64_t fresh;
    cr_assert_not_null(world);
    ftli_os_entropy(&fresh, sizeof fresh);
    for (uint64_t i = 0; i < SEEDS + FRESH; i++) {
        run(world, &options, i < SEEDS ? i + 1 : fresh + i, &result);
        sum.receives += result.receives;
        sum.restarts += result.restarts;
        for (unsigned fault = 0; fault < FTLI_FAULTS; fault++)
            sum.faults[fault] += result.faults[fault];
        /* Of the fixed seeds, so that luck has no say. */
        for (unsigned fault = 0; i + 1 == SEEDS && fault < FTLI_FAULTS; fault++)
            cr_assert_gt(sum.faults[fault], SEEDS / 10, "fault %s: %llu", ftli_fault_names[fault],
                         (unsigned long long)sum.faults[fault]);
    }
    cr_assert_gt(sum.receives, 30 * SEEDS, "%llu receives", (unsigned long long)sum.receives);
    cr_assert_gt(sum.restarts, SEEDS, "%llu restarts", (unsigned long long)sum.restarts);
    ftli_world_destroy(world);
}

Test(runtime_simulation, one_seed_one_history, .timeout = 240)
{
    const struct ftli_world_options options = {.faults = FTLI_FAULTS_ALL};
    struct ftli_world *world = ftli_world_create();
    struct ftli_world_result first, again;
    uint64_t last = 0;
    cr_assert_not_null(world);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        run(world, &options, seed, &first);
        run(world, &options, seed, &again);
        cr_assert_eq(first.hash, again.hash, "seed %llu: %llu receives, then %llu", (unsigned long long)seed,
                     (unsigned long long)first.receives, (unsigned long long)again.receives);
        cr_assert_neq(first.hash, last);
        last = first.hash;
    }
    ftli_world_destroy(world);
}

/* Only what was asked for fails. */
Test(runtime_simulation, faults_are_chosen, .timeout = 240)
{
    struct ftli_world *world = ftli_world_create();
    struct ftli_world_result result;
    cr_assert_not_null(world);
    for (unsigned chosen = 0; chosen <= FTLI_FAULTS; chosen++) {
        const struct ftli_world_options options = {.faults = chosen < FTLI_FAULTS ? UINT32_C(1) << chosen : 0};
        run(world, &options, 1 + chosen, &result);
        for (unsigned fault = 0; fault < FTLI_FAULTS; fault++)
            cr_assert(fault == chosen || result.faults[fault] == 0, "%s, and only %s was chosen",
                      ftli_fault_names[fault], chosen < FTLI_FAULTS ? ftli_fault_names[chosen] : "nothing");
    }
    ftli_world_destroy(world);
}

/* Threads of the program's own, no threads at all, everything recorded. */
Test(runtime_simulation, shipped_topologies, .timeout = 240)
{
    static const char *const files[] = {"embedded", "debug"};
    struct ftli_world *world = ftli_world_create();
    struct ftli_world_result result;
    char path[512];
    cr_assert_not_null(world);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const char *source = getenv("FETTLE_SOURCE_DIR");
        snprintf(path, sizeof path, "%s/config/%s.yaml", source != NULL ? source : ".", files[i]);
        const struct ftli_world_options options = {.faults = FTLI_FAULTS_ALL, .topology = path};
        for (uint64_t seed = 1; seed <= 5; seed++)
            run(world, &options, seed, &result);
    }
    ftli_world_destroy(world);
}

Test(runtime_simulation, a_topology_that_is_wrong_is_said)
{
    const struct ftli_world_options options = {.topology = "/nonexistent.yaml"};
    struct ftli_world *world = ftli_world_create();
    struct ftli_world_result result;
    cr_assert_not_null(world);
    cr_assert_eq(ftli_world_run(world, &options, 1, &result), FTL_ECONFIG);
    cr_assert_not_null(strstr(result.why, "/nonexistent.yaml"), "%s", result.why);
    ftli_world_destroy(world);
}
