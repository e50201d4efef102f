#include "runtime/bridge/place.h"

#include <fettle/fettle.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SWEEP_LOOKS = 16 };

static int refuse(int status, char *why, size_t why_size, const char *what, const char *path)
{
    snprintf(why, why_size, "%s: %s: %s", path, what, strerror(errno));
    return status;
}

/* ---- a path that was given ----------------------------------------------------------------------------------------- */

/* The directory of the path, made for its owner alone if it is not there. */
static int make_directory(struct ftli_place *place, char *why, size_t why_size)
{
    size_t length = (size_t)(strrchr(place->path, '/') - place->path);
    if (length == 0) {
        length = 1; /* the root itself */
    }
    memcpy(place->directory, place->path, length);
    place->directory[length] = '\0';
    if (mkdir(place->directory, 0700) == 0) {
        place->made_directory = true;
        return FTL_OK;
    }
    struct stat status;
    if (errno != EEXIST) {
        return refuse(FTL_EINVAL, why, why_size, "the directory cannot be made", place->directory);
    }
    if (stat(place->directory, &status) != 0 || !S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return refuse(FTL_EINVAL, why, why_size, "the socket needs a directory", place->directory);
    }
    if ((status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
        errno = EPERM;
        return refuse(FTL_EINVAL, why, why_size, "anybody may replace files there", place->directory);
    }
    return FTL_OK;
}

/* Takes PATH.lock. A lock file that its owner removed between our open and our lock guards nothing: once more then. */
static int take_lock(struct ftli_place *place, char *why, size_t why_size)
{
    for (;;) {
        struct stat here, there;
        int lock = open(place->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock < 0) {
            return refuse(FTL_EINVAL, why, why_size, "the lock file cannot be made", place->lock_path);
        }
        if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
            int status = errno == EWOULDBLOCK ? FTL_EBUSY : FTL_EDEVICE;
            refuse(status, why, why_size, errno == EWOULDBLOCK ? "another runtime has it" : "cannot be locked",
                   place->path);
            close(lock);
            return status;
        }
        if (fstat(lock, &here) == 0 && stat(place->lock_path, &there) == 0 && here.st_ino == there.st_ino &&
            here.st_dev == there.st_dev) {
            place->lock = lock;
            return FTL_OK;
        }
        close(lock);
    }
}

/* bind, or who makes room for it, unlinks whatever lies at the path, so what is not a socket has to be seen before. */
static int check_path(const char *path, char *why, size_t why_size)
{
    struct stat status;
    if (lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode)) {
        errno = EEXIST;
        return refuse(FTL_EINVAL, why, why_size, "is there and is no socket", path);
    }
    return FTL_OK;
}

int ftli_place_take(struct ftli_place *place, const char *path, char *why, size_t why_size)
{
    memset(place, 0, sizeof *place);
    place->lock = -1;
    snprintf(place->path, sizeof place->path, "%s", path);
    snprintf(place->lock_path, sizeof place->lock_path, "%s.lock", path);
    int status = make_directory(place, why, why_size);
    if (status == FTL_OK) {
        status = take_lock(place, why, why_size);
    }
    if (status == FTL_OK) {
        status = check_path(path, why, why_size);
    }
    if (status != FTL_OK) {
        ftli_place_give_back(place, false);
    }
    return status;
}

void ftli_place_give_back(struct ftli_place *place, bool inherited)
{
    if (place->lock >= 0 && !inherited) {
        unlink(place->lock_path);
    }
    if (place->made_directory && !inherited) {
        rmdir(place->directory); /* stays if others put something there meanwhile */
    }
    if (place->lock >= 0) {
        close(place->lock);
    }
    place->lock = -1;
    place->made_directory = false;
}

/* ---- homes --------------------------------------------------------------------------------------------------------- */

unsigned ftli_home_list(char homes[FTLI_HOMES][FTLI_HOME_BYTES])
{
    unsigned count = 0;
    const char *given = secure_getenv("XDG_RUNTIME_DIR");
    unsigned long user = (unsigned long)geteuid();
    char usual[FTLI_HOME_BYTES];
    snprintf(usual, sizeof usual, "/run/user/%lu/fettle", user);
    if (given != NULL && given[0] == '/' && strlen(given) + sizeof "/fettle" <= FTLI_HOME_BYTES) {
        size_t length = strlen(given);
        memcpy(homes[count], given, length);
        memcpy(homes[count++] + length, "/fettle", sizeof "/fettle");
    }
    if (count == 0 || strcmp(homes[0], usual) != 0) {
        memcpy(homes[count++], usual, sizeof usual);
    }
    snprintf(homes[count++], FTLI_HOME_BYTES, "/tmp/fettle-%lu", user);
    return count;
}

/* Whoever may write above it could put another directory in its place. */
static bool is_safe_above(const char *path)
{
    char above[FTLI_HOME_BYTES];
    struct stat status;
    size_t length = (size_t)(strrchr(path, '/') - path);
    memcpy(above, path, length);
    above[length] = '\0';
    return stat(length == 0 ? "/" : above, &status) == 0 && (status.st_uid == geteuid() || status.st_uid == 0) &&
           ((status.st_mode & (S_IWGRP | S_IWOTH)) == 0 || (status.st_mode & S_ISVTX) != 0);
}

int ftli_home_open(const char *path, bool make, char *why, size_t why_size)
{
    struct stat status;
    if (make && mkdir(path, 0700) != 0 && errno != EEXIST) {
        (void)refuse(0, why, why_size, "cannot be made", path);
        return -1;
    }
    int home = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (home < 0) {
        (void)refuse(0, why, why_size, "cannot be opened", path);
        return -1;
    }
    if (fstat(home, &status) != 0 || status.st_uid != geteuid() || (status.st_mode & 0777) != 0700 ||
        !is_safe_above(path)) {
        snprintf(why, why_size,
                 "%s: is not this user's alone: it must be yours, with mode 0700, where nobody else can replace it",
                 path);
        close(home);
        return -1;
    }
    return home;
}

static bool read_number(const char **at, unsigned long most, unsigned long *out)
{
    char *end;
    if (**at < '1' || **at > '9') {
        return false;
    }
    errno = 0;
    *out = strtoul(*at, &end, 10);
    if (errno != 0 || *out > most || *end != '-') {
        return false;
    }
    *at = end + 1;
    return true;
}

bool ftli_home_read_name(const char *name, struct ftli_home_name *out)
{
    struct ftli_home_name read = {0};
    if (!read_number(&name, 1UL << 30, &read.process) || !read_number(&name, 4095, &read.number)) {
        return false;
    }
    size_t length = strlen(name);
    if (length == 0 || length >= sizeof read.runtime ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != length) {
        return false;
    }
    memcpy(read.runtime, name, length + 1);
    *out = read;
    return true;
}

bool ftli_home_path(char path[FTLI_ENDPOINT_MAX_PATH + 1], const char *home_path, const char *name)
{
    size_t above = strlen(home_path), length = strlen(name);
    if (above + 1 + length > FTLI_ENDPOINT_MAX_PATH) {
        return false;
    }
    memcpy(path, home_path, above);
    path[above] = '/';
    memcpy(path + above + 1, name, length + 1);
    return true;
}

/* Only of a process that is not there: one of another PID namespace, which shares the directory, answers when it is asked. */
bool ftli_home_sweep(int home, const char *home_path, const char *name)
{
    struct ftli_home_name read;
    char path[FTLI_ENDPOINT_MAX_PATH + 1], why[200];
    if (!ftli_home_read_name(name, &read) || kill((pid_t)read.process, 0) == 0 || errno != ESRCH ||
        !ftli_home_path(path, home_path, name)) {
        return false;
    }
    return ftli_place_probe(path, why, sizeof why) == FTL_ECLOSED && unlinkat(home, name, 0) == 0;
}

void ftli_home_sweep_some(int home, const char *home_path)
{
    int own = openat(home, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* closedir closes it */
    DIR *directory = own >= 0 ? fdopendir(own) : NULL;
    const struct dirent *entry;
    if (directory == NULL) {
        if (own >= 0) {
            close(own);
        }
        return;
    }
    for (unsigned looks = 0; looks < SWEEP_LOOKS && (entry = readdir(directory)) != NULL; looks++) {
        (void)ftli_home_sweep(home, home_path, entry->d_name);
    }
    closedir(directory);
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

/* A forked child that its parent has not outlived keeps the parent's socket listening, and answers nothing. */
static bool is_answered_by_the_dead(int socket)
{
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 && peer.pid > 0 && kill(peer.pid, 0) != 0 &&
           errno == ESRCH;
}

static bool is_of_this_user(int socket)
{
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 && (peer.uid == geteuid() || geteuid() == 0);
}

int ftli_place_probe(const char *path, char *why, size_t why_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat there;
    int status = FTL_OK;
    if (strlen(path) >= sizeof address.sun_path) {
        snprintf(why, why_size, "the path of a socket has at most %d characters", FTLI_ENDPOINT_MAX_PATH);
        return FTL_EINVAL;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (lstat(path, &there) == 0 && !S_ISSOCK(there.st_mode)) {
        snprintf(why, why_size, "%s: is no socket", path);
        return FTL_EINVAL;
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) {
        return refuse(FTL_EDEVICE, why, why_size, "cannot be asked", path);
    }
    if (connect(probe, (const struct sockaddr *)&address, sizeof address) == 0) {
        if (is_answered_by_the_dead(probe)) {
            snprintf(why, why_size, "%s: its process is gone", path);
            status = FTL_ECLOSED;
        } else if (!is_of_this_user(probe)) {
            snprintf(why, why_size, "%s: belongs to another user", path);
            status = FTL_EDEVICE;
        }
    } else if (errno == ENOENT || errno == ENOTDIR) {
        status = refuse(FTL_EINVAL, why, why_size, "cannot be reached", path);
    } else if (errno != EAGAIN) { /* which says that many others wait */
        status = refuse(errno == ECONNREFUSED ? FTL_ECLOSED : FTL_EDEVICE, why, why_size, "cannot be reached", path);
    }
    close(probe);
    return status;
}
