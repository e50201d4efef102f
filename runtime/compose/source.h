/* A topology file's bytes.
 *
 * Threads     Any. */
#ifndef FTLI_RUNTIME_COMPOSE_SOURCE_H
#define FTLI_RUNTIME_COMPOSE_SOURCE_H

#include "runtime/compose/report.h"

/* Reads at most 256 KiB. *out is the caller's to free. */
int ftli_source_read(const char *path, char **out, size_t *out_bytes, struct ftli_report *report);

#endif
