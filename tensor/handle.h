/* Handles: runtime number 12 | slot 28 | generation 24. {0} is null; runtime number 0 is never used. */
#ifndef FTLI_TENSOR_HANDLE_H
#define FTLI_TENSOR_HANDLE_H

#include <fettle/fettle.h>

#include "runtime/base/atomics.h"

#define FTLI_SLOT_BITS            28
#define FTLI_SLOT_MASK            ((UINT32_C(1) << FTLI_SLOT_BITS) - 1)
#define FTLI_RUNTIMES             4096 /* numbers, of which 0 is never used */
#define FTLI_HANDLE_SHIFT         24
#define FTLI_HANDLE_RUNTIME_SHIFT (FTLI_HANDLE_SHIFT + FTLI_SLOT_BITS)

FTLI_INLINE uint64_t ftli_handle_make(uint32_t runtime, uint32_t slot, uint32_t generation)
{
    return (uint64_t)runtime << FTLI_HANDLE_RUNTIME_SHIFT | (uint64_t)slot << FTLI_HANDLE_SHIFT | generation;
}

FTLI_INLINE uint32_t ftli_handle_runtime(uint64_t id)
{
    return (uint32_t)(id >> FTLI_HANDLE_RUNTIME_SHIFT);
}

FTLI_INLINE uint32_t ftli_handle_slot(uint64_t id)
{
    return (uint32_t)(id >> FTLI_HANDLE_SHIFT) & FTLI_SLOT_MASK;
}

FTLI_INLINE uint32_t ftli_handle_generation(uint64_t id)
{
    return (uint32_t)id & 0xffffff;
}

#endif
