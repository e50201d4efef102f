/* Who holds a tensor: a look along the links (and views) backwards, made when a report wants it.
 *
 * Owns      8 bytes a slot that was ever used, from read to free.
 * Threads   Any; who links meanwhile may be seen or not.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_HOLDERS_H
#define FTLI_ACTORS_LEAK_DETECTION_HOLDERS_H

#include "actors/leak_detection/leak_detection.h"

enum { FTLI_HOLDERS_TOLD = 6 /* of a chain */ };

struct ftli_holder {
    uint32_t slot;  /* of one that holds it; 0: none does */
    uint32_t count; /* links, and views, that point at it */
};

struct ftli_holders {
    struct ftli_holder *of; /* by slot */
    size_t memory_bytes;
    uint32_t end_slot;
};

/* One walk of the table. FTL_ENOMEM. */
int ftli_holders_read(struct ftli_holders *, const struct ftli_table *);
void ftli_holders_free(struct ftli_holders *);
/* "held by a link from "optimizer" (0x..), which is held by a view "x" (0x..), which 1 reference holds". False: nothing holds it. */
bool ftli_holders_text(const struct ftli_holders *, const struct ftli_leak_detection *, uint64_t tensor, char *text,
                       size_t bytes);

#endif
