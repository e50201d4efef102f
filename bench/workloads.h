/* The workloads: one function a family, run with the parameters of a row of the table in bench/main.c.
 * What each number means is said in bench/README.md. */
#ifndef BENCH_WORKLOADS_H
#define BENCH_WORKLOADS_H

#include "bench/harness.h"

struct bench_row {
    const char *name;
    void (*workload)(const struct bench_row *row, struct bench_run *run, struct bench_result *out);
    uint32_t threads;
    uint64_t low_bytes, high_bytes; /* sizes */
    uint32_t live;                  /* tensors a thread holds */
    bool fill;
};

void bench_pairs(const struct bench_row *row, struct bench_run *run, struct bench_result *out);
void bench_churn(const struct bench_row *row, struct bench_run *run, struct bench_result *out);
void bench_handoff(const struct bench_row *row, struct bench_run *run, struct bench_result *out);
void bench_sixteen(const struct bench_row *row, struct bench_run *run, struct bench_result *out);
void bench_server(const struct bench_row *row, struct bench_run *run, struct bench_result *out);
void bench_come_and_go(const struct bench_row *row, struct bench_run *run, struct bench_result *out);
void bench_settle(const struct bench_row *row, struct bench_run *run, struct bench_result *out);
void bench_trace(const struct bench_row *row, struct bench_run *run, struct bench_result *out);

#endif
