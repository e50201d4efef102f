/* leak_detection's address: what outlived its scope or its thread, what hangs on a pin, all that is alive; and the audit.
 *
 * What      Walks of the table, which is the registry: exact, and nothing is stopped. A report's rows are groups of tensors of
 *           one label, site, scope and cause.
 * Threads   Any, for all but the operations; walks of several threads do not disturb each other.
 *           Deadlines of scopes: who is still open then is told of.
 * Cost      A walk reads each line of the table once; the actor's own are cut into slices, and take 0.1 % of a core at most.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_LEAK_DETECTION_H
#define FTLI_ACTORS_LEAK_DETECTION_LEAK_DETECTION_H

#include <fettle/fettle.h>

#include "actors/allocation/allocation.h"
#include "actors/events/events.h"
#include "actors/leak_detection/cycles.h"
#include "actors/leak_detection/growth.h"
#include "actors/leak_detection/pass.h"
#include "actors/leak_detection/quota.h"
#include "actors/leak_detection/reach.h"
#include "actors/leak_detection/settings.h"
#include "actors/leak_detection/text.h"
#include "actors/tracking/tracking.h"
#include "runtime/kernel/kernel.h"
#include "tensor/label.h"
#include "tensor/scope.h"

enum {
    FTLI_LEAK_SLICE_SLOTS = 16384,
    FTLI_LEAK_PINNED_MOST = 1024, /* dropped and pinned tensors that are watched at once */
};
#define FTLI_LEAK_PINNED_NS UINT64_C(10000000000)
#define FTLI_AUDIT_APART_NS UINT64_C(1000000000) /* audits that allocations ask for */

enum { FTLI_LEAK_DETECTION_RECHECK = 1 }; /* of a route: a walk, soon but seldom, as after a note */

enum ftli_thread_fate {
    FTLI_THREAD_UNKNOWN = 0, /* or alive */
    FTLI_THREAD_ENDED = 1,   /* *ended_ns says when it was seen, on the kernel's clock */
};

struct ftli_overdue_list;

struct ftli_leak_detection_world {
    const struct ftli_leak_detection_settings *settings; /* NULL: not in the topology; scope 0 s, thread none then */
    struct ftli_table *table;
    const struct ftli_scopes *scopes;
    const struct ftli_labels *labels;
    struct ftli_device *device;
    ftli_kernel *kernel;
    uint64_t opened_ns; /* on the kernel's clock; stamps count milliseconds from here */
    /* What became of the thread that made a tensor: the number of its port is in the header's scope word, born_ns on the
     * kernel's clock. NULL: nobody can say, and no tensor is reported as having outlived its thread. */
    enum ftli_thread_fate (*thread_ended)(void *user, uint32_t port, uint64_t born_ns, uint64_t *ended_ns);
    void *user;
    uint64_t drop_deadline_ns; /* a drop that nothing pins is completed or quarantined by then; 0: not looked for */
    const struct ftli_sites *sites; /* of sampled tensors; NULL: none are */
    struct ftli_events *events;     /* who hears of new suspects and overdue drops; may be NULL */
    /* Parcels of drops begun before before_ns and not completed, a row each (tensor: its number, which is no handle). True: some
     * are under way, late or not. NULL: there are no parcels. */
    bool (*late_parcels)(void *user, uint64_t before_ns, struct ftli_overdue_list *out);
    /* Ends a scope as the program would: its members are dropped, which runs no code of the program's here. FTL_ESTALE: the
     * program was first. NULL: nobody can. */
    int (*end_scope)(void *user, uint64_t scope, uint64_t *dropped);
    /* Memory of ours in which handles are no copies: tables, rings, lists. How many; NULL: the table's alone is known. */
    uint32_t (*own_memory)(void *user, struct ftli_reach_range *out, uint32_t most);
    ftli_atomic_u64 *audits_failed; /* of ftl_stats; may be NULL */
};

/* A drop, or a parcel of drops, that is not completed, though nothing pins it and its deadline is over. */

enum { FTLI_OVERDUE_MOST = 64 /* that one walk tells apart */ };
struct ftli_overdue {
    uint64_t tensor, posted_ns, bytes;
};
struct ftli_overdue_list {
    uint32_t count;
    struct ftli_overdue rows[FTLI_OVERDUE_MOST];
};

/* A header that walks saw LIVE and without a reference; since when, and whether that is told. */
enum { FTLI_UNREFERENCED_MOST = 16 /* that one walk tells apart */ };
struct ftli_unreferenced {
    uint64_t tensor, seen_ns;
    bool told;
};
struct ftli_unreferenced_list {
    uint32_t count;
    struct ftli_unreferenced rows[FTLI_UNREFERENCED_MOST];
};

/* A header that a walk saw DROPPED with pins, and when one saw it first. */
struct ftli_leak_pinned {
    uint64_t tensor;
    uint64_t seen_ns;
};

struct ftli_leak_detection {
    struct ftli_leak_detection_world world;
    ftli_actor *actor; /* NULL until attached */
    ftli_token token;  /* over pinned */
    uint32_t pinned_count;
    struct ftli_leak_pinned
        *pinned;           /* FTLI_LEAK_PINNED_MOST of them: a mapping, of which only what is used is resident */
    ftli_atomic_u32 noted; /* pairs: leak-noted */
    struct ftli_leak_pass passes[FTLI_LEAK_PASSES];
    struct ftli_cycles cycles;
    struct ftli_quotas quotas;
    ftli_atomic_u32 mitigate; /* enum ftli_leak_mitigate */
    struct ftli_reach reach;
    struct ftli_growth growth;
    /* Of scopes with a deadline: the next one, complemented, so that 0 is none. pairs: scope-due */
    ftli_atomic_u64 scope_due;
    ftli_atomic_u64 scopes_overdue; /* as of the last look */
    /* the actor's own walk */
    uint32_t next_slot, end_slot;
    uint64_t walk_suspects, walk_suspect_bytes;
    struct ftli_leak_suspect {
        uint64_t tensor, bytes;
        uint32_t cause, label;
        const char *site;
    } walk_largest;  /* of the suspects */
    uint64_t told;   /* suspects that were told of, or as many as were left of them */
    bool walk_again; /* something is under grace, pinned, or a suspect: it may change without a note */
    struct ftli_overdue_list overdue_before, overdue_now; /* of the last walk, of this one */
    struct ftli_unreferenced_list unreferenced_before, unreferenced_now;
    ftli_atomic_u64 created, audited_created; /* tensors, as of the last that was said; as of the last walk */
    /* of the last walk that ended, the actor's or a caller's */
    ftli_atomic_u64 suspects;
    ftli_atomic_u64 walks;
    ftli_atomic_u64 overdue; /* the actor's alone */
};

extern const ftli_actor_operations ftli_leak_detection_operations;

int ftli_leak_detection_init(struct ftli_leak_detection *, const struct ftli_leak_detection_world *); /* FTL_ENOMEM */
void ftli_leak_detection_fini(struct ftli_leak_detection *);
void ftli_leak_detection_attach(struct ftli_leak_detection *, ftli_actor *);
/* A scope with living members was ended, a thread is gone, or a pinned tensor was dropped: the actor looks, soon but seldom.
 * One load if that was noted already. Async-signal-safe. */
void ftli_leak_detection_note(struct ftli_leak_detection *);
/* A walk within this time, unless one comes sooner: drops are pending. */
void ftli_leak_detection_look_within(struct ftli_leak_detection *, uint64_t delay_ns);
/* So many tensors were created, as a timer sees it while a program works: a walk, which is an audit too, follows `unreferenced.every`
 * of them within a second, fewer within `unreferenced.or`; and no sooner than its share of a core allows. */
void ftli_leak_detection_audit_within(struct ftli_leak_detection *, uint64_t created);
/* The tensor got a link, or lives on after a link to it went: cycles may have come to be, or be held no longer. Lock-free, and no
 * system call but to have the actor's tick come. */
void ftli_leak_detection_note_link(struct ftli_leak_detection *, uint64_t tensor);
/* A scope was opened that is overdue when it is still open at due_ns. */
void ftli_leak_detection_watch_scope(struct ftli_leak_detection *, uint64_t due_ns, uint64_t now_ns);
/* From now on; what is past its deadline already is looked at soon. */
void ftli_leak_detection_set_mitigate(struct ftli_leak_detection *, uint32_t mitigate, uint64_t now_ns);
/* Scopes that are open past their deadline, as the last look found them: one comes with each deadline that passes. */
uint64_t ftli_leak_detection_scopes_overdue(const struct ftli_leak_detection *);
/* ftl_stats.leak_suspects: tensors that outlived their scope or thread, hang on a pin, or hold each other, as the last looks found them. */
uint64_t ftli_leak_detection_suspects(const struct ftli_leak_detection *);
/* Drops that two walks of the actor in a row found past their deadline; at most FTLI_OVERDUE_MOST are told apart. */
uint64_t ftli_leak_detection_overdue(const struct ftli_leak_detection *);
/* The same by a walk on the calling thread. before: only what an earlier walk found as well; NULL: all, which is no evidence yet. */
void ftli_overdue_add(struct ftli_overdue_list *, const struct ftli_overdue *); /* if there is room */
void ftli_overdue_walk(const struct ftli_leak_detection *, const struct ftli_overdue_list *before,
                       struct ftli_overdue_list *out);

/* A walk on the calling thread for a header that is LIVE and has no reference: its handle; 0: there is none. */
uint64_t ftli_unreferenced_walk(const struct ftli_leak_detection *);

/* ftl_leak_scan, on the calling thread. options may be NULL. FTL_OK; FTL_EINVAL; FTL_ENOTSUP: a cause that is not in this
 * version; FTL_ETIMEDOUT; FTL_ENOMEM; with reachability also what ftli_reach_scan answers. */
int ftli_leak_scan(struct ftli_leak_detection *, const ftl_leak_options *options, ftl_leak_report **out);
/* The same, and in `why` a sentence where the status alone says too little; else "". */
int ftli_leak_scan_saying(struct ftli_leak_detection *, const ftl_leak_options *options, ftl_leak_report **out,
                          char *why, size_t why_bytes);
/* For close, at rest: all that is LIVE, each with its cause or 0. *out is NULL if there is none. FTL_ENOMEM. */
int ftli_leak_list_alive(struct ftli_leak_detection *, ftl_leak_report **out);
/* ftl_leak_report_free. NULL: nothing. */
void ftli_leak_report_destroy(ftl_leak_report *);

/* ---- the audit of CORE.md section 5: slots counted state by state. Exact at rest. */
struct ftli_audit_count {
    uint64_t tensors, bytes, block_bytes; /* a view: 0 bytes, its root has them */
};
struct ftli_audit {
    struct ftli_audit_count live, dropped, reclaiming, quarantined;
    struct ftli_audit_count parcelled; /* pending, and FREE in the table: on its way to the cleanup; not the walk's */
    struct ftli_audit_count pinned;    /* the part of dropped that has pins */
    uint64_t free, retired, unknown;
};
void ftli_audit_walk(const struct ftli_leak_detection *, struct ftli_audit *out);
/* FTL_OK, or FTL_EINTERNAL and in `why` which equation failed, with the values. */
int ftli_audit_compare(const struct ftli_audit *, const struct ftli_totals *, char *why, size_t why_bytes);

#endif
