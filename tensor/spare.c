#include "tensor/spare.h"

#include "runtime/base/assert.h"
#include "runtime/base/os.h"
#include "tensor/header.h"

#define PAGE_BYTES  ((size_t)4096)
#define SLOT_BYTES  ((size_t)64)
#define RUN_MOST    512u /* pages that go back in one call to the system: 2 MiB */
#define WHOLE       (~UINT64_C(0))
#define SPREAD      (FTLI_GENERATION_LAST < 256 ? 2u : 16u) /* neighbours begin at different generations */
#define WASTE_SHARE 4 /* generations that a page may lose at once: this part of all it has */

static_assert(PAGE_BYTES / SLOT_BYTES == FTLI_SPARE_SLOTS, "a word of bits is a page");
static_assert(sizeof(struct ftli_header) == SLOT_BYTES, "headers are slots");
static_assert(sizeof(struct ftli_spare_page) == 24, "0.6 % of the page");

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static size_t descriptors_bytes(uint32_t pages)
{
    return whole_pages(pages * sizeof(struct ftli_spare_page));
}

static size_t map_bytes(uint32_t pages)
{
    return whole_pages((pages + 63) / 64 * sizeof(uint64_t));
}

size_t ftli_spare_reserve_bytes(uint32_t slots)
{
    uint32_t pages = (slots + FTLI_SPARE_SLOTS - 1) / FTLI_SPARE_SLOTS;
    return descriptors_bytes(pages) + 2 * map_bytes(pages);
}

void ftli_spare_init(struct ftli_spare *spare, void *slots, uint32_t count, void *descriptors, bool generations)
{
    uint32_t pages = (count + FTLI_SPARE_SLOTS - 1) / FTLI_SPARE_SLOTS;
    unsigned char *at = descriptors;
    *spare = (struct ftli_spare){.slots = slots, .pages = descriptors, .page_count = pages, .generations = generations};
    spare->partial.words = (ftli_atomic_u64 *)(void *)(at + descriptors_bytes(pages));
    spare->gone.words = (ftli_atomic_u64 *)(void *)(at + descriptors_bytes(pages) + map_bytes(pages));
    spare->pass = 1;
}

/* Slot 0 of a table is never given out. */
static uint64_t unusable(const struct ftli_spare *spare, uint32_t page)
{
    return ftli_u64_load_acquire(&spare->pages[page].retired) | (page == 0);
}

/* ---- maps ---------------------------------------------------------------------------------------------------------- */

static void mark(struct ftli_spare_map *map, uint32_t page)
{
    uint64_t bit = UINT64_C(1) << (page % 64);
    if ((ftli_u64_fetch_or_acq_rel(&map->words[page / 64], bit) & bit) != 0)
        return;
    (void)ftli_u32_fetch_add_acq_rel(&map->count, 1);
    if (page / 64 < ftli_u32_load_relaxed(&map->lowest))
        ftli_u32_store_relaxed(&map->lowest, page / 64);
}

/* True: it was marked, and the caller is the one who took the mark away. */
static bool unmark(struct ftli_spare_map *map, uint32_t page)
{
    uint64_t bit = UINT64_C(1) << (page % 64);
    if ((ftli_u64_fetch_and_acq_rel(&map->words[page / 64], ~bit) & bit) == 0)
        return false;
    (void)ftli_u32_fetch_add_acq_rel(&map->count, UINT32_MAX);
    return true;
}

/* A marked page of words from..to - 1, unmarked; UINT32_MAX: none. */
static uint32_t take_mark(struct ftli_spare_map *map, uint32_t from, uint32_t to)
{
    for (uint32_t word = from; word < to; word++) {
        uint64_t bits;
        while ((bits = ftli_u64_load_relaxed(&map->words[word])) != 0) {
            uint32_t page = word * 64 + (uint32_t)__builtin_ctzll(bits);
            if (!unmark(map, page))
                continue;
            ftli_u32_store_relaxed(&map->lowest, word);
            return page;
        }
    }
    return UINT32_MAX;
}

/* The lowest from the hint on; the hint may be wrong, so what lies before it is looked at before there is none. */
static uint32_t take_marked(struct ftli_spare *spare, struct ftli_spare_map *map)
{
    if (ftli_u32_load_acquire(&map->count) == 0)
        return UINT32_MAX;
    uint32_t end = (ftli_u32_load_acquire(&spare->touched) + 63) / 64, from = ftli_u32_load_relaxed(&map->lowest);
    uint32_t page = take_mark(map, from < end ? from : 0, end);
    return page != UINT32_MAX || from == 0 ? page : take_mark(map, 0, from < end ? from : end);
}

/* ---- give and take ------------------------------------------------------------------------------------------------- */

static void touch(struct ftli_spare *spare, uint32_t page)
{
    uint32_t seen = ftli_u32_load_relaxed(&spare->touched);
    while (seen <= page && !ftli_u32_cas_acq_rel(&spare->touched, &seen, page + 1))
        ;
}

/* pairs: spare-free. Who finds the page empty marks it, after the bits are in; who takes unmarks it before it takes the bits: so
 * bits without a mark are on their way to one. */
static void give_bits(struct ftli_spare *spare, uint32_t page, uint64_t bits)
{
    uint64_t before = ftli_u64_fetch_or_acq_rel(&spare->pages[page].free, bits);
    FTLI_ASSERT((before & bits) == 0, "slots %llx of page %u twice", (unsigned long long)bits, page);
    if (before == 0)
        mark(&spare->partial, page);
}

void ftli_spare_give(struct ftli_spare *spare, uint32_t slot)
{
    uint32_t page = slot / FTLI_SPARE_SLOTS;
    touch(spare, page);
    give_bits(spare, page, UINT64_C(1) << (slot % FTLI_SPARE_SLOTS));
}

void ftli_spare_retire(struct ftli_spare *spare, uint32_t slot)
{
    uint32_t page = slot / FTLI_SPARE_SLOTS;
    touch(spare, page);
    (void)ftli_u64_fetch_or_acq_rel(&spare->pages[page].retired, UINT64_C(1) << (slot % FTLI_SPARE_SLOTS));
}

static struct ftli_header *header_of(const struct ftli_spare *spare, uint32_t page, unsigned i)
{
    return (struct ftli_header *)(void *)(spare->slots + page * PAGE_BYTES) + i;
}

static uint32_t start_of(uint32_t floor, uint32_t slot)
{
    uint32_t start = floor + (slot * UINT32_C(2654435761) >> 16) % SPREAD;
    return start < FTLI_GENERATION_LAST ? start : FTLI_GENERATION_LAST;
}

/* The page was given back and is the caller's: its words are written as if it were new, but above its floor. */
static uint64_t begin_again(struct ftli_spare *spare, uint32_t page)
{
    struct ftli_spare_page *about = &spare->pages[page];
    uint64_t retired = unusable(spare, page);
    uint32_t floor = ftli_u32_load_acquire(&about->floor);
    for (unsigned i = 0; spare->generations && i < FTLI_SPARE_SLOTS; i++) {
        uint64_t word = (retired >> i & 1) != 0 ? ftli_word_make(FTLI_GENERATION_LAST, FTLI_RETIRED)
                                                : ftli_word_next_free(start_of(floor, page * FTLI_SPARE_SLOTS + i) - 1);
        ftli_u64_store_release(&header_of(spare, page, i)->word, word);
    }
    (void)ftli_u32_fetch_add_relaxed(&spare->gone_pages, UINT32_MAX);
    return ~retired;
}

uint64_t ftli_spare_take(struct ftli_spare *spare, uint32_t *first)
{
    uint32_t page;
    while ((page = take_marked(spare, &spare->partial)) != UINT32_MAX) {
        uint64_t bits = ftli_u64_exchange_acq_rel(&spare->pages[page].free, 0); /* pairs: spare-free */
        ftli_u32_store_relaxed(&spare->pages[page].seen, 0);
        *first = page * FTLI_SPARE_SLOTS;
        if (bits != 0)
            return bits;
    }
    page = take_marked(spare, &spare->gone);
    if (page == UINT32_MAX)
        return 0;
    *first = page * FTLI_SPARE_SLOTS;
    return begin_again(spare, page);
}

/* ---- the sweep ----------------------------------------------------------------------------------------------------- */

/* Where the page's generations go on, if that wastes few of them: one slot may be far ahead of its neighbours. 0: keep it. */
static uint32_t floor_of(const struct ftli_spare *spare, uint32_t page, uint64_t slots)
{
    uint64_t sum = 0;
    uint32_t most = 1, count = (uint32_t)__builtin_popcountll(slots);
    if (!spare->generations)
        return 1;
    for (uint64_t left = slots; left != 0; left &= left - 1) {
        const struct ftli_header *header = header_of(spare, page, (unsigned)__builtin_ctzll(left));
        uint32_t generation = ftli_word_generation(ftli_u64_load_acquire(&header->word));
        most = generation > most ? generation : most;
        sum += generation;
    }
    uint64_t waste = (uint64_t)most * count - sum;
    return waste <= (uint64_t)FTLI_GENERATION_LAST * FTLI_SPARE_SLOTS / WASTE_SHARE ? most : 0;
}

/* The page's slots become the sweeper's, if all are here. Then its floor says where they go on. */
static bool claim_page(struct ftli_spare *spare, uint32_t page, bool all)
{
    struct ftli_spare_page *about = &spare->pages[page];
    uint64_t free = ftli_u64_load_acquire(&about->free);
    if ((free | unusable(spare, page)) != WHOLE || ftli_u32_load_relaxed(&about->floor) == FTLI_SPARE_DEAD)
        return false;
    uint32_t seen = ftli_u32_load_relaxed(&about->seen);
    if (!all && (seen == 0 || seen == spare->pass)) {
        ftli_u32_store_relaxed(&about->seen, spare->pass);
        spare->young++;
        return false;
    }
    if (free == 0) { /* nobody has a slot of it, and nobody ever will */
        ftli_u32_store_release(&about->floor, FTLI_SPARE_DEAD);
        return true;
    }
    if (!ftli_u64_cas_acq_rel(&about->free, &free, 0)) /* pairs: spare-free */
        return false;
    (void)unmark(&spare->partial, page);
    uint32_t floor = floor_of(spare, page, free);
    if (floor == 0) {
        give_bits(spare, page, free);
        return false;
    }
    ftli_u32_store_release(&about->floor, floor);
    return true;
}

/* The memory of a run of claimed pages goes back, and they can be used again. */
static uint32_t discard(struct ftli_spare *spare, uint32_t first, uint32_t pages)
{
    bool done = pages != 0 && ftli_os_discard(spare->slots + first * PAGE_BYTES, pages * PAGE_BYTES);
    for (uint32_t page = first; page < first + pages; page++) {
        struct ftli_spare_page *about = &spare->pages[page];
        ftli_u32_store_relaxed(&about->seen, 0);
        bool dead = ftli_u32_load_relaxed(&about->floor) == FTLI_SPARE_DEAD;
        if (!done && !dead) {
            give_bits(spare, page, ~unusable(spare, page));
            continue;
        }
        (void)ftli_u32_fetch_add_relaxed(&spare->gone_pages, 1);
        if (!dead)
            mark(&spare->gone, page);
    }
    return done ? pages : 0;
}

struct ftli_spare_swept ftli_spare_sweep(struct ftli_spare *spare, uint32_t most, bool all)
{
    struct ftli_spare_swept swept = {0, false, 0};
    uint32_t run = 0;
    uint32_t end = ftli_u32_load_acquire(&spare->touched), at = spare->cursor < end ? spare->cursor : 0;
    for (; at < end && most > 0; at++, most--) {
        if (claim_page(spare, at, all)) {
            run++;
        } else {
            swept.pages += discard(spare, at - run, run);
            run = 0;
        }
        if (run == RUN_MOST) {
            swept.pages += discard(spare, at + 1 - run, run);
            run = 0;
        }
    }
    swept.pages += discard(spare, at - run, run);
    spare->cursor = at;
    if (at >= end) {
        swept.done = true;
        swept.young = spare->young;
        spare->cursor = 0;
        spare->young = 0;
        spare->pass++;
    }
    return swept;
}

/* ---- figures ------------------------------------------------------------------------------------------------------- */

bool ftli_spare_page_is_idle(const struct ftli_spare *spare, uint32_t slot)
{
    uint32_t page = slot / FTLI_SPARE_SLOTS;
    if (page >= ftli_u32_load_acquire(&spare->touched))
        return false;
    const struct ftli_spare_page *about = &spare->pages[page];
    if ((ftli_u64_load_acquire(&about->free) | unusable(spare, page)) == WHOLE)
        return true;
    return (ftli_u64_load_acquire(&spare->gone.words[page / 64]) >> (page % 64) & 1) != 0;
}

uint32_t ftli_spare_retired(const struct ftli_spare *spare)
{
    uint32_t retired = 0, end = ftli_u32_load_acquire(&spare->touched);
    for (uint32_t page = 0; page < end; page++)
        retired += (uint32_t)__builtin_popcountll(ftli_u64_load_acquire(&spare->pages[page].retired));
    return retired;
}

size_t ftli_spare_gone_bytes(const struct ftli_spare *spare)
{
    return ftli_u32_load_acquire(&spare->gone_pages) * PAGE_BYTES;
}

size_t ftli_spare_metadata_bytes(const struct ftli_spare *spare)
{
    uint32_t touched = ftli_u32_load_acquire(&spare->touched);
    return touched == 0 ? 0 : descriptors_bytes(touched) + 2 * map_bytes(touched);
}
