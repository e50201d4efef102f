#include "tools/replay.h"

#include "tools/json.h"
#include "tools/stats_fields.h"
#include "tools/text.h"

#include <string.h>

static double ratio(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (double)part / (double)whole;
}

static uint64_t cpu_per_event_ns(const struct ftli_pass_result *result)
{
    return result->events == 0 ? 0 : (result->cpu_ns + result->events / 2) / result->events;
}

void ftli_replay_print_head(const struct ftli_replay *replay, FILE *out)
{
    const struct ftli_trace *trace = replay->trace;
    fprintf(out, "trace     %s: %s tensors, %u thread%s, %s recorded; played ", trace->name,
            ftli_text_count(trace->alloc_count).text, trace->thread_count, trace->thread_count == 1 ? "" : "s",
            ftli_text_time(trace->duration_ns).text);
    if (replay->plan->player_count != trace->thread_count) {
        fprintf(out, "on %u, ", replay->plan->player_count);
    }
    fprintf(out, "%s, %s written\n", replay->options.play.real_speed ? "at its own speed" : "at full speed",
            replay->options.play.fill ? "memory" : "one byte of each page");
    fprintf(out, "          at most %s live at once, %s; %s freed by another thread\n",
            ftli_text_count(trace->peak_live_count).text, ftli_text_bytes(trace->peak_live_bytes).text,
            ftli_text_percent(ratio(trace->crossing_count, trace->free_count)).text);
    if (replay->topology[0] != '\0') {
        fprintf(out, "topology  %s: %u thread%s of ours\n", replay->topology, replay->topology_threads,
                replay->topology_threads == 1 ? "" : "s");
    }
}

/* One row: its name, then a cell for each column. */
struct row {
    const char *name;
    char cells[FTLI_REPLAY_MAX_COLUMNS][400]; /* what %.2f of any double takes, and more */
};

static void print_row(const struct ftli_replay *replay, FILE *out, const struct row *row)
{
    fprintf(out, "%-22s", row->name);
    for (uint32_t i = 0; i < replay->column_count; i++) {
        fprintf(out, i + 1 == replay->column_count ? "%s" : "%-24s", row->cells[i]);
    }
    putc('\n', out);
}

/* A row whose cells one function writes. */
static void print_row_of(const struct ftli_replay *replay, FILE *out, const char *name,
                         void (*cell)(const struct ftli_replay *, const struct ftli_replay_column *, char *, size_t))
{
    struct row row = {.name = name};
    for (uint32_t i = 0; i < replay->column_count; i++) {
        cell(replay, &replay->columns[i], row.cells[i], sizeof row.cells[i]);
    }
    print_row(replay, out, &row);
}

typedef struct ftli_replay replay_t;
typedef struct ftli_replay_column column_t;

static void name_cell(const replay_t *replay, const column_t *column, char *text, size_t size)
{
    (void)replay;
    snprintf(text, size, "%s", column->name);
}

static void detail_cell(const replay_t *replay, const column_t *column, char *text, size_t size)
{
    (void)replay;
    snprintf(text, size, "%s", column->detail);
}

static void wall_cell(const replay_t *replay, const column_t *column, char *text, size_t size)
{
    (void)replay;
    snprintf(text, size, "%s", ftli_text_time(column->result.wall_ns).text);
}

static void cpu_cell(const replay_t *replay, const column_t *column, char *text, size_t size)
{
    (void)replay;
    snprintf(text, size, "%s an event", ftli_text_time(cpu_per_event_ns(&column->result)).text);
}

static void faults_cell(const replay_t *replay, const column_t *column, char *text, size_t size)
{
    (void)replay;
    snprintf(text, size, "%s", ftli_text_count(column->result.minor_faults).text);
}

static void peak_cell(const replay_t *replay, const column_t *column, char *text, size_t size)
{
    snprintf(text, size, "%s = %.2f x live", ftli_text_bytes(column->result.peak_resident_bytes).text,
             ratio(column->result.peak_resident_bytes, replay->trace->peak_live_bytes));
}

/* Players at full speed run ahead of each other, so this is not quite what was recorded. */
static void live_cell(const replay_t *replay, const column_t *column, char *text, size_t size)
{
    (void)replay;
    snprintf(text, size, "%s", ftli_text_bytes(column->result.peak_live_bytes).text);
}

static void given_cell(const replay_t *replay, const column_t *column, char *text, size_t size)
{
    uint64_t left = replay->trace->left_bytes;
    snprintf(text, size, left == 0 ? "%s" : "%s = %.2f x live",
             ftli_text_bytes(column->result.settled_resident_bytes).text,
             ratio(column->result.settled_resident_bytes, left));
}

static void given_time_cell(const replay_t *replay, const column_t *column, char *text, size_t size)
{
    (void)replay;
    snprintf(text, size, "%s after the end", ftli_text_time(column->result.settled_ns).text);
}

static void latency_row(const replay_t *replay, FILE *out, const char *name, bool drop, size_t offset)
{
    struct row row = {.name = name};
    for (uint32_t i = 0; i < replay->column_count; i++) {
        const struct ftli_played *played = &replay->columns[i].result.played;
        const char *summary = (const char *)(drop ? &played->drop : &played->create);
        uint64_t time_ns;
        memcpy(&time_ns, summary + offset, sizeof time_ns);
        snprintf(row.cells[i], sizeof row.cells[i], "%s", ftli_text_time(time_ns).text);
    }
    print_row(replay, out, &row);
}

void ftli_replay_print_table(const struct ftli_replay *replay, FILE *out)
{
    print_row_of(replay, out, "", name_cell);
    print_row_of(replay, out, "", detail_cell);
    print_row_of(replay, out, "wall", wall_cell);
    print_row_of(replay, out, "cpu", cpu_cell);
    print_row_of(replay, out, "page faults", faults_cell);
    print_row_of(replay, out, "live, as played", live_cell);
    print_row_of(replay, out, "resident, at the peak", peak_cell);
    if (replay->options.settle_ns > 0) {
        print_row_of(replay, out, "resident, given back", given_cell);
        print_row_of(replay, out, "", given_time_cell);
    }
    latency_row(replay, out, "new       p50", false, offsetof(struct ftli_latency_summary, p50_ns));
    latency_row(replay, out, "          p99", false, offsetof(struct ftli_latency_summary, p99_ns));
    latency_row(replay, out, "          p99.9", false, offsetof(struct ftli_latency_summary, p999_ns));
    latency_row(replay, out, "          worst", false, offsetof(struct ftli_latency_summary, max_ns));
    latency_row(replay, out, "drop      p50", true, offsetof(struct ftli_latency_summary, p50_ns));
    latency_row(replay, out, "          p99", true, offsetof(struct ftli_latency_summary, p99_ns));
    latency_row(replay, out, "          p99.9", true, offsetof(struct ftli_latency_summary, p999_ns));
    latency_row(replay, out, "          worst", true, offsetof(struct ftli_latency_summary, max_ns));
}

static void json_latency(struct ftli_json *json, const char *key, const struct ftli_latency_summary *summary)
{
    ftli_json_object(json, key);
    ftli_json_count(json, "timed", summary->count);
    ftli_json_count(json, "p50_ns", summary->p50_ns);
    ftli_json_count(json, "p99_ns", summary->p99_ns);
    ftli_json_count(json, "p99_9_ns", summary->p999_ns);
    ftli_json_count(json, "worst_ns", summary->max_ns);
    ftli_json_close_object(json);
}

static void json_fettle(struct ftli_json *json, const struct ftli_replay_fettle *fettle)
{
    ftli_json_object(json, "at_the_peak");
    ftli_stats_write(json, &fettle->peak);
    ftli_json_close_object(json);
    ftli_json_object(json, "at_the_end");
    ftli_stats_write(json, &fettle->end);
    ftli_json_close_object(json);
    ftli_json_object(json, "given_back");
    ftli_stats_write(json, &fettle->settled);
    ftli_json_close_object(json);
    ftli_json_count(json, "alive_at_close", fettle->report.leaked);
    ftli_json_count(json, "alive_at_close_bytes", fettle->report.leaked_bytes);
    ftli_json_count(json, "leak_suspects", fettle->suspects);
}

static void json_column(struct ftli_json *json, const struct ftli_replay *replay, const column_t *column)
{
    const struct ftli_pass_result *result = &column->result;
    ftli_json_object(json, column->fettle != NULL ? "fettle" : column->name);
    ftli_json_text(json, "detail", column->detail);
    ftli_json_count(json, "events", result->events);
    ftli_json_count(json, "wall_ns", result->wall_ns);
    ftli_json_count(json, "cpu_ns", result->cpu_ns);
    ftli_json_number(json, "cpu_per_event_ns", ratio(result->cpu_ns, result->events));
    ftli_json_count(json, "page_faults", result->minor_faults);
    ftli_json_count(json, "waits", result->played.waits);
    ftli_json_count(json, "peak_resident_bytes", result->peak_resident_bytes);
    ftli_json_number(json, "peak_resident_over_live",
                     ratio(result->peak_resident_bytes, replay->trace->peak_live_bytes));
    ftli_json_count(json, "peak_live_bytes_as_played", result->peak_live_bytes);
    if (replay->options.settle_ns > 0) {
        ftli_json_object(json, "given");
        ftli_json_count(json, "resident_bytes", result->settled_resident_bytes);
        ftli_json_count(json, "live_bytes", replay->trace->left_bytes);
        ftli_json_count(json, "after_ns", result->settled_ns);
        ftli_json_close_object(json);
    }
    json_latency(json, "new", &result->played.create);
    json_latency(json, "drop", &result->played.drop);
    if (column->fettle != NULL) {
        json_fettle(json, column->fettle);
    }
    ftli_json_close_object(json);
}

void ftli_replay_print_json(const struct ftli_replay *replay, bool good, FILE *out)
{
    const struct ftli_trace *trace = replay->trace;
    struct ftli_json json;
    ftli_json_begin(&json, out);
    ftli_json_object(&json, "trace");
    ftli_json_text(&json, "name", trace->name);
    ftli_json_text(&json, "workload", trace->workload);
    ftli_json_count(&json, "tensors", trace->alloc_count);
    ftli_json_count(&json, "events", trace->event_count);
    ftli_json_count(&json, "threads", trace->thread_count);
    ftli_json_count(&json, "recorded_ns", trace->duration_ns);
    ftli_json_count(&json, "peak_live_bytes", trace->peak_live_bytes);
    ftli_json_count(&json, "left", trace->alloc_count - trace->free_count);
    ftli_json_count(&json, "left_bytes", trace->left_bytes);
    ftli_json_close_object(&json);
    ftli_json_object(&json, "played");
    ftli_json_count(&json, "threads", replay->plan->player_count);
    ftli_json_text(&json, "speed", replay->options.play.real_speed ? "real" : "max");
    ftli_json_truth(&json, "fill", replay->options.play.fill);
    ftli_json_truth(&json, "strict", replay->strict);
    if (replay->topology[0] != '\0') {
        ftli_json_text(&json, "topology", replay->topology);
    }
    ftli_json_count(&json, "freed_across_threads", replay->plan->crossing_count);
    ftli_json_close_object(&json);
    for (uint32_t i = 0; i < replay->column_count; i++) {
        json_column(&json, replay, &replay->columns[i]);
    }
    ftli_json_list(&json, "faults");
    for (uint32_t i = 0; i < replay->fault_count; i++) {
        ftli_json_text(&json, NULL, replay->faults[i].text);
    }
    ftli_json_close_list(&json);
    ftli_json_truth(&json, "good", good);
    ftli_json_end(&json);
}
