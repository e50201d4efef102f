/* A thread's magazines, beyond the fast path: exchanges with the depot, and the budget that bounds what is held. */
#include "actors/allocation/shard.h"

#include <string.h>

#define SPARES_MOST    256 /* of 576 B each */
#define SPARES_AT_ONCE 8

static struct ftli_magazine *loaded_of(const struct ftli_rack *rack, unsigned c)
{
    return ftli_pointer_load_relaxed(&rack->loaded[c]);
}

static struct ftli_magazine *previous_of(const struct ftli_rack *rack, unsigned c)
{
    return ftli_pointer_load_relaxed(&rack->previous[c]);
}

static void set_previous(struct ftli_rack *rack, unsigned c, struct ftli_magazine *magazine)
{
    ftli_pointer_store_relaxed(&rack->previous[c], magazine);
}

static bool is_real(const struct ftli_magazine *magazine)
{
    return magazine != &ftli_no_magazine;
}

static uint32_t count_of(const struct ftli_magazine *magazine)
{
    return ftli_u32_load_relaxed(&magazine->count);
}

static void load(struct ftli_rack *rack, unsigned c, struct ftli_magazine *magazine)
{
    ftli_pointer_store_relaxed(&rack->loaded[c], magazine);
    ftli_pointer_store_relaxed(&rack->top[c], magazine->entries + count_of(magazine));
    rack->end[c] = magazine->entries + magazine->capacity;
}

/* How many the loaded one holds. For others than the owner: of two moments, if it was changed between them; then 0. */
static uint32_t loaded_count(const struct ftli_rack *rack, unsigned c)
{
    ptrdiff_t n = ftli_rack_top(rack, c) - loaded_of(rack, c)->entries;
    return n >= 0 && n <= FTLI_MAGAZINE_MOST ? (uint32_t)n : 0;
}

/* The loaded one, which says from now on how many it holds; none is loaded. */
static struct ftli_magazine *unload(struct ftli_rack *rack, unsigned c)
{
    struct ftli_magazine *magazine = loaded_of(rack, c);
    if (is_real(magazine)) {
        ftli_u32_store_relaxed(&magazine->count, loaded_count(rack, c));
        load(rack, c, &ftli_no_magazine);
    }
    return magazine;
}

static int64_t cost(const struct ftli_device *device, unsigned c)
{
    return (int64_t)device->capacity[c] * ftli_class_bytes(c);
}

void ftli_rack_init(struct ftli_rack *rack, const struct ftli_device *device)
{
    rack->table = device->table;
    for (unsigned c = 0; c < FTLI_CLASSES; c++) {
        load(rack, c, &ftli_no_magazine);
        set_previous(rack, c, &ftli_no_magazine);
    }
    rack->budget_bytes = (int64_t)device->settings.thread_cache_bytes;
    rack->hand = 1;
    rack->lane = 0;
    memset(&rack->pocket, 0, sizeof rack->pocket);
}

static uint64_t flush_class(struct ftli_rack *rack, struct ftli_device *device, unsigned c)
{
    struct ftli_magazine *magazines[2] = {unload(rack, c), previous_of(rack, c)};
    uint64_t bytes = 0;
    set_previous(rack, c, &ftli_no_magazine);
    for (unsigned i = 0; i < 2; i++) {
        if (!is_real(magazines[i]))
            continue;
        bytes += (uint64_t)count_of(magazines[i]) * ftli_class_bytes(c);
        rack->budget_bytes += cost(device, c);
        ftli_depot_give(&device->depot, magazines[i], rack->lane);
    }
    return bytes;
}

uint64_t ftli_rack_flush(struct ftli_rack *rack, struct ftli_device *device)
{
    uint64_t bytes = 0;
    for (unsigned c = 1; c < FTLI_CLASSES; c++)
        bytes += flush_class(rack, device, c);
    return bytes + ftli_allocation_empty_pocket(device, rack);
}

uint64_t ftli_rack_bytes(const struct ftli_rack *rack)
{
    uint64_t bytes = ftli_u64_load_relaxed(&rack->pocket.bytes);
    for (unsigned c = 1; c < FTLI_CLASSES; c++)
        bytes += (uint64_t)(loaded_count(rack, c) + count_of(previous_of(rack, c))) * ftli_class_bytes(c);
    return bytes;
}

bool ftli_rack_has_previous(const struct ftli_rack *rack, unsigned c)
{
    return count_of(previous_of(rack, c)) != 0;
}

bool ftli_rack_is_empty(const struct ftli_rack *rack)
{
    for (unsigned c = 1; c < FTLI_CLASSES; c++)
        if (is_real(loaded_of(rack, c)) || is_real(previous_of(rack, c)))
            return false;
    return ftli_u64_load_relaxed(&rack->pocket.bytes) == 0;
}

/* What is reserved goes up to what a thread may keep now. */
static bool has_room(const struct ftli_rack *rack, const struct ftli_device *device, unsigned c)
{
    uint64_t apart = device->settings.thread_cache_bytes - ftli_u64_load_relaxed(&device->cache_bytes);
    int64_t left = rack->budget_bytes - cost(device, c);
    return left >= (int64_t)apart && left >= (int64_t)ftli_u64_load_relaxed(&rack->pocket.bytes);
}

/* Room in the budget for one more magazine of the class, at the cost of classes that come round under the hand. */
static bool reserve(struct ftli_rack *rack, struct ftli_device *device, unsigned c)
{
    for (unsigned tries = 0; !has_room(rack, device, c) && tries < FTLI_CLASSES; tries++) {
        if (rack->hand == 0)
            (void)ftli_allocation_empty_pocket(device, rack);
        else if (rack->hand != c)
            (void)flush_class(rack, device, rack->hand);
        rack->hand = (rack->hand + 1) % FTLI_CLASSES;
    }
    if (!has_room(rack, device, c))
        return false;
    rack->budget_bytes -= cost(device, c);
    return true;
}

static void ready(const struct ftli_device *device, struct ftli_magazine *magazine, unsigned c)
{
    magazine->size_class = c;
    magazine->capacity = device->capacity[c];
    ftli_u32_store_relaxed(&magazine->count, 0);
}

/* An empty magazine in `loaded`. make: new may make one, a drop does not. */
static bool load_empty(struct ftli_rack *rack, struct ftli_device *device, unsigned c, bool make)
{
    bool first = is_real(loaded_of(rack, c));
    struct ftli_magazine *previous = previous_of(rack, c);
    bool second = first && is_real(previous);
    if (!second && !reserve(rack, device, c))
        return false;
    struct ftli_magazine *empty = ftli_depot_take_empty(&device->depot, rack->lane);
    if (empty == NULL && make)
        empty = ftli_depot_make_empty(&device->depot);
    if (empty == NULL) {
        ftli_u32_store_relaxed(&device->depot.starved, 1);
        if (!second)
            rack->budget_bytes += cost(device, c);
        return false;
    }
    ready(device, empty, c);
    /* reserve may have flushed other classes only; this one's magazines are as they were. */
    if (second)
        ftli_depot_give(&device->depot, previous, rack->lane);
    if (first)
        set_previous(rack, c, unload(rack, c));
    load(rack, c, empty);
    return true;
}

static void swap(struct ftli_rack *rack, unsigned c)
{
    struct ftli_magazine *previous = previous_of(rack, c);
    set_previous(rack, c, unload(rack, c));
    load(rack, c, previous);
}

bool ftli_allocation_stow(struct ftli_device *device, struct ftli_rack *rack, unsigned c, struct ftli_header *header)
{
    const struct ftli_magazine *previous = previous_of(rack, c);
    if (is_real(previous) && count_of(previous) < previous->capacity)
        swap(rack, c);
    else if (!load_empty(rack, device, c, false))
        return false;
    ftli_allocation_need_tick(device);
    return ftli_rack_give(rack, c, header);
}

void ftli_allocation_take_back(struct ftli_device *device, struct ftli_rack *rack, unsigned c,
                               struct ftli_header *header)
{
    const struct ftli_magazine *previous = previous_of(rack, c);
    bool room = is_real(previous) && count_of(previous) < previous->capacity;
    if (room)
        swap(rack, c);
    if ((room || load_empty(rack, device, c, true)) && ftli_rack_give(rack, c, header))
        return;
    ftli_header_address(header, FTLI_PURPOSE_GIVE_BACK, 0, 0);
    ftli_allocation_post(device, header);
}

/* The headers of a magazine were written by another processor, it may be: their lines come together instead of one by one. */
static void prefetch(const struct ftli_table *table, const struct ftli_magazine *magazine)
{
    for (uint32_t i = count_of(magazine); i-- > 0;)
        __builtin_prefetch(ftli_entry_header(table, magazine->entries[i]), 1);
}

/* A full magazine of the depot becomes the loaded one. */
static bool load_full(struct ftli_rack *rack, struct ftli_device *device, unsigned c)
{
    bool first = is_real(loaded_of(rack, c));
    if (!first && !reserve(rack, device, c))
        return false;
    struct ftli_magazine *full = ftli_depot_take_full(&device->depot, c, rack->lane);
    if (full == NULL) {
        if (!first)
            rack->budget_bytes += cost(device, c);
        return false;
    }
    prefetch(device->table, full);
    if (first)
        ftli_depot_give(&device->depot, unload(rack, c), rack->lane);
    load(rack, c, full);
    return true;
}

/* Spare ones for those who only drop: a drop makes no magazine. How many they use up between two refills shows by what they miss. */
static void leave_spares(struct ftli_device *device, unsigned c, uint32_t lane)
{
    struct ftli_depot *depot = &device->depot;
    uint32_t spares = ftli_u32_load_relaxed(&depot->spares);
    if (FTLI_UNLIKELY(ftli_u32_load_relaxed(&depot->starved) != 0)) {
        ftli_u32_store_relaxed(&depot->starved, 0);
        spares = 2 * spares < SPARES_MOST ? 2 * spares : SPARES_MOST;
        ftli_u32_store_relaxed(&depot->spares, spares);
    }
    uint32_t there = ftli_depot_depth(depot, &depot->empty[lane % FTLI_DEPOT_LANES]);
    for (uint32_t n = 0; there + n < spares && n < SPARES_AT_ONCE; n++) {
        struct ftli_magazine *spare = ftli_depot_make_empty(depot);
        if (spare == NULL)
            return;
        ready(device, spare, c);
        ftli_depot_give(depot, spare, lane);
    }
}

/* Something is loaded. */
static bool load_ready(struct ftli_rack *rack, struct ftli_device *device, unsigned c)
{
    if (count_of(previous_of(rack, c)) > 0) {
        swap(rack, c);
        return true;
    }
    return load_full(rack, device, c);
}

struct ftli_header *ftli_allocation_refill_ready(struct ftli_device *device, struct ftli_rack *rack, unsigned c)
{
    if (!load_ready(rack, device, c))
        return NULL;
    if (FTLI_UNLIKELY(ftli_u32_load_relaxed(&device->depot.starved) != 0))
        leave_spares(device, c, rack->lane);
    ftli_allocation_need_tick(device);
    return ftli_rack_take(rack, c);
}

int ftli_allocation_refill(struct ftli_device *device, struct ftli_rack *rack, uint32_t *home, unsigned c,
                           struct ftli_header **out)
{
    if (!load_ready(rack, device, c)) {
        if (!is_real(loaded_of(rack, c)) && !load_empty(rack, device, c, true)) {
            int one = ftli_shard_carve(device, home, c, out, 1);
            return one > 0 ? FTL_OK : one;
        }
        /* Half a magazine: what comes back has room, and a class that is used little holds little. */
        struct ftli_magazine *loaded = loaded_of(rack, c);
        uint32_t n = (loaded->capacity + 1u) / 2u;
        struct ftli_header *headers[FTLI_MAGAZINE_MOST];
        int taken = ftli_shard_carve(device, home, c, headers, n);
        if (taken < 0)
            return taken;
        for (int i = 0; i < taken; i++)
            loaded->entries[i] = ftli_table_handle(device->table, headers[i]);
        ftli_pointer_store_relaxed(&rack->top[c], loaded->entries + taken);
    }
    leave_spares(device, c, rack->lane);
    ftli_allocation_need_tick(device);
    *out = ftli_rack_take(rack, c);
    return FTL_OK;
}
