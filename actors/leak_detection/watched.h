/* Groups that growth is watched of: tensors of one label, scope label and literal site, or open scopes of one label.
 *
 * What      A fixed table; a group that was empty for as long as its second level remembers gives its place up. When it is full, all
 *           others share one group, "(other)".
 * Owns      One reservation of address space, of which only what is used is resident: 2.2 KiB a group.
 * Threads   The actor's.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_WATCHED_H
#define FTLI_ACTORS_LEAK_DETECTION_WATCHED_H

#include <stddef.h>

#include "actors/leak_detection/trend.h"

enum { FTLI_WATCHED_MOST = 1024 };

enum ftli_watched_kind { FTLI_WATCHED_NONE = 0, FTLI_WATCHED_TENSORS = 1, FTLI_WATCHED_SCOPES = 2 };

struct ftli_watched_key {
    enum ftli_watched_kind kind;
    uint32_t label, scope_label;
    const char *site; /* a literal */
};

/* What one walk sees of it. */
struct ftli_watched_sight {
    uint64_t count, bytes; /* of the old ones */
    uint64_t young;        /* of the others */
    uint64_t references, references_young;
    uint64_t survivors, survivor_bytes; /* of the old ones: those far beyond what its site's lifetimes say */
    uint64_t newest;                    /* the one of the old ones that was born last: its handle and when */
    uint64_t newest_ms, oldest_age_ms;
    uint32_t site_number; /* of a sampled one; 0: none */
};

struct ftli_watched {
    struct ftli_watched_key key;
    struct ftli_watched_sight sight, last; /* of the walk that runs; of the last one that ended */
    bool has_floor;                        /* a walk ended in this block */
    double floor_count, floor_bytes;       /* of this block, so far */
    struct ftli_trend count, bytes;
    struct ftli_watched_verdict {
        double probability;              /* 0: it does not grow */
        double count_slope, bytes_slope; /* per second */
        double r, acceleration, newest;
        uint64_t born_from_ms; /* what the growth is made of was born from then on */
        double seconds;        /* of the window */
    } verdicts[FTLI_TREND_LEVELS];
    uint64_t longest_ms;   /* scopes: the longest life of one that is over */
    uint64_t busy_from_ms; /* when its site had seen a hundred deaths; 0: not yet */
    uint64_t survive_ms;   /* older than this: a survivor; 0: its lifetimes are not known */
    uint64_t lived_ms; /* 99 of 100 of its site's dead lived for less; 0: not known. What is younger is no leak yet */
    bool told;         /* it is above the alarm, and that was told of */
};

struct ftli_watched_table {
    struct ftli_watched *groups; /* 0 is "(other)" */
    uint32_t *places;            /* open-addressed: index of a group, 0: empty */
    uint32_t end;                /* groups from here on were never used */
    uint32_t used;
    size_t bytes; /* of the reservation */
};

int ftli_watched_open(struct ftli_watched_table *); /* FTL_ENOMEM */
void ftli_watched_close(struct ftli_watched_table *);
/* It, made if need be; group 0 when there is no room. */
struct ftli_watched *ftli_watched_of(struct ftli_watched_table *, const struct ftli_watched_key *);
/* It, or NULL. */
struct ftli_watched *ftli_watched_find(const struct ftli_watched_table *, const struct ftli_watched_key *);
/* Those that hold nothing and did not for long give up their places. */
void ftli_watched_sweep(struct ftli_watched_table *);

#endif
