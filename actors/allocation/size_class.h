/* Size classes: eight per doubling, every one a multiple of 64 bytes, up to 16 KiB; above that whole pages, up to 32 KiB.
 *
 *   64 128 192 ... 512 | 576 640 ... 1024 | 1152 1280 ... 2048 | ... 16384 | 20480 24576 28672 32768
 *
 * Class 0 means "no block of a class"; a size of 0 bytes still gets the class of 64. Rounding up wastes at most a ninth of the block
 * above 512 bytes and 6 % on average; above 16 KiB no more than pages do. Classes up to 16 KiB are slots of slabs, the last four spans
 * of pages, which all sizes share.
 */
#ifndef FTLI_ACTORS_ALLOCATION_SIZE_CLASS_H
#define FTLI_ACTORS_ALLOCATION_SIZE_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FTLI_CLASSES          53 /* with class 0 */
#define FTLI_CLASS_MAX_BYTES  32768u
#define FTLI_CLASS_UNIT_BYTES 64u
#define FTLI_SLOT_CLASSES     49 /* with class 0: those below are slots of slabs */
#define FTLI_SLOT_MAX_BYTES   16384u

/* The smallest class that holds `bytes`; `bytes` is at most FTLI_CLASS_MAX_BYTES. A doubling e holds the last bytes
 * 2^e..2^(e+1)-1, cut in eight by the three bits below the leading one; the first 1024 bytes are cut in steps of 64. */
static inline unsigned ftli_size_class(size_t bytes)
{
    uint32_t last = (uint32_t)(bytes - (bytes != 0));
    if (last >= FTLI_SLOT_MAX_BYTES)
        return FTLI_SLOT_CLASSES - 4 + (last >> 12);
    unsigned doubling = 31u - (unsigned)__builtin_clz(last | 512u);
    return ((doubling - 9u) << 3) + (last >> (doubling - 3u)) + 1u;
}

static inline uint32_t ftli_class_bytes(unsigned size_class)
{
    static const uint16_t bytes[FTLI_CLASSES] = {
        0,     64,    128,   192,   256,   320,   384,   448,   512,   576,   640,   704,  768,  832,
        896,   960,   1024,  1152,  1280,  1408,  1536,  1664,  1792,  1920,  2048,  2304, 2560, 2816,
        3072,  3328,  3584,  3840,  4096,  4608,  5120,  5632,  6144,  6656,  7168,  7680, 8192, 9216,
        10240, 11264, 12288, 13312, 14336, 15360, 16384, 20480, 24576, 28672, 32768,
    };
    return bytes[size_class];
}

static inline bool ftli_class_is_slots(unsigned size_class)
{
    return size_class < FTLI_SLOT_CLASSES;
}

#endif
