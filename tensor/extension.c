#include "tensor/extension.h"

#include <stdio.h>
#include <string.h>

#include <fettle/fettle.h>

/* Held for a handful of instructions by link, unlink and reclaim. pairs: links-spin, lock with unlock. */
static uint32_t lock(struct ftli_extension *extension)
{
    uint32_t seen = ftli_u32_load_relaxed(&extension->links);
    for (;;) {
        seen &= ~FTLI_LINKS_SPIN;
        if (ftli_u32_cas_acq_rel(&extension->links, &seen, seen | FTLI_LINKS_SPIN))
            return seen;
        ftli_cpu_relax();
    }
}

static void unlock(struct ftli_extension *extension, uint32_t first)
{
    ftli_u32_store_release(&extension->links, first);
}

void ftli_extension_give(struct ftli_table *table, uint32_t cold)
{
    struct ftli_extension *extension = ftli_extension(table, cold);
    uint32_t shape = ftli_u32_load_relaxed(&extension->shape);
    uint32_t strides = ftli_u32_load_relaxed(&extension->strides);
    if (shape != 0)
        ftli_cell_give(table, shape);
    if (strides != 0)
        ftli_cell_give(table, strides);
    ftli_cell_give(table, cold);
}

static bool put(struct ftli_link_cell *cell, uint64_t child)
{
    for (unsigned i = 0; i < FTLI_LINK_CELL_CHILDREN; i++) {
        if (ftli_u64_load_relaxed(&cell->children[i]) == 0) {
            ftli_u64_store_release(&cell->children[i], child);
            return true;
        }
    }
    return false;
}

int ftli_extension_add_child(struct ftli_table *table, struct ftli_extension *extension, uint64_t child)
{
    uint32_t spare = ftli_cell_take(table);
    uint32_t first = lock(extension);
    /* Only the first cell has holes that are looked for: adding stays O(1). */
    bool added = first != 0 && put(ftli_cell(table, first), child);
    if (!added && spare != 0) {
        struct ftli_link_cell *cell = ftli_cell(table, spare);
        ftli_u64_store_release(&cell->next, first);
        added = put(cell, child);
        first = spare;
        spare = 0;
    }
    unlock(extension, first);
    if (spare != 0)
        ftli_cell_give(table, spare);
    return added ? FTL_OK : FTL_ENOMEM;
}

bool ftli_extension_remove_child(struct ftli_table *table, struct ftli_extension *extension, uint64_t child)
{
    uint32_t first = lock(extension);
    bool removed = false;
    for (uint64_t at = first; at != 0 && !removed;) {
        struct ftli_link_cell *cell = ftli_cell(table, (uint32_t)at);
        for (unsigned i = 0; i < FTLI_LINK_CELL_CHILDREN && !removed; i++) {
            if (ftli_u64_load_relaxed(&cell->children[i]) == child) {
                ftli_u64_store_release(&cell->children[i], 0);
                removed = true;
            }
        }
        at = ftli_u64_load_relaxed(&cell->next);
    }
    unlock(extension, first);
    return removed;
}

uint64_t ftli_extension_take_child(struct ftli_table *table, struct ftli_extension *extension)
{
    uint32_t first = lock(extension);
    uint64_t child = 0;
    while (first != 0 && child == 0) {
        struct ftli_link_cell *cell = ftli_cell(table, first);
        for (unsigned i = 0; i < FTLI_LINK_CELL_CHILDREN && child == 0; i++) {
            child = ftli_u64_load_relaxed(&cell->children[i]);
            if (child != 0)
                ftli_u64_store_release(&cell->children[i], 0);
        }
        if (child == 0) {
            uint32_t empty = first;
            first = (uint32_t)ftli_u64_load_relaxed(&cell->next);
            ftli_cell_give(table, empty);
        }
    }
    unlock(extension, first);
    return child;
}

void ftli_site_copy(char *to, size_t bytes, const char *site)
{
    size_t length = site == NULL ? 0 : strlen(site);
    (void)snprintf(to, bytes, "%s", site == NULL ? "" : length < bytes ? site : site + (length - bytes + 1));
}
