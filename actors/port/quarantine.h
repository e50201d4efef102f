/* What an operator asks of the quarantine: "quarantine" lists it, "retry HANDLE" and "retry all" have the cleanup begin again. */
#ifndef FTLI_ACTORS_PORT_QUARANTINE_H
#define FTLI_ACTORS_PORT_QUARANTINE_H

#include "actors/port/runtime.h"

/* Whether it is such a request. */
bool ftli_quarantine_is_asked(const char *request);
/* The answer, inside the runtime. FTL_EINVAL: no handle, or it is alive; FTL_ESTALE: there is no such tensor (any more); FTL_EBUSY: it is
 * being reclaimed; FTL_ECLOSED: a retry while the runtime closes. */
int ftli_quarantine_answer(struct ftl_runtime *, const char *request, ftl_write_fn, void *user);

#endif
