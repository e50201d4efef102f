/* Finding handles in bytes: at every offset, since a struct may be packed. Pure.
 *
 * Cost      A vector compare for sixteen offsets; what passes it, seldom, is looked at by itself.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_REACH_SCAN_H
#define FTLI_ACTORS_LEAK_DETECTION_REACH_SCAN_H

#include <stddef.h>
#include <stdint.h>

enum { FTLI_REACH_HANDLE_BYTES = 8, FTLI_REACH_CARRY_BYTES = 7 };

typedef void (*ftli_reach_found_fn)(void *user, uint64_t handle);

/* Calls found for every eight bytes that read as a handle of this runtime with 0 < slot < slots; those of its state are for found to
 * judge. */
void ftli_reach_find(const unsigned char *bytes, size_t n, uint32_t runtime, uint32_t slots, ftli_reach_found_fn found,
                     void *user);

#endif
