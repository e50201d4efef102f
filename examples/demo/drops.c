/* Act 1: eight threads make tensors, one thread only drops them: over aligned_alloc and free first, then over Fettle. */
#include "examples/demo/acts.h"
#include "examples/demo/play.h"
#include "examples/demo/print.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HEADER = 64 };
static const uint64_t bound_ns = 100 * 1000 * 1000; /* from a drop to its memory being back */

static bool fettle_open(struct memory *self)
{
    return ftl_runtime_open(NULL, &self->runtime) == FTL_OK;
}

static bool fettle_make(struct memory *self, uint64_t number, size_t bytes, struct piece *out, void **data)
{
    ftl_tensor tensor;
    (void)number;
    if (ftl_bytes_new(self->runtime, bytes, NULL, &tensor) != FTL_OK) {
        return false;
    }
    out->id = tensor.id;
    *data = ftl_tensor_data(tensor);
    return *data != NULL;
}

static bool fettle_drop(struct piece piece)
{
    return ftl_tensor_drop((ftl_tensor){piece.id}) == FTL_OK;
}

/* A tensor as one would write it over malloc: one block, its header before the data. */
static bool malloc_make(struct memory *self, uint64_t number, size_t bytes, struct piece *out, void **data)
{
    (void)self;
    (void)number;
    char *block = aligned_alloc(HEADER, (bytes + 2 * HEADER - 1) / HEADER * HEADER);
    if (block == NULL) {
        return false;
    }
    memcpy(block, &bytes, sizeof bytes);
    out->id = (uint64_t)(uintptr_t)block;
    *data = block + HEADER;
    return true;
}

static bool malloc_drop(struct piece piece)
{
    free((void *)(uintptr_t)piece.id);
    return true;
}

static bool report(uint64_t tensors, const struct seen *fettle, const struct seen *plain)
{
    const ftl_stats *stats = &fettle->stats;
    char line[512];
    uint64_t sum = stats->live + stats->pending + stats->reclaimed + stats->quarantined;
    bool made_exact = stats->created == sum && stats->created == tensors && stats->live == 0;
    bool dropped_exact = stats->immediate + stats->deferred == tensors;
    snprintf(line, sizeof line, "1 drops  %d threads make %s tensors, one thread only drops them", MAKERS,
             count_text(tensors).text);
    puts(line);
    snprintf(line, sizeof line, "         created %s = live %s + pending %s + reclaimed %s + quarantined %s",
             count_text(stats->created).text, count_text(stats->live).text, count_text(stats->pending).text,
             count_text(stats->reclaimed).text, count_text(stats->quarantined).text);
    print_line(line, made_exact, "exact", "BROKEN");
    snprintf(line, sizeof line, "         dropped %s = at once %s + by message %s", count_text(tensors).text,
             count_text(stats->immediate).text, count_text(stats->deferred).text);
    print_line(line, dropped_exact, "exact", "BROKEN");
    if (stats->deferred == 0) /* nothing was posted, so no time was taken */
        snprintf(line, sizeof line, "         from drop to reclaimed   each in the drop itself   (bound %s)",
                 time_text(bound_ns).text);
    else
        snprintf(line, sizeof line, "         from drop to reclaimed   p50 %s   p99 %s   worst %s   (bound %s)",
                 time_text(stats->reclaim_p50_ns).text, time_text(stats->reclaim_p99_ns).text,
                 time_text(stats->reclaim_max_ns).text, time_text(bound_ns).text);
    print_line(line, stats->reclaim_max_ns <= bound_ns, "kept", "missed");
    printf("         resident at the peak     live %s   Fettle %s   malloc %s\n",
           mib_text(fettle->peak_live_bytes).text, mib_text(fettle->peak_resident_bytes).text,
           mib_text(plain->peak_resident_bytes).text);
    return made_exact && dropped_exact;
}

bool act_drops(uint64_t tensors, struct seen *seen)
{
    struct memory plain = {.name = "malloc", .make = malloc_make, .drop = malloc_drop};
    struct memory fettle = {
        .name = "Fettle", .open = fettle_open, .make = fettle_make, .drop = fettle_drop, .close = close_runtime};
    if (!play_in_child(&plain, "1 drops", tensors, &seen[0]) || !play_in_child(&fettle, "1 drops", tensors, &seen[1])) {
        printf("1 drops  %s%s\n", seen[0].why, seen[1].why);
        return false;
    }
    return report(tensors, &seen[1], &seen[0]);
}
