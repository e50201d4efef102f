/* "leaks": a scan as people read it; "leaks json": the same for programs. And ftl_leak_report_write, which prints any report so. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actors/port/control.h"

enum { STACK_BYTES = 1024, CACHES_MOST = 1000 };

/* ---- lines ----------------------------------------------------------------------------------------------------------- */

/* "module+0x12ab < module+0x77": from the call on outwards. */
static void stack_text(const struct ftli_leak_detail *detail, char text[STACK_BYTES])
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < detail->frame_count && used < STACK_BYTES; i++) {
        char frame[100];
        ftli_module_text(detail->frames[i], frame, sizeof frame);
        used += (size_t)snprintf(text + used, STACK_BYTES - used, "%s%s", i == 0 ? "" : " < ", frame);
    }
}

/* The first rows, as many as are shown. NULL: no memory. */
static struct ftli_leak_line *lines_of(const ftl_leak_report *report)
{
    size_t shown = report->count < FTLI_LEAK_LINES_MOST ? report->count : FTLI_LEAK_LINES_MOST;
    struct ftli_leak_line *lines = malloc((report->count + 1) * sizeof *lines + shown * STACK_BYTES);
    if (lines == NULL)
        return NULL;
    char *stacks = (char *)(lines + report->count + 1);
    for (size_t i = 0; i < report->count; i++) {
        const struct ftli_leak_detail *detail = ftli_leak_detail_of(report, i);
        lines[i] = (struct ftli_leak_line){&report->leaks[i], detail->reason, detail->fix, ""};
        if (i < shown) {
            stack_text(detail, stacks + i * STACK_BYTES);
            lines[i].stack = stacks + i * STACK_BYTES;
        }
    }
    return lines;
}

void ftl_leak_report_write(const ftl_leak_report *report, ftl_write_fn write, void *user)
{
    if (report == NULL || write == NULL || report->count == 0)
        return;
    struct ftli_leak_line *lines = lines_of(report);
    if (lines == NULL) {
        static const char none[] = "no memory for the list\n";
        (void)write(none, sizeof none - 1, user);
        return;
    }
    ftli_leak_text(lines, report->count, false, write, user);
    free(lines);
}

/* ---- caches ---------------------------------------------------------------------------------------------------------- */

struct caches {
    const struct ftl_runtime *runtime;
    uint32_t count, now_ms;
    struct cache {
        struct ftli_telemetry_cache said;
        uint32_t label;
    } rows[CACHES_MOST]; /* by label */
};

static void note_cache(void *user, uint32_t slot, const struct ftli_scope *scope)
{
    struct caches *caches = user;
    uint64_t word = ftli_u64_load_acquire(&scope->word);
    uint32_t label = ftli_u32_load_acquire(&scope->label), opened_ms = ftli_u32_load_acquire(&scope->opened_ms), i = 0;
    (void)slot;
    if (ftli_u32_load_acquire(&scope->kind) != FTL_SCOPE_CACHE || ftli_scope_members_of(word) == 0)
        return;
    while (i < caches->count && caches->rows[i].label != label)
        i++;
    if (i == CACHES_MOST)
        return;
    struct cache *row = &caches->rows[i];
    if (i == caches->count) {
        *row = (struct cache){.said.label = ftli_label_text(&caches->runtime->labels, label), .label = label};
        caches->count++;
    }
    uint64_t age_ns = caches->now_ms > opened_ms ? (uint64_t)(caches->now_ms - opened_ms) * 1000000 : 0;
    row->said.tensors += ftli_scope_members_of(word);
    row->said.bytes += ftli_u64_load_acquire(&scope->live_bytes);
    row->said.age_ns = age_ns > row->said.age_ns ? age_ns : row->said.age_ns;
}

/* NULL: no memory. */
static struct caches *read_caches(struct ftl_runtime *runtime)
{
    struct caches *caches = calloc(1, sizeof *caches);
    if (caches == NULL)
        return NULL;
    caches->runtime = runtime;
    caches->now_ms = ftli_runtime_ms(runtime);
    ftli_scopes_each(&runtime->scopes, note_cache, caches);
    return caches;
}

/* ---- the answers ----------------------------------------------------------------------------------------------------- */

static void say_text(const ftl_leak_report *report, const struct caches *caches, struct ftli_control_answer *answer)
{
    char bytes[24], age[24];
    ftli_control_say(answer, "%llu findings over %llu tensors\n", (unsigned long long)report->count,
                     (unsigned long long)report->scanned);
    if (answer->stopped == 0)
        ftl_leak_report_write(report, answer->write, answer->user);
    for (uint32_t i = 0; i < caches->count; i++) {
        const struct ftli_telemetry_cache *cache = &caches->rows[i].said;
        ftli_leak_text_bytes(cache->bytes, bytes);
        ftli_leak_text_time(cache->age_ns, age);
        ftli_control_say(answer, "%s (%s, %llu tensors, %s old) are in a cache scope: not counted\n",
                         cache->label[0] != '\0' ? cache->label : "without a label", bytes,
                         (unsigned long long)cache->tensors, age);
    }
}

static int say_json(const struct ftl_runtime *runtime, const ftl_leak_report *report, const struct caches *caches,
                    struct ftli_control_answer *answer)
{
    char out[FTLI_TELEMETRY_LEAK_BYTES], stack[STACK_BYTES];
    const struct ftli_telemetry_leaks head = {
        .runtime = runtime->topology->name,
        .process = (uint64_t)getpid(),
        .scanned = report->scanned,
        .elapsed_ns = report->elapsed_ns,
        .watched_ns = ftli_kernel_now_ns(runtime->kernel) - runtime->opened_ns,
        .leaked = report->leaked,
        .leaked_bytes = report->leaked_bytes,
    };
    size_t n = ftli_telemetry_leaks_begin(&head, out, sizeof out);
    if (n == 0)
        return ftli_fail(FTL_ENOTSUP, "leaks json: telemetry is not in this build");
    ftli_control_write(answer, out, n);
    for (size_t i = 0; i < report->count && answer->stopped == 0; i++) {
        const struct ftli_leak_detail *detail = ftli_leak_detail_of(report, i);
        stack_text(detail, stack);
        const struct ftli_telemetry_leak row = {&report->leaks[i], ftli_leak_cause(report->leaks[i].cause),
                                                detail->reason, detail->fix, stack};
        ftli_control_write(answer, out, ftli_telemetry_leaks_finding(&row, i == 0, out, sizeof out));
    }
    ftli_control_write(answer, out, ftli_telemetry_leaks_caches(out, sizeof out));
    for (uint32_t i = 0; i < caches->count; i++)
        ftli_control_write(answer, out, ftli_telemetry_leaks_cache(&caches->rows[i].said, i == 0, out, sizeof out));
    ftli_control_write(answer, out, ftli_telemetry_leaks_end(out, sizeof out));
    return FTL_OK;
}

int ftli_control_leaks(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    struct ftli_control_answer answer = {write, user, 0};
    const ftl_leak_options options = {.reachability = strncmp(arguments, "reach", 5) == 0 &&
                                                      (arguments[5] == ' ' || arguments[5] == '\0')};
    char why[FTLI_REACH_WHY_BYTES];
    if (options.reachability)
        arguments += 5 + strspn(arguments + 5, " ");
    bool json = strcmp(arguments, "json") == 0;
    if (!json && arguments[0] != '\0')
        return ftli_fail(FTL_EINVAL, "request: leaks: \"%.40s\" means nothing here; json, reach, or nothing",
                         arguments);
    ftl_leak_report *report;
    int status = ftli_leak_scan_saying(&runtime->leak_detection, &options, &report, why, sizeof why);
    if (status != FTL_OK)
        return ftli_fail(status, "the leak scan: %s", why[0] != '\0' ? why : ftl_strerror(status));
    struct caches *caches = read_caches(runtime);
    if (caches == NULL)
        status = ftli_fail(FTL_ENOMEM, "the leak scan: no memory");
    else if (json)
        status = say_json(runtime, report, caches, &answer);
    else
        say_text(report, caches, &answer);
    free(caches);
    ftli_leak_report_destroy(report);
    return status;
}
