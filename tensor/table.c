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

/* The reservation is asked for whole, then by halves: an address space limit makes a small table, not a failure, and the
 * rest of the runtime needs some of it too. The cells follow the headers. */
static void *reserve(uint32_t *slots)
{
    uint64_t most_bytes = ftli_os_address_limit_bytes() / 8;
    for (uint32_t wish = *slots; wish >= LEAST_SLOTS; wish /= 2) {
        size_t bytes = ((size_t)wish * sizeof(struct ftli_header) + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
        void *address = bytes > most_bytes && wish / 2 >= LEAST_SLOTS ? NULL : ftli_os_reserve(2 * bytes, STEP_BYTES);
        if (address != NULL) {
            *slots = (uint32_t)(bytes / sizeof(struct ftli_header));
            return address;
        }
    }
    return NULL;
}

static size_t reserved_bytes(uint32_t slots)
{
    return (size_t)slots * (sizeof(struct ftli_header) + FTLI_CELL_BYTES);
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

uint32_t ftli_table_fresh(const struct ftli_table *table)
{
    return ftli_u32_load_acquire(&table->fresh);
}

size_t ftli_table_committed_bytes(const struct ftli_table *table)
{
    size_t headers = (size_t)ftli_u32_load_acquire(&table->fresh) * sizeof(struct ftli_header);
    size_t cells = (size_t)ftli_u32_load_acquire(&table->cells_fresh) * FTLI_CELL_BYTES;
    headers = (headers + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
    cells = (cells + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES;
    return headers + cells;
}

/* A free cell holds the index of the next in its first word. Its memory stays a cell, so a late reader of that word
 * reads something stale, and the head's count makes its compare-and-swap fail. pairs: cells-free, both functions. */
uint32_t ftli_cell_take(struct ftli_table *table)
{
    uint32_t cell = 0;
    uint64_t head = ftli_u64_load_acquire(&table->cells_free);
    while ((uint32_t)head != 0) {
        uint64_t next = ftli_u64_load_acquire((const ftli_atomic_u64 *)ftli_cell(table, (uint32_t)head));
        uint64_t desired = ((head >> 32) + 1) << 32 | next;
        if (ftli_u64_cas_acq_rel(&table->cells_free, &head, desired)) {
            cell = (uint32_t)head;
            break;
        }
    }
    if (cell == 0) {
        uint32_t fresh = ftli_u32_load_acquire(&table->cells_fresh);
        do {
            if (fresh >= table->slots)
                return 0;
        } while (!ftli_u32_cas_acq_rel(&table->cells_fresh, &fresh, fresh + 1));
        cell = fresh;
    }
    ftli_atomic_u64 *words = ftli_cell(table, cell);
    for (unsigned i = 0; i < FTLI_CELL_BYTES / 8; i++)
        ftli_u64_store_relaxed(&words[i], 0);
    (void)ftli_u64_fetch_add_relaxed(&table->cells_out, 1);
    return cell;
}

void ftli_cell_give(struct ftli_table *table, uint32_t cell)
{
    ftli_atomic_u64 *next = ftli_cell(table, cell);
    (void)ftli_u64_fetch_add_relaxed(&table->cells_out, UINT64_MAX);
    uint64_t head = ftli_u64_load_acquire(&table->cells_free);
    uint64_t desired;
    do {
        ftli_u64_store_release(next, (uint32_t)head);
        desired = ((head >> 32) + 1) << 32 | cell;
    } while (!ftli_u64_cas_acq_rel(&table->cells_free, &head, desired));
}
