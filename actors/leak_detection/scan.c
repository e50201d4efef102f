/* Walks on the calling thread: ftl_leak_scan, and the list of close. */
#include "actors/leak_detection/report.h"

#include <stdlib.h>

#include "actors/leak_detection/holders.h"
#include "runtime/base/clock.h"

#define TIMEOUT_NS   (UINT64_C(10) * FTLI_NS_PER_S)
#define BIT(cause)   (UINT32_C(1) << (cause))
#define CAUSES_KNOWN (BIT(FTL_LEAK_PINNED + 1) - 1)
#define CERTAINTY    50 /* percent, unless another is asked for */
#define CAUSES_HERE                                                                                       \
    (BIT(0) | BIT(FTL_LEAK_UNREFERENCED) | BIT(FTL_LEAK_OUTLIVED_SCOPE) | BIT(FTL_LEAK_OUTLIVED_THREAD) | \
     BIT(FTL_LEAK_CYCLE) | BIT(FTL_LEAK_GROWTH) | BIT(FTL_LEAK_SURVIVOR) | BIT(FTL_LEAK_PINNED))
#define CAUSES_DEFAULT (CAUSES_HERE & ~BIT(0))

struct scan {
    struct ftli_leak_groups groups;
    uint32_t causes, certainty;
    uint64_t begun_ns, timeout_ns;
    uint64_t scanned, suspects, cycle_suspects;
    struct ftli_overdue_list overdue;  /* as the walk met them: once is no evidence */
    struct ftli_cycle_search cycles;   /* what it found is in its rows, and in no others */
    bool is_close;                     /* at rest: what is pinned is listed elsewhere */
    struct ftli_suspicion *suspicions; /* as the actor had them when the scan began */
    uint32_t suspicion_count;
};

static bool asks_for_reachability(const ftl_leak_options *options)
{
    return options->reachability || (options->causes & BIT(FTL_LEAK_UNREACHABLE)) != 0;
}

static int check_options(const ftl_leak_options *options)
{
    for (size_t i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++)
        if (options->reserved[i] != 0)
            return FTL_EINVAL;
    if (options->certainty > 100 || options->timeout_ns < 0 || (options->causes & ~CAUSES_KNOWN) != 0)
        return FTL_EINVAL;
    if ((options->causes & ~(CAUSES_HERE | BIT(FTL_LEAK_UNREACHABLE))) != 0)
        return FTL_ENOTSUP;
    return FTL_OK;
}

static struct ftli_suspicion *suspicion_of(struct scan *scan, const struct ftli_leak_tensor *tensor)
{
    const struct ftli_suspicion *found = ftli_suspicion_of(scan->suspicions, scan->suspicion_count, tensor);
    if (found == NULL || found->certainty < scan->certainty || (scan->causes & BIT(found->cause)) == 0)
        return NULL;
    return &scan->suspicions[found - scan->suspicions];
}

static int add_suspect(struct scan *scan, const struct ftli_leak_tensor *tensor, struct ftli_suspicion *suspicion)
{
    struct ftli_leak_finding finding = {
        .tensor = *tensor,
        .count = 1,
        .bytes = tensor->bytes,
        .certainty = suspicion->certainty,
        .growth_bytes_per_second = suspicion->bytes_per_second,
        .reason = suspicion->reason,
        .fix = suspicion->fix,
    };
    finding.tensor.cause = suspicion->cause;
    suspicion->bytes_per_second = 0; /* the row of the first one of them has it */
    return ftli_leak_groups_add_finding(&scan->groups, &finding);
}

static int look(struct ftli_leak_detection *leaks, struct scan *scan, uint32_t slot, uint64_t now_ns)
{
    struct ftli_leak_tensor tensor;
    struct ftli_overdue overdue;
    if (ftli_overdue_look(leaks, slot, now_ns, &overdue) == FTLI_DROP_OVERDUE)
        ftli_overdue_add(&scan->overdue, &overdue);
    if (!ftli_leak_look(leaks, slot, now_ns, &tensor))
        return FTL_OK;
    scan->scanned++;
    if (FTLI_UNLIKELY(ftli_word_references(tensor.word) == 0 && ftli_word_state(tensor.word) == FTLI_LIVE)) {
        tensor.cause = FTL_LEAK_UNREFERENCED; /* a fault, and no suspect */
        return (scan->causes & BIT(tensor.cause)) != 0 ? ftli_leak_groups_add(&scan->groups, &tensor) : FTL_OK;
    }
    if (ftli_word_state(tensor.word) == FTLI_DROPPED) {
        tensor.cause = scan->is_close ? 0 : ftli_leak_pinned_cause(leaks, tensor.tensor, now_ns);
        if (tensor.cause == 0)
            return FTL_OK;
    }
    scan->suspects += tensor.cause != 0;
    if (ftli_cycle_search_is_lost(&scan->cycles, slot)) {
        scan->cycle_suspects += tensor.cause == 0;
        return FTL_OK;
    }
    ftli_leak_name_view(leaks, &tensor, now_ns);
    struct ftli_suspicion *suspicion = suspicion_of(scan, &tensor);
    if (suspicion != NULL)
        return add_suspect(scan, &tensor, suspicion);
    return (scan->causes & BIT(tensor.cause)) != 0 ? ftli_leak_groups_add(&scan->groups, &tensor) : FTL_OK;
}

static int take_suspicions(struct ftli_leak_detection *leaks, struct scan *scan)
{
    if (leaks->growth.published == NULL)
        return FTL_OK;
    scan->suspicions = malloc(FTLI_SUSPICIONS_MOST * sizeof *scan->suspicions);
    if (scan->suspicions == NULL)
        return FTL_ENOMEM;
    scan->suspicion_count = ftli_suspicions_copy(leaks->growth.published, scan->suspicions);
    return FTL_OK;
}

/* At close what is known without it is told all the same. */
static int look_for_cycles(struct ftli_leak_detection *leaks, struct scan *scan)
{
    if ((scan->causes & BIT(FTL_LEAK_CYCLE)) == 0)
        return FTL_OK;
    int status = ftli_cycles_search_all(leaks, &scan->cycles, ftli_deadline_ns(scan->begun_ns, scan->timeout_ns));
    if (status == FTL_OK)
        status = ftli_cycles_report(leaks, &scan->cycles, scan->begun_ns, &scan->groups);
    if (status != FTL_OK)
        ftli_cycle_search_end(&scan->cycles);
    return scan->is_close ? FTL_OK : status;
}

/* Drops that nobody has in hand, and nobody took up since the walk met them. */
static int add_unreferenced(const struct ftli_leak_detection *leaks, struct scan *scan, uint64_t now_ns)
{
    for (uint32_t i = 0; i < scan->overdue.count && !scan->is_close && (scan->causes & BIT(FTL_LEAK_UNREFERENCED)) != 0;
         i++) {
        const struct ftli_overdue *row = &scan->overdue.rows[i];
        uint32_t slot = ftli_handle_slot(row->tensor);
        uint64_t word = ftli_u64_load_acquire(&ftli_table_header(leaks->world.table, slot)->word);
        struct ftli_overdue again;
        if (ftli_word_state(word) != FTLI_DROPPED ||
            ftli_overdue_look(leaks, slot, now_ns, &again) != FTLI_DROP_OVERDUE || again.tensor != row->tensor ||
            again.posted_ns != row->posted_ns)
            continue;
        struct ftli_leak_tensor tensor = {.word = word,
                                          .tensor = row->tensor,
                                          .bytes = row->bytes,
                                          .age_ms = (now_ns - row->posted_ns) / FTLI_NS_PER_MS,
                                          .cause = FTL_LEAK_UNREFERENCED};
        int status = ftli_leak_groups_add(&scan->groups, &tensor);
        if (status != FTL_OK)
            return status;
    }
    return FTL_OK;
}

/* What holds the oldest of each row, where that is another tensor. Where there is no memory for it, it is not said. */
static void explain(struct ftli_leak_detection *leaks, struct scan *scan)
{
    struct ftli_holders holders;
    char reason[FTLI_LEAK_REASON_BYTES];
    if (scan->groups.used == 0 ||
        ftli_u32_load_acquire(&leaks->world.table->cells_fresh) <= 1 /* nobody holds others */)
        return;
    if (ftli_holders_read(&holders, leaks->world.table) != FTL_OK)
        return;
    for (size_t i = 0; i < scan->groups.capacity; i++) {
        struct ftli_leak_group *group = &scan->groups.places[i];
        if (group->count != 0 && group->oldest.cause != FTL_LEAK_CYCLE &&
            ftli_holders_text(&holders, leaks, group->oldest.tensor, reason, sizeof reason))
            (void)ftli_leak_group_explain(group, reason);
    }
    ftli_holders_free(&holders);
}

static int walk(struct ftli_leak_detection *leaks, struct scan *scan, ftl_leak_report **out)
{
    uint32_t end = ftli_table_fresh(leaks->world.table);
    uint64_t now_ns = scan->begun_ns;
    int status = take_suspicions(leaks, scan);
    if (status == FTL_OK)
        status = look_for_cycles(leaks, scan);
    for (uint32_t slot = 1; slot < end && status == FTL_OK; slot = ftli_table_next(leaks->world.table, slot, end)) {
        status = look(leaks, scan, slot, now_ns);
        if (slot % FTLI_LEAK_SLICE_SLOTS == 0)
            now_ns = ftli_kernel_now_ns(leaks->world.kernel);
        if (status == FTL_OK && now_ns - scan->begun_ns > scan->timeout_ns)
            status = FTL_ETIMEDOUT;
    }
    ftli_cycle_search_end(&scan->cycles);
    free(scan->suspicions);
    if (status == FTL_OK)
        status = add_unreferenced(leaks, scan, now_ns);
    if (status != FTL_OK) {
        ftli_leak_groups_free(&scan->groups);
        return status;
    }
    explain(leaks, scan);
    (void)ftli_leak_pinned_forget(leaks);
    ftli_u64_store_release(&leaks->suspects, scan->suspects);
    if ((scan->causes & BIT(FTL_LEAK_CYCLE)) != 0)
        ftli_u64_store_release(&leaks->cycles.suspects, scan->cycle_suspects);
    (void)ftli_u64_fetch_add_relaxed(&leaks->walks, 1);
    uint64_t elapsed_ns = ftli_kernel_now_ns(leaks->world.kernel) - scan->begun_ns;
    return ftli_leak_groups_report(&scan->groups, leaks->world.labels, scan->certainty, scan->scanned, elapsed_ns, out);
}

/* The snapshot comes first: what a walk leaves on this thread's stack would be copies of handles. */
static int add_unreachable(struct ftli_leak_detection *leaks, struct scan *scan, const ftl_leak_options *options,
                           char *why, size_t why_bytes)
{
    uint32_t others = scan->causes & ~(BIT(0) | BIT(FTL_LEAK_UNREACHABLE));
    uint64_t timeout_ns = options->timeout_ns > 0 ? scan->timeout_ns : 0;
    int status = ftli_reach_scan(leaks, timeout_ns, others, &scan->groups, NULL, why, why_bytes);
    if (status != FTL_OK)
        ftli_leak_groups_free(&scan->groups);
    scan->timeout_ns = TIMEOUT_NS + ftli_kernel_now_ns(leaks->world.kernel) - scan->begun_ns; /* of the walk */
    return status;
}

int ftli_leak_scan_saying(struct ftli_leak_detection *leaks, const ftl_leak_options *options, ftl_leak_report **out,
                          char *why, size_t why_bytes)
{
    const ftl_leak_options standard = {0};
    why[0] = '\0';
    if (options == NULL)
        options = &standard;
    int status = check_options(options);
    if (status != FTL_OK)
        return status;
    struct scan scan = {
        .groups.sites = leaks->world.sites,
        .causes = options->causes != 0 ? options->causes : CAUSES_DEFAULT,
        .certainty = options->certainty != 0 ? options->certainty : CERTAINTY,
        .begun_ns = ftli_kernel_now_ns(leaks->world.kernel),
        .timeout_ns = options->timeout_ns > 0 ? (uint64_t)options->timeout_ns : TIMEOUT_NS,
    };
    if (asks_for_reachability(options))
        status = add_unreachable(leaks, &scan, options, why, why_bytes);
    return status == FTL_OK ? walk(leaks, &scan, out) : status;
}

int ftli_leak_scan(struct ftli_leak_detection *leaks, const ftl_leak_options *options, ftl_leak_report **out)
{
    char why[FTLI_REACH_WHY_BYTES];
    return ftli_leak_scan_saying(leaks, options, out, why, sizeof why);
}

int ftli_leak_list_alive(struct ftli_leak_detection *leaks, ftl_leak_report **out)
{
    struct scan scan = {
        .groups.sites = leaks->world.sites,
        .causes = UINT32_MAX,
        .certainty = CERTAINTY,
        .begun_ns = ftli_kernel_now_ns(leaks->world.kernel),
        .timeout_ns = UINT64_MAX,
        .is_close = true,
    };
    ftl_leak_report *report = NULL;
    int status = walk(leaks, &scan, &report);
    if (status != FTL_OK)
        return status;
    if (report->count == 0) {
        ftli_leak_report_destroy(report);
        report = NULL;
    }
    *out = report;
    return FTL_OK;
}
