#include "actors/cleanup/cleanup.h"

#include <string.h>

#include <fettle/fettle.h>

#include "actors/cleanup/inside.h"
#include "runtime/base/plant.h"
#include "tensor/extension.h"

#define CASCADE_MOST 64 /* children of one header in one go; the rest comes round again */
#define HELP_MOST    16 /* messages, up to 240 drops each */
#define MS           (UINT64_C(1000) * 1000)

void ftli_cleanup_init(struct ftli_cleanup *cleanup, const struct ftli_cleanup_settings *settings)
{
    memset(cleanup, 0, sizeof *cleanup);
    cleanup->settings = settings;
    cleanup->every_drop_is_a_message = settings->policy == FTLI_CLEANUP_POLICY_MESSAGE;
}

/* ---- the sender's side ----------------------------------------------------------------------------------------------- */

bool ftli_cleanup_is_at_once(const struct ftli_cleanup *cleanup)
{
    return ftli_allocation_committed(cleanup->device) >= cleanup->at_once_bytes;
}

void ftli_cleanup_attach_device(struct ftli_cleanup *cleanup, struct ftli_device *device)
{
    double limit = (double)ftli_allocation_limit(device);
    cleanup->device = device;
    cleanup->at_once_bytes = (uint64_t)(cleanup->settings->at_once_above * limit);
    cleanup->emergency_bytes = (uint64_t)(cleanup->settings->emergency_above * limit);
}

void ftli_cleanup_send_drop(struct ftli_cleanup *cleanup, struct ftli_header *header)
{
    uint64_t committed = ftli_allocation_committed(cleanup->device);
    uint64_t bytes = ftli_size_bytes(ftli_u64_load_relaxed(&header->size));
    bool is_awaited = (ftli_record_flags(ftli_u64_load_relaxed(&header->record)) & FTLI_HEADER_AWAITED) != 0;
    unsigned lane = is_awaited || bytes >= cleanup->settings->high_lane_from_bytes ? FTLI_LANE_HIGH : FTLI_LANE_NORMAL;
    if (FTLI_UNLIKELY(committed >= cleanup->emergency_bytes))
        lane = FTLI_LANE_EMERGENCY;
    (void)ftli_u64_fetch_add_relaxed(&cleanup->sent, ftli_cleanup_one_sent(ftli_header_own_bytes(header)));
    ftli_u64_store_release(&header->dimensions_low, ftli_kernel_now_ns(cleanup->kernel));
    ftli_header_address(header, FTLI_PURPOSE_DROP, lane, ftli_header_parity(header));
    ftli_actor_post(cleanup->actor, lane, &header->u.link);
    if (FTLI_UNLIKELY(committed >= cleanup->at_once_bytes))
        ftli_actor_wake(cleanup->actor);
}

uint64_t ftli_cleanup_sent_ns(const ftli_link *item)
{
    const struct ftli_header *header = ftli_header_of_link((ftli_link *)(uintptr_t)item);
    return ftli_u64_load_relaxed(&header->dimensions_low);
}

void ftli_cleanup_read_backlog(const struct ftli_cleanup *cleanup, struct ftli_cleanup_backlog *out)
{
    ftli_actor_figures figures;
    struct ftli_cleanup_pending pending = ftli_cleanup_read_pending(cleanup);
    ftli_actor_read(cleanup->actor, &figures);
    *out = (struct ftli_cleanup_backlog){
        .messages = pending.tensors, .bytes = pending.bytes, .oldest_ns = figures.oldest_ns};
}

uint64_t ftli_cleanup_oldest_ns(const struct ftli_cleanup *cleanup)
{
    ftli_actor_figures figures;
    ftli_actor_read(cleanup->actor, &figures);
    uint64_t finalizers_ns = ftli_finalizers_oldest_ns(cleanup);
    bool is_older = finalizers_ns != 0 && (figures.oldest_ns == 0 || finalizers_ns < figures.oldest_ns);
    return is_older ? finalizers_ns : figures.oldest_ns;
}

void ftli_cleanup_hurry(struct ftli_cleanup *cleanup)
{
    ftli_actor_run_within(cleanup->actor, 0); /* the tick too: what came back in parcels */
    ftli_actor_wake(cleanup->actor);
    for (uint32_t i = 0; i < cleanup->worker_count; i++)
        ftli_actor_wake(cleanup->workers[i].actor);
}

bool ftli_cleanup_help(struct ftli_cleanup *cleanup)
{
    return ftli_actor_has_mail(cleanup->actor) && ftli_actor_help(cleanup->actor, HELP_MOST) != 0;
}

/* ---- the actor ------------------------------------------------------------------------------------------------------- */

static uint32_t flags_of(const struct ftli_header *header)
{
    return ftli_record_flags(ftli_u64_load_relaxed(&header->record));
}

static void set_flags(struct ftli_header *header, uint32_t flags)
{
    uint64_t record = ftli_u64_load_relaxed(&header->record);
    ftli_u64_store_release(&header->record, (record & ~UINT64_C(0xffff)) | flags);
}

/* What a completion must look like: nobody refers to it, nobody has it pinned, and it is ours. */
bool ftli_cleanup_is_valid(const struct ftli_cleanup *cleanup, const struct ftli_header *header)
{
    if (cleanup->settings->validate == FTLI_CLEANUP_VALIDATE_NONE)
        return true;
    uint64_t word = ftli_u64_load_acquire(&header->word);
    uint64_t record = ftli_u64_load_relaxed(&header->record);
    return ftli_word_state(word) == FTLI_RECLAIMING && ftli_word_references(word) == 0 && ftli_word_pins(word) == 0 &&
           ftli_record_id(record) == ftli_table_slot(cleanup->table, header);
}

/* Links and root are given up, then the shard completes it. A long list of children comes round again. */
static void finish(struct ftli_cleanup *cleanup, struct ftli_header *header)
{
    uint32_t flags = flags_of(header);
    uint32_t parity = ftli_header_parity(header);
    struct ftli_extension *extension = ftli_cleanup_extension(cleanup, header);
    if ((flags & FTLI_HEADER_LINKS) != 0) {
        for (unsigned n = 0; n < CASCADE_MOST; n++) {
            uint64_t child = ftli_extension_take_child(cleanup->table, extension);
            if (child == 0) {
                flags &= ~(uint32_t)FTLI_HEADER_LINKS;
                break;
            }
            if (!FTLI_PLANTED(FORGOTTEN_LINK) || n == 0)
                cleanup->drop_reference(cleanup->user, child, parity);
            cleanup->cascaded = true;
        }
        set_flags(header, flags);
        if ((flags & FTLI_HEADER_LINKS) != 0) {
            ftli_actor_post(cleanup->actor, FTLI_LANE_HIGH, &header->u.link);
            return;
        }
    }
    if ((flags & FTLI_HEADER_VIEW) != 0) { /* once, also if what follows finds that it may not go */
        uint64_t root = ftli_u64_load_relaxed(&extension->root);
        ftli_u64_store_release(&extension->root, 0);
        if (root != 0)
            cleanup->drop_reference(cleanup->user, root, parity);
    }
    /* Nothing is left that says "unfinished": so await tells a word that is FREE for good from that of a drop which will find a mark. */
    if ((flags & (FTLI_HEADER_FINALIZER | FTLI_HEADER_AWAITED)) != 0)
        set_flags(header, flags & ~(uint32_t)(FTLI_HEADER_FINALIZER | FTLI_HEADER_AWAITED));
    ftli_u64_add_owner(&cleanup->done, ftli_cleanup_one_sent(ftli_header_own_bytes(header)));
    ftli_cleanup_complete(cleanup, header);
}

void ftli_cleanup_complete(struct ftli_cleanup *cleanup, struct ftli_header *header)
{
    if (!ftli_cleanup_is_valid(cleanup, header)) {
        ftli_u64_add_owner(&cleanup->invalid, 1);
        ftli_cleanup_quarantine(cleanup, header, "its state is not what it must be");
        return;
    }
    ftli_header_address(header, FTLI_PURPOSE_RECLAIM, ftli_header_lane(header), ftli_header_parity(header));
    ftli_allocation_post(cleanup->device, header);
}

static uint64_t retry_delay_ns(const struct ftli_cleanup *cleanup, uint32_t attempts)
{
    double delay = (double)cleanup->settings->retry_first_ns;
    double most = (double)cleanup->settings->retry_most_ns;
    for (uint32_t i = 1; i < ftli_attempts_since_retry(attempts) && delay < most; i++)
        delay *= cleanup->settings->retry_factor;
    return (uint64_t)(delay < most ? delay : most);
}

/* A finalizer that failed: again after a growing wait, until the deadline; the first failure after it was the last try. */
static void on_failed(struct ftli_cleanup *cleanup, ftli_context *context, struct ftli_header *header)
{
    struct ftli_extension *extension = ftli_cleanup_extension(cleanup, header);
    uint64_t now_ns = ftli_now_ns(context);
    uint64_t posted_ns = ftli_u64_load_relaxed(&header->dimensions_low);
    uint32_t attempts = ftli_u32_load_relaxed(&extension->attempts);
    if (ftli_attempts_since_retry(attempts) < FTLI_ATTEMPTS_MOST)
        attempts++;
    ftli_u32_store_release(&extension->attempts, attempts);
    ftli_u64_add_owner(&cleanup->retried, 1);
    uint64_t deadline_ns = posted_ns + (uint64_t)cleanup->settings->deadline_ns;
    if (now_ns >= deadline_ns) {
        ftli_u64_add_owner(&cleanup->done, ftli_cleanup_one_sent(ftli_header_own_bytes(header)));
        ftli_cleanup_quarantine(cleanup, header, "its deadline is over");
        return;
    }
    uint64_t delay_ns = retry_delay_ns(cleanup, attempts);
    if (now_ns + delay_ns > deadline_ns)
        delay_ns = deadline_ns - now_ns; /* the emergency cleanup: one last try, at the deadline */
    ftli_u32_store_release(&extension->due_ms, (uint32_t)((now_ns + delay_ns - cleanup->opened_ns + MS - 1) / MS));
    header->u.link.next = cleanup->waiting;
    cleanup->waiting = &header->u.link;
    ftli_u64_add_owner(&cleanup->waiting_count, 1);
    ftli_actor_run_within(cleanup->actor, delay_ns);
}

/* What came back in parcels and nobody took: to the depot, where all find it. */
static void put_by(struct ftli_cleanup *cleanup)
{
    ftli_cleanup_unpack_returned(cleanup);
    (void)ftli_allocation_clear_tray(cleanup->device);
}

static bool is_last_try(const struct ftli_cleanup *cleanup, const struct ftli_header *header, uint64_t now_ns)
{
    return now_ns >= ftli_u64_load_relaxed(&header->dimensions_low) + (uint64_t)cleanup->settings->deadline_ns;
}

/* Waits that are over. */
static int on_tick(void *state, ftli_context *context)
{
    struct ftli_cleanup *cleanup = state;
    uint64_t now_ns = ftli_now_ns(context);
    uint32_t now_ms = (uint32_t)((now_ns - cleanup->opened_ns) / MS);
    uint64_t next_ms = UINT64_MAX;
    put_by(cleanup);
    ftli_link *link = cleanup->waiting;
    cleanup->waiting = NULL;
    while (link != NULL) {
        struct ftli_header *header = ftli_header_of_link(link);
        ftli_link *after = link->next;
        uint32_t due_ms = ftli_u32_load_relaxed(&ftli_cleanup_extension(cleanup, header)->due_ms);
        if (due_ms <= now_ms) {
            ftli_u64_add_owner(&cleanup->waiting_count, UINT64_MAX);
            ftli_finalizers_add(cleanup, header, is_last_try(cleanup, header, now_ns));
        } else {
            link->next = cleanup->waiting;
            cleanup->waiting = link;
            if (due_ms < next_ms)
                next_ms = due_ms;
        }
        link = after;
    }
    if (cleanup->waiting != NULL)
        ftli_actor_run_within(cleanup->actor, (next_ms - now_ms) * MS);
    return FTL_OK;
}

static void begin(struct ftli_cleanup *cleanup, struct ftli_header *header)
{
    if ((flags_of(header) & (FTLI_HEADER_FINALIZER | FTLI_HEADER_FINALIZED)) == FTLI_HEADER_FINALIZER)
        ftli_finalizers_add(cleanup, header, false);
    else
        finish(cleanup, header);
}

static int on_item(void *state, ftli_context *context, unsigned lane, ftli_link *item)
{
    struct ftli_cleanup *cleanup = state;
    struct ftli_header *header = ftli_header_of_link(item);
    (void)lane;
    ftli_u64_add_owner(&cleanup->received, 1);
    switch (ftli_header_purpose(header)) {
    case FTLI_PURPOSE_DROP:
        ftli_word_reclaiming(&header->word);
        begin(cleanup, header);
        break;
    case FTLI_PURPOSE_RETRY:
        ftli_cleanup_take_out(cleanup, header);
        begin(cleanup, header);
        break;
    case FTLI_PURPOSE_FINALIZED:
        set_flags(header, flags_of(header) | FTLI_HEADER_FINALIZED);
        ftli_header_address(header, FTLI_PURPOSE_DROP, ftli_header_lane(header), ftli_header_parity(header));
        finish(cleanup, header);
        break;
    case FTLI_PURPOSE_FAILED:
        on_failed(cleanup, context, header);
        break;
    default:
        ftli_u64_add_owner(&cleanup->invalid, 1);
        ftli_u64_add_owner(&cleanup->done, ftli_cleanup_one_sent(ftli_header_own_bytes(header)));
        ftli_cleanup_quarantine(cleanup, header, "it came to the cleanup for no purpose that there is");
        break;
    }
    return FTL_OK;
}

/* This run goes on to what waits, and what came back in parcels is put where all find it. */
static void on_run(struct ftli_cleanup *cleanup, ftli_route *route)
{
    uint64_t seen = ftli_route_begin(route);
    put_by(cleanup);
    ftli_route_end(route, seen);
}

/* Parcels are the messages that come here, and those of routes; others say nothing to it (a simulation's). */
static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    struct ftli_cleanup *cleanup = state;
    struct ftli_parcel *parcel = (struct ftli_parcel *)(void *)message;
    if (ftli_parcel_is(&cleanup->parcels, parcel))
        ftli_cleanup_on_parcel(cleanup, parcel, ftli_now_ns(context));
    else if (message->flags == FTLI_ROUTE_FLAG && message->type == FTLI_CLEANUP_RUN)
        on_run(cleanup, ftli_route_of(message));
    return FTL_OK;
}

static void tell_of_completed(struct ftli_cleanup *cleanup)
{
    uint64_t done = ftli_u64_load_relaxed(&cleanup->done);
    if (cleanup->completed == NULL || done == cleanup->done_told)
        return;
    cleanup->done_told = done;
    ftli_route_happened(cleanup->completed);
}

/* Who waits for completions looks again: the shards now hold what this run sent them. */
static void after_batch(void *state, ftli_context *context)
{
    struct ftli_cleanup *cleanup = state;
    (void)context;
    ftli_finalizers_deal(cleanup);
    (void)ftli_allocation_collect(cleanup->device);
    if (ftli_cleanup_is_at_once(cleanup))
        put_by(cleanup);
    ftli_event_signal_all(ftli_allocation_completed(cleanup->device));
    (void)ftli_u64_fetch_add_seq_cst(&cleanup->passes, 1); /* pairs: await-pass */
    ftli_event_signal_all(&cleanup->reclaimed);
    if (cleanup
            ->cascaded) /* a chain has one message at a time, which is never a batch: it would go on at each batch's age only */
        ftli_actor_run_within(cleanup->actor, 0);
    cleanup->cascaded = false;
    tell_of_completed(cleanup);
}

/* A restart finds its work in the headers: those that wait are sent on as if their waits were over. */
static int start(void *state, ftli_context *context)
{
    struct ftli_cleanup *cleanup = state;
    (void)context;
    if (cleanup->waiting != NULL || cleanup->finalizers.first != NULL)
        ftli_actor_run_within(cleanup->actor, 0);
    return FTL_OK;
}

const ftli_actor_operations ftli_cleanup_operations = {
    .type = "cleanup",
    .start = start,
    .on_message = on_message,
    .on_item = on_item,
    .on_tick = on_tick,
    .after_batch = after_batch,
    .restartable = true,
};
