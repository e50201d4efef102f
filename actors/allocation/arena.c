#include "actors/allocation/arena.h"

#include <fettle/fettle.h>

#include "runtime/base/os.h"

#define GRANULES_MOST (1u << 21) /* 4 TiB */
#define ROOM_MOST     ((size_t)64 << 30)
#define ROOM_LEAST    ((size_t)1 << 30)
#define LEAF_BYTES    (FTLI_MAP_SLOTS * sizeof(ftli_atomic_u64))
#define TABLE_BYTES   ((GRANULES_MOST + 1u) * sizeof(ftli_atomic_pointer))

/* Stands before its granules; the descriptors follow from the next page on. */
struct ftli_arena {
    struct ftli_arena *next;
    char *address;
    size_t bytes;
    size_t metadata_bytes; /* of this mapping */
    uint64_t unused[12];
    struct ftli_granule granules[];
};
static_assert(sizeof(struct ftli_arena) == 128, "granules begin on a cache line");

static size_t whole_pages(size_t bytes)
{
    return (bytes + FTLI_PAGE_BYTES - 1) & ~(FTLI_PAGE_BYTES - 1);
}

int ftli_space_init(struct ftli_space *space, size_t arena_bytes)
{
    if (arena_bytes == 0 || arena_bytes % FTLI_GRANULE_BYTES != 0 || arena_bytes / FTLI_PAGE_BYTES > FTLI_SPAN_MOST) {
        return FTL_EINVAL;
    }
    ftli_atomic_pointer *root = ftli_os_reserve(FTLI_MAP_SLOTS * sizeof *root, FTLI_PAGE_BYTES);
    if (!root) {
        return FTL_ENOMEM;
    }
    ftli_atomic_pointer *granules = ftli_os_reserve(2 * TABLE_BYTES, FTLI_PAGE_BYTES); /* and the descriptors' */
    if (!granules) {
        ftli_os_release(root, FTLI_MAP_SLOTS * sizeof *root);
        return FTL_ENOMEM;
    }
    *space = (struct ftli_space){
        .root = root,
        .granules = granules,
        .pages = granules + GRANULES_MOST + 1,
        .arena_bytes = arena_bytes,
        .metadata_bytes = 4 * FTLI_PAGE_BYTES, /* of the root one, of the tables two and where they meet */
        .granules_used = 1,
        .granules_most = GRANULES_MOST,
    };
    return FTL_OK;
}

void ftli_space_fini(struct ftli_space *space)
{
    if (!space->root) { /* init failed: there is nothing */
        return;
    }
    for (struct ftli_arena *arena = space->arenas; arena;) {
        struct ftli_arena *next = arena->next;
        ftli_os_release(arena->address, arena->bytes);
        ftli_os_release(arena, arena->metadata_bytes);
        arena = next;
    }
    for (uint32_t i = 0; i < FTLI_MAP_SLOTS; i++) {
        void *leaf = ftli_pointer_load_relaxed(&space->root[i]);
        if (leaf) {
            ftli_os_release(leaf, LEAF_BYTES);
        }
    }
    ftli_os_release(space->root, FTLI_MAP_SLOTS * sizeof *space->root);
    ftli_os_release(space->granules, 2 * TABLE_BYTES);
    *space = (struct ftli_space){0};
}

static ftli_atomic_u64 *map_slot(const struct ftli_space *space, const char *address)
{
    ftli_atomic_u64 *leaf = ftli_pointer_load_relaxed(&space->root[(uintptr_t)address >> 34]);
    return &leaf[((uintptr_t)address >> FTLI_GRANULE_SHIFT) & (FTLI_MAP_SLOTS - 1)];
}

/* Leaves once made are kept, also when the arena they were made for fails after all. */
static bool make_leaves(struct ftli_space *space, const char *address, size_t bytes)
{
    for (uintptr_t i = (uintptr_t)address >> 34; i <= ((uintptr_t)address + bytes - 1) >> 34; i++) {
        if (ftli_pointer_load_relaxed(&space->root[i])) {
            continue;
        }
        void *leaf = ftli_os_reserve(LEAF_BYTES, FTLI_PAGE_BYTES);
        if (!leaf) {
            return false;
        }
        ftli_pointer_store_release(&space->root[i], leaf); /* pairs: map-leaf */
        space->metadata_bytes += FTLI_PAGE_BYTES;
    }
    return true;
}

/* Where the last arena ended, so that free spans join across arenas (a trace of 1,283 sizes commits 5 % less); the first
 * arena looks for a place with much room above it. */
static char *reserve_arena(const struct ftli_space *space, size_t bytes)
{
    char *address = space->arenas ? ftli_os_reserve_at(space->arenas->address + space->arenas->bytes, bytes) : NULL;
    for (size_t room = ROOM_MOST; !address && room > bytes && room >= ROOM_LEAST; room /= 8) {
        void *place = ftli_os_reserve(room, FTLI_GRANULE_BYTES);
        if (place) {
            ftli_os_release(place, room);
            address = ftli_os_reserve_at(place, bytes); /* another thread may have been faster */
        }
    }
    return address ? address : ftli_os_reserve(bytes, FTLI_GRANULE_BYTES);
}

int ftli_space_grow(struct ftli_space *space, size_t bytes, uint32_t *first, uint32_t *granules)
{
    size_t steps = bytes / space->arena_bytes + (bytes % space->arena_bytes != 0);
    size_t arena_bytes = (steps ? steps : 1) * space->arena_bytes;
    size_t count = arena_bytes / FTLI_GRANULE_BYTES;
    if (bytes / FTLI_PAGE_BYTES > FTLI_SPAN_MOST || count > space->granules_most - space->granules_used) {
        return FTL_ENOMEM;
    }
    size_t header_bytes = whole_pages(sizeof(struct ftli_arena) + count * sizeof(struct ftli_granule));
    size_t metadata_bytes = header_bytes + count * FTLI_GRANULE_PAGES * sizeof(struct ftli_page);
    char *address = reserve_arena(space, arena_bytes);
    if (!address) {
        return FTL_ENOMEM;
    }
    struct ftli_arena *arena = ftli_os_reserve(metadata_bytes, FTLI_PAGE_BYTES);
    if (!arena || (uintptr_t)address >> 47 || !make_leaves(space, address, arena_bytes)) {
        ftli_os_release(address, arena_bytes);
        if (arena) {
            ftli_os_release(arena, metadata_bytes);
        }
        return FTL_ENOMEM;
    }
    /* Where the system makes every page huge, a page never handed out would be resident: heaps ask for each granule. */
    (void)ftli_os_advise_no_huge(address, arena_bytes);
    (void)ftli_os_advise_no_huge(arena, metadata_bytes);
    arena->address = address;
    arena->bytes = arena_bytes;
    arena->metadata_bytes = metadata_bytes;
    arena->next = space->arenas;
    space->arenas = arena;
    space->reserved_bytes += arena_bytes;
    *first = space->granules_used * FTLI_GRANULE_PAGES;
    *granules = (uint32_t)count;
    space->metadata_bytes += header_bytes;
    struct ftli_page *pages = (struct ftli_page *)(void *)((char *)arena + header_bytes);
    for (size_t i = 0; i < count; i++) {
        struct ftli_granule *granule = &arena->granules[i];
        size_t index = space->granules_used + i;
        granule->address = address + i * FTLI_GRANULE_BYTES;
        granule->pages = pages + i * FTLI_GRANULE_PAGES;
        granule->number = (uint32_t)index * FTLI_GRANULE_PAGES;
        ftli_pointer_store_release(&space->pages[index], granule->pages); /* pairs: granule-table */
        ftli_pointer_store_release(&space->granules[index], granule);     /* pairs: granule-table */
        /* pairs: map-entry */
        ftli_u64_store_release(map_slot(space, granule->address), (uint64_t)(uintptr_t)granule);
    }
    space->granules_used += (uint32_t)count;
    return FTL_OK;
}

void ftli_space_each(const struct ftli_space *space, void (*each)(void *user, void *at, size_t bytes), void *user)
{
    for (const struct ftli_arena *arena = space->arenas; arena != NULL; arena = arena->next)
        each(user, arena->address, arena->bytes);
}

void ftli_space_set_owner(struct ftli_space *space, uint32_t first, uint32_t granules, uint32_t owner)
{
    for (uint32_t i = 0; i < granules; i++) {
        struct ftli_granule *granule = ftli_space_granule(space, first + i * FTLI_GRANULE_PAGES);
        uint64_t entry = (uint64_t)(uintptr_t)granule | (uint64_t)owner << 48;
        ftli_u64_store_release(map_slot(space, granule->address), entry); /* pairs: map-entry */
    }
}

bool ftli_space_joined_slow(const struct ftli_space *space, uint32_t number, uint32_t owner)
{
    const struct ftli_granule *here = ftli_space_granule(space, number);
    const struct ftli_granule *before = ftli_space_granule(space, number - FTLI_GRANULE_PAGES);
    return before && here && before->address + FTLI_GRANULE_BYTES == here->address &&
           ftli_entry_owner(ftli_space_entry(space, before->address)) == owner &&
           ftli_entry_owner(ftli_space_entry(space, here->address)) == owner;
}
