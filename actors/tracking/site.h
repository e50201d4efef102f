/* The table of sites: where tensors are made, and how much each place has made and dropped.
 *
 * What      A site is a text that the program gave (options.site) or a stack of up to 16 return addresses. The same text or stack
 *           has the same number. 0: not known; 1: "(other)", which all get that come when the table is full.
 * Owns      One reservation of address space, of which only what is used is resident. Sites are never taken out: a number is good
 *           until the table is closed.
 * Threads   Any. Insertion is lock-free and allocates nothing; figures are sums by fetch-and-add, so nothing is lost and what was made
 *           less what was dropped is alive, exactly in the weights of the sampled tensors. ftli_site_died is async-signal-safe.
 * Weights   Fortieths, as in the record of a header (tensor/header.h): divide sums by FTLI_WEIGHT_ONE.
 */
#ifndef FTLI_ACTORS_TRACKING_SITE_H
#define FTLI_ACTORS_TRACKING_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/atomics.h"

#define FTLI_SITE_UNKNOWN     0u
#define FTLI_SITE_OTHER       1u
#define FTLI_SITES_MOST       1048575u /* 20 bits */
#define FTLI_SITE_FRAMES_MOST 16
#define FTLI_SITE_TEXT_BYTES  (FTLI_SITE_FRAMES_MOST * sizeof(uintptr_t)) /* of a longer one its end */

/* Lifetimes: bucket 0 is under a millisecond, bucket k from 2^(k-1) ms to under 2^k. The last is open. */
#define FTLI_SITE_LIFETIMES 32

struct ftli_sites;
struct ftli_timeline;

struct ftli_site_view {
    const char *literal; /* NULL: a stack */
    const uintptr_t *frames;
    unsigned count; /* of frames, the innermost first; return addresses */
};

/* In fortieths; each of them only grows. */
struct ftli_site_figures {
    uint64_t created, created_bytes;
    uint64_t dropped, dropped_bytes;
    uint64_t lifetimes[FTLI_SITE_LIFETIMES]; /* of the dropped; they sum to `dropped` */
};

/* `most` sites besides the two that every table has. FTL_ENOMEM. */
int ftli_sites_open(uint32_t most, struct ftli_sites **out);
void ftli_sites_close(struct ftli_sites *); /* NULL: nothing */

/* NULL as the table: 0. */
uint32_t ftli_site_of_literal(struct ftli_sites *, const char *literal);
uint32_t ftli_site_of_stack(struct ftli_sites *, const uintptr_t *frames, unsigned count);
/* Without putting it in; 0: it is not there. */
uint32_t ftli_site_find_stack(const struct ftli_sites *, const uintptr_t *frames, unsigned count);

/* A sampled tensor is born or dropped; a number that is no site counts as unknown. */
void ftli_site_born(struct ftli_sites *, uint32_t site, uint32_t weight, uint64_t bytes);
void ftli_site_died(struct ftli_sites *, uint32_t site, uint32_t weight, uint64_t bytes, uint32_t lived_ms);

/* Numbers of sites are below this; it grows. */
uint32_t ftli_sites_end(const struct ftli_sites *);
/* False: there is no such site, or its first tensor is being made at this moment. Site 0 has neither text nor frames. */
bool ftli_site_read(const struct ftli_sites *, uint32_t site, struct ftli_site_view *out);
/* The literal, or "module+0x12ab" of the innermost frame. */
void ftli_site_text(const struct ftli_sites *, uint32_t site, char *text, size_t bytes);
void ftli_site_figures(const struct ftli_sites *, uint32_t site, struct ftli_site_figures *out);

unsigned ftli_site_lifetime_bucket(uint32_t lived_ms);
uint64_t ftli_site_lifetime_from_ms(unsigned bucket); /* and up to under that of the next */

/* Bytes alive over time; NULL: no such site. Whoever holds the tracking's token. */
struct ftli_timeline *ftli_site_timeline(struct ftli_sites *, uint32_t site);
/* A look at the sites from *next on, `most` at most: their timelines get what is alive now. *next is 0 again after the last site. The
 * same. */
void ftli_sites_look(struct ftli_sites *, uint32_t *next, uint32_t most, uint64_t now_ms);

uint64_t ftli_sites_refused(const struct ftli_sites *);  /* tensors that became "(other)" */
size_t ftli_sites_used_bytes(const struct ftli_sites *); /* that may be resident */

#endif
