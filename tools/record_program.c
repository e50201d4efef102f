#include "tools/record_program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBRARY "libfettle-recorder.so"

static bool is_program(const char *path, int *error)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        *error = errno;
        return false;
    }
    if (!S_ISREG(status.st_mode) || access(path, X_OK) != 0) {
        *error = S_ISDIR(status.st_mode) ? EISDIR : EACCES;
        return false;
    }
    return true;
}

char *ftli_record_find_program(const char *name, char *why, size_t why_size)
{
    const char *folders = getenv("PATH");
    int error = ENOENT;
    char *path = NULL;
    if (strchr(name, '/') != NULL) {
        path = is_program(name, &error) ? strdup(name) : NULL;
    }
    for (const char *at = folders == NULL ? "/usr/local/bin:/usr/bin:/bin" : folders;
         strchr(name, '/') == NULL && name[0] != '\0' && path == NULL;) {
        size_t length = strcspn(at, ":");
        if (asprintf(&path, "%.*s%s%s", (int)length, at, length == 0 ? "" : "/", name) < 0) {
            path = NULL;
            error = ENOMEM;
        } else if (!is_program(path, &error)) {
            free(path);
            path = NULL;
        }
        if (at[length] == '\0') {
            break;
        }
        at += length + 1;
    }
    if (path == NULL) {
        snprintf(why, why_size, "%s: %s", name, error == ENOENT ? "no such program" : strerror(error));
    }
    return path;
}

bool ftli_record_is_static(const char *path)
{
    Elf64_Ehdr head;
    bool result = false;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return false;
    }
    if (pread(descriptor, &head, sizeof head, 0) == (ssize_t)sizeof head &&
        memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_ident[EI_CLASS] == ELFCLASS64 &&
        head.e_phentsize == sizeof(Elf64_Phdr)) {
        result = true;
        for (unsigned i = 0; i < head.e_phnum && result; i++) {
            Elf64_Phdr part;
            off_t at = (off_t)(head.e_phoff + i * sizeof part);
            result = pread(descriptor, &part, sizeof part, at) == (ssize_t)sizeof part && part.p_type != PT_INTERP;
        }
    }
    close(descriptor);
    return result;
}

/* LD_PRELOAD's names end at a space or a colon. */
static char *take_library(const char *path, char *why, size_t why_size)
{
    char *whole = realpath(path, NULL);
    if (whole == NULL) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
        return NULL;
    }
    if (strpbrk(whole, " :") != NULL) {
        snprintf(why, why_size, "%s: a path with a space or a colon cannot be loaded; --library names a copy elsewhere",
                 whole);
        free(whole);
        return NULL;
    }
    return whole;
}

char *ftli_record_find_library(const char *given, char *why, size_t why_size)
{
    static const char *const beside[] = {"", "../" FETTLE_LIBDIR "/fettle/", "../lib/fettle/"};
    char self[4096], path[4096 + 256];
    if (given != NULL) {
        return take_library(given, why, why_size);
    }
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0) {
        snprintf(why, why_size, "/proc is not there; --library says where " LIBRARY " is");
        return NULL;
    }
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        snprintf(path, sizeof path, "%s/%s%s", self, beside[i], LIBRARY);
        if (access(path, R_OK) == 0) {
            return take_library(path, why, why_size);
        }
    }
    snprintf(why, why_size, LIBRARY " is neither in %s nor in %s/../lib/fettle; --library says where it is", self,
             self);
    return NULL;
}

struct ftli_record_shared *ftli_record_share(char *place, size_t place_size, int *descriptor, char *why,
                                             size_t why_size)
{
    *descriptor = memfd_create("fettle-record", MFD_CLOEXEC);
    struct ftli_record_shared *shared = MAP_FAILED;
    if (*descriptor >= 0 && ftruncate(*descriptor, sizeof *shared) == 0) {
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, *descriptor, 0);
    }
    if (shared == MAP_FAILED) {
        snprintf(why, why_size, "no memory to share with the program: %s", strerror(errno));
        return NULL;
    }
    shared->magic = FTLI_RECORD_MAGIC;
    shared->reader = (uint64_t)getpid();
    snprintf(place, place_size, "/proc/%d/fd/%d", (int)getpid(), *descriptor);
    return shared;
}

static volatile sig_atomic_t program; /* for the handler: whom to tell */

static void pass_on(int signal_number)
{
    int kept_errno = errno;
    if (program > 0) {
        kill((pid_t)program, signal_number);
    }
    errno = kept_errno;
}

/* In the child. Does not return. */
static void become(char *const *words, const char *library, const char *place, struct ftli_record_shared *shared,
                   int tell)
{
    const char *before = getenv("LD_PRELOAD");
    char *preload = NULL;
    if (shared->program[0] == '\0') {
        atomic_store_explicit(&shared->owner, (uint64_t)getpid(), memory_order_relaxed);
    }
    if (asprintf(&preload, "%s%s%s", library, before == NULL ? "" : ":", before == NULL ? "" : before) >= 0 &&
        setenv("LD_PRELOAD", preload, 1) == 0 && setenv(FTLI_RECORD_VARIABLE, place, 1) == 0) {
        execvp(words[0], words);
    }
    int error = errno;
    (void)!write(tell, &error, sizeof error);
    _exit(127);
}

pid_t ftli_record_start(char *const *words, const char *library, const char *place, struct ftli_record_shared *shared,
                        char *why, size_t why_size)
{
    int ends[2], error = 0;
    sigset_t blocked, before;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        snprintf(why, why_size, "%s", strerror(errno));
        return -1;
    }
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGHUP);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGQUIT);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    pid_t child = fork();
    if (child == 0) { /* with the signals as they were before */
        sigprocmask(SIG_SETMASK, &before, NULL);
        become(words, library, place, shared, ends[1]);
    }
    error = child < 0 ? errno : 0;
    program = (sig_atomic_t)child;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, hand = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &ignore, NULL);
    sigaction(SIGQUIT, &ignore, NULL);
    sigaction(SIGTERM, &hand, NULL);
    sigaction(SIGHUP, &hand, NULL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (child > 0 && read(ends[0], &error, sizeof error) != (ssize_t)sizeof error) {
        error = 0; /* the pipe closed itself: it runs */
    }
    close(ends[0]);
    if (error != 0) {
        snprintf(why, why_size, "%s: %s", words[0], strerror(error));
        return -1;
    }
    return child;
}
