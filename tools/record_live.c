#include "tools/record_live.h"

#include "tools/pages.h"

enum { FIRST_PLACES = 1 << 12 };

static size_t home(const struct ftli_record_live *live, uint64_t address)
{
    uint64_t mixed = (address >> 4) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 32) & (live->place_count - 1);
}

static void put(struct ftli_record_live *live, const struct ftli_record_block *block)
{
    size_t at = home(live, block->address);
    while (live->places[at].address != 0) {
        at = (at + 1) & (live->place_count - 1);
    }
    live->places[at] = *block;
}

static bool grow(struct ftli_record_live *live)
{
    struct ftli_record_live old = *live;
    size_t count = old.place_count == 0 ? FIRST_PLACES : old.place_count * 2;
    struct ftli_record_block *places = ftli_pages_map(count * sizeof *places);
    if (places == NULL) {
        return false;
    }
    live->places = places;
    live->place_count = count;
    for (size_t i = 0; i < old.place_count; i++) {
        if (old.places[i].address != 0) {
            put(live, &old.places[i]);
        }
    }
    ftli_pages_unmap(old.places, old.place_count * sizeof *old.places);
    return true;
}

bool ftli_record_live_add(struct ftli_record_live *live, const struct ftli_record_block *block)
{
    if (live->count >= live->place_count / 4 * 3 && !grow(live)) {
        return false;
    }
    put(live, block);
    live->count++;
    return true;
}

/* Closes the gap: whoever was pushed past it by others comes nearer to where it belongs. */
static void take_out(struct ftli_record_live *live, size_t gap)
{
    size_t mask = live->place_count - 1;
    for (size_t at = (gap + 1) & mask; live->places[at].address != 0; at = (at + 1) & mask) {
        if (((at - home(live, live->places[at].address)) & mask) >= ((at - gap) & mask)) {
            live->places[gap] = live->places[at];
            gap = at;
        }
    }
    live->places[gap] = (struct ftli_record_block){0};
    live->count--;
}

bool ftli_record_live_remove(struct ftli_record_live *live, uint64_t address, struct ftli_record_block *out)
{
    if (live->place_count == 0 || address == 0) {
        return false;
    }
    size_t at = home(live, address);
    while (live->places[at].address != address) {
        if (live->places[at].address == 0) {
            return false;
        }
        at = (at + 1) & (live->place_count - 1);
    }
    *out = live->places[at];
    take_out(live, at);
    return true;
}

bool ftli_record_live_pop(struct ftli_record_live *live, size_t *from, struct ftli_record_block *out)
{
    while (live->count > 0) {
        size_t at = *from & (live->place_count - 1);
        if (live->places[at].address != 0) {
            *out = live->places[at];
            take_out(live, at); /* which may bring another here */
            return true;
        }
        *from = at + 1;
    }
    return false;
}

void ftli_record_live_fini(struct ftli_record_live *live)
{
    ftli_pages_unmap(live->places, live->place_count * sizeof *live->places);
    *live = (struct ftli_record_live){0};
}
