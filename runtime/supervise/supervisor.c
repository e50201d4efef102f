#include "runtime/supervise/supervisor.h"

#include <stdlib.h>

#include <fettle/fettle.h>

#include "runtime/base/os.h"
#include "runtime/kernel/kernel.h"

/* What is remembered of one actor; written by the thread that holds its token. */
typedef struct {
    uint32_t attempts;    /* since the last success: how far the backoff has grown */
    uint32_t retries;     /* of those, in place */
    uint32_t restarts;    /* ever */
    uint64_t *restart_ns; /* the last policy.restarts of them, in a ring */
} memory_of_actor;

struct ftli_supervisor {
    ftli_policy policy;
    memory_of_actor actors[FTLI_ACTORS_MOST];
    void *rings; /* address space for all rings; a page is there once an actor has failed */
    size_t rings_bytes;
    ftli_atomic_u64 retries, restarts, given_up;
};

int ftli_supervisor_create(const ftli_policy *policy, ftli_supervisor **out)
{
    if (!ftli_policy_is_valid(policy))
        return FTL_EINVAL;
    ftli_supervisor *s = calloc(1, sizeof *s);
    if (s == NULL)
        return FTL_ENOMEM;
    s->policy = *policy;
    if (policy->restarts != 0) {
        s->rings_bytes = (size_t)policy->restarts * FTLI_ACTORS_MOST * sizeof(uint64_t);
        s->rings = ftli_os_reserve(s->rings_bytes, 0);
        if (s->rings == NULL) {
            free(s);
            return FTL_ENOMEM;
        }
    }
    for (size_t i = 0; i < FTLI_ACTORS_MOST; i++)
        s->actors[i].restart_ns = s->rings != NULL ? (uint64_t *)s->rings + i * policy->restarts : NULL;
    *out = s;
    return FTL_OK;
}

void ftli_supervisor_destroy(ftli_supervisor *s)
{
    if (s->rings != NULL)
        ftli_os_release(s->rings, s->rings_bytes);
    free(s);
}

static ftli_decision give_up(ftli_supervisor *s)
{
    (void)ftli_u64_fetch_add_relaxed(&s->given_up, 1);
    return (ftli_decision){.action = FTLI_DECIDE_DOWN};
}

static ftli_decision retry(ftli_supervisor *s, memory_of_actor *m)
{
    (void)ftli_u64_fetch_add_relaxed(&s->retries, 1);
    m->retries++;
    return (ftli_decision){FTLI_DECIDE_RETRY, ftli_backoff_delay_ns(&s->policy.backoff, m->attempts++)};
}

/* More than policy.restarts within policy.within_ns: the oldest of the last so many is too young. */
static bool too_many(const ftli_supervisor *s, const memory_of_actor *m, uint64_t now_ns)
{
    const uint32_t most = s->policy.restarts;
    if (m->restarts < most)
        return false;
    return most == 0 || now_ns - m->restart_ns[m->restarts % most] < s->policy.within_ns;
}

static ftli_decision decide(void *self, uint32_t index, bool restartable, int status, uint64_t now_ns)
{
    ftli_supervisor *s = self;
    memory_of_actor *m = &s->actors[index];
    const uint32_t class = ftli_policy_class(status);
    const bool passes = class == FTLI_CLASS_TRANSIENT || class == FTLI_CLASS_RESOURCE;
    /* One that cannot be restarted goes on trying: what passes is no reason to do without it. */
    if (passes && (m->retries < s->policy.retries || !restartable))
        return retry(s, m);
    if (class == FTLI_CLASS_CONFIGURATION || !restartable || too_many(s, m, now_ns))
        return give_up(s);
    m->restart_ns[m->restarts++ % s->policy.restarts] = now_ns;
    m->retries = 0;
    (void)ftli_u64_fetch_add_relaxed(&s->restarts, 1);
    return (ftli_decision){FTLI_DECIDE_RESTART, ftli_backoff_delay_ns(&s->policy.backoff, m->attempts++)};
}

static void succeeded(void *self, uint32_t index)
{
    ftli_supervisor *s = self;
    s->actors[index].attempts = 0;
    s->actors[index].retries = 0;
}

ftli_supervision ftli_supervisor_interface(ftli_supervisor *s)
{
    return (ftli_supervision){.self = s, .decide = decide, .succeeded = succeeded};
}

void ftli_supervisor_read(const ftli_supervisor *s, ftli_supervisor_figures *out)
{
    out->retries = ftli_u64_load_relaxed(&s->retries);
    out->restarts = ftli_u64_load_relaxed(&s->restarts);
    out->given_up = ftli_u64_load_relaxed(&s->given_up);
}
