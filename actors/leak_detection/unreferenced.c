/* Headers that no state machine leads to: LIVE, and without a reference. Every walk looks, and whoever checks the runtime; that one is
 * there is a fault of the runtime, or of who wrote over its memory, and no leak. (A header that is DROPPED and that nobody has is
 * the same kind of fault: overdue.c.) */
#include "actors/leak_detection/walk.h"

static bool is_unreferenced(uint64_t word)
{
    return ftli_word_state(word) == FTLI_LIVE && ftli_word_references(word) == 0;
}

bool ftli_unreferenced_look(const struct ftli_leak_detection *leaks, uint32_t slot, uint64_t *tensor)
{
    const struct ftli_header *header = ftli_table_header(leaks->world.table, slot);
    uint64_t word = ftli_u64_load_acquire(&header->word);
    if (FTLI_LIKELY(!is_unreferenced(word)))
        return false;
    *tensor = ftli_handle_make(leaks->world.table->runtime, slot, ftli_word_generation(word));
    return true;
}

/* One that was there at the walk before is as old as it was then. */
void ftli_unreferenced_add(struct ftli_leak_detection *leaks, uint64_t tensor, uint64_t now_ns)
{
    struct ftli_unreferenced_list *now = &leaks->unreferenced_now;
    const struct ftli_unreferenced_list *before = &leaks->unreferenced_before;
    if (now->count == FTLI_UNREFERENCED_MOST)
        return;
    struct ftli_unreferenced *row = &now->rows[now->count++];
    *row = (struct ftli_unreferenced){.tensor = tensor, .seen_ns = now_ns};
    for (uint32_t i = 0; i < before->count; i++)
        if (before->rows[i].tensor == tensor)
            *row = before->rows[i];
}

static void tell(const struct ftli_leak_detection *leaks, uint64_t tensor)
{
    struct ftli_event_news news = {.kind = FTL_EVENT_LOG, .level = 3, .tensor = tensor, .subject = "leak_detection"};
    ftli_events_post(leaks->world.events, &news,
                     "audit: tensor 0x%016llx is live and has no reference: its header was damaged",
                     (unsigned long long)tensor);
}

/* The walk is over: what is past its grace is a fault, once. */
void ftli_unreferenced_end(struct ftli_leak_detection *leaks, uint64_t now_ns)
{
    uint64_t grace_ns = leaks->world.settings != NULL ? (uint64_t)leaks->world.settings->unreferenced_grace_ns : 0;
    struct ftli_unreferenced_list *now = &leaks->unreferenced_now;
    for (uint32_t i = 0; i < now->count; i++) {
        struct ftli_unreferenced *row = &now->rows[i];
        leaks->walk_again = true;
        if (row->told || now_ns < ftli_deadline_ns(row->seen_ns, grace_ns))
            continue;
        row->told = true;
        if (leaks->world.audits_failed != NULL)
            (void)ftli_u64_fetch_add_relaxed(leaks->world.audits_failed, 1);
        tell(leaks, row->tensor);
    }
    leaks->unreferenced_before = *now;
}

uint64_t ftli_unreferenced_walk(const struct ftli_leak_detection *leaks)
{
    uint64_t tensor, again;
    uint32_t end = ftli_table_fresh(leaks->world.table);
    for (uint32_t slot = 1; slot < end; slot = ftli_table_next(leaks->world.table, slot, end))
        if (ftli_unreferenced_look(leaks, slot, &tensor) && ftli_unreferenced_look(leaks, slot, &again) &&
            tensor == again)
            return tensor;
    return 0;
}

void ftli_leak_detection_audit_within(struct ftli_leak_detection *leaks, uint64_t created)
{
    const struct ftli_leak_detection_settings *settings = leaks->world.settings;
    uint64_t since = created - ftli_u64_load_relaxed(&leaks->audited_created);
    if (leaks->actor == NULL || settings == NULL || since == 0)
        return;
    ftli_u64_store_relaxed(&leaks->created, created);
    uint64_t longest_ns = (uint64_t)settings->unreferenced_or_ns, delay_ns = FTLI_AUDIT_APART_NS;
    ftli_leak_pass_ask(leaks, FTLI_LEAK_PASS_WALK,
                       since < settings->unreferenced_every || longest_ns < delay_ns ? longest_ns : delay_ns);
}
