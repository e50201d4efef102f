#include "actors/leak_detection/walk.h"

#define NS_PER_MS  UINT64_C(1000000)
#define LOOKS_MOST 4 /* a slot that changes hands so often has nothing that leaks */

static uint64_t now_ms_of(const struct ftli_leak_detection *leaks, uint64_t now_ns)
{
    return now_ns > leaks->world.opened_ns ? (now_ns - leaks->world.opened_ns) / NS_PER_MS : 0;
}

static bool is_looked_at(uint64_t word)
{
    enum ftli_state state = ftli_word_state(word);
    return state == FTLI_LIVE || (state == FTLI_DROPPED && ftli_word_pins(word) != 0);
}

/* A member keeps its scope's slot from being used again, so what is read of the scope is this scope's as long as the header still
 * names it when all is read. ENDING is no end yet. */
static void judge_scope(const struct ftli_leak_detection *leaks, const struct ftli_scope *scope, uint64_t now_ms,
                        struct ftli_leak_tensor *seen)
{
    int64_t grace_ns = leaks->world.settings != NULL ? leaks->world.settings->outlived_scope_ns : 0;
    bool is_over = ftli_scope_state_of(ftli_u64_load_acquire(&scope->word)) == FTLI_SCOPE_OVER;
    bool is_cache = ftli_u32_load_acquire(&scope->kind) == FTL_SCOPE_CACHE;
    seen->held = is_cache ? FTLI_HELD_BY_CACHE : is_over ? FTLI_HELD_BY_NOBODY : FTLI_HELD_BY_SCOPE;
    seen->scope_opened_ms = ftli_u32_load_acquire(&scope->opened_ms);
    if (grace_ns == FTLI_TIME_NONE || is_cache || !is_over)
        return;
    if (now_ms >= ftli_u32_load_acquire(&scope->ended_ms) + (uint64_t)grace_ns / NS_PER_MS)
        seen->cause = FTL_LEAK_OUTLIVED_SCOPE;
    else
        seen->under_grace = true;
}

static void judge_thread(const struct ftli_leak_detection *leaks, uint32_t port, uint64_t born_ns, uint64_t now_ns,
                         struct ftli_leak_tensor *seen)
{
    const struct ftli_leak_detection_settings *settings = leaks->world.settings;
    uint64_t ended_ns = 0;
    if (port == 0 || leaks->world.thread_ended == NULL || settings == NULL ||
        settings->outlived_thread_ns == FTLI_TIME_NONE)
        return;
    if (leaks->world.thread_ended(leaks->world.user, port, born_ns, &ended_ns) != FTLI_THREAD_ENDED)
        return;
    if (ended_ns > now_ns)
        ended_ns = now_ns; /* seen a moment ago: the walk looks at the clock now and then only */
    if (now_ns >= ftli_deadline_ns(ended_ns, (uint64_t)settings->outlived_thread_ns))
        seen->cause = FTL_LEAK_OUTLIVED_THREAD;
    else
        seen->under_grace = true;
}

static void read_extension(const struct ftli_table *table, uint32_t cold, struct ftli_leak_tensor *seen)
{
    const struct ftli_extension *extension = ftli_extension(table, cold);
    seen->tag = ftli_u64_load_acquire(&extension->tag);
    seen->label = ftli_u32_load_acquire(&extension->label);
    seen->site = ftli_pointer_load_acquire(&extension->site);
}

/* References and pins may come and go during the look; generation, state and scope must be the same after it. */
static bool look_once(const struct ftli_leak_detection *leaks, uint32_t slot, uint64_t word, uint64_t now_ns,
                      struct ftli_leak_tensor *out)
{
    const struct ftli_table *table = leaks->world.table;
    const struct ftli_header *header = ftli_table_header(table, slot);
    uint64_t now_ms = now_ms_of(leaks, now_ns), record = ftli_u64_load_acquire(&header->record);
    uint64_t born_ms = ftli_u32_load_acquire(&header->stamp);
    uint32_t cold = ftli_u32_load_acquire(&header->cold), scope_slot = ftli_header_scope(header);
    bool is_view = (ftli_record_flags(record) & FTLI_HEADER_VIEW) != 0;
    struct ftli_leak_tensor seen = {
        .word = word,
        .tensor = ftli_handle_make(table->runtime, slot, ftli_word_generation(word)),
        .bytes = is_view ? 0 : ftli_size_bytes(ftli_u64_load_acquire(&header->size)),
        .age_ms = now_ms > born_ms ? now_ms - born_ms : 0,
        .site_number = ftli_record_site(record),
        .born_ms = born_ms,
        .scope_slot = scope_slot,
    };
    if (cold != 0)
        read_extension(table, cold, &seen);
    if (cold != 0 && is_view)
        seen.root = ftli_u64_load_acquire(&ftli_extension(table, cold)->root);
    bool is_live = ftli_word_state(word) == FTLI_LIVE;
    if (scope_slot != 0) {
        const struct ftli_scope *scope = &leaks->world.scopes->scopes[scope_slot];
        seen.scope_label = ftli_u32_load_acquire(&scope->label);
        if (is_live)
            judge_scope(leaks, scope, now_ms, &seen);
    }
    if (is_live && seen.cause == 0)
        judge_thread(leaks, ftli_header_port(header), leaks->world.opened_ns + born_ms * NS_PER_MS, now_ns, &seen);
    uint64_t again = ftli_u64_load_acquire(&header->word);
    if (((word ^ again) & (FTLI_WORD_GENERATION | FTLI_WORD_STATE)) != 0 || ftli_header_scope(header) != scope_slot)
        return false;
    *out = seen;
    return true;
}

bool ftli_leak_look(const struct ftli_leak_detection *leaks, uint32_t slot, uint64_t now_ns,
                    struct ftli_leak_tensor *out)
{
    const struct ftli_header *header = ftli_table_header(leaks->world.table, slot);
    for (unsigned tries = 0; tries < LOOKS_MOST; tries++) {
        uint64_t word = ftli_u64_load_acquire(&header->word);
        if (!is_looked_at(word))
            return false;
        if (look_once(leaks, slot, word, now_ns, out))
            return true;
    }
    return false;
}

void ftli_leak_name_view(const struct ftli_leak_detection *leaks, struct ftli_leak_tensor *view, uint64_t now_ns)
{
    struct ftli_leak_tensor root;
    if (view->root == 0 || view->label != 0 || view->site != NULL || view->scope_slot != 0 ||
        !ftli_leak_look(leaks, ftli_handle_slot(view->root), now_ns, &root) || root.tensor != view->root)
        return;
    view->label = root.label;
    view->site = root.site;
    view->scope_label = root.scope_label;
    view->held = root.held;
    view->scope_slot = root.scope_slot;
    view->scope_opened_ms = root.scope_opened_ms;
}

/* ---- dropped and pinned -------------------------------------------------------------------------------------------- */

/* When a drop met the pin is written nowhere, so the time counts from the first walk that saw it: never too early. */
uint32_t ftli_leak_pinned_cause(struct ftli_leak_detection *leaks, uint64_t tensor, uint64_t now_ns)
{
    uint32_t cause = 0, i = 0;
    ftli_token_take(&leaks->token);
    while (i < leaks->pinned_count && leaks->pinned[i].tensor != tensor)
        i++;
    if (i < leaks->pinned_count)
        cause = now_ns >= leaks->pinned[i].seen_ns + FTLI_LEAK_PINNED_NS ? FTL_LEAK_PINNED : 0;
    else if (i < FTLI_LEAK_PINNED_MOST)
        leaks->pinned[leaks->pinned_count++] = (struct ftli_leak_pinned){tensor, now_ns};
    ftli_token_release(&leaks->token);
    return cause;
}

uint32_t ftli_leak_pinned_forget(struct ftli_leak_detection *leaks)
{
    uint32_t left = 0;
    ftli_token_take(&leaks->token);
    for (uint32_t i = 0; i < leaks->pinned_count; i++) {
        uint64_t tensor = leaks->pinned[i].tensor;
        uint64_t word = ftli_u64_load_acquire(&ftli_table_header(leaks->world.table, ftli_handle_slot(tensor))->word);
        if (ftli_word_generation(word) == ftli_handle_generation(tensor) && ftli_word_state(word) == FTLI_DROPPED &&
            ftli_word_pins(word) != 0)
            leaks->pinned[left++] = leaks->pinned[i];
    }
    leaks->pinned_count = left;
    ftli_token_release(&leaks->token);
    return left;
}
