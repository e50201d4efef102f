#include "actors/events/level.h"

uint64_t ftli_pressure_bytes(double share, uint64_t limit_bytes)
{
    return share <= 0 ? 0 : (uint64_t)(share * (double)limit_bytes);
}

static uint64_t begins_at(const struct ftli_pressure_marks *marks, uint64_t limit_bytes, uint32_t level)
{
    return ftli_pressure_bytes(marks->levels[level - 1], limit_bytes);
}

static uint64_t ends_below(const struct ftli_pressure_marks *marks, uint64_t limit_bytes, uint32_t level)
{
    return ftli_pressure_bytes(marks->levels[level - 1] - marks->hysteresis, limit_bytes);
}

uint32_t ftli_pressure_level(const struct ftli_pressure_marks *marks, uint64_t limit_bytes, uint64_t committed_bytes)
{
    uint32_t level = marks->level;
    while (level < FTLI_LEVELS - 1 && committed_bytes >= begins_at(marks, limit_bytes, level + 1))
        level++;
    while (level > 0 && committed_bytes < ends_below(marks, limit_bytes, level))
        level--;
    return level;
}

void ftli_pressure_bounds(const struct ftli_pressure_marks *marks, uint64_t limit_bytes, uint64_t *at_least,
                          uint64_t *below)
{
    *below = marks->level < FTLI_LEVELS - 1 ? begins_at(marks, limit_bytes, marks->level + 1) : UINT64_MAX;
    *at_least = marks->level > 0 ? ends_below(marks, limit_bytes, marks->level) : 0;
}
