/* What the system refuses: each answer of it that the wrappers know a way around. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fettle/fettle.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/os.h"

/* A sanitizer stands between these calls and the system itself. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define CAN_REFUSE 0
#elif defined __has_feature
#define CAN_REFUSE (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define CAN_REFUSE 1
#endif

#if CAN_REFUSE
static _Thread_local struct {
    bool randomness, affinity, threads, address, cutting, keeping;
    unsigned asked;
} refuse;

ssize_t getrandom(void *into, size_t bytes, unsigned flags)
{
    if (!refuse.randomness)
        return syscall(SYS_getrandom, into, bytes, flags);
    errno = refuse.asked++ % 2 == 0 ? EINTR : ENOSYS;
    return -1;
}

int sched_getaffinity(pid_t thread, size_t bytes, cpu_set_t *set)
{
    if (refuse.affinity)
        return -1;
    long got = syscall(SYS_sched_getaffinity, thread, bytes, set);
    return got < 0 ? -1 : 0;
}

/* A kernel before 4.17 does not know MAP_FIXED_NOREPLACE and takes the address for a wish. */
void *mmap(void *at, size_t bytes, int protection, int flags, int descriptor, off_t offset)
{
    if (refuse.address && (flags & MAP_FIXED_NOREPLACE) != 0)
        flags &= ~MAP_FIXED_NOREPLACE, at = NULL;
    if (refuse.keeping && (flags & MAP_FIXED) != 0)
        return errno = ENOMEM, MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, bytes, protection, flags, descriptor, offset);
}

int munmap(void *at, size_t bytes)
{
    if (refuse.cutting)
        return errno = ENOMEM, -1;
    return (int)syscall(SYS_munmap, at, bytes);
}

Test(refused, randomness_comes_from_the_clock_then)
{
    unsigned char some[64], none[64] = {0};
    refuse.randomness = true;
    memset(some, 0, sizeof some);
    ftli_os_entropy(some, sizeof some);
    refuse.randomness = false;
    cr_assert_eq(refuse.asked, 128, "once interrupted and once refused for each byte; %u", refuse.asked);
    cr_assert_neq(memcmp(some, none, sizeof some), 0);
}

Test(refused, processors_are_counted_otherwise)
{
    refuse.affinity = true;
    cr_assert_geq(ftli_os_processors(), 1);
    refuse.affinity = false;
}

Test(refused, an_address_that_is_taken_is_none)
{
    void *at = ftli_os_reserve(8192, 4096);
    cr_assert_not_null(at);
    cr_assert_null(ftli_os_reserve_at(at, 4096), "there is something already");
    refuse.address = true;
    cr_assert_null(ftli_os_reserve_at(at, 4096), "it is elsewhere");
    refuse.address = false;
    ftli_os_release(at, 8192);
    cr_assert_eq(ftli_os_reserve_at(at, 4096), at);
    ftli_os_release(at, 4096);
}

/* The kernel's table of mappings is full: the addresses stay, the memory goes. */
Test(refused, what_cannot_be_cut_out_is_emptied)
{
    unsigned char *at = ftli_os_reserve(8192, 4096);
    cr_assert_not_null(at);
    memset(at, 7, 8192);
    refuse.cutting = true;
    ftli_os_release(at, 8192);
    refuse.cutting = false;
    cr_assert_eq(ftli_os_resident_bytes(at, 8192), 0);
    memset(at, 7, 8192);
    refuse.keeping = true;
    cr_assert(ftli_os_zero_and_keep(at, 8192));
    refuse.keeping = false;
    cr_assert_eq(at[0] | at[8191], 0, "a closed table reads as zeros");
    ftli_os_release(at, 8192);
}

static void does_nothing(void *argument)
{
    (void)argument;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    (void)thread, (void)attributes, (void)run, (void)argument;
    refuse.threads = true;
    return EAGAIN;
}

Test(refused, a_thread_that_cannot_be_had)
{
    ftli_os_thread thread;
    const ftli_os_thread_options options = {.name = "none"};
    cr_assert_eq(ftli_os_thread_start(&thread, &options, does_nothing, NULL), FTL_ENOMEM);
    cr_assert(refuse.threads);
    ftl_runtime *runtime = NULL;
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_ENOMEM);
    cr_assert_null(runtime);
    cr_assert_not_null(strstr(ftl_last_error(), "threads could not be started"), "%s", ftl_last_error());
}
#else
Test(refused, has_the_system_to_itself)
{
    cr_skip_test("a sanitizer stands between");
}
#endif
