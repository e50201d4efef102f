#include <criterion/criterion.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fettle/fettle.h>

#include "runtime/base/clock.h"
#include "runtime/base/os.h"

static const size_t MIB = 1024 * 1024;

Test(os, a_reservation_is_aligned_zero_and_not_resident)
{
    for (size_t alignment = 4096; alignment <= 64 * MIB; alignment *= 16) {
        char *at = ftli_os_reserve(3 * MIB, alignment);
        cr_assert_not_null(at);
        cr_expect_eq((uintptr_t)at % alignment, 0);
        cr_expect_eq(ftli_os_resident_bytes(at, 3 * MIB), 0);
        at[0] = 1;
        at[3 * MIB - 1] = 1;
        const size_t resident = ftli_os_resident_bytes(at, 3 * MIB);
        cr_expect(resident >= 2 * ftli_os_page_bytes() && resident < 3 * MIB, "%zu", resident);
        ftli_os_release(at, 3 * MIB);
    }
}

Test(os, what_cannot_be_reserved_is_null)
{
    cr_expect_null(ftli_os_reserve(0, 4096));
    cr_expect_null(ftli_os_reserve(SIZE_MAX - 4096, 4096));
    cr_expect_null(ftli_os_reserve(SIZE_MAX / 2, 2 * MIB));
}

Test(os, discarded_pages_read_as_zeros_and_are_gone)
{
    char *at = ftli_os_reserve(MIB, 4096);
    memset(at, 7, MIB);
    cr_expect_eq(ftli_os_resident_bytes(at, MIB), MIB);
    cr_expect(ftli_os_discard(at, MIB));
    cr_expect_eq(ftli_os_resident_bytes(at, MIB), 0);
    cr_expect_eq(at[12345], 0);
    ftli_os_release(at, MIB);
}

Test(os, populated_pages_are_there_and_zero)
{
    char *at = ftli_os_reserve(MIB, 4096);
    if (!ftli_os_populate(at, MIB)) {
        cr_skip("the system does not do that");
    }
    cr_expect_eq(ftli_os_resident_bytes(at, MIB), MIB);
    cr_expect_eq(at[12345], 0);
    ftli_os_release(at, MIB);
    cr_expect_not(ftli_os_populate((char *)4096, 4096), "nothing is mapped there");
}

Test(os, what_is_moved_is_elsewhere_and_its_place_is_empty)
{
    char *at = ftli_os_reserve(8 * MIB, 2 * MIB);
    memset(at, 7, 2 * MIB);
    memset(at + 4 * MIB, 8, 4096);
    if (!ftli_os_move(at, at + 4 * MIB, 2 * MIB)) {
        cr_skip("the system does not move pages");
    }
    cr_expect_eq(ftli_os_resident_bytes(at, 8 * MIB), 2 * MIB);
    cr_expect_eq(at[4 * MIB], 7);
    cr_expect_eq(at[6 * MIB - 1], 7);
    cr_expect_eq(at[0], 0);
    at[0] = 9; /* can be used again, and be the target of the way back */
    cr_expect(ftli_os_move(at + 4 * MIB, at, 2 * MIB));
    cr_expect_eq(at[0], 7);
    cr_expect_eq(at[4 * MIB], 0);
    ftli_os_release(at, 8 * MIB);
}

Test(os, zeroed_and_kept_pages_can_be_read)
{
    char *at = ftli_os_reserve(MIB, 4096);
    memset(at, 7, MIB);
    cr_expect(ftli_os_zero_and_keep(at, MIB));
    cr_expect_eq(ftli_os_resident_bytes(at, MIB), 0);
    cr_expect_eq(at[0], 0);
    cr_expect_eq(at[MIB - 1], 0);
    ftli_os_release(at, MIB);
}

Test(os, zeroed_and_kept_pages_cannot_be_written, .signal = SIGSEGV)
{
    char *at = ftli_os_reserve(MIB, 4096);
    cr_assert(ftli_os_zero_and_keep(at, MIB));
    *(volatile char *)at = 1;
}

Test(os, advice_is_taken)
{
    char *at = ftli_os_reserve(4 * MIB, 2 * MIB);
    (void)ftli_os_advise_huge(at, 4 * MIB); /* a kernel may be built without huge pages */
    cr_expect(ftli_os_advise_no_fork(at, 4 * MIB, true));
    cr_expect(ftli_os_advise_no_fork(at, 4 * MIB, false));
    ftli_os_release(at, 4 * MIB);
    cr_expect_not(ftli_os_discard((char *)16, 4096), "advice about what is not mapped fails");
}

Test(os, a_page_wiped_on_fork_is_zero_in_the_child)
{
    char *at = ftli_os_reserve(4096, 4096);
    cr_assert(ftli_os_advise_wipe_on_fork(at, 4096));
    at[0] = 1;
    const pid_t child = fork();
    if (child == 0)
        _exit(at[0]);
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(WEXITSTATUS(status), 0);
    cr_expect_eq(at[0], 1);
    ftli_os_release(at, 4096);
}

Test(os, a_wait_ends_at_its_deadline_or_when_the_word_differs)
{
    const ftli_atomic_u32 word = {5};
    errno = 77;
    cr_expect_not(ftli_os_wait(&word, 5, ftli_clock_now_ns()));
    cr_expect_not(ftli_os_wait(&word, 5, 0));
    cr_expect(ftli_os_wait(&word, 6, FTLI_NEVER_NS));
    ftli_os_wake(&word, 1);
    cr_expect_eq(errno, 77, "errno is kept");
}

Test(os, membarrier_answers_the_same_every_time)
{
    cr_expect_eq(ftli_os_membarrier(), ftli_os_membarrier_supported());
    cr_expect_eq(ftli_os_membarrier(), ftli_os_membarrier_supported());
}

Test(os, the_machine_has_processors_and_memory)
{
    cr_expect_geq(ftli_os_processors(), 1);
    cr_expect_gt(ftli_os_memory_bytes(), 0);
    cr_expect_gt(ftli_os_memory_limit_bytes(), 0);
    cr_expect_leq(ftli_os_memory_limit_bytes(), ftli_os_memory_bytes());
    unsigned char a[300] = {0}, b[300] = {0};
    ftli_os_entropy(a, sizeof a);
    ftli_os_entropy(b, sizeof b);
    cr_expect_neq(memcmp(a, b, sizeof a), 0);
}

static void put(const char *directory, const char *text)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/memory.max", directory);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

Test(os, the_least_limit_on_the_way_up_holds)
{
    char root[] = "/tmp/fettle_cgroup_XXXXXX";
    cr_assert_not_null(mkdtemp(root));
    char inner[512], leaf[512], missing[512];
    (void)snprintf(inner, sizeof inner, "%s/inner", root);
    (void)snprintf(leaf, sizeof leaf, "%s/inner/leaf", root);
    (void)snprintf(missing, sizeof missing, "%s/inner/leaf/memory.max", root);
    cr_assert_eq(mkdir(inner, 0700), 0);
    cr_assert_eq(mkdir(leaf, 0700), 0);
    cr_expect_eq(ftli_os_cgroup_limit_bytes(root, "/inner/leaf"), UINT64_MAX, "no file anywhere");
    put(inner, "1073741824\n");
    put(leaf, "max\n");
    cr_expect_eq(ftli_os_cgroup_limit_bytes(root, "/inner/leaf"), UINT64_C(1073741824));
    cr_expect_eq(ftli_os_cgroup_limit_bytes(root, "/inner/leaf/"), UINT64_C(1073741824));
    cr_expect_eq(ftli_os_cgroup_limit_bytes(root, "/"), UINT64_MAX);
    put(leaf, "4096\n");
    cr_expect_eq(ftli_os_cgroup_limit_bytes(root, "/inner/leaf"), 4096);
    cr_expect_eq(ftli_os_cgroup_limit_bytes(root, "/inner"), UINT64_C(1073741824));
    put(root, "512\n");
    cr_expect_eq(ftli_os_cgroup_limit_bytes(root, "/inner/leaf"), 512);
    (void)remove(missing);
    const char *folders[] = {leaf, inner, root};
    for (int i = 0; i < 3; i++) {
        char path[600];
        (void)snprintf(path, sizeof path, "%s/memory.max", folders[i]);
        (void)remove(path);
        (void)rmdir(folders[i]);
    }
}

typedef struct {
    char name[16];
    sigset_t blocked;
} seen;

static void look(void *argument)
{
    seen *s = argument;
    (void)pthread_getname_np(pthread_self(), s->name, sizeof s->name);
    (void)pthread_sigmask(SIG_BLOCK, NULL, &s->blocked);
}

Test(os, a_thread_has_its_name_and_blocks_signals)
{
    seen s = {.name = ""};
    ftli_os_thread thread;
    const unsigned cpus[] = {0};
    const ftli_os_thread_options options = {.name = "a-name-that-is-too-long", .nice = 1, .cpus = cpus, .cpu_count = 1};
    cr_assert_eq(ftli_os_thread_start(&thread, &options, look, &s), FTL_OK);
    ftli_os_thread_join(thread);
    cr_expect_str_eq(s.name, "a-name-that-is-");
    cr_expect(sigismember(&s.blocked, SIGTERM));
    cr_expect(sigismember(&s.blocked, SIGUSR1));
    sigset_t mine;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &mine);
    cr_expect_not(sigismember(&mine, SIGTERM), "the starter's own mask is as before");
}

Test(os, thread_time_advances_with_work)
{
    const uint64_t before = ftli_os_thread_cpu_ns();
    volatile uint64_t sum = 0;
    while (ftli_os_thread_cpu_ns() == before)
        sum += 1;
    cr_expect_gt(ftli_os_thread_cpu_ns(), before);
}

Test(os, deadlines_stop_at_never)
{
    cr_expect_eq(ftli_deadline_ns(5, 6), 11);
    cr_expect_eq(ftli_deadline_ns(5, FTLI_NEVER_NS), FTLI_NEVER_NS);
    cr_expect_eq(ftli_deadline_ns(FTLI_NEVER_NS - 1, 2), FTLI_NEVER_NS);
    cr_expect_leq(ftli_clock_coarse_ns(), ftli_clock_now_ns());
    cr_expect_neq(ftli_clock_cycles(), 0);
}

static void *hold(void *mutex)
{
    ftli_atomic_u32 *held = mutex; /* in front of the mutex */
    (void)pthread_mutex_lock((pthread_mutex_t *)(void *)((char *)mutex + 64));
    ftli_u32_store_release(held, 1);
    while (ftli_u32_load_acquire(held) == 1)
        (void)ftli_os_wait(held, 1, ftli_clock_now_ns() + 1000000);
    return NULL;
}

Test(os, the_time_of_the_thread_that_holds_a_robust_mutex)
{
    static _Alignas(64) char place[64 + sizeof(pthread_mutex_t)];
    pthread_mutex_t *mutex = (pthread_mutex_t *)(void *)(place + 64);
    ftli_atomic_u32 *held = (ftli_atomic_u32 *)(void *)place;
    pthread_mutexattr_t attributes;
    pthread_t thread;
    uint64_t first_ns, then_ns, nobody_ns = 5;
    cr_assert_eq(pthread_mutexattr_init(&attributes), 0);
    cr_assert_eq(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST), 0);
    cr_assert_eq(pthread_mutex_init(mutex, &attributes), 0);
    cr_expect_eq(ftli_os_mutex_owner(mutex), 0);
    cr_assert_eq(pthread_create(&thread, NULL, hold, place), 0);
    while (ftli_u32_load_acquire(held) == 0)
        sched_yield();
    uint32_t owner = ftli_os_mutex_owner(mutex);
    cr_assert_neq(owner, 0);
    cr_expect_neq(owner, (uint32_t)getpid(), "the first thread's number is the process's");
    cr_assert(ftli_os_cpu_ns_of(owner, &first_ns));
    cr_assert(ftli_os_cpu_ns_of(owner, &then_ns));
    cr_expect_geq(then_ns, first_ns);
    cr_expect_gt(then_ns, 0);
    ftli_u32_store_release(held, 2);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_expect_not(ftli_os_cpu_ns_of(0, &nobody_ns));
    cr_expect_eq(nobody_ns, 5);
    cr_assert_eq(pthread_mutex_lock(mutex), EOWNERDEAD);
    cr_assert_eq(pthread_mutex_consistent(mutex), 0);
    cr_expect(ftli_os_cpu_ns_of(ftli_os_mutex_owner(mutex), &then_ns));
}
