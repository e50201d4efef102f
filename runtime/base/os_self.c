/* A child's walk over its own memory: which pages are private and written to, and what is in them. Raw system calls alone. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "runtime/base/clock.h"
#include "runtime/base/os_raw.h"
#include "runtime/base/os_snapshot.h"

/* Of linux/fs.h since 6.7. */
struct scan_region {
    uint64_t start, end, categories;
};
struct scan_ask {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN_ _IOWR('f', 16, struct scan_ask)
#define PAGE_FILE     (UINT64_C(1) << 2)
#define PAGE_PRESENT  (UINT64_C(1) << 3)
#define PAGE_SWAPPED  (UINT64_C(1) << 4)
#define PAGE_ZERO     (UINT64_C(1) << 5)
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_SWAPPED (UINT64_C(1) << 62)
#define ENTRY_FILE    (UINT64_C(1) << 61)
#define SMALL_PAGE    4096 /* what pagemap counts by, if the system's pages are of 4 KiB; else the walk says so */

static_assert(sizeof(struct scan_region) * FTLI_OS_RUNS <= sizeof(((struct ftli_os_self *)0)->entries),
              "of one answer");

FTLI_OS_BARE uint64_t ftli_os_self_now_ns(void)
{
    struct timespec now = {0, 0};
    (void)FTLI_RAW2(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * FTLI_NS_PER_S + (uint64_t)now.tv_nsec;
}

FTLI_OS_BARE bool ftli_os_self_open(struct ftli_os_self *self)
{
    self->maps = (int)FTLI_RAW4(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
    self->pages = (int)FTLI_RAW4(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
    self->failed = self->maps < 0 ? -self->maps : self->pages < 0 ? -self->pages : 0;
    self->ended = self->by_entries = false;
    self->unreadable_bytes = 0;
    self->position = self->end = 0;
    self->run_count = self->run_next = 0;
    self->text_used = self->text_at = 0;
    return self->failed == 0;
}

/* ---- the mappings ----------------------------------------------------------------------------------------------------- */

/* The next line, cut to what has room. */
FTLI_OS_BARE static bool read_line(struct ftli_os_self *self)
{
    size_t used = 0;
    for (;;) {
        if (self->text_at == self->text_used) {
            long got = FTLI_RAW3(SYS_read, self->maps, self->text, sizeof self->text);
            if (got == -EINTR)
                continue;
            if (got < 0)
                self->failed = (int)-got;
            if (got <= 0)
                return false;
            self->text_at = 0;
            self->text_used = (size_t)got;
        }
        char c = self->text[self->text_at++];
        if (c == '\n')
            break;
        if (used < sizeof self->line - 1)
            self->line[used++] = c;
    }
    self->line[used] = '\0';
    return true;
}

FTLI_OS_BARE static const char *read_hex(const char *text, uintptr_t *out)
{
    uintptr_t value = 0;
    for (;; text++) {
        if (*text >= '0' && *text <= '9')
            value = value << 4 | (uintptr_t)(*text - '0');
        else if (*text >= 'a' && *text <= 'f')
            value = value << 4 | (uintptr_t)(*text - 'a' + 10);
        else
            break;
    }
    *out = value;
    return text;
}

/* start-end rwxp offset device inode   path */
FTLI_OS_BARE static bool is_of_a_device(const char *line)
{
    for (; *line != '\0' && *line != '/'; line++)
        ;
    return line[0] == '/' && line[1] == 'd' && line[2] == 'e' && line[3] == 'v' && line[4] == '/';
}

/* The next private mapping; false: there are no more. */
FTLI_OS_BARE static bool next_mapping(struct ftli_os_self *self)
{
    while (read_line(self)) {
        uintptr_t start, end;
        const char *at = read_hex(self->line, &start);
        if (*at != '-')
            continue;
        at = read_hex(at + 1, &end);
        if (at[0] != ' ' || at[4] != 'p' || (intptr_t)start < 0 /* vsyscall, the kernel's own */ ||
            is_of_a_device(at + 5))
            continue;
        self->position = start;
        self->end = end;
        self->is_readable = at[1] == 'r';
        if (!self->is_readable && self->by_entries)
            continue; /* a reservation may be huge, and this would read an entry for each of its pages */
        return true;
    }
    return false;
}

/* ---- their pages ------------------------------------------------------------------------------------------------------ */

FTLI_OS_BARE static void add_run(struct ftli_os_self *self, uintptr_t start, uintptr_t end)
{
    if (self->run_count > 0 && self->runs[self->run_count - 1].end == start)
        self->runs[self->run_count - 1].end = end;
    else
        self->runs[self->run_count++] = (struct ftli_os_run){start, end};
}

FTLI_OS_BARE static long scan_pages(struct ftli_os_self *self)
{
    struct scan_region *regions = (struct scan_region *)(void *)self->entries;
    struct scan_ask ask;
    ask.size = sizeof ask;
    ask.flags = 0;
    ask.start = self->position;
    ask.end = self->end;
    ask.walk_end = 0;
    ask.vec = (uint64_t)(uintptr_t)regions;
    ask.vec_len = FTLI_OS_RUNS;
    ask.max_pages = 0;
    ask.category_inverted = ask.category_mask = PAGE_FILE | PAGE_ZERO;
    ask.category_anyof_mask = PAGE_PRESENT | PAGE_SWAPPED;
    ask.return_mask = PAGE_PRESENT;
    long got = FTLI_RAW3(SYS_ioctl, self->pages, PAGEMAP_SCAN_, &ask);
    if (got < 0)
        return got;
    for (long i = 0; i < got; i++)
        add_run(self, regions[i].start, regions[i].end);
    self->position = ask.walk_end > self->position ? ask.walk_end : self->end;
    return 0;
}

/* The same by an entry for each page. */
FTLI_OS_BARE static long read_entries(struct ftli_os_self *self)
{
    size_t most = FTLI_OS_RUNS, pages = (self->end - self->position) / SMALL_PAGE;
    size_t bytes = (pages < most ? pages : most) * sizeof self->entries[0];
    long got = FTLI_RAW4(SYS_pread64, self->pages, self->entries, bytes,
                         self->position / SMALL_PAGE * sizeof self->entries[0]);
    if (got < 0)
        return got;
    size_t count = (size_t)got / sizeof self->entries[0];
    for (size_t i = 0; i < count; i++) {
        uint64_t entry = self->entries[i];
        uintptr_t at = self->position + i * SMALL_PAGE;
        if ((entry & (ENTRY_PRESENT | ENTRY_SWAPPED)) != 0 && (entry & ENTRY_FILE) == 0)
            add_run(self, at, at + SMALL_PAGE);
    }
    self->position = count != 0 ? self->position + count * SMALL_PAGE : self->end; /* vsyscall has no entries */
    return 0;
}

FTLI_OS_BARE static void fill_runs(struct ftli_os_self *self)
{
    self->run_count = self->run_next = 0;
    long status = self->by_entries ? read_entries(self) : scan_pages(self);
    if (!self->by_entries && (status == -ENOTTY || status == -EINVAL || status == -ENOSYS)) {
        self->by_entries = true;
        status = read_entries(self);
    }
    if (status < 0) {
        self->failed = (int)-status;
        self->position = self->end;
    }
    if (self->is_readable)
        return;
    for (uint32_t i = 0; i < self->run_count; i++)
        self->unreadable_bytes += self->runs[i].end - self->runs[i].start;
    self->run_count = 0;
}

FTLI_OS_BARE bool ftli_os_self_next(struct ftli_os_self *self, struct ftli_os_run *out)
{
    while (self->run_next == self->run_count) {
        if (self->position >= self->end && !next_mapping(self))
            return false;
        fill_runs(self);
    }
    *out = self->runs[self->run_next++];
    return true;
}

FTLI_OS_BARE size_t ftli_os_self_read(uintptr_t at, void *into, size_t bytes)
{
    struct iovec to = {.iov_base = into, .iov_len = bytes};
    struct iovec from = {.iov_base = (void *)at, .iov_len = bytes};
    long got = FTLI_RAW6(SYS_process_vm_readv, FTLI_RAW0(SYS_getpid), &to, 1, &from, 1, 0);
    return got > 0 ? (size_t)got : 0;
}

FTLI_OS_BARE void ftli_os_self_kill(void)
{
    (void)FTLI_RAW2(SYS_kill, FTLI_RAW0(SYS_getpid), SIGKILL);
}
