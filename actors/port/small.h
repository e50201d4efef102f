/* What the fast path of new looks up: one table, reached by one address.
 *
 * kinds          by dtype - 1: the size word (tensor/header.h) of one dimension and no bytes
 * bits           by dtype - 1: of an element
 * class_offsets  by the number of 64-byte units, rounded up: 8 * the size class, so that arrays of eight bytes are
 *                reached without another step; 0: above the classes, whose magazine is always empty
 */
#ifndef FTLI_ACTORS_PORT_SMALL_H
#define FTLI_ACTORS_PORT_SMALL_H

#include "actors/allocation/allocation.h"
#include "tensor/dtype.h"

#define FTLI_SMALL_UNIT_BYTES 64u
#define FTLI_SMALL_UNITS_MOST 8192u /* FTLI_CLASS_MAX_BYTES elements of 128 bits */

struct ftli_small {
    uint64_t kinds[FTLI_DTYPES - 1];
    uint8_t bits[FTLI_DTYPES - 1];
    uint16_t class_offsets[FTLI_SMALL_UNITS_MOST + 1];
};
extern const struct ftli_small ftli_small __attribute__((visibility("hidden")));

#endif
