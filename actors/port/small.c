#include "actors/port/small.h"

#include "tensor/header.h"

#define KIND(dtype) [(dtype)-1] = (uint64_t)(dtype) << FTLI_SIZE_DTYPE_SHIFT | UINT64_C(1) << FTLI_SIZE_NDIM_SHIFT

#define ONCE(c)         (8 * (c))
#define TWICE(c)        ONCE(c), ONCE(c)
#define FOUR_TIMES(c)   TWICE(c), TWICE(c)
#define EIGHT_TIMES(c)  FOUR_TIMES(c), FOUR_TIMES(c)
#define TIMES_16(c)     EIGHT_TIMES(c), EIGHT_TIMES(c)
#define TIMES_32(c)     TIMES_16(c), TIMES_16(c)
#define TIMES_64(c)     TIMES_32(c), TIMES_32(c)
#define FOUR(times, c)  times(c), times((c) + 1), times((c) + 2), times((c) + 3)
#define EIGHT(times, c) FOUR(times, c), FOUR(times, (c) + 4)

const struct ftli_small ftli_small = {
    .kinds =
        {
            KIND(FTL_F64),  KIND(FTL_F32),     KIND(FTL_F16),     KIND(FTL_BF16),    KIND(FTL_I64), KIND(FTL_I32),
            KIND(FTL_I16),  KIND(FTL_I8),      KIND(FTL_U8),      KIND(FTL_I4),      KIND(FTL_I2),  KIND(FTL_I1),
            KIND(FTL_BOOL), KIND(FTL_TERNARY), KIND(FTL_F8_E4M3), KIND(FTL_F8_E5M2), KIND(FTL_U16), KIND(FTL_U32),
            KIND(FTL_U64),  KIND(FTL_U4),      KIND(FTL_F4_E2M1),
        },
    .bits =
        {
            [FTL_F64 - 1] = 64,    [FTL_F32 - 1] = 32, [FTL_F16 - 1] = 16, [FTL_BF16 - 1] = 16,   [FTL_I64 - 1] = 64,
            [FTL_I32 - 1] = 32,    [FTL_I16 - 1] = 16, [FTL_I8 - 1] = 8,   [FTL_U8 - 1] = 8,      [FTL_I4 - 1] = 4,
            [FTL_I2 - 1] = 2,      [FTL_I1 - 1] = 1,   [FTL_BOOL - 1] = 8, [FTL_TERNARY - 1] = 2, [FTL_F8_E4M3 - 1] = 8,
            [FTL_F8_E5M2 - 1] = 8, [FTL_U16 - 1] = 16, [FTL_U32 - 1] = 32, [FTL_U64 - 1] = 64,    [FTL_U4 - 1] = 4,
            [FTL_F4_E2M1 - 1] = 4,
        },
    .class_offsets =
        {
            /* no bytes have the class of one */
            ONCE(1),
            EIGHT(ONCE, 1),
            EIGHT(ONCE, 9),
            EIGHT(TWICE, 17),
            EIGHT(FOUR_TIMES, 25),
            EIGHT(EIGHT_TIMES, 33),
            EIGHT(TIMES_16, 41),
            FOUR(TIMES_64, 49),
        },
};
