/* Quotas: how many bytes the live tensors of one label, or of one site, may be together.
 *
 * What      A sum for each label and each literal site, kept only where the topology has a quota for that kind. A new reserves its
 *           bytes by compare-and-swap before the tensor is made, so a sum is never over its quota, whatever runs beside; what
 *           leaves LIVE takes them out. At rest a sum is exactly the bytes of the live tensors of that label or site.
 * Owns      An array of sums a kind, of which only what is used is resident, and the numbers of the sites.
 * Threads   Any. Taking: lock-free. Giving back: wait-free but for the look-up of a site, and async-signal-safe.
 * "(other)" The labels and sites that no longer fit their tables are one, with one quota.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_QUOTA_H
#define FTLI_ACTORS_LEAK_DETECTION_QUOTA_H

#include <stdbool.h>
#include <stddef.h>

#include "actors/leak_detection/settings.h"
#include "runtime/base/atomics.h"

enum ftli_quota_kind { FTLI_QUOTA_LABEL, FTLI_QUOTA_SITE, FTLI_QUOTA_KINDS };
enum { FTLI_QUOTA_SITES = 4094 /* besides the two that every table has */, FTLI_QUOTA_CELLS = 4096 };

struct ftli_quota_cell {
    ftli_atomic_u64 live_bytes;
    ftli_atomic_u64 told; /* 1: it was told that it is over the mark */
};

struct ftli_sites;
struct ftli_table;

struct ftli_quotas {
    struct ftli_quota_cell *cells[FTLI_QUOTA_KINDS]; /* NULL: no quota for that kind */
    uint64_t bytes[FTLI_QUOTA_KINDS], mark_bytes[FTLI_QUOTA_KINDS];
    struct ftli_sites *sites;
};

/* settings may be NULL: no quotas. FTL_ENOMEM. */
int ftli_quotas_init(struct ftli_quotas *, const struct ftli_leak_detection_settings *);
void ftli_quotas_fini(struct ftli_quotas *);
size_t ftli_quotas_metadata_bytes(const struct ftli_quotas *);

FTLI_INLINE bool ftli_quota_is_on(const struct ftli_quotas *quotas, enum ftli_quota_kind kind)
{
    return quotas->cells[kind] != NULL;
}
uint64_t ftli_quota_bytes(const struct ftli_quotas *, enum ftli_quota_kind);

/* Which sums a tensor is in; NULL where there is none. site may be NULL. */
struct ftli_quota_place {
    struct ftli_quota_cell *cells[FTLI_QUOTA_KINDS];
};
struct ftli_quota_place ftli_quota_place(const struct ftli_quotas *, uint32_t label, const char *site);

struct ftli_quota_answer {
    enum ftli_quota_kind refused;          /* if it was */
    uint64_t live_bytes[FTLI_QUOTA_KINDS]; /* after; of `refused`: what is there */
    bool passed[FTLI_QUOTA_KINDS];         /* its mark: true once, and again after it was an eighth below */
};
/* False: it would be over a quota, and nothing was taken. */
bool ftli_quota_take(const struct ftli_quotas *, struct ftli_quota_place, uint64_t bytes, struct ftli_quota_answer *);
void ftli_quota_give(const struct ftli_quotas *, struct ftli_quota_place, uint64_t bytes);

/* At rest: the sums against a walk of the table. FTL_OK; FTL_EINTERNAL and which of them, with the values; FTL_ENOMEM. */
struct ftli_labels;
int ftli_quotas_audit(const struct ftli_quotas *, const struct ftli_table *, const struct ftli_labels *, char *why,
                      size_t why_bytes);

#endif
