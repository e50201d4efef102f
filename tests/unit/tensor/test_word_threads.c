/* Four threads on one word: every result is accounted for, and each life ends exactly once. */
#include "tensor/word.h"

#include <criterion/criterion.h>
#include <pthread.h>

#include "runtime/base/random.h"

enum { THREADS = 4, LIVES = 400, OPERATIONS = 200 };

struct tally {
    uint64_t retained, dropped, pinned, unpinned, guarded, ends /* MINE or POST */, stale;
};

static ftli_atomic_u64 word;
static ftli_atomic_u32 ends;  /* of the life at hand */
static ftli_atomic_u32 wrong; /* what may not be: Criterion's assertions are for the test's own thread */
static pthread_barrier_t barrier;
static struct tally tallies[THREADS];

static void must(bool good)
{
    if (!good)
        (void)ftli_u32_fetch_add_relaxed(&wrong, 1);
}

static void note(struct tally *tally, enum ftli_word_result result)
{
    if (result == FTLI_WORD_MINE || result == FTLI_WORD_POST) {
        tally->ends++;
        (void)ftli_u32_fetch_add_relaxed(&ends, 1);
    }
    tally->stale += result == FTLI_WORD_STALE;
}

static void drop(struct tally *tally, uint32_t generation)
{
    enum ftli_word_result result = ftli_word_drop(&word, generation, true);
    must(result != FTLI_WORD_STALE); /* a reference of this thread's own */
    tally->dropped++;
    note(tally, result);
    if (result == FTLI_WORD_GUARDED) {
        tally->guarded++;
        note(tally, ftli_word_unpin(&word, generation));
    }
}

static void unpin(struct tally *tally, uint32_t generation)
{
    enum ftli_word_result result = ftli_word_unpin(&word, generation);
    must(result == FTLI_WORD_DONE || result == FTLI_WORD_POST); /* a pin of this thread's own */
    tally->unpinned++;
    note(tally, result);
}

/* Every thread begins with one reference and gives up all that it took, in an order of its own. */
static void one_life(struct tally *tally, ftli_random_state *random, uint32_t generation)
{
    unsigned references = 1, pins = 0;
    uint64_t after;
    for (unsigned i = 0; i < OPERATIONS && references + pins > 0; i++) {
        switch (ftli_random_below(random, 4)) {
        case 0:
            if (ftli_word_retain(&word, generation) == FTLI_WORD_DONE)
                references++, tally->retained++;
            break;
        case 1:
            if (ftli_word_pin(&word, generation, &after) == FTLI_WORD_DONE)
                pins++, tally->pinned++;
            break;
        case 2:
            if (references > 0)
                references--, drop(tally, generation);
            break;
        default:
            if (pins > 0)
                pins--, unpin(tally, generation);
            break;
        }
    }
    while (pins > 0 || references > 0) {
        if (pins > 0 && (references == 0 || ftli_random_chance(random, 0.5)))
            pins--, unpin(tally, generation);
        else
            references--, drop(tally, generation);
    }
}

static void *work(void *argument)
{
    struct tally *tally = argument;
    ftli_random_state random;
    ftli_random_seed(&random, 7 + (uint64_t)(tally - tallies));
    for (uint32_t life = 1; life <= LIVES; life++) {
        bool first = tally == tallies;
        if (first) {
            ftli_u64_store_relaxed(&word, ftli_word_make(life, FTLI_FREE));
            must(ftli_word_new(&word, life % 3 == 0 ? FTLI_WORD_SLOW : 0) == life);
            for (unsigned i = 1; i < THREADS; i++)
                must(ftli_word_retain(&word, life) == FTLI_WORD_DONE);
            ftli_u32_store_relaxed(&ends, 0);
        }
        pthread_barrier_wait(&barrier);
        one_life(tally, &random, life);
        pthread_barrier_wait(&barrier);
        if (first) {
            uint64_t left = ftli_u64_load_relaxed(&word);
            must(ftli_u32_load_relaxed(&ends) == 1);
            must(ftli_word_references(left) == 0 && ftli_word_pins(left) == 0);
            must(ftli_word_state(left) == FTLI_FREE ? ftli_word_generation(left) == life + 1
                                                    : ftli_word_state(left) == FTLI_DROPPED);
        }
    }
    return NULL;
}

Test(word_threads, every_reference_and_pin_is_accounted_for)
{
    pthread_t threads[THREADS];
    struct tally sum = {0};
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, work, &tallies[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        sum.retained += tallies[i].retained, sum.dropped += tallies[i].dropped;
        sum.pinned += tallies[i].pinned, sum.unpinned += tallies[i].unpinned;
        sum.ends += tallies[i].ends;
    }
    pthread_barrier_destroy(&barrier);
    cr_assert_eq(ftli_u32_load_relaxed(&wrong), 0);
    cr_assert_eq(sum.dropped, sum.retained + (uint64_t)THREADS * LIVES);
    cr_assert_eq(sum.unpinned, sum.pinned);
    cr_assert_eq(sum.ends, LIVES);
}
