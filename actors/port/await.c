/* await: until the tensor of one handle is reclaimed. The stale handle is the ticket of its drop.
 *
 * Look      The word says it all: the handle's generation in any state but QUARANTINED is not over; a later one is. Counters are
 *           written before the word, so whoever awaited a tensor finds it in them.
 * Wake-up   The hot drop looks at nobody. So who waits for a tensor that is LIVE, or dropped and pinned, marks it: a pin for a moment,
 *           SLOW with it by one compare-and-swap, AWAITED in its record; whatever brings its end then goes by the cleanup. The
 *           cleanup wakes all who wait after each of its runs, and they look again: one addition a run, nothing a drop.
 *           waiter: announce (prepare), load `passes`, look. cleanup: complete, add to `passes`, look for waiters. All sequentially
 *           consistent but the look: either the cleanup sees the waiter, or the waiter's load of `passes` reads what the
 *           cleanup added, and so the look sees what it completed (pairs: await-pass). tests/model/await.pml.
 * Slices    Where it is not certain that a run of the cleanup comes after, the wait is short and the look comes again: a drop call is
 *           under way between two of its steps, the header lies in a shard's mailbox, or it has all the pins there are.
 */
#include "actors/port/agent.h"
#include "tensor/registry.h"

#define SLICE_LEAST_NS (UINT64_C(1) * 1000 * 1000)
#define SLICE_MOST_NS  (UINT64_C(20) * 1000 * 1000)
#define UNFINISHED     (FTLI_HEADER_FINALIZER | FTLI_HEADER_LINKS | FTLI_HEADER_AWAITED)

enum fate {
    OVER,    /* reclaimed */
    KEPT,    /* in quarantine */
    NONE,    /* never given out */
    PENDING, /* a run of the cleanup comes after its end, or it was marked so */
    MOVING,  /* on its way: to be looked at again soon */
};

struct ticket {
    struct ftl_runtime *runtime;
    struct ftli_header *header;
    uint64_t id;
    uint64_t deadline_ns, slice_ns;
    bool hurried;
};

static bool is_marked(const struct ftli_header *header, uint32_t flags)
{
    return (ftli_record_flags(ftli_u64_load_acquire(&header->record)) & flags) != 0;
}

/* FREE in the generation after the handle's. A drop may have made it so in passing, and will find that something is against it; and
 * with policy message it may lie in a parcel. */
static enum fate look_at_free(const struct ticket *ticket)
{
    bool unfinished = is_marked(ticket->header, UNFINISHED);
    if (!unfinished && ticket->runtime->cleanup.every_drop_is_a_message)
        unfinished = ftli_parcels_hold(&ticket->runtime->cleanup, ticket->id + 1);
    return unfinished ? MOVING : OVER;
}

static enum fate look_at_pending(const struct ticket *ticket, enum ftli_state state)
{
    enum ftli_purpose purpose = ftli_header_purpose(ticket->header);
    if (is_marked(ticket->header, FTLI_HEADER_AWAITED))
        return PENDING;
    return state == FTLI_RECLAIMING && purpose != FTLI_PURPOSE_RECLAIM ? PENDING : MOVING;
}

static enum fate look_at(const struct ticket *ticket, uint64_t word)
{
    uint32_t generation = ftli_handle_generation(ticket->id), now = ftli_word_generation(word);
    enum ftli_state state = ftli_word_state(word);
    if (now == generation + 1 && state == FTLI_FREE)
        return look_at_free(ticket);
    if (now != generation) /* 0: its page went back, with all that lived there */
        return now > generation || word == 0 ? OVER : NONE;
    switch (state) {
    case FTLI_FREE:
        return NONE;
    case FTLI_RETIRED:
        return OVER;
    case FTLI_QUARANTINED:
        return KEPT;
    default:
        return look_at_pending(ticket, state);
    }
}

/* What was read besides the word is this tensor's if the word still names it and its state. */
static enum fate look(const struct ticket *ticket)
{
    const uint64_t same = FTLI_WORD_GENERATION | FTLI_WORD_STATE;
    uint64_t word = ftli_u64_load_acquire(&ticket->header->word), again;
    enum fate fate = look_at(ticket, word);
    while (((again = ftli_u64_load_acquire(&ticket->header->word)) & same) != (word & same)) {
        word = again;
        fate = look_at(ticket, word);
    }
    return fate;
}

/* Whatever ends it goes by the cleanup from here on, if it is not too late for that. */
static void mark(const struct ticket *ticket)
{
    struct ftli_header *header = ticket->header;
    uint32_t generation = ftli_handle_generation(ticket->id);
    if (ftli_word_hold(&header->word, generation) != FTLI_WORD_DONE)
        return;
    uint64_t record = ftli_u64_load_acquire(&header->record);
    while (!ftli_u64_cas_acq_rel(&header->record, &record, record | FTLI_HEADER_AWAITED))
        ;
    if (ftli_word_unpin(&header->word, generation) == FTLI_WORD_POST)
        ftli_deliver(ticket->runtime, header);
}

/* Brings on what this thread can: shards' mail, outboxes, and the cleanup without its batch. */
static void hurry(struct ticket *ticket)
{
    struct ftl_runtime *runtime = ticket->runtime;
    if (runtime->cleanup.every_drop_is_a_message)
        (void)ftli_port_post_outboxes(runtime, FTLI_NEVER_NS);
    ftli_allocation_collect_all(runtime->device);
    ftli_cleanup_hurry(&runtime->cleanup);
    ticket->hurried = true;
}

static enum fate look_and_help(struct ticket *ticket)
{
    enum fate fate = look(ticket);
    uint64_t word = ftli_u64_load_acquire(&ticket->header->word);
    bool live = ftli_word_is_live(word, ftli_handle_generation(ticket->id));
    if (live && fate == MOVING) {
        mark(ticket);
        return look(ticket);
    }
    if (fate != MOVING && (fate != PENDING || live || ticket->hurried))
        return fate;
    mark(ticket); /* it may be pinned */
    hurry(ticket);
    return look(ticket);
}

/* FTL_OK: look again. */
static int wait_a_little(struct ticket *ticket, enum fate fate, uint32_t event_ticket)
{
    struct ftl_runtime *runtime = ticket->runtime;
    ftli_event *reclaimed = &runtime->cleanup.reclaimed;
    uint64_t now_ns = ftli_kernel_now_ns(runtime->kernel), until_ns = ticket->deadline_ns;
    bool closing = ftli_u32_load_seq_cst(&runtime->state) != FTLI_RUNTIME_OPEN;
    if (now_ns >= until_ns || closing) {
        ftli_event_cancel(reclaimed);
        return closing ? FTL_ECLOSED : FTL_ETIMEDOUT;
    }
    if (fate == MOVING) {
        uint64_t slice_ns = ftli_deadline_ns(now_ns, ticket->slice_ns);
        until_ns = slice_ns < until_ns ? slice_ns : until_ns;
        ticket->slice_ns = 2 * ticket->slice_ns < SLICE_MOST_NS ? 2 * ticket->slice_ns : SLICE_MOST_NS;
    }
    int status = ftli_kernel_wait(runtime->kernel, reclaimed, event_ticket, until_ns, NULL);
    if (status == FTL_ETIMEDOUT && until_ns != ticket->deadline_ns)
        return FTL_OK;
    return status;
}

static int status_of(enum fate fate)
{
    return fate == OVER ? FTL_OK : fate == KEPT ? FTL_EINTERNAL : fate == NONE ? FTL_ESTALE : FTL_ETIMEDOUT;
}

static int await(struct ticket *ticket)
{
    struct ftli_cleanup *cleanup = &ticket->runtime->cleanup;
    int waited = FTL_OK;
    for (;;) {
        uint32_t event_ticket = ftli_event_prepare(&cleanup->reclaimed);
        (void)ftli_u64_load_seq_cst(&cleanup->passes); /* pairs: await-pass */
        enum fate fate = look_and_help(ticket);
        if ((fate != PENDING && fate != MOVING) || waited != FTL_OK) {
            ftli_event_cancel(&cleanup->reclaimed);
            return fate == PENDING || fate == MOVING ? waited : status_of(fate);
        }
        waited = wait_a_little(ticket, fate, event_ticket); /* over or not, it is looked at once more */
        if (waited == FTL_ENOTSUP) /* a finalizer that this thread ran has forked, and this is the child */
            return waited;
    }
}

static int await_inside(struct ticket *ticket, int64_t timeout_ns)
{
    struct ftl_runtime *runtime = ticket->runtime;
    enum fate fate = look(ticket);
    if (fate != PENDING && fate != MOVING)
        return status_of(fate);
    if (ftli_port_is_inherited(runtime))
        return FTL_ENOTSUP;
    if (ftli_kernel_is_service_thread(runtime->kernel))
        return timeout_ns == 0 ? FTL_ETIMEDOUT : FTL_EBUSY;
    if (timeout_ns == 0) {
        (void)ftli_allocation_collect(runtime->device);
        return status_of(look(ticket));
    }
    uint64_t now_ns = ftli_kernel_now_ns(runtime->kernel);
    ticket->deadline_ns = timeout_ns < 0 ? FTLI_NEVER_NS : ftli_deadline_ns(now_ns, (uint64_t)timeout_ns);
    ticket->slice_ns = SLICE_LEAST_NS;
    return await(ticket);
}

int ftl_tensor_await(ftl_tensor tensor, int64_t timeout_ns)
{
    if (tensor.id == 0)
        return FTL_OK;
    struct ftl_runtime *runtime = ftli_runtime_of(ftli_handle_runtime(tensor.id));
    struct ftli_header *header = ftli_registry_find(tensor.id);
    if (runtime == NULL || (header == NULL && ftli_u32_load_acquire(&runtime->state) < FTLI_RUNTIME_SHUT))
        return ftli_fail(FTL_ESTALE, "there was never such a tensor");
    if (header == NULL || !ftli_runtime_enter(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed");
    struct ticket ticket = {.runtime = runtime, .header = header, .id = tensor.id};
    int status = await_inside(&ticket, timeout_ns);
    ftli_runtime_leave(runtime);
    switch (status) {
    case FTL_OK:
        return FTL_OK;
    case FTL_ESTALE:
        return ftli_fail(status, "there was never such a tensor");
    case FTL_EINTERNAL:
        return ftli_fail(status,
                         "the tensor is quarantined: its finalizer failed up to its deadline, or its state is broken");
    case FTL_ETIMEDOUT:
        return ftli_fail(status, "the tensor was not reclaimed when the time was over");
    case FTL_EBUSY:
        return ftli_fail(status, "await was called from inside a callback");
    case FTL_ECLOSED:
        return ftli_fail(status, "the runtime is closed or closing");
    default:
        return ftli_fail(status, "not in a forked child");
    }
}
