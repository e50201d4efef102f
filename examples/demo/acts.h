/* The acts. Each prints its lines; false: a sum is broken, or the run failed. seen: two of them, all zero, in memory that a child
 * shares. */
#ifndef FETTLE_EXAMPLES_DEMO_ACTS_H
#define FETTLE_EXAMPLES_DEMO_ACTS_H

#include <stdbool.h>
#include <stdint.h>

struct seen;

bool act_drops(uint64_t tensors, struct seen *seen);
bool act_kill(uint64_t tensors, struct seen *seen);
bool act_leak(uint64_t tensors, struct seen *seen); /* of a size of its own */

#endif
