/* What the kernel says about this process: time, memory, processor. Nothing here allocates. */
#ifndef FTLI_TOOLS_MEASURE_H
#define FTLI_TOOLS_MEASURE_H

#include <stdint.h>

uint64_t ftli_measure_now_ns(void); /* CLOCK_MONOTONIC */
uint64_t ftli_measure_resident_bytes(void);
uint64_t ftli_measure_peak_resident_bytes(void); /* since the process began, or was forked */
uint64_t ftli_measure_process_cpu_ns(void);      /* of all threads, those that have ended too */
uint64_t ftli_measure_thread_cpu_ns(void);       /* of the calling one */
uint64_t ftli_measure_minor_faults(void);        /* of the process */
uint32_t ftli_measure_threads(void);             /* of the process; 0: cannot be known */
uint64_t ftli_measure_physical_bytes(void);      /* memory of the machine */
uint64_t ftli_measure_memory_limit_bytes(void);  /* the same, or less if a cgroup says so */

/* What two neighbouring calls of now_ns cost: the median of many, to be taken off a measured time. */
uint64_t ftli_measure_clock_cost_ns(void);

#endif
