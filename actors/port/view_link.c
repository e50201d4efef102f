/* Views and links: references that tensors hold on tensors. */
#include "actors/port/agent.h"
#include "tensor/extension.h"
#include "tensor/registry.h"
#include "tensor/shape.h"

/* ---- views ------------------------------------------------------------------------------------------------------------- */

/* *start: where the base begins in its root. */
static int retain_root(ftl_tensor base, struct ftli_header **root, uint64_t *root_id, int64_t *start)
{
    struct ftli_header *header = ftli_registry_find(base.id);
    struct ftl_runtime *runtime = ftli_runtime_of(ftli_handle_runtime(base.id));
    /* The base is held while it is read, so that a view's extension and offset cannot become another's under this call. */
    int status = ftl_tensor_retain(base);
    if (status != FTL_OK)
        return ftli_fail(status, "base: the tensor is gone, or has too many references");
    *root = header;
    *root_id = base.id;
    *start = 0;
    if ((ftli_record_flags(ftli_u64_load_acquire(&header->record)) & FTLI_HEADER_VIEW) == 0)
        return FTL_OK;
    *root_id = ftli_u64_load_acquire(&ftli_extension(&runtime->table, ftli_u32_load_acquire(&header->cold))->root);
    *root = ftli_registry_find(*root_id);
    *start = (int64_t)ftli_u64_load_acquire(&header->data);
    status = ftl_tensor_retain((ftl_tensor){*root_id});
    (void)ftl_tensor_drop(base);
    return status == FTL_OK ? FTL_OK : ftli_fail(status, "base: its root has too many references");
}

static int put_cell(struct ftli_table *table, ftli_atomic_u32 *place, uint32_t ndim, const int64_t *values)
{
    uint32_t cell = ftli_cell_take(table);
    if (cell == 0)
        return FTL_ENOMEM;
    ftli_atomic_u64 *words = ftli_cell(table, cell);
    for (uint32_t i = 0; i < ndim; i++)
        ftli_u64_store_release(&words[i], (uint64_t)values[i]);
    ftli_u32_store_release(place, cell);
    return FTL_OK;
}

struct view {
    uint64_t root_id;
    int64_t offset; /* from the root's first byte */
    uint64_t bytes;
    ftl_dtype dtype;
    uint32_t ndim;
    const int64_t *shape, *strides;
};

static int make_view(struct ftl_runtime *runtime, const struct view *view, ftl_tensor *out)
{
    struct ftli_agent agent;
    struct ftli_header *header;
    uint32_t home = 0;
    if (!ftli_agent_enter(&agent, runtime, true))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed");
    uint32_t cold = ftli_cell_take(&runtime->table);
    int status = cold == 0 ? FTL_ENOMEM : FTL_OK;
    struct ftli_extension *extension = cold == 0 ? NULL : ftli_extension(&runtime->table, cold);
    bool fits = ftli_shape_fits(view->ndim, view->shape);
    if (status == FTL_OK && !fits)
        status = put_cell(&runtime->table, &extension->shape, view->ndim, view->shape);
    if (status == FTL_OK && view->strides != NULL)
        status = put_cell(&runtime->table, &extension->strides, view->ndim, view->strides);
    if (status == FTL_OK)
        status = ftli_allocation_take_bare(runtime->device, &home, &header);
    if (status != FTL_OK) {
        if (cold != 0)
            ftli_extension_give(&runtime->table, cold);
        ftli_agent_leave(&agent);
        return ftli_fail(status, "no memory for the view");
    }
    ftli_u64_store_release(&extension->root, view->root_id);
    ftli_u32_store_release(&header->cold, cold);
    ftli_u64_store_release(&header->data, (uint64_t)view->offset);
    ftli_u64_store_release(&header->size, ftli_size_make(view->bytes, view->dtype, view->ndim));
    ftli_u32_store_release(&header->scope, 0);
    ftli_u32_store_release(&header->stamp, ftli_stamp_refresh(runtime));
    if (fits)
        ftli_shape_pack(header, view->ndim, view->shape);
    ftli_count(&agent, &agent.counters->created[0], 1);
    uint32_t generation = ftli_word_new(&header->word, FTLI_WORD_SLOW);
    out->id = ftli_handle_make(runtime->number, ftli_table_slot(&runtime->table, header), generation);
    ftli_agent_leave(&agent);
    return FTL_OK;
}

static int view_inside(ftl_tensor base, int64_t byte_offset, uint32_t ndim, const int64_t *shape,
                       const int64_t *strides, ftl_tensor *out)
{
    ftl_tensor_description d;
    struct view view = {.ndim = ndim, .shape = shape, .strides = strides};
    const char *why;
    struct ftli_header *root = NULL;
    int status = ftl_tensor_describe(base, &d);
    if (status != FTL_OK)
        return status;
    view.dtype = d.dtype;
    if (ftli_shape_bytes(d.dtype, ndim, shape, &view.bytes, &why) != FTL_OK)
        return ftli_fail(FTL_EINVAL, "%s", why);
    int64_t lowest = 0, end = (int64_t)view.bytes;
    if (strides != NULL && ftli_shape_extent(d.dtype, ndim, shape, strides, &lowest, &end) != FTL_OK)
        return ftli_fail(FTL_EINVAL, "strides: reach beyond 2^63 - 1 bytes");
    int64_t start = 0;
    status = retain_root(base, &root, &view.root_id, &start);
    if (status != FTL_OK)
        return status;
    struct ftl_runtime *runtime = ftli_runtime_of(ftli_handle_runtime(base.id));
    int64_t root_bytes = (int64_t)ftli_size_bytes(ftli_u64_load_acquire(&root->size));
    bool inside = byte_offset >= 0 && byte_offset <= root_bytes - start && start + byte_offset + lowest >= 0 &&
                  end <= root_bytes - start - byte_offset;
    view.offset = start + byte_offset;
    if (!inside)
        status = ftli_fail(FTL_EINVAL, "the view reaches outside the memory of its base's root");
    else if (view.bytes > FTLI_TENSOR_BYTES_MOST) /* strides of 0 show a byte any number of times */
        status = ftli_fail(FTL_ELIMIT, "shape: over 2^48 - 1 bytes");
    else
        status = make_view(runtime, &view, out);
    if (status != FTL_OK)
        (void)ftl_tensor_drop((ftl_tensor){view.root_id});
    return status;
}

/* The runtime of a handle, entered, so that close waits for the call; NULL, and *status says why. */
static struct ftl_runtime *enter(ftl_tensor tensor, const char *name, int *status)
{
    struct ftl_runtime *runtime = ftli_runtime_of(ftli_handle_runtime(tensor.id));
    if (runtime == NULL || ftli_registry_find(tensor.id) == NULL || !ftli_runtime_enter(runtime)) {
        *status = ftli_fail(ftli_stale(tensor.id), "%s: the tensor is gone", name);
        return NULL;
    }
    if (ftli_port_is_inherited(runtime)) {
        ftli_runtime_leave(runtime);
        *status = ftli_fail(FTL_ENOTSUP, "a forked child cannot make views or links in its parent's runtime");
        return NULL;
    }
    return runtime;
}

int ftl_tensor_view(ftl_tensor base, int64_t byte_offset, uint32_t ndim, const int64_t *shape, const int64_t *strides,
                    ftl_tensor *out)
{
    int status;
    if (out == NULL)
        return ftli_fail(FTL_EINVAL, "out: is NULL");
    struct ftl_runtime *runtime = enter(base, "base", &status);
    if (runtime == NULL)
        return status;
    status = view_inside(base, byte_offset, ndim, shape, strides, out);
    ftli_runtime_leave(runtime);
    return status;
}

/* ---- links ------------------------------------------------------------------------------------------------------------- */

/* The parent's extension, made by its first link. The word becomes SLOW, so that its drop gives the links up. */
static struct ftli_extension *extension_for_links(struct ftl_runtime *runtime, struct ftli_header *parent)
{
    uint32_t cold = ftli_u32_load_acquire(&parent->cold);
    if (cold == 0) {
        uint32_t fresh = ftli_cell_take(&runtime->table);
        if (fresh == 0)
            return NULL;
        if (ftli_u32_cas_acq_rel(&parent->cold, &cold, fresh))
            cold = fresh;
        else
            ftli_cell_give(&runtime->table, fresh);
    }
    return ftli_extension(&runtime->table, cold);
}

static void set_links_flag(struct ftli_header *parent)
{
    uint64_t record = ftli_u64_load_acquire(&parent->record);
    while (!ftli_u64_cas_acq_rel(&parent->record, &record, record | FTLI_HEADER_LINKS))
        ;
}

static int link_inside(struct ftl_runtime *runtime, ftl_tensor parent, ftl_tensor child)
{
    struct ftli_header *header = ftli_registry_find(parent.id);
    if (ftli_handle_runtime(child.id) != runtime->number || parent.id == child.id)
        return ftli_fail(FTL_EINVAL, "child: is the parent, or of another runtime");
    /* Both are held meanwhile: the parent so that it cannot die while its list is changed, the child for the link. */
    int status = ftl_tensor_retain(parent);
    if (status != FTL_OK)
        return ftli_fail(status, "parent: the tensor is gone, or has too many references");
    status = ftl_tensor_retain(child);
    if (status == FTL_OK) {
        struct ftli_extension *extension = extension_for_links(runtime, header);
        status = extension == NULL ? FTL_ENOMEM : ftli_extension_add_child(&runtime->table, extension, child.id);
        if (status == FTL_OK) {
            set_links_flag(header);
            (void)ftli_word_slow(&header->word, ftli_handle_generation(parent.id));
            ftli_leak_detection_note_link(&runtime->leak_detection, parent.id);
        } else {
            (void)ftl_tensor_drop(child);
        }
    }
    (void)ftl_tensor_drop(parent);
    return status == FTL_OK ? FTL_OK : ftli_fail(status, "child: the tensor is gone, or there is no memory for a link");
}

int ftl_tensor_link(ftl_tensor parent, ftl_tensor child)
{
    int status;
    struct ftl_runtime *runtime = enter(parent, "parent", &status);
    if (runtime == NULL)
        return status;
    status = link_inside(runtime, parent, child);
    ftli_runtime_leave(runtime);
    return status;
}

static int unlink_inside(struct ftl_runtime *runtime, ftl_tensor parent, ftl_tensor child)
{
    struct ftli_header *header = ftli_registry_find(parent.id);
    int status = ftl_tensor_retain(parent); /* which counts the stale handle */
    if (status != FTL_OK)
        return ftli_fail(status, "parent: the tensor is gone, or has too many references");
    uint32_t cold = ftli_u32_load_acquire(&header->cold);
    bool removed =
        cold != 0 && ftli_extension_remove_child(&runtime->table, ftli_extension(&runtime->table, cold), child.id);
    (void)ftl_tensor_drop(parent);
    if (!removed)
        return ftli_fail(FTL_EINVAL, "child: is not linked to the parent");
    status = ftl_tensor_drop(child);
    if (ftl_tensor_alive(child)) /* what it is in may hang on itself alone from here on */
        ftli_leak_detection_note_link(&runtime->leak_detection, child.id);
    return status;
}

int ftl_tensor_unlink(ftl_tensor parent, ftl_tensor child)
{
    int status;
    struct ftl_runtime *runtime = enter(parent, "parent", &status);
    if (runtime == NULL)
        return status;
    status = unlink_inside(runtime, parent, child);
    ftli_runtime_leave(runtime);
    return status;
}
