/* A thread's magazines, beyond the fast path: exchanges with the depot, and the budget that bounds what is held. */
#include "actors/allocation/shard.h"

static struct ftli_magazine *previous_of(const struct ftli_rack *rack, unsigned c)
{
    return ftli_pointer_load_relaxed(&rack->classes[c].previous);
}

static void set(ftli_atomic_pointer *place, struct ftli_magazine *magazine)
{
    ftli_pointer_store_relaxed(place, magazine);
}

static bool is_real(const struct ftli_magazine *magazine)
{
    return magazine != &ftli_no_magazine;
}

static uint32_t count_of(const struct ftli_magazine *magazine)
{
    return ftli_u32_load_relaxed(&magazine->count);
}

static int64_t cost(const struct ftli_device *device, unsigned c)
{
    return (int64_t)device->capacity[c] * ftli_class_bytes(c);
}

void ftli_rack_init(struct ftli_rack *rack, const struct ftli_device *device)
{
    for (unsigned c = 0; c < FTLI_CLASSES; c++) {
        set(&rack->classes[c].loaded, &ftli_no_magazine);
        set(&rack->classes[c].previous, &ftli_no_magazine);
    }
    rack->budget_bytes = (int64_t)device->settings.thread_cache_bytes;
    rack->hand = 1;
}

static uint64_t flush_class(struct ftli_rack *rack, struct ftli_device *device, unsigned c)
{
    struct ftli_magazine *magazines[2] = {ftli_rack_loaded(rack, c), previous_of(rack, c)};
    uint64_t bytes = 0;
    set(&rack->classes[c].loaded, &ftli_no_magazine);
    set(&rack->classes[c].previous, &ftli_no_magazine);
    for (unsigned i = 0; i < 2; i++) {
        if (!is_real(magazines[i]))
            continue;
        bytes += (uint64_t)count_of(magazines[i]) * ftli_class_bytes(c);
        rack->budget_bytes += cost(device, c);
        ftli_depot_give(&device->depot, magazines[i]);
    }
    return bytes;
}

uint64_t ftli_rack_flush(struct ftli_rack *rack, struct ftli_device *device)
{
    uint64_t bytes = 0;
    for (unsigned c = 1; c < FTLI_CLASSES; c++)
        bytes += flush_class(rack, device, c);
    return bytes;
}

uint64_t ftli_rack_bytes(const struct ftli_rack *rack)
{
    uint64_t bytes = 0;
    for (unsigned c = 1; c < FTLI_CLASSES; c++)
        bytes += (uint64_t)(count_of(ftli_rack_loaded(rack, c)) + count_of(previous_of(rack, c))) * ftli_class_bytes(c);
    return bytes;
}

bool ftli_rack_is_empty(const struct ftli_rack *rack)
{
    for (unsigned c = 1; c < FTLI_CLASSES; c++)
        if (is_real(ftli_rack_loaded(rack, c)) || is_real(previous_of(rack, c)))
            return false;
    return true;
}

/* Room in the budget for one more magazine of the class, at the cost of classes that come round under the hand. */
static bool reserve(struct ftli_rack *rack, struct ftli_device *device, unsigned c)
{
    for (unsigned tries = 0; rack->budget_bytes < cost(device, c) && tries < FTLI_CLASSES; tries++) {
        if (rack->hand != c)
            (void)flush_class(rack, device, rack->hand);
        rack->hand = rack->hand + 1 < FTLI_CLASSES ? rack->hand + 1 : 1;
    }
    if (rack->budget_bytes < cost(device, c))
        return false;
    rack->budget_bytes -= cost(device, c);
    return true;
}

static void ready(const struct ftli_device *device, struct ftli_magazine *magazine, unsigned c)
{
    magazine->size_class = c;
    ftli_u32_store_relaxed(&magazine->capacity, device->capacity[c]);
    ftli_u32_store_relaxed(&magazine->count, 0);
}

/* An empty magazine in `loaded`. make: new may make one, a drop does not. */
static bool load_empty(struct ftli_rack *rack, struct ftli_device *device, unsigned c, bool make)
{
    struct ftli_magazine *loaded = ftli_rack_loaded(rack, c);
    struct ftli_magazine *previous = previous_of(rack, c);
    bool second = is_real(loaded) && is_real(previous);
    if (!second && !reserve(rack, device, c))
        return false;
    struct ftli_magazine *empty = ftli_depot_take_empty(&device->depot);
    if (empty == NULL && make)
        empty = ftli_depot_make_empty(&device->depot);
    if (empty == NULL) {
        if (!second)
            rack->budget_bytes += cost(device, c);
        return false;
    }
    ready(device, empty, c);
    /* reserve may have flushed other classes only; this one's magazines are as they were. */
    if (second)
        ftli_depot_give(&device->depot, previous);
    if (is_real(loaded))
        set(&rack->classes[c].previous, loaded);
    set(&rack->classes[c].loaded, empty);
    return true;
}

bool ftli_allocation_stow(struct ftli_device *device, struct ftli_rack *rack, unsigned c, struct ftli_header *header)
{
    struct ftli_magazine *loaded = ftli_rack_loaded(rack, c);
    struct ftli_magazine *previous = previous_of(rack, c);
    if (is_real(previous) && count_of(previous) < ftli_u32_load_relaxed(&previous->capacity)) {
        set(&rack->classes[c].loaded, previous);
        set(&rack->classes[c].previous, loaded);
    } else if (!load_empty(rack, device, c, false)) {
        return false;
    }
    ftli_allocation_need_tick(device);
    return ftli_rack_give(rack, c, header);
}

/* A full magazine of the depot becomes `loaded`. */
static bool load_full(struct ftli_rack *rack, struct ftli_device *device, unsigned c)
{
    struct ftli_magazine *loaded = ftli_rack_loaded(rack, c);
    if (!is_real(loaded) && !reserve(rack, device, c))
        return false;
    struct ftli_magazine *full = ftli_depot_take_full(&device->depot, c);
    if (full == NULL) {
        if (!is_real(loaded))
            rack->budget_bytes += cost(device, c);
        return false;
    }
    if (is_real(loaded))
        ftli_depot_give(&device->depot, loaded);
    set(&rack->classes[c].loaded, full);
    return true;
}

int ftli_allocation_refill(struct ftli_device *device, struct ftli_rack *rack, uint32_t *home, unsigned c,
                           struct ftli_header **out)
{
    struct ftli_magazine *previous = previous_of(rack, c);
    if (count_of(previous) > 0) {
        set(&rack->classes[c].previous, ftli_rack_loaded(rack, c));
        set(&rack->classes[c].loaded, previous);
    } else if (!load_full(rack, device, c)) {
        struct ftli_magazine *loaded = ftli_rack_loaded(rack, c);
        if (!is_real(loaded) && !load_empty(rack, device, c, true)) {
            int one = ftli_shard_carve(device, home, c, out, 1);
            return one > 0 ? FTL_OK : one;
        }
        loaded = ftli_rack_loaded(rack, c);
        /* Half a magazine: what comes back has room, and a class that is used little holds little. */
        uint32_t n = (device->capacity[c] + 1u) / 2u;
        int taken = ftli_shard_carve(device, home, c, loaded->entries, n);
        if (taken < 0)
            return taken;
        ftli_u32_store_relaxed(&loaded->count, (uint32_t)taken);
        /* A spare one for those who only drop: a drop makes no magazine. */
        struct ftli_magazine *spare = NULL;
        if (ftli_u32_load_relaxed(&device->depot.empty.depth) == 0)
            spare = ftli_depot_make_empty(&device->depot);
        if (spare != NULL) {
            ready(device, spare, c);
            ftli_depot_give(&device->depot, spare);
        }
    }
    ftli_allocation_need_tick(device);
    *out = ftli_rack_take(rack, c);
    return FTL_OK;
}
