#include "runtime/compose/guess.h"

#include <string.h>

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t ftli_word_distance(const char *a, const char *b)
{
    size_t length_a = strnlen(a, FTLI_GUESS_LONGEST + 1), length_b = strnlen(b, FTLI_GUESS_LONGEST + 1);
    if (length_a > FTLI_GUESS_LONGEST || length_b > FTLI_GUESS_LONGEST) {
        return UINT32_MAX;
    }
    uint32_t rows[3][FTLI_GUESS_LONGEST + 1]; /* this one and the two before it */
    for (uint32_t j = 0; j <= length_b; j++) {
        rows[0][j] = j;
    }
    for (uint32_t i = 1; i <= length_a; i++) {
        uint32_t *row = rows[i % 3];
        const uint32_t *before = rows[(i + 2) % 3], *before_that = rows[(i + 1) % 3];
        row[0] = i;
        for (uint32_t j = 1; j <= length_b; j++) {
            uint32_t exchange = before[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(exchange, least(before[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = least(row[j], before_that[j - 2] + 1);
            }
        }
    }
    return rows[length_a % 3][length_b];
}

const char *ftli_guess(const char *word, const char *const *words, size_t count)
{
    uint32_t nearest = 2 + (uint32_t)(strnlen(word, FTLI_GUESS_LONGEST) / 4);
    const char *found = NULL;
    for (size_t i = 0; i < count; i++) {
        uint32_t distance = ftli_word_distance(word, words[i]);
        if (distance < nearest) {
            nearest = distance;
            found = words[i];
        }
    }
    return found;
}
