/* Shapes: how many bytes they ask for, and how a header holds them.
 *
 * Equations   bytes = ceil(product of dimensions * bits of the type / 8); a product with a zero in it is 0.
 *             A header has 96 bits for dimensions: one of 64 bits, two or three of 32, four of 24.
 */
#ifndef FTLI_TENSOR_SHAPE_H
#define FTLI_TENSOR_SHAPE_H

#include "tensor/dtype.h"
#include "tensor/header.h"

#define FTLI_TENSOR_BYTES_MOST ((UINT64_C(1) << 48) - 1) /* what a header can say; more is FTL_ENOMEM */

/* FTL_OK and *bytes, or FTL_EINVAL with what is wrong in *why (a literal). */
int ftli_shape_bytes(ftl_dtype, uint32_t ndim, const int64_t *shape, uint64_t *bytes, const char **why);
/* True: the dimensions fit a header. */
bool ftli_shape_fits(uint32_t ndim, const int64_t *shape);
/* For shapes that fit. */
void ftli_shape_pack(struct ftli_header *, uint32_t ndim, const int64_t *shape);
void ftli_shape_unpack(const struct ftli_header *, uint32_t ndim, int64_t *shape);
/* Row-major strides in elements. */
void ftli_shape_compact_strides(uint32_t ndim, const int64_t *shape, int64_t *strides);
/* Where a strided shape begins and ends, in bytes from its first element. FTL_EINVAL on overflow. */
int ftli_shape_extent(ftl_dtype, uint32_t ndim, const int64_t *shape, const int64_t *strides, int64_t *lowest_byte,
                      int64_t *end_byte);

#endif
