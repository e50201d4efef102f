#include "tensor/shape.h"

__extension__ typedef __int128 int128;
__extension__ typedef unsigned __int128 uint128;

int ftli_shape_bytes(ftl_dtype dtype, uint32_t ndim, const int64_t *shape, uint64_t *bytes, const char **why)
{
    uint32_t bits = ftli_dtype_bits(dtype);
    if (bits == 0)
        return *why = "dtype: no such type", FTL_EINVAL;
    if (ndim > FTL_MAX_DIMS)
        return *why = "ndim: more than 8 dimensions", FTL_EINVAL;
    if (ndim > 0 && shape == NULL)
        return *why = "shape: is NULL", FTL_EINVAL;
    uint128 elements = 1;
    bool empty = false;
    for (uint32_t i = 0; i < ndim; i++) {
        if (shape[i] < 0)
            return *why = "shape: a dimension is negative", FTL_EINVAL;
        if (shape[i] == 0)
            empty = true;
        else
            elements *= (uint64_t)shape[i];
        if (elements > INT64_MAX)
            elements = (uint128)INT64_MAX + 1; /* stays too large, whatever follows */
    }
    if (empty)
        return *bytes = 0, FTL_OK;
    uint128 whole = (elements * bits + 7) / 8;
    if (elements > INT64_MAX || whole > INT64_MAX)
        return *why = "shape: over 2^63 - 1 bytes", FTL_EINVAL;
    *bytes = (uint64_t)whole;
    return FTL_OK;
}

bool ftli_shape_fits(uint32_t ndim, const int64_t *shape)
{
    static const int64_t most[5] = {INT64_MAX, INT64_MAX, UINT32_MAX, UINT32_MAX, (1 << 24) - 1};
    if (ndim > 4)
        return false;
    for (uint32_t i = 0; i < ndim; i++)
        if (shape[i] > most[ndim])
            return false;
    return true;
}

void ftli_shape_pack(struct ftli_header *header, uint32_t ndim, const int64_t *shape)
{
    uint64_t low = 0;
    uint32_t high = 0;
    if (ndim == 1) {
        low = (uint64_t)shape[0];
    } else if (ndim == 2 || ndim == 3) {
        low = (uint64_t)shape[0] | (uint64_t)shape[1] << 32;
        high = ndim == 3 ? (uint32_t)shape[2] : 0;
    } else if (ndim == 4) {
        low = (uint64_t)shape[0] | (uint64_t)shape[1] << 24 | (uint64_t)shape[2] << 48;
        high = (uint32_t)(shape[2] >> 16) | (uint32_t)shape[3] << 8;
    }
    ftli_u64_store_release(&header->dimensions_low, low);
    if (ndim > 2)
        ftli_u32_store_release(&header->dimensions_high, high);
}

void ftli_shape_unpack(const struct ftli_header *header, uint32_t ndim, int64_t *shape)
{
    uint64_t low = ftli_u64_load_acquire(&header->dimensions_low);
    uint32_t high = ftli_u32_load_acquire(&header->dimensions_high);
    if (ndim == 1) {
        shape[0] = (int64_t)low;
    } else if (ndim == 2 || ndim == 3) {
        shape[0] = (int64_t)(low & UINT32_MAX);
        shape[1] = (int64_t)(low >> 32);
        if (ndim == 3)
            shape[2] = high;
    } else if (ndim == 4) {
        shape[0] = (int64_t)(low & 0xffffff);
        shape[1] = (int64_t)(low >> 24 & 0xffffff);
        shape[2] = (int64_t)(low >> 48 | (uint64_t)(high & 0xff) << 16);
        shape[3] = (int64_t)(high >> 8);
    }
}

void ftli_shape_compact_strides(uint32_t ndim, const int64_t *shape, int64_t *strides)
{
    int64_t stride = 1;
    for (uint32_t i = ndim; i-- > 0;) {
        strides[i] = stride;
        /* Beside a dimension of 0 the others may be of any size; no stride of such a shape is ever used. */
        if (shape[i] > 1 && __builtin_mul_overflow(stride, shape[i], &stride))
            stride = INT64_MAX;
    }
}

int ftli_shape_extent(ftl_dtype dtype, uint32_t ndim, const int64_t *shape, const int64_t *strides,
                      int64_t *lowest_byte, int64_t *end_byte)
{
    for (uint32_t i = 0; i < ndim; i++)
        if (shape[i] == 0)
            return *lowest_byte = *end_byte = 0, FTL_OK;
    const int128 furthest = (int128)1 << 67; /* elements; more is over 2^63 bytes for every type */
    int128 lowest = 0, highest = 0;
    for (uint32_t i = 0; i < ndim; i++) {
        int128 reach = (int128)(shape[i] - 1) * strides[i];
        if (reach < 0)
            lowest += reach;
        else
            highest += reach;
        if (lowest < -furthest || highest > furthest) /* here, while 128 bits are enough for the next sum */
            return FTL_EINVAL;
    }
    uint32_t bits = ftli_dtype_bits(dtype);
    int128 low_bits = lowest * bits, end_bits = (highest + 1) * bits;
    int128 low = low_bits < 0 ? -((-low_bits + 7) / 8) : 0, end = (end_bits + 7) / 8;
    if (low < INT64_MIN || end > INT64_MAX)
        return FTL_EINVAL;
    *lowest_byte = (int64_t)low;
    *end_byte = (int64_t)end;
    return FTL_OK;
}
