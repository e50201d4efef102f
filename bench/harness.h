/* Runs a workload on threads for a time and measures it.
 *
 * What     A workload is a function that every worker thread runs: it makes itself ready, calls bench_ready, and then
 *          works until bench_go_on says no. The harness lets it warm up for a quarter of the time, and then takes
 *          the difference of the counters over the time.
 * Owns     The workers, during bench_measure.
 * Threads  A worker's counters are written by it alone, and published now and then by bench_count.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_MAX_WORKERS = 32, BENCH_SIZES = 4096, BENCH_PAGE = 4096 };

struct bench_options {
    const char *row;
    const char *policy; /* NULL: the default */
    const char *level;  /* of Fettle's tracking; NULL: the default */
    const char *trace;  /* file, for the row trace */
    uint64_t time_ns;   /* of one measure, warm-up not counted */
    uint64_t rest_ns;   /* of the row settle */
    uint64_t seed;
    bool fill; /* traces: write all of the memory */
};

struct bench_result {
    uint64_t ops;
    uint64_t wall_ns;             /* of the ops */
    uint64_t cpu_ns;              /* of the whole process, for the ops */
    uint64_t peak_resident_bytes; /* beyond what was resident before the first make */
    double resident_over_live;    /* in steady state, or at the peaks; 0: this row does not say */
    double tracking_time;         /* by the memory's own account, of the threads' time; below 0: it does not say */
    double efficiency;            /* by the memory's own account; below 0: it does not say */
    uint64_t gone_ns;             /* until nothing was held for threads that had ended */
    bool says_gone;
};

struct bench_run;
struct bench_worker {
    _Alignas(64) struct bench_run *run;
    void *shared; /* the workload's */
    uint32_t index;
    uint64_t random; /* xorshift64, never 0 */
    uint64_t ops, made_bytes, dropped_bytes;
    _Alignas(64) _Atomic uint64_t published_ops, published_made_bytes, published_dropped_bytes;
    pthread_t thread;
};
typedef void (*bench_work_fn)(struct bench_worker *);

struct bench_run {
    const struct bench_options *options;
    bench_work_fn work;
    void *shared;
    uint32_t worker_count;
    bool watches_memory;    /* resident over live is wanted: workers keep made_bytes and dropped_bytes */
    uint64_t least_time_ns; /* of the warm-up and of the measure, whatever the options say: until it is steady */
    uint64_t baseline_bytes;
    _Alignas(64) _Atomic bool stop;
    pthread_barrier_t ready;
    struct bench_worker workers[BENCH_MAX_WORKERS];
};

/* Notes what is resident now, forgets the peak so far, and opens the memory. Ends the program if that fails. */
void bench_begin(struct bench_run *run, const struct bench_options *options);
/* Runs run->work on run->worker_count threads, and ends the program if one of them fails. */
void bench_measure(struct bench_run *run, struct bench_result *out);
/* The peak so far; closes the memory. Ends the program with 1 if a sum is broken. */
void bench_end(struct bench_run *run, struct bench_result *out);

void bench_ready(struct bench_worker *worker);
static inline bool bench_go_on(struct bench_worker *worker)
{
    return !atomic_load_explicit(&worker->run->stop, memory_order_relaxed);
}

/* Publishes the worker's counters: after every batch. */
static inline void bench_count(struct bench_worker *worker)
{
    atomic_store_explicit(&worker->published_ops, worker->ops, memory_order_relaxed);
    atomic_store_explicit(&worker->published_made_bytes, worker->made_bytes, memory_order_relaxed);
    atomic_store_explicit(&worker->published_dropped_bytes, worker->dropped_bytes, memory_order_relaxed);
}

static inline uint64_t bench_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* BENCH_SIZES sizes between low and high, every octave as likely as the next: drawn before the clock runs. */
void bench_draw_sizes(uint32_t *sizes, uint32_t low, uint32_t high, uint64_t seed);

static inline void bench_touch_byte(void *data)
{
    *(volatile char *)data = 1;
}

/* One byte of each page, or all of them. */
void bench_touch_pages(void *data, size_t bytes);
void bench_fill(void *data, size_t bytes);

/* Says what failed and ends the program with 1. */
_Noreturn void bench_die(const char *what);

#endif
