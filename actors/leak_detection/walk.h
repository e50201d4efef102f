/* Reading the table: one slot at a time, as a consistent picture or not at all.
 *
 * Threads   Any, beside everything that happens. A header's fields are read between two loads of its word; a word that is
 *           unchanged says that they belong together.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_WALK_H
#define FTLI_ACTORS_LEAK_DETECTION_WALK_H

#include "actors/leak_detection/leak_detection.h"
#include "tensor/extension.h"

/* Who will give up the creator's reference, beside the program. */
enum ftli_leak_held {
    FTLI_HELD_BY_NOBODY = 0,
    FTLI_HELD_BY_SCOPE = 1, /* a member of a scope for work that is not over */
    FTLI_HELD_BY_CACHE = 2, /* of one that is declared a cache, over or not */
};

/* What a tensor that is LIVE, or DROPPED and pinned, says about itself. */
struct ftli_leak_tensor {
    uint64_t word, tensor;
    uint64_t bytes; /* of its shape; 0 of a view: its root has them */
    uint64_t age_ms, born_ms, tag;
    uint64_t root; /* of a view, its handle; else 0 */
    enum ftli_leak_held held;
    uint32_t scope_slot, scope_opened_ms; /* 0: no member */
    uint32_t cause;                       /* enum of fettle.h, or 0 */
    bool under_grace;                     /* it outlived its scope or thread, but not for long enough yet */
    uint32_t label, scope_label;
    const char *site;     /* a literal of the program, or NULL */
    uint32_t site_number; /* of a sampled one, in the table of sites; 0: it is not known */
};

/* False: the slot is in another state, or changed under the look. */
bool ftli_leak_look(const struct ftli_leak_detection *, uint32_t slot, uint64_t now_ns, struct ftli_leak_tensor *out);

/* A view without a name of its own gets label, site and scope label of its root. */
void ftli_leak_name_view(const struct ftli_leak_detection *, struct ftli_leak_tensor *view, uint64_t now_ns);

/* A dropped and pinned tensor was seen: remembers since when. FTL_LEAK_PINNED once that is 10 s, else 0. */
uint32_t ftli_leak_pinned_cause(struct ftli_leak_detection *, uint64_t tensor, uint64_t now_ns);
/* Forgets those that are no longer pinned. Returns how many are left. */
uint32_t ftli_leak_pinned_forget(struct ftli_leak_detection *);

/* A drop as the table shows it. */
enum ftli_drop_state {
    FTLI_DROP_NONE = 0,      /* no drop, completed, or pinned */
    FTLI_DROP_UNDER_WAY = 1, /* somebody has it, or ought to */
    FTLI_DROP_OVERDUE = 2,   /* its deadline is over; *out is set */
};
/* The same of drops that lie in parcels: whether some are under way. */
bool ftli_overdue_look_at_parcels(const struct ftli_leak_detection *, uint64_t now_ns, struct ftli_overdue_list *out);
enum ftli_drop_state ftli_overdue_look(const struct ftli_leak_detection *, uint32_t slot, uint64_t now_ns,
                                       struct ftli_overdue *out);
/* How many of them were in the earlier list as well. */
uint32_t ftli_overdue_confirm(const struct ftli_overdue_list *before, const struct ftli_overdue_list *now);

/* LIVE, and without a reference; *tensor is set. One load otherwise. */
bool ftli_unreferenced_look(const struct ftli_leak_detection *, uint32_t slot, uint64_t *tensor);
/* The actor's walk met one; and is over. */
void ftli_unreferenced_add(struct ftli_leak_detection *, uint64_t tensor, uint64_t now_ns);
void ftli_unreferenced_end(struct ftli_leak_detection *, uint64_t now_ns);

/* Tells of scopes that are open past their deadline, if one has passed; has the actor's tick come for the next one. */
void ftli_leak_look_at_scopes(struct ftli_leak_detection *, uint64_t now_ns);

#endif
