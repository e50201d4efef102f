/* fettle replay: plays a recorded trace over Fettle, and over malloc beside it, and says what it took. */
#include "tools/replay.h"

#include "tools/command.h"
#include "tools/measure.h"
#include "tools/target_malloc.h"
#include "tools/text.h"
#include "tools/topology.h"

#include "actors/port/topology.h"

#include <string.h>
#include <sys/mman.h>

enum { TOPOLOGY, THREADS, SPEED, FILL, PEER, ALONE, STRICT, SETTLE, JSON };

static const char *const speeds[] = {"max", "real", NULL};
static const char *const peers[] = {"malloc", NULL};

static const struct ftli_option options[] = {
    [TOPOLOGY] = {"--topology", "FILE", "Fettle's topology; default.yaml, as built in, without it", NULL},
    [THREADS] = {"--threads", "N", "deals the trace's threads onto N; as recorded by default", NULL},
    [SPEED] = {"--speed", "max|real", "max: as fast as it goes (the default); real: at the recorded times", speeds},
    [FILL] = {"--fill", NULL, "writes every byte of each tensor; one of each 4 KiB page by default", NULL},
    [PEER] =
        {"--peer", "malloc",
         "adds a column: the same over this process's aligned_alloc and free, a block a tensor with a header of 64 "
         "bytes. LD_PRELOAD puts another malloc there",
         peers},
    [ALONE] = {"--alone", NULL, "plays the peer only", NULL},
    [STRICT] = {"--strict", NULL, "tensors that are never freed count as leaks: lists them, and exits 1", NULL},
    [SETTLE] = {"--settle", "TIME",
                "longest wait after the last event for memory to go back to the system; 10s by default, 0s: none",
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

static int take_options(const struct ftli_arguments *arguments, struct ftli_replay *replay, uint64_t *threads)
{
    struct ftli_pass_options *pass = &replay->options;
    int result = -1;
    pass->settle_ns = UINT64_C(10000000000);
    pass->play.time_one_in = 16;
    pass->play.real_speed = arguments->values[SPEED] != NULL && strcmp(arguments->values[SPEED], "real") == 0;
    pass->play.fill = arguments->values[FILL] != NULL;
    pass->name = "events";
    replay->strict = arguments->values[STRICT] != NULL;
    if (arguments->values[ALONE] != NULL && arguments->values[PEER] == NULL) {
        return ftli_command_refuse(&ftli_command_replay, "--alone plays the peer only; --peer says which");
    }
    if (arguments->values[ALONE] != NULL && (replay->strict || arguments->values[TOPOLOGY] != NULL)) {
        return ftli_command_refuse(&ftli_command_replay, "%s is Fettle's, which --alone leaves out",
                                   replay->strict ? "--strict" : "--topology");
    }
    if (arguments->values[THREADS] != NULL) {
        result = ftli_command_count(&ftli_command_replay, "--threads", arguments->values[THREADS], 1,
                                    FTLI_TRACE_MAX_THREADS, threads);
    }
    if (result < 0 && arguments->values[SETTLE] != NULL) {
        result = ftli_command_time(&ftli_command_replay, "--settle", arguments->values[SETTLE], &pass->settle_ns);
    }
    return result;
}

/* What the topology is called and how many threads it asks for; its errors, if it has any, before anything is played. */
static int take_topology(const char *path, struct ftli_replay *replay)
{
    char error[1024] = "";
    struct ftli_topology *topology = NULL;
    ftl_open_options open_options = {.path = path};
    if (ftli_topology_load(&open_options, &topology, error, sizeof error) != FTL_OK) {
        ftli_topology_print_error(path == NULL ? "" : path, error, stderr);
        return FTLI_EXIT_USAGE;
    }
    snprintf(replay->topology, sizeof replay->topology, "%s", topology->source);
    replay->topology_threads = ftli_topology_thread_count(topology);
    ftli_topology_free(topology);
    return -1;
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

static int play_column(struct ftli_replay *replay, const struct ftli_pass_kind *kind, const char *name,
                       const struct ftli_replay_fettle *fettle)
{
    char why[512];
    struct ftli_replay_column *column = &replay->columns[replay->column_count];
    column->name = name;
    column->fettle = fettle;
    if (ftli_pass_run(&replay->options, kind, &column->result, why, sizeof why) != 0) {
        fprintf(stderr, "fettle replay: %s: %s\n", name, why);
        return FTLI_EXIT_FAULT;
    }
    replay->column_count++;
    return FTLI_EXIT_GOOD;
}

static int play_fettle(struct ftli_replay *replay, const char *topology)
{
    struct ftli_replay_fettle *fettle = ftli_pass_shared(sizeof *fettle);
    if (fettle == NULL) {
        return ftli_command_refuse(&ftli_command_replay, "out of memory");
    }
    fettle->topology = topology;
    struct ftli_pass_kind kind = ftli_replay_fettle_kind(fettle);
    snprintf(replay->columns[replay->column_count].detail, sizeof replay->columns->detail, "%d.%d.%d",
             FTL_VERSION_MAJOR, FTL_VERSION_MINOR, FTL_VERSION_PATCH);
    int result = play_column(replay, &kind, "Fettle", fettle);
    if (result == FTLI_EXIT_GOOD) {
        replay->fault_count = ftli_replay_fettle_judge(fettle, replay->trace, replay->faults);
    }
    return result;
}

static int play_malloc(struct ftli_replay *replay)
{
    struct ftli_pass_kind kind = {.open = open_malloc};
    char *detail = replay->columns[replay->column_count].detail;
    ftli_target_malloc_name(detail, sizeof replay->columns->detail);
    return play_column(replay, &kind, "malloc", NULL);
}

/* Both passes first: what is printed as a result is whole. */
static int play(struct ftli_replay *replay, const struct ftli_arguments *arguments)
{
    bool json = arguments->values[JSON] != NULL, peer = arguments->values[PEER] != NULL;
    int result = FTLI_EXIT_GOOD;
    if (!json) {
        ftli_replay_print_head(replay, stdout);
        fflush(stdout);
    }
    if (arguments->values[ALONE] == NULL) {
        result = play_fettle(replay, arguments->values[TOPOLOGY]);
    }
    if (result == FTLI_EXIT_GOOD && peer) {
        result = play_malloc(replay);
    }
    if (result != FTLI_EXIT_GOOD) {
        return result;
    }
    const struct ftli_replay_fettle *fettle = replay->columns[0].fettle;
    bool good = replay->fault_count == 0 && !(replay->strict && fettle != NULL && fettle->report.leaked > 0);
    if (json) {
        ftli_replay_print_json(replay, good, stdout);
        return good ? FTLI_EXIT_GOOD : FTLI_EXIT_FAULT;
    }
    if (fettle != NULL) {
        ftli_replay_print_block(replay, &replay->columns[0], stdout);
    }
    if (peer) {
        putchar('\n');
        ftli_replay_print_table(replay, stdout);
    }
    struct ftli_paint paint = ftli_text_paint(stdout);
    printf("%s%s%s\n", good ? paint.green : paint.red, good ? "good" : "not good", paint.plain);
    return good ? FTLI_EXIT_GOOD : FTLI_EXIT_FAULT;
}

static int run_trace(struct ftli_replay *replay, const struct ftli_arguments *arguments, uint32_t threads)
{
    struct ftli_plan plan;
    int result = check_memory(arguments->word, replay->trace);
    if (result >= 0) {
        return result;
    }
    if (ftli_plan_make(replay->trace, threads, &plan) != 0) {
        return ftli_command_refuse(&ftli_command_replay, "out of memory");
    }
    replay->plan = &plan;
    replay->options.plan = &plan;
    replay->options.event_count = replay->trace->event_count;
    replay->options.left_bytes = replay->trace->left_bytes;
    result = play(replay, arguments);
    for (uint32_t i = 0; i < replay->column_count; i++) {
        if (replay->columns[i].fettle != NULL) {
            munmap((void *)(uintptr_t)replay->columns[i].fettle, sizeof *replay->columns[i].fettle);
        }
    }
    replay->plan = replay->options.plan = NULL;
    ftli_plan_unmake(&plan);
    return result;
}

static int run(const struct ftli_arguments *arguments)
{
    char why[1024];
    struct ftli_trace trace;
    uint64_t threads = 0;
    struct ftli_replay replay = {.trace = &trace};
    int result = take_options(arguments, &replay, &threads);
    if (result < 0 && arguments->values[ALONE] == NULL) {
        result = take_topology(arguments->values[TOPOLOGY], &replay);
    }
    if (result >= 0) {
        return result;
    }
    if (ftli_trace_load(arguments->word, &trace, why, sizeof why) != 0) {
        fprintf(stderr, "%s\n", why);
        return FTLI_EXIT_USAGE;
    }
    result = run_trace(&replay, arguments, (uint32_t)threads);
    ftli_trace_unload(&trace);
    return result;
}

const struct ftli_command ftli_command_replay = {
    .name = "replay",
    .word = "TRACE",
    .summary = "plays a recorded trace: memory, time, latencies",
    .text =
        "Plays the tensor lifetimes that a program was recorded with, by as many threads, over Fettle, and says what\n"
        "they took: memory, time, latencies, what came back. Its sums are checked; a broken one exits 1.\n"
        "TRACE is NAME.csv.zst; bench/traces has two.",
    .options = options,
    .run = run,
};
