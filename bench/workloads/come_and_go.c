/* Threads that come and go: eight at a time, each makes, writes and drops some tensors and ends. What a thread costs is
 * in it: making it, and what the memory keeps for each thread and must take back. */
#include "bench/workloads.h"

#include "bench/memory.h"
#include "tools/measure.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 8, TENSORS = 64, AT_ONCE = 16, ROUNDS = 100, WARM_UP = 10 };
enum { LOOK_EVERY_NS = 1000 * 1000 };
static const uint64_t longest_ns = 5000000000u; /* the law says 100 ms; but this is no test of the machine's load */

struct visitor {
    const uint32_t *sizes;
    uint32_t draw;
    pthread_t thread;
};

static void *visit(void *user)
{
    struct visitor *visitor = user;
    bench_tensor held[AT_ONCE];
    for (uint32_t i = 0; i < TENSORS; i++) {
        bench_tensor *slot = &held[i % AT_ONCE];
        if (i >= AT_ONCE) {
            bench_drop(*slot);
        }
        uint32_t bytes = visitor->sizes[visitor->draw++ % BENCH_SIZES];
        *slot = bench_make(bytes);
        if (slot->id == 0) {
            bench_die("make");
        }
        bench_touch_pages(bench_data(*slot), bytes);
    }
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        bench_drop(held[i]);
    }
    return NULL;
}

static void play(struct visitor *visitors, uint32_t rounds)
{
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < THREADS; i++) {
            if (pthread_create(&visitors[i].thread, NULL, visit, &visitors[i]) != 0) {
                bench_die("a thread could not be started");
            }
        }
        for (uint32_t i = 0; i < THREADS; i++) {
            pthread_join(visitors[i].thread, NULL);
        }
    }
}

/* Nothing may be held for threads that are gone. How long that took; ends the program if it stays. */
static void look_until_nothing_is_held(struct bench_result *out)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_NS};
    uint64_t begin_ns = ftli_measure_now_ns();
    struct bench_look look = bench_look_nothing;
    for (;;) {
        bench_look(&look);
        out->gone_ns = ftli_measure_now_ns() - begin_ns;
        if (look.held_bytes == 0 || look.held_bytes == bench_look_nothing.held_bytes) {
            break;
        }
        if (out->gone_ns > longest_ns) {
            fprintf(stderr, "%s: %llu bytes are held for threads that ended 5 s ago\n", bench_variant,
                    (unsigned long long)look.held_bytes);
            exit(1);
        }
        nanosleep(&pause, NULL);
    }
    out->says_gone = look.held_bytes == 0;
}

void bench_come_and_go(const struct bench_row *row, struct bench_run *run, struct bench_result *out)
{
    static uint32_t sizes[BENCH_SIZES];
    struct visitor visitors[THREADS];
    bench_draw_sizes(sizes, (uint32_t)row->low_bytes, (uint32_t)row->high_bytes, run->options->seed);
    for (uint32_t i = 0; i < THREADS; i++) {
        visitors[i] = (struct visitor){.sizes = sizes, .draw = i * (BENCH_SIZES / THREADS)};
    }
    play(visitors, WARM_UP);
    uint64_t begin_ns = ftli_measure_now_ns(), cpu_ns = ftli_measure_process_cpu_ns();
    do {
        play(visitors, ROUNDS);
        out->ops += ROUNDS * THREADS * TENSORS;
    } while (ftli_measure_now_ns() - begin_ns < run->options->time_ns);
    out->cpu_ns = ftli_measure_process_cpu_ns() - cpu_ns;
    out->wall_ns = ftli_measure_now_ns() - begin_ns;
    look_until_nothing_is_held(out);
}
