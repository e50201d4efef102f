/* Answers requests of this user's other processes. With publisher.h, subscriber.h and requester.h the one place that knows ZeroMQ.
 *
 * What     A socket, and a thread that sleeps until somebody connects. Only then is there ZeroMQ: a ROUTER on that same socket
 *          (ZMQ_USE_FD), until nothing was asked for a minute. Requests and answers: exchange.h. One is answered at a time, on that
 *          thread, in parts as the answer grows; a reader that does not read for two seconds is given up, and once it was, at once.
 * Owns     Thread, ZeroMQ's context and its two threads, the socket and its file (mode 0600). close gives all of them back.
 * Who      This user: the file's mode and its directory's keep others out, and ZeroMQ asks the kernel whose each connection is.
 * Threads  open and close: one at a time. Every thread of it blocks every signal.
 * Fork     Nothing of it works in a child: close leaves the parent's files alone there.
 * Limit    A request has at most FTLI_EXCHANGE_MAX_REQUEST bytes. What is no request is counted and not answered. A message of
 *          endless frames is held by ZeroMQ until it ends: who may connect may also fill the memory; it is this user's own.
 */
#ifndef FTLI_RUNTIME_BRIDGE_RESPONDER_H
#define FTLI_RUNTIME_BRIDGE_RESPONDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftli_responder;

struct ftli_responder_options {
    const char *path;    /* of the socket; NULL: in this user's home, under the two that follow */
    const char *runtime; /* its name */
    unsigned number;     /* of it, in this process */
    /* Answers on the responder's thread: text through write, which answers nonzero when nobody wants more; the status; and if that
     * is not FTL_OK, why. */
    int (*answer)(void *user, const char *request, int (*write)(const char *, size_t, void *), void *to, char *why,
                  size_t why_size);
    bool (*is_ending)(const void *user); /* no more waiting for slow readers; may be NULL */
    void *user;
};

struct ftli_responder_figures {
    uint64_t answered, refused; /* requests, and what was none */
    uint64_t given_up;          /* answers of which the end was not taken */
    uint64_t sessions;          /* how often there was ZeroMQ */
};

/* FTL_OK; FTL_EINVAL: no such place; FTL_EBUSY: another runtime has it; FTL_ENOMEM; FTL_EDEVICE: the system refused. Why is in why. */
int ftli_responder_open(const struct ftli_responder_options *, struct ftli_responder **out, char *why, size_t why_size);
const char *ftli_responder_path(const struct ftli_responder *);
void ftli_responder_read(const struct ftli_responder *, struct ftli_responder_figures *out); /* any thread */
/* An answer that is under way is cut short. NULL: nothing happens. */
void ftli_responder_close(struct ftli_responder *);

#endif
