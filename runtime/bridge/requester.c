#include "runtime/bridge/requester.h"

#include "runtime/base/clock.h"
#include "runtime/bridge/exchange.h"
#include "runtime/bridge/foreign.h"
#include "runtime/bridge/place.h"

#include <fettle/fettle.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { HIGH_WATER = 64 };
#define LOOK_NS FTLI_NS_PER_S /* of silence, until it is seen whether somebody is there at all */

struct ftli_requester {
    void *context, *socket;
    uint64_t id; /* of the last request */
    char path[FTLI_ENDPOINT_MAX_PATH + 1];
    char body[FTLI_EXCHANGE_MAX_BODY + 1];
};

static bool set_options(void *socket)
{
    int no_linger = 0, high_water = HIGH_WATER;
    int64_t max_bytes = FTLI_EXCHANGE_MAX_BODY;
    return zmq_setsockopt(socket, ZMQ_LINGER, &no_linger, sizeof no_linger) == 0 &&
           zmq_setsockopt(socket, ZMQ_RCVHWM, &high_water, sizeof high_water) == 0 &&
           zmq_setsockopt(socket, ZMQ_SNDHWM, &high_water, sizeof high_water) == 0 &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) == 0;
}

int ftli_requester_open(const char *path, struct ftli_requester **out, char *why, size_t why_size)
{
    char endpoint[FTLI_ENDPOINT_MAX_PATH + 16];
    int status = ftli_place_probe(path, why, why_size);
    if (status != FTL_OK) {
        return status;
    }
    struct ftli_requester *requester = calloc(1, sizeof *requester);
    if (requester == NULL) {
        snprintf(why, why_size, "out of memory");
        return FTL_ENOMEM;
    }
    snprintf(requester->path, sizeof requester->path, "%s", path);
    snprintf(endpoint, sizeof endpoint, "ipc://%s", requester->path);
    ftli_foreign_enter();
    requester->context = zmq_ctx_new();
    requester->socket = requester->context == NULL ? NULL : zmq_socket(requester->context, ZMQ_DEALER);
    bool connected =
        requester->socket != NULL && set_options(requester->socket) && zmq_connect(requester->socket, endpoint) == 0;
    ftli_foreign_leave();
    if (!connected) {
        snprintf(why, why_size, "%s: %s", path, zmq_strerror(errno));
        ftli_requester_close(requester);
        return FTL_EDEVICE;
    }
    *out = requester;
    return FTL_OK;
}

static bool send_request(struct ftli_requester *requester, const char *request)
{
    unsigned char header[FTLI_EXCHANGE_HEADER_BYTES];
    ftli_exchange_write_header(header,
                               (struct ftli_exchange_header){.version = FTLI_EXCHANGE_VERSION, .id = ++requester->id});
    ftli_foreign_enter();
    bool sent = zmq_send(requester->socket, header, sizeof header, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 &&
                zmq_send(requester->socket, request, strlen(request), ZMQ_DONTWAIT) >= 0;
    ftli_foreign_leave();
    return sent;
}

/* A message, to its last frame. True: it is a part of an answer; header and body are set. */
static bool read_part(struct ftli_requester *requester, struct ftli_exchange_header *header, size_t *body_bytes)
{
    unsigned char bytes[FTLI_EXCHANGE_HEADER_BYTES];
    int more = 1, sizes[FTLI_EXCHANGE_FRAMES] = {0};
    unsigned frames = 0;
    for (; more != 0; frames++) {
        size_t more_bytes = sizeof more;
        char other;
        void *place = frames == 0 ? (void *)bytes : frames == 1 ? (void *)requester->body : &other;
        size_t room = frames == 0 ? sizeof bytes : frames == 1 ? (size_t)FTLI_EXCHANGE_MAX_BODY : 0;
        int got = zmq_recv(requester->socket, place, room, ZMQ_DONTWAIT);
        if (got < 0 || zmq_getsockopt(requester->socket, ZMQ_RCVMORE, &more, &more_bytes) != 0) {
            return false;
        }
        if (frames < FTLI_EXCHANGE_FRAMES) {
            sizes[frames] = got;
        }
    }
    if (frames != FTLI_EXCHANGE_FRAMES || sizes[0] != FTLI_EXCHANGE_HEADER_BYTES || sizes[1] > FTLI_EXCHANGE_MAX_BODY) {
        return false;
    }
    *header = ftli_exchange_read_header(bytes);
    *body_bytes = (size_t)sizes[1];
    requester->body[*body_bytes] = '\0';
    return header->version == FTLI_EXCHANGE_VERSION && header->id == requester->id;
}

/* FTL_OK: a part is there; FTL_ETIMEDOUT; FTL_ECLOSED: nobody is there any more. */
static int wait_for_part(struct ftli_requester *requester, uint64_t silence_ns, struct ftli_exchange_header *header,
                         size_t *body_bytes, char *why, size_t why_size)
{
    uint64_t begun_ns = ftli_clock_now_ns(), deadline_ns = ftli_deadline_ns(begun_ns, silence_ns);
    for (uint64_t now_ns = begun_ns; now_ns < deadline_ns; now_ns = ftli_clock_now_ns()) {
        zmq_pollitem_t item = {.socket = requester->socket, .events = ZMQ_POLLIN};
        uint64_t left_ns = deadline_ns - now_ns < LOOK_NS ? deadline_ns - now_ns : LOOK_NS;
        ftli_foreign_enter();
        int ready = zmq_poll(&item, 1, (long)((left_ns + FTLI_NS_PER_MS - 1) / FTLI_NS_PER_MS));
        bool read = ready > 0 && read_part(requester, header, body_bytes);
        ftli_foreign_leave();
        if (read) {
            return FTL_OK;
        }
        if (ready == 0) {
            int status = ftli_place_probe(requester->path, why, why_size);
            if (status == FTL_ECLOSED || status == FTL_EINVAL) {
                return FTL_ECLOSED;
            }
        }
    }
    snprintf(why, why_size, "%s: no answer", requester->path);
    return FTL_ETIMEDOUT;
}

int ftli_requester_ask(struct ftli_requester *requester, const char *request, uint64_t silence_ns,
                       int (*write)(const char *text, size_t n, void *user), void *user, int *reached, char *why,
                       size_t why_size)
{
    *reached = 0;
    if (!send_request(requester, request)) {
        snprintf(why, why_size, "%s: %s", requester->path, zmq_strerror(errno));
        return FTL_EDEVICE;
    }
    for (uint32_t next = 0;; next++) {
        struct ftli_exchange_header header;
        size_t body_bytes;
        int status = wait_for_part(requester, silence_ns, &header, &body_bytes, why, why_size);
        if (status != FTL_OK) {
            return status;
        }
        if (header.part != next) {
            snprintf(why, why_size, "%s: a part of the answer is missing", requester->path);
            return FTL_EDEVICE;
        }
        *reached = 1;
        if ((header.flags & FTLI_EXCHANGE_END) != 0) {
            snprintf(why, why_size, "%s", requester->body);
            return header.status;
        }
        if (write(requester->body, body_bytes, user) != 0) {
            return FTL_OK;
        }
        *reached = 0;
    }
}

void ftli_requester_close(struct ftli_requester *requester)
{
    if (requester == NULL) {
        return;
    }
    ftli_foreign_enter();
    if (requester->socket != NULL) {
        zmq_close(requester->socket);
    }
    while (requester->context != NULL && zmq_ctx_term(requester->context) != 0 && errno == EINTR) {
    }
    ftli_foreign_leave();
    free(requester);
}
