/* What ZeroMQ and the system may refuse to the publisher and the subscriber: a status, a reason, and nothing left behind. */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <fettle/fettle.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "runtime/bridge/publisher.h"
#include "tests/support/zeromq.h"
#include "runtime/bridge/subscriber.h"

/* The library's own calls come here, ZeroMQ's own do not. */
static int context_fails, socket_fails, connect_fails, poll_fails, receive_fails, unshare_fails, send_fails;

#define REAL(type, name) ((type)(uintptr_t)dlsym(RTLD_NEXT, name))

void *zmq_ctx_new(void)
{
    return context_fails ? (errno = ENOMEM, NULL) : REAL(void *(*)(void), "zmq_ctx_new")();
}

void *zmq_socket(void *context, int type)
{
    return socket_fails ? (errno = EMFILE, NULL) : REAL(void *(*)(void *, int), "zmq_socket")(context, type);
}

int zmq_connect(void *socket, const char *address)
{
    if (connect_fails)
        return errno = EINVAL, -1;
    return REAL(int (*)(void *, const char *), "zmq_connect")(socket, address);
}

int zmq_poll(zmq_pollitem_t *items, int count, long timeout_ms)
{
    if (poll_fails > 0) { /* interrupted a few times; then broken, or ready where there is nothing */
        errno = --poll_fails > 0 ? EINTR : ETERM;
        return receive_fails ? 1 : -1;
    }
    return REAL(int (*)(zmq_pollitem_t *, int, long), "zmq_poll")(items, count, timeout_ms);
}

int zmq_recv(void *socket, void *into, size_t bytes, int flags)
{
    if (receive_fails > 0) {
        errno = --receive_fails > 1 ? EINTR : receive_fails > 0 ? EAGAIN : ETERM;
        return -1;
    }
    return REAL(int (*)(void *, void *, size_t, int), "zmq_recv")(socket, into, bytes, flags);
}

int zmq_send(void *socket, const void *bytes, size_t count, int flags)
{
    if (send_fails > 0)
        return errno = --send_fails > 0 ? EINTR : ETERM, -1;
    return REAL(int (*)(void *, const void *, size_t, int), "zmq_send")(socket, bytes, count, flags);
}

int unshare(int flags)
{
    if (unshare_fails)
        return errno = EPERM, -1;
    return REAL(int (*)(int), "unshare")(flags);
}

static char directory[64], endpoint[160], why[256];

static void set_up(void)
{
    snprintf(directory, sizeof directory, "/tmp/fettle-bridge-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(endpoint, sizeof endpoint, "ipc://%s/socket", directory);
}

static void must_not_open(int status, const char *because)
{
    struct ftli_publisher *publisher = NULL;
    why[0] = '\0';
    cr_assert_eq(ftli_publisher_open(endpoint, &publisher, why, sizeof why), status, "%s", why);
    cr_assert_null(publisher);
    cr_assert_not_null(strstr(why, because), "wanted \"%s\": %s", because, why);
}

TestSuite(bridge_refused, .init = set_up);

Test(bridge_refused, a_publisher_that_gets_no_socket)
{
    context_fails = 1;
    must_not_open(FTL_ENOMEM, "no socket");
    context_fails = 0;
    socket_fails = 1;
    must_not_open(FTL_EDEVICE, "no socket");
    socket_fails = 0;
    unshare_fails = 1;
    must_not_open(FTL_EDEVICE, "cannot be bound");
    unshare_fails = 0;
    cr_assert_eq(chmod(directory, 0777), 0);
    must_not_open(FTL_EINVAL, "anybody may replace files there");
    cr_assert_eq(chmod(directory, 0700), 0);
    struct ftli_publisher *publisher;
    cr_assert_eq(ftli_publisher_open(endpoint, &publisher, why, sizeof why), FTL_OK, "%s", why);
    ftli_publisher_close(publisher);
    ftli_publisher_close(NULL);
    cr_assert_eq(rmdir(directory), 0, "something was left in %s", directory);
}

Test(bridge_refused, a_send_that_is_interrupted_or_broken)
{
    struct ftli_publisher *publisher;
    cr_assert_eq(ftli_publisher_open(endpoint, &publisher, why, sizeof why), FTL_OK, "%s", why);
    send_fails = 4; /* three times interrupted, then broken */
    cr_assert_eq(ftli_publisher_send(publisher, "stats", "{}", 2), FTL_EDEVICE);
    cr_assert_eq(send_fails, 0);
    cr_assert_eq(ftli_publisher_send(publisher, "stats", "{}", 2), FTL_OK);
    ftli_publisher_close(publisher);
    cr_assert_eq(rmdir(directory), 0);
}

Test(bridge_refused, a_subscriber_that_gets_no_socket)
{
    struct ftli_subscriber *subscriber = NULL;
    context_fails = 1;
    cr_assert_eq(ftli_subscriber_open(endpoint, "stats", &subscriber, why, sizeof why), FTL_EDEVICE);
    context_fails = 0;
    socket_fails = 1;
    cr_assert_eq(ftli_subscriber_open(endpoint, "stats", &subscriber, why, sizeof why), FTL_EDEVICE);
    socket_fails = 0;
    connect_fails = 1;
    cr_assert_eq(ftli_subscriber_open(endpoint, "stats", &subscriber, why, sizeof why), FTL_EDEVICE);
    cr_assert_neq(why[0], '\0');
    connect_fails = 0;
    cr_assert_null(subscriber);
    cr_assert_eq(rmdir(directory), 0);
}

Test(bridge_refused, a_receive_that_is_interrupted_or_broken)
{
    struct ftli_subscriber *subscriber;
    struct ftli_subscribed message;
    cr_assert_eq(ftli_subscriber_open(endpoint, "stats", &subscriber, why, sizeof why), FTL_OK, "%s", why);
    poll_fails = 3;
    cr_assert_eq(ftli_subscriber_receive(subscriber, UINT64_C(1000000000), &message, why, sizeof why), FTL_EDEVICE);
    cr_assert_eq(poll_fails, 0, "it gave up at an interruption");
    poll_fails = 4; /* ready each time: interrupted, nothing there after all, and then broken */
    receive_fails = 4;
    cr_assert_eq(ftli_subscriber_receive(subscriber, UINT64_C(1000000000), &message, why, sizeof why), FTL_EDEVICE);
    cr_assert_eq(receive_fails, 0);
    poll_fails = 0;
    cr_assert_eq(ftli_subscriber_receive(subscriber, 1, &message, why, sizeof why), FTL_ETIMEDOUT);
    ftli_subscriber_close(subscriber);
    ftli_subscriber_close(NULL);
    cr_assert_eq(rmdir(directory), 0);
}
