#include "tensor/look.h"

#include "tensor/shape.h"

void ftli_look_deep_shape(const struct ftli_table *table, uint32_t slot, uint64_t size, uint32_t shape_cell,
                          int64_t *shape)
{
    uint32_t ndim = ftli_size_ndim(size);
    if (ndim > FTL_MAX_DIMS)
        return; /* of a header that is being written: the look is void */
    if (shape_cell == 0) {
        ftli_shape_unpack(ftli_table_header(table, slot), ndim, shape);
        return;
    }
    if (shape_cell >= table->slots) /* the extension is another's by now, and what stood there was no cell */
        return;
    const ftli_atomic_u64 *dimensions = ftli_cell(table, shape_cell);
    for (uint32_t i = 0; i < ndim; i++)
        shape[i] = (int64_t)ftli_u64_load_acquire(&dimensions[i]);
}
