#include <criterion/criterion.h>

#include <fettle/fettle.h>

#include "runtime/kernel/mailbox.h"

enum { N = 200 };

static ftli_mailbox mailbox;
static ftli_message messages[FTLI_LANES][N];

static void fill(unsigned lane, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        messages[lane][i].type = i;
        messages[lane][i].sent_ns = 1000 + i;
        (void)ftli_mailbox_push(&mailbox, lane, &messages[lane][i].link, 1000 + i);
    }
}

static ftli_message *take(unsigned *lane)
{
    ftli_link *link = ftli_mailbox_take(&mailbox, lane);
    return link != NULL ? ftli_link_message(link) : NULL;
}

Test(mailbox, an_empty_one_has_nothing)
{
    unsigned lane = 9;
    cr_assert_eq(ftli_mailbox_init(&mailbox, NULL, 0, NULL), FTL_OK);
    cr_expect_null(take(&lane));
    cr_expect_eq(lane, 9);
    cr_expect_eq(ftli_mailbox_depth(&mailbox), 0);
    cr_expect_not(ftli_mailbox_has_in_hand(&mailbox));
}

Test(mailbox, shares_must_fill_a_round)
{
    const uint32_t bad[][FTLI_LANES] = {{51, 8, 4, 2}, {52, 8, 4, 0}, {64, 0, 0, 0}, {UINT32_MAX, 63, 1, 1}};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(ftli_mailbox_init(&mailbox, bad[i], 0, NULL), FTL_EINVAL);
    const uint32_t good[FTLI_LANES] = {16, 16, 16, 16};
    cr_expect_eq(ftli_mailbox_init(&mailbox, good, 0, NULL), FTL_OK);
}

Test(mailbox, a_lane_keeps_its_order_over_several_batches)
{
    unsigned lane;
    cr_assert_eq(ftli_mailbox_init(&mailbox, NULL, 0, NULL), FTL_OK);
    for (uint32_t i = 0; i < N; i++) {
        messages[0][i].type = i;
        (void)ftli_mailbox_push(&mailbox, FTLI_LANE_NORMAL, &messages[0][i].link, 1);
        if (i % 3 == 2)
            cr_assert_eq(take(&lane)->type, i / 3);
    }
    for (uint32_t i = N / 3; i < N; i++)
        cr_assert_eq(take(&lane)->type, i);
    cr_expect_null(take(&lane));
}

Test(mailbox, with_all_lanes_full_each_gets_its_share_of_every_round)
{
    cr_assert_eq(ftli_mailbox_init(&mailbox, NULL, 0, NULL), FTL_OK);
    for (unsigned lane = 0; lane < FTLI_LANES; lane++)
        fill(lane, N);
    for (int round = 0; round < 3; round++) {
        unsigned counts[FTLI_LANES] = {0}, lane;
        for (int i = 0; i < FTLI_LANE_ROUND; i++) {
            cr_assert_not_null(take(&lane));
            counts[lane]++;
        }
        cr_expect_eq(counts[0], 51);
        cr_expect_eq(counts[1], 8);
        cr_expect_eq(counts[2], 4);
        cr_expect_eq(counts[3], 1);
    }
}

Test(mailbox, what_a_lane_leaves_goes_to_the_highest)
{
    cr_assert_eq(ftli_mailbox_init(&mailbox, NULL, 0, NULL), FTL_OK);
    fill(FTLI_LANE_HIGH, N);
    fill(FTLI_LANE_BACKGROUND, N);
    unsigned counts[FTLI_LANES] = {0}, lane;
    for (int i = 0; i < FTLI_LANE_ROUND; i++) {
        cr_assert_not_null(take(&lane));
        counts[lane]++;
    }
    cr_expect_eq(counts[FTLI_LANE_HIGH], 63);
    cr_expect_eq(counts[FTLI_LANE_BACKGROUND], 1);
    for (int i = 0; i < 2 * N - FTLI_LANE_ROUND; i++)
        cr_assert_not_null(take(&lane));
    cr_expect_null(take(&lane));
}

Test(mailbox, without_priority_lanes_come_in_turn)
{
    cr_assert_eq(ftli_mailbox_init(&mailbox, NULL, 0, NULL), FTL_OK);
    mailbox.ignore_priority = true;
    for (unsigned lane = 0; lane < FTLI_LANES; lane++)
        fill(lane, 10);
    for (unsigned i = 0; i < 4 * 10; i++) {
        unsigned lane;
        cr_assert_not_null(take(&lane));
        cr_assert_eq(lane, i % FTLI_LANES);
    }
}

Test(mailbox, what_is_put_back_comes_next_and_still_counts)
{
    unsigned lane;
    cr_assert_eq(ftli_mailbox_init(&mailbox, NULL, 0, NULL), FTL_OK);
    fill(FTLI_LANE_HIGH, 5);
    ftli_message *first = take(&lane);
    ftli_mailbox_put_back(&mailbox, lane, &first->link);
    cr_expect_eq(ftli_mailbox_depth(&mailbox), 5);
    cr_expect(ftli_mailbox_has_in_hand(&mailbox));
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(take(&lane)->type, i);
    cr_expect_eq(ftli_mailbox_depth(&mailbox), 0);
}

Test(mailbox, an_unordered_lane_gives_everything_once)
{
    cr_assert_eq(ftli_mailbox_init(&mailbox, NULL, 1u << FTLI_LANE_HIGH, NULL), FTL_OK);
    fill(FTLI_LANE_HIGH, N);
    bool seen[N] = {false};
    for (int i = 0; i < N; i++) {
        unsigned lane;
        const ftli_message *message = take(&lane);
        cr_assert_not(seen[message->type]);
        seen[message->type] = true;
    }
    unsigned lane;
    cr_expect_null(take(&lane));
}

Test(mailbox, depth_high_water_and_age_are_known)
{
    ftli_lane_figures figures;
    unsigned lane;
    cr_assert_eq(ftli_mailbox_init(&mailbox, NULL, 0, NULL), FTL_OK);
    fill(FTLI_LANE_NORMAL, 12);
    ftli_mailbox_figures(&mailbox, FTLI_LANE_NORMAL, &figures);
    cr_expect_eq(figures.depth, 12);
    cr_expect_eq(figures.high_water, 12);
    cr_expect_eq(figures.oldest_ns, 1000);
    cr_expect_eq(ftli_mailbox_unseen(&mailbox, FTLI_LANE_NORMAL), 12);
    for (int i = 0; i < 3; i++)
        (void)take(&lane);
    ftli_mailbox_figures(&mailbox, FTLI_LANE_NORMAL, &figures);
    cr_expect_eq(figures.depth, 9);
    cr_expect_eq(figures.oldest_ns, 1003, "the age is that of the next");
    cr_expect_eq(ftli_mailbox_unseen(&mailbox, FTLI_LANE_NORMAL), 0);
    cr_expect_not(ftli_mailbox_lane_has_new(&mailbox, FTLI_LANE_NORMAL));
    for (int i = 0; i < 9; i++)
        (void)take(&lane);
    ftli_mailbox_figures(&mailbox, FTLI_LANE_NORMAL, &figures);
    cr_expect_eq(figures.depth, 0);
    cr_expect_eq(figures.oldest_ns, 0);
    cr_expect_eq(figures.high_water, 12);
    cr_expect_eq(figures.taken, 12);
}

typedef struct {
    FTLI_ALIGNED(64) uint64_t sent_ns;
    uint64_t other;
    ftli_link link;
} item;

static uint64_t item_sent_ns(const ftli_link *link)
{
    return ((const item *)(const void *)((const char *)link - offsetof(item, link)))->sent_ns;
}

Test(mailbox, items_are_told_apart_and_tell_their_age)
{
    static item items[3] = {{.sent_ns = 70}, {.sent_ns = 80}, {.sent_ns = 90}};
    ftli_lane_figures figures;
    unsigned lane;
    for (int known = 0; known < 2; known++) {
        cr_assert_eq(ftli_mailbox_init(&mailbox, NULL, 0, known ? item_sent_ns : NULL), FTL_OK);
        for (int i = 0; i < 3; i++) {
            cr_assert(ftli_link_is_item(&items[i].link));
            (void)ftli_mailbox_push(&mailbox, FTLI_LANE_HIGH, &items[i].link, 60);
        }
        cr_assert_eq(ftli_mailbox_take(&mailbox, &lane), &items[0].link);
        ftli_mailbox_figures(&mailbox, FTLI_LANE_HIGH, &figures);
        cr_expect_eq(figures.oldest_ns, known ? 80 : 60, "%lu", (unsigned long)figures.oldest_ns);
    }
    cr_expect_not(ftli_link_is_item(&messages[0][0].link));
}
