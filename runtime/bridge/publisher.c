#include "runtime/bridge/publisher.h"

#include "runtime/base/os.h"
#include "runtime/bridge/endpoint.h"
#include "runtime/bridge/foreign.h"
#include "runtime/bridge/frame.h"
#include "runtime/bridge/place.h"

#include <fettle/fettle.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

enum { HIGH_WATER = 64, MAX_SUBSCRIPTION_BYTES = 256 };

struct ftli_publisher {
    void *context, *socket;
    pid_t process;
    bool bound;
    struct ftli_place place;
    uint64_t sequence; /* of the message sent last */
    char endpoint[FTLI_ENDPOINT_MAX_PATH + 16];
};

static int refuse(int status, char *why, size_t why_size, const char *what, const char *path)
{
    snprintf(why, why_size, "%s: %s: %s", path, what, strerror(errno));
    return status;
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
    publisher->place.lock = -1;
    snprintf(publisher->endpoint, sizeof publisher->endpoint, "ipc://%s", path);
    int status = ftli_place_take(&publisher->place, path, why, why_size);
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
    bool inherited = publisher->process != getpid();
    if (!inherited) {
        close_socket(publisher);
    }
    ftli_place_give_back(&publisher->place, inherited);
    free(publisher);
}
