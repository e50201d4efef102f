/* Names for the addresses of a profile, by libdw from the files that it names, if they are still the ones they were.
 *
 * Threads   One. A build without libdw finds nothing, and says so.
 */
#ifndef FTLI_TOOLS_PROFILE_SYMBOLS_H
#define FTLI_TOOLS_PROFILE_SYMBOLS_H

#include <stdio.h>

#include "tools/profile_read.h"

struct ftli_profile_symbolised {
    size_t addresses; /* locations without a name, and of them */
    size_t named;
};

/* Gives lines to locations that have none. What cannot be looked up is said on `complaints`, a file at a time; NULL: not said. False: no
 * memory. */
bool ftli_profile_symbolise(struct ftli_profile *, FILE *complaints, struct ftli_profile_symbolised *out);
/* Function and line added to a location, as the next outer one. False: no memory. For ftli_profile_symbolise, and tests. */
bool ftli_profile_add_line(struct ftli_profile *, struct ftli_profile_location *, const char *function,
                           const char *file, uint64_t line);

#endif
