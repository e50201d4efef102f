/* The extension: what few tensors need besides their header. One cell, made by new, view or link, never by drop.
 *
 * Owns        `shape`, `strides` and the cells of `links`; they go back with it.
 * Threads     Written before the word becomes LIVE; `links` under its spin bit, by link, unlink and reclaim alone;
 *             attempts and due by the cleanup, once the tensor is not LIVE. Atomics, because describe may read a cell
 *             that goes back under it and notices by the word.
 */
#ifndef FTLI_TENSOR_EXTENSION_H
#define FTLI_TENSOR_EXTENSION_H

#include "tensor/table.h"

struct ftli_extension {
    ftli_atomic_u64 root; /* of a view: handle of its root; first, where a free cell holds its link */
    ftli_atomic_pointer finalizer;
    ftli_atomic_pointer finalizer_user;
    ftli_atomic_u64 tag;
    ftli_atomic_pointer site;
    ftli_atomic_u32 label;   /* ftli_label_text; 0: none */
    ftli_atomic_u32 shape;   /* cell of 8 dimensions; 0: in the header */
    ftli_atomic_u32 strides; /* cell of 8 strides; 0: compact */
    ftli_atomic_u32 links;   /* first cell of children; the high bit is the spin bit */
    ftli_atomic_u32
        attempts; /* finalizer calls that failed: before the last retry 16 | since 16, each 65,535 at most */
    union {
        ftli_atomic_u32 due_ms;      /* while it waits: its next attempt, milliseconds since open */
        ftli_atomic_u32 last_status; /* else: what its finalizer returned last, if that was not 0 */
    };
};

#define FTLI_LINKS_SPIN (UINT32_C(1) << 31)

#define FTLI_ATTEMPTS_MOST 0xffffu
FTLI_INLINE uint32_t ftli_attempts_since_retry(uint32_t attempts)
{
    return attempts & FTLI_ATTEMPTS_MOST;
}

FTLI_INLINE uint32_t ftli_attempts_in_all(uint32_t attempts)
{
    return (attempts >> 16) + ftli_attempts_since_retry(attempts);
}

static_assert(sizeof(struct ftli_extension) == FTLI_CELL_BYTES, "an extension is one cell");

/* Children of a parent: up to 7 handles a cell. */
enum { FTLI_LINK_CELL_CHILDREN = 7 };
struct ftli_link_cell {
    ftli_atomic_u64 next; /* cell */
    ftli_atomic_u64 children[FTLI_LINK_CELL_CHILDREN];
};

static_assert(sizeof(struct ftli_link_cell) == FTLI_CELL_BYTES, "a link cell is one cell");

FTLI_INLINE struct ftli_extension *ftli_extension(const struct ftli_table *table, uint32_t cold)
{
    return (struct ftli_extension *)ftli_cell(table, cold);
}

/* The first cell of its links, for who reads them beside others; 0: none. */
FTLI_INLINE uint32_t ftli_extension_links(const struct ftli_extension *extension)
{
    return ftli_u32_load_acquire(&extension->links) & ~FTLI_LINKS_SPIN;
}

/* Gives back the extension with its shape and strides; its links must be empty. */
void ftli_extension_give(struct ftli_table *, uint32_t cold);
/* FTL_OK, or FTL_ENOMEM and nothing was added. */
int ftli_extension_add_child(struct ftli_table *, struct ftli_extension *, uint64_t child);
/* True: it was there, once less now. */
bool ftli_extension_remove_child(struct ftli_table *, struct ftli_extension *, uint64_t child);
/* One child out, for a cascade; 0: there is none left. */
uint64_t ftli_extension_take_child(struct ftli_table *, struct ftli_extension *);

/* A site as reports show it: of a long path the end, where the file's name and the line are. NULL: empty. */
void ftli_site_copy(char *to, size_t bytes, const char *site);

#endif
