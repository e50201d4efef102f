/* Server: a thread answers requests. For each it makes 24 tensors, writes to them, drops one half and hands the other to
 * its neighbour, who drops it (a response that another thread sends). */
#include "bench/workloads.h"

#include "bench/memory.h"

#include <pthread.h>
#include <string.h>

enum { TENSORS = 24, HANDED = TENSORS / 2, ROOM = 8, MAX_THREADS = 8 };

struct parcel {
    bench_tensor tensors[HANDED];
};

/* What the neighbour before has put there for us. All under server.lock. */
struct inbox {
    struct parcel parcels[ROOM];
    uint32_t count;
    bool left;             /* its owner empties it no more */
    bool waits;            /* its owner sleeps until there is room next door, or something here */
    pthread_cond_t change; /* of either */
};

struct server {
    uint32_t threads;
    bool fill;
    uint32_t sizes[BENCH_SIZES];
    pthread_mutex_t lock;
    struct inbox inboxes[MAX_THREADS];
};

static void drop_parcels(const struct parcel *parcels, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < HANDED; j++) {
            bench_drop(parcels[i].tensors[j]);
        }
    }
}

/* Takes all that lies in the inbox. The lock is held, and is held again on return, but not meanwhile. */
static bool empty_inbox(struct server *server, uint32_t index)
{
    struct inbox *mine = &server->inboxes[index];
    struct inbox *before = &server->inboxes[(index + server->threads - 1) % server->threads];
    struct parcel parcels[ROOM];
    uint32_t count = mine->count;
    if (count == 0) {
        return false;
    }
    memcpy(parcels, mine->parcels, count * sizeof *parcels);
    mine->count = 0;
    if (before->waits) {
        pthread_cond_signal(&before->change);
    }
    pthread_mutex_unlock(&server->lock);
    drop_parcels(parcels, count);
    pthread_mutex_lock(&server->lock);
    return true;
}

/* Whoever waits for room next door has an empty inbox, so not all can wait at once. */
static void hand_over(struct bench_worker *worker, struct server *server, const struct parcel *parcel)
{
    struct inbox *mine = &server->inboxes[worker->index];
    struct inbox *next = &server->inboxes[(worker->index + 1) % server->threads];
    pthread_mutex_lock(&server->lock);
    while (next->count == ROOM && !next->left) {
        if (!empty_inbox(server, worker->index)) {
            mine->waits = true;
            pthread_cond_wait(&mine->change, &server->lock);
            mine->waits = false;
        }
    }
    bool handed = next->count < ROOM;
    if (handed) {
        next->parcels[next->count++] = *parcel;
    }
    if (next->waits) {
        pthread_cond_signal(&next->change);
    }
    pthread_mutex_unlock(&server->lock);
    if (!handed) {
        drop_parcels(parcel, 1);
    }
}

static void answer(struct bench_worker *worker, struct server *server, uint32_t *draw)
{
    bench_tensor mine[TENSORS - HANDED];
    struct parcel parcel;
    for (uint32_t i = 0; i < TENSORS; i++) {
        uint32_t bytes = server->sizes[(*draw)++ % BENCH_SIZES];
        bench_tensor tensor = bench_make(bytes);
        if (tensor.id == 0) {
            bench_die("make");
        }
        if (server->fill) {
            bench_fill(bench_data(tensor), bytes);
        } else {
            bench_touch_pages(bench_data(tensor), bytes);
        }
        if (i % 2 == 0) {
            mine[i / 2] = tensor;
        } else {
            parcel.tensors[i / 2] = tensor;
        }
    }
    for (uint32_t i = 0; i < TENSORS - HANDED; i++) {
        bench_drop(mine[i]);
    }
    hand_over(worker, server, &parcel);
    pthread_mutex_lock(&server->lock);
    empty_inbox(server, worker->index);
    pthread_mutex_unlock(&server->lock);
}

static void work(struct bench_worker *worker)
{
    struct server *server = worker->shared;
    uint32_t draw = (uint32_t)worker->random;
    bench_ready(worker);
    while (bench_go_on(worker)) {
        answer(worker, server, &draw);
        worker->ops += TENSORS;
        bench_count(worker);
    }
    struct inbox *before = &server->inboxes[(worker->index + server->threads - 1) % server->threads];
    pthread_mutex_lock(&server->lock);
    server->inboxes[worker->index].left = true;
    if (before->waits) {
        pthread_cond_signal(&before->change);
    }
    pthread_mutex_unlock(&server->lock);
}

void bench_server(const struct bench_row *row, struct bench_run *run, struct bench_result *out)
{
    struct server server = {.threads = row->threads, .fill = row->fill};
    bench_draw_sizes(server.sizes, (uint32_t)row->low_bytes, (uint32_t)row->high_bytes, run->options->seed);
    pthread_mutex_init(&server.lock, NULL);
    for (uint32_t i = 0; i < server.threads; i++) {
        pthread_cond_init(&server.inboxes[i].change, NULL);
    }
    run->work = work;
    run->shared = &server;
    run->worker_count = row->threads;
    bench_measure(run, out);
    for (uint32_t i = 0; i < server.threads; i++) {
        drop_parcels(server.inboxes[i].parcels, server.inboxes[i].count);
    }
}
