#include "actors/leak_detection/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"
#include "tensor/extension.h"

enum { FIRST_PLACES = 64 };

struct ftli_leak_words {
    uint32_t frame_count;
    uintptr_t frames[FTLI_LEAK_FRAMES];
    char reason[FTLI_LEAK_REASON_BYTES], fix[FTLI_LEAK_REASON_BYTES]; /* "": as of the cause */
};

/* What tells unnamed tensors apart: of those with a label or a literal only some are sampled, and they are one row all the same. */
static uint32_t place_made(const struct ftli_leak_tensor *tensor)
{
    return tensor->site == NULL && tensor->label == 0 ? tensor->site_number : 0;
}

static uint64_t hash_of(const struct ftli_leak_tensor *tensor)
{
    uint64_t state = (uint64_t)tensor->label << 32 | tensor->scope_label;
    uint64_t hash = ftli_splitmix64(&state);
    state =
        hash ^ (uint64_t)(uintptr_t)tensor->site ^ (uint64_t)tensor->cause << 56 ^ (uint64_t)place_made(tensor) << 24;
    return ftli_splitmix64(&state);
}

static bool same_group(const struct ftli_leak_tensor *a, const struct ftli_leak_tensor *b)
{
    return a->label == b->label && a->scope_label == b->scope_label && a->site == b->site && a->cause == b->cause &&
           place_made(a) == place_made(b);
}

static struct ftli_leak_group *place_of(const struct ftli_leak_groups *groups, const struct ftli_leak_tensor *tensor)
{
    for (size_t at = hash_of(tensor);; at++) {
        struct ftli_leak_group *group = &groups->places[at & (groups->capacity - 1)];
        if (group->count == 0 || same_group(&group->oldest, tensor))
            return group;
    }
}

/* A handle that is left in free memory would be taken for a copy by a search for them. */
static void give_back(void *memory, size_t bytes)
{
    if (memory != NULL)
        explicit_bzero(memory, bytes);
    free(memory);
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
    larger.sites = groups->sites;
    give_back(groups->places, groups->capacity * sizeof *groups->places);
    *groups = larger;
    return FTL_OK;
}

static void copy_text(char *to, size_t bytes, const char *text)
{
    (void)snprintf(to, bytes, "%s", text != NULL ? text : "");
}

static struct ftli_leak_words *words_of(const struct ftli_leak_finding *finding)
{
    struct ftli_leak_words *words = calloc(1, sizeof *words);
    if (words == NULL)
        return NULL;
    copy_text(words->reason, sizeof words->reason, finding->reason);
    copy_text(words->fix, sizeof words->fix, finding->fix);
    words->frame_count = finding->frame_count < FTLI_LEAK_FRAMES ? finding->frame_count : FTLI_LEAK_FRAMES;
    for (uint32_t i = 0; i < words->frame_count; i++)
        words->frames[i] = finding->frames[i];
    return words;
}

int ftli_leak_groups_add_finding(struct ftli_leak_groups *groups, const struct ftli_leak_finding *finding)
{
    if (4 * (groups->used + 1) > 3 * groups->capacity && grow(groups) != FTL_OK)
        return FTL_ENOMEM;
    struct ftli_leak_group *group = place_of(groups, &finding->tensor);
    bool has_words = finding->reason != NULL || finding->fix != NULL || finding->frame_count != 0;
    if (group->words == NULL && has_words && (group->words = words_of(finding)) == NULL)
        return FTL_ENOMEM; /* the group is empty, or as it was */
    if (group->count == 0)
        groups->used++;
    if (group->count == 0 || finding->tensor.age_ms > group->oldest.age_ms)
        group->oldest = finding->tensor;
    if (group->site_number == 0)
        group->site_number = finding->tensor.site_number;
    group->count += finding->count;
    group->bytes += finding->bytes;
    group->growth_bytes_per_second += finding->growth_bytes_per_second;
    bool is_more =
        finding->certainty > group->certainty; /* unreachable and merely suspected ones in one row: suspected */
    if (is_more != (finding->tensor.cause == FTL_LEAK_UNREACHABLE) || group->certainty == 0)
        group->certainty = finding->certainty;
    return FTL_OK;
}

int ftli_leak_groups_add(struct ftli_leak_groups *groups, const struct ftli_leak_tensor *tensor)
{
    /* read from the table: that it is alive, and what it outlived, is proven */
    const struct ftli_leak_finding finding = {.tensor = *tensor, .count = 1, .bytes = tensor->bytes, .certainty = 100};
    return ftli_leak_groups_add_finding(groups, &finding);
}

int ftli_leak_group_explain(struct ftli_leak_group *group, const char *reason)
{
    const struct ftli_leak_finding finding = {.reason = reason};
    if (group->words == NULL)
        group->words = words_of(&finding);
    else if (group->words->reason[0] == '\0')
        copy_text(group->words->reason, sizeof group->words->reason, reason);
    return group->words != NULL ? FTL_OK : FTL_ENOMEM;
}

void ftli_leak_groups_free(struct ftli_leak_groups *groups)
{
    for (size_t i = 0; i < groups->capacity; i++)
        free(groups->places[i].words);
    give_back(groups->places, groups->capacity * sizeof *groups->places);
    memset(groups, 0, sizeof *groups);
}

/* ---- the report ---------------------------------------------------------------------------------------------------- */

/* Of a sampled tensor of the group, where the program named none. */
static void name_site(char *to, size_t bytes, const struct ftli_sites *sites, uint32_t number)
{
    char text[FTLI_SITE_TEXT_BYTES];
    ftli_site_text(sites, number, text, sizeof text);
    ftli_site_copy(to, bytes, text);
}

static void fill_row(ftl_leak *row, const struct ftli_leak_group *group, const struct ftli_labels *labels,
                     const struct ftli_sites *sites)
{
    const struct ftli_leak_tensor *oldest = &group->oldest;
    memset(row, 0, sizeof *row);
    row->tensor.id = oldest->tensor;
    row->bytes = group->bytes;
    row->count = group->count;
    row->age_ns = oldest->age_ms * 1000000;
    row->cause = oldest->cause;
    row->certainty = group->certainty;
    row->growth_bytes_per_second = group->growth_bytes_per_second;
    row->tag = oldest->tag;
    copy_text(row->label, sizeof row->label, ftli_label_text(labels, oldest->label));
    copy_text(row->scope, sizeof row->scope, ftli_label_text(labels, oldest->scope_label));
    if (oldest->site == NULL && sites != NULL && group->site_number != 0)
        name_site(row->site, sizeof row->site, sites, group->site_number);
    else
        ftli_site_copy(row->site, sizeof row->site, oldest->site);
}

/* What is said of every finding of a cause: why it is one, and what to do about it. */
static const struct {
    const char *reason, *fix;
} by_cause[] = {
    [0] = {"", ""},
    [FTL_LEAK_UNREFERENCED] =
        {"nothing refers to it, and it is in no cleanup: a fault of the runtime, or memory that was "
         "written over",
         "run the program under AddressSanitizer; if that finds nothing, report it with the answer "
         "of \"check\""},
    [FTL_LEAK_OUTLIVED_SCOPE] = {"each has a reference that was retained and not dropped before its scope ended",
                                 "drop what was retained, keep it with ftl_scope_keep, or declare the scope a cache "
                                 "(FTL_SCOPE_CACHE)"},
    [FTL_LEAK_OUTLIVED_THREAD] = {"the thread that made them has ended, and nobody has dropped them since",
                                  "drop them before the thread ends, or make them in a scope that ends with its work"},
    [FTL_LEAK_CYCLE] = {"they hold each other by links, and nothing else refers to them",
                        "unlink one of the links (ftl_tensor_unlink) before the last other reference is dropped, or do "
                        "not link back to what already leads here"},
    [FTL_LEAK_UNREACHABLE] = {"no copy of their handles was found in this process's memory",
                              "drop each before the last copy of its handle goes, on every path"},
    [FTL_LEAK_GROWTH] = {"they become more and more",
                         "drop what is no longer used, or declare a cache (FTL_SCOPE_CACHE)"},
    [FTL_LEAK_SURVIVOR] = {"most of their site die young; these live on", "look for a path that skips the drop"},
    [FTL_LEAK_PINNED] = {"they were dropped, but a pin without its unpin keeps their memory",
                         "call ftl_tensor_unpin once for each ftl_tensor_pin, on error paths too"},
};

static const char *or_else(const char *text, const char *otherwise)
{
    return text != NULL && text[0] != '\0' ? text : otherwise != NULL ? otherwise : "";
}

/* Texts of its own go behind the details, from *text on. */
static const char *place_text(char **text, const char *words)
{
    size_t bytes = strlen(words) + 1;
    char *at = memcpy(*text, words, bytes);
    *text += bytes;
    return at;
}

static void fill_frames(struct ftli_leak_detail *detail, const struct ftli_leak_group *group,
                        const struct ftli_sites *sites)
{
    struct ftli_site_view view;
    const struct ftli_leak_words *words = group->words;
    detail->site = group->site_number;
    if (words != NULL && words->frame_count != 0) {
        detail->frame_count = words->frame_count;
        memcpy(detail->frames, words->frames, words->frame_count * sizeof *words->frames);
    } else if (sites != NULL && group->site_number != 0 && ftli_site_read(sites, group->site_number, &view) &&
               view.literal == NULL) {
        detail->frame_count = view.count < FTLI_LEAK_FRAMES ? view.count : FTLI_LEAK_FRAMES;
        memcpy(detail->frames, view.frames, detail->frame_count * sizeof *view.frames);
    }
}

static void fill_detail(struct ftli_leak_detail *detail, const struct ftli_leak_group *group,
                        const struct ftli_sites *sites, char **text)
{
    const struct ftli_leak_words *words = group->words;
    uint32_t cause = group->oldest.cause < sizeof by_cause / sizeof by_cause[0] ? group->oldest.cause : 0;
    memset(detail, 0, sizeof *detail);
    detail->reason = or_else(words != NULL && words->reason[0] != '\0' ? place_text(text, words->reason) : NULL,
                             by_cause[cause].reason);
    detail->fix =
        or_else(words != NULL && words->fix[0] != '\0' ? place_text(text, words->fix) : NULL, by_cause[cause].fix);
    fill_frames(detail, group, sites);
}

static int most_bytes_first(const void *a, const void *b)
{
    const struct ftli_leak_group *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return (x->oldest.tensor > y->oldest.tensor) - (x->oldest.tensor < y->oldest.tensor);
}

/* Those that are certain enough to the front, in their order; returns how many, and the bytes of their texts. */
static size_t sort(struct ftli_leak_groups *groups, uint32_t certainty, size_t *text_bytes)
{
    size_t count = 0;
    *text_bytes = 0;
    for (size_t i = 0; i < groups->capacity; i++) {
        struct ftli_leak_group group = groups->places[i];
        if (group.count == 0 || group.certainty < certainty)
            continue;
        groups->places[i] = groups->places[count];
        groups->places[count++] = group;
        if (group.words != NULL)
            *text_bytes += strlen(group.words->reason) + strlen(group.words->fix) + 2;
    }
    if (count != 0)
        qsort(groups->places, count, sizeof *groups->places, most_bytes_first);
    return count;
}

int ftli_leak_groups_report(struct ftli_leak_groups *groups, const struct ftli_labels *labels, uint32_t certainty,
                            uint64_t scanned, uint64_t elapsed_ns, ftl_leak_report **out)
{
    size_t text_bytes, count = sort(groups, certainty, &text_bytes);
    ftl_leak_report *report =
        malloc(sizeof *report + count * (sizeof(ftl_leak) + sizeof(struct ftli_leak_detail)) + text_bytes);
    if (report != NULL) {
        ftl_leak *rows = (ftl_leak *)(void *)(report + 1);
        struct ftli_leak_detail *details = (struct ftli_leak_detail *)(void *)(rows + count);
        char *text = (char *)(details + count);
        memset(report, 0, sizeof *report);
        for (size_t i = 0; i < count; i++) {
            fill_row(&rows[i], &groups->places[i], labels, groups->sites);
            fill_detail(&details[i], &groups->places[i], groups->sites, &text);
            report->leaked += groups->places[i].count;
            report->leaked_bytes += groups->places[i].bytes;
        }
        report->count = count;
        report->leaks = rows;
        report->scanned = scanned;
        report->elapsed_ns = elapsed_ns;
        *out = report;
    }
    ftli_leak_groups_free(groups);
    return report != NULL ? FTL_OK : FTL_ENOMEM;
}

const struct ftli_leak_detail *ftli_leak_detail_of(const ftl_leak_report *report, size_t row)
{
    return (const struct ftli_leak_detail *)(const void *)(report->leaks + report->count) + row;
}

void ftli_leak_report_destroy(ftl_leak_report *report)
{
    if (report != NULL)
        give_back(report, sizeof *report + report->count * sizeof(ftl_leak));
}
