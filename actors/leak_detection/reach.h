/* Reachability: tensors of whose handle no copy is anywhere in this process's memory (CORE.md section 6).
 *
 * What      On request: the other threads are stopped for a moment, so that their registers can be read, the process is forked, and the
 *           child reads its memory while the program goes on. Evidence, not proof: a handle may lie in a pipe, in the
 *           kernel (epoll_event.data), in another process, or be computed. Never a ground for a drop.
 * Owns      What a scan found, for the next to confirm: at most FTLI_REACH_MOST handles.
 * Threads   Any; one scan at a time, a second is FTL_EBUSY.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_REACH_H
#define FTLI_ACTORS_LEAK_DETECTION_REACH_H

#include "runtime/kernel/token.h"
#include "tensor/scope.h"
#include "tensor/table.h"

enum {
    FTLI_REACH_MOST = 65536, /* candidates that are told apart and remembered */
    FTLI_REACH_RANGES = 256, /* of our own memory */
    FTLI_REACH_WHY_BYTES = 240,
    /* Certainty, percent, by rule and not measured. Two snapshots, at least 60 s apart, of all that is looked into, and the registers
     * of all threads: unreachable. Else suspected. */
    FTLI_REACH_UNREACHABLE = 99,
    FTLI_REACH_SUSPECTED_TWICE = 90, /* 60 s apart, but not all could be looked into */
    FTLI_REACH_SUSPECTED_ONCE = 75,  /* all was looked into, once */
    FTLI_REACH_SUSPECTED_PARTLY = 50,
};
#define FTLI_REACH_CONFIRM_NS   UINT64_C(60000000000)
#define FTLI_REACH_LEAST_AGE_MS 1000 /* a younger one may be on its way to its owner */

struct ftli_reach_range {
    uintptr_t start, end;
};

struct ftli_reach_seen {
    uint64_t tensor;
    uint64_t first_ns;       /* of the scans in a row that found no copy */
    uint64_t first_whole_ns; /* likewise, of those that looked into everything; 0: none did */
};

/* What a scan costs, or did cost. */
struct ftli_reach_cost {
    uint64_t pause_ns;                  /* the program stands still */
    uint64_t private_bytes, huge_bytes; /* memory that is copied on write while the child lives; of it in huge pages */
    uint64_t available_bytes;           /* what the process may have beside that */
    uint64_t scan_ns, scan_bytes;       /* the child's work, beside the program's */
    uint64_t fork_ns, unread_bytes;
    uint64_t live, without, copies; /* tensors; of them without a copy; copies found */
    uint32_t threads, threads_unread;
    bool stopped;  /* all threads stood still, and their registers were read */
    bool contents; /* what tensors hold was looked into */
};

struct ftli_reach {
    ftli_token token;                     /* over what follows */
    struct ftli_reach_seen *seen, *found; /* each FTLI_REACH_MOST, by slot; NULL until the first scan */
    uint32_t seen_count;
    bool whole; /* the last scan looked into everything */
    struct ftli_reach_cost last;
    /* for tests: FTL_OK, or what the fork is to fail with (an errno) */
    int fail_fork;
    bool fail_stop;           /* threads are not stopped */
    bool kill_child;          /* it is killed before it has ended */
    uint64_t available_bytes; /* 0: ask the system */
};

struct ftli_leak_detection;
struct ftli_leak_groups;

void ftli_reach_fini(struct ftli_reach *);
/* Before anything is stopped. FTL_ENOTSUP: the topology or the system does not allow it; FTL_ELIMIT: it would not fit. *out is set all the
 * same where it is known; why: a sentence, also with FTL_OK. */
int ftli_reach_estimate(struct ftli_leak_detection *, struct ftli_reach_cost *out, char *why, size_t why_bytes);
/* A snapshot, and its findings as FTL_LEAK_UNREACHABLE into the groups; tensors of a cause in `other_causes` are left to that. cost may be
 * NULL. FTL_ENOTSUP, FTL_ELIMIT, FTL_ENOMEM, FTL_EBUSY (another one runs), FTL_ETIMEDOUT, FTL_EINTERNAL (the child was killed). */
int ftli_reach_scan(struct ftli_leak_detection *, uint64_t timeout_ns, uint32_t other_causes, struct ftli_leak_groups *,
                    struct ftli_reach_cost *cost, char *why, size_t why_bytes);

/* What the last search that came to its end did cost; zeros: there was none. */
void ftli_reach_last(struct ftli_reach *, struct ftli_reach_cost *out);

#endif
