/* Churn: each thread holds a fixed number of tensors and replaces one at random, again and again: drop the old, make
 * one of another size, write to it. With many held (the rows `grow`) it shows what a large heap costs an operation. */
#include "bench/workloads.h"

#include "bench/memory.h"
#include "tools/pages.h"

enum { BATCH = 64 };

struct churn {
    uint32_t live;
    uint32_t sizes[BENCH_SIZES];
};

static bench_tensor make(const struct churn *churn, uint32_t draw)
{
    bench_tensor tensor = bench_make(churn->sizes[draw % BENCH_SIZES]);
    if (tensor.id == 0) {
        bench_die("make");
    }
    bench_touch_byte(bench_data(tensor));
    return tensor;
}

static void work(struct bench_worker *worker)
{
    const struct churn *churn = worker->shared;
    size_t held_bytes = churn->live * sizeof(bench_tensor);
    bench_tensor *held = ftli_pages_map(held_bytes);
    if (held == NULL) {
        bench_die("the table of what is held");
    }
    for (uint32_t i = 0; i < churn->live; i++) {
        held[i] = make(churn, i + worker->index);
    }
    bench_ready(worker);
    while (bench_go_on(worker)) {
        for (uint32_t i = 0; i < BATCH; i++) {
            uint64_t random = bench_random(&worker->random);
            bench_tensor *slot = &held[(random >> 32) * churn->live >> 32];
            bench_drop(*slot);
            *slot = make(churn, (uint32_t)random);
        }
        worker->ops += BATCH;
        bench_count(worker);
    }
    for (uint32_t i = 0; i < churn->live; i++) {
        bench_drop(held[i]);
    }
    ftli_pages_unmap(held, held_bytes);
}

void bench_churn(const struct bench_row *row, struct bench_run *run, struct bench_result *out)
{
    struct churn churn = {.live = row->live};
    bench_draw_sizes(churn.sizes, (uint32_t)row->low_bytes, (uint32_t)row->high_bytes, run->options->seed);
    run->work = work;
    run->shared = &churn;
    run->worker_count = row->threads;
    bench_measure(run, out);
}
