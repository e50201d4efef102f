/* A bounded queue of batches between threads, for workloads in which one thread makes and another drops.
 *
 * What     Producers put whole batches, consumers take whole batches, so that the queue's own cost (a mutex) is shared by
 *          many tensors. Nobody spins: a producer that finds it full sleeps until no more than room_mark batches are
 *          left, a consumer that finds it empty until there are work_mark, or no producer is left. So a wake is paid
 *          once in many batches.
 * Owns     Its ring, which is the caller's memory.
 * Threads  Any number on either side.
 */
#ifndef BENCH_CHANNEL_H
#define BENCH_CHANNEL_H

#include "bench/memory.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { BENCH_BATCH = 32 };

struct bench_batch {
    uint64_t bytes; /* of all */
    bench_tensor tensors[BENCH_BATCH];
};

struct bench_channel {
    pthread_mutex_t lock;
    pthread_cond_t room, work;
    struct bench_batch *ring; /* lock, and all below */
    uint32_t capacity, head, count;
    uint32_t room_mark, work_mark;
    uint32_t waiting_for_room, waiting_for_work;
    uint32_t producers; /* that may still put */
};

/* swing: how many batches may come or go between two wakes. */
void bench_channel_init(struct bench_channel *channel, struct bench_batch *ring, uint32_t capacity, uint32_t swing,
                        uint32_t producers);
void bench_channel_put(struct bench_channel *channel, const struct bench_batch *batch);
/* One producer puts no more. */
void bench_channel_leave(struct bench_channel *channel);
/* false: it is empty, and no producer is left. */
bool bench_channel_take(struct bench_channel *channel, struct bench_batch *out);

#endif
