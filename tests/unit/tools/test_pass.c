#include "tests/unit/tools/trace_file.h"
#include "tools/pass.h"
#include "tools/target_malloc.h"

#include <signal.h>
#include <stdint.h>

/* ThreadSanitizer cannot follow threads that are started after a fork of a process with threads, which Criterion's are. The
 * fettle program has one thread when it forks: tests/integration/check_fettle.sh runs it in that build, too. */
#if defined __SANITIZE_THREAD__
enum { CANNOT_FORK = 1 };
#else
enum { CANNOT_FORK = 0 };
#endif

static struct ftli_trace trace;
static struct ftli_plan plan;
static struct ftli_pass_options options;

static void set_up(void)
{
    struct trace_file file = {0};
    char why[512] = "";
    if (CANNOT_FORK) {
        cr_skip_test("threads after a fork");
    }
    trace_file_header(&file, 2, 3000, 2000);
    for (unsigned i = 0; i < 3000; i++) {
        trace_file_add(&file, "%u,%u,a,%u,%u,64\n", i, i % 2, i, 4096);
    }
    for (unsigned i = 0; i < 2000; i++) {
        trace_file_add(&file, "%u,%u,f,%u,%u,64\n", 3000 + i, (i / 3) % 2, i, 4096);
    }
    trace_file_write(&file, SIZE_MAX);
    cr_assert_eq(ftli_trace_load(file.path, &trace, why, sizeof why), 0, "%s", why);
    trace_file_remove(&file);
    cr_assert_eq(ftli_plan_make(&trace, 0, &plan), 0);
    options = (struct ftli_pass_options){.plan = &plan,
                                         .name = "events",
                                         .event_count = trace.event_count,
                                         .left_bytes = trace.left_bytes,
                                         .quiet = true,
                                         .play = {.time_one_in = 4, .fill = true}};
}

TestSuite(pass, .init = set_up);

struct seen {
    unsigned opened, samples, played, settled;
    int crash, refuse;
};

static int open_malloc(void *self, struct ftli_target *target, char *why, size_t why_size)
{
    struct seen *seen = self;
    seen->opened++;
    *target = ftli_target_malloc();
    if (seen->refuse == 1) {
        snprintf(why, why_size, "the door is shut");
        return -1;
    }
    if (seen->crash == 1) {
        signal(SIGTERM, SIG_DFL);
        raise(SIGTERM);
    }
    return 0;
}

static void sample(void *self)
{
    ((struct seen *)self)->samples++;
}

static int played(void *self, char *why, size_t why_size)
{
    struct seen *seen = self;
    seen->played++;
    if (seen->refuse == 2) {
        snprintf(why, why_size, "no drain");
        return -1;
    }
    return 0;
}

static int settled(void *self, char *why, size_t why_size)
{
    struct seen *seen = self;
    seen->settled++;
    if (seen->refuse == 3) {
        snprintf(why, why_size, "no close");
        return -1;
    }
    if (seen->crash == 2) {
        _exit(0);
    }
    return 0;
}

static int run(struct seen *seen, struct ftli_pass_result *result, char *why, size_t why_size)
{
    struct ftli_pass_kind kind = {
        .self = seen, .open = open_malloc, .sample = sample, .played = played, .settled = settled};
    return ftli_pass_run(&options, &kind, result, why, why_size);
}

Test(pass, measures_what_was_played)
{
    struct seen *seen = ftli_pass_shared(sizeof *seen);
    struct ftli_pass_result result = {0};
    char why[256] = "";
    options.settle_ns = UINT64_C(50000000);
    cr_assert_eq(run(seen, &result, why, sizeof why), 0, "%s", why);
    cr_assert(seen->opened == 1 && seen->played == 1 && seen->settled == 1 && seen->samples >= 1);
    cr_assert_eq(result.events, 5000);
    cr_assert_gt(result.wall_ns, 0);
    cr_assert_gt(result.cpu_ns, 0);
    cr_assert_geq(result.peak_resident_bytes, trace.left_bytes, "1,000 tensors of 4 KiB are still there, and filled");
    cr_assert_geq(result.settled_resident_bytes, trace.left_bytes);
    cr_assert_geq(result.peak_resident_bytes, result.end_resident_bytes);
    cr_assert_gt(result.minor_faults, 1000);
    cr_assert_gt(result.played.create.count, 0);
    cr_assert_gt(result.played.drop.count, 0);
}

Test(pass, refusals_are_told)
{
    static const char *const words[] = {"", "the door is shut", "no drain", "no close"};
    struct seen *seen = ftli_pass_shared(sizeof *seen);
    for (int at = 1; at <= 3; at++) {
        struct ftli_pass_result result = {.events = 77};
        char why[256] = "";
        seen->refuse = at;
        cr_assert_eq(run(seen, &result, why, sizeof why), -1);
        cr_assert_str_eq(why, words[at]);
        cr_assert_eq(result.events, 77, "half a run was handed out");
    }
}

Test(pass, a_crash_is_told)
{
    struct seen *seen = ftli_pass_shared(sizeof *seen);
    struct ftli_pass_result result = {.events = 77};
    char why[256] = "";
    seen->crash = 1;
    cr_assert_eq(run(seen, &result, why, sizeof why), -1);
    cr_assert_not_null(strstr(why, "died of signal 15 (Terminated) after 0 of 5,000 events"), "%s", why);
    seen->crash = 2;
    cr_assert_eq(run(seen, &result, why, sizeof why), -1);
    cr_assert_str_eq(why, "the process that played ended early");
    cr_assert_eq(result.events, 77);
}
