/* Labels: the bounded set of short words that programs put on tensors and scopes, each kept once.
 *
 * Owns      A fixed table of FTLI_LABELS_MOST texts of up to 31 bytes. What no longer fits becomes "(other)".
 * Threads   Any. Progress: lock-free; finding a label that is there takes one hash and one compare.
 */
#ifndef FTLI_TENSOR_LABEL_H
#define FTLI_TENSOR_LABEL_H

#include <stddef.h>

#include "runtime/base/atomics.h"

enum { FTLI_LABELS_MOST = 4096, FTLI_LABEL_BYTES = 32, FTLI_LABEL_OTHER = 1 };

struct ftli_labels {
    struct ftli_label_entry *entries; /* a reservation: untouched ones cost nothing */
    ftli_atomic_u32 count;
};

int ftli_labels_init(struct ftli_labels *); /* FTL_ENOMEM */
void ftli_labels_fini(struct ftli_labels *);
/* The label's number; 0 for NULL or an empty text. Never fails. */
uint32_t ftli_label_intern(struct ftli_labels *, const char *text);
/* Its text; "" for 0. Valid until fini. */
const char *ftli_label_text(const struct ftli_labels *, uint32_t label);
size_t ftli_labels_metadata_bytes(const struct ftli_labels *);

#endif
