/* Cycles of links that only themselves keep alive: the actor's pass, and the same for a scan.
 *
 * What      The pass looks at the part of the graph that changed. A cycle is made by a link, and what held one goes by an unlink, by the
 *           death of a parent, or by a drop. The first three are noted (links.h). For the fourth each cycle that was found and is held
 *           is remembered by a witness: a member, and how many links of its own component point at it. As long as its word
 *           counts more references than these, or a pin, the component is held; when it does not, it is looked from again. That no
 *           link of the component went meanwhile is known: its child would have been noted, and looked from. What is leaked is looked
 *           at again at each run, since by it others may be.
 *           A run that lost notes, the first one, and one after a restart or a failure look at all.
 * Owns      The log, what is remembered (12 bytes a cycle), and during a run what cycle_search.h says.
 * Threads   ftli_leak_detection_note_link: any. The pass: the actor's. Scans: any, beside it.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_CYCLES_H
#define FTLI_ACTORS_LEAK_DETECTION_CYCLES_H

#include "actors/leak_detection/cycle_search.h"
#include "actors/leak_detection/pass.h"

struct ftli_leak_groups;

/* own FTLI_CYCLE_NONE: nothing is known that holds it. */
struct ftli_cycle_known {
    uint32_t slot, generation;
    uint32_t own;
};

enum ftli_cycles_phase {
    FTLI_CYCLES_KNOWN,   /* witnesses */
    FTLI_CYCLES_CHANGED, /* the log, */
    FTLI_CYCLES_ALL,     /* or every slot */
    FTLI_CYCLES_JUDGE,
    FTLI_CYCLES_LOOK_AGAIN,
    FTLI_CYCLES_FORGET, /* witnesses of what was looked from */
    FTLI_CYCLES_REMEMBER,
};

struct ftli_cycles {
    struct ftli_link_log log;
    ftli_atomic_u32 linked; /* a link or view was made, ever */
    ftli_atomic_u32 noted;  /* pairs: cycles-noted */
    /* the actor's */
    struct ftli_cycle_search search;
    struct ftli_cycle_known *known;
    size_t known_count, known_most, known_at, known_kept;
    enum ftli_cycles_phase phase;
    bool all, again;     /* this run looks at all; the next one will */
    uint32_t slot, node; /* where this one is */
    uint64_t log_left;   /* entries that this run takes */
    unsigned looks;
    uint64_t found, found_bytes, found_new; /* members of leaked cycles; those that are no suspects for another cause */
    uint32_t largest;                       /* the root of one with most members */
    uint64_t told;
    /* of the last run */
    ftli_atomic_u64 leaked, suspects;
    ftli_atomic_u64 runs, failed, steps;
};

void ftli_cycles_init(struct ftli_cycles *);
void ftli_cycles_fini(struct ftli_cycles *);

extern const struct ftli_leak_pass_operations ftli_cycles_pass;

/* For a scan: all that there is, judged and looked at again. FTL_OK; FTL_ENOMEM; FTL_ETIMEDOUT. The search is ended by the caller
 * (ftli_cycle_search_end), whatever the result. */
int ftli_cycles_search_all(struct ftli_leak_detection *, struct ftli_cycle_search *, uint64_t deadline_ns);
/* A finding a cycle. FTL_ENOMEM. */
int ftli_cycles_report(const struct ftli_leak_detection *, struct ftli_cycle_search *, uint64_t now_ns,
                       struct ftli_leak_groups *);
/* "cycle: parent -> mask -> parent", from this node. */
void ftli_cycle_text(const struct ftli_leak_detection *, struct ftli_cycle_search *, uint32_t node, char *text,
                     size_t bytes);
/* How a tensor is called where people read: by its label, else by its handle. */
void ftli_leak_name(const struct ftli_leak_detection *, uint64_t tensor, char *text, size_t bytes);

#endif
