/* The table: buckets that name a site, and the sites in the order in which they came.
 *
 * A bucket is 0, or the upper half of a hash and the number of a site; it is set once, by compare-and-swap. Who puts a site in fills it
 * before, under a number that nobody else has. If another was first with the same site, or the bucket, the number is kept for the
 * next one that comes. */
#include "actors/tracking/site.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <fettle/fettle.h>

#include "actors/tracking/modules.h"
#include "actors/tracking/timeline.h"
#include "runtime/base/os.h"
#include "tensor/header.h"

struct site {
    ftli_atomic_u32 ready; /* pairs: site-ready */
    uint32_t count;        /* of frames; 0: a text */
    uint64_t hash;
    union {
        uintptr_t frames[FTLI_SITE_FRAMES_MOST];
        char text[FTLI_SITE_TEXT_BYTES];
    };
};

struct cells {
    FTLI_ALIGNED(64) ftli_atomic_u64 created;
    ftli_atomic_u64 created_bytes, dropped_bytes;
    ftli_atomic_u64 lifetimes[FTLI_SITE_LIFETIMES];
};

struct ftli_sites {
    uint32_t end;         /* numbers are below it: 2 more than were asked for */
    uint32_t bucket_mask; /* buckets less one */
    size_t bytes;         /* of the reservation */
    ftli_atomic_u64 *buckets;
    struct site *sites;
    struct cells *cells;
    struct ftli_timeline *timelines;
    FTLI_ALIGNED(64) ftli_atomic_u32 fresh; /* the next number; beyond `end` when the table is full */
    ftli_atomic_u32 kept;                   /* a number that came back; 0: none */
    ftli_atomic_u64 refused;
};

static_assert(FTLI_SITES_MOST == FTLI_RECORD_SITE, "a number fits a record");

/* ---- opening ------------------------------------------------------------------------------------------------------------ */

static size_t pages(size_t bytes)
{
    size_t page = ftli_os_page_bytes();
    return (bytes + page - 1) / page * page;
}

int ftli_sites_open(uint32_t most, struct ftli_sites **out)
{
    uint32_t end = most < FTLI_SITES_MOST - 1 ? most + 2 : FTLI_SITES_MOST + 1;
    uint32_t buckets = 16;
    while (buckets < 2 * end)
        buckets *= 2;
    size_t at_buckets = pages(sizeof(struct ftli_sites));
    size_t at_sites = at_buckets + pages(buckets * sizeof(ftli_atomic_u64));
    size_t at_cells = at_sites + pages(end * sizeof(struct site));
    size_t at_timelines = at_cells + pages(end * sizeof(struct cells));
    size_t bytes = at_timelines + pages(end * sizeof(struct ftli_timeline));
    char *at = ftli_os_reserve(bytes, ftli_os_page_bytes());
    if (at == NULL)
        return FTL_ENOMEM;
    struct ftli_sites *sites = (struct ftli_sites *)(void *)at;
    sites->end = end;
    sites->bucket_mask = buckets - 1;
    sites->bytes = bytes;
    sites->buckets = (ftli_atomic_u64 *)(void *)(at + at_buckets);
    sites->sites = (struct site *)(void *)(at + at_sites);
    sites->cells = (struct cells *)(void *)(at + at_cells);
    sites->timelines = (struct ftli_timeline *)(void *)(at + at_timelines);
    ftli_u32_store_relaxed(&sites->fresh, 2);
    static const char other[] = "(other)";
    memcpy(sites->sites[FTLI_SITE_OTHER].text, other, sizeof other);
    ftli_u32_store_release(&sites->sites[FTLI_SITE_UNKNOWN].ready, 1);
    ftli_u32_store_release(&sites->sites[FTLI_SITE_OTHER].ready, 1);
    *out = sites;
    return FTL_OK;
}

void ftli_sites_close(struct ftli_sites *sites)
{
    if (sites != NULL)
        ftli_os_release(sites, sites->bytes);
}

/* ---- finding ------------------------------------------------------------------------------------------------------------ */

/* What is looked for. */
struct wanted {
    const void *from;
    size_t bytes;
    uint32_t count; /* of frames; 0: a text */
    uint64_t hash;
};

/* Words of eight bytes each, the last one filled up with zeros (Murmur's finalizer, over each and what came before). */
static uint64_t hash_of(const void *from, size_t bytes, uint32_t count)
{
    const char *at = from;
    uint64_t hash = count + UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t word = 0;
        memcpy(&word, at + i, bytes - i < 8 ? bytes - i : 8);
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
    }
    hash *= UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 29;
}

static bool is_it(const struct site *site, const struct wanted *wanted)
{
    if (site->hash != wanted->hash || site->count != wanted->count)
        return false;
    return memcmp(site->text, wanted->from, wanted->bytes) == 0 &&
           (wanted->count != 0 || wanted->bytes == FTLI_SITE_TEXT_BYTES - 1 || site->text[wanted->bytes] == '\0');
}

/* Where it is, or where it would be put: *bucket is empty then, and 0 is returned. Half of the buckets are always empty. */
static uint32_t find(const struct ftli_sites *sites, const struct wanted *wanted, uint32_t *bucket)
{
    uint32_t tag = (uint32_t)(wanted->hash >> 32);
    for (uint32_t i = (uint32_t)wanted->hash & sites->bucket_mask;; i = (i + 1) & sites->bucket_mask) {
        uint64_t entry = ftli_u64_load_acquire(&sites->buckets[i]); /* pairs: site-bucket */
        if (entry == 0) {
            *bucket = i;
            return 0;
        }
        uint32_t number = (uint32_t)entry;
        if ((uint32_t)(entry >> 32) == tag && is_it(&sites->sites[number], wanted))
            return number;
    }
}

/* A number that nobody has; 0: the table is full. */
static uint32_t take_number(struct ftli_sites *sites)
{
    uint32_t number = ftli_u32_exchange_acq_rel(&sites->kept, 0); /* pairs: site-kept */
    if (number != 0)
        return number;
    if (ftli_u32_load_relaxed(&sites->fresh) >= sites->end)
        return 0;
    number = ftli_u32_fetch_add_relaxed(&sites->fresh, 1);
    return number < sites->end ? number : 0;
}

static void fill(struct site *site, const struct wanted *wanted)
{
    memset(site->text, 0, sizeof site->text);
    memcpy(site->text, wanted->from, wanted->bytes);
    site->count = wanted->count;
    site->hash = wanted->hash;
}

static uint32_t put(struct ftli_sites *sites, const struct wanted *wanted)
{
    uint32_t bucket, mine = 0;
    for (;;) {
        uint32_t number = find(sites, wanted, &bucket);
        if (number != 0) {
            if (mine != 0) /* one that is kept already is lost: no more than one for each thread that meets another */
                ftli_u32_store_release(&sites->kept, mine); /* pairs: site-kept */
            return number;
        }
        if (mine == 0) {
            mine = take_number(sites);
            if (mine == 0) {
                (void)ftli_u64_fetch_add_relaxed(&sites->refused, 1);
                return FTLI_SITE_OTHER;
            }
            fill(&sites->sites[mine], wanted);
        }
        uint64_t empty = 0, entry = wanted->hash >> 32 << 32 | mine;
        if (ftli_u64_cas_acq_rel(&sites->buckets[bucket], &empty, entry)) { /* pairs: site-bucket */
            ftli_u32_store_release(&sites->sites[mine].ready, 1);           /* pairs: site-ready */
            return mine;
        }
    }
}

static struct wanted want_stack(const uintptr_t *frames, unsigned count)
{
    if (count > FTLI_SITE_FRAMES_MOST)
        count = FTLI_SITE_FRAMES_MOST;
    size_t bytes = count * sizeof *frames;
    return (struct wanted){frames, bytes, count, hash_of(frames, bytes, count)};
}

uint32_t ftli_site_of_stack(struct ftli_sites *sites, const uintptr_t *frames, unsigned count)
{
    if (sites == NULL || count == 0)
        return FTLI_SITE_UNKNOWN;
    struct wanted wanted = want_stack(frames, count);
    return put(sites, &wanted);
}

uint32_t ftli_site_find_stack(const struct ftli_sites *sites, const uintptr_t *frames, unsigned count)
{
    uint32_t bucket;
    if (sites == NULL || count == 0)
        return FTLI_SITE_UNKNOWN;
    struct wanted wanted = want_stack(frames, count);
    return find(sites, &wanted, &bucket);
}

uint32_t ftli_site_of_literal(struct ftli_sites *sites, const char *literal)
{
    if (sites == NULL || literal == NULL || literal[0] == '\0')
        return FTLI_SITE_UNKNOWN;
    size_t length = strlen(literal), most = FTLI_SITE_TEXT_BYTES - 1;
    if (length > most) {
        literal += length - most;
        length = most;
    }
    struct wanted wanted = {literal, length, 0, hash_of(literal, length, 0)};
    return put(sites, &wanted);
}

/* ---- figures ------------------------------------------------------------------------------------------------------------ */

unsigned ftli_site_lifetime_bucket(uint32_t lived_ms)
{
    unsigned bucket = lived_ms == 0 ? 0 : 32 - (unsigned)__builtin_clz(lived_ms);
    return bucket < FTLI_SITE_LIFETIMES ? bucket : FTLI_SITE_LIFETIMES - 1;
}

uint64_t ftli_site_lifetime_from_ms(unsigned bucket)
{
    return bucket == 0 ? 0 : UINT64_C(1) << (bucket - 1);
}

static struct cells *cells_of(const struct ftli_sites *sites, uint32_t site)
{
    return &sites->cells[site < sites->end ? site : FTLI_SITE_UNKNOWN];
}

void ftli_site_born(struct ftli_sites *sites, uint32_t site, uint32_t weight, uint64_t bytes)
{
    if (sites == NULL)
        return;
    struct cells *cells = cells_of(sites, site);
    (void)ftli_u64_fetch_add_relaxed(&cells->created, weight);
    (void)ftli_u64_fetch_add_relaxed(&cells->created_bytes, weight * bytes);
}

void ftli_site_died(struct ftli_sites *sites, uint32_t site, uint32_t weight, uint64_t bytes, uint32_t lived_ms)
{
    if (sites == NULL)
        return;
    struct cells *cells = cells_of(sites, site);
    (void)ftli_u64_fetch_add_relaxed(&cells->lifetimes[ftli_site_lifetime_bucket(lived_ms)], weight);
    (void)ftli_u64_fetch_add_relaxed(&cells->dropped_bytes, weight * bytes);
}

/* Ends before births, so that none is dropped that was not made: who sees a death counted may not see its birth counted yet, and
 * waits for nobody; so the difference may be wrong by those under way, and readers take what is below 0 for 0. */
void ftli_site_figures(const struct ftli_sites *sites, uint32_t site, struct ftli_site_figures *out)
{
    struct ftli_site_figures figures = {0};
    if (sites != NULL && site < sites->end) {
        const struct cells *cells = &sites->cells[site];
        for (unsigned i = 0; i < FTLI_SITE_LIFETIMES; i++)
            figures.dropped += figures.lifetimes[i] = ftli_u64_load_acquire(&cells->lifetimes[i]);
        figures.dropped_bytes = ftli_u64_load_acquire(&cells->dropped_bytes);
        figures.created = ftli_u64_load_acquire(&cells->created);
        figures.created_bytes = ftli_u64_load_acquire(&cells->created_bytes);
    }
    *out = figures;
}

/* ---- over time ---------------------------------------------------------------------------------------------------------- */

struct ftli_timeline *ftli_site_timeline(struct ftli_sites *sites, uint32_t site)
{
    return site < ftli_sites_end(sites) ? &sites->timelines[site] : NULL;
}

void ftli_sites_look(struct ftli_sites *sites, uint32_t *next, uint32_t most, uint64_t now_ms)
{
    uint32_t end = ftli_sites_end(sites), site = *next;
    for (; site < end && most > 0; site++, most--) {
        const struct cells *cells = &sites->cells[site];
        uint64_t dropped = ftli_u64_load_relaxed(&cells->dropped_bytes);
        uint64_t created = ftli_u64_load_relaxed(&cells->created_bytes);
        uint64_t alive = created > dropped ? (created - dropped) / FTLI_WEIGHT_ONE : 0;
        if (created != 0)
            ftli_timeline_add(&sites->timelines[site], now_ms, alive);
    }
    *next = site < end ? site : 0;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

uint32_t ftli_sites_end(const struct ftli_sites *sites)
{
    if (sites == NULL)
        return 0;
    uint32_t fresh = ftli_u32_load_acquire(&sites->fresh);
    return fresh < sites->end ? fresh : sites->end;
}

bool ftli_site_read(const struct ftli_sites *sites, uint32_t site, struct ftli_site_view *out)
{
    if (site >= ftli_sites_end(sites) || ftli_u32_load_acquire(&sites->sites[site].ready) == 0) /* pairs: site-ready */
        return false;
    const struct site *at = &sites->sites[site];
    *out = (struct ftli_site_view){.frames = at->frames, .count = at->count};
    if (at->count == 0 && site != FTLI_SITE_UNKNOWN)
        out->literal = at->text;
    return true;
}

void ftli_site_text(const struct ftli_sites *sites, uint32_t site, char *text, size_t bytes)
{
    struct ftli_site_view view;
    if (site == FTLI_SITE_UNKNOWN || !ftli_site_read(sites, site, &view))
        (void)snprintf(text, bytes, "(unknown)");
    else if (view.literal != NULL)
        (void)snprintf(text, bytes, "%s", view.literal);
    else
        ftli_module_text(view.frames[0], text, bytes);
}

uint64_t ftli_sites_refused(const struct ftli_sites *sites)
{
    return sites == NULL ? 0 : ftli_u64_load_relaxed(&sites->refused);
}

size_t ftli_sites_used_bytes(const struct ftli_sites *sites)
{
    if (sites == NULL)
        return 0;
    size_t each = sizeof(struct site) + sizeof(struct cells) + sizeof(struct ftli_timeline);
    return pages(sizeof *sites) + pages((sites->bucket_mask + (size_t)1) * sizeof(ftli_atomic_u64)) +
           pages(ftli_sites_end(sites) * each);
}
