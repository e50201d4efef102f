/* What the tests of the laws share: conditions with a deadline, checks from any thread, and the sums of ftl_stats.
 *
 * Threads   Criterion's assertions may be used by a test's main thread only; EXPECT may be used by every thread, also in a
 *           signal handler: it notes the first line that did not hold, and expect_nothing_failed says it.
 */
#ifndef FTLI_TESTS_SUPPORT_LAWS_H
#define FTLI_TESTS_SUPPORT_LAWS_H

#include <criterion/criterion.h>
#include <fettle/fettle.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runtime/base/clock.h"

#if defined __SANITIZE_THREAD__ || defined __SANITIZE_ADDRESS__
#define LAWS_SANITIZED 1
#else
#define LAWS_SANITIZED 0
#endif

#define LAWS_PATIENCE_NS (UINT64_C(60) * 1000 * 1000 * 1000) /* nothing that works takes as long, on any machine */

static atomic_int laws_failed_line;
static _Atomic(const char *) laws_failed_text;

static inline bool laws_note(bool good, int line, const char *text)
{
    int none = 0;
    if (!good && atomic_compare_exchange_strong(&laws_failed_line, &none, line))
        atomic_store(&laws_failed_text, text);
    return good;
}

#define EXPECT(condition) laws_note((condition), __LINE__, #condition)

#define expect_nothing_failed()                                                                   \
    cr_assert(atomic_load(&laws_failed_line) == 0, "line %d: %s", atomic_load(&laws_failed_line), \
              atomic_load(&laws_failed_text) == NULL ? "" : atomic_load(&laws_failed_text))

/* Looks again until the condition holds, or a minute is over. */
#define UNTIL(condition)                                                                \
    do {                                                                                \
        uint64_t laws_deadline_ns = ftli_clock_now_ns() + LAWS_PATIENCE_NS;             \
        while (!(condition)) {                                                          \
            cr_assert(ftli_clock_now_ns() < laws_deadline_ns, "never: %s", #condition); \
            sched_yield();                                                              \
        }                                                                               \
    } while (0)

/* The two sums that hold in every snapshot, whoever is in the middle of what. */
static inline bool laws_sums_hold(const ftl_stats *s)
{
    return s->created == s->live + s->pending + s->reclaimed + s->quarantined &&
           s->reclaimed + s->pending + s->quarantined <= s->created && s->live <= s->created &&
           s->pending <= s->created && s->reclaimed <= s->created && s->quarantined <= s->created &&
           s->reclaimed >= s->immediate && s->immediate + s->deferred >= s->reclaimed + s->quarantined &&
           s->committed_bytes == s->live_bytes + s->pending_bytes + s->quarantined_bytes + s->cached_bytes +
                                     s->slack_bytes + s->metadata_bytes &&
           s->live_bytes <= s->committed_bytes && s->pending_bytes <= s->committed_bytes &&
           s->slack_bytes <= s->committed_bytes && s->cached_bytes <= s->committed_bytes;
}

static inline void laws_print(const ftl_stats *s)
{
    fprintf(stderr,
            "created %llu live %llu pending %llu reclaimed %llu quarantined %llu immediate %llu deferred %llu\n"
            "committed %llu live %llu pending %llu quarantined %llu cached %llu slack %llu metadata %llu held %llu\n",
            (unsigned long long)s->created, (unsigned long long)s->live, (unsigned long long)s->pending,
            (unsigned long long)s->reclaimed, (unsigned long long)s->quarantined, (unsigned long long)s->immediate,
            (unsigned long long)s->deferred, (unsigned long long)s->committed_bytes, (unsigned long long)s->live_bytes,
            (unsigned long long)s->pending_bytes, (unsigned long long)s->quarantined_bytes,
            (unsigned long long)s->cached_bytes, (unsigned long long)s->slack_bytes,
            (unsigned long long)s->metadata_bytes, (unsigned long long)s->held_bytes);
}

static inline ftl_stats laws_stats(ftl_runtime *runtime)
{
    ftl_stats s;
    memset(&s, 0, sizeof s);
    bool good = ftl_runtime_stats(runtime, &s) == FTL_OK && laws_sums_hold(&s);
    if (!EXPECT(good))
        laws_print(&s);
    return s;
}

static inline int laws_write(const char *text, size_t n, void *user)
{
    (void)user;
    fwrite(text, 1, n, stderr);
    return 0;
}

/* At rest: nothing pending, and the audit agrees with the counters. */
static inline void laws_settle(ftl_runtime *runtime)
{
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_runtime_control(runtime, "check", laws_write, NULL), FTL_OK, "%s", ftl_last_error());
    ftl_stats s = laws_stats(runtime);
    cr_assert_eq(s.pending, 0);
    cr_assert_eq(s.audits_failed, 0);
    expect_nothing_failed();
}

static inline ftl_runtime *laws_open(const char *overrides)
{
    ftl_runtime *runtime = NULL;
    ftl_open_options options = {.overrides = overrides};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    return runtime;
}

/* Everything was dropped: so says the report. */
static inline void laws_close(ftl_runtime *runtime)
{
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(report.leaked, 0, "%llu leaked", (unsigned long long)report.leaked);
    cr_assert_eq(report.pinned, 0);
    cr_assert_eq(report.undone, 0);
    ftl_leak_report_free(report.leaks);
}

static inline ftl_tensor laws_new(ftl_runtime *runtime, size_t bytes, const ftl_tensor_options *options)
{
    ftl_tensor tensor = {0};
    EXPECT(ftl_bytes_new(runtime, bytes, options, &tensor) == FTL_OK);
    return tensor;
}

static inline uint64_t laws_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

#endif
