/* What was given up: kept with its memory, reported, and taken out again when an operator says so. */
#include <fettle/fettle.h>

#include "actors/cleanup/inside.h"

/* ---- the way in -------------------------------------------------------------------------------------------------------- */

/* What a report says of a header, read while it is ours: once it is QUARANTINED an operator may have it retried. */
struct kept {
    uint64_t tensor, bytes;
    uint32_t attempts;
    int status;
    const char *site, *label;
};

static struct kept read_kept(const struct ftli_cleanup *cleanup, const struct ftli_header *header)
{
    const struct ftli_extension *extension = ftli_cleanup_extension(cleanup, header);
    struct kept kept = {
        .tensor = ftli_table_handle(cleanup->table, header), .bytes = ftli_header_own_bytes(header), .label = ""};
    if (extension != NULL) {
        kept.attempts = ftli_attempts_in_all(ftli_u32_load_relaxed(&extension->attempts));
        kept.status = kept.attempts != 0 ? (int)ftli_u32_load_relaxed(&extension->last_status) : 0;
        kept.site = ftli_pointer_load_acquire(&extension->site);
        if (cleanup->labels != NULL)
            kept.label = ftli_label_text(cleanup->labels, ftli_u32_load_acquire(&extension->label));
    }
    return kept;
}

static void tell_of_quarantine(struct ftli_cleanup *cleanup, const struct kept *kept, const char *why)
{
    struct ftli_event_news news = {.kind = FTL_EVENT_QUARANTINE,
                                   .bytes = kept->bytes,
                                   .count = kept->attempts,
                                   .tensor = kept->tensor,
                                   .subject = kept->site != NULL ? kept->site : "cleanup"};
    ftli_events_post(
        cleanup->events, &news,
        "a tensor of %llu bytes%s%s%s is set aside, memory and all: %s; its finalizer failed %u times, the "
        "last time with status %d",
        (unsigned long long)kept->bytes, kept->label[0] != '\0' ? ", \"" : "", kept->label,
        kept->label[0] != '\0' ? "\"," : "", why, kept->attempts, kept->status);
}

/* In and out again: the counts of what is in quarantine now. They have one writer, this actor, but are not monotone. CORE.md law 1
 * holds all the same: who leaves is taken off before its completion is counted, in another block, which a snapshot reads before
 * this one; so it may see neither of the two for a moment (the tensor is pending then, as it is), and never both. */
static void count_quarantined(struct ftli_cleanup *cleanup, const struct ftli_header *header, uint64_t one)
{
    uint64_t bytes = ftli_header_own_bytes(header);
    uint64_t block_bytes = ftli_allocation_block_bytes(cleanup->device, header);
    ftli_u64_add_owner(&cleanup->counters.quarantined_bytes, one * bytes);
    ftli_u64_add_owner(&cleanup->counters.quarantined_block_bytes, one * block_bytes);
    ftli_u64_add_owner(&cleanup->counters.quarantined_by_parity[ftli_header_parity(header)], one);
}

/* Kept, with its memory, because it may not be freed: its finalizer never worked, or its state is not what it must be. It is in no
 * container: the table knows it. The word comes last, since who awaits it reads that. */
void ftli_cleanup_quarantine(struct ftli_cleanup *cleanup, struct ftli_header *header, const char *why)
{
    struct kept kept = read_kept(cleanup, header);
    count_quarantined(cleanup, header, 1);
    ftli_word_quarantine(&header->word);
    ftli_event_signal_all(ftli_allocation_completed(cleanup->device));
    tell_of_quarantine(cleanup, &kept, why);
}

/* ---- the way out ------------------------------------------------------------------------------------------------------- */

bool ftli_cleanup_send_retry(struct ftli_cleanup *cleanup, struct ftli_header *header, uint32_t generation)
{
    (void)ftli_u64_fetch_add_acq_rel(&cleanup->retrying, 1); /* pairs: retrying */
    if (!ftli_word_retry(&header->word, generation)) {
        (void)ftli_u64_fetch_add_acq_rel(&cleanup->retrying, UINT64_MAX);
        return false;
    }
    (void)ftli_u64_fetch_add_relaxed(&cleanup->sent, ftli_cleanup_one_sent(ftli_header_own_bytes(header)));
    ftli_u64_store_release(&header->dimensions_low, ftli_kernel_now_ns(cleanup->kernel));
    ftli_header_address(header, FTLI_PURPOSE_RETRY, FTLI_LANE_HIGH, ftli_header_parity(header));
    ftli_actor_post(cleanup->actor, FTLI_LANE_HIGH, &header->u.link);
    return true;
}

/* Out of the quarantine: the deadline and the waits begin anew (its sender wrote the time), the tries are counted on. */
void ftli_cleanup_take_out(struct ftli_cleanup *cleanup, struct ftli_header *header)
{
    struct ftli_extension *extension = ftli_cleanup_extension(cleanup, header);
    if (extension != NULL) {
        uint32_t tries = ftli_attempts_in_all(ftli_u32_load_relaxed(&extension->attempts));
        tries = tries < FTLI_ATTEMPTS_MOST ? tries : FTLI_ATTEMPTS_MOST;
        ftli_u32_store_release(&extension->attempts, tries << 16);
    }
    count_quarantined(cleanup, header, UINT64_MAX);
    (void)ftli_u64_fetch_add_acq_rel(&cleanup->retrying, UINT64_MAX); /* pairs: retrying */
    ftli_header_address(header, FTLI_PURPOSE_DROP, ftli_header_lane(header), ftli_header_parity(header));
}
