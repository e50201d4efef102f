/* allocation's address: what new and drop ask of it, and what the other actors may look at.
 *
 * What      One struct a device: the depot of magazines, the shards with their heaps, the byte limit.
 *           Small tensors: racks exchange magazines with the depot. Middle sizes: the shard that is free; a drop posts
 *           to the shard of its address. Large: shard 0, whose heap grows by arenas and feeds the others.
 * Threads   Every function by any thread, but for what its comment says of a rack: its owner, or who claimed its port.
 * Rules     CORE.md sections 2 and 3. Only new may wait for a token. A drop pushes, and wakes nobody while the tick runs.
 */
#ifndef FTLI_ACTORS_ALLOCATION_ALLOCATION_H
#define FTLI_ACTORS_ALLOCATION_ALLOCATION_H

#include "actors/allocation/magazine.h"
#include "actors/allocation/settings.h"
#include "runtime/base/histogram.h"
#include "runtime/compose/topology.h"
#include "runtime/kernel/kernel.h"
#include "tensor/table.h"

struct ftli_counters;
struct ftli_device;

/* What a program may do with a device's figures. All bytes. */
struct ftli_device_figures {
    uint64_t committed, free_committed, used, slab_free, short_free, largest_free_run, free_runs;
    uint64_t depot, metadata, arenas, limit;
};

/* FTL_ENOMEM. `wake` is posted to when the tick must begin: the allocation actor, once it is there. */
int ftli_device_open(const struct ftli_topology_device *, const struct ftli_allocation_settings *, struct ftli_table *,
                     ftli_kernel *, uint32_t index, struct ftli_device **out);
/* A thread keeps a share of a sixteenth of what is committed, and thread_cache at most. By the tick. */
void ftli_allocation_share_caches(struct ftli_device *, uint64_t threads);
/* At rest: all memory back to the OS. */
void ftli_device_close(struct ftli_device *);

/* ---- racks (the port's inside) */
void ftli_rack_init(struct ftli_rack *, const struct ftli_device *);
/* All magazines to the depot; the rack is as after init. Returns the bytes that went. */
uint64_t ftli_rack_flush(struct ftli_rack *, struct ftli_device *);
/* The same of its pocket alone. */
uint64_t ftli_allocation_empty_pocket(struct ftli_device *, struct ftli_rack *);
/* Bytes of blocks that lie in it; may be called while its owner works. */
uint64_t ftli_rack_bytes(const struct ftli_rack *);
/* True: it has no magazine at all. */
bool ftli_rack_is_empty(const struct ftli_rack *);

/* ---- new */
/* A FREE header with a block of the class, newest first: from the depot, or carved by a shard. `home` is the port's. */
int ftli_allocation_refill(struct ftli_device *, struct ftli_rack *, uint32_t *home, unsigned size_class,
                           struct ftli_header **out);
/* The same of what is ready: the rack's previous magazine, or a full one of the depot. NULL: refill. Takes no token. */
struct ftli_header *ftli_allocation_refill_ready(struct ftli_device *, struct ftli_rack *, unsigned size_class);
/* One without a rack: for calls that have no port. */
int ftli_allocation_take_small(struct ftli_device *, unsigned size_class, struct ftli_header **out);
/* A FREE header with whole pages. */
struct ftli_pages {
    struct ftli_header *header;
    bool zeroed; /* they are known to be zero */
    bool most;   /* the shard has more out than ever, by 1 %: a moment to look at the peak */
};
int ftli_allocation_take_pages(struct ftli_device *, uint32_t *home, uint64_t bytes, size_t alignment,
                               struct ftli_pages *out);
/* The same of a middle size, above the classes, that is not in the thread's pocket (pocket.h). False: there is no memory now. */
bool ftli_allocation_take_middle(struct ftli_device *, uint32_t *home, uint64_t bytes, struct ftli_pages *out);
/* A FREE header without memory, for a view. */
int ftli_allocation_take_bare(struct ftli_device *, uint32_t *home, struct ftli_header **out);
/* Exhausted: empties what is cached and gives it back, so that a second try may succeed. */
void ftli_allocation_relieve(struct ftli_device *);

/* The rack has another magazine of the class that is not empty. */
bool ftli_rack_has_previous(const struct ftli_rack *, unsigned size_class);

/* A FREE header that came back to this thread inside new, where ftli_rack_give found no room: into its rack, which gets room; or to
 * its shard. */
void ftli_allocation_take_back(struct ftli_device *, struct ftli_rack *, unsigned size_class, struct ftli_header *);

/* ---- drop */
/* Makes room in the rack and gives the FREE header to it. False: no empty magazine; the caller posts the header. */
bool ftli_allocation_stow(struct ftli_device *, struct ftli_rack *, unsigned size_class, struct ftli_header *);
/* A FREE header with whole pages that is the caller's: into the thread's pocket, or back. Waits for nobody, async-signal-safe. */
void ftli_allocation_pocket(struct ftli_device *, struct ftli_rack *, struct ftli_header *);
/* The same without a thread: its block to its heap if nobody is there, else it is posted. */
void ftli_allocation_return(struct ftli_device *, struct ftli_header *);
/* To the shard of the block's address, or to shard 0 for a header without a block. Addressed before
 * (ftli_header_address, and the time in dimensions_low). Lock-free, async-signal-safe. */
void ftli_allocation_post(struct ftli_device *, struct ftli_header *);
/* The same of a drop that is completed there: the tick comes soon, if no new comes before it. */
void ftli_allocation_post_reclaim(struct ftli_device *, struct ftli_header *);

/* A FREE header with a block of the class, reclaimed by the cleanup: into a magazine that goes to the depot when it is full. By one
 * caller at a time, the cleanup's runner. */
void ftli_allocation_lay(struct ftli_device *, unsigned size_class, struct ftli_header *);
/* What is not full yet goes to the depot too, by the same; whether there was any. */
bool ftli_allocation_clear_tray(struct ftli_device *);
uint64_t ftli_allocation_tray_bytes(const struct ftli_device *); /* of the blocks in it; any thread */

/* At close, where the rest must stay: the block of a header that nobody uses any more, without its shard's mailbox. */
void ftli_allocation_abandon(struct ftli_device *, struct ftli_header *);

/* ---- looking after it */
/* Everything that waits in shards is taken in: by drain, by a tick, under pressure. Returns what was left to others. */
uint32_t ftli_allocation_collect(struct ftli_device *);
/* The same, and whoever holds a shard is waited for: what was posted before the call is done after it. Holding no token. */
void ftli_allocation_collect_all(struct ftli_device *);
/* What the depot has had too much of since the last trim goes back to its slabs. 1: halves all; 2: everything. */
void ftli_allocation_trim(struct ftli_device *, unsigned force);
/* What child shards have wholly free, but for a granule each, goes to the device's own heap. */
void ftli_allocation_gather(struct ftli_device *);
/* Free pages beyond keep_bytes back to the OS, about budget_bytes at most (0: no bound). Returns bytes. */
uint64_t ftli_allocation_purge(struct ftli_device *, uint64_t keep_bytes, uint64_t budget_bytes);
uint64_t ftli_allocation_free_resident_bytes(struct ftli_device *);
/* ftli_heap_purge_slabs over the shards, one after the other. True: the pass is over, and the cursor zero but for its sums. */
struct ftli_shards_cursor {
    uint32_t shard, size_class, number; /* where the pass stands */
    uint32_t young;                     /* slabs that the next pass may take something from */
    uint64_t bytes;                     /* given back */
};
bool ftli_allocation_purge_slabs(struct ftli_device *, struct ftli_shards_cursor *, uint32_t most, bool all);
/* Headers and cells that nobody uses go from the shards to the table, up to `most` of each; false: there are more. */
bool ftli_allocation_gather_headers(struct ftli_device *, uint32_t most);
/* ftli_table_give_back. */
struct ftli_spare_swept ftli_allocation_give_back_headers(struct ftli_device *, uint32_t most, bool all);
void ftli_allocation_figures(struct ftli_device *, struct ftli_device_figures *);
/* Validity walks of all heaps, each under its token. */
bool ftli_allocation_check(struct ftli_device *, char *why, size_t why_bytes);
/* Committed over limit, 0 to 1. */
double ftli_allocation_pressure(const struct ftli_device *);
uint64_t ftli_allocation_committed(const struct ftli_device *);
/* Once, when committed is not below `below`, or is below `at_least`, the actor's tick is run. False: it is so already, and nothing is
 * watched. */
enum { FTLI_WATCHER_EVENTS = 0, FTLI_WATCHER_ROUTES = 1, FTLI_WATCHERS = 2 }; /* one of each a device */
bool ftli_allocation_watch(struct ftli_device *, unsigned watcher, ftli_actor *, uint64_t at_least, uint64_t below);
uint64_t ftli_allocation_limit(const struct ftli_device *);
/* Latencies of what was completed by shards, per lane. */
void ftli_allocation_collect_latencies(const struct ftli_device *, unsigned lane, ftli_histogram_snapshot *into);
/* Counter blocks of the shards, for the sums. */
unsigned ftli_allocation_shards(const struct ftli_device *);
const struct ftli_counters *ftli_allocation_counters(const struct ftli_device *, unsigned shard);
/* Bytes of the block of a header that owns one; 0 for a view. */
uint64_t ftli_allocation_block_bytes(const struct ftli_device *, const struct ftli_header *);
/* The same of any header, by who only looks while others work: it may be another tensor's by then. */
uint64_t ftli_allocation_seen_block_bytes(const struct ftli_header *);
/* The address space of what tensors hold, while nobody adds to it: all other threads stand still. */
void ftli_allocation_each_arena(const struct ftli_device *, void (*each)(void *user, void *at, size_t bytes),
                                void *user);
/* Where headers are remembered by their handles: the device itself, and the magazines. Not what tensors hold. */
void ftli_allocation_own_memory(const struct ftli_device *, void (*each)(void *user, const void *at, size_t bytes),
                                void *user);
/* When a completion was counted; who waits for one prepares on it. */
ftli_event *ftli_allocation_completed(struct ftli_device *);
/* Something waits or is held: the tick must run. One load if it does. Async-signal-safe. */
void ftli_allocation_need_tick(struct ftli_device *);

/* True: the tick runs, and what it refreshes is at most a few ticks old. */
bool ftli_allocation_is_ticking(const struct ftli_device *);

/* ---- the actor */
enum { FTLI_TICK_NS = 25 * 1000 * 1000, FTLI_SOON_NS = 500 * 1000, FTLI_RECLAIM_NS = 400 * 1000 };
struct ftli_allocation {
    struct ftli_device *device;
    /* Idle ports give up what they hold; returns how many bytes ports still hold or have in use. The port's, so that
     * allocation names no port. */
    uint64_t (*claim_idle)(void *user, uint64_t now_ns);
    void *user;
    ftli_atomic_u64 ticks; /* whole ones */
    uint64_t looked_ns;    /* when the last whole one was */
    uint64_t busy;         /* what claim_idle said then */
};
extern const ftli_actor_operations ftli_allocation_operations;
void ftli_allocation_attach(struct ftli_device *, ftli_actor *);

#endif
