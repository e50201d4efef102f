/* Size classes: four per doubling, every one a multiple of 64 bytes, up to 32 KiB.
 *
 *   64 128 192 256 | 320 384 448 512 | 640 768 896 1024 | 1280 ... 32768
 *
 * Class 0 means "no block of a class"; a size of 0 bytes still gets the class of 64. Rounding up wastes at most a fifth
 * of the block above 256 bytes.
 */
#ifndef FTLI_ACTORS_ALLOCATION_SIZE_CLASS_H
#define FTLI_ACTORS_ALLOCATION_SIZE_CLASS_H

#include <stddef.h>
#include <stdint.h>

#define FTLI_CLASSES          33 /* with class 0 */
#define FTLI_CLASS_MAX_BYTES  32768u
#define FTLI_CLASS_UNIT_BYTES 64u

/* The smallest class that holds `bytes`; `bytes` is at most FTLI_CLASS_MAX_BYTES. A doubling e holds the last bytes
 * 2^e..2^(e+1)-1, cut in four by the two bits below the leading one; the first 512 bytes are cut in steps of 64. */
static inline unsigned ftli_size_class(size_t bytes)
{
    uint32_t last = (uint32_t)(bytes - (bytes != 0));
    unsigned doubling = 31u - (unsigned)__builtin_clz(last | 256u);
    return ((doubling - 8u) << 2) + (last >> (doubling - 2u)) + 1u;
}

static inline uint32_t ftli_class_bytes(unsigned size_class)
{
    static const uint16_t bytes[FTLI_CLASSES] = {
        0,    64,   128,  192,  256,  320,  384,  448,  512,   640,   768,   896,   1024,  1280,  1536,  1792,  2048,
        2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10240, 12288, 14336, 16384, 20480, 24576, 28672, 32768,
    };
    return bytes[size_class];
}

#endif
