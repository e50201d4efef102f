#include "tensor/dtype.h"

const uint8_t ftli_dtype_bits_table[FTLI_DTYPES] = {
    [FTL_F64] = 64, [FTL_F32] = 32,    [FTL_F16] = 16,    [FTL_BF16] = 16,   [FTL_I64] = 64, [FTL_I32] = 32,
    [FTL_I16] = 16, [FTL_I8] = 8,      [FTL_U8] = 8,      [FTL_I4] = 4,      [FTL_I2] = 2,   [FTL_I1] = 1,
    [FTL_BOOL] = 8, [FTL_TERNARY] = 2, [FTL_F8_E4M3] = 8, [FTL_F8_E5M2] = 8, [FTL_U16] = 16, [FTL_U32] = 32,
    [FTL_U64] = 64, [FTL_U4] = 4,      [FTL_F4_E2M1] = 4,
};

const char *ftli_dtype_name(ftl_dtype dtype)
{
    static const char *const names[FTLI_DTYPES] = {
        [FTL_F64] = "f64",         [FTL_F32] = "f32",         [FTL_F16] = "f16",         [FTL_BF16] = "bf16",
        [FTL_I64] = "i64",         [FTL_I32] = "i32",         [FTL_I16] = "i16",         [FTL_I8] = "i8",
        [FTL_U8] = "u8",           [FTL_I4] = "i4",           [FTL_I2] = "i2",           [FTL_I1] = "i1",
        [FTL_BOOL] = "bool",       [FTL_TERNARY] = "ternary", [FTL_F8_E4M3] = "f8_e4m3", [FTL_F8_E5M2] = "f8_e5m2",
        [FTL_U16] = "u16",         [FTL_U32] = "u32",         [FTL_U64] = "u64",         [FTL_U4] = "u4",
        [FTL_F4_E2M1] = "f4_e2m1",
    };
    return dtype < FTLI_DTYPES && names[dtype] != NULL ? names[dtype] : "unknown";
}
