/* What tensors hold of each other: reading one tensor's links beside threads, and the log of what changed.
 *
 * Reading   Links of a tensor that is LIVE grow at their front only, and its cells go back after its word has left LIVE. So they are
 *           read without the spin bit, as long as the word, looked at after each cell, is still this tensor's and LIVE. A link that
 *           comes or goes meanwhile is seen or not.
 * The log   Tensors whose links changed so that a cycle may have come to be, or may have lost what held it: the parent of a new link;
 *           a child that lives on after a link to it went. A ring of fixed size: where there is no room the next run looks at all.
 * Threads   Reading and ftli_link_log_put: any. Taking: one, the actor.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_LINKS_H
#define FTLI_ACTORS_LEAK_DETECTION_LINKS_H

#include "tensor/extension.h"

struct ftli_links_cursor {
    const struct ftli_table *table;
    const struct ftli_header *header;
    uint64_t word; /* as it was when the reading began */
    uint64_t root; /* of a view, until it is given out */
    const struct ftli_link_cell *cell;
    unsigned place;
    bool torn; /* it ended, or was another's: what was read is void */
};

FTLI_INLINE bool ftli_links_are_its(const struct ftli_links_cursor *cursor)
{
    uint64_t again = ftli_u64_load_acquire(&cursor->header->word);
    return ((again ^ cursor->word) & (FTLI_WORD_GENERATION | FTLI_WORD_STATE)) == 0;
}

FTLI_INLINE const struct ftli_link_cell *ftli_links_cell(const struct ftli_table *table, uint64_t index)
{
    return index != 0 && index < table->slots ? ftli_cell(table, (uint32_t)index) : NULL;
}

/* False: the slot's tensor is not LIVE, or has never held another. */
FTLI_INLINE bool ftli_links_begin(struct ftli_links_cursor *cursor, const struct ftli_table *table, uint32_t slot)
{
    const struct ftli_header *header = ftli_table_header(table, slot);
    uint64_t word = ftli_u64_load_acquire(&header->word);
    uint32_t flags = ftli_record_flags(ftli_u64_load_acquire(&header->record));
    if (ftli_word_state(word) != FTLI_LIVE || (flags & (FTLI_HEADER_LINKS | FTLI_HEADER_VIEW)) == 0)
        return false;
    const struct ftli_extension *extension = ftli_extension(table, ftli_u32_load_acquire(&header->cold));
    *cursor = (struct ftli_links_cursor){.table = table, .header = header, .word = word};
    if ((flags & FTLI_HEADER_VIEW) != 0)
        cursor->root = ftli_u64_load_acquire(&extension->root);
    cursor->cell = ftli_links_cell(table, ftli_extension_links(extension));
    return ftli_links_are_its(cursor);
}

/* The next that it holds, a view's root among them; 0: that was all, or it is torn. */
FTLI_INLINE uint64_t ftli_links_next(struct ftli_links_cursor *cursor)
{
    uint64_t child = cursor->root;
    cursor->root = 0;
    while (child == 0 && cursor->cell != NULL) {
        for (; child == 0 && cursor->place < FTLI_LINK_CELL_CHILDREN; cursor->place++)
            child = ftli_u64_load_acquire(&cursor->cell->children[cursor->place]);
        if (child != 0)
            break;
        uint64_t next = ftli_u64_load_acquire(&cursor->cell->next);
        cursor->torn = !ftli_links_are_its(cursor);
        cursor->cell = cursor->torn ? NULL : ftli_links_cell(cursor->table, next);
        cursor->place = 0;
    }
    return child;
}

/* ---- the log */

enum { FTLI_LINK_LOG_MOST = 1 << 17 };

struct ftli_link_log {
    ftli_atomic_u64 *entries; /* a mapping, of which only what was used is resident; NULL: all is lost */
    ftli_atomic_u64 tail;     /* entries below it are put, or being put. pairs: link-log */
    ftli_atomic_u64 head;     /* entries below it are taken. pairs: link-log */
    ftli_atomic_u32 lost;     /* something found no room */
};

void ftli_link_log_init(struct ftli_link_log *);
void ftli_link_log_fini(struct ftli_link_log *);
/* Lock-free; no allocation, no system call. */
void ftli_link_log_put(struct ftli_link_log *, uint64_t tensor);
/* 0: there is none, or who puts the next one is not done with it. */
uint64_t ftli_link_log_take(struct ftli_link_log *);
/* True: entries were lost since the last call. */
bool ftli_link_log_lost(struct ftli_link_log *);

#endif
