#include "bench/harness.h"

#include "bench/memory.h"
#include "tools/measure.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLE_EVERY_NS = 10 * 1000 * 1000, LEAST_OPS = 8 };

static uint64_t greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

_Noreturn void bench_die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", bench_variant, what, bench_explain());
    exit(1);
}

/* The kernel's high-water mark starts again from what is resident. */
static void forget_peak(void)
{
    int descriptor = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (descriptor >= 0) {
        if (write(descriptor, "5", 1) != 1) {
            fputs("the peak of resident memory could not be reset; it may count what came before\n", stderr);
        }
        close(descriptor);
    }
}

void bench_begin(struct bench_run *run, const struct bench_options *options)
{
    run->options = options;
    forget_peak();
    run->baseline_bytes = ftli_measure_resident_bytes();
    if (bench_open(options->policy, options->level) != 0) {
        bench_die("open");
    }
}

void bench_end(struct bench_run *run, struct bench_result *out)
{
    uint64_t peak = ftli_measure_peak_resident_bytes();
    out->peak_resident_bytes = peak > run->baseline_bytes ? peak - run->baseline_bytes : 0;
    struct bench_look look = bench_look_nothing;
    bench_look(&look);
    out->efficiency = look.efficiency;
    out->tracking_time = look.tracking_time;
    if (bench_close() != 0) {
        bench_die("close");
    }
}

static uint64_t ops_so_far(const struct bench_run *run)
{
    uint64_t ops = 0;
    for (uint32_t i = 0; i < run->worker_count; i++) {
        ops += atomic_load_explicit(&run->workers[i].published_ops, memory_order_relaxed);
    }
    return ops;
}

static uint64_t live_bytes(const struct bench_run *run)
{
    uint64_t made = 0, dropped = 0;
    for (uint32_t i = 0; i < run->worker_count; i++) {
        dropped += atomic_load_explicit(&run->workers[i].published_dropped_bytes, memory_order_relaxed);
    }
    for (uint32_t i = 0; i < run->worker_count; i++) {
        made += atomic_load_explicit(&run->workers[i].published_made_bytes, memory_order_relaxed);
    }
    return made > dropped ? made - dropped : 0;
}

static void sleep_until(uint64_t time_ns)
{
    struct timespec until = {.tv_sec = (time_t)(time_ns / 1000000000u), .tv_nsec = (long)(time_ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {
    }
}

/* Sleeps; with a row that watches memory, adds up what is resident and what is live every 10 ms. */
static double watch(struct bench_run *run, uint64_t until_ns)
{
    double resident = 0, live = 0;
    if (run->watches_memory) {
        for (uint64_t now_ns = ftli_measure_now_ns(); now_ns + SAMPLE_EVERY_NS < until_ns;
             now_ns = ftli_measure_now_ns()) {
            sleep_until(now_ns + SAMPLE_EVERY_NS);
            uint64_t seen = ftli_measure_resident_bytes();
            resident += (double)(seen > run->baseline_bytes ? seen - run->baseline_bytes : 0);
            live += (double)live_bytes(run);
        }
    }
    sleep_until(until_ns);
    return live > 0 ? resident / live : 0;
}

static void *worker_main(void *user)
{
    struct bench_worker *worker = user;
    worker->run->work(worker);
    return NULL;
}

void bench_ready(struct bench_worker *worker)
{
    pthread_barrier_wait(&worker->run->ready);
}

void bench_measure(struct bench_run *run, struct bench_result *out)
{
    pthread_barrier_init(&run->ready, NULL, run->worker_count + 1);
    for (uint32_t i = 0; i < run->worker_count; i++) {
        struct bench_worker *worker = &run->workers[i];
        worker->run = run;
        worker->shared = run->shared;
        worker->index = i;
        worker->random = (run->options->seed + i + 1) * 0x9e3779b97f4a7c15u | 1;
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
            bench_die("a thread could not be started");
        }
    }
    pthread_barrier_wait(&run->ready);
    uint64_t time_ns = greater(run->options->time_ns, run->least_time_ns);
    sleep_until(ftli_measure_now_ns() + greater(time_ns / 4, run->least_time_ns));

    /* However slow the machine, something is measured: the time is given again until enough was done. */
    uint64_t begin_ns = ftli_measure_now_ns(), cpu_ns = ftli_measure_process_cpu_ns(), ops = ops_so_far(run);
    do {
        out->resident_over_live = watch(run, ftli_measure_now_ns() + time_ns);
        out->ops = ops_so_far(run) - ops;
    } while (out->ops < LEAST_OPS);
    out->cpu_ns = ftli_measure_process_cpu_ns() - cpu_ns;
    out->wall_ns = ftli_measure_now_ns() - begin_ns;

    atomic_store_explicit(&run->stop, true, memory_order_relaxed);
    for (uint32_t i = 0; i < run->worker_count; i++) {
        pthread_join(run->workers[i].thread, NULL);
    }
    pthread_barrier_destroy(&run->ready);
}

void bench_draw_sizes(uint32_t *sizes, uint32_t low, uint32_t high, uint64_t seed)
{
    uint64_t random = seed * 0x9e3779b97f4a7c15u | 1;
    double octaves = log2((double)high / (double)low);
    for (uint32_t i = 0; i < BENCH_SIZES; i++) {
        double share = (double)(bench_random(&random) >> 11) / 0x1p53;
        sizes[i] = (uint32_t)((double)low * exp2(octaves * share));
    }
}

void bench_touch_pages(void *data, size_t bytes)
{
    volatile char *at = data;
    for (size_t i = 0; i < bytes; i += BENCH_PAGE) {
        at[i] = 1;
    }
}

void bench_fill(void *data, size_t bytes)
{
    memset(data, 0x5a, bytes);
}
