/* The plan against a device that is four numbers: what is asked back goes. */
#include <criterion/criterion.h>

#include "actors/defragmentation/give_back.h"

#define MIB    (UINT64_C(1) << 20)
#define SECOND UINT64_C(1000000000)
#define TICK   (SECOND / 10)

static struct ftli_give_back plan;
static struct ftli_give_back_view view;
static struct ftli_give_back_decision decision;
static uint64_t first_purge_ns;

static void begin(struct ftli_size_or_share keep)
{
    const struct ftli_give_back_rules rules = {keep, 10 * SECOND, SECOND, 1000 * MIB, TICK};
    ftli_give_back_init(&plan, &rules);
    view = (struct ftli_give_back_view){.now_ns = 1000 * SECOND};
    first_purge_ns = 0;
}

static const struct ftli_size_or_share tenth = {.is_share = true, .share = 0.1};

/* One look, and what it asks for goes, but for `stuck` bytes. */
static void look(uint64_t stuck)
{
    view.committed_bytes = view.used_bytes + view.free_bytes;
    ftli_give_back_decide(&plan, &view, &decision);
    cr_assert_leq(decision.purge_bytes, view.free_bytes);
    uint64_t can = view.free_bytes > stuck ? view.free_bytes - stuck : 0;
    uint64_t purged = decision.purge_bytes < can ? decision.purge_bytes : can;
    if (purged != 0 && first_purge_ns == 0)
        first_purge_ns = view.now_ns;
    view.free_bytes -= purged;
    if (decision.purge_bytes != 0)
        ftli_give_back_purged(&plan, purged, view.activity);
}

/* Looks as it is told until `until_ns`; returns how often it looked. */
static unsigned idle_until(uint64_t until_ns)
{
    unsigned looks = 0;
    for (;; looks++) {
        look(0);
        if (decision.again_ns == UINT64_MAX || view.now_ns + decision.again_ns > until_ns)
            break;
        view.now_ns += decision.again_ns;
    }
    return looks;
}

static void use_then_free(uint64_t most, uint64_t left)
{
    view.used_bytes = most;
    view.activity++;
    look(0);
    view.now_ns += TICK;
    view.used_bytes = left;
    view.free_bytes = most - left;
    view.activity++;
}

Test(give_back, idle_all_but_keep_goes_in_time_and_not_at_once)
{
    begin(tenth);
    use_then_free(800 * MIB, 0);
    uint64_t freed_ns = view.now_ns;
    look(0);
    cr_expect_eq(decision.purge_bytes, 0, "not before it was quiet");
    cr_expect_eq(decision.keep_bytes, 80 * MIB);
    (void)idle_until(freed_ns + 5 * SECOND);
    cr_expect_geq(first_purge_ns, freed_ns + SECOND);
    cr_expect_leq(first_purge_ns, freed_ns + SECOND + 2 * TICK);
    cr_expect_gt(view.free_bytes, 300 * MIB, "half of the time: about half of it, %lu MiB",
                 (unsigned long)(view.free_bytes / MIB));
    cr_expect_lt(view.free_bytes, 600 * MIB);
    (void)idle_until(freed_ns + 10 * SECOND);
    cr_expect_leq(view.free_bytes, 80 * MIB + 4096);
}

/* A share is kept for who comes back to the peak, while there is something going on. */
Test(give_back, what_is_kept_goes_when_the_minute_is_over)
{
    begin(tenth);
    use_then_free(800 * MIB, 0);
    uint64_t freed_ns = view.now_ns;
    for (; view.now_ns < freed_ns + 55 * SECOND; view.now_ns += TICK) {
        view.activity++;
        look(0);
    }
    cr_expect_geq(view.free_bytes, 79 * MIB);
    cr_expect_leq(view.free_bytes, 81 * MIB);
    for (; view.now_ns < freed_ns + 75 * SECOND; view.now_ns += TICK) {
        view.activity++;
        look(0);
    }
    cr_expect_leq(view.free_bytes, 4096, "%lu", (unsigned long)view.free_bytes);
}

Test(give_back, who_is_quiet_for_so_long_keeps_nothing_then_it_sleeps)
{
    begin(tenth);
    use_then_free(800 * MIB, 0);
    uint64_t freed_ns = view.now_ns;
    (void)idle_until(freed_ns + 9 * SECOND);
    cr_expect_geq(view.free_bytes, 80 * MIB);
    unsigned looks = idle_until(freed_ns + 120 * SECOND);
    cr_expect_leq(looks, 20, "looked %u times", looks);
    cr_expect_leq(view.free_bytes, 4096, "%lu", (unsigned long)view.free_bytes);
    cr_expect_eq(decision.again_ns, UINT64_MAX);
}

Test(give_back, keep_in_bytes_stays_for_ever)
{
    begin((struct ftli_size_or_share){.bytes = 50 * MIB});
    use_then_free(200 * MIB, 10 * MIB);
    (void)idle_until(view.now_ns + 300 * SECOND);
    cr_expect_geq(view.free_bytes, 50 * MIB);
    cr_expect_leq(view.free_bytes, 50 * MIB + 4096);
    cr_expect_eq(decision.again_ns, UINT64_MAX);
}

Test(give_back, busy_only_what_lay_free_all_the_time)
{
    begin(tenth);
    use_then_free(800 * MIB, 200 * MIB);
    uint64_t freed_ns = view.now_ns;
    /* 100 MiB of the free memory are taken and freed again all the time. */
    for (unsigned i = 0; i < 100; i++) {
        bool taken = i % 2 == 0;
        uint64_t all = view.used_bytes + view.free_bytes;
        view.used_bytes = taken ? 300 * MIB : 200 * MIB;
        view.free_bytes = all - view.used_bytes;
        view.activity++;
        look(0); /* each free is told of */
        view.now_ns += TICK;
    }
    uint64_t left = view.used_bytes + view.free_bytes;
    cr_expect_leq(left, 380 * MIB + 8192, "within the time, idle or not; %lu MiB are left",
                  (unsigned long)(left / MIB));
    cr_expect_geq(left, 300 * MIB, "what the program takes again and again stays");
    cr_expect_geq(first_purge_ns, freed_ns + 10 * SECOND / 4);
}

Test(give_back, over_soft_all_at_once)
{
    begin(tenth);
    use_then_free(1200 * MIB, 300 * MIB);
    look(0);
    cr_expect_eq(decision.purge_bytes, 900 * MIB);
    cr_expect_eq(decision.keep_bytes, 0);
    cr_expect_eq(view.free_bytes, 0);
}

Test(give_back, what_cannot_go_is_not_asked_for_for_ever)
{
    begin((struct ftli_size_or_share){.bytes = 0});
    use_then_free(100 * MIB, 0);
    uint64_t freed_ns = view.now_ns;
    unsigned looks = 0;
    do {
        uint64_t before = view.free_bytes;
        look(30 * MIB);
        if (decision.all && view.free_bytes == before)
            break;
        view.now_ns += decision.again_ns;
        looks++;
    } while (looks < 1000);
    cr_expect_lt(looks, 120);
    cr_expect_eq(view.free_bytes, 30 * MIB);
    cr_expect_eq(decision.otherwise_ns, UINT64_MAX);
    cr_expect_leq(view.now_ns, freed_ns + 10 * SECOND + 2 * TICK);
}

Test(give_back, a_peak_that_nobody_saw_is_known_by_what_is_committed)
{
    begin(tenth);
    view.used_bytes = 10 * MIB;
    look(0);
    view.now_ns += 30 * SECOND; /* asleep; the program took 500 MiB and freed them */
    view.free_bytes = 490 * MIB;
    view.activity++;
    look(0);
    cr_expect_eq(decision.keep_bytes, 50 * MIB);
}

Test(give_back, trend_is_the_slope)
{
    begin(tenth);
    view.used_bytes = 100 * MIB;
    view.free_bytes = 50 * MIB;
    cr_expect_eq(ftli_give_back_trend(&plan), 0);
    for (unsigned i = 0; i < 40; i++) {
        view.fragmentation = 0.1 + 0.002 * i;
        view.activity++;
        look(0);
        view.now_ns += TICK;
    }
    cr_expect_float_eq(ftli_give_back_trend(&plan), 0.02, 1e-9, "0.002 a tick is 0.02 a second");
}
