/* A look at one tensor from outside: what its header and extension say, as one picture or not at all.
 *
 * What        ftli_look_read copies the fields, ftli_look_is_still says whether they belong together: generation, state and scope are what
 *             they were. References and pins may come and go meanwhile.
 * Threads     Any, beside everything that happens. Cells may be another's by the time they are read: nothing that is read
 *             may be followed further (a site's text, a label's) before ftli_look_is_still said yes.
 * Progress    Wait-free.
 * Why it is enough: fields are stored with release after the word left the state it was in, and loaded with acquire, so whoever met a
 *             later holder's field meets the changed word too.
 */
#ifndef FTLI_TENSOR_LOOK_H
#define FTLI_TENSOR_LOOK_H

#include "tensor/extension.h"
#include "tensor/scope.h"

struct ftli_look {
    uint64_t word, tensor; /* tensor: its handle */
    uint64_t size, record;
    uint64_t tag, base; /* base: of a view, its root */
    uint64_t scope;     /* its handle; 0: member of none */
    const char *site;   /* a literal of the program, or NULL */
    uint32_t stamp_ms, cold, label, scope_label, shape_cell;
    uint32_t scope_slot;
};

/* word: of the slot, loaded with acquire just before. */
FTLI_INLINE void ftli_look_read(const struct ftli_table *table, const struct ftli_scopes *scopes, uint32_t slot,
                                uint64_t word, struct ftli_look *look)
{
    const struct ftli_header *header = ftli_table_header(table, slot);
    look->word = word;
    look->tensor = ftli_handle_make(table->runtime, slot, ftli_word_generation(word));
    look->size = ftli_u64_load_acquire(&header->size);
    look->record = ftli_u64_load_acquire(&header->record);
    look->stamp_ms = ftli_u32_load_acquire(&header->stamp);
    look->cold = ftli_u32_load_acquire(&header->cold);
    look->scope_slot = ftli_header_scope(header);
    look->tag = look->base = look->scope = 0;
    look->site = NULL;
    look->label = look->scope_label = look->shape_cell = 0;
    if (look->cold != 0) {
        const struct ftli_extension *extension = ftli_extension(table, look->cold);
        look->tag = ftli_u64_load_acquire(&extension->tag);
        look->base = ftli_u64_load_acquire(&extension->root);
        look->label = ftli_u32_load_acquire(&extension->label);
        look->site = ftli_pointer_load_acquire(&extension->site);
        look->shape_cell = ftli_u32_load_acquire(&extension->shape);
    }
    if (look->scope_slot != 0) { /* a member keeps its scope's slot from being used again */
        const struct ftli_scope *scope = &scopes->scopes[look->scope_slot];
        look->scope = ftli_handle_make(table->runtime, look->scope_slot,
                                       ftli_scope_generation_of(ftli_u64_load_acquire(&scope->word)));
        look->scope_label = ftli_u32_load_acquire(&scope->label);
    }
}

/* More than two dimensions, or such as lie in a cell: by what the header says. */
void ftli_look_deep_shape(const struct ftli_table *, uint32_t slot, uint64_t size, uint32_t shape_cell, int64_t *shape);

/* Its dimensions, as many as the size says; between the two others. shape: FTL_MAX_DIMS. */
FTLI_INLINE void ftli_look_shape(const struct ftli_table *table, uint32_t slot, const struct ftli_look *look,
                                 int64_t *shape)
{
    uint32_t ndim = ftli_size_ndim(look->size);
    if (FTLI_UNLIKELY(look->shape_cell != 0 || ndim > 2)) {
        ftli_look_deep_shape(table, slot, look->size, look->shape_cell, shape);
        return;
    }
    uint64_t low = ftli_u64_load_acquire(&ftli_table_header(table, slot)->dimensions_low);
    shape[0] = (int64_t)(ndim == 1 ? low : low & UINT32_MAX);
    shape[1] = (int64_t)(low >> 32);
}

FTLI_INLINE bool ftli_look_is_still(const struct ftli_table *table, const struct ftli_look *look)
{
    const struct ftli_header *header = ftli_table_header(table, ftli_handle_slot(look->tensor));
    uint64_t again = ftli_u64_load_acquire(&header->word);
    return ((look->word ^ again) & (FTLI_WORD_GENERATION | FTLI_WORD_STATE)) == 0 &&
           ftli_header_scope(header) == look->scope_slot;
}

#define FTLI_LOOK_HANDS_MOST 4 /* how often a slot may change hands under one look */

/* A LIVE tensor, wholly; false: the slot has none, or none that stayed for the look. Whoever is LIVE throughout the call is found: the
 * same tensor is looked at until its fields belong together, and its scope changes once at most (ftl_scope_keep).
 * shape: NULL: not asked for. */
FTLI_INLINE bool ftli_look_at_live(const struct ftli_table *table, const struct ftli_scopes *scopes, uint32_t slot,
                                   struct ftli_look *look, int64_t *shape)
{
    const ftli_atomic_u64 *word = &ftli_table_header(table, slot)->word;
    for (unsigned hands = 0; hands < FTLI_LOOK_HANDS_MOST; hands++) {
        uint64_t seen = ftli_u64_load_acquire(word);
        if (ftli_word_state(seen) != FTLI_LIVE)
            return false;
        ftli_look_read(table, scopes, slot, seen, look);
        if (shape != NULL)
            ftli_look_shape(table, slot, look, shape);
        if (FTLI_LIKELY(ftli_look_is_still(table, look)))
            return true;
    }
    return false;
}

/* What a walk reads soon is asked for: the header of one slot, and the extension of another, whose header is here by now. Both lie
 * below the walk's end. */
FTLI_INLINE void ftli_look_ahead(const struct ftli_table *table, uint32_t far, uint32_t near)
{
    __builtin_prefetch(ftli_table_header(table, far));
    __builtin_prefetch(ftli_cell(table, ftli_u32_load_relaxed(&ftli_table_header(table, near)->cold)));
}

FTLI_INLINE bool ftli_look_is_view(const struct ftli_look *look)
{
    return (ftli_record_flags(look->record) & FTLI_HEADER_VIEW) != 0;
}

/* The bytes that the counters know: a view's belong to its root. */
FTLI_INLINE uint64_t ftli_look_own_bytes(const struct ftli_look *look)
{
    return ftli_look_is_view(look) ? 0 : ftli_size_bytes(look->size);
}

#endif
