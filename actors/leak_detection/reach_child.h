/* What the child of a snapshot does: looks for copies of handles in its memory, follows links and views, lists what has no copy.
 *
 * Owns      The job lies in a shared mapping, which the scan does not look into; the parent reads it when the child has ended.
 * Threads   The child alone. It takes no lock and calls nothing of libc.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_REACH_CHILD_H
#define FTLI_ACTORS_LEAK_DETECTION_REACH_CHILD_H

#include "actors/leak_detection/reach.h"
#include "runtime/base/os_snapshot.h"

enum { FTLI_REACH_CHUNK_BYTES = 256 * 1024 };

struct ftli_reach_job {
    /* what the parent asks */
    const struct ftli_table *table;
    const struct ftli_scopes *scopes;                  /* may be NULL */
    uint32_t slots;                                    /* below it */
    uint32_t now_ms, least_age_ms;                     /* as a header's stamp */
    struct ftli_os_stop *stop;                         /* registers of the other threads */
    uintptr_t stack_low, stack_high;                   /* of the thread that asks; both 0: not known */
    bool dies;                                         /* for tests */
    uint32_t range_count, most;                        /* candidates that have room */
    struct ftli_reach_range ranges[FTLI_REACH_RANGES]; /* not looked into; ascending, apart */
    uint64_t *marks;      /* a bit a slot: a copy was found, or something reachable holds it */
    uint32_t *queue;      /* slots entries */
    uint64_t *candidates; /* handles, by slot */
    /* what it answers */
    ftli_atomic_u32 done; /* it came to its end. pairs: reach-done */
    int32_t failed;       /* errno */
    uint32_t queued, followed, candidate_count;
    uint64_t live, without; /* tensors; of them without a copy: may be more than candidate_count */
    uint64_t read_bytes, unread_bytes, copies, elapsed_ns;
    /* its own */
    uintptr_t read_to; /* where the piece before ended */
    struct ftli_os_self self;
    unsigned char buffer[FTLI_REACH_CHUNK_BYTES + 64];
};

void ftli_reach_child(void *job, uintptr_t stack);
/* A tensor is held: by a copy of its handle, or by one that is. Ignores what is no handle of a LIVE one. For tests as well. */
void ftli_reach_mark(struct ftli_reach_job *, uint64_t handle);
/* Whatever the marked ones hold. */
void ftli_reach_follow(struct ftli_reach_job *);
/* Members of open scopes, which the scope's end gives up, are held; and what those hold. */
void ftli_reach_mark_members(struct ftli_reach_job *);
void ftli_reach_list(struct ftli_reach_job *);

#endif
