/* What the heap costs, one thread, nothing touched. Prints, never fails; each line's number is nanoseconds for one take and
 * its give, and, where sizes mix, peak committed over peak live bytes.
 *
 *   pair      one size, given back at once
 *   mixture   256 live blocks of 32 KiB to 1 MiB replaced at random: best fit, splitting and merging
 *   bert      sizes and lifetimes after a transformer's forward pass: each layer's activations live until the next layer,
 *             sequence lengths vary from batch to batch, so that hardly a size comes twice
 *   slots     64 slots of a class taken in a batch, given back singly
 */
#include <criterion/criterion.h>
#include <fettle/fettle.h>
#include <stdio.h>

#include "actors/allocation/heap.h"
#include "runtime/base/clock.h"
#include "runtime/base/random.h"

#define MIB    ((size_t)1 << 20)
#define ROUNDS 5

static struct ftli_space space;
static struct ftli_heap heap;
static size_t live, peak_live, peak_committed;
static unsigned long failures; /* counted here: an assertion costs as much as what is measured */

static void begin(void)
{
    struct ftli_heap_options options = {.space = &space, .id = 1, .grows = true};
    cr_assert_eq(ftli_space_init(&space, 64 * MIB), FTL_OK);
    cr_assert_eq(ftli_heap_init(&heap, &options), FTL_OK);
    live = peak_live = peak_committed = 0;
}

static void end(void)
{
    ftli_heap_fini(&heap);
    ftli_space_fini(&space);
}

static void *take(size_t bytes)
{
    void *out = NULL;
    bool zeroed;
    failures += ftli_heap_take_pages(&heap, bytes, 64, &out, &zeroed) != FTL_OK;
    live += bytes;
    peak_live = live > peak_live ? live : peak_live;
    size_t committed = (size_t)heap.committed_pages << FTLI_PAGE_SHIFT;
    peak_committed = committed > peak_committed ? committed : peak_committed;
    return out;
}

static void give(void *address, size_t bytes)
{
    failures += ftli_heap_give(&heap, address) != FTL_OK;
    live -= bytes;
}

static unsigned pairs(ftli_random_state *random)
{
    (void)random;
    for (unsigned i = 0; i < 50000; i++) {
        give(take(100000), 100000);
    }
    return 50000;
}

static unsigned mixture(ftli_random_state *random)
{
    static void *blocks[256];
    static size_t sizes[256];
    unsigned count = 0;
    for (unsigned i = 0; i < 50000; i++) {
        unsigned k = ftli_random_below(random, 256);
        if (blocks[k]) {
            give(blocks[k], sizes[k]);
            count++;
        }
        size_t root = 1 + ftli_random_below(random, 992);
        sizes[k] = 32768 + root * root;
        blocks[k] = take(sizes[k]);
    }
    for (unsigned k = 0; k < 256; k++) {
        if (blocks[k]) {
            give(blocks[k], sizes[k]);
            blocks[k] = NULL;
        }
    }
    return count + 256;
}

/* One batch through 12 layers: hidden states, three projections, attention scores, their product, two of feed-forward. */
static unsigned forward(size_t tokens, size_t batch)
{
    size_t hidden = batch * tokens * 768 * 4, scores = batch * 12 * tokens * tokens * 4;
    void *state = take(hidden);
    for (unsigned layer = 0; layer < 12; layer++) {
        void *query = take(hidden), *key = take(hidden), *value = take(hidden), *score = take(scores);
        void *weights = take(scores);
        give(score, scores);
        give(query, hidden);
        give(key, hidden);
        void *context = take(hidden);
        give(weights, scores);
        give(value, hidden);
        void *inner = take(4 * hidden), *active = take(4 * hidden);
        give(inner, 4 * hidden);
        void *next = take(hidden);
        give(active, 4 * hidden);
        give(context, hidden);
        give(state, hidden);
        state = next;
    }
    give(state, hidden);
    return 12 * 9 + 1;
}

static unsigned bert(ftli_random_state *random)
{
    static const size_t weights[] = {93763584, 2359296, 9437184, 1572864};
    void *kept[48];
    unsigned count = 0;
    for (unsigned i = 0; i < 48; i++) {
        kept[i] = take(weights[i ? 1 + i % 3 : 0]);
    }
    for (unsigned i = 0; i < 300; i++) {
        count += forward(8 + ftli_random_below(random, 377), 1 + ftli_random_below(random, 8));
    }
    for (unsigned i = 0; i < 48; i++) {
        give(kept[i], weights[i ? 1 + i % 3 : 0]);
    }
    return count + 48;
}

static void measure(const char *name, unsigned (*run)(ftli_random_state *))
{
    uint64_t best = UINT64_MAX;
    unsigned count = 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        ftli_random_state random;
        ftli_random_seed(&random, 7);
        begin();
        uint64_t began = ftli_clock_now_ns();
        count = run(&random);
        uint64_t took = ftli_clock_now_ns() - began;
        best = took < best ? took : best;
        end();
    }
    printf("%-8s %6.1f ns a pair, peak committed / peak live %.3f\n", name, (double)best / count,
           (double)peak_committed / (double)peak_live);
}

Test(heap, cost)
{
    measure("pair", pairs);
    measure("mixture", mixture);
    measure("bert", bert);
    void *slots[64];
    unsigned taken, rounds = 2000;
    uint64_t best = UINT64_MAX;
    begin();
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t began = ftli_clock_now_ns();
        for (unsigned i = 0; i < rounds; i++) {
            failures += ftli_heap_take_slots(&heap, 4 + i % 8, slots, 64, &taken) != FTL_OK;
            for (unsigned k = 0; k < taken; k++) {
                failures += ftli_heap_give_slot(&heap, slots[k]) != FTL_OK;
            }
        }
        uint64_t took = ftli_clock_now_ns() - began;
        best = took < best ? took : best;
    }
    printf("slots    %.1f ns a pair\n", (double)best / (rounds * 64.0));
    cr_assert_eq(failures, 0, "%lu calls failed", failures);
    end();
}
