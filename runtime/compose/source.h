/* A topology file's bytes, and the line of it that a message speaks of.
 *
 * Threads     Any. */
#ifndef FTLI_RUNTIME_COMPOSE_SOURCE_H
#define FTLI_RUNTIME_COMPOSE_SOURCE_H

#include "runtime/compose/report.h"

/* Reads at most 256 KiB. *out is the caller's to free. */
int ftli_source_read(const char *path, char **out, size_t *out_bytes, struct ftli_report *report);

/* For people: the line that `error` names, and a caret under the column:
 *        41 |   defragmentatoin:
 *           |   ^
 * error is what ftli_compose wrote about this text under this source name. False, and an empty text, if it names no
 * line of it. */
bool ftli_source_excerpt(const char *source, const char *text, size_t text_bytes, const char *error, char *out,
                         size_t out_bytes);

#endif
