#include "actors/tracking/protobuf.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 256, VARINT_BYTES = 10, WIRE_VARINT = 0, WIRE_BYTES = 2 };

static void add(struct ftli_protobuf *out, const void *bytes, size_t n)
{
    if (out->failed || n == 0)
        return;
    if (out->capacity - out->used < n) {
        size_t capacity = out->capacity == 0 ? FIRST_BYTES : out->capacity;
        while (capacity - out->used < n)
            capacity *= 2;
        void *larger = realloc(out->bytes, capacity);
        if (larger == NULL) {
            out->failed = true;
            return;
        }
        out->bytes = larger;
        out->capacity = capacity;
    }
    memcpy(out->bytes + out->used, bytes, n);
    out->used += n;
}

/* Seven bits a byte, the low ones first; the high bit says that more follow. */
static size_t encode(uint64_t value, unsigned char *out)
{
    size_t n = 0;
    for (; value >= 0x80; value >>= 7)
        out[n++] = (unsigned char)(value | 0x80);
    out[n++] = (unsigned char)value;
    return n;
}

static void varint(struct ftli_protobuf *out, uint64_t value)
{
    unsigned char bytes[VARINT_BYTES];
    add(out, bytes, encode(value, bytes));
}

void ftli_protobuf_number(struct ftli_protobuf *out, unsigned field, uint64_t value)
{
    if (value == 0)
        return;
    varint(out, field << 3 | WIRE_VARINT);
    varint(out, value);
}

void ftli_protobuf_bytes(struct ftli_protobuf *out, unsigned field, const void *bytes, size_t n)
{
    varint(out, field << 3 | WIRE_BYTES);
    varint(out, n);
    add(out, bytes, n);
}

void ftli_protobuf_text(struct ftli_protobuf *out, unsigned field, const char *text)
{
    ftli_protobuf_bytes(out, field, text, strlen(text));
}

void ftli_protobuf_numbers(struct ftli_protobuf *out, unsigned field, const uint64_t *values, size_t n)
{
    unsigned char bytes[VARINT_BYTES];
    size_t length = 0;
    for (size_t i = 0; i < n; i++)
        length += encode(values[i], bytes);
    varint(out, field << 3 | WIRE_BYTES);
    varint(out, length);
    for (size_t i = 0; i < n; i++)
        varint(out, values[i]);
}

void ftli_protobuf_message(struct ftli_protobuf *out, unsigned field, struct ftli_protobuf *inner)
{
    ftli_protobuf_bytes(out, field, inner->bytes, inner->used);
    out->failed = out->failed || inner->failed;
    inner->used = 0;
}

void ftli_protobuf_free(struct ftli_protobuf *out)
{
    free(out->bytes);
    memset(out, 0, sizeof *out);
}
