#include "tools/measure.h"

#include "tools/latency.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static uint64_t nanoseconds(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000000000u + (uint64_t)time->tv_nsec;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    return clock_gettime(clock, &now) == 0 ? nanoseconds(&now) : 0;
}

uint64_t ftli_measure_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t ftli_measure_process_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t ftli_measure_thread_cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* The text of a small file under /proc or /sys; empty when it cannot be read. */
static char *slurp(const char *path, char *text, size_t size)
{
    text[0] = '\0';
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0) {
        ssize_t got = read(descriptor, text, size - 1);
        text[got > 0 ? got : 0] = '\0';
        close(descriptor);
    }
    return text;
}

static uint64_t status_figure(const char *key)
{
    char text[4096];
    const char *at = strstr(slurp("/proc/self/status", text, sizeof text), key);
    return at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10);
}

uint64_t ftli_measure_resident_bytes(void)
{
    char text[256];
    const char *at = strchr(slurp("/proc/self/statm", text, sizeof text), ' ');
    return at == NULL ? 0 : strtoull(at, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t ftli_measure_peak_resident_bytes(void)
{
    return status_figure("\nVmHWM:") * 1024;
}

uint32_t ftli_measure_threads(void)
{
    return (uint32_t)status_figure("\nThreads:");
}

uint64_t ftli_measure_minor_faults(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_minflt : 0;
}

uint64_t ftli_measure_physical_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    return pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : UINT64_MAX;
}

/* The least memory.max from this process's cgroup up to the root. */
uint64_t ftli_measure_memory_limit_bytes(void)
{
    char text[1024], path[1200];
    uint64_t least = ftli_measure_physical_bytes();
    char *group = strstr(slurp("/proc/self/cgroup", text, sizeof text), "0::");
    if (group == NULL) {
        return least;
    }
    group += 3;
    group[strcspn(group, "\n")] = '\0';
    for (;;) {
        char figure[64];
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
        if (slurp(path, figure, sizeof figure)[0] >= '0' && figure[0] <= '9') {
            uint64_t limit = strtoull(figure, NULL, 10);
            least = limit < least ? limit : least;
        }
        char *slash = strrchr(group, '/');
        if (slash == NULL) {
            return least;
        }
        *slash = '\0';
    }
}

uint64_t ftli_measure_clock_cost_ns(void)
{
    struct ftli_latency latency = {0};
    for (int i = 0; i < 1000; i++) {
        uint64_t begin = ftli_measure_now_ns();
        ftli_latency_add(&latency, ftli_measure_now_ns() - begin);
    }
    return ftli_latency_percentile(&latency, 0.5);
}
