/* Cycles of links, against a naive model; and what is said of them. */
#include <stdio.h>
#include <sys/resource.h>

#include "actors/leak_detection/report.h"
#include "leak_support.h"
#include "runtime/base/random.h"

TestSuite(cycles, .init = open_leaks, .fini = close_leaks);

/* ---- links, as the port makes them ------------------------------------------------------------------------------------- */

static struct ftli_extension *extension_of(uint64_t tensor)
{
    struct ftli_header *header = header_of(tensor);
    if (ftli_u32_load_acquire(&header->cold) == 0)
        ftli_u32_store_release(&header->cold, ftli_cell_take(&table));
    return ftli_extension(&table, ftli_u32_load_acquire(&header->cold));
}

static void flag(uint64_t tensor, uint32_t flags)
{
    struct ftli_header *header = header_of(tensor);
    ftli_u64_store_release(&header->record, ftli_u64_load_acquire(&header->record) | flags);
}

static void link_to(uint64_t parent, uint64_t child)
{
    retain(child);
    cr_assert_eq(ftli_extension_add_child(&table, extension_of(parent), child), FTL_OK);
    flag(parent, FTLI_HEADER_LINKS);
    ftli_leak_detection_note_link(&leaks, parent);
}

static bool is_alive(uint64_t tensor)
{
    return ftli_word_is_live(ftli_u64_load_acquire(&header_of(tensor)->word), ftli_handle_generation(tensor));
}

static void end_of(uint64_t tensor);

/* One reference less; what died gives up its own, and who lives on after that is noted. */
static void give_up(uint64_t tensor)
{
    struct ftli_header *header = header_of(tensor);
    enum ftli_word_result result = ftli_word_drop(&header->word, ftli_handle_generation(tensor), false);
    if (result == FTLI_WORD_GUARDED)
        result = ftli_word_unpin(&header->word, ftli_handle_generation(tensor));
    if (result == FTLI_WORD_POST)
        end_of(tensor);
}

static void give_up_link(uint64_t child)
{
    give_up(child);
    if (is_alive(child))
        ftli_leak_detection_note_link(&leaks, child);
}

static void end_of(uint64_t tensor)
{
    struct ftli_header *header = header_of(tensor);
    ftli_word_reclaiming(&header->word);
    uint32_t cold = ftli_u32_load_acquire(&header->cold);
    if (cold != 0) {
        struct ftli_extension *extension = ftli_extension(&table, cold);
        for (uint64_t child; (child = ftli_extension_take_child(&table, extension)) != 0;)
            give_up_link(child);
        uint64_t root = ftli_u64_load_acquire(&extension->root);
        if (root != 0)
            give_up_link(root);
        ftli_u32_store_release(&header->cold, 0);
        ftli_extension_give(&table, cold);
    }
    (void)ftli_word_reclaim(&header->word);
}

static void unlink_from(uint64_t parent, uint64_t child)
{
    cr_assert(ftli_extension_remove_child(&table, extension_of(parent), child));
    give_up_link(child);
}

static ftl_leak_report *scan(uint32_t causes)
{
    const ftl_leak_options options = {.causes = causes};
    ftl_leak_report *report = NULL;
    cr_assert_eq(ftli_leak_scan(&leaks, &options, &report), FTL_OK);
    return report;
}

static uint64_t leaked_by_actor(void)
{
    run_for(11 * SECOND);
    return ftli_u64_load_acquire(&leaks.cycles.leaked);
}

/* ---- what is said ------------------------------------------------------------------------------------------------------ */

Test(cycles, a_cycle_is_a_leak_once_nothing_else_refers_to_it)
{
    uint64_t parent = make(1000, 0, "parent", "model.c:7"), mask = make(24, 0, "mask", "model.c:8");
    link_to(parent, mask);
    link_to(mask, parent);
    give_up(mask);
    ftl_leak_report *report = scan(0);
    cr_expect_eq(report->count, 0, "the parent's first reference is outside");
    ftli_leak_report_destroy(report);
    cr_expect_eq(leaked_by_actor(), 0);
    give_up(parent);
    report = scan(0);
    cr_assert_eq(report->count, 1);
    cr_expect_eq(report->leaked, 2);
    cr_expect_eq(report->leaks[0].count, 2);
    cr_expect_eq(report->leaks[0].bytes, 1024);
    cr_expect_eq(report->leaks[0].cause, FTL_LEAK_CYCLE);
    cr_expect_eq(report->leaks[0].certainty, 100);
    cr_expect_eq(report->leaks[0].tensor.id, parent);
    cr_expect_str_eq(report->leaks[0].label, "parent");
    cr_expect_str_eq(report->leaks[0].site, "model.c:7");
    cr_expect_str_eq(ftli_leak_detail_of(report, 0)->reason, "cycle: parent -> mask -> parent");
    ftli_leak_report_destroy(report);
    cr_expect_eq(leaked_by_actor(), 2, "a drop is not noted: its witness is gone");
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 2);
    unlink_from(mask, parent);
    cr_expect_not(is_alive(parent));
    cr_expect_eq(leaked_by_actor(), 0);
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 0);
    uint64_t runs = ftli_u64_load_relaxed(&leaks.cycles.runs);
    run_for(3600 * SECOND);
    cr_expect_eq(ftli_u64_load_relaxed(&leaks.cycles.runs), runs, "no cycle is left to look after");
}

Test(cycles, no_look_without_links)
{
    for (unsigned i = 0; i < 100; i++)
        (void)make(10, 0, "x", NULL);
    run_for(3600 * SECOND);
    cr_expect_eq(ftli_u64_load_relaxed(&leaks.cycles.runs), 0);
    cr_expect_eq(ftli_u64_load_relaxed(&leaks.cycles.steps), 0);
}

Test(cycles, one_that_outlived_its_scope_is_one_row)
{
    uint64_t scope = open_scope("session", FTL_SCOPE_WORK);
    uint64_t a = make(10, scope, "a", NULL), b = make(10, scope, "b", NULL), alone = make(7, scope, "c", NULL);
    retain(alone);
    link_to(a, b);
    link_to(b, a);
    (void)end_scope(scope);
    ftl_leak_report *report = scan(0);
    cr_assert_eq(report->count, 2);
    cr_expect_eq(report->leaked, 3);
    cr_expect_eq(report->leaks[0].cause, FTL_LEAK_CYCLE);
    cr_expect_eq(report->leaks[1].cause, FTL_LEAK_OUTLIVED_SCOPE);
    ftli_leak_report_destroy(report);
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 3);
    report = scan(UINT32_C(1) << FTL_LEAK_OUTLIVED_SCOPE);
    cr_expect_eq(report->leaked, 3, "by this cause alone they are found too");
    ftli_leak_report_destroy(report);
}

Test(cycles, a_long_one_is_told_short)
{
    uint64_t ring[40];
    for (unsigned i = 0; i < 40; i++)
        ring[i] = make(1, 0, i < 20 ? "even" : NULL, NULL);
    for (unsigned i = 0; i < 40; i++)
        link_to(ring[i], ring[(i + 1) % 40]);
    link_to(ring[3], ring[30]);
    for (unsigned i = 0; i < 40; i++)
        give_up(ring[i]);
    ftl_leak_report *report = scan(UINT32_C(1) << FTL_LEAK_CYCLE);
    cr_assert_eq(report->leaked, 40);
    const char *reason = ftli_leak_detail_of(report, 0)->reason;
    cr_log_info("%s", reason);
    char expected[300];
    (void)snprintf(expected, sizeof expected,
                   "cycle: even -> even -> even -> even -> 0x%016lx -> 0x%016lx -> 0x%016lx -> 0x%016lx -> 6 more -> "
                   "even (40 tensors hold each other by 41 links)",
                   (unsigned long)ring[30], (unsigned long)ring[31], (unsigned long)ring[32], (unsigned long)ring[33]);
    cr_expect_str_eq(reason, expected);
    ftli_leak_report_destroy(report);
}

/* Ten million deep would take long in all presets; a stack that grew by a frame a link would not stand this either. */
Test(cycles, depth_costs_no_stack)
{
    enum { DEPTH = 100000 };
    uint64_t first = make(1, 0, NULL, NULL), last = first;
    for (unsigned i = 1; i < DEPTH; i++) {
        uint64_t next = make(1, 0, NULL, NULL);
        link_to(last, next);
        give_up(next);
        last = next;
    }
    link_to(last, first);
    give_up(first);
    ftl_leak_report *report = scan(0);
    cr_assert_eq(report->count, 1);
    cr_expect_eq(report->leaked, DEPTH);
    ftli_leak_report_destroy(report);
    cr_expect_eq(leaked_by_actor(), DEPTH);
}

Test(cycles, a_run_that_was_killed_looks_at_all)
{
    static ftli_message any;
    uint64_t a = make(10, 0, "a", NULL), b = make(10, 0, "b", NULL);
    link_to(a, b);
    link_to(b, a);
    give_up(a);
    give_up(b);
    leaks.passes[FTLI_LEAK_PASS_CYCLES].runs = ftli_cycles_pass.begin(&leaks, ftli_kernel_now_ns(kernel));
    cr_assert(leaks.passes[FTLI_LEAK_PASS_CYCLES].runs);
    cr_expect_eq(ftli_link_log_take(&leaks.cycles.log), a, "as a slice would");
    cr_expect_eq(ftli_link_log_take(&leaks.cycles.log), b);
    ftli_simulation_kill(kernel, leaks.actor);
    ftli_actor_send(leaks.actor, FTLI_LANE_HIGH, &any);
    cr_expect_eq(leaked_by_actor(), 2);
    cr_expect_eq(ftli_kernel_restarts(kernel), 1);
}

#if !defined __SANITIZE_ADDRESS__ /* whose own maps need the addresses */
Test(cycles, without_memory_a_run_fails_and_the_next_one_looks_at_all)
{
    struct rlimit before;
    uint64_t a = make(10, 0, "a", NULL), b = make(10, 0, "b", NULL);
    link_to(a, b);
    link_to(b, a);
    give_up(a);
    give_up(b);
    cr_assert_eq(getrlimit(RLIMIT_AS, &before), 0);
    const struct rlimit none = {4096, before.rlim_max};
    const ftl_leak_options options = {0};
    ftl_leak_report *report = NULL;
    cr_assert_eq(setrlimit(RLIMIT_AS, &none), 0);
    uint64_t found = leaked_by_actor();
    int status = ftli_leak_scan(&leaks, &options, &report);
    cr_assert_eq(setrlimit(RLIMIT_AS, &before), 0);
    cr_expect_eq(found, 0);
    cr_expect_eq(status, FTL_ENOMEM);
    cr_expect_null(report);
    cr_expect_geq(ftli_u64_load_relaxed(&leaks.cycles.failed), 1);
    cr_expect_eq(leaked_by_actor(), 2);
}
#endif

/* ---- the model --------------------------------------------------------------------------------------------------------- */

enum { NODES = 9 };

static struct node {
    uint64_t tensor;
    uint32_t outside, pins; /* references and pins of the program's */
    bool alive, is_view;
    uint32_t root;
    uint32_t links[NODES];
} nodes[NODES];

/* A node that nothing refers to is dead, and its links with it; one that is pinned keeps both. */
static void settle(void)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (unsigned n = 0; n < NODES; n++) {
            uint32_t references = nodes[n].outside + nodes[n].pins;
            for (unsigned p = 0; p < NODES; p++)
                references += nodes[p].alive ? nodes[p].links[n] + (nodes[p].is_view && nodes[p].root == n) : 0;
            if (!nodes[n].alive || references != 0)
                continue;
            nodes[n].alive = false;
            changed = true;
        }
    }
}

static bool holds(unsigned parent, unsigned child)
{
    return nodes[parent].alive && nodes[child].alive &&
           (nodes[parent].links[child] != 0 || (nodes[parent].is_view && nodes[parent].root == child));
}

/* Bit per node: in a cycle, and not to be reached from what the program holds. */
static unsigned lost_by_model(void)
{
    bool reach[NODES][NODES];
    unsigned lost = 0;
    for (unsigned a = 0; a < NODES; a++)
        for (unsigned b = 0; b < NODES; b++)
            reach[a][b] = holds(a, b);
    for (unsigned k = 0; k < NODES; k++)
        for (unsigned a = 0; a < NODES; a++)
            for (unsigned b = 0; b < NODES; b++)
                reach[a][b] = reach[a][b] || (reach[a][k] && reach[k][b]);
    for (unsigned n = 0; n < NODES; n++) {
        bool held = nodes[n].outside + nodes[n].pins != 0;
        for (unsigned p = 0; p < NODES; p++)
            held = held || (reach[p][n] && nodes[p].outside + nodes[p].pins != 0);
        if (nodes[n].alive && reach[n][n] && !held)
            lost |= 1u << n;
    }
    return lost;
}

static uint32_t below(uint64_t *random, uint32_t n)
{
    return (uint32_t)(ftli_splitmix64(random) % n);
}

static void bring_to_life(unsigned n, uint64_t *random)
{
    unsigned root = below(random, NODES);
    nodes[n] =
        (struct node){.tensor = make(8, 0, below(random, 2) == 0 ? "n" : NULL, NULL), .outside = 1, .alive = true};
    if (below(random, 4) != 0 || root == n || !nodes[root].alive || nodes[root].is_view || nodes[root].outside == 0)
        return;
    retain(nodes[root].tensor);
    ftli_u64_store_release(&extension_of(nodes[n].tensor)->root, nodes[root].tensor);
    flag(nodes[n].tensor, FTLI_HEADER_VIEW);
    nodes[n].is_view = true;
    nodes[n].root = root;
}

static void operate(uint64_t *random)
{
    unsigned n = below(random, NODES), m = below(random, NODES);
    uint64_t after;
    if (!nodes[n].alive) {
        bring_to_life(n, random);
        return;
    }
    bool is_live = is_alive(nodes[n].tensor);
    switch (below(random, 11)) {
    case 0:
    case 1:
    case 2: /* to itself too, and twice */
        if (!is_live || !nodes[m].alive || !is_alive(nodes[m].tensor))
            break;
        link_to(nodes[n].tensor, nodes[m].tensor);
        nodes[n].links[m]++;
        break;
    case 3:
        if (!is_live || nodes[n].links[m] == 0 || below(random, 2) == 0)
            break;
        nodes[n].links[m]--;
        unlink_from(nodes[n].tensor, nodes[m].tensor);
        break;
    case 4:
        if (!is_live || below(random, 6) != 0) /* a handle is weak: what is lost can be taken up again */
            break;
        retain(nodes[n].tensor);
        nodes[n].outside++;
        break;
    case 5:
        if (!is_live || below(random, 6) != 0)
            break;
        cr_assert_eq(ftli_word_pin(&header_of(nodes[n].tensor)->word, ftli_handle_generation(nodes[n].tensor), &after),
                     FTLI_WORD_DONE);
        nodes[n].pins++;
        break;
    case 6:
        if (nodes[n].pins == 0)
            break;
        nodes[n].pins--;
        if (ftli_word_unpin(&header_of(nodes[n].tensor)->word, ftli_handle_generation(nodes[n].tensor)) ==
            FTLI_WORD_POST)
            end_of(nodes[n].tensor);
        break;
    default:
        if (nodes[n].outside == 0)
            break;
        nodes[n].outside--;
        give_up(nodes[n].tensor);
    }
    settle();
}

static unsigned lost_by_search(void)
{
    struct ftli_cycle_search search;
    unsigned lost = 0;
    cr_assert_eq(ftli_cycles_search_all(&leaks, &search, UINT64_MAX), FTL_OK);
    for (unsigned n = 0; n < NODES; n++)
        if (nodes[n].alive && ftli_cycle_search_is_lost(&search, ftli_handle_slot(nodes[n].tensor)))
            lost |= 1u << n;
    ftli_cycle_search_end(&search);
    return lost;
}

Test(cycles, random_graphs_agree_with_the_model)
{
    unsigned looks = 0, with_a_leak = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t random = seed;
        memset(nodes, 0, sizeof nodes);
        for (unsigned step = 0; step < 150; step++) {
            unsigned operations = 1 + below(&random, 12);
            while (operations-- != 0)
                operate(&random);
            if (below(&random, 40) == 0)
                ftli_u32_store_relaxed(&leaks.cycles.log.lost, 1);
            unsigned lost = lost_by_model();
            cr_assert_eq(lost_by_search(), lost, "seed %lu, step %u", (unsigned long)seed, step);
            cr_assert_eq(leaked_by_actor(), (uint64_t)__builtin_popcount(lost), "seed %lu, step %u",
                         (unsigned long)seed, step);
            looks++;
            with_a_leak += lost != 0;
        }
        for (unsigned n = 0; n < NODES; n++) { /* what the program can let go, it lets go; the rest stays leaked */
            for (unsigned m = 0; m < NODES; m++)
                for (; nodes[n].alive && is_alive(nodes[n].tensor) && nodes[n].links[m] != 0; settle()) {
                    nodes[n].links[m]--;
                    unlink_from(nodes[n].tensor, nodes[m].tensor);
                }
            for (; nodes[n].alive && nodes[n].pins != 0; settle()) {
                nodes[n].pins--;
                if (ftli_word_unpin(&header_of(nodes[n].tensor)->word, ftli_handle_generation(nodes[n].tensor)) ==
                    FTLI_WORD_POST)
                    end_of(nodes[n].tensor);
            }
            for (; nodes[n].alive && nodes[n].outside != 0; settle()) {
                nodes[n].outside--;
                give_up(nodes[n].tensor);
            }
        }
        cr_assert_eq(leaked_by_actor(), 0, "seed %lu", (unsigned long)seed);
    }
    cr_log_info("%u graphs, %u of them with a leaked cycle", looks, with_a_leak);
    cr_expect_gt(with_a_leak, looks / 20);
    cr_expect_lt(with_a_leak, looks - looks / 20);
}
