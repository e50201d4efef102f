/* What `fettle replay` measured, and how it is told: as text and as JSON, with the same names. */
#ifndef FTLI_TOOLS_REPLAY_H
#define FTLI_TOOLS_REPLAY_H

#include "tools/pass.h"
#include "tools/trace.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct ftli_replay_column {
    const char *name; /* "malloc" */
    char detail[48];  /* "glibc 2.36" */
    struct ftli_pass_result result;
};

enum { FTLI_REPLAY_MAX_COLUMNS = 2 };

struct ftli_replay {
    const struct ftli_trace *trace;
    const struct ftli_plan *plan;
    struct ftli_pass_options options;
    struct ftli_replay_column columns[FTLI_REPLAY_MAX_COLUMNS];
    uint32_t column_count;
};

void ftli_replay_print_head(const struct ftli_replay *replay, FILE *out);
void ftli_replay_print_table(const struct ftli_replay *replay, FILE *out);
void ftli_replay_print_json(const struct ftli_replay *replay, bool good, FILE *out);

#endif
