/* Faults that lie in calls of the program's: finalizers, callbacks, memory that is used up. */
#include "tools/stress.h"

#include "tools/measure.h"

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

void ftli_stress_sleep(uint64_t ns)
{
    struct timespec pause = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    nanosleep(&pause, NULL);
}

/* ---- finalizers ------------------------------------------------------------------------------------------------------- */

static void look_from_finalizer(struct ftli_stress *run, struct ftli_stress_record *record, ftl_tensor tensor,
                                const void *data, size_t bytes)
{
    if (tensor.id != record->handle.id || bytes != record->bytes) {
        ftli_stress_broken(run,
                           "a finalizer was called for tensor %#llx of %zu bytes, with what belongs to %#llx of %llu",
                           (unsigned long long)tensor.id, bytes, (unsigned long long)record->handle.id,
                           (unsigned long long)record->bytes);
        return;
    }
    ftli_stress_look(&run->service, record, data, false, "in its finalizer");
    ftli_stress_count(&run->service.counts.stale_calls, 1);
    if (ftl_tensor_alive(tensor) || ftl_tensor_retain(tensor) != FTL_ESTALE) {
        ftli_stress_broken(run, "tensor %#llx is alive in its finalizer", (unsigned long long)tensor.id);
    }
}

/* What a finalizer may call, and what it may not. */
static void call_from_finalizer(struct ftli_stress *run, uint64_t chance)
{
    if (chance % 16 == 0 &&
        (ftl_runtime_drain(run->runtime, 1000) != FTL_EBUSY || ftl_runtime_close(run->runtime, NULL) != FTL_EBUSY)) {
        ftli_stress_broken(run, "a finalizer could drain or close");
    }
    if (chance % 16 == 1) {
        struct ftli_stress_record *record = ftli_stress_make_plain(&run->service, 1 + chance / 16 % 5000);
        if (record != NULL) {
            ftli_stress_drop(&run->service, record);
            ftli_stress_release(record);
        }
    }
}

int ftli_stress_finalizer(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    struct ftli_stress_record *record = user;
    struct ftli_stress *run = record->run;
    uint64_t chance = record->seed;
    if (atomic_exchange(&record->finalizer.inside, 1) != 0 || atomic_load(&record->finalizer.done) != 0) {
        atomic_fetch_add(&run->twice, 1);
        ftli_stress_broken(run, "the finalizer of tensor %#llx was called again", (unsigned long long)tensor.id);
        return 0;
    }
    uint32_t calls = atomic_fetch_add(&record->finalizer.calls, 1) + 1;
    look_from_finalizer(run, record, tensor, data, bytes);
    call_from_finalizer(run, ftli_stress_random(&chance) >> 8);
    if (calls == 1 && record->finalizer.stall_ns > 0) {
        ftli_stress_sleep(record->finalizer.stall_ns);
    }
    if (calls <= record->finalizer.fails) {
        atomic_store(&record->finalizer.inside, 0);
        return 1;
    }
    atomic_store(&record->finalizer.done, 1);
    atomic_store(&record->finalizer.inside, 0);
    ftli_stress_unlist(record);
    return 0;
}

/* ---- events and pressure ------------------------------------------------------------------------------------------------- */

void ftli_stress_on_event(const ftl_event *event, void *user)
{
    struct ftli_stress *run = user;
    uint32_t bit = (uint32_t)__builtin_ctz(event->kind);
    if (bit < sizeof run->events / sizeof *run->events) {
        ftli_stress_count(&run->events[bit], 1);
    }
}

void ftli_stress_empty_cache(struct ftli_stress_thread *thread, uint32_t keep)
{
    struct ftli_stress *run = thread->run;
    for (;;) {
        pthread_mutex_lock(&run->cache_lock);
        struct ftli_stress_record *record = run->cached <= keep ? NULL : run->cache[--run->cached];
        if (record != NULL) {
            ftli_stress_drop(thread, record); /* inside: who finds the cache empty knows that all of it was dropped */
        }
        pthread_mutex_unlock(&run->cache_lock);
        if (record == NULL) {
            return;
        }
        ftli_stress_release(record);
    }
}

/* A cache that makes room when it is told to. */
void ftli_stress_on_pressure(const ftl_event *event, void *user)
{
    struct ftli_stress *run = user;
    ftli_stress_count(&run->callbacks, 1);
    if (event->kind != FTL_EVENT_PRESSURE || event->level > 4) {
        ftli_stress_broken(run, "a pressure callback heard of event %u, level %u", event->kind, event->level);
    }
    if (event->level > 0) {
        ftli_stress_empty_cache(&run->service, event->level >= 3 ? 0 : 100);
    }
}

static bool goes_on(const struct ftli_stress *run)
{
    return !atomic_load(&run->over) && !atomic_load(&run->stop_wanted);
}

/* Into the cache, until the pressure is at a level, or no more is given. */
void ftli_stress_fill_up(struct ftli_stress_thread *thread)
{
    struct ftli_stress *run = thread->run;
    uint32_t level = (uint32_t)(1 + ftli_stress_below(thread, 4));
    ftl_stats s = {0};
    bool room = true;
    ftli_stress_count(&thread->counts.faults[7], 1);
    while (room && s.pressure < level && goes_on(run)) {
        struct ftli_stress_record *record =
            ftli_stress_make_plain(thread, (1 << 20) + ftli_stress_below(thread, 1 << 20));
        pthread_mutex_lock(&run->cache_lock);
        room = record != NULL && run->cached < FTLI_STRESS_CACHE;
        if (room) {
            run->cache[run->cached++] = record;
        }
        pthread_mutex_unlock(&run->cache_lock);
        if (!room && record != NULL) {
            ftli_stress_drop(thread, record);
            ftli_stress_release(record);
        }
        if (!ftli_stress_good(thread, "ftl_runtime_stats", ftl_runtime_stats(run->runtime, &s))) {
            return;
        }
    }
    ftli_stress_sleep(1000000 * (1 + ftli_stress_below(thread, 10)));
    ftli_stress_empty_cache(thread, 0);
}

/* ---- memory that is used up ------------------------------------------------------------------------------------------------ */

enum { TAKEN = 64, STARVE_NS = 5000000 };

static uint64_t address_space_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) {
        return 0;
    }
    int read = fscanf(file, "%llu", &pages);
    fclose(file);
    return read == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* All that the device has, in large pieces. */
static void meet_the_limit(struct ftli_stress_thread *thread, uint64_t piece, uint64_t until_ns)
{
    struct ftli_stress_record *taken[TAKEN];
    uint32_t count = 0;
    while (count < TAKEN && goes_on(thread->run) && (until_ns == 0 || ftli_measure_now_ns() < until_ns) &&
           (taken[count] = ftli_stress_make_plain(thread, piece)) != NULL) {
        count++;
    }
    while (count > 0) {
        count--;
        ftli_stress_drop(thread, taken[count]);
        ftli_stress_release(taken[count]);
    }
}

void ftli_stress_starve(struct ftli_stress_thread *thread)
{
    struct ftli_stress *run = thread->run;
    struct rlimit before, lowered;
    ftli_stress_count(&thread->counts.faults[3], 1);
    if (run->wide || ftli_stress_chance(thread, 2)) {
        meet_the_limit(thread, run->limit_bytes / 20, 0);
        return;
    }
    pthread_mutex_lock(&run->calamity);
    uint64_t used = address_space_bytes();
    if (used != 0 && getrlimit(RLIMIT_AS, &before) == 0) {
        lowered = before;
        lowered.rlim_cur = used + (1 << 20);
        if (lowered.rlim_cur < before.rlim_cur && setrlimit(RLIMIT_AS, &lowered) == 0) {
            uint64_t until_ns = ftli_measure_now_ns() + STARVE_NS;
            for (uint64_t piece = 1 << 12; piece <= 8 << 20; piece *= 8) {
                meet_the_limit(thread, piece, until_ns);
            }
            (void)setrlimit(RLIMIT_AS, &before);
        }
    }
    pthread_mutex_unlock(&run->calamity);
}
