/* Hears the messages of one topic at an ipc endpoint. With publisher.h the one place that knows ZeroMQ.
 *
 * What     Connects, waits with a time limit, and hands out what has three frames, a known version and a bounded size.
 *          Whatever else arrives is refused, counted, and does no harm.
 * Owns     The socket and the last message, until the next receive or close.
 * Threads  One at a time.
 */
#ifndef FTLI_RUNTIME_BRIDGE_SUBSCRIBER_H
#define FTLI_RUNTIME_BRIDGE_SUBSCRIBER_H

#include <stddef.h>
#include <stdint.h>

struct ftli_subscriber;

struct ftli_subscribed {
    const char *body; /* not text by itself: body_bytes of them, and a zero behind; good until the next receive */
    size_t body_bytes;
    uint64_t sequence;
    uint64_t lost;    /* messages between this one and the last, which never arrived */
    uint64_t refused; /* messages refused so far */
};

/* FTL_OK; FTL_EINVAL or FTL_ENOTSUP: the endpoint or the topic; FTL_ENOMEM; FTL_EDEVICE. Nobody needs to be there yet. */
int ftli_subscriber_open(const char *endpoint, const char *topic, struct ftli_subscriber **out, char *why,
                         size_t why_size);

/* Waits up to timeout_ns. FTL_OK, or FTL_ETIMEDOUT; FTL_ENOTSUP: a message of an unknown version; FTL_EINVAL: one with a
 * wrong count of frames, or a header or topic that is none; after these two the next receive goes on. FTL_EDEVICE. */
int ftli_subscriber_receive(struct ftli_subscriber *subscriber, uint64_t timeout_ns, struct ftli_subscribed *out,
                            char *why, size_t why_size);

void ftli_subscriber_close(struct ftli_subscriber *subscriber);

#endif
