/* Element types. How to read the comments: fettle.h. */
#ifndef FETTLE_DTYPE_H
#define FETTLE_DTYPE_H

#include <fettle/base.h>

/* Not an enum type: its size must not depend on compiler flags. 0 is no dtype. The numbers are part of the ABI.
 *
 * Bits of an element: the number in the name (F4: 4, F8: 8, BF16: 16, I1: 1, I2: 2, I4 and U4: 4); BOOL 8; TERNARY 2.
 * Elements of less than a byte are packed; a tensor of n elements has (n x bits + 7) / 8 bytes. The library looks at
 * sizes only: it never reads or writes an element. */
typedef uint32_t ftl_dtype;
enum {
    FTL_F64 = 1, FTL_F32 = 2, FTL_F16 = 3, FTL_BF16 = 4, FTL_I64 = 5, FTL_I32 = 6, FTL_I16 = 7, FTL_I8 = 8,
    FTL_U8 = 9, FTL_I4 = 10, FTL_I2 = 11, FTL_I1 = 12, FTL_BOOL = 13, FTL_TERNARY = 14,
    FTL_F8_E4M3 = 15, FTL_F8_E5M2 = 16, FTL_U16 = 17, FTL_U32 = 18, FTL_U64 = 19, FTL_U4 = 20, FTL_F4_E2M1 = 21,
};
enum { FTL_MAX_DIMS = 8 };

#endif
