/* Sends messages to whoever listens at an ipc endpoint. With subscriber.h the one place that knows ZeroMQ.
 *
 * What     Messages of three frames (frame.h) on a PUB socket. Nobody needs to listen. A listener that is slow loses
 *          messages, sees so by the sequence, and never slows the sender.
 * Owns     The socket, its file (mode 0600), the lock file beside it (PATH.lock), and the directory if open had to make it
 *          (mode 0700). close gives all of them back.
 * Threads  One at a time. ZeroMQ keeps two threads of its own, which block every signal and sleep between messages.
 * Fork     Nothing of it works in a child: send answers FTL_ENOTSUP there, close leaves the parent's files alone.
 * Invariants  One publisher a path: a second one, in this process or another, is refused, instead of taking the first one's
 *          listeners away as a bare bind would. A path where something lies that is no socket is refused, not overwritten.
 */
#ifndef FTLI_RUNTIME_BRIDGE_PUBLISHER_H
#define FTLI_RUNTIME_BRIDGE_PUBLISHER_H

#include <stddef.h>

struct ftli_publisher;

/* FTL_OK; FTL_EINVAL: no endpoint, or no such place; FTL_ENOTSUP: tcp://; FTL_EBUSY: somebody publishes there;
 * FTL_ENOMEM; FTL_EDEVICE: the system refused. Whenever it is not FTL_OK, the reason is in why. */
int ftli_publisher_open(const char *endpoint, struct ftli_publisher **out, char *why, size_t why_size);

/* Never waits. FTL_OK says that it was handed over, not that anybody heard. FTL_EINVAL: the topic or the size. */
int ftli_publisher_send(struct ftli_publisher *publisher, const char *topic, const void *bytes, size_t count);

void ftli_publisher_close(struct ftli_publisher *publisher);

#endif
