/* A YAML text as a tree of nodes that know where they stand: the one file of the library that calls libyaml.
 *
 * What        Events become nodes; depth is limited while they are read, because libyaml's time grows with it. Anchors,
 *             aliases and tags are marked here and refused where their key is known.
 * Owns        A document owns all nodes and texts; they lie in chunks that go back together.
 * Threads     One.
 * Invariants  Of a map's child, key is not NULL. A node nests at most FTLI_DEPTH_MOST levels deep. Texts hold no zero.
 * Cost        Linear in the text, whatever it holds.
 */
#ifndef FTLI_RUNTIME_COMPOSE_NODE_H
#define FTLI_RUNTIME_COMPOSE_NODE_H

#include "runtime/compose/report.h"

enum { FTLI_TEXT_BYTES_MOST = 256 * 1024, FTLI_DEPTH_MOST = 16 };

enum ftli_node_kind { FTLI_NODE_VALUE, FTLI_NODE_MAP, FTLI_NODE_LIST };

struct ftli_node {
    enum ftli_node_kind kind;
    uint32_t line, column;
    const char *key; /* in a map, else NULL */
    uint32_t key_line, key_column;
    const char *text;    /* of a value */
    const char *refused; /* NULL, or what this node, or its key, has that is not taken */
    struct ftli_node *first, *next, *last;
};

struct ftli_chunk;
struct ftli_document {
    struct ftli_node *root; /* a map, or a value in an override */
    struct ftli_chunk *chunks;
};

/* Reads one document. place: where the text begins, for an override that stands within a line. FTL_OK, or what was
 * reported; the document is to be closed in every case. */
int ftli_document_open(struct ftli_document *document, const char *text, size_t text_bytes, struct ftli_place place,
                       struct ftli_report *report);
void ftli_document_close(struct ftli_document *document);

/* A map of one child, for the keys of an override; NULL without memory. */
struct ftli_node *ftli_document_wrap(struct ftli_document *document, struct ftli_node *child, const char *key,
                                     size_t key_bytes, uint32_t line, uint32_t column);

#endif
