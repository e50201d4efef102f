/* Memory or address space runs out at every call in turn: FTL_ENOMEM, nothing lost, and the next call works. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/actors/port/port_support.h"

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
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *block);

/* libyaml and libc must find them too. */
#define OURS __attribute__((visibility("default")))

static _Thread_local bool counting, for_good; /* all calls from that one on fail, too */
static _Thread_local long before_failure, blocks, mapped_bytes;

static bool fails(void)
{
    if (!counting)
        return false;
    long left = before_failure--;
    return left == 0 || (for_good && left < 0);
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

OURS void *aligned_alloc(size_t alignment, size_t bytes)
{
    return fails() ? NULL : count(__libc_memalign(alignment, bytes));
}

OURS void *realloc(void *block, size_t bytes)
{
    if (fails())
        return NULL;
    void *grown = __libc_realloc(block, bytes);
    return block == NULL ? count(grown) : grown;
}

OURS void free(void *block)
{
    blocks -= counting && block != NULL;
    __libc_free(block);
}

OURS void *mmap(void *address, size_t bytes, int protection, int flags, int descriptor, off_t offset)
{
    if (fails())
        return MAP_FAILED;
    void *got = (void *)syscall(SYS_mmap, address, bytes, protection, flags, descriptor, offset);
    mapped_bytes += counting && got != MAP_FAILED && (flags & MAP_FIXED) == 0 ? (long)bytes : 0;
    return got;
}

OURS int munmap(void *address, size_t bytes)
{
    int status = (int)syscall(SYS_munmap, address, bytes);
    mapped_bytes -= counting && status == 0 ? (long)bytes : 0;
    return status;
}

static void begin(long number)
{
    before_failure = number;
    blocks = 0;
    mapped_bytes = 0;
    counting = true;
}

Test(memory, runs_out_at_every_call_of_open)
{
    const ftl_open_options options = {.overrides = "actors.tracking.level: debug\nruntime.tensors: 4096\n"};
    ftl_runtime *runtime = open_simulated(NULL); /* what is made once for a process */
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    long number = 0, failed = 0;
    for (; number < 100000; number++) {
        runtime = NULL;
        begin(number);
        int status = ftli_runtime_open_as(&options, true, 1, &runtime);
        counting = false;
        if (before_failure >= 0) { /* no call was left to fail */
            cr_assert_eq(status, FTL_OK);
            break;
        }
        cr_assert(status == FTL_OK || status == FTL_ENOMEM, "call %ld: %d, %s", number, status, ftl_last_error());
        if (status == FTL_OK) { /* it made do with less, such as a smaller table */
            cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
            continue;
        }
        failed++;
        cr_assert_null(runtime);
        cr_assert_neq(ftl_last_error()[0], '\0');
        /* The runtime's own struct is kept for its number, and so are the addresses of its table. */
        cr_assert_leq(blocks, 1, "call %ld: %ld blocks lost", number, blocks);
        cr_assert_leq(mapped_bytes, 4096 * 144, "call %ld: %ld bytes of addresses lost", number, mapped_bytes);
    }
    printf("%ld calls, %ld of them fail\n", number, failed);
    cr_assert_gt(failed, 50);
    ftl_tensor tensor = new_bytes(runtime, 1000, NULL);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

/* Sizes of all ways, while the n-th request to the system is refused. */
Test(memory, runs_out_at_every_call_of_new)
{
    static const uint64_t sizes[] = {64, 3000, 32000, 100 * KIB, 700 * KIB, 3 * MIB, 200 * MIB};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    long number = 0, failed = 0, most = 0;
    do {
        for_good = number % 2 == 1; /* once, and relieve helps; or whatever new does, there is none */
        ftl_runtime *runtime = open_simulated("actors.allocation.wait: 0ms");
        ftl_tensor tensors[SIZES] = {{0}};
        int statuses[SIZES];
        begin(number / 2);
        for (unsigned i = 0; i < SIZES; i++)
            statuses[i] = ftl_bytes_new(runtime, sizes[i], NULL, &tensors[i]);
        counting = false;
        most = before_failure;
        for (unsigned i = 0; i < SIZES; i++) {
            cr_assert(statuses[i] == FTL_OK || statuses[i] == FTL_ENOMEM, "call %ld: %d", number, statuses[i]);
            cr_assert_eq(tensors[i].id != 0, statuses[i] == FTL_OK, "the output of a failing call was touched");
            failed += statuses[i] != FTL_OK;
            if (statuses[i] != FTL_OK) /* the next one works */
                cr_assert_eq(ftl_bytes_new(runtime, sizes[i], NULL, &tensors[i]), FTL_OK);
        }
        must_agree(runtime);
        for (unsigned i = 0; i < SIZES; i++)
            cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
        ftl_close_report report;
        cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
        cr_assert_eq(report.leaked + report.undone, 0);
        number++;
    } while (most < 0);
    printf("%ld calls, %ld news failed\n", number - 1, failed);
    cr_assert_gt(failed, SIZES);
}

/* A leak scan allocates its report; when it cannot, the runtime goes on. */
Test(memory, runs_out_at_every_call_of_a_leak_scan)
{
    const ftl_leak_options all = {.causes = 1, .certainty = 1};
    ftl_runtime *runtime = open_simulated(NULL);
    ftl_tensor tensors[20];
    for (unsigned i = 0; i < 20; i++)
        tensors[i] = new_bytes(runtime, 100 + i, NULL);
    long number = 0;
    for (int status = FTL_ENOMEM; status != FTL_OK; number++) {
        ftl_leak_report *report = NULL;
        begin(number);
        status = ftl_leak_scan(runtime, &all, &report);
        counting = false;
        cr_assert(status == FTL_OK || status == FTL_ENOMEM, "call %ld: %d", number, status);
        cr_assert_eq(report != NULL, status == FTL_OK);
        cr_assert(status == FTL_OK || blocks == 0, "call %ld: %ld blocks lost", number, blocks);
        ftl_leak_report_free(report);
    }
    cr_assert_gt(number, 1);
    for (unsigned i = 0; i < 20; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
#else
Test(memory, has_a_malloc_of_its_own)
{
    cr_skip_test("the sanitizer's malloc cannot be made to fail");
}
#endif
