/* The program that is recorded: found, looked at, started with the recorder in front of it, waited for. One thread. */
#ifndef FTLI_TOOLS_RECORD_PROGRAM_H
#define FTLI_TOOLS_RECORD_PROGRAM_H

#include "tools/recorder/shared.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where the shell would find the program. NULL: nowhere, or it may not be run; why says which. */
char *ftli_record_find_program(const char *name, char *why, size_t why_size);

/* An ELF file that asks for no loader: nothing can be loaded in front of it. */
bool ftli_record_is_static(const char *path);

/* The recorder's library: beside this program, or where it is installed; or the one given. NULL: why says where it was
 * looked for, or what is wrong with it. */
char *ftli_record_find_library(const char *given, char *why, size_t why_size);

/* Shared memory that the program will find at `place` (32 bytes are enough). NULL: why. */
struct ftli_record_shared *ftli_record_share(char *place, size_t place_size, int *descriptor, char *why,
                                             size_t why_size);

/* Starts it; from then on SIGINT and SIGQUIT, which a terminal sends to both, are the program's, and SIGTERM and SIGHUP are
 * passed on to it. -1: why. */
pid_t ftli_record_start(char *const *words, const char *library, const char *place, struct ftli_record_shared *shared,
                        char *why, size_t why_size);

#endif
