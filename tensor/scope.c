#include "tensor/scope.h"

#include <string.h>

#include "runtime/base/os.h"
#include "tensor/scope_cells.h"

#define MEMBER   UINT64_C(1)
#define STATE(s) ((uint64_t)(s) << 36)
#define LEAST    UINT32_C(1024) /* scopes, under an address space limit */

static uint64_t word_make(uint32_t generation, enum ftli_scope_state state)
{
    return (uint64_t)generation << 40 | STATE(state);
}

/* ---- the table of scopes ------------------------------------------------------------------------------------------- */

int ftli_scopes_init(struct ftli_scopes *scopes, struct ftli_table *table)
{
    uint64_t room = ftli_os_address_limit_bytes();
    for (uint32_t slots = FTLI_SCOPES_MOST; slots >= LEAST; slots /= 2) {
        if (slots > LEAST && room / 16 < (uint64_t)slots * sizeof(struct ftli_scope))
            continue;
        void *memory = ftli_os_reserve((size_t)slots * sizeof(struct ftli_scope), ftli_os_page_bytes());
        if (memory == NULL)
            continue;
        memset(scopes, 0, sizeof *scopes);
        scopes->table = table;
        scopes->scopes = memory;
        scopes->slots = slots;
        ftli_u32_store_relaxed(&scopes->fresh, 1);
        return FTL_OK;
    }
    return FTL_ENOMEM;
}

void ftli_scopes_fini(struct ftli_scopes *scopes)
{
    if (scopes->scopes != NULL)
        ftli_os_release(scopes->scopes, (size_t)scopes->slots * sizeof(struct ftli_scope));
    scopes->scopes = NULL;
}

static uint32_t slot_of(const struct ftli_scopes *scopes, const struct ftli_scope *scope)
{
    return (uint32_t)(scope - scopes->scopes);
}

struct ftli_scope *ftli_scope_find(const struct ftli_scopes *scopes, uint64_t id)
{
    uint32_t slot = ftli_handle_slot(id);
    if (ftli_handle_runtime(id) != scopes->table->runtime || slot == 0 || slot >= ftli_u32_load_acquire(&scopes->fresh))
        return NULL;
    return &scopes->scopes[slot];
}

static bool is_open(uint64_t word, uint64_t id)
{
    return ftli_scope_state_of(word) == FTLI_SCOPE_OPEN && ftli_scope_generation_of(word) == ftli_handle_generation(id);
}

/* A stack whose head counts, against reuse. pairs: scopes-free, both functions */
static struct ftli_scope *take_slot(struct ftli_scopes *scopes)
{
    uint64_t head = ftli_u64_load_acquire(&scopes->free);
    while ((uint32_t)head != 0) {
        struct ftli_scope *scope = &scopes->scopes[(uint32_t)head];
        uint64_t desired = ((head >> 32) + 1) << 32 | (uint32_t)ftli_u64_load_relaxed(&scope->next_free);
        if (ftli_u64_cas_acq_rel(&scopes->free, &head, desired))
            return scope;
    }
    uint32_t fresh = ftli_u32_load_relaxed(&scopes->fresh);
    do {
        if (fresh >= scopes->slots)
            return NULL;
    } while (!ftli_u32_cas_acq_rel(&scopes->fresh, &fresh, fresh + 1));
    return &scopes->scopes[fresh];
}

static void give_slot(struct ftli_scopes *scopes, struct ftli_scope *scope)
{
    uint64_t head = ftli_u64_load_relaxed(&scopes->free), desired;
    do {
        ftli_u64_store_relaxed(&scope->next_free, (uint32_t)head);
        desired = ((head >> 32) + 1) << 32 | slot_of(scopes, scope);
    } while (!ftli_u64_cas_acq_rel(&scopes->free, &head, desired));
}

/* OVER, without members and without children: the slot is free again, in its next generation. Who brings the last of the three
 * about comes here; one of them succeeds. */
static void try_release(struct ftli_scopes *scopes, struct ftli_scope *scope)
{
    uint64_t word = ftli_u64_load_seq_cst(&scope->word);
    if (ftli_scope_state_of(word) != FTLI_SCOPE_OVER || ftli_scope_members_of(word) != 0 ||
        ftli_u32_load_seq_cst(&scope->children) != 0)
        return;
    uint32_t generation = (ftli_scope_generation_of(word) + 1) & 0xffffff;
    if (!ftli_u64_cas_seq_cst(&scope->word, &word, word_make(generation != 0 ? generation : 1, FTLI_SCOPE_FREE)))
        return;
    ftli_scope_cells_dispose(scopes->table, scope);
    give_slot(scopes, scope);
}

static void child_is_over(struct ftli_scopes *scopes, struct ftli_scope *parent)
{
    (void)ftli_u32_fetch_add_seq_cst(&parent->children, UINT32_MAX);
    try_release(scopes, parent);
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

static void fill(struct ftli_scope *scope, const ftl_scope_options *options, uint32_t label, uint32_t now_ms)
{
    ftli_u64_store_relaxed(&scope->live_bytes, 0);
    ftli_u64_store_relaxed(&scope->peak_bytes, 0);
    ftli_u64_store_relaxed(&scope->created, 0);
    ftli_u32_store_relaxed(&scope->soft_told, 0);
    ftli_u32_store_relaxed(&scope->overdue_told, 0);
    ftli_u32_store_relaxed(&scope->cell_count, 0);
    ftli_u32_store_relaxed(&scope->sweep_at, FTLI_SCOPE_SWEEP_LEAST);
    ftli_u64_store_relaxed(&scope->parent, options->parent.id);
    ftli_u32_store_relaxed(&scope->label, label);
    ftli_u32_store_relaxed(&scope->kind, options->kind);
    ftli_u32_store_relaxed(&scope->opened_ms, now_ms);
    ftli_u32_store_relaxed(&scope->ended_ms, 0);
    ftli_u64_store_relaxed(&scope->tag, options->tag);
    ftli_u64_store_relaxed(&scope->soft_bytes, options->soft_bytes);
    ftli_u64_store_relaxed(&scope->hard_bytes, options->hard_bytes);
    ftli_u64_store_relaxed(&scope->deadline_ns, options->deadline_ns > 0 ? (uint64_t)options->deadline_ns : 0);
}

static void finish(struct ftli_scopes *, struct ftli_scope *, uint32_t now_ms);

int ftli_scope_open_slot(struct ftli_scopes *scopes, const ftl_scope_options *options, uint32_t label, uint32_t now_ms,
                         uint64_t *id)
{
    struct ftli_scope *parent = NULL;
    if (options->parent.id != 0) {
        parent = ftli_scope_find(scopes, options->parent.id);
        if (parent == NULL || !is_open(ftli_u64_load_seq_cst(&parent->word), options->parent.id))
            return FTL_ESTALE;
    }
    struct ftli_scope *scope = take_slot(scopes);
    if (scope == NULL)
        return FTL_ELIMIT;
    uint32_t generation = ftli_scope_generation_of(ftli_u64_load_relaxed(&scope->word));
    uint64_t handle =
        ftli_handle_make(scopes->table->runtime, slot_of(scopes, scope), generation != 0 ? generation : 1);
    uint64_t open_word = word_make(ftli_handle_generation(handle), FTLI_SCOPE_OPEN);
    fill(scope, options, label, now_ms);
    if (parent != NULL)
        (void)ftli_u32_fetch_add_seq_cst(&parent->children, 1);
    ftli_u64_store_seq_cst(&scope->word, open_word);
    /* The parent's end closes its word, then looks for open children; we open ours, then look at its word: one of the two
     * sees the other. */
    if (parent != NULL && !is_open(ftli_u64_load_seq_cst(&parent->word), options->parent.id)) {
        if (ftli_u64_cas_seq_cst(&scope->word, &open_word,
                                 word_make(ftli_handle_generation(handle), FTLI_SCOPE_ENDING)))
            finish(scopes, scope, now_ms);
        return FTL_ESTALE;
    }
    *id = handle;
    return FTL_OK;
}

/* ---- members ------------------------------------------------------------------------------------------------------- */

static void count_out(struct ftli_scopes *scopes, struct ftli_scope *scope)
{
    uint64_t before = ftli_u64_fetch_add_seq_cst(&scope->word, (uint64_t)0 - MEMBER);
    if (ftli_scope_state_of(before) == FTLI_SCOPE_OVER && ftli_scope_members_of(before) == 1)
        try_release(scopes, scope);
}

void ftli_scope_leave(struct ftli_scopes *scopes, uint32_t slot, uint64_t bytes)
{
    struct ftli_scope *scope = &scopes->scopes[slot & ~FTLI_SCOPE_ENDED];
    (void)ftli_u64_fetch_add_relaxed(&scope->live_bytes, (uint64_t)0 - bytes);
    count_out(scopes, scope);
}

int ftli_scope_join(struct ftli_scopes *scopes, uint64_t id, uint64_t bytes)
{
    struct ftli_scope *scope = ftli_scope_find(scopes, id);
    if (scope == NULL)
        return FTL_ESTALE;
    uint64_t word = ftli_u64_load_acquire(&scope->word);
    do {
        if (!is_open(word, id))
            return FTL_ESTALE;
    } while (!ftli_u64_cas_seq_cst(&scope->word, &word, word + MEMBER));
    /* What is refused is never in the sum: it would have others refused that there is room for. */
    uint64_t hard = ftli_u64_load_relaxed(&scope->hard_bytes), live = ftli_u64_load_relaxed(&scope->live_bytes);
    do {
        if (hard != 0 && live + bytes > hard) {
            count_out(scopes, scope);
            return FTL_ELIMIT;
        }
    } while (!ftli_u64_cas_acq_rel(&scope->live_bytes, &live, live + bytes));
    live += bytes;
    (void)ftli_u64_fetch_add_relaxed(&scope->created, 1);
    uint64_t peak = ftli_u64_load_relaxed(&scope->peak_bytes);
    while (peak < live && !ftli_u64_cas_acq_rel(&scope->peak_bytes, &peak, live))
        ;
    return FTL_OK;
}

bool ftli_scope_passed_soft(struct ftli_scopes *scopes, uint64_t id, uint64_t *live_bytes)
{
    struct ftli_scope *scope = ftli_scope_find(scopes, id);
    uint64_t soft = scope == NULL ? 0 : ftli_u64_load_relaxed(&scope->soft_bytes);
    if (soft == 0)
        return false;
    uint64_t live = ftli_u64_load_relaxed(&scope->live_bytes);
    uint32_t told = ftli_u32_load_relaxed(&scope->soft_told);
    if (told != 0 && live <= soft - soft / 8)
        ftli_u32_store_relaxed(&scope->soft_told, 0);
    if (told != 0 || live <= soft)
        return false;
    *live_bytes = live;
    return ftli_u32_cas_acq_rel(&scope->soft_told, &told, 1);
}

int ftli_scope_publish(struct ftli_scopes *scopes, struct ftli_scope_cursor *cursor, uint64_t id, uint64_t tensor)
{
    struct ftli_scope *scope = ftli_scope_find(scopes, id);
    if (scope == NULL)
        return FTL_ESTALE;
    if (cursor->scope != id || cursor->cell == 0) {
        ftli_scope_cursor_leave(scopes, cursor);
        if (!ftli_scope_cells_begin(scopes->table, scope, slot_of(scopes, scope), cursor))
            return FTL_ENOMEM;
        cursor->scope = id;
    }
    ftli_atomic_u64 *entry = ftli_scope_entry(scopes->table, cursor->cell, cursor->used);
    uint64_t empty = FTLI_SCOPE_ENTRY_EMPTY, mine = tensor;
    if (!ftli_u64_cas_seq_cst(entry, &empty, tensor)) { /* end was here before */
        ftli_scope_cursor_leave(scopes, cursor);
        return FTL_ESTALE;
    }
    if (++cursor->used == FTLI_SCOPE_ENTRIES) /* the cell is the list's now */
        cursor->cell = 0;
    if (is_open(ftli_u64_load_seq_cst(&scope->word), id))
        return FTL_OK;
    /* Nobody but end knows the handle yet. If the cell was given back meanwhile, the handle is not in it, whatever it is now. */
    bool came_back = ftli_u64_cas_seq_cst(entry, &mine, FTLI_SCOPE_ENTRY_TAKEN);
    ftli_scope_cursor_leave(scopes, cursor);
    return came_back ? FTL_ESTALE : FTL_EBUSY;
}

void ftli_scope_cursor_leave(struct ftli_scopes *scopes, struct ftli_scope_cursor *cursor)
{
    if (cursor->cell != 0)
        ftli_scope_cells_leave(scopes->table, cursor->cell, cursor->used);
    memset(cursor, 0, sizeof *cursor);
}

int ftli_scope_claim_member(struct ftli_scopes *scopes, uint64_t id, struct ftli_header *header)
{
    struct ftli_scope *scope = ftli_scope_find(scopes, id);
    if (scope == NULL || ftli_scope_generation_of(ftli_u64_load_acquire(&scope->word)) != ftli_handle_generation(id))
        return FTL_ESTALE;
    uint32_t slot = slot_of(scopes, scope), seen = ftli_u32_load_acquire(&header->scope);
    bool is_view = (ftli_record_flags(ftli_u64_load_acquire(&header->record)) & FTLI_HEADER_VIEW) != 0;
    uint64_t bytes = is_view ? 0 : ftli_size_bytes(ftli_u64_load_acquire(&header->size));
    if ((seen & (FTLI_HEADER_SCOPE_SLOT | FTLI_SCOPE_ENDED)) != slot ||
        !ftli_u32_cas_acq_rel(&header->scope, &seen, seen & ~FTLI_HEADER_SCOPE_SLOT))
        return FTL_ESTALE;
    ftli_scope_leave(scopes, slot, bytes);
    return FTL_OK;
}

/* ---- the end ------------------------------------------------------------------------------------------------------- */

static bool close_word(struct ftli_scope *scope, uint64_t id)
{
    uint64_t word = ftli_u64_load_seq_cst(&scope->word);
    do {
        if (!is_open(word, id))
            return false;
    } while (!ftli_u64_cas_seq_cst(&scope->word, &word, word - STATE(FTLI_SCOPE_OPEN) + STATE(FTLI_SCOPE_ENDING)));
    return true;
}

/* ENDING becomes OVER, and the parent has a child less. */
static void finish(struct ftli_scopes *scopes, struct ftli_scope *scope, uint32_t now_ms)
{
    uint64_t parent_id = ftli_u64_load_relaxed(&scope->parent);
    ftli_u32_store_release(&scope->ended_ms, now_ms);
    (void)ftli_u64_fetch_add_seq_cst(&scope->word, STATE(FTLI_SCOPE_OVER) - STATE(FTLI_SCOPE_ENDING));
    try_release(scopes, scope);
    if (parent_id != 0)
        child_is_over(scopes, ftli_scope_find(scopes, parent_id));
}

/* An open child, at `slot` or above, closed by us; NULL: there is none. */
static struct ftli_scope *close_a_child(struct ftli_scopes *scopes, const struct ftli_scope *parent, uint64_t id,
                                        uint32_t slot)
{
    if (ftli_u32_load_seq_cst(&parent->children) == 0)
        return NULL;
    uint32_t fresh = ftli_u32_load_acquire(&scopes->fresh);
    for (; slot < fresh; slot++) {
        struct ftli_scope *child = &scopes->scopes[slot];
        uint64_t word = ftli_u64_load_seq_cst(&child->word);
        if (ftli_scope_state_of(word) != FTLI_SCOPE_OPEN || ftli_u64_load_relaxed(&child->parent) != id)
            continue;
        if (close_word(child, ftli_handle_make(scopes->table->runtime, slot, ftli_scope_generation_of(word))))
            return child;
    }
    return NULL;
}

int64_t ftli_scope_end_slot(struct ftli_scopes *scopes, uint64_t id, uint32_t now_ms,
                            void (*give_up)(void *, uint64_t tensor), void *user)
{
    struct ftli_scope *top = ftli_scope_find(scopes, id);
    if (top == NULL || !close_word(top, id))
        return FTL_ESTALE;
    int64_t given_up = 0;
    uint32_t from = 1;
    /* Depth first without a stack: the way back is each scope's parent, the place to go on behind the child's slot. A child that
     * opens in a slot passed before meets a closed parent and closes itself. */
    for (struct ftli_scope *at = top;;) {
        uint32_t generation = ftli_scope_generation_of(ftli_u64_load_acquire(&at->word));
        uint64_t at_id = ftli_handle_make(scopes->table->runtime, slot_of(scopes, at), generation);
        struct ftli_scope *child = close_a_child(scopes, at, at_id, from);
        if (child != NULL) {
            at = child;
            from = 1;
            continue;
        }
        from = slot_of(scopes, at) + 1;
        struct ftli_scope *up = at == top ? NULL : ftli_scope_find(scopes, ftli_u64_load_relaxed(&at->parent));
        given_up += ftli_scope_cells_end(scopes->table, at, slot_of(scopes, at), give_up, user);
        finish(scopes, at, now_ms);
        if (up == NULL)
            return given_up;
        at = up;
    }
}

/* ---- looking at them ----------------------------------------------------------------------------------------------- */

void ftli_scopes_each(const struct ftli_scopes *scopes, void (*fn)(void *, uint32_t slot, const struct ftli_scope *),
                      void *user)
{
    uint32_t fresh = ftli_u32_load_acquire(&scopes->fresh);
    for (uint32_t slot = 1; slot < fresh; slot++) {
        const struct ftli_scope *scope = &scopes->scopes[slot];
        uint64_t word = ftli_u64_load_acquire(&scope->word);
        if (ftli_scope_state_of(word) == FTLI_SCOPE_OPEN || ftli_scope_members_of(word) != 0)
            fn(user, slot, scope);
    }
}

size_t ftli_scopes_metadata_bytes(const struct ftli_scopes *scopes)
{
    size_t page = ftli_os_page_bytes();
    return ((size_t)ftli_u32_load_acquire(&scopes->fresh) * sizeof(struct ftli_scope) + page - 1) / page * page;
}
