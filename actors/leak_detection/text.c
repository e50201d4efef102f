#include "actors/leak_detection/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ROWS_NAMED = 8 };

static const char *const causes[] = {
    [0] = "alive",
    [FTL_LEAK_UNREFERENCED] = "no reference, not in cleanup",
    [FTL_LEAK_OUTLIVED_SCOPE] = "outlived its scope",
    [FTL_LEAK_OUTLIVED_THREAD] = "outlived its thread",
    [FTL_LEAK_CYCLE] = "cycle of links",
    [FTL_LEAK_GROWTH] = "grows",
    [FTL_LEAK_UNREACHABLE] = "no handle in memory",
    [FTL_LEAK_SURVIVOR] = "lives on, others like it do not",
    [FTL_LEAK_PINNED] = "dropped, pinned for more than 10 s",
};
enum { CAUSES = sizeof causes / sizeof causes[0] };

const char *ftli_leak_cause(uint32_t cause)
{
    return causes[cause < CAUSES ? cause : 0];
}

uint32_t ftli_leak_cause_of(const char *words)
{
    for (uint32_t i = 0; i < CAUSES; i++)
        if (strcmp(causes[i], words) == 0)
            return i;
    return 0;
}

void ftli_leak_text_bytes(uint64_t bytes, char text[24])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    unsigned unit = 0;
    for (; value >= 1023.95 && unit < 4; unit++)
        value /= 1024;
    (void)snprintf(text, 24, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

void ftli_leak_text_time(uint64_t ns, char text[24])
{
    uint64_t s = ns / 1000000000;
    if (ns < 1000000000)
        (void)snprintf(text, 24, "%" PRIu64 " ms", ns / 1000000);
    else if (s < 100)
        (void)snprintf(text, 24, "%" PRIu64 " s", s);
    else if (s < 3600)
        (void)snprintf(text, 24, "%" PRIu64 " min", s / 60);
    else if (s < 48 * 3600)
        (void)snprintf(text, 24, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s / 60 % 60);
    else
        (void)snprintf(text, 24, "%" PRIu64 " d %" PRIu64 " h", s / 86400, s / 3600 % 24);
}

struct out {
    ftl_write_fn write;
    void *user;
    int stopped;
};

__attribute__((format(printf, 2, 3))) static void say(struct out *out, const char *format, ...)
{
    char text[3000];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (out->stopped == 0 && n > 0)
        out->stopped = out->write(text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, out->user);
}

static void count_text(uint64_t count, char text[32])
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, count), at = 0;
    for (int i = 0; i < n; i++) {
        if (i != 0 && (n - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
}

static void cause_text(const ftl_leak *leak, char text[64])
{
    char growth[24];
    ftli_leak_text_bytes((uint64_t)(leak->growth_bytes_per_second * 3600), growth);
    if (leak->growth_bytes_per_second > 0)
        (void)snprintf(text, 64, "%s %s/h", ftli_leak_cause(leak->cause), growth);
    else
        (void)snprintf(text, 64, "%s", ftli_leak_cause(leak->cause));
}

static void say_row(struct out *out, const ftl_leak *leak)
{
    char count[32], bytes[24], age[24], cause[64], certainty[16];
    count_text(leak->count, count);
    ftli_leak_text_bytes(leak->bytes, bytes);
    ftli_leak_text_time(leak->age_ns, age);
    cause_text(leak, cause);
    (void)snprintf(certainty, sizeof certainty, "%" PRIu32 " %%", leak->certainty);
    say(out, "%6s %8s %10s  %-10s  %-34s  %-30s  %-12s  %s\n", certainty, count, bytes, age, cause,
        leak->site[0] != '\0' ? leak->site : "-", leak->label[0] != '\0' ? leak->label : "-",
        leak->scope[0] != '\0' ? leak->scope : "-");
}

static bool same_words(const struct ftli_leak_line *a, const struct ftli_leak_line *b)
{
    return strcmp(a->reason, b->reason) == 0 && strcmp(a->fix, b->fix) == 0;
}

/* "1, 3, 4" of the rows that the first says it for; false: one before said it. */
static bool name_rows(const struct ftli_leak_line *lines, size_t count, size_t first, char text[64])
{
    size_t used = 0, named = 0;
    for (size_t i = 0; i < first; i++)
        if (same_words(&lines[i], &lines[first]))
            return false;
    for (size_t i = first; i < count && named <= ROWS_NAMED; i++)
        if (same_words(&lines[i], &lines[first]))
            used +=
                (size_t)(named++ < ROWS_NAMED ? snprintf(text + used, 64 - used, "%s%zu", named > 1 ? ", " : "", i + 1)
                                              : snprintf(text + used, 64 - used, ", .."));
    return true;
}

static void say_why(struct out *out, const struct ftli_leak_line *line, const char *rows, bool expects)
{
    const char *site = line->leak->site;
    bool quiet = expects && site[0] != '\0';
    say(out, "%s  why: %s\n", rows, line->reason);
    if (line->stack[0] != '\0')
        say(out, "   %s\n", line->stack);
    if (line->fix[0] != '\0' || quiet)
        say(out, "   %s%s%s%s%s\n", line->fix[0] != '\0' ? "fix: " : "", line->fix,
            line->fix[0] != '\0' && quiet ? ".     " : "", quiet ? "quiet it: --expect " : "", quiet ? site : "");
}

void ftli_leak_text(const struct ftli_leak_line *lines, size_t count, bool expects, ftl_write_fn write, void *user)
{
    struct out out = {write, user, 0};
    char rows[64];
    size_t shown = count < FTLI_LEAK_LINES_MOST ? count : FTLI_LEAK_LINES_MOST;
    if (count == 0)
        return;
    say(&out, "CERTAIN   COUNT      BYTES  AGE         %-34s  %-30s  %-12s  SCOPE\n", "CAUSE", "SITE", "LABEL");
    for (size_t i = 0; i < shown; i++)
        say_row(&out, lines[i].leak);
    if (shown < count)
        say(&out, "... and %zu more rows, each of fewer bytes\n", count - shown);
    say(&out, "\n");
    for (size_t i = 0; i < shown; i++)
        if (lines[i].reason[0] != '\0' && name_rows(lines, shown, i, rows))
            say_why(&out, &lines[i], rows, expects);
}
