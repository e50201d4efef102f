/* Scopes: what a request, a session or a cache holds, so that one call gives all of it up.
 *
 * What      A type-stable table of scopes. A member's handle lies in a cell of the scope (7 handles a cell); handles are weak,
 *           so a drop removes nothing; cells whose handles are all stale are swept when their number has doubled.
 * Word      generation 24 (63..40) | state 4 (39..36) | live members 36. A new joins by compare-and-swap while the scope is
 *           OPEN; the slot is free again when the scope has ended and its last member is gone.
 * Threads   Any. Progress: lock-free, but for end, which walks its members, and waits for a sweep that is under way.
 * Race      A member is published into its cell, then the scope's word is read again; end closes the word, then takes every
 *           entry by exchange. All four are sequentially consistent: one of the two sides takes the entry, exactly once.
 */
#ifndef FTLI_TENSOR_SCOPE_H
#define FTLI_TENSOR_SCOPE_H

#include <fettle/fettle.h>

#include "runtime/kernel/token.h"
#include "tensor/table.h"

#define FTLI_SCOPES_MOST (UINT32_C(1) << 20)
#define FTLI_SCOPE_ENDED (UINT32_C(1) << 31) /* in a header's scope: end has taken the creator's reference */

enum ftli_scope_state { FTLI_SCOPE_FREE = 0, FTLI_SCOPE_OPEN = 1, FTLI_SCOPE_ENDING = 2, FTLI_SCOPE_OVER = 3 };

struct ftli_scope {
    FTLI_ALIGNED(64) ftli_atomic_u64 word;
    ftli_atomic_u64 live_bytes, peak_bytes, created;
    ftli_atomic_u64 cells; /* first cell of members, newest first */
    ftli_atomic_u32 cell_count, sweep_at;
    ftli_atomic_u64 next_free;               /* slot, while FREE */
    ftli_atomic_u32 soft_told, overdue_told; /* 1: it was told that it is over soft_bytes, past its deadline */
    FTLI_ALIGNED(64) ftli_atomic_u64 parent; /* its handle */
    ftli_atomic_u32 children; /* open ones: end looks for them only if there are any; a slot is not reused before */
    ftli_atomic_u32 label, kind, opened_ms, ended_ms;
    ftli_token sweeping; /* held by who has the list of cells in hand */
    ftli_atomic_u64 tag, soft_bytes, hard_bytes;
    ftli_atomic_u64 deadline_ns; /* on the kernel's clock; 0: none */
};

static_assert(sizeof(struct ftli_scope) == 128, "two lines");

struct ftli_scopes {
    struct ftli_table *table; /* cells, and headers of members */
    struct ftli_scope *scopes;
    uint32_t slots;
    ftli_atomic_u64 free; /* count 32 | slot 32 */
    ftli_atomic_u32 fresh;
};

int ftli_scopes_init(struct ftli_scopes *, struct ftli_table *); /* FTL_ENOMEM */
void ftli_scopes_fini(struct ftli_scopes *);

/* The scope of a handle, in whatever state; NULL: forged. */
struct ftli_scope *ftli_scope_find(const struct ftli_scopes *, uint64_t id);
FTLI_INLINE uint32_t ftli_scope_generation_of(uint64_t word)
{
    return (uint32_t)(word >> 40);
}
FTLI_INLINE enum ftli_scope_state ftli_scope_state_of(uint64_t word)
{
    return (enum ftli_scope_state)(word >> 36 & 15);
}
FTLI_INLINE uint64_t ftli_scope_members_of(uint64_t word)
{
    return word & ((UINT64_C(1) << 36) - 1);
}

/* options->deadline_ns is on the kernel's clock here. FTL_ELIMIT: too many at once; FTL_ESTALE: the parent is gone. */
int ftli_scope_open_slot(struct ftli_scopes *, const ftl_scope_options *, uint32_t label, uint32_t now_ms,
                         uint64_t *id);
/* Counts a member in (bytes: those of its header's size; 0 for a view); then the tensor is made, its header naming the slot,
 * and ftli_scope_publish puts its handle in. FTL_ESTALE, FTL_ELIMIT (hard_bytes). */
int ftli_scope_join(struct ftli_scopes *, uint64_t id, uint64_t bytes);
/* After a join: the scope went over its soft_bytes, for the first time since it was an eighth below them. True once. */
bool ftli_scope_passed_soft(struct ftli_scopes *, uint64_t id, uint64_t *live_bytes);
/* Counts it out again: its tensor left LIVE, was kept, or was never made. */
void ftli_scope_leave(struct ftli_scopes *, uint32_t slot, uint64_t bytes);

/* Where a thread puts members: the cell it has begun, per scope. */
struct ftli_scope_cursor {
    uint64_t scope; /* handle */
    uint32_t cell;
    uint32_t used; /* of 7 */
};
/* FTL_OK; FTL_ENOMEM (no cell; the caller drops and leaves); FTL_ESTALE: the scope ended meanwhile and the entry came back to
 * the caller, who drops the tensor; FTL_EBUSY: it ended and end has dropped the tensor already. */
int ftli_scope_publish(struct ftli_scopes *, struct ftli_scope_cursor *, uint64_t id, uint64_t tensor);
/* Gives up the cell that the cursor has begun: for a cursor that ends (a call without a port). */
void ftli_scope_cursor_leave(struct ftli_scopes *, struct ftli_scope_cursor *);

/* Takes the creator's reference out of the scope's hands: FTL_OK, the caller has it; FTL_ESTALE: end was first, or no member. */
int ftli_scope_claim_member(struct ftli_scopes *, uint64_t id, struct ftli_header *);

/* Closes it to new members, children first; calls give_up for each member whose creator's reference the scope still holds.
 * Returns how many, or FTL_ESTALE. */
int64_t ftli_scope_end_slot(struct ftli_scopes *, uint64_t id, uint32_t now_ms,
                            void (*give_up)(void *, uint64_t tensor), void *user);

/* A walk, for reports: fn for every slot that is OPEN or has members. */
void ftli_scopes_each(const struct ftli_scopes *, void (*fn)(void *, uint32_t slot, const struct ftli_scope *),
                      void *user);
size_t ftli_scopes_metadata_bytes(const struct ftli_scopes *);

#endif
