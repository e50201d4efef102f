#include "runtime/bridge/foreign.h"
#include "tests/support/zeromq.h"
#include "runtime/bridge/frame.h"
#include "runtime/bridge/publisher.h"
#include "runtime/bridge/subscriber.h"

#include <criterion/criterion.h>
#include <fettle/fettle.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#define SECOND UINT64_C(1000000000)

static char directory[64], path[80], endpoint[160], why[256];

static void set_up(void)
{
    snprintf(directory, sizeof directory, "/tmp/fettle-bridge-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/socket", directory);
    snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
}

/* At the end of each test, not in .fini: an assertion that fails there fails nothing. */
static void tear_down(void)
{
    cr_assert_eq(rmdir(directory), 0, "something was left in %s", directory);
}

TestSuite(bridge, .init = set_up);

/* A subscription takes a moment to arrive, and what is sent before is nobody's: sends until the first is heard. */
static void meet(struct ftli_publisher *publisher, struct ftli_subscriber *subscriber, struct ftli_subscribed *message)
{
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(ftli_publisher_send(publisher, "stats", "{}", 2), FTL_OK);
        if (ftli_subscriber_receive(subscriber, SECOND / 100, message, why, sizeof why) == FTL_OK) {
            break;
        }
    }
    cr_assert_neq(message->sequence, 0, "never met");
    struct ftli_subscribed late;
    while (ftli_subscriber_receive(subscriber, 0, &late, why, sizeof why) == FTL_OK) {
        *message = late;
    }
}

Test(bridge, what_is_sent_is_heard)
{
    struct ftli_publisher *publisher = NULL;
    struct ftli_subscriber *subscriber = NULL;
    struct ftli_subscribed message = {0};
    cr_assert_eq(ftli_publisher_open(endpoint, &publisher, why, sizeof why), FTL_OK, "%s", why);
    cr_assert_eq(ftli_subscriber_open(endpoint, "stats", &subscriber, why, sizeof why), FTL_OK, "%s", why);
    meet(publisher, subscriber, &message);
    uint64_t last = message.sequence;
    for (unsigned i = 0; i < 20; i++) {
        char body[64];
        int length = snprintf(body, sizeof body, "{\"live\": %u}", i);
        cr_assert_eq(ftli_publisher_send(publisher, "other", body, (size_t)length), FTL_OK);
        cr_assert_eq(ftli_publisher_send(publisher, "stats", body, (size_t)length), FTL_OK);
        cr_assert_eq(ftli_subscriber_receive(subscriber, 5 * SECOND, &message, why, sizeof why), FTL_OK, "%s", why);
        cr_assert_str_eq(message.body, body);
        cr_assert_eq(message.sequence, last + 2);
        cr_assert_eq(message.lost, 1, "the sequence is the publisher's, so a topic that is not heard leaves gaps");
        cr_assert_eq(message.refused, 0);
        last = message.sequence;
    }
    ftli_subscriber_close(subscriber);
    ftli_publisher_close(publisher);
    cr_assert_neq(access(path, F_OK), 0, "the socket's file is still there");
    tear_down();
}

Test(bridge, modes_and_directory)
{
    struct stat status;
    struct ftli_publisher *publisher = NULL;
    char deep[256];
    umask(0);
    snprintf(deep, sizeof deep, "ipc://%s/made/socket", directory);
    cr_assert_eq(ftli_publisher_open(deep, &publisher, why, sizeof why), FTL_OK, "%s", why);
    cr_assert_eq(umask(0), 0, "the process's umask was touched");
    snprintf(deep, sizeof deep, "%s/made", directory);
    cr_assert_eq(stat(deep, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0700);
    snprintf(deep, sizeof deep, "%s/made/socket", directory);
    cr_assert_eq(stat(deep, &status), 0);
    cr_assert(S_ISSOCK(status.st_mode));
    cr_assert_eq(status.st_mode & 0077, 0);
    ftli_publisher_close(publisher);
    snprintf(deep, sizeof deep, "%s/made", directory);
    cr_assert_neq(access(deep, F_OK), 0, "the directory is still there");
    tear_down();
}

Test(bridge, the_second_is_refused)
{
    struct ftli_publisher *first = NULL, *second = NULL;
    struct ftli_subscriber *subscriber = NULL;
    struct ftli_subscribed message = {0};
    cr_assert_eq(ftli_publisher_open(endpoint, &first, why, sizeof why), FTL_OK, "%s", why);
    cr_assert_eq(ftli_publisher_open(endpoint, &second, why, sizeof why), FTL_EBUSY);
    cr_assert_not_null(strstr(why, "another runtime has it"), "%s", why);
    cr_assert_null(second);
    cr_assert_eq(ftli_subscriber_open(endpoint, "stats", &subscriber, why, sizeof why), FTL_OK);
    meet(first, subscriber, &message); /* it still has its listeners */
    ftli_subscriber_close(subscriber);
    ftli_publisher_close(first);
    cr_assert_eq(ftli_publisher_open(endpoint, &second, why, sizeof why), FTL_OK, "%s", why);
    ftli_publisher_close(second);
    tear_down();
}

/* What a killed process left behind is in nobody's way. */
Test(bridge, after_a_crash)
{
    struct ftli_publisher *publisher = NULL;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char lock[160];
    int left = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    cr_assert_eq(bind(left, (struct sockaddr *)&address, sizeof address), 0);
    close(left);
    snprintf(lock, sizeof lock, "%s.lock", path);
    close(open(lock, O_CREAT | O_RDWR, 0600));
    cr_assert_eq(ftli_publisher_open(endpoint, &publisher, why, sizeof why), FTL_OK, "%s", why);
    ftli_publisher_close(publisher);
    tear_down();
}

Test(bridge, in_a_forked_child)
{
    struct ftli_publisher *publisher = NULL;
    cr_assert_eq(ftli_publisher_open(endpoint, &publisher, why, sizeof why), FTL_OK, "%s", why);
    pid_t child = fork();
    if (child == 0) {
        int sent = ftli_publisher_send(publisher, "stats", "{}", 2);
        ftli_publisher_close(publisher);
        _exit(sent == FTL_ENOTSUP ? 0 : 1);
    }
    int status = 1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert_eq(access(path, F_OK), 0, "the child took the parent's socket away");
    cr_assert_eq(ftli_publisher_send(publisher, "stats", "{}", 2), FTL_OK);
    ftli_publisher_close(publisher);
    tear_down();
}

Test(bridge, a_file_in_the_way_is_kept)
{
    struct ftli_publisher *publisher = NULL;
    FILE *file = fopen(path, "w");
    fputs("precious", file);
    fclose(file);
    cr_assert_eq(ftli_publisher_open(endpoint, &publisher, why, sizeof why), FTL_EINVAL);
    cr_assert_not_null(strstr(why, "is no socket"), "%s", why);
    cr_assert_eq(unlink(path), 0);
    tear_down();
}

Test(bridge, bad_endpoints)
{
    static const struct {
        const char *endpoint;
        int status;
        const char *words;
    } cases[] = {
        {"tcp://127.0.0.1:5555", FTL_ENOTSUP, "tcp:// is not in this version"},
        {"inproc://x", FTL_EINVAL, "is no endpoint"},
        {"", FTL_EINVAL, "is no endpoint"},
        {"/tmp/x", FTL_EINVAL, "is no endpoint"},
        {"ipc://", FTL_EINVAL, "must begin with /"},
        {"ipc://@abstract", FTL_EINVAL, "must begin with /"},
        {"ipc:///tmp/", FTL_EINVAL, "names a directory"},
        {"ipc:///nowhere/at/all", FTL_EINVAL, "cannot be made"},
        {"ipc:///dev/null/socket", FTL_EINVAL, "needs a directory"},
        {"ipc:///tmp/"
         "a-path-that-is-longer-than-the-address-of-a-socket-can-hold-in-any-unix-that-i-know-of-today-or-ever-knew",
         FTL_EINVAL, "at most 107"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ftli_publisher *publisher = NULL;
        cr_assert_eq(ftli_publisher_open(cases[i].endpoint, &publisher, why, sizeof why), cases[i].status, "%s: %s",
                     cases[i].endpoint, why);
        cr_assert_not_null(strstr(why, cases[i].words), "%s: %s", cases[i].endpoint, why);
        cr_assert_null(publisher);
    }
    struct ftli_subscriber *subscriber = NULL;
    cr_assert_eq(ftli_subscriber_open("tcp://127.0.0.1:1", "stats", &subscriber, why, sizeof why), FTL_ENOTSUP);
    cr_assert_eq(ftli_subscriber_open("nothing", "stats", &subscriber, why, sizeof why), FTL_EINVAL);
    cr_assert_eq(ftli_subscriber_open(endpoint, "", &subscriber, why, sizeof why), FTL_EINVAL);
    cr_assert_null(subscriber);
    tear_down();
}

Test(bridge, bad_messages_are_not_sent)
{
    struct ftli_publisher *publisher = NULL;
    cr_assert_eq(ftli_publisher_open(endpoint, &publisher, why, sizeof why), FTL_OK, "%s", why);
    cr_assert_eq(ftli_publisher_send(publisher, "", "{}", 2), FTL_EINVAL);
    cr_assert_eq(ftli_publisher_send(publisher, "a-topic-of-more-than-31-characters", "{}", 2), FTL_EINVAL);
    cr_assert_eq(ftli_publisher_send(publisher, "stats", "{}", FTLI_FRAME_MAX_BODY + 1), FTL_EINVAL);
    ftli_publisher_close(publisher);
    tear_down();
}

Test(bridge, nobody_there)
{
    struct ftli_subscriber *subscriber = NULL;
    struct ftli_subscribed message = {.sequence = 77};
    cr_assert_eq(ftli_subscriber_open(endpoint, "stats", &subscriber, why, sizeof why), FTL_OK, "%s", why);
    cr_assert_eq(ftli_subscriber_receive(subscriber, SECOND / 50, &message, why, sizeof why), FTL_ETIMEDOUT);
    cr_assert_eq(message.sequence, 77);
    ftli_subscriber_close(subscriber);
    tear_down();
}

static void send_raw(void *socket, unsigned count, const char *const *frames, const size_t *sizes)
{
    ftli_foreign_enter();
    for (unsigned i = 0; i < count; i++) {
        cr_assert_geq(zmq_send(socket, frames[i], sizes[i], i + 1 < count ? ZMQ_SNDMORE : 0), 0);
    }
    ftli_foreign_leave();
}

/* A publisher that is none of ours, or means harm: nothing of it is taken, and the good message after it is. */
Test(bridge, hostile_frames)
{
    static const char good[] = "\1\0\0\0\5\0\0\0\0\0\0\0", newer[] = "\2\0\0\0\5\0\0\0\0\0\0\0",
                      zero[] = "\1\0\0\0\0\0\0\0\0\0\0\0";
    static const struct {
        unsigned count;
        const char *frames[5];
        size_t sizes[5];
        int status;
        const char *words;
    } cases[] = {
        {1, {"stats"}, {5}, FTL_EINVAL, "of 1 frames"},
        {2, {"stats", good}, {5, 12}, FTL_EINVAL, "of 2 frames"},
        {4, {"stats", good, "{}", "more"}, {5, 12, 2, 4}, FTL_EINVAL, "or more frames"},
        {5, {"stats", good, "{}", "", "more"}, {5, 12, 2, 0, 4}, FTL_EINVAL, "or more frames"},
        {3, {"stats", "", ""}, {5, 0, 0}, FTL_EINVAL, "a header of 0 bytes"},
        {3, {"stats", good, ""}, {5, 12, 0}, FTL_EINVAL, "without a body"},
        {3, {"stats", good, "{}"}, {5, 11, 2}, FTL_EINVAL, "a header of 11 bytes"},
        {3, {"stats", "thirteen byte", "{}"}, {5, 13, 2}, FTL_EINVAL, "a header of 13 bytes"},
        {3, {"stats", newer, "{}"}, {5, 12, 2}, FTL_ENOTSUP, "version 2"},
        {3, {"stats", zero, "{}"}, {5, 12, 2}, FTL_EINVAL, "number 0"},
        {3, {"statsistics", good, "{}"}, {11, 12, 2}, FTL_EINVAL, "another topic"},
        {3, {"stats-and-a-topic-of-more-than-31-characters", good, "{}"}, {44, 12, 2}, FTL_EINVAL, "another topic"},
    };
    ftli_foreign_enter();
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_XPUB);
    struct ftli_subscriber *subscriber = NULL;
    struct ftli_subscribed message;
    char joined[64];
    cr_assert_eq(zmq_bind(socket, endpoint), 0);
    ftli_foreign_leave();
    cr_assert_eq(ftli_subscriber_open(endpoint, "stats", &subscriber, why, sizeof why), FTL_OK, "%s", why);
    cr_assert_geq(zmq_recv(socket, joined, sizeof joined, 0), 6, "its subscription");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        send_raw(socket, cases[i].count, cases[i].frames, cases[i].sizes);
        send_raw(socket, 3, (const char *const[]){"stats", good, "{\"good\": 1}"}, (const size_t[]){5, 12, 11});
        cr_assert_eq(ftli_subscriber_receive(subscriber, 5 * SECOND, &message, why, sizeof why), cases[i].status,
                     "case %zu: %s", i, why);
        cr_assert_not_null(strstr(why, cases[i].words), "case %zu: %s", i, why);
        cr_assert_eq(ftli_subscriber_receive(subscriber, 5 * SECOND, &message, why, sizeof why), FTL_OK, "%s", why);
        cr_assert_str_eq(message.body, "{\"good\": 1}");
        cr_assert_eq(message.refused, i + 1);
    }
    ftli_subscriber_close(subscriber);
    zmq_close(socket);
    zmq_ctx_term(context);
    unlink(path);
    tear_down();
}

Test(bridge, a_body_of_any_bytes)
{
    struct ftli_publisher *publisher = NULL;
    struct ftli_subscriber *subscriber = NULL;
    struct ftli_subscribed message = {0};
    char *body = malloc(FTLI_FRAME_MAX_BODY);
    for (size_t i = 0; i < FTLI_FRAME_MAX_BODY; i++) {
        body[i] = (char)(i * 31);
    }
    cr_assert_eq(ftli_publisher_open(endpoint, &publisher, why, sizeof why), FTL_OK, "%s", why);
    cr_assert_eq(ftli_subscriber_open(endpoint, "stats", &subscriber, why, sizeof why), FTL_OK, "%s", why);
    meet(publisher, subscriber, &message);
    cr_assert_eq(ftli_publisher_send(publisher, "stats", body, FTLI_FRAME_MAX_BODY), FTL_OK);
    cr_assert_eq(ftli_subscriber_receive(subscriber, 5 * SECOND, &message, why, sizeof why), FTL_OK, "%s", why);
    cr_assert_eq(message.body_bytes, FTLI_FRAME_MAX_BODY);
    cr_assert_eq(memcmp(message.body, body, FTLI_FRAME_MAX_BODY), 0);
    ftli_subscriber_close(subscriber);
    ftli_publisher_close(publisher);
    free(body);
    tear_down();
}
