/* The trace over Fettle, by its public interface alone: what is played against, what is asked afterwards, what must hold.
 *
 * Threads  play_* in the child process of a pass; the rest in the parent, when the child has ended.
 */
#ifndef FTLI_TOOLS_REPLAY_FETTLE_H
#define FTLI_TOOLS_REPLAY_FETTLE_H

#include "tools/pass.h"
#include "tools/trace.h"

#include <fettle/fettle.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FTLI_REPLAY_LEAK_ROWS = 10, FTLI_REPLAY_MAX_FAULTS = 16 };

/* Lies in memory that parent and child share. */
struct ftli_replay_fettle {
    const char *topology; /* a path, or NULL: built in */
    ftl_runtime *runtime; /* the child's */
    ftl_tensor_options options[22];
    ftl_stats peak;    /* of the samples, the one with the most live bytes */
    ftl_stats end;     /* drained, after the last event */
    ftl_stats settled; /* when memory had gone back */
    int drained;       /* what drain returned */
    int scanned;       /* what the leak scan returned */
    uint64_t suspects; /* that it found, with any cause but being alive */
    uint64_t suspect_bytes;
    int closed; /* what close returned */
    ftl_close_report report;
    size_t rows;
    ftl_leak leaks[FTLI_REPLAY_LEAK_ROWS]; /* of the close report */
};

struct ftli_pass_kind ftli_replay_fettle_kind(struct ftli_replay_fettle *fettle);

/* Everything that must hold after this trace and does not: a sentence each. Returns how many. */
struct ftli_replay_fault {
    char text[160];
};
uint32_t ftli_replay_fettle_judge(const struct ftli_replay_fettle *fettle, const struct ftli_trace *trace,
                                  struct ftli_replay_fault faults[FTLI_REPLAY_MAX_FAULTS]);

#endif
