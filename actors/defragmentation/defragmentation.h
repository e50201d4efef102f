/* defragmentation's address: the figures of a device's free memory, and the timer that gives it back to the OS.
 *
 * What      Nothing moves in this version. What is above `keep` goes back within `give_back`, idle or not; first after `idle` of
 *           quiet, at once while more than the `soft` share of the limit is committed.
 * Owns      No memory but its own figures. What it does it does through allocation.
 * Threads   note, read and now: any thread. The rest is the actor's.
 * Idle      It ticks while there is something to give back, and once more when what it keeps shrinks; then not at all.
 */
#ifndef FTLI_ACTORS_DEFRAGMENTATION_DEFRAGMENTATION_H
#define FTLI_ACTORS_DEFRAGMENTATION_DEFRAGMENTATION_H

#include <fettle/fettle.h>

#include "actors/allocation/allocation.h"
#include "actors/defragmentation/give_back.h"
#include "actors/defragmentation/settings.h"
#include "runtime/compose/topology.h"
#include "runtime/kernel/kernel.h"

enum { FTLI_DEFRAGMENTATION_TICK_NS = 100 * 1000 * 1000 };

struct ftli_defragmentation_world {
    const struct ftli_defragmentation_settings
        *settings;                               /* NULL: not in the topology; now and read work all the same */
    const struct ftli_topology_device *topology; /* keep, give_back, soft */
    struct ftli_device *device;
    ftli_kernel *kernel; /* the clock of ftli_defragmentation_now */
};

/* Pages inside what is in use, which hold only free headers or free slots: those that stayed so from one pass to the next, a
 * quarter of give_back later, go back. A pass is made in slices: headers are gathered from the shards, the table's pages
 * looked at, then the slabs. */
enum ftli_pass_part { FTLI_PASS_GATHER, FTLI_PASS_TABLE, FTLI_PASS_SLABS };
struct ftli_pass {
    uint64_t quarter_ns, next_ns; /* between passes; when the next one begins */
    enum ftli_pass_part part;
    bool again;                      /* what this pass saw wants another */
    struct ftli_shards_cursor slabs; /* what it gave back goes into given_back_bytes */
};

struct ftli_defragmentation {
    struct ftli_defragmentation_world world;
    ftli_actor *actor;           /* NULL until attached */
    ftli_atomic_u32 ticking;     /* a tick comes soon. pairs: give-back-again */
    struct ftli_give_back plan;  /* the actor's alone */
    uint64_t looked_ns, look_ns; /* likewise: when the plan was asked last, and what it wants to be asked again after */
    uint64_t free_bytes;         /* likewise: what the plan left free then */
    struct ftli_pass pass;       /* likewise */
    ftli_atomic_u64 given_back_bytes, purges, ticks;
    ftli_atomic_u64 trend_bits; /* the bits of a double */
};

extern const ftli_actor_operations ftli_defragmentation_operations;

void ftli_defragmentation_init(struct ftli_defragmentation *, const struct ftli_defragmentation_world *);
void ftli_defragmentation_attach(struct ftli_defragmentation *, ftli_actor *);
/* Memory became free, or may have: the port calls it from allocation's tick. One load if a tick comes anyway.
 * Async-signal-safe. */
void ftli_defragmentation_note(struct ftli_defragmentation *);

struct ftli_defragmentation_figures {
    double fragmentation; /* free bytes in runs under 1 MiB, free slots too / committed bytes */
    double efficiency;    /* bytes of blocks in use / committed bytes */
    double trend;         /* of the fragmentation, per second, over the last samples; 0 while it does not tick */
    uint64_t committed_bytes, free_bytes, largest_free_run_bytes, short_free_bytes;
    uint64_t given_back_bytes, purges; /* since the runtime opened */
};
/* Takes each shard's token for a moment. */
void ftli_defragmentation_read(struct ftli_defragmentation *, struct ftli_defragmentation_figures *out);

/* The figure alone, for who has the device's figures already. */
double ftli_fragmentation_of(const struct ftli_device_figures *);

/* ftl_defragment. FTL_OK; FTL_EINVAL. With `purge` what is cached is emptied and goes back. options may be NULL. */
int ftli_defragment_now(struct ftli_defragmentation *, const ftl_defragment_options *options,
                        ftl_defragment_result *out);

#endif
