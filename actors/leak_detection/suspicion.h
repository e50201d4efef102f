/* Suspicions: what the growth pass believes of groups of tensors, for scans and reports to read.
 *
 * What      A list of at most 64, replaced as a whole. A tensor belongs to the first one that matches it.
 * Threads   Replaced by the actor, copied by anybody, under a token that is held for one copy.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_SUSPICION_H
#define FTLI_ACTORS_LEAK_DETECTION_SUSPICION_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/kernel/token.h"

struct ftli_leak_tensor;

enum { FTLI_SUSPICIONS_MOST = 64, FTLI_SUSPICION_TEXT_BYTES = 256 };

enum ftli_suspicion_kind {
    FTLI_SUSPECT_TENSORS = 0, /* that nothing but their own references holds: of label, scope label and literal site */
    FTLI_SUSPECT_SCOPES = 1,  /* open scopes of a label become more and more: their members */
    FTLI_SUSPECT_CACHE = 2,   /* members of a cache that is above its bound */
};

struct ftli_suspicion {
    enum ftli_suspicion_kind kind;
    uint32_t cause;     /* FTL_LEAK_GROWTH, FTL_LEAK_SURVIVOR */
    uint32_t certainty; /* percent */
    uint32_t label, scope_label;
    const char *site;      /* a literal of the program, or NULL */
    uint32_t site_number;  /* of a sampled one of them, 0: not known */
    uint32_t scope_slot;   /* of a cache */
    uint64_t born_from_ms; /* since the runtime opened: what is older was there before it began */
    uint64_t age_least_ms; /* what is younger may die yet */
    double bytes_per_second;
    char reason[FTLI_SUSPICION_TEXT_BYTES], fix[FTLI_SUSPICION_TEXT_BYTES];
};

struct ftli_suspicions {
    ftli_token token;
    uint32_t count;
    struct ftli_suspicion rows[FTLI_SUSPICIONS_MOST];
};

/* rows: what becomes the list. */
void ftli_suspicions_replace(struct ftli_suspicions *, const struct ftli_suspicion *rows, uint32_t count);
/* Room for FTLI_SUSPICIONS_MOST. Returns how many. */
uint32_t ftli_suspicions_copy(struct ftli_suspicions *, struct ftli_suspicion *rows);
/* The first one that it belongs to; NULL: none. Only a LIVE tensor without a cause of its own belongs to any. */
const struct ftli_suspicion *ftli_suspicion_of(const struct ftli_suspicion *rows, uint32_t count,
                                               const struct ftli_leak_tensor *);

#endif
