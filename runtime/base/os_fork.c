/* The child of a snapshot: made by a raw clone3, so that no handler of pthread_atfork runs and no lock is taken. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/os_raw.h"
#include "runtime/base/os_snapshot.h"

#if !defined SYS_close_range
#define SYS_close_range 436
#endif
#if !defined SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#if !defined P_PIDFD
#define P_PIDFD 3
#endif

enum { NICE = 10, SIGNALS_BYTES = 8 };

/* What callers keep in registers is saved into the frame of the function this stands in, since it says that it spoils them all. */
#if defined __x86_64__
#define SAVE_REGISTERS(base) \
    __asm__ volatile("mov %%rbp, %0" : "=m"(base) : : "rbx", "r12", "r13", "r14", "r15", "memory")
#define READ_STACK_POINTER(into) __asm__ volatile("mov %%rsp, %0" : "=r"(into))
#elif defined __aarch64__
#define SAVE_REGISTERS(base)       \
    __asm__ volatile("str x29, %0" \
                     : "=m"(base)  \
                     :             \
                     : "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "memory")
#define READ_STACK_POINTER(into) __asm__ volatile("mov %0, sp" : "=r"(into))
#else
#define SAVE_REGISTERS(base)     __builtin_unwind_init()
#define READ_STACK_POINTER(into) ((into) = 0) /* not known: all of the stack counts */
#endif

/* 0 in the child. Where a sandbox hides clone3, as containers do, so that libc takes clone: so do we. Not inlined: gcc 12 with
 * UBSan falls over it. */
FTLI_OS_BARE __attribute__((noinline)) static long fork_raw(int *descriptor)
{
    struct clone_args asked = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)descriptor};
    long got = FTLI_RAW2(SYS_clone3, &asked, sizeof asked);
    if (got == -ENOSYS)
        got = FTLI_RAW6(SYS_clone, CLONE_PIDFD, 0, descriptor, 0, 0, 0);
    return got;
}

FTLI_OS_BARE static void be_child(long parent, void (*child)(void *, uintptr_t), void *argument, uintptr_t stack)
{
    (void)FTLI_RAW2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    if (FTLI_RAW0(SYS_getppid) == parent) {
        (void)FTLI_RAW3(SYS_close_range, 0, ~0U,
                        0); /* else a socket that the program closes would stay open meanwhile */
        (void)FTLI_RAW3(SYS_setpriority, PRIO_PROCESS, 0, NICE);
        child(argument, stack);
    }
    (void)FTLI_RAW1(SYS_exit_group, 0);
    __builtin_unreachable();
}

FTLI_OS_BARE __attribute__((noinline)) int ftli_os_fork(void (*child)(void *, uintptr_t), void *argument,
                                                        ftli_os_child *out)
{
    uint64_t every = ~UINT64_C(0), before;
    long parent = FTLI_RAW0(SYS_getpid);
    int descriptor = -1;
    uintptr_t base = 0, stack;
    SAVE_REGISTERS(base);
    READ_STACK_POINTER(stack);
    (void)FTLI_RAW4(SYS_rt_sigprocmask, SIG_SETMASK, &every, &before, SIGNALS_BYTES);
    long got = fork_raw(&descriptor);
    if (got == 0)
        be_child(parent, child, argument, stack);
    (void)FTLI_RAW4(SYS_rt_sigprocmask, SIG_SETMASK, &before, 0, SIGNALS_BYTES);
    if (got < 0)
        return (int)-got;
    out->process = (int)got;
    out->descriptor = descriptor;
    return 0;
}

enum ftli_os_end ftli_os_child_end(ftli_os_child *child, uint64_t timeout_ns)
{
    uint64_t deadline_ns = ftli_deadline_ns(ftli_clock_system_ns(), timeout_ns), now_ns;
    struct pollfd polled = {.fd = child->descriptor, .events = POLLIN};
    int ready = 0;
    while (ready <= 0 && (now_ns = ftli_clock_system_ns()) < deadline_ns) {
        uint64_t left_ms = (deadline_ns - now_ns) / FTLI_NS_PER_MS + 1;
        ready = poll(&polled, 1, left_ms < 60000 ? (int)left_ms : 60000);
        if (ready < 0 && errno != EINTR)
            break;
    }
    if (ready <= 0)
        (void)syscall(SYS_pidfd_send_signal, child->descriptor, SIGKILL, NULL, 0);
    siginfo_t info = {0};
    int waited;
    do
        waited = waitid((idtype_t)P_PIDFD, (id_t)child->descriptor, &info, WEXITED | __WALL);
    while (waited != 0 && errno == EINTR);
    (void)close(child->descriptor);
    child->descriptor = -1;
    if (ready <= 0)
        return FTLI_OS_LATE;
    return waited == 0 && info.si_code == CLD_EXITED && info.si_status == 0 ? FTLI_OS_ENDED : FTLI_OS_KILLED;
}

bool ftli_os_own_stack(uintptr_t *low, uintptr_t *high)
{
    pthread_attr_t attributes;
    void *at = NULL;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return false;
    bool known = pthread_attr_getstack(&attributes, &at, &bytes) == 0;
    (void)pthread_attr_destroy(&attributes);
    if (!known)
        return false;
    *low = (uintptr_t)at;
    *high = (uintptr_t)at + bytes;
    return true;
}

bool ftli_os_resident(struct ftli_os_resident *out)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    if (file == NULL)
        return false;
    char line[256];
    struct ftli_os_resident found = {0};
    bool any = false;
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long long kib;
        if (sscanf(line, "Anonymous: %llu", &kib) == 1) {
            found.private_bytes += kib * 1024;
            any = true;
        } else if (sscanf(line, "AnonHugePages: %llu", &kib) == 1) {
            found.huge_bytes = kib * 1024;
        } else if (sscanf(line, "Swap: %llu", &kib) == 1) {
            found.swapped_bytes = kib * 1024;
        }
    }
    (void)fclose(file);
    found.private_bytes += found.swapped_bytes;
    if (any)
        *out = found;
    return any;
}
