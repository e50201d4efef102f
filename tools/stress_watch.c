/* The watcher: opens, starts the threads, looks at the sums, stops everybody to look at them exactly, kills actors, closes. */
#include "tools/stress.h"

#include "tools/measure.h"
#include "tools/progress.h"
#include "tools/text.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_EVERY_MS = 20, KILL_EVERY_MS = 50, ACTORS_MOST = 64 };
#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

/* ---- threads --------------------------------------------------------------------------------------------------------- */

/* A thread's last calls come from a destructor, after those of the library's that are thread-local may have run. */
static pthread_key_t last_calls;

static void leave_some(void *user)
{
    struct ftli_stress_thread *thread = user;
    for (uint32_t i = 0; i < 8 && thread->entry_count > 0; i++) {
        struct ftli_stress_entry *entry = &thread->entries[thread->entry_count - 1];
        if (entry->scope == 0) {
            ftli_stress_entry_empty(thread, entry);
            ftli_stress_entry_tidy(thread, entry);
        }
    }
    atomic_store(&thread->left, true);
}

static void park(struct ftli_stress_thread *thread)
{
    struct ftli_stress *run = thread->run;
    ftli_stress_let_go_of_the_dead(thread);
    pthread_mutex_lock(&run->gate);
    run->parked++;
    pthread_cond_broadcast(&run->gate_changed);
    while (atomic_load(&run->stop_wanted)) {
        pthread_cond_wait(&run->gate_changed, &run->gate);
    }
    run->parked--;
    pthread_mutex_unlock(&run->gate);
}

void *ftli_stress_thread_main(void *user)
{
    struct ftli_stress_thread *thread = user;
    struct ftli_stress *run = thread->run;
    while (!atomic_load(&run->over)) {
        if (atomic_load(&run->stop_wanted)) {
            park(thread);
        } else if (atomic_load(&thread->leaving)) {
            (void)pthread_setspecific(last_calls, thread);
            return NULL;
        } else {
            ftli_stress_act(thread);
        }
    }
    return NULL;
}

/* Little address space, and forks, are none of its business. */
static bool start_thread(struct ftli_stress *run, struct ftli_stress_thread *thread)
{
    atomic_store(&thread->leaving, false);
    atomic_store(&thread->left, false);
    pthread_mutex_lock(&run->calamity);
    thread->running = pthread_create(&thread->thread, NULL, ftli_stress_thread_main, thread) == 0;
    pthread_mutex_unlock(&run->calamity);
    run->found.threads += thread->running;
    return thread->running;
}

/* Those that left are followed by others, who take over what they held. */
static void follow_those_who_left(struct ftli_stress *run)
{
    for (uint32_t i = 0; i < run->options.threads; i++) {
        struct ftli_stress_thread *thread = &run->threads[i];
        if (thread->running && atomic_load(&thread->left)) {
            pthread_join(thread->thread, NULL);
            thread->running = false;
        }
        if (!thread->running && !atomic_load(&run->over)) {
            (void)start_thread(run, thread);
        }
    }
}

/* ---- who is stuck ------------------------------------------------------------------------------------------------------- */

/* A sanitizer makes everything slow. Without one, who waits for good is told before a test's time is over. */
static uint64_t drain_most_ns(const struct ftli_stress *run)
{
    return (run->wide ? 60 : 30) * S;
}

static uint64_t stuck_from_ns(const struct ftli_stress *run)
{
    return (run->wide ? 240 : 45) * S;
}

static void say_stuck_and_exit(struct ftli_stress *run, uint32_t thread)
{
    ftli_stress_broken(run, "thread %u is in \"%s\" for %llu s", thread, atomic_load(&run->threads[thread].doing),
                       (unsigned long long)(stuck_from_ns(run) / S));
    ftli_stress_print(run, stdout);
    fflush(stdout);
    _exit(1);
}

/* A thread that is in one call for so long: that is said, and the process ends, since nothing else can be done about it. */
static void look_for_stuck(struct ftli_stress *run, uint64_t now_ns, uint64_t *seen, uint64_t *since_ns)
{
    for (uint32_t i = 0; i < run->options.threads; i++) {
        struct ftli_stress_thread *thread = &run->threads[i];
        uint64_t operations = atomic_load(&thread->counts.operations);
        if (since_ns[i] == 0 || operations != seen[i] || !thread->running) {
            seen[i] = operations;
            since_ns[i] = now_ns;
        } else if (now_ns - since_ns[i] > stuck_from_ns(run)) {
            say_stuck_and_exit(run, i);
        }
    }
}

/* ---- at rest -------------------------------------------------------------------------------------------------------------- */

/* What nobody holds any more but the exchange: pins on what is dropped. */
static void empty_pins_out_of_exchange(struct ftli_stress *run)
{
    for (uint32_t i = 0; i < FTLI_STRESS_EXCHANGE; i++) {
        struct ftli_stress_parcel *parcel = atomic_load(&run->exchange[i]);
        if (parcel != NULL && parcel->references == 0) {
            atomic_store(&run->exchange[i], NULL);
            ftli_stress_look(&run->service, parcel->record, parcel->address, true, "pinned in the exchange");
            for (; parcel->pins > 0; parcel->pins--) {
                ftl_tensor_unpin(parcel->record->handle);
            }
            ftli_stress_release(parcel->record);
            free(parcel);
        }
    }
}

static void look_at_rest(struct ftli_stress *run)
{
    empty_pins_out_of_exchange(run);
    ftli_stress_empty_cache(&run->threads[0], 0);
    if (ftli_stress_good(&run->service, "ftl_runtime_drain, with everybody at rest",
                         ftl_runtime_drain(run->runtime, (int64_t)drain_most_ns(run)))) {
        ftli_stress_compare_at_rest(run);
        ftli_stress_check(run);
        run->found.rests++;
    }
}

static bool is_all_parked(struct ftli_stress *run)
{
    uint32_t at_work = 0;
    for (uint32_t i = 0; i < run->options.threads; i++) {
        at_work += run->threads[i].running && !atomic_load(&run->threads[i].left);
    }
    return run->parked == at_work;
}

static void wait_until_all_parked(struct ftli_stress *run)
{
    uint64_t begin_ns = ftli_measure_now_ns();
    pthread_mutex_lock(&run->gate);
    while (!is_all_parked(run) && !atomic_load(&run->over)) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 5000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&run->gate_changed, &run->gate, &until);
        if (ftli_measure_now_ns() - begin_ns > stuck_from_ns(run)) {
            pthread_mutex_unlock(&run->gate);
            uint64_t seen[FTLI_STRESS_THREADS_MOST] = {0}, since_ns[FTLI_STRESS_THREADS_MOST] = {0};
            look_for_stuck(run, 1, seen, since_ns);
            look_for_stuck(run, stuck_from_ns(run) + 2, seen, since_ns);
            pthread_mutex_lock(&run->gate);
        }
    }
    pthread_mutex_unlock(&run->gate);
}

static void rest(struct ftli_stress *run)
{
    atomic_store(&run->stop_wanted, true);
    wait_until_all_parked(run);
    if (!atomic_load(&run->over)) {
        for (uint32_t i = 0; i < run->options.threads; i++) {
            if (atomic_load(&run->threads[i].left)) {
                pthread_join(run->threads[i].thread, NULL);
                run->threads[i].running = false;
                atomic_store(&run->threads[i].left, false);
                ftli_stress_let_go_of_the_dead(&run->threads[i]);
            }
        }
        look_at_rest(run);
        if (run->wide && (run->options.faults & FTLI_STRESS_FORK) != 0) {
            ftli_stress_fork(&run->threads[0], FTLI_STRESS_CHILD_OPENS_WITHOUT_THREADS);
        }
    }
    pthread_mutex_lock(&run->gate);
    atomic_store(&run->stop_wanted, false);
    pthread_cond_broadcast(&run->gate_changed);
    pthread_mutex_unlock(&run->gate);
}

/* ---- kills -------------------------------------------------------------------------------------------------------------------- */

static int nothing(const char *text, size_t n, void *user)
{
    (void)text, (void)n, (void)user;
    return 0;
}

struct victims {
    uint32_t count;
    char names[ACTORS_MOST][32];
};

static int note_victim(const char *text, size_t n, void *user)
{
    struct victims *victims = user;
    char line[512];
    snprintf(line, sizeof line, "%.*s", (int)n, text);
    if (victims->count < ACTORS_MOST && sscanf(line, "actor %31s", victims->names[victims->count]) == 1) {
        victims->count++;
    }
    return 0;
}

static void kill_one(struct ftli_stress *run, struct victims *victims)
{
    char request[64];
    if (victims->count == 0) {
        (void)ftli_stress_good(&run->service, "ftl_runtime_control: topology",
                               ftl_runtime_control(run->runtime, "topology", note_victim, victims));
    }
    uint64_t which = ftli_stress_random(&run->found.random) % (victims->count + 2);
    if (which >= victims->count) {
        snprintf(request, sizeof request, "kill %s", run->cleanup); /* it more often than others */
    } else {
        snprintf(request, sizeof request, "kill %s", victims->names[which]);
    }
    int status = ftl_runtime_control(run->runtime, request, nothing, NULL);
    if (status == FTL_OK) {
        ftli_stress_count(&run->service.counts.faults[2], 1);
    } else if (status != FTL_ENOTSUP && status != FTL_EBUSY) {
        (void)ftli_stress_good(&run->service, request, status);
    }
}

/* ---- the run ---------------------------------------------------------------------------------------------------------------------- */

static void watch(struct ftli_stress *run)
{
    static uint64_t seen[FTLI_STRESS_THREADS_MOST], since_ns[FTLI_STRESS_THREADS_MOST];
    struct victims victims = {.count = 0};
    struct ftli_progress progress;
    uint64_t now_ns = run->begin_ns, kill_ns = 0;
    uint64_t rest_every_ns = run->options.duration_ns / 6 < 20 * S ? run->options.duration_ns / 6 : 20 * S;
    uint64_t rest_ns = now_ns + rest_every_ns;
    ftli_progress_begin(&progress, stderr, "operations", 1, now_ns);
    while (now_ns < run->end_ns && !atomic_load(&run->over)) {
        follow_those_who_left(run);
        ftli_stress_look_at_sums(run);
        look_for_stuck(run, now_ns, seen, since_ns);
        if ((run->options.faults & FTLI_STRESS_RESTART) != 0 && now_ns >= kill_ns) {
            kill_one(run, &victims);
            kill_ns = now_ns + KILL_EVERY_MS * MS;
        }
        if (now_ns >= rest_ns) {
            rest(run);
            rest_ns = ftli_measure_now_ns() + rest_every_ns;
        }
        uint64_t done = FTLI_STRESS_SUM(run, operations), elapsed_ns = now_ns - run->begin_ns + 1;
        progress.total = (uint64_t)((double)done * (double)run->options.duration_ns / (double)elapsed_ns);
        ftli_progress_show(&progress, done, now_ns);
        ftli_stress_sleep(LOOK_EVERY_MS * MS);
        now_ns = ftli_measure_now_ns();
    }
    ftli_progress_end(&progress);
}

static void end_threads(struct ftli_stress *run)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(stuck_from_ns(run) / S);
    atomic_store(&run->over, true);
    for (uint32_t i = 0; i < run->options.threads; i++) {
        if (run->threads[i].running) {
            if (pthread_timedjoin_np(run->threads[i].thread, NULL, &until) == ETIMEDOUT) {
                say_stuck_and_exit(run, i);
            }
            run->threads[i].running = false;
        }
    }
}

/* Everything back, by this thread. */
static void give_up_all(struct ftli_stress *run)
{
    for (uint32_t i = 0; i < run->options.threads; i++) {
        ftli_stress_give_up_all(&run->threads[i]);
    }
    for (uint32_t i = 0; i < FTLI_STRESS_EXCHANGE; i++) {
        ftli_stress_trade(&run->threads[0], i, NULL);
        ftli_stress_give_up_all(&run->threads[0]);
    }
    for (uint32_t i = 0; i < FTLI_STRESS_CRATES; i++) {
        ftli_stress_crate(&run->threads[0], i, false);
    }
}

static void wait_for_messages(struct ftli_stress *run)
{
    uint64_t begin_ns = ftli_measure_now_ns(), sent = ftli_stress_messages_sent(run);
    while (ftli_stress_messages_received(run) < sent && ftli_measure_now_ns() - begin_ns < drain_most_ns(run)) {
        (void)ftl_runtime_run(run->runtime, NULL, 1000000, NULL);
        ftli_stress_sleep(MS);
    }
    ftli_stress_compare(run, ftli_stress_messages_received(run) == sent, "messages received and sent",
                        ftli_stress_messages_received(run), sent);
}

static void judge_the_end(struct ftli_stress *run)
{
    uint64_t begin_ns = ftli_measure_now_ns();
    wait_for_messages(run);
    look_at_rest(run);
    while (run->found.stats.degraded != 0 && ftli_measure_now_ns() - begin_ns < drain_most_ns(run)) {
        ftli_stress_sleep(10 * MS); /* the last restart may be under way */
        if (ftl_runtime_stats(run->runtime, &run->found.stats) != FTL_OK) {
            break;
        }
    }
    ftli_stress_compare(run, run->found.stats.live == 0, "after everything was dropped, live", run->found.stats.live,
                        0);
    ftli_stress_compare(run, run->found.stats.degraded == 0, "at the end, actors that are down",
                        run->found.stats.degraded, 0);
}

static void judge_the_close(struct ftli_stress *run)
{
    const ftl_close_report *report = &run->found.report;
    ftli_stress_compare(run, report->leaked == 0, "alive at close", report->leaked, 0);
    ftli_stress_compare(run, report->pinned == 0, "pinned at close", report->pinned, 0);
    ftli_stress_compare(run, report->undone == 0, "drops undone at close", report->undone, 0);
    ftli_stress_compare(run, report->quarantined == run->found.stats.quarantined, "quarantined at close, and before",
                        report->quarantined, run->found.stats.quarantined);
}

static int begin(struct ftli_stress *run, uint64_t *pressure, char *why, size_t why_size)
{
    ftl_open_options options = {.path = run->options.topology,
                                .overrides = run->overrides,
                                .actor_types = &ftli_stress_actor,
                                .actor_type_count = 1,
                                .on_event = ftli_stress_on_event,
                                .on_event_user = run};
    if (ftl_runtime_open_with(&options, &run->runtime) != FTL_OK || ftli_stress_messages_create(run) != FTL_OK) {
        snprintf(why, why_size, "%s", ftl_last_error());
        return -1;
    }
    if ((run->options.faults & FTLI_STRESS_PRESSURE) != 0 &&
        ftl_pressure_subscribe(run->runtime, ftli_stress_on_pressure, run, pressure) != FTL_OK) {
        snprintf(why, why_size, "%s", ftl_last_error());
        return -1;
    }
    run->begin_ns = ftli_measure_now_ns();
    run->end_ns = run->begin_ns + run->options.duration_ns;
    for (uint32_t i = 0; i < run->options.threads; i++) {
        if (!start_thread(run, &run->threads[i])) {
            snprintf(why, why_size, "thread %u could not be started", i);
            end_threads(run);
            return -1;
        }
    }
    return 0;
}

void ftli_stress_prepare(struct ftli_stress *run)
{
    pthread_mutex_init(&run->gate, NULL);
    pthread_cond_init(&run->gate_changed, NULL);
    pthread_mutex_init(&run->records, NULL);
    pthread_mutex_init(&run->board_lock, NULL);
    pthread_mutex_init(&run->cache_lock, NULL);
    pthread_mutex_init(&run->calamity, NULL);
    pthread_mutex_init(&run->broken_lock, NULL);
    run->service.run = run;
    run->found.random = run->options.seed;
    for (uint32_t i = 0; i < run->options.threads; i++) {
        run->threads[i].run = run;
        run->threads[i].index = i;
        run->threads[i].random = run->options.seed * UINT64_C(0x9e3779b97f4a7c15) + i;
    }
    (void)pthread_key_create(&last_calls, leave_some);
}

/* The stack of this thread grows into address space that may be gone when it is needed. */
static void touch_stack(void)
{
    volatile char pages[256 * 1024];
    for (size_t i = 0; i < sizeof pages; i += 4096) {
        pages[i] = 1;
    }
}

int ftli_stress_run(struct ftli_stress *run, char *why, size_t why_size)
{
    uint64_t pressure = 0;
    touch_stack();
    if (begin(run, &pressure, why, why_size) != 0) {
        return -1;
    }
    watch(run);
    end_threads(run);
    run->end_ns = ftli_measure_now_ns();
    if (pressure != 0) {
        (void)ftli_stress_good(&run->service, "ftl_unsubscribe", ftl_unsubscribe(run->runtime, pressure));
    }
    ftli_stress_empty_cache(&run->threads[0], 0);
    give_up_all(run);
    if (run->broken_count == 0) {
        judge_the_end(run);
    }
    int closed = ftl_runtime_close(run->runtime, &run->found.report);
    if (run->broken_count == 0 && ftli_stress_good(&run->service, "ftl_runtime_close", closed)) {
        judge_the_close(run);
    }
    ftl_leak_report_free(run->found.report.leaks);
    run->found.report.leaks = NULL;
    free(run->messages);
    run->messages = NULL;
    pthread_key_delete(last_calls);
    ftli_stress_unmake(run);
    return 0;
}
