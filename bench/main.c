/* bench-bare, bench-equal and bench-fettle: one row of the table, measured once, as one line of JSON. bench/run calls them. */
#include "bench/workloads.h"

#include "bench/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef BENCH_FETTLE
ftl_runtime *bench_runtime;
#endif

enum { KIB = 1024, MIB = 1024 * 1024 };

static const struct bench_row rows[] = {
    {"pairs-64B-1", bench_pairs, 1, 64, 64, 0, false},
    {"pairs-64B-2", bench_pairs, 2, 64, 64, 0, false},
    {"pairs-4KiB-1", bench_pairs, 1, 4 * KIB, 4 * KIB, 0, false},
    {"pairs-4KiB-2", bench_pairs, 2, 4 * KIB, 4 * KIB, 0, false},
    {"pairs-100KiB-1", bench_pairs, 1, 100 * KIB, 100 * KIB, 0, false},
    {"churn-small-1", bench_churn, 1, 64, KIB, 1024, false},
    {"churn-small-2", bench_churn, 2, 64, KIB, 1024, false},
    {"churn-mid-2", bench_churn, 2, 256, 64 * KIB, 1024, false},
    {"handoff-1-1", bench_handoff, 2, 64, KIB, 0, false},
    {"handoff-2-2", bench_handoff, 4, 64, KIB, 0, false},
    {"sixteen-1", bench_sixteen, 17, 256, 16 * KIB, 0, false},
    {"server-touch-2", bench_server, 2, 256, MIB, 0, false},
    {"server-touch-4", bench_server, 4, 256, MIB, 0, false},
    {"server-fill-2", bench_server, 2, 256, MIB, 0, true},
    {"server-fill-4", bench_server, 4, 256, MIB, 0, true},
    {"big-1MiB", bench_pairs, 1, MIB, MIB, 0, false},
    {"big-16MiB", bench_pairs, 1, 16 * MIB, 16 * MIB, 0, false},
    {"big-64MiB", bench_pairs, 1, 64 * MIB, 64 * MIB, 0, false},
    {"grow-1e3", bench_churn, 1, 64, 256, 1000, false},
    {"grow-1e4", bench_churn, 1, 64, 256, 10000, false},
    {"grow-1e5", bench_churn, 1, 64, 256, 100000, false},
    {"grow-1e6", bench_churn, 1, 64, 256, 1000000, false},
    {"grow-4e6", bench_churn, 1, 64, 256, 4000000, false},
    {"threads-come-and-go", bench_come_and_go, 8, 64, 16 * KIB, 0, false},
    {"threads-1", bench_churn, 1, 64, KIB, 256, false},
    {"threads-2", bench_churn, 2, 64, KIB, 256, false},
    {"threads-4", bench_churn, 4, 64, KIB, 256, false},
    {"threads-8", bench_churn, 8, 64, KIB, 256, false},
    {"threads-16", bench_churn, 16, 64, KIB, 256, false},
    {"threads-32", bench_churn, 32, 64, KIB, 256, false},
    {"settle", bench_settle, 1, 4 * KIB, 64 * KIB, 0, false},
    {"trace", bench_trace, 0, 0, 0, 0, false},
};
enum { ROWS = sizeof rows / sizeof *rows };

static void usage(FILE *out)
{
    fputs("usage: bench-bare | bench-equal | bench-fettle ROW [--time MS] [--rest MS] [--seed N] [--policy "
          "auto|message] [--level L] [--trace "
          "FILE] [--fill]\n"
          "       bench-bare | bench-equal | bench-fettle --list\n"
          "\n"
          "Measures one row and prints one line of JSON. --policy: of Fettle's cleanup. --level: of its tracking. "
          "--rest: of the row settle "
          "(2000). --trace, --fill: of the row "
          "trace.\n"
          "Exit: 0 measured, 1 the program under test failed, 2 wrong arguments. What the rows mean: bench/README.md\n",
          out);
}

static bool number(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-') {
        return false;
    }
    *out = value;
    return true;
}

static bool parse(int count, char **words, struct bench_options *options)
{
    uint64_t ms = 300, rest_ms = 2000;
    options->row = words[1];
    options->seed = 1;
    for (int i = 2; i < count; i++) {
        const char *value = i + 1 < count ? words[i + 1] : NULL;
        if (strcmp(words[i], "--fill") == 0) {
            options->fill = true;
            continue;
        }
        if (value == NULL) {
            return false;
        }
        i++;
        if (strcmp(words[i - 1], "--policy") == 0) {
            options->policy = value;
        } else if (strcmp(words[i - 1], "--level") == 0) {
            options->level = value;
        } else if (strcmp(words[i - 1], "--trace") == 0) {
            options->trace = value;
        } else if (strcmp(words[i - 1], "--rest") == 0) {
            if (!number(value, &rest_ms)) {
                return false;
            }
        } else if (strcmp(words[i - 1], "--time") == 0
                       ? !number(value, &ms)
                       : strcmp(words[i - 1], "--seed") != 0 || !number(value, &options->seed)) {
            return false;
        }
    }
    options->time_ns = ms * 1000000u;
    options->rest_ns = rest_ms * 1000000u;
    return ms > 0 && ms <= 3600000u && rest_ms <= 3600000u;
}

static void print(const struct bench_options *options, const struct bench_result *result)
{
    double ops = (double)result->ops;
    printf("{\"row\": \"%s\", \"variant\": \"%s\", \"ops\": %" PRIu64
           ", \"wall_ns_per_op\": %.3f, \"cpu_ns_per_op\": %.3f, \"peak_resident_bytes\": %" PRIu64,
           options->row, options->policy == NULL ? bench_variant : options->policy, result->ops,
           (double)result->wall_ns / ops, (double)result->cpu_ns / ops, result->peak_resident_bytes);
    if (result->resident_over_live > 0) {
        printf(", \"resident_over_live\": %.4f", result->resident_over_live);
    }
    if (options->trace != NULL && result->efficiency >= 0) {
        printf(", \"efficiency\": %.4f", result->efficiency);
    }
    if (result->tracking_time >= 0) {
        printf(", \"tracking_time\": %.6f", result->tracking_time);
    }
    if (result->says_gone) {
        printf(", \"held_gone_ms\": %.1f", (double)result->gone_ns / 1e6);
    }
    puts("}");
}

int main(int count, char **words)
{
    static struct bench_run run; /* static: far too large for a stack, and zero */
    struct bench_options options = {.row = NULL};
    struct bench_result result = {.ops = 0};
    if (count == 2 && strcmp(words[1], "--list") == 0) {
        for (uint32_t i = 0; i < ROWS; i++) {
            puts(rows[i].name);
        }
        return 0;
    }
    if (count == 2 && strcmp(words[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    const struct bench_row *row = NULL;
    for (uint32_t i = 0; count > 1 && i < ROWS; i++) {
        row = strcmp(rows[i].name, words[1]) == 0 ? &rows[i] : row;
    }
    if (row == NULL || !parse(count, words, &options) || (row->workload == bench_trace) != (options.trace != NULL)) {
        usage(stderr);
        return 2;
    }
    if (row->workload != bench_trace) {
        bench_begin(&run, &options);
    }
    run.options = &options;
    row->workload(row, &run, &result);
    bench_end(&run, &result);
    print(&options, &result);
    return 0;
}
