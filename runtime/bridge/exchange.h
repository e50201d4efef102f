/* A request to a runtime and its answer, as they cross: two frames each, and what both ends must agree on.
 *
 *     header    24 bytes, little-endian: version u32, flags u32, id u64, part u32, status i32
 *     body      of a request one line of text; of an answer some of its text
 *
 * An answer comes in parts, numbered from 0, each with the id of its request; the last one has the flag END, the status, and as its body
 * the sentence that says what went wrong ("" if nothing did). Bytes only, never pointers. Pure functions: any thread.
 */
#ifndef FTLI_RUNTIME_BRIDGE_EXCHANGE_H
#define FTLI_RUNTIME_BRIDGE_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

enum {
    FTLI_EXCHANGE_VERSION = 1,
    FTLI_EXCHANGE_HEADER_BYTES = 24,
    FTLI_EXCHANGE_MAX_REQUEST = 4095,
    FTLI_EXCHANGE_MAX_BODY = 65536, /* of one part of an answer */
    FTLI_EXCHANGE_FRAMES = 2,
    FTLI_EXCHANGE_END = 1, /* flags */
};

struct ftli_exchange_header {
    uint32_t version, flags;
    uint64_t id;
    uint32_t part;
    int32_t status;
};

static inline void ftli_exchange_put(unsigned char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static inline uint64_t ftli_exchange_get(const unsigned char *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static inline void ftli_exchange_write_header(unsigned char bytes[FTLI_EXCHANGE_HEADER_BYTES],
                                              struct ftli_exchange_header header)
{
    ftli_exchange_put(bytes, header.version, 4);
    ftli_exchange_put(bytes + 4, header.flags, 4);
    ftli_exchange_put(bytes + 8, header.id, 8);
    ftli_exchange_put(bytes + 16, header.part, 4);
    ftli_exchange_put(bytes + 20, (uint32_t)header.status, 4);
}

static inline struct ftli_exchange_header ftli_exchange_read_header(const unsigned char *bytes)
{
    return (struct ftli_exchange_header){
        .version = (uint32_t)ftli_exchange_get(bytes, 4),
        .flags = (uint32_t)ftli_exchange_get(bytes + 4, 4),
        .id = ftli_exchange_get(bytes + 8, 8),
        .part = (uint32_t)ftli_exchange_get(bytes + 16, 4),
        .status = (int32_t)(uint32_t)ftli_exchange_get(bytes + 20, 4),
    };
}

#endif
