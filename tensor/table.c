#include "tensor/table.h"

#include <string.h>

#include "runtime/base/os.h"
#include "tensor/registry.h"

#define STEP_BYTES  (UINT32_C(64) * 1024)
#define STEP_SLOTS  (STEP_BYTES / (uint32_t)sizeof(struct ftli_header))
#define LEAST_SLOTS STEP_SLOTS
#define GENERATIONS (FTLI_GENERATION_LAST < 256 ? FTLI_GENERATION_LAST / 2 : 255)

struct ftli_registry_entry ftli_registry[FTLI_RUNTIMES];

/* Neighbours start at different generations, so that a handle with a wrong slot seldom fits. */
static uint32_t first_generation(uint32_t slot)
{
    return 1 + (slot * UINT32_C(2654435761) >> 16) % GENERATIONS;
}

static size_t reserved_bytes(uint32_t slots)
{
    return (size_t)slots * (sizeof(struct ftli_header) + FTLI_CELL_BYTES) + 2 * ftli_spare_reserve_bytes(slots);
}

/* The reservation is asked for whole, then by halves: an address space limit makes a small table, not a failure, and the
 * rest of the runtime needs some of it too. The cells follow the headers, then what is known of the pages of both. */
static void *reserve(uint32_t *slots)
{
    uint64_t most_bytes = ftli_os_address_limit_bytes() / 8;
    for (uint32_t wish = *slots; wish >= LEAST_SLOTS; wish /= 2) {
        size_t bytes = ((size_t)wish * sizeof(struct ftli_header) + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
        uint32_t fits = (uint32_t)(bytes / sizeof(struct ftli_header));
        void *address =
            bytes > most_bytes && wish / 2 >= LEAST_SLOTS ? NULL : ftli_os_reserve(reserved_bytes(fits), STEP_BYTES);
        if (address != NULL) {
            *slots = fits;
            return address;
        }
    }
    return NULL;
}

/* A number that comes round again after 4,095 opens gives up the addresses of its last holder. */
static void release_last_holder(struct ftli_registry_entry *entry)
{
    void *headers = ftli_pointer_load_relaxed(&entry->headers);
    if (headers == NULL)
        return;
    ftli_u32_store_release(&entry->committed, 0);
    ftli_pointer_store_release(&entry->headers, NULL);
    ftli_os_release(headers, reserved_bytes(ftli_u32_load_relaxed(&entry->reserved)));
}

int ftli_table_open(struct ftli_table *table, uint32_t runtime, uint32_t slots)
{
    struct ftli_registry_entry *entry = &ftli_registry[runtime];
    memset(table, 0, sizeof *table);
    if (slots < LEAST_SLOTS)
        slots = LEAST_SLOTS;
    if (slots > FTLI_SLOT_MASK)
        slots = FTLI_SLOT_MASK;
    release_last_holder(entry);
    void *headers = reserve(&slots);
    if (headers == NULL)
        return FTL_ENOMEM;
    table->headers = headers;
    table->cells = (unsigned char *)headers + (size_t)slots * sizeof(struct ftli_header);
    table->runtime = runtime;
    table->slots = slots;
    unsigned char *descriptors = table->cells + (size_t)slots * FTLI_CELL_BYTES;
    ftli_spare_init(&table->spare, headers, slots, descriptors, true);
    ftli_spare_init(&table->spare_cells, table->cells, slots, descriptors + ftli_spare_reserve_bytes(slots), false);
    ftli_u32_store_relaxed(&table->fresh, 1);
    ftli_u32_store_relaxed(&table->cells_fresh, 1);
    ftli_pointer_store_release(&entry->headers, headers);
    ftli_u32_store_release(&entry->reserved, slots);
    return FTL_OK;
}

void ftli_table_close(struct ftli_table *table)
{
    (void)ftli_os_zero_and_keep(table->headers, reserved_bytes(table->slots));
}

/* pairs: committed. The words are written before the limit rises; who reads below it finds a generation. */
static void commit(struct ftli_table *table, uint32_t from, uint32_t to)
{
    ftli_atomic_u32 *committed = &ftli_registry[table->runtime].committed;
    for (uint32_t slot = from; slot < to; slot++) {
        ftli_atomic_u64 *word = &table->headers[slot].word;
        ftli_u64_store_release(word, ftli_word_make(first_generation(slot), FTLI_FREE));
    }
    uint32_t limit = (to + STEP_SLOTS - 1) / STEP_SLOTS * STEP_SLOTS;
    if (limit > table->slots)
        limit = table->slots;
    uint32_t seen = ftli_u32_load_acquire(committed);
    while (seen < limit && !ftli_u32_cas_acq_rel(committed, &seen, limit))
        ;
}

uint32_t ftli_table_take_fresh(struct ftli_table *table, uint32_t n, uint32_t *first)
{
    uint32_t seen = ftli_u32_load_acquire(&table->fresh);
    for (;;) {
        uint32_t left = table->slots - seen;
        uint32_t take = n < left ? n : left;
        if (take == 0)
            return 0;
        if (ftli_u32_cas_acq_rel(&table->fresh, &seen, seen + take)) {
            commit(table, seen, seen + take);
            *first = seen;
            return take;
        }
    }
}

/* What is left of the page that the next fresh slot lies in. */
static uint64_t take_fresh_page(struct ftli_table *table, uint32_t *first)
{
    uint32_t seen = ftli_u32_load_acquire(&table->fresh), take;
    do {
        uint32_t left = table->slots - seen;
        take = FTLI_SPARE_SLOTS - seen % FTLI_SPARE_SLOTS;
        take = take < left ? take : left;
        if (take == 0)
            return 0;
    } while (!ftli_u32_cas_acq_rel(&table->fresh, &seen, seen + take));
    commit(table, seen, seen + take);
    *first = seen;
    return ~UINT64_C(0) >> (FTLI_SPARE_SLOTS - take);
}

uint64_t ftli_table_take(struct ftli_table *table, uint32_t *first)
{
    uint64_t slots = ftli_spare_take(&table->spare, first);
    return slots != 0 ? slots : take_fresh_page(table, first);
}

void ftli_table_give(struct ftli_table *table, const struct ftli_header *header)
{
    ftli_spare_give(&table->spare, ftli_table_slot(table, header));
}

void ftli_table_retire(struct ftli_table *table, const struct ftli_header *header)
{
    ftli_spare_retire(&table->spare, ftli_table_slot(table, header));
}

struct ftli_spare_swept ftli_table_give_back(struct ftli_table *table, uint32_t most, bool all)
{
    struct ftli_spare_swept swept = {0, false, 0};
    if (!ftli_token_try_take(&table->sweeping))
        return swept;
    swept = ftli_spare_sweep(table->cells_next ? &table->spare_cells : &table->spare, most, all);
    if (swept.done) {
        swept.young += table->young;
        table->young = table->cells_next ? 0 : swept.young;
        table->cells_next = !table->cells_next;
        swept.done = !table->cells_next;
    }
    ftli_token_release(&table->sweeping);
    return swept;
}

size_t ftli_table_reserved_bytes(const struct ftli_table *table)
{
    return table->headers != NULL ? reserved_bytes(table->slots) : 0;
}

uint32_t ftli_table_fresh(const struct ftli_table *table)
{
    return ftli_u32_load_acquire(&table->fresh);
}

uint32_t ftli_table_skip(const struct ftli_table *table, uint32_t slot, uint32_t end)
{
    while (slot < end && ftli_spare_page_is_idle(&table->spare, slot))
        slot += FTLI_SPARE_SLOTS;
    return slot;
}

/* Slots and cells below `fresh`, without the pages that went back. */
static size_t resident_bytes(const ftli_atomic_u32 *fresh, const struct ftli_spare *spare)
{
    size_t page_bytes = FTLI_SPARE_SLOTS * sizeof(struct ftli_header);
    size_t bytes =
        ((size_t)ftli_u32_load_acquire(fresh) * sizeof(struct ftli_header) + page_bytes - 1) / page_bytes * page_bytes;
    size_t gone_bytes = ftli_spare_gone_bytes(spare);
    return (bytes > gone_bytes ? bytes - gone_bytes : 0) + ftli_spare_metadata_bytes(spare);
}

size_t ftli_table_committed_bytes(const struct ftli_table *table)
{
    return resident_bytes(&table->fresh, &table->spare) + resident_bytes(&table->cells_fresh, &table->spare_cells);
}

/* A free cell holds the index of the next in its first word. Its memory stays a cell, so a late reader of that word
 * reads something stale, and the head's count makes its compare-and-swap fail. pairs: cells-free, all functions. */
static uint32_t pop_cell(struct ftli_table *table)
{
    uint64_t head = ftli_u64_load_acquire(&table->cells_free);
    while ((uint32_t)head != 0) {
        uint64_t next = ftli_u64_load_acquire((const ftli_atomic_u64 *)ftli_cell(table, (uint32_t)head));
        uint64_t desired = ((head >> 32) + 1) << 32 | (uint32_t)next;
        if (ftli_u64_cas_acq_rel(&table->cells_free, &head, desired))
            return (uint32_t)head;
    }
    return 0;
}

static void push_cell(struct ftli_table *table, uint32_t cell)
{
    ftli_atomic_u64 *next = ftli_cell(table, cell);
    uint64_t head = ftli_u64_load_acquire(&table->cells_free);
    uint64_t desired;
    do {
        ftli_u64_store_release(next, (uint32_t)head);
        desired = ((head >> 32) + 1) << 32 | cell;
    } while (!ftli_u64_cas_acq_rel(&table->cells_free, &head, desired));
}

/* Of a page with spare cells the lowest is taken, and the others lie ready. */
static uint32_t take_spare_cell(struct ftli_table *table)
{
    uint32_t first;
    uint64_t cells = ftli_spare_take(&table->spare_cells, &first);
    if (cells == 0)
        return 0;
    for (uint64_t left = cells & (cells - 1); left != 0; left &= left - 1)
        push_cell(table, first + (uint32_t)__builtin_ctzll(left));
    return first + (uint32_t)__builtin_ctzll(cells);
}

uint32_t ftli_cell_take(struct ftli_table *table)
{
    uint32_t cell = pop_cell(table);
    if (cell == 0)
        cell = take_spare_cell(table);
    if (cell == 0) {
        uint32_t fresh = ftli_u32_load_acquire(&table->cells_fresh);
        do {
            if (fresh >= table->slots)
                return 0;
        } while (!ftli_u32_cas_acq_rel(&table->cells_fresh, &fresh, fresh + 1));
        cell = fresh;
    }
    /* A reader may be in here still (look.h): with release, so that who meets a zero meets the word that changed before it. */
    ftli_atomic_u64 *words = ftli_cell(table, cell);
    for (unsigned i = 0; i < FTLI_CELL_BYTES / 8; i++)
        ftli_u64_store_release(&words[i], 0);
    (void)ftli_u64_fetch_add_relaxed(&table->cells_out, 1);
    return cell;
}

void ftli_cell_give(struct ftli_table *table, uint32_t cell)
{
    (void)ftli_u64_fetch_add_relaxed(&table->cells_out, UINT64_MAX);
    push_cell(table, cell);
}

uint32_t ftli_cell_gather(struct ftli_table *table, uint32_t most)
{
    uint32_t gathered = 0, cell;
    for (; gathered < most && (cell = pop_cell(table)) != 0; gathered++)
        ftli_spare_give(&table->spare_cells, cell);
    return gathered;
}
