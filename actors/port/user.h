/* The program's own actors in a runtime: added after Fettle's, found by name, reached by a generational id. */
#ifndef FTLI_ACTORS_PORT_USER_H
#define FTLI_ACTORS_PORT_USER_H

#include "actors/port/runtime.h"
#include "actors/port/topology.h"

int ftli_users_check_types(const ftl_open_options *); /* FTL_EINVAL, and says which */
int ftli_users_add(struct ftl_runtime *,
                   const ftl_open_options *); /* to the kernel, in the topology's order; says why not */
/* The first whose start failed when the kernel started, or NULL. */
const char *ftli_users_not_started(const struct ftl_runtime *);
void ftli_users_destroy(struct ftl_runtime *); /* after the kernel */

#endif
