/* From a handle to its header: the tables of all runtimes of the process, by runtime number.
 *
 * Threads     An entry is written by open and close, read by everybody. Tables are never unmapped: after close an
 *             entry's addresses read as zeros, which no handle matches, so a late call is refused and harmless.
 * Invariants  committed grows only, until the number is used again, which is 4,095 opens later at the earliest.
 * Progress    Wait-free.
 */
#ifndef FTLI_TENSOR_REGISTRY_H
#define FTLI_TENSOR_REGISTRY_H

#include "tensor/handle.h"
#include "tensor/header.h"

struct ftli_registry_entry {
    ftli_atomic_pointer headers;
    ftli_atomic_u32 committed; /* slots below it may be read. pairs: committed, in ftli_table_take_fresh */
    ftli_atomic_u32 reserved;
};

extern struct ftli_registry_entry ftli_registry[FTLI_RUNTIMES];

/* NULL: a forged handle, of a runtime or a slot that never was. What is returned may be read, whatever its state. */
FTLI_INLINE struct ftli_header *ftli_registry_find(uint64_t id)
{
    struct ftli_registry_entry *entry = &ftli_registry[ftli_handle_runtime(id)];
    uint32_t slot = ftli_handle_slot(id);
    if (FTLI_UNLIKELY(slot >= ftli_u32_load_acquire(&entry->committed)))
        return NULL;
    return (struct ftli_header *)ftli_pointer_load_acquire(&entry->headers) + slot;
}

#endif
