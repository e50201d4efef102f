/* config/default.yaml, as the build put it into the library: the topology of ftl_runtime_open(NULL).
 * Owns nothing. Constant; any thread may read it. */
#ifndef FTLI_RUNTIME_COMPOSE_DEFAULT_TOPOLOGY_H
#define FTLI_RUNTIME_COMPOSE_DEFAULT_TOPOLOGY_H

#include <stddef.h>

extern const char ftli_default_topology[];       /* ends with a zero byte */
extern const size_t ftli_default_topology_bytes; /* without it */

#endif
