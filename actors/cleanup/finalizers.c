/* Finalizers' workers, and how headers come to them.
 *
 * What      The cleanup lays headers into a ring, in order, and calls all workers; whichever is free takes the next. A worker holds the
 *           one header whose finalizer it calls, so nothing lies behind a finalizer that does not return, nor with a worker
 *           that restarts or is down: the others take it.
 * Threads   add and deal: the cleanup's. take: any worker, lock-free. oldest_ns: any.
 * Invariant dealt - taken <= FTLI_FINALIZERS_READY. Both only grow, so who has read a place and then moves `taken` on from there has
 *           read what lay in it. Who finds none left was called, or will be, for what is dealt after that: each call is a route's.
 */
#include <fettle/fettle.h>

#include "actors/cleanup/inside.h"

enum { WORKER_CALLED = 1 };

/* ---- the cleanup's side ---------------------------------------------------------------------------------------------- */

void ftli_finalizers_attach(struct ftli_cleanup *cleanup, struct ftli_finalizer_worker *worker, ftli_actor *actor)
{
    worker->cleanup = cleanup;
    worker->actor = actor;
    worker->called.u.message.type = WORKER_CALLED;
    worker->called.u.message.flags = FTLI_ROUTE_FLAG;
    worker->called.to = actor;
    worker->called.lane = FTLI_LANE_HIGH;
}

void ftli_finalizers_add(struct ftli_cleanup *cleanup, struct ftli_header *header, bool is_urgent)
{
    struct ftli_finalizers *finalizers = &cleanup->finalizers;
    ftli_link *link = &header->u.link;
    bool is_only = finalizers->first == NULL;
    link->next = is_urgent ? finalizers->first : NULL;
    if (is_urgent || is_only)
        finalizers->first = link;
    else
        finalizers->last->next = link;
    if (!is_urgent || is_only)
        finalizers->last = link;
}

/* All are called, not just as many as there are headers: one may be stuck, or about to go down. A call to who is called is an addition. */
void ftli_finalizers_deal(struct ftli_cleanup *cleanup)
{
    struct ftli_finalizers *finalizers = &cleanup->finalizers;
    if (finalizers->first == NULL)
        return;
    uint64_t dealt = ftli_u64_load_relaxed(&finalizers->dealt);
    uint64_t full = ftli_u64_load_acquire(&finalizers->taken) + FTLI_FINALIZERS_READY; /* pairs: finalizers-taken */
    uint64_t before = dealt;
    while (finalizers->first != NULL && dealt != full) {
        ftli_link *link = finalizers->first;
        finalizers->first = link->next;
        ftli_pointer_store_relaxed(&finalizers->ready[dealt++ % FTLI_FINALIZERS_READY], ftli_header_of_link(link));
    }
    if (dealt == before)
        return; /* who takes one of them comes back with it, and then there is room */
    ftli_u64_store_release(&finalizers->dealt, dealt); /* pairs: finalizers-dealt */
    for (uint32_t i = 0; i < cleanup->worker_count; i++)
        ftli_route_happened(&cleanup->workers[i].called);
}

/* Those in the ring are in the order of their coming, but for those that failed and come again. */
static uint64_t ready_oldest_ns(const struct ftli_finalizers *finalizers)
{
    uint64_t taken = ftli_u64_load_acquire(&finalizers->taken);
    for (;;) {
        if (ftli_u64_load_acquire(&finalizers->dealt) == taken) /* pairs: finalizers-dealt */
            return 0;
        const struct ftli_header *header = ftli_pointer_load_acquire(&finalizers->ready[taken % FTLI_FINALIZERS_READY]);
        uint64_t posted_ns = ftli_u64_load_acquire(&header->dimensions_low);
        uint64_t now_taken = ftli_u64_load_acquire(&finalizers->taken);
        if (now_taken == taken) /* so it lay there all the time */
            return posted_ns;
        taken = now_taken;
    }
}

uint64_t ftli_finalizers_oldest_ns(const struct ftli_cleanup *cleanup)
{
    uint64_t oldest_ns = ready_oldest_ns(&cleanup->finalizers);
    for (uint32_t i = 0; i < cleanup->worker_count; i++) {
        uint64_t posted_ns = ftli_u64_load_relaxed(&cleanup->workers[i].posted_ns);
        if (posted_ns != 0 && (oldest_ns == 0 || posted_ns < oldest_ns))
            oldest_ns = posted_ns;
    }
    return oldest_ns;
}

/* ---- a worker's side ------------------------------------------------------------------------------------------------- */

static bool has_ready(const struct ftli_finalizers *finalizers)
{
    uint64_t taken = ftli_u64_load_acquire(&finalizers->taken); /* first: what is taken was dealt */
    return ftli_u64_load_acquire(&finalizers->dealt) != taken;  /* pairs: finalizers-dealt */
}

static struct ftli_header *take(struct ftli_finalizers *finalizers)
{
    uint64_t taken = ftli_u64_load_acquire(&finalizers->taken);
    while (ftli_u64_load_acquire(&finalizers->dealt) != taken) { /* pairs: finalizers-dealt */
        struct ftli_header *header = ftli_pointer_load_relaxed(&finalizers->ready[taken % FTLI_FINALIZERS_READY]);
        if (ftli_u64_cas_acq_rel(&finalizers->taken, &taken, taken + 1)) /* pairs: finalizers-taken */
            return header;
    }
    return NULL;
}

static int finalize(struct ftli_finalizer_worker *worker, struct ftli_header *header)
{
    struct ftli_cleanup *cleanup = worker->cleanup;
    struct ftli_extension *extension = ftli_cleanup_extension(cleanup, header);
    ftli_u64_store_relaxed(&worker->posted_ns, ftli_u64_load_relaxed(&header->dimensions_low));
    struct ftli_finalizer_call call = {.finalizer =
                                           (ftl_finalizer)(uintptr_t)ftli_pointer_load_acquire(&extension->finalizer),
                                       .tensor = {ftli_table_handle(cleanup->table, header)},
                                       .data = (void *)(uintptr_t)ftli_u64_load_acquire(&header->data),
                                       .bytes = ftli_size_bytes(ftli_u64_load_acquire(&header->size)),
                                       .user = ftli_pointer_load_acquire(&extension->finalizer_user)};
    int status = cleanup->finalize != NULL ? cleanup->finalize(cleanup->user, ftli_header_parity(header), &call)
                                           : call.finalizer(call.tensor, call.data, call.bytes, call.user);
    if (ftli_kernel_is_forked(cleanup->kernel)) /* the child's copy: the tensor is the parent's */
        return FTL_ENOTSUP;
    ftli_u64_store_relaxed(&worker->posted_ns, 0);
    ftli_u64_add_owner(&worker->calls, 1);
    if (status != 0) {
        ftli_u64_add_owner(&worker->failures, 1);
        ftli_u32_store_release(&extension->last_status, (uint32_t)status);
    }
    ftli_header_address(header, status == 0 ? FTLI_PURPOSE_FINALIZED : FTLI_PURPOSE_FAILED, ftli_header_lane(header),
                        ftli_header_parity(header));
    ftli_actor_post(cleanup->actor, FTLI_LANE_HIGH, &header->u.link);
    return FTL_OK;
}

/* One a receive, as all mail, so that it can be stopped and restarted in between; then it calls itself. Others' messages say nothing to
 * it (a simulation's). */
static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    struct ftli_finalizer_worker *worker = state;
    struct ftli_finalizers *finalizers = &worker->cleanup->finalizers;
    (void)context;
    if (message != &worker->called.u.message)
        return FTL_OK;
    uint64_t seen = ftli_route_begin(&worker->called); /* before the look for headers */
    struct ftli_header *header = take(finalizers);
    if (header != NULL) {
        int status = finalize(worker, header);
        if (status != FTL_OK)
            return status;
        if (has_ready(finalizers))
            ftli_route_happened(&worker->called);
    }
    ftli_route_end(&worker->called, seen);
    return FTL_OK;
}

const ftli_actor_operations ftli_finalizer_operations = {
    .type = "finalizer",
    .on_message = on_message,
    .restartable = true,
};
