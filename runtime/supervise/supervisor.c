#include "runtime/supervise/supervisor.h"

#include <stdlib.h>

#include <fettle/fettle.h>

#include "runtime/base/os.h"
#include "runtime/kernel/kernel.h"
#include "runtime/kernel/token.h"

struct ftli_supervisor {
    ftli_policy policy;
    ftli_token latch; /* around all below; who holds it waits for nobody */
    ftli_memory actors[FTLI_ACTORS_MOST];
    ftli_intensity intensity;
    void *ring; /* address space for the intensity's; a page is there once an actor was restarted */
    size_t ring_bytes;
    ftli_supervisor_figures figures;
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
        s->ring_bytes = (size_t)policy->restarts * sizeof(uint64_t);
        s->ring = ftli_os_reserve(s->ring_bytes, 0);
        if (s->ring == NULL) {
            free(s);
            return FTL_ENOMEM;
        }
    }
    s->intensity.restart_ns = s->ring;
    *out = s;
    return FTL_OK;
}

void ftli_supervisor_destroy(ftli_supervisor *s)
{
    if (s->ring != NULL)
        ftli_os_release(s->ring, s->ring_bytes);
    free(s);
}

static uint32_t action_of(uint32_t step)
{
    switch (step) {
    case FTLI_STEP_RETRY:
        return FTLI_DECIDE_RETRY;
    case FTLI_STEP_DEGRADE:
        return FTLI_DECIDE_RETRY | FTLI_DECIDE_DEGRADED;
    case FTLI_STEP_RESTART:
        return FTLI_DECIDE_RESTART;
    case FTLI_STEP_QUARANTINE:
        return FTLI_DECIDE_QUARANTINE;
    default:
        return FTLI_DECIDE_DOWN;
    }
}

static void note(ftli_supervisor *s, const ftli_verdict *verdict, bool was_open, bool is_open)
{
    ftli_supervisor_figures *f = &s->figures;
    f->retries += verdict->step == FTLI_STEP_RETRY || verdict->step == FTLI_STEP_DEGRADE;
    f->restarts += verdict->step == FTLI_STEP_RESTART || verdict->step == FTLI_STEP_QUARANTINE;
    f->quarantines += verdict->step == FTLI_STEP_QUARANTINE;
    f->given_up += verdict->step == FTLI_STEP_ESCALATE;
    f->breaks += verdict->opened;
    f->breakers_open += is_open;
    f->breakers_open -= was_open;
}

static ftli_decision decide(void *self, uint32_t index, bool restartable, int status, uint64_t now_ns)
{
    ftli_supervisor *s = self;
    ftli_memory *m = &s->actors[index];
    ftli_token_take(&s->latch);
    const bool was_open = m->open;
    const ftli_verdict verdict =
        ftli_policy_decide(&s->policy, &s->intensity, m, restartable, ftli_policy_class(status), now_ns);
    if (verdict.step == FTLI_STEP_ESCALATE)
        m->open = false; /* nothing is tried any more */
    note(s, &verdict, was_open, m->open);
    ftli_token_release(&s->latch);
    return (ftli_decision){.action = action_of(verdict.step) | (verdict.opened ? (uint32_t)FTLI_DECIDE_DEGRADED : 0u),
                           .delay_ns = verdict.delay_ns};
}

static void succeeded(void *self, uint32_t index)
{
    ftli_supervisor *s = self;
    ftli_token_take(&s->latch);
    s->figures.breakers_open -= s->actors[index].open;
    ftli_policy_succeeded(&s->actors[index]);
    ftli_token_release(&s->latch);
}

ftli_supervision ftli_supervisor_interface(ftli_supervisor *s)
{
    return (ftli_supervision){.self = s, .decide = decide, .succeeded = succeeded, .strategy = s->policy.strategy};
}

void ftli_supervisor_read(ftli_supervisor *s, ftli_supervisor_figures *out)
{
    ftli_token_take(&s->latch);
    *out = s->figures;
    ftli_token_release(&s->latch);
}

uint32_t ftli_supervisor_breaker(ftli_supervisor *s, uint32_t index, uint64_t now_ns)
{
    ftli_token_take(&s->latch);
    const bool open = s->actors[index].open;
    const uint64_t until_ns = s->actors[index].open_until_ns;
    ftli_token_release(&s->latch);
    return !open ? FTLI_BREAKER_CLOSED : now_ns < until_ns ? FTLI_BREAKER_OPEN : FTLI_BREAKER_TRYING;
}
