#include "actors/leak_detection/quota.h"

#include <stdio.h>
#include <string.h>

#include <fettle/fettle.h>

#include "actors/tracking/tracking.h"
#include "runtime/base/os.h"
#include "tensor/extension.h"
#include "tensor/header.h"
#include "tensor/label.h"

static_assert((int)FTLI_QUOTA_CELLS >= (int)FTLI_LABELS_MOST, "a sum for each label");
static_assert(FTLI_QUOTA_CELLS >= FTLI_QUOTA_SITES + 2, "a sum for each site");

static size_t round_up(size_t bytes)
{
    size_t page = ftli_os_page_bytes();
    return (bytes + page - 1) / page * page;
}

static size_t cells_bytes(void)
{
    return round_up(FTLI_QUOTA_CELLS * sizeof(struct ftli_quota_cell));
}

int ftli_quotas_init(struct ftli_quotas *quotas, const struct ftli_leak_detection_settings *settings)
{
    memset(quotas, 0, sizeof *quotas);
    if (settings == NULL)
        return FTL_OK;
    quotas->bytes[FTLI_QUOTA_LABEL] = settings->quota_label_bytes;
    quotas->bytes[FTLI_QUOTA_SITE] = settings->quota_site_bytes;
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++) {
        if (quotas->bytes[kind] == 0)
            continue;
        quotas->mark_bytes[kind] = (uint64_t)((double)quotas->bytes[kind] * settings->quota_warn);
        quotas->cells[kind] = ftli_os_reserve(cells_bytes(), ftli_os_page_bytes());
        if (quotas->cells[kind] == NULL)
            return FTL_ENOMEM;
    }
    return quotas->cells[FTLI_QUOTA_SITE] == NULL ? FTL_OK : ftli_sites_open(FTLI_QUOTA_SITES, &quotas->sites);
}

void ftli_quotas_fini(struct ftli_quotas *quotas)
{
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
        if (quotas->cells[kind] != NULL)
            ftli_os_release(quotas->cells[kind], cells_bytes());
    ftli_sites_close(quotas->sites);
    memset(quotas, 0, sizeof *quotas);
}

size_t ftli_quotas_metadata_bytes(const struct ftli_quotas *quotas)
{
    size_t bytes = quotas->sites != NULL ? ftli_sites_used_bytes(quotas->sites) : 0;
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
        bytes += quotas->cells[kind] != NULL ? cells_bytes() : 0;
    return bytes;
}

uint64_t ftli_quota_bytes(const struct ftli_quotas *quotas, enum ftli_quota_kind kind)
{
    return quotas->bytes[kind];
}

struct ftli_quota_place ftli_quota_place(const struct ftli_quotas *quotas, uint32_t label, const char *site)
{
    struct ftli_quota_place place = {{NULL, NULL}};
    if (quotas->cells[FTLI_QUOTA_LABEL] != NULL && label != 0)
        place.cells[FTLI_QUOTA_LABEL] = &quotas->cells[FTLI_QUOTA_LABEL][label];
    uint32_t number = quotas->sites != NULL ? ftli_site_of_literal(quotas->sites, site) : FTLI_SITE_UNKNOWN;
    if (number != FTLI_SITE_UNKNOWN)
        place.cells[FTLI_QUOTA_SITE] = &quotas->cells[FTLI_QUOTA_SITE][number];
    return place;
}

static void give(const struct ftli_quotas *quotas, unsigned kind, struct ftli_quota_cell *cell, uint64_t bytes)
{
    uint64_t live = ftli_u64_fetch_add_relaxed(&cell->live_bytes, 0 - bytes) - bytes, mark = quotas->mark_bytes[kind];
    if (live < mark - mark / 8 && ftli_u64_load_relaxed(&cell->told) != 0)
        ftli_u64_store_relaxed(&cell->told, 0);
}

/* The sum and its quota are one compare-and-swap: whoever would be over it changes nothing, so nobody else is refused for his
 * sake. */
static bool take(const struct ftli_quotas *quotas, unsigned kind, struct ftli_quota_cell *cell, uint64_t bytes,
                 struct ftli_quota_answer *answer)
{
    uint64_t live = ftli_u64_load_relaxed(&cell->live_bytes);
    do {
        answer->live_bytes[kind] = live;
        if (bytes > quotas->bytes[kind] || live > quotas->bytes[kind] - bytes) {
            answer->refused = (enum ftli_quota_kind)kind;
            return false;
        }
    } while (!ftli_u64_cas_acq_rel(&cell->live_bytes, &live, live + bytes));
    answer->live_bytes[kind] = live + bytes;
    return true;
}

static bool passed(const struct ftli_quotas *quotas, unsigned kind, struct ftli_quota_cell *cell, uint64_t live)
{
    uint64_t told = ftli_u64_load_relaxed(&cell->told);
    return live >= quotas->mark_bytes[kind] && told == 0 && ftli_u64_cas_acq_rel(&cell->told, &told, 1);
}

bool ftli_quota_take(const struct ftli_quotas *quotas, struct ftli_quota_place place, uint64_t bytes,
                     struct ftli_quota_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++) {
        if (place.cells[kind] == NULL || take(quotas, kind, place.cells[kind], bytes, answer))
            continue;
        for (unsigned before = 0; before < kind; before++)
            if (place.cells[before] != NULL)
                give(quotas, before, place.cells[before], bytes);
        return false;
    }
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
        answer->passed[kind] =
            place.cells[kind] != NULL && passed(quotas, kind, place.cells[kind], answer->live_bytes[kind]);
    return true;
}

void ftli_quota_give(const struct ftli_quotas *quotas, struct ftli_quota_place place, uint64_t bytes)
{
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
        if (place.cells[kind] != NULL)
            give(quotas, kind, place.cells[kind], bytes);
}

/* ---- the audit ----------------------------------------------------------------------------------------------------- */

struct sums {
    uint64_t bytes[FTLI_QUOTA_KINDS][FTLI_QUOTA_CELLS];
};

static void sum_table(const struct ftli_quotas *quotas, const struct ftli_table *table, struct sums *sums)
{
    uint32_t end = ftli_table_fresh(table);
    for (uint32_t slot = 1; slot < end; slot = ftli_table_next(table, slot, end)) {
        const struct ftli_header *header = ftli_table_header(table, slot);
        uint32_t flags = ftli_record_flags(ftli_u64_load_acquire(&header->record));
        uint32_t cold = ftli_u32_load_acquire(&header->cold);
        if (ftli_word_state(ftli_u64_load_acquire(&header->word)) != FTLI_LIVE || (flags & FTLI_HEADER_QUOTA) == 0 ||
            cold == 0)
            continue;
        const struct ftli_extension *extension = ftli_extension(table, cold);
        struct ftli_quota_place place = ftli_quota_place(quotas, ftli_u32_load_acquire(&extension->label),
                                                         ftli_pointer_load_acquire(&extension->site));
        for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
            if (place.cells[kind] != NULL)
                sums->bytes[kind][place.cells[kind] - quotas->cells[kind]] +=
                    ftli_size_bytes(ftli_u64_load_acquire(&header->size));
    }
}

static int differ(const struct ftli_quotas *quotas, const struct ftli_labels *labels, unsigned kind, uint32_t number,
                  uint64_t in_table, char *why, size_t why_bytes)
{
    char name[FTLI_SITE_TEXT_BYTES];
    if (kind == FTLI_QUOTA_LABEL)
        (void)snprintf(name, sizeof name, "%s", ftli_label_text(labels, number));
    else
        ftli_site_text(quotas->sites, number, name, sizeof name);
    (void)snprintf(why, why_bytes, "audit: quota of %s \"%s\": the table has %llu bytes, the sum says %llu",
                   kind == FTLI_QUOTA_LABEL ? "label" : "site", name, (unsigned long long)in_table,
                   (unsigned long long)ftli_u64_load_acquire(&quotas->cells[kind][number].live_bytes));
    return FTL_EINTERNAL;
}

int ftli_quotas_audit(const struct ftli_quotas *quotas, const struct ftli_table *table,
                      const struct ftli_labels *labels, char *why, size_t why_bytes)
{
    int status = FTL_OK;
    if (quotas->cells[FTLI_QUOTA_LABEL] == NULL && quotas->cells[FTLI_QUOTA_SITE] == NULL)
        return FTL_OK;
    size_t bytes = round_up(sizeof(struct sums));
    struct sums *sums = ftli_os_reserve(bytes, ftli_os_page_bytes());
    if (sums == NULL) {
        (void)snprintf(why, why_bytes, "audit: no memory to sum up the quotas");
        return FTL_ENOMEM;
    }
    sum_table(quotas, table, sums);
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
        for (uint32_t i = 0; i < FTLI_QUOTA_CELLS && quotas->cells[kind] != NULL && status == FTL_OK; i++)
            if (sums->bytes[kind][i] != ftli_u64_load_acquire(&quotas->cells[kind][i].live_bytes))
                status = differ(quotas, labels, kind, i, sums->bytes[kind][i], why, why_bytes);
    ftli_os_release(sums, bytes);
    return status;
}
