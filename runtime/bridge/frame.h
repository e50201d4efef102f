/* What crosses to other processes: three frames, and the little that both ends must agree on.
 *
 *     topic     text, 1 to 31 bytes: "stats"
 *     header    12 bytes, little-endian: version u32, sequence u64
 *     body      bytes of the topic's own form; for "stats" a JSON object
 *
 * Bytes only, never pointers. The sequence counts the messages of one publisher from 1, so that a listener sees what a PUB
 * socket lost. Pure functions: any thread.
 */
#ifndef FTLI_RUNTIME_BRIDGE_FRAME_H
#define FTLI_RUNTIME_BRIDGE_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum {
    FTLI_FRAME_VERSION = 1,
    FTLI_FRAME_HEADER_BYTES = 12,
    FTLI_FRAME_MAX_TOPIC = 31,
    FTLI_FRAME_MAX_BODY = 1024 * 1024,
    FTLI_FRAMES = 3, /* in a message */
};

struct ftli_frame_header {
    uint32_t version;
    uint64_t sequence;
};

static inline void ftli_frame_write_header(unsigned char bytes[FTLI_FRAME_HEADER_BYTES],
                                           struct ftli_frame_header header)
{
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (unsigned char)(header.version >> (8 * i));
    }
    for (unsigned i = 0; i < 8; i++) {
        bytes[4 + i] = (unsigned char)(header.sequence >> (8 * i));
    }
}

static inline struct ftli_frame_header ftli_frame_read_header(const unsigned char bytes[FTLI_FRAME_HEADER_BYTES])
{
    struct ftli_frame_header header = {0, 0};
    for (unsigned i = 0; i < 4; i++) {
        header.version |= (uint32_t)bytes[i] << (8 * i);
    }
    for (unsigned i = 0; i < 8; i++) {
        header.sequence |= (uint64_t)bytes[4 + i] << (8 * i);
    }
    return header;
}

#endif
