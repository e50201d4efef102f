/* Scopes past their deadline: a look at all scopes when the next deadline has passed, and not before. */
#include <stdint.h>

#include "actors/leak_detection/walk.h"

/* Whoever opens a scope publishes it, then lowers the date; the look takes the date, then reads the scopes. Both sequentially
 * consistent: the look meets the scope, or leaves its date alone. pairs: scope-due, all three. */
static void lower(struct ftli_leak_detection *leaks, uint64_t due_ns)
{
    uint64_t seen = ftli_u64_load_seq_cst(&leaks->scope_due);
    while (seen < ~due_ns && !ftli_u64_cas_seq_cst(&leaks->scope_due, &seen, ~due_ns))
        ;
}

static void come_at(struct ftli_leak_detection *leaks, uint64_t due_ns, uint64_t now_ns)
{
    if (leaks->actor != NULL)
        ftli_actor_run_within(leaks->actor, due_ns > now_ns ? due_ns - now_ns : 0);
}

void ftli_leak_detection_watch_scope(struct ftli_leak_detection *leaks, uint64_t due_ns, uint64_t now_ns)
{
    lower(leaks, due_ns);
    come_at(leaks, due_ns, now_ns);
}

void ftli_leak_detection_set_mitigate(struct ftli_leak_detection *leaks, uint32_t mitigate, uint64_t now_ns)
{
    ftli_u32_store_release(&leaks->mitigate, mitigate);
    ftli_leak_detection_watch_scope(leaks, now_ns, now_ns); /* as if one were due: all are looked at */
}

uint64_t ftli_leak_detection_scopes_overdue(const struct ftli_leak_detection *leaks)
{
    return ftli_u64_load_acquire(&leaks->scopes_overdue);
}

static void tell(const struct ftli_leak_detection *leaks, const struct ftli_scope *scope, uint64_t id, uint64_t late_ns)
{
    uint64_t word = ftli_u64_load_acquire(&scope->word);
    const char *label = ftli_label_text(leaks->world.labels, ftli_u32_load_acquire(&scope->label));
    struct ftli_event_news news = {.kind = FTL_EVENT_OVERDUE,
                                   .bytes = ftli_u64_load_acquire(&scope->live_bytes),
                                   .count = ftli_scope_members_of(word),
                                   .scope = id,
                                   .subject = label};
    ftli_events_post(leaks->world.events, &news,
                     "scope \"%s\" (tag %llu) is open %.3f s past its deadline; %llu tensors of %llu bytes are in it",
                     label, (unsigned long long)ftli_u64_load_acquire(&scope->tag), (double)late_ns / 1e9,
                     (unsigned long long)news.count, (unsigned long long)news.bytes);
}

/* Mitigation: it is ended as its program should have done; each one is logged. False: the program was first. */
static bool end(const struct ftli_leak_detection *leaks, const struct ftli_scope *scope, uint64_t id, uint64_t late_ns)
{
    uint64_t word = ftli_u64_load_acquire(&scope->word), dropped = 0;
    uint64_t tag = ftli_u64_load_acquire(&scope->tag), bytes = ftli_u64_load_acquire(&scope->live_bytes);
    const char *label = ftli_label_text(leaks->world.labels, ftli_u32_load_acquire(&scope->label));
    if (leaks->world.end_scope(leaks->world.user, id, &dropped) != FTL_OK)
        return false;
    struct ftli_event_news news = {
        .kind = FTL_EVENT_LOG, .level = 2, .bytes = bytes, .count = dropped, .scope = id, .subject = "leak_detection"};
    ftli_events_post(leaks->world.events, &news,
                     "scope \"%s\" (tag %llu) was ended, %.3f s past its deadline: %llu tensors of %llu bytes were in "
                     "it, %llu were dropped, with those of the scopes inside it",
                     label, (unsigned long long)tag, (double)late_ns / 1e9,
                     (unsigned long long)ftli_scope_members_of(word), (unsigned long long)bytes,
                     (unsigned long long)dropped);
    return true;
}

static bool is_mitigated(const struct ftli_leak_detection *leaks)
{
    return ftli_u32_load_acquire(&leaks->mitigate) == FTLI_LEAK_MITIGATE_OVERDUE_SCOPE &&
           leaks->world.end_scope != NULL;
}

/* True: it is open past its deadline. *next_ns becomes its deadline if that is yet to come. */
static bool look_at(const struct ftli_leak_detection *leaks, uint32_t slot, uint64_t now_ns, uint64_t *next_ns)
{
    struct ftli_scope *scope = &leaks->world.scopes->scopes[slot];
    uint64_t word = ftli_u64_load_seq_cst(&scope->word);
    uint64_t due_ns = ftli_u64_load_acquire(&scope->deadline_ns);
    if (ftli_scope_state_of(word) != FTLI_SCOPE_OPEN || due_ns == 0)
        return false;
    uint64_t again = ftli_u64_load_acquire(&scope->word);
    if (ftli_scope_generation_of(again) != ftli_scope_generation_of(word) ||
        ftli_scope_state_of(again) != FTLI_SCOPE_OPEN)
        return false; /* who took its place has lowered the date after this look began */
    if (now_ns < due_ns) {
        *next_ns = due_ns < *next_ns ? due_ns : *next_ns;
        return false;
    }
    uint64_t id = ftli_handle_make(leaks->world.table->runtime, slot, ftli_scope_generation_of(word));
    if (ftli_u32_load_relaxed(&scope->overdue_told) == 0) {
        ftli_u32_store_relaxed(&scope->overdue_told, 1);
        tell(leaks, scope, id, now_ns - due_ns);
    }
    if (is_mitigated(leaks)) {
        (void)end(leaks, scope, id, now_ns - due_ns);
        return false; /* one way or the other it has ended */
    }
    return true;
}

void ftli_leak_look_at_scopes(struct ftli_leak_detection *leaks, uint64_t now_ns)
{
    uint64_t due_ns = ~ftli_u64_load_seq_cst(&leaks->scope_due);
    if (due_ns == UINT64_MAX)
        return;
    if (now_ns < due_ns) { /* something else brought this tick */
        come_at(leaks, due_ns, now_ns);
        return;
    }
    (void)ftli_u64_exchange_seq_cst(&leaks->scope_due, 0);
    uint64_t next_ns = UINT64_MAX, overdue = 0;
    uint32_t end = ftli_u32_load_acquire(&leaks->world.scopes->fresh);
    for (uint32_t slot = 1; slot < end; slot++)
        overdue += look_at(leaks, slot, now_ns, &next_ns);
    ftli_u64_store_release(&leaks->scopes_overdue, overdue);
    if (next_ns != UINT64_MAX)
        lower(leaks, next_ns);
    due_ns = ~ftli_u64_load_seq_cst(&leaks->scope_due);
    if (due_ns != UINT64_MAX)
        come_at(leaks, due_ns, now_ns);
}
