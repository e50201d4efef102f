/* Who is acting: a thread inside its port, a thread without one, or the cleanup on behalf of a link. */
#ifndef FTLI_ACTORS_PORT_AGENT_H
#define FTLI_ACTORS_PORT_AGENT_H

#include "actors/port/runtime.h"

struct ftli_agent {
    struct ftl_runtime *runtime;
    struct ftli_port *port;         /* NULL: none; nothing is done in place */
    struct ftli_counters *counters; /* the port's, the cleanup's, or the shared ones */
    bool shared;                    /* counters have many writers */
    int parity;                     /* of its drops; -1: drain's current one */
};

FTLI_INLINE void ftli_count(const struct ftli_agent *agent, ftli_atomic_u64 *counter, uint64_t n)
{
    if (FTLI_UNLIKELY(agent->shared))
        (void)ftli_u64_fetch_add_relaxed(counter, n);
    else
        ftli_u64_add_owner(counter, n);
}

/* The epoch of a drop that this thread makes: drain's current one, or that of the tensor whose finalizer makes it: as a cascade's. */
FTLI_INLINE uint32_t ftli_drop_parity(const struct ftl_runtime *runtime)
{
    uint32_t inherits = ftli_thread.inherits;
    if (FTLI_UNLIKELY(inherits != 0) && inherits >> 2 == runtime->number)
        return inherits & 1;
    return ftli_u32_load_acquire(&runtime->parity); /* pairs: epoch */
}

/* A call of an application thread begins and ends. With `take`, a thread that has no port takes one. False: the runtime is
 * closed; nothing was entered. */
bool ftli_runtime_enter(struct ftl_runtime *); /* without a port: shared, and only against close */
void ftli_runtime_leave(struct ftl_runtime *);
bool ftli_agent_enter(struct ftli_agent *, struct ftl_runtime *, bool take);
void ftli_agent_leave(const struct ftli_agent *);

/* Gives up one reference. FTL_OK, or FTL_ESTALE. CORE.md section 1. */
int ftli_drop(const struct ftli_agent *, struct ftli_header *, uint32_t generation);
/* An unpin or a guard's end brought a DROPPED header to rest: it is posted. Its drop was counted before. */
void ftli_deliver(struct ftl_runtime *, struct ftli_header *);
/* ---- a drop goes on: the port is entered, and left by them */
/* Nothing was done to it yet. */
int ftli_drop_not_posted(struct ftli_port *, struct ftli_header *, uint64_t generation_bits);
/* This call made it DROPPED; something stands against it. */
int ftli_drop_dropped(struct ftli_port *, struct ftli_header *);
/* No port was entered. */
int ftli_drop_without_port(uint64_t id);
/* What a stale handle answers: FTL_ECLOSED of a runtime that is closed, else FTL_ESTALE; counted. */
int ftli_stale(uint64_t id);

/* A new that the fast path does not know: any, or one without options and scope, of up to four dimensions, inside the port, which is left. */
int ftli_new_checked(struct ftl_runtime *, ftl_dtype, uint32_t ndim, const int64_t *shape, const ftl_tensor_options *,
                     ftl_tensor *out);
int ftli_new_plain(struct ftli_port *, ftl_dtype, uint32_t ndim, const int64_t *shape, ftl_tensor *out);

/* ---- the end of a new of a small tensor */
/* The fields that every tensor has, but for its shape; the record is its header's already, and it has no extension. The word is stored
 * last: pairs: word-live. */
FTLI_INLINE void ftli_new_fill(struct ftli_header *header, uint64_t size, const struct ftli_port *port)
{
    ftli_u64_store_release(&header->size, size);
    ftli_u64_copy_two(header->birth, port->birth); /* before a shape that needs its part of it */
}

/* The header is this thread's, its fields are filled; the port is left. c is 8 * the size class; flags: what stands in the word besides. */
FTLI_INLINE int ftli_new_finish(struct ftli_port *port, struct ftli_header *header, uint64_t id, uint64_t flags,
                                size_t c, uint64_t bytes, ftl_tensor *out)
{
    ftli_u64_add_owner(FTLI_AT(port->counters.created, c), 1);
    ftli_u64_add_owner(&port->counters.created_bytes, bytes);
    ftli_u64_store_release(&header->word,
                           ((id << FTLI_WORD_GENERATION_SHIFT) + ftli_u64_load_plain(&port->born_word)) | flags);
    out->id = id; /* stored: pairs: word-live */
    ftli_port_leave(port);
    return FTL_OK;
}

/* The same when the port's countdown of the size class came to its end. */
int ftli_new_sampled(uint64_t id, size_t c, uint64_t bytes, ftl_tensor *out);

/* ---- the end of a drop in place */
/* The magazine of the class is full. */
int ftli_drop_stow(struct ftli_header *, unsigned size_class);
/* The header is FREE and this thread's; the port is left. next_id: the handle of its next tensor. c is 8 * the size class. */
FTLI_INLINE int ftli_drop_finish(struct ftli_port *port, struct ftli_header *header, uint64_t next_id, size_t c,
                                 uint64_t bytes)
{
    ftli_u64_add_owner(&port->counters.immediate_bytes, bytes);
    ftli_u64_add_owner(FTLI_AT(port->counters.immediate, c), 1);
    if (FTLI_UNLIKELY(!ftli_rack_give_at(&port->rack, c, next_id)))
        return ftli_drop_stow(header, (unsigned)(c / 8));
    ftli_port_leave(port);
    return FTL_OK;
}
/* The same of one whose death is recorded. */
int ftli_drop_sampled(struct ftli_port *, struct ftli_header *, uint64_t next_id, uint64_t record);

/* ---- sampling. The countdown of the size class came to its end: SLOW if this one is sampled, else 0. */
uint64_t ftli_sample_class(struct ftli_port *, struct ftli_header *, unsigned size_class, uint64_t bytes);
/* The same of a size without a class: every one is shown to it. */
uint64_t ftli_sample_other(struct ftli_port *, struct ftli_header *, uint64_t bytes);
/* A port's next countdown of a class, its first one too; 0: it is not sampled. */
uint32_t ftli_sample_class_countdown(struct ftli_port *, unsigned size_class);
/* A sampled one is dropped, and the caller's: its death is counted, and its slot stands in its record again. Port NULL: none. */
void ftli_sample_drop(struct ftl_runtime *, struct ftli_port *, struct ftli_header *);

/* Coarse milliseconds since the runtime opened, refreshed. */
uint32_t ftli_stamp_refresh(struct ftl_runtime *);
uint32_t ftli_stamp_raise(struct ftl_runtime *, uint32_t now_ms); /* never backwards; what it is then */

#endif
