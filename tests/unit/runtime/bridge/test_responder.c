/* The responder and the requester, over real sockets: whole answers, what is no request, floods, readers that do not read, and
 * nothing left behind. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fettle/fettle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "runtime/base/atomics.h"
#include "runtime/bridge/exchange.h"
#include "runtime/bridge/place.h"
#include "runtime/bridge/requester.h"
#include "runtime/bridge/responder.h"
#include "tests/support/zeromq.h"

#define SECOND UINT64_C(1000000000)

static char folder[64], path[100], why[600];
static struct ftli_responder *responder;
static ftli_atomic_u32 ending;

/* "say N": N bytes, the k-th of which is 'a' + k % 26; "fail": an error; all else comes back as it is. */
static int answer(void *user, const char *request, int (*write)(const char *, size_t, void *), void *to, char *text,
                  size_t text_size)
{
    (void)user;
    if (strcmp(request, "fail") == 0) {
        (void)write("half", 4, to);
        (void)snprintf(text, text_size, "it went wrong");
        return FTL_EBUSY;
    }
    if (strncmp(request, "say ", 4) != 0)
        return (void)write(request, strlen(request), to), FTL_OK;
    char some[1000];
    for (size_t n = (size_t)strtoul(request + 4, NULL, 10), k = 0; n > 0;) {
        size_t more = n < sizeof some ? n : sizeof some;
        for (size_t i = 0; i < more; i++, k++)
            some[i] = (char)('a' + k % 26);
        if (write(some, more, to) != 0)
            return FTL_OK;
        n -= more;
    }
    return FTL_OK;
}

static bool is_ending(const void *user)
{
    (void)user;
    return ftli_u32_load_acquire(&ending) != 0;
}

static int open_at(const char *where, struct ftli_responder **out)
{
    const struct ftli_responder_options options = {
        .path = where, .runtime = "test", .number = 7, .answer = answer, .is_ending = is_ending};
    return ftli_responder_open(&options, out, why, sizeof why);
}

static void begin(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/fettle-responder-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    cr_assert_eq(open_at(path, &responder), FTL_OK, "%s", why);
}

static void end(void)
{
    ftli_responder_close(responder);
    cr_assert_eq(rmdir(folder), 0, "something is left in %s", folder);
}

TestSuite(responder, .init = begin, .fini = end, .timeout = 120);

struct got {
    size_t bytes;
    bool wrong; /* a byte is not what "say" says */
    char text[200];
};

static int take(const char *text, size_t n, void *user)
{
    struct got *got = user;
    for (size_t i = 0; i < n; i++, got->bytes++) {
        got->wrong = got->wrong || text[i] != (char)('a' + got->bytes % 26);
        if (got->bytes < sizeof got->text - 1)
            got->text[got->bytes] = text[i];
    }
    return 0;
}

static struct ftli_requester *connect_to(void)
{
    struct ftli_requester *requester;
    cr_assert_eq(ftli_requester_open(path, &requester, why, sizeof why), FTL_OK, "%s", why);
    return requester;
}

static int ask(struct ftli_requester *requester, const char *request, struct got *got)
{
    int reached;
    memset(got, 0, sizeof *got);
    int status = ftli_requester_ask(requester, request, 60 * SECOND, take, got, &reached, why, sizeof why);
    cr_assert_eq(reached, 1, "%s", why);
    return status;
}

static void expect_alive(void)
{
    struct got got;
    struct ftli_requester *requester = connect_to();
    cr_assert_eq(ask(requester, "hello", &got), FTL_OK, "%s", why);
    cr_assert_str_eq(got.text, "hello");
    ftli_requester_close(requester);
}

static unsigned count(const char *what)
{
    unsigned n = 0;
    DIR *directory = opendir(what);
    while (readdir(directory) != NULL)
        n++;
    return (void)closedir(directory), n;
}

Test(responder, answers_come_whole_in_their_order_and_with_what_went_wrong)
{
    static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 3000000};
    struct got got;
    struct ftli_requester *one = connect_to(), *two = connect_to();
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char request[40];
        (void)snprintf(request, sizeof request, "say %zu", sizes[i]);
        cr_assert_eq(ask(i % 2 == 0 ? one : two, request, &got), FTL_OK, "%s", why);
        cr_assert(got.bytes == sizes[i] && !got.wrong, "%s: %zu", request, got.bytes);
    }
    cr_assert_eq(ask(one, "fail", &got), FTL_EBUSY);
    cr_assert_str_eq(got.text, "half");
    cr_assert_str_eq(why, "it went wrong");
    cr_assert_eq(ask(two, "", &got), FTL_OK);
    ftli_requester_close(one);
    ftli_requester_close(two);
    struct ftli_responder_figures figures;
    ftli_responder_read(responder, &figures);
    cr_assert_eq(figures.answered, 8);
    cr_assert_eq(figures.refused + figures.given_up, 0);
    cr_assert_eq(figures.sessions, 1, "ZeroMQ is there once, and only because somebody asked");
}

Test(responder, who_wants_no_more_is_left_alone)
{
    struct got got;
    struct ftli_requester *requester = connect_to();
    cr_assert_eq(ask(requester, "say 500000", &got), FTL_OK);
    cr_assert_eq(ask(requester, "hello", &got), FTL_OK, "what is left of the first answer is not of the second");
    cr_assert_str_eq(got.text, "hello");
    ftli_requester_close(requester);
}

/* ---- what is no request -------------------------------------------------------------------------------------------- */

struct raw {
    void *context, *socket;
};

static struct raw raw_open(void)
{
    char endpoint[120];
    int none = 0, few = 1;
    struct raw raw = {.context = zmq_ctx_new()};
    raw.socket = zmq_socket(raw.context, ZMQ_DEALER);
    (void)zmq_setsockopt(raw.socket, ZMQ_LINGER, &none, sizeof none);
    (void)zmq_setsockopt(raw.socket, ZMQ_RCVHWM, &few, sizeof few);
    (void)snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
    cr_assert_eq(zmq_connect(raw.socket, endpoint), 0);
    return raw;
}

static void raw_close(struct raw raw)
{
    (void)zmq_close(raw.socket);
    (void)zmq_ctx_term(raw.context);
}

static void raw_send(struct raw raw, struct ftli_exchange_header header, size_t header_bytes, const char *body,
                     size_t bytes, unsigned frames)
{
    unsigned char text[FTLI_EXCHANGE_HEADER_BYTES];
    ftli_exchange_write_header(text, header);
    cr_assert_geq(zmq_send(raw.socket, text, header_bytes, frames > 1 ? ZMQ_SNDMORE : 0), 0);
    for (unsigned i = 1; i < frames; i++)
        cr_assert_geq(zmq_send(raw.socket, body, bytes, i + 1 < frames ? ZMQ_SNDMORE : 0), 0);
}

/* The last part of an answer: its status, or 1: a part that is not the last. */
static int raw_receive(struct raw raw, uint64_t *id)
{
    unsigned char text[FTLI_EXCHANGE_HEADER_BYTES];
    static char body[FTLI_EXCHANGE_MAX_BODY];
    cr_assert_eq(zmq_recv(raw.socket, text, sizeof text, 0), FTLI_EXCHANGE_HEADER_BYTES);
    int n = zmq_recv(raw.socket, body, sizeof body, 0);
    struct ftli_exchange_header header = ftli_exchange_read_header(text);
    cr_assert_eq(header.version, FTLI_EXCHANGE_VERSION);
    *id = header.id;
    if (header.flags != FTLI_EXCHANGE_END)
        return 1;
    cr_assert(header.status == FTL_OK || n > 0, "an error says why");
    return header.status;
}

Test(responder, what_is_no_request_is_refused_and_harms_nobody)
{
    static char longest[FTLI_EXCHANGE_MAX_REQUEST + 2];
    const struct ftli_exchange_header good = {.version = FTLI_EXCHANGE_VERSION, .id = 5},
                                      newer = {.version = 9, .id = 6}, flagged = {.version = 1, .flags = 1, .id = 8};
    struct raw raw = raw_open();
    uint64_t id;
    memset(longest, 'x', sizeof longest);
    raw_send(raw, good, 24, "x", 1, 1); /* no answer to these: a wrong number of frames, a header that is none */
    raw_send(raw, good, 24, "x", 1, 3);
    raw_send(raw, good, 24, "x", 1, 40);
    raw_send(raw, good, 0, "", 0, 2);
    raw_send(raw, good, 23, "stats", 5, 2);
    raw_send(raw, newer, 24, "stats", 5, 2);
    cr_assert_eq(raw_receive(raw, &id), FTL_ENOTSUP);
    cr_assert_eq(id, 6, "the ones before had no answer");
    raw_send(raw, good, 24, longest, sizeof longest, 2);
    cr_assert_eq(raw_receive(raw, &id), FTL_EINVAL);
    raw_send(raw, good, 24, "a\0b", 3, 2);
    cr_assert_eq(raw_receive(raw, &id), FTL_EINVAL);
    raw_send(raw, good, 24, "a\nb", 3, 2);
    cr_assert_eq(raw_receive(raw, &id), FTL_EINVAL);
    raw_send(raw, flagged, 24, "a", 1, 2);
    cr_assert_eq(raw_receive(raw, &id), FTL_EINVAL);
    raw_send(raw, good, 24, longest, FTLI_EXCHANGE_MAX_REQUEST, 2);
    cr_assert_eq(raw_receive(raw, &id), 1, "the longest that is taken");
    cr_assert_eq(raw_receive(raw, &id), FTL_OK);
    raw_close(raw);
    struct ftli_responder_figures figures;
    ftli_responder_read(responder, &figures);
    cr_assert_eq(figures.refused, 10);
    expect_alive();
}

Test(responder, a_frame_without_measure_ends_its_connection_only)
{
    struct raw raw = raw_open();
    char *huge = calloc(1, 1 << 20);
    raw_send(raw, (struct ftli_exchange_header){.version = 1}, 24, huge, 1 << 20, 2);
    expect_alive();
    raw_close(raw);
    free(huge);
}

Test(responder, bytes_that_are_not_zeromq_harm_nobody)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    for (unsigned i = 0; i < 20; i++) {
        char junk[512];
        int plain = socket(AF_UNIX, SOCK_STREAM, 0);
        cr_assert_eq(connect(plain, (const struct sockaddr *)&address, sizeof address), 0);
        memset(junk, (int)(i * 13), sizeof junk);
        (void)send(plain, junk, i * 25, MSG_NOSIGNAL);
        (void)close(plain);
    }
    expect_alive();
}

Test(responder, a_flood_of_requests_that_nobody_reads_holds_up_nobody_for_long)
{
    struct raw flood = raw_open();
    for (unsigned i = 0; i < 3000; i++) {
        unsigned char header[FTLI_EXCHANGE_HEADER_BYTES];
        ftli_exchange_write_header(header, (struct ftli_exchange_header){.version = 1, .id = i});
        if (zmq_send(flood.socket, header, sizeof header, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
            break;
        (void)zmq_send(flood.socket, "say 200", 7, ZMQ_DONTWAIT);
    }
    expect_alive();
    raw_close(flood);
}

Test(responder, a_reader_that_does_not_read_is_given_up)
{
    struct ftli_responder_figures figures;
    struct raw slow = raw_open();
    ftli_u32_store_release(&ending, 1); /* so that it is given up after a tenth of a second and not two */
    raw_send(slow, (struct ftli_exchange_header){.version = 1, .id = 1}, 24, "say 100000000", 13, 2);
    expect_alive();
    do {
        expect_alive();
        ftli_responder_read(responder, &figures);
    } while (figures.given_up == 0);
    raw_send(slow, (struct ftli_exchange_header){.version = 1, .id = 2}, 24, "hello", 5, 2);
    expect_alive();
    raw_close(slow);
}

/* ---- places -------------------------------------------------------------------------------------------------------- */

Test(responder, a_path_is_its_owners_alone)
{
    struct stat status;
    struct ftli_responder *second = NULL;
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert_eq(open_at(path, &second), FTL_EBUSY, "nobody takes it away");
    cr_assert_not_null(strstr(why, "another runtime has it"), "%s", why);
    expect_alive();
    ftli_responder_close(responder);
    cr_assert_eq(ftli_requester_open(path, &(struct ftli_requester *){NULL}, why, sizeof why), FTL_EINVAL);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    cr_assert_eq(open_at(path, &responder), FTL_EINVAL, "what is no socket is not overwritten");
    (void)close(file);
    (void)unlink(path);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    cr_assert_eq(bind(dead, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(dead);
    cr_assert_eq(ftli_requester_open(path, &(struct ftli_requester *){NULL}, why, sizeof why), FTL_ECLOSED, "%s", why);
    cr_assert_eq(open_at(path, &responder), FTL_OK, "what a process that died has left is replaced: %s", why);
    expect_alive();
}

Test(responder, a_home_that_is_not_this_users_alone_is_refused)
{
    char home[100], other[100];
    (void)snprintf(home, sizeof home, "%s/fettle", folder);
    (void)snprintf(other, sizeof other, "%s/other", folder);
    int good = ftli_home_open(home, true, why, sizeof why);
    cr_assert_geq(good, 0, "%s", why);
    (void)close(good);
    for (unsigned mode = 0; mode < 3; mode++) {
        static const mode_t modes[] = {0755, 0770, 0701};
        cr_assert_eq(chmod(home, modes[mode]), 0);
        cr_expect_lt(ftli_home_open(home, true, why, sizeof why), 0, "mode %o", modes[mode]);
    }
    cr_assert_eq(chmod(home, 0700), 0);
    cr_assert_eq(symlink(home, other), 0);
    cr_expect_lt(ftli_home_open(other, true, why, sizeof why), 0, "a link may lead anywhere");
    if (geteuid() == 0) {
        cr_assert_eq(chown(home, 12345, 12345), 0);
        cr_expect_lt(ftli_home_open(home, true, why, sizeof why), 0, "another user made it");
    }
    (void)chmod(folder, 0777);
    cr_assert_eq(chown(home, geteuid(), getegid()), 0);
    cr_expect_lt(ftli_home_open(home, true, why, sizeof why), 0, "anybody could replace it");
    (void)chmod(folder, 0700);
    (void)unlink(other);
    cr_assert_eq(rmdir(home), 0);
}

Test(responder, names_of_sockets)
{
    static const char *const wrong[] = {
        "",      "1",        "1-1",   "1-1-",  "0-1-a",      "1-0-a",  "-1-1-a",
        "1-1-A", "1-4096-a", "x-1-a", "1-x-a", "1-1-a.lock", "01-1-a", "1-1-1234567890123456",
        "lock"};
    struct ftli_home_name name;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_not(ftli_home_read_name(wrong[i], &name), "\"%s\"", wrong[i]);
    cr_assert(ftli_home_read_name("4242-17-my-server", &name));
    cr_assert(name.process == 4242 && name.number == 17);
    cr_assert_str_eq(name.runtime, "my-server");
}

Test(responder, at_home_under_its_own_name_and_the_dead_are_swept)
{
    char home[100], dead[200], own[200];
    struct ftli_responder *at_home;
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    cr_assert_eq(waitpid(gone, NULL, 0), gone);
    cr_assert_eq(setenv("XDG_RUNTIME_DIR", folder, 1), 0);
    (void)snprintf(home, sizeof home, "%s/fettle", folder);
    cr_assert_eq(mkdir(home, 0700), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(dead, sizeof dead, "%s/%ld-1-old", home, (long)gone);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", dead);
    int left = socket(AF_UNIX, SOCK_STREAM, 0);
    cr_assert_eq(bind(left, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(left);
    (void)snprintf(own, sizeof own, "%s/%ld-7-test", home, (long)getpid());
    cr_assert_eq(open_at(NULL, &at_home), FTL_OK, "%s", why);
    cr_assert_str_eq(ftli_responder_path(at_home), own);
    cr_assert_eq(access(dead, F_OK), -1, "it was swept");
    cr_assert_eq(access(own, F_OK), 0);
    ftli_responder_close(at_home);
    cr_assert_eq(access(own, F_OK), -1);
    cr_assert_eq(rmdir(home), 0);
}

/* ---- nothing left -------------------------------------------------------------------------------------------------- */

Test(responder, after_close_no_thread_no_descriptor_no_file)
{
    ftli_responder_close(responder);
    unsigned threads = count("/proc/self/task"), descriptors = count("/proc/self/fd");
    for (unsigned asked = 0; asked < 2; asked++) {
        cr_assert_eq(open_at(path, &responder), FTL_OK, "%s", why);
        cr_assert_leq(count("/proc/self/task"), threads + 1, "one thread until somebody asks");
        if (asked == 1)
            expect_alive();
        ftli_responder_close(responder);
        cr_assert_eq(count("/proc/self/fd"), descriptors);
        for (unsigned looks = 0; count("/proc/self/task") > threads; looks++)
            cr_assert_lt(looks, 1000000, "a thread is left"); /* one that was joined may be seen for a moment */
        cr_assert_eq(access(path, F_OK), -1);
    }
    responder = NULL;
}

Test(responder, a_forked_child_leaves_its_parents_socket_alone)
{
    expect_alive();
    pid_t child = fork();
    if (child == 0) {
        ftli_responder_close(responder);
        _exit(access(path, F_OK) == 0 ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_alive();
}

Test(responder, close_cuts_an_answer_short)
{
    struct raw slow = raw_open();
    raw_send(slow, (struct ftli_exchange_header){.version = 1, .id = 1}, 24, "say 100000000", 13, 2);
    uint64_t id;
    cr_assert_eq(raw_receive(slow, &id), 1, "it has begun");
    ftli_responder_close(responder);
    responder = NULL;
    raw_close(slow);
}
