/* How the command line reaches a runtime of a process that runs: by its control socket. One thread.
 *
 * A runtime is named by PID; by PID-NUMBER, or by its own name, where a process has several; by the path of its socket, with ipc:// or
 * without, where its topology says one; or not at all (NULL or "-"): the one that there is. $XDG_RUNTIME_DIR/fettle
 * comes first, the places for where that is missing are looked at only when it has nobody who is meant. Whoever cannot be told apart, or is not
 * there, is answered by a message that lists what there is.
 */
#ifndef FTLI_TOOLS_REMOTE_H
#define FTLI_TOOLS_REMOTE_H

#include "tools/command.h"

#include <stddef.h>

struct ftli_remote;

/* -1: reached; else an exit code (FTLI_EXIT_NOBODY, FTLI_EXIT_USAGE), after a message. */
int ftli_remote_open(const struct ftli_command *command, const char *whom, struct ftli_remote **out);
void ftli_remote_close(struct ftli_remote *remote);

/* "default 4242", or the path where that is all that is known. */
const char *ftli_remote_title(const struct ftli_remote *remote);

/* Asks as ftl_runtime_control does; text goes out through write as it comes (nonzero: no more is wanted). -1: FTL_OK; else an exit code
 * after a message: FTLI_EXIT_NOBODY: it was silent or has ended, FTLI_EXIT_USAGE: no such request, FTLI_EXIT_FAULT: any other answer. */
int ftli_remote_ask(struct ftli_remote *remote, const char *request, int (*write)(const char *, size_t, void *),
                    void *user);

/* The same with the whole text, which is the caller's to free, and ends with a zero; at most 256 MiB. */
int ftli_remote_text(struct ftli_remote *remote, const char *request, char **text, size_t *bytes);

#endif
