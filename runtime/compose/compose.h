/* The work of ftli_compose, cut into files: what they share.
 *
 * What        topology.c lays the layers, entries.c the things held by name, check.c tells what does not fit together,
 *             routes.c what routes name, difference.c what is not as built in, keys.c holds the tables of the sections.
 * Owns        The topology until it is handed over; the binder's origins.
 * Threads     One.
 */
#ifndef FTLI_RUNTIME_COMPOSE_COMPOSE_H
#define FTLI_RUNTIME_COMPOSE_COMPOSE_H

#include "runtime/compose/bind.h"
#include "runtime/compose/topology.h"

enum { FTLI_REMOVED_MOST = 64 };

/* An entry that a layer took out by `NAME: none`; kept for messages about who misses it. */
struct ftli_removed {
    const struct ftli_key *section;
    const struct ftli_actor_schema *schema; /* of an actor */
    char name[FTLI_NAME_BYTES];
    struct ftli_place place;
};

struct ftli_composer {
    struct ftli_binder binder;
    struct ftli_report *report;
    const struct ftli_compose_input *input;
    struct ftli_topology *topology;       /* being made */
    const struct ftli_topology *standard; /* the default alone: where new entries begin; NULL while it is made itself */
    char type[FTLI_NAME_BYTES];           /* where an actor's `type` is read to */
    struct ftli_removed removed[FTLI_REMOVED_MOST];
    size_t removed_count;
};

extern const struct ftli_key ftli_topology_keys[]; /* the sections */
extern const struct ftli_key ftli_group_keys[], ftli_device_keys[];
extern const struct ftli_key ftli_actor_keys[];      /* what every actor has: `threads` */
extern const struct ftli_key ftli_actor_type_keys[]; /* `type`, into struct ftli_composer */

/* The array that a FTLI_KEY_NAMED section fills. */
char *ftli_entries_of(const struct ftli_key *section, const struct ftli_topology *topology);
uint32_t ftli_entries_count(const struct ftli_key *section, const struct ftli_topology *topology);
/* The index of a name, or the count. */
uint32_t ftli_entries_find(const struct ftli_key *section, const struct ftli_topology *topology, const char *name);
/* "service, background": those that the file names first, in its order. */
void ftli_entries_write_names(const struct ftli_composer *composer, const struct ftli_key *section, char *text,
                              size_t text_bytes);
const char *ftli_entries_guess(const struct ftli_composer *composer, const struct ftli_key *section, const char *name);
const struct ftli_key *ftli_section(const char *name);
int ftli_bind_entries(struct ftli_binder *binder, const struct ftli_node *map, const struct ftli_key *section,
                      void *base, const struct ftli_path *path);

int ftli_check_complete(struct ftli_composer *composer); /* the default must say everything */
int ftli_check_routes(struct ftli_composer *composer);   /* of check_topology: what they name is there */
int ftli_compose_warn(struct ftli_composer *composer, const char *sentence);
const struct ftli_removed *ftli_find_removed(const struct ftli_composer *composer, const struct ftli_key *section,
                                             const char *name);
int ftli_check_topology(struct ftli_composer *composer); /* names resolved, values that fit each other, warnings */
int ftli_find_differences(struct ftli_composer *composer);

#endif
