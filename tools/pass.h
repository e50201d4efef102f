/* One measured run of a plan, in a process of its own.
 *
 * What     Forks; the child makes ready, notes its resident memory, plays, waits until memory has come back, and writes
 *          what it saw into memory that both share. The parent draws the bar and waits for the end. So two runs do not
 *          meet in one heap, and a crash is reported instead of suffered.
 * Owns     The shared memory, during the call. The child never returns from it.
 * Threads  The parent must have only one, and no runtime open.
 */
#ifndef FTLI_TOOLS_PASS_H
#define FTLI_TOOLS_PASS_H

#include "tools/player.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FTLI_PASS_SLACK_BYTES = 2 * 1024 * 1024 }; /* threads' stacks, and what else is not tensors */

struct ftli_pass_options {
    const struct ftli_plan *plan;
    const char *name; /* for the bar */
    uint64_t event_count;
    uint64_t left_bytes; /* live when all is played */
    uint64_t settle_ns;  /* longest wait after the last event for memory to come back; 0: none */
    bool quiet;          /* no bar */
    struct ftli_play_options play;
};

struct ftli_pass_result {
    uint64_t events;
    uint64_t wall_ns;
    uint64_t cpu_ns; /* of all threads but the one that measures; until the last event, and drained */
    uint64_t minor_faults;
    uint64_t peak_resident_bytes; /* over what was resident before, exact: the kernel's high-water mark */
    uint64_t peak_live_bytes;     /* as played, seen every 5 ms: it may miss a short peak */
    uint64_t end_resident_bytes;  /* after the last event */
    uint64_t settled_resident_bytes;
    uint64_t settled_ns; /* after the last event */
    bool settled;        /* what was resident then is at most 1.1 times what is live, and the slack */
    uint32_t threads;    /* that are not the players', while it ran */
    struct ftli_played played;
};

/* What a kind of run does in the child beyond playing. Each may be NULL but open. 0, or -1 with the reason in why. */
struct ftli_pass_kind {
    void *self; /* in shared memory if the parent is to see it */
    int (*open)(void *self, struct ftli_target *target, char *why, size_t why_size);
    void (*sample)(void *self);                             /* every 5 ms, by the measuring thread */
    int (*played)(void *self, char *why, size_t why_size);  /* inside the measured time: drains */
    int (*settled)(void *self, char *why, size_t why_size); /* at the very end, when nobody samples any more: closes */
};

/* 0, or -1 with what went wrong in why; *out is then untouched. */
int ftli_pass_run(const struct ftli_pass_options *options, const struct ftli_pass_kind *kind,
                  struct ftli_pass_result *out, char *why, size_t why_size);

/* Memory that a child of this process shares. */
void *ftli_pass_shared(size_t bytes);

#endif
