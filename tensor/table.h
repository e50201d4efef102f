/* The table: all headers of one runtime, and the cells that hold what few tensors need besides.
 *
 * Owns        A reservation of address space: headers (64 B a slot), then cells (64 B each). Both are type-stable:
 *             a slot is a header for ever, a cell a cell. They are committed in steps of 64 KiB, in order; pages of which
 *             nobody has a slot go back to the OS (spare.h), and read as zeros until they are used again.
 * Threads     Any.
 * Progress    Lock-free.
 */
#ifndef FTLI_TENSOR_TABLE_H
#define FTLI_TENSOR_TABLE_H

#include <stddef.h>

#include "runtime/kernel/token.h"
#include "tensor/handle.h"
#include "tensor/header.h"
#include "tensor/spare.h"

#define FTLI_CELL_BYTES 64

struct ftli_table {
    struct ftli_header *headers;
    unsigned char *cells;
    uint32_t runtime;                            /* its number in handles */
    uint32_t slots;                              /* capacity; slot 0 is never given out */
    ftli_atomic_u32 fresh;                       /* slots below it have been given out once */
    FTLI_ALIGNED(64) ftli_atomic_u64 cells_free; /* index 32 | count 32: a stack whose head counts, against reuse */
    ftli_atomic_u32 cells_fresh;
    ftli_atomic_u64 cells_out;                /* given out and not given back; for tests and the audit */
    FTLI_ALIGNED(64) struct ftli_spare spare; /* headers that no shard has */
    struct ftli_spare spare_cells;
    ftli_token sweeping;
    bool cells_next; /* the sweeper's: the headers' part of the pass is done */
    uint32_t young;  /* likewise: of it */
};

/* FTL_ENOMEM: not even a small table finds room. `slots` is a wish: under RLIMIT_AS it becomes less. */
int ftli_table_open(struct ftli_table *, uint32_t runtime, uint32_t slots);
/* Gives the memory back; its addresses stay and read as zeros. */
void ftli_table_close(struct ftli_table *);

/* Up to n slots that were never used, from *first on; their words are FREE, their generations differ. 0: used up. */
uint32_t ftli_table_take_fresh(struct ftli_table *, uint32_t n, uint32_t *first);
/* FREE slots of one page: bit i of the mask is slot *first + i; spare ones, else fresh ones. 0: used up. */
uint64_t ftli_table_take(struct ftli_table *, uint32_t *first);
/* A FREE header without memory becomes spare; one whose generations are used up is never given out again. */
void ftli_table_give(struct ftli_table *, const struct ftli_header *);
void ftli_table_retire(struct ftli_table *, const struct ftli_header *);
/* A look at up to `most` pages, first of headers, then of cells (spare.h): those that nobody needs go back. With `all` those that
 * nobody has a slot of now, else those that nobody had one of at the pass before either. Does nothing, and is not done, while
 * somebody else does it. For a timer: it makes system calls. */
struct ftli_spare_swept ftli_table_give_back(struct ftli_table *, uint32_t most, bool all);
/* Of the whole reservation, from the headers on. */
size_t ftli_table_reserved_bytes(const struct ftli_table *);
/* Bytes of headers, cells and what is known of their pages, as far as they may be resident. */
size_t ftli_table_committed_bytes(const struct ftli_table *);

/* A walk goes from slot 1 to ftli_table_fresh by ftli_table_next, which passes by pages of which no slot is out. */
uint32_t ftli_table_fresh(const struct ftli_table *);
uint32_t ftli_table_skip(const struct ftli_table *, uint32_t slot, uint32_t end);
FTLI_INLINE uint32_t ftli_table_next(const struct ftli_table *table, uint32_t slot, uint32_t end)
{
    slot++;
    return slot % FTLI_SPARE_SLOTS != 0 || slot >= end ? slot : ftli_table_skip(table, slot, end);
}

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
/* Up to `most` free cells become spare, so that their pages can go back. How many. */
uint32_t ftli_cell_gather(struct ftli_table *, uint32_t most);

FTLI_INLINE void *ftli_cell(const struct ftli_table *table, uint32_t cell)
{
    return table->cells + (size_t)cell * FTLI_CELL_BYTES;
}

#endif
