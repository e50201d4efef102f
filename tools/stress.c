/* fettle stress: its options, and what surrounds a run. */
#include "tools/stress.h"

#include "tools/command.h"
#include "tools/measure.h"
#include "tools/text.h"
#include "tools/topology.h"

#include "actors/port/topology.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOPOLOGY, THREADS, MINUTES, SECONDS, FAULTS, SEED, JSON };

static const struct ftli_option options[] = {
    [TOPOLOGY] = {"--topology", "FILE", "Fettle's topology; default.yaml, as built in, without it", NULL},
    [THREADS] = {"--threads", "N", "that act; 4 by default", NULL},
    [MINUTES] = {"--minutes", "M", "how long; 1 by default. More threads than processors are more strain", NULL},
    [SECONDS] = {"--seconds", "S", "how long, or how much longer", NULL},
    [FAULTS] = {"--faults", "A,B,..",
                "of finalizer, stall, restart, oom, exit, fork, pin, pressure; or none. All of them by default", NULL},
    [SEED] = {"--seed", "N", "of what each thread chooses; by the clock by default", NULL},
    [JSON] = {"--json", NULL, "prints the figures as JSON, with the same names", NULL},
    {NULL, NULL, NULL, NULL},
};

#define LIMIT_BYTES UINT64_C(268435456) /* so little that a second of work meets it */
#define WIDE_BYTES  (UINT64_C(1) << 40) /* no program but a sanitizer's asks for more addresses */

/* ---- options ------------------------------------------------------------------------------------------------------------- */

static int take_faults(const char *text, uint32_t *out)
{
    uint32_t faults = 0;
    if (strcmp(text, "none") == 0) {
        *out = 0;
        return -1;
    }
    for (const char *at = text;;) {
        size_t length = strcspn(at, ",");
        uint32_t i = 0;
        while (ftli_stress_fault_names[i] != NULL &&
               (strlen(ftli_stress_fault_names[i]) != length || memcmp(ftli_stress_fault_names[i], at, length) != 0)) {
            i++;
        }
        if (i == FTLI_STRESS_FAULTS) {
            char word[32];
            snprintf(word, sizeof word, "%.*s", (int)length, at);
            const char *guess = ftli_text_guess(word, ftli_stress_fault_names, FTLI_STRESS_FAULTS);
            return ftli_command_refuse(&ftli_command_stress,
                                       "--faults: \"%s\" is none; finalizer, stall, restart, oom, exit, fork, pin, "
                                       "pressure%s%s%s",
                                       word, guess == NULL ? "" : "; did you mean ", guess == NULL ? "" : guess,
                                       guess == NULL ? "" : "?");
        }
        faults |= UINT32_C(1) << i;
        if (at[length] == '\0') {
            break;
        }
        at += length + 1;
    }
    *out = faults;
    return -1;
}

static int take_time(const struct ftli_arguments *arguments, uint64_t *out_ns)
{
    uint64_t minutes = 0, seconds = 0;
    int result = -1;
    if (arguments->values[MINUTES] != NULL) {
        result = ftli_command_count(&ftli_command_stress, "--minutes", arguments->values[MINUTES], 1, 10080, &minutes);
    }
    if (result < 0 && arguments->values[SECONDS] != NULL) {
        result = ftli_command_count(&ftli_command_stress, "--seconds", arguments->values[SECONDS], 1, 604800, &seconds);
    }
    seconds += 60 * minutes;
    *out_ns = (seconds == 0 ? 60 : seconds) * 1000000000u;
    return result;
}

int ftli_stress_take_options(const struct ftli_arguments *arguments, struct ftli_stress_options *out)
{
    uint64_t threads = 4;
    int result = take_time(arguments, &out->duration_ns);
    out->topology = arguments->values[TOPOLOGY];
    out->json = arguments->values[JSON] != NULL;
    out->faults = (UINT32_C(1) << FTLI_STRESS_FAULTS) - 1;
    out->seed = ftli_measure_now_ns() % 1000000000u;
    if (result < 0 && arguments->values[THREADS] != NULL) {
        result = ftli_command_count(&ftli_command_stress, "--threads", arguments->values[THREADS], 1,
                                    FTLI_STRESS_THREADS_MOST, &threads);
    }
    if (result < 0 && arguments->values[FAULTS] != NULL) {
        result = take_faults(arguments->values[FAULTS], &out->faults);
    }
    if (result < 0 && arguments->values[SEED] != NULL) {
        result =
            ftli_command_count(&ftli_command_stress, "--seed", arguments->values[SEED], 0, UINT64_MAX / 16, &out->seed);
    }
    out->threads = (uint32_t)threads;
    return result;
}

/* ---- the topology ---------------------------------------------------------------------------------------------------------- */

/* What is laid over it, so that faults have something to meet: a limit that is soon reached, a deadline for finalizers that never
 * work, as many restarts as there are kills, and an actor of the program's. */
static void lay_over(struct ftli_stress *run, const struct ftli_topology *topology)
{
    const struct ftli_topology_device *device = &topology->devices[0];
    const char *from;
    uint64_t limit = ftli_topology_limit_bytes(device, &from);
    run->limit_bytes = limit < LIMIT_BYTES ? limit : LIMIT_BYTES;
    run->has_threads = ftli_topology_thread_count(topology) > 0;
    snprintf(run->topology, sizeof run->topology, "%s", topology->source);
    snprintf(run->cleanup, sizeof run->cleanup, "%s", ftli_topology_actor(topology, "cleanup")->name);
    snprintf(run->overrides, sizeof run->overrides,
             "devices.%s.limit: %lluB\n"
             "actors.%s.deadline: 500ms\n"
             "actors.stress: {type: stress, threads: %s}\n"
             "supervision.restarts: 10000\nsupervision.within: 1s\nsupervision.breaker.failures: 64\n",
             device->name, (unsigned long long)run->limit_bytes, run->cleanup, topology->groups[0].name);
}

static int take_topology(struct ftli_stress *run)
{
    char error[1024] = "";
    struct ftli_topology *topology = NULL;
    const char *path = run->options.topology;
    ftl_open_options open_options = {.path = path};
    if (ftli_topology_load(&open_options, &topology, error, sizeof error) != FTL_OK) {
        ftli_topology_print_error(path == NULL ? "" : path, error, stderr);
        return FTLI_EXIT_USAGE;
    }
    lay_over(run, topology);
    ftli_topology_free(topology);
    return -1;
}

/* ---- what ends the process ---------------------------------------------------------------------------------------------------- */

static char last_words[256];

/* Says how to make it again, and lets the signal do what it does. */
static void say_last_words(int signal_number)
{
    (void)!write(STDERR_FILENO, last_words, strlen(last_words));
    (void)raise(signal_number); /* whose action is the default again */
}

/* But where a sanitizer has a handler of its own. */
static void prepare_last_words(const struct ftli_stress *run)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
    snprintf(
        last_words, sizeof last_words,
        "\nfettle stress: the process dies of a signal; to repeat: fettle stress --threads %u --seconds %llu --seed "
        "%llu (and the other options)\n",
        run->options.threads, (unsigned long long)(run->options.duration_ns / 1000000000u),
        (unsigned long long)run->options.seed);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction action, before;
        memset(&action, 0, sizeof action);
        action.sa_handler = say_last_words;
        action.sa_flags = (int)SA_RESETHAND;
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL) {
            (void)sigaction(signals[i], &action, NULL);
        }
    }
}

static bool has_wide_address_space(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) {
        return false;
    }
    bool wide = fscanf(file, "%llu", &pages) == 1 && pages * (uint64_t)sysconf(_SC_PAGESIZE) > WIDE_BYTES;
    fclose(file);
    return wide;
}

static int run_stress(struct ftli_stress *run)
{
    char why[512];
    run->wide = has_wide_address_space();
    prepare_last_words(run);
    if (!run->options.json) {
        ftli_stress_print_head(run, stdout);
        fflush(stdout);
    }
    ftli_stress_prepare(run);
    if (ftli_stress_run(run, why, sizeof why) != 0) {
        return ftli_command_refuse(&ftli_command_stress, "%s", why);
    }
    if (run->options.json) {
        ftli_stress_print_json(run, stdout);
    } else {
        ftli_stress_print(run, stdout);
    }
    return run->broken_count == 0 ? FTLI_EXIT_GOOD : FTLI_EXIT_FAULT;
}

static int run(const struct ftli_arguments *arguments)
{
    struct ftli_stress *stress = calloc(1, sizeof *stress);
    if (stress == NULL) {
        return ftli_command_refuse(&ftli_command_stress, "out of memory");
    }
    int result = ftli_stress_take_options(arguments, &stress->options);
    if (result < 0) {
        result = take_topology(stress);
    }
    if (result < 0) {
        result = run_stress(stress);
    }
    free(stress);
    return result;
}

const struct ftli_command ftli_command_stress = {
    .name = "stress",
    .summary = "calls everything at random under faults, against a model",
    .text =
        "Threads call all of the interface at random, while faults are injected. Every answer is compared with what a\n"
        "model says it must be, every tensor's contents with what was written, and the sums all the time: while all\n"
        "are at work, and to the last tensor when they rest. A law that broke is said, with the seed; exit 1.\n"
        "\n"
        "  finalizer   finalizers fail a few times; some always, and end in quarantine\n"
        "  stall       finalizers that take long; threads that make no call for a while\n"
        "  restart     actors are killed, the cleanup more often than others\n"
        "  oom         the device's limit is met; the address space is lowered (not under a sanitizer)\n"
        "  exit        threads exit with tensors, pins and scopes in hand; others take them over\n"
        "  fork        a child looks at what it inherited, and opens a runtime of its own\n"
        "  pin         pins on dropped tensors are held by other threads\n"
        "  pressure    memory is filled up to each level; the callback drops what is cached\n"
        "\n"
        "The first device's limit is 256 MiB, or what FILE says if that is less; finalizers have half a second, and "
        "as\n"
        "many restarts are allowed as there are kills. The seed fixes what each thread chooses, one after the other; "
        "when\n"
        "threads meet, and when the clock brings a fault, it does not: a run cannot be repeated exactly. For that "
        "there\n"
        "is the simulation.",
    .options = options,
    .run = run,
};
