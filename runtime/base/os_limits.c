/* How much memory this process may have: the cgroup's limit, or what the machine has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime/base/os.h"

uint64_t ftli_os_memory_bytes(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES);
    return pages > 0 ? (uint64_t)pages * ftli_os_page_bytes() : 0;
}

uint64_t ftli_os_address_limit_bytes(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? limit.rlim_cur : UINT64_MAX;
}

/* A number in the file, or `otherwise` ("max", no file, not a number). */
static uint64_t read_number(const char *path, uint64_t otherwise)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return otherwise;
    unsigned long long value = 0;
    const int found = fscanf(file, "%llu", &value);
    (void)fclose(file);
    return found == 1 ? (uint64_t)value : otherwise;
}

uint64_t ftli_os_cgroup_limit_bytes(const char *root, const char *path)
{
    char at[4096];
    const int length = snprintf(at, sizeof at, "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof at - sizeof "/memory.max")
        return UINT64_MAX;
    const size_t root_length = strlen(root);
    uint64_t least = UINT64_MAX;
    for (size_t n = (size_t)length;;) { /* from the group up to the root: the least of all holds */
        while (n > root_length && at[n - 1] == '/')
            n--;
        memcpy(at + n, "/memory.max", sizeof "/memory.max");
        const uint64_t limit = read_number(at, UINT64_MAX);
        if (limit < least)
            least = limit;
        if (n <= root_length)
            return least;
        while (n > root_length && at[n - 1] != '/')
            n--;
    }
}

/* The path after "0::" (cgroup v2) of /proc/self/cgroup; false: this is not a v2 hierarchy. */
static bool own_cgroup(char *path, size_t size)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (file == NULL)
        return false;
    bool found = false;
    char line[4096];
    while (!found && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        found = strlen(line + 3) < size;
        if (found)
            memcpy(path, line + 3, strlen(line + 3) + 1);
    }
    (void)fclose(file);
    return found;
}

uint64_t ftli_os_memory_limit_bytes(void)
{
    char path[4096];
    const uint64_t machine = ftli_os_memory_bytes();
    if (!own_cgroup(path, sizeof path))
        return machine;
    const uint64_t limit = ftli_os_cgroup_limit_bytes("/sys/fs/cgroup", path);
    return limit < machine ? limit : machine;
}

/* A file's line "KEY NUMBER", in its own unit; `otherwise`: it has none. */
static uint64_t read_key(const char *path, const char *key, uint64_t otherwise)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return otherwise;
    char line[256];
    const size_t length = strlen(key);
    unsigned long long value = 0;
    bool found = false;
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strncmp(line, key, length) == 0 && sscanf(line + length, " %llu", &value) == 1;
    (void)fclose(file);
    return found ? (uint64_t)value : otherwise;
}

/* Of one group: what is left below its limit; pages of files that were not used of late count as free. */
static uint64_t left_of_group(const char *group)
{
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/memory.max", group);
    const uint64_t limit = read_number(path, UINT64_MAX);
    (void)snprintf(path, sizeof path, "%s/memory.current", group);
    const uint64_t used = read_number(path, 0);
    (void)snprintf(path, sizeof path, "%s/memory.stat", group);
    const uint64_t files = read_key(path, "inactive_file", 0);
    if (limit == UINT64_MAX)
        return UINT64_MAX;
    const uint64_t busy = used > files ? used - files : 0;
    return limit > busy ? limit - busy : 0;
}

uint64_t ftli_os_available_bytes(void)
{
    char path[4096], group[4150];
    const uint64_t kib = read_key("/proc/meminfo", "MemAvailable:", UINT64_MAX / 1024);
    uint64_t least = kib * 1024;
    if (!own_cgroup(path, sizeof path))
        return least;
    for (size_t length = strlen(path); length > 0;) { /* the root has no limit */
        path[length] = '\0';
        (void)snprintf(group, sizeof group, "/sys/fs/cgroup%s", path);
        const uint64_t left = left_of_group(group);
        least = left < least ? left : least;
        while (length > 0 && path[length - 1] != '/')
            length--;
        length = length > 0 ? length - 1 : 0;
    }
    return least;
}

uint32_t ftli_os_thread_count(void)
{
    return (uint32_t)read_key("/proc/self/status", "Threads:", 0);
}
