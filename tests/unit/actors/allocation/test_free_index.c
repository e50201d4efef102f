/* The index of free spans against a plain list: random spans in and out, then the same questions to both. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>

#include "actors/allocation/free_index.h"
#include "runtime/base/random.h"

#define SPANS 600u

static struct ftli_space space;
static struct ftli_free_index by_length;
static struct {
    uint32_t number, pages;
    unsigned came; /* the step */
    bool in;
} spans[SPANS];

static struct ftli_page *page_of(unsigned i)
{
    return ftli_space_page(&space, spans[i].number);
}

/* Whether i is to be preferred to j: the shorter, of short ones the newer, of long ones the lower. */
static bool is_better(unsigned i, unsigned j)
{
    if (spans[i].pages != spans[j].pages) {
        return spans[i].pages < spans[j].pages;
    }
    return spans[i].pages < FTLI_EXACT_BINS ? spans[i].came > spans[j].came : spans[i].number < spans[j].number;
}

static uint32_t fit_by_list(uint32_t pages)
{
    unsigned best = SPANS;
    for (unsigned i = 0; i < SPANS; i++) {
        if (spans[i].in && spans[i].pages >= pages && (best == SPANS || is_better(i, best))) {
            best = i;
        }
    }
    return best < SPANS ? spans[best].number : 0;
}

static uint32_t longest_by_list(void)
{
    uint32_t pages = 0;
    for (unsigned i = 0; i < SPANS; i++) {
        pages = spans[i].in && spans[i].pages > pages ? spans[i].pages : pages;
    }
    return pages;
}

Test(free_index, answers_as_a_list_would)
{
    uint32_t first, granules;
    ftli_random_state random;
    ftli_random_seed(&random, 5);
    cr_assert_eq(ftli_space_init(&space, (size_t)64 << 20), FTL_OK);
    cr_assert_eq(ftli_space_grow(&space, (size_t)600 << 12, &first, &granules), FTL_OK);
    by_length.pages = space.pages;
    for (unsigned i = 0; i < SPANS;
         i++) { /* lengths as they come, often the same: the index never looks past the head */
        uint32_t pages = i % 3 == 0 ? 9 + i % 7 : 1 + ftli_random_below(&random, i % 3 == 1 ? 600 : 40000);
        spans[i].number = first + i;
        spans[i].pages = pages;
        ftli_space_page(&space, first + i)->pages = pages & FTLI_SPAN_MOST;
    }
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = ftli_random_below(&random, SPANS);
        if (spans[i].in) {
            ftli_free_index_remove(&by_length, page_of(i), spans[i].number, spans[i].pages, true);
        } else {
            spans[i].came = step;
            ftli_free_index_insert(&by_length, page_of(i), spans[i].number, spans[i].pages, true);
        }
        spans[i].in = !spans[i].in;
        uint32_t pages = 1 + ftli_random_below(&random, step % 2 ? 300 : 41000);
        uint32_t found = fit_by_list(pages);
        cr_assert_eq(ftli_free_index_fit(&by_length, pages), found, "step %u: %u pages", step, pages);
        if (pages < FTLI_EXACT_BINS && found && step % 4 == 0 && spans[found - first].pages < FTLI_EXACT_BINS) {
            struct ftli_page *page = NULL;
            cr_assert_eq(ftli_free_index_take_fit(&by_length, pages, &page), found, "step %u: %u pages", step, pages);
            cr_assert_eq(page, ftli_space_page(&space, found));
            spans[found - first].in = false;
        }
        cr_assert_eq(ftli_free_index_longest(&by_length), longest_by_list());
        uint64_t in = 0, in_short = 0;
        for (unsigned k = 0; k < SPANS; k++) {
            in += spans[k].in;
            in_short += spans[k].in && spans[k].pages < 300 ? spans[k].pages : 0;
        }
        cr_assert_eq(ftli_free_index_committed(&by_length), in);
        cr_assert_eq(ftli_free_index_short_pages(&by_length, 300), in_short);
    }
    for (unsigned i = 0; i < SPANS; i++) {
        if (spans[i].in) {
            ftli_free_index_remove(&by_length, page_of(i), spans[i].number, spans[i].pages, true);
        }
    }
    cr_assert_eq(ftli_free_index_fit(&by_length, 1), 0);
    cr_assert_eq(ftli_free_index_longest(&by_length), 0);
    for (unsigned bin = 0; bin < FTLI_BINS; bin++) {
        cr_assert(by_length.first[bin] == 0 && by_length.committed[bin] == 0, "bin %u is not empty", bin);
    }
    ftli_space_fini(&space);
}

Test(free_index, bins_are_in_order_of_length)
{
    unsigned before = 0;
    for (uint32_t pages = 1; pages < 100000; pages++) {
        unsigned bin = ftli_free_index_bin(pages);
        cr_assert(bin == before || bin == before + 1, "%u pages: bin %u after %u", pages, bin, before);
        cr_assert(pages >= FTLI_EXACT_BINS || bin == pages);
        before = bin;
    }
    cr_assert_eq(ftli_free_index_bin(FTLI_SPAN_MOST), FTLI_BINS - 1);
}
