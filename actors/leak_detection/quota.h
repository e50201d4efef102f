/* Quotas: how many bytes the live tensors of one label, or of one site, may be together.
 *
 * What      A sum for each label and each literal site, kept only where the topology has a quota for that kind. A new reserves its
 *           bytes by compare-and-swap before the tensor is made, so a sum is never over its quota, whatever runs beside; what
 *           leaves LIVE takes them out. At rest a sum is exactly the bytes of the live tensors of that label or site.
 * Setting   A quota may be set, changed or taken away while it runs. Set where there was none, it counts what is made from then on:
 *           a tensor's record says in which sums it is.
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
#include "runtime/kernel/token.h"

enum ftli_quota_kind { FTLI_QUOTA_LABEL, FTLI_QUOTA_SITE, FTLI_QUOTA_KINDS };
enum { FTLI_QUOTA_FLAGS_SHIFT = 10 /* of a record's flags QUOTA: one for each kind */ };
enum { FTLI_QUOTA_SITES = 4094 /* besides the two that every table has */, FTLI_QUOTA_CELLS = 4096 };

struct ftli_quota_cell {
    ftli_atomic_u64 live_bytes;
    ftli_atomic_u64 told; /* 1: it was told that it is over the mark */
};

struct ftli_sites;
struct ftli_table;

struct ftli_quotas {
    ftli_atomic_pointer
        cells[FTLI_QUOTA_KINDS];             /* NULL: that kind was never set, and is not counted. pairs: quota-on */
    ftli_atomic_pointer sites;               /* there before the cells of sites */
    ftli_atomic_u64 bytes[FTLI_QUOTA_KINDS]; /* 0: none; it is counted all the same */
    ftli_atomic_u64 mark_bytes[FTLI_QUOTA_KINDS];
    ftli_token setting; /* over warn, and the making of cells */
    double warn;
};

/* settings may be NULL: no quotas. FTL_ENOMEM. */
int ftli_quotas_init(struct ftli_quotas *, const struct ftli_leak_detection_settings *);
void ftli_quotas_fini(struct ftli_quotas *);
size_t ftli_quotas_metadata_bytes(const struct ftli_quotas *);

FTLI_INLINE bool ftli_quota_is_on(const struct ftli_quotas *quotas, enum ftli_quota_kind kind)
{
    return ftli_pointer_load_acquire(&quotas->cells[kind]) != NULL; /* pairs: quota-on */
}
uint64_t ftli_quota_bytes(const struct ftli_quotas *, enum ftli_quota_kind);
/* 0: none. FTL_ENOMEM; FTL_EBUSY: another thread is setting. */
int ftli_quotas_set(struct ftli_quotas *, enum ftli_quota_kind, uint64_t bytes);
int ftli_quotas_set_warn(struct ftli_quotas *, double share);

/* Which sums a tensor is in; NULL where there is none. */
struct ftli_quota_place {
    struct ftli_quota_cell *cells[FTLI_QUOTA_KINDS];
};
/* flags: FTLI_HEADER_QUOTA, or those of its record; a kind whose flag is not in them is left out. site may be NULL. */
struct ftli_quota_place ftli_quota_place(const struct ftli_quotas *, uint32_t flags, uint32_t label, const char *site);
uint32_t ftli_quota_flags(const struct ftli_quota_place *); /* for the record */

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
