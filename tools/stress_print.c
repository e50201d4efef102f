/* What a run did and found: as text, and as JSON with the same names. */
#include "tools/stress.h"

#include "tools/json.h"
#include "tools/stats_fields.h"
#include "tools/text.h"

#include <stddef.h>
#include <string.h>

const char *const ftli_stress_fault_names[FTLI_STRESS_FAULTS + 1] = {"finalizer", "stall", "restart", "oom",
                                                                     "exit",      "fork",  "pin",     "pressure"};

static uint64_t injected(const struct ftli_stress *run, uint32_t fault)
{
    return ftli_stress_sum(run, offsetof(struct ftli_stress_counts, faults) + fault * sizeof(_Atomic uint64_t));
}

static bool is_asked_for(const struct ftli_stress *run, uint32_t fault)
{
    return (run->options.faults >> fault & 1) != 0;
}

static bool is_good(const struct ftli_stress *run)
{
    return run->broken_count == 0;
}

static void print_faults(const struct ftli_stress *run, FILE *out)
{
    bool first = true;
    for (uint32_t i = 0; i < FTLI_STRESS_FAULTS; i++) {
        if (is_asked_for(run, i)) {
            fprintf(out, "%s%s", first ? "" : ",", ftli_stress_fault_names[i]);
            first = false;
        }
    }
    fputs(first ? "none" : "", out);
}

/* The words that make it again. */
static void print_command(const struct ftli_stress *run, FILE *out)
{
    const struct ftli_stress_options *options = &run->options;
    fputs("fettle stress", out);
    if (options->topology != NULL) {
        fprintf(out, " --topology %s", options->topology);
    }
    fprintf(out, " --threads %u --seconds %llu --faults ", options->threads,
            (unsigned long long)(options->duration_ns / 1000000000u));
    print_faults(run, out);
    fprintf(out, " --seed %llu\n", (unsigned long long)options->seed);
}

void ftli_stress_print_head(const struct ftli_stress *run, FILE *out)
{
    fprintf(out, "stress    %u threads, %s, seed %llu   faults ", run->options.threads,
            ftli_text_time(run->options.duration_ns).text, (unsigned long long)run->options.seed);
    print_faults(run, out);
    fprintf(out, "\ntopology  %s, with a limit of %s%s\n\n", run->topology, ftli_text_bytes(run->limit_bytes).text,
            run->has_threads ? "" : "; it has no threads of its own");
}

static void print_injected(const struct ftli_stress *run, FILE *out)
{
    fputs("faults   ", out);
    for (uint32_t i = 0; i < FTLI_STRESS_FAULTS; i++) {
        if (is_asked_for(run, i)) {
            fprintf(out, " %s %s  ", ftli_stress_fault_names[i], ftli_text_count(injected(run, i)).text);
        }
    }
    fprintf(out, "\n          restarts %s   news refused %s   pressure callbacks %s   threads begun %s\n",
            ftli_text_count(run->found.stats.restarts).text, ftli_text_count(FTLI_STRESS_SUM(run, refused)).text,
            ftli_text_count(atomic_load(&run->callbacks)).text, ftli_text_count(run->found.threads).text);
}

void ftli_stress_print(const struct ftli_stress *run, FILE *out)
{
    struct ftli_paint paint = ftli_text_paint(out);
    const ftl_stats *s = &run->found.stats;
    uint64_t ns = run->end_ns > run->begin_ns ? run->end_ns - run->begin_ns : 1;
    uint64_t operations = FTLI_STRESS_SUM(run, operations);
    fprintf(out, "did       %s operations in %s, %s of them a second; %s drops, %s calls on stale handles\n",
            ftli_text_count(operations).text, ftli_text_time(ns).text,
            ftli_text_count((uint64_t)((double)operations * 1e9 / (double)ns)).text,
            ftli_text_count(FTLI_STRESS_SUM(run, drops)).text, ftli_text_count(FTLI_STRESS_SUM(run, stale_calls)).text);
    fprintf(out, "drops     posted %s = completed %s   reclaimed twice %s   lost %s\n",
            ftli_text_count(run->found.posted).text, ftli_text_count(run->found.completed).text,
            ftli_text_count(run->found.twice).text, ftli_text_count(run->found.lost).text);
    fprintf(out, "          completed %s = at once %s + by message %s\n", ftli_text_count(run->found.completed).text,
            ftli_text_count(s->immediate).text, ftli_text_count(s->deferred).text);
    fputs("tensors   ", out);
    ftli_stats_print_tensors(s, out);
    fprintf(out, "\nreclaimed p50 %s   p99 %s   worst %s   (finalizers that fail or stall, and pins, are in it)\n",
            ftli_text_time(s->reclaim_p50_ns).text, ftli_text_time(s->reclaim_p99_ns).text,
            ftli_text_time(s->reclaim_max_ns).text);
    print_injected(run, out);
    fprintf(out, "looked    %s times at the sums while all were at work, %s times at rest; %s audits\n",
            ftli_text_count(run->found.looks).text, ftli_text_count(run->found.rests).text,
            ftli_text_count(run->found.checks).text);
    for (uint32_t i = 0; i < run->broken_count && i < FTLI_STRESS_BROKEN; i++) {
        fprintf(out, "%sbroken    %s%s\n", paint.red, run->broken[i], paint.plain);
    }
    if (is_good(run)) {
        fprintf(out, "%sgood%s\n", paint.green, paint.plain);
    } else {
        fprintf(out, "%snot good%s   seed %llu; to repeat: ", paint.red, paint.plain,
                (unsigned long long)run->options.seed);
        print_command(run, out);
    }
}

static void write_faults(const struct ftli_stress *run, struct ftli_json *json)
{
    ftli_json_object(json, "faults");
    for (uint32_t i = 0; i < FTLI_STRESS_FAULTS; i++) {
        if (is_asked_for(run, i)) {
            ftli_json_count(json, ftli_stress_fault_names[i], injected(run, i));
        }
    }
    ftli_json_close_object(json);
}

void ftli_stress_print_json(const struct ftli_stress *run, FILE *out)
{
    struct ftli_json json;
    ftli_json_begin(&json, out);
    ftli_json_truth(&json, "good", is_good(run));
    ftli_json_text(&json, "topology", run->topology);
    ftli_json_count(&json, "threads", run->options.threads);
    ftli_json_count(&json, "seed", run->options.seed);
    ftli_json_count(&json, "time_ns", run->end_ns - run->begin_ns);
    ftli_json_count(&json, "operations", FTLI_STRESS_SUM(run, operations));
    ftli_json_count(&json, "drops", FTLI_STRESS_SUM(run, drops));
    ftli_json_count(&json, "posted", run->found.posted);
    ftli_json_count(&json, "completed", run->found.completed);
    ftli_json_count(&json, "reclaimed_twice", run->found.twice);
    ftli_json_count(&json, "lost", run->found.lost);
    ftli_json_count(&json, "stale_calls", FTLI_STRESS_SUM(run, stale_calls));
    ftli_json_count(&json, "refused", FTLI_STRESS_SUM(run, refused));
    ftli_json_count(&json, "callbacks", atomic_load(&run->callbacks));
    ftli_json_count(&json, "threads_begun", run->found.threads);
    ftli_json_count(&json, "looks", run->found.looks);
    ftli_json_count(&json, "rests", run->found.rests);
    ftli_json_count(&json, "audits", run->found.checks);
    write_faults(run, &json);
    ftli_json_list(&json, "broken");
    for (uint32_t i = 0; i < run->broken_count && i < FTLI_STRESS_BROKEN; i++) {
        ftli_json_text(&json, NULL, run->broken[i]);
    }
    ftli_json_close_list(&json);
    ftli_json_object(&json, "stats");
    ftli_stats_write(&json, &run->found.stats);
    ftli_json_close_object(&json);
    ftli_json_end(&json);
}
