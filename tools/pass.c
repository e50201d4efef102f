#include "tools/pass.h"

#include "tools/measure.h"
#include "tools/progress.h"
#include "tools/text.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLE_EVERY_NS = 5 * 1000 * 1000, DRAW_EVERY_NS = 100 * 1000 * 1000 };

struct shared {
    struct ftli_player_cell cells[FTLI_TRACE_MAX_THREADS];
    struct ftli_pass_result result;
    bool complete;
    char why[512];
};

/* The child's measuring thread and whom it serves. */
struct meter {
    const struct ftli_pass_options *options;
    const struct ftli_pass_kind *kind;
    struct shared *shared;
    uint64_t baseline_bytes;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic bool settling;   /* nothing is asked any more that could keep the runtime from resting */
    bool stop;               /* lock */
    uint64_t settle_target;  /* lock; resident at which memory counts as back */
    bool settled;            /* lock */
    uint64_t resident_bytes; /* lock; over the baseline, latest */
    uint64_t peak_live_bytes, peak_resident_bytes; /* the meter's until it is joined */
    uint64_t cpu_ns;
};

void *ftli_pass_shared(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

static uint64_t steps_done(const struct shared *shared, uint32_t players)
{
    uint64_t done = 0;
    for (uint32_t i = 0; i < players; i++) {
        done += atomic_load_explicit(&shared->cells[i].steps_done, memory_order_relaxed);
    }
    return done;
}

static uint64_t live_bytes(const struct shared *shared, uint32_t players)
{
    uint64_t dropped = 0, made = 0;
    for (uint32_t i = 0; i < players; i++) {
        dropped += atomic_load_explicit(&shared->cells[i].dropped_bytes, memory_order_relaxed);
    }
    for (uint32_t i = 0; i < players; i++) {
        made += atomic_load_explicit(&shared->cells[i].made_bytes, memory_order_relaxed);
    }
    return made > dropped ? made - dropped : 0;
}

static uint64_t over(uint64_t value, uint64_t baseline)
{
    return value > baseline ? value - baseline : 0;
}

static struct timespec at_time(uint64_t time_ns)
{
    return (struct timespec){.tv_sec = (time_t)(time_ns / 1000000000u), .tv_nsec = (long)(time_ns % 1000000000u)};
}

static void *meter_main(void *user)
{
    struct meter *meter = user;
    uint64_t next_ns = ftli_measure_now_ns();
    pthread_mutex_lock(&meter->lock);
    while (!meter->stop) {
        pthread_mutex_unlock(&meter->lock);
        uint64_t resident = over(ftli_measure_resident_bytes(), meter->baseline_bytes);
        uint64_t live = live_bytes(meter->shared, meter->options->plan->player_count);
        meter->peak_live_bytes = live > meter->peak_live_bytes ? live : meter->peak_live_bytes;
        meter->peak_resident_bytes = resident > meter->peak_resident_bytes ? resident : meter->peak_resident_bytes;
        if (meter->kind->sample != NULL && !atomic_load_explicit(&meter->settling, memory_order_relaxed)) {
            meter->kind->sample(meter->kind->self);
        }
        uint64_t now_ns = ftli_measure_now_ns();
        next_ns = next_ns + SAMPLE_EVERY_NS > now_ns ? next_ns + SAMPLE_EVERY_NS : now_ns + SAMPLE_EVERY_NS;
        struct timespec next = at_time(next_ns);
        pthread_mutex_lock(&meter->lock);
        meter->resident_bytes = resident;
        if (resident <= meter->settle_target && !meter->settled) {
            meter->settled = true;
            pthread_cond_broadcast(&meter->changed);
        }
        while (!meter->stop && pthread_cond_timedwait(&meter->changed, &meter->lock, &next) == 0) {
        }
    }
    meter->cpu_ns = ftli_measure_thread_cpu_ns();
    pthread_mutex_unlock(&meter->lock);
    return NULL;
}

static int meter_start(struct meter *meter)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&meter->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&meter->lock, NULL);
    return pthread_create(&meter->thread, NULL, meter_main, meter);
}

static void meter_stop(struct meter *meter)
{
    pthread_mutex_lock(&meter->lock);
    meter->stop = true;
    pthread_cond_broadcast(&meter->changed);
    pthread_mutex_unlock(&meter->lock);
    pthread_join(meter->thread, NULL);
}

/* What the meter has used so far of the processor, by its thread's clock. */
static uint64_t meter_cpu_ns(const struct meter *meter)
{
    clockid_t clock;
    struct timespec used;
    if (pthread_getcpuclockid(meter->thread, &clock) != 0 || clock_gettime(clock, &used) != 0) {
        return 0;
    }
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* Waits until resident memory is at most 1.1 times what is live, or the time is over. */
static void settle(struct meter *meter, uint64_t last_event_ns)
{
    const struct ftli_pass_options *options = meter->options;
    struct ftli_pass_result *result = &meter->shared->result;
    struct timespec until = at_time(last_event_ns + options->settle_ns);
    atomic_store_explicit(&meter->settling, true, memory_order_relaxed);
    pthread_mutex_lock(&meter->lock);
    meter->settle_target = options->left_bytes + options->left_bytes / 10 + FTLI_PASS_SLACK_BYTES;
    int waited = 0;
    while (options->settle_ns > 0 && !meter->settled && waited != ETIMEDOUT) {
        waited = pthread_cond_timedwait(&meter->changed, &meter->lock, &until);
    }
    result->settled = meter->settled;
    pthread_mutex_unlock(&meter->lock);
    result->settled_resident_bytes = over(ftli_measure_resident_bytes(), meter->baseline_bytes);
    result->settled_ns = ftli_measure_now_ns() - last_event_ns;
}

static int play(struct meter *meter, struct ftli_players *players, char *why, size_t why_size)
{
    const struct ftli_pass_options *options = meter->options;
    const struct ftli_pass_kind *kind = meter->kind;
    struct ftli_pass_result *result = &meter->shared->result;
    struct ftli_target target;
    meter->baseline_bytes = ftli_measure_resident_bytes();
    uint64_t faults = ftli_measure_minor_faults();
    uint64_t cpu_ns = ftli_measure_process_cpu_ns();
    if (kind->open(kind->self, &target, why, why_size) != 0) {
        return -1;
    }
    if (meter_start(meter) != 0) {
        snprintf(why, why_size, "the measuring thread could not be started");
        return -1;
    }
    uint64_t begin_ns = ftli_measure_now_ns();
    if (ftli_players_play(players, &target, &options->play, &result->played, why, why_size) != 0 ||
        (kind->played != NULL && kind->played(kind->self, why, why_size) != 0)) {
        return -1;
    }
    uint64_t end_ns = ftli_measure_now_ns();
    result->wall_ns = end_ns - begin_ns;
    result->cpu_ns = over(ftli_measure_process_cpu_ns() - cpu_ns, meter_cpu_ns(meter));
    result->minor_faults = ftli_measure_minor_faults() - faults;
    result->peak_resident_bytes = over(ftli_measure_peak_resident_bytes(), meter->baseline_bytes);
    result->end_resident_bytes = over(ftli_measure_resident_bytes(), meter->baseline_bytes);
    uint32_t threads = ftli_measure_threads();
    result->threads = threads > 2 ? threads - 2 : 0; /* this one and the meter */
    result->events = steps_done(meter->shared, options->plan->player_count);
    settle(meter, end_ns);
    meter_stop(meter);
    result->peak_live_bytes = meter->peak_live_bytes;
    if (meter->peak_resident_bytes > result->peak_resident_bytes) {
        result->peak_resident_bytes = meter->peak_resident_bytes;
    }
    if (result->events != options->event_count) {
        snprintf(why, why_size, "%s of %s events were played", ftli_text_count(result->events).text,
                 ftli_text_count(options->event_count).text);
        return -1;
    }
    return kind->settled == NULL ? 0 : kind->settled(kind->self, why, why_size);
}

static void child_main(const struct ftli_pass_options *options, const struct ftli_pass_kind *kind,
                       struct shared *shared)
{
    memset(shared->cells, 0, sizeof shared->cells); /* their pages are there before memory is measured */
    struct ftli_players *players = ftli_players_prepare(options->plan, shared->cells);
    struct meter meter = {.options = options, .kind = kind, .shared = shared};
    if (players == NULL) {
        snprintf(shared->why, sizeof shared->why, "out of memory for the players");
    } else if (play(&meter, players, shared->why, sizeof shared->why) == 0) {
        shared->complete = true;
    }
    _exit(shared->complete ? 0 : 1);
}

/* Until the child has ended: its exit status, with the bar drawn meanwhile. */
static int attend(pid_t child, const struct ftli_pass_options *options, const struct shared *shared)
{
    struct ftli_progress progress;
    int status = 0;
    ftli_progress_begin(&progress, stderr, options->name, options->event_count, ftli_measure_now_ns());
    progress.terminal = progress.terminal && !options->quiet;
    while (waitpid(child, &status, progress.terminal ? WNOHANG : 0) != child) {
        ftli_progress_show(&progress, steps_done(shared, options->plan->player_count), ftli_measure_now_ns());
        struct timespec pause = {.tv_sec = 0, .tv_nsec = DRAW_EVERY_NS};
        nanosleep(&pause, NULL);
    }
    ftli_progress_end(&progress);
    return status;
}

int ftli_pass_run(const struct ftli_pass_options *options, const struct ftli_pass_kind *kind,
                  struct ftli_pass_result *out, char *why, size_t why_size)
{
    struct shared *shared = ftli_pass_shared(sizeof *shared);
    if (shared == NULL) {
        snprintf(why, why_size, "out of memory");
        return -1;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        child_main(options, kind, shared);
    }
    int result = -1;
    int status = child < 0 ? 0 : attend(child, options, shared);
    if (child < 0) {
        snprintf(why, why_size, "fork: %s", strerror(errno));
    } else if (WIFSIGNALED(status)) {
        snprintf(why, why_size, "the process that played died of signal %d (%s) after %s of %s events",
                 WTERMSIG(status), strsignal(WTERMSIG(status)),
                 ftli_text_count(steps_done(shared, options->plan->player_count)).text,
                 ftli_text_count(options->event_count).text);
    } else if (!shared->complete) {
        snprintf(why, why_size, "%s", shared->why[0] == '\0' ? "the process that played ended early" : shared->why);
    } else {
        *out = shared->result;
        result = 0;
    }
    munmap(shared, sizeof *shared);
    return result;
}
