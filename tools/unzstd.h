/* The lines of a zstd-compressed text file, one after the other, in bounded memory and without malloc.
 *
 * Owns     The descriptor, the decompressor and its buffers, from open to close.
 * Threads  One.
 */
#ifndef FTLI_TOOLS_UNZSTD_H
#define FTLI_TOOLS_UNZSTD_H

#include <stddef.h>
#include <stdint.h>

struct ftli_unzstd;

enum { FTLI_UNZSTD_MAX_LINE = 4096 }; /* bytes of one line, its end included */

/* NULL with the reason in why, when the file cannot be opened or memory is short. */
struct ftli_unzstd *ftli_unzstd_open(const char *path, char *why, size_t why_size);

/* 1: *line is the next line, ended by '\0' in place of its newline, good until the next call. 0: the end of a whole file.
 * -1: the reason is in why. An end that no newline closes is an error: somebody cut the text. */
int ftli_unzstd_line(struct ftli_unzstd *in, char **line, char *why, size_t why_size);

/* Number of the line last returned, from 1; after an error, of the line that could not be read. */
uint64_t ftli_unzstd_line_number(const struct ftli_unzstd *in);

void ftli_unzstd_close(struct ftli_unzstd *in);

#endif
