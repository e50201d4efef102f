/* What is loaded in this process: the file that an address belongs to, read when somebody asks.
 *
 * Threads   Any; may wait for who loads or unloads a library. Not from a signal handler.
 */
#ifndef FTLI_ACTORS_TRACKING_MODULES_H
#define FTLI_ACTORS_TRACKING_MODULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FTLI_BUILD_ID_MOST 32

struct ftli_module {
    char path[256];       /* as the loader has it; of the program itself, its file */
    uintptr_t base;       /* an address less this is the one that the file's symbols have */
    uintptr_t from, to;   /* of the part that was asked for, or of all its code */
    uint64_t file_offset; /* of `from` in the file */
    unsigned char build_id[FTLI_BUILD_ID_MOST];
    unsigned build_id_bytes; /* 0: it has none */
};

/* False: no loaded file has the address (any more). */
bool ftli_module_of(uintptr_t address, struct ftli_module *out);
/* All that have code, one call each; stops at what is not 0, and returns it. */
int ftli_modules_each(int (*visit)(const struct ftli_module *, void *user), void *user);
/* "server+0x12ab", the offset as in the file's symbols, of a return address: of the call before it; "0x7f12" if nobody knows it. */
void ftli_module_text(uintptr_t return_address, char *text, size_t bytes);

#endif
