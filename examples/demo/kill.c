/* Act 2: the same, every drop by message, while the cleanup actor is killed 100 times and one finalizer never works. One tensor of sixteen
 * has a finalizer that counts its calls: so what is lost, or reclaimed twice, is seen from outside. */
#include "examples/demo/acts.h"
#include "examples/demo/play.h"
#include "examples/demo/print.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KILLS = 100, COUNTED_ONE_IN = 16, STUCK = 7 }; /* STUCK: the number of a tensor */
static const uint64_t bound_ns = 100 * 1000 * 1000;
static const char topology[] = "actors.cleanup.policy: message\n"
                               "actors.cleanup.deadline: 2s\n" /* of the finalizer that never works */
                               "supervision.restarts: 10000\n" /* or it would be given up at the second kill */
                               "supervision.backoff: {first: 1ms, factor: 1, most: 1ms}\n";

struct killed {
    struct memory memory; /* first */
    uint64_t tensors, kills;
    atomic_uchar *calls; /* of the finalizers that count */
    pthread_mutex_t lock;
    pthread_cond_t told;
    char quarantine[256]; /* lock */
};

static struct killed *killed_of(struct memory *memory)
{
    return (struct killed *)memory;
}

static int count_call(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes;
    atomic_fetch_add_explicit((atomic_uchar *)user, 1, memory_order_relaxed);
    return 0;
}

static int never_works(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes, (void)user;
    return 1;
}

static void hear(const ftl_event *event, void *user)
{
    struct killed *killed = user;
    pthread_mutex_lock(&killed->lock);
    snprintf(killed->quarantine, sizeof killed->quarantine,
             "\"stuck\" of %s, its finalizer failed %" PRIu64 " times in 2 s (the demo's deadline)", event->subject,
             event->count);
    pthread_mutex_unlock(&killed->lock);
    pthread_cond_signal(&killed->told);
}

static bool open_killed(struct memory *memory)
{
    struct killed *killed = killed_of(memory);
    ftl_open_options options = {
        .overrides = topology, .on_event = hear, .on_event_user = killed, .on_event_kinds = FTL_EVENT_QUARANTINE};
    pthread_mutex_init(&killed->lock, NULL);
    pthread_cond_init(&killed->told, NULL);
    killed->calls = calloc(killed->tensors / COUNTED_ONE_IN + 1, sizeof *killed->calls);
    return killed->calls != NULL && ftl_runtime_open_with(&options, &memory->runtime) == FTL_OK;
}

static bool make(struct memory *memory, uint64_t number, size_t bytes, struct piece *out, void **data)
{
    ftl_tensor tensor;
    ftl_tensor_options options = {.device = 0}, *given = NULL;
    if (number == STUCK) {
        options.label = "stuck";
        options.site = FTL_HERE;
        options.finalizer = never_works;
        given = &options;
    } else if (number % COUNTED_ONE_IN == 0) {
        options.finalizer = count_call;
        options.finalizer_user = &killed_of(memory)->calls[number / COUNTED_ONE_IN];
        given = &options;
    }
    if (ftl_bytes_new(memory->runtime, bytes, given, &tensor) != FTL_OK) {
        return false;
    }
    out->id = tensor.id;
    *data = ftl_tensor_data(tensor);
    return *data != NULL;
}

static bool drop(struct piece piece)
{
    return ftl_tensor_drop((ftl_tensor){piece.id}) == FTL_OK;
}

static int ignore(const char *text, size_t n, void *user)
{
    (void)text, (void)n, (void)user;
    return 0;
}

/* The next kill: when its share of the drops is done, and the one before has had its effect. */
static bool kill_when_due(struct memory *memory, struct seen *seen)
{
    struct killed *killed = killed_of(memory);
    ftl_stats stats;
    uint64_t dropped = atomic_load_explicit(&seen->dropped, memory_order_relaxed);
    if (killed->kills == KILLS || dropped < (killed->kills + 1) * killed->tensors / (KILLS + 1)) {
        return true;
    }
    if (ftl_runtime_stats(memory->runtime, &stats) != FTL_OK) {
        return false;
    }
    if (stats.restarts < killed->kills) {
        return true;
    }
    killed->kills++;
    return ftl_runtime_control(memory->runtime, "kill cleanup", ignore, NULL) == FTL_OK;
}

static bool close_killed(struct memory *memory, struct seen *seen)
{
    struct killed *killed = killed_of(memory);
    struct timespec until;
    if (ftl_runtime_drain(memory->runtime, INT64_C(30000000000)) != FTL_OK) {
        snprintf(seen->why, sizeof seen->why, "drain: %s", ftl_last_error());
        return false;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10; /* the report comes from a thread of its own */
    pthread_mutex_lock(&killed->lock);
    for (int waited = 0; killed->quarantine[0] == '\0' && waited == 0;) {
        waited = pthread_cond_timedwait(&killed->told, &killed->lock, &until);
    }
    memcpy(seen->quarantine, killed->quarantine, sizeof seen->quarantine);
    pthread_mutex_unlock(&killed->lock);
    seen->kills = killed->kills;
    for (uint64_t i = 0; i * COUNTED_ONE_IN < killed->tensors; i++) {
        unsigned calls = atomic_load_explicit(&killed->calls[i], memory_order_relaxed);
        seen->finalized++;
        seen->never += calls == 0;
        seen->twice += calls > 1;
    }
    return close_runtime(memory, seen);
}

static bool report(uint64_t tensors, const struct seen *seen)
{
    const ftl_stats *stats = &seen->stats;
    char line[512];
    uint64_t sum = stats->live + stats->pending + stats->reclaimed + stats->quarantined;
    bool exact = stats->created == sum && stats->created == tensors && stats->live + stats->pending == 0 &&
                 stats->quarantined == 1;
    bool once = seen->never == 0 && seen->twice == 0 && stats->restarts == seen->kills;
    printf("2 kill   the same by message, while the cleanup actor is killed %" PRIu64
           " times and one finalizer never works\n",
           seen->kills);
    snprintf(line, sizeof line, "         restarts %s; %s finalizers called: lost %s, called twice %s",
             count_text(stats->restarts).text, count_text(seen->finalized).text, count_text(seen->never).text,
             count_text(seen->twice).text);
    print_line(line, once, "exact", "BROKEN");
    snprintf(line, sizeof line, "         created %s = live %s + pending %s + reclaimed %s + quarantined %s",
             count_text(stats->created).text, count_text(stats->live).text, count_text(stats->pending).text,
             count_text(stats->reclaimed).text, count_text(stats->quarantined).text);
    print_line(line, exact, "exact", "BROKEN");
    snprintf(line, sizeof line, "         from drop to reclaimed   p50 %s   p99 %s   worst %s   (bound %s)",
             time_text(stats->reclaim_p50_ns).text, time_text(stats->reclaim_p99_ns).text,
             time_text(stats->reclaim_max_ns).text, time_text(bound_ns).text);
    print_line(line, stats->reclaim_max_ns <= bound_ns, "kept", "missed");
    printf("         quarantined: %s\n", seen->quarantine[0] != '\0' ? seen->quarantine : "NO REPORT");
    return exact && once && seen->quarantine[0] != '\0';
}

bool act_kill(uint64_t tensors, struct seen *seen)
{
    struct killed killed = {.memory = {.name = "Fettle",
                                       .open = open_killed,
                                       .make = make,
                                       .drop = drop,
                                       .look = kill_when_due,
                                       .close = close_killed},
                            .tensors = tensors};
    if (!play_in_child(&killed.memory, "2 kill ", tensors, seen)) {
        printf("2 kill   %s\n", seen->why);
        return false;
    }
    return report(tensors, seen);
}
