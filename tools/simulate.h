/* What `fettle simulate` understands of its options, apart from running them. One thread. */
#ifndef FTLI_TOOLS_SIMULATE_H
#define FTLI_TOOLS_SIMULATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "A..B", A not above B. False: it is no such range. */
bool ftli_simulate_seeds(const char *text, uint64_t *first, uint64_t *last);

/* "receive,oom", or "none": a bit per fault, as FTLI_FAULT_... False: `unknown` holds the word that is none of them, shortened. */
bool ftli_simulate_faults(const char *text, uint32_t *faults, char *unknown, size_t unknown_size);

#endif
