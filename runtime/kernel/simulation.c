#include "runtime/kernel/simulation.h"

#include <stdlib.h>

#include <fettle/fettle.h>

#include "runtime/kernel/internal.h"

enum { STEPS_DEFAULT = 1000000 };
static const uint64_t BEGINNING_NS = FTLI_NS_PER_S; /* not 0, which means "no time known" in many a field */

/* What a history is made of, for its hash. */
enum { TRACE_RUN = 1, TRACE_TIME = 2, TRACE_RECEIVE = 3, TRACE_FAULT = 4 };

static void tell(const struct ftli_simulation *s, ftli_simulation_choice choice)
{
    if (s->watch != NULL)
        s->watch(s->watch_user, &choice);
}

static void note(struct ftli_simulation *s, uint64_t what, uint64_t a, uint64_t b)
{
    uint64_t mixed = s->figures.trace ^ (what << 56) ^ (a << 32) ^ b;
    s->figures.trace = ftli_splitmix64(&mixed);
}

int ftli_simulation_create(ftli_kernel *kernel)
{
    struct ftli_simulation *s = calloc(1, sizeof *s);
    if (s == NULL)
        return FTL_ENOMEM;
    ftli_random_seed(&s->random, kernel->seed);
    ftli_u64_store_relaxed(&s->now_ns, BEGINNING_NS);
    kernel->simulation = s;
    return FTL_OK;
}

void ftli_simulation_destroy(ftli_kernel *kernel)
{
    free(kernel->simulation);
    kernel->simulation = NULL;
}

/* ---- faults --------------------------------------------------------------------------------------------------- */

static bool fault_happens(struct ftli_simulation *s, double probability)
{
    if (probability <= 0 || (s->faults.most_faults != 0 && s->faults.made >= s->faults.most_faults))
        return false;
    if (!ftli_random_chance(&s->random, probability))
        return false;
    s->faults.made++;
    return true;
}

int ftli_simulation_receive(ftli_actor *actor, unsigned lane, const ftli_link *link)
{
    struct ftli_simulation *s = actor->kernel->simulation;
    if (s->victim == actor || fault_happens(s, s->faults.kill)) {
        s->victim = NULL;
        s->figures.kills++;
        note(s, TRACE_FAULT, actor->index, 0);
        tell(s, (ftli_simulation_choice){.kind = FTLI_CHOICE_KILL, .actor = actor, .lane = lane, .link = link});
        return FTL_EINTERNAL;
    }
    if (fault_happens(s, s->faults.receive_fails)) {
        s->figures.failed_receives++;
        note(s, TRACE_FAULT, actor->index, 1);
        tell(s, (ftli_simulation_choice){.kind = FTLI_CHOICE_FAIL, .actor = actor, .lane = lane, .link = link});
        return s->faults.status != FTL_OK ? s->faults.status : FTL_EINTERNAL;
    }
    s->figures.receives++;
    const bool ordinary = link != NULL && !actor->mailbox.foreign && !ftli_link_is_item(link);
    note(s, TRACE_RECEIVE, actor->index * (FTLI_LANES + 1) + lane,
         ordinary ? ((const ftli_message *)(const void *)link)->type : UINT32_MAX);
    tell(s, (ftli_simulation_choice){.kind = FTLI_CHOICE_RECEIVE, .actor = actor, .lane = lane, .link = link});
    return FTL_OK;
}

/* ---- steps ---------------------------------------------------------------------------------------------------- */

static uint32_t count_ready(const ftli_kernel *kernel)
{
    uint32_t ready = 0;
    for (unsigned g = 0; g < kernel->group_count; g++)
        for (unsigned w = 0; w < FTLI_READY_WORDS; w++)
            ready += (uint32_t)__builtin_popcountll(ftli_u64_load_relaxed(&kernel->groups[g].ready[w]));
    return ready;
}

static ftli_actor *pop_nth(ftli_kernel *kernel, uint32_t n)
{
    for (unsigned g = 0; g < kernel->group_count; g++) {
        for (uint32_t w = 0; w < FTLI_READY_WORDS; w++) {
            uint64_t bits = ftli_u64_load_relaxed(&kernel->groups[g].ready[w]);
            for (; bits != 0; bits &= bits - 1) {
                if (n-- != 0)
                    continue;
                uint32_t cursor = w * 64 + (uint32_t)__builtin_ctzll(bits);
                return ftli_group_pop(&kernel->groups[g], &cursor);
            }
        }
    }
    return NULL;
}

static uint64_t next_due_ns(const ftli_kernel *kernel)
{
    uint64_t next_ns = FTLI_NEVER_NS;
    for (unsigned g = 0; g < kernel->group_count; g++) {
        const uint64_t due_ns = ftli_group_next_due_ns(&kernel->groups[g]);
        if (due_ns < next_ns)
            next_ns = due_ns;
    }
    return next_ns;
}

static void queue_due(ftli_kernel *kernel)
{
    const uint64_t now_ns = ftli_kernel_now_ns(kernel);
    for (unsigned g = 0; g < kernel->group_count; g++)
        ftli_group_queue_due(&kernel->groups[g], now_ns);
}

static bool is_checked(const struct ftli_simulation *s)
{
    return s->unchecked_most != UINT32_MAX && s->figures.steps % (s->unchecked_most + (uint64_t)1) == 0;
}

static int check_laws(struct ftli_simulation *s, const ftli_actor *ran)
{
    if (ran != NULL && ran->started && ran->operations->check != NULL && is_checked(s)) {
        const int status = ran->operations->check(ran->state, s->why, sizeof s->why);
        if (status != FTL_OK)
            return status;
    }
    return s->law != NULL ? s->law(s->law_user) : FTL_OK;
}

/* FTL_ETIMEDOUT: the next thing to happen lies after limit_ns, and time now stands there. */
static int step(ftli_kernel *kernel, uint64_t limit_ns)
{
    struct ftli_simulation *s = kernel->simulation;
    queue_due(kernel);
    const uint32_t ready = count_ready(kernel);
    const uint64_t due_ns = next_due_ns(kernel);
    if (ready == 0 && due_ns == FTLI_NEVER_NS)
        return FTL_ESTALE;
    s->figures.steps++;
    ftli_actor *ran = NULL;
    if (ready == 0 ||
        (due_ns <= limit_ns && due_ns != FTLI_NEVER_NS && ftli_random_chance(&s->random, s->faults.late))) {
        const uint64_t to_ns = due_ns < limit_ns ? due_ns : limit_ns;
        if (to_ns > ftli_kernel_now_ns(kernel))
            ftli_u64_store_release(&s->now_ns, to_ns);
        s->figures.time_moves++;
        note(s, TRACE_TIME, 0, to_ns);
        tell(s, (ftli_simulation_choice){.kind = FTLI_CHOICE_TIME, .value = to_ns});
        if (due_ns > limit_ns)
            return FTL_ETIMEDOUT;
        queue_due(kernel);
    } else {
        ran = pop_nth(kernel, ftli_random_below(&s->random, ready));
        if (ran != NULL) {
            const unsigned most = 1 + ftli_random_below(&s->random, FTLI_RUN_MOST);
            note(s, TRACE_RUN, ran->index, most);
            tell(s, (ftli_simulation_choice){.kind = FTLI_CHOICE_RUN, .actor = ran, .value = most});
            (void)ftli_actor_run(ran, most, false);
        }
    }
    return check_laws(s, ran);
}

int ftli_simulation_step(ftli_kernel *kernel)
{
    return step(kernel, FTLI_NEVER_NS);
}

int ftli_simulation_run_until_idle(ftli_kernel *kernel, uint64_t until_ns, uint64_t most_steps)
{
    if (most_steps == 0)
        most_steps = STEPS_DEFAULT;
    for (uint64_t i = 0; i < most_steps; i++) {
        const int status = step(kernel, until_ns);
        if (status == FTL_ESTALE || status == FTL_ETIMEDOUT)
            return FTL_OK;
        if (status != FTL_OK)
            return status;
    }
    return FTL_ETIMEDOUT;
}

int ftli_simulation_wait(ftli_kernel *kernel, ftli_event *event, uint32_t ticket, uint64_t deadline_ns)
{
    int status = FTL_OK;
    while (status == FTL_OK && ftli_u32_load_seq_cst(&event->epoch) == ticket) {
        if (ftli_kernel_now_ns(kernel) >= deadline_ns) {
            status = FTL_ETIMEDOUT;
            break;
        }
        status = step(kernel, deadline_ns);
        if (status == FTL_ESTALE) { /* nothing will ever signal it */
            if (deadline_ns != FTLI_NEVER_NS)
                ftli_u64_store_release(&kernel->simulation->now_ns, deadline_ns);
            status = FTL_ETIMEDOUT;
        }
    }
    ftli_event_cancel(event);
    return status;
}

void ftli_simulation_jump(ftli_kernel *kernel, uint64_t forward_ns)
{
    struct ftli_simulation *s = kernel->simulation;
    ftli_u64_store_release(&s->now_ns, ftli_deadline_ns(ftli_kernel_now_ns(kernel), forward_ns));
    note(s, TRACE_TIME, 1, forward_ns);
    tell(s, (ftli_simulation_choice){.kind = FTLI_CHOICE_TIME, .value = ftli_kernel_now_ns(kernel)});
}

/* ---- settings and figures --------------------------------------------------------------------------------------- */

void ftli_simulation_set_faults(ftli_kernel *kernel, const ftli_simulation_faults *faults)
{
    struct ftli_simulation *s = kernel->simulation;
    s->faults.kill = faults->kill;
    s->faults.receive_fails = faults->receive_fails;
    s->faults.late = faults->late;
    s->faults.status = faults->status;
    s->faults.most_faults = faults->most_faults;
    s->faults.made = 0;
}

void ftli_simulation_kill(ftli_kernel *kernel, ftli_actor *actor)
{
    kernel->simulation->victim = actor;
}

void ftli_simulation_check_every(ftli_kernel *kernel, uint32_t every)
{
    kernel->simulation->unchecked_most = every - 1; /* 0: UINT32_MAX */
}

void ftli_simulation_set_law(ftli_kernel *kernel, int (*law)(void *user), void *user)
{
    kernel->simulation->law = law;
    kernel->simulation->law_user = user;
}

void ftli_simulation_set_watcher(ftli_kernel *kernel, void (*watch)(void *, const ftli_simulation_choice *), void *user)
{
    kernel->simulation->watch = watch;
    kernel->simulation->watch_user = user;
}

const char *ftli_simulation_why(const ftli_kernel *kernel)
{
    return kernel->simulation->why;
}

void ftli_simulation_read(const ftli_kernel *kernel, ftli_simulation_figures *out)
{
    const struct ftli_simulation *s = kernel->simulation;
    *out = (ftli_simulation_figures){
        .steps = s->figures.steps,
        .receives = s->figures.receives,
        .time_moves = s->figures.time_moves,
        .kills = s->figures.kills,
        .failed_receives = s->figures.failed_receives,
        .trace = s->figures.trace,
    };
}
