/* Endpoints of this version: ipc://PATH, a socket in the file system that its owner alone may use.
 *
 * Pure, any thread.
 */
#ifndef FTLI_RUNTIME_BRIDGE_ENDPOINT_H
#define FTLI_RUNTIME_BRIDGE_ENDPOINT_H

#include <stddef.h>

enum { FTLI_ENDPOINT_MAX_PATH = 107 }; /* what a socket's address holds, without its zero */

/* The path of an endpoint, or NULL with what is wrong, and what was expected, in why. tcp:// is refused: without keys it
 * would be open to anybody, and keys are not in this version. */
const char *ftli_endpoint_path(const char *endpoint, char *why, size_t why_size);

#endif
