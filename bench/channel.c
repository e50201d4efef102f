#include "bench/channel.h"

void bench_channel_init(struct bench_channel *channel, struct bench_batch *ring, uint32_t capacity, uint32_t swing,
                        uint32_t producers)
{
    *channel = (struct bench_channel){
        .ring = ring, .capacity = capacity, .room_mark = capacity - swing, .work_mark = swing, .producers = producers};
    pthread_mutex_init(&channel->lock, NULL);
    pthread_cond_init(&channel->room, NULL);
    pthread_cond_init(&channel->work, NULL);
}

void bench_channel_put(struct bench_channel *channel, const struct bench_batch *batch)
{
    pthread_mutex_lock(&channel->lock);
    while (channel->count == channel->capacity) {
        channel->waiting_for_room++;
        pthread_cond_wait(&channel->room, &channel->lock);
        channel->waiting_for_room--;
    }
    channel->ring[(channel->head + channel->count) % channel->capacity] = *batch;
    channel->count++;
    bool wake = channel->waiting_for_work > 0 && channel->count >= channel->work_mark;
    pthread_mutex_unlock(&channel->lock);
    if (wake) {
        pthread_cond_broadcast(&channel->work);
    }
}

void bench_channel_leave(struct bench_channel *channel)
{
    pthread_mutex_lock(&channel->lock);
    channel->producers--;
    pthread_mutex_unlock(&channel->lock);
    pthread_cond_broadcast(&channel->work);
}

bool bench_channel_take(struct bench_channel *channel, struct bench_batch *out)
{
    pthread_mutex_lock(&channel->lock);
    while (channel->count == 0 && channel->producers > 0) {
        channel->waiting_for_work++;
        pthread_cond_wait(&channel->work, &channel->lock);
        channel->waiting_for_work--;
    }
    bool taken = channel->count > 0;
    bool wake = false;
    if (taken) {
        *out = channel->ring[channel->head];
        channel->head = (channel->head + 1) % channel->capacity;
        channel->count--;
        wake = channel->waiting_for_room > 0 && channel->count <= channel->room_mark;
    }
    pthread_mutex_unlock(&channel->lock);
    if (wake) {
        pthread_cond_broadcast(&channel->room);
    }
    return taken;
}
