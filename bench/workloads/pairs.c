/* Pairs: make one tensor, write to it, drop it, again. Also the rows `big`, which write one byte of each page. */
#include "bench/workloads.h"

#include "bench/memory.h"

enum { BATCH = 64 };

static void work(struct bench_worker *worker)
{
    const struct bench_row *row = worker->shared;
    size_t bytes = (size_t)row->low_bytes;
    uint32_t batch = bytes >= 1024 * 1024 ? 1 : BATCH;
    bench_ready(worker);
    while (bench_go_on(worker)) {
        for (uint32_t i = 0; i < batch; i++) {
            bench_tensor tensor = bench_make(bytes);
            if (tensor.id == 0) {
                bench_die("make");
            }
            if (batch == 1) {
                bench_touch_pages(bench_data(tensor), bytes);
            } else {
                bench_touch_byte(bench_data(tensor));
            }
            bench_drop(tensor);
        }
        worker->ops += batch;
        bench_count(worker);
    }
}

void bench_pairs(const struct bench_row *row, struct bench_run *run, struct bench_result *out)
{
    struct bench_row copy = *row;
    run->work = work;
    run->shared = &copy;
    run->worker_count = row->threads;
    bench_measure(run, out);
}
