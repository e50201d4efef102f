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
static_assert(FTLI_HEADER_QUOTA == 3 << FTLI_QUOTA_FLAGS_SHIFT && FTLI_QUOTA_KINDS == 2, "a flag for each kind");

static size_t round_up(size_t bytes)
{
    size_t page = ftli_os_page_bytes();
    return (bytes + page - 1) / page * page;
}

static size_t cells_bytes(void)
{
    return round_up(FTLI_QUOTA_CELLS * sizeof(struct ftli_quota_cell));
}

/* With the token, or before anybody else sees it. */
static void put_mark(struct ftli_quotas *quotas, unsigned kind)
{
    uint64_t bytes = ftli_u64_load_relaxed(&quotas->bytes[kind]);
    ftli_u64_store_relaxed(&quotas->mark_bytes[kind],
                           bytes == 0 ? UINT64_MAX : (uint64_t)((double)bytes * quotas->warn));
}

static int begin_counting(struct ftli_quotas *quotas, enum ftli_quota_kind kind)
{
    struct ftli_quota_cell *cells = ftli_os_reserve(cells_bytes(), ftli_os_page_bytes());
    struct ftli_sites *sites = NULL;
    if (cells == NULL)
        return FTL_ENOMEM;
    if (kind == FTLI_QUOTA_SITE && ftli_sites_open(FTLI_QUOTA_SITES, &sites) != FTL_OK) {
        ftli_os_release(cells, cells_bytes());
        return FTL_ENOMEM;
    }
    if (sites != NULL)
        ftli_pointer_store_release(&quotas->sites, sites);
    ftli_pointer_store_release(&quotas->cells[kind], cells); /* pairs: quota-on */
    return FTL_OK;
}

static int set(struct ftli_quotas *quotas, enum ftli_quota_kind kind, uint64_t bytes)
{
    ftli_u64_store_relaxed(&quotas->bytes[kind], bytes);
    put_mark(quotas, kind);
    return bytes == 0 || ftli_quota_is_on(quotas, kind) ? FTL_OK : begin_counting(quotas, kind);
}

int ftli_quotas_init(struct ftli_quotas *quotas, const struct ftli_leak_detection_settings *settings)
{
    memset(quotas, 0, sizeof *quotas);
    if (settings == NULL)
        return FTL_OK;
    quotas->warn = settings->quota_warn;
    int status = set(quotas, FTLI_QUOTA_LABEL, settings->quota_label_bytes);
    return status == FTL_OK ? set(quotas, FTLI_QUOTA_SITE, settings->quota_site_bytes) : status;
}

int ftli_quotas_set(struct ftli_quotas *quotas, enum ftli_quota_kind kind, uint64_t bytes)
{
    if (!ftli_token_try_take(&quotas->setting))
        return FTL_EBUSY;
    int status = set(quotas, kind, bytes);
    ftli_token_release(&quotas->setting);
    return status;
}

int ftli_quotas_set_warn(struct ftli_quotas *quotas, double share)
{
    if (!ftli_token_try_take(&quotas->setting))
        return FTL_EBUSY;
    quotas->warn = share;
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
        put_mark(quotas, kind);
    ftli_token_release(&quotas->setting);
    return FTL_OK;
}

void ftli_quotas_fini(struct ftli_quotas *quotas)
{
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
        if (ftli_quota_is_on(quotas, (enum ftli_quota_kind)kind))
            ftli_os_release(ftli_pointer_load_acquire(&quotas->cells[kind]), cells_bytes());
    ftli_sites_close(ftli_pointer_load_acquire(&quotas->sites));
    memset(quotas, 0, sizeof *quotas);
}

size_t ftli_quotas_metadata_bytes(const struct ftli_quotas *quotas)
{
    const struct ftli_sites *sites = ftli_pointer_load_acquire(&quotas->sites);
    size_t bytes = sites != NULL ? ftli_sites_used_bytes(sites) : 0;
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
        bytes += ftli_quota_is_on(quotas, (enum ftli_quota_kind)kind) ? cells_bytes() : 0;
    return bytes;
}

uint64_t ftli_quota_bytes(const struct ftli_quotas *quotas, enum ftli_quota_kind kind)
{
    return ftli_u64_load_relaxed(&quotas->bytes[kind]);
}

static uint32_t flag_of(unsigned kind)
{
    return UINT32_C(1) << (FTLI_QUOTA_FLAGS_SHIFT + kind);
}

struct ftli_quota_place ftli_quota_place(const struct ftli_quotas *quotas, uint32_t flags, uint32_t label,
                                         const char *site)
{
    struct ftli_quota_place place = {{NULL, NULL}};
    struct ftli_quota_cell *cells[FTLI_QUOTA_KINDS];
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
        cells[kind] = (flags & flag_of(kind)) != 0 ? ftli_pointer_load_acquire(&quotas->cells[kind]) : NULL;
    if (cells[FTLI_QUOTA_LABEL] != NULL && label != 0)
        place.cells[FTLI_QUOTA_LABEL] = &cells[FTLI_QUOTA_LABEL][label];
    uint32_t number = cells[FTLI_QUOTA_SITE] != NULL
                          ? ftli_site_of_literal(ftli_pointer_load_acquire(&quotas->sites), site)
                          : FTLI_SITE_UNKNOWN;
    if (number != FTLI_SITE_UNKNOWN)
        place.cells[FTLI_QUOTA_SITE] = &cells[FTLI_QUOTA_SITE][number];
    return place;
}

uint32_t ftli_quota_flags(const struct ftli_quota_place *place)
{
    uint32_t flags = 0;
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
        flags |= place->cells[kind] != NULL ? flag_of(kind) : 0;
    return flags;
}

static void give(const struct ftli_quotas *quotas, unsigned kind, struct ftli_quota_cell *cell, uint64_t bytes)
{
    uint64_t live = ftli_u64_fetch_add_relaxed(&cell->live_bytes, 0 - bytes) - bytes;
    uint64_t mark = ftli_u64_load_relaxed(&quotas->mark_bytes[kind]);
    if (live < mark - mark / 8 && ftli_u64_load_relaxed(&cell->told) != 0)
        ftli_u64_store_relaxed(&cell->told, 0);
}

/* The sum and its quota are one compare-and-swap: whoever would be over it changes nothing, so nobody else is refused for his
 * sake. */
static bool take(const struct ftli_quotas *quotas, unsigned kind, struct ftli_quota_cell *cell, uint64_t bytes,
                 struct ftli_quota_answer *answer)
{
    uint64_t live = ftli_u64_load_relaxed(&cell->live_bytes), quota = ftli_u64_load_relaxed(&quotas->bytes[kind]);
    do {
        answer->live_bytes[kind] = live;
        if (quota != 0 && (bytes > quota || live > quota - bytes)) {
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
    return live >= ftli_u64_load_relaxed(&quotas->mark_bytes[kind]) && told == 0 &&
           ftli_u64_cas_acq_rel(&cell->told, &told, 1);
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

static struct ftli_quota_cell *cells_of(const struct ftli_quotas *quotas, unsigned kind)
{
    return ftli_pointer_load_acquire(&quotas->cells[kind]);
}

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
        struct ftli_quota_place place = ftli_quota_place(quotas, flags, ftli_u32_load_acquire(&extension->label),
                                                         ftli_pointer_load_acquire(&extension->site));
        for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++)
            if (place.cells[kind] != NULL)
                sums->bytes[kind][place.cells[kind] - cells_of(quotas, kind)] +=
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
        ftli_site_text(ftli_pointer_load_acquire(&quotas->sites), number, name, sizeof name);
    (void)snprintf(why, why_bytes, "audit: quota of %s \"%s\": the table has %llu bytes, the sum says %llu",
                   kind == FTLI_QUOTA_LABEL ? "label" : "site", name, (unsigned long long)in_table,
                   (unsigned long long)ftli_u64_load_acquire(&cells_of(quotas, kind)[number].live_bytes));
    return FTL_EINTERNAL;
}

int ftli_quotas_audit(const struct ftli_quotas *quotas, const struct ftli_table *table,
                      const struct ftli_labels *labels, char *why, size_t why_bytes)
{
    int status = FTL_OK;
    if (!ftli_quota_is_on(quotas, FTLI_QUOTA_LABEL) && !ftli_quota_is_on(quotas, FTLI_QUOTA_SITE))
        return FTL_OK;
    size_t bytes = round_up(sizeof(struct sums));
    struct sums *sums = ftli_os_reserve(bytes, ftli_os_page_bytes());
    if (sums == NULL) {
        (void)snprintf(why, why_bytes, "audit: no memory to sum up the quotas");
        return FTL_ENOMEM;
    }
    sum_table(quotas, table, sums);
    for (unsigned kind = 0; kind < FTLI_QUOTA_KINDS; kind++) {
        const struct ftli_quota_cell *cells = cells_of(quotas, kind);
        for (uint32_t i = 0; cells != NULL && i < FTLI_QUOTA_CELLS && status == FTL_OK; i++)
            if (sums->bytes[kind][i] != ftli_u64_load_acquire(&cells[i].live_bytes))
                status = differ(quotas, labels, kind, i, sums->bytes[kind][i], why, why_bytes);
    }
    ftli_os_release(sums, bytes);
    return status;
}
