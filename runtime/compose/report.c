#include "runtime/compose/report.h"

#include <fettle/fettle.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ftli_append(char *text, size_t text_bytes, const char *format, ...)
{
    size_t length = strlen(text);
    if (length + 1 >= text_bytes) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + length, text_bytes - length, format, arguments);
    va_end(arguments);
}

void ftli_path_write(const struct ftli_path *path, char *text, size_t text_bytes)
{
    text[0] = '\0';
    if (path == NULL) {
        return;
    }
    if (path->above != NULL) {
        ftli_path_write(path->above, text, text_bytes);
    }
    /* Names come from the file: a long one must not push out what is said about it. */
    ftli_append(text, text_bytes, "%s%.40s", text[0] == '\0' ? "" : ".", path->name);
}

/* One line is promised, and terminals obey control characters: a quoted text may hold any. */
static void make_one_line(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = '?';
        }
    }
}

int ftli_report(struct ftli_report *report, struct ftli_place place, const char *key, const char *format, ...)
{
    if (report->status != FTL_OK) {
        return report->status;
    }
    report->status = FTL_ECONFIG;
    if (report->text_bytes == 0) {
        return report->status;
    }
    report->text[0] = '\0';
    ftli_append(report->text, report->text_bytes, "%s", place.source);
    if (place.line != 0) {
        ftli_append(report->text, report->text_bytes, ":%u:%u", place.line, place.column);
    }
    ftli_append(report->text, report->text_bytes, ": ");
    if (key != NULL && key[0] != '\0') {
        ftli_append(report->text, report->text_bytes, "%s: ", key);
    }
    size_t length = strlen(report->text);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(report->text + length, report->text_bytes - length, format, arguments);
    va_end(arguments);
    make_one_line(report->text);
    return report->status;
}

int ftli_report_path(struct ftli_report *report, struct ftli_place place, const struct ftli_path *path,
                     const char *wrong)
{
    char key[FTLI_DOTTED_BYTES];
    ftli_path_write(path, key, sizeof key);
    return ftli_report(report, place, key, "%s", wrong);
}

int ftli_report_memory(struct ftli_report *report)
{
    if (report->status == FTL_OK) {
        report->status = FTL_ENOMEM;
        if (report->text_bytes != 0) {
            (void)snprintf(report->text, report->text_bytes, "no memory to read the topology");
        }
    }
    return report->status;
}
