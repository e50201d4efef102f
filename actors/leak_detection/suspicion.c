#include "actors/leak_detection/suspicion.h"

#include <string.h>

#include "actors/leak_detection/walk.h"

void ftli_suspicions_replace(struct ftli_suspicions *list, const struct ftli_suspicion *rows, uint32_t count)
{
    ftli_token_take(&list->token);
    memcpy(list->rows, rows, count * sizeof *rows);
    list->count = count;
    ftli_token_release(&list->token);
}

uint32_t ftli_suspicions_copy(struct ftli_suspicions *list, struct ftli_suspicion *rows)
{
    ftli_token_take(&list->token);
    uint32_t count = list->count;
    memcpy(rows, list->rows, count * sizeof *rows);
    ftli_token_release(&list->token);
    return count;
}

static bool matches(const struct ftli_suspicion *suspicion, const struct ftli_leak_tensor *tensor)
{
    if (tensor->age_ms < suspicion->age_least_ms || tensor->born_ms < suspicion->born_from_ms)
        return false;
    switch (suspicion->kind) {
    case FTLI_SUSPECT_SCOPES:
        return tensor->held == FTLI_HELD_BY_SCOPE && tensor->scope_label == suspicion->scope_label;
    case FTLI_SUSPECT_CACHE:
        return tensor->held == FTLI_HELD_BY_CACHE && tensor->scope_slot == suspicion->scope_slot;
    default:
        return tensor->held != FTLI_HELD_BY_CACHE && tensor->label == suspicion->label &&
               tensor->scope_label == suspicion->scope_label && tensor->site == suspicion->site;
    }
}

const struct ftli_suspicion *ftli_suspicion_of(const struct ftli_suspicion *rows, uint32_t count,
                                               const struct ftli_leak_tensor *tensor)
{
    if (count == 0 || tensor->cause != 0 || ftli_word_state(tensor->word) != FTLI_LIVE)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        if (matches(&rows[i], tensor))
            return &rows[i];
    return NULL;
}
