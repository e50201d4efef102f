/* Slots that are used up: with 4 bits of generation a slot lives fourteen times, then it is RETIRED for ever. The header is
 * pure, so this file has a protocol of its own width, beside a library with 24. */
#define FTLI_GENERATION_BITS 4
#include "tensor/word.h"

#include <criterion/criterion.h>

#include "runtime/base/random.h"

enum { SLOTS = 64 };

/* One life of a slot, ended in a way of the caller's choice. False: it is RETIRED. */
static bool live_once(ftli_atomic_u64 *word, unsigned way)
{
    uint32_t generation = ftli_word_new(word, FTLI_WORD_FIXED | (way == 1 ? FTLI_WORD_SLOW : 0));
    uint64_t after;
    if (way == 0 && ftli_word_drop_fast(word, generation))
        return true;
    if (way == 2)
        cr_assert_eq(ftli_word_pin(word, generation, &after), FTLI_WORD_DONE);
    enum ftli_word_result result = ftli_word_drop(word, generation, way == 3);
    if (result == FTLI_WORD_MINE)
        return true;
    if (result == FTLI_WORD_GUARDED) {
        cr_assert_eq(ftli_word_unpin(word, generation), FTLI_WORD_DONE);
        result = ftli_word_unpin(word, generation);
    }
    cr_assert_eq(result, FTLI_WORD_POST);
    ftli_word_reclaiming(word);
    return ftli_word_reclaim(word);
}

Test(generations, every_slot_lives_once_in_each_of_them_and_retires)
{
    ftli_atomic_u64 words[SLOTS];
    ftli_random_state random;
    ftli_random_seed(&random, 4);
    unsigned lives = 0, retired = 0, expected = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint32_t first = 1 + i % 7;
        ftli_u64_store_relaxed(&words[i], ftli_word_make(first, FTLI_FREE));
        expected += FTLI_GENERATION_LAST - first + 1;
    }
    while (retired < SLOTS) {
        ftli_atomic_u64 *word = &words[ftli_random_below(&random, SLOTS)];
        if (ftli_word_state(ftli_u64_load_relaxed(word)) == FTLI_RETIRED)
            continue;
        uint32_t generation = ftli_word_generation(ftli_u64_load_relaxed(word));
        lives++;
        if (live_once(word, ftli_random_below(&random, 4)))
            cr_assert_eq(ftli_word_generation(ftli_u64_load_relaxed(word)), generation + 1);
        else
            retired++;
    }
    cr_assert_eq(FTLI_GENERATION_LAST, 15);
    cr_assert_eq(lives, expected);
    for (uint32_t i = 0; i < SLOTS; i++)
        cr_assert_eq(ftli_u64_load_relaxed(&words[i]), ftli_word_make(FTLI_GENERATION_LAST, FTLI_RETIRED));
}

/* No handle that was ever given out fits a later life of its slot. */
Test(generations, handles_of_all_lives_before_are_stale)
{
    ftli_atomic_u64 word;
    uint64_t after;
    ftli_u64_store_relaxed(&word, ftli_word_make(1, FTLI_FREE));
    for (uint32_t life = 1; life <= FTLI_GENERATION_LAST; life++) {
        uint32_t generation = ftli_word_new(&word, FTLI_WORD_FIXED);
        cr_assert_eq(generation, life);
        for (uint32_t old = 0; old <= FTLI_GENERATION_LAST; old++) {
            if (old == generation)
                continue;
            cr_assert_eq(ftli_word_retain(&word, old), FTLI_WORD_STALE);
            cr_assert_eq(ftli_word_pin(&word, old, &after), FTLI_WORD_STALE);
            cr_assert_eq(ftli_word_drop(&word, old, true), FTLI_WORD_STALE);
        }
        bool last = generation == FTLI_GENERATION_LAST;
        cr_assert_eq(ftli_word_drop_fast(&word, generation), !last, "the last life may not end without a look");
        if (last)
            cr_assert_eq(ftli_word_drop(&word, generation, true), FTLI_WORD_POST);
    }
    cr_assert_not(ftli_word_reclaim(&word));
    cr_assert_eq(ftli_word_state(ftli_u64_load_relaxed(&word)), FTLI_RETIRED);
}
