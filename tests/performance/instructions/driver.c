/* What check_instructions.sh runs under callgrind: functions instructions_of_NAME, of whose calls the instructions are counted, and
 * between them what is needed and not counted. Nothing here is timed, and no other thread is counted. */
#include <fettle/fettle.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAIRS = 200000, LIVE = 1000, BATCHES = 100, SMALL = 16, LARGE = 25000 }; /* sizes: elements of 4 bytes */

/* Rates follow the time that tracking takes, which is not the same twice: here they stay where they end for a thread that does
 * nothing else. */
#define AT_ITS_LAST_RATE                                             \
    "actors.tracking.target: 100%\nactors.tracking.adapt.raise: 1\n" \
    "actors.tracking.tiers: [{up_to: 1MiB, rate: 1%}]\n"

static ftl_runtime *runtime;
static ftl_tensor tensors[LIVE];
static uint64_t failures;

static int64_t shape = SMALL;

static void make_all(const ftl_tensor_options *options)
{
    for (int i = 0; i < LIVE; i++) {
        failures += ftl_tensor_new(runtime, FTL_F32, 1, &shape, options, &tensors[i]) != FTL_OK;
    }
}

static void drop_all(void)
{
    for (int i = 0; i < LIVE; i++) {
        failures += ftl_tensor_drop(tensors[i]) != FTL_OK;
    }
}

static void settle(void)
{
    failures += ftl_runtime_drain(runtime, -1) != FTL_OK;
}

static void pairs(int count)
{
    for (int i = 0; i < count; i++) {
        failures += ftl_tensor_new(runtime, FTL_F32, 1, &shape, NULL, &tensors[0]) != FTL_OK;
        failures += ftl_tensor_drop(tensors[0]) != FTL_OK;
    }
}

/* A new and a drop of a small tensor, over and over: sampling, and magazines that come and go, are in the average. */
__attribute__((noinline)) void instructions_of_pair(void);
__attribute__((noinline)) void instructions_of_pair(void)
{
    for (int i = 0; i < PAIRS; i++) {
        failures += ftl_tensor_new(runtime, FTL_F32, 1, &shape, NULL, &tensors[0]) != FTL_OK;
        failures += ftl_tensor_drop(tensors[0]) != FTL_OK;
    }
}

/* The same at level none. */
__attribute__((noinline)) void instructions_of_pair_untracked(void);
__attribute__((noinline)) void instructions_of_pair_untracked(void)
{
    for (int i = 0; i < PAIRS; i++) {
        failures += ftl_tensor_new(runtime, FTL_F32, 1, &shape, NULL, &tensors[0]) != FTL_OK;
        failures += ftl_tensor_drop(tensors[0]) != FTL_OK;
    }
}

/* The same of raw bytes. */
__attribute__((noinline)) void instructions_of_bytes(void);
__attribute__((noinline)) void instructions_of_bytes(void)
{
    for (int i = 0; i < PAIRS; i++) {
        failures += ftl_bytes_new(runtime, 4 * SMALL, NULL, &tensors[0]) != FTL_OK;
        failures += ftl_tensor_drop(tensors[0]) != FTL_OK;
    }
}

/* The same with 100 kB: what the allocation's shards do is in it as far as this thread does it. */
__attribute__((noinline)) void instructions_of_middle(void);
__attribute__((noinline)) void instructions_of_middle(void)
{
    for (int i = 0; i < PAIRS; i++) {
        failures += ftl_tensor_new(runtime, FTL_F32, 1, &shape, NULL, &tensors[0]) != FTL_OK;
        failures += ftl_tensor_drop(tensors[0]) != FTL_OK;
    }
}

__attribute__((noinline)) void instructions_of_data(void);
__attribute__((noinline)) void instructions_of_data(void)
{
    for (int i = 0; i < LIVE; i++) {
        failures += ftl_tensor_data(tensors[i]) == NULL;
    }
}

/* Drops that post themselves to a shard. */
__attribute__((noinline)) void instructions_of_to_shard(void);
__attribute__((noinline)) void instructions_of_to_shard(void)
{
    for (int i = 0; i < LIVE; i++) {
        failures += ftl_tensor_drop(tensors[i]) != FTL_OK;
    }
}

/* Drops that post themselves to the cleanup actor: of small tensors with a finalizer. */
__attribute__((noinline)) void instructions_of_to_cleanup(void);
__attribute__((noinline)) void instructions_of_to_cleanup(void)
{
    for (int i = 0; i < LIVE; i++) {
        failures += ftl_tensor_drop(tensors[i]) != FTL_OK;
    }
}

/* The same because policy message says so. */
__attribute__((noinline)) void instructions_of_message(void);
__attribute__((noinline)) void instructions_of_message(void)
{
    for (int i = 0; i < LIVE; i++) {
        failures += ftl_tensor_drop(tensors[i]) != FTL_OK;
    }
}

/* A new and a drop, where every drop is a message: what the maker does of the cleanup's work is in it. */
__attribute__((noinline)) void instructions_of_message_pair(void);
__attribute__((noinline)) void instructions_of_message_pair(void)
{
    for (int i = 0; i < PAIRS; i++) {
        failures += ftl_tensor_new(runtime, FTL_F32, 1, &shape, NULL, &tensors[0]) != FTL_OK;
        failures += ftl_tensor_drop(tensors[0]) != FTL_OK;
    }
}

/* The same with 100 kB. */
__attribute__((noinline)) void instructions_of_message_middle(void);
__attribute__((noinline)) void instructions_of_message_middle(void)
{
    for (int i = 0; i < PAIRS; i++) {
        failures += ftl_tensor_new(runtime, FTL_F32, 1, &shape, NULL, &tensors[0]) != FTL_OK;
        failures += ftl_tensor_drop(tensors[0]) != FTL_OK;
    }
}

static int finish(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes, (void)user;
    return 0;
}

static void open_with(const char *overrides)
{
    const ftl_open_options options = {.overrides = overrides};
    if (ftl_runtime_open_with(&options, &runtime) != FTL_OK) {
        fprintf(stderr, "open: %s\n", ftl_last_error());
        exit(1);
    }
}

static void end(void)
{
    if (failures != 0 || ftl_runtime_close(runtime, NULL) != FTL_OK) {
        fprintf(stderr, "%llu calls failed: %s\n", (unsigned long long)failures, ftl_last_error());
        exit(1);
    }
}

int main(void)
{
    open_with("actors.tracking.level: none");
    pairs(PAIRS / 10);
    instructions_of_pair_untracked();
    end();
    open_with(AT_ITS_LAST_RATE);
    pairs(PAIRS / 10);
    instructions_of_pair();
    instructions_of_bytes();
    for (int i = 0; i < BATCHES; i++) {
        make_all(NULL);
        instructions_of_data();
        drop_all();
    }
    const ftl_tensor_options finalized = {.finalizer = finish};
    for (int i = 0; i < BATCHES; i++) {
        make_all(&finalized);
        instructions_of_to_cleanup();
        settle();
    }
    shape = LARGE;
    pairs(PAIRS / 10);
    instructions_of_middle();
    for (int i = 0; i < BATCHES; i++) {
        make_all(NULL);
        instructions_of_to_shard();
        settle();
    }
    end();

    shape = SMALL;
    open_with(AT_ITS_LAST_RATE "actors.cleanup.policy: message");
    for (int i = 0; i < BATCHES; i++) {
        make_all(NULL);
        instructions_of_message();
        settle();
    }
    pairs(PAIRS / 10);
    instructions_of_message_pair();
    shape = LARGE;
    pairs(PAIRS / 10);
    instructions_of_message_middle();
    end();
    return 0;
}
