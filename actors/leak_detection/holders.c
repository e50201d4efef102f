#include "actors/leak_detection/holders.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "actors/leak_detection/walk.h"
#include "runtime/base/os.h"

int ftli_holders_read(struct ftli_holders *holders, const struct ftli_table *table)
{
    size_t page = ftli_os_page_bytes();
    struct ftli_links_cursor cursor;
    holders->end_slot = ftli_table_fresh(table);
    holders->memory_bytes = ((size_t)holders->end_slot * sizeof *holders->of + page - 1) / page * page;
    holders->of = ftli_os_reserve(holders->memory_bytes, page);
    if (holders->of == NULL)
        return FTL_ENOMEM;
    for (uint32_t slot = 1; slot < holders->end_slot; slot = ftli_table_next(table, slot, holders->end_slot)) {
        if (!ftli_links_begin(&cursor, table, slot))
            continue;
        for (uint64_t child; (child = ftli_links_next(&cursor)) != 0;) {
            uint32_t at = ftli_handle_slot(child);
            if (at >= holders->end_slot)
                continue;
            holders->of[at].slot = slot;
            holders->of[at].count++;
        }
    }
    return FTL_OK;
}

void ftli_holders_free(struct ftli_holders *holders)
{
    if (holders->of != NULL)
        ftli_os_release(holders->of, holders->memory_bytes);
    holders->of = NULL;
}

__attribute__((format(printf, 4, 5))) static void append(char *text, size_t bytes, size_t *at, const char *format, ...)
{
    va_list arguments;
    if (*at >= bytes)
        return;
    va_start(arguments, format);
    int n = vsnprintf(text + *at, bytes - *at, format, arguments);
    va_end(arguments);
    *at += n > 0 ? (size_t)n : 0;
}

static bool is_view(const struct ftli_header *header)
{
    return (ftli_record_flags(ftli_u64_load_acquire(&header->record)) & FTLI_HEADER_VIEW) != 0;
}

/* The end of a chain: what else refers to it. */
static void append_end(const struct ftli_holders *holders, const struct ftli_header *header, uint32_t slot, char *text,
                       size_t bytes, size_t *at)
{
    uint64_t word = ftli_u64_load_acquire(&header->word);
    uint32_t references = ftli_word_references(word), links = holders->of[slot].count;
    uint32_t others = references > links ? references - links : 0;
    if (others != 0)
        append(text, bytes, at, ", which %u reference%s of the program hold%s", others, others == 1 ? "" : "s",
               others == 1 ? "s" : "");
}

bool ftli_holders_text(const struct ftli_holders *holders, const struct ftli_leak_detection *leaks, uint64_t tensor,
                       char *text, size_t bytes)
{
    const struct ftli_table *table = leaks->world.table;
    uint32_t first = ftli_handle_slot(tensor), slot = first, told = 0;
    size_t at = 0;
    if (holders->of == NULL || first >= holders->end_slot || holders->of[first].slot == 0)
        return false;
    for (; holders->of[slot].slot != 0 && told < FTLI_HOLDERS_TOLD; told++) {
        char name[40];
        uint32_t parent = holders->of[slot].slot;
        const struct ftli_header *header = ftli_table_header(table, parent);
        uint64_t id = ftli_table_handle(table, header);
        ftli_leak_name(leaks, id, name, sizeof name);
        append(text, bytes, &at, "%sheld by a %s %s (0x%016llx)", told == 0 ? "" : ", which is ",
               is_view(header) ? "view," : "link from", name, (unsigned long long)id);
        slot = parent;
        if (slot == first) {
            append(text, bytes, &at, ", which it holds itself");
            return true;
        }
    }
    if (holders->of[slot].slot != 0)
        append(text, bytes, &at, ", and so on");
    else
        append_end(holders, ftli_table_header(table, slot), slot, text, bytes, &at);
    return true;
}
