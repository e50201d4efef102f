/* What is wrong with a topology, in one line: file:line:column: key: what is wrong; what was expected; a guess.
 *
 * Owns        The text belongs to the caller. Only the first report is kept: what follows from it would mislead.
 * Threads     One.
 */
#ifndef FTLI_RUNTIME_COMPOSE_REPORT_H
#define FTLI_RUNTIME_COMPOSE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FTLI_DOTTED_BYTES = 128, FTLI_WRONG_BYTES = 320 };

/* Where something stands. Line 0: nowhere in particular; the source alone is named. */
struct ftli_place {
    const char *source;
    uint32_t line, column; /* from 1; the column counts characters */
};

/* A key and those it lies in, innermost first: lives on the stack of those who walk down. */
struct ftli_path {
    const struct ftli_path *above;
    const char *name;
};

struct ftli_report {
    char *text;
    size_t text_bytes;
    int status; /* FTL_OK until something is reported */
};

/* "actors.cleanup.batch". Cut off if it does not fit. */
void ftli_path_write(const struct ftli_path *path, char *text, size_t text_bytes);

/* Keeps the line and FTL_ECONFIG; returns the report's status. key: NULL or "" for none. */
int ftli_report(struct ftli_report *report, struct ftli_place place, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int ftli_report_path(struct ftli_report *report, struct ftli_place place, const struct ftli_path *path,
                     const char *wrong);
int ftli_report_memory(struct ftli_report *report);

/* printf to the end of a text; what does not fit is left out. */
void ftli_append(char *text, size_t text_bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
