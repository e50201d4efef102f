/* Standing still: a helper that shares our memory stops the other threads as a debugger does, and reads their registers.
 *
 * A thread cannot trace its own process, so the helper is a process of its own (CLONE_VM), which costs no copy. It runs on the caller's
 * thread-local storage while the caller sleeps: raw system calls alone, and no sanitizer's hooks.
 * If the helper dies, the kernel lets go of whom it held. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/os_raw.h"
#include "runtime/base/os_snapshot.h"

#if !defined CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#if !defined P_PIDFD
#define P_PIDFD 3
#endif
#if !defined PR_SET_PTRACER
#define PR_SET_PTRACER 0x59616d61
#endif
#if !defined NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif
#if defined __x86_64__
#define VECTORS NT_X86_XSTATE
#else
#define VECTORS NT_PRFPREG
#endif
#define SIGNALS_BYTES 8

enum phase {
    WORKING = 0,
    NEEDS_LEAVE = 1, /* refused: perhaps by Yama, which the program can tell to let this one */
    HAS_LEAVE = 2,
    STOPPED = 3,
    FAILED = 4,
    RELEASE = 5,
};
enum state { RUNNING = 0, STILL = 1, GONE = 2, LEFT = 3 /* asked to stop, and did not */ };

#define PATIENCE_NS (UINT64_C(500) * 1000 * 1000) /* for all to stop */
#define WAIT_NS     (UINT64_C(2) * 1000 * 1000 * 1000)
#define HELD_NS     (UINT64_C(60) * 1000 * 1000 * 1000) /* a caller that is gone for so long is not coming back */
#define PASSES_MOST 64
#define POLL_NS     20000
#define ENTRY_BYTES 4096

/* ---- words between the two ---------------------------------------------------------------------------------------------- */

FTLI_OS_BARE static void say(struct ftli_os_stop *stop, enum phase phase)
{
    ftli_u32_store_release(&stop->phase, (uint32_t)phase); /* pairs: os-stop */
    (void)FTLI_RAW3(SYS_futex, &stop->phase.word, FUTEX_WAKE, 1);
}

FTLI_OS_BARE static enum phase hear(const struct ftli_os_stop *stop)
{
    return (enum phase)ftli_u32_load_acquire(&stop->phase); /* pairs: os-stop */
}

/* False: it is `phase` still after this time. */
FTLI_OS_BARE static bool wait_while(const struct ftli_os_stop *stop, enum phase phase, uint64_t most_ns)
{
    uint64_t until_ns = ftli_os_self_now_ns() + most_ns;
    while (hear(stop) == phase) {
        uint64_t now_ns = ftli_os_self_now_ns();
        if (now_ns >= until_ns)
            return false;
        struct timespec left = {(time_t)((until_ns - now_ns) / FTLI_NS_PER_S),
                                (long)((until_ns - now_ns) % FTLI_NS_PER_S)};
        (void)FTLI_RAW4(SYS_futex, &stop->phase.word, FUTEX_WAIT, phase, &left);
    }
    return true;
}

/* ---- the helper --------------------------------------------------------------------------------------------------------- */

FTLI_OS_BARE static long trace(long request, int32_t thread, uintptr_t address, uintptr_t data)
{
    return FTLI_RAW4(SYS_ptrace, request, thread, address, data);
}

FTLI_OS_BARE static int32_t parse_number(const char *text)
{
    int32_t value = 0;
    if (*text < '0' || *text > '9') /* NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult): the kernel wrote it */
        return -1;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (*text - '0');
    return value;
}

FTLI_OS_BARE static char *put(char *at, const char *text)
{
    while (*text != '\0')
        *at++ = *text++;
    return at;
}

FTLI_OS_BARE static char *put_number(char *at, int32_t value)
{
    char digits[12];
    int n = 0;
    do
        digits[n++] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    while (n > 0)
        *at++ = digits[--n];
    return at;
}

FTLI_OS_BARE static int open_task(const struct ftli_os_stop *stop, int32_t thread, const char *what)
{
    char path[96], *at = put_number(put(path, "/proc/"), stop->process);
    at = put(at, "/task");
    if (thread != 0)
        at = put_number(put(at, "/"), thread);
    *put(at, what) = '\0';
    return (int)FTLI_RAW4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
}

/* A thread that has ended and is not yet away, as a leader that called pthread_exit: it has no registers. */
FTLI_OS_BARE static bool has_ended(const struct ftli_os_stop *stop, int32_t thread)
{
    char text[512];
    int file = open_task(stop, thread, "/stat");
    if (file < 0)
        return file == -ENOENT;
    long got = FTLI_RAW3(SYS_read, file, text, sizeof text - 1);
    (void)FTLI_RAW1(SYS_close, file);
    if (got <= 0)
        return got == -ESRCH;
    for (long i = got - 1; i >= 0; i--) /* "17 (name) Z ...": the name may hold anything */
        if (text[i] == ')')
            return i + 2 < got && (text[i + 2] == 'Z' || text[i + 2] == 'X');
    return false;
}

FTLI_OS_BARE static struct ftli_os_registers *find(struct ftli_os_stop *stop, int32_t thread)
{
    for (uint32_t i = 0; i < stop->count; i++)
        if (stop->threads[i].thread == thread)
            return &stop->threads[i];
    return NULL;
}

/* 0, or the errno that stands against it. */
FTLI_OS_BARE static int seize(struct ftli_os_stop *stop, int32_t thread)
{
    long got = trace(PTRACE_SEIZE, thread, 0, 0);
    if (got == -ESRCH || (got < 0 && has_ended(stop, thread)))
        return 0;
    if (got < 0)
        return (int)-got;
    if (stop->count == stop->most)
        return E2BIG;
    struct ftli_os_registers *registers = &stop->threads[stop->count++];
    registers->thread = thread;
    registers->state = RUNNING;
    registers->signal = 0;
    registers->general_bytes = registers->vector_bytes = 0;
    (void)trace(PTRACE_INTERRUPT, thread, 0, 0);
    return 0;
}

struct directory_entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* Asks every thread that is not known yet; how many those were, or -errno. */
FTLI_OS_BARE static long seize_new(struct ftli_os_stop *stop)
{
    FTLI_ALIGNED(8) char entries[ENTRY_BYTES];
    long found = 0, got;
    int directory = open_task(stop, 0, "");
    if (directory < 0)
        return directory;
    while ((got = FTLI_RAW3(SYS_getdents64, directory, entries, sizeof entries)) > 0) {
        for (long at = 0; at < got;) {
            const struct directory_entry *entry = (const struct directory_entry *)(const void *)(entries + at);
            int32_t thread = parse_number(entry->name);
            at += entry->length;
            if (thread <= 0 || thread == stop->caller || find(stop, thread) != NULL)
                continue;
            int refused = seize(stop, thread);
            if (refused != 0) {
                (void)FTLI_RAW1(SYS_close, directory);
                return -refused;
            }
            found++;
        }
    }
    (void)FTLI_RAW1(SYS_close, directory);
    return got < 0 ? got : found;
}

/* A signal that stopped it on its way to it is handed on when it goes on. */
FTLI_OS_BARE static void look_at(struct ftli_os_registers *thread)
{
    int status = 0;
    long got = FTLI_RAW4(SYS_wait4, thread->thread, &status, WNOHANG | __WALL, 0);
    if (got == 0 || got == -EINTR)
        return;
    if (got < 0 || !WIFSTOPPED(status)) {
        thread->state = GONE;
        return;
    }
    thread->state = STILL;
    thread->signal = status >> 16 == 0 ? WSTOPSIG(status) : 0;
}

FTLI_OS_BARE static bool await_all(struct ftli_os_stop *stop, uint64_t until_ns)
{
    const struct timespec pause = {0, POLL_NS};
    for (;;) {
        uint32_t running = 0;
        for (uint32_t i = 0; i < stop->count; i++) {
            if (stop->threads[i].state == RUNNING)
                look_at(&stop->threads[i]);
            running += stop->threads[i].state == RUNNING;
        }
        if (running == 0)
            return true;
        if (ftli_os_self_now_ns() >= until_ns)
            return false;
        (void)FTLI_RAW2(SYS_nanosleep, &pause, 0);
    }
}

FTLI_OS_BARE static uint32_t read_set(int32_t thread, uintptr_t set, void *into, size_t bytes)
{
    struct iovec room = {into, bytes};
    return trace(PTRACE_GETREGSET, thread, set, (uintptr_t)&room) == 0 ? (uint32_t)room.iov_len : 0;
}

FTLI_OS_BARE static void read_registers(struct ftli_os_stop *stop)
{
    for (uint32_t i = 0; i < stop->count; i++) {
        struct ftli_os_registers *thread = &stop->threads[i];
        if (thread->state == GONE)
            continue;
        if (thread->state == STILL) {
            thread->general_bytes = read_set(thread->thread, NT_PRSTATUS, thread->general, sizeof thread->general);
            thread->vector_bytes = read_set(thread->thread, VECTORS, thread->vector, sizeof thread->vector);
            if (thread->vector_bytes == 0)
                thread->vector_bytes = read_set(thread->thread, NT_PRFPREG, thread->vector, sizeof thread->vector);
        }
        stop->unread += thread->general_bytes == 0 || thread->vector_bytes == 0;
    }
}

/* Until a look finds nobody new: whoever is still runs, and could start another, is asked at the next. */
FTLI_OS_BARE static enum phase stop_all(struct ftli_os_stop *stop)
{
    uint64_t until_ns = ftli_os_self_now_ns() + PATIENCE_NS;
    for (unsigned pass = 0; pass < PASSES_MOST; pass++) {
        long found = seize_new(stop);
        if (found == -EPERM && stop->count == 0 && !stop->asked_for_leave)
            return NEEDS_LEAVE;
        if (found < 0) {
            stop->refused = (int)-found;
            return FAILED;
        }
        bool all = await_all(stop, until_ns);
        if (found == 0 || !all) {
            read_registers(stop);
            return all && stop->unread == 0 ? STOPPED : FAILED;
        }
    }
    stop->refused = EAGAIN;
    return FAILED;
}

FTLI_OS_BARE static void let_go(struct ftli_os_stop *stop)
{
    for (uint32_t i = 0; i < stop->count; i++)
        if (stop->threads[i].state == STILL)
            (void)trace(PTRACE_DETACH, stop->threads[i].thread, 0, (uintptr_t)stop->threads[i].signal);
}

FTLI_OS_BARE static int help(void *argument)
{
    struct ftli_os_stop *stop = argument;
    (void)FTLI_RAW2(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    if (FTLI_RAW0(SYS_getppid) == stop->process) {
        enum phase phase = stop_all(stop);
        if (phase == NEEDS_LEAVE) {
            say(stop, NEEDS_LEAVE);
            phase = wait_while(stop, NEEDS_LEAVE, WAIT_NS) ? stop_all(stop) : FAILED;
        }
        if (phase == FAILED) /* nobody need wait for what is known to be in vain */
            let_go(stop);
        say(stop, phase);
        if (phase == STOPPED) {
            (void)wait_while(stop, STOPPED, HELD_NS);
            let_go(stop);
        }
    }
    (void)FTLI_RAW1(SYS_exit, 0);
    __builtin_unreachable();
}

/* ---- the caller --------------------------------------------------------------------------------------------------------- */

FTLI_OS_BARE static bool has_died(const struct ftli_os_stop *stop)
{
    struct pollfd polled = {stop->tracer_fd, POLLIN, 0};
    const struct timespec none = {0, 0};
    return FTLI_RAW6(SYS_ppoll, &polled, 1, &none, 0, 0, 0) > 0;
}

/* False: it is gone, or takes too long. */
FTLI_OS_BARE static bool await_helper(const struct ftli_os_stop *stop, enum phase phase)
{
    for (uint64_t until_ns = ftli_os_self_now_ns() + WAIT_NS; ftli_os_self_now_ns() < until_ns;) {
        if (wait_while(stop, phase, UINT64_C(10) * FTLI_NS_PER_MS))
            return true;
        if (has_died(stop))
            return hear(stop) != phase;
    }
    return false;
}

FTLI_OS_BARE bool ftli_os_stop_threads(struct ftli_os_stop *stop, uint32_t most)
{
    uint64_t every = ~UINT64_C(0);
    int flags = CLONE_VM | CLONE_UNTRACED | CLONE_PIDFD;
    stop->most = most;
    stop->process = (int32_t)FTLI_RAW0(SYS_getpid);
    stop->caller = (int32_t)FTLI_RAW0(SYS_gettid);
    stop->begun_ns = ftli_os_self_now_ns();
    (void)FTLI_RAW4(SYS_rt_sigprocmask, SIG_SETMASK, &every, &stop->signals, SIGNALS_BYTES);
    stop->tracer = clone(help, stop->stack + sizeof stop->stack, flags, stop, &stop->tracer_fd);
    if (stop->tracer < 0) {
        stop->refused = errno;
        return false;
    }
    bool heard = await_helper(stop, WORKING);
    if (heard && hear(stop) == NEEDS_LEAVE) {
        stop->asked_for_leave = true;
        (void)FTLI_RAW2(SYS_prctl, PR_SET_PTRACER, stop->tracer);
        say(stop, HAS_LEAVE);
        heard = await_helper(stop, HAS_LEAVE);
    }
    stop->stopped_ns = ftli_os_self_now_ns();
    if (!heard && stop->refused == 0)
        stop->refused = ETIMEDOUT;
    return heard && hear(stop) == STOPPED;
}

bool ftli_os_resume_threads(struct ftli_os_stop *stop)
{
    bool whole = false;
    if (stop->tracer > 0) {
        bool held = hear(stop) == STOPPED;
        whole = held && !has_died(stop);
        if (held)
            say(stop, RELEASE);
        else if (hear(stop) != FAILED) /* it answers too late: nobody may stop for it now */
            (void)FTLI_RAW2(SYS_kill, stop->tracer, SIGKILL);
        if (stop->asked_for_leave)
            (void)FTLI_RAW2(SYS_prctl, PR_SET_PTRACER, 0);
        struct pollfd polled = {stop->tracer_fd, POLLIN, 0};
        const struct timespec most = {2, 0};
        if (FTLI_RAW6(SYS_ppoll, &polled, 1, &most, 0, 0, 0) <= 0)
            (void)FTLI_RAW2(SYS_kill, stop->tracer, SIGKILL);
        (void)FTLI_RAW6(SYS_waitid, P_PIDFD, stop->tracer_fd, 0, WEXITED | __WALL, 0, 0);
        (void)FTLI_RAW1(SYS_close, stop->tracer_fd);
        stop->tracer = -1;
    }
    (void)FTLI_RAW4(SYS_rt_sigprocmask, SIG_SETMASK, &stop->signals, 0, SIGNALS_BYTES);
    return whole;
}
