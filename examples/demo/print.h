/* What a person sees of an act: counts, times and sizes as words, and lines with a verdict. */
#ifndef FETTLE_EXAMPLES_DEMO_PRINT_H
#define FETTLE_EXAMPLES_DEMO_PRINT_H

#include <stdbool.h>
#include <stdint.h>

struct text {
    char text[32];
};

struct text count_text(uint64_t count);
struct text time_text(uint64_t time_ns);
struct text mib_text(uint64_t bytes);

/* A line with its verdict at the end: red, on a terminal, when it is not the one hoped for. */
void print_line(const char *line, bool good, const char *when_good, const char *when_not);

#endif
