/* A small tensor server, complete: workers answer requests, a responder sends the answers.
 *
 * What it shows
 *   - weights live in a scope of kind cache: they may stay for ever and are no leak;
 *   - whatever a request makes belongs to the request's scope; a request that fails half-way just returns;
 *   - an answer is kept out of the scope, handed to another thread, and dropped there;
 *   - a scope has a limit, so that one greedy request is refused (FTL_ELIMIT) and the others go on;
 *   - at the end the sums are checked, and close reports what was forgotten: nothing.
 * Threads  4 workers, 1 responder, main. Between them a queue of answers, bounded.
 */
#include <fettle/fettle.h>

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 4, LAYERS = 6, WIDTH = 256, CLASSES = 100, QUEUE = 64 };

struct answer {
    uint64_t request;
    ftl_tensor logits; /* the queue's reference, then the responder's */
};

struct server {
    ftl_runtime *runtime;
    ftl_tensor weights[LAYERS];
    uint64_t requests; /* to come in all */
    _Atomic uint64_t next, answered, failed, refused;
    pthread_mutex_t lock;
    pthread_cond_t room, work;
    struct answer queue[QUEUE]; /* lock, and so the rest */
    uint32_t head, count, workers_left;
    double sum; /* the responder's */
};

/* ---- the queue of answers ------------------------------------------------------------------------------- */

static void send_answer(struct server *server, struct answer answer)
{
    pthread_mutex_lock(&server->lock);
    while (server->count == QUEUE) {
        pthread_cond_wait(&server->room, &server->lock);
    }
    server->queue[(server->head + server->count++) % QUEUE] = answer;
    pthread_mutex_unlock(&server->lock);
    pthread_cond_signal(&server->work);
}

static bool next_answer(struct server *server, struct answer *out)
{
    pthread_mutex_lock(&server->lock);
    while (server->count == 0 && server->workers_left > 0) {
        pthread_cond_wait(&server->work, &server->lock);
    }
    bool there = server->count > 0;
    if (there) {
        *out = server->queue[server->head];
        server->head = (server->head + 1) % QUEUE;
        server->count--;
    }
    pthread_mutex_unlock(&server->lock);
    pthread_cond_signal(&server->room);
    return there;
}

/* ---- one request ---------------------------------------------------------------------------------------- */

/* out = a layer over in: not much of a model, but every number is read and written. */
static void compute(const float *weights, const float *in, float *out, uint32_t rows)
{
    for (uint32_t row = 0; row < rows; row++) {
        for (uint32_t i = 0; i < WIDTH; i++) {
            out[row * WIDTH + i] = 0.5f * in[row * WIDTH + (i + 1) % WIDTH] + weights[i];
        }
    }
}

/* pin answers NULL for a tensor that is gone: its scope was ended by another thread, and so the request is cancelled. */
static void unpin_if(const void *pinned, ftl_tensor tensor)
{
    if (pinned != NULL) {
        ftl_tensor_unpin(tensor);
    }
}

/* A new tensor of the request from the one before, which is given up. Any status but FTL_OK: the request fails. */
static int run_layer(struct server *server, ftl_scope request, uint32_t layer, uint32_t rows, ftl_tensor *hidden)
{
    ftl_tensor_options options = {.scope = request, .label = "hidden", .site = FTL_HERE};
    ftl_tensor next;
    int status = ftl_tensor_new(server->runtime, FTL_F32, 2, (int64_t[]){rows, WIDTH}, &options, &next);
    if (status != FTL_OK) {
        return status;
    }
    const float *in = ftl_tensor_pin(*hidden), *weights = ftl_tensor_pin(server->weights[layer]);
    float *out = ftl_tensor_pin(next);
    if (in != NULL && weights != NULL && out != NULL) {
        compute(weights, in, out, rows);
    } else {
        status = FTL_ESTALE;
    }
    unpin_if(in, *hidden);
    unpin_if(weights, server->weights[layer]);
    unpin_if(out, next);
    ftl_tensor_drop(*hidden); /* earlier than the scope would: a long request holds two layers, not all */
    *hidden = next;
    return status;
}

/* No line of this function cleans up: what it leaves behind ends with the scope. */
static int infer(struct server *server, ftl_scope request, uint64_t number, ftl_tensor *logits)
{
    uint32_t rows = 1 + (uint32_t)(number * 37 % 128);
    ftl_tensor_options options = {.scope = request, .label = "input", .tag = number, .zero = true, .site = FTL_HERE};
    ftl_tensor hidden;
    if (number % 100 == 99) {
        rows = 1 << 20; /* a greedy one: 1 GiB, over the scope's limit */
    }
    int status = ftl_tensor_new(server->runtime, FTL_F32, 2, (int64_t[]){rows, WIDTH}, &options, &hidden);
    for (uint32_t layer = 0; layer < LAYERS && status == FTL_OK; layer++) {
        if (number % 50 == 13 && layer == 3) {
            return FTL_EINVAL; /* as if its input had been malformed */
        }
        status = run_layer(server, request, layer, rows, &hidden);
    }
    options.label = "logits";
    options.zero = false;
    if (status == FTL_OK) {
        status = ftl_tensor_new(server->runtime, FTL_F32, 1, (int64_t[]){CLASSES}, &options, logits);
    }
    if (status != FTL_OK) {
        return status;
    }
    const float *in = ftl_tensor_pin(hidden);
    float *out = ftl_tensor_pin(*logits);
    if (in != NULL && out != NULL) {
        memcpy(out, in, CLASSES * sizeof *out);
    }
    unpin_if(in, hidden);
    unpin_if(out, *logits);
    if (in == NULL || out == NULL) {
        return FTL_ESTALE;
    }
    return ftl_scope_keep(request, *logits); /* from here on the reference is ours, not the scope's */
}

static void *worker_main(void *user)
{
    struct server *server = user;
    uint64_t number;
    while ((number = atomic_fetch_add(&server->next, 1)) < server->requests) {
        ftl_scope_options options = {.label = "request", .tag = number, .hard_bytes = 64u << 20};
        ftl_scope request;
        ftl_tensor logits;
        if (ftl_scope_open(server->runtime, &options, &request) != FTL_OK) {
            atomic_fetch_add(&server->failed, 1);
            continue;
        }
        int status = infer(server, request, number, &logits);
        ftl_scope_end(request, NULL);
        if (status == FTL_OK) {
            send_answer(server, (struct answer){number, logits});
        } else {
            atomic_fetch_add(status == FTL_ELIMIT ? &server->refused : &server->failed, 1);
        }
    }
    pthread_mutex_lock(&server->lock);
    server->workers_left--;
    pthread_mutex_unlock(&server->lock);
    pthread_cond_broadcast(&server->work);
    return NULL;
}

static void *responder_main(void *user)
{
    struct server *server = user;
    struct answer answer;
    while (next_answer(server, &answer)) {
        const float *logits = ftl_tensor_pin(answer.logits);
        for (uint32_t i = 0; logits != NULL && i < CLASSES; i++) {
            server->sum += (double)logits[i];
        }
        ftl_tensor_unpin(answer.logits);
        ftl_tensor_drop(answer.logits); /* made by a worker, dropped here: nothing special */
        atomic_fetch_add(&server->answered, 1);
    }
    return NULL;
}

/* ---- the server ----------------------------------------------------------------------------------------- */

static int load_weights(struct server *server, ftl_scope *cache)
{
    ftl_scope_options scope = {.label = "weights", .kind = FTL_SCOPE_CACHE};
    int status = ftl_scope_open(server->runtime, &scope, cache);
    for (uint32_t layer = 0; layer < LAYERS && status == FTL_OK; layer++) {
        ftl_tensor_options options = {.scope = *cache, .label = "weights", .site = FTL_HERE};
        status = ftl_tensor_new(server->runtime, FTL_F32, 1, (int64_t[]){WIDTH}, &options, &server->weights[layer]);
        float *weights = status == FTL_OK ? ftl_tensor_pin(server->weights[layer]) : NULL;
        for (uint32_t i = 0; weights != NULL && i < WIDTH; i++) {
            weights[i] = 1.0f / (float)(1 + i + layer);
        }
        if (weights != NULL) {
            ftl_tensor_unpin(server->weights[layer]);
        }
    }
    return status;
}

static void serve(struct server *server)
{
    pthread_t workers[WORKERS], responder;
    server->workers_left = WORKERS;
    bool started = pthread_create(&responder, NULL, responder_main, server) == 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        started = started && pthread_create(&workers[i], NULL, worker_main, server) == 0;
    }
    if (!started) {
        fputs("a thread could not be started\n", stderr);
        exit(1);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        pthread_join(workers[i], NULL);
    }
    pthread_join(responder, NULL);
}

/* What was seen, and whether it adds up; before close, since the figures are the runtime's. */
static bool report(struct server *server)
{
    ftl_stats stats;
    if (ftl_runtime_drain(server->runtime, -1) != FTL_OK || ftl_runtime_stats(server->runtime, &stats) != FTL_OK) {
        fprintf(stderr, "drain: %s\n", ftl_last_error());
        return false;
    }
    printf("requests %" PRIu64 " = answered %" PRIu64 " + failed half-way %" PRIu64 " + refused at the limit %" PRIu64
           "\n",
           server->requests, server->answered, server->failed, server->refused);
    printf("tensors  created %" PRIu64 " = live %" PRIu64 " (the weights) + pending %" PRIu64 " + reclaimed %" PRIu64
           " + quarantined %" PRIu64 "\n",
           stats.created, stats.live, stats.pending, stats.reclaimed, stats.quarantined);
    printf("memory   peak of live %.1f MiB, now committed %.1f MiB\n", (double)stats.peak_live_bytes / 0x1p20,
           (double)stats.committed_bytes / 0x1p20);
    return server->requests == server->answered + server->failed + server->refused && stats.live == LAYERS &&
           stats.created == stats.live + stats.pending + stats.reclaimed + stats.quarantined && isfinite(server->sum);
}

static int print(const char *text, size_t n, void *out)
{
    return fwrite(text, 1, n, out) == n ? 0 : -1;
}

int main(int count, char **words)
{
    static struct server server = {.requests = 2000};
    ftl_scope cache;
    ftl_close_report closed;
    if (count == 2) {
        server.requests = strtoull(words[1], NULL, 10);
    }
    if (count > 2 || server.requests == 0) {
        fputs("usage: tensor_server [REQUESTS]\n", stderr);
        return 2;
    }
    pthread_mutex_init(&server.lock, NULL);
    pthread_cond_init(&server.room, NULL);
    pthread_cond_init(&server.work, NULL);
    if (ftl_runtime_open(NULL, &server.runtime) != FTL_OK || load_weights(&server, &cache) != FTL_OK) {
        fprintf(stderr, "%s\n", ftl_last_error());
        return 1;
    }
    serve(&server);
    bool good = report(&server);
    ftl_scope_end(cache, NULL);
    int status = ftl_runtime_close(server.runtime, &closed);
    good = good && status == FTL_OK && closed.leaked == 0;
    printf("closed   %" PRIu64 " tensors leaked; %s\n", closed.leaked, good ? "good" : "BROKEN");
    ftl_leak_report_write(closed.leaks, print, stdout); /* nothing, if none did */
    ftl_leak_report_free(closed.leaks);
    return good ? 0 : 1;
}
