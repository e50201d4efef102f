/* What `fettle replay` measured, and how it is told: as text and as JSON, with the same names. */
#ifndef FTLI_TOOLS_REPLAY_H
#define FTLI_TOOLS_REPLAY_H

#include "tools/pass.h"
#include "tools/replay_fettle.h"
#include "tools/trace.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct ftli_replay_column {
    const char *name; /* "malloc" */
    char detail[48];  /* "glibc 2.36" */
    struct ftli_pass_result result;
    const struct ftli_replay_fettle *fettle; /* NULL: a peer's */
};

enum { FTLI_REPLAY_MAX_COLUMNS = 2 };

struct ftli_replay {
    const struct ftli_trace *trace;
    const struct ftli_plan *plan;
    struct ftli_pass_options options;
    struct ftli_replay_column columns[FTLI_REPLAY_MAX_COLUMNS];
    uint32_t column_count;
    char topology[128]; /* its name and how many threads it asks for; empty: Fettle does not play */
    uint32_t topology_threads;
    bool strict;          /* what is never freed is a leak */
    uint32_t fault_count; /* of what must hold and does not */
    struct ftli_replay_fault faults[FTLI_REPLAY_MAX_FAULTS];
};

void ftli_replay_print_head(const struct ftli_replay *replay, FILE *out);
/* What Fettle says about itself, with its sums (tools/replay_block.c). */
void ftli_replay_print_block(const struct ftli_replay *replay, const struct ftli_replay_column *column, FILE *out);
/* Columns beside each other. */
void ftli_replay_print_table(const struct ftli_replay *replay, FILE *out);
void ftli_replay_print_json(const struct ftli_replay *replay, bool good, FILE *out);

#endif
