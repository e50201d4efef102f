#include "actors/leak_detection/reach_child.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors/leak_detection/report.h"
#include "runtime/base/clock.h"
#include "runtime/base/os.h"

#define TIMEOUT_NS (UINT64_C(60) * FTLI_NS_PER_S) /* of the child, if the caller names none */
#define SMALL_PAGE UINT64_C(4096)
#define HUGE_PAGE  (UINT64_C(2) << 20)
#define MIB        (UINT64_C(1) << 20)
/* What a fork takes, and a scan: measured (docs/performance.md), and only for the estimate. */
#define FORK_NS         UINT64_C(400000)
#define SMALL_PAGE_NS   UINT64_C(70)
#define HUGE_PAGE_NS    UINT64_C(500)
#define SCAN_BYTES_A_NS 2
#define WIPED_BYTES     16384

/* ---- what it will cost ------------------------------------------------------------------------------------------------ */

static bool is_allowed(const struct ftli_leak_detection *leaks)
{
    return leaks->world.settings != NULL && leaks->world.settings->reachability == FTLI_REACHABILITY_ON_DEMAND;
}

static uint64_t mib(uint64_t bytes)
{
    return (bytes + MIB - 1) / MIB;
}

/* Whatever is written to while the child lives is there twice. Where all of it would not fit, what tensors hold is left out. */
static bool fit(const struct ftli_leak_detection *leaks, struct ftli_reach_cost *cost)
{
    uint64_t contents_bytes = leaks->world.device != NULL ? ftli_allocation_committed(leaks->world.device) : 0;
    if (cost->private_bytes <= cost->available_bytes)
        return true;
    if (contents_bytes == 0 || contents_bytes > cost->private_bytes ||
        cost->private_bytes - contents_bytes > cost->available_bytes)
        return false;
    cost->contents = false;
    cost->private_bytes = cost->scan_bytes = cost->private_bytes - contents_bytes;
    cost->huge_bytes = cost->huge_bytes < cost->private_bytes ? cost->huge_bytes : cost->private_bytes;
    return true;
}

int ftli_reach_estimate(struct ftli_leak_detection *leaks, struct ftli_reach_cost *out, char *why, size_t why_bytes)
{
    struct ftli_os_resident resident;
    struct ftli_reach_cost cost = {.contents = true};
    memset(out, 0, sizeof *out);
    if (!is_allowed(leaks)) {
        (void)snprintf(why, why_bytes,
                       "reachability is not allowed here: actors.leak_detection.reachability must say on_demand");
        return FTL_ENOTSUP;
    }
    if (!ftli_os_resident(&resident)) {
        (void)snprintf(why, why_bytes,
                       "reachability: the system does not say how much memory the process has "
                       "(/proc/self/smaps_rollup)");
        return FTL_ENOTSUP;
    }
    cost.private_bytes = cost.scan_bytes = resident.private_bytes;
    cost.huge_bytes = resident.huge_bytes < resident.private_bytes ? resident.huge_bytes : resident.private_bytes;
    cost.available_bytes = leaks->reach.available_bytes != 0 ? leaks->reach.available_bytes : ftli_os_available_bytes();
    bool fits = fit(leaks, &cost);
    cost.fork_ns = FORK_NS + (cost.private_bytes - cost.huge_bytes) / SMALL_PAGE * SMALL_PAGE_NS +
                   cost.huge_bytes / HUGE_PAGE * HUGE_PAGE_NS;
    cost.pause_ns = cost.fork_ns;
    cost.scan_ns = cost.scan_bytes / SCAN_BYTES_A_NS;
    *out = cost;
    (void)snprintf(why, why_bytes,
                   "%s the process for about %.1f ms, read %llu MiB in about %.1f s, and %s: %llu MiB are free%s",
                   fits ? "will stop" : "reachability would stop", (double)cost.pause_ns / 1e6,
                   (unsigned long long)mib(cost.scan_bytes), (double)cost.scan_ns / 1e9,
                   fits ? "may take as much memory again meanwhile" : "may take more memory than there is",
                   (unsigned long long)mib(cost.available_bytes),
                   cost.contents ? "" : "; what tensors hold is left out: findings are only suspected");
    return fits ? FTL_OK : FTL_ELIMIT;
}

/* ---- the job ---------------------------------------------------------------------------------------------------------- */

struct layout {
    size_t marks, queue, candidates, stop, bytes;
};

static size_t place(size_t *at, size_t bytes)
{
    size_t start = (*at + 63) / 64 * 64;
    *at = start + bytes;
    return start;
}

static struct layout layout_of(uint32_t slots)
{
    struct layout layout;
    size_t at = sizeof(struct ftli_reach_job), page = ftli_os_page_bytes();
    layout.marks = place(&at, ((size_t)slots + 63) / 64 * 8);
    layout.queue = place(&at, (size_t)slots * sizeof(uint32_t));
    layout.candidates = place(&at, FTLI_REACH_MOST * sizeof(uint64_t));
    layout.stop = place(&at, ftli_os_stop_bytes(FTLI_OS_THREADS_MOST));
    layout.bytes = (at + page - 1) / page * page;
    return layout;
}

static size_t list_bytes(void)
{
    size_t page = ftli_os_page_bytes();
    return (FTLI_REACH_MOST * sizeof(struct ftli_reach_seen) + page - 1) / page * page;
}

static int by_start(const void *a, const void *b)
{
    const struct ftli_reach_range *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

static void add_range(struct ftli_reach_job *job, const void *at, size_t bytes)
{
    if (at != NULL)
        job->ranges[job->range_count++] = (struct ftli_reach_range){(uintptr_t)at, (uintptr_t)at + bytes};
}

/* One place is left for the part of the stack that is dead. */
static void fill_ranges(struct ftli_leak_detection *leaks, struct ftli_reach_job *job)
{
    const struct ftli_table *table = leaks->world.table;
    const struct ftli_link_log *log = &leaks->cycles.log;
    add_range(job, leaks, sizeof *leaks);
    add_range(job, leaks->reach.seen, list_bytes());
    add_range(job, leaks->reach.found, list_bytes());
    add_range(job, table->headers, ftli_table_reserved_bytes(table));
    add_range(job, log->entries, FTLI_LINK_LOG_MOST * sizeof *log->entries);
    uint32_t count = job->range_count;
    if (leaks->world.own_memory != NULL)
        count += leaks->world.own_memory(leaks->world.user, job->ranges + count, FTLI_REACH_RANGES - 1 - count);
    qsort(job->ranges, count, sizeof job->ranges[0], by_start);
    uint32_t kept = 0;
    for (uint32_t i = 1; i < count; i++) {
        if (job->ranges[i].start > job->ranges[kept].end)
            job->ranges[++kept] = job->ranges[i];
        else if (job->ranges[i].end > job->ranges[kept].end)
            job->ranges[kept].end = job->ranges[i].end;
    }
    job->range_count = kept + 1;
}

static struct ftli_reach_job *make_job(struct ftli_leak_detection *leaks, const struct layout *layout, uint32_t slots,
                                       uint64_t now_ns)
{
    char *memory = ftli_os_reserve_shared(layout->bytes);
    if (memory == NULL)
        return NULL;
    struct ftli_reach_job *job = (struct ftli_reach_job *)(void *)memory;
    job->table = leaks->world.table;
    job->scopes = leaks->world.scopes;
    job->slots = slots;
    job->now_ms = (uint32_t)((now_ns - leaks->world.opened_ns) / FTLI_NS_PER_MS);
    job->least_age_ms = FTLI_REACH_LEAST_AGE_MS;
    job->marks = (uint64_t *)(void *)(memory + layout->marks);
    job->queue = (uint32_t *)(void *)(memory + layout->queue);
    job->candidates = (uint64_t *)(void *)(memory + layout->candidates);
    job->stop = (struct ftli_os_stop *)(void *)(memory + layout->stop);
    job->most = FTLI_REACH_MOST;
    job->dies = leaks->reach.kill_child;
    if (!ftli_os_own_stack(&job->stack_low, &job->stack_high))
        job->stack_low = job->stack_high = 0;
    fill_ranges(leaks, job);
    return job;
}

/* ---- the snapshot ----------------------------------------------------------------------------------------------------- */

static int status_of(int error, char *why, size_t why_bytes)
{
    if (error == ENOSPC) {
        (void)snprintf(why, why_bytes,
                       "reachability: what tensors hold does not fit into memory a second time, and the threads could "
                       "not be stopped, so that it could be left out");
        return FTL_ELIMIT;
    }
    (void)snprintf(why, why_bytes, "reachability: the process could not be forked: %s", strerror(error));
    return error == ENOMEM ? FTL_ENOMEM : error == EAGAIN ? FTL_ELIMIT : FTL_ENOTSUP;
}

/* The frames that the next calls make begin with zeros, and not with what calls before this one left of handles. */
__attribute__((noinline)) static void wipe_stack(void)
{
    volatile unsigned char below[WIPED_BYTES];
    for (size_t i = 0; i < sizeof below; i++)
        below[i] = 0;
}

static void leave_out(void *user, void *at, size_t bytes)
{
    (void)user;
    (void)ftli_os_advise_no_fork(at, bytes, true);
}

static void take_in(void *user, void *at, size_t bytes)
{
    (void)user;
    (void)ftli_os_advise_no_fork(at, bytes, false);
}

static int take(struct ftli_leak_detection *leaks, struct ftli_reach_job *job, uint64_t timeout_ns,
                struct ftli_reach_cost *cost, char *why, size_t why_bytes)
{
    struct ftli_reach *reach = &leaks->reach;
    ftli_os_child child;
    uint64_t begun_ns = ftli_os_self_now_ns();
    bool stopped = !reach->fail_stop && ftli_os_stop_threads(job->stop, FTLI_OS_THREADS_MOST);
    bool leaves_out = stopped && !cost->contents; /* nobody else forks now, whose child would miss them */
    if (leaves_out)
        ftli_allocation_each_arena(leaks->world.device, leave_out, NULL);
    uint64_t fork_ns = ftli_os_self_now_ns();
    int error = reach->fail_fork;
    if (error == 0)
        error = !stopped && !cost->contents ? ENOSPC : ftli_os_fork(ftli_reach_child, job, &child);
    uint64_t forked_ns = ftli_os_self_now_ns();
    if (leaves_out)
        ftli_allocation_each_arena(leaks->world.device, take_in, NULL);
    cost->stopped = !reach->fail_stop && ftli_os_resume_threads(job->stop) && stopped;
    cost->pause_ns = ftli_os_self_now_ns() - begun_ns;
    cost->fork_ns = forked_ns - fork_ns;
    uint32_t threads = ftli_os_thread_count();
    cost->threads = cost->stopped || threads == 0 ? job->stop->count + 1 : threads;
    cost->threads_unread = cost->stopped ? 0 : cost->threads - 1;
    if (error != 0)
        return status_of(error, why, why_bytes);
    enum ftli_os_end end = ftli_os_child_end(&child, timeout_ns);
    if (end == FTLI_OS_LATE) {
        (void)snprintf(why, why_bytes, "reachability: the time was over before all memory was read (%llu MiB of %llu)",
                       (unsigned long long)mib(job->read_bytes), (unsigned long long)mib(cost->private_bytes));
        return FTL_ETIMEDOUT;
    }
    if (end != FTLI_OS_ENDED || ftli_u32_load_acquire(&job->done) == 0) { /* pairs: reach-done */
        (void)snprintf(why, why_bytes, "reachability: the child that reads the memory was killed");
        return FTL_EINTERNAL;
    }
    if (job->failed != 0) {
        (void)snprintf(why, why_bytes, "reachability: /proc/self/maps or pagemap could not be read: %s",
                       strerror(job->failed));
        return FTL_ENOTSUP;
    }
    return FTL_OK;
}

/* ---- what it found ---------------------------------------------------------------------------------------------------- */

/* Those that earlier scans found as well keep their dates; the others are forgotten: a copy has come to light. */
static void remember(struct ftli_reach *reach, const struct ftli_reach_job *job, uint64_t now_ns)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < job->candidate_count; i++) {
        uint64_t tensor = job->candidates[i];
        while (before < reach->seen_count && ftli_handle_slot(reach->seen[before].tensor) < ftli_handle_slot(tensor))
            before++;
        struct ftli_reach_seen seen = {.tensor = tensor, .first_ns = now_ns};
        if (before < reach->seen_count && reach->seen[before].tensor == tensor)
            seen = reach->seen[before];
        if (seen.first_whole_ns == 0 && reach->whole)
            seen.first_whole_ns = now_ns;
        reach->found[i] = seen;
    }
    struct ftli_reach_seen *old = reach->seen;
    reach->seen = reach->found;
    reach->found = old;
    reach->seen_count = job->candidate_count;
}

static uint32_t certainty_of(const struct ftli_reach *reach, const struct ftli_reach_seen *seen, uint64_t now_ns)
{
    if (reach->whole && now_ns - seen->first_whole_ns >= FTLI_REACH_CONFIRM_NS)
        return FTLI_REACH_UNREACHABLE;
    if (now_ns - seen->first_ns >= FTLI_REACH_CONFIRM_NS)
        return FTLI_REACH_SUSPECTED_TWICE;
    return reach->whole ? FTLI_REACH_SUSPECTED_ONCE : FTLI_REACH_SUSPECTED_PARTLY;
}

static void say_reason(const struct ftli_reach *reach, const struct ftli_reach_seen *seen, uint32_t certainty,
                       uint64_t now_ns, char *text, size_t bytes)
{
    const struct ftli_reach_cost *last = &reach->last;
    char doubt[120] = "";
    if (!last->stopped)
        (void)snprintf(doubt, sizeof doubt, "; suspected: the registers of %u of %u threads were not read",
                       last->threads_unread, last->threads);
    else if (last->unread_bytes != 0)
        (void)snprintf(doubt, sizeof doubt, "; suspected: %llu bytes could not be read",
                       (unsigned long long)last->unread_bytes);
    else if (!last->contents)
        (void)snprintf(doubt, sizeof doubt, "; suspected: what tensors hold was not looked into");
    else if (certainty != FTLI_REACH_UNREACHABLE)
        (void)snprintf(doubt, sizeof doubt, "; suspected: a snapshot at least 60 s after the first would say more");
    uint64_t since_ns = now_ns - (certainty == FTLI_REACH_UNREACHABLE ? seen->first_whole_ns : seen->first_ns);
    if (since_ns == 0)
        (void)snprintf(text, bytes, "no copy of their handles is in %llu MiB of private memory%s%s",
                       (unsigned long long)mib(last->scan_bytes), last->stopped ? " and all registers" : "", doubt);
    else
        (void)snprintf(text, bytes, "no copy of their handles was in private memory%s in snapshots %.0f s apart%s",
                       last->stopped ? " and all registers" : "", (double)since_ns / 1e9, doubt);
}

static int add(struct ftli_leak_detection *leaks, const struct ftli_reach_seen *seen, uint32_t certainty,
               uint32_t other_causes, uint64_t now_ns, struct ftli_leak_groups *groups)
{
    char reason[FTLI_LEAK_REASON_BYTES];
    struct ftli_leak_finding finding = {.count = 1, .certainty = certainty, .reason = reason};
    uint32_t slot = ftli_handle_slot(seen->tensor);
    if (!ftli_leak_look(leaks, slot, now_ns, &finding.tensor) || finding.tensor.tensor != seen->tensor ||
        ftli_word_state(finding.tensor.word) != FTLI_LIVE ||
        (finding.tensor.cause != 0 && (other_causes >> finding.tensor.cause & 1) != 0))
        return FTL_OK; /* dropped since, so somebody had it; or told of already */
    finding.tensor.cause = FTL_LEAK_UNREACHABLE;
    finding.bytes = finding.tensor.bytes;
    say_reason(&leaks->reach, seen, certainty, now_ns, reason, sizeof reason);
    return ftli_leak_groups_add_finding(groups, &finding);
}

/* The less certain first: where both come into one row, it says why it is only suspected. */
static int add_findings(struct ftli_leak_detection *leaks, uint32_t other_causes, uint64_t now_ns,
                        struct ftli_leak_groups *groups)
{
    const struct ftli_reach *reach = &leaks->reach;
    int status = FTL_OK;
    for (unsigned unreachable = 0; unreachable < 2; unreachable++)
        for (uint32_t i = 0; i < reach->seen_count && status == FTL_OK; i++) {
            uint32_t certainty = certainty_of(reach, &reach->seen[i], now_ns);
            if ((certainty == FTLI_REACH_UNREACHABLE) == (unreachable != 0))
                status = add(leaks, &reach->seen[i], certainty, other_causes, now_ns, groups);
        }
    return status;
}

static void tell(const struct ftli_leak_detection *leaks)
{
    const struct ftli_reach_cost *cost = &leaks->reach.last;
    struct ftli_event_news news = {.kind = FTL_EVENT_LOG,
                                   .level = 1,
                                   .bytes = cost->scan_bytes,
                                   .count = cost->without,
                                   .subject = "leak_detection"};
    ftli_events_post(
        leaks->world.events, &news,
        "reachability: the process stood still for %.2f ms (fork %.2f ms); %llu MiB read in %.2f s; of %llu tensors "
        "%llu have no copy; registers of %u of %u threads read",
        (double)cost->pause_ns / 1e6, (double)cost->fork_ns / 1e6, (unsigned long long)mib(cost->scan_bytes),
        (double)cost->scan_ns / 1e9, (unsigned long long)cost->live, (unsigned long long)cost->without,
        cost->threads - cost->threads_unread, cost->threads);
}

/* ---- the scan --------------------------------------------------------------------------------------------------------- */

static int prepare(struct ftli_reach *reach)
{
    if (reach->seen == NULL)
        reach->seen = ftli_os_reserve(list_bytes(), ftli_os_page_bytes());
    if (reach->found == NULL)
        reach->found = ftli_os_reserve(list_bytes(), ftli_os_page_bytes());
    return reach->seen != NULL && reach->found != NULL ? FTL_OK : FTL_ENOMEM;
}

static int scan(struct ftli_leak_detection *leaks, uint64_t timeout_ns, uint32_t other_causes,
                struct ftli_leak_groups *groups, char *why, size_t why_bytes)
{
    struct ftli_reach *reach = &leaks->reach;
    struct ftli_reach_cost cost;
    int status = ftli_reach_estimate(leaks, &cost, why, why_bytes);
    if (status != FTL_OK)
        return status;
    uint32_t slots = ftli_table_fresh(leaks->world.table);
    struct layout layout = layout_of(slots);
    uint64_t now_ns = ftli_kernel_now_ns(leaks->world.kernel);
    struct ftli_reach_job *job = prepare(reach) == FTL_OK ? make_job(leaks, &layout, slots, now_ns) : NULL;
    if (job == NULL) {
        (void)snprintf(why, why_bytes, "reachability: no memory for the search");
        return FTL_ENOMEM;
    }
    wipe_stack();
    status = take(leaks, job, timeout_ns != 0 ? timeout_ns : TIMEOUT_NS + cost.scan_ns, &cost, why, why_bytes);
    if (status == FTL_OK) {
        cost.scan_ns = job->elapsed_ns;
        cost.scan_bytes = job->read_bytes;
        cost.unread_bytes = job->unread_bytes;
        cost.live = job->live;
        cost.without = job->without;
        cost.copies = job->copies;
        reach->whole = cost.stopped && cost.contents && cost.unread_bytes == 0;
        reach->last = cost;
        remember(reach, job, now_ns);
        tell(leaks);
        status = add_findings(leaks, other_causes, now_ns, groups);
        why[0] = '\0';
    }
    ftli_os_release(job, layout.bytes);
    return status;
}

int ftli_reach_scan(struct ftli_leak_detection *leaks, uint64_t timeout_ns, uint32_t other_causes,
                    struct ftli_leak_groups *groups, struct ftli_reach_cost *cost, char *why, size_t why_bytes)
{
    if (!ftli_token_try_take(&leaks->reach.token)) {
        (void)snprintf(why, why_bytes, "reachability: another search is under way");
        return FTL_EBUSY;
    }
    int status = scan(leaks, timeout_ns, other_causes, groups, why, why_bytes);
    if (cost != NULL)
        *cost = leaks->reach.last;
    ftli_token_release(&leaks->reach.token);
    return status;
}

void ftli_reach_last(struct ftli_reach *reach, struct ftli_reach_cost *out)
{
    ftli_token_take(&reach->token);
    *out = reach->last;
    ftli_token_release(&reach->token);
}

void ftli_reach_fini(struct ftli_reach *reach)
{
    if (reach->seen != NULL)
        ftli_os_release(reach->seen, list_bytes());
    if (reach->found != NULL)
        ftli_os_release(reach->found, list_bytes());
    reach->seen = reach->found = NULL;
}
