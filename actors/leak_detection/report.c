#include "actors/leak_detection/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"
#include "tensor/extension.h"

enum { FIRST_PLACES = 64 };

static uint64_t hash_of(const struct ftli_leak_tensor *tensor)
{
    uint64_t state = (uint64_t)tensor->label << 32 | tensor->scope_label;
    uint64_t hash = ftli_splitmix64(&state);
    state = hash ^ (uint64_t)(uintptr_t)tensor->site ^ (uint64_t)tensor->cause << 56;
    return ftli_splitmix64(&state);
}

static bool same_group(const struct ftli_leak_tensor *a, const struct ftli_leak_tensor *b)
{
    return a->label == b->label && a->scope_label == b->scope_label && a->site == b->site && a->cause == b->cause;
}

static struct ftli_leak_group *place_of(const struct ftli_leak_groups *groups, const struct ftli_leak_tensor *tensor)
{
    for (size_t at = hash_of(tensor);; at++) {
        struct ftli_leak_group *group = &groups->places[at & (groups->capacity - 1)];
        if (group->count == 0 || same_group(&group->oldest, tensor))
            return group;
    }
}

static int grow(struct ftli_leak_groups *groups)
{
    struct ftli_leak_groups larger = {.capacity = groups->capacity == 0 ? FIRST_PLACES : 2 * groups->capacity};
    larger.places = calloc(larger.capacity, sizeof *larger.places);
    if (larger.places == NULL)
        return FTL_ENOMEM;
    for (size_t i = 0; i < groups->capacity; i++)
        if (groups->places[i].count != 0)
            *place_of(&larger, &groups->places[i].oldest) = groups->places[i];
    larger.used = groups->used;
    free(groups->places);
    *groups = larger;
    return FTL_OK;
}

int ftli_leak_groups_add(struct ftli_leak_groups *groups, const struct ftli_leak_tensor *tensor)
{
    if (4 * (groups->used + 1) > 3 * groups->capacity && grow(groups) != FTL_OK)
        return FTL_ENOMEM;
    struct ftli_leak_group *group = place_of(groups, tensor);
    if (group->count == 0)
        groups->used++;
    if (group->count == 0 || tensor->age_ms > group->oldest.age_ms)
        group->oldest = *tensor;
    group->count++;
    group->bytes += tensor->bytes;
    return FTL_OK;
}

void ftli_leak_groups_free(struct ftli_leak_groups *groups)
{
    free(groups->places);
    memset(groups, 0, sizeof *groups);
}

static void copy_text(char *to, size_t bytes, const char *text)
{
    (void)snprintf(to, bytes, "%s", text != NULL ? text : "");
}

static void fill_row(ftl_leak *row, const struct ftli_leak_group *group, const struct ftli_labels *labels)
{
    const struct ftli_leak_tensor *oldest = &group->oldest;
    memset(row, 0, sizeof *row);
    row->tensor.id = oldest->tensor;
    row->bytes = group->bytes;
    row->count = group->count;
    row->age_ns = oldest->age_ms * 1000000;
    row->cause = oldest->cause;
    row->certainty = 100; /* read from the table: that it is alive, and what it outlived, is proven */
    row->tag = oldest->tag;
    copy_text(row->label, sizeof row->label, ftli_label_text(labels, oldest->label));
    copy_text(row->scope, sizeof row->scope, ftli_label_text(labels, oldest->scope_label));
    ftli_site_copy(row->site, sizeof row->site, oldest->site);
}

static int most_bytes_first(const void *a, const void *b)
{
    const ftl_leak *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (x->tensor.id > y->tensor.id) - (x->tensor.id < y->tensor.id);
}

int ftli_leak_groups_report(struct ftli_leak_groups *groups, const struct ftli_labels *labels, uint64_t scanned,
                            uint64_t elapsed_ns, ftl_leak_report **out)
{
    ftl_leak_report *report = malloc(sizeof *report + groups->used * sizeof(ftl_leak));
    if (report != NULL) {
        ftl_leak *rows = (ftl_leak *)(void *)(report + 1);
        memset(report, 0, sizeof *report);
        for (size_t i = 0; i < groups->capacity; i++) {
            if (groups->places[i].count == 0)
                continue;
            fill_row(&rows[report->count++], &groups->places[i], labels);
            report->leaked += groups->places[i].count;
            report->leaked_bytes += groups->places[i].bytes;
        }
        qsort(rows, report->count, sizeof *rows, most_bytes_first);
        report->leaks = rows;
        report->scanned = scanned;
        report->elapsed_ns = elapsed_ns;
        *out = report;
    }
    ftli_leak_groups_free(groups);
    return report != NULL ? FTL_OK : FTL_ENOMEM;
}

void ftli_leak_report_destroy(ftl_leak_report *report)
{
    free(report);
}
