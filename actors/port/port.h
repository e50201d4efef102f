/* A port: the application thread's own actor. Small drops are delivered to it in place; it sends magazines on.
 *
 * Owns      The thread's magazines and counters, its ring of sampled events.
 * Threads   Ports are process-global, type-stable and never freed. A port serves one thread of one runtime at a time. The
 *           owner enters and leaves by plain stores; the allocation actor's tick claims the ports of idle and dead
 *           threads (CORE.md section 2). The mapping is wiped in a forked child: there every gate reads closed.
 * Invariant What is behind the gate (rack, countdowns) is touched by the owner while busy, or by the claimer while the gate is
 *           CLAIMED and busy was 0 after a membarrier; never by both.
 */
#ifndef FTLI_ACTORS_PORT_PORT_H
#define FTLI_ACTORS_PORT_PORT_H

#include <assert.h>
#include <pthread.h>

#include <fettle/fettle.h>

#include "actors/allocation/allocation.h"
#include "actors/tracking/tracking.h"
#include "tensor/handle.h"

enum ftli_gate {
    FTLI_GATE_CLOSED = 0, /* no runtime, or wiped by a fork */
    FTLI_GATE_OPEN = 1,
    FTLI_GATE_CLAIMED = 2,
};

enum ftli_port_state {
    FTLI_PORT_FREE = 0,   /* of no runtime, held by no thread */
    FTLI_PORT_USED = 1,   /* serves a thread */
    FTLI_PORT_VACANT = 2, /* its thread is gone; the next thread of the same runtime takes it, counters running on */
    FTLI_PORT_ORPHAN = 3, /* its runtime is gone; its thread still holds it */
    FTLI_PORT_TAKING = 4, /* one thread is between two of these */
};

/* Processor time of the threads that a port served. Taking a port makes no system call (a drop may take it), so a thread's time is asked for by
 * whoever looks; at the first look it is what the thread ever had, but no more than has passed since. */
struct ftli_thread_time {
    ftli_atomic_u64 taken_ns; /* when the thread took it, by the clock */
    ftli_atomic_u64 from_ns;  /* the thread's time then */
    ftli_atomic_u64 seen_ns;  /* since then, at the last look; 0: nobody looked */
    ftli_atomic_u64
        before_ns; /* of those before it. One that ended before anybody looked: the time from taking to vacating */
};

struct ftli_port {
    FTLI_ALIGNED(64) ftli_atomic_u32 busy; /* the owner's; pairs: port-claim */
    ftli_atomic_u32 gate;                  /* the claimer's; pairs: port-claim */
    ftli_atomic_u32 runtime;               /* number; 0: none */
    uint32_t strict;                       /* 1: no membarrier here; busy and gate are sequentially consistent */
    /* ---- slot and runtime of a handle, 64 times, less handle_base are its header's offset; those of others come out too large */
    ftli_atomic_u64 handle_base;
    ftli_atomic_u64
        known_bytes; /* of headers that are committed, as of some time ago; 0 if strict: no fast paths for it */
    ftli_atomic_u64 in_place_bytes; /* the same, for drops that are done in place; 0 where every drop is a message */
    ftli_atomic_pointer headers;
    ftli_atomic_u64 handle_origin; /* headers - handle_base, for the way from a header to its handle */
    uint32_t home;                 /* shard that is tried first */
    union {
        FTLI_ALIGNED(16) ftli_atomic_u64 birth[2]; /* the last sixteen bytes of a new header */
        struct {
            ftli_atomic_u32 stamp_ms; /* the runtime's, as of the last tick or slow new */
            ftli_atomic_u32 no_extension;
            ftli_atomic_u64 born_scope; /* the port's number, over no dimension */
        };
    };
    struct ftl_runtime *owner;
    ftli_atomic_u64
        born_word; /* of a new tensor that nothing stands against, without its generation; SLOW where every drop is a message */
    ftli_atomic_pointer parcels[2];   /* policy message: the open one of each parity; NULL: none. Looked at by any */
    uint64_t countdown[FTLI_CLASSES]; /* news until the next sampled one, per size class */
    struct ftli_rack rack;
    uint32_t tier_countdown[FTLI_TRACKING_TIERS + 1]; /* of those without a class, per tier; the last: of none */
    uint64_t random;                                  /* of the next countdown */
    struct ftli_draws draws;                          /* the rates that the countdowns were drawn by */
    FTLI_ALIGNED(64) struct ftli_counters counters;   /* written by the owner, read by any */
    /* ---- not the owner's */
    FTLI_ALIGNED(64) ftli_atomic_u32 state;
    uint32_t index;
    pthread_mutex_t life; /* robust, held by the thread: its death is seen by who tries it */
    bool life_ready;
    uint64_t seen_activity; /* the claimer's */
    uint64_t seen_ns;
    ftli_atomic_u64 thread_ended_ns; /* when a thread of it was last seen to be gone; 0: never */
    struct ftli_stack_memory stacks; /* the owner's */
    struct ftli_thread_time time;
    ftli_atomic_u32 rates_epoch; /* of `draws` */
    struct ftli_event_ring ring;
};

enum { FTLI_PORTS_MOST = 8192 };

/* The thread's view: its ports, the last used first, and its current scope. Begun anew in a forked child. */
struct ftli_thread {
    struct ftli_port *port; /* ftli_no_port: none yet, so that the fast paths need not ask */
    const void *fast;       /* the runtime that `port` serves, if new may take the fast path; else no runtime at all */
    uint32_t runtime;       /* number that `port` serves; 0: none */
    uint32_t others;
    struct ftli_port *ports[4];
    uint64_t scope;
    uint32_t slow_news; /* counted, so that back-pressure is looked at now and then */
    uint32_t
        inherits; /* inside a finalizer: number of its runtime | 1 | parity of its tensor; else 0: ftli_drop_parity */
    bool with_ports; /* it is taking a port, or looking whether another's thread lives */
};

extern _Thread_local struct ftli_thread ftli_thread __attribute__((tls_model("initial-exec")));

/* A gate that is shut, over no slots. */
extern struct ftli_port ftli_no_port;
/* After `port`, `runtime` or `scope` changed. */
void ftli_thread_turn(struct ftli_thread *);

/* For the fast paths: the port is not strict. */
FTLI_INLINE bool ftli_port_enter_fast(struct ftli_port *port)
{
    if (FTLI_UNLIKELY(!ftli_u32_equals_acquire(&port->busy, 0)))
        return false;
#if defined __SANITIZE_THREAD__
    ftli_u32_store_seq_cst(&port->busy, 1);
    bool open = ftli_u32_load_seq_cst(&port->gate) == FTLI_GATE_OPEN;
#else
    ftli_u32_store_relaxed(&port->busy, 1);
    FTLI_COMPILER_BARRIER(); /* pairs: port-claim; the claimer's membarrier stands for the processor's */
    bool open = ftli_u32_equals_acquire(&port->gate, FTLI_GATE_OPEN);
#endif
    if (FTLI_LIKELY(open))
        return true;
    ftli_u32_store_release(&port->busy, 0);
    return false;
}

/* Where in the table the header lies that a handle names, in bytes; too large if it is not of this port's runtime. */
FTLI_INLINE uint64_t ftli_port_offset(const struct ftli_port *port, uint64_t id)
{
    static_assert(sizeof(struct ftli_header) == 64, "6 bits of a header's address lie within it");
    return ((id >> (FTLI_HANDLE_SHIFT - 6)) & ~UINT64_C(63)) - ftli_u64_load_plain(&port->handle_base);
}

FTLI_INLINE struct ftli_header *ftli_port_header_at(const struct ftli_port *port, uint64_t offset)
{
    return (struct ftli_header *)(void *)((char *)ftli_pointer_load_plain(&port->headers) + offset);
}

FTLI_INLINE bool ftli_port_find_below(const struct ftli_port *port, uint64_t id, uint64_t bytes,
                                      struct ftli_header **out)
{
    uint64_t offset = ftli_port_offset(port, id);
    if (FTLI_UNLIKELY(offset >= bytes))
        return false;
    *out = ftli_port_header_at(port, offset);
    return true;
}

/* The header that a handle names, if it is of this port's runtime. False: the registry knows. */
FTLI_INLINE bool ftli_port_find_header(const struct ftli_port *port, uint64_t id, struct ftli_header **out)
{
    return ftli_port_find_below(port, id, ftli_u64_load_plain(&port->known_bytes), out);
}

/* The other way round, of a handle that is known to be of this port's runtime. */
FTLI_INLINE struct ftli_header *ftli_port_header(const struct ftli_port *port, uint64_t id)
{
    return (struct ftli_header *)(uintptr_t)(((id >> (FTLI_HANDLE_SHIFT - 6)) & ~UINT64_C(63)) +
                                             ftli_u64_load_plain(&port->handle_origin));
}

/* The handle of a header of this port's runtime, without its generation. */
FTLI_INLINE uint64_t ftli_port_handle(const struct ftli_port *port, const struct ftli_header *header)
{
    return ((uint64_t)(uintptr_t)header - ftli_u64_load_plain(&port->handle_origin)) << (FTLI_HANDLE_SHIFT - 6);
}

/* False: bypass (a call inside a call, a signal handler, or the port is claimed). */
FTLI_INLINE bool ftli_port_enter(struct ftli_port *port)
{
    if (FTLI_LIKELY(port->strict == 0))
        return ftli_port_enter_fast(port);
    if (FTLI_UNLIKELY(ftli_u32_load_relaxed(&port->busy) != 0))
        return false;
    ftli_u32_store_seq_cst(&port->busy, 1);
    if (FTLI_LIKELY(ftli_u32_load_seq_cst(&port->gate) == FTLI_GATE_OPEN))
        return true;
    ftli_u32_store_release(&port->busy, 0);
    return false;
}

FTLI_INLINE void ftli_port_leave(struct ftli_port *port)
{
    ftli_u32_store_release(&port->busy, 0);
}

/* This thread's port for the runtime, or NULL: bypass. The first call of a thread takes one. */
FTLI_INLINE struct ftli_port *ftli_port_find(uint32_t runtime)
{
    return FTLI_LIKELY(ftli_thread.runtime == runtime) ? ftli_thread.port : NULL;
}
struct ftli_port *ftli_port_acquire(struct ftl_runtime *);

/* All its countdowns anew, by the rates that are published. By who is alone behind the gate: bind, or a claimer. */
void ftli_port_draw(struct ftli_port *);
/* Ports that draw by rates of before draw by those that are published; by anybody. Returns how many could not be claimed. */
uint32_t ftli_port_draw_all(struct ftl_runtime *);
/* Behind the shut gates of the ports that are wanted, with nobody inside; by anybody. Returns how many are to be tried again. */
uint32_t ftli_port_visit(struct ftl_runtime *, bool (*wanted)(const struct ftli_port *),
                         void (*visit)(struct ftli_port *));
/* A thread takes the port; it is gone; what all of them had so far. */
void ftli_port_time_begin(struct ftli_port *);
void ftli_port_time_end(struct ftli_port *);
uint64_t ftli_port_time_ns(struct ftli_port *);

/* How many headers the fast paths may look at, and what time it is, once more; the owner's. */
void ftli_port_learn(struct ftli_port *);

/* The ports of a runtime, for sums: index 0 .. ftli_port_count() - 1, NULL where one is another's. */
uint32_t ftli_port_count(void);
struct ftli_port *ftli_port_at(uint32_t index, uint32_t runtime);
/* When a thread of it was last seen to be gone, looking now as well; 0: never. */
uint64_t ftli_port_thread_ended_ns(struct ftli_port *, struct ftl_runtime *);

/* Ports idle for 50 ms, and those of dead threads, give up their magazines. Returns how many still hold or work. */
uint64_t ftli_port_claim_idle(void *runtime, uint64_t now_ns);
/* Policy message: what lies in outboxes since until_ns or longer is posted, of ports that no thread is inside of; by anybody. Returns
 * how many outboxes still hold something. */
uint32_t ftli_port_post_outboxes(struct ftl_runtime *, uint64_t until_ns);
/* Close begins: every gate is shut, so that new is refused and all other calls go the way without a port. */
void ftli_port_shut_all(struct ftl_runtime *);
/* Close: every gate shut and every call over, or false after the wait. */
bool ftli_port_close_all(struct ftl_runtime *, uint64_t wait_ns);
/* After close: the ports are of no runtime. */
void ftli_port_release_all(struct ftl_runtime *);
/* True in a forked child, of a runtime that its parent opened: CORE.md law 10. */
bool ftli_port_is_inherited(const struct ftl_runtime *);
uint32_t ftli_port_process_epoch(void);
int ftli_port_prepare(void); /* once, by the first open; FTL_ENOMEM */
/* Bytes of ports that are in use. */
size_t ftli_port_metadata_bytes(uint32_t runtime);

#endif
