/* What the cleanup reclaims is sorted into magazines here: one a class, and a full one goes to the depot by one
 * compare-and-swap, where whoever makes tensors finds it. The headers themselves are not touched. */
#include "actors/allocation/shard.h"

static struct ftli_magazine *laid_out(const struct ftli_device *device, unsigned c)
{
    return ftli_pointer_load_relaxed(&device->tray[c]);
}

static struct ftli_magazine *lay_out(struct ftli_device *device, unsigned c)
{
    struct ftli_magazine *magazine = ftli_depot_take_empty(&device->depot, 0);
    if (magazine == NULL)
        magazine = ftli_depot_make_empty(&device->depot);
    if (magazine == NULL)
        return NULL;
    magazine->size_class = c;
    magazine->capacity = device->capacity[c];
    ftli_u32_store_relaxed(&magazine->count, 0);
    ftli_pointer_store_release(&device->tray[c], magazine); /* pairs: tray, with who sums its bytes */
    return magazine;
}

static void give(struct ftli_device *device, struct ftli_magazine *magazine)
{
    ftli_pointer_store_relaxed(&device->tray[magazine->size_class], NULL);
    ftli_depot_give(&device->depot, magazine, 0);
}

void ftli_allocation_lay(struct ftli_device *device, unsigned c, struct ftli_header *header)
{
    struct ftli_magazine *magazine = laid_out(device, c);
    if (FTLI_UNLIKELY(magazine == NULL)) {
        magazine = lay_out(device, c);
        if (magazine == NULL) { /* all magazines are in use: to its slab */
            ftli_header_address(header, FTLI_PURPOSE_GIVE_BACK, 0, 0);
            ftli_allocation_post(device, header);
            return;
        }
    }
    uint32_t count = ftli_u32_load_relaxed(&magazine->count);
    magazine->entries[count] = ftli_handle_make(device->table->runtime, ftli_table_slot(device->table, header), 0);
    ftli_u32_store_relaxed(&magazine->count, count + 1);
    if (FTLI_UNLIKELY(count + 1 == magazine->capacity))
        give(device, magazine);
}

bool ftli_allocation_clear_tray(struct ftli_device *device)
{
    bool any = false;
    for (unsigned c = 1; c < FTLI_CLASSES; c++) {
        struct ftli_magazine *magazine = laid_out(device, c);
        if (magazine == NULL)
            continue;
        give(device, magazine);
        any = true;
    }
    if (any)
        ftli_allocation_need_tick(device);
    return any;
}

uint64_t ftli_allocation_tray_bytes(const struct ftli_device *device)
{
    uint64_t bytes = 0;
    for (unsigned c = 1; c < FTLI_CLASSES; c++) {
        const struct ftli_magazine *magazine = ftli_pointer_load_acquire(&device->tray[c]);
        if (magazine != NULL)
            bytes += (uint64_t)ftli_u32_load_relaxed(&magazine->count) * ftli_class_bytes(c);
    }
    return bytes;
}
