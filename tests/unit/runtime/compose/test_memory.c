/* Memory runs out at every call in turn: FTL_ENOMEM, nothing lost, and the next call works. */
#include "tests/unit/runtime/compose/compose_support.h"

#include <criterion/criterion.h>

#include <stdlib.h>

/* A sanitizer brings its own malloc; there this test has nothing to stand on. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define CAN_FAIL 0
#elif defined __has_feature
#define CAN_FAIL (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define CAN_FAIL 1
#endif

#if CAN_FAIL
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void __libc_free(void *block);

/* libyaml and libc must find them too. */
#define OURS __attribute__((visibility("default")))

static _Thread_local bool counting;
static _Thread_local long before_failure, blocks;

static bool fails(void)
{
    return counting && before_failure-- == 0;
}

static void *count(void *block)
{
    blocks += counting && block != NULL;
    return block;
}

OURS void *malloc(size_t bytes)
{
    return fails() ? NULL : count(__libc_malloc(bytes));
}

OURS void *calloc(size_t number, size_t bytes)
{
    return fails() ? NULL : count(__libc_calloc(number, bytes));
}

OURS void *realloc(void *block, size_t bytes)
{
    if (fails()) {
        return NULL;
    }
    void *grown = __libc_realloc(block, bytes);
    return block == NULL ? count(grown) : grown;
}

OURS void free(void *block)
{
    blocks -= counting && block != NULL;
    __libc_free(block);
}

Test(memory, runs_out_at_every_call)
{
    static const char text[] = "fettle: 1\nthreads: {io: {cpus: [1]}}\n"
                               "actors: {tracking: none, telemetry: none, watcher: {type: tracking}}\n";
    struct ftli_compose_input input = test_input();
    input.text = text;
    input.text_bytes = strlen(text);
    input.overrides = "actors.cleanup.batch: {messages: 3}\n";
    long number = 0;
    for (int status = FTL_ENOMEM; status != FTL_OK; number++) {
        struct ftli_topology *topology = NULL;
        char error[256] = "";
        before_failure = number;
        blocks = 0;
        counting = true;
        status = ftli_compose(&input, &topology, error, sizeof error);
        if (status == FTL_OK) {
            ftli_compose_free(topology);
            topology = NULL;
        }
        counting = false;
        cr_assert(status == FTL_OK || status == FTL_ENOMEM, "call %ld: %d, %s", number, status, error);
        cr_assert_null(topology);
        cr_assert_eq(blocks, 0, "call %ld: %ld blocks lost", number, blocks);
        if (status != FTL_OK) {
            cr_assert_str_eq(error, "no memory to read the topology");
        }
    }
    printf("%ld calls\n", number - 1);
    cr_expect_gt(number, 50);
}
#else
Test(memory, has_a_malloc_of_its_own)
{
    cr_skip_test("the sanitizer's malloc cannot be made to fail");
}
#endif
