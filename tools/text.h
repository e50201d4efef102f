/* Figures as people read them: thousands separated, with units, short. Each call returns its text by value, to be used as
 * `ftli_text_count(n).text` in the same expression. */
#ifndef FTLI_TOOLS_TEXT_H
#define FTLI_TOOLS_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct ftli_text {
    char text[48];
};

struct ftli_text ftli_text_count(uint64_t count);  /* 1,310,402 */
struct ftli_text ftli_text_bytes(uint64_t bytes);  /* 12 B, 4.1 KiB, 733 MiB, 1.25 GiB: three digits that count */
struct ftli_text ftli_text_mib(uint64_t bytes);    /* 4,096 or 0.3: MiB without the unit, for sums */
struct ftli_text ftli_text_time(uint64_t time_ns); /* 62 ns, 1.9 us, 2.1 ms, 11.2 s, 3 min 43 s */
struct ftli_text ftli_text_percent(double share);  /* 0.4 %, 91.6 %, 100 % */

/* Colours, when the stream is a terminal and NO_COLOR is not set; else "". */
struct ftli_paint {
    const char *red, *green, *dim, *plain;
};
struct ftli_paint ftli_text_paint(FILE *stream);

/* The word of a list of `count` nearest to `word`, or NULL when none is near enough to be meant. */
const char *ftli_text_guess(const char *word, const char *const *words, uint32_t count);

#endif
