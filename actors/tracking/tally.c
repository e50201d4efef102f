#include "actors/tracking/tally.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"

enum { FIRST_PLACES = 64 };

static size_t hash_of(uint64_t a, uint64_t b)
{
    uint64_t state = a;
    state = ftli_splitmix64(&state) ^ b;
    return (size_t)ftli_splitmix64(&state);
}

static struct ftli_tally_row *place_of(const struct ftli_tally *tally, uint64_t a, uint64_t b)
{
    for (size_t at = hash_of(a, b);; at++) {
        struct ftli_tally_row *row = &tally->rows[at & (tally->capacity - 1)];
        if (!row->is_used || (row->key[0] == a && row->key[1] == b))
            return row;
    }
}

static bool grow(struct ftli_tally *tally)
{
    struct ftli_tally larger = *tally;
    larger.capacity = tally->capacity == 0 ? FIRST_PLACES : 2 * tally->capacity;
    larger.rows = calloc(larger.capacity, sizeof *larger.rows);
    if (larger.rows == NULL)
        return false;
    for (size_t i = 0; i < tally->capacity; i++)
        if (tally->rows[i].is_used)
            *place_of(&larger, tally->rows[i].key[0], tally->rows[i].key[1]) = tally->rows[i];
    free(tally->rows);
    *tally = larger;
    return true;
}

struct ftli_tally_row *ftli_tally_at(struct ftli_tally *tally, uint64_t a, uint64_t b)
{
    if (4 * (tally->used + 1) > 3 * tally->capacity && !grow(tally))
        return NULL;
    struct ftli_tally_row *row = place_of(tally, a, b);
    if (row->is_used)
        return row;
    if (tally->most != 0 && tally->used >= tally->most)
        return NULL;
    row->key[0] = a;
    row->key[1] = b;
    row->is_used = true;
    tally->used++;
    return row;
}

static int most_bytes_first(const void *a, const void *b)
{
    const struct ftli_tally_row *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    if (x->key[0] != y->key[0])
        return x->key[0] < y->key[0] ? -1 : 1;
    return (x->key[1] > y->key[1]) - (x->key[1] < y->key[1]);
}

void ftli_tally_sort(struct ftli_tally *tally)
{
    size_t used = 0;
    for (size_t i = 0; i < tally->capacity; i++)
        if (tally->rows[i].is_used)
            tally->rows[used++] = tally->rows[i];
    tally->capacity = used;
    if (used != 0)
        qsort(tally->rows, used, sizeof *tally->rows, most_bytes_first);
}

void ftli_tally_free(struct ftli_tally *tally)
{
    free(tally->rows);
    memset(tally, 0, sizeof *tally);
}
