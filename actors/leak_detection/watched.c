#include "actors/leak_detection/watched.h"

#include <fettle/fettle.h>
#include <string.h>

#include "runtime/base/os.h"
#include "runtime/base/random.h"
#include "tensor/label.h"

enum { PLACES = 2 * FTLI_WATCHED_MOST };

static size_t groups_bytes(void)
{
    size_t page = ftli_os_page_bytes();
    return (FTLI_WATCHED_MOST * sizeof(struct ftli_watched) + page - 1) / page * page;
}

static size_t all_bytes(void)
{
    size_t page = ftli_os_page_bytes();
    return groups_bytes() + (PLACES * sizeof(uint32_t) + page - 1) / page * page;
}

int ftli_watched_open(struct ftli_watched_table *table)
{
    memset(table, 0, sizeof *table);
    void *memory = ftli_os_reserve(all_bytes(), ftli_os_page_bytes());
    if (memory == NULL)
        return FTL_ENOMEM;
    table->groups = memory;
    table->places = (uint32_t *)(void *)((char *)memory + groups_bytes());
    table->bytes = all_bytes();
    table->end = 1;
    return FTL_OK;
}

void ftli_watched_close(struct ftli_watched_table *table)
{
    if (table->groups != NULL)
        ftli_os_release(table->groups, table->bytes);
    memset(table, 0, sizeof *table);
}

static bool same(const struct ftli_watched_key *a, const struct ftli_watched_key *b)
{
    return a->kind == b->kind && a->label == b->label && a->scope_label == b->scope_label && a->site == b->site;
}

static uint32_t *place_of(const struct ftli_watched_table *table, const struct ftli_watched_key *key)
{
    uint64_t state = (uint64_t)key->label << 32 | key->scope_label;
    state = ftli_splitmix64(&state) ^ (uint64_t)(uintptr_t)key->site ^ (uint64_t)key->kind << 60;
    for (uint64_t at = ftli_splitmix64(&state);; at++) {
        uint32_t *place = &table->places[at % PLACES];
        if (*place == 0 || same(&table->groups[*place].key, key))
            return place;
    }
}

struct ftli_watched *ftli_watched_find(const struct ftli_watched_table *table, const struct ftli_watched_key *key)
{
    uint32_t index = *place_of(table, key);
    return index != 0 ? &table->groups[index] : NULL;
}

static uint32_t free_index(struct ftli_watched_table *table)
{
    if (table->end < FTLI_WATCHED_MOST)
        return table->end++;
    for (uint32_t i = 1; table->used + 1 < FTLI_WATCHED_MOST && i < FTLI_WATCHED_MOST; i++)
        if (table->groups[i].key.kind == FTLI_WATCHED_NONE)
            return i;
    return 0;
}

struct ftli_watched *ftli_watched_of(struct ftli_watched_table *table, const struct ftli_watched_key *key)
{
    uint32_t *place = place_of(table, key);
    if (*place != 0)
        return &table->groups[*place];
    uint32_t index = free_index(table);
    if (index == 0) {
        table->groups[0].key = (struct ftli_watched_key){.kind = FTLI_WATCHED_TENSORS, .label = FTLI_LABEL_OTHER};
        return &table->groups[0];
    }
    table->groups[index].key = *key;
    table->used++;
    *place = index;
    return &table->groups[index];
}

static bool is_idle(const struct ftli_watched *group)
{
    if (group->last.count + group->last.young != 0 || group->longest_ms != 0)
        return false;
    for (unsigned i = 0; i < FTLI_TREND_POINTS; i++)
        if (group->count.floors[0][i] != 0 || group->count.floors[1][i] != 0)
            return false;
    return true;
}

void ftli_watched_sweep(struct ftli_watched_table *table)
{
    bool any = false;
    for (uint32_t i = 1; i < table->end; i++) {
        struct ftli_watched *group = &table->groups[i];
        if (group->key.kind == FTLI_WATCHED_NONE || !is_idle(group))
            continue;
        memset(group, 0, sizeof *group);
        table->used--;
        any = true;
    }
    if (!any)
        return;
    memset(table->places, 0, PLACES * sizeof *table->places);
    for (uint32_t i = 1; i < table->end; i++)
        if (table->groups[i].key.kind != FTLI_WATCHED_NONE)
            *place_of(table, &table->groups[i].key) = i;
}
