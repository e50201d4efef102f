/* What somebody may have meant who wrote a word that is none of those we know. Pure.
 *
 * Threads     Any. */
#ifndef FTLI_RUNTIME_COMPOSE_GUESS_H
#define FTLI_RUNTIME_COMPOSE_GUESS_H

#include <stddef.h>
#include <stdint.h>

enum { FTLI_GUESS_LONGEST = 32 }; /* longer words are not guessed at */

/* Insertions, deletions, exchanges and swaps of neighbours that make one word of the other (optimal string alignment).
 * UINT32_MAX if either is longer than FTLI_GUESS_LONGEST. */
uint32_t ftli_word_distance(const char *a, const char *b);

/* The nearest of the words, the first of several; NULL if none is near: at most one slip, and one more per four letters. */
const char *ftli_guess(const char *word, const char *const *words, size_t count);

#endif
