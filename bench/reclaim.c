/* How long it takes from a drop until the memory is back, for each kind of owner: the thread that dropped goes on, sleeps, is blocked in a system
 * call, or has ended. Prints; judges nothing, for a machine may be busy.
 *
 * What is measured   The library's own histograms (ftl_stats.reclaim_*): from the post of a drop to its completion. Each kind has a runtime of
 *                    its own, so that its figures are its own. Drops that the call itself finishes are in none of these; of
 *                    them the call is timed here.
 * Call               bench-reclaim [drops of each kind, 400] */
#include <fettle/fettle.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 8, DROPS_DEFAULT = 400 };

enum owner { ACTIVE, SLEEPING, BLOCKED, EXITED };

struct kind {
    const char *what;
    const char *overrides;
    enum owner owner;
    size_t bytes;
    bool finalizer;
};

#define MESSAGE "actors.cleanup.policy: message\n"

static const struct kind kinds[] = {
    {"nothing against it, 64 B, owner active", "", ACTIVE, 64, false},
    {"nothing against it, 64 B, owner sleeps", "", SLEEPING, 64, false},
    {"nothing against it, 100 kB, owner active", "", ACTIVE, 100000, false},
    {"nothing against it, 100 kB, owner exited", "", EXITED, 100000, false},
    {"nothing against it, 4 MiB, owner active", "", ACTIVE, 4 << 20, false},
    {"nothing against it, 4 MiB, owner sleeps", "", SLEEPING, 4 << 20, false},
    {"nothing against it, 4 MiB, owner blocked", "", BLOCKED, 4 << 20, false},
    {"nothing against it, 4 MiB, owner exited", "", EXITED, 4 << 20, false},
    {"finalizer, 64 B, owner active", "", ACTIVE, 64, true},
    {"finalizer, 64 B, owner sleeps", "", SLEEPING, 64, true},
    {"finalizer, 64 B, owner exited", "", EXITED, 64, true},
    {"policy message, 64 B, owner active", MESSAGE, ACTIVE, 64, false},
    {"policy message, 64 B, owner sleeps", MESSAGE, SLEEPING, 64, false},
    {"policy message, 64 B, owner blocked", MESSAGE, BLOCKED, 64, false},
    {"policy message, 64 B, owner exited", MESSAGE, EXITED, 64, false},
};

struct owner_of {
    const struct kind *kind;
    ftl_runtime *runtime;
    unsigned drops;
    int pipe;
    pthread_barrier_t *dropped, *go_on;
    uint64_t *call_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "bench-reclaim: %s: %s\n", what, ftl_last_error());
    exit(1);
}

static int does_nothing(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    (void)user;
    return 0;
}

/* The time of the call. */
static uint64_t drop_one(const struct owner_of *owner)
{
    ftl_tensor_options options = {.finalizer = owner->kind->finalizer ? does_nothing : NULL};
    ftl_tensor tensor;
    if (ftl_bytes_new(owner->runtime, owner->kind->bytes, &options, &tensor) != FTL_OK)
        die("new");
    void *data = ftl_tensor_data(tensor);
    memset(data, 1, 64);
    uint64_t began_ns = now_ns();
    (void)ftl_tensor_drop(tensor);
    return now_ns() - began_ns;
}

static void *own(void *argument)
{
    struct owner_of *owner = argument;
    char byte;
    for (unsigned i = 0; i < owner->drops; i++) {
        uint64_t ns = drop_one(owner);
        if (owner->call_ns != NULL)
            owner->call_ns[i] = ns;
    }
    if (owner->kind->owner == EXITED || owner->kind->owner == ACTIVE)
        return NULL;
    (void)pthread_barrier_wait(owner->dropped);
    if (owner->kind->owner == BLOCKED)
        (void)!read(owner->pipe, &byte, 1);
    else
        (void)pthread_barrier_wait(owner->go_on);
    return NULL;
}

static ftl_stats stats_of(ftl_runtime *runtime)
{
    ftl_stats stats;
    if (ftl_runtime_stats(runtime, &stats) != FTL_OK)
        die("stats");
    return stats;
}

/* Looked at now and then, so that the machine's processors are free for those whose work it is. */
static void wait_until_reclaimed(ftl_runtime *runtime)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    while (stats_of(runtime).pending != 0)
        (void)nanosleep(&pause, NULL);
}

/* One drop of each of some threads, which are then idle in their way until all is reclaimed. */
static void idle_owners(const struct kind *kind, ftl_runtime *runtime)
{
    pthread_t threads[AT_ONCE];
    pthread_barrier_t dropped, go_on;
    int ends[2];
    struct owner_of owner = {kind, runtime, 1, 0, &dropped, &go_on, NULL};
    if (pipe(ends) != 0)
        die("pipe");
    owner.pipe = ends[0];
    (void)pthread_barrier_init(&dropped, NULL, AT_ONCE + 1);
    (void)pthread_barrier_init(&go_on, NULL, AT_ONCE + 1);
    for (unsigned i = 0; i < AT_ONCE; i++)
        if (pthread_create(&threads[i], NULL, own, &owner) != 0)
            die("thread");
    if (kind->owner != EXITED)
        (void)pthread_barrier_wait(&dropped);
    wait_until_reclaimed(runtime);
    if (kind->owner == SLEEPING)
        (void)pthread_barrier_wait(&go_on);
    (void)close(ends[1]);
    for (unsigned i = 0; i < AT_ONCE; i++)
        (void)pthread_join(threads[i], NULL);
    (void)close(ends[0]);
}

/* An active owner drops one each some tenths of a millisecond: a busy server, not a drop alone in the world. */
static void active_owner(const struct kind *kind, ftl_runtime *runtime, unsigned drops, uint64_t *call_ns)
{
    const struct timespec pause = {.tv_nsec = 200000};
    struct owner_of owner = {kind, runtime, 1, 0, NULL, NULL, NULL};
    for (unsigned i = 0; i < drops; i++) {
        call_ns[i] = drop_one(&owner);
        (void)nanosleep(&pause, NULL);
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void print(const char *what, uint64_t n, uint64_t p50_ns, uint64_t p99_ns, uint64_t most_ns, const char *how)
{
    printf("%-44s %7llu  p50 %10.1f us  p99 %10.1f us  worst %10.1f us  %s\n", what, (unsigned long long)n,
           (double)p50_ns / 1e3, (double)p99_ns / 1e3, (double)most_ns / 1e3, how);
    (void)fflush(stdout);
}

static void measure(const struct kind *kind, unsigned drops)
{
    ftl_runtime *runtime;
    ftl_open_options options = {.overrides = kind->overrides};
    uint64_t *call_ns = calloc(drops, sizeof *call_ns);
    if (call_ns == NULL || ftl_runtime_open_with(&options, &runtime) != FTL_OK)
        die("open");
    if (kind->owner == ACTIVE)
        active_owner(kind, runtime, drops, call_ns);
    else
        for (unsigned i = 0; i < drops; i += AT_ONCE)
            idle_owners(kind, runtime);
    wait_until_reclaimed(runtime);
    ftl_stats s = stats_of(runtime);
    if (s.deferred != 0)
        print(kind->what, s.deferred, s.reclaim_p50_ns, s.reclaim_p99_ns, s.reclaim_max_ns, "");
    if (s.immediate != 0 && kind->owner == ACTIVE) {
        qsort(call_ns, drops, sizeof *call_ns, by_size);
        print(kind->what, s.immediate, call_ns[drops / 2], call_ns[drops * 99 / 100], call_ns[drops - 1],
              "by the call itself");
    } else if (s.immediate != 0) {
        printf("%-44s %7llu  by the call itself\n", kind->what, (unsigned long long)s.immediate);
    }
    (void)ftl_runtime_close(runtime, NULL);
    free(call_ns);
}

int main(int argc, char **argv)
{
    unsigned drops = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : DROPS_DEFAULT;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        measure(&kinds[i], drops > 0 ? drops : 1);
    return 0;
}
