/* fettle simulate: the real actors under the simulation scheduler, seed by seed, until a law breaks or the seeds are done. */
#include "tools/simulate.h"

#include "simulate/simulate.h"
#include "tools/command.h"
#include "tools/json.h"
#include "tools/progress.h"
#include "tools/text.h"

#include <fettle/fettle.h>

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { TOPOLOGY, SEEDS, FAULTS, LAST, JSON };
enum { SEEDS_DEFAULT = 1000, LAST_DEFAULT = 20, STUCK_S = 20, STUCK_LOOKS = 3 };

static const struct ftli_option options[] = {
    [TOPOLOGY] = {"--topology", "FILE",
                  "its topology, but for how often actors may restart and what depends on this machine; without it "
                  "default.yaml, varied by the seed",
                  NULL},
    [SEEDS] = {"--seeds", "A..B", "which; 1..1000 by default", NULL},
    [FAULTS] = {"--faults", "A,B,..",
                "receive, restart, finalizer, stall, oom, exit, silence, jump: all of them by default; or none", NULL},
    [LAST] = {"--last", "N", "of a failure the last N choices are printed; 20 by default", NULL},
    [JSON] = {"--json", NULL, "prints the figures as JSON, with the same names", NULL},
    {NULL, NULL, NULL, NULL},
};

bool ftli_simulate_seeds(const char *text, uint64_t *first, uint64_t *last)
{
    uint64_t numbers[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        const char *begun = text;
        for (; *text >= '0' && *text <= '9'; text++) {
            uint64_t digit = (uint64_t)(*text - '0');
            if (numbers[i] > (UINT64_MAX - digit) / 10)
                return false;
            numbers[i] = numbers[i] * 10 + digit;
        }
        if (text == begun || strncmp(text, i == 0 ? ".." : "", 2) != 0)
            return false;
        text += i == 0 ? 2 : 0;
    }
    if (numbers[0] > numbers[1])
        return false;
    *first = numbers[0];
    *last = numbers[1];
    return true;
}

bool ftli_simulate_faults(const char *text, uint32_t *faults, char *unknown, size_t unknown_size)
{
    uint32_t found = 0;
    if (strcmp(text, "none") == 0) {
        *faults = 0;
        return true;
    }
    for (;;) {
        size_t length = strcspn(text, ",");
        unsigned i = 0;
        while (i < FTLI_FAULTS &&
               (strlen(ftli_fault_names[i]) != length || memcmp(ftli_fault_names[i], text, length) != 0))
            i++;
        if (i == FTLI_FAULTS) {
            snprintf(unknown, unknown_size, "%.*s", (int)(length < 32 ? length : 32), text);
            return false;
        }
        found |= UINT32_C(1) << i;
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    *faults = found;
    return true;
}

/* ---- one that fails, or dies on the way -------------------------------------------------------------------------------------- */

struct simulate {
    const struct ftli_arguments *arguments;
    struct ftli_world *world;
    struct ftli_world_options options;
    uint64_t first, last;
    unsigned last_choices;
    uint64_t seeds;
    struct ftli_world_result sum, result;
    double cpu_s;
    int status;
};

static void print_line(void *out, const char *text)
{
    fprintf(out, "  %s\n", text);
}

static void print_repeat(const struct simulate *it, uint64_t seed, char *text, size_t size)
{
    const char *topology = it->arguments->values[TOPOLOGY], *faults = it->arguments->values[FAULTS];
    snprintf(text, size, "fettle simulate --seeds %" PRIu64 "..%" PRIu64 "%s%s%s%s", seed, seed,
             topology != NULL ? " --topology " : "", topology != NULL ? topology : "",
             faults != NULL ? " --faults " : "", faults != NULL ? faults : "");
}

static void print_failure(const struct simulate *it, FILE *out)
{
    struct ftli_paint paint = ftli_text_paint(out);
    const struct ftli_world_result *result = &it->result;
    char repeat[512];
    print_repeat(it, result->seed, repeat, sizeof repeat);
    fprintf(out, "%sbroken%s   seed %" PRIu64 ", step %" PRIu64 ": %s\n         %s\nthe last choices\n", paint.red,
            paint.plain, result->seed, result->steps, result->law, result->why);
    ftli_world_history(it->world, it->last_choices, print_line, out);
    fprintf(out, "repeat   %s\n", repeat);
}

static sigjmp_buf before_death;     /* of the one simulation that runs */
static volatile sig_atomic_t looks; /* at the seed that runs, by the processor's time */

/* Nothing can be relied on any more; but the history is only read, and then the process ends. */
static void on_death(int signal_number)
{
    (void)signal(signal_number, SIG_DFL);
    siglongjmp(before_death, signal_number);
}

static void on_time(int signal_number)
{
    if (++looks == STUCK_LOOKS)
        siglongjmp(before_death, signal_number);
}

static void watch_for_death(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    const struct itimerval every = {.it_interval = {.tv_sec = STUCK_S}, .it_value = {.tv_sec = STUCK_S}};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        (void)signal(signals[i], on_death);
    (void)signal(SIGVTALRM, on_time);
    (void)setitimer(ITIMER_VIRTUAL, &every, NULL);
}

static void watch_no_more(void)
{
    const struct itimerval never = {.it_interval = {0}};
    (void)setitimer(ITIMER_VIRTUAL, &never, NULL);
}

/* Back from a seed that did not end by itself. */
static void note_death(struct simulate *it, int signal_number)
{
    bool stuck = signal_number == SIGVTALRM;
    it->status = FTL_EINTERNAL;
    it->seeds++;
    it->result.seed = ftli_world_seed(it->world);
    it->result.steps = ftli_world_step(it->world);
    snprintf(it->result.law, sizeof it->result.law, "%s", stuck ? "every step ends" : "the library goes on");
    snprintf(it->result.why, sizeof it->result.why, "%s", stuck ? "this one does not" : strsignal(signal_number));
}

/* ---- the seeds --------------------------------------------------------------------------------------------------------- */

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void add(struct ftli_world_result *sum, const struct ftli_world_result *result)
{
    sum->operations += result->operations;
    sum->steps += result->steps;
    sum->receives += result->receives;
    sum->restarts += result->restarts;
    for (unsigned i = 0; i < FTLI_FAULTS; i++)
        sum->faults[i] += result->faults[i];
    if (result->liveness_steps > sum->liveness_steps)
        sum->liveness_steps = result->liveness_steps;
    sum->hash = sum->hash * 31 + result->hash;
}

static void simulate_each(struct simulate *it, struct ftli_progress *progress)
{
    uint64_t shown_ns = progress->begin_ns;
    watch_for_death();
    for (uint64_t seed = it->first; it->status == FTL_OK; seed++) {
        looks = 0;
        it->status = ftli_world_run(it->world, &it->options, seed, &it->result);
        it->seeds++;
        add(&it->sum, &it->result);
        if (seed == it->last)
            break;
        uint64_t time_ns = now_ns(CLOCK_MONOTONIC);
        if (time_ns - shown_ns > 100000000u) {
            ftli_progress_show(progress, it->seeds, time_ns);
            shown_ns = time_ns;
        }
    }
}

static void simulate(struct simulate *it)
{
    static struct ftli_progress progress; /* not on the stack: it is looked at after a long jump */
    uint64_t began_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    ftli_progress_begin(&progress, stderr, "seeds", it->last - it->first + 1, now_ns(CLOCK_MONOTONIC));
    int died = sigsetjmp(before_death, 1);
    if (died == 0)
        simulate_each(it, &progress);
    else
        note_death(it, died);
    watch_no_more();
    ftli_progress_end(&progress);
    it->cpu_s = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - began_ns) / 1e9;
}

static double seeds_per_minute(const struct simulate *it)
{
    return it->cpu_s > 0 ? (double)it->seeds * 60 / it->cpu_s : 0;
}

static void print_json_line(void *json, const char *text)
{
    ftli_json_text(json, NULL, text);
}

static void print_json(const struct simulate *it)
{
    struct ftli_json json;
    char repeat[512], hash[32];
    snprintf(hash, sizeof hash, "%016" PRIx64, it->sum.hash);
    ftli_json_begin(&json, stdout);
    ftli_json_truth(&json, "good", it->status == FTL_OK);
    ftli_json_count(&json, "first", it->first);
    ftli_json_count(&json, "last", it->last);
    ftli_json_count(&json, "seeds", it->seeds);
    ftli_json_count(&json, "steps", it->sum.steps);
    ftli_json_count(&json, "receives", it->sum.receives);
    ftli_json_count(&json, "calls", it->sum.operations);
    ftli_json_count(&json, "restarts", it->sum.restarts);
    ftli_json_object(&json, "faults");
    for (unsigned i = 0; i < FTLI_FAULTS; i++)
        ftli_json_count(&json, ftli_fault_names[i], it->sum.faults[i]);
    ftli_json_close_object(&json);
    ftli_json_count(&json, "liveness_steps", it->sum.liveness_steps);
    ftli_json_count(&json, "liveness_bound", FTLI_LIVENESS_STEPS);
    ftli_json_number(&json, "seeds_per_minute", seeds_per_minute(it));
    ftli_json_text(&json, "hash", hash);
    if (it->status != FTL_OK) {
        print_repeat(it, it->result.seed, repeat, sizeof repeat);
        ftli_json_object(&json, "broken");
        ftli_json_count(&json, "seed", it->result.seed);
        ftli_json_count(&json, "step", it->result.steps);
        ftli_json_text(&json, "law", it->result.law);
        ftli_json_text(&json, "why", it->result.why);
        ftli_json_list(&json, "choices");
        ftli_world_history(it->world, it->last_choices, print_json_line, &json);
        ftli_json_close_list(&json);
        ftli_json_text(&json, "repeat", repeat);
        ftli_json_close_object(&json);
    }
    ftli_json_end(&json);
}

static void print_text(const struct simulate *it)
{
    struct ftli_paint paint = ftli_text_paint(stdout);
    const struct ftli_world_result *sum = &it->sum;
    printf("seeds    %s: %s steps, %s receives, %s calls, %s restarts\n", ftli_text_count(it->seeds).text,
           ftli_text_count(sum->steps).text, ftli_text_count(sum->receives).text, ftli_text_count(sum->operations).text,
           ftli_text_count(sum->restarts).text);
    printf("faults  ");
    for (unsigned i = 0; i < FTLI_FAULTS; i++)
        printf(" %s %s%s", ftli_fault_names[i], ftli_text_count(sum->faults[i]).text, i + 1 < FTLI_FAULTS ? "," : "\n");
    printf("speed    %s seeds a minute of one processor\n", ftli_text_count((uint64_t)seeds_per_minute(it)).text);
    if (it->status != FTL_OK) {
        print_failure(it, stdout);
        return;
    }
    printf("safety   no law was broken after any step\n");
    printf("liveness when faults had stopped every drop was completed within %s steps (bound %s)\n",
           ftli_text_count(sum->liveness_steps).text, ftli_text_count(FTLI_LIVENESS_STEPS).text);
    printf("%sgood%s\n", paint.green, paint.plain);
}

static int take_options(const struct ftli_arguments *arguments, struct simulate *it)
{
    const char *seeds = arguments->values[SEEDS], *faults = arguments->values[FAULTS];
    char unknown[40];
    uint64_t last_choices = LAST_DEFAULT;
    *it = (struct simulate){.arguments = arguments, .first = 1, .last = SEEDS_DEFAULT};
    it->options.faults = FTLI_FAULTS_ALL;
    it->options.topology = arguments->values[TOPOLOGY];
    if (seeds != NULL && !ftli_simulate_seeds(seeds, &it->first, &it->last))
        return ftli_command_refuse(&ftli_command_simulate, "--seeds: \"%s\"; expected a range such as 1..1000", seeds);
    if (faults != NULL && !ftli_simulate_faults(faults, &it->options.faults, unknown, sizeof unknown)) {
        const char *guess = ftli_text_guess(unknown, ftli_fault_names, FTLI_FAULTS);
        return ftli_command_refuse(&ftli_command_simulate, "--faults: \"%s\" is no fault%s%s%s; see --help", unknown,
                                   guess == NULL ? "" : "; did you mean ", guess == NULL ? "" : guess,
                                   guess == NULL ? "" : "?");
    }
    if (arguments->values[LAST] != NULL) {
        int result = ftli_command_count(&ftli_command_simulate, "--last", arguments->values[LAST], 1, FTLI_HISTORY_MOST,
                                        &last_choices);
        if (result >= 0)
            return result;
    }
    it->last_choices = (unsigned)last_choices;
    return -1;
}

static int run(const struct ftli_arguments *arguments)
{
    struct simulate it;
    int result = take_options(arguments, &it);
    if (result >= 0)
        return result;
    it.world = ftli_world_create();
    if (it.world == NULL)
        return ftli_command_refuse(&ftli_command_simulate, "out of memory");
    simulate(&it);
    if (it.status == FTL_OK || it.status == FTL_EINTERNAL) {
        result = it.status == FTL_OK ? FTLI_EXIT_GOOD : FTLI_EXIT_FAULT;
        if (arguments->values[JSON] != NULL)
            print_json(&it);
        else
            print_text(&it);
    } else {
        result = ftli_command_refuse(&ftli_command_simulate, "%s", it.result.why);
    }
    ftli_world_destroy(it.world);
    return result;
}

const struct ftli_command ftli_command_simulate = {
    .name = "simulate",
    .summary = "runs the actors in virtual time, with faults, seed by seed",
    .text = "Runs the library's own actors on one thread, in virtual time and an order that the seed decides, under a "
            "program\n"
            "of random calls, with faults. The laws are checked after every step; then the faults stop, and every drop "
            "must\n"
            "be completed within 5,000 steps. One seed is one history: what fails is repeated exactly by its seed.\n"
            "\n"
            "faults: receive    a receive fails, and is supervised\n"
            "        restart    an actor is killed between two messages\n"
            "        finalizer  a finalizer fails, some times or for ever\n"
            "        stall      a finalizer does not return for a while\n"
            "        oom        memory is exhausted for a while; some seeds have a low limit besides\n"
            "        exit       a thread exits, with what it holds\n"
            "        silence    a thread never calls again\n"
            "        jump       the clock jumps\n"
            "\n"
            "A law that broke is printed with the seed, the step and the last choices, and the exit code is 1.",
    .options = options,
    .run = run,
};
