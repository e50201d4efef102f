#include "actors/tracking/breakdown.h"

#include <stdlib.h>

struct walk {
    struct ftli_breakdown *sums;
    bool no_memory;
};

static void add(struct ftli_breakdown_sum *sum, uint64_t bytes)
{
    sum->count++;
    sum->bytes += bytes;
}

static bool look(void *user, const struct ftli_look *look)
{
    struct walk *walk = user;
    struct ftli_breakdown *sums = walk->sums;
    uint64_t bytes = ftli_look_own_bytes(look);
    struct ftli_tally_row *scope = ftli_tally_at(&sums->scopes, look->scope, 0);
    if (scope == NULL) {
        walk->no_memory = true;
        return false;
    }
    scope->count++;
    scope->bytes += bytes;
    scope->mark = look->scope_label;
    add(&sums->all, bytes);
    add(&sums->devices[ftli_record_device(look->record)], bytes);
    add(&sums->classes[ftli_record_class(look->record)], bytes);
    add(&sums->dtypes[ftli_size_dtype(look->size)], bytes);
    add(&sums->labels[look->label % FTLI_LABELS_MOST], bytes);
    return true;
}

int ftli_breakdown_make(const struct ftli_list_world *world, struct ftli_breakdown **out)
{
    struct walk walk = {calloc(1, sizeof *walk.sums), false};
    if (walk.sums == NULL)
        return FTL_ENOMEM;
    ftli_list_walk(world, look, &walk);
    if (walk.no_memory) {
        ftli_breakdown_free(walk.sums);
        return FTL_ENOMEM;
    }
    ftli_tally_sort(&walk.sums->scopes);
    *out = walk.sums;
    return FTL_OK;
}

void ftli_breakdown_free(struct ftli_breakdown *sums)
{
    if (sums == NULL)
        return;
    ftli_tally_free(&sums->scopes);
    free(sums);
}
