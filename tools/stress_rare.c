/* What threads do now and then, by the clock: calls that take long, and faults. */
#include "tools/stress.h"

#include "tools/measure.h"

#include <string.h>

enum { SUBSCRIBE, CONTROL, SCAN, PURGE, OPEN, SLEEP, LEAVE, FORK, STARVE, FILL, KINDS };
enum { MOST_OFTEN = 30 }; /* one in so many parts of the time */

static const uint64_t every_ms[KINDS] = {[SUBSCRIBE] = 40, [CONTROL] = 150, [SCAN] = 300, [PURGE] = 400,  [OPEN] = 1200,
                                         [SLEEP] = 250,    [LEAVE] = 300,   [FORK] = 600, [STARVE] = 700, [FILL] = 500};

static int sink(const char *text, size_t n, void *user)
{
    char *first = user;
    if (first[0] == '\0') {
        memcpy(first, text, n < 120 ? n : 120);
    }
    return 0;
}

static void control(struct ftli_stress_thread *thread)
{
    static const char *const requests[] = {"stats",           "topology",   "leaks",    "check",
                                           "kill allocation", "quarantine", "retry all"};
    char said[128] = "";
    const char *request = requests[ftli_stress_below(thread, sizeof requests / sizeof *requests)];
    int status = ftl_runtime_control(thread->run->runtime, request, sink, said);
    bool good = status == FTL_OK;
    if (strcmp(request, "check") ==
        0) { /* with others at work; and a drop may be late where too much is asked of the machine */
        good = good || status == FTL_EBUSY || strstr(said, "past their deadline") != NULL;
    } else if (strcmp(request, "kill allocation") == 0) {
        good = status == FTL_ENOTSUP;
    } else if (strcmp(request, "leaks") == 0) {
        good = good || status == FTL_ENOMEM;
    }
    if (!good) {
        ftli_stress_broken(thread->run, "ftl_runtime_control: %s: %s (%s)", request, ftl_strerror(status), said);
    }
}

static void scan(struct ftli_stress_thread *thread)
{
    ftl_leak_report *report;
    if (ftli_stress_made(thread, "ftl_leak_scan", ftl_leak_scan(thread->run->runtime, NULL, &report))) {
        ftl_leak_report_free(report);
    }
}

static void purge(struct ftli_stress_thread *thread)
{
    ftl_defragment_options options = {.purge = ftli_stress_chance(thread, 2), .time_ns = 3000000};
    ftl_defragment_result result;
    (void)ftli_stress_good(thread, "ftl_defragment", ftl_defragment(thread->run->runtime, &options, &result));
}

struct heard {
    atomic_bool over; /* no call is allowed any more */
    struct ftli_stress *run;
};

static void hear(const ftl_event *event, void *user)
{
    struct heard *heard = user;
    (void)event;
    if (atomic_load(&heard->over)) {
        ftli_stress_broken(heard->run, "a subscriber was called after ftl_unsubscribe returned");
    }
}

static void subscribe(struct ftli_stress_thread *thread)
{
    ftl_runtime *runtime = thread->run->runtime;
    struct heard heard = {.run = thread->run};
    uint64_t subscription;
    uint32_t kinds = FTL_EVENT_PRESSURE | FTL_EVENT_LIMIT | FTL_EVENT_ACTOR | FTL_EVENT_LOG | FTL_EVENT_QUARANTINE;
    if (!ftli_stress_made(thread, "ftl_subscribe", ftl_subscribe(runtime, kinds, hear, &heard, &subscription))) {
        return;
    }
    ftli_stress_sleep(200000);
    (void)ftli_stress_good(thread, "ftl_unsubscribe", ftl_unsubscribe(runtime, subscription));
    atomic_store(&heard.over, true);
}

/* A second runtime of the process, beside the one under stress. */
static void open_another(struct ftli_stress_thread *thread)
{
    ftl_runtime *other;
    ftl_tensor tensors[20];
    uint32_t made = 0;
    ftl_close_report report;
    ftl_open_options options = {.overrides = "devices.cpu.limit: 64MiB\nruntime.tensors: 65536\n"};
    if (!ftli_stress_made(thread, "ftl_runtime_open_with", ftl_runtime_open_with(&options, &other))) {
        return;
    }
    while (made < 20 && ftl_bytes_new(other, (size_t)1 << made % 19, NULL, &tensors[made]) == FTL_OK) {
        made++;
    }
    for (uint32_t i = 0; i < made; i++) {
        (void)ftli_stress_good(thread, "ftl_tensor_drop in a second runtime", ftl_tensor_drop(tensors[i]));
    }
    if (ftli_stress_good(thread, "ftl_runtime_close of a second runtime", ftl_runtime_close(other, &report)) &&
        report.leaked + report.undone + report.pinned + report.quarantined != 0) {
        ftli_stress_broken(thread->run, "a second runtime's close report is not clean");
    }
    if (made > 0 && ftl_tensor_drop(tensors[0]) == FTL_OK) {
        ftli_stress_broken(thread->run, "a tensor of a closed runtime could be dropped");
    }
}

/* Whether it is this thread that does what comes once for all of them. */
static bool takes(struct ftli_stress_thread *thread, _Atomic uint64_t *next_ns, uint32_t kind)
{
    uint64_t due_ns = atomic_load(next_ns);
    return thread->now_ns >= due_ns &&
           atomic_compare_exchange_strong(next_ns, &due_ns, thread->now_ns + every_ms[kind] * 1000000);
}

static void child(struct ftli_stress_thread *thread)
{
    struct ftli_stress *run = thread->run;
    if (pthread_mutex_trylock(&run->calamity) == 0) {
        ftli_stress_fork(thread, run->wide ? FTLI_STRESS_CHILD_LOOKS : FTLI_STRESS_CHILD_OPENS);
        pthread_mutex_unlock(&run->calamity);
    }
}

static void fault(struct ftli_stress_thread *thread, uint32_t kind)
{
    struct ftli_stress *run = thread->run;
    uint32_t faults = run->options.faults;
    if (kind == SLEEP && (faults & FTLI_STRESS_STALL) != 0) {
        ftli_stress_count(&thread->counts.faults[1], 1);
        ftli_stress_sleep(1000000 * (1 + ftli_stress_below(thread, 60)));
    } else if (kind == LEAVE && (faults & FTLI_STRESS_EXIT) != 0) {
        ftli_stress_count(&thread->counts.faults[4], 1);
        atomic_store(&thread->leaving, true);
    } else if (kind == FORK && (faults & FTLI_STRESS_FORK) != 0 && takes(thread, &run->next_fork_ns, FORK)) {
        child(thread);
    } else if (kind == STARVE && (faults & FTLI_STRESS_OOM) != 0 && takes(thread, &run->next_oom_ns, STARVE)) {
        ftli_stress_starve(thread);
    } else if (kind == FILL && (faults & FTLI_STRESS_PRESSURE) != 0 && takes(thread, &run->next_fill_ns, FILL)) {
        ftli_stress_fill_up(thread);
    }
}

static void act(struct ftli_stress_thread *thread, uint32_t kind)
{
    switch (kind) {
    case SUBSCRIBE:
        subscribe(thread);
        break;
    case CONTROL:
        control(thread);
        break;
    case SCAN:
        scan(thread);
        break;
    case PURGE:
        purge(thread);
        break;
    case OPEN:
        open_another(thread);
        break;
    default:
        fault(thread, kind);
        break;
    }
}

void ftli_stress_act_rarely(struct ftli_stress_thread *thread)
{
    for (uint32_t kind = 0; kind < KINDS && !atomic_load(&thread->run->stop_wanted); kind++) {
        uint64_t period_ns = every_ms[kind] * 1000000;
        if (thread->due_ns[kind] == 0) { /* not all at once in the beginning */
            thread->due_ns[kind] = thread->now_ns + ftli_stress_below(thread, period_ns);
        } else if (thread->now_ns >= thread->due_ns[kind]) {
            uint64_t begin_ns = thread->now_ns;
            act(thread, kind);
            thread->now_ns = ftli_measure_now_ns();
            uint64_t next_ns = period_ns / 2 + ftli_stress_below(thread, period_ns);
            uint64_t took_ns =
                (thread->now_ns - begin_ns) * MOST_OFTEN; /* on a slow machine it takes no larger share */
            thread->due_ns[kind] = thread->now_ns + (next_ns > took_ns ? next_ns : took_ns);
        }
    }
}
