/* Element types: their widths in bits, and their names. Sub-byte types round up to whole bytes per tensor. */
#ifndef FTLI_TENSOR_DTYPE_H
#define FTLI_TENSOR_DTYPE_H

#include <fettle/fettle.h>

#include "runtime/base/atomics.h"

#define FTLI_DTYPES (FTL_F4_E2M1 + 1)

extern const uint8_t ftli_dtype_bits_table[FTLI_DTYPES];

/* 0: no such type. FTL_TERNARY is BitNet b1.58's, packed in 2 bits. */
FTLI_INLINE uint32_t ftli_dtype_bits(ftl_dtype dtype)
{
    return FTLI_LIKELY(dtype < FTLI_DTYPES) ? ftli_dtype_bits_table[dtype] : 0;
}

const char *ftli_dtype_name(ftl_dtype);

#endif
