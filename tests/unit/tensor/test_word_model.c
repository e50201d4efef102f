/* The header word against a plain model of it: random operations, by right and by wrong handles, and after each
 * one the same result and the same 64 bits. The interleavings are the business of tests/model/word.pml. */
#include "tensor/word.h"

#include <criterion/criterion.h>

#include "runtime/base/random.h"

/* What CORE.md section 1 says of a word, a field each. */
struct model {
    uint32_t generation, references, pins;
    bool slow, fixed, moving, touched, sel;
    enum ftli_state state;
};

static uint64_t word_of(const struct model *m)
{
    return (uint64_t)m->generation << 40 | (uint64_t)m->references << 20 | (uint64_t)m->pins << 8 |
           (uint64_t)m->slow << 7 | (uint64_t)m->fixed << 6 | (uint64_t)m->moving << 5 | (uint64_t)m->touched << 4 |
           (uint64_t)m->sel << 3 | (uint64_t)m->state;
}

static bool is_live(const struct model *m, uint32_t generation)
{
    return m->state == FTLI_LIVE && m->generation == generation;
}

static void free_next(struct model *m)
{
    *m = (struct model){.generation = m->generation + 1, .state = FTLI_FREE};
}

static enum ftli_word_result model_retain(struct model *m, uint32_t generation)
{
    if (!is_live(m, generation))
        return FTLI_WORD_STALE;
    if (m->references == FTLI_REFERENCES_MOST)
        return FTLI_WORD_AT_MOST;
    m->references++;
    return FTLI_WORD_DONE;
}

static bool nothing_against(const struct model *m)
{
    return m->references == 1 && m->pins == 0 && !m->slow && !m->moving && !m->touched && !m->sel &&
           m->generation < FTLI_GENERATION_LAST;
}

static bool model_drop_fast(struct model *m, uint32_t generation)
{
    if (!is_live(m, generation) || !m->fixed || !nothing_against(m))
        return false;
    free_next(m);
    return true;
}

static enum ftli_word_result model_drop(struct model *m, uint32_t generation, bool in_place)
{
    if (!is_live(m, generation))
        return FTLI_WORD_STALE;
    if (m->references > 1) {
        m->references--;
        return FTLI_WORD_DONE;
    }
    if (in_place && nothing_against(m)) {
        free_next(m);
        return FTLI_WORD_MINE;
    }
    m->references = 0;
    m->state = FTLI_DROPPED;
    if (m->pins == 0 && !m->moving)
        return FTLI_WORD_POST;
    m->pins++;
    return FTLI_WORD_GUARDED;
}

static enum ftli_word_result model_pin(struct model *m, uint32_t generation)
{
    if (!is_live(m, generation))
        return FTLI_WORD_STALE;
    if (m->pins >= FTLI_PINS_MOST)
        return FTLI_WORD_AT_MOST;
    m->pins++;
    m->touched = m->touched || m->moving;
    return FTLI_WORD_DONE;
}

static enum ftli_word_result model_unpin(struct model *m, uint32_t generation)
{
    if (m->generation != generation || (m->state != FTLI_LIVE && m->state != FTLI_DROPPED))
        return FTLI_WORD_STALE;
    if (m->pins == 0)
        return FTLI_WORD_MISUSE;
    m->pins--;
    return m->state == FTLI_DROPPED && m->pins == 0 && !m->moving ? FTLI_WORD_POST : FTLI_WORD_DONE;
}

static enum ftli_word_result model_fix(struct model *m, uint32_t generation)
{
    if (!is_live(m, generation))
        return FTLI_WORD_STALE;
    m->fixed = true;
    m->touched = m->touched || m->moving;
    return FTLI_WORD_DONE;
}

static enum ftli_word_result model_slow(struct model *m, uint32_t generation)
{
    if (!is_live(m, generation))
        return FTLI_WORD_STALE;
    m->slow = true;
    return FTLI_WORD_DONE;
}

/* ---- one history ------------------------------------------------------------------------------------------ */

struct history {
    ftli_atomic_u64 word;
    struct model model;
    bool owned; /* DROPPED and posted, or after: the slot has one owner, who is this test */
    ftli_random_state random;
    uint64_t lives, posts, guards, stale, retired;
};

/* Mostly the right generation; else one that was, one that will be, 0, or any. */
static uint32_t some_generation(struct history *h)
{
    switch (ftli_random_below(&h->random, 16)) {
    case 0:
        return h->model.generation - 1;
    case 1:
        return (h->model.generation + 1) & 0xffffff;
    case 2:
        return 0;
    case 3:
        return ftli_random_below(&h->random, 1 << 24);
    default:
        return h->model.generation;
    }
}

static void take_post(struct history *h, enum ftli_word_result result)
{
    h->stale += result == FTLI_WORD_STALE;
    h->guards += result == FTLI_WORD_GUARDED;
    if (result != FTLI_WORD_POST)
        return;
    cr_assert_not(h->owned, "posted twice");
    h->owned = true;
    h->posts++;
}

/* The mover's two ends as CORE.md states them; the mover itself is not part of the header yet. */
static void begin_move(struct history *h)
{
    if (h->model.state != FTLI_LIVE || h->model.pins != 0 || h->model.fixed || h->model.moving)
        return;
    h->model.moving = true;
    h->model.touched = false;
    ftli_u64_store_relaxed(&h->word, word_of(&h->model));
}

static void end_move(struct history *h)
{
    if (!h->model.moving)
        return;
    h->model.sel ^= h->model.state == FTLI_LIVE && !h->model.touched && h->model.pins == 0;
    h->model.moving = false;
    ftli_u64_store_relaxed(&h->word, word_of(&h->model));
    if (h->model.state == FTLI_DROPPED && h->model.pins == 0)
        take_post(h, FTLI_WORD_POST);
}

static void owner_step(struct history *h)
{
    if (h->model.state == FTLI_DROPPED) {
        ftli_word_reclaiming(&h->word);
        h->model.state = FTLI_RECLAIMING;
    } else if (h->model.state == FTLI_RECLAIMING && ftli_random_chance(&h->random, 0.2)) {
        ftli_word_quarantine(&h->word);
        h->model.state = FTLI_QUARANTINED;
    } else {
        bool more = ftli_word_reclaim(&h->word);
        cr_assert_eq(more, h->model.generation < FTLI_GENERATION_LAST);
        if (more)
            free_next(&h->model);
        else
            h->model = (struct model){.generation = FTLI_GENERATION_LAST, .state = FTLI_RETIRED};
        h->owned = false;
    }
}

static void give_out(struct history *h)
{
    bool slow = ftli_random_chance(&h->random, 0.3), fixed = ftli_random_chance(&h->random, 0.5);
    uint32_t generation = ftli_word_new(&h->word, (slow ? FTLI_WORD_SLOW : 0) | (fixed ? FTLI_WORD_FIXED : 0));
    cr_assert_eq(generation, h->model.generation);
    h->model.references = 1;
    h->model.slow = h->model.slow || slow;
    h->model.fixed = fixed;
    h->model.state = FTLI_LIVE;
    h->lives++;
}

static void step(struct history *h)
{
    uint32_t generation = some_generation(h);
    uint64_t after = 0;
    bool in_place = ftli_random_chance(&h->random, 0.5);
    enum ftli_word_result result, expected;
    switch (ftli_random_below(&h->random, 12)) {
    case 0:
        result = ftli_word_retain(&h->word, generation);
        expected = model_retain(&h->model, generation);
        break;
    case 1:
        result = ftli_word_drop_fast(&h->word, generation) ? FTLI_WORD_MINE : FTLI_WORD_STALE;
        expected = model_drop_fast(&h->model, generation) ? FTLI_WORD_MINE : FTLI_WORD_STALE;
        break;
    case 2:
    case 3:
        result = ftli_word_drop(&h->word, generation, in_place);
        expected = model_drop(&h->model, generation, in_place);
        break;
    case 4:
        result = ftli_word_pin(&h->word, generation, &after);
        expected = model_pin(&h->model, generation);
        cr_assert(result != FTLI_WORD_DONE || after == word_of(&h->model));
        break;
    case 5:
    case 6:
        result = ftli_word_unpin(&h->word, generation);
        expected = model_unpin(&h->model, generation);
        break;
    case 7:
        result = ftli_word_fix(&h->word, generation, &after);
        expected = model_fix(&h->model, generation);
        cr_assert(result != FTLI_WORD_DONE || after == word_of(&h->model));
        break;
    case 8:
        result = ftli_word_slow(&h->word, generation);
        expected = model_slow(&h->model, generation);
        break;
    case 9:
        begin_move(h);
        return;
    case 10:
        end_move(h);
        return;
    default:
        if (h->owned)
            owner_step(h);
        else if (h->model.state == FTLI_FREE)
            give_out(h);
        return;
    }
    cr_assert_eq(result, expected, "result %d, the model says %d", (int)result, (int)expected);
    take_post(h, result);
}

static void run_history(struct history *h, uint64_t seed, uint32_t generation, unsigned steps)
{
    *h = (struct history){.model = {.generation = generation, .state = FTLI_FREE}};
    h->model.slow = generation == FTLI_GENERATION_LAST;
    ftli_random_seed(&h->random, seed);
    ftli_u64_store_relaxed(&h->word, word_of(&h->model));
    for (unsigned i = 0; i < steps; i++) {
        uint64_t before = ftli_u64_load_relaxed(&h->word);
        step(h);
        uint64_t is = ftli_u64_load_relaxed(&h->word), should = word_of(&h->model);
        cr_assert_eq(is, should, "seed %llu, step %u: %016llx became %016llx, the model says %016llx",
                     (unsigned long long)seed, i, (unsigned long long)before, (unsigned long long)is,
                     (unsigned long long)should);
        if (h->model.state == FTLI_RETIRED) {
            h->retired++;
            return;
        }
    }
}

Test(word_model, random_histories_agree_with_it)
{
    uint64_t lives = 0, posts = 0, guards = 0, stale = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct history h;
        run_history(&h, seed, 1 + (uint32_t)seed * 71317 % (FTLI_GENERATION_LAST - 1000), 2000);
        lives += h.lives, posts += h.posts, guards += h.guards, stale += h.stale;
    }
    /* Else the histories went past what they are to show. */
    cr_assert(lives > 5000 && posts > 2000 && guards > 500 && stale > 20000, "%llu lives, %llu posts, %llu guards",
              (unsigned long long)lives, (unsigned long long)posts, (unsigned long long)guards);
}

Test(word_model, slots_near_their_last_generation_retire)
{
    unsigned retired = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct history h;
        run_history(&h, seed, FTLI_GENERATION_LAST - (uint32_t)(seed % 4), 4000);
        retired += (unsigned)h.retired;
        if (h.retired == 0)
            continue;
        uint64_t after, dead = ftli_u64_load_relaxed(&h.word);
        cr_assert_eq(ftli_word_retain(&h.word, FTLI_GENERATION_LAST), FTLI_WORD_STALE);
        cr_assert_eq(ftli_word_pin(&h.word, FTLI_GENERATION_LAST, &after), FTLI_WORD_STALE);
        cr_assert_eq(ftli_word_unpin(&h.word, FTLI_GENERATION_LAST), FTLI_WORD_STALE);
        cr_assert_eq(ftli_word_drop(&h.word, FTLI_GENERATION_LAST, true), FTLI_WORD_STALE);
        cr_assert_eq(ftli_u64_load_relaxed(&h.word), dead);
    }
    cr_assert(retired > 90, "%u of 100 histories retired their slot", retired);
}

/* Each maximum is reached by counting up to it, not by writing it. */
Test(word_model, the_most_references_are_counted_up_and_down)
{
    ftli_atomic_u64 word;
    ftli_u64_store_relaxed(&word, ftli_word_make(5, FTLI_FREE));
    uint32_t generation = ftli_word_new(&word, 0);
    for (uint32_t i = 1; i < FTLI_REFERENCES_MOST; i++)
        cr_assert_eq(ftli_word_retain(&word, generation), FTLI_WORD_DONE);
    cr_assert_eq(ftli_word_retain(&word, generation), FTLI_WORD_AT_MOST);
    cr_assert_eq(ftli_word_references(ftli_u64_load_relaxed(&word)), (1u << 20) - 1);
    cr_assert_eq(ftli_word_pins(ftli_u64_load_relaxed(&word)), 0);
    for (uint32_t i = 1; i < FTLI_REFERENCES_MOST; i++)
        cr_assert_eq(ftli_word_drop(&word, generation, true), FTLI_WORD_DONE);
    cr_assert_eq(ftli_word_drop(&word, generation, true), FTLI_WORD_MINE);
    cr_assert_eq(ftli_u64_load_relaxed(&word), ftli_word_make(6, FTLI_FREE));
}

Test(word_model, the_guard_pin_fits_above_the_most_pins)
{
    ftli_atomic_u64 word;
    uint64_t after;
    ftli_u64_store_relaxed(&word, ftli_word_make(5, FTLI_FREE));
    uint32_t generation = ftli_word_new(&word, 0);
    for (uint32_t i = 0; i < FTLI_PINS_MOST; i++)
        cr_assert_eq(ftli_word_pin(&word, generation, &after), FTLI_WORD_DONE);
    cr_assert_eq(ftli_word_pin(&word, generation, &after), FTLI_WORD_AT_MOST);
    cr_assert_eq(ftli_word_drop(&word, generation, true), FTLI_WORD_GUARDED);
    cr_assert_eq(ftli_word_pins(ftli_u64_load_relaxed(&word)), 4095);
    cr_assert_eq(ftli_word_references(ftli_u64_load_relaxed(&word)), 0, "the guard ran over into the references");
    for (uint32_t i = 0; i < FTLI_PINS_MOST; i++)
        cr_assert_eq(ftli_word_unpin(&word, generation), FTLI_WORD_DONE);
    cr_assert_eq(ftli_word_unpin(&word, generation), FTLI_WORD_POST);
    cr_assert_eq(ftli_word_unpin(&word, generation), FTLI_WORD_MISUSE);
}
