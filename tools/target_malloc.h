/* The yardstick: the leanest tensor that a user could write over aligned_alloc and free. One block, a header of 64 bytes
 * and the data behind it; a drop counts down and frees. Whichever malloc the process has is the one that is played. */
#ifndef FTLI_TOOLS_TARGET_MALLOC_H
#define FTLI_TOOLS_TARGET_MALLOC_H

#include "tools/player.h"

struct ftli_target ftli_target_malloc(void);

/* "glibc 2.36", or the name of a library that LD_PRELOAD puts in its place. */
void ftli_target_malloc_name(char *name, size_t size);

#endif
