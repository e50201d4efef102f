/* What is live while a trace is being recorded: address to allocation. Open addressing in a mapping of its own, which
 * doubles; one thread. */
#ifndef FTLI_TOOLS_RECORD_LIVE_H
#define FTLI_TOOLS_RECORD_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftli_record_block {
    uint64_t address; /* 0: an empty place */
    uint64_t id;
    uint64_t bytes;
    uint8_t align_log2;
};

struct ftli_record_live {
    struct ftli_record_block *places;
    size_t place_count; /* a power of two, or 0 */
    size_t count;       /* at most 3/4 of them */
};

/* The address is not in it. False: out of memory. */
bool ftli_record_live_add(struct ftli_record_live *live, const struct ftli_record_block *block);

/* Takes it out. False: it is not there. */
bool ftli_record_live_remove(struct ftli_record_live *live, uint64_t address, struct ftli_record_block *out);

/* Takes any one out. False: none is left. */
bool ftli_record_live_pop(struct ftli_record_live *live, size_t *from, struct ftli_record_block *out);

void ftli_record_live_fini(struct ftli_record_live *live);

#endif
