/* fettle stress can fail: beside it somebody breaks the rules, and it says so. */
#include "tools/stress.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

TestSuite(can_fail, .timeout = 120);

static struct ftli_stress *prepared(uint32_t faults)
{
    struct ftli_stress *run = calloc(1, sizeof *run);
    cr_assert_not_null(run);
    run->options =
        (struct ftli_stress_options){.threads = 2, .duration_ns = UINT64_C(60000000000), .faults = faults, .seed = 7};
    run->limit_bytes = 64 << 20;
    run->wide = true; /* nothing that a sanitizer could not follow */
    (void)snprintf(run->overrides, sizeof run->overrides,
                   "devices.cpu.limit: 64MiB\nactors.stress: {type: stress, threads: service}\n");
    ftli_stress_prepare(run);
    return run;
}

/* A weak handle of somebody's. */
static ftl_tensor look_at_board(struct ftli_stress *run, uint32_t place)
{
    pthread_mutex_lock(&run->board_lock);
    ftl_tensor handle = run->board[place % FTLI_STRESS_BOARD].handle;
    pthread_mutex_unlock(&run->board_lock);
    return handle;
}

/* Drops references that are others'. */
static void *steal(void *user)
{
    struct ftli_stress *run = user;
    for (uint32_t i = 0; !atomic_load(&run->over); i++) {
        ftl_tensor handle = look_at_board(run, i);
        if (handle.id != 0) {
            (void)ftl_tensor_drop(handle);
        }
        sched_yield();
    }
    return NULL;
}

static void expect_broken(void *(*saboteur)(void *))
{
    char why[512] = "";
    pthread_t thread;
    struct ftli_stress *run = prepared(FTLI_STRESS_PIN);
    cr_assert_eq(pthread_create(&thread, NULL, saboteur, run), 0);
    int status = ftli_stress_run(run, why, sizeof why);
    pthread_join(thread, NULL);
    cr_assert_eq(status, 0, "%s", why);
    cr_assert_gt(run->broken_count, 0, "nothing was found in a minute");
    free(run);
}

Test(can_fail, a_stolen_reference_is_found)
{
    expect_broken(steal);
}

#if !defined __SANITIZE_THREAD__ /* which sees the race itself */
/* Writes over memory that is others'. */
static void *scribble(void *user)
{
    struct ftli_stress *run = user;
    for (uint32_t i = 0; !atomic_load(&run->over); i++) {
        ftl_tensor handle = look_at_board(run, i);
        unsigned char *data = handle.id == 0 ? NULL : ftl_tensor_pin(handle);
        if (data != NULL) {
            *data = (unsigned char)(*data ^ 0x55);
            ftl_tensor_unpin(handle);
        }
        sched_yield();
    }
    return NULL;
}

Test(can_fail, contents_that_changed_are_found)
{
    expect_broken(scribble);
}
#endif
