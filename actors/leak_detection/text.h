/* A report of leaks as people read it: one table, then why and what to do, once for all rows of which the same is said. In one way
 * everywhere: "leaks" of ftl_runtime_control, `fettle leaks`, the list of close.
 *
 * Pure; any thread. What a row says beyond the public fields is here too, for those who print it.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_TEXT_H
#define FTLI_ACTORS_LEAK_DETECTION_TEXT_H

#include <fettle/fettle.h>

enum { FTLI_LEAK_FRAMES = 16 };

/* What a row of a report says beyond the public fields; behind the rows in the report's own memory. */
struct ftli_leak_detail {
    const char *reason; /* why it is a finding: a sentence without its full stop. "": alive, no more is known */
    const char *fix;    /* what to do about it; "" with no reason */
    uint32_t site;      /* the number of its site (actors/tracking); 0: none */
    uint32_t frame_count;
    uintptr_t frames[FTLI_LEAK_FRAMES]; /* return addresses, innermost first */
};
/* row < report->count. Good as long as the report. */
const struct ftli_leak_detail *ftli_leak_detail_of(const ftl_leak_report *, size_t row);

enum { FTLI_LEAK_LINES_MOST = 100 }; /* that are shown; how many more there are is said */

struct ftli_leak_line {
    const ftl_leak *leak;
    const char *reason, *fix; /* "": nothing is said of it */
    const char *stack;        /* "inner < outer", or "" */
};

/* "outlived its scope"; "alive": no cause. */
const char *ftli_leak_cause(uint32_t cause);
/* The cause of these words; 0: there is none. */
uint32_t ftli_leak_cause_of(const char *words);

/* Nothing for no lines. expects: also how `fettle leaks` is told that a site is meant so. */
void ftli_leak_text(const struct ftli_leak_line *, size_t count, bool expects, ftl_write_fn write, void *user);

/* Figures as in the table: "5.0 MiB", "3 h 12 min". */
void ftli_leak_text_bytes(uint64_t bytes, char text[24]);
void ftli_leak_text_time(uint64_t ns, char text[24]);

#endif
