/* Hand-off: some threads make, others drop what those made. Rows `handoff` have as many of either, each maker with a
 * dropper of its own; row `sixteen` has sixteen makers and one dropper, and watches memory. */
#include "bench/workloads.h"

#include "bench/channel.h"
#include "tools/pages.h"

enum { PAIR_RING = 64, PAIR_SWING = 32, SIXTEEN_RING = 1024, SIXTEEN_SWING = 64, SIXTEEN = 16 }; /* batches in a ring */

struct handoff {
    uint32_t makers, droppers;
    bool touch_pages;
    struct bench_channel channels[2];
    uint32_t sizes[BENCH_SIZES];
};

static void produce(struct bench_worker *worker, struct handoff *handoff, struct bench_channel *channel)
{
    uint32_t draw = (uint32_t)worker->random;
    while (bench_go_on(worker)) {
        struct bench_batch batch = {.bytes = 0};
        for (uint32_t i = 0; i < BENCH_BATCH; i++) {
            uint32_t bytes = handoff->sizes[draw++ % BENCH_SIZES];
            bench_tensor tensor = bench_make(bytes);
            if (tensor.id == 0) {
                bench_die("make");
            }
            if (handoff->touch_pages) {
                bench_touch_pages(bench_data(tensor), bytes);
            } else {
                bench_touch_byte(bench_data(tensor));
            }
            batch.tensors[i] = tensor;
            batch.bytes += bytes;
        }
        worker->made_bytes += batch.bytes;
        bench_count(worker);
        bench_channel_put(channel, &batch);
    }
    bench_channel_leave(channel);
}

/* An operation is a tensor made here and dropped there: it counts when it is dropped. */
static void consume(struct bench_worker *worker, struct bench_channel *channel)
{
    struct bench_batch batch;
    while (bench_channel_take(channel, &batch)) {
        for (uint32_t i = 0; i < BENCH_BATCH; i++) {
            bench_drop(batch.tensors[i]);
        }
        worker->ops += BENCH_BATCH;
        worker->dropped_bytes += batch.bytes;
        bench_count(worker);
    }
}

static void work(struct bench_worker *worker)
{
    struct handoff *handoff = worker->shared;
    bench_ready(worker);
    if (worker->index < handoff->makers) {
        produce(worker, handoff, &handoff->channels[worker->index % handoff->droppers]);
    } else {
        consume(worker, &handoff->channels[worker->index - handoff->makers]);
    }
}

static void play(struct handoff *handoff, uint32_t ring, uint32_t swing, const struct bench_row *row,
                 struct bench_run *run, struct bench_result *out)
{
    size_t ring_bytes = ring * sizeof(struct bench_batch);
    bench_draw_sizes(handoff->sizes, (uint32_t)row->low_bytes, (uint32_t)row->high_bytes, run->options->seed);
    for (uint32_t i = 0; i < handoff->droppers; i++) {
        struct bench_batch *batches = ftli_pages_map(ring_bytes);
        if (batches == NULL) {
            bench_die("a ring");
        }
        bench_channel_init(&handoff->channels[i], batches, ring, swing, handoff->makers / handoff->droppers);
    }
    run->work = work;
    run->shared = handoff;
    run->worker_count = handoff->makers + handoff->droppers;
    bench_measure(run, out);
    for (uint32_t i = 0; i < handoff->droppers; i++) {
        ftli_pages_unmap(handoff->channels[i].ring, ring_bytes);
    }
}

void bench_handoff(const struct bench_row *row, struct bench_run *run, struct bench_result *out)
{
    struct handoff handoff = {.makers = row->threads / 2, .droppers = row->threads / 2};
    play(&handoff, PAIR_RING, PAIR_SWING, row, run, out);
}

void bench_sixteen(const struct bench_row *row, struct bench_run *run, struct bench_result *out)
{
    struct handoff handoff = {.makers = SIXTEEN, .droppers = 1, .touch_pages = true};
    run->watches_memory = true;
    run->least_time_ns = 300 * 1000 * 1000; /* until the ring is full */
    play(&handoff, SIXTEEN_RING, SIXTEEN_SWING, row, run, out);
}
