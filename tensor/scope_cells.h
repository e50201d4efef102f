/* The cells in which a scope remembers its members: a list of cells, seven handles each.
 *
 * Entry       0: not written; 1: taken, or nobody will write it; else a handle.
 * Owners      A cell with its last entry 0 is some cursor's: that thread alone writes its entries, in order. Who finds a 1 where he
 *             puts a 1 into the last entry is the second one done with the cell, and gives it back.
 * Threads     begin and leave: the cursor's. end: once, by who closed the scope. dispose: by who freed the slot.
 */
#ifndef FTLI_TENSOR_SCOPE_CELLS_H
#define FTLI_TENSOR_SCOPE_CELLS_H

#include "tensor/scope.h"

enum { FTLI_SCOPE_ENTRIES = 7, FTLI_SCOPE_SWEEP_LEAST = 64 };
#define FTLI_SCOPE_ENTRY_EMPTY UINT64_C(0)
#define FTLI_SCOPE_ENTRY_TAKEN UINT64_C(1)

/* The first word of a cell is the index of the next one. */
FTLI_INLINE ftli_atomic_u64 *ftli_scope_entry(const struct ftli_table *table, uint32_t cell, uint32_t index)
{
    return (ftli_atomic_u64 *)ftli_cell(table, cell) + 1 + index;
}

/* A new cell for the cursor, in the scope's list; sweeps first if the list has doubled. False: there is no cell. The caller has
 * a member counted in that is not published, so the slot stays what it is. */
bool ftli_scope_cells_begin(struct ftli_table *, struct ftli_scope *, uint32_t slot, struct ftli_scope_cursor *);
/* The cursor is done with its cell, of which it used some. */
void ftli_scope_cells_leave(struct ftli_table *, uint32_t cell, uint32_t used);
/* The scope is closed: takes every entry; gives up those whose creator's reference the scope holds. Returns how many. */
int64_t ftli_scope_cells_end(struct ftli_table *, struct ftli_scope *, uint32_t slot,
                             void (*give_up)(void *, uint64_t tensor), void *user);
/* No member is left, and none can come. */
void ftli_scope_cells_dispose(struct ftli_table *, struct ftli_scope *);

#endif
