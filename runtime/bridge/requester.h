/* Asks a runtime, in this process or another, and takes its answer. With responder.h the one place that knows ZeroMQ.
 *
 * What     One request, one answer, whose parts arrive in order and whole, or it is none. Whatever else arrives is passed over.
 * Owns     The connection, until close.
 * Threads  One at a time.
 */
#ifndef FTLI_RUNTIME_BRIDGE_REQUESTER_H
#define FTLI_RUNTIME_BRIDGE_REQUESTER_H

#include <stddef.h>
#include <stdint.h>

struct ftli_requester;

/* path: of the socket. FTL_OK: somebody listens there; FTL_ECLOSED: nobody (any more); FTL_EINVAL: there is no such socket; FTL_EDEVICE:
 * it belongs to another user, or the system refused; FTL_ENOMEM. Why is in why. */
int ftli_requester_open(const char *path, struct ftli_requester **out, char *why, size_t why_size);

/* The answer's text goes out through write, as it comes; nonzero of it: no more is wanted, and FTL_OK. Else what the runtime answered, and
 * in why its sentence. FTL_ETIMEDOUT: it was silent for silence_ns; FTL_ECLOSED: it has ended meanwhile; FTL_EDEVICE: a part is missing;
 * *reached is set to 0 with these three, else to 1. */
int ftli_requester_ask(struct ftli_requester *, const char *request, uint64_t silence_ns,
                       int (*write)(const char *text, size_t n, void *user), void *user, int *reached, char *why,
                       size_t why_size);

void ftli_requester_close(struct ftli_requester *);

#endif
