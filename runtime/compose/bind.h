/* From a tree of nodes to a struct of settings, by a table of keys. Strict: what a table does not know is an error.
 *
 * What        Values are laid over what the struct holds; a key that is not there leaves its field alone. The binder
 *             remembers where each value came from, for messages that only the whole topology allows.
 * Owns        The origins. Report, source and structs belong to the caller.
 * Threads     One.
 * Invariants  At most one origin per field: the last.
 */
#ifndef FTLI_RUNTIME_COMPOSE_BIND_H
#define FTLI_RUNTIME_COMPOSE_BIND_H

#include "runtime/compose/node.h"
#include "runtime/compose/schema.h"

enum ftli_layer { FTLI_LAYER_DEFAULT, FTLI_LAYER_FILE, FTLI_LAYER_OVERRIDES };

struct ftli_origin {
    const void *field;
    enum ftli_layer layer;
    uint32_t line, column; /* of the value */
};

struct ftli_binder {
    struct ftli_report *report;
    const char *sources[3]; /* by layer, for messages */
    enum ftli_layer layer;  /* that is being read */
    struct ftli_origin *origins;
    size_t origin_count, origin_size;
    /* What FTLI_KEY_NAMED holds is not the binder's to know: its caller reads the map. */
    int (*bind_named)(struct ftli_binder *binder, const struct ftli_node *map, const struct ftli_key *key, void *base,
                      const struct ftli_path *path);
    void *user;
};

/* A map may be read by two tables at once: the keys that all actors have, and those of one. */
struct ftli_part {
    const struct ftli_key *keys;
    void *base;
};

int ftli_bind_map(struct ftli_binder *binder, const struct ftli_node *map, const struct ftli_part *parts,
                  size_t part_count, const struct ftli_path *path);
int ftli_bind_value(struct ftli_binder *binder, const struct ftli_node *node, const struct ftli_key *key, void *base,
                    const struct ftli_path *path);
/* Refused things, and that the node is a map (or nothing at all, which is an empty one). */
int ftli_bind_expect_map(struct ftli_binder *binder, const struct ftli_node *node, const struct ftli_part *parts,
                         size_t part_count, const struct ftli_path *path);
int ftli_bind_refused(struct ftli_binder *binder, const struct ftli_node *node, const struct ftli_path *path);

struct ftli_place ftli_bind_place(const struct ftli_binder *binder, uint32_t line, uint32_t column);

/* Origins. The place of a field that no file set is the default's line. */
int ftli_origin_set(struct ftli_binder *binder, const void *field, uint32_t line, uint32_t column);
const struct ftli_origin *ftli_origin_of(const struct ftli_binder *binder, const void *field);
struct ftli_place ftli_origin_place(const struct ftli_binder *binder, const void *field);
bool ftli_origin_is_default(const struct ftli_binder *binder, const void *field);
/* Fields in [base, base + bytes) are gone. */
void ftli_origin_forget(struct ftli_binder *binder, const void *base, size_t bytes);
/* Fields in [base, base + bytes) now stand `by` bytes lower. */
void ftli_origin_move(struct ftli_binder *binder, const void *base, size_t bytes, size_t by);

/* "one", "one, two"; the names of tables, for messages. */
void ftli_write_names(const struct ftli_part *parts, size_t part_count, char *text, size_t text_bytes);

#endif
