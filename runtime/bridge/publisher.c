#include "runtime/bridge/publisher.h"

#include "runtime/base/os.h"
#include "runtime/bridge/endpoint.h"
#include "runtime/bridge/foreign.h"
#include "runtime/bridge/frame.h"

#include <fettle/fettle.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum { HIGH_WATER = 64, MAX_SUBSCRIPTION_BYTES = 256 };

struct ftli_publisher {
    void *context, *socket;
    pid_t process;
    int lock;
    bool made_directory, bound;
    uint64_t sequence; /* of the message sent last */
    char endpoint[FTLI_ENDPOINT_MAX_PATH + 16];
    char directory[FTLI_ENDPOINT_MAX_PATH + 1];
    char lock_path[FTLI_ENDPOINT_MAX_PATH + 16];
};

static int refuse(int status, char *why, size_t why_size, const char *what, const char *path)
{
    snprintf(why, why_size, "%s: %s: %s", path, what, strerror(errno));
    return status;
}

/* The directory of the path, made for its owner alone if it is not there. */
static int make_directory(struct ftli_publisher *publisher, const char *path, char *why, size_t why_size)
{
    size_t length = (size_t)(strrchr(path, '/') - path);
    if (length == 0) {
        length = 1; /* the root itself */
    }
    memcpy(publisher->directory, path, length);
    publisher->directory[length] = '\0';
    if (mkdir(publisher->directory, 0700) == 0) {
        publisher->made_directory = true;
        return FTL_OK;
    }
    struct stat status;
    if (errno != EEXIST) {
        return refuse(FTL_EINVAL, why, why_size, "the directory cannot be made", publisher->directory);
    }
    if (stat(publisher->directory, &status) != 0 || !S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return refuse(FTL_EINVAL, why, why_size, "the socket needs a directory", publisher->directory);
    }
    if ((status.st_mode & S_IWOTH) != 0 && (status.st_mode & S_ISVTX) == 0) {
        errno = EPERM;
        return refuse(FTL_EINVAL, why, why_size, "anybody may replace files there", publisher->directory);
    }
    return FTL_OK;
}

/* Takes PATH.lock. A lock file that its owner removed between our open and our lock guards nothing: once more then. */
static int take_lock(struct ftli_publisher *publisher, char *why, size_t why_size)
{
    for (;;) {
        struct stat here, there;
        int lock = open(publisher->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock < 0) {
            return refuse(FTL_EINVAL, why, why_size, "the lock file cannot be made", publisher->lock_path);
        }
        if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
            int status = errno == EWOULDBLOCK ? FTL_EBUSY : FTL_EDEVICE;
            refuse(status, why, why_size, errno == EWOULDBLOCK ? "somebody publishes there" : "cannot be locked",
                   publisher->endpoint);
            close(lock);
            return status;
        }
        if (fstat(lock, &here) == 0 && stat(publisher->lock_path, &there) == 0 && here.st_ino == there.st_ino &&
            here.st_dev == there.st_dev) {
            publisher->lock = lock;
            return FTL_OK;
        }
        close(lock);
    }
}

/* bind unlinks whatever lies at the path, so what is not a socket has to be seen before. */
static int check_path(const char *path, char *why, size_t why_size)
{
    struct stat status;
    if (lstat(path, &status) == 0 && !S_ISSOCK(status.st_mode)) {
        errno = EEXIST;
        return refuse(FTL_EINVAL, why, why_size, "is there and is no socket", path);
    }
    return FTL_OK;
}

static int set_options(void *socket)
{
    int no_linger = 0, high_water = HIGH_WATER;
    int64_t max_bytes = MAX_SUBSCRIPTION_BYTES;
    return zmq_setsockopt(socket, ZMQ_LINGER, &no_linger, sizeof no_linger) == 0 &&
                   zmq_setsockopt(socket, ZMQ_SNDHWM, &high_water, sizeof high_water) == 0 &&
                   zmq_setsockopt(socket, ZMQ_RCVHWM, &high_water, sizeof high_water) == 0 &&
                   zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) == 0
               ? 0
               : -1;
}

struct binding {
    struct ftli_publisher *publisher;
    int failed; /* an errno */
};

/* On a thread of its own, which stops sharing the process's umask before it sets its own: the socket is its owner's from
 * the first moment, and no file that another thread makes meanwhile is touched by it. */
static void bind_main(void *user)
{
    struct binding *binding = user;
    if (!ftli_os_thread_private_files()) {
        binding->failed = errno;
        return;
    }
    ftli_foreign_enter();
    binding->failed = zmq_bind(binding->publisher->socket, binding->publisher->endpoint) == 0 ? 0 : errno;
    ftli_foreign_leave();
}

static int bind_apart(struct ftli_publisher *publisher)
{
    struct binding binding = {.publisher = publisher, .failed = EAGAIN};
    ftli_os_thread thread;
    if (ftli_os_thread_start(&thread, &(ftli_os_thread_options){.name = "ftl-bind"}, bind_main, &binding) == FTL_OK) {
        ftli_os_thread_join(thread);
    }
    errno = binding.failed;
    return binding.failed == 0 ? 0 : -1;
}

static int open_socket(struct ftli_publisher *publisher, char *why, size_t why_size)
{
    ftli_foreign_enter();
    publisher->context = zmq_ctx_new();
    publisher->socket = publisher->context == NULL ? NULL : zmq_socket(publisher->context, ZMQ_PUB);
    bool set = publisher->socket != NULL && set_options(publisher->socket) == 0;
    ftli_foreign_leave();
    if (!set) {
        return refuse(publisher->context == NULL ? FTL_ENOMEM : FTL_EDEVICE, why, why_size, "no socket",
                      publisher->endpoint);
    }
    if (bind_apart(publisher) != 0) {
        snprintf(why, why_size, "%s: cannot be bound: %s", publisher->endpoint, zmq_strerror(errno));
        return FTL_EDEVICE;
    }
    publisher->bound = true;
    return FTL_OK;
}

int ftli_publisher_open(const char *endpoint, struct ftli_publisher **out, char *why, size_t why_size)
{
    const char *path = ftli_endpoint_path(endpoint, why, why_size);
    if (path == NULL) {
        return strncmp(endpoint, "tcp://", 6) == 0 ? FTL_ENOTSUP : FTL_EINVAL;
    }
    struct ftli_publisher *publisher = calloc(1, sizeof *publisher);
    if (publisher == NULL) {
        snprintf(why, why_size, "out of memory");
        return FTL_ENOMEM;
    }
    publisher->process = getpid();
    publisher->lock = -1;
    snprintf(publisher->endpoint, sizeof publisher->endpoint, "ipc://%s", path);
    snprintf(publisher->lock_path, sizeof publisher->lock_path, "%s.lock", path);
    int status = make_directory(publisher, path, why, why_size);
    if (status == FTL_OK) {
        status = take_lock(publisher, why, why_size);
    }
    if (status == FTL_OK) {
        status = check_path(path, why, why_size);
    }
    if (status == FTL_OK) {
        status = open_socket(publisher, why, why_size);
    }
    if (status != FTL_OK) {
        ftli_publisher_close(publisher);
        return status;
    }
    *out = publisher;
    return FTL_OK;
}

static int send_frame(void *socket, const void *bytes, size_t count, int flags)
{
    int sent;
    ftli_foreign_enter();
    do {
        sent = zmq_send(socket, bytes, count, flags | ZMQ_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    ftli_foreign_leave();
    return sent < 0 ? -1 : 0;
}

int ftli_publisher_send(struct ftli_publisher *publisher, const char *topic, const void *bytes, size_t count)
{
    unsigned char header[FTLI_FRAME_HEADER_BYTES];
    size_t length = strlen(topic);
    if (length == 0 || length > FTLI_FRAME_MAX_TOPIC || count > FTLI_FRAME_MAX_BODY) {
        return FTL_EINVAL;
    }
    if (publisher->process != getpid()) {
        return FTL_ENOTSUP;
    }
    ftli_frame_write_header(header, (struct ftli_frame_header){FTLI_FRAME_VERSION, publisher->sequence + 1});
    if (send_frame(publisher->socket, topic, length, ZMQ_SNDMORE) != 0 ||
        send_frame(publisher->socket, header, sizeof header, ZMQ_SNDMORE) != 0 ||
        send_frame(publisher->socket, bytes, count, 0) != 0) {
        return FTL_EDEVICE;
    }
    publisher->sequence++;
    return FTL_OK;
}

static void close_socket(struct ftli_publisher *publisher)
{
    ftli_foreign_enter();
    if (publisher->socket != NULL) {
        zmq_close(publisher->socket); /* leaves the file where it is */
    }
    while (publisher->context != NULL && zmq_ctx_term(publisher->context) != 0 && errno == EINTR) {
    }
    ftli_foreign_leave();
    if (publisher->bound) {
        unlink(publisher->endpoint + strlen("ipc://")); /* under the lock: nobody else can have bound there */
    }
}

void ftli_publisher_close(struct ftli_publisher *publisher)
{
    if (publisher == NULL) {
        return;
    }
    if (publisher->process == getpid()) {
        close_socket(publisher);
        if (publisher->lock >= 0) {
            unlink(publisher->lock_path);
        }
        if (publisher->made_directory) {
            rmdir(publisher->directory); /* stays if others put something there meanwhile */
        }
    }
    if (publisher->lock >= 0) {
        close(publisher->lock);
    }
    free(publisher);
}
