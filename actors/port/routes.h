/* The routes of a runtime: the topology's, wired to its actors. By open, before the actors start; until they are gone. */
#ifndef FTLI_ACTORS_PORT_ROUTES_H
#define FTLI_ACTORS_PORT_ROUTES_H

#include "actors/port/runtime.h"

/* After all other actors were added. FTL_ENOMEM, FTL_ELIMIT. */
int ftli_routes_open(struct ftl_runtime *);
void ftli_routes_close(struct ftl_runtime *);
/* The kernel's news of an actor; what an actor of the program's logs. */
void ftli_routes_on_news(struct ftl_runtime *, const ftli_news *);
void ftli_routes_on_log(struct ftl_runtime *, const char *actor, uint32_t level);

#endif
