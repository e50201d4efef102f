/* Reachability: what is nowhere in the process's memory is found, and what lies anywhere in it is not reported. */
#include <criterion/criterion.h>

#include "actors/leak_detection/reach_scan.h"
#include "actors/leak_detection/report.h"
#include "actors/port/runtime.h"
#include "runtime/base/random.h"
#include "runtime/kernel/simulation.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND   UINT64_C(1000000000)
#define NOINLINE __attribute__((noinline, noclone))
#if defined __has_attribute
#if !__has_attribute(noclone)
#undef NOINLINE
#define NOINLINE __attribute__((noinline))
#endif
#endif

/* A sanitizer keeps dead frames, freed memory and shadows of its own, with the handles that were in them. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define KEEPS_COPIES 1
#elif defined __has_feature
#define KEEPS_COPIES (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define KEEPS_COPIES 0
#endif
#define NEEDS_NO_STALE_COPIES()                             \
    do {                                                    \
        if (KEEPS_COPIES)                                   \
            cr_skip_test("a sanitizer keeps stale copies"); \
    } while (0)

enum { LOST = 50 };

static ftl_runtime *runtime;

static void open_with(const char *more)
{
    char overrides[300];
    (void)snprintf(overrides, sizeof overrides, "actors.leak_detection.reachability: on_demand\n%s", more);
    ftl_open_options options = {.overrides = overrides};
    cr_assert_eq(ftli_runtime_open_as(&options, true, 1, &runtime), FTL_OK, "%s", ftl_last_error());
}

static void close_runtime(void)
{
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK, "%s", ftl_last_error());
    ftl_leak_report_free(report.leaks);
}

static void pass(uint64_t seconds)
{
    uint64_t until_ns = ftli_kernel_now_ns(runtime->kernel) + seconds * SECOND;
    cr_assert_eq(ftli_simulation_run_until_idle(runtime->kernel, until_ns, 0), FTL_OK);
    uint64_t now_ns = ftli_kernel_now_ns(runtime->kernel);
    if (now_ns < until_ns)
        ftli_simulation_jump(runtime->kernel, until_ns - now_ns);
}

/* ---- where handles are put: in functions of their own, whose frames are written over afterwards ---- */

static NOINLINE void scrub(void)
{
    volatile char over[32768];
    for (size_t i = 0; i < sizeof over; i++)
        over[i] = 1;
}

static NOINLINE uint64_t make(const char *label)
{
    ftl_tensor tensor;
    ftl_tensor_options options = {.label = label};
    cr_assert_eq(ftl_bytes_new(runtime, 64, &options, &tensor), FTL_OK, "%s", ftl_last_error());
    return tensor.id;
}

static NOINLINE void lose(const char *label, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)make(label);
    scrub();
}

struct __attribute__((packed)) packed {
    char one;
    uint64_t handle;
    char more[6];
    uint64_t other;
};

static _Thread_local volatile uint64_t in_tls;
static volatile uint64_t in_static;

/* ---- looking ---- */

static ftl_leak_report *scan(void)
{
    ftl_leak_report *report = NULL;
    ftl_leak_options options = {.reachability = true, .causes = UINT32_C(1) << FTL_LEAK_UNREACHABLE};
    cr_assert_eq(ftl_leak_scan(runtime, &options, &report), FTL_OK, "%s", ftl_last_error());
    return report;
}

static uint64_t count_of(const ftl_leak_report *report, const char *label, uint32_t *certainty, const char **reason)
{
    for (size_t i = 0; i < report->count; i++) {
        if (strcmp(report->leaks[i].label, label) != 0)
            continue;
        cr_expect_eq(report->leaks[i].cause, FTL_LEAK_UNREACHABLE);
        if (certainty != NULL)
            *certainty = report->leaks[i].certainty;
        if (reason != NULL)
            *reason = ftli_leak_detail_of(report, i)->reason;
        return report->leaks[i].count;
    }
    return 0;
}

static uint64_t lost(const char *label)
{
    ftl_leak_report *report = scan();
    uint64_t count = count_of(report, label, NULL, NULL);
    ftl_leak_report_free(report);
    return count;
}

TestSuite(reach, .timeout = 60);

Test(reach, is_refused_unless_the_topology_allows_it)
{
    ftl_leak_report *report;
    ftl_leak_options options = {.reachability = true};
    cr_assert_eq(ftli_runtime_open_as(&(ftl_open_options){0}, true, 1, &runtime), FTL_OK);
    cr_assert_eq(ftl_leak_scan(runtime, &options, &report), FTL_ENOTSUP);
    cr_assert(strstr(ftl_last_error(), "reachability must say on_demand"), "%s", ftl_last_error());
    close_runtime();
}

/* Two snapshots a minute apart, and the registers of a second thread. */
Test(reach, a_forgotten_handle_is_suspected_then_unreachable)
{
    NEEDS_NO_STALE_COPIES();
    uint32_t certainty = 0;
    const char *reason = "";
    open_with("");
    lose("lost", LOST);
    uint64_t kept = make("kept");
    cr_assert_eq(lost("lost"), 0, "too young: they may be on their way");
    pass(2);
    ftl_leak_report *report = scan();
    uint64_t n = count_of(report, "lost", &certainty, &reason);
    cr_assert(n >= LOST - 2 && n <= LOST, "%llu", (unsigned long long)n);
    cr_assert_eq(certainty, FTLI_REACH_SUSPECTED_ONCE, "%u: %s", certainty, reason);
    cr_assert_eq(count_of(report, "kept", NULL, NULL), 0);
    ftl_leak_report_free(report);
    pass(30);
    report = scan();
    (void)count_of(report, "lost", &certainty, &reason);
    cr_assert_eq(certainty, FTLI_REACH_SUSPECTED_ONCE, "half a minute is too soon: %u: %s", certainty, reason);
    ftl_leak_report_free(report);
    pass(31);
    report = scan();
    n = count_of(report, "lost", &certainty, &reason);
    cr_assert(n >= LOST - 2 && n <= LOST, "%llu", (unsigned long long)n);
    cr_assert_eq(certainty, FTLI_REACH_UNREACHABLE, "%u: %s", certainty, reason);
    cr_assert_eq(count_of(report, "kept", NULL, NULL), 0);
    ftl_leak_report_free(report);
    cr_assert_eq(ftl_tensor_drop((ftl_tensor){kept}), FTL_OK);
    close_runtime();
}

static NOINLINE void deep(unsigned depth, uint64_t *counts)
{
    volatile uint64_t here = depth == 0 ? make("deep") : 0;
    char padding[500];
    memset(padding, 1, sizeof padding);
    if (depth < 200)
        deep(depth + 1, counts);
    else {
        pass(2);
        *counts = lost("deep");
    }
    if (here != 0)
        (void)ftl_tensor_drop((ftl_tensor){here});
    cr_expect_eq(padding[7], 1);
}

static NOINLINE void place(struct packed *packed, uint64_t *in_heap, void *data)
{
    in_static = make("static");
    in_tls = make("tls");
    packed->handle = make("packed");
    packed->other = make("packed");
    *in_heap = make("heap");
    uint64_t inside = make("contents");
    memcpy((char *)data + 13, &inside, sizeof inside);
    scrub();
}

Test(reach, copies_anywhere_are_found)
{
    NEEDS_NO_STALE_COPIES();
    open_with("");
    uint64_t deep_count = 99;
    deep(0, &deep_count);
    cr_expect_eq(deep_count, 0);
    struct packed *packed = malloc(sizeof *packed);
    uint64_t *in_heap = malloc(sizeof *in_heap);
    volatile uint64_t holder = make("holder");
    void *data = ftl_tensor_data((ftl_tensor){holder});
    cr_assert_neq(data, NULL);
    place(packed, in_heap, data);
    lose("lost", LOST);
    pass(2);
    ftl_leak_report *report = scan();
    static const char *const labels[] = {"static", "tls", "packed", "heap", "contents", "holder"};
    for (unsigned i = 0; i < sizeof labels / sizeof labels[0]; i++)
        cr_expect_eq(count_of(report, labels[i], NULL, NULL), 0, "%s", labels[i]);
    cr_expect(count_of(report, "lost", NULL, NULL) >= LOST - 2);
    ftl_leak_report_free(report);
    memset((char *)data + 13, 0, 8);
    packed->other = in_static = in_tls = *in_heap = 0;
    report = scan();
    for (unsigned i = 0; i < 5; i++)
        cr_expect_eq(count_of(report, labels[i], NULL, NULL), 1, "%s", labels[i]);
    ftl_leak_report_free(report);
    free(packed);
    free(in_heap);
    close_runtime();
}

static NOINLINE uint64_t link_some(void)
{
    uint64_t parent = make("parent"), child = make("child"), grandchild = make("child");
    cr_assert_eq(ftl_tensor_link((ftl_tensor){parent}, (ftl_tensor){child}), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_link((ftl_tensor){child}, (ftl_tensor){grandchild}), FTL_OK);
    scrub();
    return parent;
}

static NOINLINE uint64_t view_of_one(void)
{
    uint64_t root = make("root");
    ftl_tensor view;
    const int64_t shape = 16;
    cr_assert_eq(ftl_tensor_view((ftl_tensor){root}, 8, 1, &shape, NULL, &view), FTL_OK, "%s", ftl_last_error());
    scrub();
    return view.id;
}

static NOINLINE void join(ftl_scope scope)
{
    ftl_tensor tensor;
    ftl_tensor_options options = {.label = "member", .scope = scope};
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(ftl_bytes_new(runtime, 64, &options, &tensor), FTL_OK);
    scrub();
}

Test(reach, what_a_reachable_tensor_holds_is_reachable)
{
    NEEDS_NO_STALE_COPIES();
    open_with("");
    volatile uint64_t parent = link_some(), view = view_of_one();
    ftl_scope scope;
    cr_assert_eq(ftl_scope_begin(runtime, "request", &scope), FTL_OK);
    join(scope);
    pass(2);
    ftl_leak_report *report = scan();
    cr_expect_eq(count_of(report, "child", NULL, NULL), 0);
    cr_expect_eq(count_of(report, "root", NULL, NULL), 0);
    cr_expect_eq(count_of(report, "member", NULL, NULL), 0, "its scope ends it");
    ftl_leak_report_free(report);
    parent = view = 0;
    scrub();
    report = scan();
    cr_expect_eq(count_of(report, "child", NULL, NULL), 2);
    cr_expect_eq(count_of(report, "root", NULL, NULL), 1);
    ftl_leak_report_free(report);
    cr_expect_eq(parent + view, 0);
    close_runtime();
}

/* ---- registers of other threads ---- */

#if defined __x86_64__
struct holder {
    volatile uint64_t handle;
    volatile int ready, stop;
    int pipe[2], thread;
    long got;
};

/* While it turns, and while it sleeps in read, the handle is in a register alone. */
static void *hold(void *argument)
{
    struct holder *holder = argument;
    char byte;
    holder->thread = gettid();
    register long got __asm__("rax") = 0; /* read */
    __asm__ volatile("mov %1, %%r12\n\t"
                     "movq $0, %1\n\t"
                     "movl $1, %2\n\t"
                     "1: pause\n\t"
                     "cmpl $0, %3\n\t"
                     "je 1b\n\t"
                     "syscall\n\t"
                     "mov %%r12, %1"
                     : "+r"(got), "+m"(holder->handle), "+m"(holder->ready), "+m"(holder->stop)
                     : "D"((long)holder->pipe[0]), "S"(&byte), "d"(1L)
                     : "r12", "rcx", "r11", "memory");
    holder->got = got;
    return NULL;
}

static NOINLINE void start_holder(struct holder *holder, pthread_t *thread)
{
    cr_assert_eq(pipe(holder->pipe), 0);
    holder->handle = make("register");
    cr_assert_eq(pthread_create(thread, NULL, hold, holder), 0);
    while (holder->ready == 0)
        (void)sched_yield();
    scrub();
}

/* The system call that the thread sleeps in is its read. */
static bool is_asleep(const struct holder *holder)
{
    char path[64];
    long number = -1, descriptor = -1;
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/syscall", holder->thread);
    FILE *file = fopen(path, "re");
    cr_assert_neq(file, NULL);
    int found = fscanf(file, "%ld %lx", &number, (unsigned long *)&descriptor);
    (void)fclose(file);
    return found == 2 && number == 0 && descriptor == holder->pipe[0];
}

Test(reach, a_handle_in_a_register_of_another_thread_is_a_copy)
{
    NEEDS_NO_STALE_COPIES();
    static struct holder holder;
    pthread_t thread;
    open_with("");
    start_holder(&holder, &thread);
    pass(2);
    cr_expect_eq(lost("register"), 0);
    struct ftli_reach_cost cost = runtime->leak_detection.reach.last;
    cr_expect(cost.stopped);
    cr_expect_geq(cost.threads, 2, "%u", cost.threads);
    runtime->leak_detection.reach.fail_stop = true;
    cr_expect_eq(lost("register"), 1, "without its registers it is not found, or this test shows nothing");
    runtime->leak_detection.reach.fail_stop = false;
    holder.stop = 1;
    while (!is_asleep(&holder))
        (void)sched_yield();
    cr_expect_eq(lost("register"), 0, "in a system call");
    cr_assert_eq(write(holder.pipe[1], "x", 1), 1);
    (void)pthread_join(thread, NULL);
    cr_expect_eq(holder.got, 1, "the call went on: %ld", holder.got);
    cr_assert_eq(ftl_tensor_drop((ftl_tensor){holder.handle}), FTL_OK);
    close_runtime();
}
#endif

Test(reach, without_registers_it_is_suspected_for_ever)
{
    NEEDS_NO_STALE_COPIES();
    uint32_t certainty = 0;
    const char *reason = "";
    open_with("");
    lose("lost", LOST);
    pass(2);
    runtime->leak_detection.reach.fail_stop = true;
    ftl_leak_report *report = scan();
    (void)count_of(report, "lost", &certainty, &reason);
    cr_expect_eq(certainty, FTLI_REACH_SUSPECTED_PARTLY, "%u", certainty);
    cr_expect(strstr(reason, "registers"), "%s", reason);
    ftl_leak_report_free(report);
    pass(61);
    report = scan();
    (void)count_of(report, "lost", &certainty, &reason);
    cr_expect_eq(certainty, FTLI_REACH_SUSPECTED_TWICE, "%u", certainty);
    ftl_leak_report_free(report);
    runtime->leak_detection.reach.fail_stop = false;
    report = scan();
    (void)count_of(report, "lost", &certainty, &reason);
    cr_expect_eq(certainty, FTLI_REACH_SUSPECTED_TWICE, "the first of two whole ones: %u", certainty);
    ftl_leak_report_free(report);
    close_runtime();
}

/* ---- what goes wrong ---- */

static int refused(const char *word)
{
    ftl_leak_report *report = NULL;
    ftl_leak_options options = {.reachability = true};
    int status = ftl_leak_scan(runtime, &options, &report);
    cr_expect_eq(report, NULL);
    cr_expect(strstr(ftl_last_error(), word), "%s", ftl_last_error());
    return status;
}

Test(reach, a_fork_that_fails_and_a_child_that_is_killed_are_errors)
{
    open_with("");
    struct ftli_reach *reach = &runtime->leak_detection.reach;
    reach->fail_fork = EAGAIN;
    cr_expect_eq(refused("forked"), FTL_ELIMIT);
    reach->fail_fork = ENOMEM;
    cr_expect_eq(refused("forked"), FTL_ENOMEM);
    reach->fail_fork = ENOSYS;
    cr_expect_eq(refused("forked"), FTL_ENOTSUP);
    reach->fail_fork = 0;
    reach->kill_child = true;
    cr_expect_eq(refused("killed"), FTL_EINTERNAL);
    reach->kill_child = false;
    reach->available_bytes = 4096;
    cr_expect_eq(refused("free"), FTL_ELIMIT);
    reach->available_bytes = 0;
    ftli_token_take(&reach->token);
    cr_expect_eq(refused("under way"), FTL_EBUSY);
    ftli_token_release(&reach->token);
    ftl_leak_report *report = NULL;
    ftl_leak_options hasty = {.reachability = true, .timeout_ns = 1};
    cr_expect_eq(ftl_leak_scan(runtime, &hasty, &report), FTL_ETIMEDOUT, "%s", ftl_last_error());
    ftl_leak_report_free(scan());
    cr_expect_eq(waitpid(-1, NULL, WNOHANG | __WALL), -1, "a child is left");
    close_runtime();
}

/* Where a second copy of the tensors does not fit, they are left out; a child of the program's still has them. */
Test(reach, contents_are_left_out_where_they_do_not_fit)
{
    NEEDS_NO_STALE_COPIES();
    enum { BIG = 256 << 20 };
    uint32_t certainty = 0;
    const char *reason = "";
    open_with("");
    ftl_tensor big;
    cr_assert_eq(ftl_bytes_new(runtime, BIG, NULL, &big), FTL_OK);
    char *data = ftl_tensor_data(big);
    for (size_t i = 0; i < BIG; i += 4096)
        data[i] = 1;
    lose("lost", LOST);
    pass(2);
    runtime->leak_detection.reach.available_bytes = BIG;
    ftl_leak_report *report = scan();
    cr_expect(count_of(report, "lost", &certainty, &reason) >= LOST - 2);
    cr_expect_eq(certainty, FTLI_REACH_SUSPECTED_PARTLY, "%u", certainty);
    cr_expect(strstr(reason, "what tensors hold"), "%s", reason);
    ftl_leak_report_free(report);
    struct ftli_reach_cost cost = runtime->leak_detection.reach.last;
    cr_expect(!cost.contents && cost.scan_bytes < BIG, "%llu", (unsigned long long)cost.scan_bytes);
    runtime->leak_detection.reach.fail_stop = true;
    cr_expect_eq(refused("does not fit"), FTL_ELIMIT);
    pid_t child = fork();
    if (child == 0)
        _exit(data[BIG / 2] == 1 ? 0 : 1);
    int ended = -1;
    cr_assert_eq(waitpid(child, &ended, 0), child);
    cr_expect_eq(ended, 0, "%d", ended);
    close_runtime();
}

/* Errno for one system call, from now on, of this process. */
static void refuse(int number, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, filter};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void *sleeper(void *barrier)
{
    (void)pthread_barrier_wait(barrier);
    return NULL;
}

/* As in a container that hides clone3, and where nobody may trace. */
Test(reach, in_a_sandbox)
{
    NEEDS_NO_STALE_COPIES();
    uint32_t certainty = 0;
    const char *reason = "";
    pthread_barrier_t barrier;
    pthread_t thread;
    open_with("");
    cr_assert_eq(pthread_barrier_init(&barrier, NULL, 2), 0);
    cr_assert_eq(pthread_create(&thread, NULL, sleeper, &barrier), 0);
    lose("lost", LOST);
    pass(2);
    refuse(SYS_clone3, ENOSYS);
    ftl_leak_report *report = scan();
    cr_expect(count_of(report, "lost", &certainty, &reason) >= LOST - 2);
    cr_expect_eq(certainty, FTLI_REACH_SUSPECTED_ONCE, "by clone: %u %s", certainty, reason);
    ftl_leak_report_free(report);
    refuse(SYS_ptrace, EPERM);
    report = scan();
    cr_expect(count_of(report, "lost", &certainty, &reason) >= LOST - 2);
    cr_expect_eq(certainty, FTLI_REACH_SUSPECTED_PARTLY, "%u %s", certainty, reason);
    cr_expect(strstr(reason, "registers"), "%s", reason);
    ftl_leak_report_free(report);
    refuse(SYS_process_vm_readv, EPERM);
    report = scan();
    cr_expect(runtime->leak_detection.reach.last.unread_bytes > 0);
    ftl_leak_report_free(report);
    refuse(SYS_clone, EAGAIN);
    cr_expect_eq(refused("forked"), FTL_ELIMIT);
    (void)pthread_barrier_wait(&barrier);
    (void)pthread_join(thread, NULL);
    close_runtime();
}

static int into(const char *text, size_t n, void *user)
{
    (void)strncat(user, text, n);
    return 0;
}

Test(reach, says_what_it_will_cost)
{
    char text[4000] = "";
    open_with("");
    cr_assert_eq(ftl_runtime_control(runtime, "reach estimate", into, text), FTL_OK, "%s", ftl_last_error());
    cr_expect(strstr(text, "will stop the process for about "), "%s", text);
    cr_expect(strstr(text, "\npause_ns "), "%s", text);
    text[0] = '\0';
    cr_assert_eq(ftl_runtime_control(runtime, "leaks reach", into, text), FTL_OK, "%s", ftl_last_error());
    cr_expect(strstr(text, "findings over"), "%s", text);
    cr_expect_eq(ftl_runtime_control(runtime, "reach", into, text), FTL_EINVAL);
    cr_expect_eq(ftl_runtime_control(runtime, "leaks reachable", into, text), FTL_EINVAL);
    close_runtime();
}

Test(reach, huge_reservations_cost_nothing)
{
    NEEDS_NO_STALE_COPIES();
    open_with("");
    size_t bytes = (size_t)64 << 30;
    void *none = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void *untouched = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert(none != MAP_FAILED && untouched != MAP_FAILED);
    ((char *)untouched)[bytes / 2] = 1;
    lose("lost", LOST);
    pass(2);
    cr_expect(lost("lost") >= LOST - 2);
    cr_expect(runtime->leak_detection.reach.last.scan_bytes < (size_t)1 << 30, "%llu",
              (unsigned long long)runtime->leak_detection.reach.last.scan_bytes);
    (void)munmap(none, bytes);
    (void)munmap(untouched, bytes);
    close_runtime();
}

/* Under a limit it works, or says why not. */
Test(reach, under_an_address_space_limit)
{
    NEEDS_NO_STALE_COPIES();
    open_with("");
    struct rlimit limit = {(rlim_t)6 << 30, (rlim_t)6 << 30};
    (void)setrlimit(RLIMIT_AS, &limit);
    ftl_leak_report *report = NULL;
    ftl_leak_options options = {.reachability = true};
    int status = ftl_leak_scan(runtime, &options, &report);
    cr_expect(status == FTL_OK || status == FTL_ENOMEM || status == FTL_ELIMIT, "%d %s", status, ftl_last_error());
    ftl_leak_report_free(report);
    close_runtime();
}

/* ---- the scanner against a naive one ---- */

static void collect(void *user, uint64_t handle)
{
    uint64_t *sum = user;
    sum[0]++;
    sum[1] += handle * UINT64_C(0x9e3779b97f4a7c15);
}

static void naive(const unsigned char *bytes, size_t n, uint32_t number, uint32_t slots, uint64_t *sum)
{
    for (size_t at = 0; at + 8 <= n; at++) {
        uint64_t handle;
        memcpy(&handle, bytes + at, 8);
        if (ftli_handle_runtime(handle) == number && ftli_handle_slot(handle) != 0 && ftli_handle_slot(handle) < slots)
            collect(sum, handle);
    }
}

Test(reach, the_scanner_finds_what_a_naive_one_finds)
{
    enum { BYTES = 400 };
    unsigned char bytes[BYTES];
    uint64_t state = 7, found_in_all = 0;
    static const uint32_t numbers[] = {1, 2, 15, 16, 17, 255, 4095};
    for (unsigned round = 0; round < 3000; round++) {
        uint32_t number = numbers[round % 7], slots = 2 + (uint32_t)(ftli_splitmix64(&state) % (1u << 20));
        size_t n = ftli_splitmix64(&state) % BYTES;
        for (size_t i = 0; i < BYTES; i++) /* few values, so that parts of handles are frequent */
            bytes[i] = (unsigned char)(ftli_splitmix64(&state) % 3 == 0 ? ftli_splitmix64(&state)
                                       : i % 2 == 0                     ? number >> 4
                                                                        : number << 4);
        for (unsigned put = 0; put < 5 && n > 8; put++) {
            uint64_t handle = ftli_handle_make(number, (uint32_t)(ftli_splitmix64(&state) % (2 * slots)),
                                               (uint32_t)ftli_splitmix64(&state) & 0xffffff);
            memcpy(bytes + ftli_splitmix64(&state) % (n - 7), &handle, 8);
        }
        uint64_t expected[2] = {0, 0}, got[2] = {0, 0};
        naive(bytes, n, number, slots, expected);
        ftli_reach_find(bytes, n, number, slots, collect, got);
        cr_assert(expected[0] == got[0] && expected[1] == got[1], "round %u: %llu, %llu", round,
                  (unsigned long long)expected[0], (unsigned long long)got[0]);
        found_in_all += got[0];
    }
    cr_assert(found_in_all > 3000, "%llu", (unsigned long long)found_in_all);
}
