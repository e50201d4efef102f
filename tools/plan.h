/* Who plays which line of a trace: the trace's threads dealt onto players, each with its own steps in the file's order.
 *
 * Owns     The steps, in mappings of their own (tools/pages.h).
 * Threads  Read-only once it is made.
 * Invariants
 *          - trace thread t is played by player t % player_count;
 *          - every allocation has one slot; the slots of one player's allocations are neighbours, so that two players do
 *            not write to one cache line;
 *          - crosses is set in both steps of a tensor whose free another player plays, and in no other.
 */
#ifndef FTLI_TOOLS_PLAN_H
#define FTLI_TOOLS_PLAN_H

#include "tools/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftli_step {
    uint64_t time_ns;
    uint64_t bytes;
    uint32_t slot;
    bool is_free;
    bool crosses;
    uint8_t align_log2;
};

struct ftli_steps {
    struct ftli_step *steps;
    uint32_t count;
};

struct ftli_plan {
    uint32_t player_count;
    uint32_t slot_count; /* at least the trace's allocations */
    uint32_t crossing_count;
    struct ftli_steps players[FTLI_TRACE_MAX_THREADS];
    struct ftli_step *pages;
    size_t mapped_bytes;
};

/* player_count 0, or more than the trace has threads: as many as the trace has. -1: out of memory. */
int ftli_plan_make(const struct ftli_trace *trace, uint32_t player_count, struct ftli_plan *out);
void ftli_plan_unmake(struct ftli_plan *plan);

#endif
