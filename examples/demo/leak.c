/* Act 3: four threads serve sessions, and one session forgets 20 tensors of 256 KiB: an export retained them, and never dropped
 * them. Beside them is much that looks like it: a cache, a session that stays open, results that live on for a while. */
#include "examples/demo/acts.h"
#include "examples/demo/print.h"

#include <fettle/fettle.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SERVERS = 4, SESSIONS = 40, REQUESTS = 60, FORGETFUL = 17, FORGOTTEN = 20, LINGER = 8 };
enum { KV_BYTES = 256 * 1024 };
static const char kv_label[] = "kv";

struct leak_act {
    ftl_runtime *runtime;
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool heard;                  /* lock, and so the rest */
    uint64_t ended_ns, heard_ns; /* the forgetful session; the first event */
    const char *site;            /* where the forgotten ones were made */
    char why[256];
};

struct server {
    struct leak_act *act;
    unsigned number;
    pthread_t thread;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void hear(const ftl_event *event, void *user)
{
    struct leak_act *act = user;
    (void)event;
    pthread_mutex_lock(&act->lock);
    if (!act->heard) {
        act->heard = true;
        act->heard_ns = now_ns();
    }
    pthread_mutex_unlock(&act->lock);
    pthread_cond_signal(&act->told);
}

static int make(ftl_runtime *runtime, ftl_scope scope, size_t bytes, const char *label, const char *site,
                ftl_tensor *out)
{
    ftl_tensor_options options = {.scope = scope, .label = label, .site = site};
    int status = ftl_bytes_new(runtime, bytes, &options, out);
    if (status == FTL_OK) {
        memset(ftl_tensor_data(*out), 1, 64);
    }
    return status;
}

/* A request: three tensors that end with its scope, and a result that its caller has for some requests more. */
static int serve_request(ftl_runtime *runtime, ftl_scope session, ftl_tensor *result)
{
    static const char *const labels[] = {"hidden", "logits", "mask"};
    ftl_scope_options options = {.label = "request", .parent = session};
    ftl_scope request;
    ftl_tensor tensor;
    int status = ftl_scope_open(runtime, &options, &request);
    for (unsigned i = 0; status == FTL_OK && i < 3; i++) {
        status = make(runtime, request, (size_t)4096 << i, labels[i], FTL_HERE, &tensor);
    }
    ftl_tensor_drop(*result);
    *result = (ftl_tensor){0};
    if (status == FTL_OK) {
        status = make(runtime, request, 16384, "result", FTL_HERE, result);
    }
    if (status == FTL_OK) {
        status = ftl_scope_keep(request, *result);
    }
    if (status == FTL_OK) {
        ftl_scope_end(request, NULL);
    }
    return status;
}

static int serve_session(struct leak_act *act, bool forgets, ftl_tensor *results)
{
    ftl_scope session;
    int status = ftl_scope_begin(act->runtime, "session", &session);
    for (unsigned i = 0; status == FTL_OK && i < FORGOTTEN; i++) {
        ftl_tensor kv;
        const char *site = FTL_HERE;
        status = make(act->runtime, session, KV_BYTES, kv_label, site, &kv);
        if (status == FTL_OK && forgets) {
            status = ftl_tensor_retain(kv); /* for an export, which never drops it */
            act->site = site;
        }
    }
    for (unsigned i = 0; status == FTL_OK && i < REQUESTS; i++) {
        status = serve_request(act->runtime, session, &results[i % LINGER]);
    }
    if (status == FTL_OK) {
        ftl_scope_end(session, NULL);
    }
    if (forgets) {
        act->ended_ns = now_ns();
    }
    return status;
}

static void *serve(void *user)
{
    struct server *server = user;
    ftl_tensor results[LINGER] = {{0}};
    int status = FTL_OK;
    for (unsigned i = 0; status == FTL_OK && i < SESSIONS; i++) {
        status = serve_session(server->act, server->number == 1 && i == FORGETFUL, results);
    }
    for (unsigned i = 0; i < LINGER; i++) {
        ftl_tensor_drop(results[i]);
    }
    if (status != FTL_OK) {
        pthread_mutex_lock(&server->act->lock);
        snprintf(server->act->why, sizeof server->act->why, "%s", ftl_last_error());
        pthread_mutex_unlock(&server->act->lock);
    }
    return NULL;
}

/* What looks like a leak and is none: it is there until the end. */
static bool begin_decoys(ftl_runtime *runtime, ftl_scope *cache, ftl_scope *session)
{
    ftl_scope_options options = {.label = "cache", .kind = FTL_SCOPE_CACHE};
    ftl_tensor tensor;
    bool good =
        ftl_scope_open(runtime, &options, cache) == FTL_OK && ftl_scope_begin(runtime, "session", session) == FTL_OK;
    for (unsigned i = 0; good && i < 64; i++) {
        good = make(runtime, i % 2 == 0 ? *cache : *session, 65536, i % 2 == 0 ? "entry" : kv_label, FTL_HERE,
                    &tensor) == FTL_OK;
    }
    return good;
}

static bool wait_for_news(struct leak_act *act)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&act->lock);
    for (int waited = 0; !act->heard && waited == 0;) {
        waited = pthread_cond_timedwait(&act->told, &act->lock, &until);
    }
    bool heard = act->heard;
    pthread_mutex_unlock(&act->lock);
    return heard;
}

static bool report(const struct leak_act *act, bool heard, const ftl_leak_report *leaks)
{
    uint64_t found = 0, false_alarms = 0;
    const ftl_leak *row = NULL;
    char line[256];
    for (size_t i = 0; i < leaks->count; i++) {
        const ftl_leak *leak = &leaks->leaks[i];
        bool right = leak->cause == FTL_LEAK_OUTLIVED_SCOPE && strcmp(leak->site, act->site) == 0;
        found += right ? leak->count : 0;
        false_alarms += right ? 0 : leak->count;
        row = right ? leak : row;
    }
    uint64_t took_ns = act->heard_ns > act->ended_ns ? act->heard_ns - act->ended_ns : 0;
    snprintf(line, sizeof line,
             "         found %" PRIu64 " of %d, false alarms %" PRIu64 ", %s after the session ended, among %s tensors",
             found, FORGOTTEN, false_alarms, heard ? time_text(took_ns).text : "NOT", count_text(leaks->scanned).text);
    bool good = heard && found == FORGOTTEN && false_alarms == 0;
    print_line(line, good, "named", "WRONG");
    if (row != NULL) {
        printf("         %s  \"%s\"  %s  outlived scope \"%s\"\n", mib_text(row->bytes).text, row->label, row->site,
               row->scope);
    }
    return good;
}

static bool play(struct leak_act *act)
{
    struct server servers[SERVERS];
    ftl_scope cache, session;
    ftl_leak_report *leaks;
    if (!begin_decoys(act->runtime, &cache, &session)) {
        snprintf(act->why, sizeof act->why, "%s", ftl_last_error());
        return false;
    }
    unsigned begun = 0;
    for (; begun < SERVERS; begun++) {
        servers[begun] = (struct server){.act = act, .number = begun};
        if (pthread_create(&servers[begun].thread, NULL, serve, &servers[begun]) != 0) {
            snprintf(act->why, sizeof act->why, "no thread");
            break;
        }
    }
    while (begun > 0) {
        pthread_join(servers[--begun].thread, NULL);
    }
    if (act->why[0] != '\0') {
        return false;
    }
    bool heard = wait_for_news(act);
    if (ftl_leak_scan(act->runtime, NULL, &leaks) != FTL_OK) {
        snprintf(act->why, sizeof act->why, "%s", ftl_last_error());
        return false;
    }
    bool good = report(act, heard, leaks);
    ftl_leak_report_free(leaks);
    ftl_scope_end(session, NULL);
    ftl_scope_end(cache, NULL);
    return good;
}

bool act_leak(uint64_t tensors, struct seen *seen)
{
    struct leak_act act = {.lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};
    ftl_open_options options = {.on_event = hear, .on_event_user = &act, .on_event_kinds = FTL_EVENT_LEAK};
    ftl_close_report closing;
    (void)tensors, (void)seen;
    printf("3 leak   a session forgets %d tensors of 256 KiB, among %d that do not\n", FORGOTTEN,
           SERVERS * SESSIONS - 1);
    if (ftl_runtime_open_with(&options, &act.runtime) != FTL_OK) {
        printf("3 leak   %s\n", ftl_last_error());
        return false;
    }
    bool good = play(&act);
    if (act.why[0] != '\0') {
        printf("3 leak   %s\n", act.why);
    }
    if (ftl_runtime_close(act.runtime, &closing) == FTL_OK) {
        ftl_leak_report_free(closing.leaks);
    }
    return good;
}
