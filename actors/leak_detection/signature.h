/* Signatures: known shapes of leaks, told from figures of a group; the words that a finding is printed with.
 *
 * What      Pure: figures in, a name of the shape and two sentences out. The order of tests is the order of certainty: what says more
 *           about the program is asked first.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_SIGNATURE_H
#define FTLI_ACTORS_LEAK_DETECTION_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ftli_signature {
    FTLI_SIGNATURE_GROWTH, /* it grows, and no more is known */
    FTLI_SIGNATURE_FORGOTTEN, /* all that are made there stay: a forgotten drop, a queue that nobody drains, a growing map */
    FTLI_SIGNATURE_ERROR_PATH, /* most die young, a small share of each while stays */
    FTLI_SIGNATURE_RETAINED,   /* those that stay have more references than those that do not */
    FTLI_SIGNATURE_SCOPES,     /* open scopes become more and more, and what is in them with them */
    FTLI_SIGNATURE_CACHE,      /* a declared cache is above its bound */
    FTLI_SIGNATURE_SURVIVORS,  /* most die young; some were left, and it does not go on */
};

/* What is known of a group; what is not known is 0. */
struct ftli_leak_facts {
    bool grows;  /* else survivors */
    bool scopes; /* a count of open scopes */
    double count_per_second, bytes_per_second;
    double r, acceleration;  /* of the trend: correlation with time; second half's slope to the first one's */
    double watched_seconds;  /* of the window that told it */
    uint64_t old, young;     /* living ones that are old enough to count, and the others */
    double references;       /* of the old ones, on average */
    double references_young; /* of the young ones; 0: there are none */
    double dead;             /* of its site, that tracking has seen die; 0: not known */
    uint64_t typical_ms;     /* 99 of 100 of the dead lived no longer */
    uint64_t oldest_ms;
    uint64_t bound_bytes, held_bytes; /* of a cache */
    const char *scope;                /* its label */
};

enum ftli_signature ftli_signature_of(const struct ftli_leak_facts *);
/* Why it is a finding, and what to do: sentences without full stop. */
void ftli_signature_words(enum ftli_signature, const struct ftli_leak_facts *, char *reason, size_t reason_bytes,
                          char *fix, size_t fix_bytes);
/* "14.9 MiB/h": of bytes, in the unit of time that suits; "12 B/s". */
void ftli_signature_rate(double bytes_per_second, char *text, size_t bytes);

#endif
