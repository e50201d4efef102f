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

/* Its dimensions, as many as the size says; between the two others. */
uint32_t ftli_look_shape(const struct ftli_table *, const struct ftli_look *, int64_t *shape);

FTLI_INLINE bool ftli_look_is_still(const struct ftli_table *table, const struct ftli_look *look)
{
    const struct ftli_header *header = ftli_table_header(table, ftli_handle_slot(look->tensor));
    uint64_t again = ftli_u64_load_acquire(&header->word);
    return ((look->word ^ again) & (FTLI_WORD_GENERATION | FTLI_WORD_STATE)) == 0 &&
           ftli_header_scope(header) == look->scope_slot;
}

/* A LIVE tensor, wholly; false: the slot has none, or none that stayed for the look. Whoever is LIVE throughout the call is found. */
bool ftli_look_at_live(const struct ftli_table *, const struct ftli_scopes *, uint32_t slot, struct ftli_look *,
                       int64_t *shape /* NULL: not asked for */);

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
