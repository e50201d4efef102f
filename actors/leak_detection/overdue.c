/* Drops past their deadline. The table knows what mailboxes and actors ought to have in hand; what is still there when its time
 * is over is a fault to report. It is only reported: a header that nobody has is not posted a second time, since
 * whoever has it after all would then complete it twice. */
#include "actors/leak_detection/walk.h"

/* The deadline's own try may take its time, on a busy machine. */
static uint64_t patience_ns(const struct ftli_leak_detection *leaks)
{
    const struct ftli_leak_detection_settings *settings = leaks->world.settings;
    uint64_t grace_ns = settings != NULL ? (uint64_t)settings->unreferenced_grace_ns : UINT64_C(1000000000);
    return leaks->world.drop_deadline_ns + grace_ns;
}

enum ftli_drop_state ftli_overdue_look(const struct ftli_leak_detection *leaks, uint32_t slot, uint64_t now_ns,
                                       struct ftli_overdue *out)
{
    const struct ftli_table *table = leaks->world.table;
    const struct ftli_header *header = ftli_table_header(table, slot);
    uint64_t word = ftli_u64_load_acquire(&header->word);
    enum ftli_state state = ftli_word_state(word);
    if (state != FTLI_RECLAIMING && (state != FTLI_DROPPED || ftli_word_pins(word) != 0))
        return FTLI_DROP_NONE;
    uint64_t posted_ns = ftli_u64_load_acquire(&header->dimensions_low);
    struct ftli_overdue row = {
        .tensor = ftli_handle_make(table->runtime, slot, ftli_word_generation(word)),
        .posted_ns = posted_ns,
        .bytes = ftli_size_bytes(ftli_u64_load_acquire(&header->size)),
    };
    if (ftli_u64_load_acquire(&header->word) != word)
        return FTLI_DROP_NONE;
    if (leaks->world.drop_deadline_ns == 0 || posted_ns < leaks->world.opened_ns ||
        now_ns < ftli_deadline_ns(posted_ns, patience_ns(leaks)))
        return FTLI_DROP_UNDER_WAY;
    *out = row;
    return FTLI_DROP_OVERDUE;
}

bool ftli_overdue_look_at_parcels(const struct ftli_leak_detection *leaks, uint64_t now_ns,
                                  struct ftli_overdue_list *out)
{
    uint64_t patient_ns = patience_ns(leaks);
    if (leaks->world.late_parcels == NULL || leaks->world.drop_deadline_ns == 0)
        return false;
    return leaks->world.late_parcels(leaks->world.user, now_ns > patient_ns ? now_ns - patient_ns : 0, out);
}

void ftli_overdue_add(struct ftli_overdue_list *list, const struct ftli_overdue *row)
{
    if (list->count < FTLI_OVERDUE_MOST)
        list->rows[list->count++] = *row;
}

static bool holds(const struct ftli_overdue_list *list, const struct ftli_overdue *row)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->rows[i].tensor == row->tensor && list->rows[i].posted_ns == row->posted_ns)
            return true;
    return false;
}

/* A header's date is written a moment after it is dropped; until then its shape is read as one. So once is no evidence. */
uint32_t ftli_overdue_confirm(const struct ftli_overdue_list *before, const struct ftli_overdue_list *now)
{
    uint32_t confirmed = 0;
    for (uint32_t i = 0; i < now->count; i++)
        confirmed += holds(before, &now->rows[i]);
    return confirmed;
}

void ftli_overdue_walk(const struct ftli_leak_detection *leaks, const struct ftli_overdue_list *before,
                       struct ftli_overdue_list *out)
{
    uint64_t now_ns = ftli_kernel_now_ns(leaks->world.kernel);
    uint32_t end = ftli_table_fresh(leaks->world.table);
    struct ftli_overdue row;
    out->count = 0;
    for (uint32_t slot = 1; slot < end; slot = ftli_table_next(leaks->world.table, slot, end))
        if (ftli_overdue_look(leaks, slot, now_ns, &row) == FTLI_DROP_OVERDUE &&
            (before == NULL || holds(before, &row)))
            ftli_overdue_add(out, &row);
    struct ftli_overdue_list parcels = {.count = 0};
    (void)ftli_overdue_look_at_parcels(leaks, now_ns, &parcels);
    for (uint32_t i = 0; i < parcels.count; i++)
        if (before == NULL || holds(before, &parcels.rows[i]))
            ftli_overdue_add(out, &parcels.rows[i]);
}

uint64_t ftli_leak_detection_overdue(const struct ftli_leak_detection *leaks)
{
    return ftli_u64_load_acquire(&leaks->overdue);
}
