#include "runtime/bridge/responder.h"

#include "runtime/base/clock.h"
#include "runtime/base/os.h"
#include "runtime/bridge/exchange.h"
#include "runtime/bridge/foreign.h"
#include "runtime/bridge/place.h"

#include <fettle/fettle.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

enum {
    HIGH_WATER = 64,         /* messages that wait for a reader */
    MAX_FRAME_BYTES = 65536, /* a larger one, and who sent it is cut off */
    QUIET_MS = 60000,        /* so long without a request, and ZeroMQ goes */
    SLICE_MS = 100,          /* of waiting for a reader, until it is seen that all ends */
    STALL_SLICES = 20,       /* then it is given up */
    BACKLOG = 64,            /* connections that the thread has not seen */
    REQUESTS_A_TURN = 64,    /* until the order to end is looked at */
    IDENTITY_BYTES = 256,    /* a peer's, to a ROUTER */
};

struct ftli_responder {
    struct ftli_responder_options options;
    pid_t process;
    int listening, orders;
    bool has_thread, bound;
    ftli_os_thread thread;
    ftli_atomic_u32 ends;
    struct ftli_place place; /* of a path that was given */
    char path[FTLI_ENDPOINT_MAX_PATH + 1];
    /* of the thread */
    void *context, *socket;
    size_t stalled_bytes; /* who was given up last */
    unsigned char stalled[IDENTITY_BYTES];
    ftli_atomic_u64 answered, refused, given_up, sessions;
};

/* One message as it came; the text of a request ends with a zero of ours. */
struct incoming {
    unsigned frames;
    size_t identity_bytes, header_bytes, text_bytes;
    unsigned char identity[IDENTITY_BYTES];
    unsigned char header[FTLI_EXCHANGE_HEADER_BYTES];
    char text[FTLI_EXCHANGE_MAX_REQUEST + 1];
};

/* An answer on its way. */
struct outgoing {
    struct ftli_responder *responder;
    const struct incoming *request;
    struct ftli_exchange_header header;
    bool lost;
    size_t held;
    char body[FTLI_EXCHANGE_MAX_BODY];
};

/* ---- sending ------------------------------------------------------------------------------------------------------- */

static bool must_end(const struct ftli_responder *responder)
{
    return ftli_u32_load_acquire(&responder->ends) != 0; /* pairs: responder-ends */
}

/* A slow reader is waited for, but not by a close. */
static bool may_wait(const struct ftli_responder *responder)
{
    return !must_end(responder) &&
           (responder->options.is_ending == NULL || !responder->options.is_ending(responder->options.user));
}

static int send_frame(void *socket, const void *bytes, size_t count, int flags)
{
    int sent;
    ftli_foreign_enter();
    do {
        sent = zmq_send(socket, bytes, count, flags);
    } while (sent < 0 && errno == EINTR);
    ftli_foreign_leave();
    return sent < 0 ? -1 : 0;
}

static bool is_stalled(const struct ftli_responder *responder, const struct incoming *request)
{
    return responder->stalled_bytes == request->identity_bytes &&
           memcmp(responder->stalled, request->identity, request->identity_bytes) == 0;
}

/* The first frame says to whom: it is the one that is refused, when the peer has gone or has no room (ZMQ_ROUTER_MANDATORY). */
static bool address(struct ftli_responder *responder, const struct incoming *request)
{
    bool known = is_stalled(responder, request);
    for (unsigned slice = 0; slice < STALL_SLICES; slice++) {
        int flags = ZMQ_SNDMORE | (known ? ZMQ_DONTWAIT : 0);
        if (send_frame(responder->socket, request->identity, request->identity_bytes, flags) == 0) {
            if (known) {
                responder->stalled_bytes = 0;
            }
            return true;
        }
        if (errno != EAGAIN || known || !may_wait(responder)) {
            return false;
        }
    }
    responder->stalled_bytes = request->identity_bytes;
    memcpy(responder->stalled, request->identity, request->identity_bytes);
    return false;
}

static void send_part(struct outgoing *out, const char *body, size_t count)
{
    unsigned char header[FTLI_EXCHANGE_HEADER_BYTES];
    void *socket = out->responder->socket;
    if (out->lost) {
        return;
    }
    ftli_exchange_write_header(header, out->header);
    out->header.part++;
    if (!address(out->responder, out->request) || send_frame(socket, header, sizeof header, ZMQ_SNDMORE) != 0 ||
        send_frame(socket, body, count, 0) != 0) {
        out->lost = true;
        ftli_u64_add_owner(&out->responder->given_up, 1);
    }
}

static int write_answer(const char *text, size_t n, void *user)
{
    struct outgoing *out = user;
    while (n != 0 && !out->lost) {
        size_t room = sizeof out->body - out->held, more = n < room ? n : room;
        memcpy(out->body + out->held, text, more);
        out->held += more;
        text += more;
        n -= more;
        if (out->held == sizeof out->body) {
            send_part(out, out->body, out->held);
            out->held = 0;
        }
    }
    return out->lost || must_end(out->responder) ? -1 : 0;
}

static void end_answer(struct outgoing *out, int status, const char *why)
{
    if (out->held != 0) {
        send_part(out, out->body, out->held);
    }
    out->header.flags = FTLI_EXCHANGE_END;
    out->header.status = status;
    send_part(out, why, strlen(why));
}

/* ---- requests ------------------------------------------------------------------------------------------------------ */

/* Takes one whole message off the socket, to its last frame, whatever it is. False: none is there. */
static bool read_message(void *socket, struct incoming *in)
{
    int more = 1;
    size_t more_bytes = sizeof more;
    in->frames = 0;
    in->identity_bytes = in->header_bytes = in->text_bytes = 0;
    while (more != 0) {
        char other;
        void *places[] = {in->identity, in->header, in->text, &other};
        const size_t rooms[] = {sizeof in->identity, sizeof in->header, sizeof in->text - 1, 0};
        size_t *sizes[] = {&in->identity_bytes, &in->header_bytes, &in->text_bytes, NULL};
        unsigned at = in->frames < 3 ? in->frames : 3;
        int got = zmq_recv(socket, places[at], rooms[at], ZMQ_DONTWAIT);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return false;
        }
        if (at < 3) {
            *sizes[at] = (size_t)got; /* the frame's size, also where only a part of it fitted */
        }
        in->frames = at + 1;
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_bytes) != 0) {
            return false;
        }
    }
    return true;
}

/* What is a request gets an answer, if only that it is none that can be read. */
static bool is_request(const struct incoming *in)
{
    return in->frames == 1 + FTLI_EXCHANGE_FRAMES && in->header_bytes == FTLI_EXCHANGE_HEADER_BYTES &&
           in->identity_bytes != 0 && in->identity_bytes < IDENTITY_BYTES;
}

static int judge(const struct incoming *in, struct ftli_exchange_header header, char *why, size_t why_size)
{
    if (header.version != FTLI_EXCHANGE_VERSION) {
        snprintf(why, why_size, "a request of version %u; this runtime knows %d", header.version,
                 FTLI_EXCHANGE_VERSION);
        return FTL_ENOTSUP;
    }
    if (in->text_bytes > FTLI_EXCHANGE_MAX_REQUEST) {
        snprintf(why, why_size, "a request has at most %d bytes, and this one %zu", FTLI_EXCHANGE_MAX_REQUEST,
                 in->text_bytes);
        return FTL_EINVAL;
    }
    if (header.flags != 0 || memchr(in->text, '\0', in->text_bytes) != NULL ||
        memchr(in->text, '\n', in->text_bytes) != NULL) {
        snprintf(why, why_size, "a request is one line of text, and has no flags");
        return FTL_EINVAL;
    }
    return FTL_OK;
}

static void answer(struct ftli_responder *responder, struct incoming *in, struct outgoing *out)
{
    char why[512] = "";
    if (!is_request(in)) {
        ftli_u64_add_owner(&responder->refused, 1);
        return;
    }
    struct ftli_exchange_header header = ftli_exchange_read_header(in->header);
    out->responder = responder;
    out->request = in;
    out->header = (struct ftli_exchange_header){.version = FTLI_EXCHANGE_VERSION, .id = header.id};
    out->lost = false;
    out->held = 0;
    int status = judge(in, header, why, sizeof why);
    if (status != FTL_OK) {
        ftli_u64_add_owner(&responder->refused, 1);
    } else {
        in->text[in->text_bytes] = '\0';
        status = responder->options.answer(responder->options.user, in->text, write_answer, out, why, sizeof why);
        ftli_u64_add_owner(&responder->answered, 1);
    }
    end_answer(out, status, why);
}

/* ---- ZeroMQ, while somebody asks ----------------------------------------------------------------------------------- */

static bool set_number(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_options(const struct ftli_responder *responder, int listening)
{
    int64_t max_bytes = MAX_FRAME_BYTES;
    void *socket = responder->socket;
    uid_t user = geteuid();
    return set_number(socket, ZMQ_LINGER, 0) && set_number(socket, ZMQ_SNDHWM, HIGH_WATER) &&
           set_number(socket, ZMQ_RCVHWM, HIGH_WATER) && set_number(socket, ZMQ_ROUTER_MANDATORY, 1) &&
           set_number(socket, ZMQ_SNDTIMEO, SLICE_MS) && set_number(socket, ZMQ_USE_FD, listening) &&
           zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) == 0 &&
           zmq_setsockopt(socket, ZMQ_IPC_FILTER_UID, &user, sizeof user) == 0;
}

/* ZeroMQ closes the descriptor that it was given, but neither makes nor removes the file. */
static bool begin_session(struct ftli_responder *responder)
{
    char endpoint[FTLI_ENDPOINT_MAX_PATH + 16];
    int listening = fcntl(responder->listening, F_DUPFD_CLOEXEC, 0);
    bool bound = false;
    snprintf(endpoint, sizeof endpoint, "ipc://%s", responder->path);
    ftli_foreign_enter();
    responder->context = listening >= 0 ? zmq_ctx_new() : NULL;
    if (responder->context != NULL) {
        (void)zmq_ctx_set(responder->context, ZMQ_MAX_SOCKETS, 4);
        responder->socket = zmq_socket(responder->context, ZMQ_ROUTER);
    }
    bound =
        responder->socket != NULL && set_options(responder, listening) && zmq_bind(responder->socket, endpoint) == 0;
    ftli_foreign_leave();
    if (!bound && listening >= 0) {
        close(listening);
    }
    if (bound) {
        ftli_u64_add_owner(&responder->sessions, 1);
    }
    return bound;
}

static void end_session(struct ftli_responder *responder)
{
    ftli_foreign_enter();
    if (responder->socket != NULL) {
        zmq_close(responder->socket);
    }
    while (responder->context != NULL && zmq_ctx_term(responder->context) != 0 && errno == EINTR) {
    }
    ftli_foreign_leave();
    responder->socket = responder->context = NULL;
    responder->stalled_bytes = 0;
}

/* False: nothing was asked for long enough, or all ends. */
static bool wait_for_request(struct ftli_responder *responder)
{
    zmq_pollitem_t items[] = {{.socket = responder->socket, .events = ZMQ_POLLIN},
                              {.fd = responder->orders, .events = ZMQ_POLLIN}};
    int ready;
    ftli_foreign_enter();
    do {
        ready = zmq_poll(items, 2, QUIET_MS);
    } while (ready < 0 && errno == EINTR);
    ftli_foreign_leave();
    return ready > 0 && !must_end(responder);
}

static void serve(struct ftli_responder *responder, struct incoming *in, struct outgoing *out)
{
    while (wait_for_request(responder)) {
        for (unsigned i = 0; i < REQUESTS_A_TURN && !must_end(responder); i++) {
            ftli_foreign_enter();
            bool is_there = read_message(responder->socket, in);
            ftli_foreign_leave();
            if (!is_there) {
                break;
            }
            answer(responder, in, out);
        }
    }
}

/* Who cannot be served is told so by the end of the connection. */
static void turn_away(const struct ftli_responder *responder)
{
    struct pollfd orders = {.fd = responder->orders, .events = POLLIN};
    int connection = accept4(responder->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection >= 0) {
        close(connection);
    } else {
        (void)poll(&orders, 1, SLICE_MS); /* no descriptor even for that: it stays, and would be seen at once again */
    }
}

static void responder_main(void *user)
{
    struct ftli_responder *responder = user;
    struct incoming *in = malloc(sizeof *in);
    struct outgoing *out = malloc(sizeof *out);
    struct pollfd waits[] = {{.fd = responder->orders, .events = POLLIN},
                             {.fd = responder->listening, .events = POLLIN}};
    while (ftli_u32_load_acquire(&responder->ends) == 0) {
        if (poll(waits, 2, -1) <= 0 || (waits[1].revents & POLLIN) == 0) {
            continue;
        }
        if (in != NULL && out != NULL && begin_session(responder)) {
            serve(responder, in, out);
        } else {
            turn_away(responder);
        }
        end_session(responder);
    }
    free(in);
    free(out);
}

/* ---- the socket ---------------------------------------------------------------------------------------------------- */

/* Between bind and listen nobody can connect: so the file is its owner's from the first moment that counts. */
static int bind_and_listen(struct ftli_responder *responder, char *why, size_t why_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, responder->path, strlen(responder->path));
    responder->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (responder->listening >= 0 &&
        bind(responder->listening, (const struct sockaddr *)&address, sizeof address) == 0) {
        responder->bound = true;
        if (chmod(responder->path, 0600) == 0 && listen(responder->listening, BACKLOG) == 0) {
            return FTL_OK;
        }
    }
    int status = errno == EADDRINUSE ? FTL_EBUSY : FTL_EDEVICE;
    snprintf(why, why_size, "%s: cannot be bound: %s", responder->path, strerror(errno));
    if (responder->listening >= 0) {
        close(responder->listening);
    }
    responder->listening = -1;
    return status;
}

/* What lies at the path is of a process that died, or somebody listens there who does not know of locks. */
static int open_given(struct ftli_responder *responder, char *why, size_t why_size)
{
    const char *path = responder->options.path;
    int status = ftli_place_take(&responder->place, path, why, why_size);
    if (status != FTL_OK) {
        return status;
    }
    snprintf(responder->path, sizeof responder->path, "%s", path);
    status = bind_and_listen(responder, why, why_size);
    if (status == FTL_EBUSY && ftli_place_probe(path, why, why_size) == FTL_ECLOSED && unlink(path) == 0) {
        status = bind_and_listen(responder, why, why_size);
    }
    return status;
}

static int open_at_home(struct ftli_responder *responder, const char *home_path, char *why, size_t why_size)
{
    char name[48];
    int home = ftli_home_open(home_path, true, why, why_size);
    if (home < 0) {
        return FTL_EINVAL;
    }
    int status = FTL_EINVAL;
    snprintf(name, sizeof name, "%ld-%u-%.15s", (long)getpid(), responder->options.number, responder->options.runtime);
    ftli_home_sweep_some(home, home_path);
    if (ftli_home_path(responder->path, home_path, name)) {
        status = bind_and_listen(responder, why, why_size);
        /* left by a process of this number that is gone; or of another PID namespace, and then it stays */
        if (status == FTL_EBUSY && ftli_place_probe(responder->path, why, why_size) == FTL_ECLOSED &&
            unlink(responder->path) == 0) {
            status = bind_and_listen(responder, why, why_size);
        }
    } else {
        snprintf(why, why_size, "%s: is too long for the path of a socket", home_path);
    }
    close(home);
    return status;
}

/* The home that $XDG_RUNTIME_DIR says, where it says one; else, and where that cannot be had, the one under /tmp. */
static int open_somewhere(struct ftli_responder *responder, char *why, size_t why_size)
{
    char homes[FTLI_HOMES][FTLI_HOME_BYTES];
    unsigned count = ftli_home_list(homes);
    int status = FTL_EINVAL;
    if (getenv("XDG_RUNTIME_DIR") != NULL) {
        status = open_at_home(responder, homes[0], why, why_size);
    }
    return status == FTL_OK ? status : open_at_home(responder, homes[count - 1], why, why_size);
}

static int start_thread(struct ftli_responder *responder, char *why, size_t why_size)
{
    responder->orders = ftli_os_signal_open();
    if (responder->orders < 0) {
        snprintf(why, why_size, "the thread of the control socket: %s", strerror(errno));
        return FTL_EDEVICE;
    }
    ftli_os_thread_options options = {.name = "ftl-control", .nice = 10};
    if (ftli_os_thread_start(&responder->thread, &options, responder_main, responder) != FTL_OK) {
        snprintf(why, why_size, "the thread of the control socket: there is no room for one");
        return FTL_ENOMEM;
    }
    responder->has_thread = true;
    return FTL_OK;
}

int ftli_responder_open(const struct ftli_responder_options *options, struct ftli_responder **out, char *why,
                        size_t why_size)
{
    struct ftli_responder *responder = calloc(1, sizeof *responder);
    if (responder == NULL) {
        snprintf(why, why_size, "out of memory");
        return FTL_ENOMEM;
    }
    responder->options = *options;
    responder->process = getpid();
    responder->listening = responder->orders = responder->place.lock = -1;
    int status =
        options->path != NULL ? open_given(responder, why, why_size) : open_somewhere(responder, why, why_size);
    if (status == FTL_OK) {
        status = start_thread(responder, why, why_size);
    }
    if (status != FTL_OK) {
        ftli_responder_close(responder);
        return status;
    }
    *out = responder;
    return FTL_OK;
}

const char *ftli_responder_path(const struct ftli_responder *responder)
{
    return responder->path;
}

void ftli_responder_read(const struct ftli_responder *responder, struct ftli_responder_figures *out)
{
    out->answered = ftli_u64_load_acquire(&responder->answered);
    out->refused = ftli_u64_load_acquire(&responder->refused);
    out->given_up = ftli_u64_load_acquire(&responder->given_up);
    out->sessions = ftli_u64_load_acquire(&responder->sessions);
}

static void end_thread(struct ftli_responder *responder)
{
    ftli_u32_store_release(&responder->ends, 1); /* pairs: responder-ends */
    ftli_os_signal_give(responder->orders);
    ftli_os_thread_join(responder->thread);
}

void ftli_responder_close(struct ftli_responder *responder)
{
    if (responder == NULL) {
        return;
    }
    bool inherited = responder->process != getpid();
    if (responder->has_thread && !inherited) {
        end_thread(responder);
    }
    if (responder->bound && !inherited) {
        unlink(responder->path);
    }
    if (responder->listening >= 0) {
        close(responder->listening);
    }
    if (responder->orders >= 0) {
        close(responder->orders);
    }
    ftli_place_give_back(&responder->place, inherited);
    free(responder);
}
