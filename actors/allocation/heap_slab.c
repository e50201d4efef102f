/* Slabs: slots of one size class in a span of the heap, a bit for each. The lowest slab with a free slot gives first, and
 * of it the lowest slot, so that the highest empty and can go back to the pages. */
#include "actors/allocation/heap.h"

#include <stdio.h>
#include <string.h>

#include "actors/allocation/heap_inside.h"
#include "runtime/base/os.h"

#define SLOTS_MOST    512u
#define PAGES_MOST    16u /* 64 KiB, or 8 slots of the longest classes: */
#define LONG_PAGES    64u /* 256 KiB */
#define RISE_PAGES    4u  /* what making slabs one after the other leads to */
#define CHUNK_BYTES   ((size_t)1 << 16)
#define GIVES_FROM    1024u /* bytes of a slot: below, pages of free slots alone are rare, and looking for them dear */
#define GONE_MOST     64u   /* pages of a slab that `gone` has a bit for */
#define WASTE_INVERSE 14u   /* the tail is less than a 14th (7 %) of the slab */

struct ftli_slab {
    struct ftli_slab *left, *right; /* the tree of slabs with a free slot; left: the next unused header */
    char *address;
    uint32_t number; /* of its first page */
    uint32_t pages;
    uint32_t slots, free;
    uint32_t inverse; /* 2^31 / (slot bytes / 64), rounded up */
    uint32_t slot_bytes;
    uint32_t size_class;
    uint32_t seen;                   /* slots free at the last pass that looked for pages to give back */
    uint64_t gone;                   /* bit i: the memory of page i went back; no slot in use touches it */
    uint64_t taken[SLOTS_MOST / 64]; /* bits past `slots` are set */
};
_Static_assert(sizeof(struct ftli_slab) == 128, "what a slab costs beside its pages");

struct ftli_slab_chunk {
    struct ftli_slab_chunk *next;
    size_t used_bytes; /* from the start; whole pages of it are counted as metadata */
};

/* ---- the tree of slabs with a free slot: a treap by page number ---- */

static uint32_t priority(const struct ftli_slab *slab)
{
    uint32_t x = slab->number * 0x9e3779b1u;
    return (x ^ (x >> 15)) * 0x85ebca77u;
}

static void tree_insert(struct ftli_slab **link, struct ftli_slab *slab)
{
    while (*link && priority(*link) > priority(slab)) {
        link = (*link)->number < slab->number ? &(*link)->right : &(*link)->left;
    }
    struct ftli_slab *tree = *link, **before = &slab->left, **after = &slab->right;
    *link = slab;
    while (tree) {
        if (tree->number < slab->number) {
            *before = tree;
            before = &tree->right;
            tree = tree->right;
        } else {
            *after = tree;
            after = &tree->left;
            tree = tree->left;
        }
    }
    *before = *after = NULL;
}

static void tree_remove(struct ftli_slab **link, struct ftli_slab *slab)
{
    while (*link != slab) {
        link = (*link)->number < slab->number ? &(*link)->right : &(*link)->left;
    }
    struct ftli_slab *left = slab->left, *right = slab->right;
    while (left && right) {
        if (priority(left) > priority(right)) {
            *link = left;
            link = &left->right;
            left = *link;
        } else {
            *link = right;
            link = &right->left;
            right = *link;
        }
    }
    *link = left ? left : right;
}

/* ---- headers ---- */

static struct ftli_slab *take_header(struct ftli_heap *heap)
{
    struct ftli_slab *slab = heap->slabs_unused;
    if (slab) {
        heap->slabs_unused = slab->left;
        return slab;
    }
    struct ftli_slab_chunk *chunk = heap->chunks;
    if (!chunk || chunk->used_bytes + sizeof *slab > CHUNK_BYTES) {
        chunk = ftli_os_reserve(CHUNK_BYTES, FTLI_PAGE_BYTES);
        if (!chunk) {
            return NULL;
        }
        chunk->next = heap->chunks;
        chunk->used_bytes = sizeof *chunk;
        heap->chunks = chunk;
        heap->metadata_bytes += FTLI_PAGE_BYTES;
    }
    slab = (struct ftli_slab *)(void *)((char *)chunk + chunk->used_bytes);
    size_t pages_before = (chunk->used_bytes + FTLI_PAGE_BYTES - 1) >> FTLI_PAGE_SHIFT;
    chunk->used_bytes += sizeof *slab;
    size_t pages_after = (chunk->used_bytes + FTLI_PAGE_BYTES - 1) >> FTLI_PAGE_SHIFT;
    heap->metadata_bytes += (pages_after - pages_before) << FTLI_PAGE_SHIFT;
    return slab;
}

static void give_header(struct ftli_heap *heap, struct ftli_slab *slab)
{
    slab->left = heap->slabs_unused;
    heap->slabs_unused = slab;
}

void ftli_heap_fini_slabs(struct ftli_heap *heap)
{
    for (struct ftli_slab_chunk *chunk = heap->chunks; chunk;) {
        struct ftli_slab_chunk *next = chunk->next;
        ftli_os_release(chunk, CHUNK_BYTES);
        chunk = next;
    }
    heap->chunks = NULL;
}

/* ---- slabs ---- */

/* A class that is little used holds little: its first slabs are of a page. They grow with what the class holds, and with
 * the number made lately, since making and releasing slabs in turn costs more than a spare one. Then as many pages more as a
 * short tail wants. */
static uint32_t slab_pages(const struct ftli_slab_class *class, uint32_t slot_bytes)
{
    uint64_t most = slot_bytes > 8192 ? LONG_PAGES : PAGES_MOST;
    uint64_t lately = class->made_lately / 4 < RISE_PAGES ? class->made_lately / 4 : RISE_PAGES;
    uint64_t pages = class->pages / 4 > lately ? class->pages / 4 : lately;
    pages = pages > most ? most : pages;
    uint64_t one_slot = (slot_bytes + FTLI_PAGE_BYTES - 1) >> FTLI_PAGE_SHIFT;
    uint64_t full = (uint64_t)SLOTS_MOST * slot_bytes >> FTLI_PAGE_SHIFT;
    pages = pages < one_slot ? one_slot : pages;
    pages = pages > full ? full : pages;
    while ((pages << FTLI_PAGE_SHIFT) % slot_bytes * WASTE_INVERSE > pages << FTLI_PAGE_SHIFT) {
        pages++;
    }
    return (uint32_t)pages;
}

static int make_slab(struct ftli_heap *heap, unsigned size_class, struct ftli_slab **out)
{
    struct ftli_slab_class *class = &heap->classes[size_class];
    uint32_t slot_bytes = ftli_class_bytes(size_class), pages = slab_pages(class, slot_bytes), number;
    bool zeroed;
    struct ftli_slab *slab = take_header(heap);
    if (!slab) {
        return FTL_ENOMEM;
    }
    int result = ftli_heap_take_span(heap, pages, FTLI_PAGE_BYTES, &number, &zeroed);
    if (result != FTL_OK) {
        give_header(heap, slab);
        return result;
    }
    uint32_t slots = (uint32_t)(((size_t)pages << FTLI_PAGE_SHIFT) / slot_bytes);
    *slab = (struct ftli_slab){
        .address = ftli_space_address(heap->options.space, number),
        .number = number,
        .pages = pages,
        .slots = slots,
        .free = slots,
        .inverse = (uint32_t)((((uint64_t)1 << 31) + slot_bytes / 64 - 1) / (slot_bytes / 64)),
        .slot_bytes = slot_bytes,
        .size_class = size_class,
    };
    memset(slab->taken, 0xff, sizeof slab->taken);
    for (unsigned w = 0; w * 64 < slots; w++) {
        slab->taken[w] = ~ftli_word_mask(w, 0, slots);
    }
    for (uint32_t n = number; n < number + pages; n++) {
        struct ftli_page *page = ftli_heap_page(heap, n);
        page->pages = pages & FTLI_PAGES_BITS;
        page->state = FTLI_PAGE_SLAB;
        page->slab = slab;
        ftli_heap_count_metadata(heap, n);
    }
    heap->slab_pages += pages;
    class->pages += pages;
    class->made_lately++;
    ftli_u32_add_owner(&class->slots_free, slots);
    tree_insert(&class->partial, slab);
    *out = slab;
    return FTL_OK;
}

static void release_slab(struct ftli_heap *heap, struct ftli_slab *slab)
{
    uint32_t number = slab->number, pages = slab->pages;
    for (uint32_t n = number; n < number + pages; n++) {
        ftli_heap_page(heap, n)->state = FTLI_PAGE_NONE;
    }
    ftli_heap_page(heap, number)->state = FTLI_PAGE_USED;
    heap->slab_pages -= pages;
    heap->classes[slab->size_class].pages -= pages;
    ftli_u32_add_owner(&heap->classes[slab->size_class].slots_free, -slab->slots);
    uint32_t gone = (uint32_t)__builtin_popcountll(slab->gone);
    give_header(heap, slab);
    if (gone == 0) {
        ftli_heap_give_span(heap, number, pages);
        return;
    }
    ftli_heap_page(heap, number)->state = FTLI_PAGE_NONE;
    heap->used_pages -= pages;
    heap->gone_pages -= gone;
    ftli_heap_put_free(heap, number, pages, pages - gone);
}

void ftli_heap_release_spare_slabs(struct ftli_heap *heap)
{
    for (unsigned c = 1; c < FTLI_SLOT_CLASSES; c++) {
        struct ftli_slab *spare = heap->classes[c].spare;
        heap->classes[c].made_lately /= 2;
        if (spare) {
            heap->classes[c].spare = NULL;
            release_slab(heap, spare);
        }
    }
}

/* The lowest slab with a free slot; it stays in the tree. */
static int find_slab(struct ftli_heap *heap, unsigned size_class, struct ftli_slab **out)
{
    struct ftli_slab_class *class = &heap->classes[size_class];
    struct ftli_slab *slab = class->partial;
    if (slab) {
        while (slab->left) {
            slab = slab->left;
        }
        *out = slab;
        return FTL_OK;
    }
    if (class->spare) {
        *out = class->spare;
        class->spare = NULL;
        tree_insert(&class->partial, *out);
        return FTL_OK;
    }
    return make_slab(heap, size_class, out);
}

/* ---- take and give ---- */

static unsigned take_from(struct ftli_slab *slab, void **out, unsigned n)
{
    unsigned done = 0;
    for (unsigned w = 0; done < n && w * 64 < slab->slots; w++) {
        uint64_t left = ~slab->taken[w];
        char *base = slab->address + (size_t)w * 64 * slab->slot_bytes;
        while (left && done < n) {
            out[done++] = base + (size_t)(unsigned)__builtin_ctzll(left) * slab->slot_bytes;
            left &= left - 1;
        }
        slab->taken[w] = ~left;
    }
    slab->free -= done;
    return done;
}

/* The pages of slab that a slot touches. */
static uint64_t pages_of(const struct ftli_slab *slab, uint32_t slot)
{
    unsigned first = (unsigned)((size_t)slot * slab->slot_bytes >> FTLI_PAGE_SHIFT);
    unsigned last = (unsigned)(((size_t)(slot + 1) * slab->slot_bytes - 1) >> FTLI_PAGE_SHIFT);
    return ~(uint64_t)0 >> (63 - (last - first)) << first;
}

/* The same where pages went back: those that a slot needs come back first. Fewer than asked for: the limit. */
static unsigned take_from_gone(struct ftli_heap *heap, struct ftli_slab *slab, void **out, unsigned n)
{
    unsigned done = 0;
    for (uint32_t slot = 0; done < n && slot < slab->slots; slot++) {
        uint64_t bit = (uint64_t)1 << (slot % 64);
        if (slab->taken[slot / 64] & bit) {
            continue;
        }
        uint64_t back = slab->gone & pages_of(slab, slot);
        if (back && ftli_heap_charge(heap, (uint32_t)__builtin_popcountll(back)) != FTL_OK) {
            break;
        }
        slab->gone &= ~back;
        for (; back; back &= back - 1) {
            ftli_heap_bring_back(heap, slab->number + (uint32_t)__builtin_ctzll(back));
        }
        slab->taken[slot / 64] |= bit;
        slab->free--;
        out[done++] = slab->address + (size_t)slot * slab->slot_bytes;
    }
    return done;
}

int ftli_heap_take_slots(struct ftli_heap *heap, unsigned size_class, void **out, unsigned n, unsigned *taken)
{
    if (size_class == 0 || size_class >= FTLI_SLOT_CLASSES || n == 0) {
        return FTL_EINVAL;
    }
    struct ftli_slab_class *class = &heap->classes[size_class];
    unsigned done = 0;
    while (done < n) {
        struct ftli_slab *slab;
        int result = find_slab(heap, size_class, &slab);
        if (result != FTL_OK) {
            if (done == 0) {
                return result;
            }
            break;
        }
        if (FTLI_LIKELY(slab->gone == 0)) {
            done += take_from(slab, out + done, n - done);
        } else {
            unsigned taken_here = take_from_gone(heap, slab, out + done, n - done);
            if (taken_here == 0 && done == 0) {
                return FTL_ELIMIT;
            }
            done += taken_here;
            if (slab->free != 0) { /* the limit, or all that was asked for */
                break;
            }
        }
        if (slab->free == 0) {
            tree_remove(&class->partial, slab);
        }
    }
    ftli_u32_add_owner(&class->slots_free, -done);
    heap->slab_used_bytes += (uint64_t)done * ftli_class_bytes(size_class);
    *taken = done;
    return FTL_OK;
}

uint32_t ftli_heap_slots_free(const struct ftli_heap *heap, unsigned size_class)
{
    return ftli_u32_load_relaxed(&heap->classes[size_class].slots_free);
}

int ftli_heap_give_to_slab(struct ftli_heap *heap, struct ftli_slab *slab, const char *address)
{
    size_t offset = (size_t)(address - slab->address);
    uint32_t slot = (uint32_t)((uint64_t)(offset >> 6) * slab->inverse >> 31);
    uint64_t bit = (uint64_t)1 << (slot % 64);
    if ((size_t)slot * slab->slot_bytes != offset || slot >= slab->slots || !(slab->taken[slot / 64] & bit)) {
        return FTL_EINTERNAL;
    }
    struct ftli_slab_class *class = &heap->classes[slab->size_class];
    slab->taken[slot / 64] &= ~bit;
    ftli_u32_add_owner(&class->slots_free, 1);
    heap->slab_used_bytes -= slab->slot_bytes;
    if (++slab->free == slab->slots) {
        if (slab->slots > 1) {
            tree_remove(&class->partial, slab);
        }
        if (slab->pages > PAGES_MOST || slab->gone) {
            release_slab(heap, slab);
        } else if (class->spare) { /* of two the lower one is kept */
            struct ftli_slab *higher = class->spare->number > slab->number ? class->spare : slab;
            class->spare = higher == slab ? class->spare : slab;
            release_slab(heap, higher);
        } else {
            class->spare = slab;
        }
    } else if (slab->free == 1) {
        tree_insert(&class->partial, slab);
    }
    return FTL_OK;
}

/* ---- pages of free slots alone ---- */

static uint64_t idle_pages(const struct ftli_slab *slab)
{
    uint64_t idle = ~(uint64_t)0 >> (GONE_MOST - slab->pages) & ~slab->gone;
    for (uint32_t slot = 0; slot < slab->slots && idle; slot++) {
        if (slab->taken[slot / 64] >> (slot % 64) & 1) {
            idle &= ~pages_of(slab, slot);
        }
    }
    return idle;
}

static uint64_t give_pages_back(struct ftli_heap *heap, struct ftli_slab *slab, uint64_t idle)
{
    uint64_t done = 0;
    while (idle) {
        unsigned from = (unsigned)__builtin_ctzll(idle);
        uint64_t rest = ~(idle >> from);
        unsigned pages = rest ? (unsigned)__builtin_ctzll(rest) : GONE_MOST;
        uint64_t run = ~(uint64_t)0 >> (GONE_MOST - pages) << from;
        if (ftli_heap_discard(heap, slab->number + from, pages) != 0) {
            slab->gone |= run;
            heap->gone_pages += pages;
            done += pages;
        }
        idle &= ~run;
    }
    return done << FTLI_PAGE_SHIFT;
}

/* The slab of the class that follows a number. */
static struct ftli_slab *slab_after(struct ftli_slab *tree, uint32_t number)
{
    struct ftli_slab *next = NULL;
    while (tree) {
        if (tree->number > number) {
            next = tree;
            tree = tree->left;
        } else {
            tree = tree->right;
        }
    }
    return next;
}

bool ftli_heap_purge_slabs(struct ftli_heap *heap, struct ftli_slab_cursor *cursor, uint32_t most, bool all)
{
    uint64_t bytes = 0;
    while (most > 0 && cursor->size_class < FTLI_SLOT_CLASSES) {
        struct ftli_slab *slab = ftli_class_bytes(cursor->size_class) < GIVES_FROM
                                     ? NULL
                                     : slab_after(heap->classes[cursor->size_class].partial, cursor->number);
        if (!slab) {
            cursor->size_class++;
            cursor->number = 0;
            continue;
        }
        uint64_t idle = slab->pages <= GONE_MOST ? idle_pages(slab) : 0;
        if (!all && slab->seen != slab->free) {
            cursor->young += idle != 0;
        } else if (idle) {
            bytes += give_pages_back(heap, slab, idle);
        }
        slab->seen = slab->free;
        cursor->number = slab->number;
        most--;
    }
    if (bytes && heap->options.uncharge) {
        heap->options.uncharge(heap->options.context, bytes);
    }
    cursor->bytes += bytes;
    if (cursor->size_class < FTLI_SLOT_CLASSES) {
        return false;
    }
    cursor->size_class = 0;
    return true;
}

size_t ftli_heap_block_bytes(const struct ftli_space *space, const void *address)
{
    uint64_t entry = ftli_space_entry(space, address);
    if (!ftli_entry_owner(entry)) {
        return 0;
    }
    const struct ftli_page *page =
        &ftli_entry_granule(entry)->pages[ftli_entry_number(entry, address) % FTLI_GRANULE_PAGES];
    if (page->state == FTLI_PAGE_SLAB) {
        return page->slab->slot_bytes;
    }
    return page->state == FTLI_PAGE_USED ? (size_t)page->pages << FTLI_PAGE_SHIFT : 0;
}

/* ---- the validity walk ---- */

struct slab_walk {
    char *why;
    size_t why_bytes;
    uint64_t pages, used_slots, slabs;
    uint32_t last; /* number of the slab before, in order */
};

static bool check_tree(const struct ftli_heap *heap, const struct ftli_slab *slab, unsigned size_class,
                       struct slab_walk *walk)
{
    if (!slab) {
        return true;
    }
    if (!check_tree(heap, slab->left, size_class, walk)) {
        return false;
    }
    bool heaped = (!slab->left || priority(slab->left) <= priority(slab)) &&
                  (!slab->right || priority(slab->right) <= priority(slab));
    if (slab->number <= walk->last || !heaped || slab->size_class != size_class || slab->free == 0 ||
        slab->free >= slab->slots || ftli_heap_page(heap, slab->number)->slab != slab) {
        snprintf(walk->why, walk->why_bytes, "slab at page %u of class %u: order %u < %u, free 0 < %u < %u, heaped %d",
                 slab->number, slab->size_class, walk->last, slab->number, slab->free, slab->slots, heaped);
        return false;
    }
    walk->last = slab->number;
    walk->slabs++;
    return check_tree(heap, slab->right, size_class, walk);
}

bool ftli_heap_check_slab(const struct ftli_heap *heap, const struct ftli_page *page, uint32_t number,
                          struct ftli_slab_totals *totals, char *why, size_t why_bytes)
{
    const struct ftli_slab *slab = page->slab;
    uint32_t taken = 0;
    for (unsigned w = 0; w < SLOTS_MOST / 64; w++) {
        unsigned real = slab->slots > w * 64 ? (slab->slots - w * 64 < 64 ? slab->slots - w * 64 : 64) : 0;
        uint64_t mask = real ? ~(uint64_t)0 >> (64 - real) : 0;
        taken += (uint32_t)__builtin_popcountll(slab->taken[w] & mask);
    }
    if (slab->number != number || slab->pages != page->pages || taken + slab->free != slab->slots ||
        slab->address != ftli_space_address(heap->options.space, number)) {
        snprintf(why, why_bytes, "slab at page %u: says page %u, pages %u = %u, taken %u + free %u = slots %u", number,
                 slab->number, slab->pages, page->pages, taken, slab->free, slab->slots);
        return false;
    }
    for (uint32_t i = 0; i < slab->pages; i++) {
        const struct ftli_page *each = ftli_heap_page(heap, number + i);
        if (each->state != FTLI_PAGE_SLAB || each->slab != slab) {
            snprintf(why, why_bytes, "slab at page %u: page %u of it has state %u", number, i, each->state);
            return false;
        }
    }
    uint32_t gone = (uint32_t)__builtin_popcountll(slab->gone);
    uint32_t committed = ftli_heap_count_committed(heap, number, slab->pages);
    uint64_t misplaced = 0;
    for (uint32_t i = 0; i < slab->pages && i < GONE_MOST; i++) {
        bool is_there = ftli_heap_count_committed(heap, number + i, 1) != 0;
        misplaced |= (uint64_t)(is_there == (slab->gone >> i & 1)) << i;
    }
    for (uint32_t slot = 0; slot < slab->slots && slab->gone; slot++) {
        misplaced |= (slab->taken[slot / 64] >> (slot % 64) & 1) ? slab->gone & pages_of(slab, slot) : 0;
    }
    if (committed + gone != slab->pages || misplaced) {
        snprintf(why, why_bytes, "slab at page %u: committed %u + gone %u = pages %u; pages %llx are or are not gone",
                 number, committed, gone, slab->pages, (unsigned long long)misplaced);
        return false;
    }
    totals->gone += gone;
    totals->free_slots += slab->free;
    totals->pages += slab->pages;
    totals->used_bytes += (uint64_t)taken * slab->slot_bytes;
    totals->partial += taken < slab->slots && heap->classes[slab->size_class].spare != slab;
    return true;
}

bool ftli_heap_check_slab_trees(const struct ftli_heap *heap, const struct ftli_slab_totals *totals, char *why,
                                size_t why_bytes)
{
    struct slab_walk walk = {.why = why, .why_bytes = why_bytes};
    uint64_t pages = 0, free_slots = 0;
    for (unsigned c = 1; c < FTLI_SLOT_CLASSES; c++) {
        walk.last = 0;
        if (!check_tree(heap, heap->classes[c].partial, c, &walk)) {
            return false;
        }
        pages += heap->classes[c].pages;
        free_slots += ftli_heap_slots_free(heap, c);
    }
    if (free_slots != totals->free_slots) {
        snprintf(why, why_bytes, "free slots: counted by class %llu, walked %llu", (unsigned long long)free_slots,
                 (unsigned long long)totals->free_slots);
        return false;
    }
    uint64_t headers = totals->header_bytes;
    for (const struct ftli_slab_chunk *chunk = heap->chunks; chunk; chunk = chunk->next) {
        headers += (chunk->used_bytes + FTLI_PAGE_BYTES - 1) & ~(FTLI_PAGE_BYTES - 1);
    }
    if (headers != heap->metadata_bytes) {
        snprintf(why, why_bytes, "metadata: counted %llu, descriptors and slab headers %llu",
                 (unsigned long long)heap->metadata_bytes, (unsigned long long)headers);
        return false;
    }
    if (walk.slabs != totals->partial || pages != totals->pages || heap->slab_pages != totals->pages ||
        heap->slab_used_bytes != totals->used_bytes) {
        snprintf(why, why_bytes,
                 "slabs: in the trees %llu, partial %llu; pages by class %llu, counted %llu, walked %llu; "
                 "used bytes counted %llu, walked %llu",
                 (unsigned long long)walk.slabs, (unsigned long long)totals->partial, (unsigned long long)pages,
                 (unsigned long long)heap->slab_pages, (unsigned long long)totals->pages,
                 (unsigned long long)heap->slab_used_bytes, (unsigned long long)totals->used_bytes);
        return false;
    }
    return true;
}
