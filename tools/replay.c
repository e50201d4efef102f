/* fettle replay: plays a recorded trace and says what it took. */
#include "tools/replay.h"

#include "tools/command.h"
#include "tools/measure.h"
#include "tools/target_malloc.h"
#include "tools/text.h"

#include <string.h>

enum { THREADS, SPEED, FILL, PEER, SETTLE, JSON };

static const char *const speeds[] = {"max", "real", NULL};
static const char *const peers[] = {"malloc", NULL};

static const struct ftli_option options[] = {
    [THREADS] = {"--threads", "N", "deals the trace's threads onto N; as recorded by default", NULL},
    [SPEED] = {"--speed", "max|real", "max: as fast as it goes (the default); real: at the recorded times", speeds},
    [FILL] = {"--fill", NULL, "writes every byte of each tensor; one of each 4 KiB page by default", NULL},
    [PEER] = {"--peer", "malloc",
              "what plays it: aligned_alloc and free of this process, a block a tensor with a "
              "header of 64 bytes. Put another malloc in its place with LD_PRELOAD",
              peers},
    [SETTLE] = {"--settle", "TIME", "longest wait after the last event for memory to go back; 10s by default, 0s: none",
                NULL},
    [JSON] = {"--json", NULL, "prints the figures as JSON, with the same names", NULL},
    {NULL, NULL, NULL, NULL},
};

static int open_malloc(void *self, struct ftli_target *target, char *why, size_t why_size)
{
    (void)self;
    (void)why;
    (void)why_size;
    *target = ftli_target_malloc();
    return 0;
}

static int take_options(const struct ftli_arguments *arguments, struct ftli_pass_options *pass, uint64_t *threads)
{
    int result = -1;
    pass->settle_ns = UINT64_C(10000000000);
    pass->play.time_one_in = 16;
    if (arguments->values[THREADS] != NULL) {
        result = ftli_command_count(&ftli_command_replay, "--threads", arguments->values[THREADS], 1,
                                    FTLI_TRACE_MAX_THREADS, threads);
    }
    if (result < 0 && arguments->values[SETTLE] != NULL) {
        result = ftli_command_time(&ftli_command_replay, "--settle", arguments->values[SETTLE], &pass->settle_ns);
    }
    pass->play.real_speed = arguments->values[SPEED] != NULL && strcmp(arguments->values[SPEED], "real") == 0;
    pass->play.fill = arguments->values[FILL] != NULL;
    pass->name = "events";
    return result;
}

/* A trace that cannot fit would be killed half-way: say so before. */
static int check_memory(const char *path, const struct ftli_trace *trace)
{
    uint64_t there = ftli_measure_memory_limit_bytes();
    if (trace->peak_live_bytes <= there) {
        return -1;
    }
    return ftli_command_refuse(&ftli_command_replay, "%s needs %s at its peak; there are %s here", path,
                               ftli_text_bytes(trace->peak_live_bytes).text, ftli_text_bytes(there).text);
}

static int play(struct ftli_replay *replay, bool json)
{
    char why[512];
    struct ftli_replay_column *column = &replay->columns[replay->column_count++];
    struct ftli_pass_kind kind = {.open = open_malloc};
    column->name = "malloc";
    ftli_target_malloc_name(column->detail, sizeof column->detail);
    if (!json) {
        ftli_replay_print_head(replay, stdout);
    }
    if (ftli_pass_run(&replay->options, &kind, &column->result, why, sizeof why) != 0) {
        fprintf(stderr, "fettle replay: %s: %s\n", column->name, why);
        return FTLI_EXIT_FAULT;
    }
    if (json) {
        ftli_replay_print_json(replay, true, stdout);
    } else {
        putchar('\n');
        ftli_replay_print_table(replay, stdout);
    }
    return FTLI_EXIT_GOOD;
}

static int run(const struct ftli_arguments *arguments)
{
    char why[1024];
    struct ftli_trace trace;
    struct ftli_plan plan;
    uint64_t threads = 0;
    struct ftli_replay replay = {.trace = &trace, .plan = &plan};
    int result = take_options(arguments, &replay.options, &threads);
    if (result >= 0) {
        return result;
    }
    if (ftli_trace_load(arguments->word, &trace, why, sizeof why) != 0) {
        fprintf(stderr, "%s\n", why);
        return FTLI_EXIT_USAGE;
    }
    result = check_memory(arguments->word, &trace);
    if (result < 0 && ftli_plan_make(&trace, (uint32_t)threads, &plan) != 0) {
        result = ftli_command_refuse(&ftli_command_replay, "out of memory");
    } else if (result < 0) {
        replay.options.plan = &plan;
        replay.options.event_count = trace.event_count;
        replay.options.left_bytes = trace.left_bytes;
        result = play(&replay, arguments->values[JSON] != NULL);
        ftli_plan_unmake(&plan);
    }
    ftli_trace_unload(&trace);
    return result;
}

const struct ftli_command ftli_command_replay = {
    .name = "replay",
    .word = "TRACE",
    .summary = "plays a recorded trace and says what it took",
    .text =
        "Plays the tensor lifetimes that a program was recorded with, by as many threads, and says what they took:\n"
        "time, memory, latencies, what came back. TRACE is NAME.csv.zst; bench/traces has two.",
    .options = options,
    .run = run,
};
