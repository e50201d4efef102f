/* fettle record: runs a program and writes its tensor-sized allocations as a trace, for fettle replay. */
#include "tools/command.h"
#include "tools/measure.h"
#include "tools/record_program.h"
#include "tools/record_write.h"
#include "tools/text.h"

#include <fettle/fettle.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT, LEAST, EVENTS, SECONDS, PROGRAM, LIBRARY, QUIET };

static const struct ftli_option options[] = {
    [OUTPUT] = {"-o", "FILE", "the trace; COMMAND's name and .csv.zst without it", NULL},
    [LEAST] = {"--least", "BYTES",
               "smallest allocation that is recorded; 1KiB by default: below it are mostly a program's strings and "
               "nodes, and next to none of a model's bytes",
               NULL},
    [EVENTS] = {"--events", "N", "records no more than so many; 100,000,000 by default", NULL},
    [SECONDS] = {"--seconds", "N", "records no longer than that from the first event on; the program runs on", NULL},
    [PROGRAM] = {"--program", "NAME",
                 "records the first process that runs the program of this name, where COMMAND is a script that starts "
                 "it",
                 NULL},
    [LIBRARY] = {"--library", "FILE", "libfettle-recorder.so, if it is not beside fettle or in ../lib/fettle", NULL},
    [QUIET] = {"--quiet", NULL, "no line on the terminal while it runs, and no summary", NULL},
    {NULL, NULL, NULL, NULL},
};

struct recording {
    const struct ftli_arguments *arguments;
    uint64_t most_events, most_ns;
    char *library, *output;
    struct ftli_record_shared *shared;
    struct ftli_record_writer *writer;
    char command[256]; /* its words */
    char why[1024];    /* what broke; "": nothing */
    uint64_t taken, abandoned, starts_seen;
    uint64_t first_ns; /* of our clock: when the first event was taken; 0: none was */
    uint64_t shown_ns;
    bool finished; /* the trace is complete, or given up */
    bool terminal;
    bool said;  /* the summary */
    int status; /* of the program, as waitpid gives it */
};

/* ---- the words ---- */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static int take_output(struct recording *recording)
{
    const struct ftli_arguments *arguments = recording->arguments;
    const char *given = arguments->values[OUTPUT];
    if (given != NULL && given[0] == '\0') {
        return ftli_command_refuse(&ftli_command_record, "-o: \"\" is no file");
    }
    int length = given == NULL ? asprintf(&recording->output, "%s.csv.zst", base_name(arguments->rest[0]))
                               : asprintf(&recording->output, "%s", given);
    if (length < 0) {
        recording->output = NULL;
        return ftli_command_refuse(&ftli_command_record, "out of memory");
    }
    return -1;
}

/* All that can be wrong before the program runs. */
static int prepare(struct recording *recording, uint64_t *least)
{
    const struct ftli_arguments *arguments = recording->arguments;
    const struct ftli_command *command = &ftli_command_record;
    uint64_t seconds = 0;
    int result = -1;
    if (arguments->values[LEAST] != NULL) {
        result = ftli_command_bytes(command, "--least", arguments->values[LEAST], least);
    }
    if (result < 0 && arguments->values[EVENTS] != NULL) {
        result = ftli_command_count(command, "--events", arguments->values[EVENTS], 1, UINT32_MAX / 2,
                                    &recording->most_events);
    }
    if (result < 0 && arguments->values[SECONDS] != NULL) {
        result = ftli_command_count(command, "--seconds", arguments->values[SECONDS], 1, 1000000000, &seconds);
        recording->most_ns = seconds * 1000000000u;
    }
    const char *name = arguments->values[PROGRAM];
    if (result < 0 && name != NULL && (name[0] == '\0' || strlen(name) >= FTLI_RECORD_NAME_BYTES)) {
        result = ftli_command_refuse(command, "--program: \"%s\" is no name of a program", name);
    }
    if (result >= 0) {
        return result;
    }
    char *program = ftli_record_find_program(arguments->rest[0], recording->why, sizeof recording->why);
    if (program == NULL) {
        return ftli_command_refuse(command, "%s", recording->why);
    }
    bool is_static = name == NULL && ftli_record_is_static(program);
    free(program);
    if (is_static) {
        return ftli_command_refuse(command,
                                   "%s is linked statically: nothing can be loaded in front of its allocator. A copy "
                                   "linked the usual way can be recorded",
                                   arguments->rest[0]);
    }
    recording->library = ftli_record_find_library(arguments->values[LIBRARY], recording->why, sizeof recording->why);
    if (recording->library == NULL) {
        return ftli_command_refuse(command, "%s", recording->why);
    }
    result = take_output(recording);
    if (result < 0) {
        recording->writer = ftli_record_writer_open(recording->output, recording->why, sizeof recording->why);
        if (recording->writer == NULL) {
            result = ftli_command_refuse(command, "%s", recording->why);
        }
    }
    return result;
}

static void join_words(char **words, char *text, size_t size)
{
    size_t length = 0;
    text[0] = '\0';
    for (char **word = words; *word != NULL && length + 1 < size; word++) {
        snprintf(text + length, size - length, "%s%s", word == words ? "" : " ", *word);
        length = strlen(text);
    }
}

/* ---- while it runs ---- */

static void show(struct recording *recording, uint64_t now_ns)
{
    const struct ftli_record_sums *sums = ftli_record_writer_sums(recording->writer);
    if (!recording->terminal || now_ns - recording->shown_ns < 500000000u) {
        return;
    }
    fprintf(stderr, "\r          %s events   %s live in %s   %s written\033[K",
            ftli_text_count(sums->allocs + sums->frees).text, ftli_text_bytes(sums->live_bytes).text,
            ftli_text_count(sums->live_count).text, ftli_text_bytes(sums->file_bytes).text);
    fflush(stderr);
    recording->shown_ns = now_ns;
}

static void wipe(const struct recording *recording)
{
    if (recording->terminal && recording->shown_ns != 0) {
        fputs("\r\033[K", stderr);
    }
}

/* Takes what is there. `over`: the program has ended, and what was not written by then never will be. Returns how much. */
static uint64_t take_all(struct recording *recording, bool over)
{
    struct ftli_record_event event;
    struct ftli_record_shared *shared = recording->shared;
    uint64_t before = recording->taken;
    while (!recording->finished) {
        if (!ftli_record_take(shared, &event)) {
            uint64_t starts = atomic_load_explicit(&shared->starts, memory_order_acquire); /* pairs: record-start */
            bool dead = over || (starts > 1 && atomic_load_explicit(&shared->head, memory_order_relaxed) <
                                                   atomic_load_explicit(&shared->start_ticket, memory_order_relaxed));
            if (!dead || !ftli_record_skip(shared)) {
                break;
            }
            recording->abandoned++;
            continue;
        }
        recording->taken++;
        if (ftli_record_writer_add(recording->writer, &event, recording->why, sizeof recording->why) != 0) {
            recording->finished = true;
        }
        const struct ftli_record_sums *sums = ftli_record_writer_sums(recording->writer);
        recording->finished = recording->finished || sums->allocs + sums->frees >= recording->most_events ||
                              (recording->most_ns != 0 && sums->duration_ns >= recording->most_ns);
    }
    if (recording->finished) {
        atomic_store_explicit(&shared->stop, 1, memory_order_relaxed);
    }
    return recording->taken - before;
}

static void finish(struct recording *recording)
{
    char workload[300], program[200], recorded[256], day[16], name[64];
    struct utsname system;
    time_t now = time(NULL);
    struct tm parts;
    recording->finished = true;
    if (recording->why[0] != '\0' || ftli_record_writer_sums(recording->writer)->allocs == 0) {
        return;
    }
    uname(&system);
    strftime(day, sizeof day, "%Y-%m-%d", gmtime_r(&now, &parts));
    snprintf(name, sizeof name, "%.*s", (int)strcspn(base_name(recording->output), "."), base_name(recording->output));
    snprintf(workload, sizeof workload, "%s", recording->command);
    snprintf(program, sizeof program,
             "fettle record %d.%d.%d: malloc, calloc, realloc, posix_memalign, aligned_alloc and "
             "memalign of %s and more",
             FTL_VERSION_MAJOR, FTL_VERSION_MINOR, FTL_VERSION_PATCH,
             ftli_text_bytes(recording->shared->least_bytes).text);
    snprintf(recorded, sizeof recorded, "%s, %s %.60s %s, %ld processors", day, system.sysname, system.release,
             system.machine, sysconf(_SC_NPROCESSORS_ONLN));
    struct ftli_record_about about = {.name = name, .workload = workload, .program = program, .recorded = recorded};
    (void)ftli_record_writer_finish(recording->writer, &about, recording->why, sizeof recording->why);
}

/* ---- what it says ---- */

static void say_nothing_came(const struct recording *recording)
{
    const struct ftli_record_shared *shared = recording->shared;
    if (atomic_load(&shared->starts) > 0) {
        fprintf(
            stderr,
            "no allocation of %s or more was made through libc's functions. --least takes smaller ones; an allocator "
            "that is linked into the program itself, and memory from mmap, are not seen\n",
            ftli_text_bytes(shared->least_bytes).text);
    } else if (shared->program[0] != '\0') {
        fprintf(stderr, "no process ran a program of the name %s (%" PRIu64 " others were started)\n", shared->program,
                atomic_load(&shared->passed_over));
    } else {
        fprintf(stderr, "the recorder was not loaded: the program is linked statically, runs as another user (setuid), "
                        "is of another architecture, or sees no /proc\n");
    }
}

static void print_summary(const struct recording *recording)
{
    const struct ftli_record_sums *sums = ftli_record_writer_sums(recording->writer);
    struct ftli_record_shared *shared = recording->shared;
    uint64_t lost = atomic_load(&shared->lost) + recording->abandoned, waits = atomic_load(&shared->waits);
    uint64_t others = atomic_load(&shared->passed_over);
    fprintf(stderr, "recorded  %s: %s allocations, %s frees, %s thread%s, %s; %s\n", recording->output,
            ftli_text_count(sums->allocs).text, ftli_text_count(sums->frees).text, ftli_text_count(sums->threads).text,
            sums->threads == 1 ? "" : "s", ftli_text_time(sums->duration_ns).text,
            ftli_text_bytes(sums->file_bytes).text);
    fprintf(stderr, "          at the peak %s in %s; at the end %s in %s; lost %s\n",
            ftli_text_bytes(sums->peak_bytes).text, ftli_text_count(sums->peak_count).text,
            ftli_text_bytes(sums->live_bytes).text, ftli_text_count(sums->live_count).text, ftli_text_count(lost).text);
    if (waits > 0) {
        fprintf(stderr, "          the program waited %s times for this one to write\n", ftli_text_count(waits).text);
    }
    if (others > 0) {
        fprintf(stderr, "          %s other program%s it started were not recorded; --program NAME chooses one\n",
                ftli_text_count(others).text, others == 1 ? "" : "s");
    }
    fprintf(stderr, "next      fettle replay %s --peer malloc\n", recording->output);
}

/* ---- from its beginning to its end ---- */

/* Whoever asked for a minute of a server gets its trace after a minute. */
static void say_it_runs_on(struct recording *recording, bool over)
{
    if (over || recording->why[0] != '\0' || ftli_record_writer_sums(recording->writer)->allocs == 0) {
        return;
    }
    wipe(recording);
    recording->shown_ns = 0;
    if (recording->arguments->values[QUIET] == NULL) {
        print_summary(recording);
        fprintf(stderr, "          the trace is complete; the program runs on, and nothing more of it is recorded\n");
    }
    recording->said = true;
}

/* Until the program has ended; the trace may be complete before. */
static void follow(struct recording *recording, pid_t program)
{
    bool over = false;
    while (!over) {
        bool was_finished = recording->finished;
        over = waitpid(program, &recording->status, WNOHANG) == program;
        uint64_t count = take_all(recording, over), now_ns = ftli_measure_now_ns();
        if (recording->first_ns == 0 && count > 0) {
            recording->first_ns = now_ns;
        }
        if (!recording->finished && recording->most_ns != 0 && recording->first_ns != 0 &&
            now_ns - recording->first_ns >= recording->most_ns) {
            recording->finished = true;
            atomic_store_explicit(&recording->shared->stop, 1, memory_order_relaxed);
        }
        if (recording->finished && !was_finished) {
            finish(recording);
            say_it_runs_on(recording, over);
        }
        if (!recording->finished) {
            show(recording, now_ns);
        }
        if (!over && count < FTLI_RECORD_RING / 8) { /* nobody wakes us: the program makes no call for it */
            usleep(recording->finished ? 50000 : 5000);
        }
    }
    if (!recording->finished) {
        finish(recording);
    }
}

static int say(const struct recording *recording)
{
    struct ftli_paint paint = ftli_text_paint(stderr);
    const struct ftli_record_sums *sums = ftli_record_writer_sums(recording->writer);
    bool good = recording->why[0] == '\0' && sums->allocs > 0;
    wipe(recording);
    if (WIFSIGNALED(recording->status) && recording->arguments->values[QUIET] == NULL) {
        fprintf(stderr, "fettle record: the program was ended by signal %d (%s)\n", WTERMSIG(recording->status),
                strsignal(WTERMSIG(recording->status)));
    }
    if (!good) {
        fprintf(stderr, "%sfettle record: nothing was recorded:%s ", paint.red, paint.plain);
    }
    if (recording->why[0] != '\0') {
        fprintf(stderr, "%s\n", recording->why);
    } else if (!good) {
        say_nothing_came(recording);
    } else if (recording->arguments->values[QUIET] == NULL && !recording->said) {
        print_summary(recording);
    }
    int code = WIFSIGNALED(recording->status) ? 128 + WTERMSIG(recording->status) : WEXITSTATUS(recording->status);
    return code == 0 && !good ? FTLI_EXIT_FAULT : code;
}

static int record(struct recording *recording, uint64_t least)
{
    char place[64];
    int descriptor = -1;
    const struct ftli_arguments *arguments = recording->arguments;
    recording->shared = ftli_record_share(place, sizeof place, &descriptor, recording->why, sizeof recording->why);
    if (recording->shared == NULL) {
        return ftli_command_refuse(&ftli_command_record, "%s", recording->why);
    }
    recording->shared->least_bytes = least;
    if (arguments->values[PROGRAM] != NULL) {
        snprintf(recording->shared->program, sizeof recording->shared->program, "%s", arguments->values[PROGRAM]);
    }
    pid_t program = ftli_record_start(arguments->rest, recording->library, place, recording->shared, recording->why,
                                      sizeof recording->why);
    if (program < 0) {
        return ftli_command_refuse(&ftli_command_record, "%s", recording->why);
    }
    follow(recording, program);
    return say(recording);
}

static int run(const struct ftli_arguments *arguments)
{
    uint64_t least = 1024;
    struct recording recording = {.arguments = arguments, .most_events = 100000000};
    recording.terminal = isatty(STDERR_FILENO) != 0 && arguments->values[QUIET] == NULL;
    join_words(arguments->rest, recording.command, sizeof recording.command);
    int result = prepare(&recording, &least);
    if (result < 0) {
        result = record(&recording, least);
    }
    if (recording.writer != NULL) {
        ftli_record_writer_close(recording.writer);
    }
    free(recording.library);
    free(recording.output);
    return result;
}

const struct ftli_command ftli_command_record = {
    .name = "record",
    .word = "COMMAND",
    .takes_rest = true,
    .summary = "runs a program and writes its tensor-sized allocations as a trace",
    .text =
        "Runs COMMAND with its arguments and writes each allocation and free of its tensor-sized memory, with time "
        "and\n"
        "thread, as a trace that fettle replay plays. Nothing is rebuilt: a library is loaded in front of the "
        "program's\n"
        "allocator (LD_PRELOAD). The program itself is recorded, also over exec, until it ends, however it ends; what\n"
        "it forks is not. Not seen: statically linked programs, allocators inside the program, its own mmap.\n"
        "Exit code: COMMAND's, or 128 + the signal that ended it; 1 if that was 0 and no trace came of it; 2 if "
        "COMMAND\n"
        "was not started.",
    .options = options,
    .run = run,
};
