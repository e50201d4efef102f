#include <criterion/criterion.h>
#include <pthread.h>

#include "actors/tracking/tracking.h"

static struct ftli_event_ring ring;

static struct ftli_event_record event(uint64_t number)
{
    return (struct ftli_event_record){.record = number, .bytes = number * 3, .kind = FTLI_EVENT_CREATED};
}

static bool put(uint64_t number)
{
    struct ftli_event_record *next = ftli_event_ring_next(&ring);
    if (next == NULL)
        return false;
    *next = event(number);
    return ftli_event_ring_publish(&ring);
}

Test(event_ring, in_order_and_told_when_half_full)
{
    struct ftli_event_record out[FTLI_EVENT_RING];
    cr_expect_eq(ftli_event_ring_take(&ring, out, FTLI_EVENT_RING), 0);
    for (uint32_t i = 0; i < FTLI_EVENT_RING; i++)
        cr_expect_eq(put(i), i + 1 == FTLI_EVENT_RING / 2, "event %u", i);
    cr_expect_eq(ftli_event_ring_take(&ring, out, 10), 10);
    cr_expect_eq(out[9].record, 9);
    cr_expect_eq(ftli_event_ring_take(&ring, out, FTLI_EVENT_RING), FTLI_EVENT_RING - 10);
    cr_expect_eq(out[0].record, 10);
    cr_expect_eq(out[FTLI_EVENT_RING - 11].record, FTLI_EVENT_RING - 1);
}

Test(event_ring, a_full_one_counts_what_it_loses)
{
    struct ftli_event_record out[FTLI_EVENT_RING];
    for (uint32_t i = 0; i < FTLI_EVENT_RING + 7; i++)
        (void)put(i);
    cr_expect_eq(ftli_u64_load_relaxed(&ring.lost), 7);
    cr_expect_eq(ftli_event_ring_take(&ring, out, FTLI_EVENT_RING), FTLI_EVENT_RING);
    cr_expect_eq(out[FTLI_EVENT_RING - 1].record, FTLI_EVENT_RING - 1, "what was there stays");
    cr_expect_not(put(1));
}

Test(event_ring, indices_wrap)
{
    struct ftli_event_record out[3];
    ftli_u32_store_relaxed(&ring.written, UINT32_MAX - 1);
    ftli_u32_store_relaxed(&ring.read, UINT32_MAX - 1);
    for (uint32_t i = 0; i < 3; i++)
        cr_expect_not(put(i));
    cr_expect_eq(ftli_event_ring_take(&ring, out, 3), 3);
    cr_expect_eq(out[2].record, 2);
}

enum { EVENTS = 200000 };

static void *write_events(void *unused)
{
    (void)unused;
    for (uint64_t i = 1; i <= EVENTS; i++)
        (void)put(i);
    return NULL;
}

Test(event_ring, across_threads_nothing_is_torn, .timeout = 60)
{
    struct ftli_event_record out[32];
    pthread_t writer;
    uint64_t last = 0, taken = 0;
    cr_assert_eq(pthread_create(&writer, NULL, write_events, NULL), 0);
    while (taken + ftli_u64_load_acquire(&ring.lost) < EVENTS) {
        uint32_t n = ftli_event_ring_take(&ring, out, 32);
        for (uint32_t i = 0; i < n; i++) {
            cr_assert_gt(out[i].record, last);
            cr_assert_eq(out[i].bytes, out[i].record * 3);
            last = out[i].record;
        }
        taken += n;
    }
    (void)pthread_join(writer, NULL);
    cr_expect_eq(taken + ftli_u64_load_relaxed(&ring.lost), EVENTS);
}
