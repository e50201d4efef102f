/* The simulation finds each of the planted bugs within a thousand seeds, and nothing where none is planted. Prints which seed found
 * which. A bug may corrupt what it likes, so each seed with one runs in a process of its own, with an end by the clock. */
#include <criterion/criterion.h>

#include "runtime/base/plant.h"
#include "simulate/simulate.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fettle/fettle.h>

enum { SEEDS = 1000, NONE_SEEDS = 60, PATIENCE_S = 120 };
static const struct ftli_world_options options = {.faults = FTLI_FAULTS_ALL};

/* Seeds until one finds something; `result` is shared with the process that waits. */
static void look_for(unsigned plant, struct ftli_world_result *result)
{
    struct ftli_world *world = ftli_world_create();
    if (world == NULL)
        _exit(2);
    ftli_plant = plant;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        result->seed = seed;
        struct ftli_world_result found;
        int status = ftli_world_run(world, &options, seed, &found);
        if (status == FTL_OK)
            continue;
        *result = found;
        _exit(status == FTL_EINTERNAL ? 1 : 2);
    }
    _exit(0);
}

static void find(unsigned plant, const char *name)
{
    struct ftli_world_result *result =
        mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(result != MAP_FAILED);
    int status;
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(PATIENCE_S);
        look_for(plant, result);
    }
    cr_assert_gt(child, 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    bool died = WIFSIGNALED(status) != 0;
    cr_assert(!died || WTERMSIG(status) != SIGALRM, "%s: nothing after %d s, at seed %llu", name, PATIENCE_S,
              (unsigned long long)result->seed);
    cr_assert(died || WEXITSTATUS(status) == 1, "%s: %s after seed %llu", name,
              WEXITSTATUS(status) == 0 ? "not found" : "no memory", (unsigned long long)result->seed);
    printf("%s: seed %llu, step %llu: %s: %s\n", name, (unsigned long long)result->seed,
           (unsigned long long)result->steps, died ? "it died" : result->law,
           died ? strsignal(WTERMSIG(status)) : result->why);
    (void)munmap(result, sizeof *result);
}

Test(planted, none, .timeout = 200)
{
    struct ftli_world *world = ftli_world_create();
    struct ftli_world_result result;
    cr_assert_not_null(world);
    for (uint64_t seed = 1; seed <= NONE_SEEDS; seed++)
        cr_assert_eq(ftli_world_run(world, &options, seed, &result), FTL_OK, "seed %llu: %s: %s",
                     (unsigned long long)seed, result.law, result.why);
    ftli_world_destroy(world);
}

Test(planted, lost_wakeup, .timeout = 200)
{
    find(FTLI_PLANT_LOST_WAKEUP, "lost wake-up");
}

Test(planted, double_push, .timeout = 200)
{
    find(FTLI_PLANT_DOUBLE_PUSH, "double push");
}

Test(planted, forgotten_redelivery, .timeout = 200)
{
    find(FTLI_PLANT_FORGOTTEN_REDELIVERY, "forgotten redelivery");
}

Test(planted, forgotten_link, .timeout = 200)
{
    find(FTLI_PLANT_FORGOTTEN_LINK, "forgotten link");
}

Test(planted, wrong_epoch, .timeout = 200)
{
    find(FTLI_PLANT_WRONG_EPOCH, "wrong epoch");
}
