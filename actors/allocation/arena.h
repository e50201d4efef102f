/* Arenas: a device's address space, and what is known of each page of it.
 *
 * What       A space reserves arenas (multiples of 2 MiB granules) and numbers their pages: a page's number leads to its
 *            descriptor and back to its address, an address to its granule and to the heap that owns it, all in O(1).
 *            Lower numbers were reserved earlier; "lowest first" means lowest page number.
 * Owns       The arenas, the descriptors, and the map from address to granule. All of it goes back to the OS in fini.
 * Threads    One thread at a time grows a space (the holder of the device heap's token). The lookups may be done by any
 *            thread for an address that was handed to it. A granule's descriptors belong to the heap that owns it.
 * Invariant  map(address).granule->address == address rounded down to 2 MiB, for every address inside an arena.
 */
#ifndef FTLI_ACTORS_ALLOCATION_ARENA_H
#define FTLI_ACTORS_ALLOCATION_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/atomics.h"

#define FTLI_PAGE_SHIFT    12
#define FTLI_PAGE_BYTES    ((size_t)1 << FTLI_PAGE_SHIFT)
#define FTLI_GRANULE_SHIFT 21
#define FTLI_GRANULE_BYTES ((size_t)1 << FTLI_GRANULE_SHIFT)
#define FTLI_GRANULE_PAGES 512u

enum ftli_page_state {
    FTLI_PAGE_NONE = 0,  /* inside a span, or never used */
    FTLI_PAGE_FREE,      /* first page of a free span in the index */
    FTLI_PAGE_FREE_TAIL, /* last page of a free span of two pages or more */
    FTLI_PAGE_QUICK,     /* first page of a span that was freed just now and is not merged yet */
    FTLI_PAGE_USED,      /* first page of a span that was taken */
    FTLI_PAGE_SLAB,      /* a page of a slab; `slab` says which */
};

/* What is known of a page; `pages` holds in the first page of a span and in the last of a free one. */
struct ftli_page {
    uint32_t pages : 28; /* of the span */
    uint32_t state : 4;
    uint32_t committed; /* FREE: how many of its pages are committed; QUICK: the next of its length */
    union {
        struct {
            uint32_t left, right; /* FREE: the index's tree, page numbers, 0: none */
        };
        struct ftli_slab *slab; /* SLAB */
    };
};
_Static_assert(sizeof(struct ftli_page) == 16, "a descriptor costs 0.4 % of its page");

/* 2 MiB: the unit of ownership and of huge pages. */
struct ftli_granule {
    uint64_t written[FTLI_GRANULE_PAGES / 64]; /* pages handed out since they were last purged: not known to be zero */
    char *address;
    uint32_t number;    /* of its first page */
    uint16_t committed; /* pages: as many as are written; with `huge` all or none */
    bool huge;          /* advised: committed and purged only whole */
    bool counted;       /* its descriptors are in metadata_bytes */
    uint64_t unused[6];
    struct ftli_page pages[FTLI_GRANULE_PAGES];
};
_Static_assert(sizeof(struct ftli_granule) == 128 + 512 * 16, "the header is two cache lines");

struct ftli_arena;

struct ftli_space {
    ftli_atomic_pointer *root;      /* address >> 34 -> leaf; leaf: (address >> 21) & 8191 -> entry */
    struct ftli_granule **granules; /* number >> 9 -> granule, or NULL */
    struct ftli_arena *arenas;      /* newest first */
    size_t arena_bytes;             /* step */
    size_t reserved_bytes;          /* sum of the arenas */
    size_t metadata_bytes;          /* of descriptors and map, what may be resident */
    uint32_t granules_used;         /* next number >> 9; 0 is never used */
    uint32_t granules_most;
    char *hint; /* where the next arena would continue the last */
};

#endif
