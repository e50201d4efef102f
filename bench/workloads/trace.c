/* Trace: the tensors of a recorded program, with their sizes, threads and order, at full speed. An operation is one event
 * of the trace, a make or a drop. Memory: what was resident at the peak over the trace's peak of live bytes. */
#include "bench/workloads.h"

#include "bench/memory.h"
#include "tools/measure.h"
#include "tools/player.h"
#include "tools/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t create(void *self, uint64_t bytes, uint64_t align)
{
    (void)self;
    return align > 64 ? 0 : bench_make((size_t)bytes).id;
}

static void *data(void *self, uint64_t tensor)
{
    (void)self;
    return bench_data((bench_tensor){tensor});
}

static bool drop(void *self, uint64_t tensor)
{
    (void)self;
    bench_drop((bench_tensor){tensor});
    return true;
}

static void explain(void *self, char *why, size_t why_size)
{
    (void)self;
    snprintf(why, why_size, "%s", bench_explain());
}

static _Noreturn void give_up(const char *why)
{
    fprintf(stderr, "%s: %s\n", bench_variant, why);
    exit(1);
}

void bench_trace(const struct bench_row *row, struct bench_run *run, struct bench_result *out)
{
    (void)row;
    static struct ftli_trace trace;
    static struct ftli_plan plan;
    static struct ftli_player_cell cells[FTLI_TRACE_MAX_THREADS];
    char why[512];
    if (ftli_trace_load(run->options->trace, &trace, why, sizeof why) != 0) {
        give_up(why);
    }
    struct ftli_players *players = ftli_plan_make(&trace, 0, &plan) == 0 ? ftli_players_prepare(&plan, cells) : NULL;
    if (players == NULL) {
        give_up("no memory to play in");
    }
    memset(cells, 0, sizeof cells);
    bench_begin(run, run->options);

    struct ftli_target target = {
        .name = bench_variant, .create = create, .data = data, .drop = drop, .explain = explain};
    struct ftli_play_options play = {.fill = run->options->fill};
    struct ftli_played played;
    uint64_t cpu_ns = ftli_measure_process_cpu_ns();
    if (ftli_players_play(players, &target, &play, &played, why, sizeof why) != 0) {
        give_up(why);
    }
    bench_finish(); /* what the drops left to others counts, as it does in the rows that run for a time */
    out->cpu_ns = ftli_measure_process_cpu_ns() - cpu_ns;
    out->wall_ns = played.wall_ns;
    out->ops = trace.event_count;
    uint64_t peak = ftli_measure_peak_resident_bytes();
    peak = peak > run->baseline_bytes ? peak - run->baseline_bytes : 0;
    out->resident_over_live = (double)peak / (double)trace.peak_live_bytes;
    ftli_players_drop_rest(players, &target);
    ftli_players_unprepare(players);
}
