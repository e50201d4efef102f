#include "tensor/scope_cells.h"

static ftli_atomic_u64 *next_of(const struct ftli_table *table, uint32_t cell)
{
    return ftli_cell(table, cell);
}

/* A handle that end would find nothing to do for: its tensor is gone, or was kept. */
static bool is_void(const struct ftli_table *table, uint32_t slot, uint64_t entry)
{
    if (entry == FTLI_SCOPE_ENTRY_TAKEN)
        return true;
    const struct ftli_header *header = ftli_table_header(table, ftli_handle_slot(entry));
    return !ftli_word_is_live(ftli_u64_load_acquire(&header->word), ftli_handle_generation(entry)) ||
           ftli_header_scope(header) != slot;
}

/* pairs: scope-cells, with the exchanges that take the list */
static void push(struct ftli_table *table, struct ftli_scope *scope, uint32_t cell)
{
    uint64_t head = ftli_u64_load_relaxed(&scope->cells);
    do {
        ftli_u64_store_release(next_of(table, cell), head);
    } while (!ftli_u64_cas_seq_cst(&scope->cells, &head, cell));
    (void)ftli_u32_fetch_add_relaxed(&scope->cell_count, 1);
}

/* The list is in hand meanwhile, which is why end waits for the token. Cells that a cursor still writes stay. */
static void sweep(struct ftli_table *table, struct ftli_scope *scope, uint32_t slot)
{
    if (!ftli_token_try_take(&scope->sweeping))
        return;
    ftli_u32_store_relaxed(&scope->cell_count, 0);
    uint64_t at = ftli_u64_exchange_seq_cst(&scope->cells, 0);
    while (at != 0) {
        uint32_t cell = (uint32_t)at, entries_void = 0;
        at = ftli_u64_load_acquire(next_of(table, cell));
        /* The last one first: if it is written, all are. */
        for (uint32_t i = FTLI_SCOPE_ENTRIES; i-- > 0;) {
            uint64_t entry = ftli_u64_load_seq_cst(ftli_scope_entry(table, cell, i));
            if (entry == FTLI_SCOPE_ENTRY_EMPTY || !is_void(table, slot, entry))
                break;
            entries_void++;
        }
        if (entries_void == FTLI_SCOPE_ENTRIES)
            ftli_cell_give(table, cell);
        else
            push(table, scope, cell);
    }
    uint32_t left = ftli_u32_load_relaxed(&scope->cell_count);
    ftli_u32_store_relaxed(&scope->sweep_at, left < FTLI_SCOPE_SWEEP_LEAST / 2 ? FTLI_SCOPE_SWEEP_LEAST : 2 * left);
    ftli_token_release(&scope->sweeping);
}

bool ftli_scope_cells_begin(struct ftli_table *table, struct ftli_scope *scope, uint32_t slot,
                            struct ftli_scope_cursor *cursor)
{
    if (ftli_u32_load_relaxed(&scope->cell_count) >= ftli_u32_load_relaxed(&scope->sweep_at))
        sweep(table, scope, slot);
    uint32_t cell = ftli_cell_take(table);
    if (cell == 0)
        return false;
    push(table, scope, cell);
    cursor->cell = cell;
    cursor->used = 0;
    return true;
}

void ftli_scope_cells_leave(struct ftli_table *table, uint32_t cell, uint32_t used)
{
    uint64_t last = FTLI_SCOPE_ENTRY_EMPTY;
    for (uint32_t i = used; i < FTLI_SCOPE_ENTRIES; i++)
        last = ftli_u64_exchange_seq_cst(ftli_scope_entry(table, cell, i), FTLI_SCOPE_ENTRY_TAKEN);
    if (last == FTLI_SCOPE_ENTRY_TAKEN)
        ftli_cell_give(table, cell);
}

/* End's right to the creator's reference is written into the header, where keep looks. A header that says ENDED already does so
 * because end met this slot under an older handle a moment ago: the reference is end's all the same. */
static bool claim(const struct ftli_table *table, uint32_t slot, uint64_t tensor)
{
    struct ftli_header *header = ftli_table_header(table, ftli_handle_slot(tensor));
    if (!ftli_word_is_live(ftli_u64_load_acquire(&header->word), ftli_handle_generation(tensor)))
        return false;
    uint32_t seen = ftli_u32_load_acquire(&header->scope);
    while ((seen & FTLI_HEADER_SCOPE_SLOT) == slot) {
        if ((seen & FTLI_SCOPE_ENDED) != 0 || ftli_u32_cas_acq_rel(&header->scope, &seen, seen | FTLI_SCOPE_ENDED))
            return true;
    }
    return false; /* kept */
}

/* Takes all of a cell's entries, in order; the last one says whose the cell is. */
static int64_t take_cell(struct ftli_table *table, uint32_t slot, uint32_t cell, void (*give_up)(void *, uint64_t),
                         void *user)
{
    int64_t given_up = 0;
    uint64_t entry = FTLI_SCOPE_ENTRY_EMPTY;
    for (uint32_t i = 0; i < FTLI_SCOPE_ENTRIES; i++) {
        entry = ftli_u64_exchange_seq_cst(ftli_scope_entry(table, cell, i), FTLI_SCOPE_ENTRY_TAKEN);
        if (give_up != NULL && entry > FTLI_SCOPE_ENTRY_TAKEN && claim(table, slot, entry)) {
            give_up(user, entry);
            given_up++;
        }
    }
    if (entry != FTLI_SCOPE_ENTRY_EMPTY)
        ftli_cell_give(table, cell);
    return given_up;
}

static int64_t take_list(struct ftli_table *table, uint64_t at, uint32_t slot, void (*give_up)(void *, uint64_t),
                         void *user)
{
    int64_t given_up = 0;
    while (at != 0) {
        uint32_t cell = (uint32_t)at;
        at = ftli_u64_load_acquire(next_of(table, cell));
        given_up += take_cell(table, slot, cell, give_up, user);
    }
    return given_up;
}

int64_t ftli_scope_cells_end(struct ftli_table *table, struct ftli_scope *scope, uint32_t slot,
                             void (*give_up)(void *, uint64_t tensor), void *user)
{
    ftli_token_take(&scope->sweeping); /* who sweeps has the list in hand, and puts it back first */
    uint64_t first = ftli_u64_exchange_seq_cst(&scope->cells, 0);
    ftli_token_release(&scope->sweeping);
    return take_list(table, first, slot, give_up, user);
}

void ftli_scope_cells_dispose(struct ftli_table *table, struct ftli_scope *scope)
{
    (void)take_list(table, ftli_u64_exchange_seq_cst(&scope->cells, 0), 0, NULL, NULL);
}
