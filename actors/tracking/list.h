/* Every live tensor, one after the other, while threads run.
 *
 * What      A walk over the table: each slot is looked at once, and what it holds is told as one picture.
 * Exact     means: a tensor that was live during the whole walk is told exactly once, with its own fields; one that was born or dropped
 *           meanwhile is told once or not at all, and never with another's fields. So at rest the sums are those of ftl_stats; while
 *           threads run they may differ from them by what came and went during the walk, and by nothing else.
 * Why       A tensor has one slot for its life and a slot one tensor at a time; who was live before the walk began lies below
 *           ftli_table_fresh, and in a page that the walk does not pass by.
 * Threads   Any, several at once. Nobody is stopped, and nobody waits. Progress: wait-free, but for the callback.
 */
#ifndef FTLI_ACTORS_TRACKING_LIST_H
#define FTLI_ACTORS_TRACKING_LIST_H

#include <fettle/fettle.h>

#include "actors/tracking/site.h"
#include "tensor/label.h"
#include "tensor/look.h"

/* Where what is listed lies. */
struct ftli_list_world {
    const struct ftli_table *table;
    const struct ftli_scopes *scopes;
    const struct ftli_labels *labels;
    const struct ftli_sites *sites; /* NULL: nothing is sampled */
};

typedef bool (*ftli_list_look_fn)(void *user, const struct ftli_look *); /* false: the walk ends */
void ftli_list_walk(const struct ftli_list_world *, ftli_list_look_fn, void *user);

/* ftl_tensor_list: the rows that the options let through. now_ms: since the runtime opened. */
void ftli_list_rows(const struct ftli_list_world *, const ftl_list_options *, uint32_t now_ms, ftl_list_fn, void *user);

#endif
