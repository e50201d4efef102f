#include "actors/leak_detection/pass.h"

#include "actors/leak_detection/leak_detection.h"
#include "runtime/base/clock.h"

#define SLICE_WAIT_NS FTLI_NS_PER_MS

void ftli_leak_pass_ask(struct ftli_leak_detection *leaks, enum ftli_leak_pass_kind kind, uint64_t delay_ns)
{
    if (leaks->actor == NULL)
        return;
    /* pairs: pass-asked. The date before the tick that looks at it: a tick that comes between finds it. */
    uint64_t date = ~ftli_deadline_ns(ftli_kernel_now_ns(leaks->world.kernel), delay_ns);
    uint64_t seen = ftli_u64_load_seq_cst(&leaks->passes[kind].asked);
    while (seen < date && !ftli_u64_cas_seq_cst(&leaks->passes[kind].asked, &seen, date))
        ;
    ftli_actor_run_within(leaks->actor, delay_ns);
}

static uint64_t date_of(const struct ftli_leak_pass *pass)
{
    uint64_t date = ~ftli_u64_load_seq_cst(&pass->asked);
    return date != FTLI_LEAK_NO_DATE && date < pass->not_before_ns ? pass->not_before_ns : date;
}

static void run(struct ftli_leak_detection *leaks, enum ftli_leak_pass_kind kind, ftli_context *context)
{
    const struct ftli_leak_pass_operations *operations = ftli_leak_passes[kind];
    struct ftli_leak_pass *pass = &leaks->passes[kind];
    uint64_t now_ns = ftli_now_ns(context);
    if (!pass->runs) {
        if (now_ns < date_of(pass))
            return;
        (void)ftli_u64_exchange_seq_cst(&pass->asked, 0); /* what is asked for from here on wants another */
        pass->busy_ns = 0;
        pass->runs = operations->begin(leaks, now_ns);
    }
    if (!pass->runs)
        return;
    bool more = operations->slice(leaks, now_ns);
    uint64_t after_ns = ftli_now_ns(context);
    pass->busy_ns += after_ns - now_ns;
    if (more)
        return;
    pass->runs = false;
    pass->not_before_ns = after_ns + pass->busy_ns * FTLI_LEAK_SHARE;
    uint64_t delay_ns = operations->end(leaks, after_ns);
    if (delay_ns != FTLI_LEAK_NO_DATE)
        ftli_leak_pass_ask(leaks, kind, delay_ns);
}

void ftli_leak_passes_tick(struct ftli_leak_detection *leaks, ftli_context *context)
{
    uint64_t next_ns = FTLI_LEAK_NO_DATE;
    bool more = false;
    for (unsigned i = 0; i < FTLI_LEAK_PASSES; i++) {
        run(leaks, (enum ftli_leak_pass_kind)i, context);
        uint64_t date_ns = date_of(&leaks->passes[i]);
        more = more || leaks->passes[i].runs;
        next_ns = date_ns < next_ns ? date_ns : next_ns;
    }
    uint64_t now_ns = ftli_now_ns(context);
    if (more)
        ftli_actor_run_within(ftli_self(context), SLICE_WAIT_NS);
    else if (next_ns != FTLI_LEAK_NO_DATE)
        ftli_actor_run_within(ftli_self(context), next_ns > now_ns ? next_ns - now_ns : 0);
}

void ftli_leak_passes_start(struct ftli_leak_detection *leaks, ftli_context *context)
{
    for (unsigned i = 0; i < FTLI_LEAK_PASSES; i++) {
        struct ftli_leak_pass *pass = &leaks->passes[i];
        if (pass->runs && ftli_leak_passes[i]->reset != NULL)
            ftli_leak_passes[i]->reset(leaks);
        if (pass->runs)
            ftli_leak_pass_ask(leaks, (enum ftli_leak_pass_kind)i, 0);
        pass->runs = false;
        pass->not_before_ns = 0;
        if (date_of(pass) != FTLI_LEAK_NO_DATE)
            ftli_actor_run_within(ftli_self(context), 0);
    }
}
