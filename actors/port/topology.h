/* The topology a program asked for, with every actor that this library has: the one place that hands compose
 * all of their tables.
 *
 * Threads     No shared state: any thread. */
#ifndef FTLI_ACTORS_PORT_TOPOLOGY_H
#define FTLI_ACTORS_PORT_TOPOLOGY_H

#include "runtime/compose/topology.h"

#include <fettle/fettle.h>

enum { FTLI_USER_TYPES_MOST = 64 };

/* Reads path, text, text_bytes, overrides and the names of actor_types (checked before) of the options (NULL, or path and text NULL: the built-in
 * default). FTL_OK, FTL_ENOMEM, or FTL_EINVAL or FTL_ECONFIG and one line in `error`. */
int ftli_topology_load(const ftl_open_options *options, struct ftli_topology **out, char *error, size_t error_bytes);
void ftli_topology_free(struct ftli_topology *topology);

#endif
