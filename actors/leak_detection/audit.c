/* CORE.md section 5, law 1: what the counters say against what lies in the table. The check that can fail. */
#include "actors/leak_detection/leak_detection.h"

#include <stdio.h>
#include <string.h>

static void count(const struct ftli_header *header, uint64_t word, struct ftli_audit *audit)
{
    bool is_view = (ftli_record_flags(ftli_u64_load_acquire(&header->record)) & FTLI_HEADER_VIEW) != 0;
    uint64_t bytes = is_view ? 0 : ftli_size_bytes(ftli_u64_load_acquire(&header->size));
    uint64_t block_bytes = is_view ? 0 : ftli_allocation_seen_block_bytes(header);
    struct ftli_audit_count *into[2] = {NULL, NULL};
    switch (ftli_word_state(word)) {
    case FTLI_LIVE:
        into[0] = &audit->live;
        break;
    case FTLI_DROPPED:
        into[0] = &audit->dropped;
        into[1] = ftli_word_pins(word) != 0 ? &audit->pinned : NULL;
        break;
    case FTLI_RECLAIMING:
        /* what an operator has retried is counted as quarantined until the cleanup has it */
        into[0] = ftli_header_purpose(header) == FTLI_PURPOSE_RETRY ? &audit->quarantined : &audit->reclaiming;
        break;
    default:
        into[0] = &audit->quarantined;
        break;
    }
    for (unsigned i = 0; i < 2 && into[i] != NULL; i++) {
        into[i]->tensors++;
        into[i]->bytes += bytes;
        into[i]->block_bytes += block_bytes;
    }
}

void ftli_audit_walk(const struct ftli_leak_detection *leaks, struct ftli_audit *out)
{
    struct ftli_audit audit = {0};
    uint32_t end = ftli_table_fresh(leaks->world.table);
    for (uint32_t slot = 1; slot < end; slot = ftli_table_next(leaks->world.table, slot, end)) {
        const struct ftli_header *header = ftli_table_header(leaks->world.table, slot);
        uint64_t word = ftli_u64_load_acquire(&header->word);
        enum ftli_state state = ftli_word_state(word);
        if (state == FTLI_FREE)
            audit.free++;
        else if (state == FTLI_RETIRED)
            audit.retired++;
        else if (state > FTLI_RETIRED)
            audit.unknown++;
        else
            count(header, word, &audit);
    }
    *out = audit;
}

struct equation {
    const char *text;
    uint64_t table, counters;
};

int ftli_audit_compare(const struct ftli_audit *audit, const struct ftli_totals *totals, char *why, size_t why_bytes)
{
    uint64_t deferred = totals->deferred[0] + totals->deferred[1];
    uint64_t completed = totals->completed[0] + totals->completed[1];
    uint64_t quarantined = totals->quarantined_by_parity[0] + totals->quarantined_by_parity[1];
    const struct ftli_audit_count pending = {
        audit->dropped.tensors + audit->reclaiming.tensors + audit->parcelled.tensors,
        audit->dropped.bytes + audit->reclaiming.bytes + audit->parcelled.bytes,
        audit->dropped.block_bytes + audit->reclaiming.block_bytes + audit->parcelled.block_bytes,
    };
    const struct equation equations[] = {
        {"tensors live = created - immediate - deferred", audit->live.tensors,
         totals->created - totals->immediate - deferred},
        {"bytes live = created - immediate - deferred", audit->live.bytes,
         totals->created_bytes - totals->immediate_bytes - totals->deferred_bytes},
        {"block bytes live = created - immediate - deferred", audit->live.block_bytes,
         totals->created_block_bytes - totals->immediate_block_bytes - totals->deferred_block_bytes},
        {"tensors pending = deferred - completed - quarantined", pending.tensors, deferred - completed - quarantined},
        {"bytes pending = deferred - completed - quarantined", pending.bytes,
         totals->deferred_bytes - totals->completed_bytes - totals->quarantined_bytes},
        {"block bytes pending = deferred - completed - quarantined", pending.block_bytes,
         totals->deferred_block_bytes - totals->completed_block_bytes - totals->quarantined_block_bytes},
        {"tensors quarantined", audit->quarantined.tensors, quarantined},
        {"bytes quarantined", audit->quarantined.bytes, totals->quarantined_bytes},
        {"block bytes quarantined", audit->quarantined.block_bytes, totals->quarantined_block_bytes},
        {"slots in no known state", audit->unknown, 0},
    };
    for (size_t i = 0; i < sizeof equations / sizeof equations[0]; i++) {
        const struct equation *e = &equations[i];
        if (e->table == e->counters)
            continue;
        (void)snprintf(why, why_bytes, "audit: %s: the table has %lld, the counters say %lld", e->text,
                       (long long)e->table, (long long)e->counters);
        return FTL_EINTERNAL;
    }
    return FTL_OK;
}
