/* Looking at a tensor: its memory, its life, its description. None of these enters a port. */
#include <stdio.h>
#include <string.h>

#include "actors/port/agent.h"
#include "tensor/extension.h"
#include "tensor/registry.h"
#include "tensor/shape.h"

/* A view's root, which it keeps alive. NULL: no view. */
static struct ftli_header *root_of(const struct ftl_runtime *runtime, const struct ftli_header *view, uint64_t *root_id)
{
    if ((ftli_record_flags(ftli_u64_load_acquire(&view->record)) & FTLI_HEADER_VIEW) == 0)
        return NULL;
    uint32_t cold = ftli_u32_load_acquire(&view->cold);
    *root_id = ftli_u64_load_acquire(&ftli_extension(&runtime->table, cold)->root);
    return ftli_registry_find(*root_id);
}

static void *nothing(uint64_t id)
{
    if (id == 0)
        (void)ftli_fail(FTL_EINVAL, "tensor: is the null tensor");
    else
        (void)ftli_fail(ftli_stale(id), "the tensor is gone");
    return NULL;
}

/* A view, or a tensor that may still move. */
static FTLI_NOINLINE void *data_slow(uint64_t id)
{
    struct ftli_header *header = ftli_registry_find(id);
    struct ftl_runtime *runtime = ftli_runtime_of(ftli_handle_runtime(id));
    uint32_t generation = ftli_handle_generation(id);
    uint64_t word, root_id;
    if (header == NULL || runtime == NULL || !ftli_word_is_live(ftli_u64_load_acquire(&header->word), generation))
        return nothing(id);
    struct ftli_header *root = root_of(runtime, header, &root_id);
    struct ftli_header *owner = root != NULL ? root : header;
    if (ftli_word_fix(&owner->word, root != NULL ? ftli_handle_generation(root_id) : generation, &word) !=
        FTLI_WORD_DONE)
        return nothing(id);
    uint64_t address = ftli_u64_load_acquire(&owner->data);
    if (root != NULL)
        address += ftli_u64_load_acquire(&header->data);
    if (!ftli_word_is_live(ftli_u64_load_acquire(&header->word), generation))
        return nothing(id);
    return (void *)(uintptr_t)address;
}

/* Of a tensor that is FIXED: its word is one of this generation before and after. */
FTLI_INLINE void *data_of(const struct ftli_header *header, uint64_t id)
{
    const uint64_t wanted = FTLI_WORD_GENERATION | FTLI_WORD_FIXED | FTLI_WORD_STATE;
    uint64_t found = ftli_word_make(ftli_handle_generation(id), FTLI_WORD_FIXED | FTLI_LIVE);
    if (FTLI_UNLIKELY((ftli_u64_load_acquire(&header->word) & wanted) != found))
        return data_slow(id);
    uint64_t address = ftli_u64_load_acquire(&header->data);
    if (FTLI_UNLIKELY((ftli_u64_load_acquire(&header->word) & wanted) != found))
        return data_slow(id);
    return (void *)(uintptr_t)address;
}

static FTLI_NOINLINE void *data_elsewhere(uint64_t id)
{
    const struct ftli_header *header = ftli_registry_find(id);
    return FTLI_LIKELY(header != NULL) ? data_of(header, id) : data_slow(id);
}

/* Sampled, retained, pinned, or something slower. */
static FTLI_NOINLINE void *data_again(const struct ftli_header *header, uint64_t generation_bits)
{
    return data_of(header, ftli_port_handle(ftli_thread.port, header) | ftli_word_generation(generation_bits));
}

/* Of a tensor of this thread's runtime with one reference and nothing against it. Needs no port, only what the port knows about the
 * table. */
void *ftl_tensor_data(ftl_tensor tensor)
{
    struct ftli_header *header;
    if (FTLI_UNLIKELY(!ftli_port_find_header(ftli_thread.port, tensor.id, &header)))
        return data_elsewhere(tensor.id);
    uint64_t generation_bits = tensor.id << FTLI_WORD_GENERATION_SHIFT;
    uint64_t word = generation_bits + (FTLI_WORD_FIXED | FTLI_WORD_REFERENCE | FTLI_LIVE);
    if (FTLI_UNLIKELY(!ftli_u64_equals_acquire(&header->word, word)))
        return data_again(header, generation_bits);
    void *address = (void *)(uintptr_t)ftli_u64_load_acquire(&header->data);
    if (FTLI_UNLIKELY(!ftli_u64_equals_acquire(&header->word, word)))
        return data_again(header, generation_bits);
    return address;
}

void *ftl_tensor_pin(ftl_tensor tensor)
{
    struct ftli_header *header = ftli_registry_find(tensor.id);
    uint32_t generation = ftli_handle_generation(tensor.id);
    uint64_t word, root_id;
    if (header == NULL)
        return nothing(tensor.id);
    enum ftli_word_result result = ftli_word_pin(&header->word, generation, &word);
    if (result == FTLI_WORD_AT_MOST)
        return (void)ftli_fail(FTL_ELIMIT, "4,094 pins at once are the most"), NULL;
    if (result != FTLI_WORD_DONE)
        return nothing(tensor.id);
    uint64_t address = ftli_u64_load_acquire(&header->data);
    if (FTLI_LIKELY((word & FTLI_WORD_FIXED) != 0))
        return (void *)(uintptr_t)address;
    struct ftl_runtime *runtime = ftli_runtime_of(ftli_handle_runtime(tensor.id));
    struct ftli_header *root = root_of(runtime, header, &root_id);
    if (root == NULL) /* a tensor that may move: SEL says where it is */
        return (void *)(uintptr_t)((word & FTLI_WORD_SEL) != 0 ? ftli_u64_load_acquire(&header->u.alt) : address);
    if (ftli_word_pin(&root->word, ftli_handle_generation(root_id), &word) != FTLI_WORD_DONE) {
        ftl_tensor_unpin(tensor);
        return (void)ftli_fail(FTL_ELIMIT, "4,094 pins at once are the most"), NULL;
    }
    return (void *)(uintptr_t)(ftli_u64_load_acquire(&root->data) + address);
}

/* The last pin of a tensor that was dropped meanwhile: it is delivered now, from inside the runtime. */
static void unpin_word(struct ftl_runtime *runtime, struct ftli_header *header, uint32_t generation)
{
    enum ftli_word_result result = ftli_word_unpin(&header->word, generation);
    if (result == FTLI_WORD_MISUSE)
        (void)ftli_u64_fetch_add_relaxed(&runtime->shared.unpins_without_pin, 1);
    if (result == FTLI_WORD_POST && !ftli_port_is_inherited(runtime))
        ftli_deliver(runtime, header);
}

void ftl_tensor_unpin(ftl_tensor tensor)
{
    struct ftli_header *header = ftli_registry_find(tensor.id);
    struct ftl_runtime *runtime = ftli_runtime_of(ftli_handle_runtime(tensor.id));
    uint32_t generation = ftli_handle_generation(tensor.id);
    uint64_t root_id;
    if (header == NULL || runtime == NULL)
        return;
    uint64_t word = ftli_u64_load_acquire(&header->word);
    enum ftli_state state = ftli_word_state(word);
    if (ftli_word_generation(word) != generation || (state != FTLI_LIVE && state != FTLI_DROPPED)) {
        (void)ftli_stale(tensor.id);
        return;
    }
    /* The shared way in is held over the post, so that close waits for it. */
    if (ftli_runtime_enter(runtime)) {
        struct ftli_header *root =
            (word & FTLI_WORD_FIXED) == 0 && ftli_word_pins(word) != 0 ? root_of(runtime, header, &root_id) : NULL;
        if (root != NULL)
            unpin_word(runtime, root, ftli_handle_generation(root_id));
        unpin_word(runtime, header, generation);
        ftli_runtime_leave(runtime);
    }
}

bool ftl_tensor_alive(ftl_tensor tensor)
{
    struct ftli_header *header = ftli_registry_find(tensor.id);
    return header != NULL && ftli_word_is_live(ftli_u64_load_acquire(&header->word), ftli_handle_generation(tensor.id));
}

size_t ftl_tensor_bytes(ftl_tensor tensor)
{
    struct ftli_header *header = ftli_registry_find(tensor.id);
    uint32_t generation = ftli_handle_generation(tensor.id);
    if (header == NULL || !ftli_word_is_live(ftli_u64_load_acquire(&header->word), generation))
        return 0;
    size_t bytes = ftli_size_bytes(ftli_u64_load_acquire(&header->size));
    return ftli_word_is_live(ftli_u64_load_acquire(&header->word), generation) ? bytes : 0;
}

/* ---- describe ---------------------------------------------------------------------------------------------------------- */

/* The cell may be any number: the extension is perhaps another tensor's by now, or links. */
static void read_dimensions(const struct ftli_table *table, uint32_t cell, uint32_t ndim, int64_t *out)
{
    if (cell >= table->slots)
        return;
    const ftli_atomic_u64 *dimensions = ftli_cell(table, cell);
    for (uint32_t i = 0; i < ndim; i++)
        out[i] = (int64_t)ftli_u64_load_acquire(&dimensions[i]);
}

/* Its site, whose text may be looked at once it is sure that it is one. */
static const char *read_extension(struct ftl_runtime *runtime, uint32_t cold, ftl_tensor_description *d)
{
    struct ftli_extension *extension = ftli_extension(&runtime->table, cold);
    uint32_t shape = ftli_u32_load_acquire(&extension->shape), strides = ftli_u32_load_acquire(&extension->strides);
    if (shape != 0)
        read_dimensions(&runtime->table, shape, d->ndim, d->shape);
    if (strides != 0)
        read_dimensions(&runtime->table, strides, d->ndim, d->strides);
    else
        ftli_shape_compact_strides(d->ndim, d->shape, d->strides);
    d->tag = ftli_u64_load_acquire(&extension->tag);
    d->base.id = ftli_u64_load_acquire(&extension->root);
    (void)snprintf(d->label, sizeof d->label, "%s",
                   ftli_label_text(&runtime->labels, ftli_u32_load_acquire(&extension->label)));
    return ftli_pointer_load_acquire(&extension->site);
}

/* The scope's handle, from the slot in the header and the scope's own word. */
static uint64_t scope_of(const struct ftl_runtime *runtime, uint32_t slot)
{
    uint64_t id = ftli_handle_make(runtime->number, slot, 0);
    struct ftli_scope *scope = slot == 0 ? NULL : ftli_scope_find(&runtime->scopes, id);
    return scope == NULL ? 0 : id | ftli_scope_generation_of(ftli_u64_load_acquire(&scope->word));
}

static uint32_t flags_for(uint32_t header_flags, uint64_t word)
{
    uint32_t flags = FTL_HOST_VISIBLE;
    flags |= (header_flags & FTLI_HEADER_VIEW) != 0 ? FTL_VIEW : 0u;
    flags |= (word & FTLI_WORD_FIXED) != 0 ? FTL_IMMOVABLE : 0u;
    flags |= ftli_word_pins(word) != 0 ? FTL_PINNED : 0u;
    return flags;
}

/* False: the tensor is not the handle's any more, and what was read may be another's. */
static bool read_description(struct ftl_runtime *runtime, const struct ftli_header *header, uint32_t generation,
                             ftl_tensor_description *out)
{
    uint64_t word = ftli_u64_load_acquire(&header->word);
    if (!ftli_word_is_live(word, generation))
        return false;
    ftl_tensor_description d;
    memset(&d, 0, sizeof d);
    uint64_t size = ftli_u64_load_acquire(&header->size), record = ftli_u64_load_acquire(&header->record);
    uint64_t address = ftli_u64_load_acquire(&header->data);
    d.dtype = ftli_size_dtype(size);
    d.ndim = ftli_size_ndim(size) <= FTL_MAX_DIMS ? ftli_size_ndim(size) : 0;
    d.device = ftli_record_device(record);
    d.references = ftli_word_references(word);
    d.pins = ftli_word_pins(word);
    d.flags = flags_for(ftli_record_flags(record), word);
    d.bytes = ftli_size_bytes(size);
    ftli_shape_unpack(header, d.ndim, d.shape);
    ftli_shape_compact_strides(d.ndim, d.shape, d.strides);
    uint32_t cold = ftli_u32_load_acquire(&header->cold);
    const char *site = cold != 0 ? read_extension(runtime, cold, &d) : NULL;
    if (d.base.id != 0) {
        struct ftli_header *root = ftli_registry_find(d.base.id);
        address += root == NULL ? 0 : ftli_u64_load_acquire(&root->data);
    }
    d.alignment = (size_t)(address & -address);
    d.scope.id = scope_of(runtime, ftli_header_scope(header));
    uint64_t now_ms = ftli_runtime_ms(runtime);
    uint64_t born_ms = ftli_u32_load_acquire(&header->stamp);
    d.age_ns = now_ms > born_ms ? (now_ms - born_ms) * 1000000 : 0;
    if (!ftli_word_is_live(ftli_u64_load_acquire(&header->word), generation))
        return false;
    ftli_site_copy(d.site, sizeof d.site, site);
    *out = d;
    return true;
}

int ftl_tensor_describe(ftl_tensor tensor, ftl_tensor_description *out)
{
    struct ftli_header *header = ftli_registry_find(tensor.id);
    struct ftl_runtime *runtime = ftli_runtime_of(ftli_handle_runtime(tensor.id));
    if (out == NULL)
        return ftli_fail(FTL_EINVAL, "out: is NULL");
    if (header == NULL || runtime == NULL || !ftli_runtime_enter(runtime))
        return ftli_fail(ftli_stale(tensor.id), "the tensor is gone");
    bool found = read_description(runtime, header, ftli_handle_generation(tensor.id), out);
    ftli_runtime_leave(runtime);
    return found ? FTL_OK : ftli_fail(ftli_stale(tensor.id), "the tensor is gone");
}
