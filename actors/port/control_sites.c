/* "sites [N]": the places where sampled tensors are made, the largest first: what is alive, how fast it comes, how long it lives, and what its
 * bytes look like over time.
 *
 * Estimates  are sums of weights over the sampled tensors that a walk of the table finds, with their standard errors: of weights w
 *            of independent choices the variance is the sum of w (w - 1), of bytes b that of w (w - 1) b^2. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "actors/port/control.h"

#define ROWS_DEFAULT 40
#define MS           UINT64_C(1000000)

struct row {
    uint32_t site;
    double objects, objects_variance, bytes, bytes_variance;
    double late;     /* objects that live longer than 99 of 100 that ended */
    uint64_t end_ms; /* of those 99: under this */
    uint64_t oldest_ms;
    struct ftli_site_figures figures;
};

static void walk(struct ftl_runtime *runtime, struct row *rows, uint32_t end, uint64_t now_ms)
{
    const struct ftli_table *table = &runtime->table;
    uint32_t slots = ftli_table_fresh(table);
    for (uint32_t slot = 1; slot < slots; slot = ftli_table_next(table, slot, slots)) {
        const struct ftli_header *header = ftli_table_header(table, slot);
        uint64_t word = ftli_u64_load_acquire(&header->word);
        uint64_t record = ftli_u64_load_acquire(&header->record);
        uint64_t bytes = ftli_size_bytes(ftli_u64_load_acquire(&header->size));
        uint64_t born_ms = ftli_u32_load_acquire(&header->stamp);
        uint32_t site = ftli_record_site(record);
        if (ftli_record_weight(record) == 0 || site >= end || ftli_word_state(word) != FTLI_LIVE ||
            ftli_word_generation(ftli_u64_load_acquire(&header->word)) != ftli_word_generation(word))
            continue;
        struct row *row = &rows[site];
        double weight = (double)ftli_record_weight(record) / FTLI_WEIGHT_ONE, size = (double)bytes;
        uint64_t age_ms = now_ms > born_ms ? now_ms - born_ms : 0;
        row->objects += weight;
        row->objects_variance += weight * (weight - 1);
        row->bytes += weight * size;
        row->bytes_variance += weight * (weight - 1) * size * size;
        row->late += age_ms >= row->end_ms ? weight : 0;
        row->oldest_ms = age_ms > row->oldest_ms ? age_ms : row->oldest_ms;
    }
}

/* Under which so large a share of those that ended lived; 0: none ended. */
static uint64_t lived_under_ms(const struct ftli_site_figures *figures, double share)
{
    double sum = 0;
    for (unsigned i = 0; figures->dropped != 0 && i < FTLI_SITE_LIFETIMES; i++) {
        sum += (double)figures->lifetimes[i];
        if (sum >= share * (double)figures->dropped)
            return ftli_site_lifetime_from_ms(i + 1);
    }
    return 0;
}

static int by_bytes(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    if (a->figures.created_bytes != b->figures.created_bytes)
        return a->figures.created_bytes < b->figures.created_bytes ? 1 : -1;
    return a->site < b->site ? -1 : 1;
}

static void say_row(struct ftl_runtime *runtime, struct ftli_control_answer *answer, const struct row *row)
{
    struct ftli_tracking *tracking = &runtime->tracking;
    char text[FTLI_SITE_TEXT_BYTES];
    double confidence, created = (double)row->figures.created / FTLI_WEIGHT_ONE;
    uint64_t now_ms = ftli_kernel_now_ns(runtime->kernel) / MS, since_ms = ftli_tracking_since_ms(tracking, row->site);
    double seconds = since_ms != 0 && now_ms > since_ms + 1000 ? (double)(now_ms - since_ms) / 1000 : 1;
    enum ftli_pattern pattern = ftli_tracking_pattern(tracking, row->site, &confidence);
    ftli_site_text(tracking->sites, row->site, text, sizeof text);
    ftli_control_say(answer, "%12.0f ±%-8.0f %14.0f ±%-11.0f %10.1f %8llu %8llu %10.0f %10.1f  %s", row->objects,
                     sqrt(row->objects_variance), row->bytes, sqrt(row->bytes_variance), created / seconds,
                     (unsigned long long)lived_under_ms(&row->figures, 0.5), (unsigned long long)row->end_ms,
                     row->end_ms != 0 ? row->late : 0, (double)row->oldest_ms / 1000, ftli_pattern_name(pattern));
    if (pattern != FTLI_PATTERN_UNKNOWN)
        ftli_control_say(answer, " %.0f %%", 100 * confidence);
    ftli_control_say(answer, "  %s\n", text);
}

static void say_all(struct ftl_runtime *runtime, struct ftli_control_answer *answer, const struct row *rows,
                    uint32_t count, unsigned most)
{
    const struct ftli_sites *sites = runtime->tracking.sites;
    ftli_control_say(answer, "%u sites, %llu tensors came when the table was full\n", count,
                     (unsigned long long)ftli_sites_refused(sites));
    ftli_control_say(answer, "%22s %27s %10s %8s %8s %10s %10s\n", "alive", "bytes", "made a s", "half end", "99% end",
                     "alive", "oldest s");
    ftli_control_say(answer, "%22s %27s %10s %8s %8s %10s\n", "", "", "", "by ms", "by ms", "beyond");
    for (uint32_t i = 0; i < count && i < most; i++)
        say_row(runtime, answer, &rows[i]);
    if (count > most)
        ftli_control_say(answer, "and %u more\n", count - most);
}

int ftli_control_sites(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    struct ftli_control_answer answer = {write, user, 0};
    const struct ftli_sites *sites = runtime->tracking.sites;
    char *rest = NULL;
    unsigned long most = *arguments != '\0' ? strtoul(arguments, &rest, 10) : ROWS_DEFAULT;
    if (rest != NULL && (*rest != '\0' || *arguments < '0' || *arguments > '9'))
        return ftli_fail(FTL_EINVAL, "request: sites: \"%.40s\" is no number of rows", arguments);
    if (sites == NULL)
        return ftli_fail(FTL_ENOTSUP, "request: sites: the topology has no tracking");
    ftli_tracking_look(&runtime->tracking, ftli_kernel_now_ns(runtime->kernel));
    uint32_t end = ftli_sites_end(sites), count = 0;
    struct row *rows = calloc(end, sizeof *rows);
    if (rows == NULL)
        return ftli_fail(FTL_ENOMEM, "request: sites: no memory for the table");
    for (uint32_t site = 0; site < end; site++) {
        rows[site].site = site;
        ftli_site_figures(sites, site, &rows[site].figures);
        rows[site].end_ms = lived_under_ms(&rows[site].figures, 0.99);
    }
    walk(runtime, rows, end, ftli_runtime_ms(runtime));
    for (uint32_t site = 0; site < end; site++)
        if (rows[site].figures.created != 0)
            rows[count++] = rows[site];
    qsort(rows, count, sizeof *rows, by_bytes);
    say_all(runtime, &answer, rows, count, most < UINT32_MAX ? (unsigned)most : UINT32_MAX);
    free(rows);
    return FTL_OK;
}
