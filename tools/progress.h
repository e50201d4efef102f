/* A bar on a terminal, for work that runs longer than a second: share done, rate, time left. One thread; without a
 * terminal nothing is written. */
#ifndef FTLI_TOOLS_PROGRESS_H
#define FTLI_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct ftli_progress {
    FILE *out;
    const char *what; /* of what: "events" */
    uint64_t total;
    uint64_t begin_ns;
    bool terminal, drawn;
};

void ftli_progress_begin(struct ftli_progress *progress, FILE *out, const char *what, uint64_t total, uint64_t now_ns);

/* Draws, if a second has passed since the beginning. Call it some ten times a second. */
void ftli_progress_show(struct ftli_progress *progress, uint64_t done, uint64_t now_ns);

/* Wipes the bar off the terminal, if there is one. */
void ftli_progress_end(struct ftli_progress *progress);

/* The line itself, without a terminal: `[######      ] 41 of 100 events   3.4 M/s   2.0 s left`. */
void ftli_progress_line(char *line, size_t size, const char *what, uint64_t done, uint64_t total, uint64_t elapsed_ns);

#endif
