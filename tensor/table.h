/* The table: all headers of one runtime, and the cells that hold what few tensors need besides.
 *
 * Owns        A reservation of address space: headers (64 B a slot), then cells (64 B each). Both are type-stable:
 *             a slot is a header for ever, a cell a cell. They are committed in steps of 64 KiB, in order.
 * Threads     take_fresh and the cell functions by any thread.
 * Progress    Lock-free.
 */
#ifndef FTLI_TENSOR_TABLE_H
#define FTLI_TENSOR_TABLE_H

#include <stddef.h>

#include "tensor/handle.h"
#include "tensor/header.h"

#define FTLI_CELL_BYTES 64

struct ftli_table {
    struct ftli_header *headers;
    unsigned char *cells;
    uint32_t runtime;                            /* its number in handles */
    uint32_t slots;                              /* capacity; slot 0 is never given out */
    ftli_atomic_u32 fresh;                       /* slots below it have been given out once */
    FTLI_ALIGNED(64) ftli_atomic_u64 cells_free; /* index 32 | count 32: a stack whose head counts, against reuse */
    ftli_atomic_u32 cells_fresh;
    ftli_atomic_u64 cells_out; /* given out and not given back; for tests and the audit */
};

/* FTL_ENOMEM: not even a small table finds room. `slots` is a wish: under RLIMIT_AS it becomes less. */
int ftli_table_open(struct ftli_table *, uint32_t runtime, uint32_t slots);
/* Gives the memory back; its addresses stay and read as zeros. */
void ftli_table_close(struct ftli_table *);

/* Up to n slots that were never used, from *first on; their words are FREE, their generations differ. 0: used up. */
uint32_t ftli_table_take_fresh(struct ftli_table *, uint32_t n, uint32_t *first);
/* Bytes of headers and cells that may be resident. */
size_t ftli_table_committed_bytes(const struct ftli_table *);
/* Slots that a walk has to look at. */
uint32_t ftli_table_fresh(const struct ftli_table *);

FTLI_INLINE uint32_t ftli_table_slot(const struct ftli_table *table, const struct ftli_header *header)
{
    return (uint32_t)(header - table->headers);
}

FTLI_INLINE struct ftli_header *ftli_table_header(const struct ftli_table *table, uint32_t slot)
{
    return &table->headers[slot];
}

FTLI_INLINE uint64_t ftli_table_handle(const struct ftli_table *table, const struct ftli_header *header)
{
    return ftli_handle_make(table->runtime, ftli_table_slot(table, header),
                            ftli_word_generation(ftli_u64_load_relaxed(&header->word)));
}

/* A zeroed cell, by its index; 0: none left. */
uint32_t ftli_cell_take(struct ftli_table *);
void ftli_cell_give(struct ftli_table *, uint32_t cell);

FTLI_INLINE void *ftli_cell(const struct ftli_table *table, uint32_t cell)
{
    return table->cells + (size_t)cell * FTLI_CELL_BYTES;
}

#endif
