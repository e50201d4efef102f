/* Sums by key: rows that are found by two numbers, for one walk, on one thread.
 *
 * Owns      Its rows, from malloc; ftli_tally_free.
 */
#ifndef FTLI_ACTORS_TRACKING_TALLY_H
#define FTLI_ACTORS_TRACKING_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftli_tally_row {
    uint64_t key[2];
    uint64_t count, bytes;
    uint64_t mark; /* the caller's; 0 at first */
    bool is_used;
};

struct ftli_tally {
    struct ftli_tally_row *rows; /* sorted: `used` of them; else a hash table */
    size_t capacity, used;
    size_t most; /* rows; 0: no bound */
};

/* The row of the key, a new one if need be; NULL: there is no memory, or `most` rows are there. Not once it is sorted. */
struct ftli_tally_row *ftli_tally_at(struct ftli_tally *, uint64_t a, uint64_t b);
/* Most bytes first, then by key. */
void ftli_tally_sort(struct ftli_tally *);
void ftli_tally_free(struct ftli_tally *);

#endif
