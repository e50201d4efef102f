/* A profile written again, with the names that it has got since it was read. One thread. */
#ifndef FTLI_TOOLS_PROFILE_WRITE_H
#define FTLI_TOOLS_PROFILE_WRITE_H

#include <stdio.h>

#include "tools/profile_read.h"

/* Every field that was there, and names for locations; a mapping all of whose locations have some says so. False: errno says what
 * `out` complained of. */
bool ftli_profile_write(const struct ftli_profile *, FILE *out);

#endif
