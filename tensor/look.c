#include "tensor/look.h"

#include "tensor/shape.h"

#define HANDS_MOST 4 /* how often a slot may change hands under one look */

uint32_t ftli_look_shape(const struct ftli_table *table, const struct ftli_look *look, int64_t *shape)
{
    uint32_t ndim = ftli_size_ndim(look->size);
    if (ndim > FTL_MAX_DIMS)
        return 0; /* of a header that is being written: the look is void */
    if (look->shape_cell == 0) {
        ftli_shape_unpack(ftli_table_header(table, ftli_handle_slot(look->tensor)), ndim, shape);
        return ndim;
    }
    if (look->shape_cell >= table->slots) /* the extension is another's by now, and what stood there was no cell */
        return 0;
    const ftli_atomic_u64 *dimensions = ftli_cell(table, look->shape_cell);
    for (uint32_t i = 0; i < ndim; i++)
        shape[i] = (int64_t)ftli_u64_load_acquire(&dimensions[i]);
    return ndim;
}

/* The same tensor is looked at until its fields belong together: its scope changes once at most (ftl_scope_keep). */
bool ftli_look_at_live(const struct ftli_table *table, const struct ftli_scopes *scopes, uint32_t slot,
                       struct ftli_look *look, int64_t *shape)
{
    const ftli_atomic_u64 *word = &ftli_table_header(table, slot)->word;
    for (unsigned hands = 0; hands < HANDS_MOST; hands++) {
        uint64_t seen = ftli_u64_load_acquire(word);
        if (ftli_word_state(seen) != FTLI_LIVE)
            return false;
        ftli_look_read(table, scopes, slot, seen, look);
        if (shape != NULL)
            (void)ftli_look_shape(table, look, shape);
        if (ftli_look_is_still(table, look))
            return true;
    }
    return false;
}
