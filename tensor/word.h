/* The header word: the state machine of one tensor, in 64 bits.
 *
 * What        Pure functions over one atomic word; they touch nothing else, so that the file can be checked alone
 *             (tests/model/word.pml states the same protocol).
 * Invariants  A word that is LIVE, or DROPPED with pins or MOVING, changes only by compare-and-swap, and every value
 *             expected holds the handle's generation. In any other state the slot has one owner (a magazine, a
 *             mailbox, the cleanup), who writes it by plain atomic stores. QUARANTINED has none: whoever changes it to
             RECLAIMING by compare-and-swap owns it from there on.
 *             Whoever brings (references, pins, MOVING) to (0, 0, 0) on a DROPPED word posts it, and nobody else.
 * Progress    Lock-free: a compare-and-swap fails only because another operation on the same tensor succeeded.
 *
 *     63..40 generation   39..20 references   19..8 pins   7 SLOW   6 FIXED   5 MOVING   4 TOUCHED   3 SEL   2..0 state
 *
 * Guard pin   A last drop that finds pins or MOVING takes one pin more in the same compare-and-swap, counts the
 *             drop, and unpins: so a reclaim is never counted before its drop. Users have 4,094 pins at once.
 */
#ifndef FTLI_TENSOR_WORD_H
#define FTLI_TENSOR_WORD_H

#include "runtime/base/atomics.h"

#ifndef FTLI_GENERATION_BITS
#define FTLI_GENERATION_BITS 24 /* a test build takes 4, so that slots are used up within its time */
#endif

enum ftli_state {
    FTLI_FREE = 0, /* so that a page of zeros is stale for ever: generation 0 is never given out */
    FTLI_LIVE = 1,
    FTLI_DROPPED = 2,
    FTLI_RECLAIMING = 3,
    FTLI_QUARANTINED = 4,
    FTLI_RETIRED = 5, /* all its generations are used up */
};

#define FTLI_WORD_STATE            UINT64_C(7)
#define FTLI_WORD_SEL              (UINT64_C(1) << 3)
#define FTLI_WORD_TOUCHED          (UINT64_C(1) << 4)
#define FTLI_WORD_MOVING           (UINT64_C(1) << 5)
#define FTLI_WORD_FIXED            (UINT64_C(1) << 6)
#define FTLI_WORD_SLOW             (UINT64_C(1) << 7)
#define FTLI_WORD_PIN              (UINT64_C(1) << 8)
#define FTLI_WORD_PINS             (UINT64_C(0xfff) << 8)
#define FTLI_WORD_REFERENCE        (UINT64_C(1) << 20)
#define FTLI_WORD_REFERENCES       (UINT64_C(0xfffff) << 20)
#define FTLI_WORD_GENERATION_SHIFT 40
#define FTLI_WORD_GENERATION       (UINT64_C(0xffffff) << 40)

#define FTLI_GENERATION_LAST ((UINT32_C(1) << FTLI_GENERATION_BITS) - 1)
#define FTLI_REFERENCES_MOST ((UINT32_C(1) << 20) - 1)
#define FTLI_PINS_MOST       4094 /* one below what fits: the guard pin of a last drop */

enum ftli_word_result {
    FTLI_WORD_STALE,   /* another generation, or not in a state that allows it; nothing changed */
    FTLI_WORD_DONE,    /* changed, and nothing is left to do */
    FTLI_WORD_AT_MOST, /* the count is at its maximum; nothing changed */
    FTLI_WORD_MINE,    /* drop: the word is FREE in its next generation, and the header is the caller's */
    FTLI_WORD_POST,    /* the caller is the one who posts the header */
    FTLI_WORD_GUARDED, /* drop: DROPPED, with a guard pin that the caller gives back by unpin */
    FTLI_WORD_MISUSE,  /* unpin without a pin; nothing changed */
};

FTLI_INLINE uint64_t ftli_word_make(uint32_t generation, uint64_t rest)
{
    return (uint64_t)generation << FTLI_WORD_GENERATION_SHIFT | rest;
}

FTLI_INLINE uint32_t ftli_word_generation(uint64_t word)
{
    return (uint32_t)(word >> FTLI_WORD_GENERATION_SHIFT);
}

FTLI_INLINE enum ftli_state ftli_word_state(uint64_t word)
{
    return (enum ftli_state)(word & FTLI_WORD_STATE);
}

FTLI_INLINE uint32_t ftli_word_references(uint64_t word)
{
    return (uint32_t)(word >> 20) & 0xfffff;
}

FTLI_INLINE uint32_t ftli_word_pins(uint64_t word)
{
    return (uint32_t)(word >> 8) & 0xfff;
}

FTLI_INLINE bool ftli_word_is_live(uint64_t word, uint32_t generation)
{
    return (word & (FTLI_WORD_GENERATION | FTLI_WORD_STATE)) == ftli_word_make(generation, FTLI_LIVE);
}

/* The FREE word that follows a generation, of a slot that is not used up. */
FTLI_INLINE uint64_t ftli_word_next_free(uint32_t generation)
{
    return ftli_word_make(generation + 1, FTLI_FREE);
}

/* new: the owner of a FREE slot gives it out. No read-modify-write. pairs: word-live with every acquire load below. */
FTLI_INLINE uint32_t ftli_word_new(ftli_atomic_u64 *word, uint64_t flags)
{
    uint64_t free_word = ftli_u64_load_relaxed(word);
    ftli_u64_store_release(word, free_word | flags | FTLI_WORD_REFERENCE | FTLI_LIVE);
    return ftli_word_generation(free_word);
}

FTLI_INLINE enum ftli_word_result ftli_word_retain(ftli_atomic_u64 *word, uint32_t generation)
{
    uint64_t seen = ftli_u64_load_acquire(word);
    for (;;) {
        if (!ftli_word_is_live(seen, generation))
            return FTLI_WORD_STALE;
        if ((seen & FTLI_WORD_REFERENCES) == FTLI_WORD_REFERENCES)
            return FTLI_WORD_AT_MOST;
        if (ftli_u64_cas_acq_rel(word, &seen, seen + FTLI_WORD_REFERENCE))
            return FTLI_WORD_DONE;
    }
}

/* The last reference of a tensor whose word has these flags and no others: one compare-and-swap, and the header is the caller's.
 * The slot's last life ends another way: its slot is used up, and somebody must look. */
FTLI_INLINE bool ftli_word_drop_at_once(ftli_atomic_u64 *word, uint64_t generation_bits, uint64_t flags)
{
    uint64_t seen = generation_bits + flags + (FTLI_WORD_REFERENCE | FTLI_LIVE);
    uint64_t next = generation_bits + ftli_word_make(1, FTLI_FREE);
#if FTLI_GENERATION_BITS == 24
    if (FTLI_UNLIKELY(next < generation_bits)) /* it ran over the word's end */
        return false;
#else
    if (generation_bits >= ftli_word_make(FTLI_GENERATION_LAST, 0))
        return false;
#endif
    return ftli_u64_cas_acq_rel(word, &seen, next);
}

FTLI_INLINE bool ftli_word_drop_fast(ftli_atomic_u64 *word, uint32_t generation)
{
    return ftli_word_drop_at_once(word, ftli_word_make(generation, 0), FTLI_WORD_FIXED);
}

/* Any drop. MINE, POST and GUARDED end the tensor; DONE gave up one reference of several. in_place: the caller can take a
 * header itself; else a tensor with nothing against it is to be posted like the others. */
FTLI_INLINE enum ftli_word_result ftli_word_drop(ftli_atomic_u64 *word, uint32_t generation, bool in_place)
{
    uint64_t seen = ftli_u64_load_acquire(word);
    for (;;) {
        if (!ftli_word_is_live(seen, generation))
            return FTLI_WORD_STALE;
        uint64_t next;
        enum ftli_word_result result;
        if (ftli_word_references(seen) > 1) {
            next = seen - FTLI_WORD_REFERENCE;
            result = FTLI_WORD_DONE;
        } else if (in_place && generation < FTLI_GENERATION_LAST &&
                   (seen & ~(FTLI_WORD_GENERATION | FTLI_WORD_FIXED)) == (FTLI_WORD_REFERENCE | FTLI_LIVE)) {
            next = ftli_word_next_free(generation);
            result = FTLI_WORD_MINE;
        } else if ((seen & (FTLI_WORD_PINS | FTLI_WORD_MOVING)) != 0) {
            next = seen - FTLI_WORD_REFERENCE - FTLI_LIVE + FTLI_DROPPED + FTLI_WORD_PIN;
            result = FTLI_WORD_GUARDED;
        } else {
            next = seen - FTLI_WORD_REFERENCE - FTLI_LIVE + FTLI_DROPPED;
            result = FTLI_WORD_POST;
        }
        if (ftli_u64_cas_acq_rel(word, &seen, next))
            return result;
    }
}

/* On DONE *after is the new word: its SEL names the location to use. */
FTLI_INLINE enum ftli_word_result ftli_word_pin(ftli_atomic_u64 *word, uint32_t generation, uint64_t *after)
{
    uint64_t seen = ftli_u64_load_acquire(word);
    for (;;) {
        if (!ftli_word_is_live(seen, generation))
            return FTLI_WORD_STALE;
        if (ftli_word_pins(seen) >= FTLI_PINS_MOST)
            return FTLI_WORD_AT_MOST;
        uint64_t next = seen + FTLI_WORD_PIN;
        if ((seen & FTLI_WORD_MOVING) != 0)
            next |= FTLI_WORD_TOUCHED;
        if (ftli_u64_cas_acq_rel(word, &seen, next)) {
            *after = next;
            return FTLI_WORD_DONE;
        }
    }
}

/* POST: the tensor is DROPPED and this was the last that stood against it. */
FTLI_INLINE enum ftli_word_result ftli_word_unpin(ftli_atomic_u64 *word, uint32_t generation)
{
    uint64_t seen = ftli_u64_load_acquire(word);
    for (;;) {
        enum ftli_state state = ftli_word_state(seen);
        if (ftli_word_generation(seen) != generation || (state != FTLI_LIVE && state != FTLI_DROPPED))
            return FTLI_WORD_STALE;
        if (ftli_word_pins(seen) == 0)
            return FTLI_WORD_MISUSE;
        uint64_t next = seen - FTLI_WORD_PIN;
        if (ftli_u64_cas_acq_rel(word, &seen, next))
            return state == FTLI_DROPPED && (next & (FTLI_WORD_PINS | FTLI_WORD_MOVING)) == 0 ? FTLI_WORD_POST
                                                                                              : FTLI_WORD_DONE;
    }
}

/* data() on a tensor that may still move: from now on it does not, and a move in hand is void. */
FTLI_INLINE enum ftli_word_result ftli_word_fix(ftli_atomic_u64 *word, uint32_t generation, uint64_t *after)
{
    uint64_t seen = ftli_u64_load_acquire(word);
    for (;;) {
        if (!ftli_word_is_live(seen, generation))
            return FTLI_WORD_STALE;
        uint64_t next = seen | FTLI_WORD_FIXED;
        if ((seen & FTLI_WORD_MOVING) != 0)
            next |= FTLI_WORD_TOUCHED;
        if (next == seen || ftli_u64_cas_acq_rel(word, &seen, next)) {
            *after = next;
            return FTLI_WORD_DONE;
        }
    }
}

/* A pin of who marks a tensor whose end it waits for: LIVE, or DROPPED and pinned, so that it stays this tensor; and SLOW, so that
 * its last drop looks at the marks. Given back by unpin, soon. */
FTLI_INLINE enum ftli_word_result ftli_word_hold(ftli_atomic_u64 *word, uint32_t generation)
{
    uint64_t seen = ftli_u64_load_acquire(word);
    for (;;) {
        enum ftli_state state = ftli_word_state(seen);
        bool held = state == FTLI_LIVE || (state == FTLI_DROPPED && ftli_word_pins(seen) != 0);
        if (ftli_word_generation(seen) != generation || !held)
            return FTLI_WORD_STALE;
        if (ftli_word_pins(seen) >= FTLI_PINS_MOST)
            return FTLI_WORD_AT_MOST;
        if (ftli_u64_cas_acq_rel(word, &seen, (seen | FTLI_WORD_SLOW) + FTLI_WORD_PIN))
            return FTLI_WORD_DONE;
    }
}

/* SLOW on a live tensor: link() found that something must be finished when it dies. */
FTLI_INLINE enum ftli_word_result ftli_word_slow(ftli_atomic_u64 *word, uint32_t generation)
{
    uint64_t seen = ftli_u64_load_acquire(word);
    for (;;) {
        if (!ftli_word_is_live(seen, generation))
            return FTLI_WORD_STALE;
        if ((seen & FTLI_WORD_SLOW) != 0 || ftli_u64_cas_acq_rel(word, &seen, seen | FTLI_WORD_SLOW))
            return FTLI_WORD_DONE;
    }
}

/* The receiver of a post is sole owner: it says so, by a plain store. pairs: word-owned with the acquire loads. */
FTLI_INLINE void ftli_word_reclaiming(ftli_atomic_u64 *word)
{
    uint64_t seen = ftli_u64_load_relaxed(word);
    ftli_u64_store_release(word, (seen & ~FTLI_WORD_STATE) | FTLI_RECLAIMING);
}

FTLI_INLINE void ftli_word_quarantine(ftli_atomic_u64 *word)
{
    uint64_t seen = ftli_u64_load_relaxed(word);
    ftli_u64_store_release(word, (seen & ~FTLI_WORD_STATE) | FTLI_QUARANTINED);
}

/* An operator has it retried: who succeeds owns the header, once, and posts it. pairs: word-owned */
FTLI_INLINE bool ftli_word_retry(ftli_atomic_u64 *word, uint32_t generation)
{
    uint64_t seen = ftli_u64_load_acquire(word);
    do {
        if (ftli_word_generation(seen) != generation || ftli_word_state(seen) != FTLI_QUARANTINED)
            return false;
    } while (!ftli_u64_cas_acq_rel(word, &seen, (seen & ~FTLI_WORD_STATE) | FTLI_RECLAIMING));
    return true;
}

/* reclaim: FREE in the next generation, or RETIRED if there is none. True: the slot may be given out again. */
FTLI_INLINE bool ftli_word_reclaim(ftli_atomic_u64 *word)
{
    uint32_t generation = ftli_word_generation(ftli_u64_load_relaxed(word));
    if (FTLI_UNLIKELY(generation >= FTLI_GENERATION_LAST)) {
        ftli_u64_store_release(word, ftli_word_make(generation, FTLI_RETIRED));
        return false;
    }
    ftli_u64_store_release(word, ftli_word_next_free(generation));
    return true;
}

#endif
