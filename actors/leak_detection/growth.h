/* The growth pass: what becomes more and more, and what outlives its own kind.
 *
 * What      Walks of the table, each `growth.every` while the program works, sum the living by group (label, scope label, literal site),
 *           and open scopes by label. What counts are tensors that are no longer young (a twentieth of the window, and the age
 *           that 99 of 100 dead of the same literal site died before): load that comes and goes is young, what leaks grows old. A block of time is 1/32 of the window; its floors go to the groups'
 *           trends (trend.h), which are judged then.
 * Held      A member of an open scope will be given up with it: it counts when the scope is older than 6 windows and than 4
 *           times the longest life of a scope of that label; until then the number of open scopes counts. A cache counts when it has been
 *           above its soft bound, else its hard one, for a sixteenth of the window.
 * Survivors Of a literal site whose sampled dead are known (at least 1,000): living ones older than 1,000 times what 99 of 100
 *           lived, and than a window, and born after the first hundred had died. At least 3, at most 2 of 100. The
 *           certainty is Laplace's rule of succession (1774): of k that lived so long d were dropped, so the chance that the
 *           next is not dropped either is (k + 1) / (k + d + 2); at most 99 %.
 * Owns      Its groups, 2.2 KiB each, at most 1,024; the list of suspicions.
 * Threads   The actor's; the list and the number of suspects may be read by anybody.
 * Idle      Walks are asked for by a program that works; nobody asks while it does not.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_GROWTH_H
#define FTLI_ACTORS_LEAK_DETECTION_GROWTH_H

#include "actors/leak_detection/watched.h"
#include "actors/leak_detection/pass.h"
#include "actors/leak_detection/suspicion.h"
#include "runtime/base/atomics.h"

struct ftli_leak_detection;
struct ftli_leak_tensor;
struct ftli_route;

enum { FTLI_GROWTH_CACHES_MOST = 16 /* above their bounds that are told apart */ };

struct ftli_growth_cache {
    uint32_t slot, generation;
    uint64_t since_ms; /* above its bound; 0: this place is free */
    uint64_t bytes_then, bytes, bound, members;
    uint64_t newest; /* a member */
    bool seen;       /* in this walk */
    bool told;
};

struct ftli_growth {
    struct ftli_watched_table groups;
    struct ftli_trend_clock clock;
    struct ftli_route *confirmed; /* a suspicion passed the alarm; NULL: nobody is told */
    uint64_t block_ns, block_end_ns;
    uint64_t young_ms;
    uint64_t block_busy_ms; /* when the last block ended: a site that is busy by now was so before */
    /* the walk */
    uint64_t walk_ns, walk_ms; /* when it began, on the kernel's clock and since the runtime opened */
    uint32_t next_scope, end_scope, next_slot, end_slot;
    uint64_t walk_suspects;
    struct ftli_growth_memo { /* of the last tensor: the next one is often like it */
        struct ftli_watched_key key;
        struct ftli_watched *group;
        uint32_t scope_slot;
        bool scope_counts;
        struct ftli_watched *scopes;
    } memo;
    struct ftli_growth_cache caches[FTLI_GROWTH_CACHES_MOST];
    uint32_t suspicion_count;
    struct ftli_suspicion *suspicions; /* FTLI_SUSPICIONS_MOST of them, the actor's; behind it: */
    struct ftli_suspicions *published; /* NULL: growth is not looked for */
    ftli_atomic_u64 suspects; /* tensors that suspicions above the alarm are about, as the last walk found them */
};

extern const struct ftli_leak_pass_operations ftli_growth_pass;

int ftli_growth_init(struct ftli_leak_detection *); /* FTL_ENOMEM */
void ftli_growth_fini(struct ftli_leak_detection *);

/* The program works: a walk comes within growth.every. Any thread. */
void ftli_growth_note(struct ftli_leak_detection *);

/* From what age on a group's tensors count: they are no longer young, and older than 99 of 100 that died at their site became. */
static inline uint64_t ftli_growth_old_ms(const struct ftli_growth *growth, const struct ftli_watched *group)
{
    return group->lived_ms > growth->young_ms ? group->lived_ms : growth->young_ms;
}

/* A block ended: trends are judged, and suspicions made of them. */
void ftli_growth_judge(struct ftli_leak_detection *);
/* Then: the list is made anew, published, and what is new in it told. */
void ftli_growth_publish(struct ftli_leak_detection *);

#endif
