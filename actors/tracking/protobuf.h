/* Protocol buffers, written: as much of them as a profile needs.
 *
 * What      Fields go into one growing buffer, in the order in which they are written. A message within a message is written into a buffer
 *           of its own, then put in as bytes.
 * Owns      The bytes, from malloc; ftli_protobuf_free. Once there was no memory, `failed` stays and nothing more is written.
 * Threads   One.
 */
#ifndef FTLI_ACTORS_TRACKING_PROTOBUF_H
#define FTLI_ACTORS_TRACKING_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ftli_protobuf {
    unsigned char *bytes;
    size_t used, capacity;
    bool failed;
};

/* A number; 0 is left out, as the format has it. */
void ftli_protobuf_number(struct ftli_protobuf *, unsigned field, uint64_t value);
void ftli_protobuf_bytes(struct ftli_protobuf *, unsigned field, const void *bytes, size_t n);
void ftli_protobuf_text(struct ftli_protobuf *, unsigned field, const char *text);
/* A list of numbers, packed: all of them, zeros too. */
void ftli_protobuf_numbers(struct ftli_protobuf *, unsigned field, const uint64_t *values, size_t n);
/* Puts what `inner` has in, and empties it. */
void ftli_protobuf_message(struct ftli_protobuf *, unsigned field, struct ftli_protobuf *inner);
void ftli_protobuf_free(struct ftli_protobuf *);

#endif
