#include "runtime/compose/bind.h"

#include <fettle/fettle.h>

#include <stdlib.h>

/* A few hundred fields at most, whatever the file holds: a list, looked through, is enough. */

const struct ftli_origin *ftli_origin_of(const struct ftli_binder *binder, const void *field)
{
    for (size_t i = 0; i < binder->origin_count; i++) {
        if (binder->origins[i].field == field) {
            return &binder->origins[i];
        }
    }
    return NULL;
}

int ftli_origin_set(struct ftli_binder *binder, const void *field, uint32_t line, uint32_t column)
{
    size_t at = 0;
    while (at < binder->origin_count && binder->origins[at].field != field) {
        at++;
    }
    if (at == binder->origin_size) {
        size_t size = binder->origin_size == 0 ? 128 : binder->origin_size * 2;
        struct ftli_origin *grown = realloc(binder->origins, size * sizeof *grown);
        if (grown == NULL) {
            return ftli_report_memory(binder->report);
        }
        binder->origins = grown;
        binder->origin_size = size;
    }
    if (at == binder->origin_count) {
        binder->origin_count++;
    }
    binder->origins[at] = (struct ftli_origin){.field = field, .layer = binder->layer, .line = line, .column = column};
    return FTL_OK;
}

struct ftli_place ftli_origin_place(const struct ftli_binder *binder, const void *field)
{
    const struct ftli_origin *origin = ftli_origin_of(binder, field);
    if (origin == NULL) {
        return (struct ftli_place){binder->sources[FTLI_LAYER_FILE], 0, 0};
    }
    return (struct ftli_place){binder->sources[origin->layer], origin->line, origin->column};
}

bool ftli_origin_is_default(const struct ftli_binder *binder, const void *field)
{
    const struct ftli_origin *origin = ftli_origin_of(binder, field);
    return origin == NULL || origin->layer == FTLI_LAYER_DEFAULT;
}

static bool lies_in(const void *field, const void *base, size_t bytes)
{
    return (uintptr_t)field >= (uintptr_t)base && (uintptr_t)field - (uintptr_t)base < bytes;
}

void ftli_origin_forget(struct ftli_binder *binder, const void *base, size_t bytes)
{
    size_t kept = 0;
    for (size_t i = 0; i < binder->origin_count; i++) {
        if (!lies_in(binder->origins[i].field, base, bytes)) {
            binder->origins[kept++] = binder->origins[i];
        }
    }
    binder->origin_count = kept;
}

void ftli_origin_move(struct ftli_binder *binder, const void *base, size_t bytes, size_t by)
{
    for (size_t i = 0; i < binder->origin_count; i++) {
        if (lies_in(binder->origins[i].field, base, bytes)) {
            binder->origins[i].field = (const char *)binder->origins[i].field - by;
        }
    }
}
