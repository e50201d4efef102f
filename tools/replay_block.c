#include "tools/replay.h"

#include "tools/stats_fields.h"
#include "tools/text.h"

#include "actors/leak_detection/text.h"

#include <string.h>

#define BOUND_NS UINT64_C(100000000) /* a drop completes within it, wherever service threads are scheduled */

struct tag {
    struct ftli_paint paint;
    FILE *out;
};

static void tag(const struct tag *tag, bool holds)
{
    if (holds) {
        fputs("   exact\n", tag->out);
    } else {
        fprintf(tag->out, "   %sBROKEN%s\n", tag->paint.red, tag->paint.plain);
    }
}

static void tensors(const struct ftli_replay *replay, const ftl_stats *end, const struct tag *to)
{
    uint64_t left = replay->trace->alloc_count - replay->trace->free_count;
    fputs("tensors   ", to->out);
    ftli_stats_print_tensors(end, to->out);
    tag(to, ftli_stats_tensors_exact(end) && end->created == replay->trace->alloc_count && end->live == left);
    fprintf(to->out, "          reclaimed %s = at once %s + by message %s", ftli_text_count(end->reclaimed).text,
            ftli_text_count(end->immediate).text, ftli_text_count(end->deferred).text);
    tag(to, ftli_stats_reclaimed_exact(end) && end->reclaimed == replay->trace->free_count);
    if (left > 0) {
        fprintf(to->out, "          the %s (%s) were alive when the recording ended%s\n", ftli_text_count(left).text,
                ftli_text_bytes(replay->trace->left_bytes).text,
                replay->strict ? "; --strict counts them as leaks" : "; with --strict they are leaks");
    }
}

static void bytes(const struct ftli_replay *replay, const struct ftli_replay_column *column, const struct tag *to)
{
    const struct ftli_replay_fettle *fettle = column->fettle;
    const ftl_stats *peak = &fettle->peak;
    double efficiency = peak->committed_bytes == 0 ? 0 : (double)peak->live_bytes / (double)peak->committed_bytes;
    fputs("bytes     at the peak   ", to->out);
    ftli_stats_print_bytes(peak, to->out);
    fprintf(to->out, "\n                        efficiency %s   fragmentation %s   resident %s (the kernel's figure)\n",
            ftli_text_percent(efficiency).text, ftli_text_percent(peak->fragmentation).text,
            ftli_text_bytes(column->result.peak_resident_bytes).text);
    fputs("          at the end    ", to->out);
    ftli_stats_print_bytes(&fettle->end, to->out);
    tag(to, ftli_stats_bytes_exact(&fettle->end) && fettle->end.live_bytes == replay->trace->left_bytes);
}

static void given(const struct ftli_replay *replay, const struct ftli_replay_column *column, const struct tag *to)
{
    uint64_t resident = column->result.settled_resident_bytes, left = replay->trace->left_bytes;
    if (replay->options.settle_ns == 0) {
        return;
    }
    fprintf(to->out, "given     %s after the last event   resident %s", ftli_text_time(column->result.settled_ns).text,
            ftli_text_bytes(resident).text);
    if (left > 0) {
        fprintf(to->out, " = %.2f x live", (double)resident / (double)left);
    }
    fprintf(to->out, "%s\n", column->result.settled ? "   back without a call" : "");
}

static void latency(const char *name, const struct ftli_latency_summary *summary, FILE *out)
{
    fprintf(out, "%-9s p50 %s   p99 %s   p99.9 %s   worst %s   (1 in 16 timed)\n", name,
            ftli_text_time(summary->p50_ns).text, ftli_text_time(summary->p99_ns).text,
            ftli_text_time(summary->p999_ns).text, ftli_text_time(summary->max_ns).text);
}

static int print(const char *text, size_t n, void *out)
{
    return fwrite(text, 1, n, out) == n ? 0 : -1;
}

static void leaks(const struct ftli_replay_fettle *fettle, const struct tag *to)
{
    fprintf(to->out, "leaks     %s%s tensors, %s%s, never dropped\n", to->paint.red,
            ftli_text_count(fettle->report.leaked).text, ftli_text_bytes(fettle->report.leaked_bytes).text,
            to->paint.plain);
    struct ftli_leak_line lines[FTLI_REPLAY_LEAK_ROWS];
    for (size_t i = 0; i < fettle->rows; i++) {
        lines[i] = (struct ftli_leak_line){&fettle->leaks[i], "", "", ""};
    }
    ftli_leak_text(lines, fettle->rows, false, print, to->out);
}

void ftli_replay_print_block(const struct ftli_replay *replay, const struct ftli_replay_column *column, FILE *out)
{
    const struct ftli_replay_fettle *fettle = column->fettle;
    const struct ftli_pass_result *result = &column->result;
    const ftl_stats *settled = &fettle->settled;
    struct tag to = {.paint = ftli_text_paint(out), .out = out};
    fprintf(out, "          %s events   %s   %s of processor time an event\n\n", ftli_text_count(result->events).text,
            ftli_text_time(result->wall_ns).text, ftli_text_time(result->cpu_ns / result->events).text);
    tensors(replay, &fettle->end, &to);
    bytes(replay, column, &to);
    given(replay, column, &to);
    latency("new", &result->played.create, out);
    latency("drop", &result->played.drop, out);
    fprintf(out, "reclaimed p50 %s   p99 %s   worst %s   (bound 100 ms%s)\n",
            ftli_text_time(settled->reclaim_p50_ns).text, ftli_text_time(settled->reclaim_p99_ns).text,
            ftli_text_time(settled->reclaim_max_ns).text,
            replay->topology_threads == 0         ? ": not promised without threads"
            : settled->reclaim_max_ns <= BOUND_NS ? ", kept"
                                                  : ", MISSED");
    fprintf(out, "tracking  time %s   memory %s\n", ftli_text_percent(settled->tracking_time_overhead).text,
            ftli_text_percent(settled->tracking_memory_overhead).text);
    if (fettle->suspects > 0) {
        fprintf(out, "suspects  %s tensors, %s, found by the leak scan\n", ftli_text_count(fettle->suspects).text,
                ftli_text_bytes(fettle->suspect_bytes).text);
    }
    if (replay->strict && fettle->report.leaked > 0) {
        leaks(fettle, &to);
    }
    for (uint32_t i = 0; i < replay->fault_count; i++) {
        fprintf(out, "%sbroken    %s%s\n", to.paint.red, replay->faults[i].text, to.paint.plain);
    }
}
