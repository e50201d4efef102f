/* The kernel's life: create, add actors, start, stop, destroy. What goes on between is wait.c, worker.c, run.c. */
#include "runtime/kernel/kernel.h"

#include <stdlib.h>
#include <string.h>

#include <fettle/fettle.h>

#include "runtime/kernel/internal.h"

enum { DEFAULT_WAKE_MESSAGES = 10, DRAIN_RUNS_MOST = 10000000 };
static const uint64_t DEFAULT_WAKE_AGE_NS = 50 * FTLI_NS_PER_MS;

static void *zeroed_lines(size_t bytes)
{
    bytes = (bytes + FTLI_CACHE_LINE - 1) & ~(size_t)(FTLI_CACHE_LINE - 1);
    void *at = aligned_alloc(FTLI_CACHE_LINE, bytes);
    if (at != NULL)
        memset(at, 0, bytes);
    return at;
}

static bool name_fits(const char *name, size_t size)
{
    return name != NULL && name[0] != '\0' && strlen(name) < size;
}

/* ---- create and destroy -------------------------------------------------------------------------------------- */

static ftli_group *find_group(const ftli_kernel *kernel, const char *name)
{
    for (unsigned i = 0; name != NULL && i < kernel->group_count; i++)
        if (strcmp(kernel->groups[i].name, name) == 0)
            return (ftli_group *)(uintptr_t)&kernel->groups[i];
    return NULL;
}

static int make_group(ftli_kernel *kernel, const ftli_group_options *options)
{
    if (!name_fits(options->name, sizeof kernel->groups[0].name) || find_group(kernel, options->name) != NULL)
        return FTL_EINVAL;
    ftli_group *group = &kernel->groups[kernel->group_count];
    if (options->cpu_count != 0) {
        group->cpus = malloc(options->cpu_count * sizeof *group->cpus);
        if (group->cpus == NULL)
            return FTL_ENOMEM;
        memcpy(group->cpus, options->cpus, options->cpu_count * sizeof *group->cpus);
    }
    memcpy(group->name, options->name, strlen(options->name) + 1);
    group->kernel = kernel;
    group->count = kernel->simulation != NULL ? 0 : options->count;
    group->has_threads = options->count != 0;
    group->nice = options->nice;
    group->cpu_count = options->cpu_count;
    group->spin = options->spin;
    group->lazy = options->lazy;
    group->event = group->count == 0 ? &kernel->lend_event : &group->own_event;
    ftli_u64_store_relaxed(&group->sleep_until_ns, FTLI_NEVER_NS);
    ftli_u64_store_relaxed(&group->watch_due_ns, FTLI_NEVER_NS);
    kernel->group_count++;
    return FTL_OK;
}

int ftli_kernel_create(const ftli_kernel_options *options, ftli_kernel **out)
{
    if (options->group_count == 0 || options->group_count > FTLI_GROUPS_MOST)
        return FTL_EINVAL;
    ftli_mailbox probe;
    if (ftli_mailbox_init(&probe, options->lane_shares, 0, NULL) != FTL_OK)
        return FTL_EINVAL;
    ftli_kernel *kernel = zeroed_lines(sizeof *kernel);
    if (kernel == NULL)
        return FTL_ENOMEM;
    for (unsigned i = 0; i < FTLI_LANES; i++)
        kernel->shares[i] = probe.lanes[i].share;
    if (options->name != NULL)
        memcpy(kernel->name, options->name, strnlen(options->name, sizeof kernel->name - 1));
    for (unsigned i = 0; i < FTLI_LANES && options->lane_alarms != NULL; i++)
        kernel->alarm_ns[i] = options->lane_alarms[i];
    ftli_watchdog_init(kernel);
    kernel->supervision = options->supervision;
    kernel->on_news = options->on_news;
    kernel->user = options->user;
    kernel->is_forked = options->is_forked;
    kernel->seed = options->seed;
    int status = options->simulated ? ftli_simulation_create(kernel) : FTL_OK;
    for (unsigned i = 0; status == FTL_OK && i < options->group_count; i++)
        status = make_group(kernel, &options->groups[i]);
    if (status != FTL_OK) {
        ftli_kernel_destroy(kernel);
        return status;
    }
    *out = kernel;
    return FTL_OK;
}

void ftli_kernel_destroy(ftli_kernel *kernel)
{
    for (unsigned i = 0; i < ftli_kernel_actor_count(kernel); i++)
        free(ftli_kernel_actor(kernel, i));
    for (unsigned i = 0; i < kernel->group_count; i++)
        free(kernel->groups[i].cpus);
    ftli_simulation_destroy(kernel);
    free(kernel);
}

/* ---- actors ------------------------------------------------------------------------------------------------- */

unsigned ftli_kernel_actor_count(const ftli_kernel *kernel)
{
    return ftli_u32_load_acquire(&kernel->actor_count); /* pairs: actor-published */
}

ftli_actor *ftli_kernel_actor(const ftli_kernel *kernel, unsigned index)
{
    return ftli_pointer_load_acquire(&kernel->actors[index]); /* pairs: actor-published */
}

ftli_actor *ftli_kernel_find(const ftli_kernel *kernel, const char *name)
{
    for (unsigned i = 0; i < ftli_kernel_actor_count(kernel); i++)
        if (strcmp(ftli_kernel_actor(kernel, i)->name, name) == 0)
            return ftli_kernel_actor(kernel, i);
    return NULL;
}

static ftli_actor *make_actor(ftli_kernel *kernel, const char *name, const ftli_actor_options *options)
{
    ftli_actor *actor = zeroed_lines(sizeof *actor);
    if (actor == NULL)
        return NULL;
    (void)ftli_mailbox_init(&actor->mailbox, kernel->shares, options->unordered_lanes, options->item_sent_ns);
    actor->mailbox.foreign = options->foreign;
    ftli_u32_store_relaxed(&actor->word, FTLI_WORD_HELD); /* until it has started; mail may come before */
    ftli_u32_store_relaxed(&actor->phase_held, FTLI_ACTOR_STOPPED);
    ftli_u32_store_relaxed(&actor->wake_messages, DEFAULT_WAKE_MESSAGES);
    ftli_u64_store_relaxed(&actor->wake_age_ns, DEFAULT_WAKE_AGE_NS);
    ftli_actor_set_wake(actor, options->wake_messages, options->wake_age_ns);
    ftli_u64_store_relaxed(&actor->age_due_ns, FTLI_NEVER_NS);
    ftli_u64_store_relaxed(&actor->tick_due_ns, FTLI_NEVER_NS);
    ftli_u64_store_relaxed(&actor->timer_due_ns, FTLI_NEVER_NS);
    ftli_u64_store_relaxed(&actor->resume_due_ns, FTLI_NEVER_NS);
    actor->kernel = kernel;
    actor->group = find_group(kernel, options->group);
    actor->operations = options->operations;
    actor->state = options->state;
    actor->receive_ns = options->receive_ns;
    actor->index = ftli_kernel_actor_count(kernel);
    actor->position = ftli_u32_load_relaxed(&actor->group->actor_count);
    actor->context.actor = actor;
    ftli_random_seed(&actor->random, kernel->seed + actor->index * UINT64_C(0x9e3779b97f4a7c15));
    memcpy(actor->name, name, strlen(name) + 1);
    return actor;
}

int ftli_kernel_add_actor(ftli_kernel *kernel, const char *name, const ftli_actor_options *options, ftli_actor **out)
{
    if (!name_fits(name, sizeof(((ftli_actor *)0)->name)) || ftli_kernel_find(kernel, name) != NULL ||
        options->operations == NULL || options->operations->on_message == NULL)
        return FTL_EINVAL;
    ftli_group *group = find_group(kernel, options->group);
    if (group == NULL)
        return FTL_EINVAL;
    if (ftli_kernel_actor_count(kernel) == FTLI_ACTORS_MOST)
        return FTL_ELIMIT;
    ftli_actor *actor = make_actor(kernel, name, options);
    if (actor == NULL)
        return FTL_ENOMEM;
    if (kernel->started) {
        int status = group->lazy ? FTL_OK : ftli_group_start_threads(group);
        if (status == FTL_OK)
            status = ftli_actor_first_start(actor);
        if (status != FTL_OK) {
            free(actor);
            return status;
        }
    }
    ftli_pointer_store_release(&group->actors[actor->position], actor);
    ftli_u32_store_release(&group->actor_count, actor->position + 1); /* pairs: actor-published */
    ftli_pointer_store_release(&kernel->actors[actor->index], actor);
    ftli_u32_store_release(&kernel->actor_count, actor->index + 1);
    if (kernel->started)
        ftli_actor_open(actor);
    *out = actor;
    return FTL_OK;
}

/* ---- start and stop ----------------------------------------------------------------------------------------- */

int ftli_kernel_start(ftli_kernel *kernel)
{
    if (kernel->started)
        return FTL_EINVAL;
    const unsigned count = ftli_kernel_actor_count(kernel);
    int status = FTL_OK;
    unsigned done = 0;
    for (; status == FTL_OK && done < count; done++)
        status = ftli_actor_first_start(ftli_kernel_actor(kernel, done));
    ftli_watchdog_assign(kernel);
    for (unsigned i = 0; status == FTL_OK && i < kernel->group_count; i++)
        if (!kernel->groups[i].lazy && ftli_u32_load_acquire(&kernel->groups[i].actor_count) != 0)
            status = ftli_group_start_threads(&kernel->groups[i]);
    if (status != FTL_OK) {
        for (unsigned i = 0; i < kernel->group_count; i++)
            ftli_group_join_threads(&kernel->groups[i]);
        while (done-- > 0)
            ftli_actor_last_stop(ftli_kernel_actor(kernel, done));
        return status;
    }
    kernel->started = true;
    for (unsigned i = 0; i < count; i++)
        ftli_actor_open(ftli_kernel_actor(kernel, i));
    return FTL_OK;
}

int ftli_kernel_need(ftli_kernel *kernel, ftli_actor *actor)
{
    (void)kernel;
    return ftli_group_start_threads(actor->group);
}

static void run_what_waits(ftli_kernel *kernel, uint64_t drain_ns)
{
    const uint64_t deadline_ns = ftli_deadline_ns(ftli_kernel_now_ns(kernel), drain_ns);
    uint32_t cursor = 0;
    bool ran = true;
    /* The bound on runs is for virtual time, which stands still here. */
    for (unsigned runs = 0; ran && runs < DRAIN_RUNS_MOST && ftli_kernel_now_ns(kernel) < deadline_ns; runs++) {
        ran = false;
        for (unsigned i = 0; i < ftli_kernel_actor_count(kernel); i++) /* the lanes below their marks as well */
            if (ftli_actor_has_mail(ftli_kernel_actor(kernel, i)))
                (void)ftli_actor_queue(ftli_kernel_actor(kernel, i), false);
        for (unsigned i = 0; i < kernel->group_count; i++)
            ran = ftli_group_run_one(&kernel->groups[i], &cursor) || ran;
    }
}

/* Nobody starts threads from here on, nor is in the middle of it. */
static void start_no_more(ftli_kernel *kernel)
{
    ftli_u32_store_seq_cst(&kernel->stopping, 1); /* pairs: stopping */
    for (unsigned i = 0; i < kernel->group_count; i++) {
        ftli_token_take(&kernel->groups[i].start_token);
        ftli_token_release(&kernel->groups[i].start_token);
    }
}

static bool all_rest(const ftli_kernel *kernel)
{
    for (unsigned i = 0; i < kernel->group_count; i++)
        if (!ftli_group_rests(&kernel->groups[i]))
            return false;
    return true;
}

int ftli_kernel_rest(ftli_kernel *kernel, uint64_t deadline_ns)
{
    if (ftli_kernel_is_service_thread(kernel))
        return FTL_EBUSY;
    start_no_more(kernel);
    for (unsigned i = 0; i < kernel->group_count; i++)
        ftli_group_turn(&kernel->groups[i], FTLI_GROUP_REST);
    bool in_time = true;
    for (;;) {
        const uint32_t ticket = ftli_event_prepare(&kernel->stop_event); /* pairs: stopping */
        if (!in_time || all_rest(kernel)) {
            ftli_event_cancel(&kernel->stop_event);
            break;
        }
        in_time = ftli_event_wait(&kernel->stop_event, ticket, deadline_ns);
    }
    if (in_time || all_rest(kernel))
        return FTL_OK;
    ftli_kernel_resume(kernel);
    return FTL_ETIMEDOUT;
}

/* What was held until a time that is over meanwhile is found by the threads' look at due times. */
void ftli_kernel_resume(ftli_kernel *kernel)
{
    ftli_u32_store_seq_cst(&kernel->stopping, 0);
    for (unsigned i = 0; i < kernel->group_count; i++)
        ftli_group_turn(&kernel->groups[i], FTLI_GROUP_WORK);
}

int ftli_kernel_stop(ftli_kernel *kernel, uint64_t drain_ns)
{
    if (ftli_kernel_is_service_thread(kernel))
        return FTL_EBUSY;
    if (!kernel->started)
        return FTL_OK;
    start_no_more(kernel);
    for (unsigned i = 0; i < kernel->group_count; i++)
        ftli_group_join_threads(&kernel->groups[i]);
    run_what_waits(kernel, drain_ns);
    if (ftli_kernel_is_forked(kernel))
        return FTL_ENOTSUP;
    for (unsigned i = ftli_kernel_actor_count(kernel); i-- > 0;)
        ftli_actor_last_stop(ftli_kernel_actor(kernel, i));
    kernel->started = false;
    return FTL_OK;
}

/* ---- figures ------------------------------------------------------------------------------------------------ */

uint64_t ftli_kernel_now_ns(const ftli_kernel *kernel)
{
    return FTLI_UNLIKELY(kernel->simulation != NULL) ? ftli_u64_load_acquire(&kernel->simulation->now_ns)
                                                     : ftli_clock_now_ns();
}

uint64_t ftli_kernel_coarse_ns(const ftli_kernel *kernel)
{
    return FTLI_UNLIKELY(kernel->simulation != NULL) ? ftli_u64_load_acquire(&kernel->simulation->now_ns)
                                                     : ftli_clock_coarse_ns();
}

bool ftli_kernel_is_forked(const ftli_kernel *kernel)
{
    return kernel->is_forked != NULL && kernel->is_forked(kernel->user);
}

bool ftli_kernel_is_simulated(const ftli_kernel *kernel)
{
    return kernel->simulation != NULL;
}

bool ftli_kernel_has_threads(const ftli_kernel *kernel, const char *group)
{
    const ftli_group *found = find_group(kernel, group);
    return found != NULL && found->has_threads;
}

uint32_t ftli_kernel_degraded(const ftli_kernel *kernel)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < ftli_kernel_actor_count(kernel); i++)
        if (ftli_actor_is_degraded(ftli_kernel_actor(kernel, i)))
            bits |= UINT32_C(1) << (i < 31 ? i : 31);
    return bits;
}

uint64_t ftli_kernel_overdue(const ftli_kernel *kernel)
{
    return ftli_u64_load_relaxed(&kernel->overdue);
}

uint64_t ftli_kernel_alarms(const ftli_kernel *kernel)
{
    return ftli_u64_load_relaxed(&kernel->alarms);
}

uint64_t ftli_kernel_lane_alarm_ns(const ftli_kernel *kernel, unsigned lane)
{
    return kernel->alarm_ns[lane];
}

uint64_t ftli_kernel_restarts(const ftli_kernel *kernel)
{
    return ftli_u64_load_relaxed(&kernel->restarts);
}

int ftli_kernel_check(const ftli_kernel *kernel, char *why, size_t n)
{
    for (unsigned i = 0; i < ftli_kernel_actor_count(kernel); i++) {
        ftli_actor *actor = ftli_kernel_actor(kernel, i);
        const uint32_t word = ftli_u32_load_seq_cst(&actor->word);
        if (actor->operations->check == NULL || (word & (FTLI_WORD_HELD | FTLI_WORD_STOPPED)) != 0)
            continue;
        const int status = actor->operations->check(actor->state, why, n);
        if (status == FTL_OK)
            continue;
        ftli_u32_store_release(&actor->suspect, 1);
        ftli_actor_wake(actor);
        return status;
    }
    return FTL_OK;
}

int ftli_kernel_read_group(const ftli_kernel *kernel, const char *group, ftli_group_figures *out)
{
    const ftli_group *found = find_group(kernel, group);
    if (found == NULL)
        return FTL_EINVAL;
    out->threads = ftli_u32_load_acquire(&found->started);
    out->busy_ns = ftli_u64_load_relaxed(&found->busy_ns);
    out->runs = ftli_u64_load_relaxed(&found->runs);
    out->sleeps = ftli_u64_load_relaxed(&found->sleeps);
    out->wakes = ftli_u64_load_relaxed(&found->wakes);
    return FTL_OK;
}
