#include "tests/unit/tools/trace_file.h"
#include "tools/player.h"
#include "tools/target_malloc.h"

#include <stdint.h>

/* Makes numbers instead of tensors, and knows which are live: a drop of what is not, or of what was not yet made, fails. */
struct ledger {
    _Atomic uint32_t made, dropped, wrong;
    _Atomic uint8_t *live;
    uint32_t room;
    uint32_t fail_at; /* the n-th create fails; 0: none */
    char data[64];
};

static uint64_t ledger_create(void *self, uint64_t bytes, uint64_t align)
{
    struct ledger *ledger = self;
    (void)bytes;
    (void)align;
    uint32_t number = atomic_fetch_add(&ledger->made, 1) + 1;
    if (number == ledger->fail_at || number >= ledger->room) {
        return 0;
    }
    atomic_store(&ledger->live[number], 1);
    return (uint64_t)number << 20;
}

static void *ledger_data(void *self, uint64_t tensor)
{
    static _Thread_local char data[1 << 16];
    (void)self;
    (void)tensor;
    return data;
}

static bool ledger_drop(void *self, uint64_t tensor)
{
    struct ledger *ledger = self;
    atomic_fetch_add(&ledger->dropped, 1);
    if (tensor >> 20 == 0 || tensor >> 20 >= ledger->room || atomic_exchange(&ledger->live[tensor >> 20], 0) != 1) {
        atomic_fetch_add(&ledger->wrong, 1);
        return false;
    }
    return true;
}

static void ledger_explain(void *self, char *why, size_t why_size)
{
    (void)self;
    snprintf(why, why_size, "the ledger says no");
}

/* Producer and consumer threads that hand every tensor on: the worst there is for waiting. */
static void load(struct ftli_trace *trace, unsigned threads, unsigned rounds)
{
    struct trace_file file = {0};
    char why[512] = "";
    unsigned tensors = threads * rounds, time_ns = 0;
    trace_file_header(&file, threads, tensors + 1, tensors);
    for (unsigned i = 0; i < tensors; i++) {
        trace_file_add(&file, "%u,%u,a,%u,%u,64\n", time_ns++, i % threads, i, 1 + i % 9000);
        if (i >= threads) {
            trace_file_add(&file, "%u,%u,f,%u,%u,64\n", time_ns++, (i + 1) % threads, i - threads,
                           1 + (i - threads) % 9000);
        }
    }
    for (unsigned i = tensors - threads; i < tensors; i++) {
        trace_file_add(&file, "%u,%u,f,%u,%u,64\n", time_ns++, (i + 1) % threads, i, 1 + i % 9000);
    }
    trace_file_add(&file, "%u,0,a,%u,5,64\n", time_ns, tensors);
    trace_file_write(&file, SIZE_MAX);
    cr_assert_eq(ftli_trace_load(file.path, trace, why, sizeof why), 0, "%s", why);
    trace_file_remove(&file);
}

static int play(const struct ftli_trace *trace, uint32_t players, struct ledger *ledger, struct ftli_played *played,
                char *why, size_t why_size)
{
    struct ftli_plan plan;
    struct ftli_player_cell *cells = aligned_alloc(64, FTLI_TRACE_MAX_THREADS * sizeof *cells);
    memset(cells, 0, FTLI_TRACE_MAX_THREADS * sizeof *cells);
    cr_assert_eq(ftli_plan_make(trace, players, &plan), 0);
    struct ftli_players *all = ftli_players_prepare(&plan, cells);
    cr_assert_not_null(all);
    struct ftli_target target = {
        .self = ledger, .create = ledger_create, .data = ledger_data, .drop = ledger_drop, .explain = ledger_explain};
    struct ftli_play_options options = {.time_one_in = 4};
    ledger->room = trace->alloc_count + 2;
    ledger->live = calloc(ledger->room, 1);
    int result = ftli_players_play(all, &target, &options, played, why, why_size);
    if (result == 0) {
        uint64_t done = 0, live = 0;
        for (uint32_t i = 0; i < plan.player_count; i++) {
            done += atomic_load(&cells[i].steps_done);
            live += atomic_load(&cells[i].made_bytes) - atomic_load(&cells[i].dropped_bytes);
        }
        cr_assert_eq(done, trace->event_count);
        cr_assert_eq(live, trace->left_bytes);
        cr_assert_eq(atomic_load(&ledger->made) - atomic_load(&ledger->dropped), 1, "one is never freed");
        ftli_players_drop_rest(all, &target);
    }
    ftli_players_unprepare(all);
    ftli_plan_unmake(&plan);
    free((void *)ledger->live);
    free(cells);
    return result;
}

Test(player, every_event_once_and_in_order)
{
    static const struct {
        unsigned threads, players;
    } cases[] = {{1, 1}, {2, 2}, {8, 8}, {8, 3}, {8, 1}, {32, 32}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ftli_trace trace;
        struct ledger ledger = {0};
        struct ftli_played played;
        char why[256] = "";
        load(&trace, cases[i].threads, 400);
        cr_assert_eq(play(&trace, cases[i].players, &ledger, &played, why, sizeof why), 0, "%s", why);
        cr_assert_eq(atomic_load(&ledger.wrong), 0);
        cr_assert_eq(atomic_load(&ledger.made), trace.alloc_count);
        cr_assert_eq(atomic_load(&ledger.dropped), trace.alloc_count, "the rest is dropped at the end");
        cr_assert_gt(played.create.count, trace.alloc_count / 8);
        cr_assert_lt(played.create.count, trace.alloc_count / 2);
        cr_log_info("%u threads on %u: %lu waits", cases[i].threads, cases[i].players, (unsigned long)played.waits);
        ftli_trace_unload(&trace);
    }
}

/* Whichever allocation fails, everybody stops, also those who wait for the failed one. */
Test(player, a_failure_stops_all)
{
    for (uint32_t at = 1; at < 2400; at += 171) {
        struct ftli_trace trace;
        struct ledger ledger = {.fail_at = at};
        struct ftli_played played;
        char why[256] = "";
        load(&trace, 8, 300);
        cr_assert_eq(play(&trace, 8, &ledger, &played, why, sizeof why), -1);
        cr_assert_not_null(strstr(why, "bytes failed: the ledger says no"), "%s", why);
        ftli_trace_unload(&trace);
    }
}

Test(player, malloc_tensors)
{
    struct ftli_target target = ftli_target_malloc();
    char name[48];
    for (uint64_t align = 1; align <= 1 << 21; align *= 2) {
        for (uint64_t bytes = 1; bytes < 100000; bytes = bytes * 7 + 1) {
            uint64_t tensor = target.create(target.self, bytes, align);
            cr_assert_neq(tensor, 0);
            char *data = target.data(target.self, tensor);
            cr_assert_eq((uintptr_t)data % align, 0);
            cr_assert_eq((uintptr_t)data % 64, 0);
            memset(data, 1, bytes);
            cr_assert(target.drop(target.self, tensor));
        }
    }
    cr_assert_eq(target.create(target.self, UINT64_C(1) << 62, 64), 0);
    target.explain(target.self, name, sizeof name);
    cr_assert_neq(name[0], '\0');
    unsetenv("LD_PRELOAD");
    ftli_target_malloc_name(name, sizeof name);
    cr_assert_eq(strncmp(name, "glibc 2.", 8), 0);
    setenv("LD_PRELOAD", "/usr/lib/libjemalloc.so.2", 1);
    ftli_target_malloc_name(name, sizeof name);
    cr_assert_str_eq(name, "libjemalloc.so.2");
}
