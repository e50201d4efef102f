/* The sums: those that hold while everybody is at work, and those that are exact when everybody rests. */
#include "tools/stress.h"

#include "tools/text.h"

#include <stddef.h>

enum { CHECK_TRIES = 200, CHECK_PAUSE_NS = 10000000 };

uint64_t ftli_stress_sum(const struct ftli_stress *run, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i <= run->options.threads; i++) {
        const struct ftli_stress_thread *thread = i == run->options.threads ? &run->service : &run->threads[i];
        const char *counts = (const char *)&thread->counts;
        sum += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(counts + offset), memory_order_acquire);
    }
    return sum;
}

/* ---- sums, with everybody at work --------------------------------------------------------------------------------------- */

void ftli_stress_compare(struct ftli_stress *run, bool holds, const char *law, uint64_t is, uint64_t than)
{
    if (!holds) {
        ftli_stress_broken(run, "%s: %s, and %s", law, ftli_text_count(is).text, ftli_text_count(than).text);
    }
}

void ftli_stress_look_at_sums(struct ftli_stress *run)
{
    ftl_stats s, before = run->found.stats;
    uint64_t made = FTLI_STRESS_SUM(run, made), failed = FTLI_STRESS_SUM(run, failed);
    uint64_t gone = FTLI_STRESS_SUM(run, dead_at_once);
    if (!ftli_stress_good(&run->service, "ftl_runtime_stats", ftl_runtime_stats(run->runtime, &s))) {
        return;
    }
    uint64_t begun = FTLI_STRESS_SUM(run, begun);
    uint64_t dropped = s.pending + s.reclaimed + s.quarantined;
    ftli_stress_compare(run, s.created == s.live + dropped, "created = live + pending + reclaimed + quarantined",
                        s.created, s.live + dropped);
    ftli_stress_compare(run, dropped <= s.created && s.live <= s.created, "created >= dropped", s.created, dropped);
    ftli_stress_compare(run, s.immediate + s.deferred == dropped, "at once + by message = dropped",
                        s.immediate + s.deferred, dropped);
    ftli_stress_compare(run,
                        s.committed_bytes == s.live_bytes + s.pending_bytes + s.quarantined_bytes + s.cached_bytes +
                                                 s.slack_bytes + s.metadata_bytes,
                        "committed = live + pending + quarantined + cached + slack + metadata", s.committed_bytes,
                        s.live_bytes);
    ftli_stress_compare(run, s.created >= made, "every new that returned before is in created", s.created, made);
    ftli_stress_compare(run, s.created <= begun - failed, "no new that began after is in created", s.created,
                        begun - failed);
    ftli_stress_compare(run, dropped >= gone, "every last drop that returned before is in dropped", dropped, gone);
    ftli_stress_compare(run,
                        s.created >= before.created && s.reclaimed >= before.reclaimed && s.restarts >= before.restarts,
                        "counters only grow", s.created, before.created);
    ftli_stress_compare(run, s.audits_failed == 0, "no audit fails", s.audits_failed, 0);
    run->found.stats = s;
    run->found.looks++;
}

/* ---- sums, at rest --------------------------------------------------------------------------------------------------------- */

static int nothing(const char *text, size_t n, void *user)
{
    (void)text, (void)n, (void)user;
    return 0;
}

void ftli_stress_check(struct ftli_stress *run)
{
    int status = FTL_EBUSY;
    for (uint32_t i = 0; i < CHECK_TRIES && status == FTL_EBUSY; i++) {
        status = ftl_runtime_control(run->runtime, "check", nothing, NULL);
        if (status == FTL_EBUSY) {
            ftli_stress_sleep(CHECK_PAUSE_NS);
        }
    }
    (void)ftli_stress_good(&run->service, "ftl_runtime_control: check", status);
    run->found.checks += status == FTL_OK;
}

/* Of those with finalizers: those that are dead in the model were all finalized, or given up after a failure. Returns how many
 * were given up. */
static uint64_t count_given_up(struct ftli_stress *run)
{
    uint64_t given_up = 0, never = 0;
    pthread_mutex_lock(&run->records);
    for (const struct ftli_stress_record *at = run->finalizing; at != NULL; at = at->next) {
        bool dead = atomic_load(&at->dead);
        given_up += dead;
        never += dead && at->finalizer.fails == 0;
    }
    pthread_mutex_unlock(&run->records);
    ftli_stress_compare(run, never == 0, "tensors whose finalizer was never called, or not to its end", never, 0);
    return given_up;
}

void ftli_stress_compare_at_rest(struct ftli_stress *run)
{
    ftl_stats stats, *s = &stats;
    uint64_t given_up = count_given_up(run);
    uint64_t made = FTLI_STRESS_SUM(run, made), dead = FTLI_STRESS_SUM(run, dead);
    uint64_t bytes = FTLI_STRESS_SUM(run, made_bytes) - FTLI_STRESS_SUM(run, dead_bytes);
    uint64_t gone = FTLI_STRESS_SUM(run, gone_unpins);
    uint64_t stale = FTLI_STRESS_SUM(run, stale_calls), odd = FTLI_STRESS_SUM(run, odd_unpins);
    if (!ftli_stress_good(&run->service, "ftl_runtime_stats", ftl_runtime_stats(run->runtime, s))) {
        return;
    }
    uint64_t done = s->reclaimed + s->quarantined;
    ftli_stress_compare(run, s->created == made, "at rest, created and the model's", s->created, made);
    ftli_stress_compare(run, s->live == made - dead, "at rest, live and the model's", s->live, made - dead);
    ftli_stress_compare(run, s->live_bytes == bytes, "at rest, live bytes and the model's", s->live_bytes, bytes);
    ftli_stress_compare(run, s->pending == 0, "at rest, pending", s->pending, 0);
    ftli_stress_compare(run, s->quarantined == given_up, "at rest, quarantined and the model's", s->quarantined,
                        given_up);
    ftli_stress_compare(run, done == dead, "at rest, reclaimed + quarantined and the model's dead", done, dead);
    ftli_stress_compare(run, s->immediate + s->deferred == dead, "at rest, at once + by message and the model's dead",
                        s->immediate + s->deferred, dead);
    ftli_stress_compare(run, s->stale_handles >= stale, "at rest, stale handles and the model's", s->stale_handles,
                        stale);
    ftli_stress_compare(run, s->unpins_without_pin >= odd, "at rest, unpins without pin and the model's",
                        s->unpins_without_pin, odd);
    ftli_stress_compare(run, s->stale_handles + s->unpins_without_pin == stale + odd + gone,
                        "at rest, stale handles + unpins without pin and the model's",
                        s->stale_handles + s->unpins_without_pin, stale + odd + gone);
    run->found.posted = dead;
    run->found.completed = done;
    run->found.lost = dead > done ? dead - done : 0;
    run->found.twice = atomic_load(&run->twice) + (done > dead ? done - dead : 0);
    run->found.stats = *s;
}
