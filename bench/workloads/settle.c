/* Settle: memory is filled, nine tenths of the tensors are dropped at random, and nothing happens for some seconds (--rest).
 * How much is resident then for each byte that is live? An operation is a tensor made, written and perhaps dropped; what
 * service threads do while nothing happens is in it. */
#include "bench/workloads.h"

#include "bench/memory.h"
#include "tools/measure.h"
#include "tools/pages.h"

#include <time.h>

enum { FILL_MIB = 256, KEEP_ONE_IN = 10 };

void bench_settle(const struct bench_row *row, struct bench_run *run, struct bench_result *out)
{
    static uint32_t sizes[BENCH_SIZES];
    const uint64_t fill_bytes = (uint64_t)FILL_MIB << 20;
    uint64_t random = run->options->seed * 0x9e3779b97f4a7c15u | 1, live = 0;
    uint32_t count = 0;
    size_t room = (size_t)(fill_bytes / row->low_bytes) + 1;
    bench_tensor *tensors = ftli_pages_map(room * sizeof *tensors);
    uint32_t *bytes = ftli_pages_map(room * sizeof *bytes);
    if (tensors == NULL || bytes == NULL) {
        bench_die("the table of what is held");
    }
    bench_draw_sizes(sizes, (uint32_t)row->low_bytes, (uint32_t)row->high_bytes, run->options->seed);

    uint64_t begin_ns = ftli_measure_now_ns(), cpu_ns = ftli_measure_process_cpu_ns();
    for (; live < fill_bytes; count++) {
        bytes[count] = sizes[bench_random(&random) % BENCH_SIZES];
        tensors[count] = bench_make(bytes[count]);
        if (tensors[count].id == 0) {
            bench_die("make");
        }
        bench_touch_pages(bench_data(tensors[count]), bytes[count]);
        live += bytes[count];
    }
    uint32_t left = count;
    while (left > count / KEEP_ONE_IN) {
        uint32_t chosen = (uint32_t)(bench_random(&random) % left);
        bench_drop(tensors[chosen]);
        live -= bytes[chosen];
        left--;
        tensors[chosen] = tensors[left];
        bytes[chosen] = bytes[left];
    }
    out->wall_ns = ftli_measure_now_ns() - begin_ns;
    const struct timespec rest = {.tv_sec = (time_t)(run->options->rest_ns / 1000000000u),
                                  .tv_nsec = (long)(run->options->rest_ns % 1000000000u)};
    nanosleep(&rest, NULL);
    out->cpu_ns = ftli_measure_process_cpu_ns() - cpu_ns;
    out->ops = count;

    uint64_t resident = ftli_measure_resident_bytes();
    resident = resident > run->baseline_bytes ? resident - run->baseline_bytes : 0;
    out->resident_over_live = (double)resident / (double)live;
    for (uint32_t i = 0; i < left; i++) {
        bench_drop(tensors[i]);
    }
    ftli_pages_unmap(tensors, room * sizeof *tensors);
    ftli_pages_unmap(bytes, room * sizeof *bytes);
}
