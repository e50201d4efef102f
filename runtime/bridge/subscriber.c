#include "runtime/bridge/subscriber.h"

#include "runtime/base/clock.h"
#include "runtime/bridge/endpoint.h"
#include "runtime/bridge/foreign.h"
#include "runtime/bridge/frame.h"

#include <fettle/fettle.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { HIGH_WATER = 64 };

struct ftli_subscriber {
    void *context, *socket;
    uint64_t sequence; /* of the last message that was taken; 0: none yet */
    uint64_t refused;
    char topic[FTLI_FRAME_MAX_TOPIC + 1];
    char body[FTLI_FRAME_MAX_BODY + 1];
};

static int set_options(const struct ftli_subscriber *subscriber)
{
    int no_linger = 0, high_water = HIGH_WATER;
    int64_t max_bytes = FTLI_FRAME_MAX_BODY;
    void *socket = subscriber->socket;
    return zmq_setsockopt(socket, ZMQ_LINGER, &no_linger, sizeof no_linger) == 0 &&
                   zmq_setsockopt(socket, ZMQ_RCVHWM, &high_water, sizeof high_water) == 0 &&
                   zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) == 0 &&
                   zmq_setsockopt(socket, ZMQ_SUBSCRIBE, subscriber->topic, strlen(subscriber->topic)) == 0
               ? 0
               : -1;
}

int ftli_subscriber_open(const char *endpoint, const char *topic, struct ftli_subscriber **out, char *why,
                         size_t why_size)
{
    const char *path = ftli_endpoint_path(endpoint, why, why_size);
    char address[FTLI_ENDPOINT_MAX_PATH + 16];
    if (path == NULL) {
        return strncmp(endpoint, "tcp://", 6) == 0 ? FTL_ENOTSUP : FTL_EINVAL;
    }
    if (topic[0] == '\0' || strlen(topic) > FTLI_FRAME_MAX_TOPIC) {
        snprintf(why, why_size, "a topic has 1 to %d bytes", FTLI_FRAME_MAX_TOPIC);
        return FTL_EINVAL;
    }
    struct ftli_subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (subscriber == NULL) {
        snprintf(why, why_size, "out of memory");
        return FTL_ENOMEM;
    }
    snprintf(address, sizeof address, "ipc://%s", path);
    snprintf(subscriber->topic, sizeof subscriber->topic, "%s", topic);
    ftli_foreign_enter();
    subscriber->context = zmq_ctx_new();
    subscriber->socket = subscriber->context == NULL ? NULL : zmq_socket(subscriber->context, ZMQ_SUB);
    bool connected =
        subscriber->socket != NULL && set_options(subscriber) == 0 && zmq_connect(subscriber->socket, address) == 0;
    ftli_foreign_leave();
    if (!connected) {
        snprintf(why, why_size, "%s: %s", address, zmq_strerror(errno));
        ftli_subscriber_close(subscriber);
        return FTL_EDEVICE;
    }
    *out = subscriber;
    return FTL_OK;
}

/* What is read of a message: as much of each frame as is expected there, and how many frames there were. */
struct reading {
    unsigned count;
    size_t topic_bytes, header_bytes, body_bytes;
    char topic[FTLI_FRAME_MAX_TOPIC];
    unsigned char header[FTLI_FRAME_HEADER_BYTES];
};

/* Takes one whole message off the socket, to its last frame, whatever it is. -1: nothing could be read. */
static int read_message(struct ftli_subscriber *subscriber, struct reading *reading)
{
    int more = 1;
    *reading = (struct reading){0};
    while (more != 0) {
        char other;
        char *places[] = {reading->topic, (char *)reading->header, subscriber->body, &other};
        size_t rooms[] = {sizeof reading->topic, sizeof reading->header, FTLI_FRAME_MAX_BODY, 0};
        size_t *sizes[] = {&reading->topic_bytes, &reading->header_bytes, &reading->body_bytes, NULL};
        unsigned at = reading->count < FTLI_FRAMES ? reading->count : FTLI_FRAMES;
        int got = zmq_recv(subscriber->socket, places[at], rooms[at], ZMQ_DONTWAIT);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -1;
        }
        if (at < FTLI_FRAMES) {
            *sizes[at] = (size_t)got; /* the frame's size, also where only a part of it fitted */
            reading->count++;
        } else {
            reading->count = FTLI_FRAMES + 1;
        }
        size_t more_bytes = sizeof more;
        if (zmq_getsockopt(subscriber->socket, ZMQ_RCVMORE, &more, &more_bytes) != 0) {
            return -1;
        }
    }
    return 0;
}

static int judge(struct ftli_subscriber *subscriber, const struct reading *reading, struct ftli_subscribed *out,
                 char *why, size_t why_size)
{
    int status = FTL_EINVAL;
    struct ftli_frame_header header = {0, 0};
    if (reading->count != FTLI_FRAMES) {
        snprintf(why, why_size, "a message of %u%s frames; expected %d", reading->count,
                 reading->count > FTLI_FRAMES ? " or more" : "", FTLI_FRAMES);
    } else if (reading->topic_bytes != strlen(subscriber->topic) ||
               memcmp(reading->topic, subscriber->topic, reading->topic_bytes) != 0) {
        snprintf(why, why_size, "a message of another topic");
    } else if (reading->header_bytes != FTLI_FRAME_HEADER_BYTES) {
        snprintf(why, why_size, "a header of %zu bytes; expected %d", reading->header_bytes, FTLI_FRAME_HEADER_BYTES);
    } else {
        header = ftli_frame_read_header(reading->header);
        if (header.version != FTLI_FRAME_VERSION) {
            snprintf(why, why_size, "a message of version %u; this program knows %d", header.version,
                     FTLI_FRAME_VERSION);
            status = FTL_ENOTSUP;
        } else if (reading->body_bytes == 0 || header.sequence == 0) {
            snprintf(why, why_size, "%s", header.sequence == 0 ? "a message of number 0" : "a message without a body");
        } else {
            status = FTL_OK;
        }
    }
    if (status != FTL_OK) {
        subscriber->refused++;
        return status;
    }
    /* A smaller number than before: the publisher began anew, and nothing can be said about what was lost. */
    bool follows = subscriber->sequence != 0 && header.sequence > subscriber->sequence;
    subscriber->body[reading->body_bytes] = '\0';
    *out = (struct ftli_subscribed){
        .body = subscriber->body,
        .body_bytes = reading->body_bytes,
        .sequence = header.sequence,
        .lost = follows ? header.sequence - subscriber->sequence - 1 : 0,
        .refused = subscriber->refused,
    };
    subscriber->sequence = header.sequence;
    return FTL_OK;
}

int ftli_subscriber_receive(struct ftli_subscriber *subscriber, uint64_t timeout_ns, struct ftli_subscribed *out,
                            char *why, size_t why_size)
{
    uint64_t deadline_ns = ftli_deadline_ns(ftli_clock_now_ns(), timeout_ns);
    for (;;) {
        struct reading reading;
        zmq_pollitem_t item = {.socket = subscriber->socket, .events = ZMQ_POLLIN};
        uint64_t now_ns = ftli_clock_now_ns();
        uint64_t left_ms = now_ns < deadline_ns ? (deadline_ns - now_ns + FTLI_NS_PER_MS - 1) / FTLI_NS_PER_MS : 0;
        ftli_foreign_enter();
        int ready = zmq_poll(&item, 1, left_ms > 3600000 ? 3600000 : (long)left_ms);
        bool read = ready > 0 && read_message(subscriber, &reading) == 0;
        ftli_foreign_leave();
        if (ready > 0) {
            if (read) {
                return judge(subscriber, &reading, out, why, why_size);
            }
            if (errno != EAGAIN) {
                snprintf(why, why_size, "%s", zmq_strerror(errno));
                return FTL_EDEVICE;
            }
        } else if (ready < 0 && errno != EINTR) {
            snprintf(why, why_size, "%s", zmq_strerror(errno));
            return FTL_EDEVICE;
        }
        if (ready <= 0 && ftli_clock_now_ns() >= deadline_ns) {
            snprintf(why, why_size, "nothing was heard");
            return FTL_ETIMEDOUT;
        }
    }
}

void ftli_subscriber_close(struct ftli_subscriber *subscriber)
{
    if (subscriber == NULL) {
        return;
    }
    ftli_foreign_enter();
    if (subscriber->socket != NULL) {
        zmq_close(subscriber->socket);
    }
    while (subscriber->context != NULL && zmq_ctx_term(subscriber->context) != 0 && errno == EINTR) {
    }
    ftli_foreign_leave();
    free(subscriber);
}
