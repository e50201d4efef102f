/* The header word: each transition of tensor/word.h from each state that allows it, and from those that do not.
 * The interleavings are the business of tests/model/word.pml. */
#include "tensor/word.h"

#include <criterion/criterion.h>

enum { GENERATION = 9 };

static uint64_t live(uint64_t references, uint64_t pins, uint64_t flags)
{
    return ftli_word_make(GENERATION, references << 20 | pins << 8 | flags | FTLI_LIVE);
}

static uint64_t dropped(uint64_t pins, uint64_t flags)
{
    return ftli_word_make(GENERATION, pins << 8 | flags | FTLI_DROPPED);
}

static ftli_atomic_u64 word;

static void set(uint64_t value)
{
    ftli_u64_store_relaxed(&word, value);
}

static uint64_t get(void)
{
    return ftli_u64_load_relaxed(&word);
}

Test(word, fields_do_not_touch_each_other)
{
    uint64_t all = FTLI_WORD_GENERATION | FTLI_WORD_REFERENCES | FTLI_WORD_PINS | FTLI_WORD_SLOW | FTLI_WORD_FIXED |
                   FTLI_WORD_MOVING | FTLI_WORD_TOUCHED | FTLI_WORD_SEL | FTLI_WORD_STATE;
    cr_assert_eq(all, UINT64_MAX);
    uint64_t w = live(5, 6, FTLI_WORD_SLOW);
    cr_assert_eq(ftli_word_generation(w), GENERATION);
    cr_assert_eq(ftli_word_references(w), 5);
    cr_assert_eq(ftli_word_pins(w), 6);
    cr_assert_eq(ftli_word_state(w), FTLI_LIVE);
}

Test(word, new_makes_one_reference_in_the_slots_generation)
{
    set(ftli_word_make(GENERATION, FTLI_FREE));
    cr_assert_eq(ftli_word_new(&word, FTLI_WORD_FIXED), GENERATION);
    cr_assert_eq(get(), live(1, 0, FTLI_WORD_FIXED));
}

Test(word, zeros_are_stale_for_ever)
{
    uint64_t after;
    for (uint32_t generation = 0; generation < 3; generation++) {
        set(0);
        cr_assert_eq(ftli_word_retain(&word, generation), FTLI_WORD_STALE);
        cr_assert_eq(ftli_word_drop(&word, generation, true), FTLI_WORD_STALE);
        cr_assert_not(ftli_word_drop_fast(&word, generation));
        cr_assert_eq(ftli_word_pin(&word, generation, &after), FTLI_WORD_STALE);
        cr_assert_eq(ftli_word_unpin(&word, generation), FTLI_WORD_STALE);
        cr_assert_eq(ftli_word_fix(&word, generation, &after), FTLI_WORD_STALE);
        cr_assert_eq(ftli_word_slow(&word, generation), FTLI_WORD_STALE);
        cr_assert_eq(get(), 0);
    }
}

Test(word, another_generation_is_refused_and_nothing_changes)
{
    static const uint64_t states[] = {FTLI_FREE,       FTLI_LIVE,        FTLI_DROPPED,
                                      FTLI_RECLAIMING, FTLI_QUARANTINED, FTLI_RETIRED};
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        uint64_t before = ftli_word_make(GENERATION + 1, FTLI_WORD_REFERENCE | FTLI_WORD_PIN | states[i]), after;
        set(before);
        cr_assert_eq(ftli_word_retain(&word, GENERATION), FTLI_WORD_STALE);
        cr_assert_eq(ftli_word_drop(&word, GENERATION, true), FTLI_WORD_STALE);
        cr_assert_not(ftli_word_drop_fast(&word, GENERATION));
        cr_assert_eq(ftli_word_pin(&word, GENERATION, &after), FTLI_WORD_STALE);
        cr_assert_eq(ftli_word_unpin(&word, GENERATION), FTLI_WORD_STALE);
        cr_assert_eq(ftli_word_fix(&word, GENERATION, &after), FTLI_WORD_STALE);
        cr_assert_eq(ftli_word_slow(&word, GENERATION), FTLI_WORD_STALE);
        cr_assert_eq(get(), before, "state %zu", i);
    }
}

Test(word, retain_counts_up_to_its_most)
{
    set(live(1, 0, 0));
    cr_assert_eq(ftli_word_retain(&word, GENERATION), FTLI_WORD_DONE);
    cr_assert_eq(get(), live(2, 0, 0));
    set(live(FTLI_REFERENCES_MOST, 0, 0));
    cr_assert_eq(ftli_word_retain(&word, GENERATION), FTLI_WORD_AT_MOST);
    cr_assert_eq(get(), live(FTLI_REFERENCES_MOST, 0, 0));
    set(dropped(1, 0));
    cr_assert_eq(ftli_word_retain(&word, GENERATION), FTLI_WORD_STALE);
}

Test(word, drop_of_several_references_gives_up_one)
{
    set(live(3, 2, FTLI_WORD_SLOW));
    cr_assert_eq(ftli_word_drop(&word, GENERATION, true), FTLI_WORD_DONE);
    cr_assert_eq(get(), live(2, 2, FTLI_WORD_SLOW));
    cr_assert_not(ftli_word_drop_fast(&word, GENERATION));
}

Test(word, last_drop_in_place_frees_the_slot)
{
    for (int fixed = 0; fixed < 2; fixed++) {
        uint64_t flags = fixed ? FTLI_WORD_FIXED : 0;
        set(live(1, 0, flags));
        cr_assert_eq(ftli_word_drop_fast(&word, GENERATION), fixed != 0, "only what is FIXED");
        cr_assert_eq(get(), fixed ? ftli_word_make(GENERATION + 1, FTLI_FREE) : live(1, 0, flags));
        set(live(1, 0, flags));
        cr_assert_eq(ftli_word_drop(&word, GENERATION, true), FTLI_WORD_MINE);
        cr_assert_eq(get(), ftli_word_make(GENERATION + 1, FTLI_FREE));
        set(live(1, 0, flags));
        cr_assert_eq(ftli_word_drop(&word, GENERATION, false), FTLI_WORD_POST);
        cr_assert_eq(get(), dropped(0, flags));
    }
}

Test(word, last_drop_with_something_against_it_is_posted)
{
    set(live(1, 0, FTLI_WORD_SLOW));
    cr_assert_not(ftli_word_drop_fast(&word, GENERATION));
    cr_assert_eq(ftli_word_drop(&word, GENERATION, true), FTLI_WORD_POST);
    cr_assert_eq(get(), dropped(0, FTLI_WORD_SLOW));
    cr_assert_eq(ftli_word_drop(&word, GENERATION, true), FTLI_WORD_STALE);
    set(live(1, 0, FTLI_WORD_SEL));
    cr_assert_eq(ftli_word_drop(&word, GENERATION, true), FTLI_WORD_POST); /* its block is not where it was born */
}

Test(word, last_drop_of_a_pinned_tensor_is_guarded_until_the_last_unpin)
{
    set(live(1, 2, 0));
    cr_assert_eq(ftli_word_drop(&word, GENERATION, true), FTLI_WORD_GUARDED);
    cr_assert_eq(get(), dropped(3, 0));
    cr_assert_eq(ftli_word_unpin(&word, GENERATION), FTLI_WORD_DONE);
    cr_assert_eq(ftli_word_unpin(&word, GENERATION), FTLI_WORD_DONE);
    cr_assert_eq(ftli_word_unpin(&word, GENERATION), FTLI_WORD_POST);
    cr_assert_eq(ftli_word_unpin(&word, GENERATION), FTLI_WORD_MISUSE);
    cr_assert_eq(get(), dropped(0, 0));
}

Test(word, a_mover_holds_up_the_post_as_a_pin_does)
{
    set(live(1, 0, FTLI_WORD_MOVING));
    cr_assert_eq(ftli_word_drop(&word, GENERATION, true), FTLI_WORD_GUARDED);
    cr_assert_eq(ftli_word_unpin(&word, GENERATION), FTLI_WORD_DONE); /* the mover's leave will post it */
    cr_assert_eq(get(), dropped(0, FTLI_WORD_MOVING));
}

Test(word, pins_count_to_one_below_what_fits)
{
    uint64_t after = 0;
    set(live(1, FTLI_PINS_MOST - 1, 0));
    cr_assert_eq(ftli_word_pin(&word, GENERATION, &after), FTLI_WORD_DONE);
    cr_assert_eq(after, live(1, FTLI_PINS_MOST, 0));
    cr_assert_eq(ftli_word_pin(&word, GENERATION, &after), FTLI_WORD_AT_MOST);
    cr_assert_eq(ftli_word_drop(&word, GENERATION, true), FTLI_WORD_GUARDED);
    cr_assert_eq(get(), dropped(FTLI_PINS_MOST + 1, 0)); /* the guard still fits */
    cr_assert_eq(ftli_word_pin(&word, GENERATION, &after), FTLI_WORD_STALE);
}

Test(word, unpin_without_a_pin_is_misuse)
{
    set(live(1, 0, 0));
    cr_assert_eq(ftli_word_unpin(&word, GENERATION), FTLI_WORD_MISUSE);
    cr_assert_eq(get(), live(1, 0, 0));
}

Test(word, who_touches_a_moving_tensor_voids_the_move)
{
    uint64_t after = 0;
    set(live(1, 0, FTLI_WORD_MOVING));
    cr_assert_eq(ftli_word_pin(&word, GENERATION, &after), FTLI_WORD_DONE);
    cr_assert_eq(after, live(1, 1, FTLI_WORD_MOVING | FTLI_WORD_TOUCHED));
    set(live(1, 0, FTLI_WORD_MOVING));
    cr_assert_eq(ftli_word_fix(&word, GENERATION, &after), FTLI_WORD_DONE);
    cr_assert_eq(get(), live(1, 0, FTLI_WORD_MOVING | FTLI_WORD_TOUCHED | FTLI_WORD_FIXED));
    cr_assert_eq(after, get());
}

Test(word, fix_and_slow_are_said_once)
{
    uint64_t after = 0;
    set(live(1, 0, FTLI_WORD_FIXED | FTLI_WORD_SLOW));
    cr_assert_eq(ftli_word_fix(&word, GENERATION, &after), FTLI_WORD_DONE);
    cr_assert_eq(ftli_word_slow(&word, GENERATION), FTLI_WORD_DONE);
    cr_assert_eq(get(), live(1, 0, FTLI_WORD_FIXED | FTLI_WORD_SLOW));
    set(live(1, 0, 0));
    cr_assert_eq(ftli_word_slow(&word, GENERATION), FTLI_WORD_DONE);
    cr_assert_eq(get(), live(1, 0, FTLI_WORD_SLOW));
}

Test(word, the_owner_of_a_dropped_tensor_takes_it_to_its_end)
{
    set(dropped(0, FTLI_WORD_SLOW | FTLI_WORD_FIXED));
    ftli_word_reclaiming(&word);
    cr_assert_eq(ftli_word_state(get()), FTLI_RECLAIMING);
    ftli_word_quarantine(&word);
    cr_assert_eq(ftli_word_state(get()), FTLI_QUARANTINED);
    cr_assert_eq(ftli_word_generation(get()), GENERATION);
    cr_assert(ftli_word_reclaim(&word));
    cr_assert_eq(get(), ftli_word_make(GENERATION + 1, FTLI_FREE));
}

Test(word, a_hold_keeps_the_tensor_and_takes_the_fast_ways_out)
{
    set(live(1, 0, FTLI_WORD_FIXED));
    cr_assert_eq(ftli_word_hold(&word, GENERATION), FTLI_WORD_DONE);
    cr_assert_eq(get(), live(1, 1, FTLI_WORD_FIXED | FTLI_WORD_SLOW));
    cr_assert_not(ftli_word_drop_fast(&word, GENERATION));
    cr_assert_eq(ftli_word_drop(&word, GENERATION, true), FTLI_WORD_GUARDED);
    cr_assert_eq(ftli_word_hold(&word, GENERATION), FTLI_WORD_DONE, "it is pinned: it stays this tensor");
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(ftli_word_unpin(&word, GENERATION), FTLI_WORD_DONE);
    cr_assert_eq(ftli_word_unpin(&word, GENERATION), FTLI_WORD_POST);
    cr_assert_eq(ftli_word_hold(&word, GENERATION), FTLI_WORD_STALE, "it is somebody's");
    set(live(2, 0, FTLI_WORD_MOVING));
    cr_assert_eq(ftli_word_hold(&word, GENERATION), FTLI_WORD_DONE);
    cr_assert_eq(get(), live(2, 1, FTLI_WORD_MOVING | FTLI_WORD_SLOW), "its memory is not touched");
    set(live(1, FTLI_PINS_MOST, 0));
    cr_assert_eq(ftli_word_hold(&word, GENERATION), FTLI_WORD_AT_MOST);
    for (uint64_t state = FTLI_RECLAIMING; state <= FTLI_RETIRED; state++) {
        set(ftli_word_make(GENERATION, FTLI_WORD_PIN | state));
        cr_assert_eq(ftli_word_hold(&word, GENERATION), FTLI_WORD_STALE);
    }
    set(live(1, 1, 0));
    cr_assert_eq(ftli_word_hold(&word, GENERATION - 1), FTLI_WORD_STALE);
    cr_assert_eq(get(), live(1, 1, 0));
}

Test(word, out_of_quarantine_once)
{
    set(dropped(0, FTLI_WORD_SLOW));
    cr_assert_not(ftli_word_retry(&word, GENERATION));
    ftli_word_reclaiming(&word);
    cr_assert_not(ftli_word_retry(&word, GENERATION));
    ftli_word_quarantine(&word);
    cr_assert_not(ftli_word_retry(&word, GENERATION + 1));
    cr_assert(ftli_word_retry(&word, GENERATION));
    cr_assert_eq(ftli_word_state(get()), FTLI_RECLAIMING);
    cr_assert_not(ftli_word_retry(&word, GENERATION));
    cr_assert(ftli_word_reclaim(&word));
}

Test(word, a_sampled_death_ends_at_once_if_nothing_else_is_there)
{
    uint64_t flags = FTLI_WORD_SLOW | FTLI_WORD_FIXED;
    set(live(1, 0, flags));
    cr_assert_not(ftli_word_drop_at_once(&word, ftli_word_make(GENERATION, 0), FTLI_WORD_FIXED));
    cr_assert(ftli_word_drop_at_once(&word, ftli_word_make(GENERATION, 0), flags));
    cr_assert_eq(get(), ftli_word_make(GENERATION + 1, FTLI_FREE));
    set(live(2, 0, flags));
    cr_assert_not(ftli_word_drop_at_once(&word, ftli_word_make(GENERATION, 0), flags));
    set(live(1, 1, flags));
    cr_assert_not(ftli_word_drop_at_once(&word, ftli_word_make(GENERATION, 0), flags));
}

Test(word, the_last_generation_is_looked_at_and_retires_its_slot)
{
    set(ftli_word_make(FTLI_GENERATION_LAST - 1, FTLI_WORD_REFERENCE | FTLI_WORD_FIXED | FTLI_LIVE));
    cr_assert(ftli_word_drop_fast(&word, FTLI_GENERATION_LAST - 1));
    cr_assert_eq(get(), ftli_word_make(FTLI_GENERATION_LAST, FTLI_FREE));
    cr_assert_eq(ftli_word_new(&word, FTLI_WORD_FIXED), FTLI_GENERATION_LAST);
    cr_assert_not(ftli_word_drop_fast(&word, FTLI_GENERATION_LAST));
    cr_assert_eq(ftli_word_drop(&word, FTLI_GENERATION_LAST, true), FTLI_WORD_POST);
    cr_assert_not(ftli_word_reclaim(&word));
    cr_assert_eq(ftli_word_state(get()), FTLI_RETIRED);
    cr_assert_eq(ftli_word_retain(&word, FTLI_GENERATION_LAST), FTLI_WORD_STALE);
}
