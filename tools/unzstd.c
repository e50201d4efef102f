/* The decompressor is created with an allocator of ours. That function is among the ones zstd calls "static linking only",
 * because its signature may change; Debian's shared library exports it. The plain one would leave its freed buffers in the
 * very heap that a replay measures afterwards. */
#define ZSTD_STATIC_LINKING_ONLY
#include "tools/unzstd.h"

#include "tools/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { READ_BYTES = 128 * 1024, TEXT_BYTES = 256 * 1024 };

struct ftli_unzstd {
    int descriptor;
    ZSTD_DStream *stream;
    uint64_t line_number;
    size_t frame_left; /* zstd's word: 0 between two frames */
    bool any_input;
    bool input_ended;
    bool text_ended;
    ZSTD_inBuffer input;
    size_t text_begin, text_end; /* what of text is not yet handed out */
    char text[TEXT_BYTES];
    unsigned char bytes[READ_BYTES];
};

struct block {
    size_t bytes; /* of the mapping, this head included */
    char pad[56];
};

static void *block_new(void *user, size_t bytes)
{
    (void)user;
    struct block *block = ftli_pages_map(sizeof *block + bytes);
    if (block == NULL) {
        return NULL;
    }
    block->bytes = sizeof *block + bytes;
    return block + 1;
}

static void block_free(void *user, void *address)
{
    (void)user;
    if (address != NULL) {
        struct block *block = (struct block *)address - 1;
        ftli_pages_unmap(block, block->bytes);
    }
}

struct ftli_unzstd *ftli_unzstd_open(const char *path, char *why, size_t why_size)
{
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        snprintf(why, why_size, "%s", strerror(errno));
        return NULL;
    }
    struct stat status;
    if (fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
        snprintf(why, why_size, "is a directory; a trace is one file");
        close(descriptor);
        return NULL;
    }
    struct ftli_unzstd *in = ftli_pages_map(sizeof *in);
    ZSTD_customMem memory = {.customAlloc = block_new, .customFree = block_free, .opaque = NULL};
    ZSTD_DStream *stream = in == NULL ? NULL : ZSTD_createDStream_advanced(memory);
    if (stream == NULL) {
        snprintf(why, why_size, "out of memory");
        ftli_pages_unmap(in, sizeof *in);
        close(descriptor);
        return NULL;
    }
    in->descriptor = descriptor;
    in->stream = stream;
    in->input.src = in->bytes;
    return in;
}

void ftli_unzstd_close(struct ftli_unzstd *in)
{
    if (in != NULL) {
        ZSTD_freeDStream(in->stream);
        close(in->descriptor);
        ftli_pages_unmap(in, sizeof *in);
    }
}

uint64_t ftli_unzstd_line_number(const struct ftli_unzstd *in)
{
    return in->line_number;
}

static int read_more(struct ftli_unzstd *in, char *why, size_t why_size)
{
    ssize_t got;
    do {
        got = read(in->descriptor, in->bytes, sizeof in->bytes);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        snprintf(why, why_size, "cannot be read: %s", strerror(errno));
        return -1;
    }
    in->input.size = (size_t)got;
    in->input.pos = 0;
    in->input_ended = got == 0;
    in->any_input = in->any_input || got > 0;
    return 0;
}

/* Puts at least one more byte of text behind text_end, or sets text_ended. */
static int decompress_more(struct ftli_unzstd *in, char *why, size_t why_size)
{
    size_t before = in->text_end;
    while (in->text_end == before) {
        if (in->input.pos == in->input.size && !in->input_ended && read_more(in, why, why_size) != 0) {
            return -1;
        }
        if (in->input_ended && !in->any_input) {
            snprintf(why, why_size, "is empty; expected a zstd-compressed trace");
            return -1;
        }
        if (in->input_ended && in->frame_left == 0) {
            in->text_ended = true;
            return 0;
        }
        ZSTD_outBuffer output = {.dst = in->text, .size = sizeof in->text, .pos = in->text_end};
        size_t result = ZSTD_decompressStream(in->stream, &output, &in->input);
        if (ZSTD_isError(result)) {
            if (ZSTD_getErrorCode(result) == ZSTD_error_prefix_unknown) {
                snprintf(why, why_size, "%s",
                         in->line_number == 0 ? "is not zstd; a trace is compressed with zstd"
                                              : "something that is not zstd follows the trace");
            } else {
                snprintf(why, why_size, "zstd cannot decompress it: %s", ZSTD_getErrorName(result));
            }
            return -1;
        }
        if (in->input_ended && result != 0 && output.pos == before) {
            snprintf(why, why_size, "the file is cut off in the middle");
            return -1;
        }
        in->text_end = output.pos;
        in->frame_left = result;
    }
    return 0;
}

int ftli_unzstd_line(struct ftli_unzstd *in, char **line, char *why, size_t why_size)
{
    size_t looked_at = in->text_begin;
    for (;;) {
        char *newline = memchr(in->text + looked_at, '\n', in->text_end - looked_at);
        if (newline != NULL) {
            *line = in->text + in->text_begin;
            *newline = '\0';
            in->text_begin = (size_t)(newline - in->text) + 1;
            in->line_number++;
            if (memchr(*line, '\0', (size_t)(newline - *line)) != NULL) {
                snprintf(why, why_size, "a zero byte; a trace is text");
                return -1;
            }
            if ((size_t)(newline - *line) >= FTLI_UNZSTD_MAX_LINE) {
                snprintf(why, why_size, "a line of %zu bytes; %d is the longest that is taken",
                         (size_t)(newline - *line), FTLI_UNZSTD_MAX_LINE - 1);
                return -1;
            }
            return 1;
        }
        if (in->text_end - in->text_begin >= FTLI_UNZSTD_MAX_LINE) {
            in->line_number++;
            snprintf(why, why_size, "a line of over %d bytes", FTLI_UNZSTD_MAX_LINE - 1);
            return -1;
        }
        if (sizeof in->text - in->text_end < FTLI_UNZSTD_MAX_LINE) {
            memmove(in->text, in->text + in->text_begin, in->text_end - in->text_begin);
            in->text_end -= in->text_begin;
            in->text_begin = 0;
        }
        looked_at = in->text_end;
        if (decompress_more(in, why, why_size) != 0) {
            in->line_number++;
            return -1;
        }
        if (in->text_ended) {
            if (in->text_end == in->text_begin) {
                return 0;
            }
            in->line_number++;
            snprintf(why, why_size, "the last line has no end: the text is cut off");
            return -1;
        }
    }
}
